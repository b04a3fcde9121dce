"""The table of failures (``NN-name.toml``) and how its objects are made, by real compilers and assemblers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import transcript
from elfedit import edit
from llext_tools.paths import cmake_dir, include_dir
from needs import need

FOLDER = Path(__file__).parent
GOLDEN = FOLDER.parents[1] / "golden" / "failures"
LANGUAGES = ("s", "c", "cpp")
EXTENSION = "ext.llext"


class Cpu(NamedTuple):
    """How to compile for one architecture: GNU's prefix and flags, those of ``zig cc``, the linker's emulation."""

    prefix: str
    flags: tuple[str, ...]
    zig: tuple[str, ...]
    emulation: str


RISCV = ("-mno-relax", "-msmall-data-limit=0", "-mcmodel=medany")
CPUS = {
    "arm": Cpu(
        "arm-none-eabi-",
        ("-mcpu=cortex-m4", "-mthumb", "-mlong-calls"),
        ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4"),
        "armelf",
    ),
    "m0": Cpu(
        "arm-none-eabi-",
        ("-mcpu=cortex-m0plus", "-mthumb", "-mlong-calls"),
        ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0plus"),
        "armelf",
    ),
    "riscv32": Cpu(
        "riscv64-unknown-elf-",
        ("-march=rv32imac", "-mabi=ilp32", *RISCV),
        ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+a+c", "-mno-relax"),
        "elf32lriscv",
    ),
    "riscv64": Cpu(
        "riscv64-unknown-elf-",
        ("-march=rv64gc", "-mabi=lp64d", *RISCV),
        ("-target", "riscv64-freestanding-none", "-mcpu=baseline_rv64", "-mno-relax"),
        "elf64lriscv",
    ),
}
FLAGS = ("-Os", "-ffreestanding", "-fno-pic", "-fno-common", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
         "-DLL_EXTENSION_BUILD")  # fmt: skip
CXX_FLAGS = ("-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")


class Case(NamedTuple):
    """One faulty object and its harmless twin, for each of ``arch``."""

    row: str  # stem of the file
    name: str
    codes: tuple[str, ...]
    severity: str
    arch: tuple[str, ...]
    recipes: Mapping[str, Mapping[str, Any]]  # "faulty" and "twin"

    def command(self, which: str) -> str:
        command: str = self.recipes[which].get("command", f"llext check {EXTENSION}")
        return command


def rows() -> dict[str, dict[str, Any]]:
    """The files by their stems, in order."""
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}


def cases() -> list[Case]:
    return [_case(stem, entry) for stem, row in rows().items() for entry in row["case"]]


def _case(stem: str, entry: Mapping[str, Any]) -> Case:
    codes = entry["code"] if isinstance(entry["code"], list) else [entry["code"]]
    arch = tuple(entry.get("arch", ("arm", "riscv32")))
    recipes = {which: {**entry, **entry.get(which, {})} for which in ("faulty", "twin")}
    return Case(stem, entry["name"], tuple(codes), entry.get("severity", "error"), arch, recipes)


def build(case: Case, which: str, arch: str, folder: Path) -> None:
    """Make the objects and files of one recipe in ``folder``."""
    recipe, cpu = case.recipes[which], CPUS[arch]
    flags: list[str] = recipe.get("flags", [])
    sources = dict(recipe.get("sources", {})) | {f"ext.{x}": recipe[x] for x in LANGUAGES if x in recipe}
    for tool in recipe.get("tools", ()):
        need(tool)
    assert sources, f"{case.row}, {case.name}: no sources"
    compiler = _compiler(recipe.get("toolchain", "gcc"), cpu)
    outputs = []
    for name, text in sources.items():
        (folder / name).write_text(text)
        stem, _, language = name.rpartition(".")
        outputs.append(f"{stem}.o")
        extra = {"s": (), "c": FLAGS, "cpp": (*FLAGS, *CXX_FLAGS)}[language]
        _run(folder, *compiler, *extra, f"-I{include_dir()}", *flags, "-c", name, "-o", f"{stem}.o")
    for name, text in recipe.get("files", {}).items():
        (folder / name).write_text(text)
    if link := recipe.get("link"):
        linker = (need(f"{cpu.prefix}ld"), f"-m{cpu.emulation}")
        how = {
            "plain": ("-r",),
            "merge": ("-r", "--force-group-allocation", "-T", f"{cmake_dir()}/llext-merge.ld"),
            "shared": ("-shared", "--hash-style=sysv", "-zmax-page-size=16"),
        }[link]
        _run(folder, *linker, *how, *outputs, "-o", EXTENSION)
    else:
        for output in outputs:
            shutil.move(folder / output, (folder / output).with_suffix(".llext"))
    if edits := recipe.get("edit"):
        edit(edits, folder / EXTENSION)
    commands = "\n".join(recipe.get("before", ()))
    words = {
        "{prefix}": cpu.prefix,
        "{emulation}": cpu.emulation,
        "{cc}": " ".join(compiler),
        "{script}": f"{cmake_dir()}/llext-merge.ld",
        "{include}": f"-I{include_dir()}",
    }
    for key, value in words.items():
        commands = commands.replace(key, value)
    if commands:
        done = transcript.shell(f"set -e\n{commands}", folder)
        assert done.returncode == 0, f"{commands}\n{done.stdout}"


def _compiler(toolchain: str, cpu: Cpu) -> tuple[str, ...]:
    if toolchain == "clang":
        return (sys.executable, "-m", "ziglang", "cc", *cpu.zig)
    return (need(f"{cpu.prefix}gcc"), *cpu.flags)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"

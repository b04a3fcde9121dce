"""A CMake project in a folder of its own, configured and built as a user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from llext_tools import cmake_dir
from needs import need

HEAD = """\
cmake_minimum_required(VERSION 3.25)
project(test LANGUAGES {languages})
find_package(LlextTools REQUIRED)
"""
HELLO = """\
#include <llext/host.h>
#include <llext/symbol.h>
int hello(int a)
{
    printk("hello");
    return a + 1;
}
EXPORT_SYMBOL(hello);
"""
LLEXT_COMMAND = f"{sys.executable};-P;-m;llext_tools"
GCC = {
    "cortex": ("arm-none-eabi-gcc",),
    "rv": ("riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc", "riscv-none-elf-gcc"),
}
NOTHING_TO_DO = "ninja: no work to do."
BOTH = pytest.mark.parametrize(("target", "toolchain"), [("cortex-m4", "gcc"), ("rv32imac", "zig")])


PLUGIN = ("-p", "llext_tools.pytest_plugin", "-o", "required_plugins=")
"""Options of pytest for the plugin as it is in a checkout, where no package has announced it."""


def tool(name: str) -> str:
    """``cmake``, ``ctest`` or ``ninja`` of the environment that the tests run in."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else need(name)


def need_toolchain(target: str, toolchain: str) -> None:
    """Skip the test unless this toolchain is installed."""
    if toolchain == "gcc":
        need(*next(names for start, names in GCC.items() if target.startswith(start)))
    elif find_spec("ziglang") is None:
        pytest.skip("needs ziglang")


@dataclass(frozen=True, slots=True)
class Project:
    """Sources in ``root``; ``build`` lies below it. Both names contain a space."""

    root: Path

    @property
    def build_dir(self) -> Path:
        return self.root / "build it"

    def write(self, **files: str) -> None:
        """Write files; ``__`` in a name stands for the dot, ``CMakeLists`` is the list without its head."""
        for name, text in files.items():
            (self.root / name.replace("__", ".")).write_text(text, encoding="utf-8")

    def cmake_lists(self, text: str, languages: str = "C") -> None:
        (self.root / "CMakeLists.txt").write_text(HEAD.format(languages=languages) + text, encoding="utf-8")

    def touch(self, name: str) -> None:
        """Make a file newer than everything built from it, whatever the resolution of the clock."""
        newest = max(path.stat().st_mtime_ns for path in self.root.rglob("*") if path.is_file())
        os.utime(self.root / name, ns=(newest + 1, newest + 1))

    def configure(
        self, target: str, toolchain: str, *arguments: str, generator: str = "Ninja"
    ) -> subprocess.CompletedProcess[str]:
        make = tool("ninja") if generator.startswith("Ninja") else need("gmake", "make")
        return self._run(
            tool("cmake"),
            *("-S", str(self.root), "-B", str(self.build_dir), "-G", generator),
            f"-DCMAKE_MAKE_PROGRAM={make}",
            f"-DCMAKE_TOOLCHAIN_FILE={cmake_dir()}/toolchains/llext.cmake",
            f"-DLlextTools_DIR={cmake_dir()}",
            f"-DLLEXT_COMMAND={LLEXT_COMMAND}",
            f"-DLLEXT_TARGET={target}",
            f"-DLLEXT_TOOLCHAIN={toolchain}",
            *arguments,
        )

    def configured(self, target: str, toolchain: str, *arguments: str, generator: str = "Ninja") -> None:
        done = self.configure(target, toolchain, *arguments, generator=generator)
        assert done.returncode == 0, done.stdout
        assert "Warning" not in done.stdout, done.stdout

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(tool("cmake"), "--build", str(self.build_dir), *arguments)

    def built(self, *arguments: str) -> str:
        done = self.build(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def ctest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(tool("ctest"), "--test-dir", str(self.build_dir), "--output-on-failure", *arguments)

    def path(self, name: str) -> Path:
        return self.build_dir / name

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False
        )


def llext_build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llext_tools", "build", ".", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)


def one_line(text: str) -> str:
    """CMake wraps its messages: undo that."""
    return re.sub(r"\s+", " ", text)


def loaded_sections(path: Path) -> list[tuple[str, str]]:
    """Name and type of the sections with SHF_ALLOC that are not empty, in order. Read by pyelftools."""
    with path.open("rb") as file:
        return [
            (section.name, section["sh_type"])
            for section in ELFFile(file).iter_sections()
            if section["sh_flags"] & 2 and section["sh_size"]
        ]


def symbols(path: Path) -> Iterator[tuple[str, str, str]]:
    """Name, binding and section of each named symbol: ``SHN_UNDEF`` or a section's name."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        for table in elf.iter_sections():
            if isinstance(table, SymbolTableSection):
                for symbol in table.iter_symbols():
                    if symbol.name:
                        index = symbol["st_shndx"]
                        where = elf.get_section(index).name if isinstance(index, int) else index
                        yield symbol.name, symbol["st_info"]["bind"], where


def undefined(path: Path) -> set[str]:
    return {name for name, _, where in symbols(path) if where == "SHN_UNDEF"}

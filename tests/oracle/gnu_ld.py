"""GNU ld, and LLVM's where GNU ld lacks a relocation, as oracles: what bytes do they make of the same object?

A case is an assembly file with its circumstances in comment lines, each starting with ``# ``::

    # assemble: [NAME] FLAGS...      one variant for each such line; NAME is that of the variant
    # at: .text=0x8000 .data=0x100   the address of each section
    # host: [func] name=0x9000 ...   absolute symbols; an odd func is a Thumb function
    # assembler: clang               instead of gas
    # linker: lld                    instead of GNU ld; none if no linker knows the relocation
    # expect: .text+4 = 2f 00        bytes by the ABI's text, in addition

No address stands in the linked file's symbol table that the case has not given, and none is read from it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from elftools.elf.elffile import ELFFile

from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.link.exports import Export, ExportTable, Kind
from llext_tools.mem import Domain, Mem
from needs import need

PREFIXES = {
    "arm": ("arm-none-eabi-",),
    "riscv": ("riscv64-unknown-elf-", "riscv32-unknown-elf-", "riscv-none-elf-"),
}
REGION_OF = {".text": Mem.TEXT, ".data": Mem.DATA, ".rodata": Mem.RODATA, ".bss": Mem.BSS}
EMULATION = {("arm", 32): "armelf", ("riscv", 32): "elf32lriscv", ("riscv", 64): "elf64lriscv"}
LLD_EMULATION = EMULATION | {("arm", 32): "armelf_linux_eabi"}


@dataclass(frozen=True)
class Case:
    """One assembly file, assembled in one way."""

    arch: str
    source: Path
    variant: str
    flags: tuple[str, ...]
    at: tuple[tuple[str, int], ...]
    host: tuple[Export, ...]
    assembler: Literal["gnu", "clang"]
    linker: Literal["gnu", "lld", "none"]
    expect: tuple[tuple[str, int, bytes], ...]

    @property
    def id(self) -> str:
        return f"{self.arch}-{self.source.stem}" + (f"-{self.variant}" if self.variant else "")

    @property
    def domain(self) -> Domain:
        return Domain(fixed={REGION_OF[section]: address for section, address in self.at if section in REGION_OF})

    @property
    def exports(self) -> ExportTable:
        return ExportTable(source=self.source.name, symbols=self.host)


def cases(arch: str) -> list[Case]:
    """The cases of an architecture: each variant of each ``tests/arch/<arch>/*.s``."""
    folder = Path(__file__).parents[1] / "arch" / arch
    return [case for path in sorted(folder.glob("*.s")) for case in _read(arch, path)]


def _read(arch: str, path: Path) -> Iterator[Case]:
    notes: dict[str, list[str]] = {}
    for key, text in re.findall(r"^# (assembler?|at|host|linker|expect): (.*)$", path.read_text("utf-8"), re.MULTILINE):
        notes.setdefault(key, []).append(text)
    host: list[Export] = []
    for line in notes.get("host", []):
        kind: Kind = "func" if line.startswith("func ") else ""
        for name, _, address in (word.partition("=") for word in line.removeprefix("func ").split()):
            host.append(Export(name, int(address, 0), kind))
    expect = re.findall(r"(\S+)\+(\w+) = ([0-9a-f ]+)$", "\n".join(notes.get("expect", [])), re.MULTILINE)
    for line in notes.get("assemble", [""]):
        words = line.split()
        name = words.pop(0) if words and not words[0].startswith("-") else ""
        yield Case(
            arch=arch,
            source=path,
            variant=name,
            flags=tuple(words),
            at=tuple((k, int(v, 0)) for k, v in (w.split("=") for line in notes.get("at", []) for w in line.split())),
            host=tuple(host),
            assembler=notes.get("assembler", ["gnu"])[0],  # type: ignore[arg-type]
            linker=notes.get("linker", ["gnu"])[0],  # type: ignore[arg-type]
            expect=tuple((section, int(offset, 0), bytes.fromhex(data)) for section, offset, data in expect),
        )


@dataclass(frozen=True)
class Linked:
    """An object and the bytes that a linker makes of its sections, by name."""

    obj: ElfObject
    bytes: dict[str, bytes]


class GnuLd:
    """Assembles and links in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def assemble(self, case: Case) -> ElfObject:
        """The object of a case, made once for all tests."""
        path = self._object(case)
        return load_object(str(path))

    def link(self, case: Case) -> Linked:
        """The bytes of each section that ``case.at`` places."""
        obj, path = self.assemble(case), self._object(case)
        if case.linker == "none":
            return Linked(obj, {})
        host = self.folder / f"{case.id}.host.s"
        host.write_text(definitions(case.host), "utf-8")
        self._assemble(case, host, host.with_suffix(".o"))
        objects = (path, host.with_suffix(".o"))
        return Linked(obj, relinked(case.arch, obj.bits, objects, dict(case.at), lld=case.linker == "lld"))

    def _object(self, case: Case) -> Path:
        path = self.folder / f"{case.id}.o"
        if not path.exists():
            self._assemble(case, case.source, path)
        return path

    def _assemble(self, case: Case, source: Path, output: Path) -> None:
        if case.assembler == "clang":
            run(*zig("cc"), "-c", *case.flags, str(source), "-o", str(output))
        else:
            run(tool(case.arch, "as"), *case.flags, str(source), "-o", str(output))


def definitions(host: Iterable[Export]) -> str:
    """Assembly that defines the host's symbols. A symbol of --defsym could not be a Thumb function."""
    lines = []
    for symbol in host:
        kind = "%function" if symbol.kind == "func" else "%object"
        lines += [f".global {symbol.name}", f".type {symbol.name}, {kind}", f"{symbol.name} = {symbol.address:#x}"]
    return "\n".join(lines) + "\n"


def relinked(
    arch: str, bits: int, objects: Sequence[Path], at: Mapping[str, int], *, lld: bool = False
) -> dict[str, bytes]:
    """Link objects with each section at its address, without relaxation: the bytes of each section, by name.

    The linker script and its output go beside the first object.
    """
    script, out = objects[0].with_suffix(".ld"), objects[0].with_suffix(".elf")
    placed = "".join(f"  {section} {address:#x} : {{ *({section}) }}\n" for section, address in at.items())
    script.write_text(f"SECTIONS {{\n{placed}  /DISCARD/ : {{ *(.ARM.*) *(.riscv.*) *(.comment) }}\n}}\n", "utf-8")
    if lld:
        command = [*zig("ld.lld"), "-m", LLD_EMULATION[arch, bits]]
    else:
        command = [tool(arch, "ld"), "-m", EMULATION[arch, bits], "--no-warn-rwx-segments"]
    run(*command, "--no-relax", *map(str, objects), "-T", str(script), "-o", str(out), "-e", "0")
    with out.open("rb") as stream:
        elf = ELFFile(stream)
        sections = {section: elf.get_section_by_name(section) for section in at}
        return {name: found.data() for name, found in sections.items() if found}


@pytest.fixture(scope="session")
def gnu_ld() -> Iterator[GnuLd]:
    with TemporaryDirectory() as folder:
        yield GnuLd(Path(folder))


def tool(arch: str, name: str) -> str:
    """The path of a binutils program for an architecture; skips the test if it is not installed."""
    return need(*(prefix + name for prefix in PREFIXES[arch]))


def zig(name: str) -> tuple[str, ...]:
    """The command of a program of LLVM; skips the test if ziglang, which has it, is not installed."""
    if not find_spec("ziglang"):
        pytest.skip("needs ziglang")
    return (sys.executable, "-m", "ziglang", name)


def run(*command: str) -> str:
    """Run a program; its output. A failure shows what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout

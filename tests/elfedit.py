"""Edits of single fields of an ELF file, to make malformed ones. Knows the structures, checks nothing."""

# ruff: noqa: C408 - keywords read like the gABI's own tables

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

EHDR = {
    32: dict(
        magic=(0, 4), ei_class=(4, 1), ei_data=(5, 1), type=(16, 2), machine=(18, 2), version=(20, 4), entry=(24, 4),
        phoff=(28, 4), shoff=(32, 4), flags=(36, 4), ehsize=(40, 2), phentsize=(42, 2), phnum=(44, 2),
        shentsize=(46, 2), shnum=(48, 2), shstrndx=(50, 2),
    ),
    64: dict(
        magic=(0, 4), ei_class=(4, 1), ei_data=(5, 1), type=(16, 2), machine=(18, 2), version=(20, 4), entry=(24, 8),
        phoff=(32, 8), shoff=(40, 8), flags=(48, 4), ehsize=(52, 2), phentsize=(54, 2), phnum=(56, 2),
        shentsize=(58, 2), shnum=(60, 2), shstrndx=(62, 2),
    ),
}  # fmt: skip
SHDR = {
    32: dict(
        name=(0, 4), type=(4, 4), flags=(8, 4), addr=(12, 4), offset=(16, 4), size=(20, 4), link=(24, 4),
        info=(28, 4), addralign=(32, 4), entsize=(36, 4),
    ),
    64: dict(
        name=(0, 4), type=(4, 4), flags=(8, 8), addr=(16, 8), offset=(24, 8), size=(32, 8), link=(40, 4),
        info=(44, 4), addralign=(48, 8), entsize=(56, 8),
    ),
}  # fmt: skip
SYM = {
    32: dict(name=(0, 4), value=(4, 4), size=(8, 4), info=(12, 1), other=(13, 1), shndx=(14, 2)),
    64: dict(name=(0, 4), info=(4, 1), other=(5, 1), shndx=(6, 2), value=(8, 8), size=(16, 8)),
}
REL = {32: dict(offset=(0, 4), info=(4, 4), addend=(8, 4)), 64: dict(offset=(0, 8), info=(8, 8), addend=(16, 8))}
SIZE = {"shdr": {32: 40, 64: 64}, "sym": {32: 16, 64: 24}, "rel": {32: 8, 64: 16}, "rela": {32: 12, 64: 24}}
SYMTAB, RELA, REL_TYPE = 2, 4, 9


class Elf:
    """A well-formed ELF file that is being spoilt. Places are (byte offset, width), taken from the file as it was."""

    def __init__(self, data: bytes) -> None:
        self.original = data
        self.data = bytearray(data)
        self.bits = 32 * data[4]

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    def get(self, place: tuple[int, int]) -> int:
        return int.from_bytes(self.original[place[0] : sum(place)], "little")

    def put(self, place: tuple[int, int], value: int) -> None:
        """Write ``value``, cut to the width of the field."""
        at, width = place
        self.data[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")

    def ehdr(self, field: str) -> tuple[int, int]:
        return EHDR[self.bits][field]

    def shdr(self, section: int | str, field: str) -> tuple[int, int]:
        index = section if isinstance(section, int) else self.index(section)
        at, width = SHDR[self.bits][field]
        return self.get(self.ehdr("shoff")) + index * SIZE["shdr"][self.bits] + at, width

    def sym(self, n: int, field: str) -> tuple[int, int]:
        at, width = SYM[self.bits][field]
        return self._entry(self.of_type(SYMTAB)[0], n, SIZE["sym"][self.bits]) + at, width

    def rel(self, table: int, n: int, field: str) -> tuple[int, int]:
        kind = "rela" if self.get(self.shdr(table, "type")) == RELA else "rel"
        at, width = REL[self.bits][field]
        return self._entry(table, n, SIZE[kind][self.bits]) + at, width

    def _entry(self, section: int, n: int, size: int) -> int:
        count = self.get(self.shdr(section, "size")) // size
        return self.get(self.shdr(section, "offset")) + n % count * size

    @property
    def sections(self) -> range:
        return range(self.get(self.ehdr("shnum")))

    @property
    def reloc_tables(self) -> list[int]:
        return self.of_type(REL_TYPE) + self.of_type(RELA)

    def of_type(self, kind: int) -> list[int]:
        return [i for i in self.sections if self.get(self.shdr(i, "type")) == kind]

    def name(self, section: int) -> str:
        names = self.get(self.shdr(self.get(self.ehdr("shstrndx")), "offset"))
        at = names + self.get(self.shdr(section, "name"))
        return self.original[at : self.original.index(0, at)].decode()

    def index(self, name: str) -> int:
        return next(i for i in self.sections if self.name(i) == name)

    def fields(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Every field of the file header, the section headers, the first symbols and relocations."""
        yield from ((f"ehdr {field}", place) for field, place in EHDR[self.bits].items())
        for i in self.sections:
            yield from ((f"shdr {self.name(i) or i} {field}", self.shdr(i, field)) for field in SHDR[self.bits])
        for n in range(8):
            yield from ((f"sym {n} {field}", self.sym(n, field)) for field in SYM[self.bits])
        for table in self.reloc_tables:
            if self.get(self.shdr(table, "size")):
                rela = self.get(self.shdr(table, "type")) == RELA
                fields = ["offset", "info", *(["addend"] if rela else [])]
                yield from ((f"rel {self.name(table)} {f}", self.rel(table, 0, f)) for f in fields)


def tiny(*, bits: int = 32, machine: int = 40, kind: int = 1, order: str = "<") -> bytes:
    """The smallest object with a section name table and nothing else; ``order`` is ``<`` or ``>``."""
    wide = "Q" if bits == 64 else "I"
    names = b"\0.shstrtab\0\0"
    start = 64 if bits == 64 else 52
    shdr = struct.Struct(f"{order}II{wide * 4}II{wide * 2}")
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    header = struct.pack(
        f"{order}HHI{wide * 3}IHHHHHH", kind, machine, 1, 0, 0, start + len(names), 0, start, 0, 0, shdr.size, 2, 1
    )
    headers = bytes(shdr.size) + shdr.pack(1, 3, 0, 0, start, len(names), 0, 0, 1, 0)
    return ident + header + names + headers


def widen(data: bytes) -> bytes:
    """An ELF32 RISC-V object as an ELF64 one: the same sections in the same order, all tables with wide entries."""
    old = Elf(data)
    count = len(old.sections)
    blobs: list[bytes] = []
    for i in old.sections:
        kind, start, size = (old.get(old.shdr(i, field)) for field in ("type", "offset", "size"))
        body = b"" if kind == 8 else data[start : start + size]
        if kind == SYMTAB:
            fields = struct.iter_unpack("<IIIBBH", body)
            body = b"".join(struct.pack("<IBBHQQ", n, i_, o, x, v, s) for n, v, s, i_, o, x in fields)
        elif kind == RELA:
            rela = struct.iter_unpack("<IIi", body)
            body = b"".join(struct.pack("<QQq", at, info >> 8 << 32 | info & 0xFF, a) for at, info, a in rela)
        blobs.append(body)
    out = bytearray(64)
    headers = b""
    wide = {SYMTAB: 24, RELA: 24}
    for i, body in zip(old.sections, blobs, strict=True):
        h = {field: old.get(old.shdr(i, field)) for field in SHDR[32]}
        align = max(h["addralign"], 1)
        out += bytes(-len(out) % (8 if h["type"] in wide else align))
        size = h["size"] if h["type"] == 8 else len(body)
        headers += struct.pack(
            "<IIQQQQIIQQ", h["name"], h["type"], h["flags"], h["addr"], len(out) if i else 0, size,
            h["link"], h["info"], h["addralign"], wide.get(h["type"], h["entsize"]),
        )  # fmt: skip
        out += body
    out += bytes(-len(out) % 8)
    out[:64] = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
            "<HHIQQQIHHHHHH", 1, old.get(old.ehdr("machine")), 1, 0, 0, len(out), old.get(old.ehdr("flags")),
            64, 0, 0, 64, count, old.get(old.ehdr("shstrndx")),
        )
    )  # fmt: skip
    return bytes(out) + headers


def edit(lines: Iterable[str], file: Path) -> None:
    """Carry out ``shdr .data addralign = 3`` and ``ehdr machine = 3``; ``+=`` adds."""
    elf = Elf(file.read_bytes())
    for line in lines:
        target, operator, value = line.rsplit(maxsplit=2)
        what, *where = target.split()
        place = elf.ehdr(*where) if what == "ehdr" else elf.shdr(*where)
        elf.put(place, int(value, 0) + (elf.get(place) if operator == "+=" else 0))
    file.write_bytes(bytes(elf))

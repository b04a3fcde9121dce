"""The loader's rows, applied to the objects that the loader loaded, give the loader's bytes.

Oracle: Zephyr's own loader code, which left these bytes and these addresses (``tests/conformance``). An object is read
here with a few dtypes, so that nothing but the rows is put to the test.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from arch.one_by_one import carry_out
from conformance.cases import Load, Region, loads
from llext_tools.arch import load as load_arch
from llext_tools.arch.base import Arch
from llext_tools.reloc import Bytes

KEYS = ("name", "type", "flags", "addr", "offset", "size", "link", "info", "addralign", "entsize")
SECTION = np.dtype([(key, "<u4") for key in KEYS])
SYMBOL = np.dtype([("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "<u2"), ("shndx", "<u2")])
REL = np.dtype([("offset", "<u4"), ("info", "<u4")])
RELA = np.dtype([*REL.descr, ("addend", "<i4")])
ET_DYN, ALLOC = 3, 2
SYMTAB, DYNSYM, SHT_RELA, SHT_REL = 2, 11, 4, 9

ARM_RELATIVE, RISCV_PCREL_HI20, RISCV_PCREL_LO12 = 23, 23, (24, 25)
HEAP, BUFFER = 0x2000_0000, 0x3000_0000
STUB = {"arm_veneers_v6m": 16}  # bytes of a veneer, where branches have them

LOADED = [load for load in loads() if load.rc == "0"]
RELOCATED = [load for load in LOADED if load.case.options.get("relocate_local", 1)]


class Entry(NamedTuple):
    code: int
    offset: int
    symbol: int
    addend: int


class Elf:
    """A 32-bit file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.dynamic = data[16] == ET_DYN
        shoff, shnum = int.from_bytes(data[32:36], "little"), int.from_bytes(data[48:50], "little")
        self.sections = np.frombuffer(data, SECTION, shnum, shoff)
        self.symtab = self.sections[self.sections["type"] == (DYNSYM if self.dynamic else SYMTAB)][-1]
        self.symbols = self.table(self.symtab, SYMBOL)

    def table(self, section: Any, dtype: np.dtype[Any]) -> Any:
        return np.frombuffer(self.data, dtype, section["size"] // dtype.itemsize, section["offset"])

    def name(self, symbol: Any) -> str:
        start = int(self.sections[self.symtab["link"]]["offset"]) + int(symbol["name"])
        return self.data[start : self.data.index(0, start)].decode()

    def base(self, section: int) -> int:
        """The address that the section's offsets and values count from in this file."""
        return int(self.sections[section]["addr"]) if self.dynamic else 0

    def relocations(self) -> Iterator[tuple[int, list[Entry]]]:
        """Section and entries of each table that the loader looks at. A REL entry keeps the addend read before it."""
        addend = 0
        for section in self.sections[np.isin(self.sections["type"], [SHT_REL, SHT_RELA])]:
            target = int(section["info"])
            if self.dynamic or self.sections[target]["flags"] & ALLOC:
                entries = []
                for raw in self.table(section, REL if section["type"] == SHT_REL else RELA).tolist():
                    offset, info, addend = (*raw, addend)[:3]
                    entries.append(Entry(info & 0xFF, offset, info >> 8, addend))
                yield target, entries


class Loaded:
    """An object in the memory that the loader had for it."""

    def __init__(self, load: Load) -> None:
        self.elf, self.load = Elf(load.object), load
        self.arch: Arch = load_arch(load.case.arch)
        self.stubs: dict[int, int] = {}
        heap = max([r.base + r.size - HEAP for r in load.regions if r.base < BUFFER], default=0)
        self.memory = {
            HEAP: np.full(heap, 0xA5, np.uint8),
            BUFFER + load.case.options.get("bufofs", 0): np.frombuffer(load.object, np.uint8).copy(),
        }
        for region in load.regions:
            if region.base < BUFFER:
                self.copy(region)

    def copy(self, region: Region) -> None:
        """Into the heap. What is beyond the end of the file is not written."""
        in_file = np.frombuffer(self.load.object, np.uint8)[region.file_offset :][: region.size]
        contents = np.zeros(region.size, np.uint8) if region.name in ("BSS", "VENEER") else in_file.copy()
        contents[: region.prepad] = 0
        self.at(region.base)[: contents.size] = contents

    def at(self, address: int) -> Bytes:
        """Memory from there on."""
        start = max(start for start in self.memory if start <= address)
        return self.memory[start][address - start :]

    def mapped(self, vma: int) -> int:
        """Where a linker's address has gone."""
        for i, (*_, address) in self.load.sections.items():
            into = vma - self.elf.base(i)
            if self.elf.sections[i]["flags"] & ALLOC and 0 <= into < self.elf.sections[i]["size"]:
                return address + into
        raise LookupError(hex(vma))

    def symbol(self, index: int) -> int:
        symbol = self.elf.symbols[index]
        section, value = int(symbol["shndx"]), int(symbol["value"])
        if section in self.load.sections:
            return self.load.sections[section][2] + value - self.elf.base(section)
        return self.load.host[self.elf.name(symbol)] if index and not section else value

    def relocate(self) -> None:
        for target, entries in self.elf.relocations():
            for entry in entries:
                P = self.mapped(entry.offset) if self.elf.dynamic else self.load.sections[target][2] + entry.offset
                S = self.symbol(entry.symbol)
                if self.arch.rela and entry.code in RISCV_PCREL_LO12:
                    S = self.high_part(target, entries, int(self.elf.symbols[entry.symbol]["value"]))
                elif not self.arch.rela and entry.code == ARM_RELATIVE:
                    word = int(self.at(P)[:4].view("<u4")[0])
                    S = self.mapped(word) if word else 0
                if self.refused(entry, S, P):
                    assert self.load.case.variant in STUB, f"{entry} at {P:08x}"
                    assert not self.refused(entry, self.stub(S), P)

    def high_part(self, section: int, entries: list[Entry], offset: int) -> int:
        """The value of the HI20 at an offset of the section of its LO12."""
        hi20 = next(entry for entry in entries if (entry.code, entry.offset) == (RISCV_PCREL_HI20, offset))
        return self.symbol(hi20.symbol) + hi20.addend - self.load.sections[section][2] - offset

    def stub(self, S: int) -> int:
        """The veneer of a symbol; the first that needs one gets the first."""
        region = next(region for region in self.load.regions if region.name == "VENEER")
        return self.stubs.setdefault(S, region.base + len(self.stubs) * STUB[self.load.case.variant])

    def refused(self, entry: Entry, S: int, P: int) -> bool:
        letters = {"S": S, "P": P, **({"A": entry.addend} if self.arch.rela else {})}
        arrays = {letter: np.array([x], np.int64) for letter, x in letters.items()}
        row, rela = self.arch.loader_relocs[32][entry.code], self.arch.rela
        return bool(carry_out(self.at(P), row, np.zeros(1, np.int64), rela=rela, **arrays)[0])


@pytest.mark.parametrize("load", LOADED, ids=lambda load: load.id)
def test_rows_give_the_loaders_bytes(load: Load) -> None:
    ours = Loaded(load)
    if load in RELOCATED:
        ours.relocate()
    for region in load.regions:
        if region.name == "VENEER":  # the stubs are the loader's, not a row's
            continue
        got = ours.at(region.base)[: region.size].tobytes()
        if region.contents is None:
            assert hashlib.sha256(got).hexdigest() == region.sha256, region.name
        else:
            assert got.hex(" ", 4) == region.contents.ljust(region.size, b"\xa5").hex(" ", 4), region.name


TOO_FAR = re.compile(r"E: sym '(\S+)': relocation out of range \((0x\w+) -> (0x\w+)\)")
TOO_MANY_BYTES = re.compile(r"E: (-?\d+) byte relocation is not possible for type (\d+) \(max (\d+)\)")
NOT_KNOWN = re.compile(r"E: (?:unknown relocation: |Unsupported relocation type: )(\d+)")


def said(pattern: re.Pattern[str]) -> list[Any]:
    """The lines of the loader's logs that match, each with its load."""
    found = [(load, match) for load in loads() for line in load.log if (match := pattern.match(line))]
    return [pytest.param(load, match, id=f"{load.id}-{i}") for i, (load, match) in enumerate(found)]


@pytest.mark.parametrize(("load", "match"), said(TOO_FAR))
def test_rows_refuse_the_distances_that_the_loader_refused(load: Load, match: re.Match[str]) -> None:
    """The log has P and S, the object the addends."""
    elf, rows = Elf(load.object), load_arch(load.case.arch).loader_relocs[32]
    entries = [(target, entry) for target, table in elf.relocations() for entry in table]
    named = [(t, e) for t, e in entries if rows[e.code].check and elf.name(elf.symbols[e.symbol]) == match[1]]
    assert named
    for target, entry in named:
        place = int(elf.sections[target]["offset"]) + entry.offset
        image = np.frombuffer(load.object, np.uint8)[place : place + 4].copy()
        P, S = (np.array([int(match[i], 0)]) for i in (2, 3))
        assert carry_out(image, rows[entry.code], np.zeros(1, np.int64), rela=False, S=S, P=P)[0]
        assert image.tobytes() == load.object[place : place + 4]


@pytest.mark.parametrize(("load", "match"), said(TOO_MANY_BYTES))
def test_rows_have_the_limits_that_the_loader_named(load: Load, match: re.Match[str]) -> None:
    """The log has the distance and the largest one in that direction."""
    distance, limit = int(match[1]), int(match[3])
    check = load_arch(load.case.arch).loader_relocs[32][int(match[2])].check
    assert check
    beyond = [distance, limit + 1] if distance > 0 else [distance, -limit - 1]
    assert check.misfits(np.array(beyond)).all()
    assert not check.misfits(np.array([limit if distance > 0 else -limit])).any()


@pytest.mark.parametrize(("load", "match"), said(NOT_KNOWN))
def test_types_that_the_loader_did_not_know_have_no_row(load: Load, match: re.Match[str]) -> None:
    assert int(match[1]) not in load_arch(load.case.arch).loader_relocs[32]


def test_align_has_no_row() -> None:
    assert any(line.startswith("E: Alignment relocation is currently not") for load in loads() for line in load.log)
    assert all(43 not in table for table in load_arch("riscv").loader_relocs.values())

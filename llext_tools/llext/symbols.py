"""The symbol tables of an extension: its global functions and objects, and what it exports.

Source: Zephyr, ``llext_load.c``, ``llext_count_export_syms()``, ``llext_copy_symbols()``; ``llext_export.c``;
``lib/libc/minimal/source/stdlib/qsort.c`` for the sorting, whose order of equal names matters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64, Bytes
from llext_tools.llext.ext import Llext, LoadParam, Symbol
from llext_tools.llext.log import Level, Log
from llext_tools.llext.outcome import Undefined
from llext_tools.llext.source import POINTER, SYM_SIZE, Source, fail
from llext_tools.llext.tables import Header
from llext_tools.mem import Mem
from llext_tools.profile import Profile
from llext_tools.reloc import NONE


class SymbolData(NamedTuple):
    """The symbol table as arrays of n, and the bytes of its names."""

    name_at: I64
    value: I64
    size: I64
    shndx: I64
    bind: Bytes
    type: Bytes
    strtab: bytes

    def name(self, i: int) -> bytes:
        return self.strtab[int(self.name_at[i]) :].split(b"\0", 1)[0]


def read_symbols(source: Source, header: Header, ext: Llext, profile: Profile) -> SymbolData:
    """The table as the loader reads it. Names in range are checked here.

    Raises:
        Refusal: ``elf-symbols``, a name out of range.
    """
    region, strings = ext.regions[Mem.SYMTAB], ext.regions[Mem.STRTAB]
    entry = SYM_SIZE[header.bits]
    raw = source.table(region.offset, region.size // entry * entry, entry)  # prepad and all
    y = np.frombuffer(raw, elf.SYM_OF[header.bits])
    size = strings.size
    strtab = source.space.strings(ext.mem[Mem.STRTAB], size) if Mem.STRTAB in ext.mem else b""
    beyond = np.flatnonzero(y["name"][1:] >= size)
    if beyond.size and not profile.bounds_checks:
        raise Undefined(f"the name of symbol {int(beyond[0]) + 1} is read outside the string table")
    if beyond.size:
        i = int(beyond[0]) + 1
        text = f"the name of symbol {i} is at {y['name'][i]:,}, but the string table has {size:,} bytes"
        said = f"the name of symbol {i} is at {y['name'][i]}, outside the string table"
        raise fail("ENOEXEC", "elf-symbols", text, source.at, said=said)
    info = y["info"]
    return SymbolData(
        name_at=y["name"].astype(np.int64),
        value=y["value"].astype(np.int64),
        size=y["size"].astype(np.int64),
        shndx=y["shndx"].astype(np.int64),
        bind=(info >> 4).astype(np.uint8),
        type=(info & 15).astype(np.uint8),
        strtab=strtab,
    )


def globals_of(y: SymbolData) -> tuple[I64, int]:
    """The defined global functions and objects (indices), and how many there are with the undefined ones."""
    wanted = ((y.type == elf.STT_FUNC) | (y.type == elf.STT_OBJECT)) & (y.bind == elf.STB_GLOBAL)
    if not wanted.size:
        return NONE, 0
    wanted[0] = False
    found = np.flatnonzero(wanted)
    return found[y.shndx[found] != elf.SHN_UNDEF], found.size


def say_symbols(y: SymbolData, log: Log) -> None:
    """Log each symbol, whether it is counted or not."""
    log(Level.DBG, "{} symbols", y.value.size)
    columns = (column.tolist() for column in (y.type, y.bind, y.shndx))
    for i, (kind, bind, shndx) in enumerate(zip(*columns, strict=True)):
        if i:
            counted = kind in (elf.STT_FUNC, elf.STT_OBJECT) and bind == elf.STB_GLOBAL
            text = "symbol {}: {}, type {}, bind {}, section {}, " + ("counted" if counted else "not counted")
            log(Level.DBG, text, i, _text(y.name(i)) or "-", kind, bind, shndx)


def symbol_table(
    source: Source, header: Header, ext: Llext, y: SymbolData, bases: I64, param: LoadParam, profile: Profile, log: Log
) -> tuple[Symbol, ...]:
    """``sym_tab``: sorted, with an entry without a name for each undefined function or object that was counted.

    Raises:
        Refusal: ``elf-symbols`` for a section that is not there, ``symbol-nowhere`` for one without memory.
        Undefined: sorting compares an entry without a name.
    """
    found, count = globals_of(y)
    shndx = y.shndx[found]
    absolute = (shndx == elf.SHN_ABS) & profile.accepts_reserved
    shndx = np.where(absolute, 0, shndx)  # section 0 is at address 0
    astray = np.flatnonzero(shndx >= len(header.sections))
    nowhere = np.flatnonzero((bases[np.minimum(shndx, len(header.sections) - 1)] == 0) & ~absolute)
    word = (1 << header.bits) - 1
    bases = bases.copy()
    for i in nowhere.tolist():
        if astray.size and i >= astray[0]:
            break
        home = int(shndx[i])
        peeked = source.peek(header.sections[home].offset)
        if peeked is None and not param.pre_located:
            name = y.name(int(found[i])).decode(errors="replace")
            text = f"`{name}` is in section `{ext.section_names[home]}`, which is not loaded and not in memory either"
            said = f"section {home} is nowhere in memory"
            raise fail("ENOTSUP", "symbol-nowhere", text, source.at, said=said)
        bases[home] = peeked or 0
        log(Level.DBG, "section {} is in the ELF buffer, at {:#x}", home, peeked or 0)
    if astray.size and not profile.bounds_checks:
        raise Undefined("a section header is read behind the last one")
    if astray.size:
        i = int(found[astray[0]])
        text = f"`{y.name(i).decode(errors='replace')}` is in section {int(y.shndx[i]):,}, which is not there"
        code = {elf.SHN_ABS: "symbol-absolute", elf.SHN_COMMON: "symbol-common"}.get(int(y.shndx[i]), "elf-symbols")
        said = f"symbol {i} is in section {int(y.shndx[i])}, which is not there"
        raise fail("ENOEXEC", code, text, source.at, said=said)
    addr = np.array([x.addr for x in header.sections], np.uint64).astype(np.int64)
    if param.pre_located:
        address = y.value[found] + (0 if header.dyn else addr[shndx])
        loose = np.array([_detached(header, param, i) for i in range(len(header.sections))])[shndx]
        address = np.where(loose, bases[shndx] + y.value[found], address)
    else:
        address = bases[shndx] + y.value[found] - (addr[shndx] if header.dyn else 0)
    entries = [(y.name(i), a & word) for i, a in zip(found.tolist(), address.tolist(), strict=True)]
    for j, entry in enumerate(entries) if log.dbg else ():
        log(Level.DBG, "global symbol {}: {} at {:#x}", j, _text(entry[0]), entry[1])
    padded: list[tuple[bytes | None, int]] = [*entries, *[(None, 0)] * (count - len(entries))]
    ordered = sort(padded, "the symbol table has an entry without a name") if profile.sorts_tables else padded
    return tuple(Symbol(_text(name), at) for name, at in ordered)


def _detached(header: Header, param: LoadParam, i: int) -> bool:
    return param.section_detached is not None and bool(param.section_detached(header.sections[i]))


def export_table(source: Source, header: Header, ext: Llext, param: LoadParam, profile: Profile) -> tuple[Symbol, ...]:
    """``exp_tab`` from the EXPORT region: pairs of pointers, name and address.

    The names of a pre-located extension are at addresses of the file, and are read in its buffer.
    """
    pointer = POINTER[header.bits]
    size = ext.regions[Mem.EXPORT].size if Mem.EXPORT in ext.regions else 0
    count = size // (2 * pointer)
    if not count:
        return ()
    raw = source.space.view(ext.mem[Mem.EXPORT], count * 2 * pointer).tobytes()
    pairs = np.frombuffer(raw, f"<u{pointer}").reshape(-1, 2).tolist()
    if param.pre_located:
        pairs = [[_in_buffer(source, ext, name), address] for name, address in pairs]
    entries = [(source.space.string(name) if name else None, address) for name, address in pairs]
    nameless = "the export table has an entry whose name is no string"
    ordered = sort(entries, nameless) if profile.sorts_tables else entries
    return tuple(Symbol(_text(name), at) for name, at in ordered)


def _in_buffer(source: Source, ext: Llext, address: int) -> int:
    """Where the byte of an address of the file is: ``llext_file_offset()`` and ``peek``, or the address itself."""
    homes = (region for _, region in sorted(ext.regions.items()) if 0 <= address - region.addr < region.size)
    home = next(homes, None)
    offset = address - home.addr + home.offset if home else 0
    return (source.peek(offset) if offset > 0 else None) or address


def sort(entries: list[tuple[bytes | None, int]], nameless: str) -> list[tuple[bytes | None, int]]:
    """By name, as ``strcmp()`` orders them.

    Raises:
        Undefined: an entry has no name and there is another one to compare it with.
    """
    names = [name for name, _ in entries]
    if len(entries) > 1 and None in names:
        raise Undefined(f"{nameless}: comparing it reads address 0")
    if len(set(names)) == len(names):
        return sorted(entries, key=lambda entry: entry[0] or b"")
    return _heap_sorted(entries)


def _heap_sorted(entries: list[tuple[bytes | None, int]]) -> list[tuple[bytes | None, int]]:
    """A heap sort: of equal names the order is not that of the table."""
    a = list(entries)

    def sift(root: int, last: int) -> None:
        while (child := 2 * root + 1) <= last:
            if child < last and _name(a[child]) < _name(a[child + 1]):
                child += 1
            if not _name(a[root]) < _name(a[child]):
                return
            a[root], a[child] = a[child], a[root]
            root = child

    for root in range(len(a) // 2 - 1, -1, -1):
        sift(root, len(a) - 1)
    for last in range(len(a) - 1, 0, -1):
        a[0], a[last] = a[last], a[0]
        sift(0, last - 1)
    return a


def _name(entry: tuple[bytes | None, int]) -> bytes:
    return entry[0] or b""


def _text(name: bytes | None) -> str | None:
    """A name as text; bytes that are not UTF-8 count as Latin-1."""
    if name is None:
        return None
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def bases_of(header: Header, ext: Llext) -> I64:
    """The address of each section, int64[k], as the loader computes it: 0 where it has none."""
    bases = np.zeros(len(header.sections), np.int64)
    word = (1 << header.bits) - 1
    for i, (mem, offset) in ext.sections.items():
        bases[i] = ext.mem.get(mem, 0) + offset & word
    return bases

"""Reading an ELF file into arrays, with every index and offset checked against the file.

The tables are numpy views of the file, so that a million relocations cost milliseconds; pyelftools, which makes an
object of each entry, reads DWARF and build attributes elsewhere. What is wrong is reported per table, not per entry:
the first three places and a count. Little-endian files of class 32 and 64 of any type are read; which of them can be
an extension is ``link.validate``'s business.
Source: gABI 4.1, chapter 4 "Object Files".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llext_tools.diag import Location, Reporter, fail
from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64, Bytes, ElfObject, Relocs, Sections, Symbols, freeze, string_at
from llext_tools.files import read_bytes

LARGEST = 1 << 30
"""No section of an extension is larger: 1 GiB is beyond any microcontroller, and keeps sums of sizes in int64."""


def load_object(path: str) -> ElfObject:
    """Read the ELF file at ``path``.

    Raises:
        FormatError: ``file-unreadable``, or as ``read_object()``.
    """
    return read_object(read_bytes(path), path)


def read_object(data: bytes, path: str) -> ElfObject:
    """Read ELF ``data``; ``path`` names it in messages.

    Raises:
        FormatError: ``elf-magic``, ``elf-header``, ``elf-truncated``, ``elf-sections`` or ``elf-symbols``.
    """
    bits, header = _read_header(data, path)
    reporter = Reporter()
    sections = _read_sections(data, path, bits, header, reporter)
    reporter.checkpoint()
    symbols = _read_symbols(data, path, bits, int(header["type"]), sections, reporter)
    reporter.checkpoint()
    return ElfObject(
        path=path,
        bits=bits,
        type=int(header["type"]),
        machine=int(header["machine"]),
        flags=int(header["flags"]),
        entry=int(header["entry"]),
        sections=sections,
        symbols=symbols,
        image=np.frombuffer(data, np.uint8),
    )


def reloc_tables(obj: ElfObject) -> I64:
    """Indices of the relocation sections, in file order."""
    return np.flatnonzero((obj.sections.type == elf.SHT_REL) | (obj.sections.type == elf.SHT_RELA))


def read_relocs(obj: ElfObject, targets: NDArray[np.bool_], reporter: Reporter) -> Relocs:
    """All relocations of the sections for which ``targets`` (bool[k]) is true, one table after the other.

    A table that is not well-formed is reported as ``elf-relocations`` and left out.
    """
    s = obj.sections
    tables: list[tuple[int, int, NDArray[np.void]]] = []
    shift = elf.R_SYM_SHIFT[obj.bits]
    for table in reloc_tables(obj).tolist():
        target = int(s.info[table])
        where = Location(file=obj.path, section=s.name[table])
        if target >= len(s):
            reporter.error(
                "elf-relocations", f"relocates section {target}, but there are only {len(s)}", at=where, help=REBUILD
            )
        if target >= len(s) or not targets[target] or s.size[table] == 0:
            continue
        dtype = (elf.RELA_OF if s.type[table] == elf.SHT_RELA else elf.REL_OF)[obj.bits]
        if s.entsize[table] != dtype.itemsize or s.size[table] % dtype.itemsize:
            _entries_error(reporter, "elf-relocations", where, int(s.size[table]), int(s.entsize[table]), dtype)
            continue
        if s.link[table] != obj.symbols.section:
            at = f"symbol table in section {s.link[table]}"
            reporter.error("elf-relocations", f"refers to a {at}, not {obj.symbols.section}", at=where, help=REBUILD)
            continue
        entries = obj.contents(table).view(dtype)
        offset, info = entries["offset"], entries["info"]
        if offset.max() >= s.size[target] or info.max() >> shift >= len(obj.symbols):
            beyond, symbol = offset >= s.size[target], info >> shift
            outside = f"relocations lie outside `{s.name[target]}`, at offset"
            dangling = "relocations name symbols beyond the table"
            _report_entries(reporter, "elf-relocations", where, beyond, offset, outside)
            _report_entries(reporter, "elf-relocations", where, symbol >= len(obj.symbols), symbol, dangling)
            continue
        tables.append((table, target, entries))
    count = sum(entries.size for _, _, entries in tables)
    relocs = Relocs(
        section=np.empty(count, np.uint16),
        table=np.empty(count, np.uint16),
        offset=np.empty(count, np.int64),
        symbol=np.empty(count, np.int32),
        type=np.empty(count, np.uint8) if obj.bits == 32 else np.empty(count, np.uint32),
        addend=np.zeros(count, np.int64),
    )
    start = 0
    for table, target, entries in tables:
        part = slice(start, start + entries.size)
        relocs.section[part], relocs.table[part] = target, table
        relocs.offset[part] = entries["offset"]
        relocs.symbol[part] = entries["info"] >> shift
        relocs.type[part] = entries["info"] & (1 << shift) - 1
        if s.type[table] == elf.SHT_RELA:
            relocs.addend[part] = entries["addend"]
        start += entries.size
    freeze(relocs)
    return relocs


def _read_header(data: bytes, path: str) -> tuple[int, np.void]:
    at = Location(file=path)
    if data[:4] != elf.ELFMAG:
        fail("elf-magic", "the file is empty" if not data else "this is not an ELF file", at=at, help=OBJECT)
    if len(data) < 16:
        fail("elf-truncated", f"the file ends after {len(data)} bytes, inside the ELF header", at=at, help=CUT)
    if data[5] != elf.ELFDATA2LSB:
        kind = "big-endian" if data[5] == 2 else f"of unknown byte order {data[5]}"
        fail("elf-header", f"the object is {kind}; the supported targets are little-endian", at=at, help=LITTLE)
    if data[4] not in elf.ELFCLASS:
        fail("elf-header", f"ELF class {data[4]} is neither 32-bit nor 64-bit", at=at, help=REBUILD)
    bits = elf.ELFCLASS[data[4]]
    if len(data) < elf.EHDR_OF[bits].itemsize:
        fail("elf-truncated", f"the file ends after {len(data)} bytes, inside the ELF header", at=at, help=CUT)
    return bits, np.frombuffer(data, elf.EHDR_OF[bits], 1)[0]


def _read_sections(data: bytes, path: str, bits: int, header: np.void, reporter: Reporter) -> Sections:
    at = Location(file=path)
    dtype, count, start = elf.SHDR_OF[bits], int(header["shnum"]), int(header["shoff"])
    if count == 0:
        fail("elf-sections", "the file has no section headers", at=at, help=REBUILD)
    if header["shentsize"] != dtype.itemsize:
        sizes = f"{header['shentsize']} bytes, not the {dtype.itemsize} of a {bits}-bit ELF"
        fail("elf-sections", f"section headers are declared to have {sizes}", at=at, help=REBUILD)
    if start + count * dtype.itemsize > len(data):
        where = f"bytes {start:,} to {start + count * dtype.itemsize:,}"
        fail(
            "elf-truncated", f"the section headers lie in {where}, but the file ends at {len(data):,}", at=at, help=CUT
        )
    table = np.frombuffer(data, dtype, count, start)
    file_size = np.uint64(len(data))
    in_file = (table["type"] != elf.SHT_NOBITS) & (table["type"] != elf.SHT_NULL)
    beyond = (table["offset"] > file_size) | (table["size"].astype(np.uint64) > file_size - table["offset"])
    _report_entries(reporter, "elf-truncated", at, in_file & beyond, None, "sections lie beyond the end of the file")
    huge = ~in_file & (table["type"] == elf.SHT_NOBITS) & (table["size"] > LARGEST)
    _report_entries(reporter, "elf-sections", at, huge, None, f"sections have more than {LARGEST:,} bytes")
    wide = table["addralign"] > LARGEST
    too_wide = f"sections are aligned to more than {LARGEST:,} bytes"
    _report_entries(reporter, "elf-sections", at, wide, None, too_wide)
    reporter.checkpoint()
    fields = {
        name: table[name].astype(np.int64)  # addresses of 2**63 and more wrap, and wrap back when they are used
        for name in ("type", "flags", "addr", "offset", "size", "link", "info", "addralign", "entsize")
    }
    unused = fields["type"] == elf.SHT_NULL  # gABI: the other members of such a header have undefined values
    fields["size"][unused] = fields["offset"][unused] = 0
    names = _section_names(data, path, int(header["shstrndx"]), table["name"], fields)
    return Sections(name=names, **fields)


def _section_names(
    data: bytes, path: str, index: int, name: NDArray[np.uint32], fields: dict[str, I64]
) -> tuple[str, ...]:
    at = Location(file=path)
    if index >= name.size or fields["type"][index] != elf.SHT_STRTAB:
        fail(
            "elf-sections",
            f"section {index}, declared to hold the section names, is not a string table",
            at=at,
            help=REBUILD,
        )
    strings = _strings(data, fields["offset"][index], fields["size"][index])
    if not strings or strings[-1] or (name >= len(strings)).any():
        fail("elf-sections", "a section's name lies outside the table of section names", at=at, help=REBUILD)
    return tuple(string_at(strings, offset) for offset in name.tolist())


def _read_symbols(data: bytes, path: str, bits: int, file_type: int, sections: Sections, reporter: Reporter) -> Symbols:
    wanted = elf.SHT_DYNSYM if file_type == elf.ET_DYN else elf.SHT_SYMTAB
    found = np.flatnonzero(sections.type == wanted)
    if not found.size:
        none = np.zeros(0, np.int64)
        small, nowhere = none.astype(np.uint8), none.astype(np.int32)
        return Symbols(
            section=0, name_at=none, value=none, size=none, bind=small, type=small, shndx=nowhere, strtab=b"\0"
        )
    index = int(found[-1])  # as Zephyr: the last one counts
    dtype, where = elf.SYM_OF[bits], Location(file=path, section=sections.name[index])
    size, entsize, link = int(sections.size[index]), int(sections.entsize[index]), int(sections.link[index])
    if entsize != dtype.itemsize or size % dtype.itemsize:
        _entries_error(reporter, "elf-symbols", where, size, entsize, dtype)
    if link >= len(sections) or sections.type[link] != elf.SHT_STRTAB:
        reporter.error(
            "elf-symbols", f"section {link}, declared to hold the names, is not a string table", at=where, help=REBUILD
        )
    reporter.checkpoint()
    table = np.frombuffer(data, dtype, size // dtype.itemsize, int(sections.offset[index]))
    strtab = _strings(data, sections.offset[link], sections.size[link])
    unnamed = table["name"] >= len(strtab)
    if not strtab or strtab[-1]:
        reporter.error(
            "elf-symbols", f"the string table `{sections.name[link]}` does not end with a NUL", at=where, help=REBUILD
        )
    nameless = "symbols have names beyond the string table, at offset"
    _report_entries(reporter, "elf-symbols", where, unnamed, table["name"], nameless)
    shndx = table["shndx"]
    astray = (shndx >= len(sections)) & (shndx != elf.SHN_ABS) & (shndx != elf.SHN_COMMON)
    _report_entries(reporter, "elf-symbols", where, astray, shndx, "symbols name sections that are not there")
    reporter.checkpoint()
    info = table["info"]
    return Symbols(
        section=index,
        name_at=table["name"].astype(np.int64),
        value=table["value"].astype(np.int64),
        size=table["size"].astype(np.int64),
        bind=(info >> 4).astype(np.uint8),
        type=(info & 15).astype(np.uint8),
        shndx=shndx.astype(np.int32),
        strtab=strtab,
    )


def _strings(data: bytes, offset: np.int64, size: np.int64) -> bytes:
    return data[int(offset) : int(offset + size)]


REBUILD = "build the file again; if it was edited, or copied in pieces, that went wrong"
OBJECT = "give the file that compiler or linker have written: an object, `.o` or `.llext`"
LITTLE = "compile it with `-mlittle-endian`"
CUT = "build or copy the file again: its end is missing"


def _entries_error(
    reporter: Reporter, code: str, at: Location, size: int, entsize: int, dtype: np.dtype[np.void]
) -> None:
    sizes = f"{size:,} bytes in entries of {entsize}"
    reporter.error(code, f"the table has {sizes}, not a multiple of {dtype.itemsize}", at=at, help=REBUILD)


def _report_entries(
    reporter: Reporter,
    code: str,
    at: Location,
    wrong: NDArray[np.bool_],
    values: Bytes | I64 | NDArray[np.uint32] | NDArray[np.uint16] | None,
    what: str,
) -> None:
    """One diagnostic for all wrong entries of a table; ``values`` (default: the indices) illustrate it."""
    found = np.flatnonzero(wrong)
    if not found.size:
        return
    shown = found if values is None else values[found]
    reporter.error(
        code,
        f"{what}: {listed(shown[:3].tolist(), found.size)}",
        at=at,
        help=CUT if code == "elf-truncated" else REBUILD,
    )


def listed(first: Sequence[int], total: int) -> str:
    """``1, 2, 3 and 7 more``."""
    text = ", ".join(f"{x:,}" for x in first)
    return text + (f" and {total - len(first):,} more" if total > len(first) else "")

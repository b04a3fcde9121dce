"""The first passes of a load: header, section headers, and the three tables that every load needs.

Source: Zephyr, ``llext_load.c``, ``llext_load_elf_data()`` and ``llext_find_tables()``; the order of the checks is its.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, NamedTuple

from llext_tools.arch import by_machine
from llext_tools.arch.base import Arch
from llext_tools.diag import Location
from llext_tools.elf import structs as elf
from llext_tools.link.hints import PARTIAL_LINK
from llext_tools.llext.arena import SECT_MAP_ENTRY
from llext_tools.llext.ext import Llext, Region, Section
from llext_tools.llext.log import Level, Log
from llext_tools.llext.outcome import Undefined
from llext_tools.llext.source import EHDR, SHDR, SYM_SIZE, Shdr, Source, fail, no_room
from llext_tools.mem import Mem
from llext_tools.profile import Profile

LONGEST = 4096
"""Bytes of a section's name that are kept: more is no name but memory without a NUL."""


class Header(NamedTuple):
    """What the loader keeps of the ELF header, and all section headers."""

    bits: int
    type: int
    shstrndx: int
    sections: tuple[Shdr, ...]

    @property
    def dyn(self) -> bool:
        return self.type == elf.ET_DYN


class Tables(NamedTuple):
    """The string and symbol tables: their regions, and which sections they are."""

    regions: dict[Mem, Region]
    sections: dict[int, Section]


def read_header(source: Source, arch: Arch, bits: int, profile: Profile, ext: Llext, log: Log) -> Header:
    """The header and the section headers; the section map is allocated on the way, the headers if there is no peek."""
    layout = EHDR[bits]
    data = source.read(0, layout.size).ljust(layout.size, b"\0")
    ident, kind, machine, _, _, _, shoff, _, _, _, _, shentsize, shnum, shstrndx = layout.unpack(data)
    at = source.at
    if not ident.startswith(elf.ELFMAG):
        said = f"not an ELF file, it starts with {ident.hex(' ')}"
        raise fail("ENOEXEC", "elf-magic", "the file does not start like an ELF file", at, said=said)
    if profile.checks_ident:
        if ident[5] != elf.ELFDATA2LSB:
            text = f"the byte order (EI_DATA {ident[5]}) is not that of the firmware"
            raise fail("ENOEXEC", "elf-header", text, at, said=text)
        if elf.ELFCLASS.get(ident[4]) != bits:
            text = f"the class (EI_CLASS {ident[4]}) is not that of a {bits}-bit firmware"
            raise fail("ENOEXEC", "elf-machine", text, at, said=text)
        if machine != arch.machine:
            other = by_machine(machine)
            theirs = f"{other.name} ({machine})" if other else f"machine {machine}"
            text = f"the object is for {theirs}, the firmware for {arch.name} ({arch.machine})"
            raise fail("ENOEXEC", "elf-machine", text, at, said=text)
    if kind not in (elf.ET_REL, elf.ET_DYN):
        text = f"the file is of ELF type {kind}; the loader takes relocatable (1) and shared (3) ones"
        cure = f"{PARTIAL_LINK}: `-r` is among them"
        raise fail("ENOEXEC", "elf-type", text, at, said=f"cannot load a file of ELF type {kind:x}", help=cure)
    log(Level.DBG, "it is a shared object" if kind == elf.ET_DYN else "it is a relocatable object")
    if shentsize != SHDR[bits].size:
        text = f"section headers have {shentsize} bytes in this file, {SHDR[bits].size} on this firmware"
        raise fail("ENOEXEC", "elf-header", text, at, said=text)
    arena = ext.arena
    size = shnum * SECT_MAP_ENTRY[bits]
    ext.info = arena.alloc(arena.heaps.metadata, 1, size, "section map")
    if ext.info is None:
        said = f"no room for the section map, {size} bytes"
        if size:
            raise no_room(arena.heaps.metadata, "the section map", size, at, said=said)
        text = "the file has no section headers, and a section map of 0 bytes cannot be allocated"
        raise fail("ENOMEM", "load-memory", text, at, said=said)
    size = shnum * SHDR[bits].size
    place = source.peek(shoff)
    if place is not None:
        raw = source.space.view(place, size).tobytes()
    else:
        copy = arena.alloc(arena.heaps.metadata, 1, size, "section headers")
        if copy is None:
            said = f"no room for the section headers, {size} bytes"
            raise no_room(arena.heaps.metadata, "the section headers", size, at, said=said)
        ext.header_copy = copy
        raw = source.read(shoff, size)
        raw += b"\xa5" * (size - len(raw))  # what the heap held before
    return Header(bits, kind, shstrndx, tuple(map(Shdr._make, SHDR[bits].iter_unpack(raw))))


def read_names(source: Source, bits: int) -> tuple[tuple[Shdr, ...], tuple[str, ...]]:
    """Section headers and names of a file in memory, as far as they can be read."""
    layout = EHDR[bits]
    data = source.read(0, layout.size).ljust(layout.size, b"\0")
    shoff, shnum, shstrndx = data_of(layout.unpack(data))
    raw = source.read(shoff, shnum * SHDR[bits].size)
    headers = tuple(map(Shdr._make, SHDR[bits].iter_unpack(raw[: len(raw) // SHDR[bits].size * SHDR[bits].size])))
    if shstrndx >= len(headers):
        return headers, ()
    table = source.read(headers[shstrndx].offset, headers[shstrndx].size)
    return headers, tuple(table[x.name :].split(b"\0", 1)[0].decode("utf-8", "backslashreplace") for x in headers)


def data_of(header: tuple[int, ...]) -> tuple[int, int, int]:
    """``e_shoff``, ``e_shnum`` and ``e_shstrndx``."""
    return header[6], header[12], header[13]


def find_section(source: Source, bits: int, name: str) -> int:
    """The offset of a section in a file in memory: ``llext_find_section()``, which only peeks.

    Raises:
        Refusal: ``loader-peek`` where a header cannot be looked at, ``section-unknown``.
        Undefined: a header or a name is where no memory is.
    """

    def look(position: int, layout: Struct) -> tuple[Any, ...]:
        place = source.peek(position)
        if place is None:
            text = f"`{name}` cannot be looked for: the loader does not let anyone peek at byte {position:,}"
            raise fail("ENOTSUP", "loader-peek", text, source.at)
        return layout.unpack(source.space.view(place, layout.size).tobytes())

    header = look(0, EHDR[bits])
    shoff, shnum, shstrndx = data_of(header)
    entry = SHDR[bits]
    names = look(shoff + shstrndx * entry.size, entry)[4] if shstrndx < shnum else 0
    for i in range(shnum):
        x = Shdr._make(look(shoff + i * entry.size, entry))
        place = source.peek(names + x.name)
        if place is None:
            raise Undefined(f"the name of section {i} is read outside the file")
        if source.space.string(place) == name.encode():
            return x.offset
    raise fail("ENOENT", "section-unknown", f"the file has no section `{name}`", source.at)


def find_tables(source: Source, header: Header, profile: Profile, log: Log) -> Tables:
    """The symbol table, its names, and the sections' names."""
    s, at = header.sections, source.at
    found = _in_one_pass(header, log) if profile.strtab_after_symtab else _by_link(header, at, log)
    if Mem.SYMTAB not in found and not profile.strtab_after_symtab:
        log(Level.WRN, "there is no symbol table: has the file been stripped?")
    missing = [mem.name for mem in (Mem.SYMTAB, Mem.STRTAB, Mem.SHSTRTAB) if mem not in found]
    if missing:
        text = f"the file has no table for {', '.join(missing)}"
        cure = "strip with `--strip-unneeded`, which keeps what the loader needs"
        raise fail("ENOEXEC", "elf-symbols", text, at, said=text, help=cure)
    table = s[found[Mem.SYMTAB]]
    entry = SYM_SIZE[header.bits]
    if (table.entsize != entry or table.size % entry) and not profile.bounds_checks:
        raise Undefined(f"the symbol table has entries of {table.entsize} bytes, which are read as {entry}")
    if table.entsize != entry or table.size % entry:
        text = f"the symbol table has {table.size:,} bytes in entries of {table.entsize}, not a multiple of {entry}"
        raise fail("ENOEXEC", "elf-symbols", text, at, said=text)
    regions = {mem: region_of(s[i]) for mem, i in found.items()}
    return Tables(regions, {i: Section(mem, 0) for mem, i in found.items()})


TABLE = {Mem.SYMTAB: "symbol table", Mem.STRTAB: "string table", Mem.SHSTRTAB: "table of section names"}


def _say_section(i: int, x: Shdr, log: Log) -> None:
    log(
        Level.DBG,
        "section {}, at {:#x}: sh_name {}, type {}, flags {:#x}, addr {:#x}, align {:#x}, size {}, link {}, info {}",
        i, x.offset, x.name, x.type, x.flags, x.addr, x.addralign, x.size, x.link, x.info,
    )  # fmt: skip


def _by_link(header: Header, at: Location, log: Log) -> dict[Mem, int]:
    """The last symbol table, and the string table that it names."""
    s, found = header.sections, {}
    wanted = elf.SHT_DYNSYM if header.dyn else elf.SHT_SYMTAB
    for i, x in enumerate(s) if log.dbg else ():
        _say_section(i, x, log)
    symtabs = [i for i, x in enumerate(s) if x.type == wanted]
    if symtabs:
        found[Mem.SYMTAB] = symtabs[-1]
        strtab = s[symtabs[-1]].link
        if strtab >= len(s):
            text = f"the symbol table names section {strtab} as its string table, but there are {len(s)} sections"
            raise fail("ENOEXEC", "elf-symbols", text, at, said=text)
        if s[strtab].type == elf.SHT_STRTAB:
            found[Mem.STRTAB] = strtab
    if header.shstrndx < len(s) and s[header.shstrndx].type == elf.SHT_STRTAB:
        found[Mem.SHSTRTAB] = header.shstrndx
    for mem, i in found.items():
        log(Level.DBG, "the {} is section {}", TABLE[mem], i)
    return found


def _in_one_pass(header: Header, log: Log) -> dict[Mem, int]:
    """The tables as they come, until there are three: a string table only behind its symbol table."""
    found: dict[Mem, int] = {}
    strtab, seen = -1, 0
    wanted = elf.SHT_DYNSYM if header.dyn else elf.SHT_SYMTAB
    for i, x in enumerate(header.sections):
        if log.dbg:
            _say_section(i, x, log)
        if x.type == wanted:
            mem, strtab = Mem.SYMTAB, x.link
        elif x.type == elf.SHT_STRTAB and i in (header.shstrndx, strtab):
            mem = Mem.SHSTRTAB if i == header.shstrndx else Mem.STRTAB
        else:
            continue
        found[mem] = i
        log(Level.DBG, "the {} is section {}", TABLE[mem], i)
        seen += 1
        if seen == 3:
            break
    return found


def region_of(x: Shdr) -> Region:
    """A region that consists of this section."""
    return Region(type=x.type, flags=x.flags, addr=x.addr, offset=x.offset, size=x.size, align=x.addralign)


def section_names(source: Source, header: Header, address: int | None, size: int) -> tuple[str | None, ...]:
    """The name of each section, None where it lies outside the table of names at ``address``."""
    if address is None:
        return (None,) * len(header.sections)
    table = source.space.strings(address, size)

    def name(at: int) -> str | None:
        end = table.find(0, at)
        if at >= size:
            return None
        whole = table[at : end if end >= 0 else None]
        return whole[:LONGEST].decode("utf-8", "backslashreplace")

    return tuple(name(x.name) for x in header.sections)

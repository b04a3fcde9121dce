"""A linked extension as an ET_EXEC for debuggers and binutils, and as a flat binary.

The executable has one PT_LOAD for each region with the region's permissions, the sections at their final addresses, the
symbols with their final values, and imports as absolute symbols, so that a debugger names calls into the host. The
entry point is 0: the host calls an extension, nothing starts it. Debugging sections of the input are relocated to
the final addresses by the same tables as the code; what they say of code that is not loaded becomes 0.
Source: gABI 4.1, chapters 4 and 5; DWARF 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llext_tools.arch import by_machine
from llext_tools.diag import Location, Reporter, fail
from llext_tools.elf import structs as elf
from llext_tools.elf.attributes import SHT_ATTRIBUTES
from llext_tools.elf.model import I64, Bytes, ElfObject, Relocs
from llext_tools.elf.read import read_relocs
from llext_tools.elf.write import Section, aligned, elf_file, head_size, raw_symbols, symbol_sections
from llext_tools.link.image import Image, SymTab
from llext_tools.link.memory import ALIGN
from llext_tools.link.relocate import pair, relocate
from llext_tools.mem import PERM, Mem
from llext_tools.reloc import Reloc

PAGE = 4096
"""The most that a segment is aligned to in the file: its address may be aligned to more."""
LARGEST_BINARY = 1 << 28
SHF_COMPRESSED = 0x800


def executable(image: Image) -> bytes:
    """The bytes of the ET_EXEC. The object's own section and symbol order is kept."""
    obj = image.obj
    mapped = image.regions.inside(PERM)
    beside = _beside(obj, mapped)
    segments, contents, offset, end = _segments(image)
    headers = [_mapped_section(image, i, offset) for i in np.flatnonzero(mapped).tolist()]
    debug = relocated_debug(image, beside)
    for i in np.flatnonzero(beside).tolist():
        end = aligned(end, min(max(int(obj.sections.addralign[i]), 1), PAGE))
        headers.append(_unmapped_section(obj, i, end, debug[i]))
        end += headers[-1].size

    number = np.zeros(len(obj.sections), np.int64)
    number[mapped] = np.arange(1, mapped.sum() + 1)
    symtab, locals_ = _symbols(image, mapped, number)
    strtab = obj.symbols.strtab
    word = obj.bits // 8
    end = aligned(end, word)
    headers += symbol_sections(symtab, strtab, behind=len(headers), offset=end, first=locals_)
    if len(headers) >= elf.SHN_LORESERVE:
        fail("elf-sections", f"{len(headers):,} sections are too many for a file", at=Location(file=obj.path))
    return elf_file(
        bits=obj.bits,
        type=elf.ET_EXEC,
        machine=obj.machine,
        flags=obj.flags,
        ident=obj.image[7:9].tobytes(),
        sections=headers,
        segments=segments,
        contents=contents,
    )


def flat_binary(image: Image) -> bytes:
    """Memory from the lowest to the highest address of the regions that have contents; zeros where nothing is.

    A region without contents (.bss) between two others is there as zeros, at the end it is left out.

    Raises:
        RangeError: ``place-too-wide``, where the regions are so far apart that the file would be unusable.
    """
    spans = [
        (image.layout.base[mem], contents)
        for mem, contents in image.mem.items()
        if contents.size and not image.regions.regions[mem].nobits
    ]
    if not spans:
        return b""
    first = min(start for start, _ in spans)
    size = max(start + contents.size for start, contents in spans) - first
    if size > LARGEST_BINARY:
        apart = f"the regions span {size:,} bytes, a flat binary holds at most {LARGEST_BINARY:,}"
        fail("place-too-wide", apart, at=Location(file=image.path), help="place the regions nearer to each other")
    flat = np.zeros(size, np.uint8)
    for start, contents in spans:
        flat[start - first : start - first + contents.size] = contents
    return flat.tobytes()


def relocated_debug(image: Image, which: NDArray[np.bool_]) -> dict[int, Bytes]:
    """Contents of the sections (bool[k]) that are not loaded, with their relocations applied: section -> bytes.

    An entry that cannot be applied (an unknown type, a value out of range) leaves its place as it is: it describes
    something that is not there, and nothing of what runs depends on it.
    """
    obj = image.obj
    s, y = obj.sections, obj.symbols
    arch = by_machine(obj.machine)
    assert arch is not None, "the image was linked"
    at, start = np.zeros(len(s), np.int64), 0
    wanted = np.flatnonzero(which).tolist()
    for i in wanted:
        at[i] = start
        start += aligned(int(s.size[i]), ALIGN)
    arena = np.zeros(start, np.uint8)
    for i in wanted:
        arena[at[i] : at[i] + s.size[i]] = obj.contents(i)
    rows = arch.relocs[obj.bits]
    relocs = _usable(obj, rows, read_relocs(obj, which, Reporter()))
    if len(relocs):
        inside = (y.shndx < len(s)) & ~image.sym_tab.resolved
        described = inside & which[np.where(inside, y.shndx, 0)]
        S = np.where(described, y.value, np.where(image.sym_tab.resolved, image.sym_tab.S, 0))
        symbols = SymTab(S=S, T=image.sym_tab.T, B=image.sym_tab.B, resolved=image.sym_tab.resolved | described)
        unheard = Reporter()
        layout = replace(image.layout, section_addr=np.where(which, 0, image.layout.section_addr))
        anchor = pair(obj, rows, relocs, layout, symbols, unheard)
        relocate(obj, arch, rows, relocs, anchor, layout, symbols, arena, at, unheard)
    return {i: arena[at[i] : at[i] + s.size[i]] for i in wanted}


def _usable(obj: ElfObject, rows: Mapping[int, Reloc], relocs: Relocs) -> Relocs:
    """The relocations that have a row and whose place lies inside their section."""
    size = np.zeros(256, np.int64)  # no row has a higher code
    known = np.zeros(256, bool)
    for code, row in rows.items():
        known[code], size[code] = True, row.field.size if row.field else 0
    kind = np.minimum(relocs.type, 255)
    good = known[kind] & (relocs.offset + size[kind] <= obj.sections.size[relocs.section])
    return Relocs(
        section=relocs.section[good],
        table=relocs.table[good],
        offset=relocs.offset[good],
        symbol=relocs.symbol[good],
        type=relocs.type[good],
        addend=relocs.addend[good],
    )


def _beside(obj: ElfObject, mapped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[k]: debugging sections, build attributes and the like: contents, but not for the target's memory."""
    s = obj.sections
    chosen: NDArray[np.bool_] = ~mapped & np.isin(s.type, (elf.SHT_PROGBITS, SHT_ATTRIBUTES))
    chosen &= s.flags & (elf.SHF_ALLOC | SHF_COMPRESSED) == 0  # both ld -r and lld -r decompress
    chosen &= np.array([not name.startswith(".note.GNU") for name in s.name], bool)
    if int(s.size[chosen].sum()) > obj.image.size:
        fail("elf-sections", "the sections overlap in the file", at=Location(file=obj.path))
    return chosen


def _segments(image: Image) -> tuple[NDArray[np.void], list[tuple[int, Bytes]], dict[Mem, int], int]:
    """Program headers in the order of addresses, contents with their places, place of each region, end in the file."""
    bits = image.obj.bits
    order = sorted(image.mem, key=lambda mem: (image.layout.base[mem], mem))
    headers = np.zeros(len(order), elf.PHDR_OF[bits])
    offset: dict[Mem, int] = {}
    contents: list[tuple[int, Bytes]] = []
    end = head_size(bits, len(order))
    for header, mem in zip(headers, order, strict=True):
        region, data, base = image.regions.regions[mem], image.mem[mem], image.layout.base[mem]
        align = min(max(region.align, 1), PAGE)
        offset[mem] = end + (base - end) % align  # congruent to the address
        header["type"], header["flags"] = elf.PT_LOAD, PERM[mem]
        header["offset"], header["vaddr"], header["paddr"] = offset[mem], base, base
        header["filesz"], header["memsz"], header["align"] = 0 if region.nobits else data.size, data.size, align
        if not region.nobits:
            contents.append((offset[mem], data))
            end = offset[mem] + data.size
    return headers, contents, offset, end


def _mapped_section(image: Image, i: int, offset: dict[Mem, int]) -> Section:
    s = image.obj.sections
    mem = Mem(int(image.regions.region[i]))
    return Section(
        name=s.name[i],
        type=int(s.type[i]),
        flags=int(s.flags[i]) & ~(elf.SHF_GROUP | elf.SHF_LINK_ORDER),
        addr=int(image.layout.section_addr[i]) & (1 << image.obj.bits) - 1,
        offset=offset[mem] + (0 if s.type[i] == elf.SHT_NOBITS else int(image.regions.offset[i])),
        size=int(s.size[i]),
        addralign=max(int(s.addralign[i]), 1),
        entsize=int(s.entsize[i]),
    )


def _unmapped_section(obj: ElfObject, i: int, offset: int, data: Bytes) -> Section:
    s = obj.sections
    return Section(
        name=s.name[i],
        type=int(s.type[i]),
        flags=int(s.flags[i]) & ~(elf.SHF_GROUP | elf.SHF_LINK_ORDER),
        offset=offset,
        size=data.size,
        addralign=max(int(s.addralign[i]), 1),
        entsize=int(s.entsize[i]),
        data=data,
    )


def _symbols(image: Image, mapped: NDArray[np.bool_], number: I64) -> tuple[NDArray[np.void], int]:
    """The symbols that have a final value, local ones first, and how many these are with the empty first one."""
    obj, tab = image.obj, image.sym_tab
    y = obj.symbols
    if not len(y):
        return np.zeros(1, elf.SYM_OF[obj.bits]), 1
    home = np.minimum(y.shndx, len(obj.sections))  # all reserved indices share the entry behind the last section
    imported = (y.shndx == elf.SHN_UNDEF) & tab.resolved & (tab.S | tab.T != 0)
    kept = np.append(mapped, False)[home] | (y.shndx == elf.SHN_ABS) | imported
    kept[0] = True
    index = np.flatnonzero(kept)
    local = y.bind[index] == elf.STB_LOCAL
    count = int(np.count_nonzero(local))
    if not local[:count].all():
        index = index[np.argsort(~local, kind="stable")]
    table = raw_symbols(obj)[index]
    table["value"] = (tab.S | tab.T)[index].astype(table["value"].dtype)
    table["shndx"] = np.append(number, elf.SHN_ABS)[home[index]]
    host = np.flatnonzero(imported[index])
    table["shndx"][host] = elf.SHN_ABS
    functions = host[tab.T[index[host]] != 0]
    table["info"][functions] = table["info"][functions] & 0xF0 | elf.STT_FUNC
    return table, count

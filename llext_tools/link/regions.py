"""Sections to regions, exactly as Zephyr's loader does it: by type and flags, merged over their span in the file.

A region is the part of the file from its first section to its last one: whatever lies between is copied as well.
That is why the order of sections in the file decides whether an extension loads.
Source: Zephyr, ``llext_load.c``, ``llext_map_sections()``.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from llext_tools.diag import Location, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.link.hints import MERGED, PARTIAL_LINK
from llext_tools.link.image import Region, RegionMap
from llext_tools.mem import Mem

BY_TYPE = {
    elf.SHT_NOBITS: Mem.BSS,
    elf.SHT_PREINIT_ARRAY: Mem.PREINIT,
    elf.SHT_INIT_ARRAY: Mem.INIT,
    elf.SHT_FINI_ARRAY: Mem.FINI,
}
SKIPPED = frozenset({".relro_padding", ".heap", ".stack"})
EXPORTED = ".exported_sym"
NO_RELOC = ".llext.rodata.noreloc"
MUST_MATCH = elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_EXECINSTR
ARRAYS = (Mem.PREINIT, Mem.INIT, Mem.FINI)
TABLES = (Mem.SYMTAB, Mem.STRTAB, Mem.SHSTRTAB)
FLAG_LETTERS = ((elf.SHF_WRITE, "W"), (elf.SHF_ALLOC, "A"), (elf.SHF_EXECINSTR, "X"))


def map_regions(obj: ElfObject, reporter: Reporter, *, rodata_no_reloc: bool = False) -> RegionMap:
    """Give each section that is loaded its region and its offset (bytes) in it.

    ``rodata_no_reloc``: ``.llext.rodata.noreloc`` has a region of its own, as under CONFIG_LLEXT_RODATA_NO_RELOC.
    Reports ``region-flags``, ``region-nobits``, ``region-array``, ``region-alignment`` and ``region-overlap``.
    """
    s = obj.sections
    region = np.full(len(s), -1, np.int64)
    members: dict[Mem, list[int]] = {mem: [] for mem in Mem}
    for i in range(len(s)):
        mem = _region_of(s.name[i], int(s.type[i]), int(s.flags[i]))
        if mem is Mem.RODATA and rodata_no_reloc and s.name[i] == NO_RELOC:
            mem = Mem.RODATA_NO_RELOC
        if mem is not None and s.flags[i] & elf.SHF_ALLOC and s.size[i]:
            members[mem].append(i)
    for mem, sections in members.items():
        _check_members(obj, mem, sections, reporter)
    if len(obj.symbols):
        members[Mem.SYMTAB] = [obj.symbols.section]
        members[Mem.STRTAB] = [int(s.link[obj.symbols.section])]
    regions = {mem: _merge(obj, mem, sections, reporter) for mem, sections in members.items() if sections}
    offset = np.zeros(len(s), np.int64)
    for mem, merged in regions.items():
        inside = np.array(merged.sections)
        region[inside] = mem
        offset[inside] = s.offset[inside] - merged.file_offset
    _check_overlap(obj, regions, reporter)
    return RegionMap(regions=regions, region=region, offset=offset)


def _region_of(name: str, kind: int, flags: int) -> Mem | None:
    if name in SKIPPED or flags & elf.SHF_TLS:
        return None
    if name == EXPORTED:
        return Mem.EXPORT
    if kind == elf.SHT_PROGBITS:
        return Mem.TEXT if flags & elf.SHF_EXECINSTR else Mem.DATA if flags & elf.SHF_WRITE else Mem.RODATA
    return BY_TYPE.get(kind)


def _check_members(obj: ElfObject, mem: Mem, sections: list[int], reporter: Reporter) -> None:
    """The rules for several sections of one region: flags before NOBITS, as the loader compares them."""
    s = obj.sections
    pointer = obj.bits // 8
    for i in sections if mem in ARRAYS else ():
        entsize = int(s.entsize[i])
        if entsize not in (0, pointer) or (entsize and s.size[i] % entsize):
            text = f"`{s.name[i]}` has {s.size[i]:,} bytes in entries of {entsize}, not pointers of {pointer}"
            reporter.error("region-array", text, at=Location(file=obj.path, section=s.name[i]))
    for i in sections[1:]:
        at = Location(file=obj.path, section=s.name[i])
        first = s.name[sections[0]]
        if (s.flags[i] ^ s.flags[sections[0]]) & MUST_MATCH:
            theirs, ours = _letters(int(s.flags[sections[0]])), _letters(int(s.flags[i]))
            text = f"`{s.name[i]}` ({ours}) cannot join `{first}` ({theirs}) in region {mem.name}"
            cure = "give both sections the same flags, or merge the input sections"
            reporter.error("region-flags", text, at=at, help=cure)
        elif mem is Mem.BSS:
            text = f"`{s.name[i]}` is a second section without contents, besides `{first}`"
            cure = f"{PARTIAL_LINK}: they make one .bss"
            reporter.error("region-nobits", text, at=at, help=cure)
        elif mem in ARRAYS:
            text = f"`{s.name[i]}` is a second {mem.name} array, besides `{first}`"
            cure = f"{PARTIAL_LINK}: they sort them into one"
            reporter.error("region-array", text, at=at, help=cure)


def _merge(obj: ElfObject, mem: Mem, sections: list[int], reporter: Reporter) -> Region:
    """The union of the sections' spans in the file, moved down to the region's alignment (``prepad``)."""
    s = obj.sections
    index = np.array(sections)
    if mem is Mem.BSS or mem in ARRAYS or mem in TABLES:
        index = index[:1]
    start = int(s.offset[index].min())
    end = int((s.offset[index] + s.size[index]).max())
    align = int(s.addralign[index].max())
    if align & (align - 1):
        text = f"the alignment {align:,} of region {mem.name} is not a power of two"
        cure = "build the file again: compilers and assemblers ask for powers of two only"
        reporter.error("region-alignment", text, at=Location(file=obj.path, section=s.name[sections[0]]), help=cure)
        align = 1
    prepad = start & (align - 1)  # an alignment of 0 makes all ones of the mask: the whole offset
    return Region(
        file_offset=start - prepad,
        size=end - start + prepad,
        align=align,
        prepad=prepad,
        nobits=bool(s.type[sections[0]] == elf.SHT_NOBITS),
        sections=tuple(index.tolist()),
        gap=end - start - int(s.size[index].sum()),
    )


def _check_overlap(obj: ElfObject, regions: dict[Mem, Region], reporter: Reporter) -> None:
    for (a, x), (b, y) in combinations(sorted(regions.items()), 2):
        if Mem.EXPORT in (a, b) or Mem.BSS in (a, b) or {a, b} == {Mem.STRTAB, Mem.SHSTRTAB}:
            continue
        starts = x.file_offset + x.prepad, y.file_offset + y.prepad
        ends = x.file_offset + x.size, y.file_offset + y.size
        if starts[0] >= ends[1] or starts[1] >= ends[0]:
            continue
        spans = [
            f"{mem.name} ({_names(obj, region)}) takes bytes {start:,} to {end - 1:,}"
            for mem, region, start, end in zip((a, b), (x, y), starts, ends, strict=True)
        ]
        reporter.error(
            "region-overlap",
            f"regions {a.name} and {b.name} overlap in the file",
            at=Location(file=obj.path),
            detail=tuple(spans),
            help=MERGED,
        )


def _names(obj: ElfObject, region: Region) -> str:
    names = [obj.sections.name[i] for i in region.sections]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _letters(flags: int) -> str:
    return "".join(letter for flag, letter in FLAG_LETTERS if flags & flag) or "none"

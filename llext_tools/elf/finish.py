"""From the result of a partial link to the file that is shipped: what the loader needs, in an order that it takes.

``ld -r`` leaves debugging sections, the linker's own remarks, unwinding tables that the loader maps nowhere and a
symbol for each local label. A board pays for all of that in flash, transfer time and RAM. What remains here:

* the SHF_ALLOC sections without ``.ARM.exidx`` and ``.ARM.extab``, and the build attributes, which tools compare,
* the relocations of these sections, and the symbols that they use or that are global.

The loader maps the span from a region's first section to its last in the file, so sections of one region stand
next to each other, and derives padding from a region's file offset, of SHT_NOBITS too, which LLVM does not align.
LLVM also leaves ``sh_entsize`` of arrays 0, which older loaders refuse (Zephyr 4.2 does): they get that of a pointer.
Teardown calls destructors from the first to the last, and a C library from the last to the first: the merge script
leaves them in the latter's order, under a name of its own, and here the table is turned round.
Groups are dissolved: the partial link has chosen among their copies, and the loader does not know them.
Symbols with hidden visibility become local, as any final link would make them. Otherwise the compiler's helper
functions would take room in the extension's symbol table on the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llext_tools.diag import Location, Reporter, fail, number
from llext_tools.elf import structs as elf
from llext_tools.elf.attributes import SHT_ATTRIBUTES
from llext_tools.elf.buildid import NOTE
from llext_tools.elf.model import I64, ElfObject, Relocs
from llext_tools.elf.read import read_relocs, reloc_tables
from llext_tools.elf.write import Section, aligned, elf_file, head_size, kept_strings, raw_symbols, symbol_sections

UNWINDING = (".ARM.exidx", ".ARM.extab")
LAST_FIRST, FIRST_FIRST = ".fini_array.last_first", ".fini_array"
"""The table of destructors as the merge script leaves it, and turned round."""
NOT_MAPPED = (".relro_padding", ".heap", ".stack")  # the loader passes over sections of these names
LARGEST_ALIGNMENT = 1 << 20
"""Alignment is kept in the file as well, so each costs up to that many bytes of it."""

# the order of the regions in the file
TEXT, RODATA, EXPORT, PREINIT, INIT, FINI, DATA, BSS, OTHER, TABLE = range(10)
ARRAYS = {elf.SHT_PREINIT_ARRAY: PREINIT, elf.SHT_INIT_ARRAY: INIT, elf.SHT_FINI_ARRAY: FINI}


SPENT = elf.SHF_GROUP | elf.SHF_MERGE | elf.SHF_STRINGS
"""Flags that only ask a linker to leave duplicates out: that has been done, and nobody shall do it again."""


LARGEST_GROWTH = 16 << 20
"""Bytes that padding may add to a file."""


def finish(obj: ElfObject, *, keep_symbols: bool = False, more: Sequence[Section] = ()) -> bytes:
    """The bytes of the ``.llext`` that is made of ``obj``, an ET_REL.

    ``keep_symbols`` keeps local symbols, for tools that show them. ``more``: sections to add, which are not loaded.

    Raises:
        FormatError: ``elf-type``; ``elf-symbols`` if there are none; ``elf-relocations``, ``elf-sections``.
        RefusedError: ``symbol-unmapped`` if a kept relocation uses a symbol in a section that goes,
            ``region-alignment`` if an alignment is not a power of two, or too large for a file.
    """
    if obj.type != elf.ET_REL:
        where = Location(file=obj.path)
        cure = "link it with the flags of `llext ldflags`: `-r` is among them"
        fail("elf-type", "only a partially linked object (ET_REL) can become an extension", at=where, help=cure)
    if not len(obj.symbols):
        fail("elf-symbols", "the object has no symbols, so no extension can be made of it", at=Location(file=obj.path))
    reporter = Reporter()
    loaded = _loaded(obj, reporter)
    relocs = read_relocs(obj, loaded, reporter)
    reporter.checkpoint()
    symbols, local = _chosen_symbols(obj, loaded, relocs, keep_symbols, reporter)
    reporter.checkpoint()
    return _written(obj, _without_empty(obj, loaded, symbols), symbols, local, more)


def _loaded(obj: ElfObject, reporter: Reporter) -> NDArray[np.bool_]:
    """bool[k]: the sections that are kept for their own sake."""
    s = obj.sections
    left_out = np.array([name == NOTE or name.startswith(UNWINDING) for name in s.name], bool)
    tables = np.isin(s.type, (elf.SHT_SYMTAB, elf.SHT_STRTAB, elf.SHT_REL, elf.SHT_RELA, elf.SHT_GROUP, elf.SHT_NULL))
    allocated = (s.flags & elf.SHF_ALLOC != 0) & ~left_out
    loaded: NDArray[np.bool_] = (allocated | (s.type == SHT_ATTRIBUTES)) & ~tables
    uneven = loaded & ((s.addralign & s.addralign - 1 != 0) | (s.addralign > LARGEST_ALIGNMENT) | (s.addralign < 0))
    for i in np.flatnonzero(uneven).tolist():
        asked = f"an alignment of {s.addralign[i]:,} bytes"
        limit = f"it must be a power of two up to {LARGEST_ALIGNMENT:,}"
        reporter.error("region-alignment", f"{asked}: {limit}", at=Location(file=obj.path, section=s.name[i]))
    if int(s.size[loaded & (s.type != elf.SHT_NOBITS)].sum()) > obj.image.size:
        reporter.error("elf-sections", "the sections overlap in the file", at=Location(file=obj.path))
    return loaded


def _chosen_symbols(
    obj: ElfObject, loaded: NDArray[np.bool_], relocs: Relocs, keep_symbols: bool, reporter: Reporter
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[n] each: the symbols to keep, and which of all are to be local."""
    y = obj.symbols
    used = np.zeros(len(y), bool)
    used[relocs.symbol] = True
    placed = (y.shndx > 0) & (y.shndx < len(obj.sections))
    lost = placed & ~loaded[np.where(placed, y.shndx, 0)]
    for section in np.unique(y.shndx[used & lost]).tolist():
        _report_lost(obj, relocs, section, reporter)
    hidden = np.isin(raw_symbols(obj)["other"] & 3, (1, 2))  # STV_INTERNAL, STV_HIDDEN
    local = (y.bind == elf.STB_LOCAL) | hidden & (y.shndx != elf.SHN_UNDEF) & (y.shndx != elf.SHN_COMMON)
    counted = (y.bind == elf.STB_GLOBAL) & np.isin(y.type, (elf.STT_FUNC, elf.STT_OBJECT)) & placed & ~lost
    if not (counted & ~local).any():
        local = y.bind == elf.STB_LOCAL  # the loader cannot do without any global function or object
    kept = used | ~local & (y.shndx != elf.SHN_UNDEF) & ~lost
    if keep_symbols:
        kept |= local & ~lost
    kept[0] = True
    return kept, local


def _report_lost(obj: ElfObject, relocs: Relocs, section: int, reporter: Reporter) -> None:
    """``section`` goes, but is referred to: one diagnostic, at the first of the places."""
    uses = np.flatnonzero(obj.symbols.shndx[relocs.symbol] == section)
    place, offset = int(relocs.section[uses[0]]), int(relocs.offset[uses[0]])
    at = Location(
        file=obj.path,
        section=obj.sections.name[place],
        offset=offset,
        function=obj.function_at(place, offset),
    )
    more = f", here and in {number(uses.size - 1, 'more place')}" if uses.size > 1 else ""
    name = obj.sections.name[section]
    reporter.error("symbol-unmapped", f"refers to section `{name}`, which is not loaded{more}", at=at)


def _without_empty(obj: ElfObject, loaded: NDArray[np.bool_], symbols: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out the sections of no bytes in which no symbol is left."""
    s, y = obj.sections, obj.symbols
    home = y.shndx[symbols & (y.shndx < len(s))]
    inhabited = np.zeros(len(s), bool)
    inhabited[home] = True
    return loaded & ((s.size > 0) | inhabited)


def _rank(obj: ElfObject, i: int) -> int:
    """Which region a section goes to, as the loader decides it, in the order of the regions in the file."""
    s = obj.sections
    kind, flags, name = int(s.type[i]), int(s.flags[i]), s.name[i]
    if not flags & elf.SHF_ALLOC:
        return TABLE
    if flags & elf.SHF_TLS or name in NOT_MAPPED:
        return OTHER
    if name == ".exported_sym":
        return EXPORT
    if kind == elf.SHT_PROGBITS:
        return TEXT if flags & elf.SHF_EXECINSTR else DATA if flags & elf.SHF_WRITE else RODATA
    return BSS if kind == elf.SHT_NOBITS else ARRAYS.get(kind, OTHER)


def _written(
    obj: ElfObject,
    loaded: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    local: NDArray[np.bool_],
    more: Sequence[Section],
) -> bytes:
    """Lay out and number what was chosen."""
    s, y = obj.sections, obj.symbols
    rank = {i: _rank(obj, i) for i in np.flatnonzero(loaded).tolist()}
    order = sorted(rank, key=lambda i: (rank[i], i))
    relocating = _tables_by_target(obj, loaded)
    tables = [i for i in order if rank[i] == TABLE]
    order = [*(i for i in order if rank[i] != TABLE), *relocating, *tables]
    if len(order) + len(more) + 3 >= elf.SHN_LORESERVE:
        fail("elf-sections", f"{len(order):,} sections are too many for a loader", at=Location(file=obj.path))
    number = np.zeros(len(s), np.int64)
    number[order] = np.arange(1, len(order) + 1)
    symtab_at = len(order) + len(more) + 1

    kept_order = np.concatenate([np.flatnonzero(kept & local), np.flatnonzero(kept & ~local)])
    symbol_number = np.zeros(len(y), np.int64)
    symbol_number[kept_order] = np.arange(kept_order.size)
    strtab, name_at = kept_strings(y.strtab, y.name_at[kept_order])
    symtab = raw_symbols(obj)[kept_order]
    symtab["name"] = name_at
    inside = (symtab["shndx"] > 0) & (symtab["shndx"] < len(s))
    symtab["shndx"][inside] = number[symtab["shndx"][inside]]
    symtab["info"] = np.where(local[kept_order], elf.STB_LOCAL << 4, symtab["info"] & 0xF0) | symtab["info"] & 15

    align = {r: max((int(s.addralign[i]) for i in order if rank.get(i) == r), default=1) for r in range(TABLE)}
    sections: list[Section] = []
    end, region = head_size(obj.bits), -1
    for i in order:
        new = _section(obj, i, relocating.get(i, ()), number, symbol_number, symtab_at)
        here = rank.get(i, TABLE)
        first = here != region and here in align
        start = aligned(end, max(new.addralign, align[here] if first else 1, 1))
        region = here
        sections.append(replace(new, offset=start))
        end = start if new.data is None else start + new.size
    if end > obj.image.size + LARGEST_GROWTH:
        text = f"the sections' alignments make a file of {end:,} bytes out of {obj.image.size:,}"
        fail("region-alignment", text, at=Location(file=obj.path))
    for new in more:
        sections.append(replace(new, offset=aligned(end, new.addralign)))
        end = sections[-1].offset + new.size
    word = obj.bits // 8
    start = aligned(end, word)
    locals_ = int((kept & local).sum())
    sections += symbol_sections(symtab, strtab, behind=len(sections), offset=start, first=locals_)
    return elf_file(
        bits=obj.bits,
        type=elf.ET_REL,
        machine=obj.machine,
        flags=obj.flags,
        ident=obj.image[7:9].tobytes(),
        sections=sections,
    )


def _tables_by_target(obj: ElfObject, loaded: NDArray[np.bool_]) -> dict[int, list[int]]:
    """The relocation sections that are kept, each with those that are joined to it: all of one section.

    lld -r leaves a section several of them, one for each group that went into it; GNU ld reads only one.
    """
    s = obj.sections
    joined: dict[tuple[int, int], list[int]] = {}
    for table in reloc_tables(obj).tolist():
        if s.size[table] and loaded[s.info[table]]:
            joined.setdefault((int(s.type[table]), int(s.info[table])), []).append(table)
    return {tables[0]: tables for tables in joined.values()}


def _section(obj: ElfObject, i: int, tables: Sequence[int], number: I64, symbol_number: I64, symtab_at: int) -> Section:
    """Section ``i`` of ``obj`` with new section and symbol numbers, not yet in its place.

    ``tables``: if it is a relocation section, those whose entries it gets, in the order of their places.
    """
    s = obj.sections
    kind, flags = int(s.type[i]), int(s.flags[i]) & ~SPENT
    link, info, data = 0, 0, None if kind == elf.SHT_NOBITS else obj.contents(i)
    if kind in (elf.SHT_REL, elf.SHT_RELA):
        link, info = symtab_at, int(number[s.info[i]])
        entry = (elf.RELA_OF if kind == elf.SHT_RELA else elf.REL_OF)[obj.bits]
        entries = np.concatenate([obj.contents(table).view(entry) for table in tables])
        if len(tables) > 1:
            entries = entries[np.argsort(entries["offset"], kind="stable")]
        shift = entries["info"].dtype.type(elf.R_SYM_SHIFT[obj.bits])
        symbol = symbol_number[entries["info"] >> shift].astype(shift.dtype)
        entries["info"] = symbol << shift | entries["info"] & ((1 << int(shift)) - 1)
        if _turned(obj, target := int(s.info[i])):
            entries["offset"] = s.size[target] - obj.bits // 8 - entries["offset"].astype(np.int64)
            entries = entries[np.argsort(entries["offset"], kind="stable")]
        data = entries.view(np.uint8)
    elif flags & elf.SHF_LINK_ORDER:
        link = int(number[s.link[i]]) if s.link[i] < len(s) else 0
        flags &= ~elf.SHF_LINK_ORDER if link == 0 else -1
    entsize = 0 if s.flags[i] & elf.SHF_MERGE else int(s.entsize[i])
    if kind in ARRAYS:
        entsize = entsize or obj.bits // 8
    if data is not None and _turned(obj, i):
        data = data.reshape(-1, obj.bits // 8)[::-1].reshape(-1)
    return Section(
        name=s.name[i].replace(LAST_FIRST, FIRST_FIRST),
        type=kind,
        flags=flags,
        addr=int(s.addr[i]),
        offset=0,
        size=int(s.size[i]) if data is None else data.size,
        link=link,
        info=info,
        addralign=max(int(s.addralign[i]), 1) if kind not in (elf.SHT_REL, elf.SHT_RELA) else obj.bits // 8,
        entsize=entsize,
        data=data,
    )


def _turned(obj: ElfObject, i: int) -> bool:
    """Whether the entries of section ``i`` are to be turned round. What is no table of pointers stays as it is."""
    s = obj.sections
    return s.name[i] == LAST_FIRST and s.type[i] == elf.SHT_FINI_ARRAY and s.size[i] % (obj.bits // 8) == 0

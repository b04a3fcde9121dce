"""What relocations reach from wherever an extension may be loaded.

Nobody knows where in the heap the loader will find room. So each relocation is looked at with its place and its target
at both ends of where they can be: a value that has a limit grows with the one and falls with the other, so that what
holds at both ends holds everywhere. What lies in one region keeps its distance, wherever that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.check.subject import Subject, Veneers
from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64
from llext_tools.errors import UsageError
from llext_tools.llext.config import Config
from llext_tools.llext.heap import Heap, heaps, in_blocks, rounded
from llext_tools.llext.loaders import Storage
from llext_tools.llext.memory import rounding
from llext_tools.llext.veneers import ALIGN, BRANCHES, STUB
from llext_tools.mem import PERM, Mem
from llext_tools.reloc import Batch, Range, Reloc, load

Mask = NDArray[np.bool_]
Span = tuple[int, int]

LINEAR = ("S + A", "S + A - P", "(S + A) | T", "((S + A) | T) - P")
"""Formulas whose value grows with S and falls with P."""


class Reach(NamedTuple):
    """The n relocations of one type that have a limit and whose place is known, int64[n] each.

    ``which`` are they in the subject's relocations. ``low`` is the value with the target at its lowest (``S[0]``) and
    the place at its highest (``P[0]``), ``high`` the one with the other ends (``S[1]`` and ``P[1]``), not wrapped.
    ``together`` are those of place and target in one region.
    """

    row: Reloc
    which: I64
    low: I64
    high: I64
    S: tuple[I64, I64]
    P: tuple[I64, I64]
    together: Mask


def regions_at(subject: Subject) -> dict[Mem, Span]:
    """The lowest and the highest address at which each region can be, of those of which that is known."""
    config = subject.board.config
    if config is None or not subject.board.located:
        return {}
    try:
        data, instr = heaps_of(config, subject.obj.bits)
    except UsageError:
        return {}  # too small for anything; loading says so
    flags = subject.obj.sections.flags
    found: dict[Mem, Span] = {}
    for mem, region in subject.regions.regions.items():
        if mem not in PERM:
            continue
        code = bool(flags[region.sections[0]] & elf.SHF_EXECINSTR)
        size, align = rounded(rounding(config, subject.profile), region.size, region.align)
        if not region.nobits and stays(subject, mem):
            if subject.board.buffer is None:
                continue
            at = subject.board.buffer + region.file_offset
            if at % align == 0:
                found[mem] = at, at
                continue
        span = (instr if code else data).extremes(align, in_blocks(config, size))
        if span:
            found[mem] = span
    count, size = slots(subject, config)
    span = instr.extremes(*reversed(rounded(rounding(config, subject.profile), size, ALIGN))) if count else None
    if span:
        found[Mem.VENEER] = span
    return found


def heaps_of(config: Config, bits: int) -> tuple[Heap, Heap]:
    """The heaps for data and for code, as they are at first.

    Raises:
        UsageError: as ``heaps()``.
    """
    made = heaps(config._replace(heap="k_heap") if config.heap == "dynamic" else config, bits)
    return made.data, made.instr


def stays(subject: Subject, mem: Mem) -> bool:
    """Whether the storage lets a region stay in the ELF buffer, if it is aligned there."""
    storage = subject.board.storage
    if storage is not Storage.PERSISTENT:
        return storage is Storage.WRITABLE
    s, region = subject.obj.sections, subject.regions.region
    inside = list(subject.regions.regions[mem].sections)
    tables = (s.type == elf.SHT_REL) | (s.type == elf.SHT_RELA)
    target = s.info[tables]
    target = target[(target >= 0) & (target < len(s))]
    return not (s.flags[inside] & elf.SHF_WRITE).any() and not (region[target] == mem).any()


def slots(subject: Subject, config: Config) -> tuple[int, int]:
    """How many stubs the loader has room for, one for each branch to an undefined symbol, and their bytes."""
    if not config.veneers or not subject.arch.thumb:
        return 0, 0
    relocs, y = subject.relocs, subject.obj.symbols
    symbol = relocs.symbol[np.isin(relocs.type, BRANCHES)]
    count = int(((y.shndx[symbol] == elf.SHN_UNDEF) & (symbol > 0)).sum())
    return count, count * STUB[config.veneers][0]


def veneers(subject: Subject) -> Veneers | None:
    """What veneers the extension makes the loader provide, None without any."""
    config = subject.board.config
    if config is None:
        return None
    count, size = slots(subject, config)
    if not count:
        return None
    spans = regions_at(subject)
    stubs = Stubs(subject, spans)
    for reach in reaches(subject, spans):
        if reach.row.check is not None:
            bits = subject.obj.bits
            stubs.serve(reach, misfits(reach.row.check, reach.low, bits) | misfits(reach.row.check, reach.high, bits))
    return Veneers(count, size, len(stubs.targets))


def reaches(subject: Subject, spans: Mapping[Mem, Span]) -> Iterator[Reach]:
    """The relocations that have a limit, by type, with the ends of their values."""
    obj, arch, relocs = subject.obj, subject.arch, subject.relocs
    ours = arch.relocs[obj.bits]
    rows = arch.loader_relocs[obj.bits] if subject.profile.loader_rows else ours
    used = [rows[code] for code in relocs.codes if code in rows]
    used = [row for row in used if limited(row, obj.bits) or limited(ours.get(row.code), obj.bits)]
    used = [row for row in used if row.formula in LINEAR and row.field]
    if not used:
        return
    places_at, symbols_at = _addresses(subject, spans)
    for row in used:
        reach = _reach(subject, row, np.flatnonzero(relocs.type == row.code), places_at, symbols_at)
        if reach.which.size:
            yield reach


def limited(row: Reloc | None, bits: int) -> bool:
    """Whether there are values that do not fit; on a processor of 32 bits an offset of 32 bits reaches everything."""
    return row is not None and type(row.check) is Range and row.check.high - row.check.low < 1 << bits


class Ends(NamedTuple):
    """Addresses at both ends, int64[n] each; ``home`` is the region, -1 for addresses that stand by themselves."""

    low: I64
    high: I64
    home: I64
    known: Mask


def _addresses(subject: Subject, spans: Mapping[Mem, Span]) -> tuple[Ends, Ends]:
    """Where sections and symbols can be; in a region of which that is not known, how far from its start."""
    obj, regions, y = subject.obj, subject.regions, subject.obj.symbols
    home = np.append(regions.region, -1)
    low, high = np.zeros(max(Mem) + 2, np.int64), np.zeros(max(Mem) + 2, np.int64)
    known = np.zeros(max(Mem) + 2, bool)
    for mem, span in spans.items():
        low[mem], high[mem], known[mem] = *span, True
    offset = np.append(regions.offset, 0)
    sections = Ends(offset + low[home], offset + high[home], home, known[home])

    shndx = np.minimum(y.shndx, len(obj.sections))
    tls = np.append(obj.sections.flags & elf.SHF_TLS != 0, False)
    where_known = (sections.known[shndx] | (y.shndx == elf.SHN_ABS)) & ~tls[shndx]
    symbols = Ends(sections.low[shndx] + y.value, sections.high[shndx] + y.value, home[shndx], where_known)
    for i in np.unique(subject.relocs.symbol[y.shndx[subject.relocs.symbol] == elf.SHN_UNDEF]).tolist():
        found = _undefined(subject, y.name(i), spans) if i else (0, 0)
        if found is not None:
            symbols.low[i], symbols.high[i] = np.array(found, np.uint64).astype(np.int64)
            where_known[i] = True
    return sections, symbols


def _undefined(subject: Subject, name: str, spans: Mapping[Mem, Span]) -> Span | None:
    """Where an import can be; what another extension exports is in the heap like this one's code."""
    if name in subject.borrowed:
        return spans.get(Mem.TEXT)
    address = subject.imports.get(name)
    return None if address is None else (address, address)


def _reach(subject: Subject, row: Reloc, index: I64, sections: Ends, symbols: Ends) -> Reach:
    """The relocations ``index``, all of one type, as far as place and target are known."""
    obj, arch, relocs = subject.obj, subject.arch, subject.relocs
    s, field = obj.sections, row.field
    assert field is not None
    section, symbol = relocs.section[index], relocs.symbol[index]
    moves = "P" in row.formula
    together = (sections.home[section] == symbols.home[symbol]) & (symbols.home[symbol] >= 0) & moves
    where_known = together | (symbols.known[symbol] & (sections.known[section] if moves else True))
    inside = (relocs.offset[index] + field.size <= s.size[section]) & (s.type[section] != elf.SHT_NOBITS)
    chosen = where_known & inside
    index, section, symbol, together = index[chosen], section[chosen], symbol[chosen], together[chosen]
    A = relocs.addend[index]
    if not arch.rela:
        A = field.decode(load(obj.image, field, s.offset[section] + relocs.offset[index]))
    # the ends of place and target; what is together has one of them in common
    P = sections.high[section] + relocs.offset[index], sections.low[section] + relocs.offset[index]
    S = (
        np.where(together, symbols.high[symbol], symbols.low[symbol]),
        np.where(together, symbols.low[symbol], symbols.high[symbol]),
    )
    T = np.zeros_like(A)
    if not subject.profile.loader_rows and arch.thumb:
        y = obj.symbols
        T = S[0] & ((y.type[symbol] == elf.STT_FUNC) | (y.shndx[symbol] == elf.SHN_UNDEF))
    zero = np.zeros_like(A)
    low = row.value(Batch(index, S[0] - T, A, P[0], T, zero, zero, arch.tls_bias))
    width = S[1] - S[0] + (P[0] - P[1] if moves else 0)
    return Reach(row, index, low, low + width, S, P, together)


def misfits(check: Range, x: I64, bits: int) -> Mask:
    """Which values do not fit; they may lie beyond the last address, where a processor of so many bits wraps."""
    if bits == 32:
        return (x - check.low & 0xFFFF_FFFF) >= check.high - check.low
    return (x < check.low) | (x >= check.high)


def hopeless(check: Range, low: I64, high: I64, bits: int) -> Mask:
    """Of values that fit at neither end, those that fit nowhere in between either."""
    to_fit = check.low - low
    if bits == 32:
        to_fit &= 0xFFFF_FFFF
    nowhere: Mask = (to_fit < 0) | (to_fit > high - low)
    return nowhere & misfits(check, low, bits) & misfits(check, high, bits)


class Stubs:
    """The table of veneers, as far as it is filled: ``targets`` have a stub of their own."""

    def __init__(self, subject: Subject, spans: Mapping[Mem, Span]) -> None:
        config = subject.board.config
        self.slots, self.size = slots(subject, config) if config else (0, 0)
        self.span = spans.get(Mem.VENEER)
        self.bits = subject.obj.bits
        self.targets: set[int] = set()

    def serve(self, reach: Reach, bad: Mask) -> Mask:
        """Which of the branches that are ``bad`` get a stub, and reach it from wherever they are."""
        served = np.zeros(bad.size, bool)
        check = reach.row.check
        if reach.row.code not in BRANCHES or self.span is None or check is None:
            return served
        first, last = self.span[0] | 1, self.span[1] + self.size - 1 | 1
        near = ~misfits(check, reach.low - reach.S[0] + first, self.bits)
        near &= ~misfits(check, reach.low - reach.S[0] + last + reach.P[0] - reach.P[1], self.bits)
        for k in np.flatnonzero(bad).tolist():
            target = int(reach.S[0][k])
            if target in self.targets or len(self.targets) < self.slots:
                self.targets.add(target)
                served[k] = near[k]
        return served


def signed(x: int, bits: int) -> int:
    return (x + (1 << bits - 1) & (1 << bits) - 1) - (1 << bits - 1)

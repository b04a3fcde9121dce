"""Rules that need to know where an extension will be loaded: what its relocations reach from there.

A branch that reaches its target from some places in the heap and not from others is an error, too: what else is loaded
decides whether it works.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llext_tools.check.reach import Reach, Stubs, hopeless, misfits, reaches, regions_at, signed
from llext_tools.check.subject import Rule, Subject
from llext_tools.diag import Diagnostic, number
from llext_tools.elf.model import I64
from llext_tools.link.places import places, where
from llext_tools.link.relocate import cure
from llext_tools.llext.veneers import BRANCHES
from llext_tools.reloc import Range

MOST_SYMBOLS = 20
"""Symbols out of reach that are described; beyond that the heap as a whole is in the wrong place."""
DEPENDS = "from other places it reaches: whether it loads depends on what else is in the heap"


def out_of_reach(subject: Subject) -> Iterator[Diagnostic]:
    """``reloc-out-of-range``: the loader refuses a value, at some place in the heap at least.

    And ``reloc-deviates`` where it takes one that the instruction cannot hold.
    """
    spans = regions_at(subject)
    stubs = Stubs(subject, spans)
    held: set[int] = set()  # symbols whose address does not fit into LUI, and so not into what follows it either
    for reach in reaches(subject, spans):
        check = reach.row.check
        if check is not None:
            bad = misfits(check, reach.low, subject.obj.bits) | misfits(check, reach.high, subject.obj.bits)
            found = np.flatnonzero(bad & ~stubs.serve(reach, bad))
            if found.size and "P" not in reach.row.formula:
                symbol = subject.relocs.symbol[reach.which[found]]
                found = found[~np.isin(symbol, list(held))]
                held.update(symbol.tolist())
            if found.size:
                yield from _refused(subject, reach, check, found)
            if bad.all():
                continue
        yield from _silent(subject, reach)


def _refused(subject: Subject, reach: Reach, check: Range, bad: I64) -> Iterator[Diagnostic]:
    """One diagnostic for each symbol that is out of reach: ``bad`` are indices of ``reach``."""
    row, bits = reach.row, subject.obj.bits
    never = hopeless(check, reach.low, reach.high, bits)
    notes: tuple[str, ...] = ()
    advice = subject.arch.reach_help if row.code in subject.arch.branches else cure(row)
    if subject.board.config and subject.board.config.veneers and row.code in BRANCHES:
        notes = ("there is no veneer that it could take: only an import gets one, and it has to be near itself",)
        advice = cure(row)
    for name, which, more in _by_symbol(subject, reach, bad):
        best = bool(never[which].all())
        k = int(which[0]) if best else int(which[~never[which]][0])
        moves = "P" in row.formula
        text = f"`{row.name}` cannot {'reach' if moves else 'hold'} `{name}`"
        if not best:
            text += " from everywhere in the heap" if moves else " wherever it is in the heap"
        yield Diagnostic(
            "reloc-out-of-range",
            text,
            location=where(subject.obj, subject.relocs, int(reach.which[k])),
            detail=_figures(reach, check, k, bits, best=best),
            notes=(*places(subject.obj, subject.relocs, reach.which[which[which != k]]), *more, *notes)
            + (() if best else (DEPENDS,)),
            help=advice,
        )


def _silent(subject: Subject, reach: Reach) -> Iterator[Diagnostic]:
    """``reloc-deviates``: values that the loader takes at an end, where the instruction cannot hold them."""
    row, bits = reach.row, subject.obj.bits
    ours = subject.arch.relocs[bits].get(row.code)
    if ours is None or type(ours.check) is not Range or not subject.profile.loader_rows:
        return
    if row.code not in subject.profile.deviations.get(subject.arch.name, ()):
        return
    bad = np.zeros(reach.which.size, bool)
    for x in (reach.low, reach.high):
        taken = ~misfits(row.check, x, bits) if row.check is not None else np.ones(x.size, bool)
        bad |= taken & misfits(ours.check, x, bits)
    for name, which, more in _by_symbol(subject, reach, np.flatnonzero(bad)):
        k = int(which[0])
        yield Diagnostic(
            "reloc-deviates",
            f"`{row.name}` cannot {'reach' if 'P' in row.formula else 'hold'} `{name}`",
            location=where(subject.obj, subject.relocs, int(reach.which[k])),
            detail=_figures(reach, ours.check, k, bits, best=False),
            notes=(
                *places(subject.obj, subject.relocs, reach.which[which[1:]]),
                *more,
                subject.arch.loader_deviations[row.code],
            ),
            help=cure(row),
        )


def _by_symbol(subject: Subject, reach: Reach, bad: I64) -> Iterator[tuple[str, I64, tuple[str, ...]]]:
    """The name of each symbol and its share of ``bad``, in the order of places; with the last one, how many more."""
    obj, y = subject.obj, subject.obj.symbols
    symbol = subject.relocs.symbol[reach.which[bad]]
    symbols, first = np.unique(symbol, return_index=True)
    for n, i in enumerate(np.sort(first)[:MOST_SYMBOLS].tolist()):
        left = symbols.size - MOST_SYMBOLS if n == MOST_SYMBOLS - 1 else 0
        more = (f"{number(left, 'more symbol')} out of reach",) if left > 0 else ()
        shndx = int(y.shndx[symbol[i]])
        name = y.name(int(symbol[i])) or (obj.sections.name[shndx] if 0 <= shndx < len(obj.sections) else "*ABS*")
        yield name, bad[symbol == symbol[i]], more


def _figures(reach: Reach, check: Range, k: int, bits: int, *, best: bool) -> tuple[str, ...]:
    """Place, target and value at the worst end, or at the best one if there is nothing better."""

    def excess(x: int) -> int:
        x = signed(x, bits)
        return max(check.low - x, x - check.high + 1)

    low, high = int(reach.low[k]), int(reach.high[k])
    end = int((excess(high) < excess(low)) == best)
    value = signed((low, high)[end], bits)
    mask = (1 << bits) - 1
    place, target = int(reach.P[end][k]) & mask, int(reach.S[end][k]) & mask
    limits = f"the value is {value:,}, possible are {check.low:,} to {check.high - 1:,}"
    if reach.together[k]:
        return (f"place and target are {number(abs(target - place), 'byte')} apart", limits)
    figures = f"place {place:#010x}, target {target:#010x}" if "P" in reach.row.formula else f"target {target:#010x}"
    if low != high:
        figures = f"at the {'best' if best else 'worst'} place in the heap: {figures}"
    return (figures, limits)


RULES: tuple[Rule, ...] = (out_of_reach,)

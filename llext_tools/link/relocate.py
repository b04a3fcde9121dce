"""Relocations to bytes, a whole type at a time.

``pair()`` comes first: on RISC-V a PCREL_LO12 names the label of its AUIPC, and takes the value of the PCREL_HI20 there.
Source: gABI, "Relocation"; RISC-V psABI, "PC-Relative Symbol Addresses".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llext_tools.arch.base import Arch
from llext_tools.diag import Reporter
from llext_tools.elf.model import I64, Bytes, ElfObject, Relocs
from llext_tools.link.image import Layout, SymTab
from llext_tools.link.places import places, where
from llext_tools.reloc import Batch, Reloc, addends, apply

MOST_SYMBOLS = 100
"""Range errors are reported for so many symbols; beyond that the placement as a whole is wrong."""


def pair(
    obj: ElfObject, rows: Mapping[int, Reloc], relocs: Relocs, layout: Layout, symbols: SymTab, reporter: Reporter
) -> I64:
    """For each relocation the one whose S, A and P it uses, int64[m]: itself, except for the LO12 of a pair.

    Reports ``reloc-unpaired``.
    """
    anchor = np.arange(len(relocs))
    for row in rows.values():
        lows = np.flatnonzero(relocs.type == row.code) if row.pairs_with else anchor[:0]
        if not lows.size:
            continue
        highs = np.flatnonzero(np.isin(relocs.type, row.pairs_with))
        at = layout.section_addr[relocs.section[highs]] + relocs.offset[highs]
        order = np.argsort(at, kind="stable")
        labels = symbols.S[relocs.symbol[lows]]
        found = np.searchsorted(at[order], labels)
        found[found == at.size] = 0
        right = at[order][found] == labels if at.size else np.zeros(lows.size, bool)
        anchor[lows[right]] = highs[order][found[right]]
        lost = lows[~right]
        if lost.size:
            high = " or ".join(f"`{rows[code].name}`" for code in row.pairs_with if code in rows)
            label = obj.symbols.name(int(relocs.symbol[lost[0]]))
            reporter.error(
                "reloc-unpaired",
                f"`{row.name}` finds no {high} at its label `{label}`",
                at=where(obj, relocs, int(lost[0])),
                notes=places(obj, relocs, lost[1:]),
            )
    return anchor


def relocate(
    obj: ElfObject,
    arch: Arch,
    rows: Mapping[int, Reloc],
    relocs: Relocs,
    anchor: I64,
    layout: Layout,
    symbols: SymTab,
    arena: Bytes,
    arena_at: I64,
    reporter: Reporter,
) -> None:
    """Apply all relocations to ``arena``, a copy of the relocated sections: section i starts at ``arena_at[i]``.

    Reports ``reloc-out-of-range`` and ``reloc-misaligned``, once for each symbol and type; the arena is then unfit for use.
    """
    offset = arena_at[relocs.section] + relocs.offset
    place = layout.section_addr[relocs.section] + relocs.offset
    used = [rows[code] for code in np.flatnonzero(np.bincount(relocs.type)).tolist()]
    batches = {row: np.flatnonzero(relocs.type == row.code) for row in used}
    addend = relocs.addend
    if not arch.rela:
        addend = np.zeros_like(offset)
        for row, index in batches.items():  # all addends before any place changes
            addend[index] = addends(arena, row.field, offset[index])
    for row in sorted(used, key=lambda row: row.order == "add"):
        index = batches[row]
        source = anchor[index] if row.pairs_with else index
        symbol = relocs.symbol[source]
        batch = Batch(
            offset=offset[index],
            S=symbols.S[symbol],
            A=addend[source],
            P=place[source],
            T=symbols.T[symbol] if arch.thumb else np.zeros(1, np.int64),
            B=symbols.B[symbol] if "B(S)" in row.formula else np.zeros(1, np.int64),
            V=np.zeros(1, np.int64),
            TP=arch.tls_bias,
        )
        bad, values = apply(arena, row, batch)
        if bad.size:
            _report_misfits(obj, relocs, row, batch, index[bad], bad, values, reporter)


def _report_misfits(
    obj: ElfObject, relocs: Relocs, row: Reloc, batch: Batch, found: I64, bad: I64, values: I64, reporter: Reporter
) -> None:
    """One diagnostic for each symbol that is out of reach; ``found`` are indices of ``relocs``, ``bad`` of ``batch``."""
    symbols, first = np.unique(relocs.symbol[found], return_index=True)
    mask = (1 << obj.bits) - 1
    for n, i in enumerate(np.sort(first)[:MOST_SYMBOLS].tolist()):
        symbol = int(relocs.symbol[found[i]])
        name = obj.symbols.name(symbol) or _section_name(obj, symbol)
        value, low, high, align = int(values[i]), 0, 0, 1
        if row.check:
            low, high, align = row.check.low, row.check.high, row.check.align
        k = int(bad[i]) if batch.S.size > 1 or bad[i] == 0 else 0
        S, A, P = (int(x[k]) for x in (batch.S, batch.A, batch.P))
        others = found[relocs.symbol[found] == symbol]
        notes = places(obj, relocs, others[1:])
        if n == MOST_SYMBOLS - 1 and symbols.size > MOST_SYMBOLS:
            notes += (f"and {symbols.size - MOST_SYMBOLS:,} more symbols are out of reach",)
        at = where(obj, relocs, int(found[i]))
        target = S + A & mask
        span = f"place {P & mask:#010x}, target {target:#010x}"
        allowed = f"allowed {low:,} to {high - 1:,}"
        if row.field is None or low <= value < high:
            text = f"`{row.name}` needs a value that is a multiple of {align:,}"
            detail = f"{span}: the value is {value:,}"
            reporter.error("reloc-misaligned", text, at=at, detail=(detail,), notes=notes)
        elif "P" in row.formula:
            text = f"`{row.name}` cannot reach `{name}`"
            detail = f"{span}: {value:,} bytes apart, {allowed}"
            reporter.error("reloc-out-of-range", text, at=at, detail=(detail,), notes=notes, help=_cure(row))
        else:
            text = f"`{row.name}` cannot hold `{name}`"
            detail = f"the value is {value:,}, {allowed}"
            reporter.error("reloc-out-of-range", text, at=at, detail=(detail,), notes=notes)


def _section_name(obj: ElfObject, symbol: int) -> str:
    shndx = int(obj.symbols.shndx[symbol])
    return obj.sections.name[shndx] if shndx < len(obj.sections) else "*ABS*"


CURES = {
    "R_ARM_THM_CALL": "compile the extension with `-mlong-calls`",
    "R_ARM_THM_JUMP24": "compile the extension with `-mlong-calls`",
    "R_ARM_CALL": "compile the extension with `-mlong-calls`",
    "R_ARM_JUMP24": "compile the extension with `-mlong-calls`",
    "R_RISCV_JAL": "compile the extension with the C extension or `-mcmodel=medany`, so that calls use AUIPC and JALR",
    "R_RISCV_HI20": "compile the extension with `-mcmodel=medany`",
}


def _cure(row: Reloc) -> str:
    return CURES.get(row.name, "place the extension nearer to what it refers to")

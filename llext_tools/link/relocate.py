"""Relocations to bytes, a whole type at a time.

``pair()`` comes first: on RISC-V a PCREL_LO12 names the label of its AUIPC, and takes the value of the HI20 there.
Source: gABI, "Relocation"; RISC-V psABI, "PC-Relative Symbol Addresses".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from llext_tools.arch.base import Arch
from llext_tools.diag import Reporter, number
from llext_tools.elf.model import I64, Bytes, ElfObject, Relocs
from llext_tools.link.image import Layout, SymTab
from llext_tools.link.places import places, where
from llext_tools.profile import Profile
from llext_tools.reloc import NONE, Batch, Reloc, apply

ZERO = np.zeros(1, np.int64)
CHUNK = 1 << 14
"""Relocations applied at once: so few that all arrays of a batch stay in the processor's cache."""

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
                help="let the label of `%pcrel_lo()` stand at the `auipc` with `%pcrel_hi()`, in the same section",
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
    profile: Profile | None = None,
) -> None:
    """Apply all relocations to ``arena``, a copy of the relocated sections: section i starts at ``arena_at[i]``.

    Reports ``reloc-out-of-range``, ``reloc-misaligned`` and, where the loader would write a wrong value without a word,
    ``reloc-deviates``, once for each symbol and type; the arena is then unfit.
    """
    if not len(relocs):
        return
    assert int(relocs.type.max()) < 256, "validate() has let a type without a row pass"
    kinds = relocs.type.astype(np.uint8, copy=False)
    used = [rows[code] for code in relocs.codes]
    for row in sorted(used, key=lambda row: row.order == "add"):
        index = np.flatnonzero(kinds == row.code)
        found, values = [NONE], [NONE]
        for start in range(0, index.size, CHUNK):
            part = index[start : start + CHUNK]
            batch = _batch(arch, row, relocs, part, anchor, layout, symbols, arena_at)
            bad, x = apply(arena, row, batch, in_place=not arch.rela)
            found.append(part[bad])
            values.append(x)
        if any(x.size for x in values):
            lax = _lax(arch, profile, obj.bits, row, values)
            _report_misfits(
                obj, relocs, row, lax, layout, symbols, np.concatenate(found), np.concatenate(values), reporter
            )


def _batch(
    arch: Arch, row: Reloc, relocs: Relocs, part: I64, anchor: I64, layout: Layout, symbols: SymTab, arena_at: I64
) -> Batch:
    """The relocations ``part`` (int64[n], all of type ``row``) in the ABI's letters."""
    offset = relocs.offset.take(part)
    one_table = relocs.table[part[0]] == relocs.table[part[-1]]  # as part is sorted, and tables stand one after another
    section = relocs.section[part[:1] if one_table else part]
    place = layout.section_addr[section] + offset
    source, A = part, ZERO
    if row.pairs_with:
        source, A = anchor[part], relocs.addend[part]  # the low part's own addend counts, too, as in GNU ld
        place = layout.section_addr[relocs.section[source]] + relocs.offset[source]
    symbol = relocs.symbol.take(source).astype(np.int64)  # once, else each look-up converts it anew
    return Batch(
        offset=arena_at[section] + offset,
        S=symbols.S.take(symbol),
        A=relocs.addend[source] + A if arch.rela else ZERO,
        P=place,
        T=symbols.T.take(symbol) if "T" in row.formula and arch.thumb else ZERO,
        B=symbols.B[symbol] if "B(S)" in row.formula else ZERO,
        V=ZERO,
        TP=arch.tls_bias,
    )


def _report_misfits(
    obj: ElfObject,
    relocs: Relocs,
    row: Reloc,
    lax: str,
    layout: Layout,
    tab: SymTab,
    found: I64,
    values: I64,
    reporter: Reporter,
) -> None:
    """One diagnostic for each symbol that is out of reach: ``found`` are indices of ``relocs``, with their values."""
    symbols, first = np.unique(relocs.symbol[found], return_index=True)
    mask = (1 << obj.bits) - 1
    low, high, align = (row.check.low, row.check.high, row.check.align) if row.check else (0, 0, 1)
    for n, i in enumerate(np.sort(first)[:MOST_SYMBOLS].tolist()):
        symbol, here, value = int(relocs.symbol[found[i]]), int(found[i]), int(values[i])
        name = obj.symbols.name(symbol) or _section_name(obj, symbol)
        notes = places(obj, relocs, found[relocs.symbol[found] == symbol][1:])
        if n == MOST_SYMBOLS - 1 and symbols.size > MOST_SYMBOLS:
            notes += (f"{number(symbols.size - MOST_SYMBOLS, 'more symbol')} out of reach",)
        at = where(obj, relocs, here)
        place = int(layout.section_addr[relocs.section[here]] + relocs.offset[here]) & mask
        target = int(tab.S[symbol]) & mask
        if row.field is None:
            text = f"`{row.name}` is not satisfied: what follows it is {value:,} bytes behind its alignment"
            detail = f"place {place:#010x}"
            advice = "compile with `-mno-relax`"
            reporter.error("reloc-misaligned", text, at=at, detail=(detail,), notes=notes, help=advice)
        elif value % align:
            text = f"`{row.name}` needs a value that is a multiple of {align:,}"
            detail = f"place {place:#010x}, target `{name}` at {target:#010x}: the value is {value:,}"
            reporter.error("reloc-misaligned", text, at=at, detail=(detail,), notes=notes, help=f"align `{name}`")
        elif "P" in row.formula:
            text = f"`{row.name}` cannot reach `{name}`"
            apart = f"{target - place:,} bytes apart, at most {max(-low, high):,}"
            detail = f"place {place:#010x}, target {target:#010x}: {apart}"
            code = "reloc-deviates" if lax else "reloc-out-of-range"
            notes += (lax,) if lax else ()
            reporter.error(code, text, at=at, detail=(detail,), notes=notes, help=cure(row))
        else:
            text = f"`{row.name}` cannot hold `{name}`"
            detail = f"the value is {value:,}, allowed {low:,} to {high - 1:,}"
            reporter.error("reloc-out-of-range", text, at=at, detail=(detail,), notes=notes)


def _lax(arch: Arch, profile: Profile | None, bits: int, row: Reloc, values: Sequence[I64]) -> str:
    """In which way the profile's loader takes values that do not fit, ``""`` if it refuses them as well."""
    theirs = arch.loader_relocs[bits].get(row.code)
    if theirs is None or profile is None or row.code not in profile.deviations.get(arch.name, ()):
        return ""
    refused = theirs.check is not None and theirs.check.misfits(np.concatenate(values)).any()
    return "" if refused else arch.loader_deviations[row.code]


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


def cure(row: Reloc) -> str:
    """What to do about a value that does not fit."""
    return CURES.get(row.name, "place the extension nearer to what it refers to")

"""Which instructions use a word that lies in the code: Thumb's ``LDR Rt, [PC, #imm]``, and calls through Rt.

Compilers put addresses there, for `-mlong-calls` those of all functions. Only instructions have a line of the source.
Source: Armv7-M Architecture Reference Manual (DDI 0403E), A7.7.44 "LDR (literal)", encodings T1 and T2; A7.7.19 "BLX
(register)"; A7.7.20 "BX".
"""

from __future__ import annotations

import numpy as np

from llext_tools.arch.base import instruction_starts
from llext_tools.reloc import I64, Bytes

LITERALS = frozenset({2, 3, 26, 96})
"""ABS32, REL32, GOT_BREL, GOT_PREL."""
FURTHEST = 4096 + 4  # bytes between a load and its word


def users_of(code: Bytes, at: int) -> I64:
    """Offsets of what uses the word at offset ``at``, int64[n], in ascending order.

    For each load this is the first call or jump through its register, before another word is loaded there; else the
    load itself. Data that looks like a load of this word is taken for one.
    """
    first = max(0, at - FURTHEST) & ~1
    halves = code[first : min(at + FURTHEST, code.size) & ~1].view("<u2").astype(np.int64)
    where = first + 2 * np.arange(halves.size)
    starts = instruction_starts(halves >= 0xE800)
    following = np.append(halves[1:], 0)
    narrow = starts & (halves & 0xF800 == 0x4800)
    wide = starts & (halves & 0xFF7F == 0xF85F)
    step = np.where(narrow, (halves & 0xFF) << 2, np.where(halves & 0x80, following & 0xFFF, -(following & 0xFFF)))
    loads = narrow | wide
    register = np.where(narrow, halves >> 8 & 7, following >> 12)
    through = np.where(starts & (halves & 0xFF07 == 0x4700), halves >> 3 & 15, -1)
    found = []
    for i in np.flatnonzero(loads & ((where + 4 & ~3) + step == at)).tolist():
        end = np.flatnonzero(loads[i + 1 :] & (register[i + 1 :] == register[i]))
        calls = np.flatnonzero(through[i + 1 : i + 1 + int(end[0]) if end.size else None] == register[i])
        found.append(int(where[i + 1 + calls[0] if calls.size else i]))
    return np.array(sorted(set(found)), np.int64)

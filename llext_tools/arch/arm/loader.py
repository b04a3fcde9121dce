"""Arm relocations as Zephyr's loader carries them out.  Source: Zephyr, ``arch/arm/core/elf.c``, 2026.

The letters are those of ``relocs.py`` but for S: it is the address as the loader has it, *with* the Thumb bit, and no
formula has a T. A is what the place holds, as an int32 all values are computed and compared. An entry out of range
leaves its place as it is. A branch keeps its instruction: no BL becomes BLX, whatever its target is.
"""

from __future__ import annotations

from llext_tools.arch.arm.relocs import B26, MOVT, MOVW, THM_B25, THM_MOVT, THM_MOVW, WORD, WORD31
from llext_tools.bits import sext
from llext_tools.reloc import I64, Batch, Range, Reloc


def nothing(b: Batch) -> I64:
    return b.S


def target(b: Batch) -> I64:
    return sext(b.S, 32)


def absolute(b: Batch) -> I64:
    return sext(b.S + b.A, 32)


def relative(b: Batch) -> I64:
    return sext(b.S + b.A - b.P, 32)


def mov_pc(b: Batch) -> I64:
    """``mov pc, Rm`` with the condition (31-28) and the Rm (3-0) of the instruction that is there."""
    return b.A & 0xF000_000F | 0x01A0_F000


def between(limit: int) -> Range:
    """Both limits are out of range."""
    return Range(1 - limit, limit)


WITH_S = MOVW.mask | 1 << 20  # of MOVW and MOVT the loader also clears the bit that flag-setting instructions have
MOVW_S, MOVT_S = MOVW._replace(mask=WITH_S), MOVT._replace(mask=WITH_S)
REACH, THM_REACH = between(1 << 25), between(1 << 24)

RELOCS = (
    #     code name                      formula       value     field     check
    Reloc(0,   "R_ARM_NONE",             "",           nothing,  None,     None),
    Reloc(40,  "R_ARM_V4BX",             "A & 0xf000000f | 0x01a0f000", mov_pc, WORD, None),
    # data
    Reloc(2,   "R_ARM_ABS32",            "S + A",      absolute, WORD,     None),
    Reloc(38,  "R_ARM_TARGET1",          "S + A",      absolute, WORD,     None),
    Reloc(108, "R_ARM_TLS_LE32",         "S + A",      absolute, WORD,     None),  # S: st_value
    Reloc(3,   "R_ARM_REL32",            "S + A - P",  relative, WORD,     None),
    Reloc(42,  "R_ARM_PREL31",           "S + A - P",  relative, WORD31,   Range(-1 << 30, 1 << 30)),
    Reloc(21,  "R_ARM_GLOB_DAT",         "S",          target,   WORD,     None),
    Reloc(22,  "R_ARM_JUMP_SLOT",        "S",          target,   WORD,     None),
    Reloc(23,  "R_ARM_RELATIVE",         "S",          target,   WORD,     None),  # S: where A is mapped to
    # A32
    Reloc(1,   "R_ARM_PC24",             "S + A - P",  relative, B26,      REACH),
    Reloc(28,  "R_ARM_CALL",             "S + A - P",  relative, B26,      REACH),
    Reloc(29,  "R_ARM_JUMP24",           "S + A - P",  relative, B26,      REACH),
    Reloc(43,  "R_ARM_MOVW_ABS_NC",      "S + A",      absolute, MOVW_S,   None),
    Reloc(44,  "R_ARM_MOVT_ABS",         "S + A",      absolute, MOVT_S,   None),
    Reloc(45,  "R_ARM_MOVW_PREL_NC",     "S + A - P",  relative, MOVW_S,   None),
    Reloc(46,  "R_ARM_MOVT_PREL",        "S + A - P",  relative, MOVT_S,   None),
    # Thumb
    Reloc(10,  "R_ARM_THM_CALL",         "S + A - P",  relative, THM_B25,  THM_REACH),
    Reloc(30,  "R_ARM_THM_JUMP24",       "S + A - P",  relative, THM_B25,  THM_REACH),
    Reloc(47,  "R_ARM_THM_MOVW_ABS_NC",  "S + A",      absolute, THM_MOVW, None),
    Reloc(48,  "R_ARM_THM_MOVT_ABS",     "S + A",      absolute, THM_MOVT, None),
    Reloc(49,  "R_ARM_THM_MOVW_PREL_NC", "S + A - P",  relative, THM_MOVW, None),
    Reloc(50,  "R_ARM_THM_MOVT_PREL",    "S + A - P",  relative, THM_MOVT, None),
)  # fmt: skip

THUMB_BIT = "the loader adds the Thumb bit, the ABI ors it in: `f + 1` of a Thumb function `f` becomes the even `f + 2`"
THUMB_LIMIT = "the loader refuses a distance of exactly -16,777,216 bytes, which the instruction can hold"
A32_BRANCH = (
    "the loader refuses a distance of exactly -33,554,432 bytes, which the instruction can hold, and drops the two low"
    " bits of any other: a branch to Thumb code stays in A32 state"
)
DYNAMIC = "the loader takes this dynamic relocation in a relocatable object too"

DEVIATIONS: dict[int, str] = {
    1: A32_BRANCH,
    2: THUMB_BIT,
    3: THUMB_BIT,
    10: THUMB_LIMIT,
    21: f"{DYNAMIC}, and does not add the addend",
    22: f"{DYNAMIC}, and does not add the addend",
    23: DYNAMIC,
    28: A32_BRANCH,
    29: A32_BRANCH,
    30: THUMB_LIMIT,
    38: THUMB_BIT,
    40: "the loader rewrites `bx Rm` as `mov pc, Rm`, which before ARMv7 does not change to Thumb state",
    42: THUMB_BIT,
    43: THUMB_BIT,
    44: THUMB_BIT,
    45: THUMB_BIT,
    46: THUMB_BIT,
    47: THUMB_BIT,
    48: THUMB_BIT,
    49: THUMB_BIT,
    50: THUMB_BIT,
    108: "the loader does not add the 8 bytes of the thread control block: the variable is sought 8 bytes too low",
}

"""Arm relocations, A32 and Thumb.  Source: aaelf32 (2024Q3), "Relocation types" and the tables of places after it.

S is a symbol's address without bit 0; T is that bit, 1 for a Thumb function. An object has REL entries: the addend is
what the place holds, read by ``Field.decode`` as "Addends and PC-bias compensation" prescribes. A Thumb instruction of
32 bits is two halfwords; its word here has the first halfword on top, as the Arm ARM draws it.

Every row is a *static* relocation of the ABI. What asks the linker for a GOT or for a dynamic TLS model is absent, see
``NO_HELP``. Branch offsets may have bit 0 set: it is T, or an odd address in a table of exports; no field stores it.
Values are numbers modulo 2**32: what is 0xFFFF_FFF0 bytes ahead is 16 bytes behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llext_tools.bits import sext
from llext_tools.reloc import I64, Batch, Field, Range, Reloc

TCB = 8  # bytes between the thread pointer and the TLS block; addenda32, "Thread local storage"


# The values of the formulas. "func" forms carry T, "data" forms do not.


def nothing(b: Batch) -> I64:
    return b.S


def abs_func(b: Batch) -> I64:
    return b.S + b.A | b.T


def abs_data(b: Batch) -> I64:
    return b.S + b.A


def pc_func(b: Batch) -> I64:
    return (b.S + b.A | b.T) - b.P


def pc_data(b: Batch) -> I64:
    return b.S + b.A - b.P


def pa_func(b: Batch) -> I64:
    return (b.S + b.A | b.T) - (b.P & ~3)


def pa_data(b: Batch) -> I64:
    return b.S + b.A - (b.P & ~3)


def sb_func(b: Batch) -> I64:
    return (b.S + b.A | b.T) - b.B


def sb_data(b: Batch) -> I64:
    return b.S + b.A - b.B


def tp_data(b: Batch) -> I64:
    return b.S + b.A - b.TP


def tls_data(b: Batch) -> I64:
    return b.S + b.A - (b.TP + TCB)


# The places. Data first.

SIGN = 0x8000_0000


def number(unit: str, width: int) -> Field:
    """The low ``width`` bits of a datum. A REL addend is sign-extended."""
    return Field(unit, mask=(1 << width) - 1, encode=lambda x: x, decode=lambda w: sext(w, width))


WORD = number("<u4", 32)
WORD31 = number("<u4", 31)
HALF = number("<u2", 16)
BYTE = number("<u1", 8)


# A32 instructions.


def encode_mov(x: I64) -> I64:
    """MOVW and MOVT: imm4:imm12 at 19-16 and 11-0."""
    return (x & 0xF000) << 4 | x & 0x0FFF


def decode_mov(w: I64) -> I64:
    return sext(w >> 4 & 0xF000 | w & 0x0FFF, 16)


def offset12(groups: int = 0) -> Field:
    """LDR, STR, LDRB, STRB: U at 23, imm12 at 11-0, which is |x| after so many groups of an ADD or SUB before it."""
    return Field(
        "<u4",
        mask=0x0080_0FFF,
        encode=lambda x: up(x) | rest(x, groups) & 0xFFF,
        decode=lambda w: signed_by_up(w, w & 0xFFF),
    )


def offset8(groups: int = 0) -> Field:
    """LDRH, LDRSB, LDRSH, LDRD, STRH, STRD: U at 23, imm4H at 11-8, imm4L at 3-0."""

    def encode(x: I64) -> I64:
        y = rest(x, groups)
        return up(x) | (y & 0xF0) << 4 | y & 0x0F

    return Field("<u4", 0x0080_0F0F, encode, decode=lambda w: signed_by_up(w, w >> 4 & 0xF0 | w & 0x0F))


def offset8x4(groups: int = 0) -> Field:
    """LDC, STC, VLDR, VSTR: U at 23, imm8 at 7-0, in words."""
    return Field(
        "<u4",
        mask=0x0080_00FF,
        encode=lambda x: up(x) | rest(x, groups) >> 2 & 0xFF,
        decode=lambda w: signed_by_up(w, (w & 0xFF) << 2),
    )


def add_sub(groups: int) -> Field:
    """ADD or SUB, immediate: opcode at 24-21 (ADD 0100, SUB 0010), rotation at 11-8, imm8 at 7-0.

    The value of the place is imm8 rotated right by twice the rotation. x decides which of the two instructions it is.
    """

    def encode(x: I64) -> I64:
        y = rest(x, groups)
        low = group_position(y)
        opcode: I64 = np.where(x & SIGN, 0x0040_0000, 0x0080_0000)
        return opcode | (32 - low >> 1 & 15) << 8 | y >> low & 0xFF

    def decode(w: I64) -> I64:
        right = (w >> 8 & 15) * 2
        imm8 = w & 0xFF
        value = (imm8 >> right | imm8 << 32 - right) & 0xFFFF_FFFF
        return np.where(w & 0x0040_0000, -value, value)

    return Field("<u4", 0x00C0_0FFF, encode, decode)


def group_position(y: I64) -> I64:
    """Where the next group of y >= 0 starts: an even bit, so that the 8 bits from there hold y's highest one."""
    length: I64 = np.frexp(y)[1].astype(np.int64)  # exact below 2**53
    low: I64 = np.maximum((length + 1 & ~1) - 8, 0)
    return low


def rest(x: I64, groups: int) -> I64:
    """What is left of |x| after its first ``groups`` groups of 8 bits. Source: aaelf32, "Group relocations"."""
    y: I64 = np.abs(sext(x, 32))
    for _ in range(groups):
        y = y & ~(0xFF << group_position(y))
    return y


def up(x: I64) -> I64:
    """Bit 23, U: the offset is added."""
    return np.where(x & SIGN, 0, 0x0080_0000)


def signed_by_up(w: I64, offset: I64) -> I64:
    return np.where(w & 0x0080_0000, offset, -offset)


B26 = Field("<u4", 0x00FF_FFFF, encode=lambda x: x >> 2, decode=lambda w: sext(w, 24) << 2)
MOVW = Field("<u4", 0x000F_0FFF, encode_mov, decode_mov)
MOVT = Field("<u4", 0x000F_0FFF, encode=lambda x: encode_mov(x >> 16), decode=decode_mov)


# Thumb instructions of 16 bits.


def encode_cbz(x: I64) -> I64:
    """CBZ, CBNZ: i at 9, imm5 at 7-3; the offset is i:imm5:0."""
    return (x & 0x40) << 3 | (x & 0x3E) << 2


def decode_cbz(w: I64) -> I64:
    """The offset can only be forward, but an addend is -4 as a rule: 124 and 126 stand for -4 and -2."""
    return (((w & 0x200) >> 3 | (w & 0xF8) >> 2) + 4 & 0x7F) - 4


def thm_alu(group: int) -> Field:
    """MOVS or ADDS, imm8 at 7-0: byte ``group`` of x."""
    return Field("<u2", 0x00FF, encode=lambda x: x >> 8 * group, decode=lambda w: w & 0xFF)


THM_B9 = Field("<u2", 0x00FF, encode=lambda x: x >> 1, decode=lambda w: sext(w, 8) << 1)
THM_B12 = Field("<u2", 0x07FF, encode=lambda x: x >> 1, decode=lambda w: sext(w, 11) << 1)
THM_CBZ = Field("<u2", 0x02F8, encode_cbz, decode_cbz)
THM_LDR5 = Field("<u2", 0x07C0, encode=lambda x: x << 4, decode=lambda w: w >> 4 & 0x7C)
THM_LDR8 = Field("<u2", 0x00FF, encode=lambda x: x >> 2, decode=lambda w: (((w & 0xFF) << 2) + 4 & 0x3FF) - 4)


# Thumb instructions of 32 bits.


def encode_b25(x: I64) -> I64:
    """BL, B.W: S at 26, imm10 at 25-16, J1 at 13, J2 at 11, imm11 at 10-0; the offset is S:I1:I2:imm10:imm11:0.

    J1 is not (I1 xor S), J2 is not (I2 xor S). Calls are most of what an object holds: hence the few operations.
    """
    s = x & 0x100_0000
    j = x ^ ~(-s >> 2)  # -s >> 2 has S in bit 22 and in all above
    return s << 2 | (x & 0x3F_F000) << 4 | (j & 0x80_0000) >> 10 | (j & 0x40_0000) >> 11 | (x & 0xFFE) >> 1


def decode_b25(w: I64) -> I64:
    """The sign is not only in the bits above, it also turns J1 and J2 into I1 and I2."""
    sign = -(w & 0x400_0000) >> 4
    i = (w & 0x2000) << 10 | (w & 0x0800) << 11
    return sign ^ i ^ 0xC0_0000 | (w & 0x3FF_0000) >> 4 | (w & 0x7FF) << 1


def encode_b21(x: I64) -> I64:
    """B<cond>.W: S at 26, imm6 at 21-16, J1 at 13, J2 at 11, imm11 at 10-0; the offset is S:J2:J1:imm6:imm11:0."""
    return (x & 0x10_0000) << 6 | (x & 0x3_F000) << 4 | (x & 0xFFE) >> 1 | (x & 0x4_0000) >> 5 | (x & 0x8_0000) >> 8


def decode_b21(w: I64) -> I64:
    low = (w & 0x3F_0000) >> 4 | (w & 0x7FF) << 1
    return sext((w & 0x400_0000) >> 6 | (w & 0x800) << 8 | (w & 0x2000) << 5 | low, 21)


def encode_thm_mov(x: I64) -> I64:
    """MOVW and MOVT: i at 26, imm4 at 19-16, imm3 at 14-12, imm8 at 7-0; the value is imm4:i:imm3:imm8."""
    return (x & 0xF700) << 4 | (x & 0x0800) << 15 | x & 0xFF


def decode_thm_mov(w: I64) -> I64:
    return sext(w >> 4 & 0xF700 | w >> 15 & 0x0800 | w & 0xFF, 16)


def encode_adr(x: I64) -> I64:
    """ADR.W: i at 26, 23-20 are 1010 where |x| is subtracted and else 0000, imm3 at 14-12, imm8 at 7-0."""
    y: I64 = np.abs(sext(x, 32))
    return (y & 0x800) << 15 | (y & 0x700) << 4 | y & 0xFF | np.where(x & SIGN, 0xA0_0000, 0)


def decode_adr(w: I64) -> I64:
    y = w >> 15 & 0x800 | w >> 4 & 0x700 | w & 0xFF
    return np.where(w & 0xF0_0000, -y, y)


def branch_future(width: int) -> Field:
    """BF, BFX, BFL, BFCSEL: immA from 16 up, immC at 11, immB at 10-1; the offset is immA:immB:immC:0."""
    high = (1 << width) - 0x1000
    return Field(
        "<u2",
        mask=high << 4 | 0xFFE,
        encode=lambda x: (x & high) << 4 | (x & 2) << 10 | (x & 0xFFC) >> 1,
        decode=lambda w: sext(w >> 4 & high | w >> 10 & 2 | (w & 0x7FE) << 1, width),
        units=2,
    )


THM_B25 = Field("<u2", 0x07FF_2FFF, encode_b25, decode_b25, units=2)
THM_B21 = Field("<u2", 0x043F_2FFF, encode_b21, decode_b21, units=2)
THM_MOVW = Field("<u2", 0x040F_70FF, encode_thm_mov, decode_thm_mov, units=2)
THM_MOVT = Field("<u2", 0x040F_70FF, lambda x: encode_thm_mov(x >> 16), decode_thm_mov, units=2)
THM_ADR = Field("<u2", 0x04F0_70FF, encode_adr, decode_adr, units=2)
THM_LDR12 = Field("<u2", 0x0080_0FFF, offset12().encode, offset12().decode, units=2)


# The ranges.


@dataclass(frozen=True, slots=True)
class Rest(Range):
    """What is left of |x| after ``groups`` groups is below ``limit`` and a multiple of ``align``."""

    groups: int = 0
    limit: int = 1

    def misfits(self, x: I64) -> NDArray[np.bool_]:
        left = rest(x, self.groups)
        bad: NDArray[np.bool_] = (left >= self.limit) | (left & (self.align - 1) != 0)
        return bad


def groups(count: int, limit: int = 1, align: int = 1) -> Range:
    return Rest(-1 << 31, 1 << 31, align, 32, count, limit)


def within(width: int, align: int = 1) -> Range:
    """Signed numbers of ``width`` bits."""
    return Range(-1 << width - 1, 1 << width - 1, align, 32)


def up_to(high: int, low: int = 0, align: int = 1) -> Range:
    return Range(low, high, align, 32)


U12 = up_to(1 << 12, -0xFFF)
U8 = up_to(1 << 8, -0xFF)
U8X4 = up_to(1 << 10, -0x3FC, 4)


RELOCS = (
    #     code name                       formula                value     field         check
    Reloc(0,   "R_ARM_NONE",              "",                    nothing,  None,         None),
    Reloc(40,  "R_ARM_V4BX",              "",                    nothing,  None,         None),  # BX stays: no ARMv4
    # data
    Reloc(2,   "R_ARM_ABS32",             "(S + A) | T",         abs_func, WORD,         None),
    Reloc(3,   "R_ARM_REL32",             "((S + A) | T) - P",   pc_func,  WORD,         None),
    Reloc(5,   "R_ARM_ABS16",             "S + A",               abs_data, HALF,         up_to(1 << 16, -1 << 15)),
    Reloc(8,   "R_ARM_ABS8",              "S + A",               abs_data, BYTE,         up_to(1 << 8, -1 << 7)),
    Reloc(9,   "R_ARM_SBREL32",           "((S + A) | T) - B(S)", sb_func, WORD,         None),
    Reloc(38,  "R_ARM_TARGET1",           "(S + A) | T",         abs_func, WORD,         None),
    Reloc(41,  "R_ARM_TARGET2",           "((S + A) | T) - P",   pc_func,  WORD,         None),  # bare metal: REL32
    Reloc(42,  "R_ARM_PREL31",            "((S + A) | T) - P",   pc_func,  WORD31,       within(31)),
    Reloc(55,  "R_ARM_ABS32_NOI",         "S + A",               abs_data, WORD,         None),
    Reloc(56,  "R_ARM_REL32_NOI",         "S + A - P",           pc_data,  WORD,         None),
    Reloc(106, "R_ARM_TLS_LDO32",         "S + A - TLS",         tls_data, WORD,         None),
    Reloc(108, "R_ARM_TLS_LE32",          "S + A - tp",          tp_data,  WORD,         None),
    # A32
    Reloc(1,   "R_ARM_PC24",              "((S + A) | T) - P",   pc_func,  B26,          within(26, 4)),
    Reloc(27,  "R_ARM_PLT32",             "((S + A) | T) - P",   pc_func,  B26,          within(26, 4)),
    Reloc(28,  "R_ARM_CALL",              "((S + A) | T) - P",   pc_func,  B26,          within(26, 4)),
    Reloc(29,  "R_ARM_JUMP24",            "((S + A) | T) - P",   pc_func,  B26,          within(26, 4)),
    Reloc(43,  "R_ARM_MOVW_ABS_NC",       "(S + A) | T",         abs_func, MOVW,         None),
    Reloc(44,  "R_ARM_MOVT_ABS",          "S + A",               abs_data, MOVT,         None),
    Reloc(45,  "R_ARM_MOVW_PREL_NC",      "((S + A) | T) - P",   pc_func,  MOVW,         None),
    Reloc(46,  "R_ARM_MOVT_PREL",         "S + A - P",           pc_data,  MOVT,         None),
    Reloc(84,  "R_ARM_MOVW_BREL_NC",      "((S + A) | T) - B(S)", sb_func, MOVW,         None),
    Reloc(85,  "R_ARM_MOVT_BREL",         "S + A - B(S)",        sb_data,  MOVT,         None),
    Reloc(86,  "R_ARM_MOVW_BREL",         "((S + A) | T) - B(S)", sb_func, MOVW,         up_to(1 << 16)),
    Reloc(6,   "R_ARM_ABS12",             "S + A",               abs_data, offset12(),   U12),
    Reloc(109, "R_ARM_TLS_LDO12",         "S + A - TLS",         tls_data, offset12(),   U12),
    Reloc(110, "R_ARM_TLS_LE12",          "S + A - tp",          tp_data,  offset12(),   U12),
    # A32, groups: ADD or SUB for parts of an offset, then a load or store for the rest
    Reloc(57,  "R_ARM_ALU_PC_G0_NC",      "((S + A) | T) - P",   pc_func,  add_sub(0),   None),
    Reloc(58,  "R_ARM_ALU_PC_G0",         "((S + A) | T) - P",   pc_func,  add_sub(0),   groups(1)),
    Reloc(59,  "R_ARM_ALU_PC_G1_NC",      "((S + A) | T) - P",   pc_func,  add_sub(1),   None),
    Reloc(60,  "R_ARM_ALU_PC_G1",         "((S + A) | T) - P",   pc_func,  add_sub(1),   groups(2)),
    Reloc(61,  "R_ARM_ALU_PC_G2",         "((S + A) | T) - P",   pc_func,  add_sub(2),   groups(3)),
    Reloc(4,   "R_ARM_LDR_PC_G0",         "S + A - P",           pc_data,  offset12(),   U12),
    Reloc(62,  "R_ARM_LDR_PC_G1",         "S + A - P",           pc_data,  offset12(1),  groups(1, 1 << 12)),
    Reloc(63,  "R_ARM_LDR_PC_G2",         "S + A - P",           pc_data,  offset12(2),  groups(2, 1 << 12)),
    Reloc(64,  "R_ARM_LDRS_PC_G0",        "S + A - P",           pc_data,  offset8(),    U8),
    Reloc(65,  "R_ARM_LDRS_PC_G1",        "S + A - P",           pc_data,  offset8(1),   groups(1, 1 << 8)),
    Reloc(66,  "R_ARM_LDRS_PC_G2",        "S + A - P",           pc_data,  offset8(2),   groups(2, 1 << 8)),
    Reloc(67,  "R_ARM_LDC_PC_G0",         "S + A - P",           pc_data,  offset8x4(),  U8X4),
    Reloc(68,  "R_ARM_LDC_PC_G1",         "S + A - P",           pc_data,  offset8x4(1), groups(1, 1 << 10, 4)),
    Reloc(69,  "R_ARM_LDC_PC_G2",         "S + A - P",           pc_data,  offset8x4(2), groups(2, 1 << 10, 4)),
    Reloc(70,  "R_ARM_ALU_SB_G0_NC",      "((S + A) | T) - B(S)", sb_func, add_sub(0),   None),
    Reloc(71,  "R_ARM_ALU_SB_G0",         "((S + A) | T) - B(S)", sb_func, add_sub(0),   groups(1)),
    Reloc(72,  "R_ARM_ALU_SB_G1_NC",      "((S + A) | T) - B(S)", sb_func, add_sub(1),   None),
    Reloc(73,  "R_ARM_ALU_SB_G1",         "((S + A) | T) - B(S)", sb_func, add_sub(1),   groups(2)),
    Reloc(74,  "R_ARM_ALU_SB_G2",         "((S + A) | T) - B(S)", sb_func, add_sub(2),   groups(3)),
    Reloc(75,  "R_ARM_LDR_SB_G0",         "S + A - B(S)",        sb_data,  offset12(),   U12),
    Reloc(76,  "R_ARM_LDR_SB_G1",         "S + A - B(S)",        sb_data,  offset12(1),  groups(1, 1 << 12)),
    Reloc(77,  "R_ARM_LDR_SB_G2",         "S + A - B(S)",        sb_data,  offset12(2),  groups(2, 1 << 12)),
    Reloc(78,  "R_ARM_LDRS_SB_G0",        "S + A - B(S)",        sb_data,  offset8(),    U8),
    Reloc(79,  "R_ARM_LDRS_SB_G1",        "S + A - B(S)",        sb_data,  offset8(1),   groups(1, 1 << 8)),
    Reloc(80,  "R_ARM_LDRS_SB_G2",        "S + A - B(S)",        sb_data,  offset8(2),   groups(2, 1 << 8)),
    Reloc(81,  "R_ARM_LDC_SB_G0",         "S + A - B(S)",        sb_data,  offset8x4(),  U8X4),
    Reloc(82,  "R_ARM_LDC_SB_G1",         "S + A - B(S)",        sb_data,  offset8x4(1), groups(1, 1 << 10, 4)),
    Reloc(83,  "R_ARM_LDC_SB_G2",         "S + A - B(S)",        sb_data,  offset8x4(2), groups(2, 1 << 10, 4)),
    # Thumb, 16 bits
    Reloc(7,   "R_ARM_THM_ABS5",          "S + A",               abs_data, THM_LDR5,     up_to(1 << 7, align=4)),
    Reloc(11,  "R_ARM_THM_PC8",           "S + A - Pa",          pa_data,  THM_LDR8,     up_to(1 << 10, align=4)),
    Reloc(52,  "R_ARM_THM_JUMP6",         "S + A - P",           pc_data,  THM_CBZ,      up_to(1 << 7)),
    Reloc(102, "R_ARM_THM_JUMP11",        "S + A - P",           pc_data,  THM_B12,      within(12)),
    Reloc(103, "R_ARM_THM_JUMP8",         "S + A - P",           pc_data,  THM_B9,       within(9)),
    Reloc(132, "R_ARM_THM_ALU_ABS_G0_NC", "(S + A) | T",         abs_func, thm_alu(0),   None),
    Reloc(133, "R_ARM_THM_ALU_ABS_G1_NC", "S + A",               abs_data, thm_alu(1),   None),
    Reloc(134, "R_ARM_THM_ALU_ABS_G2_NC", "S + A",               abs_data, thm_alu(2),   None),
    Reloc(135, "R_ARM_THM_ALU_ABS_G3",    "S + A",               abs_data, thm_alu(3),   None),
    # Thumb, 32 bits
    Reloc(10,  "R_ARM_THM_CALL",          "((S + A) | T) - P",   pc_func,  THM_B25,      within(25)),
    Reloc(30,  "R_ARM_THM_JUMP24",        "((S + A) | T) - P",   pc_func,  THM_B25,      within(25)),
    Reloc(51,  "R_ARM_THM_JUMP19",        "((S + A) | T) - P",   pc_func,  THM_B21,      within(21)),
    Reloc(47,  "R_ARM_THM_MOVW_ABS_NC",   "(S + A) | T",         abs_func, THM_MOVW,     None),
    Reloc(48,  "R_ARM_THM_MOVT_ABS",      "S + A",               abs_data, THM_MOVT,     None),
    Reloc(49,  "R_ARM_THM_MOVW_PREL_NC",  "((S + A) | T) - P",   pc_func,  THM_MOVW,     None),
    Reloc(50,  "R_ARM_THM_MOVT_PREL",     "S + A - P",           pc_data,  THM_MOVT,     None),
    Reloc(87,  "R_ARM_THM_MOVW_BREL_NC",  "((S + A) | T) - B(S)", sb_func, THM_MOVW,     None),
    Reloc(88,  "R_ARM_THM_MOVT_BREL",     "S + A - B(S)",        sb_data,  THM_MOVT,     None),
    Reloc(89,  "R_ARM_THM_MOVW_BREL",     "((S + A) | T) - B(S)", sb_func, THM_MOVW,     up_to(1 << 16)),
    Reloc(53,  "R_ARM_THM_ALU_PREL_11_0", "((S + A) | T) - Pa",  pa_func,  THM_ADR,      U12),
    Reloc(54,  "R_ARM_THM_PC12",          "S + A - Pa",          pa_data,  THM_LDR12,    U12),
    Reloc(136, "R_ARM_THM_BF16",          "((S + A) | T) - P",   pc_func,  branch_future(17), within(17)),
    Reloc(137, "R_ARM_THM_BF12",          "((S + A) | T) - P",   pc_func,  branch_future(13), within(13)),
    Reloc(138, "R_ARM_THM_BF18",          "((S + A) | T) - P",   pc_func,  branch_future(19), within(19)),
)  # fmt: skip

BRANCHES = frozenset({10, 30, 51})
"""THM_CALL, THM_JUMP24, THM_JUMP19: BL, B.W and the conditional B.W, which reach another section."""
A32_BRANCHES = frozenset({1, 27, 28, 29})
"""PC24, PLT32, CALL, JUMP24."""
POINTERS = frozenset({2, 38, 47})
"""ABS32, TARGET1, THM_MOVW_ABS_NC."""

PIC = "compile the extension with `-fno-pic`"
STATIC_TLS = "compile the extension with `-fno-pic -ftls-model=local-exec`"
PARTIAL = "link the extension with `-r`, not with `-shared`"

WORDS = "keep addresses in words: `.word` and not `.hword` or `.byte`"
BASE = "compile the extension without `-msingle-pic-base`, `-frwpi` and `-fropi`: the loader sets no base register"
BRANCH = "branch around a long jump to another section: `bne 1f`, `b.w target`, `1:` in place of `beq.w target`"
LITERAL = "load the value from the code's own section: `ldr r0, =value`"
PURE = "compile the extension without `-mpure-code` or `-mexecute-only`"

REFUSED_HELP: dict[int, str] = {
    5: WORDS,
    8: WORDS,
    9: BASE,
    11: LITERAL,
    41: "compile the extension with `-fno-exceptions -fno-rtti`",
    51: BRANCH,
    54: LITERAL,
    84: BASE,
    85: BASE,
    86: BASE,
    87: BASE,
    88: BASE,
    89: BASE,
    102: BRANCH,
    103: BRANCH,
    132: PURE,
    133: PURE,
    134: PURE,
    135: PURE,
}
"""What to do about those that `llext link` applies and Zephyr's loaders do not."""

NO_HELP: dict[int, tuple[str, str]] = {
    20: ("R_ARM_COPY", PARTIAL),
    21: ("R_ARM_GLOB_DAT", PARTIAL),
    22: ("R_ARM_JUMP_SLOT", PARTIAL),
    23: ("R_ARM_RELATIVE", PARTIAL),
    24: ("R_ARM_GOTOFF32", PIC),
    25: ("R_ARM_BASE_PREL", PIC),
    26: ("R_ARM_GOT_BREL", PIC),
    90: ("R_ARM_TLS_GOTDESC", STATIC_TLS),
    91: ("R_ARM_TLS_CALL", STATIC_TLS),
    92: ("R_ARM_TLS_DESCSEQ", STATIC_TLS),
    93: ("R_ARM_THM_TLS_CALL", STATIC_TLS),
    95: ("R_ARM_GOT_ABS", PIC),
    96: ("R_ARM_GOT_PREL", PIC),
    97: ("R_ARM_GOT_BREL12", PIC),
    98: ("R_ARM_GOTOFF12", PIC),
    100: ("R_ARM_GNU_VTENTRY", "compile the extension without `-fvtable-gc`"),
    101: ("R_ARM_GNU_VTINHERIT", "compile the extension without `-fvtable-gc`"),
    104: ("R_ARM_TLS_GD32", STATIC_TLS),
    105: ("R_ARM_TLS_LDM32", STATIC_TLS),
    107: ("R_ARM_TLS_IE32", STATIC_TLS),
    111: ("R_ARM_TLS_IE12GP", STATIC_TLS),
    129: ("R_ARM_THM_TLS_DESCSEQ16", STATIC_TLS),
    130: ("R_ARM_THM_TLS_DESCSEQ32", STATIC_TLS),
    131: ("R_ARM_THM_GOT_BREL12", PIC),
    160: ("R_ARM_IRELATIVE", "write the function without `__attribute__((ifunc))`"),
}

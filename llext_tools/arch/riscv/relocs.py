"""RISC-V relocations, RV32 and RV64.  Source: RISC-V psABI 1.0, "Relocations"; the ISA manual for instructions.

An object has RELA entries. Several may stand at one place: ADD and SUB accumulate what SET or the object left there,
and RELAX goes with almost everything (we do not relax, so it writes nothing). A 32-bit value is made of two signed
parts, LUI or AUIPC with bits 31-12 and then an instruction with bits 11-0; as the low part is signed, the high one is
rounded: (x + 0x800) >> 12.

PCREL_LO12 names the label of its AUIPC: S, A and P of these rows are those of the PCREL_HI20 found there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llext_tools.bits import sext
from llext_tools.reloc import I64, Batch, Field, Range, Reloc


def nothing(b: Batch) -> I64:
    return b.S


def absolute(b: Batch) -> I64:
    return b.S + b.A


def relative(b: Batch) -> I64:
    return b.S + b.A - b.P


def tp_relative(b: Batch) -> I64:
    return b.S + b.A - b.TP


def added(b: Batch) -> I64:
    return b.V + b.S + b.A


def subtracted(b: Batch) -> I64:
    return b.V - b.S - b.A


def misalignment(b: Batch) -> I64:
    """How far the end of the padding is beyond a multiple of N, the smallest power of two above A."""
    n: I64 = np.int64(1) << np.frexp(b.A)[1].astype(np.int64)
    return b.P + b.A & n - 1


# The places. Data first.


def same(x: I64) -> I64:
    return x


def number(unit: str, width: int) -> Field:
    """The low ``width`` bits of a datum."""
    return Field(unit, mask=sext((1 << width) - 1, 64), encode=same, decode=same)


# Instructions. The docstrings give the bits of the offset or value, from the highest bit of the word down.


def encode_u(x: I64) -> I64:
    """LUI, AUIPC: 31-12 hold bits 31-12, rounded for the signed part that follows."""
    return x + 0x800


def decode_u(w: I64) -> I64:
    return sext(w & 0xFFFF_F000, 32)


def encode_i(x: I64) -> I64:
    """Loads, ADDI, JALR: 31-20 hold bits 11-0."""
    return (x & 0xFFF) << 20


def decode_i(w: I64) -> I64:
    return sext(w >> 20, 12)


def encode_s(x: I64) -> I64:
    """Stores: 31-25 hold bits 11-5, 11-7 hold bits 4-0."""
    return (x & 0xFE0) << 20 | (x & 0x1F) << 7


def decode_s(w: I64) -> I64:
    return sext(w >> 20 & 0xFE0 | w >> 7 & 0x1F, 12)


def encode_b(x: I64) -> I64:
    """BEQ and the like: 31 holds bit 12, 30-25 bits 10-5, 11-8 bits 4-1, 7 bit 11."""
    return (x & 0x1000) << 19 | (x & 0x7E0) << 20 | (x & 0x1E) << 7 | (x & 0x800) >> 4


def decode_b(w: I64) -> I64:
    return sext(w >> 19 & 0x1000 | (w & 0x80) << 4 | w >> 20 & 0x7E0 | w >> 7 & 0x1E, 13)


def encode_j(x: I64) -> I64:
    """JAL: 31 holds bit 20, 30-21 bits 10-1, 20 bit 11, 19-12 bits 19-12."""
    return (x & 0x10_0000) << 11 | (x & 0x7FE) << 20 | (x & 0x800) << 9 | x & 0xF_F000


def decode_j(w: I64) -> I64:
    return sext(w >> 11 & 0x10_0000 | w & 0xF_F000 | w >> 9 & 0x800 | w >> 20 & 0x7FE, 21)


def encode_pair(x: I64) -> I64:
    """AUIPC and JALR as one word, AUIPC on top."""
    return (x + 0x800 & 0xFFFF_F000) << 32 | (x & 0xFFF) << 20


def decode_pair(w: I64) -> I64:
    return decode_u(w >> 32) + decode_i(w)


def encode_cb(x: I64) -> I64:
    """C.BEQZ, C.BNEZ: 12 holds bit 8, 11-10 bits 4-3, 6-5 bits 7-6, 4-3 bits 2-1, 2 bit 5."""
    return (x & 0x100) << 4 | (x & 0x18) << 7 | (x & 0xC0) >> 1 | (x & 0x06) << 2 | (x & 0x20) >> 3


def decode_cb(w: I64) -> I64:
    return sext(w >> 4 & 0x100 | w << 1 & 0xC0 | w << 3 & 0x20 | w >> 7 & 0x18 | w >> 2 & 0x06, 9)


def encode_cj(x: I64) -> I64:
    """C.J, C.JAL: 12 holds bit 11, 11 bit 4, 10-9 bits 9-8, 8 bit 10, 7 bit 6, 6 bit 7, 5-3 bits 3-1, 2 bit 5."""
    return (
        (x & 0x800) << 1
        | (x & 0x010) << 7
        | (x & 0x300) << 1
        | (x & 0x400) >> 2
        | (x & 0x040) << 1
        | (x & 0x080) >> 1
        | (x & 0x00E) << 2
        | (x & 0x020) >> 3
    )


def decode_cj(w: I64) -> I64:
    return sext(
        w >> 1 & 0xB00
        | w << 2 & 0x400
        | w << 1 & 0x080
        | w >> 1 & 0x040
        | w << 3 & 0x020
        | w >> 7 & 0x010
        | w >> 2 & 0x00E,
        12,
    )


def encode_ci(x: I64) -> I64:
    """C.LUI: 15-13 are 011, 12 holds bit 17, 6-2 bits 16-12, rounded.

    C.LUI cannot load 0: the place then becomes C.LI (010), as in the linkers of GNU and LLVM.
    """
    high = x + 0x800 >> 12 & 0x3F
    code: I64 = np.where(high == 0, 0x4000, 0x6000)
    return code | (high & 0x20) << 7 | (high & 0x1F) << 2


def decode_ci(w: I64) -> I64:
    return sext(w >> 7 & 0x20 | w >> 2 & 0x1F, 6) << 12


BYTE6 = number("<u1", 6)
BYTE = number("<u1", 8)
HALF = number("<u2", 16)
WORD = number("<u4", 32)
DOUBLE = number("<u8", 64)
ULEB128 = number("uleb128", 64)
U = Field("<u4", 0xFFFF_F000, encode_u, decode_u)
I = Field("<u4", 0xFFF0_0000, encode_i, decode_i)  # noqa: E741
S = Field("<u4", 0xFE00_0F80, encode_s, decode_s)
B = Field("<u4", 0xFE00_0F80, encode_b, decode_b)
J = Field("<u4", 0xFFFF_F000, encode_j, decode_j)
U_I = Field("<u4", sext(0xFFFF_F000_FFF0_0000, 64), encode_pair, decode_pair, units=2)
CB = Field("<u2", 0x1C7C, encode_cb, decode_cb)
CJ = Field("<u2", 0x1FFC, encode_cj, decode_cj)
CI = Field("<u2", 0xF07C, encode_ci, decode_ci)


# The ranges.


def within(width: int) -> Range:
    """Even signed numbers of ``width`` bits: an instruction is never at an odd address."""
    return Range(-1 << width - 1, 1 << width - 1, 2)


REACH = Range((-1 << 31) - 0x800, (1 << 31) - 0x800)  # of LUI or AUIPC with the signed 12 bits after it
ADDRESS = Range(-1 << 31, 1 << 32)  # signed or unsigned
OFFSET = Range(-1 << 31, 1 << 31)
REACH6 = Range((-1 << 17) - 0x800, (1 << 17) - 0x800)
ALIGNED = Range(0, 1)

HI20_PC = 23

RELOCS = (
    #     code name                    formula      value         field    check
    Reloc(0,  "R_RISCV_NONE",          "",          nothing,      None,    None),
    Reloc(51, "R_RISCV_RELAX",         "",          nothing,      None,    None),
    Reloc(43, "R_RISCV_ALIGN",         "(P + A) % N", misalignment, None,  ALIGNED),
    # absolute addresses
    Reloc(1,  "R_RISCV_32",            "S + A",     absolute,     WORD,    ADDRESS),
    Reloc(2,  "R_RISCV_64",            "S + A",     absolute,     DOUBLE,  None),
    Reloc(26, "R_RISCV_HI20",          "S + A",     absolute,     U,       REACH),
    Reloc(27, "R_RISCV_LO12_I",        "S + A",     absolute,     I,       None),
    Reloc(28, "R_RISCV_LO12_S",        "S + A",     absolute,     S,       None),
    Reloc(46, "R_RISCV_RVC_LUI",       "S + A",     absolute,     CI,      REACH6),
    # relative to the place
    Reloc(16, "R_RISCV_BRANCH",        "S + A - P", relative,     B,       within(13)),
    Reloc(17, "R_RISCV_JAL",           "S + A - P", relative,     J,       within(21)),
    Reloc(18, "R_RISCV_CALL",          "S + A - P", relative,     U_I,     REACH),
    Reloc(19, "R_RISCV_CALL_PLT",      "S + A - P", relative,     U_I,     REACH),
    Reloc(23, "R_RISCV_PCREL_HI20",    "S + A - P", relative,     U,       REACH),
    Reloc(24, "R_RISCV_PCREL_LO12_I",  "S + A - P", relative,     I,       None, pairs_with=(HI20_PC,)),
    Reloc(25, "R_RISCV_PCREL_LO12_S",  "S + A - P", relative,     S,       None, pairs_with=(HI20_PC,)),
    Reloc(44, "R_RISCV_RVC_BRANCH",    "S + A - P", relative,     CB,      within(9)),
    Reloc(45, "R_RISCV_RVC_JUMP",      "S + A - P", relative,     CJ,      within(12)),
    Reloc(57, "R_RISCV_32_PCREL",      "S + A - P", relative,     WORD,    OFFSET),
    Reloc(59, "R_RISCV_PLT32",         "S + A - P", relative,     WORD,    OFFSET),
    # relative to the thread pointer
    Reloc(29, "R_RISCV_TPREL_HI20",    "S + A - TP", tp_relative, U,       REACH),
    Reloc(30, "R_RISCV_TPREL_LO12_I",  "S + A - TP", tp_relative, I,       None),
    Reloc(31, "R_RISCV_TPREL_LO12_S",  "S + A - TP", tp_relative, S,       None),
    Reloc(32, "R_RISCV_TPREL_ADD",     "",          nothing,      None,    None),
    # differences of labels
    Reloc(53, "R_RISCV_SET6",          "S + A",     absolute,     BYTE6,   None),
    Reloc(54, "R_RISCV_SET8",          "S + A",     absolute,     BYTE,    None),
    Reloc(55, "R_RISCV_SET16",         "S + A",     absolute,     HALF,    None),
    Reloc(56, "R_RISCV_SET32",         "S + A",     absolute,     WORD,    None),
    Reloc(60, "R_RISCV_SET_ULEB128",   "S + A",     absolute,     ULEB128, None),
    Reloc(33, "R_RISCV_ADD8",          "V + S + A", added,        BYTE,    None, "add"),
    Reloc(34, "R_RISCV_ADD16",         "V + S + A", added,        HALF,    None, "add"),
    Reloc(35, "R_RISCV_ADD32",         "V + S + A", added,        WORD,    None, "add"),
    Reloc(36, "R_RISCV_ADD64",         "V + S + A", added,        DOUBLE,  None, "add"),
    Reloc(52, "R_RISCV_SUB6",          "V - S - A", subtracted,   BYTE6,   None, "add"),
    Reloc(37, "R_RISCV_SUB8",          "V - S - A", subtracted,   BYTE,    None, "add"),
    Reloc(38, "R_RISCV_SUB16",         "V - S - A", subtracted,   HALF,    None, "add"),
    Reloc(39, "R_RISCV_SUB32",         "V - S - A", subtracted,   WORD,    None, "add"),
    Reloc(40, "R_RISCV_SUB64",         "V - S - A", subtracted,   DOUBLE,  None, "add"),
    Reloc(61, "R_RISCV_SUB_ULEB128",   "V - S - A", subtracted,   ULEB128, None, "add"),
)  # fmt: skip


def modulo_2_32(row: Reloc) -> Reloc:
    """The row for RV32, where addresses and offsets are numbers modulo 2**32: LUI and AUIPC reach everything."""
    return row._replace(check=replace(row.check, bits=32)) if row.check else row


PIC = "compile the extension with `-fno-pic`; with clang also `-mcmodel=medlow` if it refers to weak symbols"
STATIC_TLS = "compile the extension with `-fno-pic -ftls-model=local-exec`"
PARTIAL = "link the extension with `-r`, not with `-shared`"
NO_RELAX = "link the extension with `-r` and without relaxation (`-mno-relax`)"

ORDINARY = "make the thread-local variable an ordinary one: the loader knows no thread-local storage on RISC-V"
TABLES = "compile the extension with `-fno-exceptions`: such numbers are in tables for unwinding"

REFUSED_HELP: dict[int, str] = {
    29: ORDINARY,
    30: ORDINARY,
    31: ORDINARY,
    32: ORDINARY,
    43: "compile and assemble with `-mno-relax`: the linker was to take bytes out here, the loader cannot",
    60: TABLES,
    61: TABLES,
}
"""What to do about those that `llext link` applies and Zephyr's loaders do not."""

NO_HELP: dict[int, tuple[str, str]] = {
    3: ("R_RISCV_RELATIVE", PARTIAL),
    4: ("R_RISCV_COPY", PARTIAL),
    5: ("R_RISCV_JUMP_SLOT", PARTIAL),
    6: ("R_RISCV_TLS_DTPMOD32", PARTIAL),
    7: ("R_RISCV_TLS_DTPMOD64", PARTIAL),
    8: ("R_RISCV_TLS_DTPREL32", PARTIAL),
    9: ("R_RISCV_TLS_DTPREL64", PARTIAL),
    10: ("R_RISCV_TLS_TPREL32", PARTIAL),
    11: ("R_RISCV_TLS_TPREL64", PARTIAL),
    12: ("R_RISCV_TLSDESC", PARTIAL),
    20: ("R_RISCV_GOT_HI20", PIC),
    21: ("R_RISCV_TLS_GOT_HI20", STATIC_TLS),
    22: ("R_RISCV_TLS_GD_HI20", STATIC_TLS),
    41: ("R_RISCV_GOT32_PCREL", PIC),
    47: ("R_RISCV_GPREL_LO12_I", NO_RELAX),
    48: ("R_RISCV_GPREL_LO12_S", NO_RELAX),
    49: ("R_RISCV_GPREL_HI20", NO_RELAX),
    58: ("R_RISCV_IRELATIVE", "write the function without `__attribute__((ifunc))`"),
    62: ("R_RISCV_TLSDESC_HI20", STATIC_TLS),
    63: ("R_RISCV_TLSDESC_LOAD_LO12", STATIC_TLS),
    64: ("R_RISCV_TLSDESC_ADD_LO12", STATIC_TLS),
    65: ("R_RISCV_TLSDESC_CALL", STATIC_TLS),
}

"""RISC-V relocations as Zephyr's loader carries them out.  Source: Zephyr, ``arch/riscv/core/elf.c``, 2025.

The letters are those of ``relocs.py``. Relocations are applied one after the other, in the order of their table: V is
what the one before has left, so no row needs an order. Addresses are of type intptr_t: on RV32 a distance has 32 bits
and reaches everything, and a 64-bit place gets the 32 bits sign-extended. An entry out of range is written, then
refused: only a buffer that the loader relocates in place (LLEXT_STORAGE_WRITABLE) shows it.

The S of PCREL_LO12 is the value of its PCREL_HI20, S + A - P of that one. R_RISCV_ALIGN has no row, it is refused.
"""

from __future__ import annotations

from llext_tools.arch.riscv.relocs import (
    BYTE,
    CB,
    CJ,
    DOUBLE,
    HALF,
    OFFSET,
    U_I,
    WORD,
    B,
    I,
    J,
    S,
    U,
    absolute,
    added,
    nothing,
    relative,
    subtracted,
)
from llext_tools.bits import sext
from llext_tools.reloc import I64, Batch, Field, Range, Reloc


def target(b: Batch) -> I64:
    return b.S


def based(b: Batch) -> I64:
    return b.B + b.A


def set6(b: Batch) -> I64:
    return b.V & 0x1F | b.S + b.A & 0xFF


def sub6(b: Batch) -> I64:
    old = b.V & 0x1F
    return old - b.S - b.A & 0x1F | old


def within(width: int) -> Range:
    """Signed numbers of ``width`` bits, odd ones too."""
    return Range(-1 << width - 1, 1 << width - 1)


def rows(address: Field) -> tuple[Reloc, ...]:
    """The table with the ranges of RV64. ``address`` is a place of one word of the machine."""
    return (
        #     code name                    formula      value       field    check
        Reloc(0,  "R_RISCV_NONE",          "",          nothing,    None,    None),
        Reloc(51, "R_RISCV_RELAX",         "",          nothing,    None,    None),
        # absolute addresses
        Reloc(1,  "R_RISCV_32",            "S + A",     absolute,   WORD,    OFFSET),
        Reloc(2,  "R_RISCV_64",            "S + A",     absolute,   DOUBLE,  None),
        Reloc(3,  "R_RISCV_RELATIVE",      "B + A",     based,      address, None),
        Reloc(5,  "R_RISCV_JUMP_SLOT",     "S",         target,     address, None),
        Reloc(26, "R_RISCV_HI20",          "S + A",     absolute,   U,       OFFSET),
        Reloc(27, "R_RISCV_LO12_I",        "S + A",     absolute,   I,       OFFSET),
        Reloc(28, "R_RISCV_LO12_S",        "S + A",     absolute,   S,       None),
        # relative to the place
        Reloc(16, "R_RISCV_BRANCH",        "S + A - P", relative,   B,       within(13)),
        Reloc(17, "R_RISCV_JAL",           "S + A - P", relative,   J,       OFFSET),
        Reloc(18, "R_RISCV_CALL",          "S + A - P", relative,   U_I,     OFFSET),
        Reloc(19, "R_RISCV_CALL_PLT",      "S + A - P", relative,   U_I,     OFFSET),
        Reloc(23, "R_RISCV_PCREL_HI20",    "S + A - P", relative,   U,       OFFSET),
        Reloc(24, "R_RISCV_PCREL_LO12_I",  "S",         target,     I,       None),
        Reloc(25, "R_RISCV_PCREL_LO12_S",  "S",         target,     S,       None),
        Reloc(44, "R_RISCV_RVC_BRANCH",    "S + A - P", relative,   CB,      within(9)),
        Reloc(45, "R_RISCV_RVC_JUMP",      "S + A - P", relative,   CJ,      within(12)),
        Reloc(57, "R_RISCV_32_PCREL",      "S + A - P", relative,   WORD,    OFFSET),
        Reloc(59, "R_RISCV_PLT32",         "S + A - P", relative,   WORD,    OFFSET),
        # differences of labels
        Reloc(53, "R_RISCV_SET6", "V & 0x1f | S + A & 0xff", set6,  BYTE,    None),
        Reloc(54, "R_RISCV_SET8",          "S + A",     absolute,   BYTE,    None),
        Reloc(55, "R_RISCV_SET16",         "S + A",     absolute,   HALF,    None),
        Reloc(56, "R_RISCV_SET32",         "S + A",     absolute,   WORD,    None),
        Reloc(33, "R_RISCV_ADD8",          "V + S + A", added,      BYTE,    None),
        Reloc(34, "R_RISCV_ADD16",         "V + S + A", added,      HALF,    None),
        Reloc(35, "R_RISCV_ADD32",         "V + S + A", added,      WORD,    None),
        Reloc(36, "R_RISCV_ADD64",         "V + S + A", added,      DOUBLE,  None),
        Reloc(52, "R_RISCV_SUB6", "(V & 0x1f) - S - A & 0x1f | V & 0x1f", sub6, BYTE, None),
        Reloc(37, "R_RISCV_SUB8",          "V - S - A", subtracted, BYTE,    None),
        Reloc(38, "R_RISCV_SUB16",         "V - S - A", subtracted, HALF,    None),
        Reloc(39, "R_RISCV_SUB32",         "V - S - A", subtracted, WORD,    None),
        Reloc(40, "R_RISCV_SUB64",         "V - S - A", subtracted, DOUBLE,  None),
    )  # fmt: skip


def rv32(row: Reloc) -> Reloc:
    """The row for addresses of 32 bits: OFFSET holds for all of them."""
    value = row.value
    if row.field is DOUBLE:
        return row._replace(value=lambda b: value(b._replace(S=sext(b.S + b.A, 32), A=b.A * 0)))
    return row._replace(value=lambda b: sext(value(b), 32), check=None if row.check is OFFSET else row.check)


RELOCS = {32: tuple(rv32(row) for row in rows(WORD)), 64: rows(DOUBLE)}

DYNAMIC = "the loader takes this dynamic relocation in a relocatable object too"
ODD = "the loader takes an odd distance and drops its lowest bit: the branch ends one byte before its target"
HIGH_ADDRESS = (
    "on RV64 the loader takes the 2,048 addresses from 0x7ffff800 on, where the instructions then make the one 4 GiB"
    " below, and refuses those 2,048 below -0x80000000 that they can make"
)
HIGH = (
    "on RV64 the loader takes the 2,048 distances from 2,147,481,600 on, where the instructions then reach 4 GiB below"
    " their target, and refuses those 2,048 below -2,147,483,648 that they can reach"
)
EXTENDED = "on RV32 the loader sign-extends the address: one of 0x80000000 or above makes the upper 32 bits ones"
PAIRED = (
    "the loader looks for the `R_RISCV_PCREL_HI20` at the label's offset in the section of this relocation, whatever"
    " the label's own section is: the offset may be that of another symbol"
)

DEVIATIONS: dict[int, str] = {
    1: "on RV64 the loader refuses an unsigned address of 0x80000000 to 0xffffffff, which fits into the word",
    2: EXTENDED,
    3: DYNAMIC,
    5: DYNAMIC,
    16: ODD,
    17: "the loader takes a distance beyond 1,048,576 bytes and cuts it off: the jump ends somewhere else",
    18: HIGH,
    19: HIGH,
    23: HIGH,
    24: PAIRED,
    25: PAIRED,
    26: HIGH_ADDRESS,
    27: "on RV64 the loader refuses an address of more than 32 signed bits, though only the low 12 are stored",
    36: EXTENDED,
    40: EXTENDED,
    44: ODD,
    45: ODD,
    52: "the loader subtracts in 5 bits, not in 6, ors the old value in and clears bits 6 and 7 of the byte",
    53: "the loader ors the low 5 bits of the old value in and overwrites bits 6 and 7 of the byte",
}

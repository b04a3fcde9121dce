"""How long RISC-V instructions are, and where they send control.

Source: The RISC-V Instruction Set Manual, volume I, "Base Instruction-Length Encoding", "Control Transfer
Instructions" and, in the chapter on "C", the listing of compressed instructions. A jump that links to ra or t0 is a
call, one to such a register a return: "Return-address prediction stack hints".
"""

from __future__ import annotations

from llext_tools.arch.base import FlowRow, Instruction
from llext_tools.arch.riscv.relocs import decode_b, decode_cb, decode_cj, decode_j

FULL: tuple[FlowRow, ...] = (
    #       mask         value        flow      target
    FlowRow(0x0000_007F, 0x0000_0063, "branch", decode_b),
    FlowRow(0x0000_0FFF, 0x0000_00EF, "call", decode_j),  # JAL ra
    FlowRow(0x0000_0FFF, 0x0000_02EF, "call", decode_j),  # JAL t0
    FlowRow(0x0000_007F, 0x0000_006F, "jump", decode_j),
    FlowRow(0x0000_7FFF, 0x0000_00E7, "call"),  # JALR ra
    FlowRow(0x0000_7FFF, 0x0000_02E7, "call"),  # JALR t0
    FlowRow(0x000F_FFFF, 0x0000_8067, "return"),  # JALR zero, ra
    FlowRow(0x000F_FFFF, 0x0002_8067, "return"),  # JALR zero, t0
    FlowRow(0x0000_707F, 0x0000_0067, "indirect"),
)
SHORT: tuple[FlowRow, ...] = (
    FlowRow(0xE003, 0xA001, "jump", decode_cj),  # C.J
    FlowRow(0xC003, 0xC001, "branch", decode_cb),  # C.BEQZ, C.BNEZ
    FlowRow(0xFFFF, 0x9002, ""),  # C.EBREAK: in the place of C.JALR zero
    FlowRow(0xFFFF, 0x8082, "return"),  # C.JR ra
    FlowRow(0xFFFF, 0x8282, "return"),  # C.JR t0
    FlowRow(0xF07F, 0x8002, "indirect"),  # C.JR
    FlowRow(0xF07F, 0x9002, "call"),  # C.JALR
)
SHORT_32 = (FlowRow(0xE003, 0x2001, "call", decode_cj), *SHORT)  # C.JAL: C.ADDIW in 64 bits


def decode(code: bytes, bits: int) -> Instruction:
    """The instruction at the start of ``code``, of which 4 bytes count, or 2 if there are no more."""
    first = int.from_bytes(code[:2], "little")
    if first & 3 != 3 or len(code) < 4:
        return Instruction.of(first, 2, SHORT_32 if bits == 32 else SHORT)
    return Instruction.of(int.from_bytes(code[:4], "little"), 4, FULL)

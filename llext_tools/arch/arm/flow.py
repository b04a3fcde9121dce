"""How long Thumb instructions are, and where they send control.

Source: Armv8-M Architecture Reference Manual (DDI0553), "T32 instruction set encoding": a halfword of 0xE800 and above
is the first of two. The program counter that branches are relative to is 4 bytes ahead.
"""

from __future__ import annotations

from llext_tools.arch.arm.relocs import THM_B9, THM_B12, decode_b21, decode_b25, decode_cbz
from llext_tools.arch.base import FlowRow, Instruction

AHEAD = 4

NARROW: tuple[FlowRow, ...] = (
    #       mask    value   flow        target
    FlowRow(0xF500, 0xB100, "branch", lambda w: decode_cbz(w) & 0x7E),  # CBZ, CBNZ: forward only
    FlowRow(0xFF00, 0xBD00, "return"),  # POP {.., pc}
    FlowRow(0xFFF8, 0x4770, "return"),  # BX lr
    FlowRow(0xFFFF, 0x46F7, "return"),  # MOV pc, lr
    FlowRow(0xFF87, 0x4700, "indirect"),  # BX
    FlowRow(0xFF87, 0x4780, "call"),  # BLX
    FlowRow(0xFF87, 0x4687, "indirect"),  # MOV pc, Rm
    FlowRow(0xFF87, 0x4487, "indirect"),  # ADD pc, Rm
    FlowRow(0xFE00, 0xDE00, ""),  # UDF, SVC: in the place of two conditions of B<c>
    FlowRow(0xF000, 0xD000, "branch", THM_B9.decode),  # B<c>
    FlowRow(0xF800, 0xE000, "jump", THM_B12.decode),  # B
)
WIDE: tuple[FlowRow, ...] = (
    #       mask         value        flow    target; the first halfword is the upper one
    FlowRow(0xF800_D000, 0xF000_D000, "call", decode_b25),  # BL
    FlowRow(0xF800_D000, 0xF000_9000, "jump", decode_b25),  # B.W
    FlowRow(0xFB80_D000, 0xF380_8000, ""),  # MSR, hints, barriers: in the place of two conditions of B<c>.W
    FlowRow(0xF800_D000, 0xF000_8000, "branch", decode_b21),  # B<c>.W
    FlowRow(0xFFFF_8000, 0xE8BD_8000, "return"),  # POP.W {.., pc}
    FlowRow(0xFFFF_FF00, 0xF85D_FB00, "return"),  # LDR pc, [sp], #4 or more
    FlowRow(0xFE50_8000, 0xE810_8000, "indirect"),  # LDM, LDMDB with pc
    FlowRow(0xFF70_F000, 0xF850_F000, "indirect"),  # LDR pc, ..
    FlowRow(0xFFF0_FFE0, 0xE8D0_F000, "indirect"),  # TBB, TBH
)


def decode(code: bytes, _bits: int) -> Instruction:
    """The instruction at the start of ``code``, of which 4 bytes count, or 2 if there are no more."""
    first = int.from_bytes(code[:2], "little")
    if first < 0xE800 or len(code) < 4:
        return Instruction.of(first, 2, NARROW, AHEAD)
    return Instruction.of(first << 16 | int.from_bytes(code[2:4], "little"), 4, WIDE, AHEAD)

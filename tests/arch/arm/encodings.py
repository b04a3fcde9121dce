"""What gas makes of each Arm place when it holds x: ``{x}`` in ``asm``.

``low``, ``high`` and ``step`` are the limits; without them every value fits, and ``values`` are tried. ``cases`` spell
out single values, ``like`` names a row with the same place. How a place reads as an addend: as x, or as the bits that
``part`` gives (position, width), ``signed`` or ``unsigned`` ones, or, at the top of a ``forward`` offset, as -4 to -1.
Sources: aaelf32 (2024Q3), "Static data relocations" to "Static Thumb32 relocations"; DDI 0403, DDI 0406.
"""

from typing import Any

PREAMBLE = {
    "R_ARM_THM_BF": ".syntax unified\n.arch armv8.1-m.main\n.thumb",
    "R_ARM_THM_": ".syntax unified\n.cpu cortex-m4\n.thumb",
    "R_ARM_": ".syntax unified\n.arch armv7-a\n.fpu vfpv3\n.arm",
}

ROWS: dict[str, dict[str, Any]] = {
    "R_ARM_ABS32": {"asm": ".word {x}", "values": [0x7FFFFFFF, -1, -0x80000000]},
    "R_ARM_REL32": {"like": "R_ARM_ABS32"},
    "R_ARM_SBREL32": {"like": "R_ARM_ABS32"},
    "R_ARM_TARGET1": {"like": "R_ARM_ABS32"},
    "R_ARM_TARGET2": {"like": "R_ARM_ABS32"},
    "R_ARM_ABS32_NOI": {"like": "R_ARM_ABS32"},
    "R_ARM_REL32_NOI": {"like": "R_ARM_ABS32"},
    "R_ARM_TLS_LDO32": {"like": "R_ARM_ABS32"},
    "R_ARM_TLS_LE32": {"like": "R_ARM_ABS32"},
    "R_ARM_ABS16": {"asm": ".hword ({x}) & 0xffff", "low": -32768, "high": 65535, "signed": 16},
    "R_ARM_ABS8": {"asm": ".byte ({x}) & 0xff", "low": -128, "high": 255, "signed": 8},
    "R_ARM_PREL31": {"asm": ".word ({x}) & 0x7fffffff", "low": -0x40000000, "high": 0x3FFFFFFF},
    "R_ARM_CALL": {"asm": "bl . + 8 + ({x})", "low": -0x2000000, "high": 0x1FFFFFC, "step": 4},
    "R_ARM_PC24": {"like": "R_ARM_CALL"},
    "R_ARM_PLT32": {"like": "R_ARM_CALL"},
    "R_ARM_JUMP24": {"asm": "bne . + 8 + ({x})", "low": -0x2000000, "high": 0x1FFFFFC, "step": 4},
    "R_ARM_MOVW_ABS_NC": {"asm": "movw r3, #({x}) & 0xffff", "values": [0x7ABC, -0x8000, 0x12F45678], "signed": 16},
    "R_ARM_MOVW_PREL_NC": {"like": "R_ARM_MOVW_ABS_NC"},
    "R_ARM_MOVW_BREL_NC": {"like": "R_ARM_MOVW_ABS_NC"},
    "R_ARM_MOVW_BREL": {"asm": "movw r3, #{x}", "low": 0, "high": 65535, "signed": 16},
    "R_ARM_MOVT_ABS": {
        "asm": "movt r3, #({x}) >> 16 & 0xffff",
        "values": [0x7ABCDEF0, -0x12340000, 0xFFFF],
        "part": [16, 16],
    },
    "R_ARM_MOVT_PREL": {"like": "R_ARM_MOVT_ABS"},
    "R_ARM_MOVT_BREL": {"like": "R_ARM_MOVT_ABS"},
    "R_ARM_ABS12": {"asm": "ldr r0, [r1, #{x}]", "low": -4095, "high": 4095},
    "R_ARM_TLS_LDO12": {"like": "R_ARM_ABS12"},
    "R_ARM_TLS_LE12": {"like": "R_ARM_ABS12"},
    "R_ARM_LDR_PC_G0": {"like": "R_ARM_ABS12"},
    "R_ARM_LDR_SB_G0": {"like": "R_ARM_ABS12"},
    "R_ARM_LDRS_PC_G0": {"asm": "ldrh r0, [r1, #{x}]", "low": -255, "high": 255},
    "R_ARM_LDRS_SB_G0": {"like": "R_ARM_LDRS_PC_G0"},
    "R_ARM_LDC_PC_G0": {"asm": "ldc p1, c2, [r1, #{x}]", "low": -1020, "high": 1020, "step": 4},
    "R_ARM_LDC_SB_G0": {"like": "R_ARM_LDC_PC_G0"},
    # 0x12f45678 is 0x12c00000 + 0x344000 + 0x1640 + 0x38 in groups that begin at even bits
    "R_ARM_ALU_PC_G0_NC": {
        "cases": [
            [0, "add r0, r1, #0"],
            [0x12F45678, "add r0, r1, #0x12c00000"],
            [-0x345678, "sub r0, r1, #0x344000"],
            [0x3FC00, "add r0, r1, #0x3fc00"],
            [-255, "sub r0, r1, #255"],
        ]
    },
    "R_ARM_ALU_SB_G0_NC": {"like": "R_ARM_ALU_PC_G0_NC"},
    "R_ARM_ALU_PC_G0": {
        "cases": [
            [0, "add r0, r1, #0"],
            [0x12C00000, "add r0, r1, #0x12c00000"],
            [-0x3FC00, "sub r0, r1, #0x3fc00"],
            [-255, "sub r0, r1, #255"],
        ],
        "misfits": [0x101, -0x12C00001, 0x1FE],
    },
    "R_ARM_ALU_SB_G0": {"like": "R_ARM_ALU_PC_G0"},
    "R_ARM_ALU_PC_G1_NC": {
        "cases": [
            [0, "add r0, r1, #0"],
            [0x12F45678, "add r0, r1, #0x344000"],
            [-0x345678, "sub r0, r1, #0x1640"],
            [255, "add r0, r1, #0"],
        ]
    },
    "R_ARM_ALU_SB_G1_NC": {"like": "R_ARM_ALU_PC_G1_NC"},
    "R_ARM_ALU_PC_G1": {
        "cases": [[0, "add r0, r1, #0"], [0x12F44000, "add r0, r1, #0x344000"], [-0x101, "sub r0, r1, #1"]],
        "misfits": [0x12F45000, -0x10101],
    },
    "R_ARM_ALU_SB_G1": {"like": "R_ARM_ALU_PC_G1"},
    "R_ARM_ALU_PC_G2": {
        "cases": [[0, "add r0, r1, #0"], [0x12F45640, "add r0, r1, #0x1640"], [-0x10101, "sub r0, r1, #1"]],
        "misfits": [0x12F45678, -0x1010101],
    },
    "R_ARM_ALU_SB_G2": {"like": "R_ARM_ALU_PC_G2"},
    "R_ARM_LDR_PC_G1": {
        "cases": [
            [0, "ldr r0, [r1, #0]"],
            [0x12C00FFF, "ldr r0, [r1, #0xfff]"],
            [-0x12C00FFF, "ldr r0, [r1, #-0xfff]"],
        ],
        "misfits": [0x12001000, -0x12001000],
    },
    "R_ARM_LDR_SB_G1": {"like": "R_ARM_LDR_PC_G1"},
    "R_ARM_LDR_PC_G2": {
        "cases": [
            [0, "ldr r0, [r1, #0]"],
            [0x12F44FFF, "ldr r0, [r1, #0xfff]"],
            [-0x12F44FFF, "ldr r0, [r1, #-0xfff]"],
        ],
        "misfits": [0x12F45000, -0x12F45000],
    },
    "R_ARM_LDR_SB_G2": {"like": "R_ARM_LDR_PC_G2"},
    "R_ARM_LDRS_PC_G1": {
        "cases": [
            [0, "ldrd r0, [r3, #0]"],
            [0x12C000FF, "ldrd r0, [r3, #0xff]"],
            [-0x12C000FF, "ldrd r0, [r3, #-0xff]"],
        ],
        "misfits": [0x12C00100, -0x12C00100],
    },
    "R_ARM_LDRS_SB_G1": {"like": "R_ARM_LDRS_PC_G1"},
    "R_ARM_LDRS_PC_G2": {
        "cases": [
            [0, "strh r0, [r1, #0]"],
            [0x12F440FF, "strh r0, [r1, #0xff]"],
            [-0x12F440FF, "strh r0, [r1, #-0xff]"],
        ],
        "misfits": [0x12F44100, -0x12F44100],
    },
    "R_ARM_LDRS_SB_G2": {"like": "R_ARM_LDRS_PC_G2"},
    "R_ARM_LDC_PC_G1": {
        "cases": [
            [0, "vldr d0, [r1, #0]"],
            [0x12C003FC, "vldr d0, [r1, #1020]"],
            [-0x12C003FC, "vldr d0, [r1, #-1020]"],
        ],
        "misfits": [0x12C00400, 0x12C00002],
    },
    "R_ARM_LDC_SB_G1": {"like": "R_ARM_LDC_PC_G1"},
    "R_ARM_LDC_PC_G2": {
        "cases": [
            [0, "vstr d0, [r1, #0]"],
            [0x12F443FC, "vstr d0, [r1, #1020]"],
            [-0x12F443FC, "vstr d0, [r1, #-1020]"],
        ],
        "misfits": [0x12F44400, -0x12F44001],
    },
    "R_ARM_LDC_SB_G2": {"like": "R_ARM_LDC_PC_G2"},
    "R_ARM_THM_ABS5": {"asm": "ldr r0, [r1, #{x}]", "low": 0, "high": 124, "step": 4},
    "R_ARM_THM_PC8": {"asm": "ldr.n r3, [pc, #{x}]", "low": 0, "high": 1020, "step": 4, "forward": 10},
    "R_ARM_THM_JUMP6": {"asm": "cbnz r3, . + 4 + {x}", "low": 0, "high": 126, "step": 2, "forward": 7},
    "R_ARM_THM_JUMP11": {"asm": "b.n . + 4 + ({x})", "low": -2048, "high": 2046, "step": 2},
    "R_ARM_THM_JUMP8": {"asm": "bge.n . + 4 + ({x})", "low": -256, "high": 254, "step": 2},
    "R_ARM_THM_ALU_ABS_G0_NC": {"asm": "movs r4, #({x}) & 0xff", "values": [0x12F45678, -1], "unsigned": 8},
    "R_ARM_THM_ALU_ABS_G1_NC": {
        "asm": "adds r4, #({x}) >> 8 & 0xff",
        "values": [0x12F45678, -1],
        "unsigned": 8,
        "part": [8, 8],
    },
    "R_ARM_THM_ALU_ABS_G2_NC": {"asm": "adds r4, #({x}) >> 16 & 0xff", "values": [0x12F45678, -1], "part": [16, 8]},
    "R_ARM_THM_ALU_ABS_G3": {"asm": "adds r4, #({x}) >> 24 & 0xff", "values": [0x12F45678, -1], "part": [24, 8]},
    "R_ARM_THM_CALL": {"asm": "bl . + 4 + ({x})", "low": -0x1000000, "high": 0xFFFFFE, "step": 2},
    "R_ARM_THM_JUMP24": {"asm": "b.w . + 4 + ({x})", "low": -0x1000000, "high": 0xFFFFFE, "step": 2},
    "R_ARM_THM_JUMP19": {"asm": "bhi.w . + 4 + ({x})", "low": -0x100000, "high": 0xFFFFE, "step": 2},
    "R_ARM_THM_MOVW_ABS_NC": {"like": "R_ARM_MOVW_ABS_NC"},
    "R_ARM_THM_MOVW_PREL_NC": {"like": "R_ARM_MOVW_ABS_NC"},
    "R_ARM_THM_MOVW_BREL_NC": {"like": "R_ARM_MOVW_ABS_NC"},
    "R_ARM_THM_MOVW_BREL": {"like": "R_ARM_MOVW_BREL"},
    "R_ARM_THM_MOVT_ABS": {"like": "R_ARM_MOVT_ABS"},
    "R_ARM_THM_MOVT_PREL": {"like": "R_ARM_MOVT_ABS"},
    "R_ARM_THM_MOVT_BREL": {"like": "R_ARM_MOVT_ABS"},
    "R_ARM_THM_ALU_PREL_11_0": {"asm": "add.w r9, pc, #{x}", "low": -4095, "high": 4095},
    "R_ARM_THM_PC12": {"asm": "ldr.w r9, [pc, #{x}]", "low": -4095, "high": 4095},
    "R_ARM_THM_BF16": {"asm": "bf . + 8, . + 4 + ({x})", "low": -65536, "high": 65534, "step": 2},
    "R_ARM_THM_BF12": {"asm": "bfcsel . + 8, . + 4 + ({x}), . + 12, eq", "low": -4096, "high": 4094, "step": 2},
    "R_ARM_THM_BF18": {"asm": "bfl . + 8, . + 4 + ({x})", "low": -262144, "high": 262142, "step": 2},
}

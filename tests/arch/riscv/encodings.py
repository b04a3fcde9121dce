"""What gas makes of each RISC-V place when it holds x: ``{x}`` in ``asm``.

``low``, ``high`` and ``step`` are the limits; without them every value fits, and ``values`` are tried. ``cases`` spell
out single values, ``like`` names a row with the same place. Where ``wraps`` is set the limits are those of RV64: RV32
counts modulo 2**32. Sources: RISC-V psABI 1.0, "Relocations"; the RISC-V Instruction Set Manual, volume I.
"""

from typing import Any

PREAMBLE = {
    "R_RISCV_RVC_": ".option norelax\n.option rvc",
    "R_RISCV_": ".option norelax\n.option norvc",
}

ROWS: dict[str, dict[str, Any]] = {
    "R_RISCV_32": {"asm": ".word ({x}) & 0xffffffff", "low": -0x80000000, "high": 0xFFFFFFFF, "wraps": True},
    "R_RISCV_64": {"asm": ".dword {x}", "values": [0x7FFFFFFF, -1, 0x123456789ABCDEF0]},
    "R_RISCV_32_PCREL": {"asm": ".word ({x}) & 0xffffffff", "low": -0x80000000, "high": 0x7FFFFFFF, "wraps": True},
    "R_RISCV_PLT32": {"like": "R_RISCV_32_PCREL"},
    "R_RISCV_SET6": {"asm": ".byte ({x}) & 0x3f", "values": [0x3F, 0x12345678, -1]},
    "R_RISCV_SET8": {"asm": ".byte ({x}) & 0xff", "values": [0xFF, 0x12345678, -1]},
    "R_RISCV_SET16": {"asm": ".half ({x}) & 0xffff", "values": [0xFFFF, 0x12345678, -1]},
    "R_RISCV_SET32": {"asm": ".word ({x}) & 0xffffffff", "values": [0x12345678, -1]},
    "R_RISCV_HI20": {
        "asm": "lui a5, (({x}) + 0x800) >> 12 & 0xfffff",
        "low": -0x80000800,
        "high": 0x7FFFF7FF,
        "wraps": True,
        "values": [0x7FF, 0x800, -0x800, -0x801],
    },
    "R_RISCV_TPREL_HI20": {"like": "R_RISCV_HI20"},
    "R_RISCV_PCREL_HI20": {
        "asm": "auipc a5, (({x}) + 0x800) >> 12 & 0xfffff",
        "low": -0x80000800,
        "high": 0x7FFFF7FF,
        "wraps": True,
        "values": [0x7FF, 0x800, -0x800, -0x801],
    },
    "R_RISCV_CALL": {
        "asm": "auipc ra, (({x}) + 0x800) >> 12 & 0xfffff; jalr ra, ((({x}) & 0xfff) ^ 0x800) - 0x800(ra)",
        "low": -0x80000800,
        "high": 0x7FFFF7FF,
        "wraps": True,
        "values": [0x7FF, 0x800, -0x800, -0x801],
    },
    "R_RISCV_CALL_PLT": {"like": "R_RISCV_CALL"},
    "R_RISCV_LO12_I": {
        "asm": "addi a5, a4, ((({x}) & 0xfff) ^ 0x800) - 0x800",
        "values": [0x7FF, -0x800, 0x12345678, -1],
    },
    "R_RISCV_PCREL_LO12_I": {"like": "R_RISCV_LO12_I"},
    "R_RISCV_TPREL_LO12_I": {"like": "R_RISCV_LO12_I"},
    "R_RISCV_LO12_S": {
        "asm": "sw a5, ((({x}) & 0xfff) ^ 0x800) - 0x800(a4)",
        "values": [0x7FF, -0x800, 0x12345678, -1],
    },
    "R_RISCV_PCREL_LO12_S": {"like": "R_RISCV_LO12_S"},
    "R_RISCV_TPREL_LO12_S": {"like": "R_RISCV_LO12_S"},
    "R_RISCV_BRANCH": {"asm": "bltu a5, a4, . + ({x})", "low": -4096, "high": 4094, "step": 2},
    "R_RISCV_JAL": {"asm": "jal a5, . + ({x})", "low": -0x100000, "high": 0xFFFFE, "step": 2},
    "R_RISCV_RVC_BRANCH": {"asm": "c.bnez a5, . + ({x})", "low": -256, "high": 254, "step": 2},
    "R_RISCV_RVC_JUMP": {"asm": "c.j . + ({x})", "low": -2048, "high": 2046, "step": 2},
    "R_RISCV_RVC_LUI": {
        "cases": [
            [0x1000, "c.lui a5, 1"],
            [0x1F7FF, "c.lui a5, 31"],
            [0x17FF, "c.lui a5, 1"],
            [0x1800, "c.lui a5, 2"],
            [-0x1000, "c.lui a5, 0xfffff"],
            [-0x20800, "c.lui a5, 0xfffe0"],
            [0, "c.li a5, 0"],
            [0x7FF, "c.li a5, 0"],
            [-0x800, "c.li a5, 0"],
            [-0x801, "c.lui a5, 0xfffff"],
        ],
        "misfits": [0x1F800, -0x20801],
    },
}

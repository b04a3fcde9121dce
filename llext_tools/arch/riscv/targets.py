"""RISC-V targets: ISA and ABI flags, the other defaults with their reasons, the emulator's model.

Sources: "RISC-V Options" of the GCC 12 manual; RISC-V psABI (1.0), "Code models" and "Named ABIs".
"""

from __future__ import annotations

from typing import Literal

from llext_tools.arch.model import Emulator, Flag, Target
from llext_tools.arch.riscv.isa import extensions

FLAGS = (
    Flag(
        flag="-mcmodel=medany",
        why="code reaches symbols within 2 GiB of itself, wherever it is loaded; medlow only those near address 0",
    ),
    Flag(
        flag="-mno-relax",
        why="relaxable code carries R_RISCV_ALIGN, which only a linker can carry out; Zephyr's loader refuses it",
    ),
    Flag(
        flag="-msmall-data-limit=0",
        why="small data needs the global pointer, and .sbss is a second NOBITS section, which the loader refuses",
    ),
)

FPU_ON = {"MSTATUS": 1 << 13}  # mstatus.FS = initial; a floating-point instruction traps while it is off

EXCEPTIONS = {
    0: ("unaligned", 0),
    2: ("undefined", 4),
    3: ("breakpoint", 0),
    4: ("unaligned", 0),
    6: ("unaligned", 0),
    8: ("supervisor", 4),
    11: ("supervisor", 4),
}
"""Codes of "Machine Cause Register" in the privileged specification; at some Unicorn is 4 bytes further on."""

BREAKPOINTS = ((0xFFFF_FFFF, 0x0010_0073, "breakpoint"), (0xFFFF, 0x9002, "breakpoint"))  # ebreak, c.ebreak

KCONFIG_OF_ABI = {
    "soft": ("!FPU",),
    "single": ("FLOAT_HARD", "!CPU_HAS_FPU_DOUBLE_PRECISION"),
    "double": ("FLOAT_HARD", "CPU_HAS_FPU_DOUBLE_PRECISION"),
}
"""Options of Zephyr by which its build chooses -mabi and the extensions F and D."""


def riscv(
    isa: str,
    abi: str,
    model: str,
    summary: str,
    *,
    bits: Literal[32, 64],
    float_abi: Literal["soft", "single", "double"],
    zig_cpu: str,
) -> Target:
    """A RISC-V core, named by its ISA string; ``model`` is the CPU in Unicorn's spelling."""
    return Target(
        name=isa,
        arch="riscv",
        bits=bits,
        summary=summary,
        float_abi=float_abi,
        gcc_prefixes=("riscv64-unknown-elf-", "riscv32-unknown-elf-", "riscv-none-elf-", "riscv64-zephyr-elf-"),
        clang_target=f"riscv{bits}-unknown-elf",
        zig_target=f"riscv{bits}-freestanding-none",
        zig_cpu=zig_cpu,
        cpu_flags=(f"-march={isa}", f"-mabi={abi}"),
        flags=FLAGS,
        emulator=Emulator(
            arch="RISCV",
            mode=(f"RISCV{bits}",),
            cpu=model,
            spin=b"\x01\xa0",
            setup={} if float_abi == "soft" else FPU_ON,
            exceptions=EXCEPTIONS,
            instructions=BREAKPOINTS,
        ),
        debian="gcc-riscv64-unknown-elf",
        isa=extensions(isa),
        firmware_base=(0x2000_0000, 0x8000_0000),
        kconfig=(f"RISCV_ISA_RV{bits}I", *(f"RISCV_ISA_EXT_{each}" for each in "MAC"), *KCONFIG_OF_ABI[float_abi]),
    )


TARGETS = (
    riscv(
        "rv32imac",
        "ilp32",
        "RISCV32_SIFIVE_E31",
        "32 bit, compressed, soft float",
        bits=32,
        float_abi="soft",
        zig_cpu="generic_rv32+m+a+c",
    ),
    riscv(
        "rv32imafc",
        "ilp32f",
        "RISCV32_SIFIVE_U34",
        "32 bit, compressed, single-precision FPU",
        bits=32,
        float_abi="single",
        zig_cpu="generic_rv32+m+a+f+c",
    ),
    riscv(
        "rv64gc",
        "lp64d",
        "RISCV64_SIFIVE_U54",
        "64 bit, compressed, double-precision FPU",
        bits=64,
        float_abi="double",
        zig_cpu="generic_rv64+m+a+f+d+c",
    ),
)

"""Cortex-M targets: CPU and ABI flags, the other defaults with their reasons, the emulator's model.

Sources: "Arm Options" of the GCC 12 manual; aapcs32 (2024Q3), "The Base Procedure Call Standard".
A hard-float target passes `double` in D registers even where its FPU computes only `float`
(aapcs32, "VFP register usage").
"""

from __future__ import annotations

from llext_tools.arch.model import Emulator, Flag, Target

FLAGS = (
    Flag(
        flag="-mlong-calls",
        why="an extension in RAM is further than the 16 MiB of a BL from firmware in flash",
    ),
    Flag(
        flag="-fshort-enums",
        why="as arm-none-eabi-gcc does by default, and so the firmware; clang would make every enum an int",
        only="zig",
    ),
    Flag(
        flag="-meabi gnu",
        why="clang then calls memcpy and memset, which hosts export, instead of __aeabi_memcpy4 and __aeabi_memclr4",
        only="zig",
    ),
)

NO_JUMP_TABLES = Flag(
    flag="-fno-jump-tables",
    why="gcc's switch helpers (__gnu_thumb1_case_*) are called by BL whatever -mlong-calls says",
)

EXCEPTIONS = {
    2: ("supervisor", 2),
    3: ("execute", 0),  # memory that an M-profile CPU never executes, such as that of peripherals
    4: ("unaligned", 0),
    7: ("breakpoint", 0),
    8: ("exception-return", 0),
    17: ("no-fpu", 0),
    18: ("state", 0),
    22: ("unaligned", 0),
}
"""The numbers that QEMU gives to exceptions of the emulated CPU; see ``Emulator``."""

HINTS = (b"\x10\xbf", b"\x20\xbf", b"\xaf\xf3\x01\x80", b"\xaf\xf3\x02\x80")  # YIELD and WFE, in two bytes and in four


def cortex_m(
    name: str,
    model: str,
    summary: str,
    *,
    isa: tuple[str, ...],
    fpu: str = "",
    zig_fpu: str = "",
    extra: tuple[Flag, ...] = (),
    kconfig: tuple[str, ...] = (),
) -> Target:
    """A Cortex-M. ``model``: the CPU for Unicorn. ``fpu``, ``zig_fpu``: -mfpu of a hard-float ABI, and Zig's word.

    ``kconfig``: the options of a hard-float ABI and its FPU.
    """
    cpu = name.removesuffix("f")
    return Target(
        name=name,
        arch="arm",
        bits=32,
        summary=summary,
        float_abi="double" if fpu else "soft",
        gcc_prefixes=("arm-none-eabi-", "arm-zephyr-eabi-"),
        clang_target="arm-none-eabi",
        zig_target="thumb-freestanding-eabihf" if fpu else "thumb-freestanding-eabi",
        zig_cpu=cpu.replace("-", "_") + zig_fpu,
        cpu_flags=(
            f"-mcpu={cpu}",
            "-mthumb",
            *(("-mfloat-abi=hard", f"-mfpu={fpu}") if fpu else ("-mfloat-abi=soft",)),
        ),
        flags=(*FLAGS, *extra),
        emulator=Emulator(
            arch="ARM",
            mode=("THUMB",),  # with MCLASS Unicorn takes a Cortex-M33, whatever the model
            cpu=f"ARM_{model}",
            spin=b"\xfe\xe7",
            exceptions=EXCEPTIONS,
            hints=HINTS,
        ),
        debian="gcc-arm-none-eabi",
        isa=isa,
        firmware_base=(0x0800_0000, 0x2000_0000),
        kconfig=(f"CPU_{cpu.upper().replace('-', '_')}", *(kconfig or ("!FPU",))),
    )


TARGETS = (
    cortex_m(
        "cortex-m0plus",
        "CORTEX_M0",
        "Armv6-M, 16-bit Thumb, soft float",
        isa=("Armv6-M",),
        extra=(NO_JUMP_TABLES,),
    ),
    cortex_m("cortex-m3", "CORTEX_M3", "Armv7-M, soft float", isa=("Armv7-M",)),
    cortex_m("cortex-m4", "CORTEX_M4", "Armv7E-M, soft float", isa=("Armv7-M", "DSP")),
    cortex_m(
        "cortex-m4f",
        "CORTEX_M4",
        "Armv7E-M, hard float, single-precision FPU",
        isa=("Armv7-M", "DSP", "VFPv4"),
        fpu="fpv4-sp-d16",
        kconfig=("FP_HARDABI",),
        zig_fpu="+vfp4d16sp",
    ),
    cortex_m(
        "cortex-m7",
        "CORTEX_M7",
        "Armv7E-M, hard float, double-precision FPU",
        isa=("Armv7-M", "DSP", "FPv5", "double precision"),
        fpu="fpv5-d16",
        kconfig=("FP_HARDABI", "CPU_HAS_FPU_DOUBLE_PRECISION"),
        zig_fpu="+fp_armv8d16",
    ),
    cortex_m("cortex-m33", "CORTEX_M33", "Armv8-M mainline, soft float", isa=("Armv8-M.main", "DSP")),
)

"""What an object says about the CPU that it is for, and whether that can be one of our targets.

Source: "Addenda to, and Errata in, the ABI for the Arm Architecture" 2024Q3, section 3.3; aaelf32, "ELF header".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from llext_tools.arch.base import Cpu, instruction_starts
from llext_tools.arch.model import Target
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import I64, Bytes, ElfObject

# tags
CPU_ARCH, CPU_PROFILE, ARM_ISA, THUMB_ISA, FP_ARCH, WCHAR, FP_NUMBER_MODEL = 6, 7, 8, 9, 10, 18, 23
ENUM_SIZE, HARD_FP_USE, VFP_ARGS, DSP, MVE = 26, 27, 28, 46, 48
FLOAT_SOFT, FLOAT_HARD = 0x200, 0x400  # of e_flags, in linked files only

NAMES = {1: "Armv4", 2: "Armv4T", 3: "Armv5T", 4: "Armv5TE", 5: "Armv5TEJ", 6: "Armv6", 7: "Armv6KZ", 8: "Armv6T2",
         9: "Armv6K", 10: "Armv7", 11: "Armv6-M", 12: "Armv6-M", 13: "Armv7E-M", 14: "Armv8-A", 15: "Armv8-R",
         16: "Armv8-M.base", 17: "Armv8-M.main", 18: "Armv8-A", 19: "Armv8-A", 20: "Armv8-A", 21: "Armv8.1-M.main",
         22: "Armv9-A"}  # fmt: skip
"""Values of Tag_CPU_arch. 12 differs from 11 in instructions of the operating system."""

DOUBLE, WIDE = "double precision", "32 FPU registers"
INCLUDES = {
    # profile M; Armv7E-M is Armv7-M with DSP
    "Armv8.1-M.main": ("Armv8-M.main",),
    "Armv8-M.main": ("Armv8-M.base", "Armv7-M"),
    "Armv8-M.base": ("Armv6-M",),
    "Armv7-M": ("Armv6-M", "Thumb-2"),
    "Armv6-M": ("Thumb",),
    # profiles A and R, and what came before them
    "Armv9-A": ("Armv8-A",),
    "Armv8-A": ("Armv7-A",),
    "Armv8-R": ("Armv7-R",),
    "Armv7-A": ("Armv7", "Armv6KZ"),
    "Armv7-R": ("Armv7",),
    "Armv7": ("Armv6T2", "Armv6K", "DSP"),
    "Armv6KZ": ("Armv6K",),
    "Armv6T2": ("Armv6", "Thumb-2"),
    "Armv6K": ("Armv6",),
    "Armv6": ("Armv5TEJ",),
    "Armv5TEJ": ("Armv5TE",),
    "Armv5TE": ("Armv5T",),
    "Armv5T": ("Armv4T",),
    "Armv4T": ("Armv4", "Thumb"),
    # code of no certain CPU
    "Thumb-2": ("Thumb",),
    # instructions that each of them may have or not
    "FPv5": ("VFPv4",),
    "VFPv4": ("VFPv3",),
    "VFPv3": ("VFPv2",),
    "MVE with floating point": ("MVE",),
}
FPUS = {1: "VFPv2", 2: "VFPv2", 3: "VFPv3", 4: "VFPv3", 5: "VFPv4", 6: "VFPv4", 7: "FPv5", 8: "FPv5"}
"""Values of Tag_FP_arch: the odd ones from 3 on have 32 registers of double precision instead of 16."""

FPU = frozenset({*FPUS.values(), DOUBLE, WIDE})


def cpu(obj: ElfObject) -> Cpu:
    """What an object or a linked image says. Where a linker script dropped the attributes, ``e_flags`` is left."""
    return _cpu(tuple(read_attributes(obj).items()), obj.flags & (FLOAT_SOFT | FLOAT_HARD))


@cache
def _cpu(attributes: tuple[tuple[int, int | str], ...], flags: int) -> Cpu:
    said = {tag: value for tag, value in attributes if isinstance(value, int)}
    (name, core), fpu = _core(said), _fpu(said)
    hard: bool | None = None
    if said.get(FP_NUMBER_MODEL) and said.get(VFP_ARGS, 0) < 2:  # a compiler says it; 3: fits both
        hard = said.get(VFP_ARGS) == 1
    elif flags and VFP_ARGS not in said:  # LLD keeps the attributes of the first file, which may be of an assembler
        hard = flags == FLOAT_HARD
    return Cpu(
        arch="arm",
        bits=32,
        name=name,
        isa=(*core, *fpu),
        floats="" if hard is None else "double" if hard else "soft",
        abi="" if hard is None else f"-mfloat-abi={'hard' if hard else 'softfp' if fpu else 'soft'}",
        enum={1: 1, 2: 4}.get(said.get(ENUM_SIZE, 0), 0),  # 3: 4 bytes each, because of its values
        wchar={2: 2, 4: 4}.get(said.get(WCHAR, 0), 0),
    )


def _core(said: Mapping[int, int]) -> tuple[str, tuple[str, ...]]:
    """Name, and words of ``Cpu.isa``, of a CPU without its FPU.

    An assembler that was told no CPU names the oldest one that has the instructions it saw. Without any of Arm state,
    those are Thumb, which is the same everywhere.
    """
    number, profile = said.get(CPU_ARCH, 0), chr(min(said.get(CPU_PROFILE, 0), 127))
    name = NAMES.get(number, f"CPU architecture {number}" if number else "")
    if number == 10:
        name = "Armv7" if profile in "\0S" else f"Armv7-{profile}"  # S: A or R
    if not name:
        return "", ()
    if (number < 10 or name == "Armv7") and not said.get(ARM_ISA) and said.get(THUMB_ISA):
        return name, ("Thumb" if said[THUMB_ISA] == 1 else "Thumb-2",)
    dsp = ("DSP",) if said.get(DSP) or name == "Armv7E-M" else ()
    mve = ((), ("MVE",), ("MVE with floating point",))[min(said.get(MVE, 0), 2)]
    return name, ("Armv7-M" if name == "Armv7E-M" else name, *dsp, *mve)


def _fpu(said: Mapping[int, int]) -> tuple[str, ...]:
    number = said.get(FP_ARCH, 0)
    if number not in FPUS:
        return ()
    double, wide = said.get(HARD_FP_USE) != 1, number in (3, 5, 7)
    return (FPUS[number], *([DOUBLE] if double else []), *([WIDE] if wide else []))


def unfit(code: Cpu, target: Target, lacking: tuple[str, ...]) -> str:
    """Why such code cannot run on the target: see ``Arch.misfit()``."""
    if set(lacking) - FPU:
        return f"for {code.name}"
    if code.floats and (code.floats == "soft") != (target.float_abi == "soft"):
        return f"compiled with `-mfloat-abi={'soft' if code.floats == 'soft' else 'hard'}`"
    if lacking == (DOUBLE,):
        return "compiled for an FPU of double precision"
    return "" if not lacking else "compiled for another FPU" if FPU & {*target.isa} else "compiled for an FPU"


def fpu_instructions(code: Bytes, bits: int) -> I64:
    """Offsets of Thumb instructions of the coprocessors 10 and 11: 111x 11xx xxxx xxxx, xxxx 101x xxxx xxxx."""
    del bits
    half = code[: code.size & ~1].view("<u2")
    first, second = half[:-1], half[1:]
    found = instruction_starts(half >= 0xE800)[:-1] & (first & 0xEC00 == 0xEC00) & (second & 0x0E00 == 0x0A00)
    return 2 * np.flatnonzero(found)

"""What an object says about the CPU that it is for, and whether that can be one of our targets.

Source: RISC-V psABI 1.0, "File Header" (``e_flags``) and "Attributes" (``Tag_RISCV_arch``); the ISA manual, "ISA
Extension Naming Conventions".
"""

from __future__ import annotations

from functools import cache

import numpy as np

from llext_tools.arch.base import Cpu, instruction_starts
from llext_tools.arch.model import FloatAbi, Target
from llext_tools.arch.riscv.isa import extensions
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import I64, Bytes, ElfObject
from llext_tools.elf.structs import ET_REL

ARCH = 5
RVC, FLOAT_ABI, RVE = 1, 6, 8  # bits of e_flags
FLOATS: tuple[FloatAbi, ...] = ("soft", "single", "double", "quad")  # FLOAT_ABI's two bits
SUFFIX = dict(zip(FLOATS, ("", "f", "d", "q"), strict=True))

INCLUDES = {
    "i": ("zicsr", "zifencei"),  # they were part of the base before 2019; each of our targets has them
    "e": ("zicsr", "zifencei"),
    "m": ("zmmul",),
    "a": ("zaamo", "zalrsc"),
    "c": ("zca", "zcf", "zcd"),
    "q": ("d",),
    "d": ("f",),
    "b": ("zba", "zbb", "zbs"),
}
"""What tools write out although a single letter says it."""

FPU = frozenset(("f", "d", "q", "zcf", "zcd"))
NARROW = {32: (0b001, 0b011, 0b101, 0b111), 64: (0b001, 0b101)}
"""C.FLD, C.FLW, C.FSD, C.FSW and those relative to sp, by bits 15-13: of quadrants 0 and 2. RV64 has no C.FLW."""
FPU_WIDE = np.isin(np.arange(128), (0x07, 0x27, 0x43, 0x47, 0x4B, 0x4F, 0x53))
"""LOAD-FP, STORE-FP, MADD, MSUB, NMSUB, NMADD and OP-FP by bits 6-0."""


def cpu(obj: ElfObject) -> Cpu:
    """What an object or a linked image says. Where a linker script dropped the attributes, ``e_flags`` is left."""
    return _cpu(obj.bits, str(read_attributes(obj).get(ARCH, "")), obj.flags, obj.type == ET_REL)


@cache
def _cpu(bits: int, said: str, flags: int, relocatable: bool) -> Cpu:
    isa = extensions(said)
    if not isa and relocatable:  # of code that is some of what it needs, of a whole firmware it would be too little
        isa = tuple(word for word, flag in (("e", RVE), ("c", RVC)) if flags & flag)
    floats = FLOATS[(flags & FLOAT_ABI) >> 1]
    small = "e" if flags & RVE else ""
    return Cpu(
        arch="riscv",
        bits=bits,
        name=_name(bits, isa) if said else "",
        isa=isa,
        floats=floats,
        abi=f"-mabi={'lp64' if bits == 64 else 'ilp32'}{SUFFIX[floats]}{small}",
    )


def unfit(code: Cpu, target: Target, lacking: tuple[str, ...]) -> str:
    """Why such code cannot run on the target: see ``Arch.misfit()``."""
    if "e" in lacking:
        return "compiled for the E base, which has 16 registers"
    if code.floats != target.float_abi:
        return f"compiled for the {code.floats}-float ABI"
    named = ", ".join(sorted(lacking))
    return f"compiled with the extension{'s' if len(lacking) > 1 else ''} {named}" if lacking else ""


def _name(bits: int, isa: tuple[str, ...]) -> str:
    """``rv32imac_zba``: without what the letters say."""
    implied = {each for word in isa for each in INCLUDES.get(word, ())}
    letters = "".join(word for word in isa if len(word) == 1)
    return "_".join([f"rv{bits}{letters}", *(word for word in isa if len(word) > 1 and word not in implied)])


def fpu_instructions(code: Bytes, bits: int) -> I64:
    """Offsets of instructions of F, D and Q."""
    half = code[: code.size & ~1].view("<u2")
    wide = half & 3 == 3
    narrow = np.isin(half >> 13, NARROW[bits]) & (half & 1 == 0)
    return 2 * np.flatnonzero(instruction_starts(wide) & np.where(wide, FPU_WIDE[half & 0x7F], narrow))

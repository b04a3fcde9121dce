"""What a target is: a CPU, its compiler flags and its emulator, in plain values that load without numpy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

FloatAbi = Literal["soft", "single", "double", "quad"]


class Flag(NamedTuple):
    """A compiler flag that a target sets by default, with the reason that the documentation gives for it."""

    flag: str
    why: str
    only: Literal["", "gcc", "zig"] = ""  # the toolchain that it is for, all if empty
    language: Literal["", "C", "CXX"] = ""


class Emulator(NamedTuple):
    """How Unicorn is opened for a target: the names of its constants without their prefix, as text.

    ``exceptions``: number that the emulated CPU raises -> what happened, and how far the program counter is then past
    the instruction. ``instructions``: (mask, value, what it is) of some that Unicorn calls invalid.
    What happened is a ``Reason`` of ``machine.protocol``.
    """

    arch: str  # UC_ARCH_<arch>
    mode: tuple[str, ...]  # UC_MODE_<each>
    cpu: str  # UC_CPU_<cpu>
    spin: bytes  # an instruction that jumps to itself
    setup: Mapping[str, int] = MappingProxyType({})  # registers to set once, for example to enable the FPU
    exceptions: Mapping[int, tuple[str, int]] = MappingProxyType({})
    instructions: tuple[tuple[int, int, str], ...] = ()
    hints: tuple[bytes, ...] = ()  # instructions without an effect, behind which Unicorn stops as if they were invalid


class Target(NamedTuple):
    """One CPU, as ``LLEXT_TARGET`` names it."""

    name: str
    arch: str  # the name of its Arch
    bits: Literal[32, 64]
    summary: str
    float_abi: FloatAbi  # which floating-point types travel in FPU registers
    gcc_prefixes: tuple[str, ...]  # tried in this order; at last that of Zephyr's SDK
    clang_target: str  # --target= of the zig toolchain's clang
    zig_target: str  # -target and -mcpu of `zig build-lib`, which makes the compiler runtime
    zig_cpu: str
    cpu_flags: tuple[str, ...]  # CPU, ISA and ABI, in the spelling that gcc and clang share
    flags: tuple[Flag, ...]  # the other defaults, each with its reason
    emulator: Emulator
    debian: str  # the Debian package of the gcc toolchain
    isa: tuple[str, ...] = ()  # what the CPU has, in the words of ``Cpu.isa``
    firmware_base: tuple[int, int] = (0, 0)  # where the sample firmware has flash and RAM
    kconfig: tuple[str, ...] = ()  # options of a Zephyr build for this CPU; behind a ! those that are off

"""What an architecture and a target are. A new architecture is a sub-package with an ``ARCH`` of this type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from llext_tools.elf.model import ElfObject
from llext_tools.reloc import Reloc


class Flag(NamedTuple):
    """A compiler flag that a target sets by default, with the reason that the documentation gives for it."""

    flag: str
    why: str
    only: Literal["", "gcc", "zig"] = ""  # the toolchain that it is for, all if empty
    language: Literal["", "C", "CXX"] = ""


class CallConv(NamedTuple):
    """Where the procedure call standard puts arguments and results. Registers by Unicorn's names, lower case."""

    ints: tuple[str, ...]  # argument registers, in order
    floats: tuple[str, ...]  # argument registers of the hard-float variants
    sp: str
    pc: str
    ra: str  # the register that holds the return address
    stack_align: int  # bytes


class Emulator(NamedTuple):
    """How Unicorn is opened for a target: the names of its constants without their prefix, as text."""

    arch: str  # UC_ARCH_<arch>
    mode: tuple[str, ...]  # UC_MODE_<each>
    cpu: str  # UC_CPU_<cpu>
    setup: Mapping[str, int] = MappingProxyType({})  # registers to set once, for example to enable the FPU


class Target(NamedTuple):
    """One CPU, as ``LLEXT_TARGET`` names it."""

    name: str
    arch: str  # the name of its Arch
    bits: Literal[32, 64]
    summary: str
    float_abi: Literal["soft", "single", "double"]  # which floating-point types travel in FPU registers
    gcc_prefixes: tuple[str, ...]  # tried in this order
    clang_target: str  # --target= of the zig toolchain's clang
    zig_target: str  # -target and -mcpu of `zig build-lib`, which makes the compiler runtime
    zig_cpu: str
    cpu_flags: tuple[str, ...]  # CPU, ISA and ABI, in the spelling that gcc and clang share
    flags: tuple[Flag, ...]  # the other defaults, each with its reason
    emulator: Emulator
    debian: str  # the Debian package of the gcc toolchain
    firmware_base: tuple[int, int] = (0, 0)  # where the sample firmware has flash and RAM


class Arch(NamedTuple):
    """An architecture: its relocation table and everything else that depends on ``e_machine``."""

    name: str
    machine: int
    classes: tuple[Literal[32, 64], ...]
    rela: bool  # what its ABI puts into ET_REL: SHT_RELA, else SHT_REL
    relocs: Mapping[int, Mapping[int, Reloc]]  # ELF class, 32 or 64 -> code -> row
    thumb: bool  # bit 0 of a function's address is a state, not part of the address
    tls_bias: int  # thread pointer - start of the TLS block, bytes
    callconv: CallConv
    targets: tuple[Target, ...]
    no_help: Mapping[int, tuple[str, str]] = MappingProxyType({})  # code that has no row -> its name, the cure
    misfit: Callable[[ElfObject, Target], str] = lambda obj, target: ""  # why an object cannot run there, "" if it can

"""What an architecture is. A new one is a sub-package: ``arch.py`` with an ``ARCH`` of this type, ``targets.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from llext_tools.arch.model import FloatAbi, Target
from llext_tools.c.types import CType
from llext_tools.elf.model import I64, Bytes, ElfObject
from llext_tools.reloc import NONE, Reloc


class Cpu(NamedTuple):
    """The CPU that code is compiled for, and its binary interface, as far as a file says: what it does not is empty."""

    arch: str  # the name of its Arch
    bits: int
    name: str = ""  # "Armv7E-M", "rv32imac"
    isa: tuple[str, ...] = ()  # architecture and extensions, each with all that ``Arch.includes`` says
    floats: FloatAbi | Literal[""] = ""
    abi: str = ""  # the compiler's option for that: "-mfloat-abi=softfp", "-mabi=ilp32f"
    enum: int = 0  # bytes of the smallest enumeration: 1 with -fshort-enums, else 4
    wchar: int = 0  # bytes of wchar_t


class Piece(NamedTuple):
    """``size`` bytes of a value: in ``register``, or on the stack, ``offset`` bytes above its pointer at the call.

    ``fill`` is what the register holds above them; ``at`` where they begin in the value.
    """

    size: int
    register: str = ""
    offset: int = 0
    fill: int = 0
    at: int = 0


Flow = Literal["", "branch", "jump", "indirect", "call", "return"]
"""How an instruction goes on: with the next one; somewhere else if a condition holds (``branch``) or always, where it
says itself (``jump``) or a register does (``indirect``); as a call or as a return."""


class FlowRow(NamedTuple):
    """Instructions of one kind: those with ``word & mask == value``. ``target``: word -> offset, bytes."""

    mask: int
    value: int
    flow: Flow
    target: Callable[[Any], Any] | None = None


class Instruction(NamedTuple):
    """``size`` in bytes; ``target``: how far from the instruction it jumps or calls, where it says so itself."""

    size: int
    flow: Flow = ""
    target: int | None = None

    @classmethod
    def of(cls, word: int, size: int, rows: Iterable[FlowRow], ahead: int = 0) -> Instruction:
        """By the first row that fits; ``ahead``: bytes from the instruction to what its offset is relative to."""
        for row in rows:
            if word & row.mask == row.value:
                return cls(size, row.flow, int(row.target(word)) + ahead if row.target else None)
        return cls(size)


class Placer(Protocol):
    """Places the arguments of one call, one after the other."""

    stack: int
    """Bytes of the stack that the arguments take so far."""

    def place(self, type: CType, *, named: bool = True) -> tuple[Piece, ...]:
        """Where the next argument goes; ``named`` is False for those that stand for the ``...``.

        Of a type that travels by reference it is the address that goes there.
        """


class CallConv(NamedTuple):
    """The procedure call standard. Registers by Unicorn's names, lower case."""

    placer: Callable[[int, FloatAbi, bool], Placer]  # of bytes in a word, which floats go in FPU registers, variadic?
    result: Callable[[CType, int, FloatAbi, bool], tuple[Piece, ...] | None]
    """Where a result comes, by its type and as ``placer``. None if it comes in memory: then the caller passes the
    address of that memory as an argument of its own, in front of all others."""
    sp: str
    pc: str
    ra: str  # the register that holds the return address
    saved: tuple[str, ...]  # what a function has to restore
    shown: tuple[str, ...]  # what a person wants to see of a fault, in order
    in_fpu: Callable[[tuple[str, ...], int, FloatAbi, bool], bool]  # is a value of such scalars, with bits of a word?
    stack_align: int  # bytes
    call_size: Callable[[bytes], int]  # of the last 4 bytes in front of a return address: those of the call itself
    is_call: Callable[[bytes, int], bool]  # whether these 4 bytes of code end with a call, on a CPU of so many bits
    dwarf: tuple[str, ...]  # the registers by their numbers in debug information, "" for those that unwinding needs not
    frame: tuple[str, int, int, int]  # frame pointer; words from there to the outer one's, the return address, its end
    sets_frame: Callable[[bytes], bool]  # whether the first instructions of a function set its frame pointer
    by_reference: int = 0  # what has more words than that travels by its address, 0: nothing does
    long_double: Literal[8, 16] = 8  # bytes
    anchor: tuple[str, str] = ("", "")  # a register, and the symbol whose value the code of a firmware wants there


class GdbRegister(NamedTuple):
    """A register as GDB knows it. ``type`` is a predefined one of target descriptions."""

    name: str
    bits: int
    type: str = "int"
    emulator: str = ""  # the emulator's name, if that is another one
    constant: bool = False  # writing it changes nothing


class GdbFeature(NamedTuple):
    """Registers that GDB expects together, under a name of its manual's "Standard Target Features"."""

    name: str
    registers: tuple[GdbRegister, ...]


class Gdb(NamedTuple):
    """What GDB is told of a CPU."""

    architecture: Callable[[Target], str]  # as `set architecture` has it
    features: Callable[[Target], tuple[GdbFeature, ...]]


class Arch(NamedTuple):
    """An architecture: its relocation table and everything else that depends on ``e_machine``."""

    name: str
    machine: int
    classes: tuple[Literal[32, 64], ...]
    rela: bool  # what its ABI puts into ET_REL: SHT_RELA, else SHT_REL
    relocs: Mapping[int, Mapping[int, Reloc]]  # ELF class, 32 or 64 -> code -> row
    loader_relocs: Mapping[int, Mapping[int, Reloc]]  # the same, as Zephyr's loader carries them out; V is always set
    loader_deviations: Mapping[int, str]  # code -> where the loader's row leaves the ABI, and what comes of it
    thumb: bool  # bit 0 of a function's address is a state, not part of the address
    tls_bias: int  # thread pointer - start of the TLS block, bytes
    callconv: CallConv
    targets: tuple[Target, ...]
    gdb: Gdb
    cpu: Callable[[ElfObject], Cpu]  # what a file says of the CPU that it is for
    unfit: Callable[[Cpu, Target, tuple[str, ...]], str]  # see misfit(); with what the target lacks
    decode: Callable[[bytes, int], Instruction]  # the instruction that code starts with, on a CPU of so many bits
    loader_writes_first: bool = False  # Zephyr's loader writes a value before it checks whether it fits
    relative: int = -1  # code of the relocation that moves an address of a shared object along
    reach_help: str = ""  # the cure for a branch that is too short
    branches: frozenset[int] = frozenset()  # codes of relocations in calls and jumps: the symbol is a function
    foreign_branches: frozenset[int] = frozenset()  # the same in code that the targets' CPUs do not have (Arm's A32)
    pointers: frozenset[int] = frozenset()  # codes of relocations that write an address which may be a function's
    literals: frozenset[int] = frozenset()  # codes of relocations of words in the code that instructions load
    users_of: Callable[[Bytes, int], I64] | None = (
        None  # code, offset of such a word -> those of what uses it, int64[n]
    )
    refused_help: Mapping[int, str] = MappingProxyType({})  # code that has a row, but loaders refuse it -> the cure
    no_help: Mapping[int, tuple[str, str]] = MappingProxyType({})  # code that has no row -> its name, the cure
    includes: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # word of ``Cpu.isa`` -> those that it brings along
    fpu: frozenset[str] = frozenset()  # words of ``Cpu.isa`` that stand for floating-point instructions
    fpu_instructions: Callable[[Bytes, int], I64] = lambda _code, _bits: NONE  # their offsets in a section's contents
    peripherals: tuple[tuple[int, int], ...] = ()  # addresses (start, end) that are meant for them, and not for memory

    def lacking(self, code: Cpu, isa: tuple[str, ...]) -> tuple[str, ...]:
        """What ``code`` may use and a CPU with ``isa`` does not have, in the words of ``Cpu.isa``.

        Nothing if it is not known what the CPU has.
        """
        has, more = set(isa), list(isa)
        while more:
            more = [word for each in more for word in self.includes.get(each, ()) if word not in has]
            has.update(more)
        return tuple(word for word in code.isa if word not in has) if has else ()

    def goes_with(self, firmware: Cpu, target: Target) -> bool:
        """Whether code for the target runs beside a firmware, as far as that says what it is compiled for."""
        alike = (firmware.arch, firmware.bits, firmware.floats) == (self.name, target.bits, target.float_abi)
        return (
            alike and bool(firmware.isa) and not self.lacking(Cpu(self.name, target.bits, isa=target.isa), firmware.isa)
        )

    def suited(self, firmware: Cpu) -> tuple[str, ...]:
        """The targets to compile extensions for, beside a firmware: those that use most of what its CPU has."""
        fitting = [each for each in self.targets if self.goes_with(firmware, each)]

        def has_less(one: Target, other: Target) -> bool:
            code = [Cpu(self.name, each.bits, isa=each.isa) for each in (one, other)]
            return not self.lacking(code[0], other.isa) and bool(self.lacking(code[1], one.isa))

        return tuple(each.name for each in fitting if not any(has_less(each, other) for other in fitting))

    def code_at(self, address: int) -> int:
        """Where the code of a function is: its address without the Thumb bit."""
        return address & ~1 if self.thumb else address

    def misfit(self, obj: ElfObject, target: Target) -> str:
        """Why an object cannot run on the target, in words that follow "the object is"; ``""`` if it can."""
        code = self.cpu(obj)
        return self.unfit(code, target, self.lacking(code, target.isa))


def instruction_starts(wide: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which halfwords start an instruction, in code of one or two halfwords each: ``wide`` where one would be of two.

    Behind a halfword that would start a narrow one another instruction starts, whatever came before: data in code
    confuses its nearest neighbours only.
    """
    index = np.arange(wide.size)
    run = np.maximum.accumulate(np.where(wide, 0, index + 1))  # where the wide ones up to here begin, or the next index
    starts: NDArray[np.bool_] = np.append(True, ((index - run) & 1 == 1) | ~wide)[:-1]
    return starts

"""The procedure call standard of Arm.  Source: aapcs32 (2024Q3), "Parameter passing" and "Result return".

The rules' letters: NCRN is the next core register number, NSAA the next stacked argument address.
"""

from __future__ import annotations

from functools import lru_cache

from llext_tools.arch.base import CallConv, Piece
from llext_tools.arch.model import FloatAbi
from llext_tools.c.byvalue import INTEGERS, UNION, leaves
from llext_tools.c.types import CType

FLOATS = frozenset(("f16", "f32", "f64"))


class Aapcs:
    """The base standard, and its VFP variant where floats go in FPU registers and the function is not variadic."""

    def __init__(self, word: int, float_abi: FloatAbi, variadic: bool) -> None:
        assert word == 4
        self.stack = 0  # NSAA - sp
        self._core = 0  # NCRN
        self._float_abi, self._variadic = float_abi, variadic
        self._free = set(range(16))  # s0 to s15 that hold nothing yet

    def place(self, type: CType, *, named: bool = True) -> tuple[Piece, ...]:
        del named  # a variadic function uses the base standard for all its arguments
        floats = homogeneous(type, self._float_abi, self._variadic) if type.kind not in INTEGERS else None
        if floats is not None:
            return self._place_floats(type, *floats)
        align, words = 8 if type.align >= 8 else 4, -(-type.size // 4)
        if align == 8:
            self._core += self._core & 1  # C.3: a double word starts at an even register
        free = 4 - self._core
        if words > free and (free <= 0 or self.stack):
            self._core = 4  # C.6
            return self._push(type.size, align)
        first = self._core
        here = min(words, free)  # C.4, or C.5: what has no room left comes first on the stack
        self._core += here
        parts = tuple(Piece(min(type.size - 4 * i, 4), f"r{first + i}", at=4 * i) for i in range(here))
        return parts + (self._push(type.size - 4 * here, 4, 4 * here) if words > here else ())

    def _place_floats(self, type: CType, size: int, count: int) -> tuple[Piece, ...]:
        """Rules C.1 and C.2: the lowest registers that are free and in a row, also between those in use."""
        singles = max(size // 4, 1)
        for first in range(0, 17 - singles * count, singles):
            if self._free.issuperset(range(first, first + singles * count)):
                self._free.difference_update(range(first, first + singles * count))
                names = (f"s{first + i}" if singles == 1 else f"d{first // 2 + i}" for i in range(count))
                return tuple(Piece(size, name, at=size * i) for i, name in enumerate(names))
        self._free.clear()
        return self._push(type.size, 8 if type.align >= 8 else 4)

    def _push(self, size: int, align: int, at: int = 0) -> tuple[Piece, ...]:
        start = -(-self.stack // align) * align  # C.7
        self.stack = start + -(-size // 4) * 4
        return (Piece(size, offset=start, at=at),) if size else ()


@lru_cache(maxsize=1024)
def result(type: CType, word: int, float_abi: FloatAbi, variadic: bool) -> tuple[Piece, ...] | None:
    """As the first argument; a structure of more than a word that does not go in FPU registers is in memory."""
    if type.kind == "record" and type.size > word and not homogeneous(type, float_abi, variadic):
        return None
    return Aapcs(word, float_abi, variadic).place(type)


@lru_cache(maxsize=1024)
def homogeneous(type: CType, float_abi: FloatAbi, variadic: bool) -> tuple[int, int] | None:
    """Size and number of the floats in a value that goes in FPU registers; None of another one."""
    parts = leaves(type)
    if not in_fpu(tuple(part.scalar for part in parts), 32, float_abi, variadic):
        return None
    size = max(part.size for part in parts)
    return (size, type.size // size) if type.size in (size, 2 * size, 3 * size, 4 * size) else None


def in_fpu(scalars: tuple[str, ...], bits: int, float_abi: FloatAbi, variadic: bool) -> bool:
    """Whether a value is a candidate for FPU registers: floats, or up to four alike in a structure or union."""
    del bits
    alike = {scalar for scalar in scalars if scalar != UNION}
    hard = float_abi != "soft" and not variadic
    return hard and len(alike) == 1 and alike <= FLOATS and len(scalars) - scalars.count(UNION) <= 4


def call_size(code: bytes) -> int:
    """BL has 4 bytes, BLX to a register 2."""
    return 4 if code[1] >> 3 == 0b11110 and code[3] >> 6 == 0b11 else 2


def is_call(code: bytes, bits: int) -> bool:
    """BL, or BLX to a register."""
    del bits
    first, last = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:], "little")
    return (first >> 11 == 0b11110 and last & 0xD000 == 0xD000) or last & 0xFF87 == 0x4780


def sets_frame(code: bytes) -> bool:
    """``add r7, sp, #n`` or ``mov r7, sp``: the frame pointer of Thumb code."""
    halves = [int.from_bytes(code[i : i + 2], "little") for i in range(0, len(code) - 1, 2)]
    return any(half & 0xFF00 == 0xAF00 or half == 0x466F for half in halves)


CALLCONV = CallConv(
    placer=Aapcs,
    result=result,
    sp="sp",
    pc="pc",
    ra="lr",
    saved=tuple(f"r{i}" for i in range(4, 12)),
    shown=(*(f"r{i}" for i in range(13)), "sp", "lr", "pc"),
    in_fpu=in_fpu,
    stack_align=8,
    call_size=call_size,
    is_call=is_call,
    dwarf=(*(f"r{i}" for i in range(13)), "sp", "lr", "pc"),
    frame=("r7", 0, 1, 2),
    sets_frame=sets_frame,
)

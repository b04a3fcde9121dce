"""The procedure call standard of Arm.  Source: aapcs32 (2024Q3), "Parameter passing" and "Result return".

The rules' letters: NCRN is the next core register number, NSAA the next stacked argument address.
"""

from __future__ import annotations

from llext_tools.abi.byvalue import UNION
from llext_tools.arch.base import CallConv, FloatAbi, Piece
from llext_tools.c.types import CType

FLOATS = frozenset(("f16", "f32", "f64"))


class Aapcs:
    """The base standard, and its VFP variant where floats go in FPU registers and the function is not variadic."""

    def __init__(self, word: int, float_abi: FloatAbi, variadic: bool) -> None:
        assert word == 4
        self.stack = 0  # NSAA - sp
        self._core = 0  # NCRN
        self._vfp = float_abi != "soft" and not variadic
        self._free = set(range(16))  # s0 to s15 that hold nothing yet

    def place(self, type: CType, *, named: bool = True) -> tuple[Piece, ...]:
        del named  # a variadic function uses the base standard for all its arguments
        if type.kind == "float" and self._vfp:
            return self._place_float(type.size)
        if type.size == 8:
            self._core += self._core & 1  # C.3: a double word starts at an even register
        words = -(-max(type.size, 1) // 4)
        if self._core + words <= 4:  # C.4
            first, self._core = self._core, self._core + words
            return tuple(Piece(min(type.size, 4), f"r{first + i}") for i in range(words))
        self._core = 4  # C.6
        return self._push(type.size)

    def _place_float(self, size: int) -> tuple[Piece, ...]:
        """Rules C.1 and C.2: the lowest registers that are free, also between those in use."""
        singles = size // 4
        for first in range(0, 16, singles):
            if self._free.issuperset(range(first, first + singles)):
                self._free.difference_update(range(first, first + singles))
                return (Piece(size, f"s{first}" if singles == 1 else f"d{first // 2}"),)
        self._free.clear()
        return self._push(size)

    def _push(self, size: int) -> tuple[Piece, ...]:
        align = 8 if size == 8 else 4  # C.7
        start = -(-self.stack // align) * align
        self.stack = start + max(size, 4)
        return (Piece(size, offset=start),)


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

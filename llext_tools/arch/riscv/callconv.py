"""The procedure call standard of RISC-V.  Source: RISC-V psABI 1.0, "Procedure Calling Convention"."""

from __future__ import annotations

from llext_tools.arch.base import CallConv, FloatAbi, Piece
from llext_tools.c.types import CType

FLEN: dict[FloatAbi, int] = {"soft": 0, "single": 4, "double": 8, "quad": 16}
BOXED = 0xFFFF_FFFF_0000_0000
"""Above a float in an FPU register: ones, which make it a NaN to whoever reads it as a double."""


class PsAbi:
    """The integer convention, and the hardware floating-point one for named arguments of up to FLEN bits."""

    def __init__(self, word: int, float_abi: FloatAbi, variadic: bool) -> None:
        del variadic  # named arguments travel alike
        self.stack = 0
        self._word = word
        self._flen = FLEN[float_abi]
        self._ints = 0
        self._floats = 0

    def place(self, type: CType, *, named: bool = True) -> tuple[Piece, ...]:
        if type.kind == "float" and named and type.size <= self._flen and self._floats < 8:
            self._floats += 1
            return (Piece(type.size, f"fa{self._floats - 1}", fill=BOXED if type.size == 4 else 0),)
        word = self._word
        words = -(-type.size // word)
        if words > 2:  # by reference
            words, size = 1, word
        else:
            size = type.size
        if words == 2 and not named:
            self._ints += self._ints & 1  # a variadic argument of two words takes an aligned pair
        pieces = []
        while size > 0 and self._ints < 8:
            pieces.append(Piece(min(size, word), f"a{self._ints}"))
            self._ints += 1
            size -= word
        if size > 0:  # all of it, or the second word of a pair whose first went into a7
            align = word if pieces else max(word, min(type.align, 2 * word) if words == 2 else word)
            start = -(-self.stack // align) * align
            self.stack = start + -(-size // word) * word
            pieces.append(Piece(size, offset=start))
        return tuple(pieces)


def in_fpu(scalars: tuple[str, ...], bits: int, float_abi: FloatAbi, variadic: bool) -> bool:
    """Whether a value is a candidate for FPU registers: a float, or a structure of one or two scalars with a float.

    That holds for results and named arguments, of variadic functions too. Unions never are, nor is, as compilers have
    it, what holds a pointer.
    """
    del variadic
    if len(scalars) > 2 or not all(scalar[1:].isdecimal() for scalar in scalars):
        return False
    widths = [(scalar[0] == "f", int(scalar[1:])) for scalar in scalars]
    fit = all(width <= (8 * FLEN[float_abi] if real else bits) for real, width in widths)
    return fit and any(real for real, _ in widths)


def call_size(code: bytes) -> int:
    """JAL and JALR with ra have 4 bytes, their compressed forms 2."""
    word = int.from_bytes(code, "little")
    return 4 if word & 0xFFF in (0x0E7, 0x0EF) else 2


def is_call(code: bytes, bits: int) -> bool:
    """JAL and JALR with ra, C.JALR, and C.JAL, which 64-bit CPUs do not have."""
    word, last = int.from_bytes(code, "little"), int.from_bytes(code[2:], "little")
    if word & 0xFFF == 0x0EF or word & 0x7FFF == 0x00E7:
        return True
    return (last & 0xF07F == 0x9002 and last & 0xF80 != 0) or (bits == 32 and last & 0xE003 == 0x2001)


def sets_frame(code: bytes) -> bool:
    """``addi s0, sp, n``, in four bytes or in two."""
    halves = [int.from_bytes(code[i : i + 2], "little") for i in range(0, len(code) - 1, 2)]
    pairs = zip(halves, [*halves[1:], 0], strict=True)
    return any((half & 0xE01F == 0 and half != 0) or (half == 0x0413 and more & 0xF == 1) for half, more in pairs)


CALLCONV = CallConv(
    placer=PsAbi,
    sp="sp",
    pc="pc",
    ra="ra",
    saved=tuple(f"s{i}" for i in range(12)),
    shown=("ra", "sp", "gp", "tp", *(f"{k}{i}" for k, n in (("a", 8), ("t", 7), ("s", 12)) for i in range(n)), "pc"),
    in_fpu=in_fpu,
    stack_align=16,
    call_size=call_size,
    is_call=is_call,
    dwarf=(
        "",
        "ra",
        "sp",
        "gp",
        "tp",
        "t0",
        "t1",
        "t2",
        "s0",
        "s1",
        *(f"a{i}" for i in range(8)),
        *(f"s{i}" for i in range(2, 12)),
        "t3",
        "t4",
        "t5",
        "t6",
    ),
    frame=("s0", -2, -1, 0),
    sets_frame=sets_frame,
    by_reference=2,
    long_double=16,
)

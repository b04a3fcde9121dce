"""The procedure call standard of RISC-V.  Source: RISC-V psABI 1.0, "Procedure Calling Convention"."""

from __future__ import annotations

from functools import lru_cache

from llext_tools.arch.base import CallConv, Piece
from llext_tools.arch.model import FloatAbi
from llext_tools.c.byvalue import INTEGERS, leaves
from llext_tools.c.types import CType

FLEN: dict[FloatAbi, int] = {"soft": 0, "single": 4, "double": 8, "quad": 16}


BY_REFERENCE = 2  # words


class PsAbi:
    """The integer convention, and the hardware floating-point one for named arguments of up to FLEN bits."""

    def __init__(self, word: int, float_abi: FloatAbi, variadic: bool) -> None:
        del variadic  # named arguments travel alike
        self.stack = 0
        self._word, self._float_abi = word, float_abi
        self._ints = 0
        self._floats = 0

    def place(self, type: CType, *, named: bool = True) -> tuple[Piece, ...]:
        word = self._word
        if named and type.kind not in INTEGERS and (pieces := self._flattened(type)):
            return pieces
        size, align = type.size, max(word, min(type.align, 2 * word))
        if size > BY_REFERENCE * word:
            size = align = word
        if align > word and not named:
            self._ints += self._ints & 1  # a variadic argument aligned to two words takes an aligned pair
        here = min(-(-size // word), max(8 - self._ints, 0))
        pieces = tuple(Piece(min(size - word * i, word), f"a{self._ints + i}", at=word * i) for i in range(here))
        self._ints += here
        at = word * here
        if size > at:  # all of it, or the second word of a pair whose first went into a7
            align = word if here else align
            start = -(-self.stack // align) * align
            self.stack = start + -(-(size - at) // word) * word
            pieces += (Piece(size - at, offset=start, at=at),)
        return pieces

    def _flattened(self, type: CType) -> tuple[Piece, ...]:
        """The one or two scalars of a value each in a register, if there are enough of both kinds.

        Above a narrow float there are ones, which make it a NaN to whoever reads it as a wide one.
        """
        parts = leaves(type)
        if not in_fpu(tuple(part.scalar for part in parts), 8 * self._word, self._float_abi, False):
            return ()
        reals = [part.scalar[0] == "f" for part in parts]
        if self._floats + sum(reals) > 8 or self._ints + len(reals) - sum(reals) > 8:
            return ()
        pieces = []
        for real, part in zip(reals, parts, strict=True):
            if real:
                boxed = (1 << 64) - (1 << 8 * part.size) if part.size < 8 else 0
                pieces.append(Piece(part.size, f"fa{self._floats}", fill=boxed, at=part.offset))
                self._floats += 1
            else:
                pieces.append(Piece(part.size, f"a{self._ints}", at=part.offset))
                self._ints += 1
        return tuple(pieces)


@lru_cache(maxsize=1024)
def result(type: CType, word: int, float_abi: FloatAbi, variadic: bool) -> tuple[Piece, ...] | None:
    """As the first named argument; what would go by reference is in memory."""
    if type.size > BY_REFERENCE * word:
        return None
    return PsAbi(word, float_abi, variadic).place(type)


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
    result=result,
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
    by_reference=BY_REFERENCE,
    long_double=16,
    anchor=("gp", "__global_pointer$"),
)

"""Calls whose arguments are integers in registers, as most are: all that can be worked out before is.

It does what ``Guest.call()`` does. A call takes three calls of the emulator: one that writes all registers, one that
runs, one that reads what the function returns and has to have restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llext_tools.arch.base import Piece
from llext_tools.c.types import CType, Prototype
from llext_tools.errors import LlextError
from llext_tools.host.guest import Guest

NUMBERS = ("int", "uint", "bool", "pointer")


class Widen(NamedTuple):
    """How an integer fills its register: ``((value & mask) ^ sign) - sign``, the word of it."""

    mask: int
    sign: int


class Express:
    """One function of the extension; ``address`` with the Thumb bit. Made by ``express()``."""

    def __init__(self, guest: Guest, address: int, prototype: Prototype, registers: Sequence[str]) -> None:
        conv = guest.conv
        self._guest, self._address = guest, address
        self._word = (1 << guest.target.bits) - 1
        self._widens = tuple(widening(ctype, guest.target.bits) for ctype in prototype.params)
        self._written = (*registers, conv.sp, conv.ra)
        self._before = (conv.sp, conv.ra)
        self._result = prototype.result
        pieces = _pieces(guest, prototype, (prototype.result,)) if not prototype.result.is_void else ()
        self._outer = (*(piece.register for piece in pieces), conv.sp, *conv.saved)
        self._inner = self._outer[: len(pieces) + 1]
        self._pieces = len(pieces)
        self._mask = (1 << 8 * self._result.size) - 1
        self._sign = 1 << (8 * self._result.size - 1) if self._result.kind == "int" else 0

    def __call__(self, values: Sequence[int]) -> int | None:
        """Call it with a value for each parameter. Returns and raises what ``Guest.call()`` does."""
        guest = self._guest
        machine, frames, word = guest.machine, guest.frames, self._word
        outermost = not frames.entries
        top, back = machine.get_all(self._before)
        sp = top // guest.conv.stack_align * guest.conv.stack_align
        registers = [
            (((value & mask) ^ sign) - sign) & word for value, (mask, sign) in zip(values, self._widens, strict=True)
        ]
        inside = guest.enter(self._address, top, back)
        machine.set_all(self._written, (*registers, sp, guest.return_at | guest.arch.thumb))
        try:
            guest.run_from(self._address)
            found = machine.get_all(self._outer if outermost else self._inner)
            count = self._pieces
            if found[count] != sp or (outermost and found[count + 1 :] != frames.kept):
                guest.check_return(sp, self._address)
        except LlextError:
            guest.failed()
            raise
        finally:
            guest.leave(inside)
        machine.set_all(self._before, (top, back))
        if not count:
            return None
        value = found[0] if count == 1 else found[0] | found[1] << guest.target.bits
        if self._result.kind == "bool":
            return int(value & 0xFF != 0)
        value &= self._mask
        return (value ^ self._sign) - self._sign


def express(guest: Guest, address: int, prototype: Prototype) -> Express | None:
    """A way to call a function in short, None if one of its types has to go another way."""
    if prototype.variadic or not all(ctype.kind in NUMBERS for ctype in prototype.params):
        return None
    if prototype.result.kind not in (*NUMBERS, "void") or max(_sizes(prototype), default=0) > 8:
        return None
    if any(ctype.size > guest.model.word for ctype in prototype.params):
        return None
    pieces = _pieces(guest, prototype, prototype.params)
    if not all(piece.register for piece in pieces):
        return None
    return Express(guest, address, prototype, [piece.register for piece in pieces])


def _sizes(prototype: Prototype) -> Iterator[int]:
    return (ctype.size for ctype in (*prototype.params, prototype.result))


def _pieces(guest: Guest, prototype: Prototype, types: Sequence[CType]) -> tuple[Piece, ...]:
    placer = guest.placer(prototype.variadic)
    return tuple(piece for ctype in types for piece in placer.place(ctype))


def widening(ctype: CType, bits: int) -> Widen:
    """By the sign to 32 bits, and from there as signed: see ``c.types.widen()``."""
    own = 8 * ctype.size
    if ctype.kind == "int" and own < 32:
        return Widen((1 << own) - 1, 1 << (own - 1))
    return Widen((1 << own) - 1, 1 << 31 if own == 32 < bits else 0)

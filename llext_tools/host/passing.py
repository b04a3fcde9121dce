"""How values get from the host to the extension and back: in registers, on the stack, in memory by their address.

Where they go, the procedure call standard says: ``arch.base.CallConv``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llext_tools.arch.base import Piece, Placer
from llext_tools.c.types import CType, Prototype, decode, encode, widen
from llext_tools.c.values import pack
from llext_tools.c.view import value_of
from llext_tools.host.faults import refuse_stack
from llext_tools.host.memory import AccessError

if TYPE_CHECKING:
    from llext_tools.host.guest import Guest


class Registers:
    """The arguments of the call that the machine has just made, one after the other."""

    def __init__(self, guest: Guest, placer: Placer) -> None:
        self._guest, self._placer = guest, placer
        self._sp = guest.machine.get(guest.conv.sp)

    def next(self, ctype: CType, *, named: bool = False) -> bytes:
        guest = self._guest
        pieces = self._placer.place(ctype, named=named)
        if by_reference(ctype, guest):
            address = int.from_bytes(fetch(guest, pieces, self._sp, guest.model.word), "little")
            return guest.memory.read(address, ctype.size)
        return fetch(guest, pieces, self._sp, ctype.size)


class VaList:
    """The arguments behind a ``va_list``: both ABIs have them in memory, in words or from an aligned pair on."""

    def __init__(self, guest: Guest, address: int) -> None:
        self._guest, self._at = guest, address

    def next(self, ctype: CType) -> bytes:
        guest = self._guest
        word = guest.model.word
        if by_reference(ctype, guest):
            address = int.from_bytes(self.next(guest.model.types["uintptr_t"]), "little")
            return guest.memory.read(address, ctype.size)
        align = min(max(word, ctype.align), 2 * word)
        self._at = -(-self._at // align) * align
        data = guest.memory.read(self._at, ctype.size)
        self._at += -(-ctype.size // word) * word
        return data


class Outgoing(NamedTuple):
    """A call that is ready to be made: its stack pointer, and where its result comes, if that is in memory."""

    sp: int
    result: int | None


def pass_arguments(guest: Guest, prototype: Prototype, types: Sequence[CType], values: Sequence[Any]) -> Outgoing:
    """Put the arguments of a call of the extension into their places.

    Raises:
        FaultError: the stack has no room for them. TypeError, OverflowError, AttributeError: see ``c.values.pack()``.
    """
    conv, word = guest.conv, guest.model.types["uintptr_t"]
    data = [bytes_of(guest, ctype, value) for ctype, value in zip(types, values, strict=True)]
    top = guest.machine.get(conv.sp)
    placer = guest.placer(prototype.variadic)
    placed: list[tuple[CType, tuple[Piece, ...], bytes]] = []
    result = None
    if result_pieces(guest, prototype) is None:
        result = top = (top - prototype.result.size) // 16 * 16
        placed.append((word, placer.place(word), encode(word, result)))
    for i, (ctype, each) in enumerate(zip(types, data, strict=True)):
        pieces = placer.place(ctype, named=i < len(prototype.params))
        if by_reference(ctype, guest):
            top = (top - ctype.size) // 16 * 16
            _write_stack(guest, top, each)
            placed.append((word, pieces, encode(word, top)))
        else:
            placed.append((ctype, pieces, each))
    sp = (top - placer.stack) // conv.stack_align * conv.stack_align
    for ctype, pieces, each in placed:
        put(guest, ctype, pieces, each, sp)
    return Outgoing(sp, result)


def take_result(guest: Guest, prototype: Prototype, call: Outgoing) -> Any:
    """What the extension has returned: a number, a view of a copy of a structure, None for void."""
    ctype = prototype.result
    if ctype.is_void:
        return None
    if call.result is not None:
        return value_of_call(guest, ctype, guest.memory.read(call.result, ctype.size))
    return value_of_call(guest, ctype, fetch(guest, result_pieces(guest, prototype) or (), 0, ctype.size))


def give_result(guest: Guest, prototype: Prototype, value: Any, memory: int | None) -> None:
    """Let the extension have what the host's function returns.

    Args:
        memory: where the caller wants it, if not in registers.
    """
    ctype = prototype.result
    if ctype.is_void:
        return
    data = bytes_of(guest, ctype, value)
    if memory is None:
        put(guest, ctype, result_pieces(guest, prototype) or (), data, 0)
    else:
        guest.memory.write(memory, data)
        word = guest.model.types["uintptr_t"]
        put(guest, word, guest.placer(False).place(word), encode(word, memory), 0)


def result_memory(guest: Guest, prototype: Prototype, arguments: Registers) -> int | None:
    """Where the caller of a host's function wants its result, if not in registers; before all other arguments."""
    if prototype.result.is_void or result_pieces(guest, prototype) is not None:
        return None
    return int.from_bytes(arguments.next(guest.model.types["uintptr_t"], named=True), "little")


def result_pieces(guest: Guest, prototype: Prototype) -> tuple[Piece, ...] | None:
    ctype = prototype.result
    return guest.conv.result(ctype, guest.model.word, guest.target.float_abi, prototype.variadic)


def value_of_call(guest: Guest, ctype: CType, data: bytes) -> Any:
    """An argument or a result from its bytes."""
    return value_of(ctype, data, guest.memory) if ctype.kind == "record" else decode(ctype, data)


def bytes_of(guest: Guest, ctype: CType, value: Any) -> bytes:
    """An argument or a result as memory holds it. A number is converted as C does it, anything else has to fit."""
    if ctype.is_scalar and (value is None or isinstance(value, int | float)):
        return encode(ctype, value)
    return pack(ctype, value, guest.place_text)


def by_reference(ctype: CType, guest: Guest) -> bool:
    limit = guest.conv.by_reference
    return bool(limit) and ctype.size > limit * guest.model.word


def fetch(guest: Guest, pieces: Iterable[Piece], sp: int, size: int) -> bytes:
    """The ``size`` bytes of a value that is in these pieces."""
    data = bytearray(size)
    for piece in pieces:
        part = slice(piece.at, piece.at + piece.size)
        if piece.register:
            value = guest.machine.get(piece.register) & ((1 << 8 * piece.size) - 1)
            data[part] = value.to_bytes(piece.size, "little")
        else:
            data[part] = guest.memory.read(sp + piece.offset, piece.size)
    return bytes(data)


def put(guest: Guest, ctype: CType, pieces: Iterable[Piece], data: bytes, sp: int) -> None:
    """Put a value into its pieces. A number that is less than a word is widened to one."""
    word = guest.model.word
    narrow = ctype.is_scalar and ctype.kind != "float" and ctype.size < word
    for piece in pieces:
        part = widen(ctype, data, word) if narrow else data[piece.at : piece.at + piece.size]
        if piece.register:
            guest.machine.set(piece.register, int.from_bytes(part, "little") | piece.fill)
        else:
            _write_stack(guest, sp + piece.offset, part)


def _write_stack(guest: Guest, address: int, data: bytes) -> None:
    try:
        guest.memory.write(address, data)
    except AccessError:
        refuse_stack(guest, "the stack has no room for the arguments of a call", guest.where_now())

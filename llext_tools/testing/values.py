"""Python's values as arguments and back: texts and callables get addresses, bytearrays come back changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

from llext_tools.c.types import CType, Prototype, decode
from llext_tools.c.values import pack
from llext_tools.c.view import value_of
from llext_tools.testing.program import Program


class Packer:
    """Arguments of one call. ``finish()`` brings back what the call has changed in bytearrays."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._lent: list[tuple[bytearray, int]] = []

    def value(self, ctype: CType, value: Any, what: str) -> Any:
        """A value as ``Guest.call()`` takes it: a number, or the bytes of a structure.

        Raises:
            TypeError, OverflowError: it is no value of that type, or does not fit.
        """
        program = self._program
        if ctype.kind == "pointer":
            if isinstance(value, bytearray):
                address = program.place(bytes(value))
                self._lent.append((value, address))
                return address
            if callable(value) and not isinstance(value, SupportsIndex):
                return address_of_callable(program, ctype, value, what)
        data = pack(ctype, value, program.place, what)
        return data if ctype.kind in ("record", "array") else decode(ctype, data)

    def finish(self) -> None:
        for array, address in self._lent:
            array[:] = self._program.memory.peek(address, len(array))


def address_of_callable(program: Program, ctype: CType, function: Callable[..., Any], what: str) -> int:
    prototype = ctype.function
    if prototype is None:
        raise TypeError(f"{what}: `{ctype.name}` does not say how it is called: use `callback(function, prototype)`")
    return program.callback(function, prototype, body_of(program, function, prototype, what))


def body_of(program: Program, function: Callable[..., Any], prototype: Prototype, what: str) -> Callable[..., Any]:
    """What a ``HostFunction`` runs: ``function`` with the arguments as Python has them best."""
    takes = _takes_arguments(function)
    result = prototype.result

    def body(_guest: object, *values: Any) -> Any:
        typed = [given(program, ctype, value) for ctype, value in zip(prototype.params, values, strict=False)]
        returned = function(*typed) if takes else function()
        if result.is_void:
            return None
        if returned is None and result.kind != "record":
            return 0
        return Packer(program).value(result, returned, f"the result of {what}")

    return body


def given(program: Program, ctype: CType, value: Any) -> Any:
    """What code of the extension gives, as Python has it: a number, a ``Pointer``, a view of a copy of a structure."""
    if value is None or ctype.kind in ("float", "record") or (ctype.kind in ("int", "uint") and ctype.enum is None):
        return value
    if ctype.kind == "bool":
        return bool(value)
    mask = (1 << 8 * ctype.size) - 1
    return value_of(ctype, (value & mask).to_bytes(ctype.size, "little"), program.memory)


def _takes_arguments(function: Callable[..., Any]) -> bool:
    """Whether a function has parameters; one that has none is called without."""
    try:
        return bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return True


def names_of(prototype: Prototype) -> Sequence[str]:
    """The parameters' names, or their places: ``x``, or ``argument 2``."""
    known = prototype.names or ("",) * len(prototype.params)
    return [name or f"argument {i}" for i, name in enumerate(known, 1)]

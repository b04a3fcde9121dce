"""The host's functions as values, what is remembered of their calls, and what extensions print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llext_tools.c.types import Prototype


class HostFunction(NamedTuple):
    """A function that extensions call: its C prototype, and what it does.

    ``body`` gets the guest, the arguments by their types (pointers as addresses, structures as views of a copy) and,
    if the prototype is variadic, the rest as ``Arguments``. It returns a number, None for void, or for a structure what
    ``c.values.pack()`` takes.

    ``when``: whether it serves a call; ``otherwise`` does the others, or the code that is there. Of a ``callback``,
    whose address the extension has been given, no calls are remembered.
    """

    name: str
    prototype: str | Prototype
    body: Callable[..., Any]
    when: Callable[[Any], bool] | None = None
    otherwise: HostFunction | None = None
    callback: bool = False


class HostCall(NamedTuple):
    """A call that an extension made."""

    name: str
    arguments: tuple[Any, ...]  # numbers, views of copies of structures
    result: Any


class Output:
    """What the extension prints: bytes up to a limit, passed on as they come."""

    def __init__(self, limit: int, sink: Callable[[bytes], None] | None = None) -> None:
        self._limit, self._sink = limit, sink
        self._data = bytearray()

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "backslashreplace")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return len(self._data)

    def cut(self, size: int) -> None:
        """Forget all but the first bytes."""
        del self._data[size:]

    def write(self, data: bytes) -> bool:
        """Whether there was room for all of it."""
        room = max(self._limit - len(self._data), 0)
        self._data += data[:room]
        if self._sink:
            self._sink(data[:room])
        return len(data) <= room

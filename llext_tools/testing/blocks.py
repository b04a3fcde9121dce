"""What extensions have allocated with the firmware's own code, by the calls that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llext_tools.host.guest import Guest
from llext_tools.host.heap import Block

TAKE: Mapping[str, Callable[..., int]] = {
    "malloc": lambda size: size,
    "calloc": lambda count, size: count * size,
    "aligned_alloc": lambda _align, size: size,
    "realloc": lambda _block, size: size,
}
"""Bytes that a function allocates, by its arguments; ``k_malloc`` and the others take the same ones."""

FREES = ("free", "k_free")


def kind_of(name: str) -> str:
    return name.removeprefix("k_")


class Blocks:
    """Blocks of the firmware's heap, by their addresses."""

    def __init__(self) -> None:
        self.found: dict[int, Block] = {}

    def called(self, name: str, values: tuple[Any, ...], result: Any, by: object) -> None:
        """A function of the heap has returned."""
        kind, numbers = kind_of(name), [*map(int, values)]
        size = TAKE.get(kind)
        if kind == "free" or (kind == "realloc" and (result or not numbers[1])):  # one to nothing gives it back
            self.found.pop(numbers[0], None)
        if size is not None and result:
            self.found[int(result)] = Block(size(*numbers), by)

    def freed(self, guest: Guest) -> None:
        """Somebody is about to call ``free()``."""
        word = guest.model.types["uintptr_t"]
        (piece,) = guest.placer(False).place(word)
        self.found.pop(guest.machine.get(piece.register), None)

"""How much of their stacks threads have used: stacks are filled beforehand, and what differs has been written.

Source: Zephyr 4.2, CONFIG_INIT_STACKS: all bytes are 0xAA.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from llext_tools.host.areas import Area
from llext_tools.host.memory import Memory

FILL = 0xAA


class StackUse(NamedTuple):
    """Bytes of a thread's stack: all of it, and what has been used at most."""

    name: str
    size: int
    used: int


def fill(memory: Memory, start: int, size: int) -> None:
    memory.poke(start, bytes([FILL]) * size)


def used(memory: Memory, stack: Area) -> int:
    """Bytes from the deepest one that was written to the top."""
    size = stack.end - stack.start
    written = np.frombuffer(memory.peek(stack.start, size), np.uint8) != FILL
    return size - int(written.argmax()) if written.any() else 0


def greatest(uses: Iterable[StackUse]) -> tuple[StackUse, ...]:
    """Those of threads of the same name as one: what was used most."""
    found: dict[str, StackUse] = {}
    for use in uses:
        before = found.setdefault(use.name, use)
        if use.used > before.used:
            found[use.name] = use
    return tuple(found.values())

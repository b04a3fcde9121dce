"""What a run may use: each limit ends it with a diagnostic of its own."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """``seconds`` for everything together; 0 ``instructions`` are not counted, which would slow down all code.

    ``output``, ``memory`` (all that is mapped), ``stack`` of the first thread and ``heap`` in bytes; ``depth`` of calls
    of the extension by the host by the extension, and so on.
    """

    seconds: float = 5.0
    instructions: int = 0
    output: int = 1 << 20
    memory: int = 1 << 28
    stack: int = 1 << 16
    heap: int = 1 << 20
    threads: int = 64
    depth: int = 64


ALIGN = 16
"""Bytes; of stack and heap."""

SIZES = {
    "stack": (256, 1 << 24),
    "heap": (ALIGN, 1 << 26),
    "output": (1, 1 << 30),
    "memory": (4096, 1 << 30),
}
"""The least and the most that a limit in bytes can be."""

LONGEST = 86_400
"""Seconds."""


def size(field: str, value: int) -> int:
    """A limit in bytes as it is kept: up to the next multiple of what it consists of."""
    return -(-value // ALIGN) * ALIGN if field in ("stack", "heap") else value

"""What a machine can do: memory with permissions, registers by name, run until something happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from llext_tools.elf.model import Bytes
from llext_tools.mem import Perm

Reason = Literal[
    "trap",  # reached an address given to trap()
    "timeout",
    "read",
    "write",
    "execute",
    "undefined",  # an instruction that the CPU does not have
    "state",  # Arm: code entered without the Thumb bit
    "unaligned",
    "no-fpu",
    "breakpoint",
    "supervisor",  # a system call
    "exception-return",
    "exception",  # anything else that the CPU raised
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a machine stopped. ``pc`` is the instruction concerned; of an ``execute``, the address jumped to.

    ``address``, ``size`` (bytes) and ``value`` belong to an access to memory; ``value`` only to a write.
    """

    reason: Reason
    pc: int
    address: int = 0
    size: int = 0
    value: int = 0


class Machine(Protocol):
    """One CPU and its memory. Addresses and sizes of maps are multiples of ``PAGE``."""

    def map(self, start: int, size: int, perm: Perm) -> None:
        """Add memory, zeroed. It must not overlap what is there."""

    def map_shared(self, start: int, memory: Bytes, perm: Perm) -> None:
        """Add memory that is already there: uint8[n], whole pages from a page of the host on, used without a copy."""

    def unmap(self, start: int, size: int) -> None:
        """Take memory away again."""

    def protect(self, start: int, size: int, perm: Perm) -> None:
        """Give mapped memory other permissions."""

    def changed(self, start: int, size: int) -> None:
        """Say that shared memory was written: code in it that has been translated is forgotten."""

    def confine(self, ranges: Sequence[tuple[int, int, Perm]] | None) -> None:
        """Let code touch only these ranges (start, end, permissions), to the byte; None: all that is mapped.

        Mapped memory keeps its own permissions beside that. Memory that is mapped later is free of this.
        """

    def save(self) -> object:
        """All registers."""

    def restore(self, saved: object) -> None: ...

    @property
    def regions(self) -> tuple[tuple[int, int, Perm], ...]:
        """All that is mapped: start, end, permissions."""

    def trap(self, start: int, size: int) -> None:
        """Map addresses where code ends: running stops there with the reason ``trap``."""

    def trap_at(self, address: int) -> None:
        """Stop also where there is code, before it runs."""

    def read(self, address: int, size: int) -> bytes:
        """Memory, whatever its permissions. All of it must be mapped."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory, whatever its permissions. All of it must be mapped."""

    def get(self, register: str) -> int:
        """A register as an unsigned number."""

    def get_all(self, registers: tuple[str, ...]) -> tuple[int, ...]:
        """Several registers at once."""

    def set(self, register: str, value: int) -> None: ...

    def run(self, pc: int, deadline: float) -> Stop:
        """Run from ``pc`` (Arm: with the Thumb bit) until something happens or ``deadline`` (``time.monotonic()``)."""

    def close(self) -> None:
        """Give memory and threads back."""


PAGE = 4096

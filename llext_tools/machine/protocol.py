"""What a machine can do: memory with permissions, registers by name, run until something happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from llext_tools.elf.model import Bytes
from llext_tools.mem import Perm

Reason = Literal[
    "trap",  # reached an address given to trap()
    "timeout",
    "limit",  # who was told of a block by on_block() wants no more
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
    "watched-read",  # an access that watch() is about; it has not taken place
    "watched-write",
]


class Stop(NamedTuple):
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

    def map_io(
        self, start: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        """Add addresses of a device: ``read(offset, size)`` gives a value, ``write(offset, size, value)`` takes one.

        What one of them raises ends ``run()`` with it.
        """

    def save(self) -> object:
        """All registers."""

    def restore(self, saved: object) -> None: ...

    def snapshot(self) -> object:
        """All registers, and the contents of all memory that can be written."""

    def rollback(self, snapshot: object) -> None:
        """Make registers and memory what they were; what has been mapped since is gone, traps included."""

    @property
    def regions(self) -> tuple[tuple[int, int, Perm], ...]:
        """All that is mapped: start, end, permissions."""

    def trap(self, start: int, size: int) -> None:
        """Map addresses where code ends: running stops there with the reason ``trap``."""

    def trap_at(self, address: int) -> None:
        """Stop also where there is code, before it runs."""

    def untrap_at(self, address: int) -> None:
        """Take back a ``trap_at()``."""

    def leave_trap(self) -> None:
        """Let the next run begin with the code at the trap where the last one ended."""

    def on_block(self, seen: Callable[[int, int], bool]) -> Callable[[], None]:
        """Call ``seen(address, size)`` before each block of code that runs: instructions up to a branch, or fewer.

        It must not raise anything. If it returns True, running stops there with the reason ``limit``. All code is much
        slower meanwhile. Returns what ends this.
        """

    def watch(self, start: int, size: int, perm: Perm) -> Callable[[], None]:
        """Stop before code reads or writes one of these bytes; all access is slower meanwhile. Returns what ends it."""

    def read(self, address: int, size: int) -> bytes:
        """Memory, whatever its permissions. All of it must be mapped."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory, whatever its permissions. All of it must be mapped."""

    def get(self, register: str) -> int:
        """A register as an unsigned number."""

    def get_all(self, registers: tuple[str, ...]) -> tuple[int, ...]:
        """Several registers at once."""

    def set(self, register: str, value: int) -> None: ...

    def set_all(self, registers: tuple[str, ...], values: Sequence[int]) -> None:
        """Several registers at once, of up to 64 bits each."""

    def run(self, pc: int, deadline: float) -> Stop:
        """Run from ``pc`` (Arm: with the Thumb bit) until something happens or ``deadline`` (``time.monotonic()``)."""

    def step(self, pc: int) -> Stop | None:
        """Run one instruction, on Arm also IT with all those it is about. None: nothing happened that stops."""

    def close(self) -> None:
        """Give memory and threads back."""

"""A machine around another one: what it does not do in its own way, the other one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llext_tools.elf.model import Bytes
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Perm


class Around:
    """Hands everything on to ``machine``."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def map(self, start: int, size: int, perm: Perm) -> None:
        self.machine.map(start, size, perm)

    def map_shared(self, start: int, memory: Bytes, perm: Perm) -> None:
        self.machine.map_shared(start, memory, perm)

    def map_io(
        self, start: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        self.machine.map_io(start, size, read, write)

    def unmap(self, start: int, size: int) -> None:
        self.machine.unmap(start, size)

    def protect(self, start: int, size: int, perm: Perm) -> None:
        self.machine.protect(start, size, perm)

    def changed(self, start: int, size: int) -> None:
        self.machine.changed(start, size)

    def confine(self, ranges: Sequence[tuple[int, int, Perm]] | None) -> None:
        self.machine.confine(ranges)

    def save(self) -> object:
        return self.machine.save()

    def restore(self, saved: object) -> None:
        self.machine.restore(saved)

    def snapshot(self) -> object:
        return self.machine.snapshot()

    def rollback(self, snapshot: object) -> None:
        self.machine.rollback(snapshot)

    @property
    def regions(self) -> tuple[tuple[int, int, Perm], ...]:
        return self.machine.regions

    def trap(self, start: int, size: int) -> None:
        self.machine.trap(start, size)

    def trap_at(self, address: int) -> None:
        self.machine.trap_at(address)

    def untrap_at(self, address: int) -> None:
        self.machine.untrap_at(address)

    def leave_trap(self) -> None:
        self.machine.leave_trap()

    def on_block(self, seen: Callable[[int, int], bool]) -> Callable[[], None]:
        return self.machine.on_block(seen)

    def watch(self, start: int, size: int, perm: Perm) -> Callable[[], None]:
        return self.machine.watch(start, size, perm)

    def read(self, address: int, size: int) -> bytes:
        return self.machine.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self.machine.write(address, data)

    def get(self, register: str) -> int:
        return self.machine.get(register)

    def get_all(self, registers: tuple[str, ...]) -> tuple[int, ...]:
        return self.machine.get_all(registers)

    def set(self, register: str, value: int) -> None:
        self.machine.set(register, value)

    def set_all(self, registers: tuple[str, ...], values: Sequence[int]) -> None:
        self.machine.set_all(registers, values)

    def run(self, pc: int, deadline: float) -> Stop:
        return self.machine.run(pc, deadline)

    def step(self, pc: int) -> Stop | None:
        return self.machine.step(pc)

    def close(self) -> None:
        self.machine.close()

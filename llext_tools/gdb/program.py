"""A program that can be halted, as the debugger sees it: memory, registers, threads, breakpoints and watchpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from llext_tools.arch.base import Arch
from llext_tools.arch.model import Target
from llext_tools.gdb.registers import Registers, masked
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Perm

MOST_POINTS = 256
"""Breakpoints, and watchpoints."""
WIDEST_WATCH = 1 << 16
"""Bytes that one watchpoint may watch."""

SIGINT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV, SIGSYS = 2, 4, 5, 6, 10, 11, 12
"""GDB's numbers, the same for every system."""
SIGNALS: Mapping[str, int] = {
    "read": SIGSEGV,
    "write": SIGSEGV,
    "execute": SIGSEGV,
    "undefined": SIGILL,
    "state": SIGILL,
    "no-fpu": SIGILL,
    "unaligned": SIGBUS,
    "breakpoint": SIGTRAP,
    "supervisor": SIGSYS,
    "exception-return": SIGILL,
    "exception": SIGABRT,
}
"""Reason of a ``Stop`` -> what a debugger of programs with signals would say."""

WATCHES = {2: Perm.W, 3: Perm.R, 4: Perm.R | Perm.W}
"""Type of a watchpoint in a Z packet -> accesses that it stops at."""
WATCH_NAMES = {2: "watch", 3: "rwatch", 4: "awatch"}


class Thread(NamedTuple):
    """A thread of the program. ``registers()`` by the emulator's names; None: it has the CPU."""

    id: int  # from 1 on
    name: str
    registers: Callable[[], Mapping[str, int]] | None = None
    state: str = ""  # what it does, for people


class Watch(NamedTuple):
    """A watchpoint: accesses of the kind ``type``, see ``WATCHES``, to some bytes."""

    type: int
    start: int
    size: int


class Device(NamedTuple):
    """Addresses with a device behind them: what the debugger reads and writes there, the device sees."""

    start: int
    end: int
    get: Callable[[int, int], int]
    put: Callable[[int, int, int], None]

    def read(self, address: int, size: int) -> bytes:
        """The bytes up to the first access that the device refuses."""
        found = b""
        try:
            for offset, width in self._accesses(address, size):
                found += self.get(offset, width).to_bytes(width, "little")
        except Exception:  # noqa: BLE001 - a device is any code of the user's
            pass
        return found

    def write(self, address: int, data: bytes) -> bool:
        """Whether the device has taken all of it."""
        try:
            for offset, width in self._accesses(address, len(data)):
                at = offset - (address - self.start)
                self.put(offset, width, int.from_bytes(data[at : at + width], "little"))
        except Exception:  # noqa: BLE001
            return False
        return address + len(data) <= self.end

    def _accesses(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        """Offset and bytes of each: one of the whole size if there can be one, or words, or bytes."""
        width = size if size in (1, 2, 4, 8) else 1 if (address | size) % 4 else 4
        for at in range(address, min(address + size, self.end), width):
            yield at - self.start, width


Threads = Callable[[], Sequence[Thread]]


def only_thread() -> tuple[Thread, ...]:
    return (Thread(1, "main"),)


class Program:
    """What of a machine a debugger reads and changes.

    ``threads`` gives those there are; the one with the CPU has no registers of its own.
    """

    def __init__(self, machine: Machine, arch: Arch, target: Target, threads: Threads = only_thread) -> None:
        self.machine, self.arch, self.target = machine, arch, target
        self.registers = Registers(arch, target)
        self.threads = threads
        self.breakpoints: dict[int, set[int]] = {}
        """Address -> the types of those there."""
        self.watches: dict[Watch, Callable[[], None]] = {}
        """Watchpoint -> what takes it away again."""
        self.devices: list[Device] = []
        self.trap_ranges: list[tuple[int, int]] = []
        self.traps: set[int] = set()
        """Where the host takes over: addresses to stop at that are none of the debugger's."""

    # ---- memory

    def read(self, address: int, size: int) -> bytes:
        """The bytes from an address on, up to the first that is not there."""
        for device in self.devices:
            if device.start <= address < device.end:
                return device.read(address, size)
        size = min([size, *(device.start - address for device in self.devices if device.start > address)])
        found = bytearray()
        for start, end, _ in self.machine.regions:
            at = address + len(found)
            if start <= at < end:
                found += self.machine.read(at, min(end - at, size - len(found)))
        return bytes(found)

    def write(self, address: int, data: bytes) -> bool:
        """Whether all of it is there; otherwise no memory is changed."""
        for device in self.devices:
            if device.start <= address < device.end:
                return device.write(address, data)
        if len(self.read(address, len(data))) < len(data):
            return False
        self.machine.write(address, data)
        return True

    # ---- registers

    @property
    def pc(self) -> int:
        return self.machine.get(self.arch.callconv.pc)

    @property
    def current(self) -> Thread:
        """The thread that has the CPU."""
        threads = self.threads()
        return next((thread for thread in threads if thread.registers is None), Thread(1, "main"))

    def thread(self, id: int) -> Thread | None:
        return next((thread for thread in self.threads() if thread.id == id), None)

    def get(self, number: int, thread: Thread) -> str:
        """A register in hex, ``xx`` where it is not known."""
        return self.registers.pack(self._reader(thread), [number])

    def get_all(self, thread: Thread) -> str:
        return self.registers.pack(self._reader(thread))

    def set(self, number: int, value: int, thread: Thread) -> bool:
        """Whether that can be done: only the thread with the CPU can be changed."""
        if thread.registers is not None:
            return False
        register = self.registers.all[number]
        if not register.constant:
            self.machine.set(self.registers.sources[number], masked(value, register.bits // 8))
        return True

    def _reader(self, thread: Thread) -> Callable[[str], int | None]:
        return self.machine.get if thread.registers is None else thread.registers().get

    # ---- breakpoints and watchpoints

    def is_trap(self, address: int) -> bool:
        return address in self.traps or any(start <= address < end for start, end in self.trap_ranges)

    def break_at(self, address: int, type: int) -> bool:
        """Whether there is room for one more."""
        types = self.breakpoints.get(address)
        if types is None:
            if len(self.breakpoints) >= MOST_POINTS:
                return False
            types = self.breakpoints[address] = set()
            self.arm(address)
        types.add(type)
        return True

    def unbreak(self, address: int, type: int) -> None:
        types = self.breakpoints.get(address)
        if types is not None:
            types.discard(type)
            if not types:
                self.disarm(address)
                del self.breakpoints[address]

    def arm(self, address: int) -> None:
        """Let the machine stop at a breakpoint; where the host takes over it stops anyway."""
        if not self.is_trap(address):
            self.machine.trap_at(address)

    def disarm(self, address: int) -> None:
        if not self.is_trap(address):
            self.machine.untrap_at(address)

    def watch(self, watch: Watch) -> bool:
        """Whether there is room for one more."""
        if watch in self.watches:
            return True
        if len(self.watches) >= MOST_POINTS or not 0 < watch.size <= WIDEST_WATCH:
            return False
        self.watches[watch] = self.machine.watch(watch.start, watch.size, WATCHES[watch.type])
        return True

    def unwatch(self, watch: Watch) -> None:
        if remove := self.watches.pop(watch, None):
            remove()

    def watched(self, access: Stop) -> tuple[Watch, int] | None:
        """The watchpoint that an access concerns, and the first of its bytes that it touches."""
        kind = Perm.W if access.reason == "watched-write" else Perm.R
        for watch in self.watches:
            first = max(watch.start, access.address)
            if kind in WATCHES[watch.type] and first < min(watch.start + watch.size, access.address + access.size):
                return watch, first
        return None

    @contextmanager
    def lifted(self, *addresses: int) -> Iterator[None]:
        """Without watchpoints and without the breakpoints at some addresses."""
        watches = list(self.watches)
        points = [address for address in addresses if address in self.breakpoints]
        for address in points:
            self.disarm(address)
        for watch in watches:
            self.unwatch(watch)
        try:
            yield
        finally:
            for address in points:
                self.arm(address)
            for watch in watches:
                self.watch(watch)

    def forget(self) -> None:
        """No breakpoints and watchpoints any more."""
        for address in list(self.breakpoints):
            self.disarm(address)
        self.breakpoints.clear()
        for watch in list(self.watches):
            self.unwatch(watch)

"""A machine that a debugger halts, steps and looks into, around another one that runs.

The program runs in slices of ``SLICE`` seconds. Between two of them it is seen whether the debugger asks for a halt, or
whether one has come, which halts it, too. Without a debugger everything runs on: breakpoints go with who has set them.
There is no deadline: a person thinks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from llext_tools.arch.base import Arch
from llext_tools.arch.model import Target
from llext_tools.gdb.program import SIGABRT, SIGINT, SIGNALS, SIGTRAP, WATCH_NAMES, Device, Program
from llext_tools.gdb.server import PATIENCE, GoneError, Server
from llext_tools.gdb.stub import Halt, Monitor, Resume, Stub
from llext_tools.machine.around import Around
from llext_tools.machine.protocol import Machine, Stop

SLICE = 0.05
"""Seconds that a debugger may have to wait for a halt."""


class DebugMachine(Around):
    """``machine`` with a debugger that comes by ``server``. ``wait``: nothing runs before there is one."""

    def __init__(
        self, machine: Machine, arch: Arch, target: Target, server: Server, monitor: Monitor, *, wait: bool = True
    ) -> None:
        super().__init__(machine)
        self.program = Program(machine, arch, target)
        self.explain: Callable[[Stop], str] = lambda _: ""
        """What the host will say of a stop, in whole lines."""
        self._fault: Stop | None = None  # what has been shown to the debugger before the host gets it
        self._server, self._monitor, self._wait = server, monitor, wait
        self._stub: Stub | None = None
        self._resume = Resume()
        self._leaving: int | None = None  # the address that the program was halted at and goes on from
        self._pending: Halt | None = None
        self._look_at = 0.0

    # ---- what the host does, as far as the debugger has to know

    def trap(self, start: int, size: int) -> None:
        super().trap(start, size)
        self.program.trap_ranges.append((start, start + size))

    def trap_at(self, address: int) -> None:
        if address not in self.program.breakpoints:
            super().trap_at(address)
        self.program.traps.add(address)

    def untrap_at(self, address: int) -> None:
        self.program.traps.discard(address)
        if address not in self.program.breakpoints:
            super().untrap_at(address)

    def map_io(
        self, start: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        super().map_io(start, size, read, write)
        self.program.devices.append(Device(start, start + size, read, write))

    def snapshot(self) -> object:
        program = self.program
        return super().snapshot(), set(program.traps), list(program.trap_ranges), list(program.devices)

    def rollback(self, snapshot: object) -> None:
        """Breakpoints stay."""
        assert isinstance(snapshot, tuple)
        inner, traps, ranges, devices = snapshot
        with self.program.lifted(*self.program.breakpoints):
            super().rollback(inner)
            self.program.traps, self.program.trap_ranges, self.program.devices = set(traps), list(ranges), list(devices)

    def write(self, address: int, data: bytes) -> None:
        """The host's functions write for the program: watchpoints see that when it goes on."""
        super().write(address, data)
        if self.program.watches and data:
            stop = Stop(reason="watched-write", pc=0, address=address, size=len(data))
            if found := self.program.watched(stop):
                self._pending = Halt(SIGTRAP, kind=WATCH_NAMES[found[0].type], address=found[1])

    # ---- running

    def run(self, pc: int, deadline: float) -> Stop:
        """Run until something happens that the host has to see. The deadline does not count."""
        del deadline
        halt = self._due(pc)
        while True:
            if halt is not None:
                pc, stop = self._talk(pc, halt)
                if stop is not None:
                    return stop
            here = self._plain(pc)
            leaving, self._leaving = self._leaving == here, None
            if leaving and self.program.is_trap(here):
                return Stop(reason="trap", pc=here)
            stepping = self._steps
            if stepping or (leaving and (self.program.watches or here in self.program.breakpoints)):
                stop = self._step(pc, leaving)
            else:
                stop = self.machine.run(pc, time.monotonic() + SLICE)
            if stop is None or stop.reason == "timeout":
                pc = self._now()
                halt = self._stepped(pc) if stepping else self._asked()
            elif stop.reason in ("watched-read", "watched-write"):
                pc, halt = self._watched(stop)
            else:
                halt = self._halt_for(stop)
                if halt is None:
                    return stop
                pc = pc if stop.pc == here else stop.pc | self._thumb

    def _due(self, pc: int) -> Halt | None:
        """Why to halt before anything runs: this is the beginning, or the host's function was what had to end first."""
        pending, self._pending = self._pending, None
        if self._wait:
            self._wait = False
            return Halt(SIGTRAP)
        if pending is not None or self._steps:
            return pending or self._stepped(pc)
        return self._asked()

    def _asked(self) -> Halt | None:
        """A halt if the debugger wants one, or if one has come."""
        now = time.monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + SLICE
        client = self._server.client
        try:
            if client is not None and client.interrupted():
                return Halt(SIGINT)
        except GoneError:
            self._lose()
        return Halt(SIGTRAP) if self._server.accept() else None

    def _stepped(self, pc: int) -> Halt | None:
        inside = self._resume.inside
        if inside and inside[0] <= self._plain(pc) < inside[1]:
            return self._asked()
        return Halt(SIGTRAP)

    def _halt_for(self, stop: Stop) -> Halt | None:
        """None: it is the host's."""
        if self._server.client is None:
            return None
        if stop.reason == "trap":
            types = self.program.breakpoints.get(stop.pc)
            return Halt(SIGTRAP, kind="swbreak" if 0 in types else "hwbreak") if types else None
        return Halt(SIGNALS[stop.reason], stop)

    def _watched(self, access: Stop) -> tuple[int, Halt | None]:
        """Where the program is now, and the halt: in front of the instruction, as GDB has it for CPUs of this kind."""
        pc = access.pc | self._thumb
        self._leaving = access.pc
        found = self.program.watched(access)
        if found is None:  # it is about to be taken away
            return pc, None
        return pc, Halt(SIGTRAP, kind=WATCH_NAMES[found[0].type], address=found[1])

    def _step(self, pc: int, leaving: bool) -> Stop | None:
        """One instruction. ``leaving``: the debugger knows of what stops at it."""
        if not leaving:
            return self.machine.step(pc)
        with self.program.lifted(self._plain(pc)):
            return self.machine.step(pc)

    @property
    def _steps(self) -> bool:
        """Whether the thread that has the CPU is to make one step."""
        resume = self._resume
        return resume.step and resume.thread in (0, self.program.current.id)

    # ---- talking

    def _talk(self, pc: int, halt: Halt) -> tuple[int, Stop | None]:
        """Let the debugger look. Returns where the program goes on, and what the host gets instead of that."""
        name = self.program.arch.callconv.pc
        self.machine.set(name, pc)
        if halt.stop is not None:
            self.print(self.explain(halt.stop))
        while True:
            try:
                stub = self._connected()
                self._resume = stub.halted(halt)
                break
            except GoneError:
                self._lose()
        if stub.detached:
            self._lose()
        now = self.machine.get(name)
        moved = self._plain(now) != self._plain(pc)
        self._leaving = None if moved else self._plain(pc)
        if halt.stop and (stub.detached or self._resume.signal or (halt.signal == SIGTRAP and not moved)):
            self._fault = halt.stop
            return pc, halt.stop
        return now | self._thumb if moved else pc, None

    def _connected(self) -> Stub:
        """What talks with the debugger, once there is one."""
        while self._server.client is None:
            self._server.accept(PATIENCE)
        if self._stub is None:
            self._stub = Stub(self.program, self._server.client, self._monitor)
        return self._stub

    def _lose(self) -> None:
        """There is no debugger any more."""
        self._server.drop()
        self._stub, self._resume, self._pending = None, Resume(), None
        self.program.forget()

    def print(self, text: str) -> None:
        """Show text in the debugger, too."""
        if self._stub is not None:
            try:
                self._stub.print(text)
            except GoneError:
                self._lose()

    def aborted(self, text: str) -> None:
        """Show why the host ends the run, and what led to that, unless the debugger has seen it already."""
        if self._stub is not None and self._fault is None:
            self.print(text)
            self._talk(self._now(), Halt(SIGABRT))

    def exited(self, code: int) -> None:
        """Tell the debugger that the run is over."""
        if self._stub is not None:
            try:
                self._stub.exited(code)
            except GoneError:
                pass

    # ---- addresses

    @property
    def _thumb(self) -> int:
        return int(self.program.arch.thumb)

    def _plain(self, pc: int) -> int:
        return pc & ~self._thumb

    def _now(self) -> int:
        return self.program.pc | self._thumb

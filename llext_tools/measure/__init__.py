"""Measures of what runs: coverage by line and function, instructions by function, traces of calls, use of memory.

    meter = Meter.attach(guest, images, firmware, Wanted(coverage=True))
    ...
    print(to_lcov(meter.result().coverage))

One callback sees each block of code before it runs. Nothing is attached where nothing is wanted, and code then runs at
full speed; the use of stacks and of the heap is known without.

Instructions are counted by that callback, too, about 2 million blocks a second. ``emu_start(count=)`` of Unicorn is 40
times as fast in a short loop, but does not say how many instructions it has counted when something else stops it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from llext_tools.c.types import Prototype
from llext_tools.elf.model import ElfObject
from llext_tools.host.guest import Guest
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Stop
from llext_tools.measure import coverage
from llext_tools.measure.calls import Calls
from llext_tools.measure.coverage import Coverage
from llext_tools.measure.graph import Ran, Way
from llext_tools.measure.profile import Profile, profile
from llext_tools.measure.program import Program, Programs, Symbol
from llext_tools.measure.trace import Tracer

MOST_LINES = 10_000
"""Of a trace."""


class Wanted(NamedTuple):
    """What to measure.

    ``firmware``: the coverage of the firmware's own code, too. ``profile``: instructions by function. ``trace`` gets
    each call as a line. ``instructions``: how many in all; they are counted with everything else, too.
    """

    coverage: bool = False
    firmware: bool = False
    profile: bool = False
    trace: Callable[[str], None] | None = None
    instructions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was wanted, else None."""

    coverage: Coverage | None = None
    profile: Profile | None = None
    instructions: int | None = None


class Block(NamedTuple):
    instructions: int
    ran: Ran


class Meter:
    """What is attached to a guest."""

    @classmethod
    def attach(cls, guest: Guest, images: Iterable[Image], firmware: Iterable[ElfObject], wanted: Wanted) -> Meter:
        """Measure what runs from now on, and end it at the limit of instructions, if there is one.

        Args:
            firmware: linked images whose code is there.
        """
        return cls(guest, [*map(Program.of_image, images)], [*map(Program.of_firmware, firmware)], wanted)

    def __init__(
        self, guest: Guest, extensions: Sequence[Program], firmware: Sequence[Program], wanted: Wanted
    ) -> None:
        self._guest, self._wanted = guest, wanted
        self._programs = Programs([*extensions, *firmware], guest.arch, guest.target.bits, self._read)
        self._covered = [*extensions, *(firmware if wanted.firmware else ())]
        self._limit = guest.limits.instructions or None
        self._blocks: dict[tuple[int, int], Block] = {}
        self._ways: dict[Way, int] = defaultdict(int)
        self._last: Way = None, None
        self._block = 0, 0
        self.instructions = 0
        self._calls = Calls(guest, self._programs) if wanted.profile or wanted.trace else None
        self._tracer: Tracer | None = None
        if wanted.trace and self._calls:
            self._tracer = Tracer(guest, self._calls, cache(self._prototype), wanted.trace, MOST_LINES)
        self.detach: Callable[[], None] = guest.machine.on_block(self._seen)
        guest.on_stop.append(self._stopped)

    def _seen(self, address: int, size: int) -> bool:
        guest = self._guest
        if (address in guest.functions and address != self._block[0]) or address == guest.return_at:
            count, ran = 0, Ran(address, 0)  # the host takes over; it may leave the code that is there to run
        else:
            count, ran = self._blocks.get((address, size)) or self._look(address, size)
            if self._limit is not None and self.instructions + count > self._limit:
                return True
            self.instructions += count
        self._block = address, size
        if self._calls is not None:
            self._calls.seen(address, size, count)
        if self._wanted.coverage:
            self._last = way = (self._last[1], ran)
            self._ways[way] += 1
        return False

    def _look(self, address: int, size: int) -> Block:
        found = self._blocks[address, size] = Block(self._count(address, size), Ran(address, size))
        return found

    def _count(self, address: int, size: int) -> int:
        """The instructions of a block."""
        return sum(1 for _ in self._programs.code.between(address, address + size))

    def _stopped(self, stop: Stop) -> None:
        """Something ended the run: the rest of the last block has not run."""
        address, size = self._block
        if stop.reason != "limit" and address <= stop.pc < address + size:
            found = self._programs.code.at(stop.pc)
            ran = stop.pc - address + (found.size if found else 0)
            lost = self._count(address, size) - self._count(address, ran)
            self.instructions -= lost
            if self._calls is not None:
                self._calls.take_back(lost)
            if self._wanted.coverage:
                self._ways[self._last] -= 1
                self._ways[self._last[0], Ran(address, ran)] += 1
        self.reset()

    def reset(self) -> None:
        """What runs next has nothing to do with what has run before."""
        self._last = None, None
        self._block = 0, 0
        if self._calls is not None:
            self._calls.reset()

    def _read(self, address: int) -> bytes:
        """Code that is in no file."""
        area = self._guest.memory.at(address)
        return self._guest.memory.peek(address, min(4, area.end - address)) if area else b""

    def _prototype(self, function: Symbol) -> Prototype | None:
        return self._programs.prototype_of(function, self._guest.model)

    def result(self) -> Measured:
        """What has been measured so far."""
        if self._tracer:
            self._tracer.finish()
        wanted = self._wanted
        return Measured(
            coverage=coverage.measure(self._ways, self._programs, self._covered) if wanted.coverage else None,
            profile=profile(self._calls.stacks, self._programs.places) if wanted.profile and self._calls else None,
            instructions=self.instructions,
        )

"""Measures of what runs: coverage by line and function, instructions by function, traces of calls, use of memory.

    meter = Meter.attach(guest, images, firmware, Wanted(coverage=True))
    ...
    print(to_lcov(meter.result().coverage))

One callback sees each block of code before it runs. Nothing is attached where nothing is wanted, and code then runs at
full speed; the use of stacks and of the heap is known without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llext_tools.elf.model import ElfObject
from llext_tools.host.guest import Guest
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Stop
from llext_tools.measure import coverage
from llext_tools.measure.coverage import Coverage
from llext_tools.measure.graph import Ran, Way
from llext_tools.measure.program import Program, Programs


class Wanted(NamedTuple):
    """What to measure. ``firmware``: the coverage of the firmware's own code, too."""

    coverage: bool = False
    firmware: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was wanted, else None."""

    coverage: Coverage | None = None


class Meter:
    """What is attached to a guest."""

    @classmethod
    def attach(cls, guest: Guest, images: Iterable[Image], firmware: Iterable[ElfObject], wanted: Wanted) -> Meter:
        """Measure what runs from now on.

        Args:
            firmware: linked images whose code is there.
        """
        return cls(guest, [*map(Program.of_image, images)], [*map(Program.of_firmware, firmware)], wanted)

    def __init__(
        self, guest: Guest, extensions: Sequence[Program], firmware: Sequence[Program], wanted: Wanted
    ) -> None:
        self._guest, self._wanted = guest, wanted
        self._programs = Programs([*extensions, *firmware], guest.arch, guest.target.bits)
        self._covered = [*extensions, *(firmware if wanted.firmware else ())]
        self._ways: dict[Way, int] = defaultdict(int)
        self._last: Way = None, None
        self.detach: Callable[[], None] = guest.machine.on_block(self._seen)
        guest.on_stop.append(self._stopped)

    def _seen(self, address: int, size: int) -> None:
        self._last = way = (self._last[1], Ran(address, size))
        self._ways[way] += 1

    def _stopped(self, stop: Stop) -> None:
        """Something ended the run: the rest of the last block has not run."""
        before, last = self._last
        if last and last.start <= stop.pc < last.start + last.size:
            found = self._programs.code.at(stop.pc)
            self._ways[before, last] -= 1
            self._last = before, Ran(last.start, stop.pc - last.start + (found.size if found else 0))
            self._ways[self._last] += 1

    def result(self) -> Measured:
        """What has been measured so far."""
        wanted = self._wanted
        measured = coverage.measure(self._ways, self._programs, self._covered) if wanted.coverage else None
        return Measured(coverage=measured)

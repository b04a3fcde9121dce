"""Programs that are loaded once and used by one test after the other."""

from __future__ import annotations

from llext_tools.measure import Wanted
from llext_tools.measure.coverage import Coverage
from llext_tools.testing.options import Options
from llext_tools.testing.program import Program

MOST = 16
"""Programs that are kept though nobody uses them."""


class Cache:
    """Programs by their options and the state of their files; several of one kind if a test uses them at once.

    ``coverage``: of programs that are closed, if ``measure`` asks for it.
    """

    def __init__(self, measure: Wanted | None = None) -> None:
        self._measure = measure or Wanted()
        self.coverage: list[Coverage] = []
        self._idle: dict[Program, tuple[Options, tuple[object, ...]]] = {}
        self._kinds: dict[Program, tuple[Options, tuple[object, ...]]] = {}

    def take(self, options: Options) -> Program:
        """One in whatever state the test before has left it.

        Raises:
            LlextError: it cannot be loaded.
        """
        kind = options, options.stamp
        program = next((each for each, its in self._idle.items() if its == kind), None)
        if program is None:
            program = Program(options, self._measure)
        self._idle.pop(program, None)
        self._kinds[program] = kind
        return program

    def give_back(self, program: Program) -> None:
        """Keep it for the next test; the one that has waited longest goes if there are too many."""
        self._idle[program] = self._kinds.pop(program)
        while len(self._idle) > MOST:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._close(oldest)

    def _close(self, program: Program) -> None:
        found = program.session.measured.coverage
        self.coverage += [found] if found else []
        program.close()

    def close(self) -> None:
        for program in (*self._idle, *self._kinds):
            self._close(program)
        self._idle.clear()
        self._kinds.clear()

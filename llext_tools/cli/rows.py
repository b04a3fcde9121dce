"""The table of the jobs of ``llext build``: a row for each target and toolchain.

On a terminal the rows change while the jobs run. Elsewhere a row is printed when its job has ended and those before it
have, so that the order is always the same.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, TextIO

from llext_tools.build import Job, Progress, Result, Step
from llext_tools.cli.render import RED, Paint
from llext_tools.cli.terminal import bare

if TYPE_CHECKING:
    from rich.table import Table

USUAL = 12  # characters of a target's name, where a preset tells it later
HEAD = ("target", "toolchain", "built", "checked", "run", "time")
MARK = "*"  # behind a number of extensions that were checked without a firmware


def view(jobs: Sequence[Job]) -> Plain | LiveTable:
    stream = sys.stdout
    if stream.isatty() and os.environ.get("TERM") != "dumb" and len(jobs) < 40:
        return LiveTable(jobs)
    return Plain(jobs, stream)


def cells(result: Result) -> tuple[str, ...]:
    """A finished job as the cells of its row."""
    job = head(result.job)
    took = f"{sum(result.seconds.values()):.1f} s"
    built = str(len(result.artifacts))
    checked = built + (MARK if result.without_firmware else "")
    if result.passed:
        return (*job, built, checked, str(result.all_tests), took)
    steps = {failure.step for failure in result.failures}
    if steps == {Step.TEST} and Step.TEST in result.seconds:
        return (*job, built, checked, f"{result.good_tests} of {result.all_tests}", took)
    where = "configure" if Step.CONFIGURE in steps else "build"
    return (*job, f"{where} failed", "", "", took)


def head(job: Job) -> tuple[str, str]:
    """The first two cells of a row; a firmware or a preset stands behind the toolchain."""
    if not job.target:
        return job.preset, ""
    preset = "" if job.preset == job.usual_name else job.preset
    further = job.firmware.name if job.firmware and not preset else preset
    return job.target, f"{job.toolchain} {further}".strip()


class Plain:
    """A line for each job that has ended, below a heading; the jobs keep their order."""

    def __init__(self, jobs: Sequence[Job], stream: TextIO) -> None:
        names = max(len(job.target) or max(USUAL, len(job.preset)) for job in jobs)
        second = max(len(head(job)[1]) if job.target else len(job.preset) + 4 for job in jobs)
        self._widths = (max(names, len(HEAD[0])), max(second, len(HEAD[1])), 6, 7, 8, 8)
        self._stream = stream
        self._paint = Paint(stream)
        self._lock = threading.Lock()
        self._waiting = [job.name for job in jobs]
        self._ended: dict[str, Result] = {}
        self._line(HEAD, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Of those that were interrupted nothing is known; they hold back nobody any more."""
        with self._lock:
            self._waiting = [name for name in self._waiting if name in self._ended]
            self._print()

    def observe(self, event: Progress | Result) -> None:
        if isinstance(event, Result):
            with self._lock:
                self._ended[event.job.name] = event
                self._print()

    def _print(self) -> None:
        while self._waiting and (result := self._ended.get(self._waiting[0])):
            self._line(cells(result), "" if result.passed else RED)
            del self._waiting[0]

    def _line(self, row: Sequence[str], colour: str) -> None:
        left = [f"{row[i]:{self._widths[i]}}" for i in (0, 1)]
        right = [f"{row[i]:>{self._widths[i]}}" for i in range(2, 6)]
        if len(row[2]) > self._widths[2]:  # a sentence instead of three numbers
            right = [f"{row[2]:>{sum(self._widths[2:5]) + 4}}", right[3]]
        text = "  ".join([*left, *right]).rstrip()
        print(self._paint(text, colour) if colour else text, file=self._stream, flush=True)


class LiveTable:
    """The rows of all jobs, redrawn as they change. What is left on the screen at the end is the final table."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._jobs = jobs
        self._state: dict[str, Progress | Result] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self.table, console=Console(file=bare(sys.stdout)), refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def observe(self, event: Progress | Result) -> None:
        with self._lock:
            self._since.setdefault(event.job.name, time.monotonic())
            self._state[event.job.name] = event

    def table(self) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for i, title in enumerate(HEAD):
            table.add_column(title, justify="left" if i < 2 else "right", min_width=8 if i > 1 else None, no_wrap=True)
        with self._lock:
            for job in self._jobs:
                event = self._state.get(job.name)
                if event is None:
                    table.add_row(*head(job), style="dim")
                elif isinstance(event, Result):
                    mark = "green" if event.passed else "red"
                    table.add_row(*cells(event), style=mark)
                else:
                    took = f"{time.monotonic() - self._since[job.name]:.0f} s"
                    table.add_row(*head(job), *under_way(event), took)
        return table


def under_way(event: Progress) -> tuple[str, str, str]:
    """The cells ``built``, ``checked`` and ``run`` of a job that runs: numbers of extensions and tests, as in the end.

    How far the build is, is a share of all its steps, and so has a percent sign.
    """
    if event.step is Step.TEST:
        return str(event.built), str(event.built), f"{event.done}/{event.total}" if event.total else "..."
    return f"{100 * event.done // event.total} %" if event.total else "...", "", ""

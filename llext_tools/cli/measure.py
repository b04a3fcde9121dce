"""What ``llext run`` measures, as options, and the files that they ask for."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import Any

from llext_tools import __version__
from llext_tools.diag import fail
from llext_tools.files import write_all
from llext_tools.measure import Measured, Wanted
from llext_tools.measure.coverage import to_lcov
from llext_tools.measure.profile import table, to_speedscope
from llext_tools.run import Limits, RunResult

STDERR = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("measures")
    group.add_argument("--coverage", metavar="FILE", help="how often each line ran, for lcov and genhtml")
    group.add_argument("--coverage-firmware", action="store_true", help="also of the image's own code")
    group.add_argument("--cpu-profile", metavar="FILE", help="instructions by function, for speedscope; and a table")
    group.add_argument(
        "--trace", metavar="FILE", nargs="?", const=STDERR, help="calls with arguments and results (default: on stderr)"
    )
    group.add_argument("--usage", action="store_true", help="show how much of stacks and heap was used")
    group.add_argument("--count", action="store_true", help="count instructions; shown by --usage and --json")
    group.add_argument("--max-instructions", metavar="N", help="end the run after so many")


class Measures:
    """The options as values. Lines of a trace go to stderr as they come, or are kept for their file."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Raises:
        UsageError: ``usage``: an option lacks another one, or is no number."""
        if args.coverage_firmware and not args.coverage:
            fail("usage", "llext run: `--coverage-firmware` says what goes into a file", help="add `--coverage FILE`")
        self._args = args
        self._lines: list[str] = []
        write = None
        if args.trace:
            write = _to_stderr if args.trace == STDERR else self._lines.append
        self.wanted = Wanted(bool(args.coverage), args.coverage_firmware, bool(args.cpu_profile), write, args.count)
        self._most = _instructions(args.max_instructions)

    def limits(self, limits: Limits) -> Limits:
        return limits._replace(instructions=self._most)

    def write(self, measured: Measured) -> None:
        """Write the files that were asked for."""
        args, files = self._args, {}
        if measured.coverage is not None:
            files[args.coverage] = to_lcov(measured.coverage)
        if measured.profile is not None:
            name = os.path.basename(args.extension)
            files[args.cpu_profile] = to_speedscope(measured.profile, name, f"llext-tools {__version__}")
        if args.trace and args.trace != STDERR:
            files[args.trace] = "".join(f"{line}\n" for line in self._lines)
        if files:
            write_all(files)


def lines(args: argparse.Namespace, result: RunResult) -> list[str]:
    """What a person wants to see of the measures."""
    shown = table(result.measured.profile) if result.measured.profile else []
    if args.usage:
        shown += [f"stack of {use.name}: {use.used:,} of {use.size:,} bytes" for use in result.stacks]
        shown.append(f"heap: at most {result.heap_peak:,} bytes, {result.heap_used:,} at the end")
        if result.measured.instructions is not None:
            shown.append(f"instructions: {result.measured.instructions:,}")
    return shown


def to_json(result: RunResult) -> dict[str, Any]:
    stacks = {use.name: {"size": use.size, "used": use.used} for use in result.stacks}
    counted = result.measured.instructions
    return {"stack": stacks} | ({} if counted is None else {"instructions": counted})


def _to_stderr(line: str) -> None:
    with suppress(OSError):  # nobody reads it: the run goes on
        print(line, file=sys.stderr)


def _instructions(text: str | None) -> int:
    if text is None:
        return 0
    try:
        value = int(text.replace("_", ""), 0)
    except ValueError:
        value = 0
    if value < 1:
        message = f"llext run: `--max-instructions {text}` is not a number of instructions"
        fail("usage", message, help="for example `--max-instructions 1000000`")
    return value

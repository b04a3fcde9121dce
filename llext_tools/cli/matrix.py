"""How ``llext build`` and ``llext demo`` choose their jobs and show them: a row for each target and toolchain.

On a terminal the rows change while the jobs run. Elsewhere a row is printed when its job has ended.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from llext_tools.build import (
    Firmware,
    Job,
    Options,
    Progress,
    Result,
    Step,
    build,
    cores,
    count_compiler_warnings,
    diagnose,
    diagnose_warnings,
    exit_code,
    job_name,
)
from llext_tools.build.folders import alone, check_folders
from llext_tools.cli.render import GREEN, RED, Paint, columns, diagnostics_to_json, report, wrap
from llext_tools.cli.summary import to_markdown, write_summary
from llext_tools.diag import fail
from llext_tools.errors import ToolError
from llext_tools.files import write_atomically

if TYPE_CHECKING:
    from rich.table import Table

USUAL = 12  # characters of a target's name, where a preset tells it later
HEAD = ("target", "toolchain", "built", "checked", "run", "time")
EXIT_CODES = "The exit code is that of the class which all failures share, 12 if their classes differ."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both commands take."""
    parser.add_argument(
        "--target",
        action="append",
        metavar="T",
        help="a CPU of `llext targets`; may be repeated; default: all that a toolchain is installed for",
    )
    parser.add_argument(
        "--toolchain",
        action="append",
        metavar="C",
        help="gcc, zig or auto (gcc if it is installed, else zig); may be repeated; default: auto",
    )
    parser.add_argument("--profile", metavar="NAME", help="the loader (`llext profiles`); default: the project's")
    parser.add_argument("--jobs", type=_positive, metavar="N", help="processes at a time; default: one for each core")
    parser.add_argument("--json", metavar="FILE", help="write the results of all targets, as JSON")
    parser.add_argument(
        "--keep-going",
        action=argparse.BooleanOptionalAction,
        help="go on after a failure, to see all failures of a target",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a positive number")
    return int(text)


def choose_jobs(
    args: argparse.Namespace, build_dir: Path, output: Path, firmware: Sequence[Firmware] = ()
) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """The jobs that the arguments ask for, and lines about targets that are left out for want of a toolchain.

    Raises:
        UsageError: there is no such target, toolchain or loader profile.
        ToolError: a target that was asked for has no toolchain, or no target has one.
    """
    from llext_tools import profile as profiles
    from llext_tools import toolchains
    from llext_tools.arch import target, targets

    if args.profile:
        profiles.load(args.profile)
    wanted = [target(name) for name in args.target] if args.target else list(targets().values())
    jobs: dict[str, Job] = {}
    missing: dict[str, list[str]] = {}  # how to install -> targets
    error: ToolError | None = None
    for name in args.toolchain or ["auto"]:
        for each in wanted:
            try:
                found = toolchains.find(each, name)
            except ToolError as absent:
                if args.target:
                    raise
                error = error or absent
                missing.setdefault(absent.diagnostics[0].help, []).append(each.name)
                continue
            for image in suiting(each.name, firmware):
                folder = job_name(each.name, found.name, image)
                job = Job(
                    target=each.name,
                    toolchain=found.name,
                    build=build_dir / folder,
                    output=output / folder,
                    firmware=image,
                )
                jobs.setdefault(folder, job)
    if error is not None and not jobs:
        raise error
    if not jobs:
        names = ", ".join(each.name for each in wanted)
        fail("usage", f"no firmware is for {names}", help="the key `target` of each firmware says which it is for")
    notes = (f"not built: {', '.join(names)}; to build them: {how}" for how, names in missing.items())
    return tuple(jobs.values()), tuple(notes)


def suiting(target: str, firmware: Sequence[Firmware]) -> Sequence[Firmware | None]:
    """The firmwares for a target; None stands for none at all."""
    return [each for each in firmware if not each.targets or target in each.targets] if firmware else [None]


def options_of(args: argparse.Namespace, source: Path, define: Sequence[str] = ()) -> Options:
    return Options(
        source=source,
        cores=args.jobs or cores(),
        keep_going=bool(args.keep_going),
        run=getattr(args, "run_tests", None) is not False,
        rerun=getattr(args, "rerun", False),
        heap=getattr(args, "heap", None) or "",
        profile=args.profile or "",
        define=tuple(define),
    )


def run_jobs(jobs: Sequence[Job], args: argparse.Namespace, options: Options) -> list[Result]:
    """Build all jobs and show them; then print what failed on stderr and write the JSON file.

    Raises:
        UsageError: ``usage``: CMake cannot use a folder, or another build is at work there.
    """
    check_folders([options.source, *(folder for job in jobs for folder in (job.build, job.output))])
    start = time.monotonic()
    with alone(dict.fromkeys(job.build for job in jobs)), _view(jobs) as view:
        results = list(build(jobs, options, view.observe))
    if args.json:
        write_atomically(args.json, to_json(results, time.monotonic() - start))
    append = os.environ.get("GITHUB_STEP_SUMMARY", "")
    file = getattr(args, "summary", None)
    if file or append:
        write_summary(to_markdown(results, summary(results, time.monotonic() - start)), file, append)
    problems = (*diagnose_warnings(results), *diagnose(results))
    sys.stdout.flush()
    if problems:
        print(file=sys.stderr)
        report(problems)
    return results


def summary(results: Sequence[Result], seconds: float) -> str:
    """One sentence over all rows."""
    passed = sum(result.passed for result in results)
    what = "target" if len({result.job.toolchain for result in results}) == 1 else "build"
    plural = "" if len(results) == 1 else "s"
    took = f"in {seconds:.0f} s" if seconds >= 10 else f"in {seconds:.1f} s"
    if passed == len(results):
        built = sum(len(result.artifacts) for result in results)
        run = sum(len(result.tests) for result in results)
        held = sum(len(result.up_to_date) for result in results)
        made = f"{_count(built, 'extension')} for {passed} {what}{plural} built and checked"
        tests = [f"{_count(run, 'test')} run"] if run or not held else []
        tests += [f"{held if tests else _count(held, 'test')} up to date"] if held else []
        return f"{made}, {', '.join(tests)} {took}"
    return f"{len(results) - passed} of {len(results)} {what}{plural} failed {took}" if passed else f"failed {took}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cells(result: Result) -> tuple[str, ...]:
    """A finished job as the cells of its row."""
    job = head(result.job)
    took = f"{sum(result.seconds.values()):.1f} s"
    built = str(len(result.artifacts))
    if result.passed:
        return (*job, built, built, str(result.all_tests), took)
    steps = {failure.step for failure in result.failures}
    if steps == {Step.TEST} and Step.TEST in result.seconds:
        return (*job, built, built, f"{result.good_tests} of {result.all_tests}", took)
    where = "configure" if Step.CONFIGURE in steps else "build"
    return (*job, f"{where} failed", "", "", took)


def head(job: Job) -> tuple[str, str]:
    """The first two cells of a row; a firmware or a preset stands behind the toolchain."""
    if not job.target:
        return job.preset, ""
    preset = "" if job.preset == job_name(job.target, job.toolchain, job.firmware) else job.preset
    further = job.firmware.name if job.firmware and not preset else preset
    return job.target, f"{job.toolchain} {further}".strip()


def _view(jobs: Sequence[Job]) -> AbstractContextManager[Plain | LiveTable]:
    stream = sys.stdout
    if stream.isatty() and os.environ.get("TERM") != "dumb" and len(jobs) < 40:
        return LiveTable(jobs)
    return nullcontext(Plain(jobs, stream))


class Plain:
    """A line for each job that has ended, below a heading."""

    def __init__(self, jobs: Sequence[Job], stream: TextIO) -> None:
        names = max(len(job.target) or max(USUAL, len(job.preset)) for job in jobs)
        second = max(len(head(job)[1]) if job.target else len(job.preset) + 4 for job in jobs)
        self._widths = (max(names, len(HEAD[0])), max(second, len(HEAD[1])), 6, 7, 8, 8)
        self._stream = stream
        self._paint = Paint(stream)
        self._lock = threading.Lock()
        self._line(HEAD, "")

    def observe(self, event: Progress | Result) -> None:
        if isinstance(event, Result):
            self._line(cells(event), "" if event.passed else RED)

    def _line(self, row: Sequence[str], colour: str) -> None:
        left = [f"{row[i]:{self._widths[i]}}" for i in (0, 1)]
        right = [f"{row[i]:>{self._widths[i]}}" for i in range(2, 6)]
        if len(row[2]) > self._widths[2]:  # a sentence instead of three numbers
            right = [f"{row[2]:>{sum(self._widths[2:5]) + 4}}", right[3]]
        text = "  ".join([*left, *right]).rstrip()
        with self._lock:
            print(self._paint(text, colour) if colour else text, file=self._stream, flush=True)


class LiveTable:
    """The rows of all jobs, redrawn as they change. What is left on the screen at the end is the final table."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        from rich.live import Live

        self._jobs = jobs
        self._state: dict[str, Progress | Result] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self.table, refresh_per_second=8)

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


def to_json(results: Sequence[Result], seconds: float) -> str:
    import json

    value = {
        "version": 1,
        "exit_code": exit_code(results),
        "seconds": round(seconds, 3),
        "jobs": [
            {
                "target": result.job.target,
                "toolchain": result.job.toolchain,
                "firmware": result.job.firmware.name if result.job.firmware else "",
                "preset": result.job.preset,
                "passed": result.passed,
                "seconds": {step.value: round(took, 3) for step, took in result.seconds.items()},
                "extensions": [
                    {
                        "name": path.stem,
                        "file": str(path),
                        "size": path.stat().st_size,
                        "manifest": str(path.with_suffix(".json")),
                    }
                    for path in result.artifacts
                    if path.exists()
                ],
                "tests": [
                    {"name": test.name, "passed": test.passed, "seconds": round(test.seconds, 3)}
                    for test in result.tests
                ],
                "up_to_date": list(result.up_to_date),
                "not_run": list(result.not_run),
                "compiler_warnings": list(result.compiler_warnings),
                "failures": [
                    {"step": f.step.value, "what": f.what, "codes": list(f.codes), "lines": list(f.lines)}
                    for f in result.failures
                ],
                "log": str(result.job.log),
            }
            for result in results
        ],
        "diagnostics": diagnostics_to_json([*diagnose_warnings(results), *diagnose(results)]),
    }
    return json.dumps(value, indent=1) + "\n"


def print_end(results: Sequence[Result], seconds: float, notes: Sequence[str]) -> None:
    """The sentence over all rows, then what else is to be known: warnings, tests that were not run, the notes."""
    print(f"\n{paint_summary(results, seconds)}")
    for line in (*count_compiler_warnings(results), *tests_not_run(results), *notes):
        print_wrapped(line)


def tests_not_run(results: Sequence[Result]) -> list[str]:
    """With ``--keep-going``: how many tests there were for what was built, and which were left out."""
    return [
        f"{result.job.name}: {_count(len(result.tests), 'test')} run, {len(result.not_run)} not, "
        f"for their extensions were not built: {', '.join(result.not_run)}"
        for result in results
        if result.not_run
    ]


def print_wrapped(text: str) -> None:
    """A line of prose, broken between words where the screen ends."""
    print("\n".join(wrap(text, columns(), "  ")))


def paint_summary(results: Sequence[Result], seconds: float) -> str:
    """The sentence in the colour of its news."""
    return Paint(sys.stdout)(summary(results, seconds), GREEN if all(r.passed for r in results) else RED)


def project(folder: str) -> Path:
    """The folder of a CMake project.

    Raises:
        UsageError: it has no CMakeLists.txt.
    """
    source = Path(folder).resolve()
    if not (source / "CMakeLists.txt").is_file():
        fail(
            "usage",
            f"`{folder}` is not a CMake project: it has no CMakeLists.txt",
            help="`llext demo` makes a folder of sample projects to start from",
        )
    return source

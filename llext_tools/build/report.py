"""All jobs together: each kind of failure or warning once, with the names of the jobs that have it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from llext_tools.build.job import Failure, Job, Result, Step, Warned
from llext_tools.diag import CODES, Diagnostic, Location, listed, number
from llext_tools.errors import BuildError
from llext_tools.paths import shown

FAILURES_SHOWN = 5  # kinds of failure, over all jobs
WARNINGS_SHOWN = 5  # of compilers, over all jobs
NAMES_SHOWN = 8  # of tests or jobs that have the same


def diagnose_warnings(results: Sequence[Result]) -> tuple[Diagnostic, ...]:
    """One diagnostic for each distinct warning of our own commands, which names all tests and jobs that have it."""
    alike: dict[tuple[str, ...], list[tuple[Job, Warned]]] = {}
    for result in results:
        for warned in result.warnings:
            where = warned.diagnostic.location
            text = (warned.diagnostic.message, where.file if where else "", *warned.diagnostic.detail)
            key = tuple(_neutral(line, result.job) for line in text)
            alike.setdefault(key, []).append((result.job, warned))
    found: list[Diagnostic] = []
    for same in alike.values():
        warned = same[0][1]
        tests = dict.fromkeys(each.test for _, each in same if each.test)
        names = dict.fromkeys(each.name for each, _ in same)
        at = warned.diagnostic.location
        if at is not None and os.path.isabs(at.file):
            at = Location(file=shown(at.file))
        notes = [f"in test {listed(tests, NAMES_SHOWN)}"] if tests else []
        notes += [f"for {listed(names, NAMES_SHOWN)}"] if len(results) > 1 else []
        found.append(warned.diagnostic._replace(location=at, notes=(*warned.diagnostic.notes, *notes)))
    return (*found, *_nothing_built(results))


def _nothing_built(results: Sequence[Result]) -> tuple[Diagnostic, ...]:
    """A warning if no job has an extension: a project may have none for some targets, but hardly for all."""
    if not results or any(result.failures or result.artifacts for result in results):
        return ()
    text = f"the project adds no extension for {listed((result.job.name for result in results), NAMES_SHOWN)}"
    cure = "`llext_add_extension(NAME SOURCES ...)` in a CMakeLists.txt adds one"
    return (Diagnostic("build-empty", text, "warning", help=cure),)


KIND = re.compile(r"(.*?:\d+:)(?:\d+:)? warning: .*\[(-W[^\]=]*)=?[^\]]*\]$")
"""Where a warning is, and the option that it has: GCC and Clang differ in the column and in what they say of it."""


class CompilerWarning(NamedTuple):
    """A warning of a compiler, and all jobs that have it. Its line begins with the file, from this folder on."""

    line: str
    jobs: tuple[Job, ...]


def compiler_warnings(results: Sequence[Result]) -> tuple[CompilerWarning, ...]:
    """Each distinct one, the first ones of all jobs before the second ones."""
    alike: dict[tuple[object, int], list[tuple[int, str, Job]]] = {}
    for result in results:
        before: Counter[object] = Counter()  # of several at one place, the first is that of other jobs
        for i, line in enumerate(result.compiler_warnings):
            neutral = _neutral(line, result.job)
            kind = found.groups() if (found := KIND.match(neutral)) else neutral
            alike.setdefault((kind, before[kind]), []).append((i, line, result.job))
            before[kind] += 1
    ordered = sorted(alike.values(), key=lambda same: min(i for i, _, _ in same))
    here = os.path.join(os.getcwd(), "")
    return tuple(
        CompilerWarning(same[0][1].removeprefix(here), tuple(dict.fromkeys(job for _, _, job in same)))
        for same in ordered
    )


def show_compiler_warnings(results: Sequence[Result]) -> tuple[str, ...]:
    """How many there are, where the log is, and the first ones, each with the jobs that have it."""
    found = compiler_warnings(results)
    if not found:
        return ()
    lines = [f"{number(len(found), 'compiler warning')}, see {shown(found[0].jobs[0].log)}"]
    for line, jobs in found[:WARNINGS_SHOWN]:
        where = jobs[0].name if len(jobs) == 1 else f"{len(jobs)} {noun(results)}s"
        lines.append(f"  {line}" + (f" (in {where})" if len(results) > 1 else ""))
    more = len(found) - WARNINGS_SHOWN
    return (*lines, f"  ... and {more:,} more") if more > 0 else tuple(lines)


def failures_alike(results: Sequence[Result]) -> list[list[tuple[Job, Failure]]]:
    """The failures of all jobs, those in one group that differ in names and numbers alone."""
    alike: dict[tuple[Step, tuple[str, ...]], list[tuple[Job, Failure]]] = {}
    for result in results:
        for failure in result.failures:
            lines = tuple(re.sub(r"0x[0-9a-f]+|\d+", "#", _neutral(line, result.job)) for line in failure.lines)
            alike.setdefault((failure.step, lines), []).append((result.job, failure))
    return list(alike.values())


def diagnose(results: Sequence[Result]) -> tuple[Diagnostic, ...]:
    """One diagnostic for each distinct failure, which names all jobs and files or tests that failed in this way."""
    found: list[Diagnostic] = []
    groups = failures_alike(results)
    for same in groups[:FAILURES_SHOWN]:
        job, failure = same[0]
        others = dict.fromkeys(each.what for _, each in same if each.what != failure.what)
        elsewhere = dict.fromkeys(each.name for each, _ in same if each != job)
        notes = []
        if others:
            notes.append(f"the same for {listed(others, NAMES_SHOWN)}")
        if elsewhere:
            notes.append(f"and for {listed(elsewhere, NAMES_SHOWN)}")
        if len(found) == FAILURES_SHOWN - 1 and (more := len(groups) - FAILURES_SHOWN) > 0:
            notes.append(f"{more} more kinds of failure are in the logs of the targets")
        found.append(
            Diagnostic(
                code=failure.code,
                message=said(job, failure),
                location=Location(file=shown(job.log)) if failure.what else None,
                detail=tuple(map(nearby, failure.lines)) if failure.what else (),
                notes=tuple(notes),
                help=failure.help,
            )
        )
    return tuple(found)


def said(job: Job, failure: Failure) -> str:
    if not failure.what:
        return f"{job.name}: {failure.lines[0]}"
    verb = {Step.CONFIGURE: "configuring", Step.BUILD: "building", Step.TEST: "test"}[failure.step]
    return f"{job.name}: {verb} `{failure.what}` failed"


def noun(results: Sequence[Result]) -> str:
    """What a job is called before a user: with several toolchains it is not a target alone."""
    return "target" if len({result.job.toolchain for result in results}) == 1 else "build"


def exit_code(results: Sequence[Result]) -> int:
    """0, the exit code that all failures share, or that of a failed build."""
    codes = {
        CODES[code].error.exit_code
        for result in results
        for failure in result.failures
        for code in failure.codes or ("build-failed",)
    }
    return 0 if not codes else codes.pop() if len(codes) == 1 else BuildError.exit_code


def nearby(line: str) -> str:
    """A line of a log, in which the names of files below this folder start here; words such as options stay whole."""
    here = os.path.join(os.getcwd(), "")
    return line if here == os.sep else re.sub(rf"(?<![^\s`'\"(]){re.escape(here)}(?=[^\s:=])", "", line)


def _neutral(line: str, job: Job) -> str:
    return line.replace(str(job.build), "").replace(job.name, "").replace(job.target, "").replace(job.toolchain, "")

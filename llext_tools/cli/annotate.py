"""What ``llext build`` says on GitHub beside the source: what our commands, the compilers and CMake have found."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from llext_tools.build import Failure, Job, Result, Step, diagnose_warnings
from llext_tools.build.backtrace import place_of_test
from llext_tools.build.logs import PLACED_ERROR, PLACED_WARNING, our_findings
from llext_tools.build.report import compiler_warnings, failures_alike, said
from llext_tools.cli.github import annotation, command
from llext_tools.diag import Diagnostic

MOST = 10  # of errors and of warnings each: GitHub shows no more of one step
PLACE = re.compile(r"([^:()]+):(\d+)(?=,| \(|$)")
IN_CMAKE = re.compile(r"(.+):(\d+)")


def annotate(results: Sequence[Result], source: Path) -> list[str]:
    """A workflow command for each thing that is wrong, once for all jobs that have it.

    Args:
        source: the folder of the project.
    """
    errors = [line for same in failures_alike(results) for line in _of_failure(same, source)]
    warnings = [annotation(each, place=_place(each, (source,))) for each in diagnose_warnings(results)]
    for text, jobs in compiler_warnings(results):
        place = PLACED_WARNING.match(text)
        file, line = _found(place, (jobs[0].build,)) if place else ("", None)
        said_once = [place[3] if place else text, *_for([job.name for job in jobs], results)]
        warnings.append(command("warning", "compiler warning", said_once, file, line))
    return [*dict.fromkeys(errors)][:MOST] + [*dict.fromkeys(warnings)][:MOST]


def _of_failure(same: Sequence[tuple[Job, Failure]], source: Path) -> Iterator[str]:
    """What our commands or the compiler have said of it; where there is no such thing, the lines of the log."""
    job, failure = same[0]
    notes = [said(job, failure), *(f"and {said(*each)}" for each in same[1:4])]
    notes += [f"and {len(same) - 4} more"] if len(same) > 4 else []
    ours = our_findings(failure.lines, "error")
    theirs = [found for line in failure.lines if (found := PLACED_ERROR.match(line))]
    where: tuple[str, int | None] = ("", None)
    if failure.step is Step.TEST:
        where = place_of_test(job.build, failure.what) or where
    elif failure.step is Step.CONFIGURE and (place := IN_CMAKE.fullmatch(failure.what)):
        where = _found(place, (source,))
    for each in ours:
        place_of_it = _place(each, (source, job.build))
        yield annotation(each, notes, place=place_of_it if place_of_it[0] else where)
    for found in theirs:
        yield command("error", "compiler error", [found[3], *notes], *_found(found, (job.build,)))
    if not ours and not theirs:
        lines = [notes[0], *(failure.lines if failure.what else ()), *notes[1:]]
        lines += [f"help: {failure.help}"] if failure.help else []
        yield command("error", failure.code, lines, *where)


def _place(d: Diagnostic, folders: Sequence[Path]) -> tuple[str, int | None]:
    """The source file and its line, where the place, as a line of a log has it, begins with them."""
    place = PLACE.match(d.location.file) if d.location else None
    return _found(place, folders) if place else ("", None)


def _found(place: re.Match[str], folders: Sequence[Path]) -> tuple[str, int | None]:
    """File and line, where the file is there, in one of the folders if its path is relative."""
    for folder in (*folders, Path.cwd()):
        path = os.path.normpath(folder / place[1])
        if os.path.isfile(path):
            return path, int(place[2])
    return "", None


def _for(names: Sequence[str], results: Sequence[Result]) -> list[str]:
    return [f"for {', '.join(names)}"] if len(results) > 1 else []

"""Which tests need not run again: those whose records of ``llext run --record`` hold.

A record holds while it is newer than what CTest knows of the test, which CMake writes whenever it runs, while each file
that was read in the run has the size and the time of then, and while none has come that the run looked for. Tests of
others leave no record, and always run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import llext_tools
from llext_tools.artifact import digest
from llext_tools.build.cache import is_own
from llext_tools.build.job import Job
from llext_tools.build.process import environment
from llext_tools.files import modules_in, names_in
from llext_tools.paths import cmake_project

RUNS = "llext-runs.txt"  # written by the CMake package: record, test, CTest's file ("" for a build step)
LONGEST = 12_000  # characters of an expression for CTest


class Run(NamedTuple):
    """A test of ours and where its record lies; ``listed`` is the file from which CTest has it."""

    record: str
    test: str
    listed: str


def runs_of(build: Path) -> list[Run]:
    """The tests of ours that the project has now."""
    try:
        text = (build / RUNS).read_text(encoding="utf-8")
    except OSError:
        return []
    rows = (line.split("\t") for line in text.splitlines())
    return [Run(*row) for row in rows if len(row) == 3]


def up_to_date(job: Job) -> tuple[str, ...]:
    """The tests for CTest whose records hold, as many of them as CTest can be told to leave out."""
    pythonpath = environment().get("PYTHONPATH", "")
    names = [run.test for run in runs_of(job.build) if run.listed and _holds(run, pythonpath)]
    if sum(map(len, names)) > LONGEST and others(job, set(names)):
        return ()
    return tuple(names)


def others(job: Job, ours: set[str]) -> bool:
    """Whether CTest may know other tests than these. What is not understood of its files counts as one."""
    return any(name not in ours for name in _tests(job.build))


def excluding(names: tuple[str, ...]) -> list[str]:
    """Options for CTest to leave tests out."""
    expression = "|".join(re.sub(r"([][(){}.*+?^$|\\])", r"\\\1", name) for name in names)
    return ["-E", f"^({expression})$"] if names else []


def _holds(run: Run, pythonpath: str) -> bool:
    try:
        if os.stat(run.record).st_mtime_ns <= os.stat(run.listed).st_mtime_ns:
            return False
        with open(run.record, encoding="utf-8") as file:
            record: Any = json.load(file)
        if record["version"] != llext_tools.__version__ or record["test"] != run.test or record["inputs"] is None:
            return False
        if not all(os.path.exists(path) for path in record["outputs"]):
            return False
        if record["pythonpath"] != pythonpath:
            return False
        if any(modules_in(folder) != names for folder, names in record["modules"].items()):
            return False
        if any(names_in(folder) != names for folder, names in record["folders"].items()):
            return False
        for path, then in record["inputs"].items():
            if then is None:
                if os.path.lexists(path):
                    return False
                continue
            now = os.stat(path)
            if [now.st_size, now.st_mtime_ns] != then:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _tests(folder: Path) -> Iterator[str]:
    """The names of the tests in CTest's files; ``"?"`` for what is not understood."""
    lines = ["?"]
    with suppress(OSError):
        lines = (folder / "CTestTestfile.cmake").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if found := re.match(r'subdirs\("([^"\\]*)"\)$', line):
            yield from _tests(folder / found[1])
        elif found := re.match(r'add_test\((?:"([^"\\]*)"|\[(=*)\[(.*?)\]\2\]) ', line):
            yield found[1] or found[3] or "?"
        elif line.strip() and not line.startswith(("#", "set_tests_properties(", "set_directory_properties(")):
            yield "?"


def records_by_file(job: Job) -> dict[str, list[str]]:
    """The records that are there, by the names of the extensions that they are about.

    Without those of runs with files of the project that have changed since: what has passed then need not pass now.
    """
    found: dict[str, list[str]] = {}
    for run in runs_of(job.build):
        if changed_since(run, job.build):
            continue
        with suppress(OSError, ValueError, KeyError, TypeError), open(run.record, encoding="utf-8") as file:
            for name in json.load(file)["files"]:
                found.setdefault(name, []).append(run.record)
    return found


def changed_since(run: Run, build: Path) -> list[Path]:
    """The files of the project that were read in a run and have changed since, as an override of a function.

    None of a build step: what that depends on Ninja alone knows; no firmware with the digest of then.
    """
    if not run.listed:
        return []
    changed: list[Path] = []
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        written = os.stat(run.record).st_mtime_ns
        with open(run.record, encoding="utf-8") as file:
            record: Any = json.load(file)
        firmware = {each["sha256"] for each in record["firmware"]}
        top = Path(cmake_project(str(build)) or build).resolve()
        for path, then in (record["inputs"] or {}).items():
            source = Path(path).resolve()
            if then and is_own(source, [top], build.resolve()) and source.is_file():
                now = source.stat()
                newer = [now.st_size, now.st_mtime_ns] != then and now.st_mtime_ns > written
                if newer and digest(source.read_bytes()) not in firmware:
                    changed.append(source)
    return changed

"""``CMakeUserPresets.json``: presets of the jobs, so that CMake alone can do what ``llext build`` does.

Configure, build, test and workflow presets have the job's name, and the environment that ``llext build`` gives. Ours
are marked by a vendor key; what else is in the file stays as it is. A preset of the project itself, or of the user,
keeps its name: then ours is not written, and goes if it is there, for CMake refuses all where two have one name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llext_tools.build.job import Job
from llext_tools.build.preset_files import KINDS, USER, VENDOR, foreign, is_ours, of_kind, read, usable
from llext_tools.build.process import HOST_VARIABLES, source_date_epoch
from llext_tools.files import read_bytes, write_atomically

VERSION = 6  # the first with workflow presets; CMake 3.25 has it


def keep(source: Path, configured: Mapping[Job, Sequence[str]], jobs: Iterable[str] | None = None) -> None:
    """Write the presets of these jobs, in the place of those of the same name that we have written before.

    Args:
        configured: for each job the variables for CMake, as ``NAME=VALUE`` or ``NAME:TYPE=VALUE``.
        jobs: the names of all that there are, if they are known: presets that we have written for others go.
    Raises:
        UsageError: ``usage``: a file is no JSON of this form.
        FormatError: ``file-unreadable``, ``file-unwritable``.
    """
    path = source / USER
    before, theirs = read(path), {preset.get("name") for _, preset in foreign(source)}
    made = {job.name: (job, words) for job, words in configured.items() if job.name not in theirs}
    document = {**before, "version": max(VERSION, before.get("version", 0))}
    gone = {*made, *theirs}
    if jobs is not None:
        ours = {each.get("name") for kind in KINDS for each in of_kind(before, kind) if is_ours(each)}
        gone |= ours - set(jobs) - _needed(preset for _, preset in foreign(source))
    changed = bool(made)
    for kind in KINDS:
        stay = [each for each in of_kind(before, kind) if not (is_ours(each) and each.get("name") in gone)]
        changed = changed or len(stay) < len(of_kind(before, kind))
        if presets := [*stay, *(_preset(kind, source, job, words) for job, words in made.values())]:
            document[kind] = presets
        else:
            document.pop(kind, None)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if changed and (not path.exists() or read_bytes(path) != text.encode()):
        write_atomically(path, text)


def honoured(source: Path) -> frozenset[str]:
    """The configure presets of the project and the user that can be used. Ours make way for them first.

    Raises:
        UsageError: ``usage``: the files are wrong.
        FormatError: ``file-unreadable``, ``file-unwritable``.
    """
    theirs = frozenset(str(preset.get("name")) for kind, preset in foreign(source) if kind == KINDS[0])
    if not theirs:
        return theirs
    keep(source, {})
    return theirs & frozenset(usable(source))


def _needed(presets: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names of those that presets build on: CMake refuses all where one is missing."""
    found: set[str] = set()
    for preset in presets:
        inherits, steps = preset.get("inherits", ()), preset.get("steps", ())
        found |= {inherits} if isinstance(inherits, str) else set(map(str, inherits))
        found |= {str(preset.get("configurePreset"))} | {str(step.get("name")) for step in steps}
    return found


def _preset(kind: str, source: Path, job: Job, words: Sequence[str]) -> dict[str, Any]:
    ours = {"name": job.name, "vendor": {VENDOR: {}}}
    if kind == "workflowPresets":
        return {**ours, "steps": [{"type": step, "name": job.name} for step in ("configure", "build", "test")]}
    if kind == "testPresets":
        return {**ours, "configurePreset": job.name, "output": {"outputOnFailure": True}}
    if kind == "buildPresets":
        return {**ours, "configurePreset": job.name}
    below = job.build.is_relative_to(source)
    return {
        **ours,
        "generator": "Ninja",
        "binaryDir": f"${{sourceDir}}/{job.build.relative_to(source).as_posix()}" if below else str(job.build),
        "environment": {**dict.fromkeys(HOST_VARIABLES), "SOURCE_DATE_EPOCH": source_date_epoch()},
        "cacheVariables": dict(map(_variable, words)),
    }


def _variable(word: str) -> tuple[str, str | dict[str, str]]:
    name, _, value = word.partition("=")
    name, _, kind = name.partition(":")
    return name, {"type": kind, "value": value} if kind else value

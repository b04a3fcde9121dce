"""``CMakeUserPresets.json``: presets of the jobs, so that CMake alone can do what ``llext build`` does.

Configure, build, test and workflow presets have the job's name. Ours are marked by a vendor key; what else is in the
file stays as it is. A preset of the project itself, or of the user, keeps its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llext_tools.build.job import Job
from llext_tools.build.process import HOST_VARIABLES
from llext_tools.diag import Location, fail
from llext_tools.files import read_bytes, write_atomically

USER, PROJECT = "CMakeUserPresets.json", "CMakePresets.json"
KINDS = ("configurePresets", "buildPresets", "testPresets", "workflowPresets")
VENDOR = "llext-tools"
VERSION = 6  # the first with workflow presets; CMake 3.25 has it


def keep(source: Path, configured: Mapping[Job, Sequence[str]]) -> None:
    """Write the presets of these jobs, in the place of those of the same name that we have written before.

    Args:
        configured: for each job the variables for CMake, as ``NAME=VALUE`` or ``NAME:TYPE=VALUE``.
    Raises:
        UsageError: ``usage``: a file is no JSON of this form.
        FormatError: ``file-unreadable``, ``file-unwritable``.
    """
    path = source / USER
    before, project = _read(path), _read(source / PROJECT)
    foreign = {each.get("name") for kind in KINDS for each in _all(project, kind)}
    foreign |= {each.get("name") for kind in KINDS for each in _all(before, kind) if not _ours(each)}
    made = {job.name: (job, words) for job, words in configured.items() if job.name not in foreign}
    document = {**before, "version": max(VERSION, before.get("version", 0))}
    for kind in KINDS:
        others = [each for each in _all(before, kind) if not (_ours(each) and each.get("name") in made)]
        if presets := [*others, *(_preset(kind, source, job, words) for job, words in made.values())]:
            document[kind] = presets
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if made and (not path.exists() or read_bytes(path) != text.encode()):
        write_atomically(path, text)


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
        "environment": dict.fromkeys(HOST_VARIABLES),
        "cacheVariables": dict(map(_variable, words)),
    }


def _variable(word: str) -> tuple[str, str | dict[str, str]]:
    name, _, value = word.partition("=")
    name, _, kind = name.partition(":")
    return name, {"type": kind, "value": value} if kind else value


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    document = None
    with suppress(ValueError, RecursionError):
        document = json.loads(read_bytes(path))
    if not isinstance(document, dict) or not isinstance(document.get("version", 0), int) or not _sound(document):
        fail("usage", f"`{path.name}` is no file of presets", at=Location(file=str(path)), help="mend or remove it")
    return document


def _sound(document: Mapping[str, Any]) -> bool:
    lists = [document.get(kind, []) for kind in KINDS]
    return all(isinstance(each, list) and all(isinstance(preset, dict) for preset in each) for each in lists)


def _all(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return list(document.get(kind, ()))


def _ours(preset: Mapping[str, Any]) -> bool:
    vendor = preset.get("vendor")
    return isinstance(vendor, dict) and VENDOR in vendor

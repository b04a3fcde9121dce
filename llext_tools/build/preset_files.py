"""The files of presets that a project has: which presets are there, and what CMake says of them.

CMake reads ``CMakePresets.json``, ``CMakeUserPresets.json`` and what they include. Which presets can be used, by their
conditions and by what they inherit, is asked of CMake itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from llext_tools.build.process import environment, find_tool
from llext_tools.diag import Location, fail
from llext_tools.files import read_bytes

USER, PROJECT = "CMakeUserPresets.json", "CMakePresets.json"
KINDS = ("configurePresets", "buildPresets", "testPresets", "workflowPresets")
VENDOR = "llext-tools"  # the key that marks ours


def read(path: Path) -> dict[str, Any]:
    """A file of presets; empty if it is not there.

    Raises:
        UsageError: ``usage``: it is no JSON of this form.
        FormatError: ``file-unreadable``.
    """
    if not path.exists():
        return {}
    document = None
    with suppress(ValueError, RecursionError):
        document = json.loads(read_bytes(path))
    if not isinstance(document, dict) or not isinstance(document.get("version", 0), int) or not _sound(document):
        fail("usage", f"`{path.name}` is no file of presets", at=Location(file=str(path)), help="mend or remove it")
    return document


def of_kind(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return list(document.get(kind, ()))


def is_ours(preset: Mapping[str, Any]) -> bool:
    vendor = preset.get("vendor")
    return isinstance(vendor, dict) and VENDOR in vendor


def foreign(source: Path) -> list[tuple[str, dict[str, Any]]]:
    """All presets but ours, each with its kind.

    Raises:
        UsageError: ``usage``: a file is no JSON of this form.
        FormatError: ``file-unreadable``.
    """
    files = _documents(source)
    return [(kind, each) for file in files for kind in KINDS for each in of_kind(file, kind) if not is_ours(each)]


def usable(source: Path) -> tuple[str, ...]:
    """The names of the configure presets that CMake offers, ours among them.

    Raises:
        UsageError: ``usage``: CMake refuses the files.
    """
    command = [find_tool("cmake"), "-S", str(source), "--list-presets=configure"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment())
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        fail("usage", f"CMake refuses the presets of `{source.name}`", detail=tuple(line for line in lines if line))
    return tuple(re.findall(r'^ +"(.*?)"(?: +- .*)?$', done.stdout, re.MULTILINE))


def _documents(source: Path) -> Iterator[dict[str, Any]]:
    """What CMake reads, each file once. Of the macros in names of included files those of paths are known."""
    todo, seen = [source / PROJECT, source / USER], set[str]()
    while todo:
        path = todo.pop(0)
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        document = read(path)
        yield document
        included = document.get("include", ())
        for name in included if isinstance(included, list) else ():
            known = {"sourceDir": str(source), "fileDir": str(path.parent)}
            text = re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], found[0]), str(name))  # noqa: B023
            text = re.sub(r"\$penv\{(\w+)\}", lambda found: os.environ.get(found[1], ""), text)
            todo.append(path.parent / text)


def _sound(document: Mapping[str, Any]) -> bool:
    lists = [document.get(kind, []) for kind in KINDS]
    return all(isinstance(each, list) and all(map(_is_preset, each)) for each in lists)


def _is_preset(each: Any) -> bool:
    if not isinstance(each, dict) or not isinstance(each.get("name", ""), str):
        return False
    steps = each.get("steps", [])
    sound = isinstance(steps, list) and all(isinstance(step, dict) for step in steps)
    return sound and isinstance(each.get("inherits", ""), (str, list))

"""Extensions that are older than their sources: somebody has changed the code, and not built it since.

Only what lies in a build folder of CMake is looked at. There the rule of the build itself holds: what is older than one
of its sources is made again. The times of files that have come another way, in a checkout, a bundle or a wheel, say
nothing. Where the compiler has written digests of the sources, as Clang does, those count in place of the times.

Sources are the project's own ones that debug information names, headers included.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from llext_tools.elf.debug import debug_file
from llext_tools.elf.lines import source_files
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.paths import cmake_project

PACKAGES = frozenset({"site-packages", "dist-packages"})
"""Where Python puts packages, with headers of the toolchain: a virtual environment may lie in a project."""


class Stale(NamedTuple):
    """``sources``: those that have changed, the newest one first; ``build``: where the extension was built."""

    sources: tuple[Path, ...]
    build: Path


def find_stale(path: str, root: Path | None = None) -> Stale | None:
    """What has changed since an extension was built; None if nothing has, or nobody can tell.

    Args:
        root: a folder whose sources count, beside those of the CMake project.
    """
    build = next((each for each in Path(path).resolve().parents if (each / "CMakeCache.txt").is_file()), None)
    if build is None:
        return None
    tops = [Path(top).resolve() for top in (cmake_project(str(build)), root) if top]
    newer: dict[Path, float] = {}
    with suppress(OSError, LlextError):
        extension = load_object(path)
        debug = debug_file(extension)
        made = max(os.path.getmtime(each.path) for each in (extension, debug) if each)
        for each, md5 in (source_files(debug) if debug else {}).items():
            source = Path(each).resolve()
            if _is_own(source, tops, build):
                time = source.stat().st_mtime
                if _digest(source) != md5 if md5 else time > made:
                    newer[source] = time
    return Stale(_newest_first(newer), build) if newer else None


def newer_lists(build: Path) -> tuple[Path, ...]:
    """The files of the project for which Ninja would run CMake again, ``CMakeLists.txt`` and others, newest first."""
    build = build.resolve()
    newer: dict[Path, float] = {}
    with suppress(OSError):
        top, ninja = Path(cmake_project(str(build)) or build), build / "build.ninja"
        text, made = ninja.read_text(encoding="utf-8", errors="replace"), os.path.getmtime(ninja)
        if found := re.search(r"^build build\.ninja\b.*: RERUN_CMAKE(.*)", text, re.MULTILINE):
            for word in re.split(r"(?<!\$) ", found[1]):
                source = (build / re.sub(r"\$(.)", r"\1", word)).resolve()
                if _is_own(source, [top.resolve()], build) and (time := source.stat().st_mtime) > made:
                    newer[source] = time
    return _newest_first(newer)


def _is_own(source: Path, tops: Iterable[Path], build: Path) -> bool:
    """Whether a file is one that somebody writes for the project."""
    own = any(map(source.is_relative_to, tops)) and not source.is_relative_to(build)
    return own and PACKAGES.isdisjoint(source.parts) and source.is_file()


def _newest_first(times: Mapping[Path, float]) -> tuple[Path, ...]:
    return tuple(sorted(times, key=lambda source: (-times[source], source)))


def _digest(path: Path) -> bytes:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()

"""Extensions that are older than their sources: somebody has changed the code, and not built it since.

Only what lies in a build folder of CMake is looked at. There the rule of the build itself holds: what is older than one
of its sources is made again. The times of files that have come another way, in a checkout, a bundle or a wheel, say
nothing. Where the compiler has written digests of the sources, as Clang does, those count in place of the times.

Sources are the project's own ones, headers included: those that debug information names, and those that the compiler
has read by what Ninja or make knows, for a header of macros alone leaves nothing in debug information. So is the
firmware that an extension was checked against, wherever it lies, once it is another one than the manifest says.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from llext_tools.artifact import digest, manifest_path, read_artifact
from llext_tools.artifact.facts import firmware_of
from llext_tools.build.cache import is_own
from llext_tools.build.objects import compiled, inputs
from llext_tools.elf.debug import debug_file
from llext_tools.elf.lines import source_files
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.paths import cmake_project

SETTINGS = frozenset({"llext.toml", "pyproject.toml"})
"""Files for which CMake runs again whatever changes in them, as the version of a bundle, or settings of other tools."""


class Stale(NamedTuple):
    """``sources``: those that have changed, the newest one first; ``build``: where the extension was built.

    Those that have been removed go before all others.
    """

    sources: tuple[Path, ...]
    build: Path

    @property
    def how(self) -> str:
        """What has become of the first one."""
        return "changed" if self.sources[0].exists() else "was removed"


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
    digests: dict[Path, bytes] = {}
    with suppress(OSError, LlextError):
        extension = load_object(path)
        debug = debug_file(extension)
        made = max(os.path.getmtime(each.path) for each in (extension, debug) if each)
        for each, md5 in (source_files(debug) if debug else {}).items():
            source = Path(each).resolve()
            if is_own(source, tops, build) and source.is_file():
                digests[source], time = md5, source.stat().st_mtime
                if _digest(source) != md5 if md5 else time > made:
                    newer[source] = time
    for compiled_to, sources in compiled(build, Path(path).resolve()):
        with suppress(OSError):
            made = compiled_to.stat().st_mtime
            for source in {each.resolve() for each in sources} - newer.keys():
                if is_own(source, tops, build) and not digests.get(source):
                    time = source.stat().st_mtime if source.exists() else math.inf
                    if time > made:
                        newer[source] = time
    newer |= _other_firmware(build, Path(path).resolve())
    return Stale(_newest_first(newer), build) if newer else None


def _other_firmware(build: Path, extension: Path) -> dict[Path, float]:
    """The ELF files and tables that have been replaced since the extension was checked against them, with their times.

    Those as old as the extension do not count: by its rule, the build does not look at them again.
    """
    newer: dict[Path, float] = {}
    with suppress(OSError, LlextError):
        artifact = read_artifact(manifest_path(extension))
        made = max(map(os.path.getmtime, artifact.paths))
        checked = firmware_of(artifact.document)
        names = {each.file for each in checked}
        for file in inputs(build, extension) if names else ():
            if file.name in names and (time := file.stat().st_mtime) > made:
                now = digest(file.read_bytes())
                if all(now != each.sha256 for each in checked if each.file == file.name):
                    newer[file.resolve()] = time
    return newer


def newer_lists(build: Path) -> tuple[Path, ...]:
    """The files of the project for which Ninja would run CMake again, ``CMakeLists.txt`` and others, newest first.

    Without settings: nobody can tell by their times whether a build reads what has changed in them.
    """
    build = build.resolve()
    newer: dict[Path, float] = {}
    with suppress(OSError):
        top, ninja = Path(cmake_project(str(build)) or build), build / "build.ninja"
        text, made = ninja.read_text(encoding="utf-8", errors="replace"), os.path.getmtime(ninja)
        if found := re.search(r"^build build\.ninja\b.*: RERUN_CMAKE(.*)", text, re.MULTILINE):
            for word in re.split(r"(?<!\$) ", found[1]):
                source = (build / re.sub(r"\$(.)", r"\1", word)).resolve()
                counts = is_own(source, [top.resolve()], build) and source.name not in SETTINGS and source.is_file()
                if counts and (time := source.stat().st_mtime) > made:
                    newer[source] = time
    return _newest_first(newer)


def _newest_first(times: Mapping[Path, float]) -> tuple[Path, ...]:
    return tuple(sorted(times, key=lambda source: (-times[source], source)))


def _digest(path: Path) -> bytes:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()

"""Where the files lie that the package brings along: CMake package, headers, samples; and its cache.

An installed wheel has them below the package itself, in the layout that ``CMakeLists.txt`` installs; a checkout has
them beside the package. No pathlib here: ``llext cmake-dir`` is called by build systems over and over.

And how a message names a path.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import lru_cache

BUILD, OUTPUT = "build", "dist"
"""Where ``llext build`` builds, and where it puts what has passed: in both, a folder for each target and toolchain."""

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(_PACKAGE)


def _first(installed: str, checkout: str) -> str:
    path = os.path.join(_PACKAGE, *installed.split("/"))
    return path if os.path.isdir(path) else os.path.join(_CHECKOUT, checkout)


def cmake_dir() -> str:
    """The folder of ``LlextToolsConfig.cmake``, for ``-DLlextTools_DIR=``."""
    return _first("share/cmake/LlextTools", "cmake")


def cmake_prefix() -> str:
    """The folder for ``CMAKE_PREFIX_PATH``. In a checkout it is the CMake folder itself, which CMake searches too."""
    return _PACKAGE if os.path.isdir(os.path.join(_PACKAGE, "share", "cmake", "LlextTools")) else cmake_dir()


def merge_script() -> str:
    """The linker script of the partial link."""
    return os.path.join(cmake_dir(), "llext-merge.ld")


def atexit_source() -> str:
    """The source of ``atexit()``, for destructors of static objects in C++."""
    return os.path.join(cmake_dir(), "atexit.cpp")


def include_dir() -> str:
    """The folder to compile with: ``#include <llext/symbol.h>``."""
    return _first("include", "include")


def samples_dir() -> str:
    """The folder of the sample extensions, one project with a sub-folder for each."""
    return _first("share/llext-tools/samples", "sample_extensions")


def cache_dir() -> str:
    """The user's cache for what is slow to make, ``$LLEXT_CACHE_DIR`` if that is set. It need not exist yet."""
    if chosen := os.environ.get("LLEXT_CACHE_DIR"):
        return os.path.abspath(chosen)
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "llext-tools")


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message, as short as it gets: from the current folder, if that is shorter."""
    whole = os.path.normpath(path)
    try:
        return min(os.path.relpath(whole), whole, key=len)
    except (ValueError, OSError):  # on another drive; the current folder is gone
        return whole


def source_dirs() -> dict[str, str]:
    """The folders of sources that we bring along, by the names that stand for them in debug information."""
    return {"llext-tools/include": include_dir(), "llext-tools/cmake": cmake_dir()}


def find_source(name: str, debug: str) -> str:
    """Where the source is that debug information names; the name itself if it is not found, or leads there from here.

    Names are relative to the project or its build folder, so that builds are the same wherever they are made: they are
    looked for in the folder of the file with the debug information and in those above it, where a build folder of CMake
    leads to its project; then in the current folder and those above.

    Args:
        name: as the debug information has it.
        debug: the path of the file with the debug information.
    """
    if os.path.isabs(name):
        return name
    for prefix, folder in source_dirs().items():
        if name.startswith(f"{prefix}/"):
            ours = os.path.join(folder, name[len(prefix) + 1 :])
            return ours if os.path.isfile(ours) else name
    here = os.getcwd()
    path = _found_above(name, os.path.dirname(os.path.join(here, debug))) or _found_above(name, here)
    return name if path in ("", os.path.normpath(os.path.join(here, name))) else path


@lru_cache(maxsize=4096)
def _found_above(name: str, start: str) -> str:
    """The nearest file of that name, from a folder upwards; "" if there is none."""
    for folder in _folders_above(start):
        if os.path.isfile(path := os.path.normpath(os.path.join(folder, name))):
            return path
    return ""


@lru_cache(maxsize=64)
def _folders_above(start: str) -> tuple[str, ...]:
    """A folder and those above it; a build folder of CMake is followed by the folder of the project."""
    found, folder = [], os.path.normpath(start)
    while True:
        found += [folder, project] if (project := cmake_project(folder)) else [folder]
        above = os.path.dirname(folder)
        if above == folder:
            return tuple(found)
        folder = above


def cmake_project(folder: str) -> str:
    """The folder of the project that a build folder of CMake is of; "" of any other folder."""
    key = "CMAKE_HOME_DIRECTORY:INTERNAL="
    with (
        suppress(OSError),
        open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8", errors="replace") as file,
    ):
        return next((line[len(key) :].rstrip("\n") for line in file if line.startswith(key)), "")
    return ""

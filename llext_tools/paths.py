"""Where the files lie that the package brings along: CMake package, headers, samples; and its cache.

An installed wheel has them below the package itself, in the layout that ``CMakeLists.txt`` installs; a checkout has
them beside the package. No pathlib here: ``llext cmake-dir`` is called by build systems over and over.
"""

from __future__ import annotations

import os
import sys

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

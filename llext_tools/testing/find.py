"""Where the file is that a test asks for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from llext_tools.diag import Diagnostic, fail, listed
from llext_tools.errors import FormatError

ENDING = ".llext"
BUILD = "build"


def find_extension(name: str | os.PathLike[str], folders: Iterable[str | os.PathLike[str]], *, deep: bool) -> str:
    """The path of ``blink.llext``, of ``blink`` alone, or of any path that is there.

    Args:
        folders: where to look, the most likely ones first; with ``build`` in each.
        deep: whether a folder may have it anywhere below.
    Raises:
        FormatError: ``file-unreadable``: it is in none of them.
    """
    names = [Path(name)] if Path(name).suffix else [Path(f"{name}{ENDING}"), Path(name)]
    looked = list(dict.fromkeys(str(each) for folder in folders for each in (Path(folder), Path(folder) / BUILD)))
    for folder in looked:
        for each in names:
            path = Path(folder) / each
            if path.is_file():
                return str(path)
    for folder in looked if deep else ():
        for each in names:
            found = sorted(Path(folder).rglob(str(each))) if not each.is_absolute() else []
            if len(found) > 1:
                text = f"`{folder}` has several files `{each}`"
                fail("file-unreadable", text, help=f"name one of them: {listed(map(str, found))}")
            if found:
                return str(found[0])
    raise _not_there(names[0], [_shown(folder) for folder in looked if os.path.isdir(folder)])


def _shown(folder: str) -> str:
    """From the current folder, if that is shorter."""
    try:
        return min(os.path.relpath(folder), folder, key=len)
    except ValueError:  # on another drive
        return folder


def _not_there(name: Path, looked: list[str]) -> FormatError:
    cure = "build it, or say where it is: `--llext-build-dir DIR`, or LLEXT_BUILD_DIR in the environment"
    text = f"there is no `{name}` in {listed(looked, 6)}"
    return FormatError((Diagnostic("file-unreadable", text, help=cure),))

"""Writing the files of a bundle: all of them or none, and nothing outside the folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from llext_tools.diag import Reporter, fail
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes, reason, write_all, write_cure


def unpack(files: Mapping[str, bytes], folder: str, *, force: bool = False) -> list[str]:
    """Write files below a folder, and return the paths of those that were not there with the same contents.

    Args:
        files: names with ``/`` between folders, which have been found safe.
        force: replace files with other contents.
    Raises:
        FormatError: ``file-unwritable``; nothing was written.
    """
    reporter = Reporter()
    paths = {name: os.path.join(folder, *name.split("/")) for name in files}
    new = {name: path for name, path in paths.items() if _is_new(name, path, files[name], folder, reporter, force)}
    reporter.checkpoint()
    made: list[str] = []
    try:
        for parent in sorted({os.path.dirname(path) for path in new.values()}):
            _make_folder(parent, made)
        write_all({path: files[name] for name, path in new.items()})
    except BaseException:
        for parent in reversed(made):
            with suppress(OSError):
                os.rmdir(parent)
        raise
    return list(new.values())


def _is_new(name: str, path: str, data: bytes, folder: str, reporter: Reporter, force: bool) -> bool:
    """Whether a file is to be written; that it must not be is reported."""
    at = folder
    for part in name.split("/"):
        at = os.path.join(at, part)
        if os.path.islink(at):
            text = f"cannot write `{path}`: `{at}` is a symbolic link"
            reporter.error("file-unwritable", text, help="unpack into another folder: `-C DIR`")
            return False
    if not os.path.lexists(path):
        return True
    try:
        same = os.path.isfile(path) and read_bytes(path) == data
    except LlextError:
        same = False
    if not same and not os.path.isfile(path):
        text = f"cannot write `{path}`: what is there is no file"
        reporter.error("file-unwritable", text, help="unpack into another folder: `-C DIR`")
    elif not same and not force:
        text = f"cannot write `{path}`: it is there with other contents"
        cure = "`--force` replaces it; `-C DIR` unpacks into another folder"
        reporter.error("file-unwritable", text, help=cure)
    return not same


def _make_folder(path: str, made: list[str]) -> None:
    """Make a folder and those above it, and put those that were not there into ``made``."""
    if not path or os.path.isdir(path):
        return
    _make_folder(os.path.dirname(path), made)
    try:
        os.mkdir(path)
    except OSError as error:
        why = "what is there is no folder" if os.path.lexists(path) else reason(error)
        fail("file-unwritable", f"cannot make the folder `{path}`: {why}", help=write_cure(error, path))
    made.append(path)

"""What CMake cannot use of folders and files; and that no other build works in a folder at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llext_tools.diag import fail
from llext_tools.files import is_utf8

UNFIT = {
    ";": "`;`",
    '"': '`"`',
    "\\": "`\\`",
    "\t": "a tab",
    **dict.fromkeys("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", "a line break"),
}
"""Characters that separate or quote words in CMake, or in the lists that it writes."""


def check_folders(folders: Iterable[Path]) -> None:
    """Say before anything is built that CMake cannot use a folder.

    Raises:
        UsageError: ``usage``.
    """
    for folder in folders:
        text = folder.as_posix()
        what = next((f"has {shown} in its name" for letter, shown in UNFIT.items() if letter in text), "")
        if text.count("[") != text.count("]"):
            what = "has a bracket without its partner in its name"
        if not is_utf8(text):
            what = "has a name that is not in UTF-8"
        if what:
            fail("usage", f"CMake cannot work in `{text}`: it {what}", help="give the folder another name")


def check_files(files: Iterable[str]) -> None:
    """Say before anything is built that CMake cannot have a file in a list.

    Raises:
        UsageError: ``usage``.
    """
    for file in files:
        if what := next((UNFIT[letter] for letter in ";\n" if letter in file), ""):
            fail("usage", f"CMake would take `{file}` for two files: it has {what} in its name", help="rename it")


@contextmanager
def alone(folders: Iterable[Path]) -> Iterator[None]:
    """Keep other builds out of these folders, which are made, for the time of a block.

    Raises:
        UsageError: ``usage``: another one is at work there.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows, where a file that is open cannot be replaced by another build
        yield
        return
    held: list[int] = []
    try:
        for folder in folders:
            with suppress(OSError):  # whoever uses the folder says what is wrong with it
                folder.mkdir(parents=True, exist_ok=True)
                held.append(os.open(folder, os.O_RDONLY))
                try:
                    flock(held[-1], LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    cure = "wait for it, or build elsewhere: `--build-dir FOLDER`"
                    fail("usage", f"another build is at work in `{folder}`", help=cure)
        yield
    finally:
        for each in held:
            os.close(each)

"""Reading a file whole, writing files so that each is there complete or not at all, and what is in a folder."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.machinery import all_suffixes
from typing import TYPE_CHECKING, TypeAlias

from llext_tools.diag import fail

if TYPE_CHECKING:
    Path: TypeAlias = str | os.PathLike[str]
    Data: TypeAlias = str | bytes | bytearray | memoryview


MOST = 1 << 30
"""Bytes of a file that is read: a device may have no end."""
MODULES = tuple(all_suffixes())


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises:
        FormatError: ``file-unreadable``.
    """
    try:
        with open(path, "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read()
            parts, left = [], MOST
            while left >= 0 and (part := file.read(1 << 16)):
                parts.append(part)
                left -= len(part)
        if left < 0:
            fail("file-unreadable", f"cannot read `{os.fspath(path)}`: it does not end after {MOST:,} bytes")
        return b"".join(parts)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL byte
        fail("file-unreadable", f"cannot read `{os.fspath(path)}`: {reason(error)}", help=_cure(error, path, "read"))


def is_utf8(text: str) -> bool:
    """Whether a text, such as a path as Python has it, can be written in UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def spare(output: Path, read: Iterable[Path], option: str) -> None:
    """Write over none of the files that a command reads, which ``option`` would do.

    Raises:
        UsageError: ``usage``.
    """
    for path in read:
        with suppress(OSError, ValueError):
            if os.path.samefile(output, path) and os.path.isfile(path):
                text = f"{option}: `{os.fspath(output)}` is one of the files that are read"
                fail("usage", text, help="write to another file")


def spare_other(output: Path, kind: re.Pattern[bytes], what: str, option: str) -> None:
    """Replace an existing file only with one of its kind, whose name can hardly be a mistake, or if it is empty.

    Args:
        kind: how the contents of those files begin that ``option`` writes.
        what: what these are called.
    Raises:
        UsageError: ``usage``.
        FormatError: ``file-unreadable``: nobody can tell.
    """
    if os.path.isfile(output) and (data := read_bytes(output)) and not kind.match(data):
        text = f"{option}: `{os.fspath(output)}` is there already, and it is no {what}"
        fail("usage", text, help="write to another file, or remove this one first")


def toml_fault(error: Exception, lines: int) -> tuple[str, int | None]:
    """What tomllib says is wrong with a text of so many lines, and in which one; its message begins in lower case."""
    message, line = str(error), None
    if found := re.search(r" \(at line (\d+).*\)$| \(at end of document\)$", message):
        message, line = message[: found.start()], int(found[1] or lines)
    return message[:1].lower() + message[1:], line


def write_atomically(path: Path, data: Data) -> None:
    """Write one file, see ``write_all()``."""
    write_all({path: data})


def write_all(files: Mapping[Path, Data]) -> None:
    """Write several files, or none of them when one cannot be written.

    Each is written beside its final place first and then renamed, so that no reader meets half a file. A symbolic
    link stays one; a device or a pipe is written directly. A file keeps the permissions that it has.

    Args:
        files: path -> bytes, or text to be written as UTF-8.
    Raises:
        FormatError: ``file-unwritable``; nothing is left behind.
    """
    ready: list[tuple[str, str]] = []
    path = ""
    try:
        for name, data in files.items():
            path = os.fspath(name)
            final = os.path.realpath(path)
            mode = os.stat(final).st_mode if os.path.exists(final) else None
            if mode is not None and not stat.S_ISREG(mode):
                _write(path, data, os.O_WRONLY)  # a folder ends here with its own message
                continue
            beside = os.path.join(os.path.dirname(final), f".{os.path.basename(final)[:200]}.{os.getpid()}.tmp")
            ready.append((beside, final))
            _write(beside, data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            if mode is not None:
                os.chmod(beside, stat.S_IMODE(mode))
        while ready:
            path = ready[0][1]
            os.replace(*ready[0])
            del ready[0]
    except (OSError, ValueError) as error:
        fail("file-unwritable", f"cannot write `{path}`: {reason(error)}", help=_cure(error, path, "written"))
    finally:
        for beside, _ in ready:
            with suppress(OSError, ValueError):
                os.unlink(beside)


def remove(path: Path) -> None:
    """Remove a file that is to be written anew, if it is there. A symbolic link stays one, and so does a device.

    Raises:
        FormatError: ``file-unwritable``.
    """
    final = os.path.realpath(path)
    try:
        if os.path.isfile(final) or os.path.isdir(final):  # a folder ends here with its own message
            os.unlink(final)
    except OSError as error:
        fail("file-unwritable", f"cannot write `{os.fspath(path)}`: {reason(error)}", help=write_cure(error, path))


def _write(path: str, data: Data, how: int) -> None:
    with open(os.open(path, how | getattr(os, "O_BINARY", 0), 0o666), "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


CURES = {
    errno.ENOTDIR: "what stands before the last `/` has to be a folder",
    errno.EEXIST: "something else has this name: choose another one",
    errno.ENOSPC: "make room, or name one on another disk",
    errno.EDQUOT: "make room, or name one on another disk",
    errno.EROFS: "name one on a disk that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What cannot be written, and why -> what to do."""


def _cure(error: Exception, path: Path, done: str) -> str:
    """What to do about a file that cannot be ``read`` or ``written``, as far as the error tells."""
    if isinstance(error, IsADirectoryError):
        return "name a file in it"
    if isinstance(error, PermissionError):
        return f"choose one that can be {done}, or change its permissions"
    folder = os.path.dirname(os.fspath(path))
    if isinstance(error, FileNotFoundError) and done == "written" and folder:
        if os.path.isdir(folder):  # of a file system that makes its files itself, such as /proc
            return "choose another folder"
        return f"make the folder `{os.fsdecode(folder)}` first"
    return CURES.get(getattr(error, "errno", None) or 0, "") if done == "written" else ""


def write_cure(error: Exception, path: Path) -> str:
    """What to do where a file or folder cannot be written: the help of ``file-unwritable``."""
    return _cure(error, path, "written")


def reason(error: Exception) -> str:
    """Why the system refuses something, for a message: it begins in lower case, without a full stop at its end."""
    text = (getattr(error, "strerror", None) or str(error)).rstrip(".")
    return text[:1].lower() + text[1:]


def modules_in(folder: str) -> list[str]:
    """The names that Python finds in a folder when it imports: modules, and folders that are packages."""
    with os.scandir(folder) as entries:
        return sorted(each.name for each in entries if each.name.endswith(MODULES) or _is_package(each.path))


def names_in(folder: str) -> list[str]:
    """All that is in a folder, but for what Python keeps there of modules."""
    return sorted(name for name in os.listdir(folder) if name != "__pycache__")


def _is_package(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "__init__.py"))

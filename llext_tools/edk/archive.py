"""An archive that somebody made, unpacked: all of it, below the folder that is meant, or nothing.

Zephyr packs an EDK as tar with xz or zstd, or as zip. An archive comes from elsewhere, so nothing in it is believed: a
name must lead below the folder, only regular files are written, and sizes are counted, not read from a header. A link
to a file or folder of the same archive becomes a copy of what ``tree`` finds there; no link is ever made: CMake packs
links of a vendor's headers as links. The folder is named by the archive's digest, and gets its name by one rename when
it is complete: two processes at a time end with the same folder. What a process that was killed has left is removed by
the next one.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import posixpath
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import IO, NamedTuple, NoReturn, cast

from llext_tools.diag import fail
from llext_tools.edk.tree import Kind, Tree
from llext_tools.files import reason
from llext_tools.paths import cache_dir

MOST_FILES = 200_000
MOST_BYTES = 2 << 30
"""What an archive may unpack to: a kit with the headers of a whole vendor has some 10,000 files, 200 MB."""

PIECE = 1 << 20
SCRATCH = ".unpacking-"
ANEW = "copy it once more, or make it anew: `west build -t llext-edk`"
BY_HAND = "if you trust who made it, unpack it yourself, and give the folder"
LONGEST_LINK = 4096
"""Bytes of a link's target, as Linux has it."""


class Member(NamedTuple):
    """A file of an archive, with its contents; a link, with the path from the top that it is; else a folder."""

    name: str
    data: IO[bytes] | None = None
    link: str | None = None


class TooMuchError(Exception):
    """More comes out of an archive than ``MOST_BYTES``."""


def unpacked(path: str, into: str = "") -> str:
    """The folder with an archive's files. It is made once, below ``into`` or in the user's cache.

    Raises:
        FormatError: ``file-unreadable``, ``edk-unreadable``, ``edk-unsafe``; nothing is left behind.
    """
    digest = _digest(path)
    above = into or os.path.join(cache_dir(), "edk")
    folder = os.path.join(above, digest[:24])
    if os.path.isdir(folder):
        return folder
    try:
        os.makedirs(above, exist_ok=True)
        with _one_at_a_time(above):
            if not os.path.isdir(folder):  # another process was first
                _make(path, folder, tempfile.mkdtemp(prefix=SCRATCH, dir=above))
    except OSError as error:
        fail(
            "file-unwritable",
            f"cannot write to `{above}`: {reason(error)}",
            help="" if into else "set LLEXT_CACHE_DIR to a folder that can be written",
        )
    return folder


def _make(path: str, folder: str, scratch: str) -> None:
    """Unpack an archive to a folder that gets its name when it is complete."""
    try:
        _unpack(path, scratch)
        os.chmod(scratch, 0o755)
        with suppress(OSError):  # another process was first, where there are no locks
            os.rename(scratch, folder)
        if not os.path.isdir(folder):
            fail("file-unwritable", f"cannot write `{folder}`", help="remove what has this name")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Wait until nobody else unpacks there, and remove what processes have left that were killed."""
    try:
        from fcntl import LOCK_EX, flock
    except ImportError:  # Windows: whoever is there may be alive
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            flock(lock, LOCK_EX)
            for name in os.listdir(folder):
                if name.startswith(SCRATCH):
                    shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        yield
    finally:
        os.close(lock)


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        fail("file-unreadable", f"cannot read `{path}`: {reason(error)}")


def _unpack(path: str, folder: str) -> None:
    tree = Tree()
    count, left = 0, MOST_BYTES
    try:
        with ExitStack() as stack:
            for member in _members(path, stack):
                count += 1
                _count(path, count)
                name = _safe(path, member.name)
                _add(path, tree, name, member)
                if member.data is not None:
                    left -= _write(member.data, os.path.join(folder, name), left)
                elif member.link is None:
                    os.makedirs(os.path.join(folder, name), exist_ok=True)
            for name, target in tree.links.items():
                if tree.find(target) is None:
                    text = f"`{path}`: `{name}` is a link to `{target}`, which is no file of the archive"
                    fail("edk-unsafe", text, help=BY_HAND)
            for name, source in chain.from_iterable(map(tree.behind, tree.links)):
                count += 1
                _count(path, count)
                if source in tree.folders:
                    os.makedirs(os.path.join(folder, name), exist_ok=True)
                    continue
                with open(os.path.join(folder, source), "rb") as data:
                    left -= _write(data, os.path.join(folder, name), left)
    except TooMuchError:
        fail("edk-unsafe", f"`{path}` unpacks to more than {MOST_BYTES:,} bytes", help=BY_HAND)
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError) as error:
        _damaged(path, error)
    except (RuntimeError, ValueError) as error:  # also what zstd.py says; an encrypted member; a number that is none
        _damaged(path, error)
    except OSError as error:
        if error.filename is None:  # gzip says so of what is no gzip
            _damaged(path, error)
        what = os.path.relpath(os.fsdecode(error.filename), folder)
        fail("edk-unreadable", f"cannot unpack `{path}`: `{what}`: {reason(error)}", help=BY_HAND)


def _count(path: str, files: int) -> None:
    if files > MOST_FILES:
        fail("edk-unsafe", f"`{path}` has more than {MOST_FILES:,} files", help=BY_HAND)


def _add(path: str, tree: Tree, name: str, member: Member) -> None:
    kind: Kind = "link" if member.link is not None else "folder" if member.data is None else "file"
    wrong = tree.add(name, kind, member.link or "")
    if wrong:
        what = "is in it as two kinds of thing" if wrong == name else f"lies below `{wrong}`, which is no folder"
        fail("edk-unsafe", f"`{path}`: `{name}` {what}", help=BY_HAND)


def _damaged(path: str, error: Exception) -> NoReturn:
    text = str(error).rstrip(".")
    fail("edk-unreadable", f"cannot unpack `{path}`: {text[:1].lower() + text[1:] or 'it is damaged'}", help=ANEW)


def _safe(path: str, name: str) -> str:
    """A member's name, if it leads to a place below the folder, whatever the system takes for a separator."""
    plain = posixpath.normpath(name)
    parts = plain.split("/")
    if not name or "\0" in name or "\\" in name or ".." in parts or plain == "." or re.match(r"/|[A-Za-z]:", plain):
        text = f"`{path}`: `{name}` does not lead below the folder that the archive is unpacked to"
        fail("edk-unsafe", text, help=BY_HAND)
    return plain


def _write(data: IO[bytes], target: str, most: int) -> int:
    """Copy one file and return its size, bytes."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    size = 0
    with open(target, "wb") as file:
        while piece := data.read(PIECE):
            size += len(piece)
            if size > most:
                raise TooMuchError
            file.write(piece)
    return size


def _members(path: str, stack: ExitStack) -> Iterator[Member]:
    """The files of an archive of any kind, in its order; its kind is what its first bytes say."""
    raw = stack.enter_context(open(path, "rb"))  # noqa: SIM115 - the stack closes it
    start = raw.read(512)
    raw.seek(0)
    if start.startswith(b"PK\3\4"):
        return _zip_members(path, stack.enter_context(zipfile.ZipFile(raw)))
    if start.startswith(b"\xfd7zXZ\0"):
        data = cast("IO[bytes]", stack.enter_context(lzma.LZMAFile(raw)))  # noqa: SIM115
    elif start.startswith(b"\x1f\x8b"):
        data = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=raw)))
    elif start.startswith(b"\x28\xb5\x2f\xfd"):
        from llext_tools.edk.zstd import Zstandard  # few kits need the library

        data = cast("IO[bytes]", Zstandard(raw))
    elif start[257:262] == b"ustar":
        data = raw
    else:
        fail(
            "edk-unreadable",
            f"`{path}` is no archive of a kind that an EDK has",
            help="Zephyr makes .tar.xz, .tar.Z and .zip; a folder does as well",
        )
    limited = _Limited(data)
    archive = tarfile.open(fileobj=cast("IO[bytes]", limited), mode="r|")  # noqa: SIM115
    return _tar_members(path, limited, stack.enter_context(archive))


def _tar_members(path: str, stream: _Limited, archive: tarfile.TarFile) -> Iterator[Member]:
    for member in archive:
        if member.isfile():
            yield Member(member.name, archive.extractfile(member))
        elif member.issym():
            yield Member(member.name, link=posixpath.join(posixpath.dirname(member.name), member.linkname))
        elif member.islnk():
            yield Member(member.name, link=member.linkname)
        elif not member.isdir():
            fail("edk-unsafe", f"`{path}`: `{member.name}` is a device or the like, not a file", help=BY_HAND)
        elif posixpath.normpath(member.name) != ".":
            yield Member(member.name)
    while stream.read(PIECE):  # the checksum of the whole comes last
        pass


def _zip_members(path: str, archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = info.external_attr >> 28  # the upper bits of Unix's st_mode: 10 is a symbolic link, 8 a regular file
        if info.is_dir():
            yield Member(info.filename)
            continue
        if kind not in (0, 8, 10):
            fail("edk-unsafe", f"`{path}`: `{info.filename}` is a device or the like, not a file", help=BY_HAND)
        with archive.open(info) as data:
            if kind == 10:
                target = data.read(LONGEST_LINK).decode(errors="surrogateescape")
                yield Member(info.filename, link=posixpath.join(posixpath.dirname(info.filename), target))
            else:
                yield Member(info.filename, data)


class _Limited:
    """What tarfile reads: a stream that ends the work when more comes out of it than any EDK has."""

    def __init__(self, data: IO[bytes]) -> None:
        self.data = data
        self.left = 2 * MOST_BYTES  # with headers and padding

    def read(self, size: int) -> bytes:
        piece = self.data.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise TooMuchError
        return piece

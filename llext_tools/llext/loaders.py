"""Loaders: where the bytes of an extension come from.

A loader has Zephyr's five functions. ``prepare`` and ``finalize`` frame a load, ``seek`` and ``read`` work like those
of a file, and ``peek`` gives the place of a byte in memory, if the file is in memory. An error is an ``OSError`` whose
``errno`` ``llext_load()`` then returns as it is.
Source: Zephyr, ``include/zephyr/llext/loader.h``, ``buf_loader.h``, ``fs_loader.h``.
"""

from __future__ import annotations

import os
from enum import Enum
from errno import EINVAL
from typing import TYPE_CHECKING, BinaryIO

from llext_tools.llext.space import Segment, segment

if TYPE_CHECKING:
    from typing_extensions import Buffer

BEHIND = 0x2000
"""Bytes of zeros behind a buffer's last page: the C code may look there without being stopped."""


class Storage(Enum):
    """How long the loader's memory lasts, and whether it may be written."""

    TEMPORARY = "temporary"  # until llext_load() returns
    PERSISTENT = "persistent"  # as long as the extension, but it is only read
    WRITABLE = "writable"  # as long as the extension, which may be relocated in place


class Loader:
    """What a loader is. Derive one of your own from it; this one has nothing to read."""

    storage = Storage.TEMPORARY
    buffer: Segment | None = None
    """The memory that ``peek()`` points into; None if the file is not in memory."""

    def prepare(self) -> None:
        """Called once before anything is read."""

    def seek(self, position: int) -> None:
        """Continue at ``position``, in bytes from the start."""
        raise NotImplementedError

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer at the end."""
        raise NotImplementedError

    def peek(self, position: int) -> int | None:  # noqa: ARG002 - derived classes use it
        """The target address of a byte, or None."""
        return None

    def finalize(self) -> None:
        """Called once after a load that got as far as ``prepare()``, whether it succeeded or not."""


class BufLoader(Loader):
    """An ELF file in memory (``struct llext_buf_loader``).

    Args:
        data: the file.
        storage: what may be done with the buffer.
        address: where the target has it; a free place if None.
        peek: False for a loader without ``peek``.
    """

    def __init__(
        self,
        data: Buffer,
        storage: Storage = Storage.TEMPORARY,
        *,
        address: int | None = None,
        peek: bool = True,
    ) -> None:
        self.storage = storage
        self.data = bytes(data)
        self.address = address
        self._peek = peek
        self._position = 0

    def place(self, address: int) -> None:
        """Put the buffer at a target address; a later load finds it as the former one left it."""
        size = len(self.data)
        room = -(-((address & 0xFFF) + size) // 0x1000) * 0x1000 + BEHIND - (address & 0xFFF)
        self.address = address
        self.buffer = segment(address, room, name="ELF buffer")
        self.buffer.data[:size] = memoryview(self.data)

    def seek(self, position: int) -> None:
        self._position = min(position, len(self.data))

    def read(self, size: int) -> bytes:
        start = self._position
        self._position = min(start + size, len(self.data))
        if self.buffer is not None and self.storage is Storage.WRITABLE:
            return self.buffer.data[start : self._position].tobytes()
        return self.data[start : self._position]

    def peek(self, position: int) -> int | None:
        if not self._peek or self.address is None or position >= len(self.data):
            return None
        return self.address + position


class FileLoader(Loader):
    """An ELF file in a file system (``struct llext_fs_loader``): temporary, and without ``peek``.

    What goes on behind the end of the file is ``EINVAL``, where a ``BufLoader`` reads less.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._file: BinaryIO | None = None
        self._size = 0

    def prepare(self) -> None:
        self._file = open(self.path, "rb")  # noqa: SIM115 - finalize() closes it
        self._size = os.fstat(self._file.fileno()).st_size

    def seek(self, position: int) -> None:
        assert self._file is not None
        if position > self._size:
            raise OSError(EINVAL, f"byte {position:,} is behind the end of the file")
        self._file.seek(position)

    def read(self, size: int) -> bytes:
        assert self._file is not None
        data = self._file.read(min(size, self._size))
        if len(data) < size:
            raise OSError(EINVAL, f"the file ends {size - len(data):,} bytes too early")
        return data

    def finalize(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

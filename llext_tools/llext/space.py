"""Target memory: segments of bytes at target addresses.

A segment's bytes start at a page of the host, so that an emulator can use them where they are. Heap memory that nobody
has written reads as a5, which is what one sees on a board that fills its RAM; buffers end in zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llext_tools.elf.model import Bytes
from llext_tools.llext.outcome import Undefined

PAGE = 4096
UNWRITTEN = 0xA5


class Segment(NamedTuple):
    """``data`` is uint8[size], the bytes from ``start`` on; ``pages`` are the whole pages that hold them."""

    start: int
    data: Bytes
    pages: Bytes

    @property
    def end(self) -> int:
        return self.start + self.data.size

    @property
    def page(self) -> int:
        """The address of ``pages``."""
        return self.start & -PAGE


def segment(start: int, size: int, fill: int = 0) -> Segment:
    """A new segment of ``size`` bytes at ``start``, filled."""
    lead = start & (PAGE - 1)
    length = -(-(lead + size) // PAGE) * PAGE
    raw = np.empty(length + PAGE, np.uint8)
    first = -raw.ctypes.data % PAGE
    pages = raw[first : first + length]
    pages.fill(fill)
    return Segment(start, pages[lead : lead + size], pages)


class Space:
    """The segments that there are. Where two overlap, the one added last is seen."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    def add(self, new: Segment) -> Segment:
        self.segments.append(new)
        return new

    def remove(self, old: Segment) -> None:
        self.segments = [each for each in self.segments if each is not old]

    def find(self, address: int, size: int = 1) -> Segment | None:
        """The segment that holds all of ``size`` bytes at ``address``."""
        for each in reversed(self.segments):
            if each.start <= address and address + size <= each.end:
                return each
        return None

    def view(self, address: int, size: int) -> Bytes:
        """uint8[size], which can be written.

        Raises:
            Undefined: no segment has them.
        """
        found = self.find(address, size)
        if found is None:
            raise Undefined(f"{size:,} bytes at {address:#010x} lie outside the memory of heap and ELF buffer")
        return found.data[address - found.start : address - found.start + size]

    def strings(self, address: int, size: int) -> bytes:
        """A table of strings, with what follows it in memory up to a NUL if its last string does not end in the table.

        Raises:
            Undefined: no segment has the table.
        """
        table = self.view(address, size).tobytes()
        return table if table.endswith(b"\0") else table + (self.string(address + size) or b"")

    def string(self, address: int) -> bytes | None:
        """The bytes in front of the next NUL, or None where there is no memory."""
        found = self.find(address)
        if found is None:
            return None
        tail = found.data[address - found.start :]
        head = tail[:64].tobytes()
        end = head.find(0)
        return head[:end] if end >= 0 else tail.tobytes().split(b"\0", 1)[0]

"""Target memory: segments of bytes at target addresses.

Segments are in blocks of whole pages, host pages too, so that an emulator can use the bytes where they are: segments
that share a page share a block. Heap memory that nobody has written reads as a5, which is what one sees on a board
that fills its RAM; buffers end in zeros.
"""

from __future__ import annotations

from typing import NamedTuple

from llext_tools.elf.model import Bytes
from llext_tools.llext.outcome import Undefined
from llext_tools.pages import PAGE, zeros

UNWRITTEN = 0xA5
LARGEST = 1 << 28
"""Bytes of a segment that are simulated: more than any of the boards has."""


class Block(NamedTuple):
    """Whole pages: uint8[n] from the address ``start`` on."""

    start: int
    pages: Bytes

    @property
    def end(self) -> int:
        return self.start + self.pages.size

    def view(self, start: int, size: int) -> Bytes:
        return self.pages[start - self.start : start - self.start + size]


class Segment:
    """``data`` is uint8[size], the bytes from ``start`` on, in ``block``. ``name`` is for people."""

    __slots__ = ("block", "data", "end", "name", "start")

    def __init__(self, start: int, size: int, block: Block, name: str) -> None:
        self.start, self.end, self.name = start, start + size, name
        self.put(block)

    def put(self, block: Block) -> None:
        self.block = block
        self.data = block.view(self.start, self.end - self.start)


def segment(start: int, size: int, fill: int = 0, *, name: str = "loader's memory") -> Segment:
    """A new segment of ``size`` bytes at ``start``, filled."""
    return Segment(start, size, new_block(start, start + size, fill), name)


def new_block(start: int, end: int, fill: int) -> Block:
    """The pages of a range of addresses, filled."""
    low = start & -PAGE
    pages = zeros(-(-(end - low) // PAGE) * PAGE)
    if fill:
        pages.fill(fill)
    return Block(low, pages)


class Space:
    """The segments that there are. Where two overlap, they are the same memory. ``version`` counts changes."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.version = 0

    @property
    def blocks(self) -> list[Block]:
        """The blocks that segments are in, each once."""
        return list({id(each.block.pages): each.block for each in self.segments}.values())

    def add(self, new: Segment) -> Segment:
        """Add memory with its contents."""
        block = new.block
        sharing = [s for s in self.segments if s.block.start < block.end and block.start < s.block.end]
        self.segments.append(new)
        self.version += 1
        if sharing:
            self._join([*sharing, new])
        return new

    def _join(self, sharing: list[Segment]) -> None:
        """Put segments of several blocks into one; of bytes that two have the last ones are taken."""
        found = {id(each.block.pages): each.block for each in sharing}
        if len(found) == 1:
            return
        blocks = found.values()
        everyone = [each for each in self.segments if id(each.block.pages) in found]
        block = new_block(min(b.start for b in blocks), max(b.end for b in blocks), UNWRITTEN)
        for each in everyone:
            block.view(each.start, each.data.size)[:] = each.data
        for each in everyone:
            each.put(block)

    def remove(self, old: Segment) -> None:
        self.segments = [each for each in self.segments if each is not old]
        self.version += 1

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

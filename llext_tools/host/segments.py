"""A linked image in memory: what a flash tool and the image's start-up code together would leave there.

Sections tell what memory is for, and are the names of areas. Program headers tell what else there is: the initial
values of variables, which the start-up code copies from flash, and bytes between sections.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.host.areas import Area, firmware_areas
from llext_tools.link.exports import Heap
from llext_tools.machine.ranges import joined, outside
from llext_tools.mem import Perm
from llext_tools.pages import PAGE

FLAGS = {1: Perm.X, 2: Perm.W, 4: Perm.R}
"""p_flags."""


class Filled(NamedTuple):
    """An area and the bytes at its start; the rest of it is zeros."""

    area: Area
    data: bytes


class Segment(NamedTuple):
    """A program header of type PT_LOAD: address when running, address in flash, contents, size in memory."""

    address: int
    load: int
    data: bytes
    size: int
    perm: Perm


def segments(obj: ElfObject) -> list[Segment]:
    """The loadable segments of a linked image; headers that leave the file are not there."""
    image, kind = obj.image, elf.PHDR_OF[obj.bits]
    header = np.frombuffer(image[: elf.EHDR_OF[obj.bits].itemsize].tobytes(), elf.EHDR_OF[obj.bits])[0]
    start, count = int(header["phoff"]), int(header["phnum"])
    if not start or int(header["phentsize"]) != kind.itemsize or start + count * kind.itemsize > image.size:
        return []
    found = []
    for row in np.frombuffer(image[start : start + count * kind.itemsize].tobytes(), kind):
        address, load, offset, data, size = (int(row[x]) for x in ("vaddr", "paddr", "offset", "filesz", "memsz"))
        if int(row["type"]) == elf.PT_LOAD and size and offset + data <= image.size:
            perm = Perm(0)
            for bit, each in FLAGS.items():
                perm |= each if int(row["flags"]) & bit else Perm(0)
            found.append(Segment(address, load, image[offset : offset + data].tobytes(), size, perm))
    return found


def firmware_memory(obj: ElfObject, without: Iterable[tuple[int, int]] = ()) -> list[Filled]:
    """All memory of a linked image, without overlaps.

    Args:
        without: ranges (start, end) that somebody else fills.
    """
    found: list[Filled] = []
    taken = list(without)

    def add(area: Area, data: bytes) -> None:
        for start, end in outside([(area.start, area.end)], joined(taken)):
            part = data[start - area.start : end - area.start]
            found.append(Filled(area._replace(start=start, end=end), part))
        taken.append((area.start, area.end))

    for area, index in firmware_areas(obj):
        add(area, obj.contents(index).tobytes())
    for each in segments(obj):
        inside = (f.area.name for f in found if each.address <= f.area.start < each.address + each.size)
        name = next(inside, "a segment")
        if each.load != each.address and each.data:
            add(Area(each.load, each.load + len(each.data), f"initial values of {name}", Perm.R), each.data)
        add(Area(each.address, each.address + each.size, f"rest of the segment of {name}", each.perm), each.data)
    return found


def heap_pages(heap: Heap | None) -> tuple[int, int] | None:
    """The whole pages of a heap for extensions (start, end). None: there are none, or data would go elsewhere."""
    if heap is None or heap.data is not None:
        return None
    start, end = -(-heap.address // PAGE) * PAGE, (heap.address + heap.size) // PAGE * PAGE
    return (start, end) if start < end else None

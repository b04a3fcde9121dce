"""Areas of memory and whose they are: what a person hears of an address.

A region of an extension, or a section of a firmware, knows the section, function or variable that an address is in.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf import structs as elf
from llext_tools.elf.debug import debug_file, same_sections
from llext_tools.elf.model import I64, ElfObject
from llext_tools.link.image import Image
from llext_tools.mem import Mem, Perm


class Owner(Protocol):
    """Whose an area is, for telling a person what an address in it is."""

    @property
    def path(self) -> str: ...

    @property
    def title(self) -> str:
        """Its name in a sentence."""
        ...

    @property
    def kind(self) -> Literal["region", "section"]:
        """What its areas are."""
        ...

    def section(self, area: Area, address: int) -> tuple[str, int] | None:
        """The section that an address is in, and the offset there; None between sections."""
        ...

    def function(self, area: Area, address: int) -> str:
        """The function that an address is in, "" if it is in none."""
        ...

    def symbol(self, area: Area, address: int) -> str:
        """The function or object that an address is in, as "`name`+0x4", "" if it is in none."""
        ...


class Area(NamedTuple):
    """A range of addresses: a region of an extension, a section of the firmware, or something of the host's own."""

    start: int
    end: int
    name: str
    perm: Perm
    owner: Owner | None = None


class Linked:
    """An extension that ``link()`` has placed."""

    kind: Literal["region"] = "region"

    def __init__(self, image: Image) -> None:
        self.image = image

    @property
    def path(self) -> str:
        return self.image.path

    @property
    def title(self) -> str:
        return os.path.basename(self.path)

    def place(self, area: Area, address: int) -> tuple[int, int] | None:
        """Index of the section, and the offset in it."""
        image = self.image
        for section in image.regions.regions[Mem[area.name]].sections:
            start = int(image.layout.section_addr[section])
            if start <= address < start + int(image.obj.sections.size[section]):
                return section, address - start
        return None

    def section(self, area: Area, address: int) -> tuple[str, int] | None:
        place = self.place(area, address)
        return (self.image.obj.sections.name[place[0]], place[1]) if place else None

    def home(self, area: Area, address: int) -> tuple[ElfObject, int, int] | None:
        """The file that knows what an address is called, with section and offset there.

        It is the one with the debug information, if there is one: it still has the names of what is static.
        """
        place = self.place(area, address)
        if place is None:
            return None
        other = int(self._debug[1][place[0]]) if self._debug else -1
        return (self._debug[0], other, place[1]) if self._debug and other >= 0 else (self.image.obj, *place)

    @cached_property
    def _debug(self) -> tuple[ElfObject, I64] | None:
        obj = self.image.obj
        debug = debug_file(obj)
        return None if debug is None or debug is obj else (debug, same_sections(obj, debug))

    def function(self, area: Area, address: int) -> str:
        home = self.home(area, address)
        code = home and int(home[0].sections.flags[home[1]]) & elf.SHF_EXECINSTR
        return home[0].function_at(*home[1:]) if home and code else ""

    def symbol(self, area: Area, address: int) -> str:
        home = self.home(area, address)
        return symbol_at(*home) if home else ""


class Firmware:
    """A linked image; ``index`` is the section that an area of it is."""

    kind: Literal["section"] = "section"

    def __init__(self, obj: ElfObject, index: int) -> None:
        self.obj, self.index = obj, index

    @property
    def path(self) -> str:
        return self.obj.path

    @property
    def title(self) -> str:
        return os.path.basename(self.path)

    def section(self, area: Area, address: int) -> tuple[str, int] | None:
        return area.name, address - int(self.obj.sections.addr[self.index])

    def home(self, area: Area, address: int) -> tuple[ElfObject, int, int]:  # noqa: ARG002 - a part of its section
        return self.obj, self.index, address - int(self.obj.sections.addr[self.index])

    def function(self, area: Area, address: int) -> str:
        code = int(self.obj.sections.flags[self.index]) & elf.SHF_EXECINSTR
        return self.obj.function_at(*self.home(area, address)[1:]) if code else ""

    def symbol(self, area: Area, address: int) -> str:  # noqa: ARG002
        return symbol_at(self.obj, self.index, address)


def firmware_areas(obj: ElfObject) -> list[tuple[Area, int]]:
    """The areas of a linked image, with the index of the section that each is."""
    found = []
    for i in firmware_sections(obj):
        start, size, flags = (int(x[i]) for x in (obj.sections.addr, obj.sections.size, obj.sections.flags))
        perm = Perm.R | (Perm.W if flags & elf.SHF_WRITE else 0) | (Perm.X if flags & elf.SHF_EXECINSTR else 0)
        found.append((Area(start, start + size, obj.sections.name[i], perm, Firmware(obj, i)), i))
    return found


def firmware_sections(obj: ElfObject) -> list[int]:
    """The sections of a linked image that take memory."""
    return np.flatnonzero((obj.sections.flags & elf.SHF_ALLOC != 0) & (obj.sections.size > 0)).tolist()


def symbol_at(obj: ElfObject, section: int, value: int) -> str:
    """The function or object that has a value in a section, as "`name`+0x4"."""
    y = obj.symbols
    i = symbol_index(y.type, y.shndx, y.value, y.size, section, value)
    return f"`{y.name(i[0])}`" + (f"+{i[1]:#x}" if i[1] else "") if i else ""


def symbol_index(
    type: NDArray[np.integer[Any]],
    shndx: NDArray[np.integer[Any]],
    values: I64,
    sizes: I64,
    section: int,
    value: int,
) -> tuple[int, int] | None:
    """The last function or object (index, distance) that starts at or before ``value`` in a section and reaches it."""
    start = values & ~(type == elf.STT_FUNC).astype(np.int64)
    here = np.flatnonzero((shndx == section) & np.isin(type, (elf.STT_FUNC, elf.STT_OBJECT)) & (start <= value))
    here = here[value < start[here] + np.maximum(sizes[here], 1)]
    if not here.size:
        return None
    i = int(here[np.argmax(start[here])])
    return i, value - int(start[i])

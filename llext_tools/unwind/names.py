"""What the places of a backtrace are called: function, section, file, source line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from llext_tools.elf.lines import Line, find_lines
from llext_tools.elf.model import ElfObject
from llext_tools.host.areas import Firmware, Linked
from llext_tools.host.places import Places
from llext_tools.unwind.frames import Frame


class Spot(NamedTuple):
    """A frame before it has names, see ``Frame``; ``host`` is the name of a function of the host's."""

    pc: int
    place: int
    guessed: bool = False
    tail: bool = False
    host: str = ""


class Namer:
    """Names of addresses of one machine."""

    def __init__(self, guest: Places) -> None:
        self._guest, self.symbol = guest, guest.symbol
        self._lines: dict[int, Line | None] = {}

    def named(self, spots: Sequence[Spot]) -> tuple[Frame, ...]:
        """Frames with their names and lines; the debug information of each file is read once."""
        self._find_lines({spot.place for spot in spots if not spot.host} - self._lines.keys())
        return tuple(frame for spot in spots for frame in self._frames(spot))

    def _frames(self, spot: Spot) -> Iterator[Frame]:
        """The frames of the functions that are inlined there, then that of the function itself."""
        frame = self._frame(spot)
        line = self._lines.get(spot.place) if not spot.host else None
        for call in line.calls if line else ():
            yield frame._replace(function=readable(call.name), inlined=True)
            frame = frame._replace(source=call.file, line=call.line)
        yield frame

    def _frame(self, spot: Spot) -> Frame:
        if spot.host:
            return Frame(pc=0, place=0, function=spot.host, offset=0, kind="host")
        area = self._guest.memory.at(spot.place)
        if area is None or area.owner is None:
            return Frame(pc=spot.pc, place=spot.place, function="", offset=0, kind="extension", guessed=spot.guessed)
        function, inside = self.function(spot.place)
        section, offset = area.owner.section(area, spot.place) or (area.name, spot.place - area.start)
        line = self._lines.get(spot.place)
        return Frame(
            pc=spot.pc,
            place=spot.place,
            function=readable(function),
            offset=inside if function else offset,
            kind="firmware" if area.owner.kind == "section" else "extension",
            file=area.owner.title,
            section=section,
            source=line.file if line else "",
            line=line.line if line else None,
            guessed=spot.guessed,
            tail=spot.tail,
        )

    def function(self, address: int) -> tuple[str, int]:
        """The function that an address is in, and how far it is from its start."""
        area = self._guest.memory.at(address)
        if area is None or area.owner is None:
            return "", 0
        place = self._home(address)
        if place is not None:
            return place[0].function_and_offset(*place[1:])
        name, _, offset = area.owner.symbol(area, address).rpartition("`")
        return name.lstrip("`"), int(offset[1:], 16) if offset else 0

    def where(self, address: int) -> str:
        """The function or variable that an address is in, with the section: `` `table`+0x4 (.data+0x24) ``."""
        area = self._guest.memory.at(address)
        if area is None or area.owner is None:
            return f"{address:#010x}"
        section, offset = area.owner.section(area, address) or (area.name, address - area.start)
        name = self.symbol(address)
        return f"{name} ({section}+{offset:#x})" if name else f"{section}+{offset:#x}"

    def _home(self, address: int) -> tuple[ElfObject, int, int] | None:
        """The file that names an address, with the section and offset there; rather the one with debug information."""
        area = self._guest.memory.at(address)
        owner = area.owner if area else None
        return owner.home(area, address) if area and isinstance(owner, Firmware | Linked) else None

    def _find_lines(self, places: set[int]) -> None:
        homes = [(address, home) for address in sorted(places) if (home := self._home(address))]
        objects = {id(home[0]): home[0] for _, home in homes}
        for obj in objects.values():
            mine = [(address, home) for address, home in homes if home[0] is obj]
            sections = np.array([home[1] for _, home in mine], np.int64)
            offsets = np.array([home[2] for _, home in mine], np.int64)
            lines = find_lines(obj, sections, offsets, inlined=True)
            self._lines |= dict(zip((address for address, _ in mine), lines, strict=True))


def readable(name: str) -> str:
    """A function's name as the source has it, without parameters."""
    if not name.startswith("_Z"):
        return name
    from llext_tools.elf.names import demangle, without_parameters  # it loads a library, for C++ alone

    return without_parameters(demangle(name)) or name

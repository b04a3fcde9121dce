"""Where an address is, as a person wants to hear it: file, section, function, what is beside it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NoReturn

from llext_tools.arch.base import Arch
from llext_tools.arch.model import Target
from llext_tools.diag import Location, fail, number
from llext_tools.errors import LlextError
from llext_tools.host.areas import Area
from llext_tools.host.function import HostFunction
from llext_tools.host.limits import Limits
from llext_tools.host.memory import Memory
from llext_tools.link.exports import Export
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Perm

RIGHTS = {
    Perm.R: "read-only",
    Perm.R | Perm.X: "code, read-only",
    Perm.X: "code",
    Perm.R | Perm.W | Perm.X: "not protected",
}


class Entry(NamedTuple):
    """A call of the extension by the host: the function's address, and how the host was called itself.

    ``inside``: the host's functions that ran, the innermost last; the registers ``sp`` and ``ra`` are theirs.
    """

    address: int
    sp: int
    ra: int
    inside: tuple[str, ...]


class Site(NamedTuple):
    """Who has called the host, as a phrase: "`f` at f.c:3". The line is looked up when somebody wants to read it."""

    location: Location | None
    source: Callable[[Location], Location]

    def __str__(self) -> str:
        if self.location is None or not self.location.function:
            return "the extension"
        at = self.source(self.location)
        return f"`{at.function}`" + ("" if at.line is None else f" at {os.path.basename(at.source)}:{at.line}")


@dataclass(slots=True)
class Frames:
    """The calls between host and extension that one thread is in.

    ``inside``: host functions that run, the innermost last. ``entries``: functions of the extension that the host has
    called, the innermost last. ``kept``: what calls from outside leave in the registers that a function restores.
    """

    name: str = "main"
    stack: Area | None = None
    inside: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    kept: tuple[int, ...] | None = None

    def copy(self) -> Frames:
        """As they are now."""
        return replace(self, inside=[*self.inside], entries=[*self.entries])


class Stopped(NamedTuple):
    """Where a call from outside has failed."""

    frames: Frames
    registers: Mapping[str, int]


class Places:
    """A machine whose memory has names.

    ``files``: paths of the extensions, the one that is meant without a better clue last. ``functions``: the host's
    functions by their addresses. ``on_fail`` are told what ends a call, while everything is as it was. ``return_at``:
    where calls from the host return to. ``by_table``: whether addresses of a table of exports stand for the host.
    ``device_kinds``: what whoever runs this can declare. ``source`` adds the source line to a place.
    """

    def __init__(self, target: Target, arch: Arch, machine: Machine, limits: Limits) -> None:
        self.target, self.arch, self.machine, self.limits = target, arch, machine, limits
        self.conv = arch.callconv
        self.memory = Memory(machine, target.bits, limits.memory, self.refuse_memory)
        self.files: list[str] = []
        self.functions: dict[int, tuple[Export, HostFunction | None]] = {}
        self.frames = Frames()
        self.on_fail: list[Callable[[LlextError], None]] = []
        self.unwinder: object = None  # what has been read for backtraces, if there was one
        self.stopped: Stopped | None = None  # if the last call from outside has failed
        self.stop: Stop | None = None  # what it has failed by; where the host touched memory, that access
        self.return_at = 0
        self.device_kinds: tuple[str, ...] = ()
        self.by_table = False
        self.source: Callable[[Location], Location] = lambda at: at

    def location(self, address: int) -> Location | None:
        """The section, offset and function of an address in an extension or in the firmware."""
        area = self.memory.at(address)
        if area is None or area.owner is None:
            return None
        section, offset = area.owner.section(area, address) or (area.name, address - area.start)
        return Location(area.owner.path, section, offset, area.owner.function(area, address))

    def name_of(self, address: int) -> str:
        """The function that an address is in, or the address."""
        where = self.location(self.arch.code_at(address))
        return where.function if where and where.function else f"{address:#010x}"

    def symbol(self, address: int) -> str:
        """The function or variable that an address is in, as "`name`+0x4", or ``""``."""
        area = self.memory.at(address)
        return area.owner.symbol(area, address) if area and area.owner else ""

    def where_now(self) -> Location | None:
        """Where the extension is while the host runs: its call instruction.

        A function that ends with a jump to the host has left no trace: then it is the one that the host has called.
        """
        entry = self._ended()
        if entry is not None:
            return entry._replace(offset=None)
        back = self.arch.code_at(self.machine.get(self.conv.ra))
        if back == self.return_at and self.frames.entries:
            return self.file()
        area = self.memory.at(back - 4)
        if area is None or area.end < back or self.location(back - 4) is None:
            return self.location(back - 2) or self.file()
        return self.location(back - self.conv.call_size(self.memory.peek(back - 4, 4)))

    def _ended(self) -> Location | None:
        """The start of the function that the host has called, if that one has ended with a jump to the host."""
        back = self.arch.code_at(self.machine.get(self.conv.ra))
        ended = back == self.return_at and self.frames.entries
        return self.location(self.frames.entries[-1].address) if ended else None

    def site(self) -> Site:
        """The same place, to be told later; of a function that has ended with a jump, its start."""
        return Site(self._ended() or self.where_now(), self.source)

    def caller(self) -> str:
        """The same as a text: ```f`+0x12``."""
        where = self.where_now()
        return f"`{where.function}`" if where and where.function else "the extension"

    def describe(self, address: int) -> str:
        """What is at an address, as a phrase: "`table`+0x4 in .rodata of x.llext (region RODATA, read-only)"."""
        area = self.memory.at(address)
        if area is None:
            return ""
        rights = RIGHTS.get(area.perm, "not executable")
        beside = "" if self.memory.view else f" ({rights})"  # where a view decides, they say nothing
        if area.owner is None:
            return f"the {area.name}{beside}"
        text = self.region(area) + beside
        place = area.owner.section(area, address)
        if place is None:
            return text
        symbol = area.owner.symbol(area, address)
        where = f"{place[0]}+{place[1]:#x}"
        return f"{symbol}, {where}, {text}" if symbol else f"{where}, {text}"

    def region(self, area: Area) -> str:
        """What an area is called: "region DATA of x.llext"."""
        if area.owner is None:
            return f"the {area.name}"
        several = len(self.files) > 1 or area.owner.kind == "section" or self.memory.view is not None
        return f"{area.owner.kind} {area.name}" + (f" of {area.owner.title}" if several else "")

    def file(self) -> Location | None:
        return Location(self.files[-1]) if self.files else None

    def refuse_memory(self, name: str, size: int) -> NoReturn:
        """Raises:
        LimitError: ``run-memory``."""
        parts = Counter[str]()
        for area in self.memory.areas:
            owner = os.path.basename(area.owner.path) if area.owner else f"the {area.name}"
            parts[owner] += area.end - area.start
        taken = ", ".join(f"{owner} {number(size, 'byte')}" for owner, size in parts.most_common(4))
        self.fail(
            "run-memory",
            f"{name} needs {number(size, 'byte')}, more memory than the limit leaves",
            self.where_now() if self.frames.inside else None,
            detail=(f"the limit is {number(self.limits.memory, 'byte')}", *([f"there are: {taken}"] if taken else [])),
            help="give more with `--max-memory`",
        )

    def who(self) -> str:
        return f"`{self.frames.inside[-1]}`" if self.frames.inside else self.caller()

    def fail(
        self,
        code: str,
        message: str,
        at: Location | None,
        *,
        detail: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        help: str = "",
    ) -> NoReturn:
        try:
            fail(code, message, at=at or self.file(), detail=detail, notes=notes, help=help)
        except LlextError as error:
            for told in self.on_fail:
                told(error)
            raise

    def failed(self) -> None:
        """Keep where a call has failed; what it was inside of fails with it."""
        self.stopped = self.stopped or Stopped(self.frames.copy(), self.registers())

    def registers(self) -> dict[str, int]:
        return {name: self.machine.get(name) for name in self.conv.shown}

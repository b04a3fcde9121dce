"""The memory that an extension sees while it runs: named areas with permissions, and checked access for the host.

A page has the permissions of all the areas in it; an extension that is linked with ``Domain(align=PAGE)`` has pages
of its own for each region. A ``View`` says by the byte what the running code may touch of all this.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple, NoReturn

from llext_tools.host.areas import Area, Linked, Owner
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Machine
from llext_tools.mem import PERM, Perm
from llext_tools.pages import PAGE

START = attrgetter("start")
LONGEST_TEXT = 1 << 30
"""Bytes: no string in target memory is longer, there is not that much of it."""


class Range(NamedTuple):
    """Addresses and what may be done there."""

    start: int
    end: int
    perm: Perm


class View(NamedTuple):
    """What the running code may touch, where that is not all that is mapped.

    ``why(address)`` says why an access is refused, as the end of a sentence; ``help`` what to do about it.
    """

    ranges: tuple[Range, ...]
    why: Callable[[int], str]
    help: str = ""


class AccessError(Exception):
    """The host touched target memory that is not there, or not for that: what a fault is to the extension."""

    def __init__(self, reason: Literal["read", "write"], address: int, size: int) -> None:
        super().__init__(reason, address, size)
        self.reason, self.address, self.size = reason, address, size

    def __str__(self) -> str:
        able = "readable" if self.reason == "read" else "writable"
        null = ": a null pointer was used" if not self.address else ""
        return f"cannot {self.reason} {self.size:,} bytes: there is no {able} memory at {self.address:#010x}{null}"


class Memory:
    """Areas of one machine, which take at most ``limit`` bytes: ``refuse(name, size)`` raises what is beyond that."""

    def __init__(self, machine: Machine, bits: int, limit: int, refuse: Callable[[str, int], NoReturn]) -> None:
        self._machine, self._limit, self._refuse = machine, limit, refuse
        self._mapped = 0
        self._top = 1 << bits
        self._areas: list[Area] = []
        self._starts: list[int] = []
        self.grounds: tuple[Area, ...] = ()
        """Memory that somebody else has mapped, in which areas may be."""
        self.view: View | None = None

    @property
    def areas(self) -> tuple[Area, ...]:
        return tuple(self._areas)

    def at(self, address: int) -> Area | None:
        """The area that an address is in."""
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and address < self._areas[i].end:
            return self._areas[i]
        for ground in self.grounds:
            if ground.start <= address < ground.end:
                end = self._starts[i + 1] if i + 1 < len(self._starts) else ground.end
                return ground._replace(start=address, end=min(end, ground.end))
        return None

    def add(self, name: str, size: int, perm: Perm, start: int) -> Area:
        """Map zeros in pages that nothing else has, with a page around them that stays free."""
        self.claim(f"the {name}", size)
        start = self.free(size, start)
        area = Area(start, start + size, name, perm)
        self._machine.map(area.start, -(-size // PAGE) * PAGE, perm)
        self.insert([area])
        return area

    def claim(self, name: str, size: int) -> None:
        """Count bytes that are about to be mapped.

        Raises:
            LimitError: ``run-memory``.
        """
        if self._mapped + size > self._limit:
            self._refuse(name, size)
        self._mapped += size

    def free(self, size: int, start: int) -> int:
        """Where ``size`` bytes have pages of their own, from ``start`` on."""
        taken = (*self._areas, *self.grounds)
        return free(((a.start, a.end) for a in taken), size, start, self._top)

    def add_traps(self, name: str, addresses: Iterable[int]) -> None:
        """Stop at these addresses: of code that is there, or in pages of their own that nobody can read."""
        absent = []
        for address in addresses:
            if self.at(address) is None:
                absent.append(address)
            else:
                self._machine.trap_at(address)
        self._add_trap_pages(name, absent)

    def _add_trap_pages(self, name: str, addresses: Iterable[int]) -> None:
        runs = page_runs((a, a + 1) for a in addresses)
        for start, end in runs:
            self._machine.trap(start, end - start)
        self.insert([Area(start, end, name, Perm.X) for start, end in runs])

    def add_image(self, image: Image) -> None:
        """Map the regions of an extension and fill them."""
        owner = Linked(image)
        filled = []
        for mem, data in image.mem.items():
            if mem in PERM and data.size:
                start = image.layout.base[mem]
                contents = data.tobytes() if data.any() else b""  # much of it may never be touched
                filled.append((Area(start, start + data.size, mem.name, PERM[mem], owner), contents))
        self.add_filled(owner.title, filled)

    def add_filled(self, name: str, filled: Sequence[tuple[Area, bytes]]) -> None:
        """Map areas, each with bytes at its start and zeros behind them; ``name``: of them all."""
        self.claim(name, sum(area.end - area.start for area, _ in filled))
        perms: dict[int, Perm] = {}
        for area, _ in filled:
            for page in range(area.start // PAGE, -(-area.end // PAGE)):
                perms[page] = perms.get(page, Perm(0)) | area.perm
        for start, end, perm in runs_of_pages(perms):
            self._machine.map(start, end - start, perm)
        for area, data in filled:
            self._machine.write(area.start, data)
        self.insert([area for area, _ in filled])

    def insert(self, areas: Iterable[Area]) -> None:
        """Name memory that is mapped."""
        self._areas = sorted([*self._areas, *areas], key=START)
        self._starts = [area.start for area in self._areas]

    def put_back(self, areas: Iterable[Area]) -> None:
        """Name these areas and no others."""
        self._areas = []
        self.insert(areas)
        self._mapped = sum(area.end - area.start for area in self._areas if area.owner or Perm.R in area.perm)

    def drop(self, owner: Owner) -> None:
        """Forget all areas of an owner."""
        self._mapped -= sum(area.end - area.start for area in self._areas if area.owner is owner)
        self._areas = [area for area in self._areas if area.owner is not owner]
        self._starts = [area.start for area in self._areas]

    def read(self, address: int, size: int) -> bytes:
        """Raises:
        AccessError: a byte of them cannot be read by the extension."""
        self._check("read", Perm.R, address, size)
        return self._machine.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Raises:
        AccessError: a byte of them cannot be written by the extension. Nothing is written then."""
        self._check("write", Perm.W, address, len(data))
        self._machine.write(address, data)

    def check_write(self, address: int, size: int) -> None:
        """Raises:
        AccessError: a byte of them cannot be written by the extension."""
        self._check("write", Perm.W, address, size)

    def poke(self, address: int, data: bytes) -> None:
        """Write whatever the permissions are: as the loader does."""
        self._machine.write(address, data)

    def peek(self, address: int, size: int) -> bytes:
        """Read whatever the permissions are. All of it must be mapped."""
        return self._machine.read(address, size)

    def text(self, address: int, most: int | None = None) -> bytes:
        """The string at an address without its NUL; at most so many bytes of it are read.

        Raises:
            AccessError: it leaves what can be read.
        """
        most = LONGEST_TEXT if most is None else most
        found = bytearray()
        while len(found) < most:
            here = address + len(found)
            size = min(PAGE - here % PAGE, most - len(found))
            area = self.at(here)
            if area is not None and here < area.end:
                size = min(size, area.end - here)
            part = self.read(here, size if area is not None and Perm.R in area.perm else 1)
            nul = part.find(0)
            if nul >= 0:
                return bytes(found + part[:nul])
            found += part
        return bytes(found)

    def _check(self, reason: Literal["read", "write"], perm: Perm, address: int, size: int) -> None:
        at = address
        while at < address + size:
            area = self.at(at)
            if area is None or perm not in area.perm:
                raise AccessError(reason, at, size)
            at = area.end
        refused = self.refused(perm, address, size)
        if refused is not None:
            raise AccessError(reason, refused, size)

    def refused(self, perm: Perm, address: int, size: int) -> int | None:
        """The first of ``size`` bytes that is outside of the view, None if they all are inside."""
        if self.view is None:
            return None
        at = address
        while at < address + size:
            end = next((r.end for r in self.view.ranges if r.start <= at < r.end and perm in r.perm), None)
            if end is None:
                return at
            at = end
        return None


def runs_of_pages(perms: dict[int, Perm]) -> list[tuple[int, int, Perm]]:
    """Pages with their permissions as ranges (start, end, permissions): each is mapped at once."""
    runs: list[tuple[int, int, Perm]] = []
    for page, perm in sorted(perms.items()):
        start = page * PAGE
        if runs and runs[-1][1:] == (start, perm):
            start = runs.pop()[0]
        runs.append((start, (page + 1) * PAGE, perm))
    return runs


def page_runs(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges (start, end) widened to pages, those that touch joined, sorted."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        start, end = first // PAGE * PAGE, -(-last // PAGE) * PAGE
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return runs


def free(taken: Iterable[tuple[int, int]], size: int, start: int, top: int) -> int:
    """The first address from ``start`` on with ``size`` bytes free, and a free page before and behind them.

    ``taken`` are ranges (start, end); ``top`` is the end of the address space. Where there is no room, from 64 KiB on.
    """
    runs = page_runs(taken)
    for first in (start, 1 << 16):
        at = first
        for low, high in runs:
            if low < at + size + PAGE and high > at - PAGE:
                at = high + PAGE
        if at + size + PAGE <= top:
            return at
    raise MemoryError("no free addresses")

"""Whether extensions work wherever they are: they run at several places, and what they do is compared.

An address that has moved is the same address: two values are alike if they are equal, or at the same offset of the
same region of an extension, or of the same area of the host. Numbers in texts count likewise. What is left is a fault
of the extension: an address that is kept as a number or computed from another one, a relocation of the wrong kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from random import Random
from typing import Any, NamedTuple

from llext_tools.c.view import plain
from llext_tools.diag import CODES, Diagnostic, Location
from llext_tools.errors import FaultError, LlextError
from llext_tools.host.areas import Area
from llext_tools.host.function import HostCall
from llext_tools.host.memory import free
from llext_tools.host.segments import heap_pages
from llext_tools.link import Image, link
from llext_tools.link.exports import ExportTable
from llext_tools.mem import Domain, Mem, Perm
from llext_tools.pages import PAGE
from llext_tools.profile import Profile
from llext_tools.run import EXTENSION_AT, Returned, RunResult, Setup, occupied, run

MOST = 64
"""Placements of one proof."""

REACH = 16 << 20
"""Bytes that the longest branch of a Cortex-M goes."""

FAR_AT, ODD_AT = EXTENSION_AT + (128 << 20) + PAGE, EXTENSION_AT + (64 << 20)
"""Where other places are looked for: in what a Cortex-M takes for RAM, and as long as numbers as ``EXTENSION_AT``."""

NUMBER = re.compile(r"(0[xX][0-9a-fA-F]{1,16}|[0-9a-fA-F]{7,16}|[0-9]{1,20})")
"""What may be an address in a text."""


class Moved(NamedTuple):
    """A range of ``size`` bytes that is at one address in one run and at another one in the other."""

    name: str
    here: int
    there: int
    size: int


def prove(
    images: Sequence[Image],
    calls: Sequence[str],
    setup: Setup,
    first: RunResult,
    *,
    placements: int,
    profile: Profile | str,
    prototypes: Iterable[str] = (),
    bringup: bool = True,
    fresh: Callable[[Setup], Setup] = lambda setup: setup,
) -> Diagnostic | None:
    """Run extensions at other places, too.

    Args:
        images, calls, setup, prototypes, bringup: what ``run()`` got that returned ``first``, without a fault.
        placements: how many there are together with the first one.
        profile: what ``load()`` got.
        fresh: makes the setup of each further run, where something in it has a state of its own.
    Returns:
        ``run-placement``, or what ended the link or the run at another place; None if all is alike.
    """
    prototypes = tuple(prototypes)
    for domains in others(images, setup, placements - 1):
        try:
            moved = relink(images, domains, setup, profile)
        except LlextError as error:
            return elsewhere(error.diagnostics, "links", images, domains)
        again = run(moved, calls, fresh(setup)._replace(sink=None), prototypes=prototypes, bringup=bringup)
        if again.fault is not None and CODES[again.fault.code].error is not FaultError:
            return elsewhere([again.fault], "runs", images, domains)
        found = Comparison(images, first, moved, again).difference()
        if found is not None:
            return found
    return None


def elsewhere(found: Sequence[Diagnostic], does: str, images: Sequence[Image], domains: Sequence[Domain]) -> Diagnostic:
    """What ended a link or a run at one place only: as it is, with a word on that."""
    error = next(d for d in found if d.severity == "error")
    here, there = (place_of(images[-1].layout.base), place_of(domains[-1].fixed))
    return error._replace(notes=(*error.notes, f"the extension {does} with {here}, but not with {there}"))


def place_of(base: Mapping[Mem, int]) -> str:
    """The first region of an extension stands for all, which is its code if it has any."""
    mem = min(base, default=None)
    return "no regions" if mem is None else f"{mem.name} at {base[mem]:#010x}"


def relink(
    images: Sequence[Image], domains: Sequence[Domain], setup: Setup, profile: Profile | str
) -> tuple[Image, ...]:
    """The same extensions in other places.

    Raises:
        LlextError: what ``link()`` raises.
    """
    tables, moved = [setup.table], []
    for image, domain in zip(images, domains, strict=True):
        moved.append(link(image.obj, exports=ExportTable.joined(tables), domain=domain, profile=profile))
        tables.append(moved[-1].exp_tab)
    return tuple(moved)


# ---- other places


def others(images: Sequence[Image], setup: Setup, count: int) -> Iterator[tuple[Domain, ...]]:
    """Where the regions of each extension go, in places beside the one that the images are at.

    First far from the host, with the regions one after the other; then from odd pages on, the regions in another order
    and each as little aligned as it may be. Any more are like that one, with other orders and distances. Extensions in
    a firmware's heap for them stay there as long as there is room: the first of these places is at its end then.
    """
    exports = setup.table
    taken = occupied(exports, setup.firmware)
    size = sum(_room(image) for image in images)
    top = 1 << setup.target.bits
    heap = heap_pages(exports.heap) if setup.firmware else None
    for i in range(count):
        within = tuple(in_heap(images, heap, i)) if heap else ()
        if within:
            yield within
        elif i == 0:
            start = free([(max(low - REACH, 0), high + REACH) for low, high in taken], size, FAR_AT, top)
            yield tuple(in_order(images, start))
        else:
            start = free(taken, size, ODD_AT + (i - 1) * (size + PAGE), top)
            yield tuple(scattered(images, start, Random(i)))


def in_heap(images: Sequence[Image], heap: tuple[int, int], i: int) -> Iterator[Domain]:
    """The place of that number in a heap (start, end) that extensions are in; nothing if there is no room for it."""
    low, high = heap
    first = min(base for image in images for base in image.layout.base.values())
    if not low <= first < high:
        return
    if i == 0:
        end = max(_ends(images, in_order(images, 0)))
        start = (high - end) // PAGE * PAGE  # what is aligned more strictly moves up, and may not fit then
        domains = tuple(in_order(images, start)) if start > first else ()
    else:
        domains = tuple(scattered(images, low + i * PAGE, Random(i)))
    if all(end <= high for end in _ends(images, domains)):
        yield from domains


def _ends(images: Sequence[Image], domains: Iterable[Domain]) -> Iterator[int]:
    for image, domain in zip(images, domains, strict=False):
        yield from (base + image.regions.regions[mem].size for mem, base in domain.fixed.items())


def _room(image: Image) -> int:
    """Bytes that ``scattered()`` takes at most."""
    regions = (image.regions.regions[mem] for mem in image.layout.base)
    return sum(-(-r.size // PAGE) * PAGE + 2 * max(r.align, PAGE) + 2 * PAGE for r in regions)


def in_order(images: Sequence[Image], start: int) -> Iterator[Domain]:
    """Each region on pages of its own, one after the other."""
    for image in images:
        fixed = {}
        for mem in image.layout.base:
            region = image.regions.regions[mem]
            align = max(region.align, PAGE)
            fixed[mem] = start = -(-start // align) * align
            start += region.size
        start += PAGE
        yield Domain(fixed=fixed)


def scattered(images: Sequence[Image], start: int, pick: Random) -> Iterator[Domain]:
    """Each region in an odd page, and there at an odd multiple of its own alignment; a free page between them."""
    for image in images:
        order = list(image.layout.base)[::-1]
        if pick.random() < 0.5:
            pick.shuffle(order)
        fixed = {}
        for mem in order:
            region = image.regions.regions[mem]
            least = max(region.align, 1)
            page = max(least, PAGE)
            start = (-(-start // page) | 1) * page + (3 * least if 4 * least <= PAGE else 0)
            fixed[mem] = start
            start += region.size + PAGE
        yield Domain(fixed=fixed)


# ---- comparing


class Comparison:
    """Two runs of the same extensions at different places."""

    def __init__(self, images: Sequence[Image], first: RunResult, moved: Sequence[Image], again: RunResult) -> None:
        self._images, self._first, self._moved, self._again = images, first, moved, again
        self._pairs = tuple(pairs(images, first.areas, moved, again.areas))

    def difference(self) -> Diagnostic | None:
        """The first thing in which the runs differ: a fault, a returned value, a call of the host, the output."""
        if self._again.fault is not None:
            return self._fault(self._again.fault)
        for one, other in zip(self._first.returned, self._again.returned, strict=True):
            if not self._alike(one.value, other.value) or not self._alike_text(_text(one), _text(other)):
                what = f"`{one.call}` does not return the same at every place"
                return self._differs(what, str(one), str(other), one.call.partition("(")[0].strip())
        for i, (call, theirs) in enumerate(zip_longest(self._first.calls, self._again.calls)):
            if call is None or theirs is None or not self._alike_call(call, theirs):
                what = f"call {i + 1:,} of the host is not the same at every place"
                return self._differs(what, self._show_call(call, 0), self._show_call(theirs, 1))
        ours, others = self._first.output.split("\n"), self._again.output.split("\n")
        for i, (line, other_line) in enumerate(zip_longest(ours, others)):
            if line is None or other_line is None or not self._alike_text(line, other_line):
                what = f"line {i + 1:,} of the output is not the same at every place"
                return self._differs(what, _quoted(line), _quoted(other_line))
        return None

    def _differs(self, what: str, here: str, there: str, function: str = "") -> Diagnostic:
        at = [place_of(images[-1].layout.base) for images in (self._images, self._moved)]
        return Diagnostic(
            "run-placement",
            what,
            location=Location(self._images[-1].path, function=function),
            detail=tuple(f"{text} with {place}" for text, place in zip((here, there), at, strict=True)),
            notes=("addresses count by region and offset: the same place in the extension is the same address",),
            help="it keeps an address as a number or computes with one: let it take `&name` where that is needed",
        )

    def _fault(self, fault: Diagnostic) -> Diagnostic:
        here, there = (place_of(images[-1].layout.base) for images in (self._images, self._moved))
        return fault._replace(
            code="run-placement",
            notes=(*fault.notes, f"with {here} the same runs without a fault, this is with {there}"),
            help="the extension has an address in it that does not move with it: a number, or a wrong relocation",
        )

    def _alike(self, one: Any, other: Any) -> bool:
        one, other = plain(one), plain(other)
        if isinstance(one, dict) and isinstance(other, dict):
            one, other = [*one.values()], [*other.values()]
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(self._alike, one, other))
        if isinstance(one, bytes) and isinstance(other, bytes):  # of a structure whose members nobody knows
            return len(one) == len(other) and all(map(self._alike, self._words(one), self._words(other)))
        if one == other or (one != one and other != other):  # noqa: PLR0124 - not a number
            return True
        if not isinstance(one, int) or not isinstance(other, int):
            return False
        return any(0 <= one - p.here <= p.size and one - p.here == other - p.there for p in self._pairs)

    def _words(self, data: bytes) -> list[int]:
        word = self._images[-1].obj.bits // 8
        return [int.from_bytes(data[i : i + word], "little") for i in range(0, len(data), word)]

    def _alike_call(self, one: HostCall, other: HostCall) -> bool:
        if one.name != other.name or len(one.arguments) != len(other.arguments):
            return False
        values = zip((*one.arguments, one.result), (*other.arguments, other.result), strict=True)
        return all(self._alike(a, b) for a, b in values)

    def _alike_text(self, one: str, other: str) -> bool:
        """Equal but for numbers that are the same address, in any notation."""
        if one == other:
            return True
        parts, others = NUMBER.split(one), NUMBER.split(other)
        if len(parts) != len(others) or parts[::2] != others[::2]:
            return False
        return all(self._alike_number(a, b) for a, b in zip(parts[1::2], others[1::2], strict=True))

    def _alike_number(self, one: str, other: str) -> bool:
        if one == other:
            return True
        bases = (10, 16) if one.isdecimal() and other.isdecimal() else (16,)
        return any(self._alike(int(one, base), int(other, base)) for base in bases)

    def _show_call(self, call: HostCall | None, run: int) -> str:
        if call is None:
            return "no such call"
        text = f"{call.name}({', '.join(self._show(a, run) for a in call.arguments)})"
        return text if call.result is None else f"{text} = {self._show(call.result, run)}"

    def _show(self, value: Any, run: int) -> str:
        """Addresses with what they are in."""
        if isinstance(value, int):
            for pair in self._pairs:
                offset = value - (pair.there if run else pair.here)
                if 0 <= offset < pair.size:
                    return f"{value:#010x} ({pair.name}+{offset:#x})"
        return str(value)


def pairs(
    images: Sequence[Image], areas: Sequence[Area], moved: Sequence[Image], other_areas: Sequence[Area]
) -> Iterator[Moved]:
    """The regions of extensions, and what the host has given them: stacks, heap, arguments."""
    for image, other in zip(images, moved, strict=True):
        for mem, base in image.layout.base.items():
            yield Moved(mem.name, base, other.layout.base[mem], image.regions.regions[mem].size)
    here, there = ([a for a in some if a.owner is None and Perm.W in a.perm] for some in (areas, other_areas))
    for name in dict.fromkeys(area.name for area in here):
        for one, two in zip(*([a for a in some if a.name == name] for some in (here, there)), strict=False):
            yield Moved(f"the {name}", one.start, two.start, one.end - one.start)


def _text(returned: Returned) -> str:
    return (returned.string or b"").decode("utf-8", "backslashreplace")


def _quoted(line: str | None) -> str:
    return "no such line" if line is None else f"`{line}`"

"""``llext link -v``: what the board's loader logs while it does the same, at the same addresses.

The extension is loaded by the loader on the host, each region placed where the link puts it. What the loader keeps
besides, and the file itself, are put somewhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from llext_tools import profile as profiles
from llext_tools.diag import Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.link import ExportTable
from llext_tools.link.layout import place
from llext_tools.link.regions import map_regions
from llext_tools.link.validate import find_arch
from llext_tools.llext.config import Config
from llext_tools.llext.ext import LoadParam
from llext_tools.llext.loaders import BEHIND, BufLoader
from llext_tools.llext.log import Level, Line, Log
from llext_tools.llext.runtime import Runtime
from llext_tools.mem import Domain, Mem

PAGE, DEFAULT = 0x1000, 0x2000_0000
HEADERS, LARGEST = 0x1_0000, 0x400_0000
"""Bytes for ``struct llext`` and the rest of what does not depend on the size of the file; for regions at most."""


def say(obj: ElfObject, exports: ExportTable, domain: Domain, profile: str, verbose: int) -> None:
    """Print the log on stderr; whether the load succeeds makes no difference.

    Args:
        verbose: how many levels above WRN.
    """
    rules = profiles.load(profile)
    places, spans = placed(obj, domain, rodata_no_reloc=rules.rodata_no_reloc)
    file = obj.image.tobytes()
    regions = 0 if places else min(int(obj.sections.size[obj.sections.flags & elf.SHF_ALLOC != 0].sum()), LARGEST)
    size = -(-(2 * len(file) + HEADERS + regions) // PAGE) * PAGE
    start = gap(spans, size + len(file) + BEHIND + 2 * PAGE, obj.bits)
    rt = Runtime(
        find_arch(obj, Reporter()),
        obj.bits,
        exports=exports,
        config=Config(heap="plain", heap_start=start, heap_size=size, rodata_no_reloc=rules.rodata_no_reloc),
        profile=rules,
        log=Log(Level(min(Level.WRN + verbose, Level.DBG)), show),
    )
    try:
        rt.load(BufLoader(file, address=start + size), obj.path, LoadParam(place=places))
    except LlextError as error:
        if not error.errno:
            show(Line(Level.ERR, f"what the loader does now is undefined: {error}"))


def show(line: Line) -> None:
    print(line, file=sys.stderr)


def placed(obj: ElfObject, domain: Domain, *, rodata_no_reloc: bool) -> tuple[dict[Mem, int], list[tuple[int, int]]]:
    """Where the link puts each region, and the ranges that they take; nothing if the link cannot place them."""
    regions = map_regions(obj, Reporter(), rodata_no_reloc=rodata_no_reloc)
    try:
        base: Mapping[Mem, int] = place(obj, regions, domain, Reporter()).base
    except LlextError:
        return {}, []
    spans = [(start, start + regions.regions[mem].size) for mem, start in base.items()]
    return dict(base), spans


def gap(spans: list[tuple[int, int]], size: int, bits: int) -> int:
    """A page from which on so many bytes are free: behind all ranges, else the lowest, but not the first."""
    last = max((-(-end // PAGE) * PAGE for _, end in spans), default=DEFAULT)
    if last + size <= 1 << bits:
        return last
    at = PAGE
    for start, end in sorted(spans):
        if at + size <= start:
            break
        at = max(at, -(-end // PAGE) * PAGE)
    return at

"""Regions to addresses.

Source: Zephyr, ``llext_mem.c``, for what a region's alignment means: the region's start, prepad included, is aligned.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from llext_tools.diag import Location, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.link.image import Layout, RegionMap
from llext_tools.mem import PERM, Domain, Mem
from llext_tools.reloc import I64


def place(obj: ElfObject, regions: RegionMap, domain: Domain, reporter: Reporter) -> Layout:
    """Final addresses of all regions that take memory, and of their sections.

    Reports ``place-too-small`` (beyond the address space), ``place-misaligned`` and ``place-overlap``.
    """
    at = Location(file=obj.path)
    base: dict[Mem, int] = {}
    following = domain.start
    for mem in PERM:
        region = regions.regions.get(mem)
        if region is None:
            continue
        align = max(region.align, domain.align, 1)
        start = domain.fixed.get(mem)
        if start is not None:
            align = max(region.align, 1)
        elif domain.exact and not base:
            start = following
        else:
            start = -(-following // align) * align
        if start % align:
            text = f"region {mem.name} cannot be at {start:#010x}: it is aligned to {align:,} bytes"
            suitable = f"the next suitable address is {-(-start // align) * align:#010x}"
            reporter.error("place-misaligned", text, at=at, help=suitable)
        following = start + region.size
        base[mem] = start
        if start < 0 or following > 1 << obj.bits:
            size = f"{region.size:,} bytes at {start:#010x}"
            text = f"region {mem.name} ({size}) does not fit into {obj.bits}-bit addresses"
            reporter.error("place-too-small", text, at=at, help="give a lower address")
    _check_overlap(obj, regions, base, reporter)
    reporter.checkpoint()
    bases = np.zeros(len(regions.region), np.int64)
    for mem, start in base.items():
        bases[regions.region == mem] = signed(start)
    mapped = regions.inside(base)
    return Layout(base=base, section_addr=np.where(mapped, bases + regions.offset, 0))


def _check_overlap(obj: ElfObject, regions: RegionMap, base: dict[Mem, int], reporter: Reporter) -> None:
    placed = sorted((start, start + regions.regions[mem].size, mem) for mem, start in base.items())
    for (a_start, a_end, a), (b_start, b_end, b) in pairwise(placed):
        if a_end > b_start:
            spans = tuple(
                f"{mem.name} takes {start:#010x} to {end - 1:#010x}"
                for start, end, mem in ((a_start, a_end, a), (b_start, b_end, b))
            )
            text, align = f"regions {a.name} and {b.name} would share memory", max(regions.regions[b].align, 1)
            cure = f"put {b.name} at {-(-a_end // align) * align:#010x} or behind that"
            reporter.error("place-overlap", text, at=Location(file=obj.path), detail=spans, help=cure)


def signed(address: int) -> int:
    """An address as int64 arrays hold it: those of 2**63 and more wrap, and wrap back when they are stored."""
    return address - (1 << 64) if address >> 63 else address


def tls_offsets(obj: ElfObject) -> I64:
    """Offset of each thread-local section in the TLS block (int64[k]): as linkers lay it out, in file order."""
    s = obj.sections
    offset = np.zeros(len(s), np.int64)
    end = 0
    for i in np.flatnonzero((s.flags & elf.SHF_TLS != 0) & (s.flags & elf.SHF_ALLOC != 0)).tolist():
        align = max(int(s.addralign[i]), 1)
        offset[i] = -(-end // align) * align
        end = int(offset[i] + s.size[i])
    return offset

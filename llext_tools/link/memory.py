"""From the file to the bytes of regions: one writable buffer for all of them, so that a type is one batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llext_tools.elf.model import I64, Bytes, ElfObject
from llext_tools.link.image import RegionMap
from llext_tools.mem import PERM, Mem

ALIGN = 16  # of each region in the buffer, so that aligned places are aligned there, too


def gather(obj: ElfObject, regions: RegionMap) -> tuple[Bytes, I64]:
    """A copy of all regions with contents, uint8[], and the place of each of their sections in it, int64[k].

    Prepad bytes are zero; bytes between sections are the file's, as the loader copies them. An export table that is
    SHT_NOBITS starts as zeros and is relocated like any other.
    """
    parts, start = {}, 0
    for mem in PERM:
        region = regions.regions.get(mem)
        if region is not None and (not region.nobits or mem is Mem.EXPORT):
            parts[mem] = start
            start += -(-region.size // ALIGN) * ALIGN
    arena = np.zeros(start, np.uint8)
    at = np.zeros(len(regions.region), np.int64)
    for mem, begin in parts.items():
        region = regions.regions[mem]
        if not region.nobits:
            source = obj.image[region.file_offset + region.prepad : region.file_offset + region.size]
            arena[begin + region.prepad : begin + region.prepad + source.size] = source
        inside = regions.region == mem
        at[inside] = begin + regions.offset[inside]
    return arena, at


def memory(regions: RegionMap, arena: Bytes, at: I64) -> Mapping[Mem, Bytes]:
    """The bytes of each region: views of the buffer, zeros for regions without contents."""
    arena.flags.writeable = False
    mem: dict[Mem, Bytes] = {}
    for name in PERM:
        region = regions.regions.get(name)
        if region is None:
            continue
        if region.nobits and name is not Mem.EXPORT:
            mem[name] = np.zeros(region.size, np.uint8)
        else:
            first = region.sections[0]
            begin = int(at[first] - regions.offset[first])
            mem[name] = arena[begin : begin + region.size]
    return mem

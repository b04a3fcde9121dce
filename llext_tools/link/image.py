"""The result of each stage of a link, from the map of regions to the finished image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.diag import Diagnostic
from llext_tools.elf.model import Bytes, ElfObject, freeze
from llext_tools.link.exports import ExportTable
from llext_tools.mem import Mem
from llext_tools.reloc import I64


class Region(NamedTuple):
    """One region before it has an address: where its bytes are in the file, all in bytes.

    ``file_offset`` and ``size`` include ``prepad``, the bytes in front that keep the contents at the alignment that
    they have in the file; ``gap`` counts the bytes inside that belong to no section of the region.
    """

    file_offset: int
    size: int
    align: int
    prepad: int
    nobits: bool
    sections: tuple[int, ...]
    gap: int


@dataclass(frozen=True, kw_only=True)
class RegionMap:
    """``regions`` in enum order, without empty ones; ``region`` (int64[k], -1: none) and ``offset`` per section."""

    regions: Mapping[Mem, Region]
    region: I64
    offset: I64

    def __post_init__(self) -> None:
        freeze(self)

    def inside(self, some: Iterable[Mem]) -> NDArray[np.bool_]:
        """Which sections are in one of some regions, bool[k]."""
        wanted = np.zeros(len(Mem) + 1, bool)
        wanted[[*some]] = True
        found: NDArray[np.bool_] = wanted[self.region]  # -1 is the last one
        return found


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Final addresses: ``base`` of each region, ``section_addr`` int64[k] of each mapped section, else 0."""

    base: Mapping[Mem, int]
    section_addr: I64

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, kw_only=True)
class SymTab:
    """int64[n] each: S the address (Arm: without the Thumb bit), T that bit, B the base of the region that holds S.

    ``resolved`` is False where a relocation must not refer to the symbol (undefined, or in no region).
    """

    S: I64
    T: I64
    B: I64
    resolved: NDArray[np.bool_]

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, kw_only=True)
class Image:
    """A linked extension. ``mem``: the bytes of each region, relocated; NOBITS regions are zeros."""

    obj: ElfObject
    regions: RegionMap
    layout: Layout
    sym_tab: SymTab
    mem: Mapping[Mem, Bytes]
    exp_tab: ExportTable
    imports: Mapping[str, int]  # name -> address of each symbol taken from the exports
    used_relocs: frozenset[str]  # names of the relocation types that were applied
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def path(self) -> str:
        return self.obj.path

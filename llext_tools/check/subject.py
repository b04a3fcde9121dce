"""What the rules of ``check`` look at: one extension after the passes that need no addresses, and what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from llext_tools.abi.types import Interface
from llext_tools.arch.base import Arch
from llext_tools.diag import Diagnostic, Location
from llext_tools.elf.model import ElfObject, Relocs
from llext_tools.host.firmware import Firmware
from llext_tools.link.image import RegionMap
from llext_tools.link.places import where
from llext_tools.llext.config import Config
from llext_tools.llext.loaders import Storage
from llext_tools.profile import Profile


class Board(NamedTuple):
    """Where an extension will be loaded, as far as it is known.

    ``config`` has the firmware's options, None if nobody knows any. With ``sized`` the sizes of its heaps are those of
    the board, with ``located`` their addresses are, too: nothing that depends on them can be said else. ``target``
    names a CPU of ``llext targets``; ``buffer`` is the address of the file in the board's memory.
    """

    config: Config | None = None
    storage: Storage = Storage.TEMPORARY
    buffer: int | None = None
    target: str = ""
    sized: bool = True
    located: bool = True


class HeapUse(NamedTuple):
    """What loading takes of one heap, in bytes: at most, and until it is unloaded. ``option`` sets ``size``."""

    option: str
    size: int
    peak: int
    kept: int


class Veneers(NamedTuple):
    """Stubs for branches that are too short: how many the loader makes room for, in bytes, and how many it may need."""

    slots: int
    size: int
    needed: int


class Footprint(NamedTuple):
    """What an extension takes of a board whose heap is known.

    ``rounding``: bytes that regions are larger for the sake of memory protection. The ``partitions`` of a memory domain
    take ``mpu_regions`` regions of an MPU or entries of a PMP.
    """

    heaps: tuple[HeapUse, ...]
    rounding: int
    partitions: int
    mpu_regions: int
    veneers: Veneers | None


class Offer(NamedTuple):
    """One entry of a table of exports: what it is called, the symbol (index) that it is, and how far behind that.

    ``name`` is None if nothing leads to a string; ``symbol`` is -1 where the address is a constant.
    """

    name: str | None
    symbol: int
    offset: int  # of the entry in its section
    addend: int = 0


class Sides(NamedTuple):
    """What both sides take the imports for.

    ``extension`` has a value for each opinion in its source files. ``stated`` are hashes, of those imports of which a
    table gives nothing else. ``compared`` are the imports that both sides describe.
    """

    firmware: Interface = Interface({}, {})
    extension: tuple[Interface, ...] = ()
    stated: Mapping[str, str] = {}
    compared: tuple[str, ...] = ()


class Subject(NamedTuple):
    """An extension and what is known of where it goes.

    ``imports`` (name -> address) are those that relocations need and the firmware exports; ``borrowed`` are those that
    it does not export, but another extension of the same call. ``entries`` are names that the extension has to export,
    ``offers`` the entries of its table of exports. ``footprint`` is None if the heap is not known.
    ``sides`` is empty until somebody has read what both sides say of types.
    """

    obj: ElfObject
    arch: Arch
    profile: Profile
    regions: RegionMap
    relocs: Relocs
    imports: Mapping[str, int]
    firmware: Firmware | None
    board: Board
    entries: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    borrowed: tuple[str, ...] = ()
    footprint: Footprint | None = None
    sides: Sides = Sides()

    def at(self, section: int | None = None) -> Location:
        """The file, or one of its sections."""
        return Location(file=self.obj.path, section="" if section is None else self.obj.sections.name[section])

    def use_of(self, name: str) -> Location:
        """The first place that refers to an import; the file if there is none."""
        relocs = self.relocs
        used = np.unique(relocs.symbol).tolist()
        named = [i for i, found in zip(used, self.obj.symbols.names(used), strict=True) if found == name]
        at = np.flatnonzero(np.isin(relocs.symbol, named))
        if not at.size:
            return self.at()
        return where(self.obj, relocs, int(at[np.lexsort((relocs.offset[at], relocs.section[at]))[0]]))


Rule: TypeAlias = Callable[[Subject], Iterable[Diagnostic]]
"""One thing that can be wrong. It yields what it finds, and nothing for an extension that is fine."""

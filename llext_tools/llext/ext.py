"""A loaded extension: ``struct llext``.

Source: Zephyr, ``include/zephyr/llext/llext.h``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from llext_tools.artifact import DEBUG_SUFFIX, EXTENSION_SUFFIX
from llext_tools.diag import Diagnostic
from llext_tools.llext.arena import Arena
from llext_tools.llext.loaders import Loader
from llext_tools.llext.source import Shdr
from llext_tools.llext.space import Segment
from llext_tools.mem import Mem, Partition

if TYPE_CHECKING:
    from llext_tools.llext.symbols import SymbolData

MAX_NAME_LEN = 15
MAX_DEPENDENCIES = 8
SUFFIXES = (EXTENSION_SUFFIX, DEBUG_SUFFIX)


def extension_name(path: str) -> str:
    """The name that a file is loaded under where nobody gives one: the file's own, without its ending."""
    name = os.path.basename(path)
    suffix = next((s for s in SUFFIXES if name.endswith(s)), os.path.splitext(name)[1])
    return name.removesuffix(suffix) or name


class Symbol(NamedTuple):
    """``struct llext_symbol``. ``name`` is None for an entry without a name, or with one that is no string."""

    name: str | None
    addr: int


class Region(NamedTuple):
    """One region: a section header, made of those of its sections. Sizes in bytes, ``prepad`` included in ``size``."""

    type: int
    flags: int
    addr: int
    offset: int
    size: int
    align: int
    prepad: int = 0
    has_relocs: bool = False


class Section(NamedTuple):
    """Where a section went: its region, and its offset in it."""

    mem: Mem
    offset: int


class LoadParam(NamedTuple):
    """``struct llext_load_param``: how an extension is to be loaded.

    ``place`` is ours: addresses at which regions are to be put instead of where the heap has room.
    """

    relocate_local: bool = True
    pre_located: bool = False
    section_detached: Callable[[Shdr], bool] | None = None
    keep_section_info: bool = False
    place: dict[Mem, int] = {}  # noqa: RUF012 - never changed


class Llext:
    """An extension in memory.

    ``mem``, ``mem_on_heap``, ``mem_size``: address, whether it is on the heap, and bytes of each region that has any.
    ``sym_tab``: its global functions and objects, ``exp_tab``: what it offers to others; each sorted by name.
    ``dependency``: the extensions that it imports from. ``alloc_size``: bytes that it takes of the heaps.
    """

    def __init__(self, name: str, arena: Arena, bits: int = 32) -> None:
        self.name = name[:MAX_NAME_LEN]
        self.bits = bits
        self.mem: dict[Mem, int] = {}
        self.mem_on_heap: dict[Mem, bool] = {}
        self.mem_size: dict[Mem, int] = {}
        self.mem_parts: dict[Mem, Partition] = {}
        self.alloc_size = 0
        self.sym_tab: tuple[Symbol, ...] = ()
        self.exp_tab: tuple[Symbol, ...] = ()
        self.use_count = 0
        self.dependency: list[Llext] = []
        # what only the host knows; ``diagnostics`` are warnings, of what the loader does not notice
        self.diagnostics: list[Diagnostic] = []
        self.regions: dict[Mem, Region] = {}
        self.sections: dict[int, Section] = {}
        self.section_names: tuple[str, ...] = ()
        self.headers: tuple[Shdr, ...] = ()
        self.info: int | None = None  # the section map on the heap
        self.sym_tab_at: int | None = None  # the table itself on the heap
        self.mem_rounded: dict[Mem, int] = {}  # bytes of a region that was allocated, with what its protection needs
        self.header_copy: int | None = None  # the section headers on the heap
        self.info_kept = False
        self.arena = arena
        self.loader: Loader | None = None
        self.segments: list[Segment] = []
        self.symbols: SymbolData | None = None
        self.image = False  # a shared object: its regions are one image

    def section_address(self, i: int) -> int | None:
        """Where section ``i`` is, None if it is in no region that has memory."""
        home = self.sections.get(i)
        if home is None or home.mem not in self.mem:
            return None
        return self.mem[home.mem] + home.offset & (1 << self.bits) - 1

    def __repr__(self) -> str:
        return f"Llext({self.name!r}, use_count={self.use_count})"

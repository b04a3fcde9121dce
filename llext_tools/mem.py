"""Memory: the regions of an extension, permissions, and the ranges of addresses that may hold them.

Source: Zephyr, ``include/zephyr/llext/llext.h`` (``enum llext_mem``) and ``k_mem_partition``/``k_mem_domain``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import NamedTuple


class Mem(IntEnum):
    """The regions of an extension, in the order of ``enum llext_mem``."""

    TEXT = 0
    DATA = 1
    RODATA = 2
    VENEER = 3
    BSS = 4
    EXPORT = 5
    SYMTAB = 6
    STRTAB = 7
    SHSTRTAB = 8
    PREINIT = 9
    INIT = 10
    FINI = 11
    RODATA_NO_RELOC = 12


class Perm(IntFlag):
    """What may be done with memory; the values are those of ELF's ``p_flags``."""

    X = 1
    W = 2
    R = 4


PERM: dict[Mem, Perm] = {
    Mem.TEXT: Perm.R | Perm.X,
    Mem.DATA: Perm.R | Perm.W,
    Mem.RODATA: Perm.R,
    Mem.VENEER: Perm.R | Perm.X,
    Mem.BSS: Perm.R | Perm.W,
    Mem.EXPORT: Perm.R,
    Mem.PREINIT: Perm.R,
    Mem.INIT: Perm.R,
    Mem.FINI: Perm.R,
    Mem.RODATA_NO_RELOC: Perm.R,
}
"""The regions that occupy target memory while an extension runs, in enum order, with their permissions."""


class Partition(NamedTuple):
    """A range of target memory. ``start`` and ``size`` in bytes."""

    start: int
    size: int
    perm: Perm
    name: str = ""

    @property
    def end(self) -> int:
        return self.start + self.size


class Domain(NamedTuple):
    """Where regions go: the first free address, addresses fixed for single regions, and a least alignment.

    ``exact``: the first region is at ``start`` itself, which then must be aligned, not at the next suitable address.

    Regions that ``fixed`` does not name follow one another from ``start`` in enum order, each at its own
    alignment, but at least at ``align`` (4096 gives each region pages of its own).
    """

    start: int = 0
    fixed: Mapping[Mem, int] = MappingProxyType({})
    align: int = 1
    exact: bool = False

    @staticmethod
    def at(**bases: int) -> Domain:
        """``Domain.at(text=0x8000, data=0x20000000)``: name regions in lower case, the rest follows the first."""
        fixed = {Mem[name.upper()]: address for name, address in bases.items()}
        return Domain(start=next(iter(fixed.values()), 0), fixed=fixed)

"""The allocations of one load, so that a failed one can give everything back.

Source: Zephyr, ``llext_mem.c``, ``llext_priv.h``; the sizes of the C structures were measured on a 32-bit build.
"""

from __future__ import annotations

from llext_tools.llext.heap import Heap, Heaps

STRUCT_LLEXT = {32: 208, 64: 392}
"""Bytes of ``struct llext``; each region more (VENEER, RODATA_NO_RELOC) adds two words."""
SECT_MAP_ENTRY = {32: 8, 64: 16}


class Arena:
    """Allocations with the heap that each came from."""

    def __init__(self, heaps: Heaps, taken: list[tuple[int, int]]) -> None:
        self.heaps = heaps
        self.taken = taken  # address ranges that regions with a given place occupy: (start, end)
        self.owned: dict[int, Heap] = {}
        self.what: dict[int, str] = {}  # address -> what was allocated there; a region by its name

    def alloc(self, heap: Heap, align: int, size: int, what: str) -> int | None:
        """An address, or None if there is no room. What someone else has been placed on is passed over."""
        passed = []
        address = heap.alloc(align, size)
        while address is not None and any(s < address + size and address < e for s, e in self.taken):
            passed.append(address)
            address = heap.alloc(align, size)
        for each in passed:
            heap.free(each)
        if address is not None:
            self.owned[address] = heap
            self.what[address] = what
        return address

    def free(self, address: int | None) -> None:
        if address is not None and address in self.owned:
            self.owned.pop(address).free(address)

    def forget(self, address: int | None) -> None:
        """Leave an allocation where it is for good."""
        if address is not None:
            del self.owned[address]

    def free_all(self) -> None:
        for address in list(self.owned):
            self.free(address)

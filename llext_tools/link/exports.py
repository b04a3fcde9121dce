"""Tables of exported symbols: what a host, or an extension, offers to the extensions linked against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

from llext_tools.arch.base import Cpu
from llext_tools.elf.slid import WIDTHS, slid, slid_from, slid_of

Kind = Literal["func", "object", ""]

IMPLEMENTATION = "z_impl_"
"""In front of the name of a function that Zephyr makes a system call: its code is under that name."""


class Export(NamedTuple):
    """One exported symbol. On Arm the address of a function carries the Thumb bit, as in Zephyr's tables."""

    name: str  # where a firmware keeps only the SLID of the name, that one as text: "0x87B31052"
    address: int
    kind: Kind = ""  # "" where the source of the table does not say
    prototype: str = ""  # C, for example "int name(int)"; "" if unknown


class Definition(NamedTuple):
    """Something that a firmware defines, exported or not. ``line`` is 0 where debug information does not tell."""

    name: str
    address: int
    function: bool
    file: str = ""
    line: int = 0
    static: bool = False


class HeapSymbol(NamedTuple):
    """What the buffer under a symbol is: which kind of heap, for what, and which symbol has the heap for data."""

    kind: str  # as ``llext.config.HeapKind`` has it
    field: str  # of ``Config``, without its ``_start`` and ``_size``
    data: str = ""  # on a Harvard machine, where code has a heap of its own


HEAPS = {
    "kheap_llext_heap": HeapSymbol("k_heap", "heap"),  # K_HEAP_DEFINE(llext_heap, ...)
    "kheap_llext_ext_heap": HeapSymbol("k_heap", "heap"),
    "_sys_mem_blocks_buf_llext_ext_heap": HeapSymbol("memblk", "heap"),  # SYS_MEM_BLOCKS_DEFINE(llext_ext_heap, ...)
    "kheap_llext_instr_heap": HeapSymbol("k_heap", "instr_heap", "kheap_llext_data_heap"),
    "llext_instr_heap_buf": HeapSymbol("memblk", "instr_heap", "llext_data_heap_buf"),
}
"""The buffers behind the heaps that Zephyr has for extensions, over its versions and options.

Source: Zephyr, ``subsys/llext/``, ``include/zephyr/kernel.h`` and ``include/zephyr/sys/mem_blocks.h``.
"""


class Heap(NamedTuple):
    """The heap of extensions: symbol, address, size in bytes. ``data``: the address of one for data beside it."""

    symbol: str
    address: int
    size: int
    data: int | None = None


class Build(Protocol):
    """What else is known of a firmware; only asked where something is wrong with an extension, for it takes time."""

    @property
    def source(self) -> str:
        """The ELF file."""

    @property
    def has_symbols(self) -> bool:
        """Whether ``definition()`` knows all that the firmware defines."""

    def definition(self, name: str) -> Definition | None:
        """What is defined under a name."""

    def names(self) -> Iterable[str]:
        """The names of all global functions and variables that it defines."""

    def group(self, name: str) -> str:
        """The group of a symbol that is marked for export, but whose group is switched off; ``""`` otherwise."""

    def unimplemented(self, name: str) -> bool:
        """Whether the table has the name with the address 0."""

    def option(self, name: str) -> str | None:
        """The value of a Kconfig option, named without ``CONFIG_``: ``"n"`` if it is not set, None if nobody knows."""

    def device(self, ordinal: int) -> str:
        """The path of a node of the devicetree, ``""`` if it is not known."""


@dataclass(frozen=True, kw_only=True)
class ExportTable:
    """Exported symbols by name, in the order of their source. ``source`` names it in messages."""

    source: str
    symbols: tuple[Export, ...]
    machine: int = 0  # e_machine of the firmware that the table came from, 0 if it did not come from one
    slid_bits: int = 0  # 32 or 64 if the firmware finds names by SLIDs of so many bits, 0 if by name or unknown
    cpu: Cpu | None = None  # what the firmware was compiled for, as far as it says
    heap: Heap | None = None  # where the firmware loads extensions to, as far as it says
    build: Build | None = field(default=None, compare=False, repr=False)  # of the firmware, if the table is of one

    @cached_property
    def by_name(self) -> Mapping[str, Export]:
        """The first definition of a name wins, as in Zephyr's search."""
        return {export.name: export for export in reversed(self.symbols)}

    @cached_property
    def by_slid(self) -> Mapping[int, int]:
        """SLID -> address, as a firmware that looks symbols up by SLID has it: of 32 and of 64 bits if both may be."""
        widths = (self.slid_bits,) if self.slid_bits else WIDTHS
        table: dict[int, int] = {}
        for export in reversed(self.symbols):
            table |= {slid_of(export.name, bits): export.address for bits in widths}
        return table

    @cached_property
    def _nameless(self) -> Mapping[int, Export]:
        found = ((slid_from(export.name), export) for export in reversed(self.symbols) if self.slid_bits)
        return {known[0]: export for known, export in found if known and known[1] == self.slid_bits}

    def find(self, name: str) -> Export | None:
        """What is exported under a name, be it that only its SLID is known."""
        export = self.by_name.get(name)
        if export is None and self._nameless and (found := self._nameless.get(slid(name, self.slid_bits))):
            export = found._replace(name=name)
        return export

    def named(self, names: Iterable[str]) -> ExportTable:
        """The table with those of ``names`` in place of SLIDs that are theirs."""
        known = {slid(name, self.slid_bits): name for name in names} if self._nameless else {}
        given = {export.name: known.get(value, export.name) for value, export in self._nameless.items()}
        return replace(self, symbols=tuple(e._replace(name=given.get(e.name, e.name)) for e in self.symbols))

    @staticmethod
    def of(addresses: Mapping[str, int], source: str = "table") -> ExportTable:
        return ExportTable(source=source, symbols=tuple(Export(n, a) for n, a in addresses.items()))

    @staticmethod
    def joined(tables: Iterable[ExportTable]) -> ExportTable:
        """One table of several: an earlier one wins."""
        tables = tuple(tables)
        return ExportTable(
            source=", ".join(table.source for table in tables),
            symbols=tuple(export for table in tables for export in table.symbols),
            machine=next((table.machine for table in tables if table.machine), 0),
            slid_bits=next((table.slid_bits for table in tables if table.slid_bits), 0),
            cpu=next((table.cpu for table in tables if table.cpu), None),
            heap=next((table.heap for table in tables if table.heap), None),
            build=next((table.build for table in tables if table.build), None),
        )

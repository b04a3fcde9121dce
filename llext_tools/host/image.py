"""What a firmware's ELF file tells: its exports, its CPU, where it defines what, and its heap for extensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llext_tools.abi.types import Interface
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import read_object
from llext_tools.elf.structs import SHN_ABS, SHN_UNDEF, STB_LOCAL, STT_FILE, STT_FUNC, STT_SECTION, STT_TLS
from llext_tools.host.tables import exports_of
from llext_tools.link.exports import Definition, ExportTable

if TYPE_CHECKING:
    from llext_tools.elf.lines import Definitions

HEAPS = (
    "kheap_llext_heap",  # K_HEAP_DEFINE(llext_heap, ...)
    "kheap_llext_ext_heap",
    "_sys_mem_blocks_buf_llext_ext_heap",  # SYS_MEM_BLOCKS_DEFINE(llext_ext_heap, ...)
    "kheap_llext_instr_heap",  # Harvard: code comes here, data has a heap of its own
    "llext_instr_heap_buf",
)
"""The buffers behind the heaps that Zephyr has for extensions, over its versions and options.

Source: Zephyr, ``subsys/llext/``, ``include/zephyr/kernel.h`` and ``include/zephyr/sys/mem_blocks.h``.
"""


NOTHING = Interface({}, {})


class Facts(NamedTuple):
    """The firmware as a whole. ``attributes``: its build attributes by tag, none if its linker script dropped them."""

    machine: int
    bits: int
    flags: int
    attributes: Mapping[int, int | str]
    heap: tuple[int, int] | None  # address and size in bytes


class Image:
    """The ELF file ``data`` of a firmware; ``path`` names it. Everything is read when it is asked for."""

    def __init__(self, data: bytes, path: str) -> None:
        self.path, self._data = path, data

    @cached_property
    def obj(self) -> ElfObject:
        return read_object(self._data, self.path)

    @cached_property
    def exports(self) -> ExportTable:
        """Raises ``FormatError`` and ``ExportsError`` as ``read_exports()``."""
        return exports_of(self.obj)

    @cached_property
    def facts(self) -> Facts:
        obj = self.obj
        return Facts(obj.machine, obj.bits, obj.flags, read_attributes(obj), self._heap())

    def interface(self, names: Iterable[str]) -> Interface:
        """What debug information says of ``names``."""
        from llext_tools.abi.dwarf import read_interface

        found = ((name, self.exports.find(name)) for name in names)
        return read_interface(self.obj, {name: export.address for name, export in found if export})

    def definition(self, name: str) -> Definition | None:
        """A global symbol comes before a local one, and of several local ones that of the first file."""
        y = self.obj.symbols
        found = self._symbols(name)
        if not found:
            return None
        i = min(found, key=lambda i: (y.bind[i] == STB_LOCAL, i))
        address, function = int(y.value[i]), bool(y.type[i] == STT_FUNC)
        where = self._definitions.find(name, address & ~1 if function else address, function=function)
        file, line = (where.file, where.line) if where else ("", 0)
        return Definition(name, address, function, file, line, static=bool(y.bind[i] == STB_LOCAL))

    @cached_property
    def _definitions(self) -> Definitions:
        from llext_tools.elf.lines import Definitions  # only where somebody asks, for it loads pyelftools

        return Definitions(self.obj)

    def _heap(self) -> tuple[int, int] | None:
        y = self.obj.symbols
        found = (i for name in HEAPS for i in self._symbols(name))
        return next(((int(y.value[i]), int(y.size[i])) for i in found if y.size[i]), None)

    def _symbols(self, name: str) -> Sequence[int]:
        """Indices of the symbols of that name that stand for an address.

        The string table is searched, not the symbols: a name may be the end of another one's.
        """
        y, text = self.obj.symbols, name.encode() + b"\0"
        if not name:
            return ()
        at, places = y.strtab.find(text), []
        while at >= 0:
            places.append(at)
            at = y.strtab.find(text, at + 1)
        defined = (y.shndx != SHN_UNDEF) & (y.shndx < SHN_ABS) & ~np.isin(y.type, (STT_FILE, STT_SECTION, STT_TLS))
        return np.flatnonzero(np.isin(y.name_at, places) & defined).tolist()

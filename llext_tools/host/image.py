"""What a firmware's ELF file tells: its exports, its CPU, where it defines what, its heap for extensions, its types.

Reading a large one takes long, so what was found out is kept by ``llext_tools.host.cache``: a second call with the
same file reads neither its tables nor its debug information.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llext_tools.abi.types import Interface
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import ElfObject, positions
from llext_tools.elf.read import read_object
from llext_tools.elf.structs import SHN_ABS, SHN_UNDEF, STB_LOCAL, STT_FILE, STT_FUNC, STT_SECTION, STT_TLS
from llext_tools.host import cache
from llext_tools.host.known import Facts, Known
from llext_tools.host.tables import exports_of
from llext_tools.link.exports import HEAPS, Definition, ExportTable, Heap

if TYPE_CHECKING:
    from llext_tools.elf.lines import Definitions


def read_types(obj: ElfObject, addresses: Mapping[str, int]) -> Interface:
    """What debug information says of the exports of those names and addresses.

    Only that of the file itself counts: what is kept goes by the content of this one file.
    """
    from llext_tools.abi.dwarf import read_interface

    if ".debug_info" not in obj.sections.name:
        return Interface({}, {})
    return read_interface(obj, addresses)


class Image:
    """The ELF file ``data`` of a firmware; ``path`` names it. Everything is read when it is asked for."""

    def __init__(self, data: bytes, path: str) -> None:
        self.path, self._data = path, data

    @property
    def exports(self) -> ExportTable:
        """Raises ``FormatError`` and ``ExportsError`` as ``read_exports()``."""
        return self._known.exports

    @property
    def facts(self) -> Facts:
        return self._known.facts

    def interface(self, names: Iterable[str]) -> Interface:
        """What debug information says of ``names``, and of the types that they reach."""
        known, names = self._known, list(names)
        unknown = [name for name in names if name not in known.symbols]
        if unknown and not known.learn(unknown, self._read(unknown)):
            unknown += known.symbols
            known.forget_interface()
            known.learn(unknown, self._read(unknown))
        return known.interface(names)

    def _read(self, names: Sequence[str]) -> Interface:
        found = ((name, self.exports.find(name)) for name in sorted(names))
        return read_types(self.obj, {name: export.address for name, export in found if export})

    def definition(self, name: str) -> Definition | None:
        """A global symbol comes before a local one, and of several local ones that of the first file."""
        known = self._known
        if name not in known.definitions:
            known.definitions[name] = self._find(name)
            known.changed = True
        return known.definitions[name]

    def remember(self) -> None:
        """Keep what has been found out for the next call."""
        if self._known.changed:
            cache.store(self._key, self._known.to_json())
            self._known.changed = False

    @cached_property
    def obj(self) -> ElfObject:
        return read_object(self._data, self.path)

    @cached_property
    def _key(self) -> str:
        return cache.key_of(self._data)

    @cached_property
    def _known(self) -> Known:
        if known := Known.from_json(cache.load(self._key), self.path):
            return known
        obj = self.obj
        heap = self._heap()
        exports = replace(exports_of(obj), heap=heap)
        return Known(exports, Facts(obj.machine, obj.bits, obj.flags, read_attributes(obj), heap))

    def _find(self, name: str) -> Definition | None:
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

    def _heap(self) -> Heap | None:
        y = self.obj.symbols
        for symbol, heap in HEAPS.items():
            for i in self._symbols(symbol):
                if y.size[i]:
                    data = next((int(y.value[k]) for k in self._symbols(heap.data)), None)
                    return Heap(symbol, int(y.value[i]), int(y.size[i]), data)
        return None

    def _symbols(self, name: str) -> Sequence[int]:
        """Indices of the symbols of that name that stand for an address.

        The string table is searched, not the symbols: a name may be the end of another one's.
        """
        y, text = self.obj.symbols, name.encode() + b"\0"
        if not name:
            return ()
        defined = (y.shndx != SHN_UNDEF) & (y.shndx < SHN_ABS) & ~np.isin(y.type, (STT_FILE, STT_SECTION, STT_TLS))
        return np.flatnonzero(np.isin(y.name_at, list(positions(y.strtab, text))) & defined).tolist()

"""An ELF file as frozen arrays: k sections, n symbols, m relocations. Indices are those of the file.

``read_object()`` makes these; whoever holds one may rely on each index and offset in it being inside the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf import structs

I32: TypeAlias = NDArray[np.int32]
U16: TypeAlias = NDArray[np.uint16]
Codes: TypeAlias = NDArray[np.uint8] | NDArray[np.uint32]
I64: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]


def freeze(instance: object) -> None:
    """Make the arrays of a dataclass read-only."""
    for value in vars(instance).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False


def string_at(table: bytes, offset: int) -> str:
    """The NUL-terminated string at ``offset``; bytes that are not UTF-8 come as ``\\xNN``."""
    return table[offset : table.index(0, offset)].decode("utf-8", "backslashreplace")


def positions(data: bytes, word: bytes) -> Iterator[int]:
    """Where ``word`` occurs in ``data``; who has found what he looked for does not search the rest."""
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


@dataclass(frozen=True, kw_only=True)
class Sections:
    """Section headers: ``name`` as text, all other fields as int64[k], named as in the gABI without ``sh_``."""

    name: tuple[str, ...]
    type: I64
    flags: I64
    addr: I64
    offset: I64
    size: I64
    link: I64
    info: I64
    addralign: I64
    entsize: I64

    def __post_init__(self) -> None:
        freeze(self)

    def __len__(self) -> int:
        return len(self.name)

    def index(self, name: str) -> int | None:
        """The first section of that name."""
        return self.name.index(name) if name in self.name else None


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """The symbol table: arrays of n; names are decoded on demand from ``strtab``."""

    section: int  # which section the table is
    name_at: I64
    value: I64
    size: I64
    bind: Bytes
    type: Bytes
    shndx: I32
    strtab: bytes

    def __post_init__(self) -> None:
        freeze(self)

    def __len__(self) -> int:
        return self.value.size

    @cached_property
    def undefined(self) -> I64:
        """Indices of the symbols that have a name and no section here: what somebody else has to define."""
        index = np.flatnonzero((self.shndx == structs.SHN_UNDEF) & (self.name_at > 0))
        index.flags.writeable = False
        return index

    def name(self, i: int) -> str:
        return string_at(self.strtab, int(self.name_at[i]))

    def names(self, indices: Iterable[int]) -> list[str]:
        return [self.name(i) for i in indices]


@dataclass(frozen=True, kw_only=True)
class Relocs:
    """m relocations: arrays of m. ``section`` is the section that they change, ``table`` the one they stand in.

    ``addend`` of a REL table is 0: it is in the places. ``read_relocs()`` fills the arrays and freezes them.
    """

    section: U16
    table: U16
    offset: I64
    symbol: I32
    type: Codes  # of one byte in a 32-bit object, of four in a 64-bit one
    addend: I64

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """The types that there are, each once, in ascending order."""
        if not self.type.size:
            return ()
        few = int(self.type.max()) < 1 << 16  # counting is faster than sorting, if it takes little memory
        return tuple((np.flatnonzero(np.bincount(self.type)) if few else np.unique(self.type)).tolist())

    def __len__(self) -> int:
        return self.offset.size


@dataclass(frozen=True, kw_only=True)
class ElfObject:
    """An ELF file. ``image`` is the file itself, uint8[size]; ``type`` is e_type, ``flags`` e_flags."""

    path: str
    bits: int
    type: int
    machine: int
    flags: int
    entry: int
    sections: Sections
    symbols: Symbols
    image: Bytes

    def __post_init__(self) -> None:
        freeze(self)

    def contents(self, section: int) -> Bytes:
        """The bytes of a section as they are in the file: none for SHT_NOBITS."""
        s = self.sections
        start = int(s.offset[section])
        return self.image[start : start + (0 if s.type[section] == 8 else int(s.size[section]))]

    @cached_property
    def functions(self) -> tuple[I64, I64, I64]:
        """Section, start in it and symbol index of the defined functions, sorted by section and start."""
        return self._defined(structs.STT_FUNC)

    @cached_property
    def variables(self) -> tuple[I64, I64, I64]:
        """The same of the defined variables."""
        return self._defined(structs.STT_OBJECT)

    def value_of(self, name: str) -> int | None:
        """The value of the defined symbol of that name, the first one if there are several."""
        y = self.symbols
        at = list(positions(b"\0" + y.strtab, f"\0{name}\0".encode()))  # with a NUL in front, each is where its name is
        found = np.flatnonzero(np.isin(y.name_at, at) & (y.shndx != structs.SHN_UNDEF))
        return int(y.value[found[0]]) if found.size else None

    def function_at(self, section: int, offset: int) -> str:
        """The name of the last function that starts at or before that place, or ``""``."""
        return self._name_at(self.functions, section, offset)[0]

    def function_and_offset(self, section: int, offset: int) -> tuple[str, int]:
        """That name, and how far the place is from the start of the function."""
        name, inside = self._name_at(self.functions, section, offset)
        return name, inside if name else 0

    def variable_at(self, section: int, offset: int) -> str:
        """The variable that has that place, with the offset in it: ``table+0x8``, or ``""``."""
        name, inside = self._name_at(self.variables, section, offset)
        return f"{name}+{inside:#x}" if name and inside else name

    def _defined(self, kind: int) -> tuple[I64, I64, I64]:
        y = self.symbols
        index = np.flatnonzero((y.type == kind) & (y.shndx > 0) & (y.shndx < len(self.sections)))
        start = y.value[index] & ~(kind == structs.STT_FUNC)  # bit 0 is the Thumb bit; no function has an odd address
        if self.type != structs.ET_REL:  # in a linked file values are addresses
            start = start - self.sections.addr[y.shndx[index]]
        order = np.lexsort((start, y.shndx[index]))
        return y.shndx[index][order].astype(np.int64), start[order], index[order]

    def _name_at(self, known: tuple[I64, I64, I64], section: int, offset: int) -> tuple[str, int]:
        where, start, index = known
        first, last = np.searchsorted(where, [section, section + 1])
        i = first + int(np.searchsorted(start[first:last], offset, side="right")) - 1
        if i < first:
            return "", 0
        size, inside = int(self.symbols.size[index[i]]), offset - int(start[i])
        return (self.symbols.name(int(index[i])), inside) if size == 0 or inside < size else ("", 0)

"""What is loaded, as a measure sees it: code and functions by their addresses, lines when they are asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools.abi.c import Known
from llext_tools.arch.base import Arch
from llext_tools.c.types import DataModel, Prototype
from llext_tools.elf import structs as elf
from llext_tools.elf.debug import with_debug
from llext_tools.elf.model import I64, ElfObject
from llext_tools.elf.names import demangle
from llext_tools.elf.rows import Unit, data_in_code, read_units
from llext_tools.link.image import Image
from llext_tools.measure.graph import NOWHERE, Code
from llext_tools.mem import Mem


class Symbol(NamedTuple):
    """A function by the symbol table; ``end`` is where it ends, or the next one begins."""

    start: int
    end: int
    name: str

    @property
    def in_source(self) -> str:
        """Its name as the source has it: in C++, with namespaces and parameters."""
        return demangle(self.name) or self.name


class Program:
    """An extension or a firmware image.

    Args:
        address: int64[k], of each of the object's sections; 0 for those that are not loaded.
        areas: (address, bytes) of its code.
    """

    def __init__(self, obj: ElfObject, address: I64, areas: Iterable[tuple[int, bytes]]) -> None:
        arch = archs.by_machine(obj.machine)
        self._thumb = int(arch is not None and arch.thumb)
        self.obj = obj
        self.areas = tuple(areas)
        self._debug, self._at = with_debug(obj, address)

    @classmethod
    def of_image(cls, image: Image) -> Program:
        text = [(image.layout.base[Mem.TEXT], image.mem[Mem.TEXT].tobytes())] if Mem.TEXT in image.mem else []
        return cls(image.obj, image.layout.section_addr, text)

    @classmethod
    def of_firmware(cls, obj: ElfObject) -> Program:
        s = obj.sections
        code = np.flatnonzero((s.flags & elf.SHF_EXECINSTR != 0) & (s.flags & elf.SHF_ALLOC != 0))
        areas = [(int(s.addr[i]), obj.contents(i).tobytes()) for i in code.tolist()]
        return cls(obj, np.where(s.flags & elf.SHF_ALLOC != 0, s.addr, 0), areas)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        return read_units(self._debug, self._at)

    @cached_property
    def data(self) -> tuple[tuple[int, int], ...]:
        return data_in_code(self._debug, self._at)

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """In the order of their addresses, each address once: a global name before others."""
        y, s = self._debug.symbols, self._debug.sections
        index = np.flatnonzero((y.type == elf.STT_FUNC) & (y.shndx > 0) & (y.shndx < len(s)))
        index = index[self._at[y.shndx[index]] != 0]
        section = y.shndx[index]
        base = self._at[section] if self._debug.type == elf.ET_REL else 0
        value = (y.value[index] & ~self._thumb) + base
        order = np.lexsort((y.bind[index] == elf.STB_LOCAL, value))
        keep = order[np.flatnonzero(np.diff(value[order], prepend=-1))]
        start = value[keep]
        size = y.size[index][keep]
        limit = np.append(start[1:], np.iinfo(np.int64).max)
        limit = np.minimum(limit, self._at[section[keep]] + s.size[section[keep]])
        end = np.where(size > 0, np.minimum(start + size, limit), limit)
        return tuple(map(Symbol, start.tolist(), end.tolist(), y.names(index[keep].tolist())))


class Programs:
    """All that is loaded.

    Args:
        read: up to 4 bytes of code that is in none of them.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        arch: Arch,
        bits: int,
        read: Callable[[int], bytes] = lambda _address: b"",
    ) -> None:
        self.programs = tuple(programs)
        self._functions = sorted(symbol for program in self.programs for symbol in program.functions)
        self._starts = [symbol.start for symbol in self._functions]
        areas = [area for program in self.programs for area in program.areas]
        data = [span for program in self.programs for span in program.data]
        self.code = Code(areas, data, lambda code: arch.decode(code, bits), self.name_at, read)

    @cached_property
    def places(self) -> Mapping[int, tuple[str, int]]:
        """Where functions are declared: start -> file, line."""
        units = (unit for program in self.programs for unit in program.units)
        return {function.start: (function.file, function.line) for unit in units for function in unit.functions}

    def prototype_of(self, function: Symbol, model: DataModel) -> Prototype | None:
        """By debug information."""
        for program, known in zip(self.programs, self._known(model), strict=True):
            if any(start <= function.start < start + len(code) for start, code in program.areas):
                return known.prototype(function.name, function.start)
        return None

    @cache  # noqa: B019 - it lives as long as what it is for
    def _known(self, model: DataModel) -> tuple[Known, ...]:
        return tuple(Known(program.obj, model) for program in self.programs)

    def function_at(self, address: int) -> Symbol | None:
        """The function that an address is in."""
        i = bisect_right(self._starts, address) - 1
        return self._functions[i] if i >= 0 and address < self._functions[i].end else None

    def start_of(self, address: int) -> int:
        """The start of the function that an address is in, or ``NOWHERE``."""
        found = self.function_at(address)
        return found.start if found else NOWHERE

    def name_at(self, address: int) -> str:
        found = self.function_at(address)
        return found.name if found else ""

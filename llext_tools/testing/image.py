"""The functions and variables of the firmware, for tests that want to call or look at what is not the extension's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from llext_tools.abi.c import Known
from llext_tools.c.values import near
from llext_tools.c.view import View
from llext_tools.elf import structs as elf
from llext_tools.run.symbols import Symbol
from llext_tools.testing.function import Function
from llext_tools.testing.program import Program


class FirmwareSymbols(Mapping[str, Any]):
    """By name: a ``Function``, or a view of a variable; of bytes, if its type is not known."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @cached_property
    def _found(self) -> dict[str, tuple[Symbol, Known]]:
        """Of one name: what is global goes before what is static, the first image before the others."""
        found: dict[str, tuple[Symbol, Known]] = {}
        firmware = self._program.session.setup.firmware
        for obj, known in zip(firmware, self._program.described.firmware, strict=True):
            y = obj.symbols
            defined = ((y.type == elf.STT_FUNC) | (y.type == elf.STT_OBJECT)) & (y.shndx != elf.SHN_UNDEF)
            for i in sorted(defined.nonzero()[0].tolist(), key=lambda i: y.bind[i] == elf.STB_LOCAL):
                function, name = int(y.type[i]) == elf.STT_FUNC, y.name(i)
                symbol = Symbol(name, int(y.value[i]), function, int(y.size[i]), None, (name,))
                found.setdefault(name, (symbol, known))
        return found

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            raise KeyError(f"the firmware has no function or variable `{name}`{near(name, self._found)}")
        program = self._program
        symbol, known = self._found[name]
        if symbol.function:
            return Function(program, symbol, program.given.get(name) or known.prototype(name, symbol.address))
        ctype = known.variable(name, symbol.address) or program.model.types["unsigned char"].array(symbol.size)
        return View(program.memory, ctype, symbol.address)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

"""Functions of an extension as Python calls them."""

from __future__ import annotations

from typing import Any, SupportsIndex

from llext_tools.abi.extension import disregarded
from llext_tools.c.types import CType, Prototype
from llext_tools.host.express import express
from llext_tools.run.symbols import Symbol
from llext_tools.testing.program import Program
from llext_tools.testing.values import Packer, given, names_of


class Function:
    """A function: called with Python's values, by position or by the names of its parameters.

    As an argument it stands for its address.
    """

    def __init__(self, program: Program, symbol: Symbol, prototype: Prototype | None) -> None:
        self._program, self._symbol = program, symbol
        self.name, self.prototype = symbol.name, prototype
        self._short = express(program.guest, symbol.address, prototype) if prototype else None
        self._limits = tuple(map(_limits, prototype.params)) if prototype else ()
        plain = prototype is not None and prototype.result.kind in ("int", "uint", "void") and not prototype.result.enum
        self._plain = self._short if plain else None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it.

        Raises:
            TypeError, OverflowError: an argument is not one. ExtensionError: it did not return.
        """
        short = self._plain
        if short is not None and not named and len(args) == len(self._limits):
            for value, (low, high) in zip(args, self._limits, strict=True):
                if type(value) is not int or not low <= value <= high:
                    break
            else:
                program = self._program
                registers = program.prepare()
                try:
                    return short(args)
                except BaseException as error:
                    program.failed(error, registers)
                    raise
        return self._call(args, named)

    def _call(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        program, prototype = self._program, self.prototype
        if prototype is None:
            image = self._symbol.image
            why = disregarded(image.obj) if image else ""
            raise TypeError(
                f"the types of `{self.name}` are not known{f', for {why}' if why else ''}: build with -g and keep the "
                f'`.debug.elf` or `.json` file, or give its prototype: `.prototype("int {self.name}(int)")`'
            )
        packer = Packer(program)
        bound = self._bind(prototype, args, named)
        types = [*prototype.params, *(_type_of_more(program, value) for value in bound[len(prototype.params) :])]
        whats = [*names_of(prototype), *(f"argument {i + 1}" for i in range(len(prototype.params), len(bound)))]
        whats = [f"`{what}` of `{self.name}`" if " " not in what else f"{what} of `{self.name}`" for what in whats]
        values = [packer.value(*each) for each in zip(types, bound, whats, strict=True)]
        with program.running():
            if self._short is not None and len(types) == len(prototype.params):
                result: Any = self._short([int(value) for value in values])
            else:
                result = program.guest.call(self._symbol.address, prototype, types, values)
        packer.finish()
        return given(program, prototype.result, result)

    def _bind(self, prototype: Prototype, args: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """All arguments by position.

        Raises:
            TypeError: too few, too many, or a name that is not there, as Python says it.
        """
        count, names = len(prototype.params), prototype.names
        bound = [*args]
        for name in names[len(args) :] if named else ():
            if name in named:
                bound.append(named.pop(name))
        if named:
            raise TypeError(f"`{prototype}` has no parameter `{min(named)}` that is not given yet")
        if len(bound) < count or (len(bound) > count and not prototype.variadic):
            takes = f"{count} argument{'s' * (count != 1)}" + " or more" * prototype.variadic
            raise TypeError(f"`{self}` takes {takes}, not {len(bound)}")
        return bound

    def __index__(self) -> int:
        return self._symbol.address

    @property
    def address(self) -> int:
        return self._symbol.address

    def __str__(self) -> str:
        """As C declares it."""
        prototype = self.prototype
        if prototype is None:
            return f"{self.name}()"
        names = prototype.names or ("",) * len(prototype.params)
        params = [declared(ctype, name) for ctype, name in zip(prototype.params, names, strict=True)]
        text = ", ".join([*params, *["..."] * prototype.variadic]) or "void"
        return f"{declared(prototype.result, self.name)}({text})"

    def __repr__(self) -> str:
        return f"<{self} of {self._program.title}>"


def declared(ctype: CType, name: str) -> str:
    """A declaration, as far as one line needs it: ``const char *text``."""
    if not name:
        return ctype.name
    before, mark, after = ctype.name.partition("(*)")
    if mark:
        return f"{before}(*{name}){after}"
    return f"{ctype.name}{name}" if ctype.name.endswith("*") else f"{ctype.name} {name}"


def _limits(ctype: CType) -> tuple[int, int]:
    """What an argument may be that needs no conversion; nothing if it always does."""
    bits = 8 * ctype.size
    if ctype.kind == "int":
        return -1 << (bits - 1), (1 << (bits - 1)) - 1
    return (0, (1 << bits) - 1) if ctype.kind in ("uint", "pointer") else (1, 0)


def _type_of_more(program: Program, value: Any) -> CType:
    """The type of an argument behind the last parameter, after C's promotions."""
    types = program.model.types
    if isinstance(value, float):
        return types["double"]
    if isinstance(value, str | bytes | bytearray):
        return program.model.pointer(types["char"])
    if isinstance(value, SupportsIndex) and not -(1 << 31) <= value.__index__() < 1 << 31:
        return types["long long"] if value.__index__() < 1 << 63 else types["unsigned long long"]
    return types["int"]

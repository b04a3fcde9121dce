"""What an extension has called, as a test looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llext_tools.c.types import Prototype
from llext_tools.c.values import near
from llext_tools.host.function import HostCall
from llext_tools.host.memory import AccessError
from llext_tools.link.exports import IMPLEMENTATION
from llext_tools.run.session import MOST_TEXT
from llext_tools.testing.program import Program
from llext_tools.testing.values import given


class Call:
    """One call: ``name``, ``arguments`` in their order, ``result``, and each argument by its parameter's name.

    Texts are what they were right after the call.
    """

    def __init__(self, name: str, arguments: tuple[Any, ...], names: tuple[str, ...], result: Any) -> None:
        self.name, self.arguments, self.result = name, arguments, result
        self._by_name = dict(zip(names, arguments, strict=False))

    @property
    def named(self) -> Mapping[str, Any]:
        """Arguments by the names of the parameters, where those are known."""
        return {name: value for name, value in self._by_name.items() if name}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._by_name:
            raise AttributeError(
                f"`{self.name}` has no argument `{name}`{near(name, self.__dict__.get('_by_name', ()))}"
            )
        return self._by_name[name]

    def __getitem__(self, index: int) -> Any:
        return self.arguments[index]

    def __eq__(self, other: object) -> bool:
        """Also with the arguments as a tuple: ``host.calls("k_msleep") == [(100,), (200,)]``."""
        if isinstance(other, Call):
            return (self.name, self.arguments, self.result) == (other.name, other.arguments, other.result)
        return self.arguments == other if isinstance(other, tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = [*self._by_name]
        shown = [
            f"{names[i]}={value!r}" if i < len(names) and names[i] else repr(value)
            for i, value in enumerate(self.arguments)
        ]
        result = "" if self.result is None else f" = {self.result!r}"
        return f"{self.name}({', '.join(shown)}){result}"


class Calls(list[Any]):
    """Calls in their order; called with a name, those of one function."""

    def __call__(self, name: str) -> Calls:
        return Calls(call for call in self if call.name in (name, IMPLEMENTATION + name))

    @property
    def names(self) -> list[str]:
        return [call.name for call in self]


def seen(program: Program, call: HostCall, prototype: Prototype) -> Call:
    """A call with its arguments as Python has them; texts are read now."""
    arguments = []
    for ctype, value in zip(prototype.params, call.arguments, strict=False):
        text = None
        if ctype.is_text and value:
            try:
                text = program.memory.text(int(value), MOST_TEXT).decode("utf-8", "backslashreplace")
            except AccessError:
                pass
        arguments.append(text if text is not None else given(program, ctype, value))
    return Call(call.name, tuple(arguments), prototype.names, given(program, prototype.result, call.result))

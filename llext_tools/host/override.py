"""Functions in the place of others, as ``--override NAME=VALUE`` and ``--override NAME=FILE:FUNCTION`` give them.

A function in Python gets the arguments by their types: numbers, pointers as addresses, structures as views. If its
first parameter is called ``guest``, it gets the ``host.guest.Guest`` in front of them: memory, output, calls back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from llext_tools.c.call import fits, parse_value
from llext_tools.c.types import CType, DataModel, Prototype, Value
from llext_tools.c.values import pack
from llext_tools.diag import fail
from llext_tools.errors import LlextError, UsageError
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.memory import AccessError
from llext_tools.host.python import UserError, load_python

EXAMPLE = "for example `--override sensor_read=42`, or `--override sensor_read=board.py:sensor_read`"


class Override(NamedTuple):
    """What is to be done for the function ``name``; ``types`` of its arguments may be unknown if it is a constant."""

    name: str
    text: str
    value: Value | Callable[..., Any]

    def function(self, prototype: Prototype | None, model: DataModel) -> HostFunction:
        """For a function of this prototype.

        Raises:
            UsageError: ``usage``: the constant does not fit, or there have to be types and are none.
        """
        if callable(self.value):
            if prototype is None:
                example = f"give them: `--prototype 'int {self.name}(int)'`"
                fail("usage", f"`--override {self.text}`: the types of `{self.name}` are not known", help=example)
            return HostFunction(self.name, prototype, in_python(self.text.partition("=")[2], self.value, prototype))
        result = model.types["double" if isinstance(self.value, float) else "long"]
        prototype = prototype or Prototype(self.name, result, ())
        value = None if prototype.result.is_void else self.value
        if value is not None and (why := misfit(prototype.result, value)):
            fail("usage", f"`--override {self.text}`: {why}", help=f"its prototype is `{prototype}`")
        return HostFunction(self.name, prototype, lambda *_: value)


def parse_override(text: str) -> Override:
    """``NAME=VALUE`` or ``NAME=FILE:FUNCTION``; the file is read here.

    Raises:
        UsageError: ``usage``. LlextError: what ``load_python()`` raises.
    """
    name, equals, given = text.partition("=")
    if not name.isidentifier() or not equals or not given:
        fail("usage", f"`--override {text}` is not of the form NAME=VALUE or NAME=FILE:FUNCTION", help=EXAMPLE)
    try:
        argument = parse_value(given)
    except UsageError:
        argument = None
    if argument is not None and isinstance(argument.value, int | float):
        return Override(name, text, argument.value)
    if ":" not in given:
        fail("usage", f"`--override {text}`: `{given}` is neither a number nor FILE:FUNCTION", help=EXAMPLE)
    found = load_python(given, f"--override {text}")
    if not callable(found.value):
        fail("usage", f"`--override {text}`: {found.name} is no function")
    return Override(name, text, found.value)


def in_python(name: str, function: Callable[..., Any], prototype: Prototype) -> Callable[..., Any]:
    """The body of a host function: a user's function, with what goes wrong in it as a diagnostic."""
    try:
        with_guest = next(iter(inspect.signature(function).parameters), "") == "guest"
    except (TypeError, ValueError):  # something built in
        with_guest = False

    def body(guest: Guest, *arguments: Any) -> Any:
        try:
            result = function(guest, *arguments) if with_guest else function(*arguments)
        except (LlextError, AccessError):
            raise  # of the extension that it has called, or of memory that it has looked at
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            UserError(f"`{name}`", error).explain(guest)
        if prototype.result.is_void or (result is None and prototype.result.kind == "pointer"):
            return None if prototype.result.is_void else 0
        if why := misfit(prototype.result, result):
            guest.fail("run-python", f"the result of `{name}`: {why}", guest.where_now())
        return result

    return body


def misfit(ctype: CType, value: Any) -> str:
    """Why something is no value of a type; empty if it is. Numbers may be those of the signed or the unsigned type."""
    if ctype.kind in ("int", "uint", "pointer", "bool") and isinstance(value, int):
        return "" if fits(ctype, value) else f"`{value}` does not fit into `{ctype.name}`"
    if ctype.kind == "pointer":
        return f"`{value!r}` is no `{ctype.name}`"
    try:
        pack(ctype, value)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        return str(error)
    return ""

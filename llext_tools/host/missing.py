"""Calls of functions that have an address, but no code here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from llext_tools.c.types import CType, Prototype
from llext_tools.errors import UsageError
from llext_tools.host.function import HostFunction
from llext_tools.host.memory import AccessError
from llext_tools.host.passing import Registers, result_memory, value_of_call
from llext_tools.link.exports import Export

if TYPE_CHECKING:
    from llext_tools.host.guest import Guest


def missing(guest: Guest, export: Export) -> HostFunction:
    """A function that does nothing and returns zero, where such are wanted.

    Raises:
        FaultError: ``run-missing-code``, with the arguments of the call.
    """
    name, prototype = export.name, prototype_of(guest, export)
    if not guest.stub_missing:
        refuse(guest, export, prototype)
    guest.stubbed[name] = guest.stubbed.get(name, 0) + 1
    prototype = prototype or Prototype(name, guest.model.types["long"], ())
    nothing: Any = {} if prototype.result.kind == "record" else 0
    return HostFunction(name, prototype, lambda *_: nothing)


def refuse(guest: Guest, export: Export, prototype: Prototype | None) -> NoReturn:
    name, arguments = export.name, "..."
    if prototype is not None:
        source = Registers(guest, guest.placer(prototype.variadic))
        result_memory(guest, prototype, source)
        given = [shown(guest, ctype, source) for ctype in prototype.params]
        arguments = ", ".join(given + ["..."] * prototype.variadic)
    guest.fail(
        "run-missing-code",
        f"{guest.caller()} calls `{name}`, which has an address but no code here",
        guest.where_now(),
        detail=(f"{name}({arguments}) at {export.address:#010x}",),
        help=f"say what it returns, as in `--override {name}=0`; `--stub-missing` does that for all that is missing",
    )


def prototype_of(guest: Guest, export: Export) -> Prototype | None:
    """From the table, unless that has types that are unknown here; else from debug information."""
    try:
        known = guest.prototype(export.prototype) if export.prototype else None
    except UsageError:
        known = None
    types = (known.result, *known.params) if known else ()
    if any(ctype.kind == "record" and ctype.record is None for ctype in types):
        known = None
    return known or guest.described(export)


def shown(guest: Guest, ctype: CType, source: Registers) -> str:
    """The next argument, as C would have it."""
    try:
        value = value_of_call(guest, ctype, source.next(ctype, named=True))
        if ctype.is_text and value:
            return repr(guest.memory.text(int(value), 64).decode("utf-8", "backslashreplace")).replace("'", '"')
    except AccessError:
        return "?"
    return f"{value:#x}" if ctype.kind == "pointer" else str(value)

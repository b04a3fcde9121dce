"""Calls of a firmware's own code, noticed on the way: the code runs, and what it was asked and has returned is kept.

A function whose types are known is called anew from its first instruction on, so that its result passes by here. One
that takes ``...`` just runs: only its arguments are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llext_tools.c.types import Prototype
from llext_tools.host.function import HostCall, HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.memory import AccessError
from llext_tools.host.passing import Registers, value_of_call
from llext_tools.link.exports import Export
from llext_tools.run.furnish import functions_in
from llext_tools.testing.blocks import FREES, TAKE, Blocks, kind_of

if TYPE_CHECKING:
    from llext_tools.testing.program import Program


def watch(program: Program) -> None:
    """Notice the extensions' calls of all functions that they import, where these are code."""
    guest = program.guest
    for image in program.images:
        wanted = dict(image.imports)
        if any(kind_of(name) in TAKE for name in wanted):  # then it counts who frees what it allocates
            defined = functions_in(program.session.setup.firmware)
            wanted |= {name: defined[name] for name in FREES if name in defined}
        for name, address in wanted.items():
            at = guest.arch.code_at(address)
            area = guest.memory.at(at)
            if at in guest.functions or area is None or area.owner is None or not area.owner.function(area, at):
                continue
            export = Export(name, address, "func")
            known = program.described.prototype(export)
            if known is not None:
                guest.replace(export, _watcher(program.blocks, name, address, known))


def _watcher(blocks: Blocks, name: str, address: int, prototype: Prototype) -> HostFunction:
    def through(guest: Guest, *values: Any) -> Any:
        by = guest.site()
        guest.machine.leave_trap()
        result = guest.call(address, prototype, prototype.params, values)
        blocks.called(name, values, result, by)
        return result

    def when(guest: Guest) -> bool:
        if not from_extension(guest):
            if name in FREES:
                blocks.freed(guest)
            return False
        if prototype.variadic:
            _note(guest, name, prototype)
            return False
        return True

    return HostFunction(name, prototype, through, when=when)


def from_extension(guest: Guest) -> bool:
    """Whether the call that the machine is about to make comes from an extension, or the test."""
    back = guest.machine.get(guest.conv.ra)
    area = guest.memory.at(guest.arch.code_at(back))
    return area is None or area.owner is None or area.owner.kind == "region"


def _note(guest: Guest, name: str, prototype: Prototype) -> None:
    arguments = Registers(guest, guest.placer(prototype.variadic))
    try:
        values = [value_of_call(guest, ctype, arguments.next(ctype, named=True)) for ctype in prototype.params]
    except AccessError:
        return  # the function will meet that itself
    guest.note(HostCall(name, tuple(values), None))

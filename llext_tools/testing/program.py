"""A loaded extension, with what is known of it and the states that it goes back to.

Loading, linking and reading debug information happens once for a set of options; each test gets the state after
loading, or after bringup, back from a snapshot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from llext_tools.c.types import CType, Prototype
from llext_tools.c.values import near
from llext_tools.diag import Diagnostic, Location
from llext_tools.elf import structs as elf
from llext_tools.errors import LimitError, LlextError, UsageError
from llext_tools.host.function import HostFunction
from llext_tools.host.heap import Block
from llext_tools.link.exports import Export
from llext_tools.measure import Wanted
from llext_tools.mem import Perm
from llext_tools.pages import PAGE
from llext_tools.run import Session
from llext_tools.run.symbols import Symbol, find_symbols
from llext_tools.testing.blocks import Blocks
from llext_tools.testing.fault import ExtensionError, in_python
from llext_tools.testing.options import Options, linked
from llext_tools.testing.watch import watch

ARENA = 16 * PAGE
ARENA_AT, CALLBACKS_AT = 0x2B00_0000, 0x1FFD_0000
SPACING = 8
NOTHING = Wanted()


class Program:
    """Extensions in a session. ``close()`` ends it.

    Args:
        measure: what is measured, over all tests.
    Raises:
        LlextError: they cannot be loaded.
    """

    def __init__(self, options: Options, measure: Wanted = NOTHING) -> None:
        self.options = options
        images, setup = linked(options)
        try:
            self.session = Session(images, setup._replace(measure=measure))
            try:
                self.session.fill()
            except BaseException:
                self.session.close()
                raise
        except LimitError as error:
            raise ExtensionError(tuple(map(in_python, error.diagnostics))) from None
        self.guest, self.images = self.session.guest, self.session.images
        self.model, self.memory = self.guest.model, self.guest.memory
        self.described = self.session.described
        self.symbols = find_symbols(self.images)
        self.given: dict[str, Prototype] = {}
        """Prototypes that the test gives."""
        self.faulted = False
        """Whether the extension has been stopped inside of a call since it was fresh."""
        self._upset = self._closed = False
        self.blocks = Blocks()
        """Of the firmware's heap."""
        watch(self)
        self._registers = self.guest.machine.save()
        self._loaded = self._state()
        self._up: tuple[object, dict[int, Block]] | None = None
        self._prototypes: dict[int, Prototype | None] = {}
        self._variables: dict[int, CType | None] = {}
        self._forget()

    def _forget(self) -> None:
        """What was put into memory is gone."""
        self._arena: tuple[int, int] = (0, 0)  # next address, end
        self._callbacks: dict[object, tuple[object, int]] = {}
        self._traps: tuple[int, int] = (0, 0)

    def close(self) -> None:
        """Raises:
        RuntimeError: the extension is running."""
        self._must_rest("closed")
        self._upset = self._closed = True
        self.session.close()

    def _must_rest(self, what: str) -> None:
        if self._closed:
            raise RuntimeError(f"{self.title} is closed")
        if self.guest.frames.entries:
            raise RuntimeError(f"{self.title} cannot be {what} while it runs: a function that it calls asks for that")

    def fresh(self, bringup: bool) -> None:
        """The state after loading or bringup, whatever has happened since.

        Raises:
            ExtensionError: a constructor fails. RuntimeError: the extension is running, or closed.
        """
        self._must_rest("reset")
        if bringup and self._up is not None:
            self._go_to(self._up)
            return
        self._go_to(self._loaded)
        if bringup:
            with self.running():
                self.session.bringup()
            self._up = self._state()

    def _state(self) -> tuple[object, dict[int, Block]]:
        return self.session.snapshot(), dict(self.blocks.found)

    def _go_to(self, state: tuple[object, dict[int, Block]]) -> None:
        self.session.rollback(state[0])
        self.blocks.found = dict(state[1])
        self.guest.on_call.clear()
        self.given.clear()
        self.faulted = self._upset = False
        self._forget()

    # ---- running

    def running(self) -> Running:
        """Around what runs code of the extension: gives it its time, explains what it does wrong."""
        return Running(self)

    def prepare(self) -> object:
        """Before a call. Returns for ``failed()`` the registers, if the host's function that makes it goes on later."""
        guest = self.guest
        if guest.frames.entries:
            return guest.machine.save()
        if self._upset:
            if self._closed:
                raise RuntimeError(f"{self.title} is closed")
            guest.restore(self._registers)
            self._upset = False
        guest.deadline = time.monotonic() + self.options.seconds
        if self.options.instructions and self.session.meter:
            self.session.meter.instructions = 0
        return None

    def failed(self, error: BaseException, registers: object) -> None:
        """A call has been left by an exception: raise what the extension did wrong as an ``ExtensionError``."""
        self.faulted = True
        found: tuple[Diagnostic, ...] = ()
        if isinstance(error, LlextError) and not isinstance(error, ExtensionError | UsageError):
            found = tuple(self.explained(d) for d in error.diagnostics)
        if registers is None:
            self._upset = True
        else:
            self.guest.machine.restore(registers)
        if found:
            raise ExtensionError(found) from None

    def explained(self, diagnostic: Diagnostic) -> Diagnostic:
        """With the source line and who called whom, as long as the machine is where it was stopped."""
        from llext_tools.unwind import explained  # it loads pyelftools, which only a fault needs

        diagnostic = in_python(diagnostic)
        return explained(self.guest, diagnostic)[0] if diagnostic.severity == "error" else diagnostic

    def where(self) -> Location:
        return Location(self.images[-1].path)

    # ---- what is known

    def symbol(self, name: str) -> Symbol:
        """Raises:
        AttributeError: there is none of that name."""
        found = self.symbols.get(name)
        if found is None:
            left_out = self._left_out(name)
            raise AttributeError(
                left_out or f"{self.title} has no function or variable `{name}`{near(name, self.offered)}"
            )
        return found

    def _left_out(self, name: str) -> str:
        """Why a name of the source is not there, as debug information tells; "" if it is none, or another file's."""
        for image in self.images:
            y, known = image.obj.symbols, self.described.of(image)
            if name in y.names(np.flatnonzero((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0)).tolist()):
                continue
            what = f"the compiler has left `{name}` out of {self.title}"
            if known.variable(name) is not None:
                return f"{what}, as its value is known where it is read: `volatile` or -O0 keeps it"
            if known.prototype(name) is not None:
                return f"{what}, as it is inlined where it is called: `__attribute__((noinline))` or -O0 keeps it"
        return ""

    @cached_property
    def title(self) -> str:
        return self.images[-1].path.replace("\\", "/").rpartition("/")[2]

    @cached_property
    def offered(self) -> list[str]:
        """Names, those that are exported first."""
        return sorted(self.symbols, key=lambda name: (not self.symbols[name].exported, name))

    def prototype_of(self, symbol: Symbol) -> Prototype | None:
        """Of a function: as it is given, else from debug information."""
        given = self.given.get(symbol.name)
        if given is not None:
            return given
        if symbol.address not in self._prototypes:
            assert symbol.image is not None
            known = self.described.of(symbol.image)
            found = next(filter(None, (known.prototype(name) for name in (symbol.name, *symbol.own))), None)
            self._prototypes[symbol.address] = found
        return self._prototypes[symbol.address]

    def variable_of(self, symbol: Symbol) -> CType | None:
        if symbol.address not in self._variables:
            assert symbol.image is not None
            known = self.described.of(symbol.image)
            found = next(filter(None, (known.variable(name) for name in (*symbol.own, symbol.name))), None)
            self._variables[symbol.address] = found
        return self._variables[symbol.address]

    def type_named(self, name: str) -> CType:
        """A type by its tag or typedef.

        Raises:
            LookupError: nobody knows it.
        """
        if (found := self.described.type(name)) is not None:
            return found
        raise LookupError(f"there is no type `{name}` in the debug information of {self.title}")

    # ---- memory of the test's own

    def place(self, data: bytes) -> int:
        """The address of bytes that the extension can read and write, until the test ends."""
        at, end = self._arena
        if at + len(data) > end:
            area = self.memory.add("arguments", max(ARENA, len(data)), Perm.R | Perm.W, ARENA_AT)
            at, end = area.start, area.end
        self.memory.poke(at, data)
        self._arena = at + max(-(-len(data) // 16), 1) * 16, end
        return at

    def callback(self, function: Callable[..., Any], prototype: Prototype, body: Callable[..., Any]) -> int:
        """An address, with the Thumb bit, at which the extension finds a function of the test.

        Args:
            function: the same one has the same address.
            body: of the ``HostFunction``.
        """
        key = id(function), str(prototype)
        known = self._callbacks.get(key)
        if known is not None:
            return known[1]
        at, end = self._traps
        if at >= end:
            at = self.memory.free(PAGE, CALLBACKS_AT)
            self.memory.add_traps("callbacks", [at])
            end = at + PAGE
        self._traps = at + SPACING, end
        name = prototype.name or getattr(function, "__name__", "callback")
        address = at | self.guest.arch.thumb
        self.guest.functions[at] = Export(name, address, "func"), HostFunction(name, prototype, body, callback=True)
        self._callbacks[key] = function, address
        return address


class Running:
    """A part of a test in which the extension runs; without ``contextlib``, whose lines would stand in tracebacks."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __enter__(self) -> None:
        self._registers = self._program.prepare()

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self._program.failed(error, self._registers)

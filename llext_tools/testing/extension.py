"""An extension as an object: ``ext.add(1, 2)``, ``ext.counter = 7``, ``ext.host``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from llext_tools.c.types import CType
from llext_tools.c.values import pack
from llext_tools.c.view import View, type_of
from llext_tools.diag import number
from llext_tools.host.heap import Block
from llext_tools.mem import Mem
from llext_tools.testing.fault import ExtensionError, fault
from llext_tools.testing.function import Function
from llext_tools.testing.host import Host
from llext_tools.testing.options import options
from llext_tools.testing.program import Program

if TYPE_CHECKING:
    from typing import Self

Leaks = Literal["fail", "ignore"]
LEAKS: tuple[Leaks, ...] = get_args(Leaks)


class Symbols(Mapping[str, Any]):
    """All functions and variables by name: a ``Function``, or a view of the variable.

    It is the way to those whose names the extension object has for itself, such as ``host``.
    """

    def __init__(self, program: Program, shown: dict[str, Any]) -> None:
        """``shown``: the attributes of the extension object."""
        self._program, self._shown = program, shown
        self._made: dict[str, Function] = {}

    def __getitem__(self, name: str) -> Any:
        try:
            symbol = self._program.symbol(name)
        except AttributeError as error:
            raise KeyError(str(error)) from None
        if not symbol.function:
            return self.variable(name)
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = Function(self._program, symbol, self._program.prototype_of(symbol))
        return found

    def variable(self, name: str) -> View:
        """A view of a variable; of bytes, if its type is not known."""
        program = self._program
        symbol = program.symbol(name)
        ctype = program.variable_of(symbol) or program.model.types["unsigned char"].array(symbol.size)
        return View(program.memory, ctype, symbol.address)

    def forget(self, *names: str) -> None:
        """Functions whose prototypes may have changed."""
        for name in names:
            self._made.pop(name, None)
            self._shown.pop(name, None)

    def attribute(self, name: str) -> Any:
        """A function, which Python itself finds as an attribute from now on."""
        found = self._shown[name] = self[name]
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._program.symbols

    def __iter__(self) -> Iterator[str]:
        return iter(self._program.offered)

    def __len__(self) -> int:
        return len(self._program.symbols)


class Extension:
    """An extension that is loaded, and brought up if nothing else was asked for.

    Functions and variables, exported or static, are attributes: a function can be called, a number or pointer is read
    and written, a structure or array is a view. ``symbols[name]`` is the way to all of them.
    """

    _program: Program
    host: Host
    symbols: Symbols

    def __init__(self, program: Program, *, bringup: bool = True, leaks: Leaks = "fail") -> None:
        """Take a program that is fresh; see ``load()``.

        Raises:
            TypeError: it is none. ValueError: ``leaks`` is none of its values.
        """
        if not isinstance(program, Program):
            raise TypeError(f"an extension's file is loaded by `Extension.load({program!r})`")
        if leaks not in LEAKS:
            raise ValueError(f"`leaks={leaks!r}` cannot be: give {' or '.join(map(repr, LEAKS))}")
        own = self.__dict__
        own["_program"], own["_leaks"] = program, leaks
        own["_is_up"], own["_closed"] = bringup, False
        own["host"], own["symbols"] = Host(program), Symbols(program, own)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, bringup: bool = True, leaks: Leaks = "fail", **given: Any
    ) -> Extension:
        """Load a file; use it as a context manager, which tears it down and looks for leaks.

        Args:
            bringup: whether the constructors run now.
            leaks: "ignore" allows memory that is still allocated after the destructors.
            given: ``target``; ``firmware``, whose code then runs; ``exports``, tables; ``extensions`` that are loaded
                before; ``mmio``, devices; ``init``, functions of the firmware to call first; ``at``, an address;
                ``profile``; the limits: ``seconds`` and ``instructions`` for each call, ``output``, ``memory``,
                ``stack`` and ``heap`` in bytes, ``threads``, ``depth``.
        Raises:
            LlextError: it cannot be loaded. ExtensionError: a constructor fails.
        """
        program = Program(options(path, **given))
        try:
            program.fresh(bringup)
            return cls(program, bringup=bringup, leaks=leaks)
        except BaseException:
            program.close()
            raise

    # ---- its life

    def bringup(self) -> None:
        """Run the constructors, if they have not run."""
        if not self._is_up:
            with self._program.running():
                self._program.session.bringup()
            self.__dict__["_is_up"] = True

    def teardown(self) -> None:
        """Let threads run until all wait, run the destructors, look for threads and memory that are left.

        Raises:
            ExtensionError: ``run-leak``, ``run-threads-left``; or what a destructor does wrong.
        """
        if self._is_up:
            self.__dict__["_is_up"] = False
            session = self._program.session
            with self._program.running():
                session.settle()
                session.teardown()
                session.settle()
        with self._program.running():
            self._program.guest.check_heap()
        if self._leaks == "fail":
            self._check_leaks()

    def _check_leaks(self) -> None:
        left = self._program.session.left()
        if left:
            raise ExtensionError(tuple(left))
        blocks = self.host.heap.blocks
        if blocks:
            total = sum(block.size for block in blocks.values())
            many = number(len(blocks), "block")
            destructors = any(Mem.FINI in image.mem for image in self._program.images)
            fault(
                "run-leak",
                f"{many} of {number(total, 'byte')} in all {'is' if len(blocks) == 1 else 'are'} still allocated"
                f"{' after the destructors' if destructors else ' at the end'}",
                at=self._program.where(),
                detail=tuple(_leaked(blocks)),
                help='free them in a destructor or in a call of the test; `leaks="ignore"` allows them',
            )

    def close(self) -> None:
        """Give everything back, without a word about leaks."""
        if not self._closed:
            self._program.close()
            self.__dict__["_closed"] = True

    def release(self) -> Program:
        """The program, for somebody else: this object is of no use any more."""
        self.__dict__["_closed"] = True
        return self._program

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def finish(self) -> None:
        """Tear it down at the end of a test; not after a fault, of which nothing can come back."""
        if not self._program.faulted:
            self.teardown()

    def reset(self) -> None:
        """The state that it had at the start: memory, clock, output, calls, overrides."""
        self._program.fresh(self._is_up)
        self.symbols.forget(*self.symbols._made)
        self.__dict__["host"] = Host(self._program)

    # ---- its names

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        program = self._program
        if program.symbol(name).function:
            return self.symbols.attribute(name)
        view = self.symbols.variable(name)
        return view[...] if type_of(view).is_scalar else view

    def __setattr__(self, name: str, value: Any) -> None:
        program = self._program
        if hasattr(type(self), name) or name in ("host", "symbols"):
            more = f': `symbols["{name}"][...] = ` sets the variable' if name in self.symbols else ""
            raise AttributeError(f"`{name}` of the extension object cannot be set{more}")
        if program.symbol(name).function:
            raise AttributeError(f'`{name}` is a function: `host.override("{name}", ...)` replaces it')
        view = self.symbols.variable(name)
        program.memory.write(program.symbol(name).address, pack(type_of(view), value, program.place, f"`{name}`"))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *filter(str.isidentifier, self._program.offered)})

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        """Call a function by its name, whatever that is."""
        found = self.symbols[name]
        if not isinstance(found, Function):
            raise TypeError(f"`{name}` is a variable")
        return found(*args, **named)

    def prototype(self, text: str) -> Function:
        """Say in C what a function takes and returns, where there is no debug information.

        Raises:
            AttributeError: there is no such function. UsageError: ``prototype-syntax``.
        """
        program = self._program
        known = program.described.given(text)
        program.symbol(known.name)
        program.given[known.name] = known
        self.symbols.forget(known.name)
        found = self.symbols[known.name]
        assert isinstance(found, Function)
        return found

    def type(self, name: str) -> CType:
        """A type of the extension or the firmware: ``struct point``, or a typedef.

        Raises:
            LookupError: nobody knows it.
        """
        return self._program.type_named(name)

    @property
    def target(self) -> str:
        return self._program.session.setup.target.name

    @property
    def path(self) -> str:
        return self._program.options.path

    def __repr__(self) -> str:
        program = self._program
        exported = [name for name in program.offered if program.symbols[name].exported]
        more = ", ..." * (len(exported) > 6)
        return f"<extension {program.title} on {self.target}: {', '.join(exported[:6])}{more}>"


def _leaked(blocks: Mapping[int, Block], most: int = 8) -> Iterator[str]:
    for address, block in list(blocks.items())[:most]:
        yield f"{number(block.size, 'byte')} at {address:#010x}, allocated by {block.by}"
    if len(blocks) > most:
        yield f"... and {number(len(blocks) - most, 'more block')}"

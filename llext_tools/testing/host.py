"""The host of an extension, as a test changes it and looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from llext_tools.c.types import CType, Prototype
from llext_tools.c.values import near, pack
from llext_tools.c.view import Pointer, View
from llext_tools.diag import fail
from llext_tools.host import builtin
from llext_tools.host.function import HostCall, HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.heap import Block
from llext_tools.host.memory import Memory
from llext_tools.link.exports import IMPLEMENTATION, Export
from llext_tools.run.furnish import functions_in
from llext_tools.testing.calls import Calls, seen
from llext_tools.testing.fault import fault
from llext_tools.testing.image import FirmwareSymbols
from llext_tools.testing.program import Program
from llext_tools.testing.values import body_of

if TYPE_CHECKING:
    from typing import Self

MOST_CALLS = 100_000
"""Calls that are remembered."""

NOTHING = object()
F = TypeVar("F", bound=Callable[..., Any])


class Override:
    """A function in the place of another one, until ``restore()``, the end of a ``with`` block, or that of the test."""

    def __init__(self, host: Host, export: Export, prototype: Prototype | None) -> None:
        self._host, self._export, self.prototype = host, export, prototype
        self.name = export.name
        self._before: HostFunction | None = None
        self._active = False

    def __call__(self, function: F) -> F:
        """As a decorator: the function stays what it is."""
        self._put(self._of(function))
        return function

    def _of(self, function: Callable[..., Any], **more: Any) -> HostFunction:
        if self.prototype is None:
            name = self.name
            fail(
                "prototype-syntax",
                f"the types of `{name}` are not known",
                help=f'give them: `override("{name}", prototype="int {name}(int)")`',
            )
        body = body_of(self._host.program, function, self.prototype, f"`{self.name}`")
        return HostFunction(self.name, self.prototype, body, **more)

    def _put(self, function: HostFunction) -> None:
        self.restore()
        self._before = self._host.program.guest.replace(self._export, function)
        self._active = True
        self._host.standing.setdefault(self._export.address, []).append(self)

    def _put_when(self, function: Callable[..., Any], when: Callable[[Guest], bool]) -> None:
        """Stand in for some calls only."""
        self.restore()
        guest = self._host.program.guest
        before = guest.replace(self._export, None)
        if before is not None:
            guest.replace(self._export, before)
        self._put(self._of(function, when=when, otherwise=before))

    def restore(self) -> None:
        """What was there before is there again, or will be once those that came later are gone."""
        if self._active:
            self._active = False
            standing = self._host.standing[self._export.address]
            at = standing.index(self)
            del standing[at]
            if at < len(standing):
                standing[at]._before = self._before
            else:
                self._host.program.guest.replace(self._export, self._before)

    @property
    def calls(self) -> Calls:
        """Those of its name."""
        return self._host.calls(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.restore()

    def __repr__(self) -> str:
        return f"<override of {self.name}>"


class HeapView:
    """The heap of the host; of a firmware's own, what extensions have asked for."""

    def __init__(self, program: Program) -> None:
        self._guest, self._program = program.guest, program

    @property
    def used(self) -> int:
        """Bytes that are allocated."""
        return sum(block.size for block in self._found.values())

    @property
    def peak(self) -> int:
        """The most bytes that were, of the built-in host's heap."""
        return self._guest.heap_peak

    @property
    def blocks(self) -> Mapping[int, Block]:
        """What is allocated, by its address: ``size`` in bytes, and ``by`` whom, a phrase with the source line."""
        return {address: block._replace(by=str(block.by)) for address, block in self._found.items()}

    @property
    def _found(self) -> Mapping[int, Block]:
        own = self._guest.heap.blocks if self._guest.heap_peak else {}
        return {**own, **self._program.blocks.found}

    def check(self) -> None:
        """Raises:
        FaultError: ``run-heap``: somebody has written beyond a block, or into one that is free."""
        self._guest.check_heap()

    def __repr__(self) -> str:
        return f"<heap: {self.used:,} bytes in {len(self._found)} blocks, at most {self.peak:,}>"


class Recording(NamedTuple):
    """A recording that is played: the values, and what takes the next one."""

    name: str
    values: tuple[Any, ...]
    rest: Iterator[Any]

    def next(self, *_: Any) -> Any:
        value = next(self.rest, NOTHING)
        if value is NOTHING:
            count = len(self.values)
            fault(
                "run-recording",
                f"`{self.name}` is called once more than there are values: {count}",
                at=None,
                detail=(f"they were {', '.join(map(repr, self.values[:8]))}{', ...' * (count > 8)}",),
                help="give one value for each call, or a function",
            )
        return value


class Host:
    """What the extension finds around it. All that a test does to it ends with the test."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._guest = program.guest
        self._prototypes: dict[str, Prototype] = {}
        self.standing: dict[int, list[Override]] = {}
        """Overrides by the address of the function, each in the place of the one before."""
        self._calls = Calls()
        for call in self._guest.calls:
            self._see(call)
        self._guest.on_call.append(self._see)
        self._read = 0

    # ---- functions

    def override(self, name: str, value: Any = NOTHING, *, prototype: str = "") -> Override:
        """Let Python run where the extension, or the firmware, calls a function.

            @host.override("k_msleep")
            def sleep(ms): ...

            host.override("gpio_read", 1)            # always returns that
            host.override("adc_read", [512, 600])    # these, one after the other
            with host.override("rand", my_function): # until the end of the block

        Args:
            name: of an export, or of any function of the firmware or the extension.
            value: a function, what it returns, or a list of that.
            prototype: C, where neither debug information nor the host's table tells.
        Raises:
            LookupError: there is no such function.
        """
        override = self._make(name, prototype)
        if value is not NOTHING:
            override(self._as_function(name, value))
        return override

    def fail(self, name: str, *, nth: int = 1, times: int | None = 1, result: Any = 0, prototype: str = "") -> Override:
        """Let some calls of a function fail: they return ``result`` and do nothing.

        Args:
            nth: the first call that fails, counted from now and from 1.
            times: how many calls in a row; None for all from there on.
        """
        if nth < 1 or (times is not None and times < 1):
            raise ValueError("calls count from 1")
        override = self._make(name, prototype)
        count = 0

        def when(_guest: Guest) -> bool:
            nonlocal count
            count += 1
            return nth <= count and (times is None or count < nth + times)

        override._put_when(lambda *_: result, when)
        return override

    def _make(self, name: str, prototype: str) -> Override:
        export = self._find(name)
        known = self.program.described.given(prototype) if prototype else self._prototype(export)
        if known is not None:
            self._prototypes[export.name] = known
        return Override(self, export, known)

    def _as_function(self, name: str, value: Any) -> Callable[..., Any]:
        if callable(value):
            function: Callable[..., Any] = value
            return function
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | View):
            values = tuple(value)
            return Recording(name, values, iter(values)).next
        return lambda *_: value

    def _find(self, name: str) -> Export:
        """Raises:
        LookupError: nobody has it."""
        setup = self.program.session.setup
        table = setup.table
        defined = functions_in(setup.firmware)
        for each in (
            name,
            IMPLEMENTATION + name,
        ):  # a system call is not there under its own name
            if (export := table.find(each)) is not None:
                return export
            if each in defined:
                return Export(each, defined[each], "func")
        symbol = self.program.symbols.get(name)
        if symbol is not None and symbol.function:
            return Export(name, symbol.address, "func")
        raise LookupError(f"there is no function `{name}`{near(name, [*table.by_name, *defined])}")

    def _prototype(self, export: Export) -> Prototype | None:
        """From debug information, the host's own function, or the table of exports."""
        symbol = self.program.symbols.get(export.name)
        if symbol is not None and symbol.address == export.address:
            return self.program.prototype_of(symbol)
        address = self._guest.arch.code_at(export.address)
        here = self._guest.functions.get(address, (None, None))[1] or builtin.BY_NAME.get(export.name)
        text = here.prototype if here is not None else export.prototype
        table = self._guest.prototype(text) if text else None
        found = self.program.described.prototype(export)
        if found is None or (table is not None and len(table.params) != len(found.params)):
            return table or found
        return found if any(found.names) or table is None else found._replace(names=table.names)

    # ---- what it has seen

    def _see(self, call: HostCall) -> None:
        if len(self._calls) < MOST_CALLS:
            prototype = self._prototypes.get(call.name)
            if prototype is None:
                prototype = self._prototypes[call.name] = self._prototype_of_call(call.name)
            self._calls.append(seen(self.program, call, prototype))

    def _prototype_of_call(self, name: str) -> Prototype:
        functions = (function for _, function in self._guest.functions.values() if function is not None)
        found = next((f.prototype for f in functions if f.name == name), None)
        if found is not None:
            return self._guest.prototype(found)
        return Prototype(name, self.program.model.types["void"], ())

    @property
    def calls(self) -> Calls:
        """All calls of the host's functions so far, those of constructors included; ``calls("printk")`` of one."""
        return self._calls

    @property
    def output(self) -> str:
        """All that was printed so far."""
        return self.program.session.output.text

    def read_output(self) -> str:
        """What was printed since this was asked the last time."""
        text = self.output
        new, self._read = text[self._read :], len(text)
        return new

    @property
    def heap(self) -> HeapView:
        return HeapView(self.program)

    @property
    def clock(self) -> float:
        """Virtual time in milliseconds since the start."""
        return self._guest.clock_us / 1000

    def advance(self, ms: float) -> None:
        """Let virtual time pass: timers expire, threads that sleep go on.

        Raises:
            ExtensionError: one of them goes wrong.
        """
        with self.program.running():
            self.program.session.advance(round(ms * 1000))

    def settle(self) -> None:
        """Let the extension's threads run until all of them wait; no time passes. Raises as ``advance()`` does."""
        with self.program.running():
            self.program.session.settle()

    # ---- memory and what is in it

    @property
    def firmware(self) -> FirmwareSymbols:
        """Functions and variables of the firmware: ``firmware["crc32"](0, b"abc", 3)``, ``firmware["ready"].count``."""
        return FirmwareSymbols(self.program)

    @property
    def memory(self) -> Memory:
        """All of it, by addresses: ``read(address, size)``, ``write(address, data)``, ``text(address)``."""
        return self.program.memory

    def alloc(self, what: int | str | CType, value: Any = None) -> Any:
        """Memory of the test's own that the extension can use, until the test ends.

        Args:
            what: a number of bytes, or a type, such as ``"struct point"``.
            value: what it holds; else zeros.
        Returns:
            A view of the type, or a pointer to bytes.
        """
        program = self.program
        if isinstance(what, int):
            data = bytes(value or b"")
            address = program.place(data.ljust(what, b"\0"))
            return Pointer(program.memory, program.model.pointer(program.model.types["unsigned char"]), address)
        ctype = program.type_named(what) if isinstance(what, str) else what
        data = bytes(ctype.size) if value is None else pack(ctype, value, program.place)
        return View(program.memory, ctype, program.place(data))

    def callback(self, function: Callable[..., Any], prototype: str) -> int:
        """The address of a Python function, for where no type says that an address is one of a function.

        Args:
            prototype: C, such as ``int compare(const void *a, const void *b)``.
        """
        known = self.program.described.given(prototype)
        return self.program.callback(
            function, known, body_of(self.program, function, known, f"`{known.name or 'callback'}`")
        )

    def __repr__(self) -> str:
        return f"<host of {self.program.title}: {len(self.calls)} calls, {self.heap.used:,} bytes of heap used>"

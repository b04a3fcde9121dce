"""Extensions in the memory of an emulated CPU, with a host behind them: called as often as one likes.

    with Session(load([load_object("hello.llext")], cpu), Setup(cpu)) as session:
        session.bringup()
        session.call('greet("world")')

Bringup calls the functions of the PREINIT and INIT arrays, teardown those of FINI, each in array order, as
``llext_bringup()`` and ``llext_teardown()`` do. Extensions are brought up in the order given and torn down in reverse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from llext_tools import arch as archs
from llext_tools.arch.model import Emulator, Target
from llext_tools.c.call import show_value, value_of
from llext_tools.c.types import CType, Prototype
from llext_tools.diag import Diagnostic, Location, Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin
from llext_tools.host.devices import Mmio
from llext_tools.host.function import HostFunction, Output
from llext_tools.host.guest import Guest
from llext_tools.host.kernel import kernel_of
from llext_tools.host.kernel.report import left as threads_left
from llext_tools.host.limits import Limits
from llext_tools.host.memory import AccessError
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Machine
from llext_tools.machine.unicorn import UnicornMachine
from llext_tools.measure import Measured, Meter, Wanted
from llext_tools.mem import Mem
from llext_tools.run.described import Described
from llext_tools.run.furnish import furnish, initialise
from llext_tools.run.plan import Step, plan

if TYPE_CHECKING:
    from typing import Self

MOST_TEXT = 1 << 12
"""Bytes that are shown of a string."""


class Setup(NamedTuple):
    """What extensions run on.

    ``exports``: what they were linked against; None for the built-in host. ``firmware``: linked images whose code and
    data are there, such as the one that the exports came from. A call of an export runs the function of ``overrides``
    with its name, else the firmware's code, else the function of ``functions`` (see ``run.furnish``); of the firmware
    also what is not exported can be in ``overrides``. ``mmio`` are peripherals, by their addresses. ``init`` names
    functions of the firmware to call before everything else. With ``stub_missing`` what has no code returns zero.
    ``sink`` gets the output as it comes. ``measure`` says what is measured.
    ``machine`` makes the machine, from what the emulator is and the name of its program counter.
    """

    target: Target
    exports: ExportTable | None = None
    firmware: tuple[ElfObject, ...] = ()
    functions: Mapping[str, HostFunction] = builtin.BY_NAME
    overrides: Mapping[str, HostFunction] = MappingProxyType({})
    mmio: tuple[Mmio, ...] = ()
    init: tuple[str, ...] = ()
    stub_missing: bool = False
    limits: Limits = Limits()
    sink: Callable[[bytes], None] | None = None
    machine: Callable[[Emulator, str], Machine] = UnicornMachine
    measure: Wanted = Wanted()

    @property
    def table(self) -> ExportTable:
        """What extensions can call."""
        return self.exports if self.exports is not None else builtin.exports(archs.load(self.target.arch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What one call gave: ``text`` as C writes it (empty for void), ``value`` a number, or a view of a structure."""

    call: str
    type: CType
    value: Any
    string: bytes | None = None  # what a char pointer points to
    text: str = ""

    def __str__(self) -> str:
        return f"{self.call} = {self.text}" if self.text else f"{self.call} returned"


class Session:
    """A machine with a host and extensions, to be filled, used and closed; as a context manager that is done.

    Args:
        images: linked by ``load()``, in the order of loading.
    """

    def __init__(self, images: Sequence[Image], setup: Setup) -> None:
        self.images, self.setup = tuple(images), setup
        self.arch = archs.load(setup.target.arch)
        self.described = Described(self.images, setup.firmware, setup.target)
        self.output = Output(setup.limits.output, setup.sink)
        self.machine = setup.machine(setup.target.emulator, self.arch.callconv.pc)
        self.guest = Guest(setup.target, self.arch, self.machine, deadline=0.0, limits=setup.limits, output=self.output)
        self.guest.trace = lambda: backtrace_lines(self.guest)
        self.guest.source = lambda at: source_line(self.guest, at)
        self.meter: Meter | None = None
        self.start_clock()

    def fill(self) -> None:
        """Put everything into memory.

        Raises:
            LlextError: there is no room for all of it.
        """
        setup, guest = self.setup, self.guest
        furnish(guest, self.images, setup, self.described)
        if any(setup.measure) or setup.limits.instructions:
            self.meter = Meter.attach(guest, self.images, setup.firmware, setup.measure)
        initialise(guest, setup)

    def __enter__(self) -> Self:
        try:
            self.fill()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.guest.close()

    def start_clock(self) -> None:
        """Give all that runs from now on the seconds of the limits."""
        self.guest.deadline = time.monotonic() + self.setup.limits.seconds

    def bringup(self) -> None:
        """Call the constructors.

        Raises:
            FaultError, LimitError: ``run-bringup``, or whatever a function did.
        """
        for image in self.images:
            self._call_array(image, Mem.PREINIT, Mem.INIT)

    def teardown(self) -> None:
        """Call the destructors. Raises as ``bringup()`` does."""
        for image in reversed(self.images):
            self._call_array(image, Mem.FINI)

    def _call_array(self, image: Image, *arrays: Mem) -> None:
        """Call the functions of array regions; all pointers are checked before the first call."""
        guest = self.guest
        pointers = [pointer for mem in arrays for pointer in guest.check_pointers(image, mem)]
        nothing = Prototype("", guest.model.types["void"], ())
        for pointer in pointers:
            guest.call(pointer, nothing, (), ())

    def call(self, text: str) -> Returned:
        """Make one call, such as ``add(1, 2)``, by the types that debug information tells.

        Raises:
            UsageError: it is none that can be made. FaultError, LimitError: it did not return.
        """
        (step,) = plan(self.images, [text], (), self.described, Reporter())
        return self.perform(step)

    def perform(self, step: Step) -> Returned:
        """Make one call that is planned.

        Raises:
            FaultError, LimitError: it did not return.
        """
        guest = self.guest
        values: list[Any] = []
        for argument, ctype in zip(step.call.arguments, step.types, strict=True):
            value = value_of(argument, step.symbols.__getitem__)
            values.append(int(value) if isinstance(value, float) and ctype.kind != "float" else value)
        value = guest.call(step.address, step.prototype, step.types, values)
        ctype = step.prototype.result
        string = None
        if ctype.is_text and value:
            try:
                string = guest.memory.text(int(value), MOST_TEXT)
            except AccessError:
                pass  # not a string; the address is shown
        text = show_value(ctype, value, string)
        return Returned(call=step.call.text, type=ctype, value=value, string=string, text=text)

    def settle(self) -> None:
        """Let the threads of extensions run until all wait. Time does not pass.

        Raises:
            FaultError, LimitError: of a thread.
        """
        if self.guest.kernel is not None:
            self.guest.kernel.settle()

    def advance(self, microseconds: int) -> None:
        """Let virtual time pass: timers expire, threads that sleep wake up. Raises as ``settle()`` does."""
        kernel_of(self.guest).advance(microseconds)

    def left(self) -> list[Diagnostic]:
        """``run-threads-left``: threads and timers that there still are, for after ``teardown()``."""
        return threads_left(self.guest.kernel) if self.guest.kernel is not None else []

    @property
    def measured(self) -> Measured:
        """What has been measured so far."""
        return self.meter.result() if self.meter else Measured()

    def snapshot(self) -> object:
        """The state between two calls: memory, registers, heap, clock, what was printed and called."""
        return self.machine.snapshot(), self.guest.state()

    def rollback(self, snapshot: object) -> None:
        """Go back to a snapshot of this session."""
        assert isinstance(snapshot, tuple)
        machine, guest = snapshot
        self.machine.rollback(machine)
        if self.meter:
            self.meter.reset()
        self.guest.put_back(guest)


def backtrace_lines(guest: Guest) -> Sequence[str]:
    from llext_tools.unwind import backtrace, lines  # needs pyelftools

    return lines(backtrace(guest))


def source_line(guest: Guest, at: Location) -> Location:
    from llext_tools.unwind.explained import source_of  # it needs pyelftools

    return source_of(guest, at)

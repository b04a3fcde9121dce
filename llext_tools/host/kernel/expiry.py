"""Timers that run, and the interrupt in which their functions are called, on a stack of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llext_tools.errors import LlextError
from llext_tools.host import stacks
from llext_tools.host.areas import Area
from llext_tools.host.kernel import report
from llext_tools.host.kernel.contexts import Timer
from llext_tools.host.memory import AccessError
from llext_tools.host.places import Frames
from llext_tools.mem import Perm

if TYPE_CHECKING:
    from llext_tools.host.kernel.kernel import Kernel

STACK_AT = 0x2C80_0000
STACK_SIZE = 16 << 10


class Timers:
    """Those of one kernel, by the addresses of their structures. ``stack``: the interrupt's, once there was one."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._running: dict[int, Timer] = {}
        self.stack: Area | None = None

    def start(self, address: int, duration: int, period: int) -> None:
        """Let a timer expire after ``duration`` ticks, and every ``period`` ticks from then on."""
        kernel = self._kernel
        self.stop(address)
        timer = self._running[address] = Timer(address, kernel.microseconds(period) if period > 0 else 0)
        self._enter(timer, kernel.now + kernel.microseconds(duration))

    def stop(self, address: int) -> bool:
        """Whether it ran."""
        timer = self._running.pop(address, None)
        return timer is not None and self._kernel.agenda.cancel(timer)

    def expires(self, address: int) -> int | None:
        """When a timer expires; None if it does not run."""
        timer = self._running.get(address)
        return self._kernel.agenda.at(timer) if timer else None

    def with_functions(self) -> list[tuple[int, int]]:
        """Those that call a function when they expire: their addresses and the functions'."""
        return [(t.address, function) for t in self._running.values() if (function := self.function_of(t))]

    def function_of(self, timer: Timer) -> int:
        try:
            return self._kernel.records.get("k_timer", timer.address, "expiry_fn")[0]
        except AccessError:  # its memory is gone, with the extension that had it
            return 0

    def _enter(self, timer: Timer, at: int) -> None:
        self._kernel.agenda.add(timer, at, lambda: self._expire(timer, at))

    def _expire(self, timer: Timer, at: int) -> None:
        kernel = self._kernel
        function = self.function_of(timer)
        times = 1
        if timer.period and not function and not kernel.sched.waiters(timer.address):
            times += max(kernel.now - at, 0) // timer.period  # nobody has noticed: all at once
        if timer.period:
            self._enter(timer, at + times * timer.period)
        else:
            del self._running[timer.address]
        try:
            (status,) = kernel.records.get("k_timer", timer.address, "status")
            kernel.records.put("k_timer", timer.address, status=status + times)
        except AccessError:
            self.stop(timer.address)
            return
        if function:
            self._interrupt(function, timer.address)
        kernel.wake_first(timer.address)

    def _interrupt(self, function: int, argument: int) -> None:
        """Call a function of the extension as an interrupt does."""
        kernel = self._kernel
        guest, machine = kernel.guest, kernel.guest.machine
        if self.stack is None:
            self.stack = guest.memory.add("interrupt stack", STACK_SIZE, Perm.R | Perm.W, STACK_AT)
            stacks.fill(guest.memory, self.stack.start, STACK_SIZE)
        saved, frames = machine.save(), guest.frames
        guest.frames = Frames(name="interrupt", stack=self.stack)
        machine.set(guest.conv.sp, self.stack.end)
        kernel.in_interrupt = True
        try:
            guest.call_plain(function, argument)
        except LlextError as error:
            note = f"in the interrupt of the clock: `{guest.name_of(function)}` is the function of a timer"
            raise type(error)(report.noted(error.diagnostics, note)) from error
        finally:
            kernel.in_interrupt, guest.frames = False, frames
        machine.restore(saved)

    def state(self) -> object:
        """Between two calls from outside; what each does next is in the agenda."""
        return dict(self._running), self.stack

    def put_back(self, state: Any) -> None:
        """Go back to a ``state()``."""
        running, self.stack = state
        self._running = dict(running)

"""The kernel of one guest: its threads, its virtual clock and its timers.

Each thread but the main one is a fiber in which ``Guest.call()`` runs the thread's function. Where it waits, in a
function of the host, the machine's registers are put aside and another thread goes on in its own fiber. The main thread
is whoever calls the extension from outside; it has priority 0, as Zephyr's has.

Time is virtual, in microseconds: it passes when all threads wait, in k_busy_wait(), and ``LOOK_US`` at each look at the
clock or at an object that is not ready, so that a loop which polls comes to an end. What is due is done at calls of the
kernel, by an interrupt with a stack of its own: no code is interrupted elsewhere.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from llext_tools.c.types import Prototype
from llext_tools.errors import LlextError
from llext_tools.host import stacks
from llext_tools.host.areas import Area
from llext_tools.host.guest import Guest
from llext_tools.host.kernel import back, report
from llext_tools.host.kernel.contexts import Context, Leave, Timer
from llext_tools.host.kernel.expiry import Timers
from llext_tools.host.kernel.records import Records
from llext_tools.host.kernel.sched import EAGAIN, Agenda, Scheduler, Thread, Wait
from llext_tools.host.places import Frames
from llext_tools.host.stacks import StackUse
from llext_tools.mem import Perm
from llext_tools.pages import PAGE

if TYPE_CHECKING:
    from llext_tools.host.kernel.fibers import Fiber
    from llext_tools.host.kernel.work import Works

TICKS_PER_SECOND = 10_000
CYCLES_PER_SECOND = 1_000_000
LOOK_US = 10
FOREVER = -1
IDLE = 1 << 30
"""A priority below all others."""

KERNEL_AT = 0x2C00_0000


class Kernel:
    """``ticks_per_second`` and ``cycles_per_second`` are what extensions have compiled in."""

    def __init__(self, guest: Guest, records: Records | None = None) -> None:
        self.guest = guest
        self.records = records or Records(guest)
        self.ticks_per_second, self.cycles_per_second = TICKS_PER_SECOND, CYCLES_PER_SECOND
        self.main = Context(name="main", started=True, frames=guest.frames)
        self.current = self.main
        self.sched = Scheduler([self.main])
        self.agenda = Agenda()
        self.timers = Timers(self)
        self.works: Works | None = None  # from when something needs it
        self.in_interrupt = False
        self.returning: Context | None = None  # a thread that is brought back to where it waited
        self.area: Area | None = None
        self.area_used = 0

    # ---- memory of its own

    def reserve(self, size: int) -> int:
        """The address of zeros in memory that the extension can use."""
        area = self.area
        if area is None or self.area_used + size > area.end - area.start:
            area = self.area = self.guest.memory.add("kernel", max(PAGE, size), Perm.R | Perm.W, KERNEL_AT)
            self.area_used = 0
        address = area.start + self.area_used
        self.area_used += -(-size // 16) * 16
        return address

    @property
    def current_address(self) -> int:
        """The struct k_thread of who runs."""
        if not self.current.address:
            self.current.address = self.reserve(self.records.of("k_thread").size)
        return self.current.address

    @property
    def contexts(self) -> tuple[Context, ...]:
        """All threads that live, the main one first."""
        return tuple(thread for thread in self.sched.threads if isinstance(thread, Context))

    def thread_at(self, address: int) -> Context | None:
        """The thread that lives in a struct k_thread."""
        return next((thread for thread in self.contexts if thread.address == address != 0), None)

    # ---- time

    @property
    def now(self) -> int:
        return self.guest.clock_us

    def microseconds(self, ticks: int) -> int:
        """Ticks as time, rounded up: a timeout is never shorter than asked for."""
        return -(-ticks * 1_000_000 // self.ticks_per_second)

    def ticks(self, microseconds: int) -> int:
        return microseconds * self.ticks_per_second // 1_000_000

    def pass_time(self, microseconds: int) -> None:
        """Let the running thread take its time. Others come in between if what is due wakes them."""
        end = self.now + max(microseconds, 0)
        while not self.in_interrupt and not self.current.masked:
            at = self.agenda.first()
            if at is None or at > end:
                break
            self._advance(at)
            self.reschedule()
        self.guest.clock_us = max(self.now, end)

    def look(self) -> int:
        """Microseconds since the start, for somebody who looks at the clock."""
        self.pass_time(LOOK_US)
        return self.now

    def _advance(self, at: int) -> None:
        """Let time be at least ``at``, and do what is due then."""
        self.guest.clock_us = max(self.now, at)
        for act in self.agenda.due(self.now):
            if time.monotonic() >= self.guest.deadline:
                report.overtime(self)
            act()

    # ---- waiting

    def wait(self, call: str, kind: str, address: int, ticks: int) -> int:
        """Let the running thread wait for an object until it is woken, or for so many ticks.

        Returns:
            What ``wake()`` says; -EAGAIN if the time is over.
        """
        until = None if ticks < 0 else self.now + self.microseconds(ticks)
        return self._wait(Wait(call, kind, address, until))

    def sleep(self, call: str, until: int | None) -> int:
        """Let the running thread wait for a time, in microseconds from the start; None: until it is woken.

        Returns:
            How much of that time is left.
        """
        thread = self.current
        if self.returning is not thread:
            thread.until = until
        self._wait(Wait(call, until=until))
        return max((thread.until or 0) - self.now, 0)

    def _wait(self, wait: Wait) -> int:
        thread = self.current
        self.no_interrupt(wait.call)
        if self.returning is thread:  # it waits already
            self.returning = None
            self.switch(self.main)
            if thread.dead:
                self.leave()
            return thread.result
        self.sched.pend(thread, wait)
        if wait.until is not None:
            self.agenda.add(thread, wait.until, lambda: self.sched.wake(thread, -EAGAIN))
        self._dispatch()
        return thread.result

    def give_way(self) -> None:
        """Let the others of the running thread's priority go first; nobody there is a look at something."""
        self.sched.yields(self.current)
        if self.sched.next_up(self.current, willing=True) is self.current:
            self.look()
        else:
            self._dispatch(willing=True)

    def start(self, thread: Context) -> None:
        """Let a thread begin: at once, if its priority is higher."""
        self.agenda.cancel(thread)
        self.sched.start(thread)
        self.reschedule()

    def wake(self, thread: Thread, result: int = 0) -> None:
        """End what a thread waits for; it runs when its turn comes."""
        self.agenda.cancel(thread)
        self.sched.wake(thread, result)

    def wake_first(self, address: int, result: int = 0) -> Thread | None:
        """Wake the first thread that waits for an object."""
        waiters = self.sched.waiters(address)
        if not waiters:
            return None
        self.wake(waiters[0], result)
        return waiters[0]

    def no_interrupt(self, call: str) -> None:
        """Raises:
        FaultError: ``run-interrupt-waits``."""
        if self.in_interrupt:
            report.waits_in_interrupt(self, call)

    def reschedule(self, *, willing: bool = False) -> None:
        """Let another thread run if it is its turn."""
        if not self.in_interrupt and self.sched.next_up(self.current, willing=willing) is not self.current:
            self._dispatch(willing=willing)

    def _dispatch(self, *, willing: bool = False) -> None:
        """Run other threads until it is the running one's turn again."""
        following = self._next(willing)
        if following is not self.current:
            self.switch(following)
        if self.current.dead:  # an interrupt has aborted it
            self.leave()

    def _next(self, willing: bool = False) -> Context:
        """Who runs next; time passes until somebody can."""
        willing = willing or not self.current.ready  # a thread that has waited has to wait for its turn, too
        while (following := self.sched.next_up(self.current, willing=willing)) is None:
            at = self.agenda.first(self._useful)
            if at is None:
                report.deadlock(self)
            self._advance(at)
        assert isinstance(following, Context)
        return following

    def _useful(self, key: object) -> bool:
        """Whether something that will happen can wake a thread: a timer without a function cannot, by itself."""
        if not isinstance(key, Timer):
            return True
        return bool(self.timers.function_of(key) or self.sched.waiters(key.address))

    # ---- threads

    def switch(self, to: Context) -> None:
        """Put the running thread aside and go on with another one."""
        thread = self.current
        report.check_stack(self, thread)
        thread.saved, thread.frames = self.guest.machine.save(), self.guest.frames
        if thread is self.main:
            thread.fiber = self._here()
        self._enter(to)
        assert to.fiber is not None
        to.fiber.switch()

    def _here(self) -> Fiber:
        from llext_tools.host.kernel.fibers import Fiber

        return Fiber.here()

    def _enter(self, to: Context) -> None:
        """Make the machine a thread's."""
        self.current = to
        self.guest.frames = to.frames
        self.guest.machine.restore(to.saved)
        to.runs += 1
        for told in self.guest.on_switch:
            told(to.frames)

    def create(self, thread: Context) -> None:
        """Get a thread ready to be started. Its registers are those of now, with its own stack."""
        machine, conv = self.guest.machine, self.guest.conv
        assert thread.stack is not None
        now = machine.save()
        machine.set(conv.sp, self.top_of(thread.stack))
        thread.saved = machine.save()
        machine.restore(now)
        thread.frames = Frames(name=thread.name, stack=thread.stack)
        self.give_fiber(thread)
        self.sched.add(thread)

    def give_fiber(self, thread: Context) -> None:
        """A thread begins when it is switched to."""
        if self.current is self.main:
            self.main.fiber = self._here()
        assert self.main.fiber is not None
        thread.fiber = self.main.fiber.make(lambda: self._run(thread))

    def top_of(self, stack: Area) -> int:
        """The stack pointer of a thread that begins."""
        return stack.end // self.guest.conv.stack_align * self.guest.conv.stack_align

    def _run(self, thread: Context) -> None:
        """What a thread's fiber does: its function, then the next thread."""
        guest = self.guest
        word = guest.model.types["uintptr_t"]
        prototype = Prototype("", guest.model.types["void"], (word,) * 3)
        alive = False
        try:
            if thread.work:
                thread.work()
            elif self.returning is thread:
                assert thread.stack is not None
                guest.resume(guest.machine.get(guest.conv.pc) | guest.arch.thumb, self.top_of(thread.stack))
            else:
                guest.call(thread.entry, prototype, prototype.params, thread.arguments)
            report.check_stack(self, thread)
            self.end(thread)
            alive = True
        except Leave:
            alive = True
            if self.current is not thread:
                return  # to the thread that has aborted it
        except LlextError as error:
            raise type(error)(report.in_thread(error.diagnostics, thread.name)) from error
        finally:
            if not alive:
                self.current, guest.frames = self.main, self.main.frames
        self._pass_on(thread)

    def _pass_on(self, thread: Context) -> None:
        """Go on with another thread when the fiber of this one is at its end."""
        assert thread.dead
        following = None
        try:
            following = self._next()
        finally:
            if following is None:
                self.current, self.guest.frames = self.main, self.main.frames
        self._enter(following)
        assert following.fiber is not None
        following.fiber.follow()

    def end(self, thread: Context) -> None:
        """Let a thread be over, and those go on that wait for that."""
        if thread.stack is not None:
            self.guest.stacks.append(self._use(thread.name, thread.stack))
        self.agenda.cancel(thread)
        self.sched.end(thread)
        while self.wake_first(thread.address):
            pass

    def abort(self, thread: Context) -> None:
        """End a thread, wherever it is. If it is the running one, this does not return, but for an interrupt."""
        self.end(thread)
        if thread is not self.current:
            self.unwind(thread)
        elif not self.in_interrupt:
            self.leave()

    def leave(self) -> NoReturn:
        """Unwind the fiber of the running thread."""
        raise Leave

    def unwind(self, thread: Context) -> None:
        """Unwind the fiber of another thread."""
        if thread.fiber is not None:
            frames, self.guest.frames = self.guest.frames, thread.frames
            thread.fiber.unwind(Leave)
            self.guest.frames = frames

    def stack_uses(self) -> list[StackUse]:
        """Of all stacks that there are, but that of the main thread."""
        found = [self._use(thread.name, thread.stack) for thread in self.contexts if thread.stack is not None]
        if self.timers.stack is not None:
            found.append(self._use("interrupt", self.timers.stack))
        return found

    def _use(self, name: str, stack: Area) -> StackUse:
        return StackUse(name, stack.end - stack.start, stacks.used(self.guest.memory, stack))

    def state(self) -> object:
        """All of it, between two calls from outside."""
        return back.state(self)

    def put_back(self, state: Any) -> None:
        """Go back to a ``state()``; memory and registers are those of then already.

        Raises:
            UsageError: a thread was in the middle of something then that cannot be done again.
        """
        back.put_back(self, state)

    def close(self) -> None:
        """Take down all threads but the main one."""
        for thread in self.contexts:
            if thread is not self.main:
                self.sched.end(thread)
                self.unwind(thread)
        self.agenda, self.timers = Agenda(), Timers(self)

    # ---- from outside

    def settle(self) -> None:
        """Let threads run until all wait. Time does not pass."""
        self._stand_back()

    def advance(self, microseconds: int) -> None:
        """Let time pass: timers expire, sleepers wake and run.

        Raises:
            FaultError, LimitError: of whatever ran.
        """
        until = self.now + microseconds
        self.sched.pend(self.main, Wait("advance", until=until))
        self.agenda.add(self.main, until, lambda: self.sched.wake(self.main))
        self._stand_back()

    def _stand_back(self) -> None:
        """Let all other threads go before the main one, which is in no call of the extension."""
        assert self.current is self.main
        assert not self.guest.running
        priority, self.main.priority = self.main.priority, IDLE
        try:
            self._dispatch(willing=True)
        finally:
            self.agenda.cancel(self.main)
            self.main.wait, self.main.priority = None, priority


def kernel_of(guest: Guest) -> Kernel:
    """The kernel of a guest: there is one as soon as somebody asks."""
    if guest.kernel is None:
        guest.kernel = Kernel(guest)
    return guest.kernel

"""What goes wrong with threads, as diagnostics: each says which thread it is and what that waits for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from llext_tools.diag import Diagnostic, Location, number
from llext_tools.host.stacks import FILL

if TYPE_CHECKING:
    from llext_tools.host.kernel.contexts import Context
    from llext_tools.host.kernel.kernel import Kernel

GUARD = 4
"""Bytes at the end of a stack that stay as they are, as with CONFIG_STACK_SENTINEL."""


def deadlock(kernel: Kernel) -> NoReturn:
    """Raises:
    FaultError: ``run-deadlock``."""
    guest = kernel.guest
    lines: list[str] = []
    where: Location | None = None
    for thread, place, trace in places(kernel):
        where = where or place
        lines += (f"{called(thread)} {waiting(kernel, thread)}", *trace)
    count = len([thread for thread in kernel.contexts if not thread.idle])
    if count == 1:
        only = kernel.sched.threads[0]
        what = thing(kernel, only.wait.kind, only.wait.object) if only.wait and only.wait.object else ""
        message = f"{thread_of(where)} waits{f' for {what}' if what else ''} forever, and there is no other thread"
    else:
        message = f"{'both' if count == 2 else f'all {count}'} threads wait, and no timer runs that could wake one"
    cure = "a timeout instead of `K_FOREVER` lets the call return -EAGAIN"
    guest.fail("run-deadlock", message, where, detail=tuple(lines), help=cure)


def thread_of(where: Location | None) -> str:
    return f"`{where.function}`" if where and where.function else "the extension"


def places(kernel: Kernel) -> Iterable[tuple[Context, Location | None, tuple[str, ...]]]:
    """All threads, each with the place of the call in which it is and a backtrace.

    The machine's registers are those of the thread meanwhile.
    """
    guest = kernel.guest
    now, frames = guest.machine.save(), guest.frames
    for thread in [thread for thread in kernel.contexts if not thread.idle]:
        if thread is not kernel.current:
            guest.frames = thread.frames
            guest.machine.restore(thread.saved)
        else:
            guest.frames = frames
            guest.machine.restore(now)
        inside = bool(guest.frames.entries)
        yield thread, guest.where_now() if inside else None, tuple(f"  {x}" for x in guest.trace()) if inside else ()
    guest.frames = frames
    guest.machine.restore(now)


def called(thread: Context) -> str:
    return f"the thread `{thread.name}`" if thread.entry or thread.work else "the main thread"


def waiting(kernel: Kernel, thread: Context) -> str:
    """What a thread does: "waits in `k_sem_take` for the semaphore `room`, forever"."""
    if not thread.started:
        return "was not started"
    if thread.suspended:
        return "is suspended"
    if thread.wait is None:
        return "is ready to run"
    what = f" for {thing(kernel, thread.wait.kind, thread.wait.object)}" if thread.wait.object else ""
    until = thread.wait.until
    end = "forever" if until is None else f"for {(until - kernel.now) / 1000:g} ms more"
    return f"waits in `{thread.wait.call}`{what}, {end}"


def thing(kernel: Kernel, kind: str, address: int) -> str:
    """An object, by the name of its variable if that is known: "the semaphore `room`"."""
    owner = kernel.thread_at(address)
    if owner is not None:
        return f"the end of {called(owner)}"
    return f"the {kind} {kernel.guest.symbol(address) or f'at {address:#010x}'}"


def in_thread(diagnostics: tuple[Diagnostic, ...], name: str) -> tuple[Diagnostic, ...]:
    """What happened in a thread, saying so, unless it names all threads."""
    return noted(diagnostics, f"in the thread `{name}`")


def noted(diagnostics: tuple[Diagnostic, ...], note: str) -> tuple[Diagnostic, ...]:
    whole = ("run-deadlock", "run-timeout")
    return tuple(d if d.code in whole else d._replace(notes=(note, *d.notes)) for d in diagnostics)


def check_stack(kernel: Kernel, thread: Context) -> None:
    """That the running thread has kept to its stack.

    Raises:
        LimitError: ``run-stack``.
    """
    stack = thread.stack
    if stack is None:
        return
    guest = kernel.guest
    low = guest.machine.get(guest.conv.sp) < stack.start
    if low or guest.memory.peek(stack.start, GUARD) != bytes([FILL]) * GUARD:
        guest.fail(
            "run-stack",
            f"the thread `{thread.name}` overflows its stack of {stack.end - stack.start:,} bytes",
            guest.where_now(),
            notes=("found when it called the kernel: what lies in front of the stack may have been overwritten",),
            help="give it a larger one: printk() and the like need some hundred bytes of it",
        )


def overtime(kernel: Kernel) -> NoReturn:
    """Raises:
    LimitError: ``run-timeout``."""
    guest = kernel.guest
    text = f"threads waited and timers ran for {guest.limits.seconds:g} s, and nobody came to an end"
    lines = tuple(f"{called(thread)} {waiting(kernel, thread)}" for thread in kernel.contexts)
    guest.fail("run-timeout", text, guest.where_now(), detail=lines, help="wait for less, or raise `--timeout`")


def waits_in_interrupt(kernel: Kernel, call: str) -> NoReturn:
    """Raises:
    FaultError: ``run-interrupt-waits``."""
    guest = kernel.guest
    guest.fail(
        "run-interrupt-waits",
        f"{guest.caller()} calls `{call}`, which may wait, in an interrupt",
        guest.where_now(),
        help="give `K_NO_WAIT`, or wake a thread that does the work: `k_sem_give()` may be called anywhere",
    )


def too_many(kernel: Kernel, most: int) -> NoReturn:
    """Raises:
    LimitError: ``run-threads``."""
    guest = kernel.guest
    names = [thread.name for thread in kernel.contexts if thread is not kernel.main]
    guest.fail(
        "run-threads",
        f"{guest.caller()} creates more than {number(most, 'thread')}",
        guest.where_now(),
        notes=(f"the last ones are {', '.join(f'`{name}`' for name in names[-3:])}",),
        help="a thread ends when its function returns: k_thread_join() waits for that",
    )


def left(kernel: Kernel) -> list[Diagnostic]:
    """``run-threads-left``: what still needs the extension's code when the extension is taken away."""
    guest = kernel.guest
    lines = []
    for thread, _, trace in places(kernel):
        if thread is not kernel.main:
            lines += [f"{called(thread)} {waiting(kernel, thread)}", *trace]
    timers = [
        f"the timer {guest.symbol(address) or f'at {address:#010x}'} calls `{guest.name_of(function)}`"
        for address, function in kernel.timers.with_functions()
    ]
    works = [
        f"the work item {guest.symbol(address) or f'at {address:#010x}'} calls `{guest.name_of(handler)}`"
        for address, handler in (kernel.works.due() if kernel.works else ())
    ]
    threads = len([thread for thread in kernel.contexts if not thread.idle]) - 1
    counts = {"thread": threads, "timer": len(timers), "work item": len(works)}
    named = [number(count, noun) for noun, count in counts.items() if count]
    if not named:
        return []
    verb = "is" if sum(counts.values()) == 1 else "are"
    return [
        Diagnostic(
            "run-threads-left",
            f"{' and '.join(named)} {verb} left when the extension is torn down",
            severity="warning",
            location=guest.file(),
            detail=(*lines, *timers, *works),
            notes=("on the board, llext_unload() frees the code that they run",),
            help="end threads and join them, and stop timers, in a function that is called before",
        )
    ]

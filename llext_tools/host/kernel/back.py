"""Going back to a snapshot, with threads that have gone on since.

What a thread is in the middle of is on Python's stack, and gone when the thread goes on. Where it waited, in a function
of the host that its own code had called, it makes that call again: memory and registers are what they were, so that it
gets to the same place. Only the waiting itself is not begun anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llext_tools.diag import fail
from llext_tools.host.kernel.contexts import Context, values_of

if TYPE_CHECKING:
    from llext_tools.host.kernel.kernel import Kernel


def state(kernel: Kernel) -> object:
    """All that there is of a kernel outside of the target's memory."""
    threads = tuple((thread, values_of(thread)) for thread in kernel.contexts if not thread.idle)
    works = kernel.works, kernel.works.state() if kernel.works else None
    return threads, kernel.agenda.copy(), kernel.timers.state(), (kernel.area, kernel.area_used), works


def put_back(kernel: Kernel, state: Any) -> None:
    """Go back to a ``state()``.

    Raises:
        UsageError: a thread was in the middle of something then that cannot be done again.
    """
    threads, agenda, timers, own, (works, queues) = state
    moved = [thread for thread, values in threads[1:] if thread.dead or thread.runs != values["runs"]]
    stays = {thread for thread, _ in threads} - set(moved)
    for thread in kernel.contexts:
        if thread not in stays:
            kernel.sched.end(thread)
            kernel.unwind(thread)
    for thread, values in threads:
        for name, value in values.items():
            setattr(thread, name, value)
        thread.frames = values["frames"].copy()
    kernel.sched.threads = [thread for thread, _ in threads]
    kernel.main.frames = kernel.guest.frames
    kernel.current = kernel.main
    kernel.agenda.put_back(agenda)
    kernel.timers.put_back(timers)
    kernel.area, kernel.area_used = own
    kernel.works = works
    if works is not None:
        works.put_back(queues)
    for thread in moved:
        bring_back(kernel, thread)


def bring_back(kernel: Kernel, thread: Context) -> None:
    """Let a thread wait again as it did, or begin if it had not.

    Raises:
        UsageError: it was in the middle of something else.
    """
    kernel.give_fiber(thread)
    if not thread.runs:
        return
    if not thread.wait or (len(thread.frames.entries), len(thread.frames.inside)) != (1, 1):
        text = f"the snapshot has the thread `{thread.name}`, which was in the middle of something"
        fail("usage", text, help="take snapshots when threads wait: after `settle()`")
    thread.frames.inside = []
    runs, kernel.returning = thread.runs, thread
    kernel.switch(thread)
    thread.runs = runs

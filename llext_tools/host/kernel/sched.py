"""Zephyr's scheduler over threads that are only names here: who runs, who waits for what, and until when.

A thread runs until it waits, yields or ends, or until another one with a higher priority gets ready, unless it is
cooperative (its priority is negative) or has locked the scheduler. A lower number is the higher priority; of threads
with equal ones the one goes first that has been ready for longer. No time slices, as in a default configuration.
Source: Zephyr 4.2, "Kernel Services", "Scheduling" and "Threads".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

EAGAIN = 11


class Wait(NamedTuple):
    """What a thread waits for: an object (0: only for a time), by which call of which kind of object, until when."""

    call: str
    kind: str = ""  # "semaphore"
    object: int = 0
    until: int | None = None  # microseconds; None: forever

    @property
    def is_sleep(self) -> bool:
        return not self.object


@dataclass(eq=False, slots=True, kw_only=True)
class Thread:
    """A thread. ``result`` is what the call returns that it waits in; ``locks`` how often it locked the scheduler.

    ``order`` counts up whenever one gets ready or begins to wait: the lower one came first.
    """

    name: str
    address: int = 0  # of its struct k_thread
    priority: int = 0
    started: bool = False
    suspended: bool = False
    dead: bool = False
    wait: Wait | None = None
    result: int = 0
    locks: int = 0
    order: int = 0
    message: int = 0  # where the message is that it waits to hand over, or to get

    @property
    def ready(self) -> bool:
        return self.started and not (self.suspended or self.dead or self.wait)

    @property
    def cooperative(self) -> bool:
        return self.priority < 0 or self.locks > 0

    @property
    def rank(self) -> tuple[int, int]:
        """The lowest one comes first, be it for the CPU or for an object."""
        return self.priority, self.order


class Agenda:
    """What will happen when: at microseconds, things of one moment in the order in which they were entered."""

    def __init__(self) -> None:
        self._entries: dict[object, tuple[int, int, Callable[[], None]]] = {}
        self._count = count()

    def add(self, key: object, at: int, act: Callable[[], None]) -> None:
        self._entries[key] = at, next(self._count), act

    def cancel(self, key: object) -> bool:
        """Whether it was still to come."""
        return self._entries.pop(key, None) is not None

    def at(self, key: object) -> int | None:
        """When something will happen."""
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def first(self, useful: Callable[[object], bool] = bool) -> int | None:
        """When the next thing happens that is of use to somebody."""
        return min((at for key, (at, _, _) in self._entries.items() if useful(key)), default=None)

    def due(self, now: int) -> Iterator[Callable[[], None]]:
        """Take out what happens up to now, one after the other: what is done may enter and cancel."""
        while self._entries:
            key = min(self._entries, key=lambda k: self._entries[k][:2])
            at, _, act = self._entries[key]
            if at > now:
                return
            del self._entries[key]
            yield act

    def copy(self) -> dict[object, tuple[int, int, Callable[[], None]]]:
        return dict(self._entries)

    def put_back(self, entries: dict[object, tuple[int, int, Callable[[], None]]]) -> None:
        self._entries = dict(entries)


@dataclass(slots=True)
class Scheduler:
    """All threads that live, in the order in which they were created."""

    threads: list[Thread] = field(default_factory=list)
    _count: count[int] = field(default_factory=count)

    def add(self, thread: Thread) -> None:
        self.threads.append(thread)

    def start(self, thread: Thread) -> None:
        thread.started = True
        thread.wait = None
        thread.order = next(self._count)

    def end(self, thread: Thread) -> None:
        thread.dead = True
        thread.wait = None
        self.threads.remove(thread)

    def pend(self, thread: Thread, wait: Wait) -> None:
        thread.wait = wait
        thread.order = next(self._count)

    def wake(self, thread: Thread, result: int = 0) -> None:
        """End what it waits for."""
        thread.result = result
        thread.wait = None
        thread.order = next(self._count)

    def yields(self, thread: Thread) -> None:
        """Put it behind the others of its priority."""
        thread.order = next(self._count)

    def suspend(self, thread: Thread) -> None:
        thread.suspended = True

    def resume(self, thread: Thread) -> None:
        thread.suspended = False
        if not thread.wait:
            thread.order = next(self._count)

    def prioritise(self, thread: Thread, priority: int) -> None:
        """Give it a priority: among the threads that have it, it is the last one."""
        thread.priority = priority
        if not thread.wait:
            thread.order = next(self._count)

    def waiters(self, address: int) -> list[Thread]:
        """Who waits for an object, the first one first."""
        return sorted((t for t in self.threads if t.wait and t.wait.object == address), key=lambda t: t.rank)

    def next_up(self, current: Thread, *, willing: bool = False) -> Thread | None:
        """Who has the CPU next; None if nobody can run. ``willing``: the current one gives way to its equals, too."""
        ready = [thread for thread in self.threads if thread.ready]
        if current.ready and current.cooperative and not willing:
            return current
        return min(ready, key=lambda t: t.rank, default=None)

"""The same work for each of many items, by as many processes as there are cores.

Processes are forked, so that they have all that was read before and nothing but results is sent. Where that cannot be
(other systems than Linux, threads), and where the work takes no time, one process does it all.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import BinaryIO, NoReturn, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORTH = 0.15
"""Seconds of work that are left, from which on more processes are quicker than one."""
PAUSE = 0.05
"""Seconds after which a process hands on what it has done."""


def each(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``work(item)`` for each of the items, in their order; where several processes work, results are pickled."""
    start = perf_counter()
    for i, item in enumerate(items):
        spent, left = perf_counter() - start, len(items) - i
        if i == 1:
            start = perf_counter()  # the first one loads what all need
        elif i > 1 and left > 1 and spent / (i - 1) * left > WORTH and (count := workers()) > 1:
            yield from _shared(work, items[i:], min(count, left))
            return
        yield work(item)


def workers() -> int:
    """How many processes can share some work: ``LLEXT_JOBS``, or one for each core that this one may use."""
    if sys.platform != "linux" or threading.active_count() > 1:  # a fork takes no other thread along
        return 1
    wanted = os.environ.get("LLEXT_JOBS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else len(os.sched_getaffinity(0))


def _shared(work: Callable[[T], R], items: Sequence[T], count: int) -> Iterator[R]:
    """Process ``k`` of ``count`` does the items k, k + count, ...; what one leaves undone is done here."""
    sys.stdout.flush()
    sys.stderr.flush()
    processes: list[int] = []
    pipes: list[BinaryIO] = []
    # An interrupt waits until each process that was forked is known, and can be ended.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for k in range(count):
            reader, writer = os.pipe()
            process = os.fork()
            if not process:
                for pipe in pipes:
                    pipe.close()
                os.close(reader)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                _share(work, items[k::count], writer)
            processes.append(process)
            os.close(writer)
            pipes.append(open(reader, "rb"))  # noqa: SIM115 - closed below
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for i, item in enumerate(items):
            try:
                result = pickle.load(pipes[i % count])
            except (EOFError, pickle.UnpicklingError):
                result = work(item)  # the process has died, or met an error that shall be raised here
            yield result
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _share(work: Callable[[T], R], items: Sequence[T], writer: int) -> NoReturn:
    """One process's share. It ends here, without what Python does at an exit: that is for the first process to do."""
    status = 1
    try:
        sent = perf_counter()
        with open(writer, "wb") as pipe:
            for item in items:
                pickle.dump(work(item), pipe, pickle.HIGHEST_PROTOCOL)
                if perf_counter() - sent > PAUSE:  # each time wakes the first process
                    pipe.flush()
                    sent = perf_counter()
        status = 0
    finally:
        os._exit(status)

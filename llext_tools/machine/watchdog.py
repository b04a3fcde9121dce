"""A thread that ends what runs too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

AGAIN = 0.005  # seconds: the order to stop is lost if it comes before the emulator has started
NEVER = float("inf")
LOOK = 0.25  # seconds: Python sees Ctrl-C only where the emulator has come back to it


class Watchdog:
    """A thread that calls ``stop`` again and again once a deadline has passed. It starts with the first deadline.

    While something runs it calls ``pause`` from time to time: whoever runs then goes on, unless Python has a signal.

    It wakes at the deadline that there was when it went to sleep and then looks for a later one: a deadline that moves
    on, from one run to the next, wakes nobody.
    """

    def __init__(self, stop: Callable[[], None], pause: Callable[[], None]) -> None:
        self._stop, self._pause = stop, pause
        self._changed = threading.Condition()
        self._deadline = self._wakes = 0.0
        self._running = self._closed = False
        self._thread: threading.Thread | None = None

    def until(self, deadline: float) -> Watchdog:
        """To be entered while something runs that has to end at ``time.monotonic() == deadline``."""
        self._deadline = deadline
        self._running = True
        if self._thread is None:
            self._wakes = deadline
            self._thread = threading.Thread(target=self._watch, name="llext-watchdog", daemon=True)
            self._thread.start()
        elif deadline < self._wakes:
            with self._changed:
                self._changed.notify()
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        self._running = False

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                deadline = self._deadline
                left = deadline - time.monotonic()
                if left <= 0 and self._running:
                    self._stop()
                    self._changed.wait(AGAIN)
                    continue
                self._wakes = deadline if left > 0 else NEVER
                if self._deadline == deadline:  # else a run has begun that may not have seen when this wakes
                    self._changed.wait(min(left, LOOK) if left > 0 else None)
                    if self._running:
                        self._pause()

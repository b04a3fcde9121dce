"""Stacks of Python for the threads of the target: a thin layer over greenlet, loaded when there is a second thread."""

from __future__ import annotations

from collections.abc import Callable

from greenlet import getcurrent, greenlet


class Fiber:
    """A function of Python that can be left in the middle and gone on with."""

    def __init__(self, stack: greenlet) -> None:
        self._stack = stack

    @staticmethod
    def here() -> Fiber:
        """Whoever calls this."""
        return Fiber(getcurrent())

    def make(self, run: Callable[[], None]) -> Fiber:
        """A new one, which will call ``run``. What that raises is raised in this one."""
        return Fiber(greenlet(lambda *_: run(), parent=self._stack))

    def switch(self) -> None:
        """Go on with this one; returns when somebody goes on with the caller."""
        self._stack.switch()

    def follow(self) -> None:
        """Go on with this one as soon as the caller's function returns."""
        getcurrent().parent = self._stack

    def unwind(self, error: type[BaseException]) -> None:
        """Let ``error`` be raised where it was left, and return when its function has."""
        if self._stack:  # started, and not at its end
            self._stack.parent = getcurrent()
            self._stack.throw(error)

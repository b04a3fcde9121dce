"""What ends a command from outside: SIGTERM of a service or a CI runner, SIGHUP of a terminal that closes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def ends_like_ctrl_c() -> Iterator[None]:
    """Let these signals raise KeyboardInterrupt, so that a command ends its children and leaves nothing half.

    Then the signal does what it does anyway, for the caller to see; one more in the meantime cuts the ending short.
    Where it is ignored, as behind ``nohup``, it stays so. Children take over that a signal is ignored, but no handler:
    where SIGINT is ignored, as behind ``&`` in a script, they are to hear it nevertheless, for it ends them.
    """
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):  # Windows has one of them
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, end)
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            with suppress(OSError):  # a reader that has gone
                sys.stdout.flush()  # the signal ends the process, and what it has not written yet
            signal.raise_signal(came[0])

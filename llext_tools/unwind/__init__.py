"""Backtraces of emulated code: which function has called which, through extensions, the firmware and the host.

for frame in backtrace(guest):
    print(frame)            # counter_run+0x1c at counter.c:34
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from llext_tools.host.places import Frames, Places
from llext_tools.unwind.explained import explained
from llext_tools.unwind.frames import Frame, lines
from llext_tools.unwind.walk import Unwinder

__all__ = ["Frame", "Unwinder", "backtrace", "explained", "lines"]

_UNWINDERS: WeakKeyDictionary[Places, Unwinder] = WeakKeyDictionary()


def backtrace(
    guest: Places, registers: Mapping[str, int] | None = None, frames: Frames | None = None
) -> tuple[Frame, ...]:
    """The functions that have not returned, the innermost first.

    Args:
        registers: by name, those of a thread that does not run: the stack pointer, the program counter, the return
            address and those that a function restores. By default those of the machine.
        frames: of that thread.
    """
    unwinder = _UNWINDERS.get(guest)
    if unwinder is None:
        unwinder = _UNWINDERS[guest] = Unwinder(guest)
    return unwinder.backtrace(registers, frames)

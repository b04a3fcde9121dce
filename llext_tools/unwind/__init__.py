"""Backtraces of emulated code: which function has called which, through extensions, the firmware and the host.

    for frame in backtrace(guest):
        print(frame)            # counter_run+0x1c at counter.c:34

How a caller is found: ``unwind.walk``. What is told of a fault: ``unwind.explained``.
"""

from __future__ import annotations

from llext_tools.unwind.explained import explained
from llext_tools.unwind.frames import Frame, lines
from llext_tools.unwind.walk import Unwinder, backtrace

__all__ = ["Frame", "Unwinder", "backtrace", "explained", "lines"]

"""A model of Zephyr's kernel for what needs a scheduler: threads, what they wait for, timers, work, time.

``FUNCTIONS`` are functions of the host. They stand in for those of a Zephyr image, too, whose kernel nobody has booted.
"""

from __future__ import annotations

from llext_tools.host.kernel import clock, events, lists, mutexes, queues, semaphores, threads, timers, work
from llext_tools.host.kernel.kernel import Kernel, kernel_of
from llext_tools.host.kernel.table import functions

__all__ = ["FUNCTIONS", "Kernel", "kernel_of"]

MODULES = (clock, threads, semaphores, mutexes, queues, timers, work, lists, events)

FUNCTIONS = tuple(functions(row for module in MODULES for row in module.ROWS))
"""The table: a function under its own name, and under that of its system call."""

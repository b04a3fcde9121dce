"""Rows of the kernel's functions, and what becomes of them: the table that extensions can call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from llext_tools.c.types import Value
from llext_tools.host.function import HostFunction
from llext_tools.link.exports import IMPLEMENTATION

SYSCALL = True
"""For ``Row.syscall``: Zephyr makes it a system call. What is compiled in its tree calls ``z_impl_`` of it."""


class Row(NamedTuple):
    """A C prototype, what it does, and whether it has a second name."""

    prototype: str
    body: Callable[..., Value]
    syscall: bool = False


def functions(rows: Iterable[Row]) -> Iterator[HostFunction]:
    """The functions of the rows under all their names."""
    for prototype, body, syscall in rows:
        name = prototype.split("(")[0].split()[-1].lstrip("*")
        yield HostFunction(name, prototype, body)
        if syscall:
            other = f"{IMPLEMENTATION}{name}"
            yield HostFunction(other, prototype.replace(f"{name}(", f"{other}(", 1), body)

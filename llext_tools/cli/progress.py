"""A line on a terminal that says how far a long command is. In a pipe, and for the first half second, there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

PATIENCE, PAUSE = 0.5, 0.1
"""Seconds until the line appears, and between two states of it."""


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The same items; the line says how many of ``total`` have come."""
    stream = sys.stderr
    if total < 2 or not stream.isatty():
        yield from items
        return
    next_time, shown = perf_counter() + PATIENCE, False
    try:
        for n, item in enumerate(items, 1):
            if (now := perf_counter()) >= next_time:
                print(f"\r{n:,} of {total:,} {what}", end="", file=stream, flush=True)
                next_time, shown = now + PAUSE, True
            yield item
    finally:
        if shown:
            print("\r\x1b[K", end="", file=stream, flush=True)

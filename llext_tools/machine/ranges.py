"""Ranges of addresses, each as its start and its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def outside(mapped: Iterable[tuple[int, int]], allowed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of ``mapped`` is in none of the ranges ``allowed``; both in order, and without overlaps."""
    found = []
    for low, high in mapped:
        at = low
        for start, end in allowed:
            if at < min(start, high) and end > low:
                found.append((at, min(start, high)))
            if end > low and start < high:
                at = max(at, end)
        if at < high:
            found.append((at, high))
    return found


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        low, high = found.pop() if found and start <= found[-1][1] else (start, end)
        found.append((low, max(high, end)))
    return found

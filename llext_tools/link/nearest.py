"""Which of many names somebody may have meant: by the number of letters that differ, by case, by the order of words.

All names are compared at once by how often they have each letter, which no name that is near can differ in by much; the
few that are left are compared letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

SHOWN = 3
FEWEST = 3
"""Letters of a name that can be a slip of another one."""


class Names:
    """Names to be searched."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._folded: dict[str, list[str]] = {}
        self._words: dict[str, list[str]] = {}
        for name in self.names:
            self._folded.setdefault(_fold(name), []).append(name)
            self._words.setdefault(_sorted_words(name), []).append(name)
        self._letters = np.array([_letters(folded) for folded in self._folded], np.int16).reshape(-1, LETTERS)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Those that ``name`` may be a slip of, at most ``SHOWN``: the nearest ones, if they are near."""
        folded = _fold(name)
        if len(folded) < FEWEST:
            return ()
        for known in (self._folded.get(folded), self._words.get(_sorted_words(name))):
            if known:
                return tuple(known[:SHOWN])
        limit = 1 if len(folded) < 8 else 2 if len(folded) < 16 else 3
        difference = self._letters - _letters(folded)
        least = np.maximum(difference.clip(0).sum(1), -difference.clip(None, 0).sum(1))
        candidates = list(self._folded)
        found: list[str] = []
        for i in np.flatnonzero(least <= limit).tolist():
            distance = slips(folded, candidates[i], limit)
            if distance < limit:
                limit, found = distance, []
            if distance == limit:
                found += self._folded[candidates[i]]
        return tuple(found[:SHOWN])


LETTERS = 64


def _letters(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How often each letter is there, some of them counted as one: int64[64]."""
    return np.bincount(np.frombuffer(name.encode(), np.uint8) & (LETTERS - 1), minlength=LETTERS)


def _fold(name: str) -> str:
    return name.lower().lstrip("_")


def _sorted_words(name: str) -> str:
    return "_".join(sorted(_fold(name).split("_")))


def slips(a: str, b: str, limit: int) -> int:
    """Letters to insert, delete, replace or exchange with the next one to make ``b`` of ``a``; ``limit`` + 1 at most.

    This is the optimal string alignment distance.
    """
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before, row = list(range(len(b) + 1)), list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)

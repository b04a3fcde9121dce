"""One frame of a backtrace, and how a person sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from llext_tools.diag import number

Kind = Literal["extension", "firmware", "host"]
MOST = 1000
"""Frames of one backtrace."""
CIRCLE = 4
"""Functions that call each other in turn: so many at most are recognised as recursion."""
SHOWN = 12
"""Lines of a backtrace in a message; what lies between the inner and the outer ones is counted."""


class Frame(NamedTuple):
    """A function that has not returned.

    ``pc`` is the instruction that runs next there: of a caller, that behind its call. ``place`` is the instruction at
    work: the call itself. ``offset`` is that of the place in the function or, where none is known, in ``section``.
    """

    pc: int
    place: int
    function: str
    offset: int
    kind: Kind
    file: str = ""  # the title of the extension or firmware
    section: str = ""
    source: str = ""
    line: int | None = None
    guessed: bool = False  # found without call frame information: it may have returned
    inlined: bool = False  # into the next frame, which has the same place
    tail: bool = False  # has ended with a jump to what is further in: only its caller tells of it

    @property
    def name(self) -> str:
        """``counter_run+0x1c``, ``qsort (host)``, ``.text+0x40``."""
        if self.kind == "host":
            return f"{self.function} (host)"
        if self.inlined or self.tail:
            return f"{self.function} ({'inlined' if self.inlined else 'ended by a jump'})"
        name = self.function or self.section or f"{self.place:#010x}"
        return f"{name}+{self.offset:#x}" if self.offset and (self.function or self.section) else name

    def __str__(self) -> str:
        text = self.name
        if self.line is not None:
            text += f" at {os.path.basename(self.source)}:{self.line}"
        elif self.kind == "firmware":
            text += f" in {self.file}"
        return f"{text} (a guess)" if self.guessed else text

    def to_json(self) -> dict[str, Any]:
        """Without what is not known."""
        if self.kind == "host":
            return {"function": self.function, "kind": self.kind}
        found = {"pc": self.pc, "function": self.function, "offset": self.offset, "kind": self.kind}
        more = {"file": self.file, "section": self.section, "source": self.source, "line": self.line}
        flags = {"guessed": self.guessed, "inlined": self.inlined, "tail": self.tail}
        return found | {name: value for name, value in (more | flags).items() if value}


def lines(frames: Sequence[Frame], most: int = SHOWN) -> tuple[str, ...]:
    """A backtrace as lines for a message: a frame that repeats is counted, and the middle of a long one left out."""
    found = list(_counted(frames))
    if len(found) > most:
        outer = most // 3
        middle = slice(most - outer - 1, len(found) - outer)
        found[middle] = [(0, f"... {number(sum(count for count, _ in found[middle]), 'more frame')}")]
    return (*(text for _, text in found), *(["... and more"] if len(frames) >= MOST else []))


def _counted(frames: Sequence[Frame]) -> Iterator[tuple[int, str]]:
    """How many frames, and ``#0 f+0x8 at f.c:3``; functions that call each other in a circle are shown once."""
    texts = [str(frame) for frame in frames]
    i = 0
    while i < len(texts):
        period, times = max(((p, _times(texts, i, p)) for p in range(1, CIRCLE + 1)), key=lambda x: (x[1] > 2, -x[0]))
        if times < 3:
            yield 1, f"#{i} {texts[i]}"
            i += 1
        elif period == 1:
            yield times, f"#{i} to #{i + times - 1} {texts[i]}"
            i += times
        else:
            yield from ((1, f"#{k} {texts[k]}") for k in range(i, i + period))
            yield period * (times - 1), f"... the same {period} frames {times - 1} times more"
            i += period * times


def _times(texts: Sequence[str], start: int, period: int) -> int:
    """How often the texts from ``start`` on repeat themselves."""
    times = 1
    while texts[start : start + period] == texts[start + times * period : start + (times + 1) * period]:
        times += 1
    return times

"""Instructions by function, and the tree of calls as a file for speedscope (https://www.speedscope.app).

Source: speedscope's file format, schema ``https://www.speedscope.app/file-format-schema.json``: a profile of the type
``evented`` opens and closes frames at values that do not decrease. The values are instructions here. Calls of one
function by the same caller are put together, so that the file is as large as the tree, however long the run was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from llext_tools.measure.calls import Node

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class Frame(NamedTuple):
    """A function, with the place where it is declared, if that is known. A host's function has none."""

    name: str
    file: str = ""
    line: int = 0


class Step(NamedTuple):
    """A way down the tree of calls: ``depth`` 0 is called by the host. ``own`` instructions, over all ``calls``."""

    depth: int
    frame: Frame
    own: int
    calls: int


class FunctionProfile(NamedTuple):
    """All calls of a function: instructions in itself, and with what it calls (recursion counts once)."""

    name: str
    own: int
    total: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadProfile:
    """``steps``: the tree of calls, each function in front of what it calls."""

    name: str
    steps: tuple[Step, ...]

    @property
    def instructions(self) -> int:
        return sum(step.own for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    threads: tuple[ThreadProfile, ...]

    @property
    def instructions(self) -> int:
        return sum(thread.instructions for thread in self.threads)

    @property
    def functions(self) -> tuple[FunctionProfile, ...]:
        """The most instructions of its own first."""
        own: Counter[Frame] = Counter()
        total: Counter[Frame] = Counter()
        calls: Counter[Frame] = Counter()
        for thread in self.threads:
            for step, below, outer in _with_totals(thread.steps):
                frame = step.frame
                own[frame] += step.own
                calls[frame] += step.calls
                total[frame] += below if frame not in outer else 0
        rows = (FunctionProfile(frame.name, own[frame], total[frame], calls[frame]) for frame in own)
        return tuple(sorted(rows, key=lambda row: (-row.own, -row.total, row.name)))


def _with_totals(steps: tuple[Step, ...]) -> Iterator[tuple[Step, int, frozenset[Frame]]]:
    """Each step with the instructions of all from it down, and the functions above it."""
    totals = [step.own for step in steps]
    open_steps: list[int] = []
    parents = []
    for i, step in enumerate(steps):
        del open_steps[step.depth :]
        parents.append(open_steps[-1] if open_steps else -1)
        open_steps.append(i)
    for i in reversed(range(len(steps))):
        if parents[i] >= 0:
            totals[parents[i]] += totals[i]
    above: list[frozenset[Frame]] = []
    for i, step in enumerate(steps):
        del above[step.depth :]
        outer = above[-1] if above else frozenset()
        yield step, totals[i], outer
        above.append(outer if step.frame in outer else outer | {step.frame})


def profile(stacks: Iterable[tuple[str, Node]], places: Mapping[int, tuple[str, int]]) -> Profile:
    """The profile of threads by their trees of calls.

    Args:
        places: start of a function -> file and line.
    """
    threads = []
    for name, root in stacks:
        steps = []
        below = [(0, child) for child in reversed(root.children.values())]
        while below:
            depth, node = below.pop()
            frame = Frame(node.function.in_source, *places.get(node.function.start, ("", 0)))
            steps.append(Step(depth, frame, node.own, node.calls))
            below += [(depth + 1, child) for child in reversed(node.children.values())]
        threads.append(ThreadProfile(name=name, steps=tuple(steps)))
    return Profile(threads=tuple(thread for thread in threads if thread.steps))


def to_speedscope(profile: Profile, name: str, exporter: str) -> str:
    """The file's contents, JSON.

    Args:
        name: of the whole.
        exporter: who wrote it.
    """
    index: dict[Frame, int] = {}
    profiles: list[dict[str, Any]] = []
    for thread in profile.threads:
        events: list[dict[str, Any]] = []
        at = 0
        open_frames: list[int] = []
        for step in thread.steps:
            _close(events, open_frames, step.depth, at)
            frame = index.setdefault(step.frame, len(index))
            events.append({"type": "O", "frame": frame, "at": at})
            open_frames.append(frame)
            at += step.own
        _close(events, open_frames, 0, at)
        profiles.append(
            {"type": "evented", "name": thread.name, "unit": "none", "startValue": 0, "endValue": at, "events": events}
        )
    frames = [
        {"name": frame.name} | ({"file": frame.file, "line": frame.line} if frame.file else {}) for frame in index
    ]
    document = {
        "$schema": SCHEMA,
        "name": name,
        "exporter": exporter,
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": profiles,
    }
    return json.dumps(document, indent=1) + "\n"


def _close(events: list[dict[str, Any]], open_frames: list[int], depth: int, at: int) -> None:
    while len(open_frames) > depth:
        events.append({"type": "C", "frame": open_frames.pop(), "at": at})


def table(profile: Profile, most: int = 20) -> list[str]:
    """The functions with the most instructions of their own, as lines of a table."""
    rows = profile.functions
    shown = [("instructions", "with calls", "calls", "function")]
    shown += [(f"{r.own:,}", f"{r.total:,}", f"{r.calls:,}", r.name) for r in rows[:most]]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    lines = [
        "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in shown
    ]
    if len(rows) > most:
        lines.append(f"... and {len(rows) - most} more")
    return lines

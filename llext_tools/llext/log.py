"""The loader's log: lines with the levels of Zephyr's logging subsystem, in our words but with the board's figures."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """CONFIG_LLEXT_LOG_LEVEL."""

    OFF = 0
    ERR = 1
    WRN = 2
    INF = 3
    DBG = 4


class Line(NamedTuple):
    """One line of the log."""

    level: Level
    text: str

    def __str__(self) -> str:
        return f"<{self.level.name.lower()}> llext: {self.text}"


class Log:
    """Collects lines up to a level, and hands each to ``sink`` as it comes."""

    def __init__(self, level: Level = Level.WRN, sink: Callable[[Line], None] | None = None) -> None:
        self.level = level
        self.lines: list[Line] = []
        self._sink = sink

    @property
    def inf(self) -> bool:
        """Whether anyone wants lines of level INF: who makes many should ask first."""
        return self.level >= Level.INF

    @property
    def dbg(self) -> bool:
        return self.level >= Level.DBG

    def __call__(self, level: Level, text: str) -> None:
        if level <= self.level:
            line = Line(level, text)
            self.lines.append(line)
            if self._sink:
                self._sink(line)

"""The loader's log: its lines, in our words but with the board's figures, order and levels.

A line is a template and its values; it is put together only if somebody wants it. ``arch_elf_relocate()`` logs as the
module ``elf``, everything else as ``llext``.

Loaders until Zephyr 4.1 log imports and relocations at level INF, later ones at DBG. Here they are INF, so that there
is a level between nothing and everything.
Source: Zephyr, the LOG_* lines of ``subsys/llext/*.c`` and ``arch/*/core/elf.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

ERRNO = {
    "ENOENT": 2, "EIO": 5, "ENOEXEC": 8, "ENOMEM": 12, "EFAULT": 14, "EBUSY": 16, "EEXIST": 17, "EINVAL": 22,
    "ENODATA": 61, "ENOSYS": 88, "ENOTSUP": 134,
}  # fmt: skip
"""The numbers of picolibc, Zephyr's default C library. Of these Linux has others for ENOSYS and ENOTSUP."""


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
    module: str = "llext"

    def __str__(self) -> str:
        return f"<{self.level.name.lower()}> {self.module}: {self.text}"


class Log:
    """Collects lines up to a level, and hands each to ``sink`` as it comes.

    ``inf`` and ``dbg`` say whether anyone wants lines of that level: who makes many should ask first.
    """

    def __init__(self, level: Level = Level.WRN, sink: Callable[[Line], None] | None = None) -> None:
        self.level = level
        self.inf, self.dbg = level >= Level.INF, level >= Level.DBG
        self.lines: list[Line] = []
        self._sink = sink

    def __call__(self, level: Level, template: str, *values: object) -> None:
        """A line of the loader itself: ``template.format(*values)``, or the text as it is without values."""
        if level <= self.level:
            self.add(Line(level, template.format(*values) if values else template))

    def add(self, *lines: Line) -> None:
        """Lines that are complete."""
        for line in lines:
            if line.level <= self.level:
                self.lines.append(line)
                if self._sink:
                    self._sink(line)


def ret(errno: str) -> str:
    """What a function returned, as number and name: ``-8 (ENOEXEC)``."""
    return f"-{ERRNO[errno]} ({errno})" if errno in ERRNO else f"-{errno}"

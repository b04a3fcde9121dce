"""The name of a job, which its folders in ``build`` and ``dist`` have, and that of an installed extension:

    <target>-<toolchain>[-<firmware>]          cortex-m4-gcc, rv32imac-zig-v1.2
    [<distribution>:]<extension>[@<job>]       blink, my-extensions:blink, blink@cortex-m4-gcc

Names of targets and of firmwares may have hyphens. That of a toolchain has none, and no target has it as one of its
words: so the first word that is the name of a toolchain divides the others.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

ToolchainName = Literal["gcc", "zig"]
TOOLCHAINS: tuple[ToolchainName, ...] = get_args(ToolchainName)
NAME = re.compile(rf"(.+?)-({'|'.join(TOOLCHAINS)})(?:-(.+))?")

EXTENSION = re.compile(r"(?:([\w.-]{2,}):)?(\w[\w-]*)(?:@([^/\\]*))?")
"""A distribution has at least two letters: ``C:`` is a drive of Windows."""


class Which(NamedTuple):
    """Which of several builds is meant; "" leaves it open."""

    target: str = ""
    toolchain: str = ""
    firmware: str = ""


OPEN = Which()


class Named(NamedTuple):
    """The parts of an installed extension's name."""

    distribution: str  # "" if it is not said
    extension: str
    job: str | None  # or a target alone; None if it is not said


def job_name(target: str, toolchain: str, firmware: str = "") -> str:
    """The name of a job; what is not known ("") is left out."""
    return "-".join(filter(None, (target, toolchain, firmware)))


def parts(job: str) -> Which:
    """``cortex-m4``, ``gcc`` and ``v2`` of ``cortex-m4-gcc-v2``; nothing of another name, such as a preset's."""
    found = NAME.fullmatch(job)
    return Which(*found.groups("")) if found else OPEN


def belongs(job: str, beginning: str) -> bool:
    """Whether a job's name is this one, or has more words behind. Target and toolchain need not be ours."""
    return f"{job}-".startswith(f"{beginning}-")


def named(word: str) -> Named | None:
    """The parts of an installed extension's name; None of what cannot be one, such as a path."""
    found = EXTENSION.fullmatch(word)
    return Named(found[1] or "", found[2], found[3]) if found else None

"""The name of a job, of its folders in ``build`` and ``dist``, and behind the ``@`` of an installed extension:

    <target>-<toolchain>[-<firmware>]       cortex-m4-gcc, rv32imac-zig-v1.2

Names of targets and of firmwares may have hyphens. That of a toolchain has none, and no target has it as one of its
words: so the first word that is the name of a toolchain divides the others.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

ToolchainName = Literal["gcc", "zig"]
TOOLCHAINS: tuple[ToolchainName, ...] = get_args(ToolchainName)
NAME = re.compile(rf"(.+?)-({'|'.join(TOOLCHAINS)})(?:-(.+))?")


class Which(NamedTuple):
    """Which of several builds is meant; "" leaves it open."""

    target: str = ""
    toolchain: str = ""
    firmware: str = ""


OPEN = Which()


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

"""The cache of CMake: what a build folder is for, and what a preset is configured with where it says nothing itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from llext_tools import quote

PACKAGES = frozenset({"site-packages", "dist-packages"})
"""Where Python puts packages, with headers of the toolchain: a virtual environment may lie in a project."""


class Tree(NamedTuple):
    """What a build folder is for, and the compiler."""

    target: str
    toolchain: str
    program: str


def tree(build: Path) -> Tree | None:
    """What a configured folder is for; None if that was done without our toolchain file."""
    try:
        text = (build / "CMakeCache.txt").read_text(encoding="utf-8", errors="replace")
        cache = dict(re.findall(r"^(LLEXT_TARGET|LLEXT_TOOLCHAIN):\w+=(.*)$", text, re.MULTILINE))
        target, wanted = cache["LLEXT_TARGET"], cache["LLEXT_TOOLCHAIN"]
        answer = (build / "CMakeFiles" / "llext" / f"{target}-{wanted}.cmake").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, KeyError):
        return None
    found = re.search(r'LLEXT_TOOLCHAIN_FOUND "?(\w+)', answer)
    program = re.search(r'LLEXT_TOOLCHAIN_PROGRAM "(.*)"', answer)
    return Tree(target, found[1] if found else wanted, program[1] if program else "")


def moved_from(build: Path) -> str:
    """The path that a build folder was configured with, where that is another folder now; "" if it is this one."""
    with suppress(OSError):
        text = (build / "CMakeCache.txt").read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"^CMAKE_CACHEFILE_DIR:INTERNAL=(.+)$", text, re.MULTILINE):
            there = os.path.isdir(found[1]) and os.path.samefile(found[1], build)
            return "" if there else found[1]
    return ""


def is_own(source: Path, tops: Iterable[Path], build: Path) -> bool:
    """Whether a file is one that somebody writes for the project."""
    own = any(map(source.is_relative_to, tops)) and not source.is_relative_to(build)
    return own and PACKAGES.isdisjoint(source.parts)


def initial_cache(words: Iterable[str]) -> str:
    """A script for ``cmake -C`` that sets ``NAME=VALUE`` or ``NAME:TYPE=VALUE``; variables of a preset go before it."""
    last = {variable(word): word for word in words}
    lines = []
    for name, word in last.items():
        given, _, value = word.partition("=")
        kind = given.partition(":")[2].replace("UNINITIALIZED", "") or "STRING"
        lines.append(f'set({name} {quote.cmake(value)} CACHE {kind} "")')
    return "\n".join(lines) + "\n"


def variable(word: str) -> str:
    """The name in ``NAME=VALUE`` or ``NAME:TYPE=VALUE``."""
    return word.partition("=")[0].partition(":")[0]

"""What an extension is compiled from, as Ninja and make know it: all files that a compiler has read, macros included.

The build graph says which objects an extension is made of, those of libraries included; compilers have written down for
each object which files they have read, into the log of Ninja or, for make, beside the object (``hello.c.obj.d``).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llext_tools.artifact import DEBUG_SUFFIX
from llext_tools.build.output import declared

RULE = re.compile(r"^(\S(?:[^\\:\n]|\\.)*): +(\S.*)$", re.MULTILINE)


def compiled(build: Path, extension: Path) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Each object of an extension, with the files that it is compiled from; none where nobody can tell."""
    with suppress(OSError, ValueError):
        found = _of_ninja(build, extension) if (build / "build.ninja").is_file() else _of_make(build, extension)
        for name, sources in found:
            yield build / name, tuple(build / each for each in sources)


def inputs(build: Path, extension: Path) -> set[Path]:
    """The files that an extension is made of, and those that it is checked with; none where nobody can tell."""
    with suppress(OSError, ValueError):
        ninja = (build / "build.ninja").is_file()
        return {build / name for name in (_ask_ninja(build, extension)[1] if ninja else _needed(build, extension))}
    return set()


def _of_ninja(build: Path, extension: Path) -> Iterator[tuple[str, list[str]]]:
    ask, objects = _ask_ninja(build, extension)
    for entry in "\n".join(_lines([*ask, "deps"])).split("\n\n") if objects else ():
        head, *sources = entry.strip("\n").split("\n")
        if (name := head.rpartition(": #deps ")[0]) in objects:
            yield name, [line.strip() for line in sources]


def _ask_ninja(build: Path, extension: Path) -> tuple[list[str], set[str]]:
    """A command that asks about the graph with the extension, and all files that this is made of there."""
    cache = (build / "CMakeCache.txt").read_text(encoding="utf-8", errors="replace")
    program = re.search(r"^CMAKE_MAKE_PROGRAM:\w+=(.+)$", cache, re.MULTILINE)
    for graph in sorted(build.glob("build-*.ninja")) or [build / "build.ninja"]:  # one for each configuration
        # -n: its log is only read
        ask = [program[1] if program else "ninja", "-C", str(build), "-n", "-f", graph.name, "-t"]
        if found := _lines([*ask, "inputs", _named(build, extension)]):
            return ask, {word for line in found for word in shlex.split(line)}
    return [], set()


def _lines(command: list[str]) -> list[str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return os.fsdecode(done.stdout).splitlines() if done.returncode == 0 else []


def _of_make(build: Path, extension: Path) -> Iterator[tuple[str, list[str]]]:
    for name in _needed(build, extension):
        with suppress(OSError):
            text = (build / f"{name}.d").read_text(encoding="utf-8", errors="surrogateescape").replace("\\\n", " ")
            if found := RULE.search(text):
                yield name, [_plain(word) for word in re.split(r"(?<!\\)\s+", found[2]) if word]


def _needed(build: Path, extension: Path) -> Iterator[str]:
    """All files that an extension is made of by the rules that CMake has written for make, its debug file first."""
    rules: dict[str, list[str]] = {}
    for path in build.glob("**/CMakeFiles/*.dir/build.make"):
        for name, needed in RULE.findall(path.read_text(encoding="utf-8", errors="surrogateescape")):
            rules.setdefault(_plain(name), []).append(_plain(needed))
    debug = [beside[0].name for each, beside in declared(build).items() if beside and each.resolve() == extension]
    first = extension.with_name(debug[0]) if debug else extension.with_suffix(DEBUG_SUFFIX)
    left, seen = [_named(build, first)], set[str]()
    while left:
        if (name := left.pop()) not in seen:
            seen.add(name)
            left += rules.get(name, ())
            yield name


def _named(build: Path, path: Path) -> str:
    """As CMake names a file in what it generates."""
    return os.path.relpath(path, build) if path.is_relative_to(build) else str(path)


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word).replace("$$", "$")

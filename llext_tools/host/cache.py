"""What was found out about files, kept between calls of the command line.

An entry goes by the hash of all that its file contains, and of the code that reads it: it is never stale, because
another content has another name. Builds run many calls at once. Each writes an entry whole beside its place and renames
it; of two that add to one entry the later one wins, and what the other one knew is found out again. Entries begin with
a checksum. A cache that cannot be read or written is not used, without a word: it only saves time.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from contextlib import suppress
from typing import Any

from llext_tools import __version__
from llext_tools.paths import cache_dir

READERS = ("abi", "arch", "elf", "host", "link")
"""The parts of llext-tools that decide what an entry says."""

KEPT = 32
"""Entries: beyond that those go that were not used for longest."""

ABANDONED = 3600  # seconds after which a file that was to be renamed belongs to a call that died


def key_of(data: bytes, form: str = "") -> str:
    """The name of the entry for a file that contains ``data``; ``form`` says how it is read, if that is not in it."""
    whole = hashlib.sha256(repr((form, _code())).encode())
    whole.update(data)
    return whole.hexdigest()


@functools.cache
def _code() -> tuple[object, ...]:
    """The version of llext-tools, and the state of its files, for in a checkout the version says little."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    state: list[tuple[str, int, int]] = []
    folders = [os.path.join(package, part) for part in READERS]
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as found:
            for file in found:
                if file.is_dir():
                    folders.append(file.path)
                elif file.name.endswith(".py"):
                    state.append((file.path, file.stat().st_mtime_ns, file.stat().st_size))
    return __version__, *sorted(state)


def load(key: str) -> Any:
    """What is known, None if nothing is."""
    path = _path(key)
    try:
        with open(path, "rb") as file:
            checksum, _, text = file.read().partition(b"\n")
        if _checksum(text) != checksum:
            return None
        with suppress(OSError):
            os.utime(path)  # used just now
        return json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None


def store(key: str, content: object) -> None:
    """Keep what is known: ``content`` is made of what JSON has."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True).encode()
    path = _path(key)
    beside = f"{path}.{os.getpid()}.{time.monotonic_ns()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(beside, "xb") as file:
                file.write(_checksum(text) + b"\n" + text)
            os.replace(beside, path)
        except OSError:
            with suppress(OSError):
                os.unlink(beside)
            return
        _forget()
    except OSError:
        pass


def _forget() -> None:
    """Remove the entries that were not used for longest, and what calls left behind that died."""
    now = time.time()
    with os.scandir(_folder()) as found:
        files = [(file.stat().st_mtime, file.path) for file in found if file.name.endswith((".json", ".tmp"))]
    entries = sorted((file for file in files if file[1].endswith(".json")), reverse=True)
    dead = [file for file in files if file[1].endswith(".tmp") and file[0] < now - ABANDONED]
    for _, path in (*entries[KEPT:], *dead):
        with suppress(OSError):
            os.unlink(path)


def _folder() -> str:
    return os.path.join(cache_dir(), "firmware")


def _path(key: str) -> str:
    return os.path.join(_folder(), f"{key}.json")


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()

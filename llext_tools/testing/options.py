"""What a test runs an extension on, and the extensions and the setup that come of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from llext_tools import profile as profiles
from llext_tools.artifact import DEBUG_SUFFIX, manifest_path
from llext_tools.host import limits
from llext_tools.host.devices import parse_mmio
from llext_tools.host.limits import Limits
from llext_tools.link.image import Image
from llext_tools.run import Setup
from llext_tools.run.linked import linked as link_files

USUAL = Limits()
RANGES: dict[str, tuple[float, float]] = {
    "seconds": (0.001, limits.LONGEST),
    "instructions": (0, 1 << 62),
    "threads": (1, 4096),
    "depth": (1, 1024),
    **limits.SIZES,
}
"""The least and the most of each limit."""
SEVERAL = ("firmware", "exports", "extensions", "mmio", "init")


class Options(NamedTuple):
    """``firmware``: images whose code runs; ``exports``: further tables, or images; ``extensions`` are loaded before.

    ``mmio`` declares devices as ``llext run`` does; ``init`` names functions of the firmware to call first.
    The rest are the ``Limits``: ``seconds`` and ``instructions`` are those of one call from outside.
    """

    path: str
    target: str = ""
    firmware: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    mmio: tuple[str, ...] = ()
    init: tuple[str, ...] = ()
    at: int | None = None
    profile: str = profiles.DEFAULT
    seconds: float = USUAL.seconds
    instructions: int = USUAL.instructions
    output: int = USUAL.output
    memory: int = USUAL.memory
    stack: int = USUAL.stack
    heap: int = USUAL.heap
    threads: int = USUAL.threads
    depth: int = USUAL.depth

    @property
    def stamp(self) -> tuple[object, ...]:
        """What tells whether a file has changed since."""
        files = (self.path, *self.firmware, *self.exports, *self.extensions)
        beside = (*map(_debug_file, files), *map(manifest_path, files))
        found = [os.stat(path) for path in (*files, *beside) if os.path.exists(path)]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)


def options(path: str | os.PathLike[str], **given: Any) -> Options:
    """Options from what a person writes: one file or several, as text or paths.

    Raises:
        TypeError: there is no such option, or it is of another type. ValueError: a limit cannot be.
    """
    unknown = given.keys() - set(Options._fields[1:])
    if unknown:
        raise TypeError(f"there is no option `{min(unknown)}`: the options are {', '.join(Options._fields[1:])}")
    known = {key: value for key, value in given.items() if value is not None}
    for key, kind, what in (("target", str, "a text"), ("profile", str, "a text"), ("at", int, "an address")):
        if not isinstance(known.get(key, kind()), kind):
            raise TypeError(f"`{key}` is {what}, not {known[key]!r}")
    known |= {key: _texts(key, known[key]) for key in SEVERAL if key in known}
    known |= {key: _limit(key, known[key]) for key in RANGES.keys() & known.keys()}
    return Options(os.path.abspath(path), **known)


def _limit(name: str, value: Any) -> Any:
    """A limit that is given."""
    if isinstance(value, bool) or not isinstance(value, int | float if name == "seconds" else int):
        raise TypeError(f"`{name}` is a number, not {value!r}")
    least, most = RANGES[name]
    if not least <= value <= most:
        raise ValueError(f"`{name}={value}` cannot be: give {least:,} to {most:,}")
    return limits.size(name, value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    one = isinstance(value, str | os.PathLike) or not isinstance(value, Iterable)
    values = [value] if one else list(value)
    if not all(isinstance(each, str | os.PathLike) for each in values):
        raise TypeError(f"`{name}` is one text or path, or several, not {value!r}")
    return tuple(os.fspath(each) for each in values if each)


def linked(given: Options) -> tuple[tuple[Image, ...], Setup]:
    """The extensions at their addresses, in the order of loading, and what they run on.

    Raises:
        LlextError: there is nothing to run.
    """
    images, target, exports, firmware = link_files(
        [*given.extensions, given.path],
        target=given.target,
        firmware=given.firmware,
        exports=given.exports,
        stub_missing=True,  # the test can say what is there
        at=given.at,
        profile=given.profile,
    )
    mmio = tuple(parse_mmio(text, target.bits) for text in given.mmio)
    bounds = Limits(**{name: getattr(given, name) for name in Limits._fields})
    return images, Setup(target, exports, firmware, mmio=mmio, init=given.init, limits=bounds)


def _debug_file(path: str) -> str:
    return os.path.splitext(path)[0] + DEBUG_SUFFIX

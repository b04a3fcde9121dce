"""What a test runs an extension on, and the extensions and the setup that come of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.base import Target
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin
from llext_tools.host.devices import parse_mmio
from llext_tools.link.exports import Export, ExportTable
from llext_tools.link.image import Image
from llext_tools.run import Limits, Setup, load
from llext_tools.run.sources import read_sources

MISSING_FROM = 0x8000
"""Bytes from the start of the built-in host to what it does not have."""


class Options(NamedTuple):
    """``firmware``: images whose code runs; ``exports``: further tables, or images; ``extensions`` are loaded before.

    ``mmio`` declares devices as ``llext run`` does; ``init`` names functions of the firmware to call first.
    ``seconds`` are the limit of one call from outside.
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
    seconds: float = Limits().seconds

    @property
    def stamp(self) -> tuple[object, ...]:
        """What tells whether a file has changed since."""
        files = (self.path, *self.firmware, *self.exports, *self.extensions)
        found = [os.stat(path) for path in (*files, *map(_debug_file, files)) if os.path.exists(path)]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)


def options(path: str | os.PathLike[str], **given: Any) -> Options:
    """Options from what a person writes: one file or several, as text or paths.

    Raises:
        TypeError: there is no such option.
    """
    unknown = given.keys() - set(Options._fields[1:])
    if unknown:
        raise TypeError(f"there is no option `{min(unknown)}`: the options are {', '.join(Options._fields[1:])}")
    known = {key: value for key, value in given.items() if value is not None}
    known |= {key: _paths(known[key]) for key in ("firmware", "exports", "extensions", "mmio", "init") if key in known}
    return Options(os.path.abspath(path), **known)


def _paths(value: Any) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str | os.PathLike) else value
    return tuple(os.fspath(path) for path in values if path)


def linked(given: Options) -> tuple[tuple[Image, ...], Setup]:
    """The extensions at their addresses, in the order of loading, and what they run on.

    Raises:
        LlextError: there is nothing to run.
    """
    objects, target, exports, firmware = read_sources(
        [*given.extensions, given.path], target=given.target, firmware=given.firmware, exports=given.exports
    )
    exports = exports if exports is not None else _with_missing(target, objects)
    images = load(objects, target, exports=exports, firmware=firmware, at=given.at, profile=given.profile)
    mmio = tuple(parse_mmio(text, target.bits) for text in given.mmio)
    limits = Limits(seconds=given.seconds)
    return images, Setup(target, exports, firmware, mmio=mmio, init=given.init, limits=limits)


def _with_missing(target: Target, objects: Sequence[ElfObject]) -> ExportTable:
    """The built-in host, with an address for all that it does not have, so that a test can say what is there."""
    arch = archs.load(target.arch)
    host = builtin.exports(arch)
    defined = {name for obj in objects for name in _names(obj, elf.STB_GLOBAL, elf.STB_WEAK, defined=True)}
    wanted = [name for obj in objects for name in _names(obj, elf.STB_GLOBAL, defined=False)]
    missing = [name for name in dict.fromkeys(wanted) if name not in host.by_name and name not in defined]
    first = builtin.HOST_AT + MISSING_FROM
    more = (Export(name, first + builtin.SPACING * i | arch.thumb, "func") for i, name in enumerate(missing))
    return replace(host, symbols=(*host.symbols, *more))


def _names(obj: ElfObject, *binds: int, defined: bool) -> list[str]:
    y = obj.symbols
    here = np.isin(y.bind, binds) & ((y.shndx != elf.SHN_UNDEF) == defined) & (y.name_at > 0)
    return y.names(np.flatnonzero(here).tolist())


def _debug_file(path: str) -> str:
    return os.path.splitext(path)[0] + ".debug.elf"

"""Extensions and the firmware from their files, linked: what ``llext run`` and tests in Python begin with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.model import Target
from llext_tools.diag import Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.host import builtin
from llext_tools.link.exports import Export, ExportTable
from llext_tools.link.image import Image
from llext_tools.run import load
from llext_tools.run.sources import read_sources

SUPPLIED_FROM = 0x8000
"""Bytes from the start of the built-in host to what it does not have."""


class Linked(NamedTuple):
    """Extensions in the order of loading, their CPU, and the firmware. ``exports``: None for the built-in host."""

    images: tuple[Image, ...]
    target: Target
    exports: ExportTable | None
    firmware: tuple[ElfObject, ...]


def linked(
    paths: Sequence[str],
    *,
    target: str = "",
    firmware: Sequence[str] = (),
    exports: Sequence[str] = (),
    supplied: Collection[str] = (),
    stub_missing: bool = False,
    at: int | None = None,
    profile: str = profiles.DEFAULT,
    reporter: Reporter | None = None,
) -> Linked:
    """Read the files and link the extensions.

    Args:
        paths, target, firmware, exports: see ``read_sources()``.
        supplied: functions that somebody will put there: where there is no firmware, they get addresses though the
            built-in host lacks them.
        stub_missing: so does all else that extensions import and nobody has, unless it is weak.
        at, profile, reporter: see ``load()``.
    Raises:
        LlextError: there is nothing to run.
    """
    objects, cpu, table, images = read_sources(paths, target=target, firmware=firmware, exports=exports)
    if table is None:
        table = with_supplied(cpu, objects, supplied, stub_missing=stub_missing)
    loaded = load(objects, cpu, exports=table, firmware=images, at=at, profile=profile, reporter=reporter)
    return Linked(loaded, cpu, table, images)


def with_supplied(
    target: Target, objects: Sequence[ElfObject], supplied: Collection[str], *, stub_missing: bool
) -> ExportTable | None:
    """The built-in host, with addresses for what it lacks; None if it lacks nothing that is supplied."""
    arch = archs.load(target.arch)
    host = builtin.exports(arch)
    defined = {name for obj in objects for name in _names(obj, elf.STB_GLOBAL, elf.STB_WEAK, defined=True)}
    wanted = [name for obj in objects for name in _names(obj, elf.STB_GLOBAL, elf.STB_WEAK, defined=False)]
    missed = {name for obj in objects for name in _names(obj, elf.STB_GLOBAL, defined=False)} if stub_missing else set()
    put = missed.union(supplied) - defined - host.by_name.keys()
    names = [name for name in dict.fromkeys(wanted) if name in put]
    if not names:
        return None
    first = builtin.HOST_AT + SUPPLIED_FROM
    more = (Export(name, first + builtin.SPACING * i | arch.thumb, "func") for i, name in enumerate(names))
    return replace(host, symbols=(*host.symbols, *more))


def _names(obj: ElfObject, *binds: int, defined: bool) -> list[str]:
    y = obj.symbols
    here = np.isin(y.bind, binds) & ((y.shndx != elf.SHN_UNDEF) == defined) & (y.name_at > 0)
    return y.names(np.flatnonzero(here).tolist())

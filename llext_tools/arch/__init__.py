"""The architectures: each a sub-package that is found by looking, not by being listed here.

``targets.py`` in it says which CPUs there are; it loads nothing of the rest, which needs numpy.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from llext_tools.arch.model import Target
from llext_tools.diag import fail, nearest

if TYPE_CHECKING:
    from llext_tools.arch.base import Arch


ELSEWHERE = {3: "x86", 8: "MIPS", 62: "x86-64", 94: "Xtensa", 173: "RX", 183: "AArch64", 195: "ARC"}
"""ELF's numbers of CPUs that a firmware, or a program of this machine, may be for, and no architecture here is."""


@cache
def names() -> tuple[str, ...]:
    """The sub-packages, sorted."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg))


def load(name: str) -> Arch:
    """The ``ARCH`` of one sub-package."""
    arch: Arch = import_module(f"{__name__}.{name}.arch").ARCH
    return arch


def discover() -> tuple[Arch, ...]:
    """All architectures, in the order of their names."""
    return tuple(map(load, names()))


def by_machine(machine: int) -> Arch | None:
    """The architecture of an ``e_machine``; those after it are not even imported."""
    return next((arch for arch in map(load, names()) if arch.machine == machine), None)


def machine_name(machine: int) -> str:
    """An ``e_machine`` in words: arm; machine 62 (x86-64)."""
    known = by_machine(machine)
    other = f" ({ELSEWHERE[machine]})" if machine in ELSEWHERE else ""
    return known.name if known else f"machine {machine}{other}"


def targets() -> dict[str, Target]:
    """All targets by name."""
    tables: Iterator[tuple[Target, ...]] = (import_module(f"{__name__}.{name}.targets").TARGETS for name in names())
    return {target.name: target for table in tables for target in table}


def target(name: str) -> Target:
    """The target of that name.

    Raises:
        UsageError: ``target-unknown``, with the nearest name.
    """
    known = targets()
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else "the targets are " + ", ".join(known)
        fail("target-unknown", f"there is no target `{name}`", help=hint)
    return known[name]

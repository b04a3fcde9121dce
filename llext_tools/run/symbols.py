"""The functions and variables of extensions by their names: exported, global and static ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf import structs as elf
from llext_tools.elf.debug import statics
from llext_tools.link.image import Image
from llext_tools.mem import PERM, Mem


class Symbol(NamedTuple):
    """``address`` has the Thumb bit of a function. ``own``: the names in the source of what is exported as ``name``."""

    name: str
    address: int
    function: bool
    size: int
    image: Image | None  # None of the firmware's
    own: tuple[str, ...]
    exported: bool = False


def find_symbols(images: Sequence[Image]) -> dict[str, Symbol]:
    """By name. Of one name: what is exported goes before what is global, that before what is static.

    A later extension goes before an earlier one.
    """
    found: dict[str, Symbol] = {}
    for image in images:
        found |= _statics(image)
    for image in images:
        found |= _globals(image)
    at: dict[int, tuple[str, ...]] = {}
    for symbol in found.values():
        at[symbol.address] = (*at.get(symbol.address, ()), symbol.name)
    for image in images:
        for export in image.exp_tab.symbols:
            names = at.get(export.address, (export.name,))
            size = next((found[name].size for name in names if name in found), 0)
            function = export.kind != "object"
            found[export.name] = Symbol(export.name, export.address, function, size, image, names, exported=True)
    return found


def _statics(image: Image) -> dict[str, Symbol]:
    found = {}
    for each in statics(image.obj):
        if image.regions.region[each.section] in PERM.keys() - {Mem.EXPORT}:
            address = int(image.layout.section_addr[each.section]) + each.offset | each.thumb
            found[each.name] = Symbol(each.name, address, each.function, each.size, image, (each.name,))
    return found


def _globals(image: Image) -> dict[str, Symbol]:
    y, tab = image.obj.symbols, image.sym_tab
    named = np.isin(y.type, (elf.STT_FUNC, elf.STT_OBJECT)) & (y.shndx != 0) & tab.resolved & ~_entries(image)
    found = {}
    for i in np.flatnonzero(named & (y.bind != elf.STB_LOCAL)).tolist():
        function, name = int(y.type[i]) == elf.STT_FUNC, y.name(i)
        address = int(tab.S[i]) | (int(tab.T[i]) if function else 0)
        found[name] = Symbol(name, address, function, int(y.size[i]), image, (name,))
    return found


def _entries(image: Image) -> NDArray[np.bool_]:
    """Which symbols are entries of the table of exports, bool[n]."""
    region = np.append(image.regions.region, -1)
    known = image.obj.symbols.shndx.astype(np.int64)
    inside: NDArray[np.bool_] = region[np.where(known < region.size - 1, known, -1)] == Mem.EXPORT
    return inside

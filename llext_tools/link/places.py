"""Naming the places of relocations in messages: the first in full, three more in a note, then a count."""

from __future__ import annotations

from llext_tools.diag import Location, number
from llext_tools.elf.model import I64, ElfObject, Relocs

SHOWN = 3


def where(obj: ElfObject, relocs: Relocs, i: int) -> Location:
    """The place of relocation ``i``: section, offset in it, enclosing function."""
    section, offset = int(relocs.section[i]), int(relocs.offset[i])
    function = obj.function_at(section, offset)
    return Location(file=obj.path, section=obj.sections.name[section], offset=offset, function=function)


def places(obj: ElfObject, relocs: Relocs, indices: I64) -> tuple[str, ...]:
    """Notes on further places of the same cause: three of them, then how many more. ``indices``: int64[n]."""
    notes = []
    for i in indices[:SHOWN].tolist():
        at = where(obj, relocs, i)
        inside = f", in `{at.function}`" if at.function else ""
        notes.append(f"also at {at.section}+{at.offset:#x}{inside}")
    if indices.size > SHOWN:
        notes.append(f"and from {number(indices.size - SHOWN, 'more place')}")
    return tuple(notes)

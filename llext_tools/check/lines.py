"""The source lines of what was found in an object: for all findings at once, once all rules have run.

Nothing here is imported unless a finding names a place of which the line is not known yet: it loads pyelftools.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from llext_tools import arch as archs
from llext_tools.diag import Diagnostic
from llext_tools.elf import structs as elf
from llext_tools.elf.lines import find_lines
from llext_tools.elf.model import ElfObject
from llext_tools.link.missing import place, relocations


def with_lines(obj: ElfObject, found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """``found``, with the source lines of those places in ``obj`` that debug information knows."""
    places = [_place(obj, diagnostic) for diagnostic in found]
    known = _instructions(obj, [at for at in places if at])
    sections, offsets = np.array(known, np.int64).reshape(-1, 2).T
    lines = iter(find_lines(obj, sections, offsets))
    for diagnostic, at in zip(found, places, strict=True):
        line = next(lines) if at else None
        yield diagnostic._replace(location=place(obj, *at, line)) if at and line else diagnostic


def _place(obj: ElfObject, diagnostic: Diagnostic) -> tuple[int, int] | None:
    """The section and the offset that a diagnostic names, if that is in memory and has no line yet."""
    at = diagnostic.location
    if at is None or at.file != obj.path or not at.section or at.offset is None or at.source:
        return None
    section = obj.sections.index(at.section)
    inside = section is not None and obj.sections.flags[section] & elf.SHF_ALLOC
    return (section, at.offset) if section is not None and inside else None


def _instructions(obj: ElfObject, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where words in the code are loaded or called through: the source has lines for that, and none for the words."""
    arch = archs.by_machine(obj.machine)
    if not places or arch is None or arch.users_of is None:
        return list(places)
    relocs = relocations(obj)
    is_word = np.isin(relocs.type, list(arch.literals)) & (obj.sections.flags[relocs.section] & elf.SHF_EXECINSTR != 0)
    found = []
    for section, offset in places:
        word = is_word & (relocs.section == section) & (relocs.offset == offset)
        users = arch.users_of(obj.contents(section), offset).tolist() if word.any() else []
        found.append((section, users[0] if users else offset))
    return found

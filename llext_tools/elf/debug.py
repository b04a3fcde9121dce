"""Where an object's debug information is, and its sections as a linker would leave them.

In a relocatable file the debug sections have relocations of their own, against other debug sections and code. They are
applied here with the rows of the architecture.
"""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools.artifact import DEBUG_SUFFIX
from llext_tools.diag import Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.buildid import build_id, debug_link
from llext_tools.elf.model import I64, ElfObject
from llext_tools.elf.read import load_object, read_relocs
from llext_tools.errors import LlextError
from llext_tools.reloc import Batch, apply


def debug_file(obj: ElfObject) -> ElfObject | None:
    """The object itself if it has debug information, else the file beside it that it names, or ``<stem>.debug.elf``.

    A build of Zephyr has ``llext/<target>_debug.elf`` instead, and the target has the extension's name as a rule.
    """
    if ".debug_info" in obj.sections.name:
        return obj
    stem, ending = os.path.splitext(obj.path)
    if ending == ".elf":
        return None
    folder, name = os.path.split(stem)
    linked = os.path.join(folder, os.path.basename(debug_link(obj)))
    zephyrs = f"{stem}_debug.elf", os.path.join(folder, "llext", f"{name}_debug.elf")
    for path in dict.fromkeys([linked, stem + DEBUG_SUFFIX, *zephyrs]):
        if not os.path.isfile(path):
            continue
        with suppress(LlextError):
            other = load_object(path)
            if ".debug_info" in other.sections.name and _fits(obj, other):
                return other
    return None


def _fits(obj: ElfObject, other: ElfObject) -> bool:
    """Whether ``other`` can be what ``obj`` was made of: by their build-ids; else it has to know all global symbols."""
    ours, theirs = build_id(obj), build_id(other)
    if ours and theirs:
        return ours == theirs
    y = obj.symbols
    names = y.names(np.flatnonzero((y.bind != elf.STB_LOCAL) & (y.name_at > 0)).tolist())
    known = other.machine == obj.machine and other.bits == obj.bits
    texts = other.symbols.strtab.decode("utf-8", "backslashreplace")
    return known and all(f"{name}\0" in texts for name in names)


def same_sections(obj: ElfObject, debug: ElfObject) -> I64:
    """int64[k]: for each section of ``obj`` the one of that name and size in ``debug``, or -1."""
    s, d = obj.sections, debug.sections
    known = {(name, int(size)): i for i, (name, size) in enumerate(zip(d.name, d.size, strict=True))}
    pairs = zip(s.name, s.size, strict=True)
    return np.array([known.get((name, int(size)), -1) for name, size in pairs], np.int64)


def with_debug(obj: ElfObject, address: I64) -> tuple[ElfObject, I64]:
    """The file that knows most of an object, itself or the debug file beside it, and the addresses of its sections.

    Args:
        address: int64[k], of each of the object's sections; 0 for those that are not loaded.
    """
    debug = debug_file(obj)
    if debug is None or debug is obj:
        return obj, address
    at = np.zeros(len(debug.sections), np.int64)
    same = same_sections(obj, debug)
    at[same[same >= 0]] = address[same >= 0]
    return debug, at


class Static(NamedTuple):
    """A function or variable with a symbol of its file's own, at ``offset`` of a section of the object."""

    name: str
    section: int
    offset: int
    size: int
    function: bool
    thumb: int  # the Thumb bit


def statics(obj: ElfObject) -> tuple[Static, ...]:
    """Static functions and variables; where a file has lost their symbols, by ``<stem>.debug.elf`` beside it."""
    debug = debug_file(obj) or obj
    y, arch = debug.symbols, archs.by_machine(obj.machine)
    home = {int(theirs): ours for ours, theirs in enumerate(same_sections(obj, debug)) if theirs >= 0}
    found = []
    kinds = (elf.STT_FUNC, elf.STT_OBJECT, elf.STT_NOTYPE)  # GNU as gives no type to some variables
    for i in np.flatnonzero((y.bind == elf.STB_LOCAL) & (y.name_at > 0) & np.isin(y.type, kinds)).tolist():
        section, function = home.get(int(y.shndx[i])), int(y.type[i]) == elf.STT_FUNC
        if section is not None and not y.name(i).startswith(("$", ".")):
            thumb = int(y.value[i]) & 1 if function and arch is not None and arch.thumb else 0
            found.append(Static(y.name(i), section, int(y.value[i]) - thumb, int(y.size[i]), function, thumb))
    return tuple(found)


def relocated(obj: ElfObject, sections: Container[str] | None = None, start: I64 | None = None) -> bytes:
    """The file with the relocations of its debug sections applied, or of those in ``sections``.

    Args:
        start: int64[k], an address for each section; 0 for all by default, as offsets are all that most of DWARF needs.
    """
    image = obj.image.copy()
    arch = archs.by_machine(obj.machine)
    if arch is None or obj.type != elf.ET_REL:
        return image.tobytes()
    s, y = obj.sections, obj.symbols
    debug = np.array([name.startswith(".debug_") and (sections is None or name in sections) for name in s.name])
    relocs = read_relocs(obj, debug, Reporter())
    rows = arch.relocs[obj.bits]
    base = (np.zeros(len(s) + 1, np.int64) if start is None else np.append(start, 0))[np.minimum(y.shndx, len(s))]
    thumb = (y.type == elf.STT_FUNC).astype(np.int64) if arch.thumb else np.zeros(len(y), np.int64)
    codes = sorted(set(relocs.type.tolist()) & rows.keys(), key=lambda code: rows[code].order == "add")
    for code in codes:
        part = np.flatnonzero(relocs.type == code)
        symbol = relocs.symbol[part]
        zero = np.zeros(part.size, np.int64)
        batch = Batch(
            offset=s.offset[relocs.section[part]] + relocs.offset[part],
            S=(y.value & ~thumb)[symbol] + base[symbol],
            A=relocs.addend[part],
            P=relocs.offset[part],
            T=zero,
            B=zero,
            V=zero,
        )
        apply(image, rows[code], batch, in_place=not arch.rela)
    return image.tobytes()

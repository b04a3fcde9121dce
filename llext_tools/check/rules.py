"""Rules beyond the loader's own: it takes these extensions, and they misbehave.

A rule is a function of the object and its regions that reports what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from llext_tools.diag import Location, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import RegionMap
from llext_tools.link.regions import EXPORTED
from llext_tools.mem import Mem


def bss_alignment(obj: ElfObject, regions: RegionMap, reporter: Reporter) -> None:
    """``bss-misaligned``: the loader derives a region's padding from its file offset, for NOBITS too."""
    region = regions.regions.get(Mem.BSS)
    if region is None or not region.prepad:
        return
    name = obj.sections.name[region.sections[0]]
    reporter.warning(
        "bss-misaligned",
        f"`{name}` will start {region.prepad:,} bytes behind an address aligned to {region.align:,}",
        at=Location(file=obj.path, section=name),
        help="`llext finish` aligns the section's file offset; llext_add_extension() runs it",
    )


def export_section(obj: ElfObject, _regions: RegionMap, reporter: Reporter) -> None:
    """``export-section``: a section that is meant to be ``.exported_sym``, but for the loader is not."""
    s = obj.sections
    for i, name in enumerate(s.name):
        if name == EXPORTED and not s.flags[i] & elf.SHF_ALLOC and s.size[i]:
            why = "does not take memory (SHF_ALLOC)"
        elif name != EXPORTED and name.strip(" \"'.").lower() == EXPORTED.strip("."):
            why = f"is not named `{EXPORTED}`"
        else:
            continue
        reporter.warning(
            "export-section",
            f"`{name}` {why}: the loader exports nothing of it",
            at=Location(file=obj.path, section=name),
            help="let `EXPORT_SYMBOL(name)` or `LL_EXTENSION_SYMBOL(name)` write the entries",
        )


def thread_local(obj: ElfObject, _regions: RegionMap, reporter: Reporter) -> None:
    """``thread-local``: the loader neither allocates nor initialises an extension's own thread-local variables."""
    s = obj.sections
    for i in np.flatnonzero((s.flags & elf.SHF_TLS != 0) & (s.flags & elf.SHF_ALLOC != 0) & (s.size > 0)).tolist():
        reporter.warning(
            "thread-local",
            f"`{s.name[i]}` holds {s.size[i]:,} bytes of thread-local variables, which nobody allocates",
            at=Location(file=obj.path, section=s.name[i]),
            help="make them ordinary variables, or ask the firmware for thread-local memory",
        )


RULES = (bss_alignment, export_section, thread_local)


def no_exports(obj: ElfObject, regions: RegionMap, reporter: Reporter) -> None:
    """``no-exports``: the extension loads, and nobody finds anything in it. Constructors alone can be its purpose."""
    said = any(d.code == "export-section" for d in reporter.diagnostics)
    if said or not regions.regions.keys().isdisjoint((Mem.EXPORT, Mem.PREINIT, Mem.INIT)):
        return
    reporter.warning(
        "no-exports",
        "the extension exports nothing: llext_call_fn() and llext_find_sym() find nothing in it",
        at=Location(file=obj.path),
        help="`LL_EXTENSION_SYMBOL(name);` behind its entry function exports it",
    )


def thumb_exports(exports: ExportTable, imports: Iterable[str], called: frozenset[str], reporter: Reporter) -> None:
    """``exports-thumb``: functions among ``imports`` that ``exports`` gives an even address, on a CPU of Thumb code.

    Where the table does not say what a name is, it is a function if it is ``called``.
    """
    found = [export for name in imports if (export := exports.find(name))]
    even = [e for e in found if not e.address & 1 and (e.kind == "func" or (not e.kind and e.name in called))]
    if not even:
        return
    first = even[0]
    more = f", and {len(even) - 1:,} more" if len(even) > 1 else ""
    reporter.warning(
        "exports-thumb",
        f"the function `{first.name}` is exported at {first.address:#010x}, without the Thumb bit{more}",
        at=Location(file=exports.source),
        help=f"give {first.address | 1:#010x}: addresses of Thumb functions are odd",
    )

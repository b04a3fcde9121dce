"""Rules about what an extension consists of: the loader takes it without a word, and it misbehaves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llext_tools.check.subject import Rule, Subject
from llext_tools.diag import Diagnostic
from llext_tools.elf import structs as elf
from llext_tools.elf.read import reloc_tables
from llext_tools.link.regions import EXPORTED, NO_RELOC
from llext_tools.mem import Mem


def bss_alignment(subject: Subject) -> Iterator[Diagnostic]:
    """``bss-misaligned``: the loader derives a region's padding from its file offset, for NOBITS too."""
    region = subject.regions.regions.get(Mem.BSS)
    if region is None or not region.prepad:
        return
    name = subject.obj.sections.name[region.sections[0]]
    yield Diagnostic(
        "bss-misaligned",
        f"`{name}` will start {region.prepad:,} bytes behind an address aligned to {region.align:,}",
        severity="warning",
        location=subject.at(region.sections[0]),
        help="`llext finish` aligns the section's file offset; llext_add_extension() runs it",
    )


def export_section(subject: Subject) -> Iterator[Diagnostic]:
    """``export-section``: a section that is meant to be ``.exported_sym``, but for the loader is not."""
    s = subject.obj.sections
    for i, name in enumerate(s.name):
        if name == EXPORTED and not s.flags[i] & elf.SHF_ALLOC and s.size[i]:
            why = "does not take memory (SHF_ALLOC)"
        elif name != EXPORTED and name.strip(" \"'.").lower() == EXPORTED.strip("."):
            why = f"is not named `{EXPORTED}`"
        else:
            continue
        yield Diagnostic(
            "export-section",
            f"`{name}` {why}: the loader exports nothing of it",
            severity="warning",
            location=subject.at(i),
            help="let `EXPORT_SYMBOL(name)` or `LL_EXTENSION_SYMBOL(name)` write the entries",
        )


def thread_local(subject: Subject) -> Iterator[Diagnostic]:
    """``thread-local``: the loader neither allocates nor initialises an extension's own thread-local variables."""
    s = subject.obj.sections
    for i in np.flatnonzero((s.flags & elf.SHF_TLS != 0) & (s.flags & elf.SHF_ALLOC != 0) & (s.size > 0)).tolist():
        yield Diagnostic(
            "thread-local",
            f"`{s.name[i]}` holds {s.size[i]:,} bytes of thread-local variables, which nobody allocates",
            severity="warning",
            location=subject.at(i),
            help="make them ordinary variables, or ask the firmware for thread-local memory",
        )


def relocated_in_place(subject: Subject) -> Iterator[Diagnostic]:
    """``reloc-refused``, as a warning, for a section that is meant to stay in the file but has addresses in it.

    Where the loader is known to leave it there, ``validate()`` has refused it.
    """
    s, name = subject.obj.sections, NO_RELOC
    if name not in s.name or subject.profile.rodata_no_reloc:
        return
    section = s.name.index(name)
    if section in s.info[reloc_tables(subject.obj)]:
        yield Diagnostic(
            "reloc-refused",
            f"`{name}` has relocations: a loader with CONFIG_LLEXT_RODATA_NO_RELOC leaves it where the file is",
            severity="warning",
            location=subject.at(section),
            help="move what holds addresses to an ordinary section",
        )


def no_exports(subject: Subject) -> Iterator[Diagnostic]:
    """``no-exports``: the extension loads, and nobody finds anything in it. Constructors alone can be its purpose."""
    if not subject.regions.regions.keys().isdisjoint((Mem.EXPORT, Mem.PREINIT, Mem.INIT)):
        return
    if any(export_section(subject)):
        return
    yield Diagnostic(
        "no-exports",
        "the extension exports nothing: llext_call_fn() and llext_find_sym() find nothing in it",
        severity="warning",
        location=subject.at(),
        help="`LL_EXTENSION_SYMBOL(name);` behind its entry function exports it",
    )


RULES: tuple[Rule, ...] = (bss_alignment, export_section, thread_local, relocated_in_place)
LATE_RULES: tuple[Rule, ...] = (no_exports,)
"""Those of an extension that loads."""

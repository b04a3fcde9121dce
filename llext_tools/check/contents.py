"""Rules about what an extension consists of: the loader takes it without a word, and it misbehaves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llext_tools.check.subject import Rule, Subject
from llext_tools.diag import Diagnostic, listed, number
from llext_tools.elf import structs as elf
from llext_tools.elf.read import reloc_tables
from llext_tools.link.hints import MERGED
from llext_tools.link.regions import NO_RELOC
from llext_tools.mem import PERM, Mem


def bss_alignment(subject: Subject) -> Iterator[Diagnostic]:
    """``bss-misaligned``: the loader derives a region's padding from its file offset, for NOBITS too."""
    region = subject.regions.regions.get(Mem.BSS)
    if region is None or not region.prepad:
        return
    name = subject.obj.sections.name[region.sections[0]]
    yield Diagnostic(
        "bss-misaligned",
        f"`{name}` will start {number(region.prepad, 'byte')} behind an address aligned to {region.align:,}",
        severity="warning",
        location=subject.at(region.sections[0]),
        help="`llext finish` aligns the section's file offset; llext_add_extension() runs it",
    )


def no_alignment(subject: Subject) -> Iterator[Diagnostic]:
    """``region-alignment``, as a warning: for an alignment of 0 the loader pads by the whole offset in the file."""
    for mem, region in subject.regions.regions.items():
        if region.align == 0 and region.prepad:
            padding = number(region.prepad, "byte")
            yield Diagnostic(
                "region-alignment",
                f"region {mem.name} has the alignment 0: the loader puts {padding} of nothing before it",
                severity="warning",
                location=subject.at(region.sections[0]),
                help="give the section an alignment of 1 or more: `.balign 4` in assembly",
            )


def thread_local(subject: Subject) -> Iterator[Diagnostic]:
    """``thread-local``: the loader neither allocates nor initialises an extension's own thread-local variables."""
    s = subject.obj.sections
    if not np.bitwise_or.reduce(s.flags) & elf.SHF_TLS:
        return
    for i in np.flatnonzero((s.flags & elf.SHF_TLS != 0) & (s.flags & elf.SHF_ALLOC != 0) & (s.size > 0)).tolist():
        yield Diagnostic(
            "thread-local",
            f"`{s.name[i]}` holds {number(int(s.size[i]), 'byte')} of thread-local variables, which nobody allocates",
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


def region_gap(subject: Subject) -> Iterator[Diagnostic]:
    """``region-gap``: sections that nobody loads, between two of a region, which the loader copies along."""
    s = subject.obj.sections
    for mem, region in subject.regions.regions.items():
        if not region.gap or mem not in PERM:
            continue
        start, end = region.file_offset + region.prepad, region.file_offset + region.size
        foreign = (subject.regions.region < 0) & (s.type != elf.SHT_NOBITS) & (s.size > 0)
        between = np.flatnonzero(foreign & (s.offset >= start) & (s.offset + s.size <= end)).tolist()
        if not between:
            continue
        which, foreign_bytes = listed(s.name[i] for i in between), number(int(s.size[between].sum()), "byte")
        yield Diagnostic(
            "region-gap",
            f"region {mem.name} takes {foreign_bytes} with it that are not the extension's",
            severity="warning",
            location=subject.at(region.sections[0]),
            detail=(f"between sections of {mem.name}, which is copied as one piece of the file: {which}",),
            help=MERGED,
        )


def nowhere(subject: Subject) -> Iterator[Diagnostic]:
    """``symbol-nowhere``, as a warning: a global function or object in a section that is not loaded.

    Where the loader can point into the file, it takes an address in there, which is nobody's after the load.
    """
    y, s = subject.obj.symbols, subject.obj.sections
    index = np.flatnonzero(y.bind == elf.STB_GLOBAL)
    home = y.shndx[index]
    lost = index[(subject.regions.region.take(home, mode="clip") < 0) & (home > 0)].tolist()
    for i in lost:
        if y.type[i] not in (elf.STT_FUNC, elf.STT_OBJECT) or y.shndx[i] >= len(s):
            continue
        section = int(y.shndx[i])
        empty = not s.size[section]
        yield Diagnostic(
            "symbol-nowhere",
            f"`{y.name(i)}` is in `{s.name[section]}`, which is {'empty' if empty else 'in no region'} and not loaded",
            severity="warning",
            location=subject.at(section),
            notes=("a loader that can point into the file takes an address there, others fail with -ENOTSUP",),
            help=("give the section contents, one byte is enough" if empty else "move it to an ordinary section")
            + ", or make the symbol local",
        )


RULES: tuple[Rule, ...] = (bss_alignment, no_alignment, thread_local, relocated_in_place, region_gap, nowhere)

"""What would fail on the target, found on the host.

``check()`` runs the passes of a link that do not need addresses, which find everything at once; then the rules, one
small function for each thing that can be wrong, in families:

    contents    what the extension consists of: the loader takes it without a word, and it misbehaves
    exported    what it offers to others
    lifetime    constructors and destructors
    imports     what it takes from the firmware
    cpu         whether both sides are for the same CPU, and agree on how arguments travel
    thumb       whether Arm and Thumb code find each other, and the loader can store where it has to
    abi         whether both sides mean the same by an import: prototypes, layout of data
    manifest    the same without debug information: by the extension's manifest, or by hashes in a table
    placed      what depends on where it will be loaded: reach, room, alignment, protection
    together    what is wrong between extensions of one firmware

Where nothing is found, the loader on the host has the last word.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from llext_tools import profile as profiles
from llext_tools.arch.base import Arch
from llext_tools.check import abi, contents, cpu, exported, imports, lifetime, loaded, manifest, placed, thumb
from llext_tools.check.subject import Board, Rule, Subject
from llext_tools.check.together import Beside, Member, beside, check_together, loaded_before, member
from llext_tools.diag import CODES, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject, Relocs
from llext_tools.elf.read import read_relocs
from llext_tools.errors import LlextError, UndefinedError
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import RegionMap
from llext_tools.link.layout import place
from llext_tools.link.regions import map_regions
from llext_tools.link.relocate import pair
from llext_tools.link.symtab import resolve
from llext_tools.link.validate import find_arch, validate
from llext_tools.mem import PERM, Domain
from llext_tools.profile import Profile

__all__ = [
    "ANYWHERE", "RULES", "Beside", "Board", "Member", "Subject", "beside", "check", "check_together", "loaded_before",
    "member",
]  # fmt: skip

ANYWHERE = Domain(start=0x1000)
"""An address for each region, so that pairs find each other; nothing here depends on which."""

RULES: tuple[Rule, ...] = (
    *contents.RULES,
    *exported.RULES,
    *lifetime.RULES,
    *imports.RULES,
    *cpu.RULES,
    *thumb.RULES,
    *abi.RULES,
    *manifest.RULES,
    *placed.RULES,
)
NOWHERE = Board()


class Given(NamedTuple):
    """What ``check()`` was asked, see there. ``exports``: the firmware's, and what other extensions offer."""

    firmware: Firmware | None
    board: Board
    entries: tuple[str, ...]
    others: Beside | None
    profile: Profile
    exports: ExportTable | None

    def subject(
        self,
        obj: ElfObject,
        arch: Arch,
        regions: RegionMap,
        relocs: Relocs,
        imports: Mapping[str, int],
        undefined: Sequence[str] = (),
    ) -> Subject:
        """What the rules look at. ``undefined``: the names that are, where relocations do not tell."""
        offers = exported.offered(obj)
        subject = Subject(
            obj, arch, self.profile, regions, relocs, imports, self.firmware, self.board, self.entries, offers
        )
        return _lent(subject, self.others, undefined) if self.others else subject


def check(
    obj: ElfObject,
    *,
    firmware: Firmware | None = None,
    board: Board = NOWHERE,
    entries: tuple[str, ...] = (),
    others: Beside | None = None,
    profile: Profile | str = profiles.DEFAULT,
    reporter: Reporter | None = None,
    ignored: Container[str] = (),
) -> Subject:
    """Report everything that keeps ``obj`` from loading and working.

    Args:
        firmware: what it is for; None if nobody knows: undefined symbols are then nobody's fault.
        board: where it will be loaded, as far as that is known.
        entries: names that it has to export.
        others: what extensions that are checked with it export, from ``beside()``.
        profile: which loader's rules hold, by name or value.
        reporter: receives what is found; a new one by default.
        ignored: codes that nobody wants to hear of. They are reported like the others, but what comes after an error
            of such a code is looked at all the same, as far as that can be.
    Returns:
        What was found out about the extension.
    Raises:
        LlextError: the class of the first error that is not ignored, with all diagnostics that were found.
    """
    reporter = reporter or Reporter()
    if isinstance(profile, str):
        profile = profiles.load(profile)
    if board.config and board.config.rodata_no_reloc:
        profile = profile._replace(rodata_no_reloc=True)
    exports = firmware.exports if firmware else None
    if others and exports:
        exports = others.exports
    given = Given(firmware, board, entries, others, profile, exports)
    try:
        subject = _check(obj, given, reporter, ignored)
    except LlextError as error:
        reporter.add(error.diagnostics)
        _add_lines(obj, reporter, ignored)
        raise type(error)(reporter.diagnostics, errno=error.errno) from error
    _add_lines(obj, reporter, ignored)
    return subject


def _add_lines(obj: ElfObject, reporter: Reporter, ignored: Container[str]) -> None:
    """Let findings that somebody wants to hear of name source lines; without one nothing is loaded or read for it."""
    wanted = any(
        d.location and d.location.offset is not None and not d.location.source and d.code not in ignored
        for d in reporter.diagnostics
    )
    if wanted:
        from llext_tools.check.lines import with_lines  # loads pyelftools

        reporter.revise(lambda found: with_lines(obj, found))


def _check(obj: ElfObject, given: Given, reporter: Reporter, ignored: Container[str]) -> Subject:
    """The passes and rules of ``check()``."""
    profile, exports = given.profile, given.exports
    arch = find_arch(obj, reporter, shared=profile.loader_rows)
    if obj.type == elf.ET_DYN:
        return _check_shared(obj, arch, given, reporter, ignored)
    rows = arch.relocs[obj.bits]
    regions = map_regions(obj, reporter, rodata_no_reloc=profile.rodata_no_reloc)
    mapped = regions.inside(PERM)
    own = Reporter()  # what is wrong with regions keeps nobody from looking at types of relocations
    relocs = validate(obj, arch, profile, rows, mapped, own)
    reporter.add(own.diagnostics)
    reporter.checkpoint(ignored)
    layout = place(obj, regions, ANYWHERE, Reporter() if reporter.failed else reporter)
    symbols, found = resolve(obj, arch, regions, layout, relocs, exports, profile, reporter)
    if not own.failed:
        pair(obj, rows, relocs, layout, symbols, reporter)
    subject = given.subject(obj, arch, regions, relocs, found)
    subject = subject._replace(sides=abi.read_sides(subject))
    for rule in RULES:
        reporter.add(rule(subject))
    reporter.checkpoint(ignored)
    done = None
    if profile.loader_rows:
        lacking = any(d.severity == "error" and CODES[d.code].error is UndefinedError for d in reporter.diagnostics)
        done = loaded.load(
            obj, arch, exports, given.board, profile, reporter, borrowed=subject.borrowed, completed=lacking
        )
    return _in_memory(subject, done, reporter, ignored)


def _lent(subject: Subject, others: Beside, undefined: Sequence[str] = ()) -> Subject:
    """The subject with its imports divided into those from the firmware and those from other extensions.

    ``undefined``: the names that are, where relocations do not tell.
    """
    found: Iterable[str] = undefined or subject.imports
    if subject.firmware is None and not undefined:
        y = subject.obj.symbols
        needed = np.unique(subject.relocs.symbol)
        found = y.names(needed[(y.shndx[needed] == elf.SHN_UNDEF) & (needed > 0)].tolist())
    borrowed = others.borrowed(found, subject.firmware)
    imports = {name: address for name, address in subject.imports.items() if name not in borrowed}
    return subject._replace(imports=imports, borrowed=borrowed)


def _check_shared(obj: ElfObject, arch: Arch, given: Given, reporter: Reporter, ignored: Container[str]) -> Subject:
    """A shared object is linked already: the loader is asked, which stops at the first missing import.

    What both sides are compiled for is compared as for others.
    """
    profile, exports = given.profile, given.exports
    undefined = loaded.lacking(obj, exports, profile) if exports else []
    if exports and undefined:
        from llext_tools.link.missing import missing_imports, relocations  # only where something is wrong already

        reporter.add(missing_imports(obj, arch, relocations(obj), undefined, exports))
    done = loaded.load(obj, arch, exports, given.board, profile, reporter, completed=bool(undefined))
    reporter.checkpoint(ignored)
    regions = map_regions(obj, reporter, rodata_no_reloc=profile.rodata_no_reloc)
    relocs = read_relocs(obj, np.zeros(len(obj.sections), bool), reporter)
    needed = obj.symbols.names(obj.symbols.undefined.tolist())
    found = {name: export.address for name in needed if exports and (export := exports.find(name))}
    subject = given.subject(obj, arch, regions, relocs, found, needed)
    for rule in (*exported.RULES, *cpu.RULES):
        reporter.add(rule(subject))
    return _in_memory(subject, done, reporter, ignored)


def _in_memory(subject: Subject, done: loaded.Loaded | None, reporter: Reporter, ignored: Container[str]) -> Subject:
    """What is known of an extension after its load, which has nothing in memory if that was not possible."""
    reporter.checkpoint(ignored)
    if done is not None:
        for rule in loaded.RULES:
            reporter.add(rule(subject, done))
        subject = subject._replace(footprint=loaded.footprint(subject, done))
        reporter.checkpoint(ignored)
    for late in exported.LATE_RULES:
        reporter.add(late(subject))
    return subject

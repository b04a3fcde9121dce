"""What would fail on the target, found on the host, whatever the addresses will be.

``check()`` runs the passes of a link that do not need addresses, which find everything at once. Where they find
nothing, the loader on the host has the last word. ``llext_tools.check.rules`` adds what the loader takes without a word
but the extension will suffer from.
"""

from __future__ import annotations

import numpy as np

from llext_tools import profile as profiles
from llext_tools.arch.base import Arch
from llext_tools.check.loaded import loader_answer
from llext_tools.check.rules import RULES, no_exports, thumb_exports
from llext_tools.check.slids import imported_slids
from llext_tools.diag import Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import RegionMap
from llext_tools.link.layout import place
from llext_tools.link.regions import map_regions
from llext_tools.link.relocate import pair
from llext_tools.link.symtab import resolve
from llext_tools.link.validate import find_arch, validate
from llext_tools.mem import PERM, Domain
from llext_tools.profile import Profile

ANYWHERE = Domain(start=0x1000)
"""An address for each region, so that pairs find each other; nothing here depends on which."""


def check(
    obj: ElfObject,
    *,
    exports: ExportTable | None = None,
    profile: Profile | str = profiles.DEFAULT,
    reporter: Reporter | None = None,
) -> RegionMap:
    """Report everything that keeps ``obj`` from loading; with ``exports`` also what they lack.

    Returns:
        The extension's regions.
    Raises:
        LlextError: the class of the first error, with all diagnostics that were found.
    """
    reporter = reporter or Reporter()
    if isinstance(profile, str):
        profile = profiles.load(profile)
    arch = find_arch(obj, reporter, shared=profile.loader_rows)
    if obj.type == elf.ET_DYN:
        return _check_shared(obj, arch, exports, profile, reporter)
    rows = arch.relocs[obj.bits]
    regions = map_regions(obj, reporter, rodata_no_reloc=profile.rodata_no_reloc)
    loaded = np.isin(regions.region, list(PERM))
    relocs = validate(obj, arch, profile, rows, loaded, reporter)
    layout = place(obj, regions, ANYWHERE, reporter)
    symbols, imports = resolve(obj, arch, regions, layout, relocs, exports, profile, reporter)
    if not reporter.failed:
        pair(obj, rows, relocs, layout, symbols, reporter)
    for rule in RULES:
        rule(obj, regions, reporter)
    if exports is not None and arch.thumb:
        called = frozenset(obj.symbols.names(relocs.symbol[np.isin(relocs.type, list(arch.branches))].tolist()))
        thumb_exports(exports, imports, called, reporter)
    if exports is not None:
        imported_slids(obj, exports, imports, reporter)
    reporter.checkpoint()
    if profile.loader_rows:
        loader_answer(obj, arch, exports, profile, reporter)
    reporter.checkpoint()
    no_exports(obj, regions, reporter)
    return regions


def _check_shared(
    obj: ElfObject, arch: Arch, exports: ExportTable | None, profile: Profile, reporter: Reporter
) -> RegionMap:
    """A shared object is linked already: only the loader is asked."""
    loader_answer(obj, arch, exports, profile, reporter)
    reporter.checkpoint()
    regions = map_regions(obj, reporter, rodata_no_reloc=profile.rodata_no_reloc)
    no_exports(obj, regions, reporter)
    return regions

"""Linking an extension against a host: the list of passes.

Each pass is a function from frozen values to a frozen value. All that is wrong in a group of passes is reported
together; the group ends at a checkpoint, where an error ends the link before anything is written.
"""

from __future__ import annotations

from llext_tools import profile as profiles
from llext_tools.diag import Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.link.exported import export
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import Image, Layout, RegionMap, SymTab
from llext_tools.link.layout import place
from llext_tools.link.memory import gather, memory
from llext_tools.link.regions import map_regions
from llext_tools.link.relocate import pair, relocate
from llext_tools.link.symtab import resolve
from llext_tools.link.validate import find_arch, validate
from llext_tools.mem import PERM, Domain
from llext_tools.profile import Profile

__all__ = ["ExportTable", "Image", "Layout", "RegionMap", "SymTab", "link"]

NOTHING = ExportTable(source="anyone", symbols=())


def link(
    obj: ElfObject,
    *,
    exports: ExportTable | None = NOTHING,
    domain: Domain,
    profile: Profile | str = profiles.DEFAULT,
    reporter: Reporter | None = None,
) -> Image:
    """Link ``obj`` against ``exports`` at the addresses of ``domain``.

    Args:
        exports: None if nobody knows what the host offers: undefined symbols then stay 0 and are not reported.
        domain: where the regions go.
        profile: which loader's rules hold, by name or value.
        reporter: receives warnings and errors; a new one by default.
    Returns:
        The finished image.
    Raises:
        LlextError: the class of the first error, with all diagnostics up to the checkpoint that it failed.
    """
    reporter = reporter or Reporter()
    if isinstance(profile, str):
        profile = profiles.load(profile)

    arch = find_arch(obj, reporter)
    rows = arch.relocs[obj.bits]
    regions = map_regions(obj, reporter, rodata_no_reloc=profile.rodata_no_reloc)
    loaded = regions.inside(PERM)
    relocs = validate(obj, arch, profile, rows, loaded, reporter)
    reporter.checkpoint()  # each loaded section has one region, each relocation a row and a place

    layout = place(obj, regions, domain, reporter)
    symbols, imports = resolve(obj, arch, regions, layout, relocs, exports, profile, reporter)
    reporter.checkpoint()  # each symbol that a relocation names has an address

    anchor = pair(obj, rows, relocs, layout, symbols, reporter)
    reporter.checkpoint()  # each LO12 has its HI20

    arena, arena_at = gather(obj, regions)
    relocate(obj, arch, rows, relocs, anchor, layout, symbols, arena, arena_at, reporter, profile)
    reporter.checkpoint()  # all bytes are final

    mem = memory(regions, arena, arena_at)
    return Image(
        obj=obj,
        regions=regions,
        layout=layout,
        sym_tab=symbols,
        mem=mem,
        exp_tab=export(obj, arch, layout, mem, reporter),
        imports=imports,
        used_relocs=frozenset(rows[code].name for code in relocs.codes),
        diagnostics=reporter.diagnostics,
    )

"""Rules beyond the loader's own: it takes these extensions, and they misbehave.

A rule is a function of the object and its regions that reports what it finds.
"""

from __future__ import annotations

from llext_tools.diag import Location, Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.link.image import RegionMap
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


RULES = (bss_alignment,)

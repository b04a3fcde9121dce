"""Sections to regions, by the loader's rules: type and flags decide, not names.

Source: Zephyr, ``llext_load.c``, ``llext_map_sections()``. Numbers are the target's words: they wrap at 2**bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from llext_tools.diag import Location
from llext_tools.elf import structs as elf
from llext_tools.link.hints import MERGED, PARTIAL_LINK
from llext_tools.llext.config import Config
from llext_tools.llext.ext import LoadParam, Region, Section
from llext_tools.llext.log import Level, Log
from llext_tools.llext.outcome import Undefined
from llext_tools.llext.source import POINTER, Shdr, Source, fail
from llext_tools.llext.tables import Header, Tables, region_of
from llext_tools.mem import Mem
from llext_tools.profile import Profile

EXPORTED = ".exported_sym"
NO_RELOC = ".llext.rodata.noreloc"
SKIPPED = (".relro_padding", ".heap", ".stack")
ARRAY = {elf.SHT_PREINIT_ARRAY: Mem.PREINIT, elf.SHT_INIT_ARRAY: Mem.INIT, elf.SHT_FINI_ARRAY: Mem.FINI}
ARRAYS = frozenset(ARRAY.values())
MUST_MATCH = elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_EXECINSTR


def map_sections(
    source: Source,
    header: Header,
    tables: Tables,
    names: Sequence[str | None],
    config: Config,
    profile: Profile,
    param: LoadParam,
    log: Log,
) -> Tables:
    """All regions, and the region and offset of each section that is in one."""
    regions = dict(tables.regions)
    homes = {i: section.mem for i, section in tables.sections.items()}
    word = (1 << header.bits) - 1
    for i, x in enumerate(header.sections):
        name = names[i]
        if name is None and not profile.bounds_checks:
            raise Undefined(f"the name of section {i} is read outside the table of section names")
        if name is None:
            text = f"the name of section {i} lies outside the table of section names"
            raise fail("ENOEXEC", "elf-sections", text, source.at, said=f"{text}, at {x.name}")
        if i in homes:
            if log.dbg:
                log(Level.DBG, "section {}, {}: is region {} already", i, name or "-", config.number(homes[i]))
            continue
        mem = _region_of(x, name, config, profile)
        skipped = name in SKIPPED and profile.skips_by_name
        if mem is None or skipped or not x.flags & elf.SHF_ALLOC or not x.size:
            log(Level.DBG, "section {}, {}: not loaded", i, name or "-")
            continue
        at = Location(file=source.name, section=name)
        if mem in ARRAYS:
            _check_array(i, x, header.bits, profile, at)
        if log.dbg:
            log(Level.DBG, "section {}, {}: goes to region {}", i, name, config.number(mem))
        homes[i] = mem
        if param.section_detached is not None and param.section_detached(x):
            if source.peek(x.offset) is None and profile.bounds_checks:
                text = f"the detached section `{name}` is not in memory: the loader cannot peek at {x.offset:#x}"
                raise fail("ENOTSUP", "section-detached", text, at, said=text)
        elif mem in regions:
            _check_join(x, regions[mem], mem, header, config, at)
            regions[mem] = _joined(regions[mem], x, word)
        else:
            regions[mem] = region_of(x)
    for mem, region in regions.items():
        regions[mem] = _padded(region, mem, header, config, profile, source.at)
    _check_overlap(regions, header, config, profile, source.at)
    return _offsets(source, header, names, regions, homes, config, profile)


def _region_of(x: Shdr, name: str, config: Config, profile: Profile) -> Mem | None:
    if x.flags & elf.SHF_TLS and profile.skips_tls:
        return None
    if name == EXPORTED:
        return Mem.EXPORT
    if x.type == elf.SHT_NOBITS:
        return Mem.BSS
    if x.type != elf.SHT_PROGBITS:
        return ARRAY.get(x.type)
    if x.flags & elf.SHF_EXECINSTR:
        return Mem.TEXT
    if x.flags & elf.SHF_WRITE:
        return Mem.DATA
    return Mem.RODATA_NO_RELOC if config.rodata_no_reloc and name == NO_RELOC else Mem.RODATA


def _check_array(i: int, x: Shdr, bits: int, profile: Profile, at: Location) -> None:
    pointer = POINTER[bits]
    allowed = (pointer,) if profile.array_entsize_exact else (0, pointer)
    if x.entsize not in allowed or (x.entsize and x.size % x.entsize):
        text = f"`{at.section}` has {x.size:,} bytes in entries of {x.entsize}, not pointers of {pointer}"
        said = f"the array {at.section}, section {i}, has {x.size} bytes in entries of {x.entsize}, not pointers"
        raise fail("ENOEXEC", "region-array", text, at, said=said)


def _check_join(x: Shdr, region: Region, mem: Mem, header: Header, config: Config, at: Location) -> None:
    """Whether a further section may join its region: flags before NOBITS."""
    if (x.flags ^ region.flags) & MUST_MATCH:
        text = f"`{at.section}` (flags {x.flags:#x}) cannot join region {mem.name} (flags {region.flags:#x})"
        cure = "give both sections the same flags, or merge the input sections"
        said = f"{at.section} has flags {x.flags:#x}, but region {config.number(mem)} has {region.flags:#x}"
        raise fail("ENOEXEC", "region-flags", text, at, said=said, help=cure)
    if mem is Mem.BSS:
        text = f"`{at.section}` is a second section without contents"
        cure = f"{PARTIAL_LINK}: they make one .bss"
        said = f"{at.section} is a second SHT_NOBITS section, of which there can be one"
        raise fail("ENOTSUP", "region-nobits", text, at, said=said, help=cure)
    if mem in ARRAYS:
        text = f"`{at.section}` is a second {mem.name} array"
        cure = f"{PARTIAL_LINK}: they sort them into one"
        said = f"{at.section} is a second one for region {config.number(mem)}, which takes one"
        raise fail("ENOEXEC", "region-array", text, at, said=said, help=cure)
    if header.dyn and x.addr - region.addr != x.offset - region.offset:
        text = f"`{at.section}` is not as far from region {mem.name} in memory as it is in the file"
        said = f"{at.section} is not at the address that it should have in region {config.number(mem)}"
        raise fail("ENOEXEC", "region-addresses", text, at, said=said)


def _joined(region: Region, x: Shdr, word: int) -> Region:
    """The union of both spans in the file; all between them comes along."""
    start = min(region.offset, x.offset)
    end = max(region.offset + region.size & word, x.offset + x.size & word)
    return region._replace(
        addr=min(region.addr, x.addr),
        offset=start,
        size=end - start & word,
        align=max(region.align, x.addralign),
    )


def _padded(region: Region, mem: Mem, header: Header, config: Config, profile: Profile, at: Location) -> Region:
    """The region from its alignment on: ``prepad`` bytes come first."""
    if not region.size or not profile.aligns_regions:
        return region
    if region.align & (region.align - 1) and profile.bounds_checks:
        text = f"the alignment {region.align:,} of region {mem.name} is not a power of two"
        said = f"region {config.number(mem)} cannot be aligned to {region.align:#x}"
        raise fail("ENOEXEC", "region-alignment", text, at, said=said)
    word = (1 << header.bits) - 1
    prepad = region.offset & (region.align - 1)  # an alignment of 0 makes all ones of the mask: the whole offset
    addr = region.addr
    if header.dyn:
        if prepad > addr:
            text = f"region {mem.name} is at {addr:#x}, too low for the {prepad:,} bytes that align it"
            said = f"region {config.number(mem)} is at {addr:#x}, too low to be aligned"
            raise fail("ENOEXEC", "region-alignment", text, at, said=said)
        addr -= prepad
    return region._replace(addr=addr, offset=region.offset - prepad, size=region.size + prepad & word, prepad=prepad)


def _check_overlap(regions: dict[Mem, Region], header: Header, config: Config, profile: Profile, at: Location) -> None:
    for a, b in combinations(sorted(mem for mem, region in regions.items() if region.size), 2):
        x, y = regions[a], regions[b]
        if Mem.EXPORT in (a, b):
            continue
        if (
            header.dyn
            and x.flags & y.flags & elf.SHF_ALLOC
            and _overlap(_span(x, x.addr, header), _span(y, y.addr, header))
        ):
            raise _overlapping(a, b, "addresses", _span(x, x.addr, header), _span(y, y.addr, header), config, at)
        if Mem.BSS in (a, b) or (profile.strings_may_overlap and {a, b} == {Mem.STRTAB, Mem.SHSTRTAB}):
            continue
        spans = _span(x, x.offset, header), _span(y, y.offset, header)
        if _overlap(*spans):
            raise _overlapping(a, b, "bytes of the file", *spans, config, at)


def _span(region: Region, start: int, header: Header) -> tuple[int, int]:
    """First and last, both included, as the loader computes them."""
    word = (1 << header.bits) - 1
    return start + region.prepad & word, start + region.size - 1 & word


def _overlap(x: tuple[int, int], y: tuple[int, int]) -> bool:
    return (x[0] <= y[0] <= x[1]) or (y[0] <= x[0] <= y[1])


def _overlapping(
    a: Mem, b: Mem, what: str, x: tuple[int, int], y: tuple[int, int], config: Config, at: Location
) -> Exception:
    spans = tuple(f"{mem.name} takes {what} {first:#x} to {last:#x}" for mem, (first, last) in ((a, x), (b, y)))
    text = f"regions {a.name} and {b.name} overlap"
    first, second = (f"region {config.number(mem)} {z[0]:#x}-{z[1]:#x}" for mem, z in ((a, x), (b, y)))
    said = f"two regions take the same {what}: {first}, {second}"
    return fail("ENOEXEC", "region-overlap", text, at, said=said, help=MERGED, detail=spans)


def _offsets(
    source: Source,
    header: Header,
    names: Sequence[str | None],
    regions: dict[Mem, Region],
    homes: dict[int, Mem],
    config: Config,
    profile: Profile,
) -> Tables:
    """Each section's offset in its region; regions that relocations change are marked."""
    word = (1 << header.bits) - 1
    nowhere = Region(0, 0, 0, 0, 0, 0)
    for i, x in enumerate(header.sections):
        if x.type not in (elf.SHT_REL, elf.SHT_RELA):
            continue
        if x.info >= len(header.sections) and not profile.bounds_checks:
            raise Undefined(f"the section map is read at {x.info}, behind its {len(header.sections)} entries")
        if x.info >= len(header.sections):
            text = f"the relocations in `{names[i]}` are for section {x.info}, which is not there"
            said = f"the relocations in section {i} are for section {x.info}, which is not there"
            raise fail("ENOEXEC", "elf-relocations", text, source.at, said=said)
        target = homes.get(x.info)
        if target is Mem.RODATA_NO_RELOC:
            text = f"`{NO_RELOC}` is relocated, but the loader leaves it where the file is"
            cure = "move what holds addresses to an ordinary section"
            said = f"section {i} relocates region {config.number(target)}"
            raise fail("ENOEXEC", "reloc-refused", text, source.at, said=said, help=cure)
        if target is not None and target in regions:
            regions[target] = regions[target]._replace(has_relocs=True)
    sections = {
        i: Section(mem, header.sections[i].offset - regions.get(mem, nowhere).offset & word) for i, mem in homes.items()
    }
    return Tables(regions, sections)

"""Is the object an extension of a supported machine, and does each of its relocations have a row?

Source: Zephyr, ``llext_load.c`` and ``llext_link.c``; see docs/explanation/pipeline.md for what holds afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from llext_tools.arch import by_machine, discover, machine_name
from llext_tools.arch.base import Arch
from llext_tools.diag import Location, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject, Relocs
from llext_tools.elf.read import REBUILD, listed, read_relocs, reloc_tables
from llext_tools.link.hints import PARTIAL_LINK, unmapped_help
from llext_tools.link.places import places, where
from llext_tools.link.regions import EXPORTED, NO_RELOC
from llext_tools.profile import Profile
from llext_tools.reloc import I64, NONE, ULEB128_LONGEST, Reloc

KINDS = ("SHT_REL", "SHT_RELA")
FILE_TYPES = {0: "of no type", 2: "a linked executable", 3: "a shared library", 4: "a core dump"}


def find_arch(obj: ElfObject, reporter: Reporter, *, shared: bool = False) -> Arch:
    """The architecture of an object that can be an extension; ``shared``: also of a shared one (ET_DYN).

    Raises:
        FormatError: ``elf-type`` or ``elf-machine``.
    """
    at = Location(file=obj.path)
    arch = by_machine(obj.machine)
    if arch is None:
        known = " and ".join(f"{a.name} ({a.machine})" for a in discover())
        text = f"the object is for {machine_name(obj.machine)}; supported are {known}"
        cure = "`llext targets` lists the CPUs"
        reporter.error("elf-machine", text, at=at, help=cure)
    elif obj.bits not in arch.classes:
        reporter.error("elf-machine", f"a {obj.bits}-bit object cannot be for {arch.name}", at=at)
    if obj.type != elf.ET_REL and not (shared and obj.type == elf.ET_DYN):
        kind = FILE_TYPES.get(obj.type, f"of type {obj.type}")
        reporter.error(
            "elf-type",
            f"the file is {kind}, not a relocatable object (ET_REL)",
            at=at,
            help=f"{PARTIAL_LINK}: `-r` is among them",
        )
    reporter.checkpoint()
    assert arch is not None
    return arch


def validate(
    obj: ElfObject,
    arch: Arch,
    profile: Profile,
    rows: Mapping[int, Reloc],
    loaded: NDArray[np.bool_],
    reporter: Reporter,
) -> Relocs:
    """The relocations of the ``loaded`` sections (bool[k]), each of a type that ``rows`` and ``profile`` have.

    What is wrong is reported; the returned relocations are complete only if nothing was.
    """
    s, y = obj.sections, obj.symbols
    at = Location(file=obj.path)
    if not len(y):
        reporter.error(
            "elf-symbols",
            "the object has no symbol table",
            at=at,
            help="strip with `--strip-unneeded`, which keeps what the loader needs",
        )
        return read_relocs(obj, np.zeros(len(s), bool), reporter)
    _check_symbols(obj, profile, reporter)
    arrays = (elf.SHT_PREINIT_ARRAY, elf.SHT_INIT_ARRAY, elf.SHT_FINI_ARRAY)
    reported = (s.type >= min(arrays)) & (s.type <= max(arrays))  # a second one of a kind, by map_regions()
    unmapped = (s.flags & elf.SHF_ALLOC != 0) & (s.size != 0) & ~loaded & ~reported
    wrong_kind = elf.SHT_REL if arch.rela else elf.SHT_RELA
    for table in reloc_tables(obj).tolist():
        here = Location(file=obj.path, section=s.name[table])
        target = int(s.info[table])
        if s.type[table] == wrong_kind and (not arch.rela or (s.type[:table] == elf.SHT_RELA).any()):
            # without any SHT_RELA before it, the loader and GNU ld take a RISC-V SHT_REL: its addends are 0
            has, wants = KINDS if arch.rela else KINDS[::-1]
            code = "elf-relocations" if arch.rela else "reloc-rela"
            text = f"the relocations are {has}, but {arch.name} uses {wants}"
            reporter.error(code, text, at=here, help="build the file with the assembler and linker of its CPU")
        elif target < len(s) and profile.rodata_no_reloc and s.name[target] == NO_RELOC:
            text = f"`{NO_RELOC}` is relocated, but the loader ({profile.name}) leaves it where the file is"
            reporter.error("reloc-refused", text, at=here, help="move what holds addresses to an ordinary section")
        elif target < len(s) and unmapped[target]:
            reporter.error(
                "reloc-unmapped",
                f"`{s.name[target]}` is relocated, but no region takes it",
                at=here,
                help=unmapped_help(s.name[target]),
            )
    nobits = loaded & (s.type == elf.SHT_NOBITS) & np.array([name != EXPORTED for name in s.name])
    relocs = read_relocs(obj, loaded, reporter)
    if nobits[relocs.section].any():
        text = "a section without contents (SHT_NOBITS) is relocated"
        reporter.error("elf-relocations", text, at=at, help="give the section contents: `%progbits` in assembly")
    if reporter.failed:
        return relocs
    _check_types(obj, arch, profile, rows, relocs, reporter)
    return relocs


def _check_symbols(obj: ElfObject, profile: Profile, reporter: Reporter) -> None:
    y, at = obj.symbols, Location(file=obj.path)
    offered = (y.bind == elf.STB_GLOBAL) & ((y.type == elf.STT_FUNC) | (y.type == elf.STT_OBJECT))
    if profile.needs_globals and not offered.any():
        reporter.error(
            "no-globals",
            "the object has no global function and no global object",
            at=at,
            notes=("the loader allocates its symbol table with 0 bytes, and takes that for an empty heap",),
            help="make the entry function global, not `static`",
        )
    common = offered & (y.shndx == elf.SHN_COMMON)
    if common.any():
        first = ", ".join(f"`{name}`" for name in y.names(np.flatnonzero(common)[:3].tolist()))
        reporter.error(
            "symbol-common",
            f"common symbols have no section: {first}" + (" and more" if common.sum() > 3 else ""),
            at=at,
            help="compile with `-fno-common`, or link with `ld -r -d`",
        )
    absolute = offered & (y.shndx == elf.SHN_ABS)
    if absolute.any() and not profile.accepts_reserved:
        name = y.name(int(np.flatnonzero(absolute)[0]))
        reporter.error(
            "symbol-absolute",
            f"the global symbol `{name}` is absolute: it belongs to no section of the extension",
            at=at,
            help="make it local, or give it no type",
        )


def _check_types(
    obj: ElfObject, arch: Arch, profile: Profile, rows: Mapping[int, Reloc], relocs: Relocs, reporter: Reporter
) -> None:
    accepted = profile.relocs.get(arch.name)
    for code in relocs.codes:
        row = rows.get(code)
        if row is not None and (accepted is None or code in accepted):
            continue
        found = np.flatnonzero(relocs.type == code)
        notes = places(obj, relocs, found[1:])
        if row is not None:
            reporter.error(
                "reloc-refused",
                f"the loader ({profile.name}) does not apply `{row.name}`",
                at=where(obj, relocs, int(found[0])),
                notes=notes,
                help=arch.refused_help.get(code)
                or f"`llext explain {row.name}` says which loader applies it; `llext link --profile abi` does",
            )
            continue
        name, cure = arch.no_help.get(code, (f"type {code}", ""))
        reporter.error(
            "reloc-unknown",
            f"{arch.name} relocation `{name}` cannot be applied to a loadable extension",
            at=where(obj, relocs, int(found[0])),
            notes=notes,
            help=cure,
        )
    if reporter.failed:
        return
    size = np.zeros(256, np.int64)
    for code in relocs.codes:
        field = rows[code].field
        size[code] = field.size if field else 0
    beyond = _beyond(obj, relocs, size)
    if beyond.size:
        offsets = listed(relocs.offset[beyond[:3]].tolist(), beyond.size)
        reporter.error(
            "elf-relocations",
            f"a relocated field ends behind its section, offset {offsets}",
            at=where(obj, relocs, int(beyond[0])),
            notes=("the loader looks at its start only, and overwrites what comes behind the section",),
            help="let the section end behind the whole field",
            returned="0",
        )
    endless = _endless(obj, relocs, rows)
    if endless.size:
        text, cure = "a number of variable length (ULEB128) does not end in its section", REBUILD
        reporter.error("elf-relocations", text, at=where(obj, relocs, int(endless[0])), help=cure)
    shared = _shared(relocs, rows) if not arch.rela and len(relocs) else NONE
    if shared.size:
        text = "two relocations change one place, each with the other's result for an addend"
        reporter.error(
            "elf-relocations",
            text,
            at=where(obj, relocs, int(shared[0])),
            notes=places(obj, relocs, shared[1:]),
            help=REBUILD,
        )


def _shared(relocs: Relocs, rows: Mapping[int, Reloc]) -> I64:
    """Indices of the relocations whose place another one before them changes already."""
    ascending = (relocs.offset[1:] > relocs.offset[:-1]) | (relocs.table[1:] != relocs.table[:-1])
    runs = relocs.section[np.append(0, np.flatnonzero(relocs.table[1:] != relocs.table[:-1]) + 1)]
    if ascending.all() and np.unique(runs).size == runs.size:
        return NONE  # as assemblers write them
    writing = np.zeros(256, bool)
    writing[[code for code, row in rows.items() if row.field]] = True
    index = np.flatnonzero(writing[relocs.type])
    place = relocs.section[index].astype(np.int64) << 40 | relocs.offset[index]
    order = np.argsort(place, kind="stable")
    again: I64 = order[1:][place[order[1:]] == place[order[:-1]]]
    first: I64 = index[again]
    return first


def _endless(obj: ElfObject, relocs: Relocs, rows: Mapping[int, Reloc]) -> I64:
    """Indices of the relocations of a ULEB128 that does not end in its section."""
    codes = [code for code, row in rows.items() if row.field and row.field.unit == "uleb128"]
    index = np.flatnonzero(np.isin(relocs.type, codes)) if set(codes) & set(relocs.codes) else NONE
    section, at = relocs.section[index], relocs.offset[index]
    room = obj.sections.size[section] - at
    start = obj.sections.offset[section] + at
    going = np.ones(index.shape, bool)
    for i in range(ULEB128_LONGEST):
        inside = i < room
        going &= ~inside | (obj.image[np.where(inside, start + i, 0)] >= 0x80)
    return index[going]


def _beyond(obj: ElfObject, relocs: Relocs, size: I64) -> I64:
    """Indices of the relocations whose field, of ``size[type]`` bytes, ends behind its section."""
    if not len(relocs):
        return NONE
    table = relocs.table
    starts = np.append(0, np.flatnonzero(table[1:] != table[:-1]) + 1)
    room = obj.sections.size[relocs.section[starts]]
    if (np.maximum.reduceat(relocs.offset, starts) + size.max() <= room).all():
        return NONE  # no place is near an end: the usual case, and no array as long as the relocations
    return np.flatnonzero(relocs.offset + size[relocs.type] > obj.sections.size[relocs.section])

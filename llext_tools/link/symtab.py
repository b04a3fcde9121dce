"""Symbols to addresses: S and T for each, or one diagnostic for each that relocations need and nobody has.

Source: Zephyr, ``llext_link.c``, ``llext_lookup_symbol()``; gABI, "Symbol Table"; aaelf32, "Symbol Values".
"""

from __future__ import annotations

import numpy as np

from llext_tools.arch.base import Arch
from llext_tools.diag import Location, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject, Relocs
from llext_tools.link.exports import ExportTable
from llext_tools.link.hints import unmapped_help
from llext_tools.link.image import Layout, RegionMap, SymTab
from llext_tools.link.layout import signed, tls_offsets
from llext_tools.link.places import places, where
from llext_tools.profile import Profile


def resolve(
    obj: ElfObject,
    arch: Arch,
    regions: RegionMap,
    layout: Layout,
    relocs: Relocs,
    exports: ExportTable | None,
    profile: Profile,
    reporter: Reporter,
) -> tuple[SymTab, dict[str, int]]:
    """The symbol table with addresses, and the imports (name -> address) that ``relocs`` need from ``exports``.

    With ``exports`` None nobody knows what the host offers: undefined symbols then are nobody's fault.
    Reports what ``link.missing`` does and ``symbol-unmapped``, once for each symbol.
    """
    s, y = obj.sections, obj.symbols
    count = len(y)
    if not count:
        none = np.zeros(0, np.int64)
        return SymTab(S=none, T=none, B=none, resolved=np.zeros(0, bool)), {}
    # for each section, and behind the last one for reserved indices: its address, its region's, whether it has one
    tls = s.flags & elf.SHF_TLS != 0
    mapped = regions.inside(layout.base)
    address = np.append(np.where(tls, tls_offsets(obj), layout.section_addr), 0)
    region_base = np.zeros(len(s) + 1, np.int64)
    for mem, start in layout.base.items():
        region_base[:-1][regions.region == mem] = signed(start)
    has_address = np.append(mapped | tls, False)
    has_address[elf.SHN_UNDEF] = False

    home = np.minimum(y.shndx, len(s))
    resolved = has_address[home] | (y.shndx == elf.SHN_ABS)
    S = y.value + address[home]
    B = region_base[home]
    T = np.zeros(count, np.int64)
    if arch.thumb:
        T = S & (y.type == elf.STT_FUNC)
    resolved[0] = True
    S[0] = T[0] = 0

    needed = np.zeros(count, bool)
    needed[relocs.symbol] = True
    imports: dict[str, int] = {}
    missing: list[int] = []
    for i in np.flatnonzero(needed & (y.shndx == elf.SHN_UNDEF)).tolist():
        if i == 0:
            continue
        name = y.name(i)
        export = exports.find(name) if exports else None
        if export is not None:
            resolved[i] = True
            if export.address >> obj.bits:
                beyond = f"`{name}` is exported at {export.address:#x}, beyond {obj.bits}-bit addresses"
                reporter.error("exports-syntax", beyond, at=Location(file=exports.source if exports else obj.path))
                continue
            imports[name] = export.address
            S[i] = signed(export.address)
            if arch.thumb and (export.kind == "func" or y.type[i] == elf.STT_FUNC):
                T[i] = export.address & 1
        elif y.bind[i] == elf.STB_WEAK and profile.weak_undefined == "null":
            resolved[i] = True
        else:
            missing.append(i)
    S -= T
    if exports is not None and missing:
        from llext_tools.link.missing import missing_imports  # only here, where something is wrong already

        reporter.add(missing_imports(obj, arch, relocs, missing, exports))
    _report_unmapped(obj, relocs, np.flatnonzero(needed & ~resolved & (y.shndx != elf.SHN_UNDEF)).tolist(), reporter)
    return SymTab(S=S, T=T, B=B, resolved=resolved), imports


def _report_unmapped(obj: ElfObject, relocs: Relocs, symbols: list[int], reporter: Reporter) -> None:
    for i in symbols:
        uses = np.flatnonzero(relocs.symbol == i)
        shndx = int(obj.symbols.shndx[i])
        name = obj.symbols.name(i) or (obj.sections.name[shndx] if shndx < len(obj.sections) else "")
        if shndx == elf.SHN_COMMON:
            reporter.error(
                "symbol-common",
                f"`{name}` is a common symbol: it has no section",
                at=where(obj, relocs, int(uses[0])),
                help="compile with `-fno-common`, or link with `ld -r -d`",
            )
            continue
        section = obj.sections.name[shndx]
        empty = obj.sections.size[shndx] == 0
        why = "is empty" if empty else "is in no region"
        cure = "give the section contents, one byte is enough" if empty else unmapped_help(section)
        reporter.error(
            "symbol-unmapped",
            f"`{name}` is in section `{section}`, which {why} and therefore is not loaded",
            at=where(obj, relocs, int(uses[0])),
            notes=places(obj, relocs, uses[1:]),
            help=cure or "put it into a section of an ordinary kind: code, constants, data or .bss",
        )

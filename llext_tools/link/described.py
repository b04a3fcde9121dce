"""A linked extension with the symbols and debug information of the ``.debug.elf`` beside its file, for debuggers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llext_tools.arch import by_machine
from llext_tools.elf import structs as elf
from llext_tools.elf.debug import debug_file, same_sections
from llext_tools.elf.model import I64, ElfObject
from llext_tools.link.image import Image, SymTab
from llext_tools.link.layout import signed
from llext_tools.mem import PERM


def described(image: Image) -> Image | None:
    """The same image of the object that has its debug information: itself, or the file beside it; None without any.

    Addresses and contents are those of ``image``. The sections and symbols that are not loaded are the debug file's.
    """
    debug = debug_file(image.obj)
    if debug is None or debug is image.obj:
        return image if debug else None
    loaded = np.flatnonzero(image.regions.inside(PERM))
    theirs = same_sections(image.obj, debug)[loaded]
    if (theirs < 0).any() or np.unique(theirs).size < theirs.size:
        return None  # of an older build
    region, offset, address = np.full(len(debug.sections), -1), *np.zeros((2, len(debug.sections)), np.int64)
    region[theirs] = image.regions.region[loaded]
    offset[theirs] = image.regions.offset[loaded]
    address[theirs] = image.layout.section_addr[loaded]
    return replace(
        image,
        obj=debug,
        regions=replace(image.regions, region=region, offset=offset),
        layout=replace(image.layout, section_addr=address),
        sym_tab=_symbols(image, debug, region, address),
    )


def _symbols(image: Image, debug: ElfObject, region: I64, address: I64) -> SymTab:
    """Where the debug file's symbols are. What it imports is where the image has it, by name."""
    y, arch = debug.symbols, by_machine(debug.machine)
    home = np.minimum(y.shndx, len(debug.sections))
    base = np.zeros(len(debug.sections) + 1, np.int64)
    for mem, start in image.layout.base.items():
        base[:-1][region == mem] = signed(start)
    resolved = np.append(region >= 0, False)[home] | (y.shndx == elf.SHN_ABS)
    S = y.value + np.append(address, 0)[home]
    T = S & (y.type == elf.STT_FUNC) if arch is not None and arch.thumb else np.zeros(len(y), np.int64)
    S, B = S - T, base[home]
    tab, ours = image.sym_tab, image.obj.symbols
    undefined = np.flatnonzero((ours.shndx == elf.SHN_UNDEF) & (ours.name_at > 0)).tolist()
    known = {ours.name(i): i for i in undefined}
    for i in np.flatnonzero((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0)).tolist():
        if (there := known.get(y.name(i))) is not None:
            S[i], T[i], resolved[i] = tab.S[there], tab.T[there], tab.resolved[there]
    return SymTab(S=S, T=T, B=B, resolved=resolved)

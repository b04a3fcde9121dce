"""The loader's own answer: the object is loaded on the host, wherever there is room.

What depends on addresses is not reported: nobody knows them yet. Without a table of exports each undefined symbol has
some address.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llext_tools.arch.base import Arch
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Runtime
from llext_tools.llext.space import LARGEST
from llext_tools.profile import Profile

HEAP = 0x2000_0000
ROOM = 1 << 20  # for the loader's own data; regions come on top
PLACED = ("reloc-out-of-range", "reloc-deviates")


def loader_answer(
    obj: ElfObject,
    arch: Arch,
    exports: ExportTable | None,
    profile: Profile,
    reporter: Reporter,
    *,
    completed: bool = False,
) -> None:
    """Report why the loader refuses ``obj``, where it runs into undefined behaviour, and what it gets wrong.

    With ``completed`` what ``exports`` lacks has some address, too, so that more than its absence is found.
    """
    room = ROOM + 4 * int(obj.image.size) + int(obj.sections.size[obj.sections.type == elf.SHT_NOBITS].sum())
    if room > LARGEST:
        return  # larger than any board: nobody could load it, and simulating it would take as much memory here
    config = Config(
        heap="plain",
        heap_start=HEAP,
        heap_size=room,
        rodata_no_reloc=profile.rodata_no_reloc,
    )
    table = _everything(obj) if exports is None else _as_injected(obj, exports)
    if exports is not None and completed:
        table = ExportTable.joined((table, _everything(obj)))
    rt = Runtime(arch, obj.bits, exports=table, config=config, profile=profile)
    try:
        _, ext = rt.load(BufLoader(obj.image.tobytes()), obj.path)
    except LlextError as error:
        found = error.diagnostics
    else:
        found = tuple(ext.diagnostics)
    reporter.add(each for each in found if not _depends_on_addresses(each, arch, obj.bits))


def _everything(obj: ElfObject) -> ExportTable:
    """A firmware that exports all that the object lacks; the addresses are even, near and equal."""
    undefined = np.flatnonzero((obj.symbols.shndx == elf.SHN_UNDEF) & (obj.symbols.name_at > 0))
    return ExportTable.of(dict.fromkeys(obj.symbols.names(undefined.tolist()), HEAP), "anyone")


def _as_injected(obj: ElfObject, exports: ExportTable) -> ExportTable:
    """The table by name for an object without SLIDs, which get into it in the last step of a build."""
    y = obj.symbols
    undefined = np.flatnonzero((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0))
    if not exports.slid_bits or y.value[undefined].any():
        return exports
    return replace(exports.named(y.names(undefined.tolist())), slid_bits=0)


def _depends_on_addresses(found: Diagnostic, arch: Arch, bits: int) -> bool:
    if found.code not in PLACED:
        return False
    formulas = {row.name: row.formula for row in arch.loader_relocs[bits].values()}
    return found.code == "reloc-out-of-range" or "P" in formulas.get(found.message.split("`")[1], "")

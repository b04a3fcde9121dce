"""Veneers: stubs that carry a Thumb branch further than its own reach, on Arm M-profile.

Before regions are allocated, the loader counts a slot for each branch to an undefined symbol, near or far. A stub is
made when a branch does not reach; a second branch to the same address shares it.
Source: Zephyr, ``arch/arm/core/elf.c``, CONFIG_LLEXT_VENEERS; Arm ARM, "LDR (literal)" and "MOV (register)".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64
from llext_tools.llext.config import Config
from llext_tools.llext.ext import Region
from llext_tools.llext.outcome import Undefined
from llext_tools.llext.source import SYM_SIZE, Source
from llext_tools.llext.space import Space
from llext_tools.llext.tables import Header, Tables
from llext_tools.mem import Mem
from llext_tools.reloc import Batch, Reloc

BRANCHES = (10, 30)  # R_ARM_THM_CALL, R_ARM_THM_JUMP24
STUB = {
    "v7m": (8, bytes.fromhex("dff800f0")),  # ldr.w pc, [pc]; then the address
    "v6m": (16, bytes.fromhex("10b4024ca44610bc604700bf")),  # push, ldr, mov ip, pop, bx ip, nop; then the address
}
ALIGN = 4


class Veneers:
    """The table of one extension. ``address`` and ``size`` are those of its region, in bytes."""

    def __init__(self, config: Config, address: int, size: int) -> None:
        self.size, self.code = STUB[config.veneers]
        self.address, self.slots = address, size // self.size
        self.stubs: dict[int, int] = {}  # target -> address of its stub

    def serve(self, code: int) -> bool:
        return code in BRANCHES

    def reroute(self, row: Reloc, batch: Batch, bad: NDArray[np.bool_], space: Space) -> tuple[I64, NDArray[np.bool_]]:
        """The values with a stub instead of each target that is too far, and what is too far even so."""
        S = batch.S.copy()
        for k in np.flatnonzero(bad).tolist():
            stub = self._stub(int(S[k]), space)
            if stub is not None:
                S[k] = stub | 1
        assert row.check is not None
        moved = row.value(batch._replace(S=S))
        return moved, row.check.misfits(moved)

    def _stub(self, target: int, space: Space) -> int | None:
        if target not in self.stubs:
            if len(self.stubs) == self.slots:
                return None
            at = self.address + len(self.stubs) * self.size
            space.view(at, self.size)[:] = memoryview(self.code + (target & 0xFFFF_FFFF).to_bytes(4, "little"))
            self.stubs[target] = at
        return self.stubs[target]


def veneer_region(source: Source, header: Header, tables: Tables, config: Config) -> Region | None:
    """The region with a slot for each branch that may need one, or None without any."""
    table = tables.regions[Mem.SYMTAB]
    entry, dtype = SYM_SIZE[header.bits], elf.REL_OF[header.bits]
    symbols = np.frombuffer(source.table(table.offset, table.size // entry * entry, entry), elf.SYM_OF[header.bits])
    slots = 0
    for x in header.sections:
        if x.type != elf.SHT_REL or not header.sections[x.info].flags & elf.SHF_ALLOC:
            continue
        if not x.entsize:
            raise Undefined("the size of a relocation section is divided by its sh_entsize, which is 0")
        if x.entsize != dtype.itemsize or x.size % dtype.itemsize:
            continue  # linking refuses it
        info = np.frombuffer(source.table(x.offset, x.size, dtype.itemsize), dtype)["info"]
        symbol = info[np.isin(info & 0xFF, BRANCHES)] >> 8
        symbol = symbol[(symbol != 0) & (symbol < symbols.size)]
        slots += int((symbols["shndx"][symbol] == elf.SHN_UNDEF).sum())
    if not slots:
        return None
    size = slots * STUB[config.veneers][0]
    return Region(
        type=elf.SHT_NOBITS, flags=elf.SHF_ALLOC | elf.SHF_EXECINSTR, addr=0, offset=0, size=size, align=ALIGN
    )

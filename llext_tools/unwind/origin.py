"""Which relocation wrote the word that went wrong: a call's target, or a pointer in memory that was used.

A linked extension knows what each of its relocations wrote. Of a bad address it can therefore be said where it stands:
in the instruction itself, or in a word of its memory. A word that holds something else than what was written to it when
the extension was loaded has been overwritten since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools.diag import Reporter, number
from llext_tools.elf.model import I64, ElfObject, Relocs
from llext_tools.elf.read import read_relocs
from llext_tools.host.areas import Linked
from llext_tools.host.places import Places
from llext_tools.link.image import Image
from llext_tools.link.relocate import pair
from llext_tools.machine.protocol import Stop
from llext_tools.mem import PERM, Mem
from llext_tools.pages import PAGE
from llext_tools.reloc import Reloc
from llext_tools.unwind.names import Namer

SHOWN = 2
"""Words that are named."""
REACH = 1 << 12
"""Bytes from a pointer to the member of a structure that is accessed by it."""
CERTAIN, OWN, OTHER = range(3)
"""How telling a note is: the instruction or an overwritten word; what the function refers to; another word."""
LARGEST = 1 << 14  # bytes of a function that is searched for what it refers to


class Written(NamedTuple):
    """The relocations of an image: m places (int64[m]), and those of them that are words which hold an address.

    ``words``: indices, int64[n]. ``before``, ``now``: what was written there when the image was loaded, what is there.
    ``thumb``: whether bit 0 of a function's address is not part of it.
    """

    image: Image
    relocs: Relocs
    rows: Mapping[int, Reloc]
    at: I64
    words: I64
    before: I64
    now: I64
    thumb: bool


def origins(guest: Places, namer: Namer, stop: Stop, place: int, *, exact: bool = True) -> tuple[str, ...]:
    """Notes on where the address comes from that a stop is about.

    Args:
        stop: a jump to what is no code, or an access that was refused.
        place: the instruction of the extension that did it: the jump or the access. If it is not ``exact``, another
            one of its function, such as the call of the host that made the access.
    """
    if stop.reason not in ("execute", "state", "read", "write"):
        return ()
    found: list[tuple[int, str]] = []
    owners = {id(area.owner): area.owner for area in guest.memory.areas if isinstance(area.owner, Linked)}
    for owner in owners.values():
        written = _written(guest, owner.image)
        wanted = _wanted(guest, stop)
        if exact:
            found += _in_instruction(namer, written, wanted, place)
        found += _in_words(namer, written, wanted, place, jump=stop.reason in ("execute", "state"))
        found += _in_code(namer, written, wanted, place)
    best = [text for rank, text in found if rank == min(rank for rank, _ in found)]
    if len(best) > SHOWN and min(rank for rank, _ in found) == OTHER:
        return ()  # where so many words hold it, none of them says much
    more = (f"and {number(len(best) - SHOWN, 'more word')} of that kind",) if len(best) > SHOWN else ()
    return (*best[:SHOWN], *more)


def _written(guest: Places, image: Image) -> Written:
    obj = image.obj
    arch = archs.by_machine(obj.machine)
    assert arch is not None, "the image was linked"
    rows = arch.relocs[obj.bits]
    relocs = read_relocs(obj, image.regions.inside(PERM), Reporter())
    at = image.layout.section_addr[relocs.section] + relocs.offset
    size = obj.bits // 8
    codes = [code for code, row in rows.items() if _is_pointer(row, size)]
    words = np.flatnonzero(np.isin(relocs.type, codes))
    before, now = (np.zeros(words.size, np.int64) for _ in range(2))
    for mem, data in image.mem.items():
        start = image.layout.base[mem]
        inside = np.flatnonzero((at[words] >= start) & (at[words] + size <= start + data.size))
        if inside.size and mem in PERM:
            offset = at[words[inside]] - start
            before[inside] = _load(data.tobytes(), offset, size)
            now[inside] = _load(guest.memory.peek(start, data.size), offset, size)
    return Written(image, relocs, rows, at, words, before, now, arch.thumb)


def _is_pointer(row: Reloc, size: int) -> bool:
    """Whether a relocation writes a whole word with an address."""
    field = row.field
    whole = field is not None and field.unit == f"<u{size}" and field.units == 1
    return whole and row.order == "plain" and "P" not in row.formula and "B(S)" not in row.formula


def _load(data: bytes, offsets: I64, size: int) -> I64:
    """Words at n offsets, int64[n]."""
    words = [int.from_bytes(data[i : i + size], "little") for i in offsets.tolist()]
    return np.array(words, np.uint64).astype(np.int64)


def _in_instruction(namer: Namer, written: Written, wanted: set[int], place: int) -> Iterator[tuple[int, str]]:
    """The relocation of the instruction itself, if that is about the address: else it has jumped on from elsewhere."""
    image, relocs, rows, at = written[:4]
    addresses = {address & ~written.thumb for address in wanted}
    for i in np.flatnonzero((at <= place) & (place < at + 8)).tolist():
        row = rows[int(relocs.type[i])]
        if row.field is None or place >= int(at[i]) + row.field.size:
            continue
        source = int(pair(image.obj, rows, relocs, image.layout, image.sym_tab, Reporter())[i]) if row.pairs_with else i
        symbol = int(relocs.symbol[source])
        start = int(image.sym_tab.S[symbol])
        target = start + int(relocs.addend[source])  # of a REL table, this is not all, but branches add nothing
        name = _name(image.obj, symbol) or namer.symbol(target)
        if name and addresses & {start, target}:
            yield CERTAIN, f"the instruction at {namer.where(place)} has its address by `{row.name}` for {name}"


def _wanted(guest: Places, stop: Stop) -> set[int]:
    """The address as it may stand in memory, and those from which a member was accessed."""
    if stop.reason in ("execute", "state"):
        return {stop.pc, stop.pc | 1}  # RISC-V, too, ignores bit 0
    other = {guest.conv.sp, guest.conv.pc, guest.conv.ra}
    registers = guest.stopped.registers if guest.stopped else {}
    values = (value for name, value in registers.items() if name not in other)
    functions = {address for address, (export, _) in guest.functions.items() if export.kind != "object"}
    bases = (
        value
        for value in values
        if 0 <= stop.address - value < REACH and guest.arch.code_at(value) not in functions  # such has no members
    )
    return {stop.address, *bases}


def _in_words(namer: Namer, written: Written, wanted: set[int], place: int, *, jump: bool) -> Iterator[tuple[int, str]]:
    """Words of memory that hold the address."""
    image, relocs, rows, at, words, before, now, _ = written
    here, known = namer.function(place)[0], _referred(namer, written, place)
    for i in np.flatnonzero(np.isin(now, list(wanted))).tolist():
        reloc, address, value = int(words[i]), int(at[words[i]]), int(now[i])
        symbol = int(relocs.symbol[reloc])
        written_there = int(before[i])
        target = written_there & ~written.thumb
        name = _name(image.obj, symbol) or namer.symbol(target) or namer.where(target)
        by = f"`{rows[int(relocs.type[reloc])].name}` for {name}"
        if value != written_there:
            was = f"{by} had put {written_there:#010x} there"
            yield CERTAIN, f"{namer.where(address)} was overwritten with {value:#010x}: {was}"
        elif value >= PAGE or (jump and not value):
            code = image.regions.region[relocs.section[reloc]] == Mem.TEXT
            own = namer.function(address)[0] == here if code else _variable(namer, address) in known
            if own or not code:
                yield OWN if own else OTHER, f"{namer.where(address)} holds {value:#010x}, written by {by}"


def _referred(namer: Namer, written: Written, place: int) -> set[str]:
    """The variables that the function at ``place`` refers to."""
    image, relocs, _, at, words, before = written[:6]
    here = namer.function(place)[0]
    target = image.sym_tab.S[relocs.symbol] + relocs.addend
    target[words] = before
    near = np.flatnonzero((at > place - LARGEST) & (at < place + LARGEST))
    own = [i for i in near.tolist() if namer.function(int(at[i]))[0] == here]
    return {_variable(namer, address) for address in target[own].tolist()} - {""}


def _variable(namer: Namer, address: int) -> str:
    """The name of what is at an address, without the offset in it."""
    return namer.symbol(address).rpartition("`")[0]


def _in_code(namer: Namer, written: Written, wanted: set[int], place: int) -> Iterator[tuple[int, str]]:
    """Instructions of the same function that make the address out of parts; the first of them is named."""
    image, relocs, rows, at = written[:4]
    far = [address & ~written.thumb for address in wanted if address >= PAGE]
    code = image.regions.region[relocs.section] == Mem.TEXT
    here = namer.function(place)[0]
    target = image.sym_tab.S[relocs.symbol] + relocs.addend
    for i in np.flatnonzero(code & np.isin(target, far)).tolist():
        row = rows[int(relocs.type[i])]
        if row.field and row.field.size == 4 and "S + A" in row.formula and namer.function(int(at[i]))[0] == here:
            name = _name(image.obj, int(relocs.symbol[i])) or namer.symbol(int(target[i]))
            if name and not row.pairs_with and not _is_pointer(row, image.obj.bits // 8):
                yield OWN, f"{namer.where(int(at[i]))} makes the address: `{row.name}` for {name}"
                return


def _name(obj: ElfObject, symbol: int) -> str:
    """A symbol's name in quotes, unless it is one of a section or a compiler's label."""
    name = obj.symbols.name(symbol)
    return f"`{name}`" if name and not name.startswith((".L", "$")) else ""

"""Rules about Arm and Thumb code, and about what the loader does to an address of either.

Bit 0 of a function's address says that it is Thumb code; the linker puts it there for symbols of type FUNC. A symbol
without a type gives the plain address, and a call through that pointer asks for Arm code, which Cortex-M does not have.
The loader never turns a BL into a BLX, so a direct call cannot change from one kind of code to the other.
Sources: aaelf32 (2024Q3), "Symbol Types" and "Mapping symbols"; Zephyr, ``arch/arm/core/elf.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.arch import targets
from llext_tools.check.subject import Rule, Subject
from llext_tools.diag import Diagnostic
from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64, ElfObject
from llext_tools.link.places import places, where
from llext_tools.mem import Mem
from llext_tools.reloc import load

UNKNOWN, ARM, THUMB, DATA = range(4)
MAPPING = {b"$a": ARM, b"$t": THUMB, b"$d": DATA}
NOBODY, ANYONE, LOADER = range(3)


def one_of(*codes: int) -> NDArray[np.bool_]:
    """bool[256]: a table of relocation types, which have 8 bits in a 32-bit object."""
    return np.isin(np.arange(256), codes)


STRICT = frozenset(("Armv6-M", "Armv8-M.base"))  # which fault on a word at an address that is no multiple of 4


class Mapped(NamedTuple):
    """What the mapping symbols say, sorted by section and offset; ``llext finish`` drops them."""

    section: I64
    offset: I64
    state: I64

    def at(self, section: int, offset: int) -> int:
        """ARM, THUMB, DATA, or UNKNOWN."""
        first, last = np.searchsorted(self.section, [section, section + 1])
        i = first + int(np.searchsorted(self.offset[first:last], offset, side="right")) - 1
        return int(self.state[i]) if i >= first else UNKNOWN


def mapped(obj: ElfObject) -> Mapped:
    y = obj.symbols
    text = np.frombuffer(y.strtab + b"\0\0\0", np.uint8)
    dollar = (text[y.name_at] == ord("$")) & (y.type == elf.STT_NOTYPE) & (y.bind == elf.STB_LOCAL)
    index = np.flatnonzero(dollar & (y.shndx > 0) & (y.shndx < len(obj.sections)))
    kinds = [(i, MAPPING[kind]) for i in index.tolist() if (kind := _kind(y.strtab, int(y.name_at[i])))]
    index, state = np.array(kinds, np.int64).reshape(-1, 2).T
    order = np.lexsort((y.value[index], y.shndx[index]))
    return Mapped(y.shndx[index][order].astype(np.int64), y.value[index][order], state[order])


def _kind(strtab: bytes, at: int) -> bytes:
    """``$t`` of ``$t`` and ``$t.7``; nothing of another name."""
    return strtab[at : at + 2] if strtab[at : at + 2] in MAPPING and strtab[at + 2 : at + 3] in (b"\0", b".") else b""


def pointers(subject: Subject) -> Iterator[Diagnostic]:
    """``thumb-bit``: the address of Thumb code is taken from a symbol without a type, so it lacks bit 0.

    An entry of ``.exported_sym`` and of the arrays of constructors and destructors is called for sure. Elsewhere an
    address may be that of data in code or of code to be copied: it counts if the symbol is called by a branch as
    well, or if the mapping symbols say that it is code. Compilers take addresses inside functions from section
    symbols, which do not count.
    """
    obj, y, r = subject.obj, subject.obj.symbols, subject.relocs
    if not subject.arch.thumb or not len(y):
        return
    section = y.type == elf.STT_SECTION
    untyped = (section | (y.type == elf.STT_NOTYPE)) & _in_code(obj)
    if not untyped.any():
        return
    called_by = _entries(subject)
    points = one_of(*subject.arch.pointers)[r.type]
    taken = np.flatnonzero(points & untyped[r.symbol] & (~section[r.symbol] | (called_by != NOBODY)))
    if not taken.size:
        return
    target = y.value[r.symbol[taken]] + _addends(subject, taken)
    marks, m_profile = mapped(obj), is_m_profile(subject)
    branched_to = np.zeros(len(y), bool)
    branched_to[r.symbol[one_of(*subject.arch.branches)[r.type]]] = True
    found: dict[tuple[int, int], list[int]] = {}
    certain: set[tuple[int, int]] = set()
    even = target & 1 == 0
    for i, address in zip(taken[even].tolist(), target[even].tolist(), strict=True):
        symbol, caller = int(r.symbol[i]), int(called_by[i])
        state = marks.at(int(y.shndx[symbol]), address)
        if state == THUMB or (state == UNKNOWN and m_profile and (caller != NOBODY or branched_to[symbol])):
            found.setdefault((symbol, address), []).append(i)
            if caller == LOADER or (caller == ANYONE and (state == THUMB or not section[symbol])):
                certain.add((symbol, address))
    for (symbol, address), uses in found.items():
        name = "" if section[symbol] else y.name(symbol)
        first = next((i for i in uses if called_by[i] != NOBODY), uses[0])
        place = f"{obj.sections.name[int(y.shndx[symbol])]}+{address:#x}"
        yield Diagnostic(
            "thumb-bit",
            f"the address of `{name or place}` is that of Thumb code, but lacks bit 0: the symbol has no type",
            severity="error" if (symbol, address) in certain else "warning",
            location=where(obj, r, first),
            notes=places(obj, r, np.array([i for i in uses if i != first], np.int64)),
            help=f"write `.type {name or 'NAME'}, %function` in front of the label",
        )


def _addends(subject: Subject, which: I64) -> I64:
    """What the places of some relocations hold."""
    obj, r = subject.obj, subject.relocs
    at = obj.sections.offset[r.section[which]] + r.offset[which]
    addend = np.zeros(which.size, np.int64)
    whole = at + 4 <= obj.image.size  # a place may begin at the very end of its section
    for code in subject.arch.pointers:
        these, field = whole & (r.type[which] == code), subject.arch.relocs[obj.bits][code].field
        if field is not None and these.any():
            addend[these] = field.decode(load(obj.image, field, at[these]))
    return addend


def _entries(subject: Subject) -> I64:
    """int64[m]: who calls the address that a relocation stores: NOBODY known, ANYONE who finds it, the LOADER."""
    r, regions = subject.relocs, subject.regions
    mem, offset = regions.region[r.section], regions.offset[r.section] + r.offset
    pair = subject.obj.bits // 4
    exported = (mem == Mem.EXPORT) & (offset % pair == pair // 2)
    arrays = (mem == Mem.PREINIT) | (mem == Mem.INIT) | (mem == Mem.FINI)
    return np.where(arrays, LOADER, np.where(exported, ANYONE, NOBODY))


def states(subject: Subject) -> Iterator[Diagnostic]:
    """``thumb-state``: Arm code on Cortex-M, or a branch between Thumb and Arm code that stays in its own state."""
    if subject.arch.thumb and len(subject.obj.symbols):
        yield from _arm_code(subject) if is_m_profile(subject) else _branches(subject)


def _arm_code(subject: Subject) -> Iterator[Diagnostic]:
    obj, y, r = subject.obj, subject.obj.symbols, subject.relocs
    functions = np.flatnonzero((y.type == elf.STT_FUNC) & (y.value & 1 == 0) & _in_code(obj))
    branches = np.flatnonzero(one_of(*subject.arch.foreign_branches)[r.type])
    if functions.size:
        i = int(functions[0])
        location = subject.at(int(y.shndx[i]))._replace(offset=int(y.value[i]))
        text = f"the function `{y.name(i)}` has an even address: it is Arm code, which Cortex-M does not have"
    elif branches.size:
        location = where(obj, r, int(branches[0]))
        text = "a branch is an Arm instruction, which Cortex-M does not have"
    else:
        return
    more = f", and {functions.size - 1:,} more" if functions.size > 1 else ""
    cure = "assemble it with `.thumb`, and write `.type NAME, %function` in front of each function"
    yield Diagnostic("thumb-state", text + more, location=location, help=cure)


def _branches(subject: Subject) -> Iterator[Diagnostic]:
    obj, r = subject.obj, subject.relocs
    branches = np.flatnonzero(one_of(*subject.arch.branches, *subject.arch.foreign_branches)[r.type])
    if not branches.size:
        return
    marks, in_code = mapped(obj), _in_code(obj)
    found: dict[tuple[int, int], list[int]] = {}
    for i in branches.tolist():
        symbol, thumb = int(r.symbol[i]), int(r.type[i]) in subject.arch.branches
        there = _state(subject, symbol, marks, in_code)
        changes = _is_blx(obj, int(obj.sections.offset[r.section[i]] + r.offset[i]), thumb)
        arrives = THUMB if thumb != changes else ARM
        if there not in (UNKNOWN, arrives):
            found.setdefault((symbol, there), []).append(i)
    for (symbol, there), uses in found.items():
        name, code = obj.symbols.name(symbol), "Thumb" if there == THUMB else "Arm"
        yield Diagnostic(
            "thumb-state",
            f"`{name}` is {code} code, but a branch arrives there in the other state",
            location=where(obj, r, uses[0]),
            notes=(
                *places(obj, r, np.array(uses[1:], np.int64)),
                "the loader turns no BL into a BLX, as a linker does",
            ),
            help="compile both with `-mthumb` or with `-marm`; for functions of the firmware `-mlong-calls` will do",
        )


def _state(subject: Subject, symbol: int, marks: Mapped, in_code: NDArray[np.bool_]) -> int:
    """ARM or THUMB, of what a symbol stands for."""
    y = subject.obj.symbols
    value, kind, section = int(y.value[symbol]), int(y.type[symbol]), int(y.shndx[symbol])
    if section == elf.SHN_UNDEF and subject.firmware:
        export = subject.firmware.exports.find(y.name(symbol))
        if export is None or (export.kind != "func" and not export.address & 1):
            return UNKNOWN
        return THUMB if export.address & 1 else ARM
    if not in_code[symbol] or kind not in (elf.STT_NOTYPE, elf.STT_FUNC):
        return UNKNOWN
    if kind == elf.STT_FUNC:
        return THUMB if value & 1 else ARM
    state = marks.at(section, value)
    return UNKNOWN if state == DATA else state


def _is_blx(obj: ElfObject, at: int, thumb: bool) -> bool:
    """Whether the branch at a byte of the file changes the state."""
    code = obj.image[at : at + 4].tobytes()
    if len(code) < 4:
        return False
    return code[3] & 0xD0 == 0xC0 if thumb else code[3] & 0xFE == 0xFA


def _in_code(obj: ElfObject) -> NDArray[np.bool_]:
    """bool[n]: the symbols that are defined in a section that holds instructions."""
    s = obj.sections
    executable = (s.flags & (elf.SHF_EXECINSTR | elf.SHF_ALLOC)) == elf.SHF_EXECINSTR | elf.SHF_ALLOC
    return np.append(executable & (s.size > 0), False)[np.minimum(obj.symbols.shndx, len(s))]


def is_m_profile(subject: Subject) -> bool:
    """Whether it is for a Cortex-M, by its own attributes, else by the firmware's, else by the target. Most are."""
    target = targets().get(subject.board.target)
    theirs = subject.firmware.cpu if subject.firmware else None
    said = (subject.arch.cpu(subject.obj).isa, theirs.isa if theirs else (), target.isa if target else ())
    named = next((words for isa in said if (words := [word for word in isa if word.startswith("Armv")])), ["Armv6-M"])
    return any("-M" in word for word in named)


def stores(subject: Subject) -> Iterator[Diagnostic]:
    """``store-unaligned``: a relocated word at an odd place, on a CPU that can store words at multiples of 4 only.

    Regions start at multiples of 4, whatever their alignment: those of the heap.
    """
    if not subject.arch.thumb or not subject.profile.loader_rows:
        return
    theirs, target = subject.firmware.cpu if subject.firmware else None, targets().get(subject.board.target)
    isa = (theirs and theirs.isa) or (target and target.isa) or (subject.arch.cpu(subject.obj).name,)
    name = next((word for word in isa if word in STRICT), "")
    if not name:
        return
    r, regions = subject.relocs, subject.regions
    rows = subject.arch.loader_relocs[subject.obj.bits]
    words = one_of(*(code for code, row in rows.items() if row.field and row.field.unit == "<u4"))
    place = regions.offset[r.section] + r.offset
    uneven = np.flatnonzero(words[r.type] & (regions.region[r.section] >= 0) & (place & 3 != 0))
    if not uneven.size:
        return
    first = int(uneven[0])
    yield Diagnostic(
        "store-unaligned",
        f"the loader stores a word at byte {int(place[first]):,} of its region, no multiple of 4: {name} faults",
        location=where(subject.obj, r, first),
        notes=places(subject.obj, r, uneven[1:]),
        help="align what holds an address to 4 bytes, and do not pack structures that hold one",
    )


RULES: tuple[Rule, ...] = (pointers, states, stores)

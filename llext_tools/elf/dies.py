"""Debugging information entries: a few of many, read where they stand.

A firmware has hundreds of thousands of entries, and a check needs some dozens. Nothing is read ahead: a unit by its
header, an entry by its offset, children by going from sibling to sibling. pyelftools makes an object of each attribute
of each entry that it passes; it is the second reader in the tests.

Whoever reads entries catches ``MALFORMED``: debug information only adds comfort, and errors in it count as none.
Source: DWARF 5, section 7 "Data Representation"; versions 2 to 5 are read, types in ``.debug_types`` are not.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from llext_tools.elf import structs as elf
from llext_tools.elf.debug import relocated
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError

MALFORMED = (LlextError, LookupError, ValueError, TypeError, OverflowError, RecursionError, zlib.error)
"""What reading debug information with errors in it may raise."""

Value: TypeAlias = "int | bytes | str"
"""Of an attribute: a number, the offset of an entry in ``.debug_info``, an address, a block of bytes, or text."""

SECTIONS = (".debug_info", ".debug_abbrev", ".debug_str", ".debug_line_str", ".debug_str_offsets", ".debug_addr")
SHF_COMPRESSED = 0x800
LARGEST = 1 << 28  # bytes of a section that was compressed: a small file may claim to hold any amount
ELSEWHERE = -1
"""Where a type is that has a signature, and is in no unit of ``.debug_info``."""


class TAG:
    """``DW_TAG_*``, those that are asked for."""

    array_type, class_type, enumeration_type, formal_parameter, member = 0x01, 0x02, 0x04, 0x05, 0x0D
    pointer_type, reference_type, structure_type, subroutine_type, typedef = 0x0F, 0x10, 0x13, 0x15, 0x16
    union_type, unspecified_parameters, inheritance, ptr_to_member_type = 0x17, 0x18, 0x1C, 0x1F
    subrange_type, base_type, const_type, enumerator, subprogram = 0x21, 0x24, 0x26, 0x28, 0x2E
    variable, volatile_type, restrict_type, namespace = 0x34, 0x35, 0x37, 0x39
    unspecified_type, rvalue_reference_type, atomic_type, lexical_block = 0x3B, 0x42, 0x47, 0x0B


class AT:
    """``DW_AT_*``, those that are asked for."""

    sibling, location, name, byte_size, bit_offset, bit_size = 0x01, 0x02, 0x03, 0x0B, 0x0C, 0x0D
    low_pc, language, const_value, prototyped, upper_bound = 0x11, 0x13, 0x1C, 0x27, 0x2F
    abstract_origin, artificial, count, data_member_location = 0x31, 0x34, 0x37, 0x38
    declaration, encoding, external, specification, type, virtuality = 0x3C, 0x3E, 0x3F, 0x47, 0x49, 0x4C
    signature, data_bit_offset, linkage_name, str_offsets_base, addr_base = 0x69, 0x6B, 0x6E, 0x72, 0x73
    mips_linkage_name = 0x2007


@dataclass(slots=True, eq=False)
class Unit:
    """A unit of ``.debug_info``: where it stands, and how wide its addresses and offsets are."""

    offset: int
    end: int
    top: int  # where its first entry is
    version: int
    address_size: int
    offset_size: int
    abbrevs_at: int
    signature: int = 0  # of a type unit, with the place of the type in it
    type_at: int = 0
    str_offsets_base: int = 0
    addr_base: int = 0
    language: int = 0
    abbrevs: dict[int, Abbrev] | None = None


class Entry(NamedTuple):
    """An entry at ``offset`` of ``.debug_info``. Its children, or its next sibling, stand at ``end``."""

    offset: int
    tag: int
    parent: bool  # whether it has children
    end: int
    values: dict[int, Value]


class Abbrev(NamedTuple):
    """What entries of one kind consist of."""

    tag: int
    parent: bool
    attributes: tuple[tuple[int, int, int], ...]  # attribute, form, implicit constant
    size: int  # of all values, -1 if it varies
    sibling: int  # where among the values that of DW_AT_sibling is, as DW_FORM_ref4; -1 if nobody knows


class Debug:
    """The debug information of one file."""

    def __init__(self, obj: ElfObject) -> None:
        """Raises one of ``MALFORMED`` if the headers of the units are wrong."""
        image = relocated(obj, SECTIONS) if obj.type == elf.ET_REL else obj.image
        self.info, self.abbrev, self.str, self.line_str, self.str_offsets, self.addr = (
            _section(obj, image, name) for name in SECTIONS
        )
        self.units: list[Unit] = list(_units(self.info))
        self._starts = [unit.offset for unit in self.units]
        self._abbrevs: dict[tuple[int, int, int, int], dict[int, Abbrev]] = {}
        self._opened: set[int] = set()

    def unit_at(self, offset: int) -> Unit:
        """The unit that the byte at ``offset`` of ``.debug_info`` is part of."""
        unit = self.units[bisect_right(self._starts, offset) - 1]
        if not unit.offset <= offset < unit.end:
            raise ValueError("not in any unit")
        return unit

    def top(self, unit: Unit) -> Entry:
        """A unit's own entry. What it says of the unit holds from then on."""
        entry = self._entry(unit, unit.top)
        if unit.offset not in self._opened:
            self._opened.add(unit.offset)
            unit.str_offsets_base = _number(entry, AT.str_offsets_base, 2 * unit.offset_size)
            unit.addr_base = _number(entry, AT.addr_base, 8)
            unit.language = _number(entry, AT.language, 0)
            entry = self._entry(unit, unit.top)
        return entry

    def entry(self, offset: int) -> Entry:
        """The entry at ``offset`` of ``.debug_info``, in whatever unit."""
        unit = self.unit_at(offset)
        if unit.offset not in self._opened:
            self.top(unit)
        return self._entry(unit, offset)

    def children(self, parent: Entry, tags: Collection[int]) -> Iterator[Entry]:
        """The children of an entry that have one of ``tags``."""
        if not parent.parent:
            return
        unit = self.unit_at(parent.offset)
        info, abbrevs, end_of_unit = self.info, self._abbrevs_of(unit), unit.end
        at, depth = parent.end, 0
        while at < end_of_unit:
            start = at
            code, at = uleb(info, at)
            if not code:
                if not depth:
                    return
                depth -= 1
                continue
            abbrev = abbrevs[code]
            sibling = 0
            if abbrev.parent and abbrev.sibling >= 0:
                sibling = unit.offset + int.from_bytes(info[at + abbrev.sibling : at + abbrev.sibling + 4], "little")
                if not at < sibling < end_of_unit:
                    raise ValueError("a sibling outside the unit")
            if not depth and abbrev.tag in tags:
                entry = self._entry(unit, start)
                yield entry
                at = entry.end
            elif not sibling:
                at = at + abbrev.size if abbrev.size >= 0 else self._entry(unit, start).end
            if sibling:
                at = sibling
            elif abbrev.parent:
                depth += 1

    def check_siblings(self) -> None:
        """Raises one of ``MALFORMED`` if an entry's sibling stands before it: who follows them would go in circles."""
        for unit in self.units:
            at = self.top(unit).offset
            while at < unit.end:
                if not self.info[at]:
                    at += 1
                    continue
                entry = self._entry(unit, at)
                sibling = entry.values.get(AT.sibling, unit.end)
                if not isinstance(sibling, int) or not entry.end <= sibling <= unit.end:
                    raise ValueError("a sibling that stands before its entry")
                at = entry.end

    def _entry(self, unit: Unit, offset: int) -> Entry:
        code, at = uleb(self.info, offset)
        abbrev = self._abbrevs_of(unit)[code]
        values: dict[int, Value] = {}
        for attribute, form, constant in abbrev.attributes:
            values[attribute], at = FORMS[form](self, unit, at, constant)
        if at > unit.end:
            raise ValueError("an entry reaches beyond its unit")
        return Entry(offset, abbrev.tag, abbrev.parent, at, values)

    def _abbrevs_of(self, unit: Unit) -> dict[int, Abbrev]:
        if unit.abbrevs is None:
            key = unit.abbrevs_at, unit.address_size, unit.offset_size, unit.version
            if key not in self._abbrevs:
                self._abbrevs[key] = dict(_abbrevs(self.abbrev, unit))
            unit.abbrevs = self._abbrevs[key]
        return unit.abbrevs


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number at ``at``, and what stands behind it."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, at + 1


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 number at ``at``, and what stands behind it."""
    start = at
    value, at = uleb(data, at)
    sign = 1 << 7 * (at - start) - 1
    return (value ^ sign) - sign, at


def _section(obj: ElfObject, image: bytes | object, name: str) -> bytes:
    index = obj.sections.index(name)
    if index is None:
        return b""
    s = obj.sections
    start = int(s.offset[index])
    data = bytes(image[start : start + int(s.size[index])])  # type: ignore[index]
    if s.flags[index] & SHF_COMPRESSED:  # ELF: behind a header of type, size and alignment
        whole = zlib.decompressobj()
        data = whole.decompress(data[12 if obj.bits == 32 else 24 :], LARGEST)
        if not whole.eof:
            raise ValueError("a compressed section is cut off, or too large")
    return data


def _units(info: bytes) -> Iterator[Unit]:
    def number(at: int, size: int) -> int:
        return int.from_bytes(info[at : at + size], "little")

    at = 0
    while at + 11 <= len(info):
        start, offset_size = at, 4
        length, at = number(at, 4), at + 4
        if length == 0xFFFF_FFFF:
            length, at, offset_size = number(at, 8), at + 8, 8
        end = at + length
        version, at = number(at, 2), at + 2
        if end > len(info) or length < 7 or not 2 <= version <= 5:
            raise ValueError("a unit reaches beyond the section, or is of an unknown version")
        signature = type_at = 0
        if version >= 5:
            kind, address_size = info[at], info[at + 1]
            abbrevs, at = number(at + 2, offset_size), at + 2 + offset_size
            if kind in (2, 6):  # DW_UT_type, DW_UT_split_type
                signature, type_at = number(at, 8), start + number(at + 8, offset_size)
                at += 8 + offset_size
            elif kind in (4, 5):  # DW_UT_skeleton, DW_UT_split_compile: the rest is in another file
                at += 8
        else:
            abbrevs, at = number(at, offset_size), at + offset_size
            address_size, at = info[at], at + 1
        if address_size not in (2, 4, 8):
            raise ValueError("addresses of an odd size")
        yield Unit(start, end, at, version, address_size, offset_size, abbrevs, signature, type_at)
        at = end


def _abbrevs(data: bytes, unit: Unit) -> Iterator[tuple[int, Abbrev]]:
    at = unit.abbrevs_at
    while True:
        code, at = uleb(data, at)
        if not code:
            return
        tag, at = uleb(data, at)
        parent = bool(data[at])
        at += 1
        attributes, size, sibling = [], 0, -1
        while True:
            attribute, at = uleb(data, at)
            form, at = uleb(data, at)
            constant = 0
            if form == IMPLICIT_CONST:
                constant, at = sleb(data, at)
            if not attribute and not form:
                break
            attributes.append((attribute, form, constant))
            if attribute == AT.sibling and form == 0x13 and size >= 0:
                sibling = size
            width = _width(form, unit)
            size = size + width if size >= 0 and width >= 0 else -1
        yield code, Abbrev(tag, parent, tuple(attributes), size, sibling)


def _number(entry: Entry, attribute: int, default: int) -> int:
    value = entry.values.get(attribute, default)
    return value if isinstance(value, int) else default


# ---- forms

Form: TypeAlias = "Callable[[Debug, Unit, int, int], tuple[Value, int]]"
IMPLICIT_CONST = 0x21


def _width(form: int, unit: Unit) -> int:
    """Bytes of a value, -1 if they vary."""
    if form == 0x01:
        return unit.address_size
    if form in OFFSETS or (form == 0x10 and unit.version > 2):
        return unit.offset_size
    return WIDTHS.get(form, -1)


def _fixed(size: int) -> Form:
    return lambda debug, _unit, at, _: (int.from_bytes(debug.info[at : at + size], "little"), at + size)


def _reference(size: int) -> Form:
    def read(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
        return unit.offset + int.from_bytes(debug.info[at : at + size], "little"), at + size

    return read


def _offset(debug: Debug, unit: Unit, at: int, _: int) -> tuple[int, int]:
    return int.from_bytes(debug.info[at : at + unit.offset_size], "little"), at + unit.offset_size


def _ref_addr(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
    size = unit.offset_size if unit.version > 2 else unit.address_size
    return int.from_bytes(debug.info[at : at + size], "little"), at + size


def _signature(debug: Debug, _unit: Unit, at: int, _: int) -> tuple[Value, int]:
    wanted = int.from_bytes(debug.info[at : at + 8], "little")
    found = (unit.type_at for unit in debug.units if unit.type_at and unit.signature == wanted)
    return next(found, ELSEWHERE), at + 8


def _block(size: int) -> Form:
    """Bytes behind their number, which has ``size`` bytes, or is LEB128 if that is 0."""

    def read(debug: Debug, _unit: Unit, at: int, _: int) -> tuple[Value, int]:
        if size:
            count, at = int.from_bytes(debug.info[at : at + size], "little"), at + size
        else:
            count, at = uleb(debug.info, at)
        if at + count > len(debug.info):
            raise ValueError("a block reaches beyond the section")
        return debug.info[at : at + count], at + count

    return read


def text_at(table: bytes, offset: int) -> str:
    """The text at ``offset`` of a table of strings that end with NUL."""
    if not 0 <= offset < len(table):
        raise ValueError("text outside its section")
    return table[offset : table.index(0, offset)].decode("utf-8", "backslashreplace")


def _inline_text(debug: Debug, _unit: Unit, at: int, _: int) -> tuple[Value, int]:
    end = debug.info.index(0, at)
    return debug.info[at:end].decode("utf-8", "backslashreplace"), end + 1


def _strp(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
    offset, at = _offset(debug, unit, at, 0)
    return text_at(debug.str, offset), at


def _line_strp(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
    offset, at = _offset(debug, unit, at, 0)
    return text_at(debug.line_str, offset), at


def _strx(size: int) -> Form:
    def read(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
        index, at = _index(debug, at, size)
        place = unit.str_offsets_base + index * unit.offset_size
        if not unit.str_offsets_base:
            return "", at  # on the way to the attribute that says where the offsets are
        return text_at(debug.str, int.from_bytes(debug.str_offsets[place : place + unit.offset_size], "little")), at

    return read


def _addrx(size: int) -> Form:
    def read(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
        index, at = _index(debug, at, size)
        return address_at(debug, unit, index), at

    return read


def address_at(debug: Debug, unit: Unit, index: int) -> int:
    """An address by its index in ``.debug_addr``."""
    place = unit.addr_base + index * unit.address_size
    return int.from_bytes(debug.addr[place : place + unit.address_size], "little")


def _index(debug: Debug, at: int, size: int) -> tuple[int, int]:
    if not size:
        return uleb(debug.info, at)
    return int.from_bytes(debug.info[at : at + size], "little"), at + size


def _indirect(debug: Debug, unit: Unit, at: int, _: int) -> tuple[Value, int]:
    form, at = uleb(debug.info, at)
    if form in (0x16, IMPLICIT_CONST):
        raise ValueError("an indirect form of an indirect form")
    return FORMS[form](debug, unit, at, 0)


WIDTHS = {
    0x05: 2,
    0x06: 4,
    0x07: 8,
    0x0B: 1,
    0x0C: 1,
    0x11: 1,
    0x12: 2,
    0x13: 4,
    0x14: 8,
    0x19: 0,
    0x1E: 16,
    0x20: 8,
    0x21: 0,
    0x25: 1,
    0x26: 2,
    0x27: 3,
    0x28: 4,
    0x29: 1,
    0x2A: 2,
    0x2B: 3,
    0x2C: 4,
}
OFFSETS = (0x0E, 0x17, 0x1F)
FORMS: dict[int, Form] = {
    0x01: lambda debug, unit, at, _: (int.from_bytes(debug.info[at : at + unit.address_size], "little"),
                                      at + unit.address_size),  # addr
    0x03: _block(2),  # block2
    0x04: _block(4),  # block4
    0x05: _fixed(2),  # data2
    0x06: _fixed(4),  # data4
    0x07: _fixed(8),  # data8
    0x08: _inline_text,  # string
    0x09: _block(0),  # block
    0x0A: _block(1),  # block1
    0x0B: _fixed(1),  # data1
    0x0C: _fixed(1),  # flag
    0x0D: lambda debug, _unit, at, _: sleb(debug.info, at),  # sdata
    0x0E: _strp,  # strp
    0x0F: lambda debug, _unit, at, _: uleb(debug.info, at),  # udata
    0x10: _ref_addr,  # ref_addr
    0x11: _reference(1),  # ref1
    0x12: _reference(2),  # ref2
    0x13: _reference(4),  # ref4
    0x14: _reference(8),  # ref8
    0x15: lambda debug, unit, at, _: _relative(unit, *uleb(debug.info, at)),  # ref_udata
    0x16: _indirect,  # indirect
    0x17: _offset,  # sec_offset
    0x18: _block(0),  # exprloc
    0x19: lambda _debug, _unit, at, _: (1, at),  # flag_present
    0x1A: _strx(0),  # strx
    0x1B: _addrx(0),  # addrx
    0x1E: _fixed(16),  # data16
    0x1F: _line_strp,  # line_strp
    0x20: _signature,  # ref_sig8
    0x21: lambda _debug, _unit, at, constant: (constant, at),  # implicit_const
    0x22: lambda debug, _unit, at, _: uleb(debug.info, at),  # loclistx
    0x23: lambda debug, _unit, at, _: uleb(debug.info, at),  # rnglistx
    0x25: _strx(1),  # strx1
    0x26: _strx(2),  # strx2
    0x27: _strx(3),  # strx3
    0x28: _strx(4),  # strx4
    0x29: _addrx(1),  # addrx1
    0x2A: _addrx(2),  # addrx2
    0x2B: _addrx(3),  # addrx3
    0x2C: _addrx(4),  # addrx4
}  # fmt: skip
"""DW_FORM_* -> how its value is read."""


def _relative(unit: Unit, value: int, at: int) -> tuple[Value, int]:
    return unit.offset + value, at

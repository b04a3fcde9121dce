"""Which functions have been inlined at places of code, by pyelftools.

Source: DWARF 5, sections 3.3.8 "Inlinable and Inlined Subroutines" and 2.17 "Code Addresses, Ranges, and Base
Addresses".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from elftools.dwarf.ranges import BaseAddressEntry

from llext_tools.elf.dwarf import attribute

INSIDE = frozenset({"DW_TAG_lexical_block", "DW_TAG_inlined_subroutine", "DW_TAG_try_block", "DW_TAG_catch_block"})


class Inlined(NamedTuple):
    """A function that is inlined at a place, and the line that calls it."""

    name: str
    file: int
    """Its number in the unit's line program."""
    line: int


def inlined_in(info: Any, function: Any, unit: Any, address: int) -> tuple[Inlined, ...]:
    """The functions that are inlined at an address of a function, the innermost first."""
    found: list[Inlined] = []
    die = function
    while die is not None:
        inner = (child for child in die.iter_children() if child.tag in INSIDE)
        die = next((child for child in inner if covers(info, unit, child, address)), None)
        if die is not None and die.tag == "DW_TAG_inlined_subroutine":
            name = attribute(die, "DW_AT_name") or attribute(die, "DW_AT_linkage_name") or b""
            file, line = (
                die.attributes[k].value if k in die.attributes else 0 for k in ("DW_AT_call_file", "DW_AT_call_line")
            )
            found.append(Inlined(name.decode("utf-8", "replace"), int(file), int(line)))
    return tuple(reversed(found))


def covers(info: Any, unit: Any, die: Any, address: int) -> bool:
    """Whether an entry says that it has an address."""
    return any(start <= address < end for start, end in ranges_of(info, unit, die))


def ranges_of(info: Any, unit: Any, die: Any) -> Iterator[tuple[int, int]]:
    """The addresses that an entry says it has: start and end of each piece."""
    known = die.attributes
    low, high = known.get("DW_AT_low_pc"), known.get("DW_AT_high_pc")
    if low is not None and high is not None:
        start = number(info, unit, low)
        yield start, int(high.value) if high.form == "DW_FORM_addr" else start + int(high.value)
    elif "DW_AT_ranges" in known and info.range_lists() is not None:
        base_attribute = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = number(info, unit, base_attribute) if base_attribute is not None else 0
        for entry in info.range_lists().get_range_list_at_offset(known["DW_AT_ranges"].value, unit):
            if isinstance(entry, BaseAddressEntry):
                base = int(entry.base_address)
            else:
                start = 0 if getattr(entry, "is_absolute", False) else base
                yield start + int(entry.begin_offset), start + int(entry.end_offset)


def number(info: Any, unit: Any, address: Any) -> int:
    """The value of an attribute that is an address, or the index of one."""
    indexed = address.form.startswith("DW_FORM_addrx") or address.form == "DW_FORM_GNU_addr_index"
    return (
        int(info.get_addr(unit, address.raw_value))
        if indexed and address.raw_value == address.value
        else int(address.value)
    )

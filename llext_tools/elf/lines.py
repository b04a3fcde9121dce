"""Source lines from debug information, by pyelftools: of many places in one object at once, and of definitions.

In a relocatable file all sections start at 0, so that an address in a line table does not tell which section it is in.
Each section of code and data therefore gets an address of its own here, ``bases()``, before the relocations of the
debug sections are applied. Paths are as the compiler was given them, the folder that it ran in is left out; those that
are relative to a project lead to where it lies (``paths.find_source()``).
Source: DWARF 4 and 5, section 6.2 "Line Number Information"; 6.1.2 "Lookup by Address"; 7.5.1 "Unit Headers".
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from elftools.elf.elffile import ELFFile

from llext_tools.elf import structs as elf
from llext_tools.elf.debug import debug_file, relocated, same_sections
from llext_tools.elf.dwarf import MALFORMED, attribute, names_of
from llext_tools.elf.inlined import covers, inlined_in, number, ranges_of
from llext_tools.elf.model import I64, ElfObject, positions
from llext_tools.paths import find_source

FIRST = 0x1_0000
"""Where the first section is put: what the linker left out, such as a second copy of an inline function, is at 0."""
GAP = 16  # bytes between two sections, so that the end of one is not the start of the next
OP_ADDR, OP_ADDRX, OP_GNU_ADDR_INDEX = 0x03, 0xA1, 0xFB


class Call(NamedTuple):
    """A call of a function that was inlined: its name, and the line of the call."""

    name: str
    file: str
    line: int


class Line(NamedTuple):
    """A line of a source file. ``inside`` is the function or variable, if the object itself has no symbol of it.

    ``calls``: of the functions that have been inlined there, the innermost first, if they were asked for.
    """

    file: str
    line: int
    inside: str = ""
    code: bool = True
    calls: tuple[Call, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def find_lines(obj: ElfObject, sections: I64, offsets: I64, *, inlined: bool = False) -> tuple[Line | None, ...]:
    """The lines of n places in an object: of code by the line table, of a variable that of its declaration.

    Args:
        sections, offsets: int64[n], the section of each place and its offset there.
    Returns:
        None for a place of which nothing is known. Malformed debug information counts as none.
    """
    nothing: tuple[Line | None, ...] = (None,) * sections.size
    debug = debug_file(obj) if sections.size else None
    if debug is None:
        return nothing
    if debug is not obj:
        mapped = same_sections(obj, debug)
        known = mapped[sections] >= 0
        sections = np.where(known, mapped[sections], 0)
    else:
        known = np.ones(sections.size, bool)
    start = bases(debug)
    at = start[sections] + offsets
    is_code = known & (debug.sections.flags[sections] & elf.SHF_EXECINSTR != 0)
    found: dict[int, Line] = {}
    try:
        info = open_debug(debug, start)
        code = np.unique(at[is_code])
        if code.size:
            found |= _code_lines(info, code)
            found |= _calls(info, found) if inlined else {}
        data = np.unique(at[known & ~is_code])
        if data.size:
            found |= _data_lines(info, debug, start, data)
    except MALFORMED:
        pass
    lines = [found.get(address) if good else None for address, good in zip(at.tolist(), known.tolist(), strict=True)]
    if debug is not obj:
        named = (debug.function_at if code else debug.variable_at for code in is_code.tolist())
        places = zip(lines, named, sections.tolist(), offsets.tolist(), is_code.tolist(), strict=True)
        lines = [line and line._replace(inside=name(i, offset), code=code) for line, name, i, offset, code in places]
    return tuple(lines)


def find_line(obj: ElfObject, section: int, offset: int) -> Line | None:
    """The line of one place."""
    return find_lines(obj, np.array([section]), np.array([offset]))[0]


class Definitions:
    """Where a linked image defines what it has."""

    def __init__(self, image: ElfObject) -> None:
        self._info = None
        if ".debug_info" in image.sections.name:
            with suppress(*MALFORMED):
                self._info = open_debug(image, np.zeros(len(image.sections), np.int64))

    def find(self, name: str, address: int, *, function: bool) -> Line | None:
        """The line that defines what is at an address, under this name in the symbol table."""
        with suppress(*MALFORMED):
            return _definition(self._info, name, address, function) if self._info else None
        return None


def source_folders(debug: ElfObject) -> tuple[str, ...]:
    """The folders that relative names of sources start from, each once. Malformed debug information has none."""
    found: dict[str, None] = {}
    with suppress(*MALFORMED):
        if ".debug_info" not in debug.sections.name:
            return ()
        for unit in open_debug(debug, np.zeros(len(debug.sections), np.int64)).iter_CUs():
            name, folder = (attribute(unit.get_top_DIE(), f"DW_AT_{what}") or b"/" for what in ("name", "comp_dir"))
            text = os.path.normpath(name.decode("utf-8", "replace"))
            path = os.path.abspath(find_source(text, debug.path))
            if not os.path.isabs(folder) and path.endswith(f"{os.sep}{text}") and os.path.isfile(path):
                found[path[: -len(text) - 1] or os.sep] = None
    return tuple(found)


def source_files(debug: ElfObject) -> dict[str, bytes]:
    """The paths of all sources and headers that line tables name, each with its MD5, b"" if the compiler wrote none.

    Malformed debug information has none.
    """
    found: dict[str, bytes] = {}
    with suppress(*MALFORMED):
        info = open_debug(debug, np.zeros(len(debug.sections), np.int64))
        for unit in info.iter_CUs():
            if (program := info.line_program_for_CU(unit)) is None:
                continue
            header, folder = program.header, attribute(unit.get_top_DIE(), "DW_AT_comp_dir") or b"/"
            start = folder.decode("utf-8", "replace") if os.path.isabs(folder) else ""
            digests = [bytes(getattr(each, "DW_LNCT_MD5", ())) for each in header.file_names or ()]
            for index in range(len(header.file_entry)):
                path = os.path.join(start, source_name(unit, program, index + (header.version < 5)))
                found[path] = digests[index] if digests else b""
    return found


def _definition(info: Any, name: str, address: int, function: bool) -> Line | None:
    address_of, tag = (_low_pc, "DW_TAG_subprogram") if function else (_address, "DW_TAG_variable")
    for unit in _units_that_name(info, name):
        for die in entries(unit.get_top_DIE(), tag):
            if name in names_of(die) and address_of(info, unit, die) == address:
                return _declared(info, unit, die)
    return _code_lines(info, np.array([address])).get(address) if function else None


def bases(obj: ElfObject) -> I64:
    """int64[k]: an address for each section that takes memory, its own in a linked file; 0 for the others."""
    s = obj.sections
    if obj.type != elf.ET_REL:
        return np.where(s.flags & elf.SHF_ALLOC != 0, s.addr, 0)
    loaded = s.flags & elf.SHF_ALLOC != 0
    room = np.where(loaded, (s.size + 2 * GAP - 1) // GAP * GAP, 0)
    return np.where(loaded, FIRST + np.cumsum(room) - room, 0)


def open_debug(debug: ElfObject, start: I64) -> Any:
    """The reader of a file's debug information, which knows the path of the file."""
    info: Any = ELFFile(io.BytesIO(relocated(debug, start=start))).get_dwarf_info(relocate_dwarf_sections=False)
    info.path = debug.path
    return info


def _code_lines(info: Any, wanted: I64) -> dict[int, Line]:
    """address -> line, for those of ``wanted`` (int64[n], sorted) that a row of a line table covers."""
    found: dict[int, Line] = {}
    left = wanted
    for unit in _units_of(info, wanted):
        program = info.line_program_for_CU(unit)
        last = None
        for state in (entry.state for entry in program.get_entries()) if program else ():
            if state is None:
                continue
            if last is not None and last.address < state.address and last.line:
                first, end = np.searchsorted(left, [last.address, state.address])
                for address in left[first:end].tolist():
                    found.setdefault(address, Line(source_name(unit, program, last.file), last.line))
            last = None if state.end_sequence else state
        left = wanted[~np.isin(wanted, list(found))]
        if not left.size:
            break
    return found


def _calls(info: Any, found: dict[int, Line]) -> dict[int, Line]:
    """Those of the lines where functions have been inlined, with their calls."""
    left, more = dict(found), {}
    for unit in _units_of(info, np.array(sorted(found), np.int64)):
        here = [address for address in left if covers(info, unit, unit.get_top_DIE(), address)]
        functions = list(entries(unit.get_top_DIE(), "DW_TAG_subprogram")) if here else []
        for address in here:
            line = left.pop(address)
            function = next((die for die in functions if covers(info, unit, die, address)), None)
            calls = inlined_in(info, function, unit, address) if function is not None else ()
            if calls:
                program = info.line_program_for_CU(unit)
                more[address] = line._replace(
                    calls=tuple(Call(n, source_name(unit, program, f), k) for n, f, k in calls)
                )
        if not left:
            break
    return more


def _units_of(info: Any, wanted: I64) -> Iterator[Any]:
    """The units to search, those first that say themselves that they have the addresses."""
    first: set[int] = set()
    if info.debug_aranges_sec is not None:
        ranges = info.get_aranges()
        offsets = (ranges.cu_offset_at_addr(address) for address in wanted.tolist()) if ranges else ()
        first = {offset for offset in offsets if offset is not None}
        yield from (info.get_CU_at(offset) for offset in sorted(first))
    last = []
    for unit in (unit for unit in info.iter_CUs() if unit.cu_offset not in first):
        ranges = ranges_of(info, unit, unit.get_top_DIE())
        if any(np.searchsorted(wanted, start) < np.searchsorted(wanted, end) for start, end in ranges):
            yield unit
        else:
            last.append(unit)
    yield from last


def _data_lines(info: Any, debug: ElfObject, start: I64, wanted: I64) -> dict[int, Line]:
    """address -> line of the variable that the address is in, for those of ``wanted`` (int64[n], sorted)."""
    found: dict[int, Line] = {}
    y = debug.symbols
    index = np.flatnonzero((y.type == elf.STT_OBJECT) & (y.shndx > 0) & (y.shndx < len(debug.sections)))
    begin = y.value[index] + (start[y.shndx[index]] if debug.type == elf.ET_REL else 0)
    size = dict(zip(begin.tolist(), y.size[index].tolist(), strict=True))
    for unit in info.iter_CUs():
        for die in entries(unit.get_top_DIE(), "DW_TAG_variable"):
            address = _address(info, unit, die)
            if address is None:
                continue
            first, end = np.searchsorted(wanted, [address, address + max(size.get(address, 1), 1)])
            line = _declared(info, unit, die) if first < end else None
            if line is not None:
                found |= dict.fromkeys(wanted[first:end].tolist(), line)
        if len(found) == wanted.size:
            break
    return found


def entries(die: Any, tag: str) -> Iterator[Any]:
    """Functions or variables of a unit, those in namespaces and classes and the static ones of functions included."""
    for child in die.iter_children():
        if child.tag == tag:
            yield child
        elif child.has_children and child.tag in PARENTS[tag]:
            yield from entries(child, tag)


SCOPES = frozenset({"DW_TAG_namespace", "DW_TAG_class_type", "DW_TAG_structure_type"})
PARENTS = {
    "DW_TAG_subprogram": SCOPES,
    "DW_TAG_variable": SCOPES | {"DW_TAG_subprogram", "DW_TAG_lexical_block"},
}
"""The entries in which there may be others."""


def _low_pc(info: Any, unit: Any, die: Any) -> int | None:
    """The address of a function that has code of its own, if that is in one piece."""
    low = die.attributes.get("DW_AT_low_pc")
    return None if low is None else number(info, unit, low)


def _address(info: Any, unit: Any, die: Any) -> int | None:
    """The address of a variable that has a fixed one."""
    location = die.attributes.get("DW_AT_location")
    code = location.value if location is not None and isinstance(location.value, list) else []
    if not code:
        return None
    if code[0] == OP_ADDR:
        return int.from_bytes(bytes(code[1:]), "little") if len(code) == 1 + unit["address_size"] else None
    if code[0] in (OP_ADDRX, OP_GNU_ADDR_INDEX):
        index, shift = 0, 0
        for byte in code[1:]:
            index |= (byte & 0x7F) << shift
            shift += 7
        return int(info.get_addr(unit, index))
    return None


def _declared(info: Any, unit: Any, die: Any) -> Line | None:
    """DW_AT_decl_file and DW_AT_decl_line."""
    file, line = attribute(die, "DW_AT_decl_file"), attribute(die, "DW_AT_decl_line")
    program = info.line_program_for_CU(unit)
    return Line(source_name(unit, program, file), line) if program and line and file is not None else None


def source_name(unit: Any, program: Any, index: int) -> str:
    """As the compiler was given it; where it was told that its own folder is a relative one, the path of the file."""
    name = file_name(program, index)
    folder = attribute(unit.get_top_DIE(), "DW_AT_comp_dir") or b"/"
    return name if os.path.isabs(folder) else find_source(os.path.normpath(name), unit.dwarfinfo.path)


def file_name(program: Any, index: int) -> str:
    """As the compiler was given it: before DWARF 5 files count from 1."""
    header = program.header
    entry = header.file_entry[index - (header.version < 5)]
    name = str(entry.name.decode("utf-8", "replace"))
    folders = header.include_directory
    number = entry.dir_index - (header.version < 5)
    if os.path.isabs(name) or number < 0 or (header.version >= 5 and number == 0):
        return name
    return os.path.join(folders[number].decode("utf-8", "replace"), name)


def _units_that_name(info: Any, name: str) -> Iterator[Any]:
    """The units in whose entries a name may stand: the offset of its text is looked for as four bytes.

    Where texts are numbered (DW_FORM_strx), these are all units.
    """
    section = info.debug_info_sec.stream
    section.seek(0)
    data = section.read()
    text = name.encode() + b"\0"
    places = list(positions(data, text))  # DW_FORM_string
    if info.debug_str_sec is not None:
        info.debug_str_sec.stream.seek(0)
        strings = b"\0" + info.debug_str_sec.stream.read()
        ends = [end for end in positions(strings, text) if strings[end - 1 : end] == b"\0"]
        for end in ends:
            places += positions(data, (end - 1).to_bytes(4, "little"))
        if ends and info.debug_str_offsets_sec is not None and not places:
            yield from info.iter_CUs()
            return
    yield from _units_at(info, data, sorted(places))


def _units_at(info: Any, data: bytes, places: Sequence[int]) -> Iterator[Any]:
    """The units that offsets into ``.debug_info`` (sorted) lie in, each once."""
    start, k = 0, 0
    while start + 4 <= len(data) and k < len(places):
        length = int.from_bytes(data[start : start + 4], "little")
        end = start + 4 + length
        if length == 0xFFFF_FFFF:  # DWARF of 64 bits
            end = start + 12 + int.from_bytes(data[start + 4 : start + 12], "little")
        if places[k] < end:
            yield info.get_CU_at(start)
        while k < len(places) and places[k] < end:
            k += 1
        start = end

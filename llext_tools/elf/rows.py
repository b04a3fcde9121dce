"""Line tables as a whole: which lines the code of each unit comes from, and where its functions are.

``elf.lines`` names the lines of a few places; a measure needs all rows. Addresses are final: each section is put where
it is loaded before the relocations of the debug sections are applied.
Source: DWARF 4 and 5, section 6.2 "Line Number Information"; 3.3 "Subroutine and Entry Point Entries".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from llext_tools.elf import structs as elf
from llext_tools.elf.dies import Debug
from llext_tools.elf.dwarf import MALFORMED, attribute
from llext_tools.elf.inlined import ranges_of
from llext_tools.elf.lines import SCOPES, file_name, open_debug, source_name
from llext_tools.elf.model import I64, ElfObject

START = attrgetter("start")
AROUND = SCOPES | {"DW_TAG_subprogram", "DW_TAG_lexical_block"}
STRUCTOR = re.compile(r"[CD][0-3]E")
"""In the mangled names of constructors and destructors, which return their object on Arm, and nothing in the source."""


class Row(NamedTuple):
    """Code from ``start`` on, up to the next row. ``line`` is 0 where it comes from no line.

    ``begins``: a statement begins here, so that the line is one that can be run.
    """

    start: int
    end: int
    file: str
    line: int
    column: int
    begins: bool


class Function(NamedTuple):
    """A function with code of its own: its name for the linker, where it is declared, its pieces (start, end)."""

    name: str
    file: str
    line: int
    pieces: tuple[tuple[int, int], ...]
    returns: bool  # a value
    implicit: bool = False  # the source does not have it: a constructor, say, that the compiler has made

    @property
    def start(self) -> int:
        return self.pieces[0][0]


class Unit(NamedTuple):
    """A unit of translation: its rows in the order of their addresses."""

    rows: tuple[Row, ...]
    functions: tuple[Function, ...]


def read_units(debug: ElfObject, at: I64) -> tuple[Unit, ...]:
    """All line tables and functions of a file whose sections are at these addresses.

    Malformed debug information counts as none.
    """
    if ".debug_info" not in debug.sections.name:
        return ()
    s = debug.sections
    placed = (at != 0) & (s.flags & elf.SHF_EXECINSTR != 0)
    spans = [(int(start), int(start + size)) for start, size in zip(at[placed], s.size[placed], strict=True)]
    units: list[Unit] = []
    with suppress(*MALFORMED):
        Debug(debug).check_siblings()  # pyelftools follows them wherever they lead
        info = open_debug(debug, at)
        for unit in info.iter_CUs():
            rows = (row for row in _rows(info, unit) if any(a <= row.start < b for a, b in spans))
            functions = tuple(f for f in _functions(info, unit) if any(a <= f.start < b for a, b in spans))
            units.append(Unit(tuple(sorted(rows, key=START)), functions))
    return tuple(units)


def _rows(info: Any, unit: Any) -> Iterator[Row]:
    program = info.line_program_for_CU(unit)
    names: dict[int, str] = {}
    last = None
    for state in (entry.state for entry in program.get_entries()) if program else ():
        if state is None:
            continue
        if last is not None and last.address <= state.address:
            if last.file not in names:
                names[last.file] = _path(unit, program, last.file)
            yield Row(last.address, state.address, names[last.file], last.line, last.column, last.is_stmt)
        last = None if state.end_sequence else state


def _functions(info: Any, unit: Any) -> Iterator[Function]:
    program = info.line_program_for_CU(unit)
    for die, around in _subprograms(unit.get_top_DIE()):
        pieces = tuple((start, end) for start, end in ranges_of(info, unit, die) if start < end)
        is_lambda = attribute(die, "DW_AT_name") == b"operator()" and attribute(die, "DW_AT_decl_line") is None
        line, file = (attribute(around if is_lambda else die, f"DW_AT_decl_{what}") for what in ("line", "file"))
        if pieces and line and file is not None and program:
            linkage = (attribute(die, "DW_AT_linkage_name") or b"").decode("utf-8", "replace")
            name = linkage or (attribute(die, "DW_AT_name") or b"?").decode("utf-8", "replace")
            path = _path(unit, program, file)
            returns = attribute(die, "DW_AT_type") is not None and not STRUCTOR.search(linkage)
            implicit = bool(attribute(die, "DW_AT_artificial")) and not is_lambda
            yield Function(name, path, line, pieces, returns, implicit)


def _subprograms(die: Any) -> Iterator[tuple[Any, Any]]:
    """All functions of a unit, with what they are in; those of classes inside of functions, too, as lambdas are."""
    for child in die.iter_children():
        if child.tag == "DW_TAG_subprogram":
            yield child, die
        if child.tag in AROUND and child.has_children:
            yield from _subprograms(child)


def data_in_code(debug: ElfObject, at: I64) -> tuple[tuple[int, int], ...]:
    """Ranges of data among code (start, end), by the mapping symbols ``$d``, ``$t``, ``$a`` and ``$x``."""
    y, s = debug.symbols, debug.sections
    inside = (y.shndx > 0) & (y.shndx < len(s)) & (y.type == 0)
    index = np.flatnonzero(inside)
    index = index[(at[y.shndx[index]] != 0) & (s.flags[y.shndx[index]] & elf.SHF_EXECINSTR != 0)]
    base = at[y.shndx[index]] if debug.type == elf.ET_REL else np.zeros(index.size, np.int64)
    ends = at[y.shndx[index]] + s.size[y.shndx[index]]
    marks = zip((y.value[index] + base).tolist(), y.names(index.tolist()), ends.tolist(), strict=True)
    found: list[tuple[int, int]] = []
    open_at, limit = None, 0
    for address, name, end in sorted(mark for mark in marks if mark[1][:1] == "$"):
        if open_at is not None:
            found.append((open_at, min(address, limit)))
        open_at, limit = (address if name[1:2] == "d" else None), end
    if open_at is not None:
        found.append((open_at, limit))
    return tuple((a, b) for a, b in found if a < b)


def _path(unit: Any, program: Any, file: int) -> str:
    """Absolute, if the folder that the compiler ran in is known, or the file is found."""
    folder = attribute(unit.get_top_DIE(), "DW_AT_comp_dir") or b""
    if folder and not os.path.isabs(folder):
        return os.path.abspath(source_name(unit, program, file))
    return os.path.normpath(os.path.join(folder.decode("utf-8", "replace"), file_name(program, file)))

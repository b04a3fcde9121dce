"""The lines that each instruction stands for, where a line table is read as the source was meant.

A line table gives each instruction one line, also where the compiler had nothing to say: in what sets up a function and
takes it down, and in jumps that it made itself.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from llext_tools.elf.rows import Function, Row, Unit
from llext_tools.measure.graph import Code, Place, Steps, is_helper
from llext_tools.measure.source import Source

Places = dict[int, tuple[Place, ...]]
"""The lines of each instruction, by its address."""


class Meant(NamedTuple):
    """What the instructions of a unit were meant for.

    ``returns``: where functions that return a value are taken down, with the line of their last `return`: to gcov, that
    is a block of its own.
    """

    places: Places
    returns: dict[int, Place]


def meant(unit: Unit, code: Code, steps: Steps, source: Source) -> Meant:
    """Read the line table of a unit.

    A function's line is that of its name, and belongs to the first statement. What takes a function down is of no line,
    unless the source has no `return`: the closing brace is where it returns then.
    """
    names: dict[Row, Place] = {}
    nowhere: set[Row] = set()
    returns: dict[int, Place] = {}
    for function in unit.functions:
        rows = [row for row in unit.rows if function.pieces[0][0] <= row.start < function.pieces[0][1]]
        if not rows:
            continue
        if function.implicit:
            nowhere.update(rows)
            continue
        first = next((i for i, row in enumerate(rows) if _key(row) != _key(rows[0])), len(rows))
        names[rows[0]] = function.file, function.line
        nowhere.update(rows[:first] if first < len(rows) else ())
        last = max(rows, key=lambda row: (row.file == function.file, row.line, row.column))
        down = [row for row in rows if _key(row) == _key(last)]
        if _closes(function, down, code, source):
            before = [row for row in rows if row.start < down[0].start]
            nowhere.update(down)
            if before and function.returns:
                returns[down[0].start] = before[-1].file, before[-1].line
    places = _by_address(unit.rows, names, nowhere, code)
    starts = {row.start: row for row in unit.rows if row.start != row.end}
    _drop_made_up(places, starts, returns, code, steps)
    return Meant(places, returns)


def _by_address(rows: Sequence[Row], names: Mapping[Row, Place], nowhere: Container[Row], code: Code) -> Places:
    """By the rows, those of ``nowhere`` left out; where a function begins, its name is the first line."""
    known = {(row.file, row.line) for row in rows if row.begins and row.line and row not in nowhere}
    found: Places = {}
    waiting: tuple[Place, ...] = ()  # lines that the next instruction of some line stands for, too
    for row in rows:
        place = (row.file, row.line)
        own = (place,) if place in known and row not in nowhere else ()
        waiting = (names[row], *own) if row in names else (*waiting, *own)
        for i, (address, _) in enumerate(code.between(row.start, row.end)):
            found[address] = () if row in nowhere else own if i else waiting
        if row.start != row.end and row not in nowhere:
            waiting = ()
    return found


def _drop_made_up(found: Places, starts: Mapping[int, Row], returns: Container[int], code: Code, steps: Steps) -> None:
    """Leave out lines that only the order of the code gives.

    What stands behind a jump begins nothing, and what stands behind a call takes its result: if another line begins
    before it goes on elsewhere, or the function returns, it has none of its own. A jump that goes to its own line, or
    is where a condition is, goes over an `else`: it is none that the source has.
    """
    branches = (row for row in starts.values() for _, each in code.between(row.start, row.end) if each.flow == "branch")
    conditions = {_key(row) for row in branches}
    behind: list[int] | None = None  # instructions behind a jump or call, as long as no line begins
    parted = False
    for address in sorted(found):
        instruction = code.at(address)
        flow = instruction.flow if instruction else ""
        if address in starts:
            if behind and (address in returns or (found[address] and found[address] != found[behind[0]])):
                found |= dict.fromkeys(behind, ())
            behind = None
        elif parted:
            behind = [address]
        elif behind is not None:
            behind.append(address)
        if instruction is None or not flow or is_helper(address, instruction, code, steps):
            parted = False
            continue
        parted, behind = flow != "branch", None
        if address in starts and flow == "jump" and instruction.target and found[address]:
            there = found.get(address + instruction.target, ())
            own = bool(there) and found[address][-1] == there[0]
            if own or _key(starts[address]) in conditions:
                found[address] = found[address][:-1]


def _key(row: Row) -> tuple[str, int, int]:
    return row.file, row.line, row.column


def _closes(function: Function, rows: Sequence[Row], code: Code, source: Source) -> bool:
    """Whether the last rows of the text are the closing brace of a function that returns elsewhere.

    Where destructors are called there, the brace does something.
    """
    last = rows[-1]
    text = source.at(last.file, last.line, last.column)
    if text and text != "}":
        return False
    flows = {found.flow for row in rows for _, found in code.between(row.start, row.end)}
    if "call" in flows or (not text and "return" not in flows):
        return False
    return function.returns or source.has_return(function.file, function.line, last.line, last.column)

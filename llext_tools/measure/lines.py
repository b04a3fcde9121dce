"""How often each line ran, by the rule of gcov: the blocks of a line, where each block is of one line, its last.

A line's count is how often control came to its blocks from blocks of other lines, and how often it went round a loop
that is all on the line. A line that is the last one of no block has the counts of the blocks that it is in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile

from llext_tools.elf.rows import Unit
from llext_tools.measure.graph import Block, Place
from llext_tools.measure.places import Places
from llext_tools.measure.source import Label, Source


def counts(blocks: Sequence[Block], returns: Mapping[int, Place], hits: Mapping[int, int]) -> dict[Place, int]:
    """How often each line ran that has code in these blocks.

    Args:
        returns: see ``Meant``.
        hits: how often each instruction ran.
    """
    total: dict[Place, int] = defaultdict(int)
    for address, line in returns.items():
        total[line] += hits.get(address, 0)
    own: dict[Place, list[int]] = defaultdict(list)
    for i, block in enumerate(blocks):
        for line, times in block.lines.items():
            total[line] += times
        if block.lines:
            own[_last([*block.lines])].append(i)
    for line, mine in own.items():
        inside = {i: {j: n for j, n in blocks[i].sources.items() if j in mine} for i in mine}
        entered = sum(n for i in mine for j, n in blocks[i].sources.items() if j not in inside)
        ended = sum(blocks[i].count - blocks[i].lines[line] for i in mine)
        total[line] = entered - ended + rounds(inside)
    return dict(total)


def _last(lines: Sequence[Place]) -> Place:
    """The line that a block is of: of those behind the last change of the file, the greatest."""
    file = lines[-1][0]
    return max(takewhile(lambda place: place[0] == file, reversed(lines)))


def labels(
    unit: Unit, places: Places, blocks: Sequence[Block], hits: Mapping[int, int], source: Source
) -> dict[Place, int]:
    """How often labels were passed: as often as the code behind them.

    Of nameless ones in a row the first counts; none of them, if control comes there from inside of a statement, too.
    Behind them a loop may begin: then its rounds do not count.
    """
    found: dict[Place, int] = {}
    at_start = {block.start: block for block in blocks}
    for function in unit.functions:
        start, end = function.pieces[0]
        begins = {row.start for row in unit.rows if start <= row.start < end and row.begins}
        rows = sorted((line, at) for at in begins for file, line in places.get(at, ()) if file == function.file)
        behind: dict[int, list[Label]] = defaultdict(list)
        for label in source.labels(function.file, function.line, rows[-1][0] if rows else 0):
            following = next((at for each, at in rows if each >= label.line), None)
            if following is not None:
                behind[following].append(label)
        for address, here in behind.items():
            named = [label.line for label in here if label.named]
            found |= dict.fromkeys(((function.file, line) for line in named), hits.get(address, 0))
            if not named and not here[0].joined:
                place = function.file, here[0].line
                block = at_start.get(address)
                found[place] = _arrivals(block, place, blocks) if block else hits.get(address, 0)
    return found


def _arrivals(block: Block, place: Place, blocks: Sequence[Block]) -> int:
    """How often control came to a block from lines in front of a place, or from no line."""
    before = {j for j in block.sources if j < 0 or not blocks[j].lines or _last([*blocks[j].lines]) < place}
    return sum(block.sources[j] for j in before)


def rounds(sources: Mapping[int, Mapping[int, int]]) -> int:
    """How often control went round a graph (to -> from -> times): the sum over its cycles, each by its rarest way."""
    left = {(source, to): n for to, ways in sources.items() for source, n in ways.items() if n}
    total = 0
    while cycle := _cycle(left):
        least = min(left[way] for way in cycle)
        total += least
        for way in cycle:
            left[way] -= least
            if not left[way]:
                del left[way]
    return total


def _cycle(ways: Mapping[tuple[int, int], int]) -> list[tuple[int, int]]:
    """Some cycle, as ways from block to block; a shortest one from the first block that is in any."""
    next_of: dict[int, list[int]] = defaultdict(list)
    for source, to in sorted(ways):
        next_of[source].append(to)
    for start in sorted(next_of):
        reached = {start: start}
        queue = [start]
        for block in queue:
            for to in next_of.get(block, ()):
                if to == start:
                    return [*_path(reached, start, block), (block, to)]
                if to not in reached:
                    reached[to] = block
                    queue.append(to)
    return []


def _path(reached: Mapping[int, int], start: int, end: int) -> list[tuple[int, int]]:
    """The ways from one block to another, where ``reached`` says from which one each was reached first."""
    path = []
    at = end
    while at != start:
        path.append((reached[at], at))
        at = reached[at]
    return path[::-1]

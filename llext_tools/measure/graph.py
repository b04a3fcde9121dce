"""The control flow of compiled code: basic blocks with their lines, and how often each of them and each way ran.

Blocks are those of the source, as near as machine code tells them: they end at branches, at what branches go to and
at calls, since a call may not come back. A call of the compiler's own helpers (a division, say) ends none: the source
has no call there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from llext_tools.arch.base import Instruction
from llext_tools.elf.rows import Unit

Place = tuple[str, int]
"""A line of a source file."""

HELPERS = re.compile(r"__\w+|mem(cpy|set|move|cmp|chr)|str(n?cpy|n?cmp|n?cat|n?len|r?chr|str|c?spn|pbrk)")
"""Functions that a compiler calls on its own, and those that it knows to come back."""

NOWHERE = -1
"""Where control comes from that comes from no code: the host."""


class Ran(NamedTuple):
    """Code that ran in one go: ``size`` bytes from ``start`` on."""

    start: int
    size: int


Way = tuple[Ran | None, Ran | None]
"""A piece of code, and the one that ran behind it. Before the first one there is None."""


@dataclass(slots=True)
class Block:
    """A basic block. ``lines``: in the order in which they first occur, with how often control got there, which is less
    than into the block if something ended the run; ``sources``: how often from which block.
    """

    start: int
    count: int = 0
    lines: dict[Place, int] = field(default_factory=dict)
    sources: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Code:
    """Instructions by their addresses.

    Args:
        areas: (address, bytes) of what is executable.
        data: (start, end) of what is not code in there, in order.
        decode: the instruction that some bytes begin with.
        name_of: the function at an address, "" if it is not known.
        read: up to 4 bytes at an address that is in no area.
    """

    def __init__(
        self,
        areas: Iterable[tuple[int, bytes]],
        data: Iterable[tuple[int, int]],
        decode: Callable[[bytes], Instruction],
        name_of: Callable[[int], str],
        read: Callable[[int], bytes] = lambda _address: b"",
    ) -> None:
        self._areas = sorted(areas)
        self._starts = [start for start, _ in self._areas]
        self._data = sorted(data)
        self._data_starts = [start for start, _ in self._data]
        self._decode = decode
        self._known: dict[int, Instruction | None] = {}
        self._read = read
        self.name_of = name_of

    def at(self, address: int) -> Instruction | None:
        """The instruction at an address; None where there is no code."""
        if address not in self._known:
            i = bisect_right(self._starts, address) - 1
            start, code = self._areas[i] if i >= 0 else (0, b"")
            part = code[address - start : address - start + 4] or self._read(address)
            self._known[address] = self._decode(part) if len(part) >= 2 and not self._is_data(address) else None
        return self._known[address]

    def between(self, start: int, end: int) -> Iterator[tuple[int, Instruction]]:
        """All instructions of a range, one after the other."""
        while start < end:
            found = self.at(start)
            if found is not None:
                yield start, found
            start += found.size if found else 2

    def _is_data(self, address: int) -> bool:
        i = bisect_right(self._data_starts, address) - 1
        return i >= 0 and address < self._data[i][1]


class Steps(NamedTuple):
    """What ran, by instructions: how often each, how often one after another, how often control came from elsewhere."""

    hits: Mapping[int, int]
    follows: Mapping[tuple[int, int], int]
    called: Mapping[int, int]  # address -> times, from calls, from the host, by a jump out of another function
    callees: Mapping[int, frozenset[int]]  # address of a call -> what it called


def steps(ways: Mapping[Way, int], code: Code, function_at: Callable[[int], int]) -> Steps:
    """Take what ran apart into instructions.

    Args:
        ways: how often control went each way.
        function_at: the start of the function that an address is in, else ``NOWHERE``.
    """
    ran: dict[Ran, int] = defaultdict(int)
    hits: dict[int, int] = defaultdict(int)
    follows: dict[tuple[int, int], int] = defaultdict(int)
    called: dict[int, int] = defaultdict(int)
    callees: dict[int, set[int]] = defaultdict(set)
    ends: dict[Ran | None, tuple[int, Instruction]] = {}
    for (_, now), count in ways.items():
        if now and count:
            ran[now] += count
    for block, count in ran.items():
        last = None
        for address, instruction in code.between(block.start, block.start + block.size):
            hits[address] += count
            if last is not None:
                follows[last[0], address] += count
            last = address, instruction
        if last is not None:
            ends[block] = last
    back = {address + found.size: address for address, found in ends.values() if found.flow == "call"}
    for (before, now), count in ways.items():
        if now is None or not now.size or not count:
            continue
        source, flow = (ends[before][0], ends[before][1].flow) if before in ends else (NOWHERE, "return")
        here = function_at(now.start)
        left = flow == "return" or (flow == "indirect" and here != function_at(source))
        if now.start in back and (left or source == back[now.start]):
            follows[back[now.start], now.start] += count
        elif flow == "call" or here != function_at(source) or source == NOWHERE:
            called[now.start] += count
            if flow == "call":
                callees[source].add(now.start)
        else:
            follows[source, now.start] += count
    return Steps(hits, follows, called, {address: frozenset(to) for address, to in callees.items()})


def blocks(unit: Unit, lines: Mapping[int, tuple[Place, ...]], code: Code, steps: Steps) -> list[Block]:
    """The basic blocks of a unit.

    Args:
        lines: of each instruction's address.
    """
    listed = {address: found for row in unit.rows for address, found in code.between(row.start, row.end)}
    leaders = {piece[0] for function in unit.functions for piece in function.pieces}
    for address, found in listed.items():
        after = address + found.size
        if found.target is not None and found.flow in ("branch", "jump"):
            leaders.add(address + found.target)
        if found.flow and not is_helper(address, found, code, steps):
            leaders.add(after)
    leaders.update(to for source, to in steps.follows if source in listed and listed[source].flow == "indirect")
    result: list[Block] = []
    of: dict[int, int] = {}  # address of an instruction -> index of its block
    following = NOWHERE
    for address in sorted(listed):
        if not result or address in leaders or address != following:
            result.append(Block(address, steps.hits.get(address, 0)))
        following = address + listed[address].size
        of[address] = len(result) - 1
        for line in lines.get(address, ()):
            result[-1].lines.setdefault(line, steps.hits.get(address, 0))
    for (source, to), count in steps.follows.items():
        if to in of and result[of[to]].start == to:
            result[of[to]].sources[of.get(source, NOWHERE)] += count
    for address, count in steps.called.items():
        if address in of and result[of[address]].start == address:
            result[of[address]].sources[NOWHERE] += count
    return result


def is_helper(address: int, instruction: Instruction, code: Code, steps: Steps) -> bool:
    """Whether an instruction calls something that the source has no call of."""
    if instruction.flow != "call":
        return False
    to = {address + instruction.target} if instruction.target is not None else steps.callees.get(address, frozenset())
    return bool(to) and all(HELPERS.fullmatch(code.name_of(each)) for each in to)

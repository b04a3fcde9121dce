"""Who calls whom, from the blocks of code that run: a stack of calls for each thread, and the tree of all calls.

A block that ends with a call pushes, one that returns to where the innermost call came from pops. A jump to the start
of another function is a call in the place of the one that jumps. Where control turns up with a smaller stack than calls
need that are still open, they are over: that is what longjmp() does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from llext_tools.arch.base import Flow
from llext_tools.host.guest import Guest
from llext_tools.host.places import Frames
from llext_tools.measure.program import Programs, Symbol

Leaving = Literal["return", "jump", "unwind"]
"""How a call ends: with a result; by a jump, whose target gives the result; or because an outer one goes on."""


@dataclass(slots=True, eq=False)
class Node:
    """A function, called by its parent: ``own`` instructions in itself, over all ``calls``."""

    function: Symbol
    parent: Node | None = None
    own: int = 0
    calls: int = 0
    children: dict[Symbol, Node] = field(default_factory=dict)

    def child(self, function: Symbol) -> Node:
        found = self.children.get(function)
        if found is None:
            found = self.children[function] = Node(function, self)
        return found


class Call(NamedTuple):
    """A call that is open: ``back`` is where it returns to, ``sp`` the stack pointer when it began.

    ``hidden``: it only hands on the one around it.
    """

    node: Node
    back: int
    sp: int
    hidden: bool = False


class Piece(NamedTuple):
    """A block of code: where it ends and how, and the function that it is in."""

    start: int
    end: int
    flow: Flow
    function: Symbol | None
    trap: bool = False  # the host takes over: none of it runs


@dataclass(slots=True, eq=False)
class Stack:
    """The calls of one thread, the innermost last, and what ran last in it."""

    root: Node
    calls: list[Call] = field(default_factory=list)
    node: Node = field(init=False)
    last: Piece | None = None

    def __post_init__(self) -> None:
        self.node = self.root


class Calls:
    """To be told of each block before it runs.

    ``entered`` and ``left`` are told of calls: of the stack when it has the new one, and while it has the old one.
    """

    def __init__(self, guest: Guest, programs: Programs) -> None:
        self._guest, self._programs = guest, programs
        self._pieces: dict[tuple[int, int], Piece] = {}
        self._unknown: dict[tuple[int, str], Symbol] = {}
        self._stacks: list[tuple[Frames, Stack]] = []
        self._frames = guest.frames
        self.entered: list[Callable[[Stack], None]] = []
        self.left: list[Callable[[Stack, Leaving], None]] = []
        self.stack = self._stack_of(guest.frames)

    @property
    def stacks(self) -> Iterable[tuple[str, Node]]:
        """Each thread's name and tree of calls."""
        return [(frames.name, stack.root) for frames, stack in self._stacks]

    def seen(self, address: int, size: int, count: int) -> None:
        """A block of ``count`` instructions runs; none where the host takes over."""
        piece = (count and self._pieces.get((address, size))) or self._look(address, size, count)
        frames = self._guest.frames
        if frames is not self._frames:  # another thread, or an interrupt
            self._frames, self.stack = frames, self._stack_of(frames)
        stack = self.stack
        last = stack.last
        if last is None or last.trap or last.flow in PARTS or last.function is not piece.function:
            self._moved(stack, last, piece)
        stack.node.own += count
        stack.last = piece

    def take_back(self, instructions: int) -> None:
        """The last ones of the last block have not run."""
        self.stack.node.own -= instructions

    def reset(self) -> None:
        """Nothing is open any more."""
        for _, stack in self._stacks:
            self._end(stack, 0)
            stack.last = None

    def _stack_of(self, frames: Frames) -> Stack:
        """The stack of a thread. There is one of the main thread, and one for all interrupts."""
        for known, stack in self._stacks:
            if known is frames or known.name == frames.name in ONCE:
                return stack
        found = Stack(Node(Symbol(0, 0, frames.name)))
        self._stacks.append((frames, found))
        return found

    def _look(self, address: int, size: int, count: int) -> Piece:
        if not count:
            return Piece(address, address, "", self._host(address), trap=True)
        listed = list(self._programs.code.between(address, address + size))
        function = self._programs.function_at(address)
        piece = self._pieces[address, size] = Piece(address, address + size, listed[-1][1].flow, function)
        return piece

    def _host(self, address: int) -> Symbol:
        """A function of the host."""
        export, function = self._guest.functions.get(address, (None, None))
        name = function.name if function else export.name if export else ""
        return self._unknown.setdefault((address, name), Symbol(address, address, name))

    def _moved(self, stack: Stack, last: Piece | None, now: Piece) -> None:
        """Control has gone from one block to another one, maybe into another function."""
        calls = stack.calls
        if calls and calls[-1].back == now.start:
            self._pop(stack, "return")
        elif last is not None and last.trap and last.start == now.start:
            self._instead(stack, now)
        elif last is None or last.trap:
            if len(self._guest.frames.entries) == 1:  # a call from outside: what is open has failed
                self._end(stack, 0)
            if now.start != self._guest.return_at:
                self._push(stack, now, self._guest.return_at)
        elif now.start == last.end:
            pass  # a return or a jump whose condition does not hold
        elif last.flow == "call":
            self._push(stack, now, last.end)
        elif self._begins(now):
            if last.flow != "return" and calls and last.function is not now.function:
                back, sp = calls[-1].back, calls[-1].sp
                self._pop(stack, "jump")
                self._push(stack, now, back, sp)
        elif last.flow in ("return", "indirect"):
            self._unwind(stack, now, last)

    def _instead(self, stack: Stack, now: Piece) -> None:
        """The host has looked at a call and lets the code run that is there, or calls it itself."""
        host = stack.calls.pop()
        assert host.node.parent is not None
        host.node.calls -= 1
        if not host.node.calls:
            del host.node.parent.children[host.node.function]
        stack.node = host.node.parent.child(now.function or self._nameless(now.start))
        stack.node.calls += 1
        stack.calls.append(host._replace(node=stack.node))
        back = self._guest.arch.code_at(self._guest.machine.get(self._guest.conv.ra))
        if back == self._guest.return_at:
            stack.calls.append(Call(stack.node, self._guest.return_at, self._sp(), hidden=True))

    def _begins(self, piece: Piece) -> bool:
        return piece.trap or (piece.function is not None and piece.function.start == piece.start)

    def _unwind(self, stack: Stack, now: Piece, last: Piece) -> None:
        """A return to somewhere else than where the innermost call came from."""
        if last.flow == "indirect" and last.function is now.function:
            return  # a table of jumps
        deeper = next((i for i in reversed(range(len(stack.calls))) if stack.calls[i].back == now.start), None)
        if deeper is not None:
            self._end(stack, deeper)
            return
        sp = self._sp()
        while len(stack.calls) > 1 and stack.calls[-1].sp <= sp:
            self._pop(stack, "unwind")

    def _push(self, stack: Stack, piece: Piece, back: int, sp: int | None = None) -> None:
        function = piece.function or self._nameless(piece.start)
        stack.node = stack.node.child(function)
        stack.node.calls += 1
        stack.calls.append(Call(stack.node, back, self._sp() if sp is None else sp))
        for told in self.entered:
            told(stack)

    def _nameless(self, address: int) -> Symbol:
        return self._unknown.setdefault((address, ""), Symbol(address, address, f"{address:#010x}"))

    def _end(self, stack: Stack, depth: int) -> None:
        """Only so many calls go on."""
        while len(stack.calls) > depth:
            self._pop(stack, "unwind")

    def _pop(self, stack: Stack, how: Leaving) -> None:
        for told in self.left if not stack.calls[-1].hidden else ():
            told(stack, how)
        stack.calls.pop()
        stack.node = stack.calls[-1].node if stack.calls else stack.root

    def _sp(self) -> int:
        return self._guest.machine.get(self._guest.conv.sp)


ONCE = ("main", "interrupt")
PARTS = frozenset({"call", "return", "indirect"})
"""How blocks end behind which control may be in another function, even in another call of the same one."""

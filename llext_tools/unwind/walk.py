"""From the registers of one function to those of its caller, and so on, out to the host.

Where a function has call frame information, that says where its caller's registers are. Where it has none:

1. The function that runs may not have saved its return address yet, or never (a leaf): the link register has it.
2. A function that sets up a frame pointer has its return address beside it, as compilers other than GCC for Arm do it.
3. Else the stack is searched for a word that is an address behind a call instruction. It may be what is left of a
   call that has returned: such a frame is a guess, and so are those that are found from it.

The stack may hold anything: each step goes on to a higher stack pointer, and there are at most ``MOST`` of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf.model import I64, ElfObject
from llext_tools.host.areas import Area, Firmware, Linked
from llext_tools.host.places import Entry, Frames, Places
from llext_tools.mem import Perm
from llext_tools.unwind.cfi import CallFrames, Row
from llext_tools.unwind.frames import MOST, Frame
from llext_tools.unwind.names import Namer, Spot

SEARCHED = 1 << 14  # bytes of the stack, for one frame
OVERFLOW = 1 << 20  # bytes in front of a stack that it may have been overrun by
PROLOGUE = 32  # bytes of a function in which it sets up a frame pointer


class State(NamedTuple):
    """The registers of one function, those that are known, without the Thumb bit in the program counter's."""

    registers: dict[str, int]
    guessed: bool = False
    calling: bool = True  # the program counter is behind a call


class Unwinder:
    """Backtraces of one machine. What it has read of debug information it keeps."""

    def __init__(self, guest: Places) -> None:
        self._guest = guest
        self._conv, self._memory = guest.conv, guest.memory
        self._word = guest.target.bits // 8
        self._dwarf = guest.conv.dwarf
        self._number = {name: i for i, name in enumerate(self._dwarf) if name}
        self._known: dict[int, tuple[ElfObject, CallFrames]] = {}
        self.namer = Namer(guest)

    def backtrace(self, registers: Mapping[str, int] | None = None, frames: Frames | None = None) -> tuple[Frame, ...]:
        """The innermost function first; see ``unwind.backtrace()``."""
        frames = self._guest.frames if frames is None else frames
        if registers is None:
            names = tuple(self._number)
            registers = dict(zip(names, self._guest.machine.get_all(names), strict=True))
            registers[self._conv.pc] = self._guest.machine.get(self._conv.pc)
        return self.namer.named(tuple(self._spots(dict(registers), frames)))

    def _spots(self, registers: dict[str, int], frames: Frames) -> Iterator[Spot]:
        guest, conv = self._guest, self._conv
        state = State({**registers, conv.pc: self._address(registers[conv.pc])}, calling=False)
        host = list(reversed(frames.inside))
        export = guest.functions.get(state.registers[conv.pc])
        if not host and export is not None:
            host = [export[0].name]
        entries = list(reversed(frames.entries))
        seen: set[tuple[int, int]] = set()
        count = found = 0  # of frames, of those of emulated code since the host
        function: int | None = None  # where the last one's function starts
        while count < MOST:
            if host:
                yield from (Spot(0, 0, host=name) for name in host)
                count += len(host)
                host = []
                state = self._returned(state, state.registers.get(conv.ra))
                found = 0
            pc = state.registers[conv.pc]
            if pc == guest.return_at:
                if not entries:
                    return
                entry = entries.pop(0)
                if self._code(entry.address) and (not found or function not in (entry.address, None)):
                    yield Spot(entry.address, entry.address, tail=True)
                if entry.inside == ():
                    return
                state, host = self._outside(state, entry), list(reversed(entry.inside))
                continue
            key = pc, state.registers.get(conv.sp, 0)
            if key in seen:
                return
            seen.add(key)
            if self._code(pc - state.calling) is None:
                ra = state.registers.get(conv.ra)
                if state.calling or ra is None or not (self._behind_call(ra) or self._address(ra) == guest.return_at):
                    return  # the end, or nothing that makes sense
                state = self._returned(state, ra)
                continue
            yield Spot(pc, self._place(pc, calling=state.calling), guessed=state.guessed)
            function, found, count = self._start(pc - state.calling), found + 1, count + 1
            caller = self._caller(state, frames)
            if caller is None:
                return
            state = caller

    def _returned(self, state: State, ra: int | None) -> State:
        """In the caller of a function that has not changed anything but what it may."""
        kept = {name: value for name, value in state.registers.items() if name in self._lasting}
        return State({**kept, self._conv.pc: self._address(ra or 0)}, guessed=state.guessed)

    def _outside(self, state: State, entry: Entry) -> State:
        """Where the host was when it called a function that is now at its end."""
        kept = {name: value for name, value in state.registers.items() if name in self._lasting}
        conv = self._conv
        return State({**kept, conv.sp: entry.sp, conv.ra: entry.ra, conv.pc: 0}, guessed=False)

    @property
    def _lasting(self) -> tuple[str, ...]:
        """The registers that a function leaves to its caller as they were."""
        return (*self._conv.saved, self._conv.sp)

    # ---- one step

    def _caller(self, state: State, frames: Frames) -> State | None:
        pc = state.registers[self._conv.pc] - state.calling
        row = self._row(pc)
        found = self._by_row(state, row) if row else None
        if found is not None:
            back = found.registers[self._conv.pc]
            if back == self._guest.return_at or self._code(back - 1) is not None:
                return found
            if not back:
                return None  # where a thread begins
        return self._by_guess(state, frames, leaf=row is None)

    def _row(self, pc: int) -> Row | None:
        area = self._memory.at(pc)
        owner = area.owner if area else None
        if not isinstance(owner, Linked | Firmware):
            return None
        obj = owner.image.obj if isinstance(owner, Linked) else owner.obj
        if id(obj) not in self._known:
            start = owner.image.layout.section_addr if isinstance(owner, Linked) else obj.sections.addr
            self._known[id(obj)] = obj, CallFrames.of(obj, start)
        return self._known[id(obj)][1].row(pc)

    def _by_row(self, state: State, row: Row) -> State | None:
        """The caller's registers by call frame information; None if that does not fit with the stack."""
        conv, old = self._conv, state.registers
        base = old.get(self._name(row.cfa[0]))
        sp = old.get(conv.sp)
        if base is None or sp is None:
            return None
        cfa = base + row.cfa[1]
        if cfa < sp or (cfa == sp and state.calling):
            return None
        new = {name: old[name] for name in conv.saved if name in old}
        if not state.calling and conv.ra in old:
            new[conv.ra] = old[conv.ra]
        for number, (kind, n) in row.rules.items():
            name = self._name(number)
            value = {"at": self._load(cfa + n), "is": cfa + n, "register": old.get(self._name(n))}.get(kind)
            new.pop(name, None)
            if value is not None and name:
                new[name] = value
        ra = new.pop(conv.ra, None)
        if ra is None:
            return None
        return State({**new, conv.sp: cfa, conv.pc: self._address(ra)}, guessed=state.guessed)

    def _by_guess(self, state: State, frames: Frames, *, leaf: bool) -> State | None:
        conv, registers = self._conv, state.registers
        sp, ra = registers.get(conv.sp), registers.get(conv.ra)
        if sp is None:
            return None
        if leaf and not state.calling and ra is not None and self._may_be_caller(ra, registers[conv.pc]):
            return State({**self._returned(state, ra).registers, conv.ra: ra}, guessed=True)
        stack = frames.stack
        if stack is None or not stack.start - OVERFLOW <= sp < stack.end:
            stack = self._memory.at(sp)
        if stack is None or Perm.R not in stack.perm or sp % self._word:
            return None
        sp = max(sp, stack.start)
        return self._by_frame_pointer(state, stack, sp) or self._by_search(state, stack, sp)

    def _may_be_caller(self, ra: int, pc: int) -> bool:
        """Whether the link register can have the return address: it has not, if it points into the function itself."""
        if self._address(ra) == self._guest.return_at:
            return True
        return self._behind_call(ra) and self._start(self._address(ra) - 1) != self._start(pc)

    def _by_frame_pointer(self, state: State, stack: Area, sp: int) -> State | None:
        """The caller, if the function has a frame pointer with the return address beside it."""
        register, saved, back, size = self._conv.frame
        frame = state.registers.get(register)
        if frame is None or not sp <= frame <= stack.end or frame % self._word:
            return None
        start = self._start(state.registers[self._conv.pc] - state.calling)
        if start is None or not self._conv.sets_frame(self._peek(start, PROLOGUE)):
            return None
        ra, outer = self._load(frame + back * self._word), self._load(frame + saved * self._word)
        above = frame + size * self._word
        if ra is None or outer is None or above <= sp or not self._returns(ra):
            return None
        registers = {register: outer, self._conv.sp: above, self._conv.pc: self._address(ra)}
        return State(registers, guessed=True)

    def _by_search(self, state: State, stack: Area, sp: int) -> State | None:
        """The caller by the first word on the stack that is an address behind a call instruction."""
        size = min(stack.end - sp, SEARCHED) // self._word * self._word
        words = np.frombuffer(self._memory.peek(sp, size), f"<u{self._word}").astype(np.int64)
        skip = state.registers.get(self._conv.ra) if state.guessed and state.calling else None
        for i in np.flatnonzero(self._in_code(words)).tolist():
            ra = int(words[i])
            if ra == skip:
                skip = None  # where the function that the link register belonged to had saved it
                continue
            if self._returns(ra):
                align = self._conv.stack_align
                above = -(-(sp + (i + 1) * self._word) // align) * align
                return State({self._conv.sp: above, self._conv.pc: self._address(ra)}, guessed=True)
        return None

    # ---- code

    def _in_code(self, words: I64) -> NDArray[np.bool_]:
        """bool[n]: which words may be return addresses, as far as the areas tell."""
        found: NDArray[np.bool_] = words == (self._guest.return_at | self._guest.arch.thumb)
        for area in self._memory.areas:
            if Perm.X in area.perm and area.owner is not None:
                found |= (area.start < words) & (words <= area.end + 1)
        if self._guest.arch.thumb:
            found &= words & 1 == 1
        return found

    def _behind_call(self, ra: int) -> bool:
        """Whether an address is behind a call instruction; of Thumb code it has its bit."""
        if self._guest.arch.thumb and not ra & 1:
            return False
        back = self._address(ra)
        if self._code(back - 2) is None or (not self._guest.arch.thumb and back & 1):
            return False
        code = self._peek(back - 4, 4) or bytes(2) + self._peek(back - 2, 2)
        return self._conv.is_call(code, self._guest.target.bits)

    def _returns(self, ra: int) -> bool:
        """The same, or whether it is where the host is returned to."""
        return self._address(ra) == self._guest.return_at or self._behind_call(ra)

    def _peek(self, start: int, size: int) -> bytes:
        """Code from one area: less where it ends before, nothing where it begins later."""
        area = self._code(start)
        return self._memory.peek(start, min(size, area.end - start)) if area else b""

    def _place(self, pc: int, *, calling: bool) -> int:
        """The instruction at work: the call in front of ``pc``."""
        if not calling:
            return pc
        code = self._peek(pc - 4, 4)
        return pc - (self._conv.call_size(code) if len(code) == 4 else 2)

    def _code(self, address: int) -> Area | None:
        """The area of an address of code that belongs to somebody."""
        area = self._memory.at(address)
        return area if area is not None and area.owner is not None and Perm.X in area.perm else None

    def _start(self, address: int) -> int | None:
        """Where the function that an address is in begins."""
        name, inside = self.namer.function(address)
        return address - inside if name else None

    def _address(self, value: int) -> int:
        return self._guest.arch.code_at(value)

    def _load(self, address: int) -> int | None:
        area = self._memory.at(address)
        if address % self._word or area is None or Perm.R not in area.perm or area.end < address + self._word:
            return None
        return int.from_bytes(self._memory.peek(address, self._word), "little")

    def _name(self, number: int) -> str:
        return self._dwarf[number] if 0 <= number < len(self._dwarf) else ""


def backtrace(
    guest: Places, registers: Mapping[str, int] | None = None, frames: Frames | None = None
) -> tuple[Frame, ...]:
    """The functions that have not returned, the innermost first.

    Args:
        registers: by name, those of a thread that does not run: the stack pointer, the program counter, the return
            address and those that a function restores. By default those of the machine.
        frames: of that thread.
    """
    return unwinder(guest).backtrace(registers, frames)


def unwinder(guest: Places) -> Unwinder:
    """The one of a machine."""
    if not isinstance(guest.unwinder, Unwinder):
        guest.unwinder = Unwinder(guest)
    return guest.unwinder

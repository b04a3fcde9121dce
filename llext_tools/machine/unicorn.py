"""A machine by Unicorn, the CPU emulator. Nothing else imports it.

What was learnt about Unicorn 2.1.4 (each line by a test or a measurement):

* ``UC_MODE_MCLASS`` overrides the CPU model with a Cortex-M33; without it the chosen model holds, M0 included.
* Hooks on all code cost a factor of 500; a hook on one page costs nothing, hooks for invalid accesses either.
* ``emu_start(timeout=)`` starts a thread each time, 0.17 ms; one watchdog thread for a run takes nothing.
* RISC-V: after an illegal instruction or ``ecall`` the program counter is 4 bytes on, however long the instruction is.
* Unaligned LDRD, LDM and VLDR go through, where a Cortex-M3 or later faults.
* With two hooks on code the instruction behind a hook that stops is still executed: trap pages hold jumps to
  themselves. (NOPs would do, too, but all of them up to the end of the page would be translated at once, in 0.4 ms.)
* ``mem_protect`` keeps memory that was mapped by its pointer shared, and divides its region for good.
* A hook on accesses is called before a read or write and stops it at that instruction, but a write still takes place.
* ``mem_write`` does not make it forget the code that it has translated there.
* Translated code knows only the hooks that there were: ``ctl_remove_cache`` after adding one. ``ctl_flush_tb`` does
  that, too, but the next run then takes 0.5 ms.
* Mapping takes time for each region that there is, and so does each hook: 3,000 pages of traps took half a minute.
* WFI ends ``emu_start`` without a word: go on behind it.
* YIELD and WFE of a Cortex-M end it as undefined instructions do, but with the program counter behind them.
"""

from __future__ import annotations

import signal
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import unicorn
from unicorn import unicorn_const as const

from llext_tools.arch.model import Emulator
from llext_tools.diag import fail
from llext_tools.elf.model import Bytes
from llext_tools.machine.batch import Batch
from llext_tools.machine.protocol import Reason, Stop
from llext_tools.machine.ranges import joined, outside
from llext_tools.machine.watchdog import Watchdog
from llext_tools.mem import Perm
from llext_tools.pages import PAGE, zeros

ACCESS: dict[int, Reason] = {
    const.UC_MEM_READ_UNMAPPED: "read",
    const.UC_MEM_READ_PROT: "read",
    const.UC_MEM_WRITE_UNMAPPED: "write",
    const.UC_MEM_WRITE_PROT: "write",
    const.UC_MEM_FETCH_UNMAPPED: "execute",
    const.UC_MEM_FETCH_PROT: "execute",
}
PROT = {Perm.R: const.UC_PROT_READ, Perm.W: const.UC_PROT_WRITE, Perm.X: const.UC_PROT_EXEC}
KINDS: dict[Reason, Perm] = {"read": Perm.R, "write": Perm.W, "execute": Perm.X}
WATCHED = {Perm.R: const.UC_HOOK_MEM_READ, Perm.W: const.UC_HOOK_MEM_WRITE}
FENCES = {"read": const.UC_HOOK_MEM_READ, "write": const.UC_HOOK_MEM_WRITE}
WIDEST = 15  # bytes of an access but one: so far in front of a fence it may begin
MOST_TRAPS = 64  # ranges of addresses that are mapped to stop there; what is beyond is not mapped, which stops as well


class Snapshot(NamedTuple):
    """What a machine goes back to: contents by the start of their mapping, and what there was."""

    registers: object
    written: dict[int, Bytes]
    mapped: frozenset[int]
    traps: dict[tuple[int, int], int]
    pages: frozenset[int]


class UnicornMachine:
    """One Unicorn instance. ``pc`` is the program counter's name."""

    def __init__(self, emulator: Emulator, pc: str = "pc") -> None:
        registers = import_module(f"unicorn.{emulator.arch.lower()}_const")
        self._registers = {
            name.removeprefix(f"UC_{emulator.arch}_REG_").lower(): value
            for name, value in vars(registers).items()
            if name.startswith(f"UC_{emulator.arch}_REG_")
        }
        mode = 0
        for name in emulator.mode:
            mode |= getattr(const, f"UC_MODE_{name}")
        cpu = getattr(registers, f"UC_CPU_{emulator.cpu}")
        self._uc: Any = unicorn.Uc(getattr(const, f"UC_ARCH_{emulator.arch}"), mode, cpu)
        self._emulator = emulator
        self._thumb = "THUMB" in emulator.mode
        self._pc = pc
        self._found: Stop | None = None
        self._batches: dict[tuple[str, ...], Batch] = {}
        self._traps: dict[tuple[int, int], int] = {}  # ranges of code that ends -> hook
        self._trap_pages: set[int] = set()  # numbers of pages that are not mapped, where code ends, too
        self._leaving = False
        self._hints: dict[int, int] = {}  # addresses of hints that have run -> hook
        self._hinted = -1  # the last one of them
        self._undo: tuple[int, bytes] | None = None
        self._raised: BaseException | None = None
        self._shared: dict[int, Bytes] = {}
        self._fences: list[int] = []
        self._allowed: dict[Reason, tuple[list[int], list[int]]] = {}
        for name, value in emulator.setup.items():
            self.set(name.lower(), value)
        self._uc.hook_add(const.UC_HOOK_MEM_INVALID, self._on_access)
        self._uc.hook_add(const.UC_HOOK_INTR, self._on_exception)
        self._uc.hook_add(const.UC_HOOK_INSN_INVALID, self._on_invalid)
        self._seeing = 0  # who sees all blocks: a block before which it is stopped would be seen twice
        self._calls_python = False  # not only where it stops
        self._watchdog = Watchdog(self._uc.emu_stop, self._pause)

    def map(self, start: int, size: int, perm: Perm) -> None:
        self.map_shared(start, zeros(size), perm)

    def map_shared(self, start: int, memory: Bytes, perm: Perm) -> None:
        try:
            self._uc.mem_map_ptr(start, memory.size, prot(perm), memory.ctypes.data)
        except unicorn.UcError:
            not_free(start, memory.size)
        self._shared[start] = memory  # it must not be freed while the emulator uses it

    def unmap(self, start: int, size: int) -> None:
        self._uc.mem_unmap(start, size)
        self._shared.pop(start, None)

    def protect(self, start: int, size: int, perm: Perm) -> None:
        self._uc.mem_protect(start, size, prot(perm))

    def changed(self, start: int, size: int) -> None:
        self._uc.ctl_remove_cache(start, start + size)

    def confine(self, ranges: Sequence[tuple[int, int, Perm]] | None) -> None:
        for hook in self._fences:
            self._uc.hook_del(hook)
        self._fences.clear()
        mapped = joined(region[:2] for region in self.regions)
        for kind, perm in KINDS.items() if ranges is not None else ():
            allowed = joined((start, end) for start, end, own in ranges or () if perm in own)
            self._allowed[kind] = [start for start, _ in allowed], [end for _, end in allowed]
            for start, end in outside(mapped, allowed):
                if kind == "execute":
                    fence = self._uc.hook_add(const.UC_HOOK_CODE, self._on_fenced_code, begin=start, end=end - 1)
                else:
                    what, call = FENCES[kind], self._on_fenced_access
                    fence = self._uc.hook_add(what, call, begin=max(start - WIDEST, 0), end=end - 1)
                self._fences.append(fence)
        self._forget_code()

    def map_io(
        self, start: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        self._calls_python = True

        def on_read(uc: Any, offset: int, size: int, _data: object) -> int:
            try:
                return read(offset, size) & ((1 << 8 * size) - 1)
            except Exception as error:  # noqa: BLE001 - it is raised by run()
                self._raised = error
                uc.emu_stop()
                return 0

        def on_write(uc: Any, offset: int, size: int, value: int, _data: object) -> None:
            try:
                write(offset, size, value & ((1 << 8 * size) - 1))
            except Exception as error:  # noqa: BLE001
                self._raised = error
                uc.emu_stop()

        try:
            self._uc.mmio_map(start, size, on_read, None, on_write, None)
        except unicorn.UcError:
            not_free(start, size)

    def save(self) -> object:
        return self._uc.context_save()

    def restore(self, saved: object) -> None:
        self._uc.context_restore(saved)

    def snapshot(self) -> object:
        written = {start: self._shared[start].copy() for start, _, perm in self._own_regions() if Perm.W in perm}
        return Snapshot(self.save(), written, frozenset(self._shared), dict(self._traps), frozenset(self._trap_pages))

    def rollback(self, snapshot: object) -> None:
        assert isinstance(snapshot, Snapshot)
        for where in self._traps.keys() - snapshot.traps.keys():
            self._uc.hook_del(self._traps.pop(where))
        self._trap_pages = set(snapshot.pages)
        for start in self._shared.keys() - snapshot.mapped:
            self.unmap(start, self._shared[start].size)
        for start, data in snapshot.written.items():
            self._shared[start][:] = data
        for start, end, perm in self._own_regions():
            if Perm.W | Perm.X in perm:
                self.changed(start, end - start)
        self.restore(snapshot.registers)

    def _own_regions(self) -> list[tuple[int, int, Perm]]:
        """Memory by its mapping, each with the permissions at its start."""
        ends = {start: perm for start, _, perm in self.regions}
        return [(start, start + data.size, ends.get(start, Perm(0))) for start, data in self._shared.items()]

    @property
    def regions(self) -> tuple[tuple[int, int, Perm], ...]:
        found: list[tuple[int, int, Perm]] = []
        for start, last, bits in sorted(self._uc.mem_regions()) if self._uc is not None else ():
            perm = perm_of(bits)
            same = bool(found) and found[-1][1:] == (start, perm)  # protect() has divided it, once and for all
            found.append((found.pop()[0] if same else start, last + 1, perm))
        return tuple(found)

    def trap(self, start: int, size: int) -> None:
        if len(self._traps) >= MOST_TRAPS:
            self._trap_pages.update(range(start // PAGE, (start + size) // PAGE))
            return
        self.map(start, size, Perm.X)
        self.write(start, self._emulator.spin * (size // len(self._emulator.spin)))
        self._trap(start, start + size)

    def trap_at(self, address: int) -> None:
        self._trap(address, address + 1)
        self.changed(address, 1)

    def untrap_at(self, address: int) -> None:
        self._uc.hook_del(self._traps.pop((address, address + 1)))
        self.changed(address, 1)

    def _trap(self, start: int, end: int) -> None:
        if (start, end) not in self._traps:
            hook = self._uc.hook_add(const.UC_HOOK_CODE, self._on_trap, begin=start, end=end - 1)
            self._traps[start, end] = hook

    def on_block(self, seen: Callable[[int, int], bool]) -> Callable[[], None]:
        def on_block(uc: Any, address: int, size: int, _data: object) -> None:
            if seen(address, size):
                self._found = Stop(reason="limit", pc=address)
                uc.emu_stop()

        self._seeing += 1
        self._calls_python = True
        hook = self._uc.hook_add(const.UC_HOOK_BLOCK, on_block)
        self._forget_code()

        def remove() -> None:
            self._seeing -= 1
            self._uc.hook_del(hook)
            self._forget_code()

        return remove

    def watch(self, start: int, size: int, perm: Perm) -> Callable[[], None]:
        def on_access(uc: Any, access: int, address: int, width: int, value: int, _data: object) -> None:
            if self._found is None and address < start + size and address + width > start:
                reason: Reason = "watched-read" if access == const.UC_MEM_READ else "watched-write"
                self._stop_before(uc, reason, address, width, value)

        kinds = sum(hook for bit, hook in WATCHED.items() if bit in perm)
        hook = self._uc.hook_add(kinds, on_access, begin=max(start - WIDEST, 0), end=start + size - 1)
        self._forget_code()

        def remove() -> None:
            self._uc.hook_del(hook)

        return remove

    def _forget_code(self) -> None:
        """Translated code has no calls of hooks that were not there."""
        for start, end, perm in self.regions:
            if Perm.X in perm and (start, end) not in self._traps:
                self.changed(start, end - start)

    def read(self, address: int, size: int) -> bytes:
        if self._trap_pages and not self._trap_pages.isdisjoint(
            range(address // PAGE, (address + size - 1) // PAGE + 1)
        ):
            return bytes(size)
        return bytes(self._uc.mem_read(address, size)) if size else b""

    def write(self, address: int, data: bytes) -> None:
        if data:
            self._uc.mem_write(address, data)
            self.changed(address, len(data))

    def get(self, register: str) -> int:
        return int(self._uc.reg_read(self._registers[register]))

    def get_all(self, registers: tuple[str, ...]) -> tuple[int, ...]:
        return self._batch(registers).read()

    def set_all(self, registers: tuple[str, ...], values: Sequence[int]) -> None:
        self._batch(registers).write(values)

    def _batch(self, registers: tuple[str, ...]) -> Batch:
        batch = self._batches.get(registers)
        if batch is None:
            numbers = [self._registers[name] for name in registers]
            batch = self._batches[registers] = Batch(self._uc, numbers)
        return batch

    def set(self, register: str, value: int) -> None:
        self._uc.reg_write(self._registers[register], value)

    def run(self, pc: int, deadline: float) -> Stop:
        if not self._calls_python or threading.current_thread() is not threading.main_thread():
            return self._run(pc, deadline)
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:
            return self._run(pc, deadline)
        signal.signal(signal.SIGINT, self._interrupt)  # what the other one raises in a call by Unicorn is lost
        try:
            stop = self._run(pc, deadline)
        finally:
            signal.signal(signal.SIGINT, before)
        self._raise()
        return stop

    def _interrupt(self, *_: object) -> None:
        self._raised = KeyboardInterrupt()
        self._uc.emu_stop()

    def _run(self, pc: int, deadline: float) -> Stop:
        with self._watchdog.until(deadline):
            while True:
                if time.monotonic() >= deadline:
                    return Stop(reason="timeout", pc=pc & ~self._thumb)
                stop = self._start(pc)
                if stop and (past := self._past_hint(stop)):
                    pc = past
                    continue
                if stop:
                    return stop
                pc = self.get(self._pc) | self._state()  # WFI, or the watchdog

    def _pause(self) -> None:
        """Let Python look for signals, in another thread than what runs. Where blocks are seen, it does anyway."""
        if not self._seeing:
            self._uc.emu_stop()

    def step(self, pc: int) -> Stop | None:
        while stop := self._start(pc, 1):
            past = self._past_hint(stop)
            if not past or past & ~1 == stop.pc:
                return None if past else stop
            pc = past
        return None

    def _past_hint(self, stop: Stop) -> int:
        """Where to go on if what stopped was a hint and no undefined instruction; 0 if it was one.

        That an instruction in front of the program counter is a hint does not say that it ran: at the first time it
        gets a hook that says so, and is run again.
        """
        if stop.reason != "undefined":
            return 0
        for hint in self._emulator.hints:
            at = stop.pc - len(hint)
            if self._is_code(at, hint):
                if at not in self._hints:
                    self._hints[at] = self._uc.hook_add(const.UC_HOOK_CODE, self._on_hint, begin=at, end=at)
                    self.changed(at, 1)
                    return at | self._state()
                return stop.pc | self._state() if self._hinted == at else 0
        return 0

    def _is_code(self, address: int, code: bytes) -> bool:
        try:
            return self.read(address, len(code)) == code
        except unicorn.UcError:
            return False  # nothing is mapped there

    def _start(self, pc: int, count: int = 0) -> Stop | None:
        """Run until something happens, or for ``count`` instructions."""
        self._found = None
        self._hinted = -1
        try:
            self._uc.emu_start(pc, (1 << 64) - 2 if self._is_wide else (1 << 32) - 2, count=count)
        except unicorn.UcError as error:
            self._raise()
            return self._taken() or Stop(reason="exception", pc=self.get(self._pc), value=error.errno)
        finally:
            self._leaving = False
        self._raise()
        return self._taken()

    def close(self) -> None:
        self._watchdog.close()
        self._batches.clear()
        self._uc = None

    @property
    def _is_wide(self) -> bool:
        return "RISCV64" in self._emulator.mode

    def _state(self) -> int:
        """Bit 0 of an address to go on at: Arm's Thumb bit."""
        return int(self._thumb and self._uc.query(const.UC_QUERY_MODE) == const.UC_MODE_THUMB)

    # ---- called by Unicorn. An exception must not pass through it: these have nothing that could raise one.

    def leave_trap(self) -> None:
        self._leaving = True

    def _on_trap(self, uc: Any, address: int, _size: int, _data: object) -> None:
        if self._leaving:
            self._leaving = False
            return
        self._found = Stop(reason="trap", pc=address)
        uc.emu_stop()

    def _on_hint(self, _uc: Any, address: int, _size: int, _data: object) -> None:
        self._hinted = address

    def _on_fenced_code(self, uc: Any, address: int, _size: int, _data: object) -> None:
        self._found = Stop(reason="execute", pc=address, address=address)
        uc.emu_stop()

    def _on_fenced_access(self, uc: Any, access: int, address: int, size: int, value: int, _data: object) -> None:
        reason: Reason = "read" if access == const.UC_MEM_READ else "write"
        if self._allows(reason, address, size):
            return  # begins in front of a fence and ends there, too
        self._stop_before(uc, reason, address, size, value)

    def _stop_before(self, uc: Any, reason: Reason, address: int, size: int, value: int) -> None:
        """Stop at an access that has not taken place."""
        if reason in ("write", "watched-write"):
            try:
                self._undo = address, bytes(uc.mem_read(address, size))  # it is written after this
            except unicorn.UcError:
                pass  # nothing is mapped there
        value &= (1 << 8 * size) - 1
        self._found = Stop(reason=reason, pc=self.get(self._pc), address=address, size=size, value=value)
        uc.emu_stop()

    def _allows(self, reason: Reason, address: int, size: int) -> bool:
        """Whether ``confine()`` lets code do that."""
        if not self._fences:
            return True
        starts, ends = self._allowed[reason]
        i = bisect_right(starts, address) - 1
        return i >= 0 and address + size <= ends[i]

    def _on_access(self, _uc: Any, access: int, address: int, size: int, value: int, _data: object) -> bool:
        fetch = access == const.UC_MEM_FETCH_UNMAPPED
        if fetch and address // PAGE in self._trap_pages and self._allows("execute", address, 1):
            self._found = Stop(reason="state" if self._thumb and not self._state() else "trap", pc=address)
            return False
        value &= (1 << 8 * size) - 1
        self._found = Stop(reason=ACCESS[access], pc=self.get(self._pc), address=address, size=size, value=value)
        return False

    def _on_exception(self, uc: Any, number: int, _data: object) -> None:
        reason: Any
        reason, past = self._emulator.exceptions.get(number, ("exception", 0))
        pc = self.get(self._pc) - past
        self._found = Stop(reason=reason, pc=pc, address=pc if reason == "execute" else 0, value=number)
        uc.emu_stop()

    def _on_invalid(self, _uc: Any, _data: object) -> bool:
        pc = self.get(self._pc)
        reason: Any = "undefined"
        if self._thumb and not self._state():
            reason = "state"
        else:
            word = self._peek(pc)
            for mask, value, what in self._emulator.instructions:
                if word & mask == value:
                    reason = what
                    break
        self._found = Stop(reason=reason, pc=pc)
        return False

    def _peek(self, address: int) -> int:
        """Up to 4 bytes of code as a number; those beyond the page as 0, it may be the last one."""
        size = min(4, PAGE - address % PAGE)
        return int.from_bytes(self.read(address, size), "little")

    def _raise(self) -> None:
        """Raise what a function of a device has raised, or Ctrl-C."""
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def _taken(self) -> Stop | None:
        """What a hook has found. A write over a fence is undone."""
        if self._undo is not None:
            self._uc.mem_write(*self._undo)
            self._undo = None
        return self._found


def prot(perm: Perm) -> int:
    """Permissions as Unicorn has them."""
    return sum(flag for bit, flag in PROT.items() if bit in perm)


def perm_of(bits: int) -> Perm:
    perm = Perm(0)
    for bit, flag in PROT.items():
        perm |= bit if bits & flag else Perm(0)
    return perm


def not_free(start: int, size: int) -> NoReturn:
    text = f"{size:,} bytes at {start:#010x} are not free: the host or another extension is there"
    fail("place-overlap", text, help="choose another address with `--at`")

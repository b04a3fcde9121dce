"""The host's side of a running extension: its memory, its calls in both directions, its faults as diagnostics.

An extension is called with ``Guest.call()``. Where it calls the host, the machine stops at a trap; the host's function
runs here, in Python, outside of the emulator, so that it may call back into the extension.

Nothing that the extension does raises anything but an ``LlextError`` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from llext_tools.arch.base import Arch, Piece, Placer, Target
from llext_tools.c.prototype import parse_prototype
from llext_tools.c.types import CType, DataModel, Prototype, Value, decode, encode, widen
from llext_tools.diag import Location, fail
from llext_tools.errors import LlextError, UsageError
from llext_tools.host.faults import explain, explain_access
from llext_tools.host.function import HostCall, HostFunction, Output
from llext_tools.host.heap import Heap, HeapError
from llext_tools.host.limits import Limits
from llext_tools.host.memory import AccessError, Area, View
from llext_tools.host.places import Entry, Frames, Places
from llext_tools.link.exports import Export
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Mem, Perm
from llext_tools.pages import PAGE

STACK_SIZE = 64 << 10
HEAP_SIZE = 1 << 20
MOST_CALLS = 10_000
"""Calls of host functions that are remembered."""

STACK_AT, HEAP_AT, TEXTS_AT, RETURN_AT = 0x2F00_0000, 0x2E00_0000, 0x2D00_0000, 0x1FFF_0000
"""Where free pages are looked for; all in the range that a Cortex-M takes for RAM."""


class Registers:
    """The arguments of the call that the machine has just made, one after the other."""

    def __init__(self, guest: Guest, placer: Placer) -> None:
        self._guest, self._placer = guest, placer
        self._sp = guest.machine.get(guest.conv.sp)

    def next(self, ctype: CType, *, named: bool = False) -> bytes:
        pieces = self._placer.place(ctype, named=named)
        if _by_reference(ctype, self._guest):
            address = int.from_bytes(self._guest.fetch(pieces, self._sp), "little")
            return self._guest.memory.read(address, ctype.size)
        return self._guest.fetch(pieces, self._sp)


class VaList:
    """The arguments behind a ``va_list``: both ABIs have them in memory, one word or an aligned pair each."""

    def __init__(self, guest: Guest, address: int) -> None:
        self._guest, self._at = guest, address

    def next(self, ctype: CType) -> bytes:
        guest = self._guest
        word = guest.model.word
        if _by_reference(ctype, guest):
            address = int.from_bytes(self.next(guest.model.types["uintptr_t"]), "little")
            return guest.memory.read(address, ctype.size)
        align = max(word, ctype.align)
        self._at = -(-self._at // align) * align
        data = guest.memory.read(self._at, ctype.size)
        self._at += -(-ctype.size // word) * word
        return data


class Guest(Places):
    """A machine with extensions in it.

    Args:
        target: the CPU.
        machine: a fresh machine for it; closed with the guest.
        deadline: ``time.monotonic()`` when all running ends.
    """

    def __init__(
        self, target: Target, arch: Arch, machine: Machine, *, deadline: float, limits: Limits, output: Output
    ) -> None:
        super().__init__(target, arch, machine, limits)
        self.output = output
        self.model = DataModel(target.bits, self.conv.long_double)
        self.clock_us = 0
        self.calls: list[HostCall] = []
        self.on_call: list[Callable[[HostCall], None]] = []
        self.on_switch: list[Callable[[Frames], None]] = []
        self.deadline = deadline
        self._heap: Heap | None = None
        self._heap_area: Area | None = None
        self._texts: Area | None = None
        self._texts_used = 0

    # ---- setting up

    def add_exports(
        self,
        exports: Iterable[Export],
        functions: Mapping[str, HostFunction],
        overrides: Mapping[str, HostFunction] = MappingProxyType({}),
    ) -> None:
        """What extensions can call; after the firmware, if there is one.

        Those that ``overrides`` has by name run it, others the firmware's code; where there is none, what ``functions``
        has. A call of the rest ends the run.
        """
        for export in exports:
            address = export.address & ~1 if self.arch.thumb else export.address
            function = overrides.get(export.name)
            if function is not None:
                self.functions.setdefault(address, (export, function))
            elif self.memory.at(address) is None:
                self.functions.setdefault(address, (export, functions.get(export.name)))
        self.memory.add_traps("host", self.functions)

    def replace(self, export: Export, function: HostFunction | None) -> HostFunction | None:
        """Let a function run where an export, or any code, is; None: what was there runs again.

        Returns:
            The function that it stands for.
        """
        address = export.address & ~1 if self.arch.thumb else export.address
        before = self.functions.get(address)
        if before is None and function is not None:
            self.memory.add_traps("host", [address])
        if function is not None or self._is_free(address):
            self.functions[address] = export, function
        elif before is not None:
            del self.functions[address]
            self.machine.untrap_at(address)
        return before[1] if before else None

    def _is_free(self, address: int) -> bool:
        """Whether there is no code at an address but the host's traps."""
        area = self.memory.at(address)
        return area is None or (area.owner is None and area.perm == Perm.X)

    def add_image(self, image: Image) -> None:
        self.memory.add_image(image)
        self.files.append(image.path)

    def start(self) -> None:
        """Give the stack and the place where calls return to; after all images are there."""
        stack = self.memory.add("stack", STACK_SIZE, Perm.R | Perm.W, STACK_AT)
        self.frames.stack = stack
        self.machine.set(self.conv.sp, stack.end)
        self.return_at = self.memory.free(PAGE, RETURN_AT)
        self.memory.add_traps("return", [self.return_at])

    def restore(self, saved: object) -> None:
        """Give the machine registers that it had before."""
        self.machine.restore(saved)
        if not self.frames.entries:
            self.frames.kept = None

    def state(self) -> object:
        """What is not in the machine: heap, clock, output, calls; between two calls from outside."""
        heap = self._heap_area, self._heap, self._heap.state() if self._heap else None
        texts = self._texts, self._texts_used
        return self.memory.areas, dict(self.functions), heap, texts, self.clock_us, tuple(self.calls), self.output.size

    def put_back(self, state: Any) -> None:
        """Go back to a ``state()``."""
        areas, functions, heap, texts, self.clock_us, calls, size = state
        self.memory.put_back(areas)
        self.functions = dict(functions)
        self._heap_area, self._heap, blocks = heap
        if self._heap is not None:
            self._heap.put_back(blocks)
        self._texts, self._texts_used = texts
        self.calls[:] = calls
        self.output.cut(size)
        self.frames = Frames(stack=self.frames.stack)

    def close(self) -> None:
        self.machine.close()

    @property
    def running(self) -> bool:
        """Whether the extension is in a call: it has called the host."""
        return bool(self.frames.entries)

    def confine(self, view: View | None, *, again: bool = False) -> None:
        """Let what runs touch only what it sees; None lifts that. ``again``: there is other memory than before."""
        before = self.memory.view
        if (view and view.ranges) != (before and before.ranges) or (again and view):
            self.machine.confine(view.ranges if view else None)
        self.memory.view = view

    # ---- memory for the host's own use

    @property
    def heap(self) -> Heap:
        if self._heap is None:
            self._heap = Heap(self.memory, self.heap_area.start, HEAP_SIZE)
        return self._heap

    @property
    def heap_area(self) -> Area:
        if self._heap_area is None:
            self._heap_area = self.memory.add("heap", HEAP_SIZE, Perm.R | Perm.W, HEAP_AT)
        return self._heap_area

    @property
    def heap_used(self) -> int:
        return self._heap.used if self._heap else 0

    @property
    def heap_peak(self) -> int:
        return self._heap.peak if self._heap else 0

    def check_heap(self) -> None:
        """Raises:
        FaultError: ``run-heap``."""
        if self._heap is not None:
            try:
                self._heap.check()
            except HeapError as error:
                fail("run-heap", error.what.format(who="the extension"), at=self.file(), notes=error.notes)

    def place_text(self, text: bytes) -> int:
        """The address of a string in memory that the extension can read and write."""
        size = len(text) + 1
        area = self._texts
        if area is None or area.start + self._texts_used + size > area.end:
            area = self._texts = self.memory.add("arguments", max(PAGE, size), Perm.R | Perm.W, TEXTS_AT)
            self._texts_used = 0
        address = area.start + self._texts_used
        self.memory.poke(address, text + b"\0")
        self._texts_used += -(-size // 8) * 8
        return address

    # ---- calls into the extension

    def call(self, address: int, prototype: Prototype, types: Sequence[CType], values: Sequence[Value]) -> Value:
        """Call a function of the extension.

        Args:
            address: with the Thumb bit, where there is one.
            types, values: of all arguments, also of those behind the prototype's ``params``.
        Returns:
            What it returns, None for void.
        Raises:
            FaultError, LimitError: it did not return.
        """
        machine, conv = self.machine, self.conv
        if len(self.frames.entries) >= self.limits.depth:
            self.too_deep()
        top = machine.get(conv.sp)
        placer = self.placer(prototype.variadic)
        placed = []
        for i, (ctype, value) in enumerate(zip(types, values, strict=True)):
            data = encode(ctype, value)
            if _by_reference(ctype, self):
                top = (top - ctype.size) // 16 * 16
                self._write_stack(top, data)
                data = top.to_bytes(self.model.word, "little")
            pieces = placer.place(ctype, named=i < len(prototype.params))
            placed.append((pieces, self._widened(ctype, data)))
        sp = (top - placer.stack) // conv.stack_align * conv.stack_align
        before = machine.get(conv.sp), machine.get(conv.ra)
        for pieces, data in placed:
            self._put(pieces, data, sp)
        if self.frames.kept is None and not self.frames.entries:
            self.frames.kept = machine.get_all(conv.saved)
        if not self.frames.entries:
            self.stopped = None
        machine.set(conv.sp, sp)
        machine.set(conv.ra, self.return_at | self.arch.thumb)
        inside, self.frames.inside = self.frames.inside, []
        entry = address & ~1 if self.arch.thumb else address
        self.frames.entries.append(Entry(entry, *before, tuple(inside)))
        try:
            self.run_from(address)
            self.check_return(sp, address)
            result = self._result(prototype)
        except LlextError:
            self.stopped = self.stopped or self.frames.copy()
            raise
        finally:
            self.frames.entries.pop()
            self.frames.inside = inside
        machine.set(conv.sp, before[0])
        machine.set(conv.ra, before[1])
        return result

    def call_plain(self, address: int, *values: int) -> int:
        """Call a function pointer whose arguments and result are of a pointer's or an int's size: a callback."""
        word = self.model.types["uintptr_t"]
        prototype = Prototype("", self.model.types["int"], (word,) * len(values))
        return int(self.call(address, prototype, prototype.params, values) or 0)

    def _result(self, prototype: Prototype) -> Value:
        ctype = prototype.result
        if ctype.is_void:
            return None
        if ctype.kind == "record" or _by_reference(ctype, self):
            return None
        return decode(ctype, self.fetch(self.placer(prototype.variadic).place(ctype), 0)[: ctype.size])

    def placer(self, variadic: bool) -> Placer:
        return self.conv.placer(self.model.word, self.target.float_abi, variadic)

    def fetch(self, pieces: Iterable[Piece], sp: int) -> bytes:
        """The bytes of a value that is in these pieces."""
        data = b""
        for piece in pieces:
            if piece.register:
                value = self.machine.get(piece.register) & ((1 << 8 * piece.size) - 1)
                data += value.to_bytes(piece.size, "little")
            else:
                data += self.memory.read(sp + piece.offset, piece.size)
        return data

    def _put(self, pieces: Iterable[Piece], data: bytes, sp: int) -> None:
        at = 0
        pieces = tuple(pieces)
        for piece in pieces:
            size = piece.size if len(pieces) > 1 else len(data)
            part = data[at : at + size]
            if piece.register:
                self.machine.set(piece.register, int.from_bytes(part, "little") | piece.fill)
            else:
                self._write_stack(sp + piece.offset, part)
            at += size

    def _widened(self, ctype: CType, data: bytes) -> bytes:
        word = self.model.word
        return widen(ctype, data, word) if ctype.kind != "float" and ctype.size < word else data

    def _write_stack(self, address: int, data: bytes) -> None:
        try:
            self.memory.write(address, data)
        except AccessError:
            self.fail("run-fault", "the stack has no room for the arguments of a call", self.where_now())

    def too_deep(self) -> NoReturn:
        text = f"host and extension call each other {self.limits.depth} levels deep"
        self.fail("run-depth", text, self.where_now())

    def run_from(self, pc: int) -> None:
        """Run until the extension returns, serving its calls."""
        while True:
            stop = self.machine.run(pc, self.deadline)
            if stop.reason != "trap":
                explain(self, stop)
            if stop.pc == self.return_at:
                return
            pc = self._serve(stop.pc)

    def check_return(self, sp: int, address: int) -> None:
        """That a function has kept to the procedure call standard."""
        off = self.machine.get(self.conv.sp) - sp
        outermost = len(self.frames.entries) == 1
        found = self.machine.get_all(self.conv.saved) if outermost else self.frames.kept
        if off or found != self.frames.kept:
            kept = zip(self.conv.saved, self.frames.kept or (), found or (), strict=True)
            changed = [name for name, before, now in kept if before != now]
            self.frames.kept = None
            what = f"its stack pointer off by {off:,} bytes" if off else f"{', '.join(changed)} changed"
            self.fail(
                "run-fault",
                f"`{self.name_of(address)}` returns with {what}",
                self.location(address),
                help="a function restores what the procedure call standard says: look at its assembly code",
            )

    # ---- calls of the extension into the host

    def _serve(self, address: int) -> int:
        """Run the host's function at an address; returns where the extension goes on."""
        found = self.functions.get(address)
        back = self.machine.get(self.conv.ra)
        if found is None:
            explain(self, Stop(reason="execute", pc=address, address=address, size=2))
        export, function = found
        if function is None:
            self._missing(export)
        prototype = self.prototype(function.prototype)
        arguments = Registers(self, self.placer(prototype.variadic))
        self.frames.inside.append(function.name)
        try:
            values = [decode(ctype, arguments.next(ctype, named=True)) for ctype in prototype.params]
            rest = (arguments,) if prototype.variadic else ()
            result = function.body(self, *values, *rest)
        except AccessError as error:
            explain_access(self, error)
        except HeapError as error:
            self.fail("run-heap", error.what.format(who=self.caller()), self.where_now(), notes=error.notes)
        self.frames.inside.pop()
        ctype = prototype.result
        if not ctype.is_void:
            data = self._widened(ctype, encode(ctype, result))
            self._put(self.placer(prototype.variadic).place(ctype), data, 0)
        call = HostCall(function.name, tuple(values), result)
        if len(self.calls) < MOST_CALLS:
            self.calls.append(call)
        for told in self.on_call:
            told(call)
        return back

    def prototype(self, text: str) -> Prototype:
        return parse_prototype(text, self.model)

    def write_output(self, data: bytes) -> None:
        """Print something for the extension.

        Raises:
            LimitError: ``run-output``.
        """
        if not self.output.write(data):
            self.fail("run-output", f"{self.who()} prints more than the limit of output", self.where_now())

    def _missing(self, export: Export) -> NoReturn:
        name, arguments = export.name, "..."
        prototype = self._known_prototype(export)
        if prototype:
            source = Registers(self, self.placer(prototype.variadic))
            arguments = ", ".join(self._show(t, source) for t in prototype.params) + ", ..." * prototype.variadic
        self.fail(
            "run-missing-code",
            f"{self.caller()} calls `{name}`, which has an address but no code here",
            self.where_now(),
            detail=(f"{name}({arguments}) at {export.address:#010x}",),
            help="run it on the board, or without `--exports` if the built-in host has the function",
        )

    def _known_prototype(self, export: Export) -> Prototype | None:
        """That of a table, unless it has types that are unknown here."""
        try:
            return self.prototype(export.prototype) if export.prototype else None
        except UsageError:
            return None

    def _show(self, ctype: CType, source: Registers) -> str:
        try:
            value = decode(ctype, source.next(ctype, named=True))
            if ctype.is_text and value:
                return repr(self.memory.text(int(value), 64).decode("utf-8", "backslashreplace")).replace("'", '"')
        except AccessError:
            return "?"
        return f"{value:#x}" if ctype.kind == "pointer" else str(value)

    def check_pointers(self, image: Image, mem: Mem) -> list[int]:
        """The function table in an array region, as bringup and teardown call it.

        Raises:
            FaultError: ``run-bringup``: a pointer lies outside of the extension's TEXT.
        """
        data = image.mem.get(mem)
        if data is None:
            return []
        word = self.model.word
        table = self.memory.peek(image.layout.base[mem], data.size // word * word)
        pointers = np.frombuffer(table, f"<u{word}").tolist()
        start = image.layout.base.get(Mem.TEXT, 0)
        end = start + (image.mem[Mem.TEXT].size if Mem.TEXT in image.mem else 0)
        for i, pointer in enumerate(pointers):
            if not start <= pointer < end:
                self.fail(
                    "run-bringup",
                    f"entry {i} of {mem.name} points to {pointer:#010x}, outside of the extension's code",
                    Location(image.path, image.obj.sections.name[image.regions.regions[mem].sections[0]], i * word),
                    detail=(f"TEXT is {start:#010x} to {end - 1:#010x}",),
                )
        return [int(p) for p in pointers]


def _by_reference(ctype: CType, guest: Guest) -> bool:
    limit = guest.conv.by_reference
    return bool(limit) and ctype.size > limit * guest.model.word

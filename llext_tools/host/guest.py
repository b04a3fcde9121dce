"""The host's side of a running extension: its memory, its calls in both directions, its faults as diagnostics.

An extension is called with ``Guest.call()``. Where it calls the host, the machine stops at a trap; the host's function
runs here, in Python, outside of the emulator, so that it may call back into the extension.

Nothing that the extension does raises anything but an ``LlextError`` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from llext_tools.arch.base import Arch, Piece, Placer, Target
from llext_tools.c.prototype import parse_prototype
from llext_tools.c.types import CType, DataModel, Prototype, Value, decode, encode, widen
from llext_tools.diag import Location, fail
from llext_tools.errors import UsageError
from llext_tools.host.heap import Heap, HeapError
from llext_tools.host.memory import AccessError, Area, Memory, View
from llext_tools.link.exports import Export
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Mem, Perm
from llext_tools.pages import PAGE

STACK_SIZE = 64 << 10
HEAP_SIZE = 1 << 20
DEEPEST = 64
"""Calls of the extension by the host by the extension, and so on."""

RIGHTS = {
    Perm.R: "read-only",
    Perm.R | Perm.X: "code, read-only",
    Perm.X: "code",
    Perm.R | Perm.W | Perm.X: "not protected",
}
NEEDED = {"read": Perm.R, "write": Perm.W, "execute": Perm.X}
MOST_CALLS = 10_000
"""Calls of host functions that are remembered."""

STACK_AT, HEAP_AT, TEXTS_AT, RETURN_AT = 0x2F00_0000, 0x2E00_0000, 0x2D00_0000, 0x1FFF_0000
"""Where free pages are looked for; all in the range that a Cortex-M takes for RAM."""


class HostFunction(NamedTuple):
    """A function that extensions call: its C prototype, and what it does.

    ``body`` gets the guest, the arguments by their types (pointers as addresses) and, if the prototype is variadic,
    the rest as ``Arguments``. It returns a number, or None for void.
    """

    name: str
    prototype: str
    body: Callable[..., Value]


class HostCall(NamedTuple):
    """A call that an extension made."""

    name: str
    arguments: tuple[Value, ...]
    result: Value


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


class Output:
    """What the extension prints: bytes up to a limit, passed on as they come."""

    def __init__(self, limit: int, sink: Callable[[bytes], None] | None = None) -> None:
        self._limit, self._sink = limit, sink
        self._data = bytearray()

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "backslashreplace")

    def write(self, data: bytes) -> bool:
        """Whether there was room for all of it."""
        room = max(self._limit - len(self._data), 0)
        self._data += data[:room]
        if self._sink:
            self._sink(data[:room])
        return len(data) <= room


class Guest:
    """A machine with extensions in it.

    Args:
        target: the CPU.
        machine: a fresh machine for it; closed with the guest.
        deadline: ``time.monotonic()`` when all running ends.
        limit: seconds, as the message has it.
    """

    def __init__(
        self, target: Target, arch: Arch, machine: Machine, *, deadline: float, limit: float, output: Output
    ) -> None:
        self.target, self.arch, self.machine, self.output = target, arch, machine, output
        self.conv = arch.callconv
        self.model = DataModel(target.bits, self.conv.long_double)
        self.memory = Memory(machine, target.bits)
        self.files: list[str] = []  # of the extensions, the one that is meant without a better clue last
        self.clock_us = 0
        self.calls: list[HostCall] = []
        self.deadline, self._limit = deadline, limit
        self._functions: dict[int, tuple[Export, HostFunction | None]] = {}
        self._inside: list[str] = []  # host functions that run, the innermost last
        self._entries: list[int] = []  # functions of the extension that the host has called, the innermost last
        self._kept: tuple[int, ...] | None = None  # the registers that calls from outside leave as they are
        self._heap: Heap | None = None
        self._heap_area: Area | None = None
        self._stack: Area | None = None
        self._texts: Area | None = None
        self._texts_used = 0
        self._return = 0

    # ---- setting up

    def add_exports(self, exports: Iterable[Export], functions: Mapping[str, HostFunction]) -> None:
        """What extensions can call; after the firmware, if there is one.

        Those that ``functions`` has by name run it, others the firmware's code; where there is none they end the run.
        """
        for export in exports:
            address = export.address & ~1 if self.arch.thumb else export.address
            function = functions.get(export.name)
            if function is not None or self.memory.at(address) is None:
                self._functions.setdefault(address, (export, function))
        self.memory.add_traps("host", self._functions)

    def add_image(self, image: Image) -> None:
        self.memory.add_image(image)
        self.files.append(image.path)

    def start(self) -> None:
        """Give the stack and the place where calls return to; after all images are there."""
        stack = self.memory.add("stack", STACK_SIZE, Perm.R | Perm.W, STACK_AT)
        self._stack = stack
        self.machine.set(self.conv.sp, stack.end)
        self._return = self.memory.free(PAGE, RETURN_AT)
        self.memory.add_traps("return", [self._return])

    def restore(self, saved: object) -> None:
        """Give the machine registers that it had before."""
        self.machine.restore(saved)
        if not self._entries:
            self._kept = None

    def close(self) -> None:
        self.machine.close()

    @property
    def running(self) -> bool:
        """Whether the extension is in a call: it has called the host."""
        return bool(self._entries)

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
                fail("run-heap", error.what.format(who="the extension"), at=self._file(), notes=error.notes)

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
        if len(self._entries) >= DEEPEST:
            self.fail("run-depth", f"host and extension call each other {DEEPEST} levels deep", self.where_now())
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
        if self._kept is None and not self._entries:
            self._kept = machine.get_all(conv.saved)
        machine.set(conv.sp, sp)
        machine.set(conv.ra, self._return | self.arch.thumb)
        inside, self._inside = self._inside, []
        self._entries.append(address & ~1 if self.arch.thumb else address)
        try:
            self._run(address)
            self._check_return(sp, address)
            result = self._result(prototype)
        finally:
            self._entries.pop()
            self._inside = inside
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

    def _run(self, pc: int) -> None:
        """Run until the extension returns, serving its calls."""
        while True:
            stop = self.machine.run(pc, self.deadline)
            if stop.reason != "trap":
                self._explain(stop)
            if stop.pc == self._return:
                return
            pc = self._serve(stop.pc)

    def _check_return(self, sp: int, address: int) -> None:
        """That a function has kept to the procedure call standard."""
        off = self.machine.get(self.conv.sp) - sp
        outermost = len(self._entries) == 1
        found = self.machine.get_all(self.conv.saved) if outermost else self._kept
        if off or found != self._kept:
            kept = zip(self.conv.saved, self._kept or (), found or (), strict=True)
            changed = [name for name, before, now in kept if before != now]
            self._kept = None
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
        found = self._functions.get(address)
        back = self.machine.get(self.conv.ra)
        if found is None:
            self._explain(Stop(reason="execute", pc=address, address=address, size=2))
        export, function = found
        if function is None:
            self._missing(export)
        prototype = self.prototype(function.prototype)
        arguments = Registers(self, self.placer(prototype.variadic))
        self._inside.append(function.name)
        try:
            values = [decode(ctype, arguments.next(ctype, named=True)) for ctype in prototype.params]
            rest = (arguments,) if prototype.variadic else ()
            result = function.body(self, *values, *rest)
        except AccessError as error:
            self._explain_access(error)
        except HeapError as error:
            self.fail("run-heap", error.what.format(who=self.caller()), self.where_now(), notes=error.notes)
        self._inside.pop()
        ctype = prototype.result
        if not ctype.is_void:
            data = self._widened(ctype, encode(ctype, result))
            self._put(self.placer(prototype.variadic).place(ctype), data, 0)
        if len(self.calls) < MOST_CALLS:
            self.calls.append(HostCall(function.name, tuple(values), result))
        return back

    def prototype(self, text: str) -> Prototype:
        return parse_prototype(text, self.model)

    def write_output(self, data: bytes) -> None:
        """Print something for the extension.

        Raises:
            LimitError: ``run-output``.
        """
        if not self.output.write(data):
            self.fail("run-output", f"{self._who()} prints more than the limit of output", self.where_now())

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

    # ---- places

    def location(self, address: int) -> Location | None:
        """The section, offset and function of an address in an extension or in the firmware."""
        area = self.memory.at(address)
        if area is None or area.owner is None:
            return None
        section, offset = area.owner.section(area, address) or (area.name, address - area.start)
        return Location(area.owner.path, section, offset, area.owner.function(area, address))

    def name_of(self, address: int) -> str:
        """The function that an address is in, or the address."""
        where = self.location(address & ~1 if self.arch.thumb else address)
        return where.function if where and where.function else f"{address:#010x}"

    def where_now(self) -> Location | None:
        """Where the extension is while the host runs: its call instruction.

        A function that ends with a jump to the host has left no trace: then it is the one that the host has called.
        """
        back = self.machine.get(self.conv.ra)
        back = back & ~1 if self.arch.thumb else back
        if back == self._return and self._entries:
            entry = self.location(self._entries[-1])
            return entry._replace(offset=None) if entry else self._file()
        area = self.memory.at(back - 4)
        if area is None or area.end < back or self.location(back - 4) is None:
            return self.location(back - 2) or self._file()
        return self.location(back - self.conv.call_size(self.memory.peek(back - 4, 4)))

    def caller(self) -> str:
        """The same as a text: ```f`+0x12``."""
        where = self.where_now()
        return f"`{where.function}`" if where and where.function else "the extension"

    def describe(self, address: int) -> str:
        """What is at an address, as a phrase: "`table`+0x4 in .rodata of x.llext (region RODATA, read-only)"."""
        area = self.memory.at(address)
        if area is None:
            return ""
        rights = RIGHTS.get(area.perm, "not executable")
        beside = "" if self.memory.view else f" ({rights})"  # where a view decides, they say nothing
        if area.owner is None:
            return f"the {area.name}{beside}"
        text = self._region(area) + beside
        place = area.owner.section(area, address)
        if place is None:
            return text
        symbol = area.owner.symbol(area, address)
        where = f"{place[0]}+{place[1]:#x}"
        return f"{symbol}, {where}, {text}" if symbol else f"{where}, {text}"

    def _region(self, area: Area) -> str:
        """What an area is called: "region DATA of x.llext"."""
        if area.owner is None:
            return f"the {area.name}"
        several = len(self.files) > 1 or area.owner.kind == "section" or self.memory.view is not None
        return f"{area.owner.kind} {area.name}" + (f" of {area.owner.title}" if several else "")

    def _file(self) -> Location | None:
        return Location(self.files[-1]) if self.files else None

    def _who(self) -> str:
        return f"`{self._inside[-1]}`" if self._inside else self.caller()

    # ---- what went wrong

    def fail(
        self,
        code: str,
        message: str,
        at: Location | None,
        *,
        detail: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        help: str = "",
    ) -> NoReturn:
        fail(code, message, at=at or self._file(), detail=detail, notes=notes, help=help)

    def registers(self) -> dict[str, int]:
        return {name: self.machine.get(name) for name in self.conv.shown}

    def _explain_access(self, error: AccessError) -> NoReturn:
        name = self._inside[-1]
        self._refuse_access(f"`{name}`", error.reason, error.address, error.size, self.where_now(), called=True)

    def _explain(self, stop: Stop) -> NoReturn:
        """Turn a stop that is not a call into a diagnostic."""
        where = self.location(stop.pc)
        who = f"`{where.function}`" if where and where.function else f"the code at {stop.pc:#010x}"
        if stop.reason == "timeout":
            text = f"{who} was still running after {self._limit:g} s"
            self.fail("run-timeout", text, where, help="an endless loop, or `--timeout` is too short")
        if stop.reason in ("read", "write"):
            self._refuse_access(who, stop.reason, stop.address, stop.size, where, value=stop.value, pc=stop.pc)
        if stop.reason in ("execute", "state"):
            self._refuse_jump(stop)
        what, notes, cure = self._reason(stop)
        pc = f"instruction at {stop.pc:#010x}{self._code_at(stop.pc)}"
        self.fail("run-fault", f"{who} {what}", where, detail=(pc,), notes=notes, help=cure)

    def _reason(self, stop: Stop) -> tuple[str, tuple[str, ...], str]:
        """What an instruction did wrong, notes, help."""
        target = self.target.name
        match stop.reason:
            case "undefined":
                trap = "compilers put one where code cannot be reached (`__builtin_trap()`, a missing `return`)"
                return "executes an undefined instruction", (trap,), f"is the extension built for {target}?"
            case "unaligned":
                cure = "copy packed data with memcpy(), or compile with `-mno-unaligned-access`"
                faults = f"{target} faults on such an access"
                return "accesses memory at an address that is not aligned", (faults,), cure
            case "no-fpu":
                return "uses the FPU, which this CPU does not have", (), f"is the extension built for {target}?"
            case "breakpoint":
                return "stops at a breakpoint instruction", ("without a debugger a board faults there",), ""
            case "supervisor":
                return "makes a system call, and this host has no kernel behind it", (), ""
            case "exception-return":
                return "returns from an exception, but runs in none", (), ""
            case _:
                return f"raised exception {stop.value} of the CPU", (), ""

    def _refuse_access(
        self,
        who: str,
        reason: str,
        address: int,
        size: int,
        where: Location | None,
        *,
        value: int = 0,
        pc: int | None = None,
        called: bool = False,
    ) -> NoReturn:
        verb = "reads" if reason == "read" else "writes"
        count = f"{size:,} byte{'s' * (size != 1)}"
        area = self.memory.at(address)
        export = self._functions.get(address & ~1)
        notes: tuple[str, ...] = ()
        cure = ""
        able = "readable" if reason == "read" else "writable"
        refused = None if area is None else self.memory.refused(NEEDED[reason], address, size)
        if area is not None and refused is not None:
            message = f"{who} {verb} {count} at {address:#010x}{self._outside(area, refused)}"
            cure = self.memory.view.help if self.memory.view else ""
        elif area is None and self._stack and self._stack.start - PAGE <= address < self._stack.start:
            message = f"{who} overflows the stack of {STACK_SIZE:,} bytes"
            cure = "endless recursion, or a local variable that is too large"
        elif area is None:
            message = f"{who} {verb} {count} at {address:#010x}, where there is no memory"
            notes = (_null_note(address),) if address < PAGE else ()
        elif export is not None or area.perm == Perm.X:
            message = f"{who} {verb} {count} at {address:#010x}, which is the host's and has no contents here"
            notes = (f"it is the export `{export[0].name}`",) if export else ()
        else:
            message = f"{who} {verb} {count} at {address:#010x}, which is not {able}"
        detail = [f"{address:#010x} is {text}" for text in (self.describe(address),) if text and export is None]
        if called:
            detail.append(f"called from {self.caller()}")
        else:
            written = f", value {value:#0{2 * size + 2}x}" if reason == "write" else ""
            detail.insert(0, f"{reason} of {count}{written}, by the instruction at {pc or 0:#010x}")
        self.fail("run-fault", message, where, detail=tuple(detail), notes=notes, help=cure)

    def _outside(self, area: Area, address: int) -> str:
        """The end of a sentence about an access to ``area`` that the view refuses at ``address``."""
        assert self.memory.view is not None
        place = "the host's memory" if area.perm == Perm.X and area.owner is None else self._region(area)
        return f", in {place}: {self.memory.view.why(address)}"

    def _refuse_jump(self, stop: Stop) -> NoReturn:
        """``execute``: the address is no code. ``state``: it is, but without the Thumb bit."""
        address = stop.pc
        export = self._functions.get(address)
        name = export[0].name if export else self.name_of(address)
        target = f"`{name}` at {address:#010x}" if name != f"{address:#010x}" else f"{address:#010x}"
        area = self.memory.at(address)
        who, where = self.caller(), self.where_now()
        notes: tuple[str, ...] = ()
        cure = ""
        if address <= self.arch.thumb and area is None:
            message = f"{who} calls a null pointer"
            notes = ("a weak symbol that nobody defines is null",)
        elif stop.reason == "state" and area is not None and Perm.X in area.perm:
            message = f"{who} calls {target} without the Thumb bit"
            notes = ("bit 0 of the address is clear: the CPU would switch to Arm code, which it does not have",)
            cure = f"in assembly, mark the label as a function: `.thumb_func` or `.type {name}, %function`"
            if export is not None:
                given = export[0].address
                odd = f"the table of exports gives {given:#010x}; a Thumb function's address is odd: {given | 1:#010x}"
                cure = "" if given & 1 else odd
        elif area is None:
            message = f"{who} jumps to {target}, where there is no memory"
            notes = (_null_note(address),) if address < PAGE else ()
        elif self.memory.refused(Perm.X, address, 1) is not None:
            message = f"{who} jumps to {target}{self._outside(area, address)}"
            cure = self.memory.view.help if self.memory.view else ""
        elif Perm.X in area.perm:
            message = f"{who} jumps to {target}, where the host has no function"
        else:
            message = f"{who} jumps to {target}, which is not executable"
        detail = tuple(f"{address:#010x} is {text}" for text in (self.describe(address),) if text and not export)
        self.fail("run-fault", message, where, detail=detail, notes=notes, help=cure)

    def _code_at(self, pc: int) -> str:
        area = self.memory.at(pc)
        if area is None or area.owner is None:
            return ""
        code = self.memory.peek(pc, min(4, area.end - pc) & ~1)
        return ": " + " ".join(code[i : i + 2][::-1].hex() for i in range(0, len(code), 2))

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


def _null_note(address: int) -> str:
    """What an access to the first page comes from."""
    near = f"{address:#x} is near null: a member of a null pointer's structure, or a number that is no address"
    return near if address else "a null pointer was used"


def _by_reference(ctype: CType, guest: Guest) -> bool:
    limit = guest.conv.by_reference
    return bool(limit) and ctype.size > limit * guest.model.word

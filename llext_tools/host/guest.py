"""The host's side of a running extension: its memory, its calls in both directions, its faults as diagnostics.

An extension is called with ``Guest.call()``. Where it calls the host, the machine stops at a trap; the host's function
runs here, in Python, outside of the emulator, so that it may call back into the extension.

Nothing that the extension does raises anything but an ``LlextError`` here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from llext_tools.arch.base import Arch, Placer
from llext_tools.arch.model import Target
from llext_tools.c.prototype import parse_prototype
from llext_tools.c.types import CType, DataModel, Prototype
from llext_tools.diag import Location, fail, number
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.host import stacks
from llext_tools.host.areas import Area
from llext_tools.host.devices import Bus, DeviceError
from llext_tools.host.faults import explain, explain_access, late
from llext_tools.host.function import HostCall, HostFunction, Output
from llext_tools.host.heap import Heap, HeapError
from llext_tools.host.limits import Limits
from llext_tools.host.memory import AccessError, View
from llext_tools.host.missing import missing
from llext_tools.host.passing import Registers, give_result, pass_arguments, result_memory, take_result, value_of_call
from llext_tools.host.places import Entry, Frames, Places
from llext_tools.host.stacks import StackUse
from llext_tools.link.exports import Export
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Mem, Perm
from llext_tools.pages import PAGE

if TYPE_CHECKING:
    from llext_tools.host.kernel import Kernel

MOST_CALLS = 10_000
"""Calls of host functions that are remembered."""

STACK_AT, HEAP_AT, TEXTS_AT, RETURN_AT = 0x2F00_0000, 0x2E00_0000, 0x2D00_0000, 0x1FFF_0000
"""Where free pages are looked for; all in the range that a Cortex-M takes for RAM."""


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
        self.stacks: list[StackUse] = []  # of threads that are over
        self.on_stop: list[Callable[[Stop], None]] = []
        self.on_switch: list[Callable[[Frames], None]] = []
        self.trace: Callable[[], Sequence[str]] = tuple  # gives the calls in which the machine is, as lines
        self.deadline = deadline
        self.kernel: Kernel | None = None  # from when something needs it
        self.described: Callable[[Export], Prototype | None] = lambda _: None  # by debug information
        self.buses: list[Bus] = []
        self.stub_missing = False  # whether a function without code returns zero
        self.stubbed: dict[str, int] = {}  # how often such ones were called
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
            address = self.arch.code_at(export.address)
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
        address = self.arch.code_at(export.address)
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
        stack = self.memory.add("stack", self.limits.stack, Perm.R | Perm.W, STACK_AT)
        self.frames.stack = stack
        stacks.fill(self.memory, stack.start, self.limits.stack)
        self.machine.set(self.conv.sp, stack.end)
        self.return_at = self.memory.free(PAGE, RETURN_AT)
        self.memory.add_traps("return", [self.return_at])

    def anchor(self, firmware: ElfObject) -> None:
        """Give a register the value that a firmware's code counts on, as its startup code does."""
        register, symbol = self.conv.anchor
        value = firmware.value_of(symbol) if register else None
        if value is not None:
            self.machine.set(register, value)

    def restore(self, saved: object) -> None:
        """Give the machine registers that it had before."""
        self.machine.restore(saved)
        if not self.frames.entries:
            self.frames.kept = None

    def state(self) -> object:
        """What is not in the machine: heap, clock, output, calls; between two calls from outside."""
        heap = self._heap_area, self._heap, self._heap.state() if self._heap else None
        texts = self._texts, self._texts_used
        kernel = self.kernel, self.kernel.state() if self.kernel else None
        devices = [bus.state() for bus in self.buses]
        told = tuple(self.calls), self.output.size, dict(self.stubbed)
        return self.memory.areas, dict(self.functions), heap, texts, self.clock_us, told, kernel, devices

    def put_back(self, state: Any) -> None:
        """Go back to a ``state()``."""
        areas, functions, heap, texts, self.clock_us, told, (kernel, threads), devices = state
        self.memory.put_back(areas)
        self.functions = dict(functions)
        self._heap_area, self._heap, blocks = heap
        if self._heap is not None:
            self._heap.put_back(blocks)
        self._texts, self._texts_used = texts
        self.calls[:], size, self.stubbed = told
        self.stacks.clear()
        self.output.cut(size)
        for bus, each in zip(self.buses, devices, strict=True):
            bus.put_back(each)
        self.frames = Frames(stack=self.frames.stack)
        if kernel is not None:
            kernel.put_back(threads)
        elif self.kernel is not None:
            self.kernel.close()
        self.kernel = kernel

    def close(self) -> None:
        if self.kernel is not None:
            self.kernel.close()
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
            self._heap = Heap(self.memory, self.heap_area.start, self.limits.heap)
        return self._heap

    @property
    def heap_area(self) -> Area:
        if self._heap_area is None:
            self._heap_area = self.memory.add("heap", self.limits.heap, Perm.R | Perm.W, HEAP_AT)
        return self._heap_area

    @property
    def heap_used(self) -> int:
        return self._heap.used if self._heap else 0

    @property
    def heap_peak(self) -> int:
        return self._heap.peak if self._heap else 0

    @property
    def stack_uses(self) -> tuple[StackUse, ...]:
        """What each thread has used of its stack, the main one first."""
        area = self.frames.stack
        main = [StackUse("main", area.end - area.start, stacks.used(self.memory, area))] if area else []
        others = self.kernel.stack_uses() if self.kernel else []
        return stacks.greatest([*main, *self.stacks, *others])

    def check_heap(self) -> None:
        """Raises:
        FaultError: ``run-heap``."""
        if self._heap is not None:
            try:
                self._heap.check(self.tick)
            except HeapError as error:
                fail(
                    "run-heap",
                    error.what.format(who="the extension"),
                    at=self.file(),
                    notes=(*error.notes, "found by a look at all of the heap, afterwards"),
                )

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

    def call(self, address: int, prototype: Prototype, types: Sequence[CType], values: Sequence[Any]) -> Any:
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
        before = machine.get(conv.sp), machine.get(conv.ra)
        call = pass_arguments(self, prototype, types, values)
        inside = self.enter(address, *before)
        machine.set(conv.sp, call.sp)
        machine.set(conv.ra, self.return_at | self.arch.thumb)
        try:
            self.run_from(address)
            self.check_return(call.sp, address)
            result = take_result(self, prototype, call)
        except LlextError:
            self.failed()
            raise
        finally:
            self.leave(inside)
        machine.set(conv.sp, before[0])
        machine.set(conv.ra, before[1])
        return result

    def resume(self, pc: int, sp: int) -> None:
        """Go on with the only call that a thread is in, at an address. ``sp``: where its stack is when that returns."""
        try:
            self.run_from(pc)
            self.check_return(sp, self.frames.entries[-1].address)
        except LlextError:
            self.failed()
            raise
        finally:
            self.leave([])

    def enter(self, address: int, sp: int, ra: int) -> list[str]:
        """A call of the extension begins; the registers are the host's.

        Returns:
            For ``leave()``, when it is over.
        Raises:
            LimitError: ``run-depth``.
        """
        frames = self.frames
        if not frames.entries:
            self.stopped = self.stop = None
            if frames.kept is None:
                frames.kept = self.machine.get_all(self.conv.saved)
        elif len(frames.entries) >= self.limits.depth:
            text = f"host and extension call each other {self.limits.depth} levels deep"
            self.fail("run-depth", text, self.where_now())
        inside, frames.inside = frames.inside, []
        frames.entries.append(Entry(self.arch.code_at(address), sp, ra, tuple(inside)))
        return inside

    def leave(self, inside: list[str]) -> None:
        self.frames.entries.pop()
        self.frames.inside = inside

    def call_plain(self, address: int, *values: int) -> int:
        """Call a function pointer whose arguments and result are of a pointer's or an int's size: a callback."""
        word = self.model.types["uintptr_t"]
        prototype = Prototype("", self.model.types["int"], (word,) * len(values))
        return int(self.call(address, prototype, prototype.params, values) or 0)

    def placer(self, variadic: bool) -> Placer:
        return self.conv.placer(self.model.word, self.target.float_abi, variadic)

    def run_from(self, pc: int) -> None:
        """Run until the extension returns, serving its calls."""
        while True:
            try:
                stop = self.machine.run(pc, self.deadline)
            except DeviceError as error:
                error.explain(self)
            if stop.reason != "trap":
                for told in self.on_stop:
                    told(stop)
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
        while function is not None and function.when is not None and not function.when(self):
            function = function.otherwise
            if function is None and not self._is_free(address):
                self.machine.leave_trap()
                return address | self.arch.thumb
        if function is None:
            function = missing(self, export)
        prototype = self.prototype(function.prototype)
        arguments = Registers(self, self.placer(prototype.variadic))
        self.frames.inside.append(function.name)
        try:
            memory = result_memory(self, prototype, arguments)
            values = [value_of_call(self, ctype, arguments.next(ctype, named=True)) for ctype in prototype.params]
            rest = (arguments,) if prototype.variadic else ()
            result = function.body(self, *values, *rest)
            give_result(self, prototype, result, memory)
        except AccessError as error:
            explain_access(self, error)
        except HeapError as error:
            self.fail("run-heap", error.what.format(who=self.caller()), self.where_now(), notes=error.notes)
        self.frames.inside.pop()
        if function.callback:
            return back
        self.note(HostCall(function.name, tuple(values), result))
        return back

    def note(self, call: HostCall) -> None:
        """Remember a call that the extension has made."""
        if len(self.calls) < MOST_CALLS:
            self.calls.append(call)
        for told in self.on_call:
            told(call)

    def tick(self) -> None:
        """To be called by functions of the host that may take long.

        Raises:
            LimitError: ``run-timeout``.
        """
        if time.monotonic() >= self.deadline:
            late(self, self.who(), self.where_now())

    def prototype(self, text: str | Prototype) -> Prototype:
        return parse_prototype(text, self.model) if isinstance(text, str) else text

    def write_output(self, data: bytes) -> None:
        """Print something for the extension.

        Raises:
            LimitError: ``run-output``.
        """
        if not self.output.write(data):
            self.too_much("prints")

    def too_much(self, verb: str) -> NoReturn:
        """Raises:
        LimitError: ``run-output``."""
        self.fail(
            "run-output",
            f"{self.who()} {verb} more than {number(self.limits.output, 'byte')}, the limit of output",
            self.where_now(),
            help="an endless loop, or `--max-output` is too small",
        )

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

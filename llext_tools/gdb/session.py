"""A session that a debugger can look into."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence

from llext_tools import arch as archs
from llext_tools.arch.model import Emulator
from llext_tools.errors import LlextError
from llext_tools.gdb.machine import DebugMachine
from llext_tools.gdb.monitor import Command, Monitor
from llext_tools.gdb.program import Thread, only_thread
from llext_tools.gdb.server import Server
from llext_tools.gdb.symbols import host_symbols
from llext_tools.host.faults import explain
from llext_tools.host.kernel.contexts import Context
from llext_tools.host.kernel.kernel import Kernel
from llext_tools.host.kernel.report import waiting
from llext_tools.link.image import Image
from llext_tools.machine.protocol import Machine, Stop
from llext_tools.mem import Perm
from llext_tools.run.session import Session, Setup

LETTERS = {Perm.R: "r", Perm.W: "w", Perm.X: "x"}


class DebugSession(Session):
    """``debugger`` is its machine.

    Args:
        ready: called when everything is in memory, and nothing has run.
        wait: nothing runs before a debugger has come to ``server``.
    """

    debugger: DebugMachine

    def __init__(
        self,
        images: Sequence[Image],
        setup: Setup,
        server: Server,
        *,
        ready: Callable[[DebugSession], None],
        wait: bool = True,
    ) -> None:
        self._ready = ready
        self._explaining = False
        self._numbers: dict[Context, int] = {}
        arch = archs.load(setup.target.arch)
        monitor = Monitor(
            {
                "output": Command("what the extension has printed", lambda: self.output.text),
                "regions": Command("where the extensions and the host's memory are", self._regions),
            }
        )

        def machine(emulator: Emulator, pc: str) -> Machine:
            inner = setup.machine(emulator, pc)
            self.debugger = DebugMachine(inner, arch, setup.target, server, monitor, wait=wait)
            return self.debugger

        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

        def sink(data: bytes) -> None:
            if setup.sink:
                setup.sink(data)
            self.debugger.print(decoder.decode(data))

        super().__init__(images, setup._replace(machine=machine, sink=sink))

    def fill(self) -> None:
        super().fill()
        self.debugger.program.threads = self._threads
        self.debugger.explain = self._explain
        self.guest.on_fail.append(self._failed)
        self._ready(self)

    def _threads(self) -> tuple[Thread, ...]:
        kernel = self.guest.kernel
        if kernel is None:
            return only_thread()
        return tuple(self._thread(kernel, context) for context in kernel.contexts)

    def _thread(self, kernel: Kernel, context: Context) -> Thread:
        number = self._numbers.setdefault(context, len(self._numbers) + 1)
        if context is kernel.current:
            return Thread(number, context.name, state="in an interrupt" if kernel.in_interrupt else "runs")
        return Thread(number, context.name, lambda: self._registers(context), waiting(kernel, context))

    def _registers(self, context: Context) -> Mapping[str, int]:
        """Those of a thread that does not run; of one that has not begun, those at its beginning."""
        machine, guest = self.debugger.machine, self.guest
        names = self.debugger.program.registers.sources
        now = machine.save()
        machine.restore(context.saved)
        found = dict(zip(names, machine.get_all(names), strict=True))
        machine.restore(now)
        if context.entry and not context.runs:
            found |= {guest.conv.pc: guest.arch.code_at(context.entry), guest.conv.ra: guest.return_at}
        return found

    def host_symbols(self) -> bytes:
        """An ELF file with the names of the host's functions."""
        guest = self.guest
        areas = [(area.start, area.end) for area in guest.memory.areas if area.name == "host" and area.owner is None]
        functions = {address: export.name for address, (export, _) in guest.functions.items()}
        return host_symbols(self.images[-1].obj, guest.conv, functions, areas, guest.return_at)

    def _failed(self, error: LlextError) -> None:
        """What has gone wrong ends the run: everything is as it was then."""
        if not self._explaining:
            self.debugger.aborted(as_text(error))

    def _explain(self, stop: Stop) -> str:
        """What the host will say of a stop, if it gets that."""
        self._explaining = True
        try:
            explain(self.guest, stop)
        except LlextError as error:
            return as_text(error)
        finally:
            self._explaining = False

    def _regions(self) -> str:
        lines = []
        for area in self.guest.memory.areas:
            rights = "".join(letter if perm in area.perm else "-" for perm, letter in LETTERS.items())
            whose = f" of {area.owner.path}" if area.owner else ""
            lines.append(f"{area.start:#010x} to {area.end - 1:#010x} {rights} {area.name}{whose}\n")
        return "".join(lines)


def as_text(error: LlextError) -> str:
    """Errors as a debugger's terminal shows them."""
    lines = []
    for d in error.diagnostics:
        lines.append(f"{d.severity}[{d.code}]: {d.message}")
        lines += (f"  {text}" for text in (*d.detail, *d.notes, *filter(None, (d.help,))))
    return "\n".join([*lines, ""])

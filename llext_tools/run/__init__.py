"""Running extensions: load, bringup, calls, teardown on an emulated CPU, under limits.

    images = load([load_object("hello.llext")], target("cortex-m4"))
    result = run(images, ['greet("world")'], Setup(target("cortex-m4")))

A ``Session`` is the same for those who want to call again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.model import Target
from llext_tools.diag import Diagnostic, Location, Reporter, fail, listed, number
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.host import builtin
from llext_tools.host.areas import Area, firmware_areas
from llext_tools.host.function import HostCall
from llext_tools.host.limits import Limits
from llext_tools.host.memory import free
from llext_tools.host.segments import heap_pages
from llext_tools.host.stacks import StackUse
from llext_tools.link import Image, link
from llext_tools.link.exports import ExportTable
from llext_tools.measure import Measured
from llext_tools.mem import Domain, Mem, Perm
from llext_tools.pages import PAGE
from llext_tools.profile import Profile
from llext_tools.run.described import Described
from llext_tools.run.plan import plan
from llext_tools.run.session import Returned, Session, Setup

if TYPE_CHECKING:
    from llext_tools.unwind import Frame

__all__ = ["Limits", "Returned", "RunResult", "Session", "Setup", "guess_target", "load", "run"]

EXTENSION_AT = 0x2001_0000
"""Where the first region goes: RAM that a Cortex-M can execute, within reach of the built-in host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did. ``fault`` ended it early; the exit code is that of the fault's class.

    ``backtrace``: what ran then, the innermost function first.
    ``calls``: the host's functions that the extensions called, in order (the first 10,000).
    ``areas``: what memory there was at the end. ``clock_us``: virtual time that has passed. ``heap_used``,
    ``heap_peak``: bytes, after teardown and at most.
    """

    returned: tuple[Returned, ...]
    output: str
    calls: tuple[HostCall, ...]
    fault: Diagnostic | None
    backtrace: tuple[Frame, ...]
    registers: Mapping[str, int]
    diagnostics: tuple[Diagnostic, ...]
    areas: tuple[Area, ...]
    clock_us: int
    heap_used: int
    heap_peak: int
    seconds: float
    measured: Measured
    stacks: tuple[StackUse, ...]

    @property
    def value(self) -> Any:
        """What the last call returned."""
        return self.returned[-1].value if self.returned else None


def guess_target(obj: ElfObject) -> Target:
    """The first target of its architecture that an object fits on, by its attributes.

    Raises:
        FormatError: ``elf-machine`` or ``elf-target``.
    """
    arch = archs.by_machine(obj.machine)
    if arch is None:
        text = f"the object is for {archs.machine_name(obj.machine)}, which no target has"
        fail("elf-machine", text, at=Location(obj.path), help="`llext targets` lists the CPUs")
    fitting = [t for t in arch.targets if t.bits == obj.bits]
    target = next((t for t in fitting if not arch.misfit(obj, t)), None)
    if target is None:
        why = arch.misfit(obj, fitting[-1]) if fitting else f"of {obj.bits} bits"
        names = ", ".join(t.name for t in fitting or arch.targets)
        fail("elf-target", f"the object is {why}", at=Location(obj.path), help=f"the targets are {names}")
    return target


def load(
    objects: Sequence[ElfObject],
    target: Target,
    *,
    exports: ExportTable | None = None,
    firmware: Sequence[ElfObject] = (),
    at: int | None = None,
    profile: Profile | str = profiles.DEFAULT,
    reporter: Reporter | None = None,
) -> tuple[Image, ...]:
    """Link extensions one after the other, each region on pages of its own; a later one may import from an earlier one.

    Args:
        exports: of the host; the built-in one by default.
        firmware: images whose memory is taken, see ``run()``.
        at: address of the first region, the start of a page; by default the firmware's heap for extensions, where it
            has one with enough pages, else free memory behind its variables, or near the built-in host.
    Raises:
        LlextError: what ``link()`` raises.
    """
    host = exports if exports is not None else builtin.exports(archs.load(target.arch))
    tables, images = [host], []
    taken = occupied(host, firmware)
    heap = heap_pages(host.heap) if firmware and at is None else None
    following = heap[0] if heap else at
    for obj in objects:
        sizes = obj.sections.size[obj.sections.flags & elf.SHF_ALLOC != 0]
        biggest = int(obj.sections.addralign.max(initial=1))
        size = int((-(-sizes // PAGE) * PAGE).sum()) + max(biggest, PAGE)  # each region has pages of its own
        if heap and (following or 0) + size > heap[1]:
            heap = following = None
        if following is None:
            following = free(taken, min(size, 1 << 30), _beside(firmware), 1 << obj.bits)
        start = -(-following // max(PAGE, biggest)) * max(PAGE, biggest) if following != at else following
        domain = Domain(start=start, align=PAGE, exact=following == at)
        image = link(obj, exports=ExportTable.joined(tables), domain=domain, profile=profile, reporter=reporter)
        images.append(image)
        spans = [(b, b + image.mem[m].size) for m, b in image.layout.base.items() if m in image.mem]
        taken += spans
        tables.append(image.exp_tab)
        following = max((end for _, end in spans), default=start) + PAGE
    return tuple(images)


def occupied(host: ExportTable, firmware: Iterable[ElfObject]) -> list[tuple[int, int]]:
    """Addresses (start, end) that are the host's."""
    taken = [(e.address, e.address + 1) for e in host.symbols]
    return taken + [(area.start, area.end) for each in firmware for area, _ in firmware_areas(each)]


def _beside(firmware: Sequence[ElfObject]) -> int:
    """Where to look for free memory from: the end of a firmware's largest variables, else near the built-in host."""
    variables = (area for each in firmware for area, _ in firmware_areas(each) if Perm.W in area.perm)
    largest = max(variables, key=lambda area: area.end - area.start, default=None)
    return largest.end if largest else EXTENSION_AT


def run(
    images: Image | Sequence[Image],
    calls: str | Sequence[str] = (),
    setup: Setup | None = None,
    *,
    prototypes: Iterable[str] = (),
    bringup: bool = True,
    make: Callable[[Sequence[Image], Setup], Session] = Session,
) -> RunResult:
    """Bring extensions up, call functions of the last one, tear all down.

    Threads that extensions start run while a call waits, and after it has returned, until all of them wait.

    Args:
        images: linked by ``load()``, in the order of loading.
        calls: expressions such as ``add(1, 2)``; a function of an earlier extension can be called too.
        setup: what they run on; by default the built-in host on a CPU that the last one fits on.
        prototypes: C, of functions that are called; they take precedence over debug information.
        bringup: whether constructors and destructors run; False as in a firmware that has llext_call_fn() only.
        make: makes the session.
    Raises:
        UsageError: a call or a prototype is not usable. What happens while running is in the result.
    """
    images = (images,) if isinstance(images, Image) else tuple(images)
    calls = (calls,) if isinstance(calls, str) else tuple(calls)
    setup = setup or Setup(guess_target(images[-1].obj))
    reporter = Reporter()
    planned = plan(images, calls, prototypes, Described(images, setup.firmware, setup.target), reporter)
    if not bringup:
        reporter.add(left_out(image) for image in images if image.mem.keys() & {Mem.PREINIT, Mem.INIT, Mem.FINI})
    started = time.monotonic()
    returned: list[Returned] = []
    fault: Diagnostic | None = None
    frames: tuple[Frame, ...] = ()
    registers: Mapping[str, int] = {}
    session = make(images, setup)
    guest = session.guest
    try:
        session.fill()
        if bringup:
            session.bringup()
            session.settle()
        for step in planned:
            returned.append(session.perform(step))
            session.settle()
        if bringup:
            session.teardown()
        reporter.add(session.left())
        guest.check_heap()
    except LlextError as error:
        from llext_tools.unwind import explained  # it loads pyelftools, which only a fault needs

        fault = next(d for d in error.diagnostics if d.severity == "error")
        fault, frames = explained(guest, fault)
        registers = guest.stopped.registers if guest.stopped else guest.registers()
    finally:
        measured, stacks = session.measured, guest.stack_uses
        session.close()
    reporter.add(stubbed(guest.stubbed, images[-1].path))
    return RunResult(
        returned=tuple(returned),
        output=session.output.text,
        calls=tuple(guest.calls),
        fault=fault,
        backtrace=frames,
        registers=registers,
        diagnostics=reporter.diagnostics,
        areas=guest.memory.areas,
        clock_us=guest.clock_us,
        heap_used=guest.heap_used,
        heap_peak=guest.heap_peak,
        seconds=time.monotonic() - started,
        measured=measured,
        stacks=stacks,
    )


def stubbed(calls: Mapping[str, int], path: str) -> list[Diagnostic]:
    """``run-stubbed``: which functions without code were called."""
    if not calls:
        return []
    have = "have" if len(calls) > 1 else "has"
    text = f"{listed(calls, 8)} {have} no code here and returned 0, {number(sum(calls.values()), 'time')}"
    advice = "`--override NAME=VALUE` or `--override NAME=FILE:FUNCTION` says what a function does"
    return [Diagnostic("run-stubbed", text, severity="warning", location=Location(path), help=advice)]


def left_out(image: Image) -> Diagnostic:
    """``run-no-bringup``: how many constructors and destructors did not run."""
    word = image.obj.bits // 8
    init, fini = (
        sum(image.mem[mem].size for mem in arrays if mem in image.mem) // word
        for arrays in ((Mem.PREINIT, Mem.INIT), (Mem.FINI,))
    )
    counts = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in ((init, "constructor"), (fini, "destructor")) if n]
    did = "does" if init + fini == 1 else "do"
    return Diagnostic(
        "run-no-bringup",
        f"{' and '.join(counts)} {did} not run without llext_bringup() and llext_teardown()",
        severity="warning",
        location=Location(file=image.path),
        notes=("on the board, llext_call_fn() calls the function that it is asked for, and nothing else",),
        help="let the firmware call llext_bringup() after llext_load(), or llext_bootstrap() in a thread",
    )

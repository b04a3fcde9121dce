"""Running extensions: load, bringup, calls, teardown on an emulated CPU, under limits.

    images = load([load_object("hello.llext")], target("cortex-m4"))
    result = run(images, ['greet("world")'], target=target("cortex-m4"))

Bringup calls the functions of the PREINIT and INIT arrays, teardown those of FINI, each in array order, as
``llext_bringup()`` and ``llext_teardown()`` do. Extensions are brought up in the order given and torn down in reverse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.base import Arch, Target
from llext_tools.c.call import Call, check_arguments, parse_call, show_value
from llext_tools.c.prototype import parse_prototype
from llext_tools.c.types import CType, DataModel, Prototype, Value
from llext_tools.diag import Diagnostic, Location, Reporter, fail
from llext_tools.elf import structs as elf
from llext_tools.elf.dwarf import find_prototypes
from llext_tools.elf.lines import find_line
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.host import builtin
from llext_tools.host.guest import Guest, HostCall, HostFunction, Output
from llext_tools.host.memory import AccessError, firmware_sections, free
from llext_tools.link import Image, link
from llext_tools.link.exports import ExportTable
from llext_tools.machine.unicorn import UnicornMachine
from llext_tools.mem import PERM, Domain, Mem
from llext_tools.pages import PAGE
from llext_tools.profile import Profile

TIMEOUT = 5.0
"""Seconds that a whole run may take."""

OUTPUT_LIMIT = 1 << 20
EXTENSION_AT = 0x2001_0000
"""Where the first region goes: RAM that a Cortex-M can execute, within reach of the built-in host."""

MOST_TEXT = 1 << 12
"""Bytes of a returned string that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What one call gave: ``value`` by its type, ``text`` as C writes it (empty for void)."""

    call: str
    type: CType
    value: Value
    string: bytes | None = None  # what a char pointer points to
    text: str = ""

    def __str__(self) -> str:
        return f"{self.call} = {self.text}" if self.text else f"{self.call} returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did. ``fault`` ended it early; the exit code is that of the fault's class.

    ``calls``: the host's functions that the extensions called, in order (the first 10,000).
    ``clock_us``: virtual time that has passed. ``heap_used``, ``heap_peak``: bytes, after teardown and at most.
    """

    returned: tuple[Returned, ...]
    output: str
    calls: tuple[HostCall, ...]
    fault: Diagnostic | None
    registers: Mapping[str, int]
    diagnostics: tuple[Diagnostic, ...]
    clock_us: int
    heap_used: int
    heap_peak: int
    seconds: float

    @property
    def value(self) -> Value:
        """What the last call returned."""
        return self.returned[-1].value if self.returned else None


def guess_target(obj: ElfObject) -> Target:
    """The first target of its architecture that an object fits on, by its attributes.

    Raises:
        FormatError: ``elf-machine`` or ``elf-target``.
    """
    arch = archs.by_machine(obj.machine)
    if arch is None:
        fail("elf-machine", f"no architecture here has the machine number {obj.machine}", at=Location(obj.path))
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
        at: address of the first region, the start of a page; by default free memory near the host.
    Raises:
        LlextError: what ``link()`` raises.
    """
    host = exports if exports is not None else builtin.exports(archs.load(target.arch))
    tables, images = [host], []
    taken = [(e.address, e.address + 1) for e in host.symbols]
    for image_of_host in firmware:
        s = image_of_host.sections
        taken += [(int(s.addr[i]), int(s.addr[i] + s.size[i])) for i in firmware_sections(image_of_host)]
    following = at
    for obj in objects:
        size = int(obj.sections.size[obj.sections.flags & elf.SHF_ALLOC != 0].sum()) + PAGE * (len(PERM) + 1)
        biggest = int(obj.sections.addralign.max(initial=1))
        if following is None:
            following = free(taken, min(size, 1 << 30), EXTENSION_AT, 1 << obj.bits)
        start = -(-following // max(PAGE, biggest)) * max(PAGE, biggest) if following != at else following
        domain = Domain(start=start, align=PAGE, exact=following == at)
        image = link(obj, exports=ExportTable.joined(tables), domain=domain, profile=profile, reporter=reporter)
        images.append(image)
        spans = [(b, b + image.mem[m].size) for m, b in image.layout.base.items() if m in image.mem]
        taken += spans
        tables.append(image.exp_tab)
        following = max((end for _, end in spans), default=start) + PAGE
    return tuple(images)


def run(
    images: Image | Sequence[Image],
    calls: str | Sequence[str] = (),
    *,
    target: Target,
    exports: ExportTable | None = None,
    firmware: Sequence[ElfObject] = (),
    prototypes: Iterable[str] = (),
    bringup: bool = True,
    timeout: float = TIMEOUT,
    output_limit: int = OUTPUT_LIMIT,
    sink: Callable[[bytes], None] | None = None,
    functions: Mapping[str, HostFunction] = builtin.BY_NAME,
) -> RunResult:
    """Bring extensions up, call functions of the last one, tear all down.

    Args:
        images: linked by ``load()``, in the order of loading.
        calls: expressions such as ``add(1, 2)``; a function of an earlier extension can be called too.
        exports: what they were linked against; the built-in host by default. A function of the table that ``functions``
            has by name runs that one; a call of another one ends the run.
        firmware: linked images whose code and data are there, such as the one that the exports came from. What it
            exports and ``functions`` does not have runs its own code.
        prototypes: C, of functions that are called; they take precedence over debug information.
        bringup: whether constructors and destructors run; False as in a firmware that has llext_call_fn() only.
        timeout: seconds for everything together.
        output_limit: bytes.
        sink: gets the output as it comes.
    Raises:
        UsageError: a call or a prototype is not usable. What happens while running is in the result.
    """
    images = (images,) if isinstance(images, Image) else tuple(images)
    calls = (calls,) if isinstance(calls, str) else tuple(calls)
    arch = archs.load(target.arch)
    model = DataModel(target.bits, arch.callconv.long_double)
    reporter = Reporter()
    planned = plan(images, calls, prototypes, arch, model, reporter)

    if not bringup:
        reporter.add(left_out(image) for image in images if image.mem.keys() & {Mem.PREINIT, Mem.INIT, Mem.FINI})
    started = time.monotonic()
    output = Output(output_limit, sink)
    machine = UnicornMachine(target.emulator, arch.callconv.pc)
    guest = Guest(target, arch, machine, deadline=started + timeout, limit=timeout, output=output)
    returned: list[Returned] = []
    fault: Diagnostic | None = None
    registers: Mapping[str, int] = {}
    try:
        try:
            host = exports if exports is not None else builtin.exports(arch)
            for obj in firmware:
                guest.memory.add_firmware(obj)
            guest.add_exports(host.symbols, functions)
            for image in images:
                guest.add_image(image)
            guest.start()
            for image in images if bringup else ():
                call_array(guest, image, Mem.PREINIT, Mem.INIT)
            for step in planned:
                returned.append(perform(guest, step))
            for image in reversed(images) if bringup else ():
                call_array(guest, image, Mem.FINI)
            guest.check_heap()
        except LlextError as error:
            fault = _with_source(next(d for d in error.diagnostics if d.severity == "error"), images)
            registers = guest.registers()
    finally:
        guest.close()
    return RunResult(
        returned=tuple(returned),
        output=output.text,
        calls=tuple(guest.calls),
        fault=fault,
        registers=registers,
        diagnostics=reporter.diagnostics,
        clock_us=guest.clock_us,
        heap_used=guest.heap_used,
        heap_peak=guest.heap_peak,
        seconds=time.monotonic() - started,
    )


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


def _with_source(fault: Diagnostic, images: Sequence[Image]) -> Diagnostic:
    """Name the source line, where debug information has it."""
    at = fault.location
    image = next((image for image in images if at is not None and image.path == at.file), None)
    if at is None or image is None or at.offset is None or at.section not in image.obj.sections.name:
        return fault
    line = find_line(image.obj, image.obj.sections.name.index(at.section), at.offset)
    return fault._replace(location=at._replace(source=line.file, line=line.line)) if line else fault


# ---- what to call


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A call that can be made: the function's address with the Thumb bit, and the types of all arguments."""

    call: Call
    address: int
    prototype: Prototype
    types: tuple[CType, ...]
    symbols: Mapping[str, int]


def plan(
    images: Sequence[Image],
    calls: Iterable[str],
    prototypes: Iterable[str],
    arch: Arch,
    model: DataModel,
    reporter: Reporter,
) -> tuple[Step, ...]:
    """Calls with addresses and types.

    Raises:
        UsageError: ``call-syntax``, ``call-unknown`` or ``prototype-syntax``.
    """
    parsed = [parse_call(text) for text in calls]
    given = {p.name: p for p in (parse_prototype(text, model) for text in prototypes)}
    found = {name: find_function(images, name, reporter) for name in dict.fromkeys(call.function for call in parsed)}
    known = _from_debug_info({name: place for name, place in found.items() if name not in given}, model) | given
    steps = []
    for call in parsed:
        prototype = known.get(call.function)
        types = check_arguments(call, prototype, model)
        if prototype is None:
            prototype = Prototype(call.function, model.types["int"], types)
            text = f"the prototype of `{call.function}` is not known: called as `{prototype}`, by the literals"
            advice = "give `--prototype`, or keep the extension's `.debug.elf` beside it"
            reporter.warning("call-guessed", text, at=Location(found[call.function][0].path), help=advice)
        symbols = {
            str(a.value): find_symbol(images, str(a.value), call.text, arch)
            for a in call.arguments
            if a.kind == "symbol"
        }
        address = found[call.function][1]
        steps.append(Step(call=call, address=address, prototype=prototype, types=types, symbols=symbols))
    return tuple(steps)


def _from_debug_info(places: Mapping[str, tuple[Image, int]], model: DataModel) -> dict[str, Prototype]:
    """Prototypes under the exported names: those of the functions at the addresses, whatever their own names are."""
    known = {}
    for image in {id(image): image for image, _ in places.values()}.values():
        own = {n: _functions_at(image, at) or [n] for n, (where, at) in places.items() if where is image}
        found = find_prototypes(image.obj, (name for names in own.values() for name in names), model)
        for name, aliases in own.items():
            prototype = next((found[alias] for alias in aliases if alias in found), None)
            if prototype is not None:
                known[name] = prototype._replace(name=name)
    return known


def _functions_at(image: Image, address: int) -> list[str]:
    y = image.obj.symbols
    here = np.flatnonzero((y.type == elf.STT_FUNC) & (y.shndx != 0) & np.equal(image.sym_tab.S, address & ~1))
    return y.names(here.tolist())


def find_function(images: Sequence[Image], name: str, reporter: Reporter) -> tuple[Image, int]:
    """The extension that has a function, and its address: exported ones first, as llext_call_fn() finds them.

    Raises:
        UsageError: ``call-unknown``.
    """
    for image in reversed(images):
        export = image.exp_tab.by_name.get(name)
        if export is not None and export.kind != "object":
            return image, export.address
    found = next(((i, image) for image in reversed(images) for i in _global_functions(image, name)), None)
    if found is None:
        offered = [e.name for image in reversed(images) for e in image.exp_tab.symbols if e.kind != "object"]
        at = Location(images[-1].path) if images else None
        fail("call-unknown", f"the extension has no function `{name}`", at=at, help=_near(name, offered))
    i, image = found
    advice = f"`LL_EXTENSION_SYMBOL({name});` in the source exports it, for llext_call_fn() to find it"
    text = f"`{name}` is a global function, but not exported"
    reporter.warning("call-not-exported", text, at=Location(image.path), help=advice)
    return image, int(image.sym_tab.S[i]) | int(image.sym_tab.T[i])


def _global_functions(image: Image, name: str) -> list[int]:
    y = image.obj.symbols
    here = np.flatnonzero((y.type == elf.STT_FUNC) & (y.bind != elf.STB_LOCAL) & (y.shndx != 0))
    return [i for i in here.tolist() if y.name(i) == name]


def _near(name: str, offered: Sequence[str]) -> str:
    """What to call instead."""
    if near := get_close_matches(name, offered, 3):
        return "did you mean " + " or ".join(f"`{n}`" for n in near) + "?"
    if offered:
        more = f" and {len(offered) - 8} more" if len(offered) > 8 else ""
        return "it exports " + ", ".join(f"`{n}`" for n in offered[:8]) + more
    return "it exports no function: `LL_EXTENSION_SYMBOL(name);` in its source does"


def find_symbol(images: Sequence[Image], name: str, text: str, arch: Arch) -> int:
    """The address of a symbol of the extensions, local ones included.

    Raises:
        UsageError: ``call-unknown``.
    """
    found = next((address for image in reversed(images) for address in _addresses(image, name, arch)), None)
    if found is None:
        fail("call-unknown", f"the extension has no symbol `{name}`", at=Location(images[-1].path), detail=(text,))
    return found


def _addresses(image: Image, name: str, arch: Arch) -> Iterator[int]:
    export = image.exp_tab.by_name.get(name)
    if export is not None:
        yield export.address
    y, tab = image.obj.symbols, image.sym_tab
    kinds = (elf.STT_FUNC, elf.STT_OBJECT, elf.STT_NOTYPE)
    for i in np.flatnonzero(np.isin(y.type, kinds) & (y.shndx != 0) & tab.resolved).tolist():
        if y.name(i) == name:
            yield int(tab.S[i]) | (int(tab.T[i]) if arch.thumb else 0)


# ---- doing it


def perform(guest: Guest, step: Step) -> Returned:
    """Make one call.

    Raises:
        FaultError, LimitError: it did not return.
    """
    values: list[Value] = []
    for argument, ctype in zip(step.call.arguments, step.types, strict=True):
        if argument.kind == "text":
            assert isinstance(argument.value, bytes)
            values.append(guest.place_text(argument.value))
        elif argument.kind == "symbol":
            values.append(step.symbols[str(argument.value)])
        else:
            assert isinstance(argument.value, int | float)
            values.append(argument.value if ctype.kind == "float" else int(argument.value))
    value = guest.call(step.address, step.prototype, step.types, values)
    ctype = step.prototype.result
    string = None
    if ctype.is_text and value:
        try:
            string = guest.memory.text(int(value), MOST_TEXT)
        except AccessError:
            pass  # not a string; the address is shown
    text = show_value(ctype, value, string)
    return Returned(call=step.call.text, type=ctype, value=value, string=string, text=text)


def call_array(guest: Guest, image: Image, *arrays: Mem) -> None:
    """Call the functions of array regions; all pointers are checked before the first call.

    Raises:
        FaultError, LimitError: ``run-bringup``, or whatever a function did.
    """
    pointers = [pointer for mem in arrays for pointer in guest.check_pointers(image, mem)]
    nothing = Prototype("", guest.model.types["void"], ())
    for pointer in pointers:
        guest.call(pointer, nothing, (), ())

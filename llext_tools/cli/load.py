"""``llext load``: what the board's loader answers, without the board.

Files are loaded in their order into one ``Runtime``, as a firmware would; then extensions are unloaded. A load that is
refused does not end the run, for the firmware goes on, too; one whose outcome C leaves undefined does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, get_args

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.base import Arch
from llext_tools.cli.kconfig import Kconfig, parse_size, read_kconfig
from llext_tools.cli.link import NOBODY
from llext_tools.cli.parser import Parser, address, nearest
from llext_tools.cli.render import BOLD, DIM, GREEN, RED, YELLOW, Paint, columns, diagnostics_to_json, report, wrap
from llext_tools.diag import CODES, Diagnostic, fail
from llext_tools.elf.structs import ELFCLASS, ELFMAG
from llext_tools.errors import LlextError, UsageError
from llext_tools.files import read_bytes
from llext_tools.host.tables import read_exports
from llext_tools.link.exports import ExportTable
from llext_tools.llext.config import HeapKind, Protection
from llext_tools.llext.ext import Llext, LoadParam
from llext_tools.llext.heap import Heap
from llext_tools.llext.loaders import BEHIND, BufLoader, Storage
from llext_tools.llext.log import Level, Line, Log
from llext_tools.llext.runtime import BUFFERS, Runtime
from llext_tools.llext.source import Shdr, Source
from llext_tools.llext.space import PAGE, Space
from llext_tools.llext.tables import read_names
from llext_tools.mem import Mem

DESCRIPTION = "Load extensions as a board would, and say what its loader answers."
EXAMPLE = "llext load hello.llext --exports zephyr.elf --config build/zephyr/.config"

SUFFIXES = (".llext", ".debug.elf")
LARGEST = 1 << 28
"""Bytes that a heap may have here: the host allocates them."""


def add_arguments(parser: Parser) -> None:
    parser.interleaved = True
    add, heaps, kinds = parser.add_argument, get_args(HeapKind), get_args(Protection)
    storages = [storage.value for storage in Storage]
    add("files", metavar="[NAME=]FILE", nargs="+", help="in the order of loading; NAME: that of FILE")
    add("--exports", metavar="TABLE", action="append", default=[], help="what the firmware exports: its ELF, a table")
    add("--unload", metavar="NAME", action="append", default=[], help="unload it in the end; may be repeated")
    add("--arch", choices=archs.names(), help="default: that of TABLE, or of FILE")
    add("--profile", metavar="NAME", default=profiles.DEFAULT, help="the loader (default: %(default)s)")
    add("--config", metavar="OPTION=VALUE", action="append", default=[], help="of Kconfig; or a build's `.config`")
    add("--heap", metavar="ADDR+SIZE", help="such as 0x20010000+8K; default: 256K, plain")
    add("--heap-kind", metavar="KIND", choices=heaps, help=f"{', '.join(heaps)} (no bookkeeping)")
    add("--protection", metavar="KIND", choices=kinds, help=", ".join(kinds))
    add("--place", metavar="REGION=ADDR,...", action="append", default=[], help="of the FILE before it, or NAME:...")
    add("--buffer", metavar="ADDR", help=f"where the first FILE is (default: {BUFFERS:#x})")
    add("--storage", metavar="KIND", choices=storages, default=storages[0], help=", ".join(storages))
    add("--no-peek", action="store_true", help="the loader cannot point into the file")
    add("--no-relocate", action="store_true", help="relocate_local=false; --pre-located: =true")
    add("--pre-located", action="store_true", help=argparse.SUPPRESS)
    add("--detach", metavar="SECTION", action="append", default=[], help="section_detached(); or @OFFSET in the file")
    add("--verbose", "-v", action="count", default=0, help="the loader's log on stderr: INF; -vv: DBG")
    add("--json", action="store_true", help="all about each step, as JSON; addresses are numbers")


class File(NamedTuple):
    """A file to be loaded: ``address`` is where the target has it, ``place`` where its regions are to go."""

    name: str
    path: str
    data: bytes
    address: int
    place: dict[Mem, int]


class Step(NamedTuple):
    """What one call of the loader gave; ``facts`` is what ``--json`` prints of it."""

    facts: dict[str, Any]
    diagnostics: tuple[Diagnostic, ...] = ()


def run(args: argparse.Namespace) -> int:
    files = read_files(args)
    kconfig = read_kconfig(args.config)
    tables = [read_exports(path) for path in args.exports]
    exports = ExportTable.joined(tables) if tables else NOBODY
    arch, bits = machine(args, kconfig, exports, files)
    check_addresses(files, bits)
    detached = [detachment(args.detach, file, bits) for file in files]
    check_detached(args.detach, detached)
    log = Log(Level(min(Level.WRN + args.verbose, Level.DBG)), show_line if args.verbose else None)
    rt, warnings = runtime(args, kconfig, arch, bits, exports, log)
    paint = Paint(sys.stdout)
    steps: list[Step] = []
    for step in replay(rt, files, detached, args):
        steps.append(step)
        if not args.json:
            print("\n".join(text(step, paint, bits // 4, logged=args.verbose > 0)))
            sys.stdout.flush()
            if step.diagnostics:
                report(step.diagnostics)
    left = len(files) + len(args.unload) - len(steps)
    if args.json:
        print(json.dumps(document(rt, steps, warnings), indent=2))
    else:
        last = [f"nothing is known of what follows: {left} left out"] if left else heap_lines(rt)
        print("\n".join(last))
        sys.stdout.flush()
        if warnings:
            report(warnings)
    found = (d for step in steps for d in step.diagnostics if d.severity == "error")
    return next((CODES[d.code].error.exit_code for d in found), 0)


# ---- what is asked for


def read_files(args: argparse.Namespace) -> list[File]:
    """The files, with the names and places that the command line gives them.

    Raises:
        UsageError: ``usage``.
        FormatError: ``file-unreadable``.
    """
    named = [split_name(operand) for operand in args.files]
    names = [name for name, _ in named]
    places: list[dict[Mem, int]] = [{} for _ in named]
    for operand, before in zip(args.place, args.before.get("place", ()), strict=True):
        name, _, regions = operand.rpartition(":")
        if name and name not in names:
            near = nearest(name, names)
            cure = f"did you mean `{near}`?" if near else "the names are " + ", ".join(names)
            fail("usage", f"--place: no file is loaded as `{name}`", help=cure)
        add_places(places[names.index(name) if name else max(before - 1, 0)], regions)
    files = []
    at = address(args.buffer, "--buffer") if args.buffer else BUFFERS
    for (name, path), place in zip(named, places, strict=True):
        data = read_bytes(path)
        files.append(File(name, path, data, at, place))
        at += -(-len(data) // PAGE) * PAGE + BEHIND
    return files


def split_name(operand: str) -> tuple[str, str]:
    """Name and path of ``NAME=FILE``, or of ``FILE``, whose name is that of the file.

    Raises:
        UsageError: ``usage``.
    """
    name, equals, path = operand.partition("=")
    if not equals or os.sep in name:
        path = operand
        name = os.path.basename(path)
        suffix = next((s for s in SUFFIXES if name.endswith(s)), os.path.splitext(name)[1])
        name = name.removesuffix(suffix) or name
    if not name or not path:
        fail("usage", f"`{operand}` lacks {'a file' if name else 'a name'}", help="write NAME=FILE, or FILE")
    return name, path


def add_places(places: dict[Mem, int], regions: str) -> None:
    """Add ``REGION=ADDR,...`` to the places of a file.

    Raises:
        UsageError: ``usage``.
    """
    for item in regions.split(","):
        name, equals, where = item.partition("=")
        name = name.strip().upper()
        if name not in Mem.__members__ or not equals:
            near = nearest(name, Mem.__members__)
            cure = f"did you mean `{near}={where}`?" if near != name and near else ""
            cure = cure or "the regions are " + ", ".join(Mem.__members__)
            fail("usage", f"--place: `{item}` is not REGION=ADDRESS", help=cure)
        if Mem[name] in places:
            fail("usage", f"--place: region {name} has two addresses")
        places[Mem[name]] = address(where, "--place")


def machine(
    args: argparse.Namespace, kconfig: Kconfig, exports: ExportTable, files: Sequence[File]
) -> tuple[Arch, int]:
    """The firmware's architecture, and the bits of its addresses.

    Each is what the options say, else what the export table says, else what the first file says that is for a known
    architecture. Where an option names the architecture and nothing tells the bits, they are 32.

    Raises:
        UsageError: ``usage``: the firmware is for nothing that is known.
    """
    named = args.arch or kconfig.arch
    arch = archs.load(named) if named else archs.by_machine(exports.machine)
    if arch is None and exports.machine:
        known = " and ".join(f"{each.name} ({each.machine})" for each in archs.discover())
        fail("usage", f"{exports.source} is for machine {exports.machine}", help=f"supported are {known}")
    bits = kconfig.bits or bits_of(args.exports) or exports.slid_bits
    for file in files:
        if arch is None and file.data.startswith(ELFMAG):
            arch = archs.by_machine(int.from_bytes(file.data[18:20], "little"))
            bits = bits or (ELFCLASS.get(file.data[4], 32) if arch else 0)
    if arch is None:
        arch = archs.discover()[0]  # any: none of the files is for it
    if kconfig.bits and kconfig.bits not in arch.classes:
        fail("usage", f"--config: {arch.name} has no addresses of {bits} bits")
    return arch, bits if bits in arch.classes else 32


def bits_of(tables: Sequence[str]) -> int:
    """The bits of the first firmware image among the tables, 0 if there is none."""
    starts = (read_bytes(path)[:5] for path in tables)
    return next((ELFCLASS.get(start[4], 0) for start in starts if start.startswith(ELFMAG) and len(start) == 5), 0)


def check_addresses(files: Sequence[File], bits: int) -> None:
    """Raises:
    UsageError: ``usage``: a file or a region is placed beyond the last address."""
    for file in files:
        check_address("--buffer", file.address + len(file.data) + BEHIND - 1, bits)
        for at in file.place.values():
            check_address("--place", at, bits)


def check_address(option: str, at: int, bits: int) -> None:
    if at >= 1 << min(bits, 62):
        fail("usage", f"{option}: `{at:#x}` is beyond the addresses of {bits} bits")


def runtime(
    args: argparse.Namespace, kconfig: Kconfig, arch: Arch, bits: int, exports: ExportTable, log: Log
) -> tuple[Runtime, list[Diagnostic]]:
    """The firmware, with a warning if its heap cannot be used.

    Raises:
        UsageError: ``usage``: it cannot have such a heap, or the profile is not known.
    """
    config = kconfig.config("k_heap" if args.heap else "plain")
    start, size = parse_heap(args.heap) if args.heap else (config.heap_start, config.heap_size)
    config = config._replace(
        heap_start=start,
        heap_size=size,
        heap=args.heap_kind or config.heap,
        protection=args.protection or config.protection,
    )
    for each in (size, config.instr_heap_size, config.metadata_heap_size):
        if each > LARGEST:
            fail("usage", f"a heap of {each:,} bytes is larger than the {LARGEST:,} that are simulated")
    check_address("--heap", start + size - 1, bits)

    def made(heap: HeapKind) -> Runtime:
        return Runtime(arch, bits, exports=exports, config=config._replace(heap=heap), profile=args.profile, log=log)

    if config.heap == "dynamic":
        if not args.heap:
            cure = "`--heap ADDR+SIZE` is what the application would give to llext_heap_init()"
            fail("usage", "the loader has no heap of its own with CONFIG_LLEXT_HEAP_DYNAMIC", help=cure)
        rt = made("dynamic")
        rt.heap_init(start, size)
        return rt, []
    profiles.load(args.profile)
    try:
        return made(config.heap), []
    except UsageError as error:
        if config.heap != "k_heap" or config.harvard:
            raise
        none = error.diagnostics[0]._replace(severity="warning", notes=("nothing can be allocated from it",))
        return made("dynamic"), [none]


def parse_heap(text: str) -> tuple[int, int]:
    """Start and size of ``ADDR+SIZE``.

    Raises:
        UsageError: ``usage``.
    """
    start, plus, size = text.partition("+")
    if not plus:
        fail("usage", f"--heap: `{text}` is not ADDR+SIZE", help="write it as 0x20010000+8K")
    return address(start, "--heap"), parse_size(size, "--heap")


def detachment(wanted: Sequence[str], file: File, bits: int) -> dict[str, list[Shdr]]:
    """Which sections of a file each ``--detach`` means: by name, or ``@`` and the offset in the file.

    Raises:
        UsageError: ``usage``.
    """
    if not wanted:
        return {}
    headers, names = read_names(Source(BufLoader(file.data), Space(), file.name), bits)
    names = names or ("",) * len(headers)
    found: dict[str, list[Shdr]] = {}
    for each in wanted:
        offset = address(each[1:], "--detach") if each.startswith("@") else -1
        chosen = [x for x, name in zip(headers, names, strict=True) if name == each or x.offset == offset]
        if chosen:
            found[each] = chosen
    return found


def check_detached(wanted: Sequence[str], found: Sequence[dict[str, list[Shdr]]]) -> None:
    """Raises:
    UsageError: ``usage``: no file has such a section."""
    for each in wanted:
        if not any(each in file for file in found):
            fail("usage", f"--detach: no file has a section `{each}`", help="`llext inspect` shows the sections")


# ---- what the loader does


def replay(
    rt: Runtime, files: Sequence[File], detached: Sequence[dict[str, list[Shdr]]], args: argparse.Namespace
) -> Iterator[Step]:
    """All loads, then all unloads; nothing comes after one that is undefined."""
    for file, sections in zip(files, detached, strict=True):
        headers = {x for each in sections.values() for x in each}
        param = LoadParam(
            relocate_local=not args.no_relocate,
            pre_located=args.pre_located,
            section_detached=headers.__contains__ if headers else None,
            place=file.place,
        )
        loader = BufLoader(file.data, Storage(args.storage), address=file.address, peek=not args.no_peek)
        step = load(rt, file, loader, param)
        yield step
        if step.facts["rc"] == "undefined":
            return
    for name in args.unload:
        yield unload(rt, name)


def load(rt: Runtime, file: File, loader: BufLoader, param: LoadParam) -> Step:
    logged = len(rt.log.lines)
    facts: dict[str, Any] = {"op": "load", "name": file.name, "file": file.path}
    facts |= {"file_size": len(file.data), "buffer": file.address}
    found: tuple[Diagnostic, ...] = ()
    ext = None
    try:
        rc, ext = rt.load(loader, file.name, param)
        facts["rc"] = rc
        if rc == 0 and param.place:
            found = overlaps(rt, ext)
    except LlextError as error:
        facts["rc"] = f"-{error.errno}" if error.errno else "undefined"
        found = tuple(with_path(d, file) for d in error.diagnostics)
    facts["diagnostics"] = diagnostics_to_json(found)
    return Step(facts | described(rt, ext) | state(rt, logged), found)


def unload(rt: Runtime, name: str) -> Step:
    logged = len(rt.log.lines)
    facts: dict[str, Any] = {"op": "unload", "name": name, "rc": "no handle", "use_count": 0}
    ext = rt.by_name(name)
    if ext is not None:
        facts["rc"] = rt.unload(ext)
        facts["use_count"] = ext.use_count
    return Step(facts | state(rt, logged))


def with_path(d: Diagnostic, file: File) -> Diagnostic:
    """The loader knows an extension by its name; a person looks for the file."""
    if d.location is None or d.location.file != file.name:
        return d
    return d._replace(location=d.location._replace(file=file.path))


def overlaps(rt: Runtime, ext: Llext) -> tuple[Diagnostic, ...]:
    """A warning for each region that was placed where something else is."""
    everyone = [(other, mem) for other in rt for mem in other.mem if occupies(other, mem)]
    mine = [(ext, mem) for mem in ext.mem if occupies(ext, mem)]
    found = []
    for (_, mem), (other, its) in product(mine, everyone):
        start, end = max(ext.mem[mem], other.mem[its]), min(end_of(ext, mem), end_of(other, its))
        if start < end and (other is not ext or its > mem):
            whose = f"region {its.name}" + (f" of `{other.name}`" if other is not ext else "")
            message = f"region {mem.name} and {whose} have been given the same {end - start:,} bytes at `{start:08x}`"
            found.append(Diagnostic("place-overlap", message, severity="warning"))
    return tuple(found)


def occupies(ext: Llext, mem: Mem) -> bool:
    return ext.mem_on_heap[mem] and ext.mem_size[mem] > 0


def end_of(ext: Llext, mem: Mem) -> int:
    return ext.mem[mem] + ext.mem_size[mem]


def described(rt: Runtime, ext: Llext | None) -> dict[str, Any]:
    """What is known of an extension; the same keys if it was not loaded."""
    if ext is None:
        empty: dict[str, Any] = {key: [] for key in ("regions", "sections", "exports", "sym_tab", "dependencies")}
        return {"use_count": 0, "alloc_size": 0, **empty}
    return {
        "use_count": ext.use_count,
        "alloc_size": ext.alloc_size,
        "regions": [
            {
                "region": mem.name,
                "base": base,
                "size": ext.mem_size[mem],
                "align": ext.regions[mem].align,
                "prepad": ext.regions[mem].prepad,
                "file_offset": ext.regions[mem].offset,
                "on_heap": ext.mem_on_heap[mem],
                "sha256": sha256(rt, base, ext.mem_size[mem]),
            }
            for mem, base in sorted(ext.mem.items())
        ],
        "sections": [
            {"index": i, "name": ext.section_names[i], "region": mem.name, "offset": at, "addr": ext.mem[mem] + at}
            for i, (mem, at) in sorted(ext.sections.items())
            if mem in ext.mem
        ],
        "exports": [[symbol.name, symbol.addr] for symbol in ext.exp_tab],
        "sym_tab": [[symbol.name, symbol.addr] for symbol in ext.sym_tab],
        "dependencies": [each.name for each in ext.dependency],
    }


def sha256(rt: Runtime, base: int, size: int) -> str | None:
    """Of a region's contents, None if it has no memory: a pre-located .bss."""
    return hashlib.sha256(rt.space.view(base, size).tobytes()).hexdigest() if base else None


def state(rt: Runtime, logged: int) -> dict[str, Any]:
    """The heaps after a step, and what it logged."""
    heaps = {id(heap): heap for heap in rt.heaps}.values()
    return {"allocations": sum(heap.allocations for heap in heaps), "log": [str(x) for x in rt.log.lines[logged:]]}


# ---- what is said


def document(rt: Runtime, steps: Sequence[Step], warnings: Sequence[Diagnostic]) -> dict[str, Any]:
    """What ``--json`` prints; ``heaps`` are as the last step left them."""
    return {
        "arch": rt.arch.name,
        "bits": rt.bits,
        "profile": rt.profile.name,
        "steps": [step.facts for step in steps],
        "heaps": [
            {
                "for": purposes,
                "start": heap.start,
                "size": heap.size,
                "used": heap.used,
                "free": heap.free_bytes,
                "largest": heap.largest,
                "allocations": heap.allocations,
            }
            for purposes, heap in heaps_of(rt)
        ],
        "diagnostics": diagnostics_to_json(warnings),
    }


def heaps_of(rt: Runtime) -> list[tuple[list[str], Heap]]:
    """Each heap with what it is for: one may be for everything."""
    unique = {id(heap): heap for heap in rt.heaps}
    return [([name for name, heap in rt.heaps._asdict().items() if heap is each], each) for each in unique.values()]


def show_line(line: Line) -> None:
    """The log as it comes, in its place between the lines on stdout."""
    sys.stdout.flush()
    print(line, file=sys.stderr)


def text(step: Step, paint: Paint, digits: int, *, logged: bool) -> list[str]:
    """The verdict for a person. ``digits``: of an address; ``logged``: the log is shown anyway."""
    facts = step.facts
    name = paint(facts["name"], BOLD)
    if facts["op"] == "unload":
        lines = [f"{name}: {unload_verdict(facts, paint)}"]
    else:
        lines = [f"{name}: {load_verdict(facts, paint)}"]
        lines += details(facts, paint, digits) if facts["rc"] == 0 else []
    if not logged and not step.diagnostics:
        lines += [line for each in facts["log"] for line in wrap(f"  {each}", columns(), "    ")]
    return lines


def load_verdict(facts: dict[str, Any], paint: Paint) -> str:
    rc = facts["rc"]
    if rc == "undefined":
        return f"{paint('undefined', RED)}: the board may stop, hang or go on with wrong data"
    if isinstance(rc, str):
        return paint(f"refused ({rc})", RED)
    if rc:
        return f"{paint(f'already loaded ({rc})', GREEN)}, its use count is {facts['use_count']} now"
    return f"{paint('loaded (0)', GREEN)}, {facts['alloc_size']:,} bytes of heap"


def unload_verdict(facts: dict[str, Any], paint: Paint) -> str:
    rc = facts["rc"]
    if rc == "no handle":
        return paint("no extension of this name is loaded", YELLOW)
    if rc < 0:
        return f"{paint(f'not unloaded ({rc})', YELLOW)}, its use count was 0 already: it stays in memory"
    return f"{paint(f'still in use ({rc})', YELLOW)}" if rc else paint("unloaded (0)", GREEN)


def details(facts: dict[str, Any], paint: Paint, digits: int) -> list[str]:
    """What a fresh extension consists of: regions, exports, those that it imports from."""
    lines = []
    buffer = range(facts["buffer"], facts["buffer"] + facts["file_size"])
    for region in facts["regions"]:
        base, size, padding = region["base"], region["size"], region["prepad"]
        where = "heap" if region["on_heap"] else "ELF buffer" if base in buffer else "image on the heap"
        where += f", {padding:,} of padding first" if padding else ""
        lines.append(f"  {region['region']:<8} 0x{base:0{digits}x} {size:>9,} bytes  {paint(where, DIM)}")
    width = max((len(str(name)) for name, _ in facts["exports"]), default=0)
    for i, (name, at) in enumerate(facts["exports"]):
        lines.append(f"  {'' if i else 'exports':<8} {name or '(no name)':{width}}  0x{at:0{digits}x}")
    if not facts["exports"]:
        lines.append("  exports  nothing")
    if facts["dependencies"]:
        lines += wrap(f"  needs    {', '.join(facts['dependencies'])}", columns(), " " * 11)
    return lines


def heap_lines(rt: Runtime) -> list[str]:
    """What is taken of each heap in the end."""
    lines = []
    for purposes, heap in heaps_of(rt):
        which = "heap" if len(purposes) == len(rt.heaps) else f"heap for {' and '.join(purposes)}"
        count = f"{heap.allocations:,} allocation{'s' * (heap.allocations != 1)}"
        lines.append(f"{which}: {heap.used:,} of {heap.size:,} bytes in {count}, largest free {heap.largest:,}")
    return lines

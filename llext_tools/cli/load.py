"""``llext load``: what the board's loader answers, without the board.

Files are loaded in their order into one ``Runtime``, as a firmware would; then extensions are unloaded. A load that is
refused does not end the run, for the firmware goes on, too; one whose outcome C leaves undefined does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple, get_args

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.arch.base import Arch
from llext_tools.cli.board import add_options, agree, check_protection, check_sizes, parse_heap, with_heap
from llext_tools.cli.kconfig import Kconfig, read_kconfig
from llext_tools.cli.link import NOBODY
from llext_tools.cli.parser import Parser, address
from llext_tools.cli.render import Paint, exit_code, report
from llext_tools.cli.verdict import Span, Step, document, heap_lines, heaps_of, load_step, text, unload_step
from llext_tools.diag import Diagnostic, Location, fail, nearest
from llext_tools.elf.structs import ELFCLASS, ELFMAG
from llext_tools.errors import UsageError
from llext_tools.files import read_bytes
from llext_tools.host.tables import read_exports
from llext_tools.link.exports import ExportTable
from llext_tools.llext.config import HeapKind
from llext_tools.llext.ext import MAX_NAME_LEN, LoadParam, extension_name
from llext_tools.llext.loaders import BEHIND, BufLoader, Storage
from llext_tools.llext.log import Level, Line, Log
from llext_tools.llext.runtime import BUFFERS, Runtime
from llext_tools.llext.source import Shdr, Source
from llext_tools.llext.space import LARGEST, Space
from llext_tools.llext.tables import read_names
from llext_tools.mem import Mem
from llext_tools.pages import PAGE

DESCRIPTION = "Load extensions as a board would, and say what its loader answers."
EXAMPLE = "llext load hello.llext --exports zephyr.elf --config build/zephyr/.config"


def add_arguments(parser: Parser) -> None:
    parser.interleaved = True
    add = parser.add_argument
    heaps = get_args(HeapKind)
    add("files", metavar="[NAME=]FILE", nargs="+", help="in the order of loading; NAME: that of FILE")
    add("--exports", metavar="TABLE", action="append", default=[], help="what the firmware exports: its ELF, a table")
    add("--unload", metavar="NAME", action="append", default=[], help="unload it in the end; may be repeated")
    add("--arch", choices=archs.names(), help="default: that of TABLE, or of FILE")
    add("--profile", metavar="NAME", default=profiles.DEFAULT, help="the loader (default: %(default)s)")
    add_options(parser, "--config")
    add_options(parser, "--heap", metavar="ADDR+SIZE", help="such as 0x20010000+8K; default: 256K, plain")
    add_options(parser, "--heap-kind", choices=heaps, help=f"{', '.join(heaps)} (with --heap)")
    add_options(parser, "--protection")
    add("--place", metavar="REGION=ADDR,...", action="append", default=[], help="of the FILE before it, or NAME:...")
    add_options(parser, "--buffer", help=f"where the first FILE is (default: {BUFFERS:#x})")
    add_options(parser, "--storage", default=Storage.TEMPORARY.value)
    add_options(parser, "--no-peek", help="the loader cannot point into the file")
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
    detached: frozenset[Shdr]

    @property
    def span(self) -> Span:
        return Span(f"the file of `{self.name}`", self.address, self.address + len(self.data))


def run(args: argparse.Namespace) -> int:
    files = read_files(args)
    kconfig = read_kconfig(args.config)
    tables = [read_exports(path, as_it_is=True) for path in args.exports]
    exports = ExportTable.joined(tables) if tables else NOBODY
    log = Log(Level(min(Level.WRN + args.verbose, Level.DBG)), show_line if args.verbose else None)
    arch, bits = machine(args, kconfig, exports, files)
    rt, warnings = runtime(args, kconfig, arch, bits, exports, log)
    check_addresses(rt, files)
    check_names(files, args.unload)
    check_exports(tables, bits)
    paint = Paint(sys.stdout)
    steps: list[Step] = []
    for step in replay(rt, files, args):
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
        print("\n".join([f"nothing is known of what follows: {left} left out"] if left else heap_lines(rt)))
        sys.stdout.flush()
        if warnings:
            report(warnings)
    return exit_code(d for step in steps for d in step.diagnostics)


def check_names(files: Sequence[File], unload: Sequence[str]) -> None:
    """Whether what is to be unloaded is among what is loaded.

    Raises:
        UsageError: ``usage``, with the nearest name.
    """
    names = {file.name[:MAX_NAME_LEN]: file.name for file in files}
    for name in unload:
        if name[:MAX_NAME_LEN] not in names:
            near = nearest(name, list(names.values()))
            cure = f"did you mean `{near}`?" if near else f"it is one of {', '.join(names.values())}"
            fail("usage", f"--unload: no file is loaded as `{name}`", help=cure)


def replay(rt: Runtime, files: Sequence[File], args: argparse.Namespace) -> Iterator[Step]:
    """All loads, then all unloads; nothing comes after one that is undefined."""
    for file in files:
        param = LoadParam(
            relocate_local=not args.no_relocate,
            pre_located=args.pre_located,
            section_detached=file.detached.__contains__ if file.detached else None,
            place=file.place,
        )
        loader = BufLoader(file.data, Storage(args.storage), address=file.address, peek=not args.no_peek)
        step = load_step(rt, file.name, file.path, loader, param, [each.span for each in files])
        yield step
        if step.facts["rc"] == "undefined":
            return
    for name in args.unload:
        yield unload_step(rt, name)


def show_line(line: Line) -> None:
    """The log as it comes, in its place between the lines on stdout."""
    sys.stdout.flush()
    print(line, file=sys.stderr)


# ---- files


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
        files.append(File(name, path, data, at, place, frozenset()))
        at += -(-len(data) // PAGE) * PAGE + BEHIND
    return with_detached(files, args.detach)


def split_name(operand: str) -> tuple[str, str]:
    """Name and path of ``NAME=FILE``, or of ``FILE``, whose name is that of the file.

    Raises:
        UsageError: ``usage``.
    """
    name, equals, path = operand.partition("=")
    if not equals or os.sep in name:
        path = operand
        name = extension_name(path)
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
            near = nearest(name, Mem.__members__) if equals else ""
            cure = f"did you mean `{near}={where}`?" if near else "the regions are " + ", ".join(Mem.__members__)
            fail("usage", f"--place: `{item}` is not REGION=ADDRESS", help=cure)
        if Mem[name] in places:
            fail("usage", f"--place: region {name} has two addresses")
        places[Mem[name]] = address(where, "--place")


def with_detached(files: Sequence[File], wanted: Sequence[str]) -> list[File]:
    """The files with the sections that each ``--detach`` means: those of a name, or at ``@`` an offset in the file.

    Raises:
        UsageError: ``usage``: no file has such a section.
    """
    result, found = [], set()
    for file in files:
        headers, names = read_names(Source(BufLoader(file.data), Space(), file.name), class_of(file.data) or 32)
        chosen = set()
        for each in wanted:
            offset = address(each[1:], "--detach") if each.startswith("@") else -1
            meant = {x for x, name in zip(headers, names, strict=False) if name == each or x.offset == offset}
            chosen |= meant
            found |= {each} if meant else set()
        result.append(file._replace(detached=frozenset(chosen)))
    for each in wanted:
        if each not in found:
            fail("usage", f"--detach: no file has a section `{each}`", help="`llext inspect` shows the sections")
    return result


# ---- the firmware


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
        fail("usage", f"{exports.source} is for {archs.machine_name(exports.machine)}", help=f"supported are {known}")
    bits = kconfig.bits or next(filter(None, (class_of(read_bytes(path)) for path in args.exports)), exports.slid_bits)
    for file in files:
        if arch is None and class_of(file.data):
            arch = archs.by_machine(int.from_bytes(file.data[18:20], "little"))
            bits = bits or (class_of(file.data) if arch else 0)
    if arch is None:
        arch = archs.discover()[0]  # any: none of the files is for it
    if kconfig.bits and kconfig.bits not in arch.classes:
        fail("usage", f"--config: {arch.name} has no addresses of {kconfig.bits} bits")
    return arch, bits if bits in arch.classes else 32


def class_of(data: bytes) -> int:
    """32 or 64 for an ELF file, 0 for anything else."""
    return ELFCLASS.get(data[4], 0) if data.startswith(ELFMAG) and len(data) > 4 else 0


def runtime(
    args: argparse.Namespace, kconfig: Kconfig, arch: Arch, bits: int, exports: ExportTable, log: Log
) -> tuple[Runtime, list[Diagnostic]]:
    """The firmware, with a warning if its heap cannot be used.

    Raises:
        UsageError: ``usage``: it cannot have such a heap, or the profile is not known.
    """
    profile = profiles.load(args.profile)
    agree(args.heap, args.config)
    check_protection(args, kconfig)
    config = kconfig.config("counted" if args.heap else "plain", args.protection)
    if args.heap:
        start, size = parse_heap(args.heap)
        if start is None:
            fail("usage", f"--heap: `{args.heap}` is not ADDR+SIZE", help="write it as 0x20010000+8K")
        config = with_heap(config, start, size)
    config = config._replace(heap=args.heap_kind or config.heap)
    check_sizes(config, LARGEST)

    def made(heap: HeapKind) -> Runtime:
        return Runtime(arch, bits, exports=exports, config=config._replace(heap=heap), profile=profile, log=log)

    if config.heap == "dynamic":
        if not args.heap:
            cure = "`--heap ADDR+SIZE` is what the application would give to llext_heap_init()"
            fail("usage", "the loader has no heap of its own with CONFIG_LLEXT_HEAP_DYNAMIC", help=cure)
        rt = made("dynamic")
        rt.heap_init(config.heap_start, config.heap_size)
        return rt, []
    try:
        return made(config.heap), []
    except UsageError as error:
        if config.heap not in ("k_heap", "counted") or config.harvard:
            raise
        none = error.diagnostics[0]._replace(severity="warning", notes=("nothing can be allocated from it",))
        return made("dynamic"), [none]


def check_addresses(rt: Runtime, files: Sequence[File]) -> None:
    """Whether heaps and files are in the address space, and apart from one another.

    Raises:
        UsageError: ``usage``.
    """
    spans = [
        Span(f"the heap for {' and '.join(purposes)}", heap.start, heap.start + heap.size)
        for purposes, heap in heaps_of(rt)
    ]
    spans += [file.span for file in files]
    places = [Span(f"region {mem.name}", at, at + 1) for file in files for mem, at in file.place.items()]
    for span in (*spans, *places):
        if span.end > 1 << min(rt.bits, 62):
            fail("usage", f"{span.what} reaches beyond the addresses of {rt.bits} bits", help="give a lower address")
    for a, b in combinations(spans, 2):
        if common := a.common(b):
            cure = "`--heap` and `--buffer` say where they are"
            fail("usage", f"{a.what} and {b.what} have {common:,} bytes in common", help=cure)


def check_exports(tables: Sequence[ExportTable], bits: int) -> None:
    """Whether the firmware can have what it is said to export.

    Raises:
        ExportsError: ``exports-syntax``.
    """
    for table in tables:
        for export in table.symbols:
            if export.address >> bits:
                text = f"`{export.name}` is exported at {export.address:#x}, beyond {bits}-bit addresses"
                fail("exports-syntax", text, at=Location(file=table.source))

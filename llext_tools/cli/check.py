"""``llext check``: what would keep extensions from loading, all of it, before a board is involved."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.abi.manifest import imported
from llext_tools.check import Beside, Board, Member, Subject, beside, check, check_together, loaded_before, member
from llext_tools.check.shared import share_heap
from llext_tools.cli import settings
from llext_tools.cli.board import HEAP_KINDS, STORAGES, add_options, agree, board_of
from llext_tools.cli.findings import FORMS, Checked, Facts, Report, ok_lines
from llext_tools.cli.kconfig import config_file
from llext_tools.cli.named import advised
from llext_tools.cli.policy import Policy, codes_given, codes_of
from llext_tools.cli.progress import counted
from llext_tools.cli.render import Paint, report
from llext_tools.cli.settings import FORMATS, Settings
from llext_tools.cli.workers import each
from llext_tools.diag import Diagnostic, Reporter, fail
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import FormatError, LlextError
from llext_tools.files import spare, write_atomically
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.mem import PERM
from llext_tools.profile import Profile

DESCRIPTION = "Say what would keep extensions from loading, or from working, on a board."
SMALL = 1 << 16  # bytes of a file that is kept in memory rather than read twice
EXAMPLE = "llext check hello.llext --exports build/zephyr/zephyr.elf --target cortex-m4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="extensions (.llext)")
    parser.add_argument(
        "--exports",
        metavar="TABLE",
        action="append",
        default=[],
        help="the firmware's ELF or table; else imports go unchecked",
    )
    parser.add_argument(
        "--extension",
        metavar="FILE",
        dest="first",
        action="append",
        default=[],
        help="loaded before, not checked: what it exports is there",
    )
    parser.add_argument("--target", metavar="CPU", help="the CPU that they must be for (`llext targets`)")
    parser.add_argument("--profile", metavar="NAME", help=f"the loader (default: {profiles.DEFAULT})")
    parser.add_argument("--entry", metavar="NAME", action="append", default=[], help="a name that each has to export")
    parser.add_argument("--together", action="store_true", help="one firmware loads all the files, in this order")
    add_options(parser, "--heap", help=f"also --heap-kind: {', '.join(HEAP_KINDS)}")
    add_options(parser, "--config")
    add_options(parser, "--protection")
    add_options(parser, "--storage", help=f"{', '.join(STORAGES)}; --buffer ADDR: where")
    add_options(parser, "--heap-kind", "--buffer", help=argparse.SUPPRESS)
    parser.add_argument(
        "--select",
        metavar="CODES",
        action="append",
        default=[],
        help="these only, such as `region`; --ignore: all but these",
    )
    parser.add_argument("--ignore", metavar="CODES", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument(
        "--werror",
        metavar="CODES",
        action="append",
        nargs="?",
        const="all",
        default=[],
        help="warnings, or these of them, are errors",
    )
    parser.add_argument("--settings", metavar="FILE", help="not the nearest llext.toml; `--no-settings`: none")
    parser.add_argument("--no-settings", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--format", metavar="FORM", choices=FORMATS, help="text, json (or --json), sarif, github")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)  # short for --format json
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there, and text to the terminal")
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing for a file that is fine")


class Job(NamedTuple):
    """What all files of one call are checked against."""

    firmware: Firmware | None
    profile: Profile
    board: Board
    entries: tuple[str, ...]
    policy: Policy
    in_order: bool  # one firmware loads all files, in their order
    before: tuple[ElfObject, ...] = ()  # what is loaded before them


def run(args: argparse.Namespace) -> int:
    return examine(args)[0].exit_code


def read_by(args: argparse.Namespace) -> list[str]:
    """The files that a check reads, as far as the command line and the folder say."""
    return [*args.files, *args.exports, *args.first, config_file(args.config), settings.file_of(args)]


def examine(args: argparse.Namespace) -> tuple[Report, Settings]:
    """Check and publish what is found; also what settings it was checked with.

    Raises:
        LlextError: what would be wrong with each file, if text is printed.
    """
    if args.json and args.format not in (None, "json"):
        fail("usage", f"llext check: --json is short for --format json, and --format is {args.format}", help="give one")
    form = "json" if args.json else args.format
    if args.output is not None:
        spare(args.output, read_by(args), "llext check: --output")
    chosen = Settings()
    try:
        chosen = settings_of(args)
        form = form or chosen.format
        job = job_of(args, chosen)
    except LlextError as error:
        if form in (None, "", "text") and args.output is None:
            raise
        found = Report(others=error.diagnostics)
    else:
        found = check_files(args.files, job)
    publish(found, form or "text", args.output, quiet=args.quiet)
    return found, chosen


def settings_of(args: argparse.Namespace) -> Settings:
    """What the settings file says, unless the command line says it.

    Raises:
        UsageError: ``usage`` or ``settings-syntax``.
        FormatError: ``file-unreadable``.
    """
    path = settings.file_of(args)
    chosen = settings.read(path) if path else Settings()
    for word in args.files if args.werror else ():
        if not os.path.exists(word) and codes_of([word])[0]:
            fail("usage", f"llext check: there is no file `{word}`", help=f"did you mean `--werror={word}`?")
    reporter = Reporter()
    codes = {name: codes_given(f"--{name}", getattr(args, name), reporter) for name in ("select", "ignore", "werror")}
    for name in ("select", "entry"):
        if getattr(args, name) and not all(word.strip(" ,") for word in getattr(args, name)):
            reporter.error("usage", f"--{name}: there is no name in it", help="leave the option out, or name something")
    reporter.checkpoint()
    given: dict[str, Any] = {name: value for name, value in codes.items() if getattr(args, name)}
    given |= {name: value for name in ("profile", "target") if (value := getattr(args, name))}
    given |= {"exports": tuple(args.exports)} if args.exports else {}
    given |= {"entries": tuple(args.entry)} if args.entry else {}
    return chosen._replace(**given)


def job_of(args: argparse.Namespace, chosen: Settings) -> Job:
    """Everything that is read once.

    Raises:
        LlextError: the firmware cannot be read, or a name is wrong: that is one error, not one for each file.
    """
    profile = profiles.load(chosen.profile or profiles.DEFAULT)
    if chosen.target:
        archs.target(chosen.target)
    agree(args.heap, args.config)
    for name in ("heap", "config", "protection", "storage"):  # board_of() reads the options
        setattr(args, name, getattr(args, name) or getattr(chosen, name) or None)
    args.config = args.config or ()
    firmware = read_firmware(chosen.exports, config=config_file(args.config)) if chosen.exports else None
    board = board_of(args, firmware, chosen.target)
    checked = {os.path.realpath(path) for path in args.files}
    before = tuple(read_extension(path) for path in args.first if os.path.realpath(path) not in checked)
    return Job(firmware, profile, board, chosen.entries, chosen.policy, args.together, before)


def read_extension(path: str) -> ElfObject:
    """As ``load_object()``, with advice about what could have been a name."""
    try:
        return load_object(path)
    except FormatError as error:
        error.diagnostics = advised(error.diagnostics, [path])
        raise


class Found(NamedTuple):
    """What was found out about one file. ``member`` is None if it does not load, or is alone."""

    facts: Facts | None
    member: Member | None
    diagnostics: tuple[Diagnostic, ...]


def check_files(paths: Sequence[str], job: Job) -> Report:
    """Check each file, then all of them together."""
    others: dict[tuple[int, int], Beside] = {}
    loaded: dict[str, ElfObject] = {}
    if len(paths) > 1 or job.before:
        others, loaded = offers_of(paths, job.firmware, job.before)
    files: list[Checked] = []
    members: list[Member] = [loaded_before(obj) for obj in job.before]
    work = each(lambda path: check_file(path, job, others, loaded.get(path)), paths)
    for path, found in zip(paths, counted(work, len(paths), "files checked"), strict=True):
        files.append(Checked(path, found.facts, job.policy.apply(found.diagnostics, path)))
        if found.member is not None:
            members.append(found.member)
    if job.firmware:
        job.firmware.remember()
    between = list(check_together(members, in_order=job.in_order))
    if job.in_order:
        between += share_heap(
            [loaded.get(each.path) or load_object(each.path) for each in members], job.board, job.profile
        )
    return Report(tuple(files), job.policy.apply(between), against=job.firmware is not None)


def offers_of(
    paths: Sequence[str], firmware: Firmware | None, before: Sequence[ElfObject] = ()
) -> tuple[dict[tuple[int, int], Beside], dict[str, ElfObject]]:
    """What the files export to each other, and the small ones as they were read.

    One that cannot be read is reported by whoever checks it.
    """
    loaded: dict[str, ElfObject] = {}
    names: set[str] = set()

    def objects() -> Iterator[ElfObject]:
        yield from before
        for path in paths:
            with suppress(LlextError, OSError):
                obj = load_object(path)
                if obj.image.size <= SMALL:
                    loaded[path] = obj
                names.update(imported(obj) if firmware else ())
                yield obj

    found = beside(objects(), firmware)
    if firmware:
        firmware.interface(names)  # of all of them at once, before processes share the work
    return found, loaded


def check_file(path: str, job: Job, others: Mapping[tuple[int, int], Beside], obj: ElfObject | None = None) -> Found:
    """Everything about one file, which ``obj`` is if it has been read."""
    reporter = Reporter()
    try:
        obj = obj or read_extension(path)
        subject = check(
            obj,
            firmware=job.firmware,
            board=job.board,
            entries=job.entries,
            others=others.get((obj.machine, obj.bits)),
            profile=job.profile,
            reporter=reporter,
            ignored=job.policy.hidden(path),
        )
    except LlextError as error:
        reporter.add(error.diagnostics)
        return Found(None, None, reporter.diagnostics)
    return Found(facts_of(subject), member(subject) if others else None, reporter.diagnostics)


def facts_of(subject: Subject) -> Facts:
    y = subject.obj.symbols
    return Facts(
        regions={mem.name: region.size for mem, region in subject.regions.regions.items() if mem in PERM},
        imports=sorted(y.names(y.undefined.tolist())),
        exports=len(subject.offers),
        untyped=len(subject.imports) - len(subject.sides.compared) if subject.firmware else 0,
        compared=sorted(subject.sides.compared),
        footprint=subject.footprint,
    )


def publish(found: Report, form: str, output: str | None, *, quiet: bool) -> None:
    """Print, or write to ``output`` and print it as text, too.

    Raises:
        FormatError: ``file-unwritable``.
    """
    if output is not None:
        write_atomically(output, FORMS[form](found, quiet=quiet))
    if output is None and form != "text":
        print(FORMS[form](found, quiet=quiet), end="")
        return
    for line in () if quiet else ok_lines(found, Paint(sys.stdout)):
        print(line)
    if diagnostics := found.diagnostics:
        sys.stdout.flush()
        report(diagnostics, last=found.summary)

"""``llext check``: what would keep extensions from loading, all of it, before a board is involved."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.check import Beside, Board, Subject, beside, check, check_together, member
from llext_tools.cli.render import BOLD, GREEN, Paint, count, diagnostics_to_json, report
from llext_tools.diag import CODES, Diagnostic, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.mem import PERM

DESCRIPTION = """Say what Zephyr's loader would refuse in an extension, and which symbols are missing.

Nothing here depends on addresses; `llext link` checks the ranges too. Without --exports, undefined
symbols are taken to be in the firmware."""
EXAMPLE = "llext check hello.llext --exports build/zephyr/zephyr.elf --target cortex-m4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="extensions (.llext)")
    parser.add_argument(
        "--exports",
        metavar="TABLE",
        action="append",
        default=[],
        help="what the firmware exports: its ELF file or a table",
    )
    parser.add_argument("--target", metavar="CPU", help="the CPU that the extensions must be for (`llext targets`)")
    parser.add_argument("--profile", metavar="NAME", default=profiles.DEFAULT, help="the loader (default: %(default)s)")
    parser.add_argument("--entry", metavar="NAME", action="append", default=[], help="a name that each has to export")
    parser.add_argument("--together", action="store_true", help="one firmware loads all the files, in this order")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on stdout")
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing for a file that is fine")


class Checked(NamedTuple):
    """What was found out about one file: ``subject`` is None if it is not an extension, or does not load."""

    path: str
    subject: Subject | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return all(d.severity != "error" for d in self.diagnostics)


def run(args: argparse.Namespace) -> int:
    firmware = read_firmware(args.exports) if args.exports else None
    profiles.load(args.profile)  # a wrong name is one error, not one for each file
    if args.target:
        archs.target(args.target)
    others = _others(args.files, firmware) if len(args.files) > 1 else {}
    files = [_check_file(path, firmware, others, args) for path in args.files]
    found = [d for file in files for d in file.diagnostics]
    if others:
        members = [member(file.subject) for file in files if file.subject]
        found += check_together(members, in_order=args.together)
    if args.json:
        print(json.dumps({"files": [_to_json(file) for file in files]}, indent=2))
    else:
        _print(files, found, firmware, args)
    return next((CODES[d.code].error.exit_code for d in found if d.severity == "error"), 0)


def _others(paths: Sequence[str], firmware: Firmware | None) -> dict[tuple[int, int], Beside]:
    """What the files export to each other; one that cannot be read is reported by whoever checks it."""
    objects = []
    for path in paths:
        with suppress(LlextError, OSError):
            objects.append(load_object(path))
    return beside(objects, firmware)


def _check_file(
    path: str, firmware: Firmware | None, others: Mapping[tuple[int, int], Beside], args: argparse.Namespace
) -> Checked:
    reporter = Reporter()
    try:
        obj = load_object(path)
        subject = check(
            obj,
            firmware=firmware,
            board=Board(target=args.target or ""),
            entries=tuple(args.entry),
            others=others.get((obj.machine, obj.bits)),
            profile=args.profile,
            reporter=reporter,
        )
    except LlextError as error:
        reporter.add(error.diagnostics)
        return Checked(path, None, reporter.diagnostics)
    return Checked(path, subject, reporter.diagnostics)


def _print(
    files: Sequence[Checked], found: Sequence[Diagnostic], firmware: Firmware | None, args: argparse.Namespace
) -> None:
    for file in files if not args.quiet else ():
        if file.subject and file.ok:
            print(_ok_line(file, file.subject, firmware, Paint(sys.stdout)))
    if found:
        sys.stdout.flush()
        report(found)


def _to_json(file: Checked) -> dict[str, Any]:
    facts = _facts(file.subject) if file.subject and file.ok else {}
    return {"file": file.path, "ok": file.ok, **facts, "diagnostics": diagnostics_to_json(file.diagnostics)}


def _facts(subject: Subject) -> dict[str, Any]:
    """What the ok line and the JSON document say about an extension."""
    obj, y = subject.obj, subject.obj.symbols
    exported = obj.sections.index(".exported_sym")
    undefined = np.flatnonzero((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0))
    return {
        "regions": {mem.name: region.size for mem, region in subject.regions.regions.items() if mem in PERM},
        "imports": sorted(y.names(undefined.tolist())),
        "exports": 0 if exported is None else int(obj.sections.size[exported]) // (obj.bits // 4),
    }


def _ok_line(file: Checked, subject: Subject, firmware: Firmware | None, paint: Paint) -> str:
    facts, findings = _facts(subject), count(file.diagnostics)
    sizes = facts["regions"]
    memory = " + ".join(f"{name} {size:,}" for name, size in sizes.items())
    imports = f"{len(facts['imports'])} imports{'' if firmware or not facts['imports'] else ' (not checked)'}"
    if len(facts["imports"]) == 1:
        imports = imports.replace("imports", "import")
    line = f"{file.path}: {memory} = {sum(sizes.values()):,} bytes, {imports}, {facts['exports']} exported"
    return f"{paint('ok', GREEN)} {line}" + (f", {paint(findings, BOLD)}" if findings else "")

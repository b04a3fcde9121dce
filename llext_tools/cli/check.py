"""``llext check``: what would keep extensions from loading, all of it, before a board is involved."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from llext_tools import arch as archs
from llext_tools import profile as profiles
from llext_tools.check import check
from llext_tools.check.target import check_target
from llext_tools.cli.render import BOLD, GREEN, Paint, count, diagnostics_to_json, report
from llext_tools.diag import CODES, Diagnostic, Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.tables import read_exports
from llext_tools.link.exports import ExportTable
from llext_tools.link.image import RegionMap
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
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on stdout")
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing for a file that is fine")


def run(args: argparse.Namespace) -> int:
    exports = ExportTable.joined(map(read_exports, args.exports)) if args.exports else None
    profiles.load(args.profile)  # a wrong name is one error, not one for each file
    if args.target:
        archs.target(args.target)
    found: list[Diagnostic] = []
    files: list[dict[str, Any]] = []
    for path in args.files:
        facts, diagnostics = _check_file(path, exports, args)
        found += diagnostics
        files.append(facts | {"diagnostics": diagnostics_to_json(diagnostics)})
        if facts["ok"] and not args.quiet and not args.json:
            print(_ok_line(facts, exports, Paint(sys.stdout), count(diagnostics)))
    if args.json:
        print(json.dumps({"files": files}, indent=2))
    elif found:
        sys.stdout.flush()
        report(found)
    return next((CODES[d.code].error.exit_code for d in found if d.severity == "error"), 0)


def _check_file(
    path: str, exports: ExportTable | None, args: argparse.Namespace
) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """What the ok line and the JSON document say about one file, and what was found."""
    reporter, for_target = Reporter(), Reporter()
    try:
        obj = load_object(path)
        if args.target:
            check_target(obj, args.target, for_target)
        regions = check(obj, exports=exports, profile=args.profile, reporter=reporter)
    except LlextError as error:
        reporter.add((*for_target.diagnostics, *error.diagnostics))
        return {"file": path, "ok": False}, reporter.diagnostics
    reporter.add(for_target.diagnostics)
    return {"file": path, "ok": not reporter.failed, **_facts(obj, regions)}, reporter.diagnostics


def _facts(obj: ElfObject, regions: RegionMap) -> dict[str, Any]:
    y, exported = obj.symbols, obj.sections.index(".exported_sym")
    undefined = np.flatnonzero((y.shndx == elf.SHN_UNDEF) & (y.name_at > 0))
    return {
        "regions": {mem.name: region.size for mem, region in regions.regions.items() if mem in PERM},
        "imports": sorted(y.names(undefined.tolist())),
        "exports": 0 if exported is None else int(obj.sections.size[exported]) // (obj.bits // 4),
    }


def _ok_line(facts: dict[str, Any], exports: ExportTable | None, paint: Paint, findings: str) -> str:
    sizes = facts["regions"]
    memory = " + ".join(f"{name} {size:,}" for name, size in sizes.items())
    imports = f"{len(facts['imports'])} imports{'' if exports or not facts['imports'] else ' (not checked)'}"
    if len(facts["imports"]) == 1:
        imports = imports.replace("imports", "import")
    line = f"{facts['file']}: {memory} = {sum(sizes.values()):,} bytes, {imports}, {facts['exports']} exported"
    return f"{paint('ok', GREEN)} {line}" + (f", {paint(findings, BOLD)}" if findings else "")

"""``llext link``: an extension at final addresses, for debuggers, binutils and whoever loads it without a loader."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from llext_tools import profile as profiles
from llext_tools.cli.parser import address
from llext_tools.cli.render import diagnostics_to_json, report
from llext_tools.diag import fail, number
from llext_tools.elf.read import load_object
from llext_tools.files import write_all
from llext_tools.link import Image, link
from llext_tools.link.executable import executable, flat_binary
from llext_tools.link.exports import ExportTable
from llext_tools.link.mapfile import import_source, map_text, permissions
from llext_tools.mem import PERM, Domain, Mem

DESCRIPTION = """\
Link an extension against what a host exports, at final addresses: an executable ELF
file for debuggers and binutils, a flat binary, a map. Nothing is written if anything
is wrong. Give the `.debug.elf` instead of the `.llext` to keep source lines."""
EXAMPLE = "llext link hello.llext --exports zephyr.elf --at 0x20010000 -o hello.elf"
DEFAULT_START = 0x2000_0000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("extension", metavar="EXT", help="the extension: a `.llext` or `.debug.elf` file")
    parser.add_argument(
        "--exports",
        metavar="FILE",
        action="append",
        default=[],
        help="what the host exports: a firmware ELF, TOML, JSON, CSV or linker script; an earlier one wins",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--at", metavar="ADDR", help=f"address of the first region (default {DEFAULT_START:#x})")
    where.add_argument(
        "--domain",
        metavar="REGION=ADDR,...",
        help="addresses of single regions, `text=0x8000000,data=0x20000000`; the others follow",
    )
    parser.add_argument(
        "--profile", metavar="NAME", default=profiles.DEFAULT, help="the loader whose rules hold (default %(default)s)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the executable ELF file")
    parser.add_argument("--map", metavar="FILE", help="also write regions, sections, symbols and imports as text")
    parser.add_argument(
        "--bin", metavar="FILE", help="also write memory from the first to the last region; no zeros for a final .bss"
    )
    parser.add_argument(
        "--verbose",
        "-v",
        action="count",
        default=0,
        help="the board's log on stderr: INF; -vv: DBG",
    )
    parser.add_argument("--json", action="store_true", help="print the result, or what is wrong, as JSON")


def run(args: argparse.Namespace) -> int:
    image, tables = linked(args)
    if args.json:
        print(json.dumps(result(image, tables, args), indent=2))
        return 0
    print(summary(image, args.output))
    sys.stdout.flush()
    if image.diagnostics:
        report(image.diagnostics)
    return 0


def linked(args: argparse.Namespace) -> tuple[Image, tuple[ExportTable, ...]]:
    """Link and write the files.

    Raises:
        LlextError: from any stage; no file is then written.
    """
    where = domain(args.at, args.domain)
    obj = load_object(args.extension)
    tables = export_tables(args.exports)
    exports = ExportTable.joined(tables) if tables else NOBODY
    if args.verbose:
        from llext_tools.cli.boardlog import say

        say(obj, exports, where, args.profile, args.verbose)
    image = link(obj, exports=exports, domain=where, profile=args.profile)
    files: dict[Any, bytes | str] = {args.output: executable(image)}
    if args.map:
        files[args.map] = map_text(image, tables)
    if args.bin:
        files[args.bin] = flat_binary(image)
    write_all(files)
    return image, tables


NOBODY = ExportTable(source="anyone, since there is no `--exports`", symbols=())


def export_tables(paths: list[str]) -> tuple[ExportTable, ...]:
    if not paths:
        return ()
    from llext_tools.host.tables import read_exports

    return tuple(read_exports(path) for path in paths)


def domain(at: str | None, regions: str | None) -> Domain:
    """What ``--at`` or ``--domain`` asks for.

    Raises:
        UsageError: ``usage``.
    """
    if not regions:
        return Domain(start=DEFAULT_START) if at is None else Domain(start=address(at, "--at"), exact=True)
    fixed: dict[Mem, int] = {}
    names = {mem.name.lower(): mem for mem in PERM}
    for item in regions.split(","):
        name, equals, text = item.partition("=")
        mem = names.get(name.strip().lower())
        if mem is None or not equals:
            fail("usage", f"--domain: `{item}` is not REGION=ADDRESS", help="the regions are " + ", ".join(names))
        if mem in fixed:
            fail("usage", f"--domain: `{name.strip()}` has two addresses")
        fixed[mem] = address(text, "--domain")
    return Domain(start=next(iter(fixed.values())), fixed=fixed)


def summary(image: Image, output: str) -> str:
    size = sum(contents.size for contents in image.mem.values())
    lowest = min((image.layout.base[mem] for mem in image.mem), default=0)
    return f"linked {number(len(image.mem), 'region')} at {lowest:#010x}, {size:,} bytes: {output}"


def result(image: Image, tables: tuple[ExportTable, ...], args: argparse.Namespace) -> dict[str, Any]:
    """What ``--json`` prints; addresses are numbers."""
    return {
        "extension": image.path,
        "output": args.output,
        "map": args.map,
        "bin": args.bin,
        "profile": args.profile,
        "regions": [
            {
                "name": mem.name,
                "address": image.layout.base[mem],
                "size": image.regions.regions[mem].size,
                "align": image.regions.regions[mem].align,
                "permissions": permissions(PERM[mem]),
            }
            for mem in sorted(image.mem, key=lambda mem: (image.layout.base[mem], mem))
        ],
        "imports": [
            {"name": name, "address": where, "source": import_source(name, tables)}
            for name, where in sorted(image.imports.items())
        ],
        "exports": [{"name": e.name, "address": e.address, "kind": e.kind} for e in image.exp_tab.symbols],
        "relocations": sorted(image.used_relocs),
        "diagnostics": diagnostics_to_json(image.diagnostics),
    }

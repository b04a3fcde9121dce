"""``llext exports``: what a firmware offers to extensions, as a list or as a table file in another format."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace

from llext_tools import arch as archs
from llext_tools.cli.render import DIM, Paint
from llext_tools.diag import fail
from llext_tools.elf.read import load_object
from llext_tools.files import write_atomically
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.host.tables import FORMATS, read_listing, with_prototypes, write_exports
from llext_tools.link.exports import ExportTable

DESCRIPTION = """List the symbols that a firmware exports to extensions, or convert an export table, or print the
EXPORT_SYMBOL() lines that it lacks for some extensions. A table is a firmware's ELF file, or TOML,
JSON, CSV or a linker script of `name = 0x...;`. Of several, the first one that has a name counts.
TOML and JSON keep prototypes, types and layouts as well, for `llext check` to compare."""
EXAMPLE = """
llext exports build/zephyr/zephyr.elf -o exports.toml
llext exports exports.toml --format ld
llext exports build/zephyr/zephyr.elf --needed-by *.llext
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = [suffix[1:] for suffix in FORMATS]
    parser.add_argument("tables", metavar="TABLE", nargs="*", help="a firmware's ELF file, or a table")
    parser.add_argument("--builtin", action="store_true", help="what the built-in host of `llext run` exports")
    parser.add_argument("--target", metavar="CPU", default="cortex-m4", help="for --builtin: its CPU (%(default)s)")
    parser.add_argument("-o", "--output", metavar="FILE", help=f"write a table, by its ending: {', '.join(FORMATS)}")
    parser.add_argument("--listing", metavar="FILE", help="names for the SLIDs of a firmware that has no names")
    parser.add_argument("--format", metavar="FORMAT", choices=names, help=f"print a table: {', '.join(names)}")
    parser.add_argument(
        "--needed-by", metavar="EXTENSION", nargs="+", help="print the lines of C that export what these lack"
    )
    parser.add_argument("--json", action="store_true", help="with --needed-by: print it as JSON")


def run(args: argparse.Namespace) -> int:
    if bool(args.tables) == args.builtin:
        fail("usage", "llext exports: expected either a table or --builtin", help="`llext help exports` has an example")
    if args.needed_by:
        return _needed(args)
    if args.json:
        fail("usage", "llext exports: --json is for --needed-by", help="`--format json` prints a table")
    suffix = os.path.splitext(args.output)[1].lower() if args.output else ""
    if args.output and args.format is None and suffix not in FORMATS:
        fail(
            "usage",
            f"llext exports: the ending of `{args.output}` names no format of a table",
            help=f"end the name in {', '.join(FORMATS)}, or add --format",
        )
    firmware = Firmware(exports=_builtin(args.target)) if args.builtin else read_firmware(args.tables)
    if args.listing:
        firmware = replace(firmware, exports=firmware.exports.named(read_listing(args.listing)))
    table, whole = firmware.exports, firmware.interface(firmware.exports.by_name)
    hashes = {name: known for name in table.by_name if name not in whole.symbols and (known := firmware.hash_of(name))}
    firmware.remember()
    text = ""
    if args.format or suffix:
        text = write_exports(table, f".{args.format}" if args.format else suffix, whole, hashes)
    if args.output:
        write_atomically(args.output, text)
        print(f"{args.output}: {len(table.by_name):,} symbols of {table.source}")
    else:
        print(text.rstrip("\n") if text else "\n".join(_listing(with_prototypes(table, whole), Paint(sys.stdout))))
    return 0


def _needed(args: argparse.Namespace) -> int:
    from llext_tools.check.needed import as_c, as_json, needed_by  # which loads what reads debug information

    if args.format or args.builtin:
        fail("usage", "llext exports: --needed-by prints lines of C about a firmware, no table")
    suffix = os.path.splitext(args.output or "")[1].lower()
    if suffix in FORMATS and not (args.json and suffix == ".json"):
        what = "JSON about what is missing" if args.json else "lines of C"
        fail(
            "usage",
            f"llext exports: --needed-by writes {what}, and the ending of `{args.output}` is that of a table",
            help="end the name in .json" if args.json else "end the name in .c, .h or .txt",
        )
    table = read_firmware(args.tables).exports
    extensions = [load_object(path) for path in args.needed_by]
    needs = needed_by(extensions, table)
    if args.json:
        text = json.dumps(as_json(needs, table.source), indent=2) + "\n"
    else:
        text = as_c(needs, table.source, len(extensions))
    if args.output:
        write_atomically(args.output, text)
        lines = sum(bool(need.statement) for need in needs)
        print(f"{args.output}: {lines:,} of {len(needs):,} missing symbols can be exported")
    else:
        print(text, end="")
    return 0


def _listing(table: ExportTable, paint: Paint) -> list[str]:
    """Address, kind, name and prototype where known, sorted by name."""
    symbols = sorted(table.by_name.values())
    digits = 16 if any(symbol.address >> 32 for symbol in symbols) else 8
    kind = max(len(symbol.kind) for symbol in symbols)
    name = max(len(symbol.name) for symbol in symbols)
    return [
        f"0x{symbol.address:0{digits}x}  {symbol.kind:{kind}}  "
        + (
            f"{symbol.name:{name}}  {paint(' '.join(symbol.prototype.split()), DIM)}"
            if symbol.prototype
            else symbol.name
        )
        for symbol in symbols
    ]


def _builtin(target: str) -> ExportTable:
    """The built-in host as that target sees it: Thumb functions have odd addresses."""
    from llext_tools.host import builtin

    return builtin.exports(archs.load(archs.target(target).arch))

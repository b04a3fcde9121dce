"""``llext slid``: SLIDs for an extension, for a firmware's export table, or to look at.

For a firmware with ``CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID``, see ``llext_tools.elf.slid``. What is written replaces the
file that was read, unless ``-o`` says otherwise; nothing is written if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from llext_tools.abi.manifest import follow
from llext_tools.cli.render import diagnostics_to_json, exit_code, report
from llext_tools.diag import Reporter, fail, number
from llext_tools.elf.read import load_object
from llext_tools.elf.slid import WIDTHS, inject, prepare, report_shared, slid, slid_from, slid_text
from llext_tools.files import write_all
from llext_tools.host.tables import read_exports
from llext_tools.link.exports import ExportTable

DESCRIPTION = """\
Write the SLIDs of its imports into an extension, for a firmware that looks symbols up by SLID: as the
last step of a build. With --list only show SLIDs."""
EXAMPLE = """
llext slid hello.llext --exports zephyr.elf
llext slid --list printk k_msleep
llext slid --list 0x87B31052 --exports zephyr.elf   # whose is it?
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="EXT", nargs="*", help="extensions; for --list names or SLIDs")
    parser.add_argument("-o", "--output", metavar="FILE", help="write this file, instead of replacing the one read")
    parser.add_argument(
        "--exports", metavar="TABLE", action="append", default=[], help="what the firmware exports: find collisions"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="print the SLIDs of names, by default of all in --exports")
    other.add_argument("--prepare", action="store_true", help="EXT is a firmware: put SLIDs into its export table")
    parser.add_argument("--listing", metavar="FILE", help="with --prepare: also write all SLIDs and names as text")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    if not args.what and not (args.list and args.exports):
        fail("usage", "llext slid: missing argument: EXT", help="`llext help slid` has an example")
    if args.output and (args.list or len(args.what) > 1):
        fail("usage", "llext slid: --output is for one extension or firmware")
    if args.listing and not args.prepare:
        fail("usage", "llext slid: --listing is for --prepare")
    reporter = Reporter()
    exports = ExportTable.joined(map(read_exports, args.exports))
    if args.list:
        facts, lines = _list(args.what, exports, reporter)
    elif args.prepare:
        facts, lines = _prepare(args, reporter)
    else:
        facts, lines = _inject(args, exports, reporter)
    if args.json:
        print(json.dumps({**facts, "diagnostics": diagnostics_to_json(reporter.diagnostics)}, indent=2))
    else:
        print("\n".join(lines))
        sys.stdout.flush()
        if reporter.diagnostics:
            report(reporter.diagnostics)
    return exit_code(reporter.diagnostics)


Result = tuple[dict[str, Any], list[str]]
"""What ``--json`` prints without the diagnostics, and the lines for a person."""


def _inject(args: argparse.Namespace, exports: ExportTable, reporter: Reporter) -> Result:
    """Write the extensions, all of them or none."""
    written: dict[Any, bytes | str] = {}
    files, lines = [], []
    for path in args.what:
        obj = load_object(path)
        done = inject(obj, reporter, exports.by_name)
        output = args.output or path
        written |= {output: done.data, **follow(obj, done.data, output)}
        found = [{"name": name, "slid": slid_text(value, obj.bits)} for name, value in done.slids.items()]
        files.append(
            {"file": path, "output": output, "bits": obj.bits, "imports": found, "without": list(done.without)}
        )
        lines.append(f"{output}: {number(len(found), 'SLID')} of {obj.bits} bits")
    reporter.checkpoint()
    write_all(written)
    return {"files": files}, lines


def _prepare(args: argparse.Namespace, reporter: Reporter) -> Result:
    if len(args.what) > 1:
        fail("usage", f"llext slid: one argument too many: `{args.what[1]}`")
    if args.exports:
        fail("usage", "llext slid: --exports is for extensions and --list")
    firmware = load_object(args.what[0])
    done = prepare(firmware, reporter)
    output = args.output or firmware.path
    entries = [(slid_text(value, firmware.bits), name) for value, name in done.entries]
    written: dict[Any, bytes | str] = {} if done.done and not args.output else {output: done.data}
    if args.listing and not done.done:
        written[args.listing] = "".join(f"{value} -> {name}\n" for value, name in entries)
    write_all(written)
    facts = {"file": firmware.path, "output": output, "bits": firmware.bits, "prepared_before": done.done}
    symbols = [{"name": name, "slid": value} for value, name in entries]
    text = (
        "nothing to do" if done.done else f"{number(len(entries), 'symbol')}, sorted by SLIDs of {firmware.bits} bits"
    )
    return {**facts, "symbols": symbols}, [f"{output}: {text}"]


class Entry(NamedTuple):
    """One line of a list: the SLIDs by their bits; a firmware may have no name for one."""

    name: str
    slids: dict[int, int]


def _list(what: Iterable[str], exports: ExportTable, reporter: Reporter) -> Result:
    """The SLIDs of names, or the names of SLIDs; without either all that ``exports`` have, as these are sorted."""
    widths = (exports.slid_bits,) if exports.slid_bits else WIDTHS
    asked = [os.fsencode(text).decode("utf-8", "backslashreplace") for text in what]
    known = sorted((_entry(name, widths) for name in exports.by_name), key=lambda entry: max(entry.slids.items()))
    entries = [_found(text, known, exports.source, widths) for text in asked] if asked else known
    names = [entry.name for entry in entries if entry.name]
    report_shared(names, exports.by_name, widths[0], reporter)
    lines = ["  ".join([*(slid_text(v, bits) for bits, v in e.slids.items()), e.name or "?"]) for e in entries]
    facts = [{"name": e.name or None, "slid": {str(b): slid_text(v, b) for b, v in e.slids.items()}} for e in entries]
    return {"symbols": facts}, lines


def _entry(name: str, widths: Iterable[int]) -> Entry:
    known = slid_from(name)
    return Entry("", {known[1]: known[0]}) if known else Entry(name, {bits: slid(name, bits) for bits in widths})


def _found(text: str, known: Iterable[Entry], source: str, widths: Iterable[int]) -> Entry:
    """The entry of a name, or of a SLID among those ``known``."""
    wanted = slid_from(text)
    if wanted is None:
        return _entry(text, widths)
    found = next((entry for entry in known if entry.slids.get(wanted[1]) == wanted[0]), None)
    if found is None:
        text = f"llext slid: no name is known for the SLID `{text}`"
        fail("usage", text + (f" in {source}" if source else ""), help="" if source else "--exports says where to look")
    return found

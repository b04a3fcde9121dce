"""``llext api``: the ledger of a firmware's API, what it offers to extensions, reviewed by people."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from llext_tools.cli.render import BOLD, GREEN, Paint, diagnostics_to_json, exit_code, report
from llext_tools.diag import Diagnostic, fail
from llext_tools.files import read_bytes, write_atomically
from llext_tools.host.firmware import read_firmware
from llext_tools.host.ledger import (
    Api,
    Difference,
    Ledger,
    accepted,
    api_of,
    check_ledger,
    check_types,
    differences,
    is_below,
    needed_version,
    new_types,
    read_ledger,
    released,
    since_release,
    update,
    write_ledger,
)

DESCRIPTION = """\
Keep a ledger of the symbols that a firmware exports, with their prototypes and the layouts that they
reach, for people to review and to keep under version control.

`update` writes it: what is new or changed gets the status "?", what is gone "removed"; write "ok" in
their place. `check` fails if something is not reviewed, removed or changed, and says which version
number the changes since the release need."""
EXAMPLE = """
llext api update build/zephyr/zephyr.elf
llext api check build/zephyr/zephyr.elf
"""
DEFAULT = "api-ledger.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", choices=("update", "check"), help="update or check")
    parser.add_argument("firmware", metavar="FIRMWARE", nargs="+", help="its ELF file, or a table of `llext exports`")
    parser.add_argument("--ledger", "-o", metavar="FILE", default=DEFAULT, help="the ledger (default: %(default)s)")
    parser.add_argument("--accept", action="store_true", help="update: take all that is new or changed for reviewed")
    parser.add_argument("--release", action="store_true", help="update: the version in the ledger is released now")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    if args.action == "check" and (args.accept or args.release):
        fail("usage", f"llext api: --{'accept' if args.accept else 'release'} is for `llext api update`")
    firmware = read_firmware(args.firmware)
    api = api_of(firmware)
    firmware.remember()
    return _update(args, api) if args.action == "update" else _check(args, api)


def _update(args: argparse.Namespace, api: Api) -> int:
    old = _read(args.ledger) if os.path.exists(args.ledger) else None
    found = differences(old, api) if old else [Difference(name, "added") for name in sorted(api.entries)]
    if old and (lost := list(check_types(old, api))):  # nothing is written: types would go, or stay unseen
        if args.json:
            print(json.dumps({**_facts(old, found, found), "diagnostics": diagnostics_to_json(lost)}, indent=2))
        else:
            report(lost)
        return exit_code(lost)
    new = update(old, api, args.ledger)
    if args.accept:
        new = accepted(new)
    diagnostics: list[Diagnostic] = []
    if args.release:
        diagnostics = list(check_ledger(new, []))
        new = new if diagnostics else released(new)
    write_atomically(args.ledger, write_ledger(new))
    if args.json:
        print(json.dumps({**_facts(new, found, []), "diagnostics": diagnostics_to_json(diagnostics)}, indent=2))
    else:
        print(f"{args.ledger}: {_summary(new, found, [])}")
        sys.stdout.flush()
        if diagnostics:
            report(diagnostics)
    return exit_code(diagnostics)


def _check(args: argparse.Namespace, api: Api) -> int:
    if not os.path.exists(args.ledger):
        where = [] if args.ledger == DEFAULT else ["-o", args.ledger]
        command = shlex.join(["llext", "api", "update", *args.firmware, *where])
        fail("file-unreadable", f"there is no ledger `{args.ledger}`", help=f"run `{command}` first")
    ledger = _read(args.ledger)
    found = differences(ledger, api)
    diagnostics = [*check_types(ledger, api), *check_ledger(ledger, found, new_types(ledger, api))]
    if args.json:
        print(json.dumps({**_facts(ledger, found, found), "diagnostics": diagnostics_to_json(diagnostics)}, indent=2))
        return exit_code(diagnostics)
    paint = Paint(sys.stdout)
    if not diagnostics:
        print(f"{paint('ok', GREEN)} {args.ledger}: {_summary(ledger, found, found)}")
    else:
        report(diagnostics)
        sys.stderr.flush()
        print(paint(_version(ledger, found), BOLD))
    return exit_code(diagnostics)


def _read(path: str) -> Ledger:
    return read_ledger(read_bytes(path).decode("utf-8", "backslashreplace"), path)


def _facts(ledger: Ledger, found: Sequence[Difference], left: Sequence[Difference]) -> dict[str, Any]:
    """``found`` are the differences, ``left`` those of them that the ledger does not record."""
    changes = since_release(ledger, left)
    return {
        "ledger": ledger.path,
        "version": ledger.version,
        "released": ledger.released,
        "needed": needed_version(ledger, changes),
        "symbols": len(ledger.lines),
        "unreviewed": [name for name, line in ledger.lines.items() if line.unreviewed],
        "differences": {change: _named(found, change) for change in ("added", "changed", "removed")},
        "since_release": changes,
    }


def _named(found: Sequence[Difference], change: str) -> list[str]:
    return [each.name for each in found if each.change == change]


def _summary(ledger: Ledger, found: Sequence[Difference], left: Sequence[Difference]) -> str:
    parts = [f"{len(ledger.lines):,} symbols"]
    parts += [f"{len(names):,} {c}" for c in ("added", "changed", "removed") if (names := _named(found, c))]
    waiting = sum(line.unreviewed for line in ledger.lines.values())
    parts += [f"{waiting:,} to be reviewed"] if waiting else []
    return f"{', '.join(parts)}; {_version(ledger, left)}"


def _version(ledger: Ledger, found: Sequence[Difference]) -> str:
    """What to do about the version number."""
    changes: Mapping[str, str] = since_release(ledger, found)
    needed = needed_version(ledger, since_release(ledger, found))
    if not needed:
        return f"version {ledger.version}, not released yet"
    counts = [f"{n:,} {c}" for c in ("removed", "changed", "added") if (n := sum(x == c for x in changes.values()))]
    since = f"{', '.join(counts) or 'no changes'} since {ledger.released}"
    if is_below(ledger.version, needed):
        return f"raise the version to {needed}: {since}"
    return f"version {ledger.version}, {since}"

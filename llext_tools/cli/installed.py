"""``llext list``: the extensions that installed Python packages have brought along."""

from __future__ import annotations

import argparse
import json

from llext_tools.cli.render import printable, report
from llext_tools.diag import Diagnostic, fail
from llext_tools.distributions import Installed, installed_extensions, matching, nearest_name

DESCRIPTION = (
    "List the extensions that are installed with Python packages. Where a command takes an extension's file, "
    "its name will do: `blink`, or `blink@cortex-m4` or all of `blink@cortex-m4-gcc` if it is there "
    "several times, or `my-extensions:blink` if several packages have one."
)
EXAMPLE = """
llext list
llext list hello --json
llext run hello@cortex-m4
"""
HEAD = ("package", "name", "target", "toolchain", "bytes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="only those of this name, with their paths")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    warnings: list[Diagnostic] = []
    every = installed_extensions(warnings.append)
    found = matching(args.name, every) if args.name else list(every)
    if warnings:
        report(warnings)
    if args.name and not found:
        near = nearest_name(args.name, every)
        cure = f"did you mean `{near}`?" if near else "`llext list` lists those that are"
        fail("usage", f"no extension `{args.name}` is installed", help=cure)
    if args.json:
        print(json.dumps([{**each._asdict(), "job": each.job} for each in found], indent=2))
    elif found:
        print_table(found)
        for path in (each.path for each in found if args.name):
            print(path)
    else:
        print("no extension is installed; `pip install` of a package that has some brings them")
    return 0


def print_table(found: list[Installed]) -> None:
    packages = [printable(f"{each.distribution} {each.version}") for each in found]
    rows = [
        (package, each.whole_name, each.target, each.toolchain, f"{each.size:,}")
        for package, each in zip(packages, found, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    for row in (HEAD, *rows):
        left = [f"{cell:{width}}" for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        print("  ".join([*left, f"{row[-1]:>{widths[-1]}}"]))

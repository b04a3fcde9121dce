"""What ``llext run`` measures, as options, and the files that they ask for."""

from __future__ import annotations

import argparse

from llext_tools.diag import fail
from llext_tools.files import write_all
from llext_tools.measure import Measured, Wanted
from llext_tools.measure.coverage import to_lcov


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("measures")
    group.add_argument("--coverage", metavar="FILE", help="how often each line ran, for lcov and genhtml")
    group.add_argument("--coverage-firmware", action="store_true", help="also of the image's own code")


def wanted(args: argparse.Namespace) -> Wanted:
    """Raises:
    UsageError: ``usage``: an option lacks another one."""
    if args.coverage_firmware and not args.coverage:
        fail("usage", "llext run: `--coverage-firmware` says what goes into a file", help="add `--coverage FILE`")
    return Wanted(coverage=bool(args.coverage), firmware=args.coverage_firmware)


def write(args: argparse.Namespace, measured: Measured) -> None:
    """Write what was asked for."""
    files = {}
    if measured.coverage is not None:
        files[args.coverage] = to_lcov(measured.coverage)
    if files:
        write_all(files)

"""``llext inputs``: the files that a settings file names (low level, for CMake: a check depends on them)."""

from __future__ import annotations

import argparse
import os

from llext_tools.cli import settings

DESCRIPTION = """\
List the files that the check of an extension reads because a settings file says so, one a
line: the firmware of `exports`, and the files of `config`."""
EXAMPLE = "llext inputs llext.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", metavar="FILE", help="llext.toml, or a pyproject.toml")


def run(args: argparse.Namespace) -> int:
    found = settings.read(args.settings)
    for path in (*found.exports, *(word for word in found.config if "=" not in word)):
        print(os.path.abspath(path))
    return 0

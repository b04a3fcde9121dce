"""``llext build``: a CMake project, built, checked and run for each target."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

from llext_tools.build import exit_code, shown
from llext_tools.cli import matrix

DESCRIPTION = (
    "Build the extensions of a CMake project, check them, and run their tests in the emulator, for each target.\n\n"
    + matrix.EXIT_CODES
)
EXAMPLE = """
llext build                                        # all targets, into dist/
llext build hello --target cortex-m4 --toolchain zig
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", nargs="?", default=".", metavar="DIR", help="the project; default: this folder")
    matrix.add_arguments(parser)
    parser.add_argument("--output", metavar="FOLDER", help="where the extensions go; default: DIR/dist")
    parser.add_argument("--build-dir", metavar="FOLDER", help="where to build, with the logs; default: DIR/build")
    parser.add_argument(
        "-D",
        dest="define",
        action="append",
        type=definition,
        default=[],
        metavar="NAME=VALUE",
        help="a variable for CMake",
    )


def definition(text: str) -> str:
    """What CMake takes after ``-D``: ``NAME=VALUE`` or ``NAME:TYPE=VALUE``."""
    if not re.match(r"[^\s=:]+(:(BOOL|PATH|FILEPATH|STRING|INTERNAL|UNINITIALIZED))?=", text):
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE or NAME:TYPE=VALUE")
    return text


def run(args: argparse.Namespace) -> int:
    source = matrix.project(args.dir)
    output = Path(args.output).absolute() if args.output else source / "dist"
    build_dir = Path(args.build_dir).absolute() if args.build_dir else source / "build"
    jobs, notes = matrix.choose_jobs(args, build_dir, output)
    start = time.monotonic()
    results = matrix.run_jobs(jobs, args, source, args.define)
    matrix.print_end(results, time.monotonic() - start, notes)
    if any(result.passed and result.artifacts for result in results):
        print(f"extensions: {shown(output)}{'/*' if len(jobs) > 1 else '/' + jobs[0].name}/")
    return exit_code(results)

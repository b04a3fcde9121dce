"""``llext ldflags``: what to link partially with, for a shell or a makefile."""

from __future__ import annotations

import argparse
import shlex

from llext_tools import arch, toolchains
from llext_tools.cli.cflags import add_target
from llext_tools.paths import merge_script

DESCRIPTION = """\
Print the flags of the partial link, which makes one object of all objects of an
extension, with one section for each memory region of the loader. They are for the program
that --ld prints: the compiler of gcc, the linker of zig. `llext finish` makes the
extension of what comes out."""
EXAMPLE = """
$(llext ldflags --target cortex-m4 --ld) $(llext ldflags --target cortex-m4) \\
  hello.o -o hello.debug.elf
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--ld", action="store_true", help="print the program that links")
    what.add_argument("--script", action="store_true", help="print the linker script, which a link depends on")


def run(args: argparse.Namespace) -> int:
    target = arch.target(args.target)
    toolchain = toolchains.find(target, args.toolchain)
    words: tuple[str, ...] = toolchains.link_flags(target, toolchain.name, merge_script())
    if args.ld:
        words = toolchains.link_command(toolchain)
    elif args.script:
        words = (merge_script(),)
    print(shlex.join(words))
    return 0

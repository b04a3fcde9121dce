"""``llext cflags``: what to compile with, for a shell or a makefile."""

from __future__ import annotations

import argparse
import os
import shlex

from llext_tools import arch, toolchains
from llext_tools.diag import fail

DESCRIPTION = """\
Print the flags that an extension is compiled with, on one line, quoted for a shell: CPU
and ABI, the defaults that `llext targets TARGET` gives reasons for, and the folder of
<llext/symbol.h>. With --cc, --cxx or --ar print the program instead."""
EXAMPLE = """
$(llext cflags --target cortex-m4 --cc) $(llext cflags --target cortex-m4) \\
  -c hello.c -o hello.o
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--language", choices=toolchains.LANGUAGES, default="C", help="C (default), CXX or ASM")
    add_root(parser)
    program = parser.add_mutually_exclusive_group()
    program.add_argument("--cc", action="store_true", help="print the compiler of C and assembly")
    program.add_argument("--cxx", action="store_true", help="print the compiler of C++")
    program.add_argument("--ar", action="store_true", help="print the archiver")


def add_target(parser: argparse.ArgumentParser, default: str = "") -> None:
    """The options that choose a toolchain. ``default``: what target it is without the option, in words."""
    text = f"see `llext targets`; default: {default}" if default else "see `llext targets`"
    parser.add_argument("--target", required=not default, default="", metavar="TARGET", help=text)
    parser.add_argument("--toolchain", default="auto", metavar="NAME", help="gcc, zig or auto (default)")


def add_root(parser: argparse.ArgumentParser) -> None:
    """The option for builds that are equal wherever they are made."""
    parser.add_argument("--root", metavar="DIR", help="the project: names of sources become relative to it")


def root(command: str, args: argparse.Namespace) -> str:
    """The folder that ``--root`` names; ``""`` without it."""
    if args.root is None:
        return ""
    if not os.path.isdir(args.root):
        fail("usage", f"llext {command}: --root: `{args.root}` is no folder", help="give the folder of the project")
    if "=" in os.path.realpath(args.root):
        why = "compilers take an equals sign for the end of a folder that another name stands for"
        fail("usage", f"llext {command}: --root: `{args.root}`: {why}", help="rename the folder")
    return str(args.root)


def run(args: argparse.Namespace) -> int:
    target = arch.target(args.target)
    toolchain = toolchains.find(target, args.toolchain)
    programs = {"cc": toolchain.cc, "cxx": toolchain.cxx, "ar": toolchain.ar}
    words = next((program for name, program in programs.items() if getattr(args, name)), None)
    print(shlex.join(words or toolchains.extension_flags(target, toolchain, args.language, root("cflags", args))))
    return 0

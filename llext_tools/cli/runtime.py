"""``llext runtime``: the compiler's helper functions as an archive for a partial link (low level, for CMake).

A partial link (``ld -r`` of GNU or LLVM) takes from the archive what the extension refers to, function by function,
and nothing else. CMake needs one archive for each build tree and adds it to the link like any other library::

    llext runtime --target cortex-m4 --toolchain zig -o libllext-runtime.a
    <linker> -r -T llext-merge.ld <objects> libllext-runtime.a -o name.debug.elf
    llext finish name.debug.elf -o name.llext

``--archive FILE`` takes the helpers from that ``libgcc.a`` or ``libcompiler_rt.a`` instead of asking the toolchain.
With an object as argument the archive holds only what this object needs, for a look at it or for a second link.
"""

from __future__ import annotations

import argparse

from llext_tools.diag import fail
from llext_tools.elf.read import load_object
from llext_tools.elf.runtime import helper_archive, undefined_names
from llext_tools.files import read_bytes, write_atomically

DESCRIPTION = """\
Write an archive of the compiler's helper functions, such as 64-bit division, for a
partial link: each function an object of its own, without the C library's functions
that libgcc and compiler-rt also hold."""
EXAMPLE = "llext runtime --target cortex-m4 --toolchain zig -o libllext-runtime.a"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", metavar="OBJECT", nargs="?", help="only what this object needs; default: everything")
    parser.add_argument("--target", metavar="TARGET", help="see `llext targets`")
    parser.add_argument("--toolchain", default="auto", metavar="NAME", help="gcc, zig or auto (default)")
    parser.add_argument("--archive", metavar="FILE", help="the library to take from, instead of the toolchain's own")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the archive to write")


def run(args: argparse.Namespace) -> int:
    if not args.archive and not args.target:
        fail("usage", "llext runtime: missing argument: --target or --archive", help="`llext targets` lists the CPUs")
    needed = undefined_names(load_object(args.object)) if args.object else None
    archive = args.archive or _library(args.target, args.toolchain)
    write_atomically(args.output, helper_archive(read_bytes(archive), archive, needed))
    return 0


def _library(target: str, toolchain: str) -> str:
    from llext_tools import arch, toolchains

    chosen = arch.target(target)
    return toolchains.compiler_runtime(chosen, toolchains.find(chosen, toolchain))

"""``llext debug``: run extensions under GDB."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing

from llext_tools import arch as archs
from llext_tools.arch.model import Target
from llext_tools.artifact import DEBUG_SUFFIX
from llext_tools.cli import host
from llext_tools.cli.render import exit_code, printable, report
from llext_tools.cli.run import Screen, show_result
from llext_tools.diag import Diagnostic, fail
from llext_tools.elf.lines import source_folders
from llext_tools.files import read_bytes, reason, write_all, write_cure
from llext_tools.gdb.script import PROGRAM, Program, configuration, script, with_configuration
from llext_tools.gdb.server import HOST, Server
from llext_tools.gdb.session import DebugSession
from llext_tools.gdb.stub import KilledError
from llext_tools.link.described import described
from llext_tools.link.executable import executable
from llext_tools.link.image import Image
from llext_tools.run import Setup
from llext_tools.run import run as run_extensions

DESCRIPTION = """\
Run an extension as `llext run` does, under GDB, whose command line is printed. There is no time
limit; Ctrl-C ends it. It listens on this computer only."""
EXAMPLE = """llext debug hello.llext --call 'greet("you")'"""
LAUNCH = os.path.join(".vscode", "launch.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    host.add_arguments(parser, timed=False)
    parser.add_argument("--port", metavar="N", default="0", help="listen there (default: a free one)")
    parser.add_argument("--no-wait", action="store_true", help="run at once; a debugger may come later")
    parser.add_argument("--out", metavar="DIR", help="write script and symbols there (default: temporary)")
    parser.add_argument("--vscode", action="store_true", help=f"add the run to `{LAUNCH}`")


def run(args: argparse.Namespace) -> int:
    screen = Screen(sys.stdout)
    images, setup, warnings = host.prepare(args, "llext debug", screen.write)
    setup = setup._replace(limits=setup.limits._replace(seconds=math.inf))
    found: list[Diagnostic] = list(warnings)
    with ExitStack() as stack:
        server = stack.enter_context(closing(Server(port(args.port))))
        folder = args.out or (os.path.dirname(LAUNCH) if args.vscode else "")
        if not folder:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="llext-"))
        sessions: list[DebugSession] = []

        def make(images: Sequence[Image], setup: Setup) -> DebugSession:
            sessions.append(DebugSession(images, setup, server, ready=ready, wait=not args.no_wait))
            return sessions[0]

        def ready(session: DebugSession) -> None:
            introduce(args, session, folder, f"{HOST}:{server.port}")

        try:
            result = run_extensions(
                images, args.call, setup, prototypes=args.prototype, bringup=not args.no_bringup, make=make
            )
        except KilledError:
            screen.end_line()
            print("ended by the debugger")
            return 0
        found += result.diagnostics
        if result.fault is not None:
            found.append(result.fault)
        show_result(args, screen, result)
        sys.stdout.flush()
        if found:
            report(found)
        sessions[0].debugger.exited(exit_code(found))
    return exit_code(found)


def introduce(args: argparse.Namespace, session: DebugSession, folder: str, address: str) -> None:
    """Write what a debugger needs to know, and say how to start it."""
    target = session.setup.target
    path = os.path.join(os.path.abspath(folder), "host.elf")
    files: dict[str | os.PathLike[str], bytes | str] = {path: session.host_symbols()}
    symbols = [path, *(os.path.abspath(obj.path) for obj in session.setup.firmware)]
    unknown: list[str] = []
    folders: dict[str, None] = {}
    for image in session.images:
        stem = os.path.basename(image.path).split(".")[0] or "extension"
        path = os.path.join(os.path.abspath(folder), f"{stem}.elf")
        while path in files:
            path = f"{path[:-4]}-.elf"
        told = described(image)
        unknown += [image.path] if told is None else []
        files[path] = executable(told or image)
        folders |= dict.fromkeys(source_folders(told.obj) if told else ())
        symbols.append(path)
    start = f"{symbols[-1][:-4]}.gdb"
    program = Program(architecture(target), symbols, tuple(folders))
    files[start] = script(program, address)
    if args.vscode:
        name = f"llext: {os.path.basename(symbols[-1])[:-4]}"
        entry = configuration(name, program, address)
        before = read_bytes(LAUNCH).decode("utf-8", "replace") if os.path.exists(LAUNCH) else ""
        files[LAUNCH] = with_configuration(before, LAUNCH, entry)
        make_folder(os.path.dirname(LAUNCH))
    make_folder(folder)
    write_all(files)
    print(f"listening on {address}, start the debugger with")
    print(f"  {PROGRAM} -x {shlex.quote(os.path.join(folder, os.path.basename(start)))}")
    if args.vscode:
        print(f"or choose `{name}` in Visual Studio Code")
    for path in unknown:
        print(undescribed(path))
    sys.stdout.flush()


def undescribed(path: str) -> str:
    """That GDB will know no lines and types of an extension, and what to do."""
    beside = os.path.splitext(os.path.basename(path))[0] + DEBUG_SUFFIX
    shown = f"no lines, types and static functions for `{printable(os.path.basename(path))}`:"
    if os.path.exists(os.path.join(os.path.dirname(path), beside)):
        return f"{shown} `{printable(beside)}` has no debug information, or is of another build"
    return f"{shown} build it with `-g` and keep `{printable(beside)}` beside it"


def architecture(target: Target) -> str:
    return archs.load(target.arch).gdb.architecture(target)


def make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        fail("file-unwritable", f"cannot make the folder `{path}`: {reason(error)}", help=write_cure(error, path))


def port(text: str) -> int:
    """Raises:
    UsageError: ``usage``."""
    if not text.isdecimal() or int(text) > 0xFFFF:
        fail("usage", f"llext debug: `--port {text}` is not a port", help="for example `--port 3333`")
    return int(text)

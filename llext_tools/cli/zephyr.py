"""``llext zephyr``: check and run the extensions of a Zephyr build, with the build's own firmware and configuration.

``west llext`` and ``llext_check_target()`` call it. What it finds out stands behind what the command line says and what
the settings file says; everything else is ``llext check`` and ``llext run``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable

from llext_tools import profile as profiles
from llext_tools.cli import check, settings
from llext_tools.cli import run as run_command
from llext_tools.cli.kconfig import config_file
from llext_tools.cli.parser import Parser, carry_out
from llext_tools.cli.zephyr_build import (
    Build,
    Facts,
    extension_path,
    extensions_in,
    facts_of,
    files_in,
    find_build,
    version_in,
)
from llext_tools.cli.zephyr_manifest import add_arguments as add_manifest
from llext_tools.cli.zephyr_manifest import check_and_write
from llext_tools.diag import fail

DESCRIPTION = """Check or run extensions that were built with Zephyr: against the firmware, the `.config` and the loader
of that build. The options are those of `llext check` and `llext run`; `show` prints what is used."""
EXAMPLE = """
llext zephyr check                   # all extensions of the folder build
llext zephyr check -d build/app hello --werror
llext zephyr run hello --call 'hello(1)'
llext zephyr show --json
"""

CHECK = """Check extensions of a Zephyr build, by default all of them, against its firmware. Every option of
`llext check` can be added: `llext help check` has them."""
RUN = """Run an extension of a Zephyr build on its firmware's code. Every option of `llext run` can be added:
`llext help run` has them."""
SHOWN = {"--call", "--expect-return", "--expect-output", "--werror", "--ignore"}
SHOW = "Print what a Zephyr build says of its extensions and their loader."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", metavar="ACTION", choices=tuple(ACTIONS), help="check, run or show; each has a --help of its own"
    )
    rest = parser.add_argument(
        "rest", metavar="[ARGUMENT...]", nargs=argparse.REMAINDER, help="what it takes: -d FOLDER is the build"
    )
    rest.required = False


def run(args: argparse.Namespace) -> int:
    return ACTIONS[args.action](args.rest)


def run_check(arguments: list[str]) -> int:
    parser = parser_for("check", CHECK, "llext zephyr check -d build hello --ignore no-exports")
    parser.add_argument("--no-firmware", action="store_true", help="it is not linked yet: imports go unchecked")
    add_manifest(parser)
    take_over(parser, check.add_arguments, "an extension: its name, or a path (default: all)", "*")
    try:
        args = parser.parse(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return carry_out(_check, args)


def _check(args: argparse.Namespace) -> int:
    build, facts = read(args)
    files = [extension_path(word, build.root) for word in args.files] or files_in(build.root)
    if not files:
        fail("usage", f"there are no extensions in `{build.root}`", help="build them, or name a file")
    args.files = [os.path.relpath(path) if os.path.isabs(path) else path for path in files]
    if args.no_firmware and args.exports:
        fail("usage", "llext zephyr check: there is a firmware, and --no-firmware", help="give one of them")
    if not args.no_firmware:
        args.exports = args.exports or ([] if in_settings(args, "exports") else [firmware(build)])
    for name in ("target", "profile", "storage"):
        if getattr(args, name) is None and not in_settings(args, name):
            setattr(args, name, getattr(facts, name) or None)
    if facts.slid:  # the build puts them in as its last step; on the board nothing is found without them
        args.werror = [*args.werror, "slid-missing", *(() if args.werror else settings_of(args).werror)]
    if not config_file(args.config) and not in_settings(args, "config"):
        args.config = [build.config, *args.config]
    if args.manifest:
        return check_and_write(args, args.target or facts.target, (build.elf, build.config))
    if args.debug_file:
        fail("usage", "llext zephyr check: --debug-file is for a manifest", help="give --manifest as well")
    return check.run(args)


def run_run(arguments: list[str]) -> int:
    parser = parser_for("run", RUN, "llext zephyr run -d build hello --call 'hello(1)' --expect-return 2")
    parser.add_argument("--builtin-host", action="store_true", help="run on the built-in host, not on the firmware")
    take_over(parser, run_command.add_arguments, "the extension: its name, or a path", None)
    parser.set_defaults(profile=None)
    try:
        args = parser.parse(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    build, facts = read(args)
    args.extension = extension_path(args.extension, build.root)
    args.first = [extension_path(word, build.root) for word in args.first]
    if facts.kind == "shared":
        text = f"`{build.config}` has `CONFIG_LLEXT_TYPE_ELF_SHAREDLIB`: shared libraries cannot be run, only checked"
        fail("usage", text, help="set `CONFIG_LLEXT_TYPE_ELF_RELOCATABLE=y`")
    if args.builtin_host and (args.firmware or args.exports):
        fail("usage", "llext zephyr run: there is a firmware, and --builtin-host", help="give one of them")
    if not (args.builtin_host or args.firmware or args.exports):
        args.firmware = [firmware(build)]
    args.target = args.target or facts.target or None
    args.profile = args.profile or facts.profile or profiles.DEFAULT
    return run_command.run(args)


def run_show(arguments: list[str]) -> int:
    parser = parser_for("show", SHOW, "llext zephyr show -d build --json")
    parser.add_argument("--config", metavar="FILE", action="append", default=[], help="the `.config`")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    try:
        args = parser.parse(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return carry_out(_show, args)


def _show(args: argparse.Namespace) -> int:
    build, facts = read(args)
    found = {"firmware": build.elf, "config": build.config, **facts._asdict()}
    if args.json:
        print(json.dumps({**found, "extensions": extensions_in(build.root)}, indent=2))
        return 0
    near = "" if facts.exact or not facts.profile else " (the nearest)"
    rows = {
        "firmware": build.elf or "not linked yet",
        "configuration": build.config,
        "Zephyr": facts.version or "unknown",
        "profile": facts.profile + near if facts.profile else "",
        "target": facts.target or "none of `llext targets`: compared with the firmware",
        "extensions are": {"object": "one object each", "shared": "shared libraries"}.get(facts.kind, facts.kind),
        "imports": "by SLID" if facts.slid else "by name",
        "storage": facts.storage,
        "extensions": ", ".join(extensions_in(build.root)) or "none",
    }
    sys.stdout.write("".join(f"{name:16}{value}\n" for name, value in rows.items() if value))
    return 0


ACTIONS = {"check": run_check, "run": run_run, "show": run_show}


def parser_for(action: str, description: str, example: str) -> Parser:
    """A parser with the options that say which build it is."""
    parser = Parser(f"zephyr {action}", description, example)
    parser.add_argument("-d", "--build-dir", metavar="FOLDER", help="the build folder (default: build, or this one)")
    parser.add_argument("--zephyr-version", metavar="VERSION", help="default: what the build's headers say")
    return parser


def take_over(
    parser: Parser, add_arguments: Callable[[argparse.ArgumentParser], None], help: str, nargs: str | None
) -> None:
    """Add another command's arguments: its operand becomes an extension of the build, its help has most options."""
    own = len(parser._actions)
    add_arguments(parser)
    for action in parser._actions[own:]:
        if not action.option_strings:
            action.metavar, action.help, action.nargs = "EXTENSION", help, nargs
            action.required = nargs is None
        elif not SHOWN.intersection(action.option_strings):
            action.help = argparse.SUPPRESS


def read(args: argparse.Namespace) -> tuple[Build, Facts]:
    """The build that ``-d`` names, and what it says.

    Raises:
        UsageError: ``usage``.
        FormatError: ``file-unreadable``.
    """
    given = config_file(args.config) if "config" in args else ""
    if given and args.build_dir:
        build = Build(args.build_dir, os.path.dirname(given), given, "")  # as CMake has it, before anything is built
    else:
        here = os.path.isdir("zephyr") and not os.path.isdir("build")
        build = find_build(args.build_dir or ("." if here else "build"))
    version = args.zephyr_version or version_in(build.folder)
    return build, facts_of(given or build.config, version)


def firmware(build: Build) -> str:
    """Raises:
    UsageError: ``usage``: it is not linked yet."""
    if not build.elf:
        fail("usage", f"there is no firmware in `{build.folder}` yet", help="build it first")
    return build.elf


def in_settings(args: argparse.Namespace, name: str) -> bool:
    """Whether the settings file of the project says this."""
    return bool(getattr(settings_of(args), name))


def settings_of(args: argparse.Namespace) -> settings.Settings:
    """The settings file that ``llext check`` reads, whatever the command line says."""
    path = settings.file_of(args)
    return settings.read(path) if path else settings.Settings()

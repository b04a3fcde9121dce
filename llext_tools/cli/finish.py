"""``llext finish``: make the shipped ``.llext`` of a partially linked object."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from llext_tools import arch, artifact, toolchains
from llext_tools import profile as profiles
from llext_tools.artifact.compose import Made, checked, compose
from llext_tools.diag import fail
from llext_tools.elf.buildid import link, note, with_build_id
from llext_tools.elf.finish import finish
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object, read_object
from llext_tools.elf.write import Section
from llext_tools.files import write_all
from llext_tools.jobs import TOOLCHAINS

if TYPE_CHECKING:
    from llext_tools.cli.findings import Report
    from llext_tools.cli.settings import Settings

DESCRIPTION = """\
Make the file that is shipped of a partially linked object: without debugging sections,
unwinding tables and unused local symbols, laid out as the loader needs it. --debug-file ties
it to the file that keeps all that for a debugger. The manifest beside it says what it is for,
how it was made, what it takes its imports for and what it was checked against."""
EXAMPLE = "llext finish hello.debug.elf -o hello.llext --debug-file hello.debug.elf"
FOR_THE_CHECK = ("heap", "config", "ignore", "select")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    hidden = argparse.SUPPRESS
    parser.add_argument("object", metavar="OBJECT", help="partially linked object (ET_REL), as of `ld -r`")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: OBJECT with the suffix `.llext`")
    parser.add_argument("--debug-file", metavar="FILE", help="write what debuggers read, too; may be OBJECT")
    parser.add_argument("--manifest", metavar="FILE", help="default: `.json` beside it; --no-manifest: none")
    parser.add_argument("--no-manifest", action="store_true", help=hidden)
    parser.add_argument("--keep-symbols", action="store_true", help="keep local symbols")
    parser.add_argument("--toolchain", metavar="NAME", help="for the manifest: gcc, zig, auto; also --flags C=FILE")
    parser.add_argument("--flags", metavar="LANGUAGE=FILE", action="append", default=[], help=hidden)
    parser.add_argument("--check", action="store_true", help="then do what `llext check --quiet FILE` does")
    parser.add_argument("--target", metavar="CPU", help="for the check")
    parser.add_argument("--exports", metavar="TABLE", action="append", default=[], help="for the check")
    parser.add_argument(
        "--extension", metavar="FILE", dest="first", action="append", default=[], help="for the check: loaded before"
    )
    parser.add_argument("--profile", metavar="NAME", help=f"for the check (default {profiles.DEFAULT})")
    for name in FOR_THE_CHECK:
        shown = "for the check; also --config, --ignore, --select, --werror" if name == "heap" else hidden
        parser.add_argument(f"--{name}", metavar="SIZE", action="append", default=[], help=shown)
    parser.add_argument("--werror", metavar="CODES", action="append", nargs="?", const="all", default=[], help=hidden)
    parser.add_argument("--settings", metavar="FILE", help="for the check; `--no-settings`: none at all")
    parser.add_argument("--no-settings", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    # A wrong name leaves no file behind.
    profile = profiles.load(args.profile or profiles.DEFAULT)
    output = args.output or default_output(args.object)
    _refuse_what_is_in_vain(args, output)
    made = _made(args)
    source = load_object(args.object)
    debug, more = _debug_file(source, args.debug_file)
    data = finish(source, keep_symbols=args.keep_symbols, more=more)
    written: dict[str | os.PathLike[str], str | bytes | bytearray | memoryview] = {output: data}
    files = {os.path.basename(output): artifact.file_entry(artifact.EXTENSION, data)}
    if args.debug_file:
        written[args.debug_file] = debug
        files[os.path.basename(args.debug_file)] = artifact.file_entry(artifact.DEBUG, debug)
    document: dict[str, Any] = {}
    manifest = args.manifest or artifact.manifest_path(output)
    if not args.no_manifest:
        document = compose(read_object(data, output), source, profile, made, files)
        written[manifest] = artifact.to_text(document)
    write_all(written)
    if not args.check:
        return 0
    found, chosen = _check(output, args)
    if document and not found.exit_code:
        warnings = [each.code for each in found.diagnostics]
        facts = checked(chosen.profile or profiles.DEFAULT, chosen.exports, args.first, warnings)
        write_all({manifest: artifact.to_text(artifact.with_files_last({**document, "checked": facts}))})
    return found.exit_code


def _refuse_what_is_in_vain(args: argparse.Namespace, output: str) -> None:
    """What would leave half of the files behind, or be ignored."""
    if args.target is not None:
        arch.target(args.target)
    for what, path in ("extension", output), ("debug file", args.debug_file):
        if not args.no_manifest and not args.manifest and path and artifact.manifest_path(output) == path:
            cure = f"give the {what} another suffix, or the manifest a name: `--manifest FILE`"
            fail("usage", f"llext finish: the {what} and the manifest would both be `{path}`", help=cure)
    options = {"exports": args.exports, "extension": args.first, "settings": args.settings, "werror": args.werror}
    for name, value in (options | {name: getattr(args, name) for name in FOR_THE_CHECK}).items():
        if value and not args.check:
            fail("usage", f"llext finish: --{name} is for the check", help="add `--check`")


def _check(output: str, args: argparse.Namespace) -> tuple[Report, Settings]:
    """What `llext check --quiet` does, and with which settings."""
    from llext_tools.cli import check, parser

    options = [f"--exports={table}" for table in args.exports]
    options += [f"--extension={path}" for path in args.first]
    options += [f"--{name}={value}" for name in ("target", "profile", "settings") if (value := getattr(args, name))]
    options += [f"--{name}={value}" for name in (*FOR_THE_CHECK, "werror") for value in getattr(args, name)]
    options += ["--no-settings"] if args.no_settings else []
    return check.examine(parser.parser_for("check").parse([output, "--quiet", "--format=text", *options]))


def _made(args: argparse.Namespace) -> Made:
    name, _, version = (args.toolchain or "").partition("-")
    if args.toolchain == "auto" or (args.target and args.toolchain in TOOLCHAINS):
        name, version = _installed(args)
    flags = {}
    for text in args.flags:
        language, equals, path = text.partition("=")
        if not equals or not language or not path:
            fail("usage", f"llext finish: --flags: `{text}` is not LANGUAGE=FILE", help="as in `--flags C=c.flags`")
        flags[language] = path
    return Made(target=args.target or "", toolchain=name, version=version, flags=flags)


def _installed(args: argparse.Namespace) -> tuple[str, str]:
    """The toolchain that is meant, as everywhere, by `gcc`, `zig` or `auto`, and its version."""
    if not args.target:
        fail("usage", "llext finish: `--toolchain auto` depends on the CPU", help="add `--target CPU`")
    found = toolchains.find(arch.target(args.target), args.toolchain)
    return found.name, found.version


def _debug_file(source: ElfObject, path: str | None) -> tuple[bytes, list[Section]]:
    """The debug file, and the sections that tie the extension to it: none if no debug file is asked for."""
    if not path:
        return b"", []
    debug, identity = with_build_id(source)
    return debug, [note(identity), link(os.path.basename(path), debug)]


def default_output(path: str) -> str:
    """``dir/hello.debug.elf`` -> ``dir/hello.llext``."""
    stem = path.removesuffix(".elf").removesuffix(".debug") if path.endswith(".elf") else os.path.splitext(path)[0]
    return stem + ".llext"

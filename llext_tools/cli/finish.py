"""``llext finish``: make the shipped ``.llext`` of a partially linked object."""

from __future__ import annotations

import argparse
import os

from llext_tools import artifact
from llext_tools import profile as profiles
from llext_tools.abi.manifest import interface_of, manifest_path
from llext_tools.check.exported import names, offered
from llext_tools.elf.buildid import link, note, with_build_id
from llext_tools.elf.finish import finish
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object, read_object
from llext_tools.elf.write import Section
from llext_tools.files import write_all

DESCRIPTION = """\
Make the file that is shipped of a partially linked object: without debugging sections,
unwinding tables and the local symbols that no relocation uses, laid out as the loader
needs it. The object itself keeps all that for a debugger. The manifest beside the file keeps
what the extension takes its imports for, so that it can be checked without the object."""
EXAMPLE = "llext finish hello.debug.elf -o hello.llext"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", metavar="OBJECT", help="partially linked object (ET_REL), for example from `ld -r`")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: OBJECT with the suffix `.llext`")
    parser.add_argument("--debug-file", metavar="FILE", help="write the file that debuggers read, too; may be OBJECT")
    parser.add_argument("--manifest", metavar="FILE", help="default: the output with the suffix `.json`")
    parser.add_argument("--no-manifest", action="store_true", help="write none")
    parser.add_argument("--keep-symbols", action="store_true", help="keep local symbols")
    parser.add_argument("--check", action="store_true", help="then do what `llext check --quiet FILE` does")
    parser.add_argument("--target", metavar="CPU", help="for the check")
    parser.add_argument("--exports", metavar="TABLE", action="append", default=[], help="for the check")
    parser.add_argument(
        "--extension",
        metavar="FILE",
        dest="first",
        action="append",
        default=[],
        help="for the check: loaded before it",
    )
    parser.add_argument("--profile", metavar="NAME", help=f"for the check (default {profiles.DEFAULT})")
    parser.add_argument("--settings", metavar="FILE", help="for the check; `--no-settings`: none at all")
    parser.add_argument("--no-settings", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    profiles.load(args.profile or profiles.DEFAULT)  # a wrong name leaves no file behind
    output = args.output or default_output(args.object)
    source = load_object(args.object)
    debug, more = _debug_file(source, args.debug_file)
    data = finish(source, keep_symbols=args.keep_symbols, more=more)
    written: dict[str | os.PathLike[str], str | bytes | bytearray | memoryview] = {output: data}
    if args.debug_file:
        written[args.debug_file] = debug
    if not args.no_manifest:
        written[args.manifest or manifest_path(output)] = _manifest(data, debug, output, source, args)
    write_all(written)
    if not args.check:
        return 0
    from llext_tools.cli import check, parser

    options = [f"--exports={table}" for table in args.exports]
    options += [f"--extension={path}" for path in args.first]
    options += [f"--{name}={value}" for name in ("target", "profile", "settings") if (value := getattr(args, name))]
    options += ["--no-settings"] if args.no_settings else []
    return check.run(parser.parser_for("check").parse([output, "--quiet", "--format=text", *options]))


def _debug_file(source: ElfObject, path: str | None) -> tuple[bytes, list[Section]]:
    """The debug file, and the sections that tie the extension to it: none if no debug file is asked for."""
    if not path:
        return b"", []
    debug, identity = with_build_id(source)
    return debug, [note(identity), link(os.path.basename(path), debug)]


def _manifest(data: bytes, debug: bytes, output: str, source: ElfObject, args: argparse.Namespace) -> str:
    obj = read_object(data, output)
    files = {os.path.basename(output): artifact.file_entry(artifact.EXTENSION, data)}
    if args.debug_file:
        files[os.path.basename(args.debug_file)] = artifact.file_entry(artifact.DEBUG, debug)
    return artifact.to_text(
        {
            "format": artifact.FORMAT,
            "name": os.path.splitext(os.path.basename(output))[0],
            "target": {"name": args.target or "", "machine": obj.machine, "bits": obj.bits},
            **interface_of(obj, source),
            "exports": sorted(names(offered(obj))),
            "checked": {"profile": args.profile or profiles.DEFAULT},
            "files": files,
        }
    )


def default_output(path: str) -> str:
    """``dir/hello.debug.elf`` -> ``dir/hello.llext``."""
    stem = path.removesuffix(".elf").removesuffix(".debug") if path.endswith(".elf") else os.path.splitext(path)[0]
    return stem + ".llext"

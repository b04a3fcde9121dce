"""The manifest of an extension that Zephyr has packaged: what ``llext finish`` writes of those that it makes itself.

The extension stays as it is. How it was compiled is Zephyr's business, so there is no toolchain in it; what it was
checked against is the build's own firmware.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from llext_tools import artifact
from llext_tools import profile as profiles
from llext_tools.artifact.compose import Made, checked, compose
from llext_tools.cli import check
from llext_tools.diag import fail
from llext_tools.elf.read import read_object
from llext_tools.files import read_bytes, remove, spare, write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", metavar="FILE", default="", help="write the extension's manifest, if all is well")
    parser.add_argument("--debug-file", metavar="FILE", default="", help="for the manifest: with debug information")


def check_and_write(args: argparse.Namespace, target: str, build: Iterable[str]) -> int:
    """Check one extension; its manifest is there afterwards if no error was found, else it is not.

    Args:
        build: files of the build, which are not written over.
    Raises:
        UsageError: ``usage``.
        FormatError: ``file-unreadable``, ``file-unwritable``.
    """
    if len(args.files) != 1:
        fail("usage", "llext zephyr check: --manifest is of one extension", help="name it")
    (path,) = args.files
    spare(args.manifest, [*check.read_by(args), args.debug_file, *build], "llext zephyr check: --manifest")
    remove(args.manifest)
    found, chosen = check.examine(args)
    if found.exit_code:
        return found.exit_code
    profile = chosen.profile or profiles.DEFAULT
    data = read_bytes(path)
    files = {os.path.basename(path): artifact.file_entry(artifact.EXTENSION, data)}
    obj = source = read_object(data, path)
    if args.debug_file:
        debug = read_bytes(args.debug_file)
        files[os.path.basename(args.debug_file)] = artifact.file_entry(artifact.DEBUG, debug)
        source = read_object(debug, args.debug_file)
        if (source.machine, source.bits, source.type) != (obj.machine, obj.bits, obj.type):
            text = f"llext zephyr check: --debug-file: `{args.debug_file}` is not what `{path}` was made of"
            fail("usage", text, help="Zephyr leaves that in `llext/<target>_debug.elf`")
    document = compose(obj, source, profiles.load(profile), Made(target=target), files)
    warnings = [each.code for each in found.diagnostics]
    facts = checked(profile, chosen.exports, args.first, warnings)
    write_atomically(args.manifest, artifact.to_text(artifact.with_files_last({**document, "checked": facts})))
    return 0

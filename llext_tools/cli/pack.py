"""``llext pack``: the artifacts of several targets in one bundle, the same bytes each time."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from llext_tools import profile as profiles
from llext_tools.artifact.facts import is_word, profile_of
from llext_tools.bundle import BILL, KIND, SUFFIX, keys
from llext_tools.bundle.gather import Wanted, gather
from llext_tools.bundle.helpers import helpers_in
from llext_tools.bundle.index import LATEST, Entry, is_safe
from llext_tools.bundle.pack import Packed, archive, at, members
from llext_tools.check import check
from llext_tools.cli import pack_jobs, pack_stale, settings_pack
from llext_tools.cli.policy import Policy
from llext_tools.cli.render import report
from llext_tools.cli.settings_pack import PackSettings
from llext_tools.cli.signing import private_key
from llext_tools.diag import CODES, Diagnostic, Reporter, fail, listed, number
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError, UndefinedError
from llext_tools.files import spare, spare_other, write_all

DESCRIPTION = """\
Put the artifacts of several targets into one bundle: extensions, manifests and debug files, with an
index of their digests and a bill of materials (CycloneDX). The same artifacts give the same bytes.
Each must be what its manifest says, and loadable."""
EXAMPLE = """
llext pack dist -o blink.llextpack
llext pack --target cortex-m4 --no-debug --key key.pem
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", help="a folder, a manifest or an extension; default: dist/")
    parser.add_argument("-o", "--output", metavar="FILE", help=f"default: its name with the suffix `{SUFFIX}`")
    parser.add_argument("--name", metavar="NAME", help="default: see the settings; else OUTPUT's, or this folder's")
    parser.add_argument("--version", metavar="TEXT", help="default: see the settings; else none")
    parser.add_argument("--extension", metavar="NAME", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--target", metavar="TARGET", action="append", default=[], help="only for it; repeatable")
    parser.add_argument("--no-debug", action="store_true", help="leave the debug files out")
    parser.add_argument("--key", metavar="FILE", help="sign it with this private key, as `llext sign` does")
    parser.add_argument("--sbom", metavar="FILE", help="write the bill of materials there, too")


def run(args: argparse.Namespace) -> int:
    from llext_tools.bundle.sbom import sbom  # only here: it is slow to load

    project = pack_jobs.read(args.paths)
    name, version = identity(args, project.pack)
    time = epoch()
    if not args.output and not is_safe(name):
        fail("usage", f"llext pack: `{name}` cannot be the name of a file", help="name the bundle's: `--output`")
    output = args.output or f"{name}{SUFFIX}"
    whole = project.is_all(args.paths)
    args.paths = [project.output] if whole else args.paths
    wanted = Wanted(tuple(args.extension), tuple(args.target), not args.no_debug)
    notes = pack_jobs.notes_on(pack_jobs.failed_logs(project, wanted)) if whole else ()
    if whole and not os.path.isdir(project.output):
        cure = "`llext build` makes it; or name folders, manifests or extensions"
        fail("usage", f"llext pack: there is no folder `{project.output}` here", notes=notes, help=cure)
    reporter = Reporter()
    packed = gather(args.paths, wanted, reporter)
    _check_choice(args, packed, notes, reporter)
    if whole:
        reporter.add(pack_jobs.differences(project, (each.entry.job for each in packed), wanted))
    reporter.add(pack_stale.outdated(project, packed, wanted, whole=whole))
    helpers = _check_each(packed, project.policy, reporter)
    reporter.checkpoint()
    key = private_key(args.key) if args.key else None  # late: it may ask for a password
    read = [path for each in packed for path in each.artifact.paths] + ([args.key] if args.key else [])
    spare(output, read, "llext pack: --output")
    spare(args.sbom or "", read, "llext pack: --sbom")
    spare_other(output, KIND, "bundle", "llext pack: --output")
    spare_other(args.sbom or "", BILL, "bill of materials", "llext pack: --sbom")
    bill = sbom(name, version, time, packed, helpers)
    files = members(name, version, time, packed, bill)
    signature = keys.sign(key, next(iter(files.values()))) if key else b""
    data = archive(files, time, signature)
    write_all({output: data, **({args.sbom: bill} if args.sbom else {})})
    signed = f", signed with key {keys.public_of(key).id[: keys.SHOWN]}" if key else ""
    if reporter.diagnostics:
        report(reporter.diagnostics)
    print(f"{output}: {number(len(packed), 'artifact')}, {number(len(data), 'byte')}{signed}")
    return 0


def identity(args: argparse.Namespace, said: PackSettings) -> tuple[str, str]:
    """Name and version of the bundle: as given, or of the settings, or of the project, or of the file or folder.

    Raises:
        UsageError: ``usage``, ``settings-syntax``.
        FormatError: ``file-unreadable``.
    """
    name, version = args.name or said.name, args.version or said.version
    project = settings_pack.of_project([key for key, value in (("name", name), ("version", version)) if not value])
    stem = os.path.basename(args.output or os.getcwd()).removesuffix(SUFFIX) or "bundle"
    name, version = name or project.name or stem, version or project.version
    for option, value in (("--name", name), ("--version", version)):
        if not is_word(value, empty=option == "--version") or (option == "--name" and set(value) & set("/\\")):
            fail("usage", f"llext pack: {option}: `{value}` is no {option[2:]}", help="give a word")
    return name, version


def epoch() -> int:
    """The time that all files of a bundle bear: ``SOURCE_DATE_EPOCH``, or 0.

    Raises:
        UsageError: ``usage`` if it is no time.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > LATEST:
        cure = "set it to the seconds since 1970, or not at all"
        fail("usage", f"SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds", help=cure)
    return int(text)


def _check_choice(
    args: argparse.Namespace, packed: Sequence[Packed], notes: tuple[str, ...], reporter: Reporter
) -> None:
    """Report that nothing is left, or that a name chose nothing."""
    for name in args.extension:
        if name not in {each.entry.name for each in packed} and not reporter.failed:
            fail("usage", f"llext pack: there is no extension `{name}` among the artifacts", help="look for it in dist")
    absent = [name for name in args.target if not any(_is_for(each, name) for each in packed)]
    if (absent or not packed) and not reporter.failed:
        where = ", ".join(f"`{path}`" for path in args.paths)
        chosen = f" for {listed(absent)}" if absent else ""
        text = f"llext pack: there are no artifacts{chosen} in {where}"
        fail("usage", text, notes=notes, help="`llext build` makes them")


def _is_for(each: Packed, target: str) -> bool:
    return Wanted(targets=(target,)).takes(each.entry.job, each.artifact)


def _is_of_firmware(each: Diagnostic) -> bool:
    """Whether an error is only about what a firmware has, or has not."""
    return CODES[each.code].error is UndefinedError


def _check_each(packed: Sequence[Packed], policy: Policy, reporter: Reporter) -> dict[Entry, list[str]]:
    """The compiler's helpers in each extension; those that the loader of their manifest does not take are reported.

    Whether a firmware has what they import is not asked: that is what the manifests are for. What the settings ignore
    is ignored here, too.
    """
    helpers = {}
    for each in packed:
        path = each.artifact.extension
        try:
            loader = profiles.load(profile_of(each.document) or profiles.DEFAULT)
            obj = read_object(each.files[each.entry.extension], path)
            helpers[each.entry] = helpers_in(obj)
            check(obj, profile=loader, ignored=policy.hidden(path))
        except LlextError as error:
            found = (d._replace(location=d.location or at(each.artifact)) for d in error.diagnostics)
            errors = (d for d in found if d.severity == "error" and not _is_of_firmware(d))
            reporter.add(policy.apply(errors, path))
    return helpers

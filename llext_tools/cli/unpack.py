"""``llext unpack``: the files of a bundle."""

from __future__ import annotations

import argparse

from llext_tools.bundle.signed import trusted_keys
from llext_tools.bundle.unpack import unpack
from llext_tools.cli import settings, settings_pack
from llext_tools.cli.signing import signed_bundle, signer
from llext_tools.diag import Reporter, number
from llext_tools.files import read_bytes

DESCRIPTION = """\
Write the artifacts of a bundle to a folder, with its bill of materials: a folder for each target and
toolchain. Every byte is verified first; all files are written or none. With a key, here or in
[pack] of the settings, the bundle must be signed with it."""
EXAMPLE = "llext unpack blink.llextpack -C dist --key release.pub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="a `.llextpack` file")
    parser.add_argument("-C", "--directory", metavar="DIR", default=".", help="default: the current folder")
    parser.add_argument("--key", metavar="FILE", action="append", default=[], help="a public key that is trusted")
    parser.add_argument("--force", action="store_true", help="replace files that have other contents")


def run(args: argparse.Namespace) -> int:
    reporter = Reporter()
    paths = args.key or settings_pack.read(settings.find()).key
    trusted = trusted_keys(paths, reporter) if paths else None
    reporter.checkpoint()
    bundle, key = signed_bundle(args.bundle, read_bytes(args.bundle), reporter, trusted)
    reporter.checkpoint()
    assert bundle
    files = {name: bundle.members[name] for name in bundle.contents.files}
    written = unpack(files, args.directory, force=args.force)
    same = f", {len(files) - len(written):,} were there" if len(written) < len(files) else ""
    print(f"{args.directory}: {number(len(written), 'file')} written{same}; {signer(key, trusted)}")
    return 0

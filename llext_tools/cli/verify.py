"""``llext verify``: whether a bundle, or an artifact, is what was packed and signed."""

from __future__ import annotations

import argparse
import os

from llext_tools.artifact import changed_files, read_artifact
from llext_tools.bundle import looks_like_bundle
from llext_tools.bundle.keys import Public
from llext_tools.bundle.signed import signed_by, trusted_keys
from llext_tools.cli import settings, settings_pack
from llext_tools.cli.signing import neither, signed_bundle, signer
from llext_tools.diag import Location, Reporter, fail, number
from llext_tools.files import read_bytes

DESCRIPTION = """\
Say whether a bundle is byte by byte what was packed, and signed with a key that is trusted. A manifest
is verified by the signature beside it, `.sig`, and vouches for its extension and debug file. All
that is wrong is reported, file by file."""
EXAMPLE = """
llext verify blink.llextpack --key release.pub
llext verify dist/cortex-m4-gcc/blink.json --key release.pub
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a bundle, or the manifest of an extension")
    parser.add_argument(
        "--key",
        metavar="FILE",
        action="append",
        default=[],
        help="a public key that is trusted; default: `key` in [pack] of the settings; repeatable",
    )
    parser.add_argument(
        "--digests-only", action="store_true", help="ask for no signature, only whether all is as packed"
    )


def run(args: argparse.Namespace) -> int:
    reporter = Reporter()
    trusted = _trusted(args, reporter)
    reporter.checkpoint()
    lines = []
    for path in args.files:
        data = read_bytes(path)  # once: a pipe gives it no second time
        manifest = path.endswith(".json")
        if looks_like_bundle(path, data) or not (data or manifest):
            lines.append(_bundle(path, data, trusted, reporter))
        elif manifest:
            lines.append(_artifact(path, data, trusted, reporter))
        else:
            neither("llext verify", path)
    reporter.checkpoint()
    print("\n".join(lines))
    return 0


def _trusted(args: argparse.Namespace, reporter: Reporter) -> dict[str, Public] | None:
    """The keys that are trusted; None if nobody asks for a signature."""
    if args.digests_only:
        if args.key:
            fail("usage", "llext verify: --digests-only looks at no --key", help="leave one of them out")
        return None
    paths = args.key or settings_pack.read(settings.find()).key
    if not paths:
        cure = "give --key FILE, or `key` in [pack] of llext.toml; `--digests-only` finds damage, but not forgery"
        fail("usage", "llext verify: nobody says which key is trusted", help=cure)
    return trusted_keys(paths, reporter)


def _bundle(path: str, data: bytes, trusted: dict[str, Public] | None, reporter: Reporter) -> str:
    """What was verified, in words."""
    bundle, key = signed_bundle(path, data, reporter, trusted)
    if bundle is None:
        return ""
    what = f"{number(len(bundle.contents.artifacts), 'artifact')}, {number(len(bundle.contents.files), 'file')}"
    return f"{path}: {what}, each byte as packed; {signer(key, trusted)}"


def _artifact(path: str, data: bytes, trusted: dict[str, Public] | None, reporter: Reporter) -> str:
    """The same for a manifest and the files that it is of."""
    at = Location(file=path)
    artifact = read_artifact(path, data)
    for file, reason in changed_files(artifact):
        text = f"`{file}` was changed: it {reason}"
        code = "bundle-missing" if reason == "is missing" else "bundle-changed"
        reporter.error(code, text, at=at, help="get it again from where it was built")
    name = f"{path}.sig"
    signature = read_bytes(name) if os.path.lexists(name) else b""
    key = signed_by(signature, data, reporter, trusted, at=at, what=path, name=name)
    return f"{path}: {number(len(artifact.paths), 'file')}, as built; {signer(key, trusted)}"

"""``llext sign``: an Ed25519 signature for a bundle or a manifest, and keys for it."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress

from llext_tools.artifact import read_artifact, report_changed
from llext_tools.bundle import keys, looks_like_bundle
from llext_tools.bundle.pack import archive
from llext_tools.cli.signing import PASSWORD, neither, private_key, whole_bundle
from llext_tools.diag import Reporter, fail
from llext_tools.files import read_bytes, reason, write_atomically, write_cure

DESCRIPTION = f"""\
Sign a bundle, in place, or a manifest, whose signature is written beside it as `.sig`. What is signed
are digests: those of all files in the bundle, or of the extension and its debug file. Keys are
Ed25519, in PEM as openssl writes it or in OpenSSH's format; the password of a protected one is
asked for, or taken from {PASSWORD}."""
EXAMPLE = """
llext sign --new-key key.pem
llext sign blink.llextpack --key key.pem
llext verify blink.llextpack --key key.pem.pub
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="*", help="a bundle, or the manifest of an extension")
    parser.add_argument("--key", metavar="FILE", help="the private key to sign with")
    parser.add_argument("--new-key", metavar="FILE", help="make a private key, and `FILE.pub` to verify with")


def run(args: argparse.Namespace) -> int:
    if args.new_key is not None:
        if args.files or args.key:
            fail("usage", "llext sign: --new-key makes keys and signs nothing", help="call it twice")
        return _new_key(args.new_key)
    if not args.files or args.key is None:
        missing = "a bundle or a manifest" if not args.files else "--key FILE"
        cure = "`llext sign --new-key FILE` makes a pair of keys" if args.files else "name what to sign"
        fail("usage", f"llext sign: missing argument: {missing}", help=cure)
    key = private_key(args.key)
    identity = keys.public_of(key).id[: keys.SHOWN]
    for path in args.files:
        data = read_bytes(path)  # once: a pipe gives it no second time
        if looks_like_bundle(path, data):
            bundle = whole_bundle(path, data)
            write_atomically(path, archive(bundle.members, bundle.contents.time, keys.sign(key, bundle.signed)))
            print(f"{path}: signed with key {identity}")
        elif path.endswith(".json"):
            write_atomically(f"{path}.sig", keys.sign(key, _true_manifest(path, data)))
            print(f"{path}.sig: signed with key {identity}")
        else:
            neither("llext sign", path)
    return 0


def _true_manifest(path: str, data: bytes) -> bytes:
    """The contents of a manifest, if they tell the truth: no other one is signed.

    Raises:
        FormatError: ``manifest-syntax``, ``manifest-stale``.
    """
    reporter = Reporter()
    report_changed(read_artifact(path, data), reporter)
    reporter.checkpoint()
    return data


def _new_key(path: str) -> int:
    public = f"{path}.pub"
    for each in (path, public):
        if os.path.lexists(each):
            fail("file-unwritable", f"cannot write `{each}`: it is there already", help="keys are never replaced")
    try:
        private, other = keys.new_pair(os.environ.get(PASSWORD, ""))
    except ValueError as error:
        fail("signature-key", f"{PASSWORD} cannot protect a key: {error}", help="take a shorter one")
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
    except (OSError, ValueError) as error:
        fail("file-unwritable", f"cannot write `{path}`: {reason(error)}", help=write_cure(error, path))
    try:
        write_atomically(public, other)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    print(f"{path}: the private key, for `llext sign`; keep it to yourself")
    print(f"{public}: the public key {keys.read_public(other).id[: keys.SHOWN]}, for `llext verify`")
    return 0

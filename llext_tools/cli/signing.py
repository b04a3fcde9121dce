"""Keys, bundles and signatures as the commands about them need them."""

from __future__ import annotations

import os
import shlex
import sys
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from llext_tools.bundle import INDEX, keys
from llext_tools.bundle.keys import Public
from llext_tools.bundle.signed import signed_by
from llext_tools.bundle.verify import Bundle, check
from llext_tools.diag import Location, Reporter, fail
from llext_tools.files import read_bytes

PASSWORD = "LLEXT_SIGN_PASSWORD"


def private_key(path: str) -> Ed25519PrivateKey:
    """The private key in a file; its password comes from the environment, or the terminal asks for it.

    Raises:
        UsageError: ``signature-key``.
        FormatError: ``file-unreadable``.
    """
    data = read_bytes(path)
    try:
        return keys.read_private(data, password(path) if keys.is_protected(data) else "")
    except ValueError as error:
        at = Location(file=path)
        fail("signature-key", f"`{path}` cannot sign: {error}", at=at, help=_cure(error, data, path))


def _cure(error: ValueError, data: bytes, path: str) -> str:
    if isinstance(error, keys.PasswordError) and error.given:
        return f"{PASSWORD} has that of another key" if os.environ.get(PASSWORD) else "type it again"
    if isinstance(error, keys.PasswordError):
        return f"set {PASSWORD}, or call it in a terminal, which asks for it"
    if data.lstrip().startswith(keys.OPENSSH) and keys.is_protected(data):
        return f"`ssh-keygen -p -f {shlex.quote(path)}` writes it anew, with a cipher that is known everywhere"
    return "`llext sign --new-key FILE` makes a pair of keys"


def password(path: str) -> str:
    """The password of a key; "" if nobody can be asked."""
    if said := os.environ.get(PASSWORD):
        return said
    if not sys.stdin.isatty():
        return ""
    from getpass import getpass

    try:
        return getpass(f"password of {path}: ")
    except EOFError:
        return ""


def whole_bundle(path: str, data: bytes) -> Bundle:
    """The bundle in the bytes of a file, of which every digest holds, and the signature too if it has one.

    Raises:
        BundleError: what is wrong with it.
    """
    reporter = Reporter()
    bundle, _ = signed_bundle(path, data, reporter, None)
    reporter.checkpoint()
    assert bundle
    return bundle


def signed_bundle(
    path: str, data: bytes, reporter: Reporter, trusted: dict[str, Public] | None
) -> tuple[Bundle | None, Public | None]:
    """The bundle in a file's bytes, if it can be read at all, and whose signature it has; what is wrong is reported.

    Args:
        trusted: the keys that may have signed it; None for any key, or none.
    """
    bundle = check(path, data, reporter)
    if bundle is None or INDEX not in bundle.members or (bundle.damaged and not bundle.signature):
        return None, None  # whether anybody has signed what was cut off, nobody knows
    at = Location(file=path)
    return bundle, signed_by(bundle.signature, bundle.signed, reporter, trusted, at=at, what=INDEX)


def signer(key: Public | None, trusted: dict[str, Public] | None) -> str:
    """In words, whose signature was found, and which of the trusted keys that is."""
    if key is None:
        return "not signed"
    names = ", ".join(f"`{path}`" for path, each in (trusted or {}).items() if each == key)
    whose = f" of {names}" if names else ", which need not be one that you trust"
    return f"signed with key {key.id[: keys.SHOWN]}{whose}"


def neither(command: str, path: str) -> NoReturn:
    """Refuse a file that is neither a bundle nor a manifest."""
    fail("usage", f"{command}: `{path}` is neither a bundle nor a manifest", help="name a .llextpack or .json file")

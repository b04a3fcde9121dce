"""Whose signature a document has, and whether one of the keys that the caller trusts has made it."""

from __future__ import annotations

from collections.abc import Sequence

from llext_tools.bundle import SIGNATURE
from llext_tools.bundle.keys import SHOWN, Public, parse, read_public
from llext_tools.diag import Location, Reporter
from llext_tools.files import read_bytes


def trusted_keys(paths: Sequence[str], reporter: Reporter) -> dict[str, Public]:
    """The public keys in some files, by path; those that are none are reported.

    Raises:
        FormatError: ``file-unreadable``.
    """
    found = {}
    for path in paths:
        try:
            found[path] = read_public(read_bytes(path))
        except ValueError as error:
            cure = "name the file with the public key, such as `key.pem.pub`"
            reporter.error("signature-key", f"`{path}` cannot verify: {error}", at=Location(file=path), help=cure)
    return found


def signed_by(
    signature: bytes,
    data: bytes,
    reporter: Reporter,
    trusted: dict[str, Public] | None,
    *,
    at: Location,
    what: str,
    name: str = SIGNATURE,
) -> Public | None:
    """The key whose signature holds for some bytes; None if none does, which is reported.

    Args:
        signature: the document of it, b"" if there is none.
        trusted: the keys that may have signed; None for any key, or none at all.
        what: what ``data`` is called.
        name: what the signature is called.
    """
    if not signature:
        if trusted is not None:
            cure = "have it signed by whom you trust: `llext sign`; `--digests-only` does without"
            reporter.error("signature-missing", f"nobody has signed `{what}`", at=at, help=cure)
        return None
    try:
        found = parse(signature)
    except ValueError as error:
        reporter.error("signature-wrong", f"`{name}` was changed: {error}", at=at)
        return None
    if not found.holds(data):
        text = f"`{what}` was changed: it is not what key {found.key.id[:SHOWN]} has signed in `{name}`"
        reporter.error("signature-wrong", text, at=at)
        return None
    if trusted is not None and found.key not in trusted.values():
        text = f"`{what}` is signed with key {found.key.id[:SHOWN]}, which is not trusted"
        known = tuple(f"`{path}` is key {key.id[:SHOWN]}" for path, key in trusted.items())
        reporter.error("signature-untrusted", text, at=at, detail=known)
        return None
    return found.key

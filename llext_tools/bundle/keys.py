"""Signatures by Ed25519 (RFC 8032) and the files of keys: PEM as openssl writes it, or OpenSSH's own format.

A signature is a small document beside what it signs, or the last file of a bundle:

    {"format": 1, "algorithm": "Ed25519", "key": "<id>", "public_key": "<base64>", "signature": "<base64>"}

``public_key`` is the DER of a SubjectPublicKeyInfo, which is also what a PEM file has between its dashes, and ``key``
the SHA-256 of it. Like all that is compared byte by byte it can be written in one way only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = 1
ALGORITHM = "Ed25519"
SHOWN = 16
"""Letters of an id that are shown: 64 bits."""
PROTECTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY"


class PasswordError(ValueError):
    """A key wants a password. ``given``: there was one, but it is another's."""

    def __init__(self, *, given: bool) -> None:
        super().__init__("the password is wrong" if given else "it is protected by a password")
        self.given = given


class Public(NamedTuple):
    """A key that verifies. ``der``: its SubjectPublicKeyInfo."""

    der: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(self.der).hexdigest()


class Signature(NamedTuple):
    key: Public
    signature: bytes

    def holds(self, data: bytes) -> bool:
        """Whether it was made of these very bytes with that key."""
        key = pem.load_der_public_key(self.key.der)
        assert isinstance(key, Ed25519PublicKey)
        try:
            key.verify(self.signature, data)
        except InvalidSignature:
            return False
        return True


def new_pair(password: str = "") -> tuple[bytes, bytes]:
    """A new private key and its public key, as files.

    Raises:
        ValueError: the password is longer than one can be.
    """
    key = Ed25519PrivateKey.generate()
    hidden = pem.BestAvailableEncryption(_encoded(password)) if password else pem.NoEncryption()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, hidden)
    return private, key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)


def _encoded(password: str) -> bytes:
    """The bytes that were typed, or that the environment has, in UTF-8 or not."""
    return password.encode(errors="surrogateescape")


def is_protected(data: bytes) -> bool:
    """Whether the file of a private key asks for a password. OpenSSH tells only to those who try."""
    if not data.lstrip().startswith(OPENSSH):
        return any(mark in data for mark in PROTECTED)
    try:
        blob = base64.b64decode(b"".join(data.split(b"-----")[2].split()))
    except (ValueError, IndexError):
        return False
    return b"bcrypt" in blob[:64]


def read_private(data: bytes, password: str = "") -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        ValueError: there is none that signs here; the message says why.
        PasswordError: one of them, that another password may cure.
    """
    data = data.lstrip()
    load: Any = pem.load_ssh_private_key if data.startswith(OPENSSH) else pem.load_pem_private_key
    try:
        key = load(data, _encoded(password) if password and is_protected(data) else None)
    except UnsupportedAlgorithm as error:
        raise ValueError(f"it cannot be read ({error})") from None
    except (ValueError, TypeError, InvalidTag):
        if is_protected(data):
            raise PasswordError(given=bool(password)) from None
        raise ValueError("it is no private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is a key of another kind than Ed25519")
    return key


def read_public(data: bytes) -> Public:
    """The public key in a file; of a private key's file without a password its public half is none of our business.

    Raises:
        ValueError: there is none that verifies here; the message says why.
    """
    if b"PRIVATE KEY" in data:
        raise ValueError("it is a private key; signatures are verified with the public one")
    lines = [line.strip() for line in data.splitlines()]
    of_ssh = [line for line in lines if line and not line.startswith(b"#")]  # as OpenSSH reads such a file
    is_ssh = len(of_ssh) == 1 and of_ssh[0].startswith(b"ssh-")
    try:
        key: Any = pem.load_ssh_public_key(of_ssh[0]) if is_ssh else pem.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("it is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is a key of another kind than Ed25519")
    return public_of(key)


def public_of(key: Ed25519PublicKey | Ed25519PrivateKey) -> Public:
    """The public half of a key."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return Public(public.public_bytes(pem.Encoding.DER, pem.PublicFormat.SubjectPublicKeyInfo))


def sign(key: Ed25519PrivateKey, data: bytes) -> bytes:
    """The document of a signature over some bytes."""
    return to_bytes(Signature(public_of(key), key.sign(data)))


def to_bytes(signature: Signature) -> bytes:
    """The document of a signature, as it is written."""
    document = {
        "format": FORMAT,
        "algorithm": ALGORITHM,
        "key": signature.key.id,
        "public_key": base64.b64encode(signature.key.der).decode(),
        "signature": base64.b64encode(signature.signature).decode(),
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def parse(data: bytes) -> Signature:
    """The signature in a document.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        document = json.loads(data)
        der, signature = (base64.b64decode(document[key], validate=True) for key in ("public_key", "signature"))
        key = pem.load_der_public_key(der)
    except (ValueError, RecursionError, KeyError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("it is no document of a signature") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"its algorithm is not {ALGORITHM}")
    found = Signature(public_of(key), signature)
    if to_bytes(found) != data:
        raise ValueError("it is not written as `llext sign` writes it")
    return found

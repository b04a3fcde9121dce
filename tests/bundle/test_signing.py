"""Signatures, keys and whom to trust. Oracles: openssl, ssh-keygen."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from bundle import made
from needs import need
from transcript import llext


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    """Oracle: openssl, with the bytes of the archive and its own reading of the key."""
    openssl: str = need("openssl")
    made.dist(tmp_path)
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True)
    files = made.members(made.packed(tmp_path, "--key", str(private)).read_bytes())
    (tmp_path / "index.json").write_bytes(files["index.json"])
    signature = json.loads(files["signature.json"])
    (tmp_path / "sig").write_bytes(base64.b64decode(signature["signature"]))
    assert "".join(public.read_text().splitlines()[1:-1]) == signature["public_key"]
    command = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public)]
    command += ["-in", str(tmp_path / "index.json")]
    done = subprocess.run([*command, "-sigfile", str(tmp_path / "sig")], capture_output=True, text=True, check=False)
    assert (done.returncode, "Verified Successfully" in done.stdout) == (0, True), done.stdout
    der = subprocess.run([openssl, "pkey", "-pubin", "-in", public, "-outform", "DER"], capture_output=True, check=True)
    assert signature["key"] == hashlib.sha256(der.stdout).hexdigest()


def test_signing_later_is_the_same_as_at_once(tmp_path: Path) -> None:
    made.dist(tmp_path)
    private, _ = made.keys(tmp_path)
    at_once = made.packed(tmp_path, "--key", private).read_bytes()
    path = made.packed(tmp_path)
    for _ in range(2):  # signing again replaces the signature
        assert llext("sign", str(path), "--key", private)[0] == 0
        assert path.read_bytes() == at_once
    assert stat.S_IMODE(os.stat(private).st_mode) == 0o600
    assert made.refused("sign", "--new-key", private)[:2] == (3, {"file-unwritable"})


def test_an_artifact_is_signed_by_its_manifest(tmp_path: Path) -> None:
    dist = made.dist(tmp_path, ("blink",))
    private, public = made.keys(tmp_path)
    manifest = dist / "cortex-m4-gcc/blink.json"
    assert made.refused("verify", str(manifest), "--key", public)[:2] == (15, {"signature-missing"})
    assert llext("sign", str(manifest), "--key", private)[0] == 0
    code, _, printed = made.refused("verify", str(manifest), "--key", public)
    assert (code, "3 files, as built; signed with key" in printed) == (0, True)
    extension = dist / "cortex-m4-gcc/blink.llext"
    extension.write_bytes(extension.read_bytes() + b"!")
    (dist / "cortex-m4-gcc/blink.debug.elf").unlink()
    code, codes, printed = made.refused("verify", str(manifest), "--key", public)
    assert (code, codes) == (15, {"bundle-changed", "bundle-missing"})
    assert f"`{extension}` was changed" in printed
    assert made.refused("sign", str(manifest), "--key", private)[:2] == (3, {"manifest-stale"})


def test_whom_to_trust_must_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path, ("blink",))
    private, _ = made.keys(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = str(made.packed(tmp_path, "--key", private))
    code, codes, printed = made.refused("verify", path)
    assert (code, codes, "--digests-only" in printed) == (2, {"usage"}, True)
    (tmp_path / "llext.toml").write_text('[pack]\nname = "kit"\nversion = "3"\nkey = "key.pem.pub"\n')
    assert llext("verify", path)[0] == 0
    assert llext("pack")[0] == 0
    assert json.loads(made.members((tmp_path / "kit.llextpack").read_bytes())["index.json"])["version"] == "3"
    (tmp_path / "llext.toml").write_text('[pack]\nname = 3\nkeys = "key.pem.pub"\n')
    code, codes, printed = made.refused("pack")
    assert (code, codes, "did you mean `key`?" in printed) == (2, {"settings-syntax"}, True)
    assert "`name` is a number, not text" in printed
    (tmp_path / "llext.toml").unlink()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "whole"\nversion = "4.5"\n')
    assert llext("pack")[0] == 0
    assert json.loads(made.members((tmp_path / "whole.llextpack").read_bytes())["index.json"])["version"] == "4.5"

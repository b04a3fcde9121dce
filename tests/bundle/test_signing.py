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


@pytest.mark.parametrize("form", ["pem", "openssh"])
def test_keys_with_a_password(form: str, tmp_path: Path) -> None:
    """Oracle: the public key that openssl or ssh-keygen's format has, verifies."""
    made.dist(tmp_path, ("blink",))
    path, key = made.packed(tmp_path), tmp_path / "key"
    if form == "pem":
        openssl: str = need("openssl")
        command = [openssl, "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret", "-out", str(key)]
        subprocess.run(command, check=True)
        command = [openssl, "pkey", "-in", str(key), "-passin", "pass:secret", "-pubout", "-out", f"{key}.pub"]
    else:
        command = [need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    if form == "pem":
        code, codes, printed = made.refused("sign", str(path), "--key", str(key))
        assert (code, codes, "protected by a password" in printed) == (2, {"signature-key"}, True)
        code, codes, printed = made.refused(
            "sign", str(path), "--key", str(key), environment={"LLEXT_SIGN_PASSWORD": "x"}
        )
        assert (code, codes, "the password is wrong" in printed) == (2, {"signature-key"}, True)
    assert llext("sign", str(path), "--key", str(key), environment={"LLEXT_SIGN_PASSWORD": "secret"})[0] == 0
    assert llext("verify", str(path), "--key", f"{key}.pub")[0] == 0


def test_keys_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    openssl: str = need("openssl")
    made.dist(tmp_path, ("blink",))
    private, public = made.keys(tmp_path)
    bundle, other = str(made.packed(tmp_path)), str(tmp_path / "ec.pem")
    command = [openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other]
    subprocess.run(command, check=True, capture_output=True)
    for command, key, part in (
        (["sign", bundle], other, "another kind than Ed25519"),
        (["sign", bundle], public, "no private key"),
        (["verify", bundle], private, "it is a private key"),
        (["verify", bundle], bundle, "no public key"),
    ):
        code, codes, printed = made.refused(*command, "--key", key)
        assert (code, codes, part in printed, f"`{key}`" in printed) == (2, {"signature-key"}, True, True), printed


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

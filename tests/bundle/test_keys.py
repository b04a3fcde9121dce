"""Files of keys, with and without a password. Oracles: openssl and ssh-keygen, which have made them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import made
from needs import need
from transcript import llext

PASSWORD = "LLEXT_SIGN_PASSWORD"
OPENSSL = ["genpkey", "-algorithm", "ed25519", "-out"]
PKCS8 = {"aes": ["-v2", "aes-256-cbc"], "des3": ["-v2", "des3"], "scrypt": ["-scrypt"]}
"""Options of `openssl pkcs8 -topk8`: how the password hides the key."""
OPENSSH = {"ctr": "aes256-ctr", "gcm": "aes256-gcm@openssh.com"}
"""Ciphers of ssh-keygen."""
FORMS = [*PKCS8, *OPENSSH]


def key_of(form: str, password: str, folder: Path) -> Path:
    """A private key as one of the two programs writes it, its public key beside it."""
    path, plain = folder / form, folder / "plain"
    if form in OPENSSH:
        cipher = ["-Z", OPENSSH[form]] if password else []
        command = [need("ssh-keygen"), "-q", "-t", "ed25519", "-N", password, *cipher, "-f", str(path)]
        subprocess.run(command, check=True)
        return path
    openssl: str = need("openssl")
    subprocess.run([openssl, *OPENSSL, str(plain if password else path)], check=True)
    if password:
        command = [openssl, "pkcs8", "-topk8", *PKCS8[form], "-in", str(plain), "-out", str(path)]
        subprocess.run([*command, "-passout", f"pass:{password}"], check=True)
    command = [openssl, "pkey", "-in", str(path), "-passin", f"pass:{password}", "-pubout", "-out", f"{path}.pub"]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("form", ["aes", "ctr"])
def test_a_key_without_a_password_asks_for_none(form: str, tmp_path: Path) -> None:
    made.dist(tmp_path, ("blink",))
    path, key = str(made.packed(tmp_path)), key_of(form, "", tmp_path)
    assert llext("sign", path, "--key", str(key), environment={PASSWORD: "of another key"})[0] == 0
    assert llext("verify", path, "--key", f"{key}.pub")[0] == 0


@pytest.mark.parametrize("form", FORMS)
def test_keys_with_a_password(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTF-8, as both programs take what they are given."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.delenv(PASSWORD, raising=False)
    made.dist(tmp_path, ("blink",))
    path, key = str(made.packed(tmp_path)), key_of(form, "geheim ü", tmp_path)
    before = Path(path).read_bytes()
    for environment, parts in (
        ({}, ("protected by a password", f"set {PASSWORD}", "terminal")),
        ({PASSWORD: ""}, ("protected by a password", f"set {PASSWORD}")),
        ({PASSWORD: "x"}, ("the password is wrong", f"{PASSWORD} has that of another key")),
    ):
        code, codes, printed = made.refused("sign", path, "--key", str(key), environment=environment)
        assert (code, codes) == (2, {"signature-key"})
        assert all(part in printed for part in parts), printed
    assert Path(path).read_bytes() == before
    assert llext("sign", path, "--key", str(key), environment={PASSWORD: "geheim ü"})[0] == 0
    assert llext("verify", path, "--key", f"{key}.pub")[0] == 0


@pytest.mark.parametrize("password", ["", "secret"])
@pytest.mark.parametrize("form", ["aes", "ctr"])
def test_blank_lines_and_comments_are_passed_over(form: str, password: str, tmp_path: Path) -> None:
    """Oracle: the public key is also read by ssh-keygen."""
    made.dist(tmp_path, ("blink",))
    path, key = str(made.packed(tmp_path)), key_of(form, password, tmp_path)
    public = Path(f"{key}.pub")
    key.write_bytes(b"\n\r\n" + key.read_bytes() + b"\n")
    public.write_bytes(b"# of the release\n\n" + public.read_bytes() + b"\n")
    if form == "ctr":
        subprocess.run([need("ssh-keygen"), "-l", "-f", str(public)], check=True, capture_output=True)
    assert llext("sign", path, "--key", str(key), environment={PASSWORD: password})[0] == 0
    assert llext("verify", path, "--key", str(public))[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")
@pytest.mark.parametrize(
    ("word", "code", "part"), [("secret", 0, ": signed with key"), ("wrong-word", 2, "type it again")]
)
def test_a_terminal_asks_for_the_password(word: str, code: int, part: str, tmp_path: Path) -> None:
    """What is typed is not shown."""
    made.dist(tmp_path, ("blink",))
    path, key = made.packed(tmp_path), key_of("aes", "secret", tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != PASSWORD}
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "llext_tools", "sign", str(path), "--key", str(key)]
    shown = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True):
        os.close(theirs)
        while b"password of" not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, f"{word}\n".encode())
        while more := _read(ours):
            shown += more
    os.close(ours)
    printed = " ".join(shown.decode().split())
    assert part in printed
    assert word not in printed
    verified = llext("verify", str(path), "--key", f"{key}.pub")[0]
    assert verified == (0 if code == 0 else 15)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:  # nobody is at the other end any more
        return b""


@pytest.mark.parametrize("password", ["", "geheim \udcff"])
def test_a_new_key_may_have_a_password(password: str, tmp_path: Path) -> None:
    """Any bytes, for the environment may have any. Oracle: openssl, which gives out the same public key."""
    openssl: str = need("openssl")
    private = tmp_path / "key.pem"
    assert llext("sign", "--new-key", str(private), environment={PASSWORD: password})[0] == 0
    word = tmp_path / "word"
    word.write_bytes(os.fsencode(password))
    command = [openssl, "pkey", "-in", str(private), "-pubout", *(["-passin", f"file:{word}"] if password else [])]
    assert subprocess.run(command, check=True, capture_output=True).stdout == Path(f"{private}.pub").read_bytes()
    assert (b"ENCRYPTED" in private.read_bytes()) == bool(password)


def test_a_password_can_be_too_long(tmp_path: Path) -> None:
    code, codes, printed = made.refused("sign", "--new-key", str(tmp_path / "k"), environment={PASSWORD: "x" * 2000})
    assert (code, codes, PASSWORD in printed, [*tmp_path.iterdir()]) == (2, {"signature-key"}, True, [])


def test_a_cipher_that_is_not_known_has_a_cure(tmp_path: Path) -> None:
    """ssh-keygen itself writes the key anew, as the message says."""
    keygen: str = need("ssh-keygen")
    made.dist(tmp_path, ("blink",))
    path, key = str(made.packed(tmp_path)), str(tmp_path / "key")
    command = [keygen, "-q", "-t", "ed25519", "-N", "secret", "-Z", "chacha20-poly1305@openssh.com", "-f", key]
    subprocess.run(command, check=True)
    code, codes, printed = made.refused("sign", path, "--key", key, environment={PASSWORD: "secret"})
    assert (code, codes, f"`ssh-keygen -p -f {key}`" in printed) == (2, {"signature-key"}, True), printed
    subprocess.run([keygen, "-q", "-p", "-P", "secret", "-N", "secret", "-f", key], check=True)
    assert llext("sign", path, "--key", key, environment={PASSWORD: "secret"})[0] == 0


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

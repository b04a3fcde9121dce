"""Packing, signing, verifying and unpacking. Oracles: Python's tarfile, hashlib, openssl, the schema of CycloneDX."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from bundle import made
from llext_tools.bundle import container
from llext_tools.bundle.verify import check
from llext_tools.cli import pack
from llext_tools.diag import Reporter
from llext_tools.elf.model import ElfObject
from needs import need
from transcript import llext


def refused(*command: str, environment: dict[str, str] | None = None) -> tuple[int, set[str], str]:
    """Exit code, codes of diagnostics, and what was printed in one line."""
    code, printed = llext(*command, environment=environment)
    return code, made.codes_in(printed), " ".join(printed.split())


def test_a_bundle_is_an_archive_of_the_files(tmp_path: Path) -> None:
    dist = made.dist(tmp_path)
    data = made.packed(tmp_path, "--name", "kit", "--version", "1.2").read_bytes()
    files = made.members(data)
    assert next(iter(files)) == "index.json"
    on_disk = {path.relative_to(dist).as_posix(): path.read_bytes() for path in dist.rglob("*") if path.is_file()}
    assert {name: files[name] for name in files if "/" in name} == on_disk
    assert files.keys() - on_disk.keys() == {"index.json", "sbom.cdx.json"}
    index = json.loads(files["index.json"])
    assert (index["name"], index["version"], len(index["artifacts"])) == ("kit", "1.2", 4)
    for name, entry in index["files"].items():
        assert entry == {"size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    assert made.archive(files) == data


def test_two_folders_give_the_same_bundle(tmp_path: Path) -> None:
    found = []
    for name in ("one", "another folder"):
        (tmp_path / name).mkdir()
        made.dist(tmp_path / name)
        found.append(made.packed(tmp_path / name, "--sbom", str(tmp_path / name / "bill.json")).read_bytes())
    assert found[0] == found[1]
    assert (tmp_path / "one/bill.json").read_bytes() == made.members(found[0])["sbom.cdx.json"]


def test_all_files_bear_the_time_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = made.packed(tmp_path)
    with tarfile.open(path, "r:") as archive:
        assert {member.mtime for member in archive} == {1_700_000_000}
        bill = json.loads(archive.extractfile("sbom.cdx.json").read())  # type: ignore[union-attr]
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert llext("verify", str(path), "--digests-only")[0] == 0
    code, codes, printed = refused("pack", str(tmp_path), environment={"SOURCE_DATE_EPOCH": "today"})
    assert (code, codes, "SOURCE_DATE_EPOCH" in printed) == (2, {"usage"}, True)


def test_the_bill_of_materials_is_cyclonedx(tmp_path: Path) -> None:
    """Oracle: the schema of CycloneDX 1.6, strictly."""
    made.dist(tmp_path)
    files = made.members(made.packed(tmp_path, "--name", "kit", "--version", "1.2").read_bytes())
    text = files["sbom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "kit"
    assert [tool["name"] for tool in bill["metadata"]["tools"]["components"]] == ["llext-tools"]
    parts = {part["bom-ref"]: part for part in bill["components"]}
    (dependencies,) = [each["dependsOn"] for each in bill["dependencies"] if each["ref"] == "bundle"]
    assert sorted(dependencies) == sorted(name for name in files if name.endswith(".llext"))
    for name in dependencies:
        digest = hashlib.sha256(files[name]).hexdigest()
        assert parts[name]["hashes"] == [{"alg": "SHA-256", "content": digest}]
        properties = {each["name"].partition(":")[2]: each["value"] for each in parts[name]["properties"]}
        assert properties["job"] == name.partition("/")[0] == f"{properties['target']}-gcc"


def test_the_bill_names_compiler_and_firmware(tmp_path: Path) -> None:
    """Of manifests that name them: both are what the extension depends on."""
    dist = made.dist(tmp_path, ("blink",))
    for path in dist.rglob("*.json"):
        document = json.loads(path.read_text())
        document["toolchain"] = {"name": "gcc", "version": "12.2", "flags": {}}
        firmware = [{"file": "zephyr.elf", "sha256": "0" * 64}]
        document["checked"] = {"profile": "zephyr-4.2", "firmware": firmware, "extensions": [], "warnings": []}
        path.write_text(json.dumps(document))
    files = made.members(made.packed(tmp_path).read_bytes())
    text = files["sbom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    parts = {part["bom-ref"]: part for part in bill["components"]}
    needed = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}["cortex-m4-gcc/blink.llext"]
    assert {(parts[ref]["name"], parts[ref].get("version")) for ref in needed} == {
        ("gcc", "12.2"),
        ("zephyr.elf", None),
    }


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
    assert refused("sign", "--new-key", private)[:2] == (3, {"file-unwritable"})


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
        code, codes, printed = refused("sign", str(path), "--key", str(key))
        assert (code, codes, "protected by a password" in printed) == (2, {"signature-key"}, True)
        code, codes, printed = refused("sign", str(path), "--key", str(key), environment={"LLEXT_SIGN_PASSWORD": "x"})
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
        code, codes, printed = refused(*command, "--key", key)
        assert (code, codes, part in printed, f"`{key}`" in printed) == (2, {"signature-key"}, True, True), printed


def test_an_artifact_is_signed_by_its_manifest(tmp_path: Path) -> None:
    dist = made.dist(tmp_path, ("blink",))
    private, public = made.keys(tmp_path)
    manifest = dist / "cortex-m4-gcc/blink.json"
    assert refused("verify", str(manifest), "--key", public)[:2] == (15, {"signature-missing"})
    assert llext("sign", str(manifest), "--key", private)[0] == 0
    code, _, printed = refused("verify", str(manifest), "--key", public)
    assert (code, "3 files, as built; signed with key" in printed) == (0, True)
    extension = dist / "cortex-m4-gcc/blink.llext"
    extension.write_bytes(extension.read_bytes() + b"!")
    (dist / "cortex-m4-gcc/blink.debug.elf").unlink()
    code, codes, printed = refused("verify", str(manifest), "--key", public)
    assert (code, codes) == (15, {"bundle-changed", "bundle-missing"})
    assert f"`{extension}` was changed" in printed
    assert refused("sign", str(manifest), "--key", private)[:2] == (3, {"manifest-stale"})


def test_whom_to_trust_must_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path, ("blink",))
    private, _ = made.keys(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = str(made.packed(tmp_path, "--key", private))
    code, codes, printed = refused("verify", path)
    assert (code, codes, "--digests-only" in printed) == (2, {"usage"}, True)
    (tmp_path / "llext.toml").write_text('[pack]\nname = "kit"\nversion = "3"\nkey = "key.pem.pub"\n')
    assert llext("verify", path)[0] == 0
    assert llext("pack")[0] == 0
    assert json.loads(made.members((tmp_path / "kit.llextpack").read_bytes())["index.json"])["version"] == "3"
    (tmp_path / "llext.toml").write_text('[pack]\nname = 3\nkeys = "key.pem.pub"\n')
    code, codes, printed = refused("pack")
    assert (code, codes, "did you mean `key`?" in printed) == (2, {"settings-syntax"}, True)
    assert "`name` is a number, not text" in printed
    (tmp_path / "llext.toml").unlink()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "whole"\nversion = "4.5"\n')
    assert llext("pack")[0] == 0
    assert json.loads(made.members((tmp_path / "whole.llextpack").read_bytes())["index.json"])["version"] == "4.5"


def test_some_artifacts_are_chosen(tmp_path: Path) -> None:
    made.dist(tmp_path)
    names = set(made.members(made.packed(tmp_path, "--target", "cortex-m4", "--no-debug").read_bytes()))
    expected = {f"cortex-m4-gcc/{name}" for name in ("blink.llext", "blink.json", "meter.llext", "meter.json")}
    assert names == {"index.json", "sbom.cdx.json", *expected}
    names = set(made.members(made.packed(tmp_path, "--extension", "meter").read_bytes()))
    assert {name.rpartition("/")[2].partition(".")[0] for name in names if "/" in name} == {"meter"}
    assert refused("pack", str(tmp_path), "--extension", "blonk")[:2] == (2, {"usage"})
    assert refused("pack", str(tmp_path), "--target", "rv64gc")[:2] == (2, {"usage"})


def test_what_is_not_whole_is_not_packed(tmp_path: Path) -> None:
    dist, output = made.dist(tmp_path), tmp_path / "b.llextpack"
    one, two, three = (dist / f"cortex-m4-gcc/{name}" for name in ("blink.llext", "meter.json", "meter.debug.elf"))
    one.write_bytes(one.read_bytes() + b"!")
    two.unlink()
    code, codes, printed = refused("pack", str(dist), "-o", str(output))
    assert (code, codes) == (3, {"manifest-stale", "manifest-missing"})
    assert f"`{one}` is not what the manifest says" in printed
    assert f"`{three.parent}/meter.llext` has no manifest" in printed
    assert not output.exists()


def test_nothing_is_packed_over_what_is_read(tmp_path: Path) -> None:
    dist, output, key = made.dist(tmp_path), tmp_path / "b.llextpack", tmp_path / "key.pem"
    assert llext("sign", "--new-key", str(key))[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    link = tmp_path / "link"
    link.symlink_to(dist / "cortex-m4-gcc/blink.json")
    for path in (dist / "cortex-m4-gcc/blink.llext", link, key):
        for options in (["-o", str(path)], ["-o", str(output), "--sbom", str(path)]):
            code, codes, printed = refused("pack", str(dist), "--key", str(key), *options)
            assert (code, codes, "is one of the files that are read" in printed) == (2, {"usage"}, True), printed
    code, codes, printed = refused("pack", str(dist), "-o", str(output), "--sbom", f"{tmp_path}/./b.llextpack")
    assert (code, codes, "would both write" in printed) == (2, {"usage"}, True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != link} == before


def test_what_no_loader_takes_is_not_packed(tmp_path: Path) -> None:
    dist = made.dist(tmp_path, ("blink",), debug=False)
    extension, manifest = dist / "cortex-m4-gcc/blink.llext", dist / "cortex-m4-gcc/blink.json"
    data = b"\x7fELF" + bytes(100)
    extension.write_bytes(data)
    document = json.loads(manifest.read_text())
    document["files"]["blink.llext"] |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.write_text(json.dumps(document))
    code, codes, printed = refused("pack", str(dist), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes <= {"elf-header", "elf-machine", "elf-type"}, str(extension) in printed) == (3, True, True)
    assert not (tmp_path / "b.llextpack").exists()


def test_what_a_firmware_lacks_hides_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check ends with the class of its first error: an import, which is for the firmware to have."""

    def checked(obj: ElfObject, *, reporter: Reporter) -> None:
        reporter.error("undefined-symbol", "`nowhere` is not exported")
        if obj.path.endswith("meter.llext"):
            reporter.error("elf-sections", "there are too many sections")
        reporter.checkpoint()

    monkeypatch.setattr(pack, "check", checked)
    made.dist(tmp_path)
    code, codes, _ = refused("pack", str(tmp_path / "dist"), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes) == (3, {"elf-sections"})
    made.packed(tmp_path, "--extension", "blink")


def test_unpacking_writes_all_or_nothing(tmp_path: Path) -> None:
    dist, output = made.dist(tmp_path), tmp_path / "out"
    path = str(made.packed(tmp_path))
    assert llext("unpack", path, "-C", str(output))[0] == 0
    for source in dist.rglob("*"):
        target = output / source.relative_to(dist)
        assert target.is_dir() if source.is_dir() else target.read_bytes() == source.read_bytes()
    code, _, printed = refused("unpack", path, "-C", str(output))
    assert (code, "0 files written, 13 were there; not signed" in printed) == (0, True)
    changed, gone = output / "cortex-m4-gcc/blink.json", output / "cortex-m33-gcc/blink.json"
    changed.write_text("mine")
    gone.unlink()
    code, codes, printed = refused("unpack", path, "-C", str(output))
    assert (code, codes, "--force" in printed) == (3, {"file-unwritable"}, True)
    assert (changed.read_text(), gone.exists()) == ("mine", False)
    assert llext("unpack", path, "-C", str(output), "--force")[0] == 0
    assert changed.read_bytes() == (dist / "cortex-m4-gcc/blink.json").read_bytes()


def test_unpacking_asks_for_the_keys_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path)
    (private, public), (_, other) = made.keys(tmp_path), made.keys(tmp_path, "other.pem")
    path = str(made.packed(tmp_path, "--key", private))
    monkeypatch.chdir(tmp_path)
    assert "which need not be one that you trust" in llext("unpack", path, "-C", "a")[1]
    assert "of `key.pem.pub`" in llext("unpack", path, "-C", "b", "--key", "key.pem.pub")[1]
    (tmp_path / "llext.toml").write_text(f"[pack]\nkey = [{other!r}]\n")
    code, codes, _ = refused("unpack", path, "-C", "c")
    assert (code, codes, (tmp_path / "c").exists()) == (15, {"signature-untrusted"}, False)
    assert llext("unpack", path, "-C", "c", "--key", public)[0] == 0


def test_unpacking_follows_no_link(tmp_path: Path) -> None:
    made.dist(tmp_path)
    path, output, elsewhere = made.packed(tmp_path), tmp_path / "out", tmp_path / "elsewhere"
    output.mkdir()
    elsewhere.mkdir()
    (output / "cortex-m4-gcc").symlink_to(elsewhere)
    code, codes, printed = refused("unpack", str(path), "-C", str(output), "--force")
    assert (code, codes, "is a symbolic link" in printed) == (3, {"file-unwritable"}, True)
    assert [*elsewhere.iterdir()] == []
    assert sorted(path.name for path in output.iterdir()) == ["cortex-m4-gcc"]


def test_packing_what_was_unpacked_is_the_identity(tmp_path: Path) -> None:
    made.dist(tmp_path)
    private, _ = made.keys(tmp_path)
    options = ("--key", private, "--name", "kit")
    for more in ((), ("--no-debug",)):
        (tmp_path / "again").mkdir(exist_ok=True)
        first = made.packed(tmp_path, *options, *more)
        output = tmp_path / "again" / f"dist{len(more)}"
        assert llext("unpack", str(first), "-C", str(output))[0] == 0
        again = tmp_path / "again.llextpack"
        assert llext("pack", str(output), "-o", str(again), *options, *more)[0] == 0
        assert again.read_bytes() == first.read_bytes()


def test_a_bundle_is_shown(tmp_path: Path) -> None:
    made.dist(tmp_path)
    private, _ = made.keys(tmp_path)
    path = made.packed(tmp_path, "--key", private, "--name", "kit", "--version", "2")
    code, printed = llext("inspect", str(path), "--json")
    facts = json.loads(printed)
    signature = json.loads(made.members(path.read_bytes())["signature.json"])
    assert (code, facts["name"], facts["version"], facts["signed_by"]) == (0, "kit", "2", signature["key"])
    jobs = [
        ("cortex-m33-gcc", "blink"),
        ("cortex-m33-gcc", "meter"),
        ("cortex-m4-gcc", "blink"),
        ("cortex-m4-gcc", "meter"),
    ]
    assert [(each["job"], each["name"]) for each in facts["artifacts"]] == jobs
    code, printed = llext("inspect", str(path))
    assert code == 0
    assert f"kit 2, 4 artifacts, signed with key {signature['key'][:16]}" in " ".join(printed.split())
    assert all(f"{job}/{name}" in printed for job, name in jobs)
    assert all(len(line) <= 80 for line in printed.splitlines()[1:])


def hostile(change: str, files: dict[str, bytes]) -> bytes:
    """An archive that no `llext pack` writes, made with Python's tarfile."""
    if change in ("gz", "bz2", "xz"):
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode=f"w:{change}") as packed:  # type: ignore[call-overload]
            packed.addfile(tarfile.TarInfo("index.json"))
        return output.getvalue()
    output = io.BytesIO()
    form = tarfile.PAX_FORMAT if change == "pax" else tarfile.GNU_FORMAT if change == "gnu" else tarfile.USTAR_FORMAT
    with tarfile.open(fileobj=output, mode="w:", format=form) as packed:
        for name, contents in files.items():
            info, data = tarfile.TarInfo(name), contents
            info.size = len(data)
            if name.endswith("m4-gcc/blink.llext"):
                info.name = {"absolute": "/etc/evil", "outside": "../../evil", "gnu": "x" * 200}.get(change, name)
                info.pax_headers = {"comment": "hello"} if change == "pax" else {}
                kinds = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
                info.type = {**kinds, "folder": tarfile.DIRTYPE, "pipe": tarfile.FIFOTYPE}.get(change, info.type)
                if info.type != tarfile.REGTYPE:
                    info.linkname, info.size, data = "/etc/passwd", 0, b""
                if change == "huge":
                    info.size = (8 << 30) - 1
                    packed.fileobj.write(info.tobuf(tarfile.USTAR_FORMAT))
                    continue
            packed.addfile(info, io.BytesIO(data))
    return output.getvalue()


@pytest.mark.parametrize(
    "change",
    ["gz", "bz2", "xz", "pax", "gnu", "absolute", "outside", "symlink", "hardlink", "device", "folder", "pipe", "huge"],
)
def test_hostile_archives_are_refused(change: str, tmp_path: Path) -> None:
    made.dist(tmp_path)
    path = made.packed(tmp_path)
    path.write_bytes(hostile(change, made.members(path.read_bytes())))
    code, codes, printed = refused("unpack", str(path), "-C", str(tmp_path / "out"))
    assert code == 15, printed
    assert codes <= {"bundle-malformed", "bundle-changed", "bundle-missing", "bundle-added"}
    named = {"pax": "`././@PaxHeader`", "gz": "gzip", "bz2": "bzip2", "xz": "xz"}
    assert named.get(change, "m4-gcc/blink.llext`") in printed
    assert not (tmp_path / "out").exists()


def index_with(**changes: object) -> bytes:
    digest = hashlib.sha256(b"").hexdigest()
    names = ("sbom.cdx.json", "job/a.json", "job/a.llext")
    document = {
        "format": 1,
        "name": "a",
        "version": "",
        "time": 0,
        "artifacts": [{"job": "job", "name": "a", "manifest": "job/a.json", "extension": "job/a.llext"}],
        "files": {name: {"size": 0, "sha256": digest} for name in names},
        **changes,
    }
    return (json.dumps(document, indent=2) + "\n").encode()


FILE = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}


@pytest.mark.parametrize(
    ("index", "part"),
    [
        (b"", "Expecting value"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff", "no text in UTF-8"),
        (b"{}", "of no format"),
        (index_with(format=2), "of format 2, not 1"),
        (index_with(more=1), "its keys are not"),
        (index_with(name="a\nb"), "`name` is no text"),
        (index_with(time=-1), "`time`"),
        (index_with(artifacts=[]), "no list of artifacts"),
        (index_with(artifacts=[{"job": ".."}]), "has no name"),
        (index_with(artifacts=[{"job": "job", "name": "a", "manifest": "job/b.json"}]), "manifest of `job/a`"),
        (index_with(files={"../a": FILE}), '"../a" is not the name'),
        (index_with(files={"/a": FILE}), '"/a" is not the name'),
        (index_with(files={"a/b/c": FILE}), '"a/b/c" is not the name'),
        (index_with(files={"C:a": FILE}), '"C:a" is not the name'),
        (index_with(files={"index.json": FILE}), '"index.json" is not the name'),
        (index_with(files={"a": {**FILE, "size": -1}}), "number of bytes"),
        (index_with(files={"a": {**FILE, "sha256": "A" * 64}}), "no SHA-256"),
        (index_with(files={"a": FILE, "A": FILE}), "in the case of letters only"),
        (index_with(files={"b": FILE, "a": FILE}), "not in order"),
        (index_with().replace(b"  ", b" "), "not written as"),
    ],
)
def test_an_index_that_is_none_is_named(index: bytes, part: str) -> None:
    reporter = Reporter()
    assert check("b.llextpack", made.archive({"index.json": index}), reporter) is None
    (found,) = reporter.diagnostics
    assert (found.code, found.message.startswith("`index.json` is no index: "), part in found.message) == (
        "bundle-malformed",
        True,
        True,
    ), found


def test_a_sound_index_is_read() -> None:
    """What the cases above change is sound itself."""
    reporter, files = Reporter(), {"index.json": index_with()}
    files |= dict.fromkeys(json.loads(files["index.json"])["files"], b"")
    assert check("b.llextpack", made.archive(files), reporter)
    assert reporter.diagnostics == ()


@given(
    st.dictionaries(st.text("abcdefghij.-_é", min_size=1, max_size=40), st.binary(max_size=2000), max_size=6),
    st.integers(0, 2**33 - 1),
)
def test_an_archive_is_read_back_and_any_tar_reads_it(files: dict[str, bytes], time: int) -> None:
    data = container.write(files, time)
    assert made.members(data) == files
    found = container.read(data, [(name, len(contents)) for name, contents in files.items()], time)
    assert found.faults == ()
    assert [(member.name, member.data, member.fault) for member in found.members] == [
        (name, contents, "") for name, contents in files.items()
    ]


@given(st.binary(max_size=3000) | st.binary(max_size=600).map(lambda data: made.archive({"index.json": data})))
def test_any_bytes_are_refused_with_a_diagnostic(data: bytes) -> None:
    reporter = Reporter()
    check("b.llextpack", data, reporter)
    assert reporter.failed

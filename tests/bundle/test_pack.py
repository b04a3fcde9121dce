"""What goes into a bundle, and what is refused. Oracles: Python's tarfile and hashlib."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bundle import made
from conformance.cases import objects
from llext_tools.cli import pack
from llext_tools.diag import Reporter
from llext_tools.elf.model import ElfObject
from transcript import llext


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
    code, codes, printed = made.refused("pack", str(tmp_path), environment={"SOURCE_DATE_EPOCH": "today"})
    assert (code, codes, "SOURCE_DATE_EPOCH" in printed) == (2, {"usage"}, True)


def test_some_artifacts_are_chosen(tmp_path: Path) -> None:
    made.dist(tmp_path)
    names = set(made.members(made.packed(tmp_path, "--target", "cortex-m4", "--no-debug").read_bytes()))
    expected = {f"cortex-m4-gcc/{name}" for name in ("blink.llext", "blink.json", "meter.llext", "meter.json")}
    assert names == {"index.json", "sbom.cdx.json", *expected}
    names = set(made.members(made.packed(tmp_path, "--extension", "meter").read_bytes()))
    assert {name.rpartition("/")[2].partition(".")[0] for name in names if "/" in name} == {"meter"}
    assert made.refused("pack", str(tmp_path), "--extension", "blonk")[:2] == (2, {"usage"})
    assert made.refused("pack", str(tmp_path), "--target", "rv64gc")[:2] == (2, {"usage"})


def test_what_is_not_whole_is_not_packed(tmp_path: Path) -> None:
    dist, output = made.dist(tmp_path), tmp_path / "b.llextpack"
    one, two, three = (dist / f"cortex-m4-gcc/{name}" for name in ("blink.llext", "meter.json", "meter.debug.elf"))
    one.write_bytes(one.read_bytes() + b"!")
    two.unlink()
    code, codes, printed = made.refused("pack", str(dist), "-o", str(output))
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
            code, codes, printed = made.refused("pack", str(dist), "--key", str(key), *options)
            assert (code, codes, "is one of the files that are read" in printed) == (2, {"usage"}, True), printed
    code, codes, printed = made.refused("pack", str(dist), "-o", str(output), "--sbom", f"{tmp_path}/./b.llextpack")
    assert (code, codes, "would both write" in printed) == (2, {"usage"}, True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != link} == before


def test_nothing_of_another_kind_is_packed_over(tmp_path: Path) -> None:
    """A slip of the keyboard costs no file of the project; a bundle and its bill are replaced as often as one packs."""
    made.dist(tmp_path, ("blink",))
    bill, other, another = (tmp_path / name for name in ("bill.json", "pyproject.toml", "package.json"))
    first = made.packed(tmp_path, "--sbom", str(bill)).read_bytes()
    assert made.packed(tmp_path, "--sbom", str(bill)).read_bytes() == first
    for path in (other, another):
        path.write_text("{}" if path == another else "[project]\n")
        for name, sbom in (("b.llextpack", path), (path.name, bill)):
            output = str(tmp_path / name)
            code, codes, printed = made.refused("pack", str(tmp_path / "dist"), "-o", output, "--sbom", str(sbom))
            assert (code, codes, f"`{path}` is there already, and it is no b" in printed) == (2, {"usage"}, True), (
                printed
            )
    assert (other.read_text(), another.read_text()) == ("[project]\n", "{}")
    assert (tmp_path / "b.llextpack").read_bytes() == first


def test_what_no_loader_takes_is_not_packed(tmp_path: Path) -> None:
    dist = made.dist(tmp_path, ("blink",), debug=False)
    extension, manifest = dist / "cortex-m4-gcc/blink.llext", dist / "cortex-m4-gcc/blink.json"
    data = b"\x7fELF" + bytes(100)
    extension.write_bytes(data)
    document = json.loads(manifest.read_text())
    document["files"]["blink.llext"] |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.write_text(json.dumps(document))
    code, codes, printed = made.refused("pack", str(dist), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes <= {"elf-header", "elf-machine", "elf-type"}, str(extension) in printed) == (3, True, True)
    assert not (tmp_path / "b.llextpack").exists()


def test_the_loader_of_the_manifest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thread-local data without contents only the older loader refuses; the settings may ignore that."""
    source, folder = tmp_path / "e.o", tmp_path / "dist"
    source.write_bytes(objects(arch="arm")["arm_sec_tls_data_noref/e.llext"])
    folder.mkdir()
    command = ["finish", str(source), "-o", str(folder / "e.llext"), "--target", "cortex-m4"]
    assert llext(*command, "--check", "--ignore", "all")[0] == 0
    made.packed(tmp_path)
    manifest = folder / "e.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"zephyr-next"', '"zephyr-4.2"'))
    code, codes, printed = made.refused("pack", str(folder), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes) == (4, {"region-nobits"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llext.toml").write_text('ignore = ["region-nobits"]\n')
    made.packed(tmp_path)
    manifest.write_text(text.replace('"zephyr-next"', '"zephyr-0.1"'))
    code, codes, printed = made.refused("pack", str(folder))
    assert (code, codes, str(manifest.relative_to(tmp_path)) in printed) == (2, {"usage"}, True)


@pytest.mark.parametrize("part", ["", "blink.json", "blink.llext"])
def test_a_job_keeps_its_name_when_it_is_packed_alone(part: str, tmp_path: Path) -> None:
    """The job is for a firmware, whose name only the folder has."""
    made.dist(tmp_path, ("blink",))
    for name, expected in (("cortex-m4-gcc-release", "cortex-m4-gcc-release"), ("elsewhere", "cortex-m4")):
        folder = (tmp_path / "dist/cortex-m4-gcc").rename(tmp_path / name)
        assert llext("pack", str(folder / part), "-o", str(tmp_path / "b.llextpack"))[0] == 0
        index = json.loads(made.members((tmp_path / "b.llextpack").read_bytes())["index.json"])
        assert [each["job"] for each in index["artifacts"]] == [expected]
        folder.rename(tmp_path / "dist/cortex-m4-gcc")


def test_what_a_firmware_lacks_hides_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check ends with the class of its first error: an import, which is for the firmware to have."""

    def checked(obj: ElfObject, **_: object) -> None:
        reporter = Reporter()
        reporter.error("undefined-symbol", "`nowhere` is not exported")
        if obj.path.endswith("meter.llext"):
            reporter.error("elf-sections", "there are too many sections")
        reporter.checkpoint()

    monkeypatch.setattr(pack, "check", checked)
    made.dist(tmp_path)
    code, codes, _ = made.refused("pack", str(tmp_path / "dist"), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes) == (3, {"elf-sections"})
    made.packed(tmp_path, "--extension", "blink")


@pytest.mark.parametrize("name", ["blink.json", "blink.llext", "blink.debug.elf", "blink.json.sig", ""])
def test_each_file_of_an_artifact_stands_for_it(name: str, tmp_path: Path) -> None:
    """So that a shell may list them all: `llext pack dist/*/*`."""
    job = made.dist(tmp_path, ("blink",)) / "cortex-m4-gcc"
    private, _ = made.keys(tmp_path)
    assert llext("sign", str(job / "blink.json"), "--key", private)[0] == 0
    paths = [str(job / name)] if name else sorted(map(str, job.iterdir()))
    code, printed = llext("pack", *paths, "-o", str(tmp_path / "b.llextpack"))
    assert (code, "1 artifact," in printed) == (0, True), printed


@pytest.mark.parametrize("name", ["sbom.cdx.json", "Index.json", "signature.json", "con", "a:b", "x" * 160])
def test_what_cannot_be_the_folder_of_a_job_everywhere(name: str, tmp_path: Path) -> None:
    dist = made.dist(tmp_path, ("blink",))
    (dist / "cortex-m4-gcc").rename(dist / name)
    code, codes, printed = made.refused("pack", str(dist), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes, name in printed.replace(" ", "")) == (2, {"usage"}, True), printed
    assert not (tmp_path / "b.llextpack").exists()


@pytest.mark.parametrize(("one", "two"), [("job", "JOB"), ("\u00e9", "e\u0301")])
def test_jobs_that_some_file_system_takes_for_one(one: str, two: str, tmp_path: Path) -> None:
    """Oracle: macOS has such a file system, which takes either way to write an accent for the other."""
    dist = made.dist(tmp_path, ("blink",))
    for old, new in zip(("cortex-m4-gcc", "cortex-m33-gcc"), (one, two), strict=True):
        if (dist / new).exists():
            pytest.skip("needs a file system that keeps them apart")
        (dist / old).rename(dist / new)
    code, codes, printed = made.refused("pack", str(dist), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes) == (2, {"bundle-duplicate"})
    assert "differ only in upper and lower case, or in how an accent is written" in printed
    assert "give one of them another name" in printed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_in_the_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(made.dist(tmp_path, ("blink",)) / "pipe.json")
    made.packed(tmp_path)


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that root alone may read, whoever runs this test."""
    folder, scandir = str(made.dist(tmp_path, ("blink",)) / "cortex-m4-gcc"), os.scandir

    def denied(path: str = ".") -> Any:
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    code, codes, printed = made.refused("pack", str(tmp_path / "dist"), "-o", str(tmp_path / "b.llextpack"))
    assert (code, codes, "permission denied" in printed) == (3, {"file-unreadable"}, True)
    assert not (tmp_path / "b.llextpack").exists()


def test_a_name_for_no_file_needs_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path, ("blink",))
    monkeypatch.chdir(tmp_path)
    code, codes, printed = made.refused("pack", "--name", "..")
    assert (code, codes, "--output" in printed) == (2, {"usage"}, True)
    made.packed(tmp_path, "--name", "..")
    assert {path.suffix for path in tmp_path.iterdir()} == {"", ".o", ".llextpack"}

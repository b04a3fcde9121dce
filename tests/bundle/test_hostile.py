"""Archives and indices that no `llext pack` writes. Oracle: Python's tarfile, which writes and reads them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import made
from llext_tools.bundle import container
from llext_tools.bundle.verify import check
from llext_tools.diag import Reporter
from transcript import llext


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
    code, codes, printed = made.refused("unpack", str(path), "-C", str(tmp_path / "out"))
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
        (index_with(files={"A": FILE, "a": FILE}), "in the case of letters only"),
        (index_with(files={"e\u0301": FILE, "\u00e9": FILE}), "how an accent is written"),
        (index_with(artifacts=[{"job": "index.json", "name": "a"}]), "has no name"),
        (index_with(artifacts=[{"job": "Signature.json", "name": "a"}]), "has no name"),
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


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="a pipe has no name here")
@pytest.mark.parametrize("command", [["verify", "--digests-only"], ["unpack"], ["inspect"]])
@pytest.mark.parametrize("kind", ["bundle", "extension"])
def test_a_pipe_gives_its_bytes_once(command: list[str], kind: str, tmp_path: Path) -> None:
    """As a shell hands on what another program prints. Oracle: the same bytes in a file."""
    dist = made.dist(tmp_path, ("blink",), debug=False)
    path = made.packed(tmp_path) if kind == "bundle" else dist / "cortex-m4-gcc/blink.llext"
    words = [*command, *(["-C", str(tmp_path / "out")] if command == ["unpack"] else [])]
    expected = llext(*words, str(path))
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    pipe, end = os.pipe()
    with open(end, "wb") as written:
        assert written.write(path.read_bytes()) <= 1 << 16, "more than a pipe holds"
    code, printed = llext(*words, f"/dev/fd/{pipe}")
    os.close(pipe)
    found = "".join(printed.split()).replace(f"/dev/fd/{pipe}", str(path))
    assert (code, found) == (expected[0], "".join(expected[1].split()))
    assert (code == 0) == (kind == "bundle" or command == ["inspect"])


@pytest.mark.parametrize("size", [0, 1, 10, 11, 256, 257, 262, 511, 512, 600])
@pytest.mark.parametrize("name", ["b.llextpack", "download"])
def test_what_is_left_of_a_bundle_is_one_to_get_again(size: int, name: str, tmp_path: Path) -> None:
    """However little it is, and whatever its name."""
    whole, path = made.archive({"index.json": b"{" * 1000}), tmp_path / name
    path.write_bytes(whole[:size])
    code, codes, printed = made.refused("verify", "--digests-only", str(path))
    assert (code, codes) == (15, {"bundle-malformed"}), printed
    assert ("it is empty" if not size else "it ends ") in printed
    assert "= help: get it again" in printed


@pytest.mark.parametrize("command", [["verify", "--digests-only"], ["unpack"], ["inspect"]])
def test_an_empty_file_is_one_to_get_again(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "b.llextpack"
    path.touch()
    code, codes, printed = made.refused(*command, str(path))
    assert (code, codes) == (15, {"bundle-malformed"})
    assert "it is empty" in printed
    assert "= help: get it again" in printed

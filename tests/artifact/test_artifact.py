"""Reading manifests and records of runs. Oracles: hashlib over the files, and what the documents here plainly say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cases import files
from llext_tools.artifact import changed_files, parse, read_artifact
from llext_tools.errors import FormatError
from transcript import llext

CONTENTS = {"hello.llext": b"extension", "hello.debug.elf": b"debug"}


def document() -> dict[str, Any]:
    kinds = {"hello.llext": "extension", "hello.debug.elf": "debug"}
    files = {
        name: {"kind": kinds[name], "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in CONTENTS.items()
    }
    return {"format": 2, "name": "hello", "files": files}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name, data in CONTENTS.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(document()))
    return path


def test_an_artifact_is_its_files(manifest: Path) -> None:
    found = read_artifact(manifest)
    assert (found.name, found.folder, found.manifest) == ("hello", str(manifest.parent), str(manifest))
    assert found.extension == str(manifest.parent / "hello.llext")
    assert found.debug == str(manifest.parent / "hello.debug.elf")
    assert found.paths == (found.extension, found.debug, found.manifest)
    assert changed_files(found) == []


def test_each_changed_file_is_named(manifest: Path) -> None:
    found = read_artifact(manifest)
    (manifest.parent / "hello.llext").write_bytes(b"Extension")
    (manifest.parent / "hello.debug.elf").write_bytes(b"debug!")
    assert changed_files(found) == [
        (found.extension, "has other contents"),
        (found.debug, "has 6 bytes, not 5"),
    ]
    (manifest.parent / "hello.llext").unlink()
    assert (found.extension, "is missing") in changed_files(found)
    (manifest.parent / "hello.llext").mkdir()
    assert (found.extension, "cannot be read: is a directory") in changed_files(found)


ENTRY = {"kind": "extension", "size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"format": 1}, "of format 1, not 2"),
        ({"format": True}, "of format true, not 2"),
        ({"name": "../hello"}, "`name`"),
        ({"name": None}, "`name`"),
        ({"files": []}, "no table of files"),
        ({"files": {}}, "must have one extension"),
        ({"files": {"a": ENTRY, "b": ENTRY}}, "must have one extension"),
        ({"files": {"../a": ENTRY}}, '"../a" is not the name of a file'),
        ({"files": {"..": ENTRY}}, '".." is not the name of a file'),
        ({"files": {"a": []}}, "`a` is no file"),
        ({"files": {"a": {**ENTRY, "kind": "other"}}}, "none of extension, debug"),
        ({"files": {"a": {**ENTRY, "size": -1}}}, "size of `a`"),
        ({"files": {"a": {**ENTRY, "size": True}}}, "size of `a`"),
        ({"files": {"a": {**ENTRY, "sha256": "F" * 64}}}, "no SHA-256"),
        ({"files": {"a": {**ENTRY, "sha256": 7}}}, "no SHA-256"),
        ({"exports": ["\ud800"]}, "half a character"),
        ({"memory": {"taken": float("inf")}}, "not JSON compliant"),
    ],
)
def test_what_is_no_manifest_is_named(change: dict[str, Any], part: str, tmp_path: Path) -> None:
    path = tmp_path / "hello.json"
    path.write_text(json.dumps({**document(), **change}))
    code, printed = llext("manifest", str(path))
    assert (code, "error[manifest-syntax]" in printed) == (3, True), printed
    assert part in " ".join(printed.split())


@given(st.binary(max_size=64) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["format", "name", "files", "kind", "a"]), inner, max_size=4),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_nothing_else_comes_out_of_any_bytes(data: bytes) -> None:
    try:
        found = parse(data)
    except ValueError as error:
        assert str(error)
    else:
        assert found["format"] == 2


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", "2", '"format"', "\xff"])
def test_no_json_is_no_manifest(text: str, tmp_path: Path) -> None:
    path = tmp_path / "hello.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError) as raised:
        read_artifact(path)
    assert raised.value.diagnostics[0].code == "manifest-syntax"


def record(folder: Path, test: str, digest: str, **more: Any) -> str:
    path = folder / f"{test}.run.json"
    path.write_text(
        json.dumps(
            {
                "format": 1,
                "test": test,
                "files": {"hello.llext": digest, **more},
                "calls": ["go()"],
                "inputs": {"/p": 1},
            }
        )
    )
    return str(path)


def test_only_runs_of_this_very_extension_count(manifest: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENTS["hello.llext"]).hexdigest()
    other = "1" * 64
    runs = [
        record(tmp_path, "second", digest, **{"first.llext": other}),
        record(tmp_path, "first", digest),
        record(tmp_path, "of an older build", other),
        str(tmp_path / "not there.json"),
    ]
    output = tmp_path / "out.json"
    code, printed = llext("manifest", str(manifest), "--runs", *runs, "-o", str(output))
    assert (code, printed) == (0, "")
    expected = [
        {"test": "first", "calls": ["go()"]},
        {"test": "second", "calls": ["go()"], "with": {"first.llext": other}},
    ]
    assert json.loads(output.read_text()) == {**document(), "runs": expected}
    again = tmp_path / "again.json"
    assert llext("manifest", str(manifest), "--runs", *reversed(runs), runs[0], "-o", str(again))[0] == 0
    assert again.read_bytes() == output.read_bytes(), "the order of the records makes no difference"
    assert json.loads(llext("manifest", str(output))[1]) == document(), "runs that nothing proves are dropped"


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "{", '{"format": 1, "test": "a", "files": {}}', '{"format": 1, "test": 3}', r'{"test": "\ud800"}'],
)
def test_what_is_no_record_is_named(text: str, manifest: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    code, printed = llext("manifest", str(manifest), "--runs", str(path))
    assert code == 3
    assert "error[manifest-syntax]: this is no record of a run" in " ".join(printed.split())
    assert "run.json" in printed


def test_nothing_is_written_of_changed_files(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.llext").write_bytes(b"other")
    code, printed = llext("manifest", str(manifest), "-o", str(tmp_path / "out.json"))
    assert code == 3
    assert "error[manifest-stale]" in printed
    assert "hello.llext" in printed
    assert not (tmp_path / "out.json").exists()


def test_nothing_is_written_over_what_is_read(manifest: Path, tmp_path: Path) -> None:
    run = record(tmp_path, "first", hashlib.sha256(CONTENTS["hello.llext"]).hexdigest())
    for path in (str(manifest.parent / "hello.llext"), run):
        before = Path(path).read_bytes()
        code, printed = llext("manifest", str(manifest), "--runs", run, "-o", path)
        assert (code, "error[usage]: llext manifest: --output" in printed) == (2, True), printed
        assert Path(path).read_bytes() == before


def test_an_extension_is_not_its_own_manifest(tmp_path: Path) -> None:
    (tmp_path / "e.elf").write_bytes(files()["ptrs_arm_gcc/e.llext"])
    output = tmp_path / "e.json"
    code, printed = llext("finish", str(tmp_path / "e.elf"), "-o", str(output))
    assert (code, "would both be" in " ".join(printed.split())) == (2, True), printed
    assert not output.exists()
    assert llext("finish", str(tmp_path / "e.elf"), "-o", str(output), "--manifest", str(tmp_path / "m"))[0] == 0

"""The manifest that is written. Oracles: its JSON Schema by jsonschema, readelf, hashlib, and what the sources say."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import built
import fw
from built import Combination, combination  # noqa: F401
from llext_tools.artifact.flags import read_flags, scrubbed
from transcript import llext

pytestmark = pytest.mark.toolchain


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("llext_tools.artifact") / "schema.json").read_text())
    return found


def faults(document: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema()).iter_errors(document)]


def made(folder: Path, by: Combination, *options: str, text: str = built.SOURCE) -> dict[str, Any]:
    """The manifest of an extension that is finished with these options."""
    merged = by.merge(folder, by.compile(folder, text, "-g"))
    code, printed = llext("finish", str(merged), "-o", str(folder / "hello.llext"), *options)
    assert (code, "error" in printed) == (0, False), printed
    found: dict[str, Any] = json.loads((folder / "hello.json").read_text())
    return found


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_manifest_of_each_toolchain(combination: Combination, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "C.flags").write_text("-Os -g\n-Wall\n")
    document = made(
        tmp_path,
        combination,
        f"--debug-file={tmp_path / 'hello.debug.elf'}",
        f"--target={combination.target.name}",
        f"--toolchain={combination.toolchain.name}-{combination.toolchain.version}",
        f"--flags=C={tmp_path / 'C.flags'}",
        "--check",
        "--no-settings",
    )
    assert faults(document) == []
    assert document["toolchain"] == {
        "name": combination.toolchain.name,
        "version": combination.toolchain.version,
        "flags": {"C": ["-Os", "-g", "-Wall"]},
    }
    extension = tmp_path / "hello.llext"
    assert document["build_id"] in combination.binutils("readelf", "-n", extension).stdout
    header = combination.binutils("readelf", "-h", extension).stdout
    assert f"{document['target']['flags']:#x}," in re.sub(r"(Flags: +)(0x\w+)\n", r"\1\2,\n", header)
    shown = combination.binutils("readelf", "-A", extension).stdout
    attributes = document["target"]["attributes"]
    assert set(attributes) == set(re.findall(r"^ +(Tag_\w+):", shown, re.MULTILINE))
    for tag, value in re.findall(r'^ +(Tag_\w+): "(.*)"$', shown, re.MULTILINE):
        assert attributes[tag] == value
    sections = combination.binutils("readelf", "-SW", extension).stdout
    sizes = {name: int(size, 16) for name, size in re.findall(r"\] (\.\w+) +\w+ +\w+ +\w+ +(\w+)", sections)}
    expected = {mem.name: sizes[name] for name, mem in built.REGIONS.items()}
    assert {row["name"]: row["size"] for row in document["regions"]} == expected
    assert sum(row["size"] for row in document["memory"]["allocations"] if row["kept"]) == document["memory"]["taken"]
    assert document["checked"]["firmware"] == []
    for name, entry in document["files"].items():
        data = (tmp_path / name).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_what_it_was_checked_against(tmp_path: Path) -> None:
    gcc = built.find("cortex-m4", "gcc")
    firmware = fw.build(tmp_path, fw.SOURCE + "\n/* firmware */\n", "-g")
    text = 'int printk(const char *, ...);\nint hello(void) { return printk("x"); }\n'
    document = made(tmp_path, gcc, "--check", "--no-settings", f"--exports={firmware}", text=text)
    digest = hashlib.sha256(firmware.read_bytes()).hexdigest()
    assert document["checked"] == {
        "profile": "zephyr-next",
        "firmware": [{"file": firmware.name, "sha256": digest}],
        "extensions": [],
        "warnings": ["no-exports"],
    }
    assert faults(document) == []


def test_no_check_no_claim(tmp_path: Path) -> None:
    gcc = built.find("cortex-m4", "gcc")
    assert "checked" not in made(tmp_path, gcc)
    table = tmp_path / "table.toml"
    table.write_text("[exports]\nother = 0x8001\n")
    options = ["--check", "--no-settings", f"--exports={table}", "-o", str(tmp_path / "hello.llext")]
    code, printed = llext("finish", str(tmp_path / "hello.debug.elf"), *options)
    assert (code, "error[undefined-symbol]" in printed) == (5, True)
    assert "checked" not in json.loads((tmp_path / "hello.json").read_text())


def test_the_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    good = made(tmp_path, built.find("cortex-m4", "gcc"))
    assert faults(good) == []
    wrong: list[dict[str, Any]] = [
        {"format": 1},
        {"name": "a/b"},
        {"more": 1},
        {"files": {}},
        {"files": {"../x": good["files"]["hello.llext"]}},
        {"files": {"x": {**good["files"]["hello.llext"], "sha256": "0"}}},
        {"regions": [{"name": "TEXT"}]},
        {"runs": []},
    ]
    assert all(faults({**good, **change}) for change in wrong)


def test_flags_name_no_folder() -> None:
    words = read_flags(
        '-Os "-ffile-prefix-map=/a b/src/=" -g -I/opt/x -isystem /opt/y -include "/a b/src/inc/c.h"\n'
        "-ffile-prefix-map=/a b/src/build=.\n-DROOT=\"/a b/src\"\nSHELL:-Wa,-x 'y z'\n--sysroot=/opt\n"
        "-imacros\n/opt/zephyr/autoconf.h\n-DHERE=/opt/data/file\n-DX=/a b/src/build/gen/x.h\n\n"
    )
    assert words == [
        *("-Os", "-g", "-include", "inc/c.h", '-DROOT="."', "-Wa,-x", "y z"),
        *("-imacros", "autoconf.h", "-DHERE=file", "-DX=./gen/x.h"),
    ]
    assert scrubbed([]) == []


@pytest.mark.parametrize("folder", ["/src", "/home/me/src", "/s"])
def test_flags_are_the_same_in_every_folder(folder: str) -> None:
    """What only looks like the project's folder stays: /src is in `lib/src/x`, and begins `/src2`."""
    words = [
        f"-ffile-prefix-map={folder}/=",
        f"-DA={folder}/a.h",
        f"-B{folder}/b",
        f"-DC='{folder}'",
        f"-DD={folder}2/x",
    ]
    assert scrubbed([*words, "-DE=lib/src/x", "-DF=./s/x"]) == [
        *("-DA=a.h", "-Bb", "-DC='.'", "-DD=x", "-DE=lib/src/x", "-DF=./s/x")
    ]


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("--flags=C", "is not LANGUAGE=FILE"),
        ("--flags=C=nothing", "cannot read"),
        ("--flags=C=bad", "no list of flags"),
    ],
)
def test_wrong_flags_leave_nothing(option: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gcc = built.find("cortex-m4", "gcc")
    merged = gcc.merge(tmp_path, gcc.compile(tmp_path, built.SOURCE))
    (tmp_path / "bad").write_text("'\n")
    code, printed = llext("finish", str(merged), "-o", "x.llext", option)
    assert code in (2, 3)
    assert part in " ".join(printed.split())
    assert not (tmp_path / "x.llext").exists()

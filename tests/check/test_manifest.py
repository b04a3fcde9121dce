"""The shipped pair, .llext and manifest, against a firmware's table: no debug information is left on either side.

Oracle: the sources. One header is what the firmware was built with, the other one differs in one place.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import built
from needs import need
from transcript import llext

HEADER = """\
struct range { short low; int high; };
struct sensor { int id; struct range *range; };
enum unit { UNIT_C, UNIT_F };
int sensor_read(const struct sensor *sensor, enum unit unit);
extern struct range sensor_limits;
"""
FIRMWARE = """\
#include "api.h"
struct entry { const char *name; const void *address; };
#define EXPORT(x) static const struct entry entry_##x \\
    __attribute__((section("llext_const_symbol_area"), used)) = { #x, (const void *)&x }
int sensor_read(const struct sensor *sensor, enum unit unit) { return sensor->range->low + unit; }
struct range sensor_limits;
EXPORT(sensor_read); EXPORT(sensor_limits);
void _start(void) {}
"""
EXTENSION = """\
#include "api.h"
struct symbol { const char *name; void *address; };
int probe(void)
{
    struct range range = {1, 2};
    struct sensor sensor = {.id = sensor_limits.high, .range = &range};
    return sensor_read(&sensor, UNIT_F) + range.high;
}
__attribute__((section(".exported_sym"), used)) static const struct symbol entry = {"probe", (void *)probe};
"""
CHANGES = [
    # what differs in the header of the extension, the code, a part of the message
    ("", "", "", ""),
    ("*sensor,", "*s,", "", ""),
    ("enum unit unit);", "enum unit unit, int more);", "abi-prototype", "has 3 parameters in the extension, 2 in"),
    ("short low;", "int low;", "abi-layout", "`struct range`"),
    ("int id;", "int id; int serial;", "abi-layout", "`struct sensor`"),
]
TOOLCHAINS = ["gcc", "zig"]


def entry(path: Path) -> dict[str, object]:
    """What a manifest says of an extension."""
    data = path.read_bytes()
    return {"kind": "extension", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is published of the firmware: TOML, made while it had debug information."""
    folder = tmp_path_factory.mktemp("firmware")
    (folder / "api.h").write_text(HEADER)
    (folder / "fw.c").write_text(FIRMWARE)
    command = [need("arm-none-eabi-gcc"), "-g", "-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-ffreestanding", "fw.c"]
    subprocess.run([*command, "-o", "fw.elf"], cwd=folder, check=True)
    code, printed = llext("exports", str(folder / "fw.elf"), "-o", str(folder / "api.toml"))
    assert code == 0, printed
    return folder / "api.toml"


def ship(folder: Path, toolchain: str, header: str) -> Path:
    """Build an extension, and keep what is shipped: neither the object nor its debug information."""
    combination = built.find("cortex-m4", toolchain)
    make = folder / "make"
    make.mkdir()
    (make / "api.h").write_text(header)
    text = EXTENSION.replace("UNIT_F)", "UNIT_F, 3)") if "int more" in header else EXTENSION
    merged = combination.merge(make, combination.compile(make, text, "-g", "-O1"))
    code, printed = llext("finish", str(merged), "--target", "cortex-m4")
    assert code == 0, printed
    for name in ("hello.llext", "hello.json"):
        shutil.move(make / name, folder / name)
    shutil.rmtree(make)
    return folder / "hello.llext"


@pytest.mark.toolchain
@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize(("old", "new", "code", "message"), CHANGES, ids=[f"{c[2]}{i}" for i, c in enumerate(CHANGES)])
def test_shipped_pair_against_a_table(
    toolchain: str, old: str, new: str, code: str, message: str, table: Path, tmp_path: Path
) -> None:
    extension = ship(tmp_path, toolchain, HEADER.replace(old, new) if old else HEADER)
    exit_code, printed = llext("check", str(extension), "--exports", str(table))
    if toolchain == "zig" and code == "abi-prototype":
        assert exit_code == 0, "clang does not describe functions that are only called"
        return
    assert exit_code == (13 if code else 0), printed
    assert f"error[{code}]" in printed if code else "[" not in printed
    assert message in " ".join(printed.split())


@pytest.mark.toolchain
def test_manifest_says_what_the_file_is(table: Path, tmp_path: Path) -> None:
    extension = ship(tmp_path, "gcc", HEADER)
    manifest = json.loads((tmp_path / "hello.json").read_text())
    assert manifest["files"] == {"hello.llext": entry(extension)}
    assert (manifest["format"], manifest["name"], [*manifest["exports"]]) == (2, "hello", ["probe"])
    target = manifest["target"]
    assert (target["name"], target["machine"], target["bits"]) == ("cortex-m4", 40, 32)
    nm = subprocess.run([need("arm-none-eabi-nm"), "-u", extension], capture_output=True, text=True, check=True)
    assert [*manifest["imports"]] == sorted(line.split()[-1] for line in nm.stdout.splitlines())
    published = next(line for line in table.read_text().splitlines() if line.startswith("sensor_read ="))
    assert manifest["imports"]["sensor_read"]["hash"] in published
    assert manifest["types"]["struct range"] == {"size": 8, "members": ["0 low: short int = i16", "4 high: int = i32"]}


@pytest.mark.toolchain
def test_other_manifests_are_not_used(table: Path, tmp_path: Path) -> None:
    extension = ship(tmp_path, "gcc", HEADER.replace("short low", "int low"))
    path = tmp_path / "hello.json"
    good = json.loads(path.read_text())
    wrong: list[tuple[object, str]] = [
        ({**good, "files": {"hello.llext": {"kind": "extension", "size": 1, "sha256": "0" * 64}}}, "another version"),
        ({**good, "format": 1}, "of format 1, not 2"),
        ([], "of no format"),
        ({**good, "types": 3}, "neither imports nor types"),
        ({**good, "imports": {"f": 3}}, "`f` is no import"),
        ({**good, "imports": {"f": {"type": "int"}}}, "expected a type"),
        ({**good, "types": {"struct a": {"size": "x"}}}, "a size in bytes"),
    ]
    texts = [(json.dumps(document), part) for document, part in wrong]
    for text, part in [*texts, ("{", "is no manifest"), ("[" * 100_000, "is no manifest")]:
        path.write_text(text)
        code, printed = llext("check", str(extension), "--exports", str(table))
        assert (code, "warning[manifest-stale]" in printed) == (0, True), printed
        assert part in " ".join(printed.split())
    path.unlink()
    code, printed = llext("check", str(extension), "--exports", str(table))
    assert (code, "warning" in printed) == (0, False), "nothing is known of it, and nobody promised anything"


@pytest.mark.toolchain
def test_hashes_alone(table: Path, tmp_path: Path) -> None:
    """A table from which somebody has removed the types."""
    whole = tomllib.loads(table.read_text())["exports"]
    bare = tmp_path / "bare.json"
    exports = {name: {key: entry[key] for key in ("address", "hash")} for name, entry in whole.items()}
    bare.write_text(json.dumps({"exports": exports}))
    for header, code in ((HEADER, 0), (HEADER.replace("short low", "int low"), 13)):
        folder = tmp_path / str(code)
        folder.mkdir()
        exit_code, printed = llext("check", str(ship(folder, "gcc", header)), "--exports", str(bare))
        assert exit_code == code, printed
        assert ("error[abi-hash]" in printed) == bool(code)


@pytest.mark.toolchain
def test_without_a_manifest(tmp_path: Path) -> None:
    combination = built.find("cortex-m4", "gcc")
    merged = combination.merge(tmp_path, combination.compile(tmp_path, built.SOURCE, "-g0"))
    assert llext("finish", str(merged), "--no-manifest")[0] == 0
    assert not (tmp_path / "hello.json").exists()
    assert llext("finish", str(merged), "--manifest", str(tmp_path / "other.json"))[0] == 0
    assert json.loads((tmp_path / "other.json").read_text())["imports"] == {"printk": {}}, "without debug information"


@pytest.mark.toolchain
def test_manifest_follows_an_extension_that_gets_slids(tmp_path: Path) -> None:
    extension = ship(tmp_path, "gcc", HEADER)
    before = json.loads((tmp_path / "hello.json").read_text())
    other = tmp_path / "other.llext"
    assert llext("slid", str(extension), "-o", str(other))[0] == 0
    assert json.loads((tmp_path / "hello.json").read_text()) == before
    after = json.loads((tmp_path / "other.json").read_text())
    assert other.read_bytes() != extension.read_bytes()
    assert after == {**before, "name": "other", "files": {"other.llext": entry(other)}}

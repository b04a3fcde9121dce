"""The bill of materials. Oracle: the schema of CycloneDX 1.6, strictly."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import built
from bundle import made
from llext_tools import toolchains
from transcript import llext

SETS = """\
static volatile int level;
static __attribute__((noinline)) void __NVIC_Set(int to) { level = to; }
void set(int to) { __NVIC_Set(to); }
"""
"""A name as headers of vendors have it, which is none of the compiler."""


def test_the_bill_of_materials_is_cyclonedx(tmp_path: Path) -> None:
    """Oracle: the schema of CycloneDX 1.6, strictly."""
    made.dist(tmp_path)
    path = made.packed(tmp_path, "--name", "kit", "--version", "1.2")
    files, bill = made.members(path.read_bytes()), bill_of(path)
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
    bill = bill_of(made.packed(tmp_path))
    parts = {part["bom-ref"]: part for part in bill["components"]}
    needed = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}["cortex-m4-gcc/blink.llext"]
    assert {(parts[ref]["name"], parts[ref].get("version")) for ref in needed} == {
        ("gcc", "12.2"),
        ("zephyr.elf", None),
    }


def bill_of(path: Path) -> Any:
    """The document, which the schema takes."""
    text = made.members(path.read_bytes())["sbom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


OWN = """
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		((volatile char *)to)[i] = ((const char *)from)[i];
	}
	return to;
}
struct pair { int of[40]; } one, two;
void copy(void) { one = two; }
int __cxa_atexit(void (*f)(void *), void *argument, void *dso) { return 0; }
int later(void) { return __cxa_atexit(NULL, NULL, NULL); }
"""
"""Functions that compilers ask for, but that are the extension's own."""


@pytest.mark.toolchain
@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac"])
@pytest.mark.parametrize("divides", [True, False])
def test_helpers_of_the_compiler_are_from_its_library(target: str, divides: bool, tmp_path: Path) -> None:
    """Oracle: nm finds the functions that the linker has taken of libgcc."""
    gcc = built.find(target, "gcc")
    more = "long long divide(long long a, long long b) { return a / b; }\n" if divides else OWN
    options = toolchains.flags(gcc.target, "gcc", "C")
    command = [*gcc.toolchain.cc, *options, "-print-libgcc-file-name"]
    library = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    merged = gcc.merge(tmp_path, gcc.compile(tmp_path, SETS + more), Path(library))
    job = tmp_path / "dist" / f"{target}-gcc"
    job.mkdir(parents=True)
    files = ["-o", str(job / "e.llext"), "--debug-file", str(job / "e.debug.elf")]
    assert (
        llext("finish", str(merged), *files, "--target", target, "--toolchain", f"gcc-{gcc.toolchain.version}")[0] == 0
    )
    bill = bill_of(made.packed(tmp_path))
    parts = {part["bom-ref"]: part for part in bill["components"]}
    needed = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}[f"{target}-gcc/e.llext"]
    version = gcc.toolchain.version
    expected = {("gcc", "application", version)}
    expected |= {("run-time library of gcc", "library", version)} if divides else set()
    assert {(parts[ref]["name"], parts[ref]["type"], parts[ref]["version"]) for ref in needed} == expected
    words = (line.split() for line in gcc.binutils("nm", job / "e.llext").stdout.splitlines())
    theirs = {name for _, kind, name in words if kind in "tT" and name.startswith("__")}
    theirs -= {"__NVIC_Set", "__cxa_atexit"}
    properties = {each["name"]: each["value"] for each in parts[f"{target}-gcc/e.llext"]["properties"]}
    assert set(properties.get("llext-tools:helpers", "").split()) == theirs
    assert bool(theirs) is divides
    without = bill_of(made.packed(tmp_path, "--no-debug"))
    assert without["dependencies"] == bill["dependencies"]


def test_nothing_is_made_up(tmp_path: Path) -> None:
    """What no artifact says, neither does the bill."""
    made.dist(tmp_path)
    bill = bill_of(made.packed(tmp_path))
    parts = [bill["metadata"]["component"], *bill["components"]]
    parts += [inner for part in parts for inner in part.get("components", [])]
    known = {"type", "name", "version", "bom-ref", "hashes", "properties", "components"}
    assert {key for part in parts for key in part} <= known
    assert all("version" not in part for part in parts)
    assert set(bill["metadata"]) == {"component", "tools"}


def test_the_serial_number_is_that_of_the_contents(tmp_path: Path) -> None:
    made.dist(tmp_path)
    numbers = [
        bill_of(made.packed(tmp_path, *more))["serialNumber"] for more in ([], [], ["--no-debug"], ["--version", "1"])
    ]
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 3

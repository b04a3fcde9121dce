"""``llext load --json`` gives the answers of Zephyr's own loader code, for every case.

Oracle: the recorded answers (README.md). What a case was recorded with becomes options; its loads become files, and
its unloads, which follow in every case, ``--unload``. The default heap is that of the recording, first fit. ``placed``:
regions are put at the recorded bases as well, with one ``--place`` for each file.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.cases import ANSWERED, HERE, files
from transcript import llext

OF_VARIANT = {
    "arm_veneers": ["--config", "CONFIG_LLEXT_VENEERS=y"],
    "arm_veneers_v6m": ["--config", "CONFIG_LLEXT_VENEERS=y", "--config", "CONFIG_ARMV6_M_ARMV8_M_BASELINE=y"],
    "arm_noreloc": ["--config", "CONFIG_LLEXT_RODATA_NO_RELOC=y"],
    "arm_allglobals": ["--config", "CONFIG_LLEXT_IMPORT_ALL_GLOBALS=y"],
}
HEAP = range(0x2000_0000, 0x2004_0000)
OF_REGION = ("region", "size", "align", "prepad", "file_offset", "on_heap")


@cache
def raw_cases() -> dict[str, Any]:
    return {raw["id"]: raw for raw in json.loads((HERE / ANSWERED).read_text())["cases"]}


@pytest.mark.parametrize("placed", [True, False], ids=["placed", "first fit"])
@pytest.mark.parametrize("name", list(raw_cases()))
def test_answers_are_the_loaders(name: str, placed: bool, tmp_path: Path) -> None:
    case = raw_cases()[name]
    code, printed = llext("load", *command(case, tmp_path, placed), "--json")
    ours = json.loads(printed)["steps"]
    theirs = [answer for answer in case["answers"] if answer["op"] in ("load", "unload")]
    if case.get("crash"):
        assert ours.pop()["rc"] == "undefined"
        assert theirs.pop().get("partial")
    assert len(ours) == len(theirs)
    for step, answer in zip(ours, theirs, strict=True):
        assert (step["op"], step["name"], str(step["rc"])) == (answer["op"], answer["name"], answer["rc"])
        if not placed and "live_allocations" in answer:
            assert step["allocations"] == answer["live_allocations"]
        if "sections" in answer:
            compare(step, answer)
    failed = [step for step in json.loads(printed)["steps"] if step["op"] == "load" and isinstance(step["rc"], str)]
    assert code == (failed[0]["diagnostics"][0]["exit_code"] if failed else 0)


def command(case: dict[str, Any], folder: Path, placed: bool) -> list[str]:
    """The operands and options of a case. A place comes after the file that it belongs to."""
    arguments = ["--arch", "riscv" if case["arch"] == "riscv" else "arm", *OF_VARIANT.get(case["variant"], [])]
    (folder / "exports.json").write_text(json.dumps({"exports": case["exports"]}))
    arguments += ["--exports", str(folder / "exports.json"), *of_options(case.get("options", {}))]
    loads = [answer for answer in case["answers"] if answer["op"] == "load"]
    for op, name, *file in case["steps"]:
        if op == "unload":
            arguments += ["--unload", name]
        if op != "load":
            continue
        path = folder / file[0]
        path.write_bytes(files()[f"{case['id']}/{file[0]}"])
        arguments.append(f"{name}={path}")
        regions = loads.pop(0).get("regions", ())
        bases = [(region["region"].lower(), region["base"]) for region in regions]
        places = [f"{region}={base}" for region, base in bases if int(base, 0) in HEAP]
        if placed and places:
            arguments += ["--place", ",".join(places)]
    return arguments


def of_options(options: dict[str, Any]) -> list[str]:
    given = []
    for option, value in options.items():
        match option, value:
            case "storage", kind:
                given += ["--storage", kind]
            case "peek", 0:
                given += ["--no-peek"]
            case "bufofs", distance:
                given += ["--buffer", hex(0x3000_0000 + distance)]
            case "relocate_local", 0:
                given += ["--no-relocate"]
            case "pre_located", 1:
                given += ["--pre-located"]
            case "detach", offset:
                given += ["--detach", f"@{offset}"]
            case "heap_size", size:
                given += ["--heap", f"0x20000000+{size}", "--heap-kind", "plain"]
            case unknown:
                raise AssertionError(f"the option {unknown} has no counterpart here")
    return given


def compare(step: dict[str, Any], answer: dict[str, Any]) -> None:
    """A load that succeeded: everything that was recorded of it."""
    for key in ("use_count", "alloc_size", "dependencies"):
        assert step[key] == answer[key], key
    for key in ("exports", "sym_tab"):
        assert step[key] == [[symbol, int(at, 0)] for symbol, at in answer[key]], key
    fields = ("index", "name", "region", "offset", "addr")
    assert [[section[field] for field in fields] for section in step["sections"]] == [
        [*section[:-1], int(section[-1], 0)] for section in answer["sections"]
    ]
    theirs = answer["regions"]
    assert [[r[key] for key in OF_REGION] for r in step["regions"]] == [[r[key] for key in OF_REGION] for r in theirs]
    assert [region["base"] for region in step["regions"]] == [int(region["base"], 0) for region in theirs]
    data = Path(step["file"]).read_bytes()
    assert [region["sha256"] for region in step["regions"]] == [sha256(region, data) for region in theirs]


def sha256(region: dict[str, Any], data: bytes) -> str:
    """Of a region's contents as they were recorded."""
    if "sha256" in region:
        return str(region["sha256"])
    if region.get("bytes") == "as in the file":
        contents = data[region["file_offset"] :][: region["size"]]
    else:
        contents = bytes.fromhex(region["hex"]) if "hex" in region else bytes(region["size"])
    return hashlib.sha256(contents).hexdigest()

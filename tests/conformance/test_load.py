"""The loader on the host gives the answers of Zephyr's own loader code: all of them, for every case.

Oracle: the recorded answers (README.md). ``placed``: regions at the recorded bases, so that their bytes can be compared
whatever the heap; ``first fit``: nothing is placed, and the heap, which then is like that of the recording, has to give
the recorded addresses, to structures that nobody sees as well.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import pytest

from conformance.cases import ANSWERED, HERE, cases, files
from conformance.replay import replay
from llext_tools.mem import Mem

COMPARED = ("rc", "ext_name", "use_count", "alloc_size", "sections", "sym_tab", "exports", "dependencies", "addr")
OF_REGION = ("region", "base", "size", "on_heap", "align", "file_offset", "prepad")


@cache
def raw_cases() -> dict[str, Any]:
    return {raw["id"]: raw for raw in json.loads((HERE / ANSWERED).read_text())["cases"]}


@pytest.mark.parametrize("place", [True, False], ids=["placed", "first fit"])
@pytest.mark.parametrize("name", list(cases()))
def test_load(name: str, place: bool) -> None:
    case, raw = cases()[name], raw_cases()[name]
    given = replay(case, raw, place=place)
    for ours, theirs in zip(given, raw["answers"], strict=False):
        assert ours["op"] == theirs["op"]
        if "rc" not in theirs and theirs["op"] == "load":
            assert ours["rc"] == "undefined", "the C code was ended by a signal here"
            return
        for key in COMPARED:
            if key in theirs:
                assert ours.get(key) == theirs[key], key
        if not place and theirs["op"] in ("unload", "end"):
            assert ours.get("live_allocations") == theirs.get("live_allocations", ours.get("live_allocations"))
        if "regions" in theirs:
            _compare_regions(ours["regions"], theirs["regions"], files()[f"{name}/{_file(raw, theirs)}"])
    assert len(given) == len(raw["answers"])


def _file(raw: dict[str, Any], answer: dict[str, Any]) -> str:
    """The file that a load's answer is about."""
    steps = [step for step in raw["steps"] if step[0] == "load"]
    answers = [each for each in raw["answers"] if each["op"] == "load"]
    return str(steps[[each is answer for each in answers].index(True)][2])


def _compare_regions(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], data: bytes) -> None:
    assert [[r[key] for key in OF_REGION] for r in ours] == [[r[key] for key in OF_REGION] for r in theirs]
    for mine, region in zip(ours, theirs, strict=True):
        contents = mine["contents"]
        if region.get("bytes") == "as in the file":
            assert contents == data[region["file_offset"] :][: region["size"]]
        elif region.get("bytes") == "zeros":
            assert contents == bytes(region["size"])
        elif "hex" in region:
            assert contents.hex() == region["hex"]
        else:
            assert hashlib.sha256(contents).hexdigest() == region["sha256"]


def test_every_region_and_every_answer_occurs() -> None:
    """The comparison above is not empty: what is to be compared occurs in the set."""
    answers = [answer for raw in raw_cases().values() for answer in raw["answers"]]
    assert {answer["op"] for answer in answers} == {"load", "unload", "use", "find", "end"}
    regions = {region["region"] for answer in answers for region in answer.get("regions", ())}
    assert regions == {mem.name for mem in Mem}
    verdicts = {answer.get("rc") for answer in answers if answer["op"] == "load"}
    assert verdicts >= {"0", "1", "2", "-ENOEXEC", "-ENODATA", "-ENOTSUP", "-ENOMEM", None}

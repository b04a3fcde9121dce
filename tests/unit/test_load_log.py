"""The loader's log: our sentences, the board's figures, in the board's order.

Oracle: the recorded errors and warnings of Zephyr's own loader code (tests/conformance), at levels DBG and INF.
"""

from __future__ import annotations

import errno
import json
import re
from functools import cache
from typing import Any

import pytest

from conformance.cases import ANSWERED, HERE, cases, files
from conformance.replay import replay
from llext_tools.llext import Level, Log

LEVEL = {"E": Level.ERR, "W": Level.WRN, "A": Level.ERR}  # A: a failed assertion
RET = re.compile(r"\bret (-\d+)$")
NUMBER = re.compile(r"(?<![\w.])-?(?:0x[0-9a-f]+|\d+)(?!\w)")
CONSTANT = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+")


@cache
def raw_cases() -> dict[str, Any]:
    return {raw["id"]: raw for raw in json.loads((HERE / ANSWERED).read_text())["cases"]}


def recorded(raw: dict[str, Any], level: Level) -> list[str]:
    """The recorded lines, up to a step that ended the recording."""
    loads = iter(raw["log_inf"] if level is Level.INF and "log_inf" in raw else [])
    lines = []
    for answer in raw["answers"]:
        log = answer.get("log", [])
        if answer["op"] == "load" and level is Level.INF and "log_inf" in raw:
            log = next(loads)
        lines += log
    return lines


def figures(line: str, objects: bytes) -> list[str]:
    """What is not English in a line: numbers, C's constants, names in the objects; an errno's number as its name."""
    found = [errno.errorcode[-int(number)] for number in RET.findall(line)]
    line = RET.sub("", line)
    words = [word.strip("!,:'()") for word in line.split()]
    names = [word for word in words if word and b"\0%s\0" % word.encode() in objects]
    return found + NUMBER.findall(line) + CONSTANT.findall(line) + names


@pytest.mark.parametrize("level", [Level.DBG, Level.INF], ids=["dbg", "inf"])
@pytest.mark.parametrize("name", list(cases()))
def test_each_recorded_line_has_ours_with_its_figures(name: str, level: Level) -> None:
    raw = raw_cases()[name]
    if any("rc" not in answer for answer in raw["answers"] if answer["op"] == "load"):
        return
    log = Log(level)
    replay(cases()[name], raw, place=True, log=log)
    theirs = recorded(raw, level)
    ours = [line for line in log.lines if line.level <= Level.WRN]
    shown = "\n".join([*theirs, "---", *map(str, ours)])
    assert [line.level for line in ours] == [LEVEL[line[0]] for line in theirs], shown
    objects = b"".join(data for path, data in files().items() if path.startswith(f"{name}/"))
    for mine, line in zip(ours, theirs, strict=True):
        for figure in figures(line[3:].rstrip(), objects):
            assert re.search(rf"(?<![\w.]){re.escape(figure)}(?!\w)", mine.text), f"{figure}: {line} / {mine}"

"""Backtraces as lines. Expected: what a person counts."""

from __future__ import annotations

import pytest

from llext_tools.unwind import Frame, lines

CASES = {
    "abc": ["#0 a", "#1 b", "#2 c"],
    "aab": ["#0 a", "#1 a", "#2 b"],
    "abbbbc": ["#0 a", "#1 to #4 b", "#5 c"],
    "ababc": ["#0 a", "#1 b", "#2 a", "#3 b", "#4 c"],
    "xabababa": ["#0 x", "#1 a", "#2 b", "... the same 2 frames 2 times more", "#7 a"],
    "abcdabcdabcd": ["#0 a", "#1 b", "#2 c", "#3 d", "... the same 4 frames 2 times more"],
    "abcdefghijklmnop": [
        *(f"#{i} {'abcdefg'[i]}" for i in range(7)),
        "... 5 more frames",
        "#12 m",
        "#13 n",
        "#14 o",
        "#15 p",
    ],
    "": [],
}


@pytest.mark.parametrize("names", CASES)
def test_lines_of_a_backtrace(names: str) -> None:
    frames = [Frame(pc=0, place=0, function=name, offset=0, kind="extension") for name in names]
    assert list(lines(frames)) == CASES[names]


def test_frame_says_what_is_known_of_it() -> None:
    frame = Frame(pc=0x1008, place=0x1004, function="run", offset=4, kind="extension", section=".text")
    assert str(frame) == "run+0x4"
    assert str(frame._replace(source="/home/me/run.c", line=7)) == "run+0x4 at run.c:7"
    assert str(frame._replace(function="", offset=0x104)) == ".text+0x104"
    assert str(frame._replace(guessed=True)) == "run+0x4 (a guess)"
    assert str(frame._replace(kind="firmware", file="zephyr.elf")) == "run+0x4 in zephyr.elf"
    assert str(frame._replace(kind="host")) == "run (host)"

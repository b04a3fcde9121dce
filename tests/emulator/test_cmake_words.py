"""A test of `llext_add_test()` is advised in its own words. Oracle: that CMake function, which says what it takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from emulator.compiled import CALLS_READ_ADC
from llext_tools.cli.cmake_words import WORDS, in_cmake
from llext_tools.cli.parser import parser_for
from llext_tools.diag import Diagnostic
from llext_tools.paths import cmake_dir
from needs import need
from transcript import llext

NEITHER = {"EXTENSION", "AT_BUILD"}
"""Of `llext_add_test()`: the operand of `llext run`, and what is none of its business."""


def test_the_words_are_those_of_the_function() -> None:
    text = Path(cmake_dir(), "LlextTest.cmake").read_text(encoding="utf-8")
    signature = text[text.index("llext_add_test(<test>") :]
    keywords = set(re.findall(r"^ +\[?([A-Z_]+)", signature[: signature.index("\n\n")], re.MULTILINE))
    assert set(WORDS.values()) == keywords - NEITHER
    options = {option for action in parser_for("run")._actions for option in action.option_strings}
    assert {f"--{option}" for option in WORDS} <= options


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("`--stub-missing` for 0", "`STUB_MISSING` in CMakeLists.txt for 0"),
        (
            "give `--override f=1` or `--override f=a.py:f`",
            "give `OVERRIDE f=1` in CMakeLists.txt or `OVERRIDE f=a.py:f`",
        ),
        ("`--firmware zephyr.elf`", "`EXPORTS` in CMakeLists.txt"),
        ("load it first: `--extension`, in CMake EXTENSIONS", "load it first: `EXTENSIONS` in CMakeLists.txt"),
        ("`--max-output` is too small", "`--max-output` is too small"),
        ("`llext inspect --memory a.llext` says", "`llext inspect --memory a.llext` says"),
    ],
)
def test_options_become_arguments(option: str, word: str) -> None:
    assert in_cmake(Diagnostic("run-fault", "", help=option)).help == word


def test_who_wrote_cmake_reads_cmake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.s").write_text(CALLS_READ_ADC, encoding="utf-8")
    Path("board.toml").write_text("[exports]\nread_adc = 0x8001\n", encoding="utf-8")
    subprocess.run([need("arm-none-eabi-as"), "-mcpu=cortex-m4", "a.s", "-o", "a.llext"], check=True)
    call = ("run", "a.llext", "--call", "answer()")
    of_test = ("--record", "run.json", "--test", "answers")
    for exports, option, word in (
        ((), "`--override NAME=VALUE`, or `--stub-missing` for 0", "`OVERRIDE NAME=VALUE`, or `STUB_MISSING` for 0"),
        (("--exports", "board.toml"), "`--override read_adc=0`;", "`OVERRIDE read_adc=0` in CMakeLists.txt;"),
        (("--exports", "board.toml", "--stub-missing"), "`--override NAME=VALUE` or", "`OVERRIDE NAME=VALUE` in CMake"),
    ):
        by_hand, by_cmake = llext(*call, *exports), llext(*call, *exports, *of_test)
        assert by_hand[0] == by_cmake[0]
        assert option in joined(by_hand[1])
        assert word in joined(by_cmake[1])
        assert "--" not in by_cmake[1].replace("-->", "")


def joined(text: str) -> str:
    """Without the breaks of lines that a screen of 80 columns needs."""
    return re.sub(r"\s+", " ", text)

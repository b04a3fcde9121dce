"""Strings in other languages come back as they were. Oracles: CMake itself, ``tomllib``."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmake_project import tool
from llext_tools import quote

HOSTILE = ["", "plain", 'a "b"', r"C:\new\$x", "${x} $ENV{x} $<1:x>", "#[[ ]]", "a;b", "two\nlines", "(é)"]
NO_ELEMENTS = ["]==]", r"a\;b", "end\\"]
"""CMake cannot have these in a list, whatever the quotes."""


@pytest.mark.parametrize("listed", [False, True], ids=["string", "list"])
def test_cmake_reads_what_was_written(listed: bool, tmp_path: Path) -> None:
    words = HOSTILE if listed else [*HOSTILE, *NO_ELEMENTS]
    lines = [f"set(x {quote.cmake_list([word, 'next']) if listed else quote.cmake(word)})" for word in words]
    get = "list(GET x 0 x)\n" if listed else ""
    text = "".join(f'{line}\n{get}file(APPEND out.txt "${{x}}|")\n' for line in lines)
    text = f"cmake_minimum_required(VERSION 3.25)\n{text}"
    (tmp_path / "script.cmake").write_text(text, encoding="utf-8")
    subprocess.run([tool("cmake"), "-P", "script.cmake"], cwd=tmp_path, check=True)
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").split("|")[:-1] == words


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_toml_reads_what_was_written(text: str) -> None:
    written = f"{quote.toml_key(text)} = {quote.toml([text])}"
    assert tomllib.loads(written) == {text: [text]}

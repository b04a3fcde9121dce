"""Strings in other languages come back as they were. Oracles: CMake, make, a shell, Meson, Python and ``tomllib``."""

from __future__ import annotations

import ast
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmake_project import tool
from llext_tools import quote
from needs import need

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


@given(st.text())
def test_python_reads_what_was_written(text: str) -> None:
    assert ast.literal_eval(quote.python(text)) == text


def test_make_and_its_shell_read_what_was_written(tmp_path: Path) -> None:
    make = need("gmake", "make")
    words = [word for word in HOSTILE if "\n" not in word]
    files = ["plain", "a b", "$x #1"]
    for name in files:
        (tmp_path / name).write_text(name)
    (tmp_path / "Makefile").write_text(
        f"words := {quote.make(shlex.join(words))}\nfiles := {' '.join(map(quote.make_file, files))}\n"
        "all: $(files)\n\t@printf '%s|' $(words)\n",
        encoding="utf-8",
    )
    done = subprocess.run([make], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout.split("|")[:-1]) == (0, words), done.stderr


def test_meson_reads_what_was_written(tmp_path: Path) -> None:
    words = ["it's", *(word for word in HOSTILE if "\n" not in word)]
    lines = ["project('x', meson_version: '>=1.2')", f"foreach word : {quote.meson_list(words)}"]
    lines += ["  message('<' + word + '>')", "endforeach"]
    (tmp_path / "meson.build").write_text("\n".join(lines), encoding="utf-8")
    command = [tool("meson"), "setup", "b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    assert [line[10:-1] for line in done.stdout.splitlines() if line.startswith("Message: <")] == words

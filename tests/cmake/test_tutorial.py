"""The tutorial and the first lines of the README, followed as written, print what they show.

Oracles: the pages; CMake, CTest and pytest, which pass.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import transcript
from cmake_project import PLUGIN, need_toolchain

pytestmark = pytest.mark.cmake

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PLACES = {"c": "src/scale.c", "cmake": "CMakeLists.txt", "toml": "llext.toml", "python": "tests/test_scale.py"}
"""Where the reader puts a block of the page."""


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_toolchain("cortex-m4", "zig")
    blocks = BLOCK.findall((ROOT / "docs/tutorial/first-extension.md").read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks] == ["console", "c", "cmake", "toml", "console", "console", "python"]
    pip, new, cd = transcript.commands(blocks[0][1].splitlines())
    assert (pip, cd) == ('pip install "llext-tools[zig]" pytest tox', "cd scale")
    monkeypatch.chdir(tmp_path)
    assert transcript.run([f"$ {new}"], tmp_path)[1] == [0]
    monkeypatch.chdir(tmp_path / "scale")
    for kind, text in blocks[1:]:
        if kind == "console":
            printed, codes = transcript.run(text.splitlines(), Path.cwd())
            assert codes == [0]
            assert timeless(printed) == timeless(text.splitlines())
        else:
            assert Path(PLACES[kind]).is_file(), "it is there already, of `llext new`"
            Path(PLACES[kind]).write_text(text, encoding="utf-8")
    shutil.copytree("build/cortex-m4-zig", "build/cortex-m4-gcc")  # as a build before llext.toml said which compiler
    command = [sys.executable, "-m", "pytest", "-q", *PLUGIN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_readme_begins_with_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows a machine where zig is the only toolchain."""
    need_toolchain("cortex-m4", "zig")
    lines = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))[0][1].splitlines()
    assert [line.partition("#")[0].rstrip() for line in lines[:3]] == [
        '$ pip install "llext-tools[zig]"',
        "$ llext new blink && cd blink",
        "$ llext build",
    ]
    monkeypatch.chdir(tmp_path)
    assert transcript.llext("new", "blink")[0] == 0
    monkeypatch.chdir(tmp_path / "blink")
    code, printed = transcript.llext("build", "--toolchain", "zig")
    assert code == 0, printed
    assert sorted(timeless(printed.splitlines())) == sorted(timeless(lines[3:])), "jobs in any order, as they end"


def timeless(lines: list[str]) -> list[str]:
    return [re.sub(r" +\d+\.\d s$", " ... s", line) for line in lines]

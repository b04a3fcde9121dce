"""The tutorial, followed as written, prints what it shows. Oracles: the page; CMake, CTest and pytest, which pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import transcript
from cmake_project import need_toolchain

pytestmark = pytest.mark.cmake

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-extension.md"
PLACES = {"c": "src/scale.c", "cmake": "CMakeLists.txt", "python": "tests/test_scale.py"}
"""Where the reader puts a block of the page."""


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_toolchain("cortex-m4", "zig")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["console", "c", "cmake", "console", "console", "python"]
    pip, new, cd = transcript.commands(blocks[0][1].splitlines())
    assert (pip, cd) == ('pip install "llext-tools[zig]"', "cd scale")
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
    command = [sys.executable, "-m", "pytest", "-q", "-p", "llext_tools.pytest_plugin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def timeless(lines: list[str]) -> list[str]:
    return [re.sub(r" +\d+\.\d s$", " ... s", line) for line in lines]

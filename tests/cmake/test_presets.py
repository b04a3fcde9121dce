"""Presets that `llext build` leaves. Oracle: CMake and CTest, which do the rest without us, and the bytes of both."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cmake_project import llext_build, tool

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain, pytest.mark.emulator]

MINE: dict[str, Any] = {
    "version": 4,
    "include": [],
    "configurePresets": [{"name": "mine", "hidden": True}],
    "vendor": {"editor": 1},
}
FILE = "CMakeUserPresets.json"


def built(folder: Path, *more: str) -> str:
    done = llext_build(folder, "--target=cortex-m4", "--toolchain=gcc", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cmake_builds_and_tests_without_us(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are the same, although the source says when it was compiled."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    (folder / FILE).write_text(json.dumps(MINE), encoding="utf-8")
    built(folder)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("CMakeLists.txt", "one.c", FILE):
        shutil.copyfile(folder / name, copy / name)
    preset = ("--preset", "cortex-m4-gcc")
    for command in (("cmake", *preset), ("cmake", "--build", *preset), ("ctest", *preset)):
        done = subprocess.run([tool(command[0]), *command[1:]], cwd=copy, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout
    assert b"100% tests passed" in done.stdout
    made = Path("build", "cortex-m4-gcc", "one.llext")
    assert (copy / made).read_bytes() == (folder / made).read_bytes()

    text = (folder / FILE).read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["configurePresets"][0] == MINE["configurePresets"][0]
    assert (found["vendor"], found["include"]) == (MINE["vendor"], [])
    listed = subprocess.run([tool("cmake"), "--list-presets=all"], cwd=folder, capture_output=True, check=True).stdout
    assert listed.count(b'"cortex-m4-gcc"') == 4, "of each kind one"
    built(folder)
    assert (folder / FILE).read_text(encoding="utf-8") == text


def test_the_presets_of_the_project_keep_their_names(folder: Path) -> None:
    theirs = {"version": 6, "configurePresets": [{"name": "cortex-m4-gcc", "hidden": True}]}
    (folder / "CMakePresets.json").write_text(json.dumps(theirs), encoding="utf-8")
    built(folder)
    assert not (folder / FILE).exists()


def test_presets_of_jobs_that_are_no_more_go(folder: Path) -> None:
    """Once the settings say so; not where a call is for some jobs, or where a preset of the user builds on one."""
    user = {"name": "mine", "inherits": ["cortex-m7-gcc"], "binaryDir": "b"}

    def left(*targets: str, words: tuple[str, ...] = ()) -> list[str]:
        text = f'[build]\ntoolchains = ["gcc"]\nrun = false\ntargets = {json.dumps(targets)}\n'
        (folder / "llext.toml").write_text(text, encoding="utf-8")
        done = llext_build(folder, *words)
        assert done.returncode == 0, done.stderr
        command = [tool("cmake"), "--list-presets=build"]
        listed = subprocess.run(command, cwd=folder, capture_output=True, check=True, encoding="utf-8").stdout
        return sorted(re.findall('"(.*)"', listed))

    both = ["cortex-m4-gcc", "cortex-m7-gcc"]
    assert left("cortex-m4", "cortex-m7") == both
    assert left("cortex-m4", words=("--target=cortex-m4",)) == both
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    found["configurePresets"].append(user)
    (folder / FILE).write_text(json.dumps(found), encoding="utf-8")
    assert left("cortex-m4") == both
    found["configurePresets"].remove(user)
    (folder / FILE).write_text(json.dumps(found), encoding="utf-8")
    assert left("cortex-m4") == ["cortex-m4-gcc"]


def test_a_broken_file_is_said_and_left_alone(folder: Path) -> None:
    (folder / FILE).write_text("{ broken", encoding="utf-8")
    markdown = folder / "summary.md"
    stdout = built(folder, "--summary", str(markdown))
    assert f"no presets for CMake: `{FILE}` is no file of presets" in stdout
    assert (folder / FILE).read_text(encoding="utf-8") == "{ broken"
    rows = [line for line in markdown.read_text(encoding="utf-8").splitlines() if line.startswith("| cortex-m4-gcc")]
    assert [cell.strip() for cell in rows[0].split("|")[1:6:2]] == ["cortex-m4-gcc", "1", "1"]

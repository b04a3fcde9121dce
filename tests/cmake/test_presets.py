"""Presets that `llext build` leaves. Oracle: CMake and CTest, which do the rest without us, and the bytes of both."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cmake_project import need_toolchain, tool

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain, pytest.mark.emulator]

LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(one LANGUAGES C)
find_package(LlextTools REQUIRED)
llext_add_extension(one SOURCES one.c)
llext_add_test(runs EXTENSION one CALL "one()" EXPECT_RETURN 1)
"""
SOURCE = "#include <llext/symbol.h>\nint one(void) { return 1; }\nEXPORT_SYMBOL(one);\n"
MINE: dict[str, Any] = {
    "version": 4,
    "include": [],
    "configurePresets": [{"name": "mine", "hidden": True}],
    "vendor": {"editor": 1},
}
FILE = "CMakeUserPresets.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    need_toolchain("cortex-m4", "gcc")
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(LISTS, encoding="utf-8")
    (folder / "one.c").write_text(SOURCE, encoding="utf-8")
    return folder


def llext_build(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llext_tools", "build", ".", "--target=cortex-m4", "--toolchain=gcc", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_cmake_builds_and_tests_without_us(folder: Path, tmp_path: Path) -> None:
    (folder / FILE).write_text(json.dumps(MINE), encoding="utf-8")
    llext_build(folder)
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
    llext_build(folder)
    assert (folder / FILE).read_text(encoding="utf-8") == text


def test_the_presets_of_the_project_keep_their_names(folder: Path) -> None:
    theirs = {"version": 6, "configurePresets": [{"name": "cortex-m4-gcc", "hidden": True}]}
    (folder / "CMakePresets.json").write_text(json.dumps(theirs), encoding="utf-8")
    llext_build(folder)
    assert not (folder / FILE).exists()


def test_a_broken_file_is_said_and_left_alone(folder: Path) -> None:
    (folder / FILE).write_text("{ broken", encoding="utf-8")
    markdown = folder / "summary.md"
    done = llext_build(folder, "--summary", str(markdown))
    assert f"no presets for CMake: `{FILE}` is no file of presets" in done.stdout
    assert (folder / FILE).read_text(encoding="utf-8") == "{ broken"
    rows = [line for line in markdown.read_text(encoding="utf-8").splitlines() if line.startswith("| cortex-m4-gcc")]
    assert [cell.strip() for cell in rows[0].split("|")[1:6:2]] == ["cortex-m4-gcc", "1", "1"]

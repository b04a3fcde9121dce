"""Folders that a build refuses before it begins. Oracle: CMake, which fails in them, and the lock of the system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llext_tools.build.folders import alone, check_folders
from llext_tools.errors import UsageError
from transcript import llext


@pytest.mark.parametrize("name", ["a;b", 'a"b', "a\\b", "a\nb", "a\udcff"])
def test_what_cmake_cannot_use_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "CMakeLists.txt").touch()
    code, printed = llext("build", str(folder), "--target=cortex-m4", "--toolchain=gcc")
    assert (code, "error[usage]: CMake cannot work in" in printed) == (2, True), printed
    assert os.listdir(folder) == ["CMakeLists.txt"]


def test_other_names_are_fit() -> None:
    check_folders(map(Path, ["a b", "x[1]", "a$b", "\xfc", "a=b", "a'b", "a#b", "a,b"]))


def test_two_builds_do_not_share_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    one, two = tmp_path / "build/one", tmp_path / "build/two"
    with alone([one]):
        with alone([two]):
            pass
        with pytest.raises(UsageError, match="another build is at work"), alone([two, one]):
            pass
    with alone([one, two]):
        pass

"""Folders that a build refuses before it begins. Oracle: CMake, which fails in them, and the lock of the system."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llext_tools.build.folders import alone, check_folders
from llext_tools.errors import UsageError
from transcript import llext


@pytest.mark.parametrize(
    "name", ["a;b", 'a"b', "a\\b", "a\nb", "a\rb", "a\tb", "a\x0cb", "a\u2028b", "a[b", "a]b", "a\udcff"]
)
def test_what_cmake_cannot_use_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "CMakeLists.txt").touch()
    code, printed = llext("build", str(folder), "--target=cortex-m4", "--toolchain=gcc")
    assert (code, "error[usage]: CMake cannot work in" in printed) == (2, True), printed
    assert os.listdir(folder) == ["CMakeLists.txt"]


def test_other_names_are_fit() -> None:
    check_folders(map(Path, ["a b", "x[1]", "a$b", "\xfc", "a=b", "a'b", "a#b", "a,b"]))


@pytest.mark.parametrize("name", ["a;b.toml", "a\nb.toml"])
def test_a_firmware_that_would_be_two_is_refused(name: str, tmp_path: Path) -> None:
    """As a file, or as a configuration in the settings."""
    (tmp_path / "CMakeLists.txt").touch()
    for file in (name, "table.toml"):
        (tmp_path / file).write_text("[exports]\nprintk = 4096\n", encoding="utf-8")
    firmware = {"name": "v1", "file": name}
    for table in (firmware, {**firmware, "file": "table.toml", "config": name}):
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        (tmp_path / "llext.toml").write_text(f"[[build.firmware]]\n{text}", encoding="utf-8")
        code, printed = llext("build", str(tmp_path), "--target=cortex-m4", "--toolchain=gcc")
        assert (code, "error[usage]: CMake would take" in printed) == (2, True), printed
        assert not (tmp_path / "build").exists()


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

"""Folders that a build refuses before it begins. Oracle: CMake, which fails in them, and the lock of the system."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llext_tools.build.folders import alone, check_folders, check_own
from llext_tools.build.job import Job
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


@pytest.mark.parametrize("name", ["a;b.toml", "a\nb.toml", "a\rb.toml", "a[.toml", "a\\"])
def test_a_firmware_that_cmake_cannot_use_is_refused(name: str, tmp_path: Path) -> None:
    """As a file, or as a configuration in the settings."""
    (tmp_path / "CMakeLists.txt").touch()
    for file in (name, "table.toml"):
        (tmp_path / file).write_text("[exports]\nprintk = 4096\n", encoding="utf-8")
    firmware = {"name": "v1", "file": name}
    for table in (firmware, {**firmware, "file": "table.toml", "config": name}):
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        (tmp_path / "llext.toml").write_text(f"[[build.firmware]]\n{text}", encoding="utf-8")
        code, printed = llext("build", str(tmp_path), "--target=cortex-m4", "--toolchain=gcc")
        assert (code, "error[usage]: CMake cannot use" in printed) == (2, True), printed
        assert not (tmp_path / "build").exists()


def project(tmp_path: Path) -> Path:
    """With a folder of sources, and two of builds: what lies in one was gathered there, the other is of somebody."""
    root = tmp_path / "project"
    for folder in ("src", "build/cortex-m4-gcc", "dist/cortex-m4-gcc", "shared/cortex-m4-gcc"):
        (root / folder).mkdir(parents=True)
    for name in ("CMakeLists.txt", "src/a.C", "build/cortex-m4-gcc/made.c", "build/cortex-m4-gcc/llext.log"):
        (root / name).touch()
    for folder in ("dist", "shared"):
        (root / folder / "cortex-m4-gcc" / "other.llext").touch()
    return root


@pytest.mark.parametrize(
    ("output", "build", "says"),
    [
        (".", "build", "--output: `.*project` is the folder of the project itself"),
        ("dist/..", "build", "--output: `.*` is the folder of the project itself"),
        ("src", "build", "--output: `.*src` has sources, such as `a.C`"),
        ("build", "build", "--output: `.*` would mix with what is built in `.*build/cortex-m4-gcc`"),
        ("build/cortex-m4-gcc", "build", "--output: `.*` would mix with what is built in `.*build/cortex-m4-gcc`"),
        ("dist", "dist", "--output: `.*` would mix with what is built in `.*dist/cortex-m4-gcc`"),
        ("dist", "dist/cortex-m4-gcc", "--output: `.*` would mix with what is built in `.*`"),
        ("dist", ".", "--build-dir: `.*project` is the folder of the project itself"),
        ("src/a.C", "build", "--output: `.*src/a.C` is no folder"),
        ("dist", "build/cortex-m4-gcc/made.c", "--build-dir: `.*made.c` is no folder"),
        ("dist", "src", "--build-dir: `.*src` has sources, such as `a.C`"),
        ("shared", "new", "--output: `.*shared/cortex-m4-gcc` has extensions of another build: `other.llext`"),
    ],
)
def test_a_folder_with_files_of_the_user_is_refused(output: str, build: str, says: str, tmp_path: Path) -> None:
    root = project(tmp_path)
    before = sorted(root.rglob("*"))
    job = Job(
        target="cortex-m4",
        toolchain="gcc",
        output=root / output / "cortex-m4-gcc",
        build=root / build / "cortex-m4-gcc",
    )
    with pytest.raises(UsageError, match=says):
        check_own(root, [job])
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("output", "build"), [("dist", "build"), ("dist", "new"), ("shared", "build"), ("build/dist", "build"), ("..", "b")]
)
def test_a_folder_of_its_own(output: str, build: str, tmp_path: Path) -> None:
    """What an earlier build has left there is no reason, nor are sources that were made."""
    root = project(tmp_path)
    job = Job(target="", toolchain="", output=root / output / "cortex-m4-gcc", build=root / build / "cortex-m4-gcc")
    check_own(root, [job])


def test_the_folder_of_the_project_may_have_the_name_of_a_job(tmp_path: Path) -> None:
    root = tmp_path / "cortex-m4-gcc"
    root.mkdir()
    (root / "CMakeLists.txt").touch()
    code, printed = llext("build", str(root), "--target=cortex-m4", "--toolchain=gcc", "-o", str(tmp_path))
    assert (code, "is the folder of the project itself" in printed.replace("\n", " ")) == (2, True), printed
    assert os.listdir(root) == ["CMakeLists.txt"]


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

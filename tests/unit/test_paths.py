"""Where files lie. Oracles: the file system, and CMake, which makes a build folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cmake_project import tool
from llext_tools import paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, and its build folder beside it."""
    folder = tmp_path_factory.mktemp("paths")
    for name in ("project/src/a.c", "project/b.c", "project/CMakeLists.txt", "build of it/made.c", "c.c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "project/CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES NONE)\n")
    command = [tool("cmake"), "-S", "project", "-B", "build of it"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (folder / "build of it/ext").mkdir()
    return folder


@pytest.fixture
def project(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def test_a_build_folder_knows_its_project(project: Path) -> None:
    assert os.path.samefile(paths.cmake_project("build of it"), "project")
    for folder in ("project", "nowhere", "build of it/ext", ""):
        assert paths.cmake_project(folder) == ""


@pytest.mark.parametrize(
    ("name", "debug", "where"),
    [
        ("src/a.c", "build of it/ext/a.debug.elf", "project/src/a.c"),
        ("src/a.c", "{}/build of it/a.debug.elf", "project/src/a.c"),
        ("../project/b.c", "build of it/a.debug.elf", "project/b.c"),
        ("made.c", "build of it/ext/a.debug.elf", "build of it/made.c"),
        ("a.c", "project/src/a.debug.elf", "project/src/a.c"),
        ("src/nowhere.c", "build of it/a.debug.elf", ""),
        ("ext", "build of it/a.debug.elf", ""),
        ("c.c", "build of it/a.debug.elf", ""),
        ("c.c", "/a.debug.elf", ""),
        ("{}/nowhere.c", "build of it/a.debug.elf", ""),
        ("llext-tools/cmake/atexit.cpp", "a.debug.elf", paths.atexit_source()),
        ("llext-tools/include/llext/symbol.h", "a.debug.elf", os.path.join(paths.include_dir(), "llext", "symbol.h")),
        ("llext-tools/include/nowhere.h", "a.debug.elf", ""),
    ],
)
def test_sources_are_found(name: str, debug: str, where: str, project: Path) -> None:
    """ "": the name itself, which leads there from the current folder, or nowhere."""
    name, debug = name.format(project), debug.format(project)
    found = paths.find_source(name, debug)
    if where:
        assert os.path.samefile(found, where)
    else:
        assert found == name


def test_what_the_package_brings_along_is_there() -> None:
    for path in (
        paths.merge_script(),
        paths.atexit_source(),
        os.path.join(paths.cmake_dir(), "LlextToolsConfig.cmake"),
    ):
        assert os.path.isfile(path)
    assert os.path.isfile(os.path.join(paths.include_dir(), "llext", "symbol.h"))
    assert os.path.isfile(os.path.join(paths.samples_dir(), "CMakeLists.txt"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{}/project/b.c", os.path.join("project", "b.c")),
        ("{}/build of it/../project/b.c", os.path.join("project", "b.c")),
        ("project/b.c", os.path.join("project", "b.c")),
        ("{}/../of another", os.path.join("..", "of another")),
        ("{}", "."),
        (os.sep + "x", os.sep + "x"),
    ],
)
def test_a_message_names_a_path_in_the_shorter_way(path: str, said: str, project: Path) -> None:
    assert paths.shown(path.format(project)) == said
    assert paths.shown(Path(path.format(project))) == said

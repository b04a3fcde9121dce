"""Artifacts that are older than the sources, or than what CMake alone has built. Oracle: what is done to the files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bundle import made
from cmake_project import need_toolchain, tool
from llext_tools import cmake_dir
from transcript import llext

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(test LANGUAGES C)
find_package(LlextTools REQUIRED)
llext_add_exports(board TABLE ../board.toml)
foreach(name IN ITEMS {names})
  llext_add_extension(${{name}} SOURCES hello.c EXPORTS board)
endforeach()
if(LLEXT_TARGET STREQUAL "cortex-m4" AND TARGET hello)
  llext_add_exports(rig TABLE rig.toml)
  llext_add_test(hello.asks EXTENSION hello EXPORTS rig CALL "hello()" EXPECT_RETURN 5 OVERRIDE ask=board.py:ask)
endif()
"""
SOURCE = """\
#include <llext/symbol.h>
int ask(void);
int value = {value};
int hello(void) {{ return ask(); }}
EXPORT_SYMBOL(hello);
"""
M4, M33 = "cortex-m4-gcc", "cortex-m33-gcc"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that `llext build` has built."""
    need_toolchain("cortex-m4", "gcc")
    folder = tmp_path_factory.mktemp("stale") / "a project"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(LISTS.format(names="hello"))
    (folder.parent / "board.toml").write_text("[exports]\nask = 5\n")
    (folder / "rig.toml").write_text("[exports]\nask = 9\n")
    (folder / "board.py").write_text("import answers\ndef ask() -> int:\n    return answers.FIVE\n")
    (folder / "answers.py").write_text("FIVE = 5\n")
    (folder / "hello.c").write_text(SOURCE.format(value=1))
    (folder / "llext.toml").write_text('[build]\ntargets = ["cortex-m4", "cortex-m33"]\ntoolchains = ["gcc"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        build()
    return folder


@pytest.fixture
def project(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same one for each test, as the current folder: CMake cannot be moved."""
    monkeypatch.chdir(built)
    build()
    assert refused() == ""
    return built


def build(*options: str) -> None:
    code, printed = llext("build", *options)
    assert code == 0, printed


def cmake_alone(job: str) -> None:
    subprocess.run([tool("cmake"), "--build", "--preset", job], check=True, stdout=subprocess.DEVNULL)


def refused(*paths: str) -> str:
    """What `llext pack` has against the files; "" if it packs them."""
    code, codes, printed = made.refused("pack", "-o", "b.llextpack", *paths)
    assert (code, codes) in [(0, set()), (12, {"bundle-stale"})], printed
    return printed if code else ""


def later(name: str) -> None:
    """Make a file newer than all others."""
    newest = max(path.stat().st_mtime_ns for path in Path("..").rglob("*") if path.is_file())
    os.utime(name, ns=(newest + 1_000_000, newest + 1_000_000))


def test_older_than_a_source(project: Path, tmp_path: Path) -> None:
    later("hello.c")
    said = refused()
    assert "`hello.llext` was built before `hello.c` changed" in said
    assert said.count("error[") == 1
    for job in (M4, M33):
        assert f"dist/{job}/hello.llext" in said
    assert "the same for" not in refused(f"dist/{M4}")
    assert refused(f"dist/{M4}/hello.json")
    shutil.copytree("dist", tmp_path / "elsewhere")
    assert refused(str(tmp_path / "elsewhere")) == ""
    build()
    assert refused() == ""


def test_older_than_a_list_of_cmake(project: Path) -> None:
    later("CMakeLists.txt")
    assert "`hello.llext` was built before `CMakeLists.txt` changed" in refused()


def test_settings_do_not_count(project: Path) -> None:
    """A version is bumped before `llext pack` without a build, and other tools have their settings there."""
    pyproject = Path("pyproject.toml")
    pyproject.write_text('[project]\nname = "test"\nversion = "1.0"\n')
    try:
        build()
        pyproject.write_text('[project]\nname = "test"\nversion = "1.1"\n\n[tool.ruff]\nline-length = 120\n')
        for settings in ("llext.toml", "pyproject.toml"):
            later(settings)
        assert refused() == ""
    finally:
        pyproject.unlink()


def test_another_firmware(project: Path) -> None:
    board = Path("..", "board.toml")
    later(str(board))
    assert refused() == ""  # the same one, for the manifest has its digest
    board.write_text(f"[exports]\nask = {2 * board.stat().st_size + 1}\n")
    later(str(board))
    said = refused()
    assert "board.toml` changed" in said
    assert f"the same for `dist/{M4}/hello.llext`" in said
    build()
    assert refused() == ""


def test_other_files_of_a_run(project: Path) -> None:
    """What tests run with: an override, and a module that it imports. A build without tests lists no such run."""
    for name in ("board.py", "answers.py"):
        later(name)
        said = refused()
        assert f"`hello.llext` was run by `hello.asks` before `{name}` changed" in said
        assert M33 not in said
        build()
        assert runs() == ["hello.asks"]
        assert refused() == ""
    later("board.py")
    build("--no-run")
    assert runs() == []
    assert refused() == ""
    build()
    assert runs() == ["hello.asks"]


def test_another_firmware_of_a_run(project: Path) -> None:
    """By its contents: a record has its digest."""
    later("rig.toml")
    assert refused() == ""
    Path("rig.toml").write_text("[exports]\nask = 13\n")
    later("rig.toml")
    assert "`hello.llext` was run by `hello.asks` before `rig.toml` changed" in refused()
    build()
    assert runs() == ["hello.asks"]
    assert refused() == ""


def runs() -> list[str]:
    document = json.loads(Path("dist", M4, "hello.json").read_text())
    return [run["test"] for run in document.get("runs", [])]


def test_older_than_what_cmake_has_built(project: Path) -> None:
    Path("hello.c").write_text(SOURCE.format(value=2))
    later("hello.c")
    cmake_alone(M4)
    said = refused("--target", "cortex-m4")
    assert "is older than what CMake alone has built" in said
    assert "`llext build` builds it again; it alone fills `dist`" in said
    assert "was built before `hello.c` changed" in refused("--target", "cortex-m33")


def test_other_extensions_than_cmake_has_built(project: Path) -> None:
    lists = Path("CMakeLists.txt").read_text()
    try:
        Path("CMakeLists.txt").write_text(LISTS.format(names="other"))
        later("CMakeLists.txt")
        cmake_alone(M4)
        said = refused("--target", "cortex-m4")
        assert "`hello.llext` is no extension of the project any more" in said
        assert "`other.llext` is missing" in said
        assert "other" not in refused("--target", "cortex-m4", "--extension", "hello")
        assert "other" not in refused(f"dist/{M4}/hello.llext")
    finally:
        Path("CMakeLists.txt").write_text(lists)
        later("CMakeLists.txt")


def test_what_builds_it_again(project: Path) -> None:
    """Of each job: as it says, what a build without options leaves as it is can be packed."""
    settings = Path("llext.toml").read_text()
    cache = {"CMAKE_TOOLCHAIN_FILE": f"{cmake_dir()}/toolchains/llext.cmake", "LLEXT_TARGET": "cortex-m0plus"}
    presets = [{"name": "small", "cacheVariables": {**cache, "LLEXT_TOOLCHAIN": "gcc"}}]
    Path("CMakePresets.json").write_text(json.dumps({"version": 6, "configurePresets": presets}))
    try:
        build("--preset", "small")
        Path("llext.toml").write_text(settings.replace(', "cortex-m33"', ""))
        later("hello.c")
        build()
        said = refused()
        assert "`llext build --preset small` builds it again; or remove `dist/small`" in said
        asked = "`llext build --target cortex-m33 --toolchain gcc` builds it again; or remove `dist/cortex-m33-gcc`"
        assert asked in said
        build("--preset", "small")
        build("--target", "cortex-m33", "--toolchain", "gcc")
        assert refused() == ""
    finally:
        shutil.rmtree("dist/small")
        os.unlink("CMakePresets.json")
        Path("llext.toml").write_text(settings)


def test_what_builds_an_open_toolchain_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With zig alone it is zig; a preset may have a name like that of a job."""
    need_toolchain("cortex-m4", "zig")
    folder = tmp_path / "a project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("CMakeLists.txt").write_text(LISTS.format(names="hello"))
    Path("../board.toml").write_text("[exports]\nask = 5\n")
    Path("rig.toml").write_text("[exports]\nask = 9\n")
    Path("hello.c").write_text(SOURCE.format(value=1))
    cache = {"CMAKE_TOOLCHAIN_FILE": f"{cmake_dir()}/toolchains/llext.cmake", "LLEXT_TARGET": "cortex-m0plus"}
    presets = [{"name": "debug-gcc", "cacheVariables": {**cache, "LLEXT_TOOLCHAIN": "zig"}}]
    Path("CMakePresets.json").write_text(json.dumps({"version": 6, "configurePresets": presets}))
    build("--preset", "debug-gcc", "--no-run")
    build("--target", "cortex-m4", "--toolchain", "zig", "--no-run")
    Path("hello.c").write_text(SOURCE.format(value=2))  # Clang writes digests of the sources
    later("hello.c")
    assert "`llext build --preset debug-gcc` builds it again" in refused("dist/debug-gcc")
    usual, asked = "`llext build` builds it again", "`llext build --target cortex-m4 --toolchain zig` builds it again"
    for settings in ("", '[build]\ntargets = ["cortex-m4"]\n'):
        Path("llext.toml").write_text(settings)
        assert usual in refused("dist/cortex-m4-zig")
        Path("dist", M4).mkdir()
        assert asked in refused("dist/cortex-m4-zig")
        Path("dist", M4).rmdir()


def test_a_project_that_was_moved(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell then, but for files that have come from elsewhere, and of a job that is built again."""
    moved = project.with_name("moved")
    project.rename(moved)
    try:
        monkeypatch.chdir(moved)
        said = refused()
        assert "`hello.llext` may be outdated, and nobody can tell:" in said
        assert f"for another place, `{(project / 'build' / M4).as_posix()}`" in said
        assert f"dist/{M33}/hello.llext" in said
        later(f"dist/{M33}/hello.llext")  # as a download leaves it
        assert M33 not in refused()
        build("--target", "cortex-m4")
        assert refused() == ""
    finally:
        monkeypatch.chdir(moved.parent)
        moved.rename(project)


def test_no_alarm(project: Path) -> None:
    """What comes from elsewhere, or has nothing beside it to compare with; and what somebody has taken out."""
    os.unlink(Path("dist", M33, "hello.debug.elf"))
    assert "bundle-stale" not in llext("pack", "-o", "b.llextpack", "--no-debug")[1]
    build()
    later("hello.c")
    for path in Path("dist").rglob("*.*"):
        later(str(path))  # as a download leaves them
    assert refused() == ""
    build()
    later("hello.c")
    assert refused()
    cmake = [tool("cmake"), "--build", "--preset", M4, "--target", "clean"]
    subprocess.run(cmake, check=True, stdout=subprocess.DEVNULL)
    assert refused("--target", "cortex-m4") == ""
    os.rename("build", "away")
    try:
        assert refused() == ""
    finally:
        os.rename("away", "build")

"""What an up-to-date `llext build` does not do again, and what it does after a change.

Oracles: CTest's own list of what ran (the JUnit report), and the digests of ``sha256sum``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

from cmake_project import need_toolchain, tool
from llext_tools.build import Job, Options, Result, build
from llext_tools.build.report import diagnose
from llext_tools.build.runs import excluding
from needs import need

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain, pytest.mark.emulator]

LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(adc LANGUAGES C)
find_package(LlextTools REQUIRED)
llext_add_extension(adc SOURCES adc.c)
llext_add_test(reads EXTENSION adc CALL "twice()" OVERRIDE read_adc=board.py:adc EXPECT_RETURN 14)
llext_add_test("a+b (c)" EXTENSION adc CALL "one()" EXPECT_RETURN 1 OVERRIDE read_adc=0)
llext_add_test("a+b__c_" EXTENSION adc CALL "one()" EXPECT_RETURN 1 OVERRIDE read_adc=0)
llext_add_test(built EXTENSION adc CALL "one()" EXPECT_RETURN 1 OVERRIDE read_adc=0 AT_BUILD)
"""
ALIKE = ("a+b (c)", "a+b__c_")
SOURCE = """\
#include <llext/symbol.h>
int read_adc(void);
int twice(void) { return 2 * read_adc(); }
int one(void) { return 1; }
EXPORT_SYMBOL(twice);
EXPORT_SYMBOL(one);
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been built once."""
    need_toolchain("cortex-m4", "gcc")
    folder = tmp_path_factory.mktemp("adc")
    (folder / "CMakeLists.txt").write_text(LISTS, encoding="utf-8")
    (folder / "adc.c").write_text(SOURCE, encoding="utf-8")
    (folder / "board.py").write_text("import levels\ndef adc() -> int:\n    return levels.LEVEL\n", encoding="utf-8")
    (folder / "levels.py").write_text("LEVEL = 7\n", encoding="utf-8")
    assert ran(once(folder)) == {"reads", *ALIKE}
    return folder


def once(folder: Path, **options: Any) -> Result:
    job = Job(target="cortex-m4", toolchain="gcc", build=folder / "build" / "j", output=folder / "dist" / "j")
    (result,) = build([job], Options(source=folder, cores=2, **options))
    return result


def ran(result: Result) -> set[str]:
    return {test.name for test in result.tests}


def called(result: Result) -> list[str]:
    """The programs that the driver has called."""
    log = result.job.log.read_text(encoding="utf-8")
    return [line.split()[1].rpartition("/")[2] for line in log.splitlines() if line.startswith("$ ")]


def change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    Path(cache_from_source(path)).unlink(missing_ok=True)  # Python takes two writings within a second for one


def test_only_what_a_change_concerns_runs_again(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert excluding(("a+b (c)",)) == ["-E", r"^(a\+b \(c\))$"]
    again = once(first)
    assert (again.passed, ran(again), set(again.up_to_date)) == (True, set(), {"reads", *ALIKE})
    assert called(again) == ["ninja"]

    change(first / "levels.py", "7", "8")
    failed = once(first)
    assert ran(failed) == {"reads"}, "what an override imports has changed"
    assert not failed.passed
    assert not failed.job.output.exists()
    change(first / "levels.py", "8", "7")
    mended = once(first)
    assert mended.passed
    assert (ran(mended), mended.up_to_date) == ({"reads"}, ALIKE)

    for name in ("math.py", "random/__init__.py"):  # they go before those of Python where board.py imports them
        (first / name).parent.mkdir(exist_ok=True)
        (first / name).touch()
        assert (ran(once(first)), ran(once(first))) == ({"reads"}, set()), name
    (first / "notes.txt").touch()
    assert ran(once(first)) == set()
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        assert ran(once(first)) == {"reads", *ALIKE}

    assert ran(once(first, rerun=True)) == {"reads", *ALIKE}
    assert not once(first, run=False).tests


def test_programs_of_a_new_version_at_the_same_path(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(first, tmp_path / "p", ignore=shutil.ignore_patterns("build", "dist"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ld", "ar", "ranlib"):
        (programs / f"arm-none-eabi-{name}").symlink_to(need(f"arm-none-eabi-{name}"))
    gcc, cmake, real = programs / "arm-none-eabi-gcc", programs / "cmake", need("arm-none-eabi-gcc")

    def install(version: str) -> None:
        gcc.write_text(f'#!/bin/sh\n[ "$1" = -dumpfullversion ] && exec echo {version}\nexec {real} "$@"\n')
        gcc.chmod(0o755)

    def install_cmake(comment: str) -> None:
        cmake.write_text(f'#!/bin/sh\n# {comment}\nexec {tool("cmake")} "$@"\n')
        cmake.chmod(0o755)

    install("99.8")
    install_cmake("")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("llext_tools.build.find_tool", lambda name: str(cmake) if name == "cmake" else tool(name))
    assert once(folder).passed
    assert called(once(folder)) == ["ninja"]
    install("99.10")
    result = once(folder)
    assert called(result) == ["cmake", "ninja", "ctest"]
    manifest = json.loads(result.artifacts[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert manifest["toolchain"]["version"] == "99.10"
    install_cmake("new")
    assert called(once(folder, run=False)) == ["cmake", "ninja"]


def test_a_file_from_the_future(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracles: Ninja, which gives up; what the shell does with the advice, in the folder where it was given."""
    folder = shutil.copytree(first, tmp_path / "a project", ignore=shutil.ignore_patterns("build", "dist"))
    assert once(folder, run=False).passed
    lists = folder / "CMakeLists.txt"
    os.utime(lists, (time.time() + 90_000, time.time() + 90_000))
    monkeypatch.chdir(tmp_path)
    failed = once(folder, run=False)
    assert "still dirty" in failed.job.log.read_text(encoding="utf-8")
    (diagnostic,) = diagnose([failed])
    (line,) = diagnostic.detail
    assert line.startswith("the time of `a project/CMakeLists.txt` is in the future")
    subprocess.run(["sh", "-e", "-c", diagnostic.help.split("`")[1]], check=True)
    assert once(folder, run=False).passed


def test_tests_of_others_always_run(first: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(first, tmp_path / "p", ignore=shutil.ignore_patterns("build", "dist"))
    change(folder / "CMakeLists.txt", "AT_BUILD)\n", "AT_BUILD)\nadd_test(NAME plain COMMAND true)\n")
    assert ran(once(folder)) == {"reads", *ALIKE, "plain"}
    assert ran(once(folder)) == {"plain"}
    change(folder / "CMakeLists.txt", "COMMAND true", "COMMAND false")
    failed = once(folder)
    assert ran(failed) == {"reads", *ALIKE, "plain"}, "CTest may know something else of each test"
    assert [failure.what for failure in failed.failures] == ["plain"]


def test_what_is_not_in_all_is_built_too(first: Path, tmp_path: Path) -> None:
    """A folder and a target that CMake excludes from ``all``; what an earlier build has made of them is not shipped."""
    folder = shutil.copytree(first, tmp_path / "p", ignore=shutil.ignore_patterns("build", "dist"))
    lists, other = folder / "CMakeLists.txt", folder / "other" / "other.c"
    other.parent.mkdir()
    shutil.copy(folder / "adc.c", other)
    text = 'llext_add_extension(other SOURCES other.c)\nset(call EXTENSION other CALL "one()" OVERRIDE read_adc=0)\n'
    text += "llext_add_test(of_other ${call})\nllext_add_test(at_build ${call} AT_BUILD)\n"
    (other.parent / "CMakeLists.txt").write_text(text, encoding="utf-8")
    change(lists, "AT_BUILD)\n", "AT_BUILD)\nadd_subdirectory(other EXCLUDE_FROM_ALL)\n")
    change(lists, "adc.c)\n", "adc.c)\nset_target_properties(adc PROPERTIES EXCLUDE_FROM_ALL TRUE)\n")
    result = once(folder)
    assert {path.name for path in result.artifacts} == {"adc.llext", "other.llext"}
    assert "of_other" in ran(result)
    document = json.loads((result.job.output / "other.json").read_text(encoding="utf-8"))
    assert "at_build" in {run["test"] for run in document["runs"]}
    assert (ran(once(folder)), called(once(folder))) == (set(), ["ninja"])

    change(other, "int one", "broken(\nint one")
    failed = once(folder)
    assert [failure.what for failure in failed.failures] == ["other/other.c.obj"]
    assert not failed.job.output.exists()


def test_the_manifest_has_the_runs_that_hold(first: Path) -> None:
    result = once(first)
    (path,) = result.artifacts
    manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert {run["test"]: run["calls"] for run in manifest["runs"]} == {
        "reads": ["twice()"],
        "a+b (c)": ["one()"],
        "a+b__c_": ["one()"],
        "built": ["one()"],
    }
    digest = subprocess.run(["sha256sum", path], stdout=subprocess.PIPE, check=True).stdout.decode().split()[0]
    assert manifest["files"]["adc.llext"]["sha256"] == digest

    os.utime(path, ns=(1, 1))
    once(first)
    assert path.stat().st_mtime_ns == 1, "what is there already is not written again"
    path.write_bytes(b"other")
    once(first)
    assert subprocess.run(["sha256sum", path], stdout=subprocess.PIPE, check=True).stdout.decode().split()[0] == digest


def test_what_somebody_has_damaged_is_made_again(first: Path) -> None:
    """Oracle: `cmp` with what was there before; CMake and Ninja themselves give up without their files."""
    result = once(first)
    (path,) = result.artifacts
    before = shutil.copy2(path, first / "before")
    for name in ("CMakeCache.txt", "CMakeFiles/VerifyGlobs.cmake", "adc.llext"):
        damaged = result.job.build / name
        damaged.write_bytes(b"") if name.startswith("adc") else damaged.unlink()
        assert once(first).passed, name
        assert damaged.stat().st_size, name
        assert subprocess.run(["cmp", path, before], check=False).returncode == 0, name
        assert called(once(first)) == ["ninja"], name
    (first / "before").unlink()

"""Extensions that are older than their sources.

Oracle: what a file's time and contents are set to; in a build of CMake what Ninja then builds again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from cmake_project import LLEXT_COMMAND, need_toolchain, tool
from emulator.compiled import compile_file
from llext_tools import arch, cmake_dir, toolchains
from llext_tools.build.stale import Stale, find_stale
from needs import need
from transcript import llext

pytestmark = pytest.mark.emulator

LONG_AGO = 1_000_000_000
PLUGIN = ("-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider")
FILES = {
    "src/tank.c": '#include "level.h"\n#include "made.h"\n#include <llext/host.h>\n#include <llext/symbol.h>\n'
    "int rise(int by) { return raise(made(by)); }\nEXPORT_SYMBOL(rise);\n",
    "src/level.h": "static int level;\nstatic inline int raise(int by) { return level += by; }\n",
    "build/cortex-m4-gcc/made.h": "static inline int made(int by) { return by; }\n",
}


def put(folder: Path, files: dict[str, str], time: int = LONG_AGO) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (time, time))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By compiler, a project that is built; names in its debug information are relative to it."""

    @cache
    def build(chain: str) -> Path:
        target = arch.target("cortex-m4")
        need_toolchain(target.name, chain)
        folder = tmp_path_factory.mktemp(chain)
        put(folder, FILES)
        out = folder / "build/cortex-m4-gcc"
        maps = {f"{folder}{os.sep}": "", os.getcwd(): ".", **toolchains.prefix_maps(toolchains.find(target, chain))}
        options = [f"-ffile-prefix-map={old}={new}" for old, new in maps.items()]
        made = compile_file(folder / "src/tank.c", target, chain, out, f"-I{out}", *options)
        assert llext("finish", made.path) == (0, "")
        return folder

    return build


@pytest.fixture
def project(built: Callable[[str], Path], request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of one, with CMake's mark in its build folder."""
    folder = tmp_path / "tank project"
    shutil.copytree(built(getattr(request, "param", "gcc")), folder)
    (folder / "build/cortex-m4-gcc/CMakeCache.txt").write_text(f"CMAKE_HOME_DIRECTORY:INTERNAL={folder}\n")
    return folder


def extension(project: Path) -> Path:
    return project / "build/cortex-m4-gcc/tank.llext"


def later(path: Path, of: Path) -> None:
    time = of.stat().st_mtime + 100
    os.utime(path, (time, time))


def changed(project: Path, root: Path | None = None) -> list[str] | None:
    found = find_stale(str(extension(project)), root or project)
    if found is None:
        return None
    assert found == Stale(found.sources, project / "build/cortex-m4-gcc")
    return [path.relative_to(project).as_posix() for path in found.sources]


@pytest.mark.parametrize("name", ["src/tank.c", "src/level.h"])
def test_a_source_that_is_newer(project: Path, name: str) -> None:
    assert changed(project) is None
    later(project / name, extension(project))
    assert changed(project) == [name]
    assert changed(project, root=project / "tests") == [name]  # the project of CMake counts, too
    later(extension(project), project / name)
    assert changed(project) is None


def test_the_newest_one_goes_first(project: Path) -> None:
    later(project / "src/tank.c", extension(project))
    later(project / "src/level.h", project / "src/tank.c")
    assert changed(project) == ["src/level.h", "src/tank.c"]


@pytest.mark.parametrize("project", ["zig"], indirect=True)
def test_contents_go_before_times_where_they_are_known(project: Path) -> None:
    """As after `git checkout`, there and back."""
    source = project / "src/tank.c"
    later(source, extension(project))
    assert changed(project) is None
    put(project, {"src/level.h": FILES["src/level.h"].replace("+=", "-=")})
    assert changed(project) == ["src/level.h"]


def test_no_alarm(project: Path) -> None:
    """Generated files, packages in a virtual environment, sources that are elsewhere or gone, files of a wheel."""
    later(project / "build/cortex-m4-gcc/made.h", extension(project))
    assert changed(project) is None
    (project / "src/level.h").unlink()
    assert changed(project) is None
    later(project / "src/tank.c", extension(project))
    assert changed(project) == ["src/tank.c"]
    cache = project / "build/cortex-m4-gcc/CMakeCache.txt"
    cache.write_text(cache.read_text(encoding="utf-8").replace("tank project", "another"), encoding="utf-8")
    assert changed(project, root=project / "tests") is None
    assert changed(project) == ["src/tank.c"]
    cache.unlink()
    assert changed(project) is None


def test_headers_of_the_toolchain_do_not_count(project: Path) -> None:
    package = project / ".venv/lib/python3/site-packages/tools"
    shutil.move(project / "src", package / "src")
    shutil.move(project / "build/cortex-m4-gcc", package / "cortex-m4-gcc")
    later(package / "src/tank.c", package / "cortex-m4-gcc/tank.llext")
    assert find_stale(str(package / "cortex-m4-gcc/tank.llext"), project) is None


def test_what_cannot_be_read_is_not_judged(project: Path) -> None:
    later(project / "src/tank.c", extension(project))
    debug = extension(project).with_name("tank.debug.elf")
    data = debug.read_bytes()
    debug.write_bytes(data[: len(data) // 2])
    assert changed(project) is None
    debug.unlink()
    assert changed(project) is None
    extension(project).write_bytes(b"\x7fELF")
    assert changed(project) is None


def test_a_session_warns_once(project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    put(
        project,
        {
            "tests/test_tank.py": "def test_one(llext_extension):\n"
            "    assert llext_extension('tank').rise(1) == 1\n"
            "def test_other(llext_extension):\n"
            "    assert llext_extension('tank').rise(2) == 2\n"
        },
    )
    options = (*PLUGIN, f"--rootdir={project}", "tests", "-c", os.devnull)
    pytester.runpytest_inprocess(*options, "-W", "error").assert_outcomes(passed=2)
    later(project / "src/tank.c", extension(project))
    result = pytester.runpytest_inprocess(*options, "-W", "default")
    result.assert_outcomes(passed=2, warnings=1)
    text = "*test_tank.py:2: StaleExtensionWarning: `{0}` was built before `{1}` changed: build it again, `llext build`"
    shown = text.format(os.path.relpath(extension(project)), os.path.join("src", "tank.c"))
    result.stdout.fnmatch_lines([shown.replace("[", "[[]")])
    wrong = pytester.runpytest_inprocess(*options, "-W", "error::llext_tools.pytest_plugin.StaleExtensionWarning")
    wrong.assert_outcomes(passed=1, failed=1)
    extension(project).parent.rename(project / "build/by-hand")
    result = pytester.runpytest_inprocess(*options, "-W", "default", "--llext-build-dir", "build")
    result.stdout.fnmatch_lines([f"*build it again, `cmake --build {os.path.join('build', 'by-hand')}`"])


BUILDS, LINKS = "Building C object", "Linking C executable"
LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(tank LANGUAGES C)
find_package(LlextTools REQUIRED)
add_library(valve STATIC "src/the valve.c")
llext_add_exports(board TABLE "../a board.toml")
llext_add_extension(tank SOURCES src/tank.c EXPORTS board {output})
target_link_libraries(tank PRIVATE valve)
"""


@pytest.mark.cmake
@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("generator", "made"),
    [("Ninja", "tank.llext"), ("Ninja Multi-Config", "Debug/tank.llext"), ("Unix Makefiles", "tank-2.llext")],
)
def test_it_is_what_cmake_builds_again(tmp_path: Path, generator: str, made: str) -> None:
    """With headers of macros alone, of which debug information says nothing, those of a library, and the firmware."""
    need_toolchain("cortex-m4", "gcc")
    cmake, program = tool("cmake"), tool("ninja") if "Ninja" in generator else need("make")
    folder, board = tmp_path / "tank project", tmp_path / "a board.toml"
    board.write_text("[exports]\nup = 64\n")
    tank = FILES["src/tank.c"].replace("raise(", "MOST + turn() + raise(")
    output = "" if made.endswith("tank.llext") else f"OUTPUT {made}"  # its debug file has the name of the target
    put(folder, {"CMakeLists.txt": LISTS.format(output=output), "src/made.h": FILES["build/cortex-m4-gcc/made.h"]})
    put(folder, {"src/tank.c": f'#include "most.h"\nint turn(void);\n{tank}', "src/level.h": FILES["src/level.h"]})
    put(folder, {"src/most.h": "#define MOST 7\n", "src/a turn.h": "#define TURN 1\n"})
    put(folder, {"src/the valve.c": '#include "a turn.h"\nint turn(void) { return TURN; }\n'})
    build = folder / "out put"
    options = [f"-DCMAKE_MAKE_PROGRAM={program}", f"-DCMAKE_TOOLCHAIN_FILE={cmake_dir()}/toolchains/llext.cmake"]
    options += [f"-DLlextTools_DIR={cmake_dir()}", f"-DLLEXT_COMMAND={LLEXT_COMMAND}"]
    options += ["-DLLEXT_TARGET=cortex-m4", "-DLLEXT_TOOLCHAIN=gcc"]
    call(cmake, "-S", folder, "-B", build, "-G", generator, *options)
    path = build / made
    assert BUILDS in call(cmake, "--build", build)
    for name in ("src/tank.c", "src/level.h", "src/most.h", "src/the valve.c", "src/a turn.h"):
        assert find_stale(str(path), folder) is None
        assert BUILDS not in call(cmake, "--build", build)
        moment = path.stat().st_mtime_ns + 1_000_000
        os.utime(folder / name, ns=(moment, moment))
        assert find_stale(str(path), folder) == Stale((folder / name,), build)
        assert BUILDS in call(cmake, "--build", build)
    assert find_stale(str(path), folder) is None
    for text, found in (("[exports]\nup = 64\n", None), ("[exports]\nup = 68\n", Stale((board,), build))):
        board.write_text(text)
        moment = max(each.stat().st_mtime_ns for each in path.parent.glob("tank*.*")) + 1_000_000
        os.utime(board, ns=(moment, moment))
        assert find_stale(str(path), folder) == found
        assert LINKS in call(cmake, "--build", build)
        assert find_stale(str(path), folder) is None
    (folder / "src/most.h").unlink()
    found = find_stale(str(path), folder)
    assert found == Stale((folder / "src/most.h",), build)
    assert found.how == "was removed"
    assert subprocess.run([cmake, "--build", build], capture_output=True, check=False).returncode != 0


def call(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

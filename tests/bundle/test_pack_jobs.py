"""What lies in the output folder against what the settings ask for. Oracle: the names of folders, written by hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bundle import made
from cmake_project import need_toolchain
from transcript import llext


def pack(*options: str) -> tuple[int, dict[str, set[str]]]:
    """Exit code, and of each diagnostic the names in its message: what it is about comes first."""
    Path("b.llextpack").unlink(missing_ok=True)
    code, printed = llext("pack", "-o", "b.llextpack", *options)
    found = {}
    for block in printed.split("\n\n"):
        head, _, rest = block.partition("]: ")
        if rest:
            message = " ".join(re.split("\n +(?:-->|=)", rest)[0].split())
            found[head] = set(message.split("`")[1::2]) - {"dist", "llext.toml"}
    assert Path("b.llextpack").exists() == (code == 0)
    return code, found


@pytest.mark.parametrize(
    ("settings", "options", "code", "found"),
    [
        ('targets = ["cortex-m4", "cortex-m33"]', [], 0, {}),
        ('targets = ["cortex-m4", "cortex-m33"]\ntoolchains = ["auto", "gcc"]', ["dist"], 0, {}),
        ("jobs = 2", [], 0, {}),
        # missing
        (
            'targets = ["cortex-m4", "cortex-m33", "rv64gc"]',
            [],
            12,
            {"error[bundle-incomplete": {"rv64gc"}},
        ),
        ('targets = ["cortex-m4", "cortex-m33", "rv64gc"]', ["--target", "cortex-m4"], 0, {}),
        ('targets = ["cortex-m4", "cortex-m33", "rv64gc"]', ["dist/cortex-m4-gcc"], 0, {}),
        ('targets = ["cortex-m4"]', ["--target", "cortex-m4", "--target", "rv64gc"], 2, {"error[usage": {"rv64gc"}}),
        (
            'targets = ["cortex-m4", "cortex-m33"]\ntoolchains = ["gcc", "zig"]',
            [],
            12,
            {"error[bundle-incomplete": {"cortex-m4-zig", "cortex-m33-zig"}},
        ),
        ('toolchains = ["gcc", "zig"]', [], 0, {"warning[bundle-incomplete": {"cortex-m4-zig", "cortex-m33-zig"}}),
        (
            'toolchains = ["gcc"]\n[[build.firmware]]\nname = "a"\nfile = "a.elf"\ntarget = ["cortex-m4"]',
            [],
            12,
            {
                "error[bundle-incomplete": {"cortex-m4-gcc-a"},
                "warning[bundle-unasked": {"cortex-m4-gcc", "cortex-m33-gcc"},
            },
        ),
        (
            '[[build.firmware]]\nname = "a"\nfile = "a.elf"',  # for all targets that there are
            [],
            12,
            {
                "error[bundle-incomplete": {"cortex-m4-a", "cortex-m33-a"},
                "warning[bundle-unasked": {"cortex-m4-gcc", "cortex-m33-gcc"},
            },
        ),
        # not asked for
        ('targets = ["cortex-m4"]', [], 0, {"warning[bundle-unasked": {"cortex-m33-gcc"}}),
        ('targets = ["cortex-m4"]', ["--target", "cortex-m4"], 0, {}),
        (
            'targets = ["cortex-m4", "cortex-m33"]\ntoolchains = ["zig"]',
            [],
            12,
            {
                "error[bundle-incomplete": {"cortex-m4-zig", "cortex-m33-zig"},
                "warning[bundle-unasked": {"cortex-m4-gcc", "cortex-m33-gcc"},
            },
        ),
        ('output = "elsewhere"', ["dist"], 0, {}),
        ('output = "elsewhere"', [], 2, {"error[usage": {"elsewhere"}}),
    ],
)
def test_the_output_folder_is_compared_with_the_settings(
    settings: str,
    options: list[str],
    code: int,
    found: dict[str, set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made.dist(tmp_path, ("blink",))
    monkeypatch.chdir(tmp_path)
    Path("llext.toml").write_text(f"[build]\n{settings}\n")
    assert pack(*options) == (code, found)


def test_of_an_open_toolchain_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dist(tmp_path, ("blink",))
    monkeypatch.chdir(tmp_path)
    Path("llext.toml").write_text('[build]\ntargets = ["cortex-m4", "cortex-m33"]\n')
    Path("dist/cortex-m4-gcc").rename("dist/cortex-m4-zig")
    assert pack() == (0, {})
    made.dist(tmp_path / "again", ("blink",))
    (tmp_path / "again/dist/cortex-m4-gcc").rename("dist/cortex-m4-gcc")
    assert pack() == (0, {"warning[bundle-unasked": {"cortex-m4-zig"}})


LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(test LANGUAGES C)
find_package(LlextTools REQUIRED)
if(LLEXT_TARGET STREQUAL "cortex-m33")
  message(FATAL_ERROR "not today")
elseif(NOT LLEXT_TARGET STREQUAL "cortex-m0plus")
  llext_add_extension(hello SOURCES hello.c)
endif()
"""
SOURCE = """\
#include <llext/symbol.h>
int hello(void) { return 1; }
EXPORT_SYMBOL(hello);
"""


@pytest.mark.cmake
@pytest.mark.toolchain
def test_what_the_last_build_has_left_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job passes, one fails, and for one target the project has no extension."""
    need_toolchain("cortex-m4", "gcc")
    monkeypatch.chdir(tmp_path)
    Path("CMakeLists.txt").write_text(LISTS)
    Path("hello.c").write_text(SOURCE)
    options = [f"--target={name}" for name in ("cortex-m4", "cortex-m33", "cortex-m0plus")]
    assert llext("build", *options)[0] == 12
    assert pack() == (0, {"warning[bundle-incomplete": {"cortex-m33-gcc"}})
    assert pack("--target", "cortex-m4") == (0, {})
    Path("llext.toml").write_text('[build]\ntargets = ["cortex-m4", "cortex-m33", "cortex-m0plus"]\n')
    assert pack() == (12, {"error[bundle-incomplete": {"cortex-m33-gcc"}})
    assert "did not pass: `build/cortex-m33-gcc/llext.log`" in made.refused("pack")[2]
    Path("CMakeLists.txt").write_text(LISTS.replace("FATAL_ERROR", "STATUS"))
    assert llext("build")[0] == 0
    assert pack() == (0, {})
    Path("CMakeLists.txt").write_text('message(FATAL_ERROR "never")\n')
    assert llext("build")[0] == 12
    code, codes, said = made.refused("pack")
    assert (code, codes) == (2, {"usage"})
    logs = [f"`build/{name}-gcc/llext.log`" for name in ("cortex-m0plus", "cortex-m33", "cortex-m4")]
    assert f"the last build did not pass: {logs[0]}, {logs[1]} and {logs[2]}" in said


@pytest.mark.parametrize("is_project", [True, False])
def test_a_built_project_is_packed_once(is_project: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pack .` is what `build .` has made, not also what it was made from; any other folder is packed as it is."""
    dist = made.dist(tmp_path, ("blink",))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dist, "build")
    if is_project:
        Path("CMakeLists.txt").touch()
    assert pack(".") == (0, {})
    folders = {name.split("/")[0] for name in made.members(Path("b.llextpack").read_bytes()) if "/" in name}
    jobs = {"cortex-m4-gcc", "cortex-m33-gcc"}
    assert folders == (jobs if is_project else {f"{above}-{job}" for above in ("build", "dist") for job in jobs})

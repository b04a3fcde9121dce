"""One project for two firmwares, of which one lacks a function. Oracle: the tables, written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cmake_project import need_toolchain

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(adc LANGUAGES C)
find_package(LlextTools REQUIRED)
llext_add_extension(adc SOURCES adc.c)
llext_add_test(reads EXTENSION adc CALL "twice()" OVERRIDE read_adc=7 EXPECT_RETURN 14)
"""
SOURCE = """\
#include <llext/symbol.h>
int read_adc(void);
int twice(void) { return 2 * read_adc(); }
EXPORT_SYMBOL(twice);
"""
SETTINGS = """\
[build]
targets = ["cortex-m4"]
toolchains = ["gcc"]
[[build.firmware]]
name = "old"
file = "old.toml"
[[build.firmware]]
name = "new"
file = "new.toml"
"""


def test_the_firmware_without_a_function_fails_alone(tmp_path: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / "CMakeLists.txt").write_text(LISTS, encoding="utf-8")
    (tmp_path / "adc.c").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "llext.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "old.toml").write_text("[exports]\nprintk = 0x08000101\n", encoding="utf-8")
    (tmp_path / "new.toml").write_text("[exports]\nprintk = 0x08000101\nread_adc = 0x08000201\n", encoding="utf-8")
    command = [sys.executable, "-m", "llext_tools", "build", str(tmp_path), "--json", "result.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 5, done.stderr
    old, new = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["jobs"]
    assert (old["firmware"], old["passed"], old["failures"][0]["codes"]) == ("old", False, ["undefined-symbol"])
    assert (new["firmware"], new["passed"], [test["name"] for test in new["tests"]]) == ("new", True, ["reads"])
    rows = [line.split()[:4] for line in done.stdout.splitlines() if line.startswith("cortex-m4")]
    assert sorted(rows) == [["cortex-m4", "gcc", "new", "1"], ["cortex-m4", "gcc", "old", "build"]]
    assert "`read_adc`" in done.stderr
    assert sorted(path.name for path in (tmp_path / "dist").iterdir()) == ["cortex-m4-gcc-new"]
    assert Path(new["extensions"][0]["manifest"]).is_file()

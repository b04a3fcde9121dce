"""A fresh project for each test, in a folder with a space in its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmake_project import HEAD, Project, need_toolchain

LISTS = """\
set(VALUE 1 CACHE STRING "what one() returns")
llext_add_extension(one SOURCES one.c)
target_compile_definitions(one PRIVATE VALUE=${VALUE})
llext_add_test(runs EXTENSION one CALL "one()" EXPECT_RETURN ${VALUE})
file(WRITE "${CMAKE_BINARY_DIR}/seen.txt" "${VALUE} ${LLEXT_HEAP} ${LLEXT_TARGET} ${CMAKE_GENERATOR}")
"""
SOURCE = """\
#include <llext/symbol.h>
const char when[] = __DATE__ __TIME__;
int one(void) { return VALUE; }
EXPORT_SYMBOL(one);
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "my project"
    root.mkdir()
    return Project(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project for `llext build`, of one extension for a Cortex-M4: what it returns is a variable of CMake."""
    need_toolchain("cortex-m4", "gcc")
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(HEAD.format(languages="C") + LISTS, encoding="utf-8")
    (folder / "one.c").write_text(SOURCE, encoding="utf-8")
    return folder

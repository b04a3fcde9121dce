"""Projects of ``llext new`` for a firmware, with an EDK and in C++ build and pass. Oracle: CMake, CTest and pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edk
import fw
from cmake_project import need_toolchain
from transcript import llext

pytestmark = pytest.mark.cmake


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "my projects"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def passes(*arguments: str, tests: int) -> str:
    """The CMakeLists.txt of a new project, which builds with GCC and passes."""
    need_toolchain("cortex-m4", "gcc")
    code, text = llext("new", "blink", *arguments)
    assert code == 0, text
    code, text = llext("build", "blink", "--toolchain", "gcc", "--target", "cortex-m4")
    assert code == 0, text
    assert "1 extension for 1 target built and checked, 1 test run" in text
    command = [sys.executable, "-m", "pytest", "-q", "-p", "llext_tools.pytest_plugin", "blink"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout
    return Path("blink/CMakeLists.txt").read_text(encoding="utf-8")


def test_in_cpp() -> None:
    assert "LANGUAGES CXX" in passes("--cpp", tests=3)


def test_for_a_firmware(empty: Path) -> None:
    """The firmware's CPU is the target; its path has a space."""
    elf = fw.build(empty)
    text = passes("--firmware", str(elf), tests=2)
    assert f'llext_add_exports(board FIRMWARE "{elf}")' in text
    assert 'targets = ["cortex-m3"' in (toml := Path("blink/llext.toml").read_text()) or '["cortex-m4"]' in toml


def test_with_an_edk(empty: Path) -> None:
    kit = edk.make(empty / "kit", "cortex-m4")
    text = passes("--edk", str(kit), tests=3)
    assert f'llext_import_edk("{kit}")' in text

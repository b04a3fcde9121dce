"""Projects of ``llext new`` for a firmware, with an EDK and in C++ build and pass. Oracle: CMake, CTest and pytest."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edk
import fw
from cmake_project import PLUGIN, need_toolchain, one_line
from transcript import llext

pytestmark = pytest.mark.cmake


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "my projects"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def passes(*arguments: str, tests: int, target: str = "cortex-m4", toolchain: str = "gcc") -> str:
    """The CMakeLists.txt of a new project, which builds and passes."""
    need_toolchain(target, toolchain)
    code, text = llext("new", "blink", *arguments)
    assert code == 0, text
    code, text = llext("build", "blink", "--toolchain", toolchain, "--target", target)
    assert code == 0, text
    checked = "checked" if "--firmware" in arguments else "checked without a firmware"
    assert f"1 extension for 1 target built and {checked}, 1 test run" in one_line(text)
    assert ("EXPORTS of" in text) == ("--firmware" not in arguments), "how to name one"
    command = [sys.executable, "-m", "pytest", "-q", *PLUGIN, "blink"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout
    return Path("blink/CMakeLists.txt").read_text(encoding="utf-8")


def test_in_cpp() -> None:
    assert "LANGUAGES CXX" in passes("--cpp", tests=3)


def test_for_a_firmware(empty: Path) -> None:
    """The firmware's CPU is the target; its path has a space. Another one can take its place."""
    elf = fw.build(empty)
    passes("--firmware", str(elf), tests=2)
    build = tomllib.loads(Path("blink/llext.toml").read_text())["build"]
    assert build["targets"] in (["cortex-m3"], ["cortex-m4"])
    (firmware,) = build["firmware"]
    assert not Path(firmware["file"]).is_absolute()
    assert (Path("blink") / firmware["file"]).samefile(elf)
    assert checked_against("blink/dist/cortex-m4-gcc-board/blink.json") == [elf.name]
    Path("next.toml").write_text("[exports]\nprintk = 0x8001\n")
    code, text = llext("build", "blink", "--toolchain", "gcc", "--target", "cortex-m4", "--firmware", "next=next.toml")
    assert code == 0, text
    assert checked_against("blink/dist/cortex-m4-gcc-next/blink.json") == ["next.toml"]


def checked_against(manifest: str) -> list[str]:
    return [each["file"] for each in json.loads(Path(manifest).read_text())["checked"]["firmware"]]


def test_with_an_edk(empty: Path) -> None:
    kit = edk.make(empty / "kit", "cortex-m4")
    text = passes("--edk", str(kit), tests=3)
    assert f"llext_import_edk(../{kit.relative_to(empty).as_posix()})" in text


def test_with_an_edk_for_risc_v(empty: Path) -> None:
    """Its flags say which target it is for; as an archive, and with zig, which does not know all of them."""
    kit = edk.pack(edk.make(empty / "kit", "rv32imac"), "zip")
    passes("--edk", str(kit), tests=3, target="rv32imac", toolchain="zig")
    assert tomllib.loads(Path("blink/llext.toml").read_text())["build"]["targets"] == ["rv32imac"]


def test_with_all_of_them(empty: Path) -> None:
    kit = edk.make(empty / "kit", "cortex-m4")
    passes("--cpp", "--edk", str(kit), "--firmware", str(fw.build(empty)), tests=2, toolchain="zig")
    assert checked_against("blink/dist/cortex-m4-zig-board/blink.json") == ["fw.elf"]

"""A user's project with an installed wheel: `consumer/` knows only find_package(LlextTools). It is built outside of any
checkout; nothing tells Python or CMake of this one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from cmake_project import need_toolchain, tool
from installed import Installed

pytestmark = [pytest.mark.cmake, pytest.mark.packaging, pytest.mark.slow]

CONSUMER = Path(__file__).with_name("consumer")


def run(installed: Installed, program: str, *arguments: str | Path) -> str:
    done = installed.run(tool(program), *map(str, arguments))
    assert done.returncode == 0, done.stdout
    elsewhere = done.stdout.replace(sys.prefix, "")  # the tests' own environment, which has the compiler, may lie in it
    assert str(CONSUMER.parents[2]) not in elsewhere, "something knows of the checkout"
    return done.stdout


@pytest.mark.parametrize(
    ("way", "prefix", "target", "toolchain"),
    [("CMAKE_PREFIX_PATH", True, "rv32imac", "zig"), ("LlextTools_ROOT", False, "cortex-m33", "gcc")],
)
def test_a_project_needs_the_wheel_alone(
    installed: Installed, tmp_path: Path, way: str, prefix: bool, target: str, toolchain: str
) -> None:
    need_toolchain(target, toolchain)
    source, build, place = tmp_path / "consumer", tmp_path / "build", tmp_path / "place"
    shutil.copytree(CONSUMER, source)
    run(
        *(installed, "cmake", "-S", source, "-B", build, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DCMAKE_TOOLCHAIN_FILE={installed.llext('cmake-dir')}/toolchains/llext.cmake",
        f"-D{way}={installed.llext('cmake-dir', *(['--prefix'] if prefix else []))}",
        *(f"-DLLEXT_TARGET={target}", f"-DLLEXT_TOOLCHAIN={toolchain}"),
    )
    assert "Running display_shows" in run(installed, "cmake", "--build", build)
    assert "meter_reads" in run(installed, "ctest", "--test-dir", build)
    run(installed, "cmake", "--install", build, "--prefix", place, "--component", "llext")
    folder = place / f"lib/llext/{target}-{toolchain}"
    assert {path.name for path in folder.iterdir()} == {"meter.llext", "meter.json", "display.llext", "display.json"}
    assert json.loads((folder / "meter.json").read_text())["target"]["name"] == target
    assert (place / "lib/cmake/Consumer/ConsumerConfig.cmake").exists()

"""The whole of the CMake package, with each generator, with the oldest CMake and this one, in folders whose names have
signs that a shell, Make, Ninja or CMake's own language might take for theirs. The project is `consumer/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from cmake_project import LLEXT_COMMAND, need_toolchain, tool
from llext_tools import cmake_dir
from needs import need

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain, pytest.mark.slow]

OLDEST = "3.25.0"
CONSUMER = Path(__file__).with_name("consumer")
NAMES = "it's (a) [b] & #c $d @e %f +ü,=~!{g}"


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The oldest CMake that is supported, from PyPI."""
    root = tmp_path_factory.mktemp("oldest")
    venv.create(root, with_pip=True, symlinks=sys.platform != "win32")
    programs = root / ("Scripts" if sys.platform == "win32" else "bin")
    command = [str(programs / "python"), "-m", "pip", "install", "-q", "--no-deps", f"cmake=={OLDEST}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=env)
    if done.returncode:
        pytest.skip(f"needs cmake {OLDEST} from PyPI")
    return programs


def build(folder: Path, generator: str, toolchain: str, cmake: str, ctest: str) -> set[str]:
    """Configure, build, test and install, once more without anything to do; the files that were installed."""
    need_toolchain("cortex-m4", toolchain)
    make = tool("ninja") if generator.startswith("Ninja") else need("gmake", "make")
    source = shutil.copytree(CONSUMER, folder / "source [1]")
    binary, prefix = folder / "build", folder / "prefix"

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stdout
        assert "Warning" not in done.stdout
        return done.stdout

    run(
        *(cmake, "-S", source, "-B", binary, "-G", generator, f"-DCMAKE_MAKE_PROGRAM={make}"),
        *(f"-DLlextTools_DIR={cmake_dir()}", f"-DCMAKE_TOOLCHAIN_FILE={cmake_dir()}/toolchains/llext.cmake"),
        *(f"-DLLEXT_COMMAND={LLEXT_COMMAND}", "-DLLEXT_TARGET=cortex-m4", f"-DLLEXT_TOOLCHAIN={toolchain}"),
    )
    assert "Running display_shows" in run(cmake, "--build", binary, "--config", "Release")
    again = run(cmake, "--build", binary, "--config", "Release")
    assert "Linking" not in again
    assert "Running" not in again
    assert "meter_reads" in run(ctest, "--test-dir", binary, "-C", "Release")
    run(cmake, "--install", binary, "--config", "Release", "--prefix", prefix, "--component", "llext")
    assert '"meter_reads"' in (prefix / f"lib/llext/cortex-m4-{toolchain}/meter.json").read_text()
    return {path.name for path in prefix.rglob("*") if path.is_file()}


def installed(toolchain: str) -> set[str]:
    package = (f"Consumer{end}.cmake" for end in ("Config", "ConfigVersion", f"-cortex-m4-{toolchain}"))
    return {"meter.llext", "meter.json", "display.llext", "display.json", *package}


@pytest.mark.parametrize(
    ("generator", "toolchain"), [("Ninja", "zig"), ("Ninja Multi-Config", "gcc"), ("Unix Makefiles", "gcc")]
)
def test_folders_may_have_any_name(tmp_path: Path, generator: str, toolchain: str) -> None:
    folder = tmp_path / (
        NAMES.replace("#c ", "") if "Make" in generator else NAMES
    )  # CMake itself writes Make's comment
    folder.mkdir()
    assert build(folder, generator, toolchain, tool("cmake"), tool("ctest")) == installed(toolchain)


@pytest.mark.packaging
def test_the_oldest_cmake_does(tmp_path: Path, oldest: Path) -> None:
    """In one test: installing it takes longer than using it."""
    for generator, toolchain in [("Ninja", "gcc"), ("Ninja Multi-Config", "zig"), ("Unix Makefiles", "zig")]:
        folder = tmp_path / f"by {generator}"
        folder.mkdir()
        assert build(folder, generator, toolchain, str(oldest / "cmake"), str(oldest / "ctest")) == installed(toolchain)

"""The wheel and the source archive: what is in them, and that CMake finds the package of an installed wheel in each of
the three ways that the documentation names.

`installed` makes both and installs the wheel.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

import llext_tools
from cmake_project import HEAD, need_toolchain, tool
from installed import PACKAGE, Installed

pytestmark = [pytest.mark.packaging, pytest.mark.slow]

CMAKE_FILES = {
    *("LlextToolsConfig.cmake", "LlextToolsConfigVersion.cmake", "LlextCommand.cmake", "LlextExports.cmake"),
    *("LlextArguments.cmake", "LlextEdk.cmake", "LlextProfile.cmake"),
    *("LlextExtension.cmake", "LlextTest.cmake", "atexit.cpp", "llext-merge.ld"),
    *("LlextInstall.cmake", "LlextMatrix.cmake", "LlextLink.cmake", "PackageConfig.cmake.in", "install-manifest.cmake"),
    *("LlextDefaults.cmake", "LlextZephyr.cmake"),
    *("zephyr-manifest.cmake", "zephyr-package.cmake", "zephyr-warn.cmake"),
    *("toolchains/llext.cmake", "toolchains/zig-rules.cmake"),
}


def test_the_wheel_is_for_every_platform(wheel: Path) -> None:
    assert wheel.name == f"llext_tools-{llext_tools.__version__}-py3-none-any.whl"


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    share = "llext_tools/share/"
    assert {f"{share}cmake/LlextTools/{name}" for name in CMAKE_FILES} == {
        name for name in names if name.startswith(f"{share}cmake/")
    }
    expected = {
        f"llext_tools/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= names
    assert {"llext_tools/include/llext/symbol.h", "llext_tools/include/llext/host.h"} <= names
    assert {f"{share}llext-tools/samples/hello/{name}" for name in ("hello.c", "tests/test_hello.py")} <= names
    assert {f"{share}llext-tools/west/{name}" for name in ("west-commands.yml", "llext_command.py")} <= names
    strangers = {
        name
        for name in names - expected
        if not name.startswith(
            (share, "llext_tools/include/llext/", f"llext_tools-{llext_tools.__version__}.dist-info/")
        )
    }
    assert strangers == set()
    assert not [name for name in names if name.endswith((".o", ".pyc", ".llext", "CMakeCache.txt"))]


def test_the_wheel_says_what_it_offers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"llext_tools-{llext_tools.__version__}.dist-info"
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    entry_points = entry_points.replace("=", " = ").replace("  ", " ")
    assert "[cmake.root]\nLlextTools = llext_tools" in entry_points
    assert "[pytest11]\nllext_tools.pytest_plugin = llext_tools.pytest_plugin" in entry_points
    assert "llext = llext_tools.cli:main" in entry_points
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata


def test_the_source_archive_can_be_worked_in(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "CMakeLists.txt", "LICENSE", "README.md", "PKG-INFO"} <= names
    assert {"llext_tools/__init__.py", "tests/conftest.py", "sample_extensions/hello/hello.c"} <= names
    assert {f"cmake/{name}" for name in CMAKE_FILES} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", "build/", "dist/"))]


def test_the_installed_command_knows_its_files(installed: Installed) -> None:
    root = Path(installed.llext("cmake-dir"))
    assert root.is_relative_to(installed.root)
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == CMAKE_FILES
    assert installed.llext("--version") == f"llext {llext_tools.__version__}"
    assert Path(installed.llext("cmake-dir", "--prefix")) == root.parents[2]


PROJECT = {
    "CMakeLists.txt": HEAD.format(languages="C").replace("LlextTools REQUIRED", "LlextTools 0.1 REQUIRED")
    + "llext_add_extension(hello SOURCES hello.c)\n"
    + 'install(FILES "$<TARGET_PROPERTY:hello,LLEXT_OUTPUT>" DESTINATION hello)\n',
    "hello.c": "#include <llext/symbol.h>\nint hello(int a) { return a; }\nEXPORT_SYMBOL(hello);\n",
    "pyproject.toml": (
        '[build-system]\nrequires = ["scikit-build-core", "llext-tools"]\n'
        'build-backend = "scikit_build_core.build"\n'
        '[project]\nname = "hello"\nversion = "1.0"\n'
        '[tool.scikit-build]\nwheel.py-api = "py3"\nwheel.platlib = false\n'
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    need_toolchain("cortex-m4", "zig")
    root = tmp_path / "project"
    root.mkdir()
    for name, text in PROJECT.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("way", ["LlextTools_DIR", "CMAKE_PREFIX_PATH"])
@pytest.mark.parametrize("active", [True, False], ids=["active environment", "environment not active"])
def test_cmake_finds_the_package(installed: Installed, project: Path, way: str, active: bool) -> None:
    place = installed.llext("cmake-dir", *(["--prefix"] if way == "CMAKE_PREFIX_PATH" else []))
    build = project / "build"
    done = installed.run(
        *(tool("cmake"), "-S", str(project), "-B", str(build), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-D{way}={place}",
        f"-DCMAKE_TOOLCHAIN_FILE={installed.llext('cmake-dir')}/toolchains/llext.cmake",
        "-DLLEXT_TARGET=cortex-m4",
        "-DLLEXT_TOOLCHAIN=zig",
        path=active,
    )
    assert done.returncode == 0, done.stdout
    assert f"LLEXT_EXECUTABLE:FILEPATH={installed.bin / 'llext'}" in (build / "CMakeCache.txt").read_text()
    done = installed.run(tool("cmake"), "--build", str(build), path=active)
    assert done.returncode == 0, done.stdout
    assert (build / "hello.llext").exists()


@pytest.mark.parametrize(
    ("version", "fits"), [("0.1", True), ("0.1...0.9", True), ("0.2", False), ("1.0", False), ("0.0.1", False)]
)
def test_cmake_compares_versions(installed: Installed, tmp_path: Path, version: str, fits: bool) -> None:
    if not llext_tools.__version__.startswith("0.1."):
        pytest.skip("written for 0.1")
    (tmp_path / "CMakeLists.txt").write_text(
        HEAD.format(languages="NONE").replace("LlextTools REQUIRED", f"LlextTools {version} REQUIRED")
    )
    done = installed.run(
        *(tool("cmake"), "-S", str(tmp_path), "-B", str(tmp_path / "build"), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DLlextTools_DIR={installed.llext('cmake-dir')}",
    )
    assert (done.returncode == 0) == fits, done.stdout


def test_scikit_build_core_finds_the_package(installed: Installed, project: Path, tmp_path: Path) -> None:
    """By the entry point ``cmake.root``: a project whose wheel ships an extension."""
    toolchain = Path(installed.llext("cmake-dir"), "toolchains", "llext.cmake")
    settings = {"CMAKE_TOOLCHAIN_FILE": toolchain, "LLEXT_TARGET": "cortex-m4", "LLEXT_TOOLCHAIN": "zig"}
    done = installed.run(
        *(str(installed.bin / "python"), "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"),
        *(f"-Ccmake.define.{name}={value}" for name, value in settings.items()),
        *("-w", str(tmp_path), str(project)),
    )
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(tmp_path / "hello-1.0-py3-none-any.whl") as archive:
        assert archive.read("hello/hello.llext").startswith(b"\x7fELF")


def test_the_samples_are_a_project(installed: Installed, tmp_path: Path) -> None:
    """The installed samples configure where they were copied to."""
    need_toolchain("cortex-m4", "zig")
    samples = Path(installed.llext("cmake-dir")).parents[1] / "llext-tools" / "samples"
    shutil.copytree(samples, tmp_path / "samples")
    done = installed.run(
        *(tool("cmake"), "-S", str(tmp_path / "samples"), "-B", str(tmp_path / "build"), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DLlextTools_DIR={installed.llext('cmake-dir')}",
        f"-DCMAKE_TOOLCHAIN_FILE={installed.llext('cmake-dir')}/toolchains/llext.cmake",
        "-DLLEXT_TARGET=cortex-m4",
        "-DLLEXT_TOOLCHAIN=zig",
    )
    assert done.returncode == 0, done.stdout

"""What llext_install() puts where, and what a project that looks for it gets. Oracles: CMake's own find_package(), the
list of files that an archive holds, SHA-256 of the files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from cmake_project import LLEXT_COMMAND, Project, need_toolchain, one_line, tool
from llext_tools import cmake_dir

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

BLINK = "#include <llext/symbol.h>\nint blink(int a) { return a + 1; }\nEXPORT_SYMBOL(blink);\n"
USER = (
    "#include <llext/symbol.h>\nint blink(int);\nint user(int a) { return blink(a) + 10; }\n"
    "LL_EXTENSION_SYMBOL(user);\n"
)
PROVIDER = """\
set(PROJECT_VERSION "${VERSION}")
llext_add_extension(blink SOURCES blink.c)
llext_add_extension(user SOURCES user.c EXTENSIONS blink)
llext_install(user EXPORT MyExtensions) # before the run, and in a call of its own
add_subdirectory(sub)
llext_add_test(blinks EXTENSION blink CALL "blink(1)" EXPECT_RETURN 2)
llext_add_test(never EXTENSION blink CALL "blink(1)" EXPECT_RETURN 3)
set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME archive)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
include(CPack)
"""
CONSUMER = """\
find_package(MyExtensions REQUIRED)
file(WRITE "${CMAKE_BINARY_DIR}/found.txt" "${MyExtensions_TARGETS}|${MyExtensions_EXTENSIONS}")
file(APPEND "${CMAKE_BINARY_DIR}/found.txt" "|${MyExtensions_VERSION}\\n")
foreach(target IN ITEMS MyExtensions::blink MyExtensions::cortex-m4-gcc::blink MyExtensions::rv32imac-zig::user)
  if(TARGET ${target})
    foreach(property IN ITEMS OUTPUT MANIFEST DEBUG_FILE TARGET TOOLCHAIN)
      get_target_property(value ${target} LLEXT_${property})
      file(APPEND "${CMAKE_BINARY_DIR}/found.txt" "${target}|${property}|${value}\\n")
    endforeach()
  endif()
endforeach()
"""
PACKAGE = "lib/cmake/MyExtensions"
FILES = {
    *(f"lib/llext/{{job}}/{name}.{suffix}" for name in ("blink", "user") for suffix in ("llext", "json", "debug.elf")),
    *(f"{PACKAGE}/MyExtensionsConfig.cmake", f"{PACKAGE}/MyExtensionsConfigVersion.cmake"),
    f"{PACKAGE}/MyExtensions-{{job}}.cmake",
}


def files_of(job: str, debug: bool = True) -> set[str]:
    return {name.format(job=job) for name in FILES if debug or not name.endswith(".debug.elf")}


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def cmake(*arguments: str | Path, env: dict[str, str] | None = None) -> str:
    command = [tool("cmake"), *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False, env=env
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def provider(root: Path, target: str, toolchain: str, version: str = "1.2", generator: str = "Ninja") -> Project:
    root.mkdir(parents=True)
    project = Project(root)
    project.write(blink__c=BLINK, user__c=USER)
    (root / "sub").mkdir()
    (root / "sub" / "CMakeLists.txt").write_text("llext_install(blink EXPORT MyExtensions)\n")
    project.cmake_lists(PROVIDER)
    project.configured(target, toolchain, f"-DVERSION={version}", generator=generator)
    project.built(*(["--config", "Release"] if "Multi" in generator else []))
    return project


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Project:
    need_toolchain("cortex-m4", "gcc")
    return provider(tmp_path_factory.mktemp("arm") / "my project", "cortex-m4", "gcc")


@pytest.fixture(scope="module")
def riscv(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """By a generator for several configurations at once."""
    need_toolchain("rv32imac", "zig")
    root = tmp_path_factory.mktemp("riscv") / "my project"
    return provider(root, "rv32imac", "zig", generator="Ninja Multi-Config")


@pytest.fixture
def prefix(arm: Project, riscv: Project, tmp_path: Path) -> Path:
    """Two targets installed to one folder, the second without its debug files."""
    folder = tmp_path / "pre fix"
    cmake("--install", arm.build_dir, "--prefix", folder)
    cmake("--install", riscv.build_dir, "--prefix", folder, "--config", "Release", "--component", "llext")
    return folder


def consume(
    project: Project, prefix: Path, text: str = CONSUMER, *arguments: str, languages: str = "NONE"
) -> subprocess.CompletedProcess[str]:
    """Configure a project that knows neither our toolchain file nor our package."""
    lists = f"cmake_minimum_required(VERSION 3.25)\nproject(firmware LANGUAGES {languages})\n{text}"
    (project.root / "CMakeLists.txt").write_text(lists, encoding="utf-8")
    command = [tool("cmake"), "-G", "Ninja", "-S", str(project.root), "-B", str(project.build_dir)]
    command += [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DCMAKE_PREFIX_PATH={prefix}", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def found(project: Project) -> list[list[str]]:
    return [line.split("|") for line in project.path("found.txt").read_text().splitlines()]


def properties(project: Project, target: str) -> dict[str, str]:
    return {row[1]: row[2] for row in found(project) if row[0] == target}


def test_several_targets_share_a_prefix(project: Project, prefix: Path) -> None:
    assert tree(prefix) == files_of("cortex-m4-gcc") | files_of("rv32imac-zig", debug=False)
    manifest = json.loads((prefix / "lib/llext/rv32imac-zig/blink.json").read_text())
    extension = (prefix / "lib/llext/rv32imac-zig/blink.llext").read_bytes()
    assert manifest["files"]["blink.llext"]["sha256"] == hashlib.sha256(extension).hexdigest()

    done = consume(project, prefix)
    assert done.returncode == 0, done.stderr
    assert found(project)[0] == ["cortex-m4-gcc;rv32imac-zig", "", "1.2"], "no short names: which would they be?"
    there = properties(project, "MyExtensions::cortex-m4-gcc::blink")
    folder = prefix / "lib/llext/cortex-m4-gcc"
    assert there == {
        "OUTPUT": str(folder / "blink.llext"),
        "MANIFEST": str(folder / "blink.json"),
        "DEBUG_FILE": str(folder / "blink.debug.elf"),
        "TARGET": "cortex-m4",
        "TOOLCHAIN": "gcc",
    }
    assert properties(project, "MyExtensions::rv32imac-zig::user")["DEBUG_FILE"] == "", "it was not installed"


@pytest.mark.parametrize(
    ("target", "toolchain", "job"),
    [
        ("cortex-m4", "", "cortex-m4-gcc"),
        ("rv32imac", "auto", "rv32imac-zig"),
        ("cortex-m4", "zig", "cortex-m4-gcc"),  # made by gcc alone
    ],
)
def test_the_short_name_is_for_the_projects_target(
    project: Project, prefix: Path, target: str, toolchain: str, job: str
) -> None:
    options = [f"-DLLEXT_TARGET={target}", f"-DLLEXT_TOOLCHAIN={toolchain}"]
    done = consume(project, prefix, CONSUMER, *options)
    assert done.returncode == 0, done.stderr
    assert sorted(found(project)[0][1].split(";")) == ["blink", "user"]
    assert properties(project, "MyExtensions::blink")["OUTPUT"] == str(prefix / f"lib/llext/{job}/blink.llext")


def test_a_package_for_one_target_can_be_moved(project: Project, arm: Project, tmp_path: Path) -> None:
    """The archive that CPack makes of a component, unpacked elsewhere: the short name needs no LLEXT_TARGET."""
    out = tmp_path / "out"
    command = [tool("cpack"), "--config", str(arm.path("CPackConfig.cmake")), "-B", str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout
    contents = {}
    for component in ("llext", "llext-debug"):
        with tarfile.open(out / f"archive-{component}.tar.gz") as archive:
            contents[component] = {member.name for member in archive.getmembers() if member.isfile()}
            archive.extractall(tmp_path / "some where", filter="data")
    job = "cortex-m4-gcc"
    assert contents["llext"] == files_of(job, debug=False)
    assert contents["llext-debug"] == files_of(job) - files_of(job, debug=False)

    top = tmp_path / "some where"
    done = consume(project, top)
    assert done.returncode == 0, done.stderr
    there = properties(project, "MyExtensions::blink")
    assert there["OUTPUT"] == str(top / "lib/llext/cortex-m4-gcc/blink.llext")
    assert Path(there["OUTPUT"]).read_bytes() == arm.path("blink.llext").read_bytes()


def test_what_was_found_is_used_as_what_is_built(project: Project, prefix: Path) -> None:
    """Tests of a packaged extension, and an extension that uses it. A test may be for any target."""
    find = "find_package(LlextTools REQUIRED)\nfind_package(MyExtensions REQUIRED COMPONENTS blink)\n"
    text = find + (
        'llext_add_test(blinks EXTENSION MyExtensions::blink CALL "blink(1)" EXPECT_RETURN 2)\n'
        "llext_add_test(uses EXTENSION MyExtensions::rv32imac-zig::user EXTENSIONS MyExtensions::rv32imac-zig::blink\n"
        '  CALL "user(1)" EXPECT_RETURN 12 AT_BUILD)\n'
        "llext_add_extension(own SOURCES own.c EXTENSIONS MyExtensions::blink)\n"
        'llext_add_test(owns EXTENSION own EXTENSIONS MyExtensions::blink CALL "own(1)" EXPECT_RETURN 2)\n'
    )
    project.write(own__c="#include <llext/symbol.h>\nint blink(int);\nint own(int a) { return blink(a); }\n"
                         "EXPORT_SYMBOL(own);\n")  # fmt: skip
    tools = [f"-DLlextTools_DIR={cmake_dir()}", f"-DLLEXT_COMMAND={LLEXT_COMMAND}"]
    tools += [f"-DCMAKE_TOOLCHAIN_FILE={cmake_dir()}/toolchains/llext.cmake", "-DLLEXT_TARGET=cortex-m4"]
    done = consume(project, prefix, text, *tools, "-DLLEXT_TOOLCHAIN=gcc", languages="C")
    assert done.returncode == 0, done.stderr
    assert "Running uses" in project.built()
    ran = project.ctest()
    assert ran.returncode == 0, ran.stdout
    assert "(2 tests)" in ran.stdout
    assert "no work to do" in project.built()
    newer = prefix / "lib/llext/cortex-m4-gcc/blink.llext"
    project.touch(str(newer))
    assert "own.llext" in project.built("-v"), "it is checked against the new one"

    for wrong, message in {
        "llext_install(MyExtensions::blink)": (
            "llext_install(MyExtensions::blink): 'MyExtensions::blink' was found, not built here; install it with the "
            "project that builds it"
        ),
        "llext_add_extension(second SOURCES own.c EXTENSIONS MyExtensions::rv32imac-zig::blink)": (
            "llext_add_extension(second): 'MyExtensions::rv32imac-zig::blink' is for rv32imac, not for cortex-m4"
        ),
        (
            'llext_add_test(mixed EXTENSION MyExtensions::blink EXTENSIONS MyExtensions::rv32imac-zig::user CALL "f()")'
        ): "llext_add_test(mixed): 'MyExtensions::rv32imac-zig::user' is for rv32imac, not for cortex-m4",
    }.items():
        done = consume(project, prefix, find + wrong, languages="C")
        assert done.returncode != 0
        assert message in one_line(done.stderr)


@pytest.mark.parametrize(
    ("options", "find", "reason"),
    [
        ("", "COMPONENTS blink", "which 'blink'? Set LLEXT_TARGET: there are cortex-m4-gcc, rv32imac-zig"),
        (
            "-DLLEXT_TARGET=cortex-m33",
            "",
            "it has no extensions for LLEXT_TARGET=cortex-m33, but for cortex-m4-gcc, rv32imac-zig",
        ),
        ("-DLLEXT_TARGET=rv32imac", "COMPONENTS blink clock", "it has no extension 'clock' for rv32imac-zig"),
        ("", "2.0", 'configuration file for package "MyExtensions" that is compatible with requested version "2.0"'),
    ],
)
def test_what_a_package_lacks_is_named(project: Project, prefix: Path, options: str, find: str, reason: str) -> None:
    text = CONSUMER.replace("REQUIRED", f"{find} REQUIRED" if find == "2.0" else f"REQUIRED {find}", 1)
    done = consume(project, prefix, text, *options.split())
    assert done.returncode != 0
    assert reason in one_line(done.stderr)


def test_optional_components_and_missing_files(project: Project, prefix: Path) -> None:
    text = (
        "find_package(MyExtensions REQUIRED OPTIONAL_COMPONENTS blink clock)\n"
        'file(WRITE "${CMAKE_BINARY_DIR}/found.txt" "${MyExtensions_blink_FOUND}|${MyExtensions_clock_FOUND}")\n'
    )
    done = consume(project, prefix, text, "-DLLEXT_TARGET=cortex-m4")
    assert done.returncode == 0, done.stderr
    assert found(project) == [["TRUE", "FALSE"]]
    gone = prefix / "lib/llext/cortex-m4-gcc/blink.llext"
    gone.unlink()
    done = consume(project, prefix)
    assert f"{gone} is missing" in one_line(done.stderr)


def test_what_another_version_left_does_not_count(project: Project, prefix: Path, tmp_path: Path) -> None:
    newer = provider(tmp_path / "newer", "cortex-m4", "gcc", version="2.0")
    log = cmake("--install", newer.build_dir, "--prefix", prefix)
    assert "Installing" in log
    done = consume(project, prefix)
    assert done.returncode == 0, done.stderr
    assert found(project)[0] == ["cortex-m4-gcc", "user;blink", "2.0"]
    done = consume(project, prefix, CONSUMER, "-DLLEXT_TARGET=rv32imac")
    assert "(and, left by another version, rv32imac-zig: install them again)" in one_line(done.stderr)


def test_the_installed_manifest_has_the_runs_that_passed(arm: Project, tmp_path: Path) -> None:
    """A record counts while it is about the file that is installed; DESTDIR is honoured."""
    assert "1 tests failed out of 2" in arm.ctest().stdout
    env = {**os.environ, "DESTDIR": str(tmp_path)}
    cmake("--install", arm.build_dir, "--prefix", "/opt/it", env=env)
    installed = tmp_path / "opt/it/lib/llext/cortex-m4-gcc"
    manifest = json.loads((installed / "blink.json").read_text())
    assert [run["test"] for run in manifest["runs"]] == ["blinks"]
    assert "runs" not in json.loads((installed / "user.json").read_text())
    assert "runs" not in json.loads(arm.path("blink.json").read_text()), "the build's own stays as it was"
    listed = arm.path("install_manifest.txt").read_text().splitlines()
    assert "/opt/it/lib/llext/cortex-m4-gcc/blink.json" in listed

    (record,) = arm.build_dir.rglob("blinks.dir/run.json")
    text = record.read_text()
    digest = hashlib.sha256(arm.path("blink.llext").read_bytes()).hexdigest()
    assert digest in text
    record.write_text(text.replace(digest, "0" * 64))
    cmake("--install", arm.build_dir, "--prefix", tmp_path / "again")
    assert "runs" not in json.loads((tmp_path / "again/lib/llext/cortex-m4-gcc/blink.json").read_text())


@pytest.mark.parametrize("words", [[], ["--component", "llext"], ["--component", "llext-debug"]], ids=str)
def test_of_a_changed_file_nothing_is_installed(arm: Project, tmp_path: Path, words: list[str]) -> None:
    extension = arm.path("user.llext")
    before = extension.read_bytes()
    prefix = tmp_path / "prefix"
    try:
        extension.write_bytes(before + b"\0")
        done = subprocess.run(
            [tool("cmake"), "--install", str(arm.build_dir), "--prefix", str(prefix), *words],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    finally:
        extension.write_bytes(before)
    assert done.returncode != 0
    assert "llext_install(user): not installed (" in one_line(done.stderr)
    assert "error[manifest-stale]" in done.stderr
    assert not [name for name in tree(prefix) if Path(name).name.startswith("user")]


def test_places_and_components_are_for_the_user_to_choose(project: Project) -> None:
    need_toolchain("cortex-m4", "gcc")
    project.write(blink__c=BLINK)
    project.cmake_lists(
        "llext_add_extension(blink SOURCES blink.c OUTPUT out/led.bin)\n"
        'llext_install(blink DESTINATION "share/my extensions/" COMPONENT board\n'
        "  EXPORT Board NAMESPACE led:: VERSION 3)\n"
    )
    lists = project.root / "CMakeLists.txt"
    lists.write_text(lists.read_text().replace("VERSION 3.25", "VERSION 3.10"))  # a project with old policies
    project.configured("cortex-m4", "gcc")
    project.built()
    prefix = project.root / "prefix"
    cmake("--install", project.build_dir, "--prefix", prefix, "--component", "board")
    assert tree(prefix) == {
        *("share/my extensions/led.bin", "share/my extensions/led.json"),
        *(f"lib/cmake/Board/Board{end}.cmake" for end in ("Config", "ConfigVersion", "-cortex-m4-gcc")),
    }
    cmake("--install", project.build_dir, "--prefix", prefix, "--component", "board-debug")
    other = Project(project.root / "other")
    other.root.mkdir()
    text = (
        "find_package(Board 3.0 REQUIRED COMPONENTS blink)\n"
        'file(GENERATE OUTPUT found.txt CONTENT "$<TARGET_PROPERTY:led::blink,LLEXT_OUTPUT>|'
        '$<TARGET_PROPERTY:led::blink,LLEXT_DEBUG_FILE>")\n'
    )
    done = consume(other, prefix, text)
    assert done.returncode == 0, done.stderr
    folder = prefix / "share/my extensions"
    assert found(other) == [[str(folder / "led.bin"), str(folder / "blink.debug.elf")]]
    assert Path(found(other)[0][1]).exists()

"""Wrong arguments: each ends the configuration with a message that names command and target.

These projects enable no language, so that configuring takes milliseconds; what a toolchain file would set is given.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cmake_project import LLEXT_COMMAND, Project, one_line, tool
from llext_tools import cmake_dir
from llext_tools.host.devices import KINDS

pytestmark = pytest.mark.cmake

EXTENSION = {
    "SOURCES is missing": "llext_add_extension(hello)",
    "SOURCES needs a value": "llext_add_extension(hello SOURCES)",
    "PROFILE needs a value": "llext_add_extension(hello SOURCES hello.o PROFILE)",
    "unknown argument 'PROFLE'; did you mean PROFILE?": "llext_add_extension(hello SOURCES hello.o PROFLE abi)",
    (
        "PROFILE 'zephyr-4.3' is not a loader profile error[usage]: there is no loader profile `zephyr-4.3` "
        "= help: did you mean `zephyr-4.2`?"
    ): "llext_add_extension(hello SOURCES hello.o PROFILE zephyr-4.3)",
    "PROFILE '--json' is not a loader profile": "llext_add_extension(hello SOURCES hello.o PROFILE --json)",
    (
        "LLEXT_PROFILE '4.2' is not a loader profile error[usage]: there is no loader profile `4.2` "
        "= help: the profiles are abi, zephyr-4.2, zephyr-next"
    ): "set(LLEXT_PROFILE 4.2)\nllext_add_extension(hello SOURCES hello.o)",
    "LLEXT_FIRMWARE 'fw.elf': there is no such file": (
        "set(LLEXT_FIRMWARE fw.elf)\nllext_add_extension(hello SOURCES hello.o)"
    ),
    "LLEXT_SETTINGS 'no.toml': there is no such file": (
        "set(LLEXT_SETTINGS no.toml)\nllext_add_extension(hello SOURCES hello.o)"
    ),
    "LLEXT_CHECK_OPTIONS '--quiet' is none of --heap=, --config=, --ignore=, --select=, --werror": (
        "set(LLEXT_CHECK_OPTIONS --quiet)\nllext_add_extension(hello SOURCES hello.o)"
    ),
    "OUTPUT needs a value": "llext_add_extension(hello SOURCES hello.o OUTPUT)",
    "unknown argument 'hello.c'": "llext_add_extension(hello hello.c)",
    "unknown argument 'SOURCE', 'hello.c'": "llext_add_extension(hello SOURCE hello.c)",
    "unknown argument 'yes'": "llext_add_extension(hello SOURCES hello.o COMPILER_RUNTIME yes)",
    "unknown argument 'COMPILER_RUNTME'; did you mean COMPILER_RUNTIME?": (
        "llext_add_extension(hello SOURCES hello.o COMPILER_RUNTME)"
    ),
    "unknown argument 'sources', 'hello.o'; did you mean SOURCES?": "llext_add_extension(hello sources hello.o)",
    "'WHAT' is neither an argument nor a file": "llext_add_extension(hello SOURCES hello.o WHAT)",
    "unknown argument 'OUPUT'; did you mean OUTPUT?": "llext_add_extension(hello SOURCES hello.o EXPORTS OUPUT)",
    "there is already a target of this name": "add_custom_target(hello)\nllext_add_extension(hello SOURCES hello.o)",
    "'later' was not made by llext_add_extension()": "llext_add_extension(hello SOURCES hello.o EXTENSIONS later)",
    "EXPORTS 'fw' was not made by llext_add_exports()": "llext_add_extension(hello SOURCES hello.o EXPORTS fw)",
    "EXPORTS 'lib' was not made by": "add_custom_target(lib)\nllext_add_extension(hello SOURCES hello.o EXPORTS lib)",
    "SOURCES '.' is a folder; name the files in it": "llext_add_extension(hello SOURCES .)",
    "'hello.c' needs the language C; enable it: project(test LANGUAGES ... C)": (
        "llext_add_extension(hello SOURCES hello.c)"
    ),
    "'hello.cpp' needs the language CXX": "llext_add_extension(hello SOURCES hello.cpp)",
    "'a.S' needs the language ASM": "llext_add_extension(hello SOURCES hello.o a.S)",
    "OUTPUT 'out/x.llext' is the output of another extension": (
        "set_property(GLOBAL PROPERTY LLEXT_OUTPUTS ${CMAKE_CURRENT_BINARY_DIR}/out/x.llext)\n"
        "llext_add_extension(hello SOURCES hello.o OUTPUT out/x.llext)"
    ),
    **{
        f"{name} '{value}' would take the debug file away from the extension; leave the property alone; OUTPUT gives "
        "an extension another name or folder": (
            f"set(CMAKE_BUILD_TYPE Debug)\nllext_add_extension(hello SOURCES CMakeLists.txt)\n"
            f"set_target_properties(hello PROPERTIES {name} {value})"
        )
        for name, value in [
            *(("OUTPUT_NAME", "hallo"), ("OUTPUT_NAME_DEBUG", "hallo"), ("DEBUG_OUTPUT_NAME", "hallo")),
            *(("RUNTIME_OUTPUT_DIRECTORY", "/hallo"), ("RUNTIME_OUTPUT_DIRECTORY_DEBUG", "/hallo")),
            *(("SUFFIX", ".axf"), ("PREFIX", "lib"), ("VERSION", "1.2"), ("DEBUG_POSTFIX", "d")),
        ]
    },
}

TABLE_FILE = 'file(WRITE fw.toml "[exports]")\n'
ELF_FILE = "string(ASCII 127 69 76 70 elf)\nfile(WRITE fw.elf ${elf})\n"

EXPORTS = {
    "FIRMWARE or TABLE is missing": "llext_add_exports(fw)",
    "give FIRMWARE or TABLE, not both": "llext_add_exports(fw FIRMWARE a.elf TABLE b.toml)",
    "FIRMWARE needs a value": "llext_add_exports(fw FIRMWARE)",
    "unknown argument 'FIRMWRAE', 'a'; did you mean FIRMWARE?": "llext_add_exports(fw FIRMWRAE a)",
    "unknown argument 'fw.toml'": "llext_add_exports(fw fw.toml)",
    "TABLE 'fw.toml': there is no such file": "llext_add_exports(fw TABLE fw.toml)",
    "FIRMWARE 'zephyr' is neither a target nor a file": "llext_add_exports(fw FIRMWARE zephyr)",
    "there is already a target of this name": "add_custom_target(fw)\nllext_add_exports(fw TABLE CMakeLists.txt)",
    "FIRMWARE 'fw.toml' is not an ELF file; did you mean TABLE fw.toml?": (
        TABLE_FILE + "llext_add_exports(fw FIRMWARE fw.toml)"
    ),
    "TABLE 'fw.elf' is an ELF file; did you mean FIRMWARE fw.elf?": ELF_FILE + "llext_add_exports(fw TABLE fw.elf)",
    "unknown argument 'fw.toml'; did you mean TABLE fw.toml?": TABLE_FILE + "llext_add_exports(fw fw.toml)",
    "unknown argument 'fw.elf'; did you mean FIRMWARE fw.elf?": ELF_FILE + "llext_add_exports(fw fw.elf TABEL)",
    "unknown argument 'zephyr'; did you mean FIRMWARE zephyr?": (
        "add_custom_target(zephyr)\nllext_add_exports(fw zephyr)"
    ),
    "unknown argument 'off'": TABLE_FILE + "llext_add_exports(fw TABLE fw.toml off)",
}

EDK = {
    ("STRICT", "the path of the EDK is missing"): "llext_import_edk(STRICT)",
    ("kit.tar.xz", "there is no such file or folder"): "llext_import_edk(kit.tar.xz)",
    ("kit.zip", "unknown argument 'STRCT'; did you mean STRICT?"): "llext_import_edk(kit.zip STRCT)",
    ("CMakeLists.txt", "this EDK cannot be used error[edk-unreadable]: `"): "llext_import_edk(CMakeLists.txt)",
    ("CMakeLists.txt", "this folder, or one above it, already imports 'other.zip'; one firmware, one EDK"): (
        "set_property(DIRECTORY PROPERTY LLEXT_EDK other.zip)\nllext_import_edk(CMakeLists.txt)"
    ),
    ("../a;b", "a path with a semicolon cannot be among compiler flags; move the EDK"): (
        'file(WRITE "${CMAKE_CURRENT_SOURCE_DIR}/../a;b" "")\nllext_import_edk("../a;b")'
    ),
    ("CMakeLists.txt", "extensions are cross-compiled; configure an empty build folder with"): (
        "unset(LLEXT_TOOLCHAIN_FOUND CACHE)\nllext_import_edk(CMakeLists.txt)"
    ),
}
FAKE = (
    "add_custom_target(hello)\n"
    'set_target_properties(hello PROPERTIES LLEXT_EXTENSION TRUE LLEXT_OUTPUT "/hello" LLEXT_MANIFEST "/hello.json")\n'
)
TEST = {
    "EXTENSION is missing": 'llext_add_test(works CALL "f()")',
    "CALL is missing": FAKE + "llext_add_test(works EXTENSION hello)",
    "CALL needs a value": FAKE + "llext_add_test(works EXTENSION hello CALL)",
    "unknown argument 'EXPECT', '5'": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" EXPECT 5)',
    "'other' was not made by llext_add_extension()": 'llext_add_test(works EXTENSION other CALL "f()")',
    "'second' was not made by llext_add_extension()": (
        FAKE + 'llext_add_test(works EXTENSION hello EXTENSIONS second CALL "f()")'
    ),
    "EXPORTS 'hello' was not made by": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" EXPORTS hello)',
    "unknown argument 'EXPECT_RETRN', '5'; did you mean EXPECT_RETURN?": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" EXPECT_RETRN 5)'
    ),
    "unknown argument 'TIMEOT'; did you mean TIMEOUT?": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" EXTENSIONS hello TIMEOT 5)'
    ),
    "PROFILE 'zephyr-nxt' is not a loader profile error[usage]: there is no loader profile `zephyr-nxt`": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" PROFILE zephyr-nxt)'
    ),
    "PLACEMENTS 'many' is not a number from 1 to 64": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" PLACEMENTS many)'
    ),
    "PLACEMENTS '65' is not a number": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" PLACEMENTS 65)',
    "AT 'RAM' is not an address": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" AT RAM)',
    "TIMEOUT 'soon' is not a number of seconds": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" TIMEOUT soon)'
    ),
    "STACK_SIZE 'large' is not a size, such as 4K": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" STACK_SIZE large)'
    ),
    "MAX_INSTRUCTIONS '0' is not a number of instructions": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" MAX_INSTRUCTIONS 0)'
    ),
    "OVERRIDE 'sensor_read' is not of the form NAME=VALUE or NAME=FILE:FUNCTION": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" OVERRIDE f=1 sensor_read)'
    ),
    "OVERRIDE 'f=' is not of the form": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" OVERRIDE f=)',
    "unknown argument 'TIMOUT'; did you mean TIMEOUT?": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" OVERRIDE f=1 TIMOUT 5)'
    ),
    "MMIO '0x40004000=zero' is not of the form START+SIZE=KIND, such as 0x40004000+4K=zero": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" MMIO 0x40004000=zero)'
    ),
    f"MMIO '0x40004000+4K=uart': there is no kind 'uart'; the kinds are {', '.join(KINDS)}": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" MMIO 0x40004000+4K=uart)'
    ),
    "MMIO '0x40004000+4K=python:board.py': there is no kind 'python:board.py'": (
        FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" MMIO 0x40004000+4K=python:board.py)'
    ),
    "OVERRIDE needs a value": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" OVERRIDE)',
    "HEAP_SIZE needs a value": FAKE + 'llext_add_test(works EXTENSION hello CALL "f()" HEAP_SIZE)',
    "there is already a test of this name": (
        FAKE + "add_test(NAME works COMMAND true)\n" + 'llext_add_test(works EXTENSION hello CALL "f()")'
    ),
    "there is already a target of this name": (
        FAKE + 'add_custom_target(works)\nllext_add_test(works EXTENSION hello CALL "f()" AT_BUILD)'
    ),
}
INSTALL = {
    "(): which extensions? Name at least one target of llext_add_extension()": "llext_install(VERSION 1 EXPORT Mine)",
    "(hello): EXPORT needs a value": FAKE + "llext_install(hello EXPORT)",
    "(other): 'other' was not made by llext_add_extension()": "llext_install(other)",
    "(hello COMPONET x): unknown argument 'COMPONET'; did you mean COMPONENT?": (
        FAKE + "llext_install(hello COMPONET x)"
    ),
    "(hello): VERSION is of a package; name one with EXPORT": FAKE + "llext_install(hello VERSION 1.0)",
    "(hello): NAMESPACE is of a package; name one with EXPORT": FAKE + "llext_install(hello NAMESPACE a::)",
    "(hello): EXPORT 'my extensions' is not the name of a package, such as MyExtensions": (
        FAKE + 'llext_install(hello EXPORT "my extensions")'
    ),
    "(hello): VERSION 'v1' is not a version, such as 1.2.0": FAKE + "llext_install(hello EXPORT Mine VERSION v1)",
    "(hello): NAMESPACE 'mine' must end in '::', as in MyExtensions::": (
        FAKE + "llext_install(hello EXPORT Mine NAMESPACE mine)"
    ),
    (
        "(hello): DESTINATION '/srv/llext' is not below the prefix, so that the package could not be moved; give a "
        "relative folder, or no EXPORT"
    ): FAKE + "llext_install(hello EXPORT Mine DESTINATION /srv/llext)",
    "(hello): DESTINATION '../llext' is not below the prefix": (
        FAKE + "llext_install(hello EXPORT Mine DESTINATION x/../../llext)"
    ),
    "(hello): 'lib/x/hello' is installed already, from the extension 'hello'": (
        FAKE + "llext_install(hello DESTINATION lib/x)\nllext_install(hello DESTINATION lib//x/)"
    ),
    "(hello): EXPORT Mine has VERSION '1.0' already, not '2.0'": (
        FAKE + "llext_install(hello EXPORT Mine VERSION 1.0)\n"
        "llext_install(hello EXPORT Mine VERSION 2.0 DESTINATION other)"
    ),
    "(hello): 'hello' is in EXPORT Mine already": (
        FAKE + "llext_install(hello EXPORT Mine)\nllext_install(hello EXPORT Mine DESTINATION other)"
    ),
}

MATRIX = {
    ("", "PROJECT is missing"): "DESTINATION llext",
    ("", "DESTINATION is missing"): "PROJECT ..",
    ("", "DESTINATION needs a value"): "PROJECT .. DESTINATION",
    ("", "unknown argument 'TARGET', 'cortex-m4'; did you mean TARGETS?"): (
        "PROJECT .. DESTINATION llext TARGET cortex-m4"
    ),
    (
        "(.)",
        (
            "PROJECT is this very project, which would build itself for ever; call this from a CMakeLists.txt in "
            "another folder"
        ),
    ): "PROJECT . DESTINATION llext",
}


def configure(project: Project, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    project.cmake_lists(text, languages="NONE")
    command = [tool("cmake"), "-G", "Ninja", "-S", str(project.root), "-B", str(project.build_dir)]
    command += [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DLlextTools_DIR={cmake_dir()}"]
    command += [f"-DLLEXT_COMMAND={LLEXT_COMMAND}", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.parametrize(
    ("command", "message", "text"),
    [
        *[("llext_add_extension(hello)", *case) for case in EXTENSION.items()],
        *[("llext_add_exports(fw)", *case) for case in EXPORTS.items()],
        *[("llext_add_test(works)", *case) for case in TEST.items()],
        *[("llext_install", *case) for case in INSTALL.items()],
        *[
            (f"llext_install_matrix{of}", message, f"llext_install_matrix({arguments})")
            for (of, message), arguments in MATRIX.items()
        ],
        *[(f"llext_import_edk({path})", message, text) for (path, message), text in EDK.items()],
    ],
    ids=lambda value: None if "\n" in value else value,
)
def test_wrong_arguments_are_named(project: Project, command: str, message: str, text: str) -> None:
    done = configure(project, text, "-DLLEXT_TOOLCHAIN_FOUND=gcc", "-DLLEXT_TARGET=cortex-m4")
    assert done.returncode != 0
    assert f"{command}: {message}".replace("install: ", "install") in one_line(done.stderr)


def test_a_matrix_needs_a_project(project: Project) -> None:
    done = configure(project, "llext_install_matrix(PROJECT nowhere DESTINATION llext)")
    assert done.returncode != 0
    message = f"PROJECT '{project.root / 'nowhere'}' has no CMakeLists.txt"
    assert f"llext_install_matrix(nowhere): {message}" in one_line(done.stderr)


def command_of(project: Project, arguments: str) -> list[str]:
    """What a test runs, as ctest has it, behind ``llext``."""
    text = FAKE + f'llext_add_test(works EXTENSION hello CALL "f()" {arguments})'
    done = configure(project, text, "-DLLEXT_TOOLCHAIN_FOUND=gcc", "-DLLEXT_TARGET=cortex-m4")
    assert done.returncode == 0, done.stderr
    listing = [tool("ctest"), "--test-dir", str(project.build_dir), "--show-only=json-v1"]
    (test,) = json.loads(subprocess.run(listing, capture_output=True, check=True).stdout)["tests"]
    command: list[str] = test["command"]
    return command[len(LLEXT_COMMAND.split(";")) :]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("", {"--placements=3"}),
        ("AT 0x60000000", {"--at=0x60000000"}),
        ("AT 0x60000000 PLACEMENTS 2", {"--at=0x60000000", "--placements=2"}),
        ("PLACEMENTS 1 MAX_INSTRUCTIONS 1000", {"--max-instructions=1000"}),
        (
            "PLACEMENTS 1 STACK_SIZE 4K HEAP_SIZE 0x100 TIMEOUT 2.5",
            {"--stack-size=4K", "--heap-size=0x100", "--timeout=2.5"},
        ),
        (
            "PLACEMENTS 1 MMIO 0x40000000+4K=zero 0x50000000+4k=ram OVERRIDE f=1 g=b.py:g INIT start STUB_MISSING",
            {
                *("--mmio=0x40000000+4K=zero", "--mmio=0x50000000+4k=ram", "--override=f=1", "--override=g=b.py:g"),
                *("--init=start", "--stub-missing"),
            },
        ),
        (
            "PLACEMENTS 1 MMIO " + " ".join(f"{i:#x}0000+0x400={kind}" for i, kind in enumerate(KINDS, 1)),
            {f"--mmio={i:#x}0000+0x400={kind}" for i, kind in enumerate(KINDS, 1)},  # each is taken
        ),
        ("PLACEMENTS 1 EXPECT_OUTPUT [=[a;[b]=] EXPECT_RETURN -5", {"--expect-output=a;[b", "--expect-return=-5"}),
    ],
)
def test_what_a_test_runs(project: Project, arguments: str, options: set[str]) -> None:
    start, *found = command_of(project, arguments)
    assert start == "run"
    assert {"/hello", "--target", "cortex-m4", "--call=f()"} <= set(found)
    always = ("--target", "--call", "--profile", "--record", "--test")
    given = {word for word in found if word.startswith("--") and not word.startswith(always)}
    assert given == options


def test_coverage_goes_where_the_build_is(project: Project) -> None:
    file = project.build_dir / "reports" / "works.info"
    assert f"--coverage={file}" in command_of(project, "COVERAGE reports/works.info")
    assert file.parent.is_dir()


def test_a_missing_source_is_one_error(project: Project) -> None:
    """What a later command makes is not missing; that no sources were given would be wrong."""
    project.write(hello__c="", made__c="")
    text = (
        "include_directories(.)\nset(CMAKE_C_COMPILER_LOADED 1)\n"
        "llext_add_extension(hello SOURCES hello.c later.c made.c $<1:some.c> hallo.c)\n"
        "add_custom_command(OUTPUT later.c COMMAND true)\n"
    )
    done = configure(project, text, "-DLLEXT_TOOLCHAIN_FOUND=gcc", "-DLLEXT_TARGET=cortex-m4")
    assert done.returncode != 0
    assert "llext_add_extension(hello): SOURCES 'hallo.c': there is no such file" in one_line(done.stderr)
    assert done.stderr.count("CMake Error") == 1


def test_host_build_is_refused(project: Project) -> None:
    done = configure(project, "llext_add_extension(hello SOURCES hello.o)")
    assert done.returncode != 0
    start = "extensions are cross-compiled; configure an empty build folder with -DCMAKE_TOOLCHAIN_FILE="
    assert f"llext_add_extension(hello): {start}" in one_line(done.stderr)
    assert "/toolchains/llext.cmake -DLLEXT_TARGET=<target>" in one_line(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            (
                "toolchains/llext.cmake: LLEXT_TARGET is not set; give -DLLEXT_TARGET=<target>, for example cortex-m4 "
                "('llext targets' lists them)"
            ),
        ),
        (["-DLLEXT_TARGET=cortex-m5"], "error[target-unknown]: there is no target `cortex-m5`"),
        (["-DLLEXT_TARGET=cortex-m4", "-DLLEXT_TOOLCHAIN=icc"], "there is no toolchain `icc`"),
        (["-DLLEXT_TARGET=m4"], "toolchains/llext.cmake: no toolchain (LLEXT_TARGET=m4, LLEXT_TOOLCHAIN=auto)"),
    ],
)
def test_toolchain_file_names_what_is_wrong(project: Project, arguments: list[str], message: str) -> None:
    done = configure(project, "", f"-DCMAKE_TOOLCHAIN_FILE={cmake_dir()}/toolchains/llext.cmake", *arguments)
    assert done.returncode != 0
    assert message in one_line(done.stderr)


def test_missing_command_line_is_named(project: Project, tmp_path: Path) -> None:
    """The CMake package alone, away from the environment that it was installed in."""
    alone = shutil.copytree(cmake_dir(), tmp_path / "cmake")
    project.cmake_lists("", languages="NONE")
    command = [tool("cmake"), "-G", "Ninja", "-S", str(project.root), "-B", str(project.build_dir)]
    command += [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DLlextTools_DIR={alone}"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env={"PATH": str(tmp_path)})
    assert done.returncode != 0
    missing = (
        "the program 'llext' is not in PATH: activate the Python environment that llext-tools is installed in, or set "
        "-DLLEXT_COMMAND=<path of llext>"
    )
    assert missing in one_line(done.stderr)
    with_toolchain = [*command, f"-DCMAKE_TOOLCHAIN_FILE={alone}/toolchains/llext.cmake", "-DLLEXT_TARGET=cortex-m4"]
    done = subprocess.run(
        [*with_toolchain, "--fresh"], capture_output=True, encoding="utf-8", check=False, env={"PATH": str(tmp_path)}
    )
    assert f"toolchains/llext.cmake: {missing}" in one_line(done.stderr)


def test_an_old_cmake_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "old.cmake"
    script.write_text(
        f'set(CMAKE_VERSION 3.24.1)\ninclude("{cmake_dir()}/LlextToolsConfig.cmake")\n'
        'message("${LlextTools_FOUND}: ${LlextTools_NOT_FOUND_MESSAGE}")\n'
    )
    done = subprocess.run([tool("cmake"), "-P", str(script)], capture_output=True, encoding="utf-8", check=False)
    assert done.stderr == "FALSE: LlextTools needs CMake 3.25 or newer, this is 3.24.1\n"

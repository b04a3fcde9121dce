"""Extensions of a Zephyr tree. A stand-in in the folder ``zephyr`` has Zephyr's functions, by name and properties.

Oracles: what the stand-in's kernel computes, bytes of the files, what CMake and Ninja say that they do.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from cmake_project import LLEXT_COMMAND, Project, one_line, tool
from llext_tools import cmake_dir
from needs import need

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

STANDIN = Path(__file__).with_name("zephyr")
COMPILER = {"arm": "arm-none-eabi-gcc", "riscv": "riscv64-unknown-elf-gcc"}
HEAD = """\
cmake_minimum_required(VERSION 3.25)
find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})
project(app LANGUAGES C)
find_package(LlextTools REQUIRED)
include(LlextZephyr)
target_sources(app PRIVATE main.c)
add_llext_target(hello OUTPUT ${PROJECT_BINARY_DIR}/llext/hello.llext SOURCES hello.c)
"""
EMBEDDED = """\
generate_inc_file_for_target(app ${PROJECT_BINARY_DIR}/llext/hello.llext
  ${ZEPHYR_BINARY_DIR}/include/generated/hello.inc)
target_compile_definitions(app PRIVATE EMBEDDED)
"""
MAIN = """\
#ifdef EMBEDDED
const unsigned char hello_llext[] = {
#include <hello.inc>
};
#endif
int main(void) { return 0; }
"""
HELLO = """\
#include <zephyr/llext/symbol.h>
int scale(int value);
int hello(int a) { return scale(a) + 1; }
EXPORT_SYMBOL(hello);
"""
CHECKED = "ok llext/hello.llext: "


def application(project: Project, text: str, hello: str = HELLO, prj: str = "") -> None:
    project.write(main__c=MAIN, hello__c=hello, prj__conf=prj)
    (project.root / "CMakeLists.txt").write_text(HEAD + text, encoding="utf-8")


def configured(project: Project, arch: str, *arguments: str, generator: str = "Ninja") -> str:
    need(COMPILER[arch])
    make = tool("ninja") if generator == "Ninja" else need("gmake", "make")
    done = configure(
        project, f"-DZephyr_DIR={STANDIN}", f"-DSTANDIN_ARCH={arch}", f"-DCMAKE_MAKE_PROGRAM={make}", *arguments,
        generator=generator,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Warning" not in done.stdout, done.stdout
    return done.stdout


def configure(project: Project, *arguments: str, generator: str = "Ninja") -> subprocess.CompletedProcess[str]:
    command = [tool("cmake"), "-S", str(project.root), "-B", str(project.build_dir), "-G", generator]
    command += [f"-DLlextTools_DIR={cmake_dir()}", f"-DLLEXT_COMMAND={LLEXT_COMMAND}", *arguments]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(project: Project, *arguments: str) -> str:
    done = project.build(*arguments)
    assert done.returncode != 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("arch", "generator", "packages"),
    [("arm", "Ninja", "4.3"), ("arm", "Ninja", "4.2"), ("riscv", "Unix Makefiles", "4.3")],
)
def test_an_extension_inside_the_firmware_that_it_is_checked_against(
    project: Project, arch: str, generator: str, packages: str
) -> None:
    """The image depends on the packaged extension, the check on both. Another time nothing is done."""
    application(project, 'llext_check_target(hello CALL "hello(2)" EXPECT_RETURN 11 PLACEMENTS 1)\n' + EMBEDDED)
    said = configured(project, arch, f"-DSTANDIN_PACKAGES={packages}", generator=generator)
    cpu = {"arm": "cortex-m4", "riscv": "rv32imac"}[arch]
    assert f"-- llext: Zephyr 4.2.0, profile zephyr-4.2, {cpu}\n" in said
    log = project.built()
    assert CHECKED in log
    assert "hello(2) = 11" in log, "3 * 2 + 4 by the kernel's code, and 1"
    extension = project.path("llext/hello.llext").read_bytes()
    assert extension in project.path("zephyr/zephyr.elf").read_bytes()
    linked = "hello.llext.pkg_input" if packages == "4.2" else "llext/hello_debug.elf"
    assert project.path("llext/hello.debug.elf").read_bytes() == project.path(linked).read_bytes()

    document = json.loads(project.path("llext/hello.json").read_text())
    files = {name: entry["sha256"] for name, entry in document["files"].items()}
    assert files == {name: digest(project.path(f"llext/{name}")) for name in ("hello.llext", "hello.debug.elf")}
    assert document["checked"]["firmware"] == [
        {"file": "zephyr.elf", "sha256": digest(project.path("zephyr/zephyr.elf"))}
    ]
    assert document["target"]["name"] == cpu
    assert [(run["test"], run["calls"]) for run in document["runs"]] == [("hello_llext_run", ["hello(2)"])]
    packed = subprocess.run(
        [*LLEXT_COMMAND.split(";"), "pack", project.path("llext/hello.json"), "-o", project.path("hello.llextpack")],
        check=False, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert packed.returncode == 0, packed.stderr

    def done_again() -> list[bool]:
        log = project.built()
        return [CHECKED in log, "hello(2) = 11" in log]

    assert done_again() == [False, False]
    project.touch("main.c")
    assert done_again() == [True, True], "the firmware is another one"
    project.touch("hello.c")
    assert done_again() == [True, True]
    assert done_again() == [False, False]
    project.write(llext__toml='ignore = ["no-exports"]\n')
    assert done_again() == [True, False], "settings are of the check"
    (first,) = project.build_dir.rglob("packaged")
    checked = first.stat().st_mtime_ns
    assert done_again() == [False, False]
    assert first.stat().st_mtime_ns == checked, "nor is the check without the firmware"


def test_what_the_firmware_does_not_have_fails_the_build(project: Project) -> None:
    """Not when the extension alone is made. The debug information names the line."""
    application(project, "llext_check_target(hello)\n", HELLO.replace("scale", "rescale"))
    configured(project, "arm")
    project.built("--target", "hello")
    for _ in range(2):
        log = refused(project)
        assert "error[undefined-symbol]: `rescale`" in log
        assert "hello.c:3, in `hello`" in log
        assert not project.path("llext/hello.json").exists(), "nobody has found it right"
    project.write(hello__c=HELLO)
    assert CHECKED in project.built()


def test_what_fails_its_call_has_no_manifest(project: Project) -> None:
    """Neither the first time nor when it had one; a check with findings that are warnings has none, whatever passes."""
    manifest = project.path("llext/hello.json")

    def calls(value: int, words: str = "") -> None:
        text = (
            f'llext_check_target(hello {words} CALL "hello(1)" EXPECT_RETURN 8 CALL "hello(2)" EXPECT_RETURN {value})\n'
        )
        application(project, text, HELLO.replace("scale", "rescale") if words else HELLO)

    calls(12)
    configured(project, "arm")
    assert "hello(2)" in refused(project)
    assert not manifest.exists()
    calls(11)
    project.built()
    assert [run["calls"] for run in json.loads(manifest.read_text())["runs"]] == [["hello(1)"], ["hello(2)"]]
    written = manifest.stat().st_mtime_ns
    project.built()
    assert manifest.stat().st_mtime_ns == written
    calls(12)
    for _ in range(2):
        refused(project)
        assert not manifest.exists()
    calls(11)
    project.built()
    assert manifest.exists()
    calls(11, "WARN_ONLY")
    made_up = "BUILTIN_HOST OVERRIDE rescale=10 EXPECT_RETURN 11"
    lists = project.root / "CMakeLists.txt"
    lists.write_text(re.sub(r"EXPECT_RETURN \d+", made_up, lists.read_text()))
    assert "WARN_ONLY: the check failed (5)" in project.built()
    assert not manifest.exists()


def test_a_manifest_that_cannot_be_completed_goes(tmp_path: Path) -> None:
    """Its extension is not there."""
    checked, manifest = tmp_path / "checked.json", tmp_path / "hello.json"
    checked.write_text("{}")
    words = {
        "who": "llext_check_target(hello)",
        "checked": checked,
        "manifest": manifest,
        "runs": tmp_path / "run.json",
    }
    command = [tool("cmake"), *(f"-Dllext_{name}={value}" for name, value in words.items())]
    command += [f"-Dllext_command={LLEXT_COMMAND}", "-P", str(Path(cmake_dir(), "zephyr-manifest.cmake"))]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode != 0
    assert "llext_check_target(hello): no manifest was made (" in one_line(done.stderr)
    assert "error[manifest-syntax]" in done.stderr
    assert not manifest.exists()


def test_what_no_firmware_loads_is_found_when_it_is_packaged(project: Project) -> None:
    more = 'int second[4] __attribute__((section(".noinit,\\"aw\\",%nobits@"))); int first;\n'
    application(project, "llext_check_target(hello)\n", HELLO + more)
    configured(project, "arm")
    for _ in range(2):
        log = refused(project, "--target", "hello")
        assert "error[region" in log
        assert "llext_check_target(hello): the check of" in one_line(log)
    assert not project.path("zephyr/zephyr.elf").exists(), "nothing was linked for that"


def test_commands_before_the_packaging(project: Project) -> None:
    """They make the input of the packaging, which is packaged and checked in the same build."""
    application(
        project,
        "get_target_property(linked hello lib_output)\nget_target_property(input hello pkg_input)\n"
        "add_llext_command(TARGET hello POST_BUILD\n"
        '  COMMAND ${CMAKE_OBJCOPY} --add-symbol=ours=.text:0,function ${linked} "${input}")\n'
        "llext_check_target(hello)\n",
    )
    configured(project, "arm")
    assert CHECKED in project.built()
    assert b"ours\0" in project.path("llext/hello.debug.elf").read_bytes()
    project.touch("hello.c")
    assert CHECKED in project.built()


def test_a_cpu_that_is_none_of_the_targets(project: Project) -> None:
    """Then the extension says what it is for, in the check and when it runs."""
    application(project, 'llext_check_target(hello CALL "hello(2)" EXPECT_RETURN 11 PLACEMENTS 1)\n', HELLO,
                "CONFIG_RISCV_ISA_EXT_A=n\n")  # fmt: skip
    assert "no CPU of 'llext targets'" in configured(project, "riscv")
    assert "hello(2) = 11" in project.built()


@pytest.mark.parametrize(("size", "fits"), [(1, False), (8, True)])
def test_the_heap_is_that_of_the_configuration(project: Project, size: int, fits: bool) -> None:
    more = "char big[3000];\nEXPORT_SYMBOL(big);\n"
    application(project, "llext_check_target(hello)\n", HELLO + more, f"CONFIG_LLEXT_HEAP_SIZE={size}\n")
    configured(project, "riscv")
    if fits:
        assert "of 8,192 bytes of heap" in project.built()
    else:
        assert "error[load-memory]" in refused(project)
        assert CHECKED not in project.build().stdout


def test_slids(project: Project) -> None:
    application(project, 'llext_check_target(hello CALL "hello(2)" EXPECT_RETURN 11 PLACEMENTS 1)\n', HELLO,
                "CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID=y\n")  # fmt: skip
    configured(project, "arm")
    assert CHECKED in project.built()
    configured(project, "arm", "-DSTANDIN_FORGETS_SLIDS=ON")
    project.touch("hello.c")
    assert "error[slid-missing]" in refused(project)


def test_findings_can_be_warnings(project: Project) -> None:
    application(project, "llext_check_target(hello WARN_ONLY)\n", HELLO.replace("scale", "rescale"))
    configured(project, "arm")
    log = project.built()
    assert "error[undefined-symbol]: `rescale`" in log
    assert "llext_check_target(hello): WARN_ONLY: the check failed (5), and the build goes on" in log
    assert "rescale" not in project.built()
    (project.root / "CMakeLists.txt").write_text(HEAD + "llext_check_target(hello WARN_ONLY OPTIONS --heap=much)\n")
    assert "llext_check_target(hello): the check could not be made (2)" in one_line(refused(project))


def test_several_extensions_and_all_arguments(project: Project) -> None:
    """One uses another; a run on the built-in host; a test for ctest; options reach the check."""
    application(
        project,
        "add_llext_target(user OUTPUT ${PROJECT_BINARY_DIR}/llext/user.llext SOURCES user.c)\n"
        "llext_check_target(user EXTENSIONS hello HEAP 0x20001000+16K CONFIG LLEXT_LOG_LEVEL_DBG=n\n"
        "  PROFILE zephyr-next TARGET cortex-m4 OPTIONS --entry=user\n"
        '  CALL "user(1)" EXPECT_RETURN 16 PLACEMENTS 1\n'
        '  CALL "user(2)" BUILTIN_HOST OVERRIDE scale=7 EXPECT_RETURN 16 EXPECT_OUTPUT [=[^[^;]*$]=] PLACEMENTS 1)\n'
        "llext_check_all()\n"
        'llext_add_test(hello_of_four EXTENSION hello EXPORTS zephyr_exports CALL "hello(4)" EXPECT_RETURN 17)\n',
    )
    project.write(user__c="#include <zephyr/llext/symbol.h>\nint hello(int a);\n"
                          "int user(int a) { return 2 * hello(a); }\nEXPORT_SYMBOL(user);\n")  # fmt: skip
    configured(project, "arm")
    log = project.built()
    assert "ok llext/user.llext" in log
    assert "of 16,384 bytes of heap" in log
    assert CHECKED in log
    assert log.count("user(1) = 16") == log.count("user(2) = 16") == 1
    assert "--expect-output=^[^;]*" in project.path("build.ninja").read_text(), "as it was written"
    assert project.ctest().returncode == 0
    project.touch("hello.c")
    assert "user(1) = 16" in project.built(), "what it uses is another one"


def test_shared_libraries_are_checked_only(project: Project) -> None:
    kind = "CONFIG_LLEXT_TYPE_ELF_OBJECT=n\nCONFIG_LLEXT_TYPE_ELF_SHAREDLIB=y\n"
    application(project, "llext_check_target(hello)\n", HELLO, kind)
    configured(project, "arm", "-DKERNEL_VERSION_STRING=4.5.0")
    assert CHECKED in project.built()
    (project.root / "CMakeLists.txt").write_text(HEAD + 'llext_check_target(hello CALL "hello(1)")\n')
    done = configure(project)
    assert done.returncode != 0
    said = (
        "llext_check_target(hello): CALL: CONFIG_LLEXT_TYPE_ELF_SHAREDLIB makes shared libraries, which are checked "
        "and cannot be run; use CONFIG_LLEXT_TYPE_ELF_RELOCATABLE"
    )
    assert said in one_line(done.stdout)


FAKE = """\
cmake_minimum_required(VERSION 3.25)
project(test LANGUAGES NONE)
find_package(LlextTools REQUIRED)
function(add_llext_command)
endfunction()
add_library(zephyr_interface INTERFACE)
add_custom_target(hello)
set_target_properties(hello PROPERTIES pkg_output /hello.llext pkg_input /hello_debug.elf)
set(KERNEL_VERSION_STRING 4.2.0)
"""
INCLUDE = "include(LlextZephyr)\n"
MESSAGES = {
    (
        "include(LlextZephyr): this is no build of Zephyr; call find_package(Zephyr) before, or use "
        "llext_add_extension()"
    ): (
        "cmake_minimum_required(VERSION 3.25)\nproject(test LANGUAGES NONE)\nfind_package(LlextTools REQUIRED)\n"
        + INCLUDE
    ),
    "llext_check_target(other): 'other' was not made by add_llext_target()": "llext_check_target(other)",
    "llext_check_target(hello): EXTENSIONS 'other' was not made by add_llext_target()": (
        "llext_check_target(hello EXTENSIONS other)"
    ),
    "llext_check_target(hello): unknown argument 'PROFLE', 'abi'; did you mean PROFILE?": (
        "llext_check_target(hello PROFLE abi)"
    ),
    "llext_check_target(hello): HEAP needs a value": "llext_check_target(hello HEAP)",
    "llext_check_target(hello): HEAP 'much' is not a size, such as 8K or 0x20010000+8K": (
        "llext_check_target(hello HEAP much)"
    ),
    "llext_check_target(hello): PROFILE 'abj' is not a loader profile": "llext_check_target(hello PROFILE abj)",
    "llext_check_target(hello): TARGET 'cortex-m5' is not a CPU of 'llext targets'": (
        "llext_check_target(hello TARGET cortex-m5)"
    ),
    "llext_check_target(hello): TARGET 'arm' is not a CPU of 'llext targets'": "llext_check_target(hello TARGET arm)",
    "llext_check_target(hello): CONFIG 'LLEXT_HEAP' is not of the form OPTION=VALUE": (
        "llext_check_target(hello CONFIG LLEXT_HEAP)"
    ),
    "llext_check_target(hello): OPTIONS 'no-exports' is no option; write its value behind a '=': --ignore=no-exports": (
        "llext_check_target(hello OPTIONS --ignore no-exports)"
    ),
    "llext_check_target(hello): no target of this build links zephyr.elf; name a firmware: EXPORTS": (
        "llext_check_target(hello)"
    ),
    "llext_check_target(hello): EXPORTS 'fw' was not made by llext_add_exports()": (
        "llext_check_target(hello EXPORTS fw)"
    ),
    "llext_check_target(hello): it is checked already": (
        "add_custom_target(hello_llext_check)\nllext_check_target(hello)"
    ),
    "llext_check_target(hello): call it where add_llext_target() was called: in ": (
        "add_executable(zephyr_final IMPORTED GLOBAL)\nfile(WRITE ${CMAKE_BINARY_DIR}/sub/CMakeLists.txt "
        '"llext_check_target(hello)\\n")\nadd_subdirectory(${CMAKE_BINARY_DIR}/sub)'
    ),
    "llext_check_target(hello): HEAP belongs before the first CALL": (
        'add_executable(zephyr_final IMPORTED)\nllext_check_target(hello CALL "f()" HEAP 8K)'
    ),
    "llext_check_target(hello): unknown argument 'EXPECT_RETRN', '5'; did you mean EXPECT_RETURN?": (
        'add_executable(zephyr_final IMPORTED)\nllext_check_target(hello CALL "f()" EXPECT_RETRN 5)'
    ),
    "llext_check_target(hello): CALL needs a value": (
        "add_executable(zephyr_final IMPORTED)\nllext_check_target(hello CALL)"
    ),
    "llext_check_target(hello): PLACEMENTS 'many' is not a number from 1 to 64": (
        'add_executable(zephyr_final IMPORTED)\nllext_check_target(hello CALL "f()" PLACEMENTS many)'
    ),
    "llext_install(hello): 'hello' is of Zephyr's build; install its files: install(FILES)": (
        "add_executable(zephyr_final IMPORTED)\nllext_check_target(hello)\nllext_install(hello)"
    ),
    "llext_check_target(hello): LLEXT_CHECK_OPTIONS '--json' is none of": (
        "set(LLEXT_CHECK_OPTIONS --json)\nllext_check_target(hello)"
    ),
    "llext_check_all(): CALL is of one extension; give it to llext_check_target()": 'llext_check_all(CALL "f()")',
    "llext_check_target(hello): `x` is no version of Zephyr": (
        "set(KERNEL_VERSION_STRING x)\nllext_check_target(hello)"
    ),
}


@pytest.mark.parametrize(("message", "text"), MESSAGES.items(), ids=MESSAGES)
def test_wrong_arguments_are_named(project: Project, message: str, text: str) -> None:
    done = fake(project, text)
    assert done.returncode != 0, done.stdout
    assert message in one_line(done.stdout)
    assert done.stdout.count("CMake Error") == 1


def fake(
    project: Project, text: str, config: str = "CONFIG_LLEXT=y\nCONFIG_ARM=y\n"
) -> subprocess.CompletedProcess[str]:
    text = text if "cmake_minimum_required" in text else f"{FAKE}{INCLUDE}{text}\n"
    (project.root / "CMakeLists.txt").write_text(text)
    (project.build_dir / "zephyr").mkdir(parents=True)
    project.path("zephyr/.config").write_text(config)
    return configure(project, f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("# CONFIG_LLEXT is not set\nCONFIG_ARM=y\n", "`CONFIG_LLEXT` is off in"),
        ("CONFIG_LLEXT=y\nCONFIG_XTENSA=y\n", "is of a CPU that is not supported"),
    ],
)
def test_a_firmware_without_extensions_is_named(project: Project, config: str, message: str) -> None:
    done = fake(project, "llext_check_target(hello)", config)
    assert done.returncode != 0
    said = one_line(done.stdout)
    assert "llext_check_target(hello): `" in said
    assert message in said


def test_without_find_package(project: Project) -> None:
    """The folder of `llext cmake-dir` in CMAKE_MODULE_PATH is enough."""
    text = FAKE.replace("find_package(LlextTools REQUIRED)\n", "") + (
        f'list(APPEND CMAKE_MODULE_PATH "{cmake_dir()}")\ninclude(LlextZephyr)\n'
        "add_executable(zephyr_pre0 IMPORTED)\nset_target_properties(zephyr_pre0 PROPERTIES IMPORTED_LOCATION /z.elf)\n"
        "llext_check_target(hello)\n"
    )
    (project.root / "CMakeLists.txt").write_text(text)
    (project.build_dir / "zephyr").mkdir(parents=True)
    project.path("zephyr/.config").write_text("CONFIG_LLEXT=y\nCONFIG_ARM=y\n")
    command = [tool("cmake"), "-S", str(project.root), "-B", str(project.build_dir), "-G", "Ninja"]
    command += [f"-DLLEXT_COMMAND={LLEXT_COMMAND}", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert "no CPU of 'llext targets', so that extensions are compared with the firmware" in done.stdout
    ninja = [tool("ninja"), "-C", str(project.build_dir), "-t", "commands", "hello_llext_check"]
    assert "--exports /z.elf" in subprocess.run(ninja, capture_output=True, encoding="utf-8", check=True).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A build with an extension that is not checked by it."""
    project = Project(tmp_path_factory.mktemp("zephyr") / "my app")
    project.root.mkdir()
    application(project, "add_custom_target(everything ALL DEPENDS hello)\n")
    configured(project, "arm")
    project.built()
    return project


def llext(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*LLEXT_COMMAND.split(";"), "zephyr", *words]
    return subprocess.run(command, cwd=project.root, capture_output=True, encoding="utf-8", check=False)


def test_the_command_line_finds_what_a_build_has_made(built: Project) -> None:
    done = llext(built, "check", "-d", "build it")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok build it/llext/hello.llext: ")
    assert "of 8,192 bytes of heap" in done.stdout
    facts = json.loads(llext(built, "show", "-d", "build it", "--json").stdout)
    assert (facts["version"], facts["profile"], facts["target"]) == ("4.2.0", "zephyr-4.2", "cortex-m4")
    assert facts["extensions"] == {"hello": "build it/llext/hello.llext"}
    assert llext(built, "run", "-d", "build it", "hello", "--call", "hello(5)").stdout == "hello(5) = 20\n"
    done = llext(built, "run", "-d", "build it", "hello", "--builtin-host")
    assert (done.returncode, "hello.c:3, in `hello`" in done.stderr) == (5, True), (
        "by the debug file that Zephyr leaves"
    )
    (built.root / "second.llext").write_bytes(built.path("llext/hello.llext").read_bytes())
    done = llext(built, "check", "-d", "build it", "hello", "second.llext", "--manifest", "x.json")
    assert (done.returncode, "--manifest is of one extension" in done.stderr) == (2, True)
    done = llext(built, "check", "-d", "build it", "second.llext", "--manifest", "second.llext")
    assert (done.returncode, "`second.llext` is one of the files that are read" in one_line(done.stderr)) == (2, True)
    settings = built.root / "llext.toml"
    settings.write_text("ignore = []\n")
    firmware, config = ("build it/zephyr/zephyr.elf", "build it/zephyr/.config")
    for name, more in ((config, []), (firmware, ["--no-firmware"]), ("llext.toml", [])):
        before = (built.root / name).read_bytes()
        done = llext(built, "check", "-d", "build it", "hello", "--manifest", name, *more)
        assert (done.returncode, f"`{name}` is one of the files" in one_line(done.stderr)) == (2, True)
        assert (built.root / name).read_bytes() == before
    settings.unlink()
    done = llext(built, "check", "-d", "build it", "hello", "--debug-file", firmware)
    assert (done.returncode, "--debug-file is for a manifest" in done.stderr) == (2, True)
    done = llext(built, "check", "-d", "build it", "hello", "--debug-file", firmware, "--manifest", "x.json")
    assert (done.returncode, "is not what `build it/llext/hello.llext` was made of" in one_line(done.stderr)) == (
        2,
        True,
    )
    assert not (built.root / "x.json").exists()
    done = llext(built, "check", "-d", "build it", "helo")
    assert done.returncode == 2
    assert "did you mean `hello`?" in done.stderr

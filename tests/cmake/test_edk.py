"""llext_import_edk(): extensions written for Zephyr, with the headers and flags of a stand-in for its EDK.

Oracles: the emulator, the compiler (a kit whose headers insist on its configuration), readelf, CMake's own messages.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import edk
import transcript
from cmake_project import Project, need_toolchain, one_line
from needs import need

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

ZEPHYRS = """\
#include <zephyr/kernel.h>
#include <zephyr/llext/symbol.h>
int library(int a);
int hello(int a)
{
\tprintk("%s: %d\\n", BOARD_NAME, CONFIG_OF_THE_KIT);
\treturn library(a) + counted(CONFIG_STANDS_FOR);
}
EXPORT_SYMBOL(hello);
"""
BOTH_HEADERS = """\
#include <zephyr/llext/symbol.h>
#include <llext/symbol.h>
extern "C" int cxx(void);
extern "C" int cxx(void) { return CONFIG_STANDS_FOR; }
EXPORT_SYMBOL(cxx);
"""
ASSEMBLY = """\
#include <zephyr/kernel.h>
        .globl  cooked
        .type   cooked, STT_FUNC
        .text
cooked: .word   CONFIG_STANDS_FOR
"""
RAW = ".globl raw\n.type raw, STT_FUNC\n.text\nraw: .word 1\n"
LIBRARY = "#include <zephyr/kernel.h>\nint library(int a) { return a * CONFIG_STANDS_FOR; }\n"
LISTS = """\
enable_testing()
add_library(before STATIC before.c)
llext_import_edk("{path}")
add_library(library STATIC library.c)
llext_add_extension(hello SOURCES hello.c cxx.cpp cooked.S raw.s)
target_link_libraries(hello PRIVATE library)
target_compile_options(hello PRIVATE -Wextra -Werror)
llext_add_test(says EXTENSION hello CALL "hello(2)" EXPECT_RETURN 126 EXPECT_OUTPUT "qemu board: 42")
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "the cache"
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(folder))
    return folder


def written(project: Project, path: str) -> None:
    project.write(
        hello__c=ZEPHYRS,
        cxx__cpp=BOTH_HEADERS,
        cooked__S=ASSEMBLY,
        raw__s=RAW,
        library__c=LIBRARY,
        before__c="#ifdef CONFIG_LLEXT\n#error the kit is for what comes after it\n#endif\nint before;\n",
    )
    project.cmake_lists(LISTS.format(path=path), languages="C CXX ASM")


@pytest.mark.parametrize(
    ("target", "toolchain", "format", "flavour", "generator"),
    [
        ("rv64gc", "gcc", "zip", "shell", "Unix Makefiles"),
        ("cortex-m7", "zig", "tar.Z", "new", "Ninja"),
        ("rv32imac", "zig", "tar.gz", "new", "Unix Makefiles"),
        ("cortex-m7", "gcc", "", "shell", "Ninja"),
    ],
)
def test_an_extension_for_zephyr_runs(
    project: Project, target: str, toolchain: str, format: str, flavour: edk.Flavour, generator: str
) -> None:
    """The kit's header would give warnings, were it not a system header."""
    need_toolchain(target, toolchain)
    root = edk.make(project.root / "the kit", target, flavour=flavour)
    path = root if not format else edk.pack(root, format)
    written(project, str(path.relative_to(project.root)))
    project.configured(target, toolchain, generator=generator)
    project.built()
    done = project.ctest()
    assert done.returncode == 0, done.stdout
    elf = project.path("hello.debug.elf")
    lines = subprocess.run([need("readelf"), "--debug-dump=line", elf], capture_output=True, text=True, check=True)
    assert "edk/include/zephyr/include/zephyr/sys" in lines.stdout
    assert edk.NAME.encode() not in elf.read_bytes()


def test_a_changed_archive_is_read_again_and_so_is_one_whose_folder_is_gone(project: Project, cache: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    root = edk.make(project.root, "cortex-m4")
    archive = edk.pack(root, "tar.xz")
    written(project, archive.name)
    project.configured("cortex-m4", "gcc")
    project.built()
    assert "no work to do" in project.built()
    shutil.rmtree(cache)
    project.built()
    assert "no work to do" in project.built()
    config = root / edk.IMACROS
    config.write_text(config.read_text().replace("42", "43"))
    edk.pack(root, "tar.xz")
    project.touch(archive.name)
    project.built()
    done = project.ctest()
    assert done.returncode != 0
    assert "qemu board: 43" in done.stdout


def test_a_changed_header_of_a_folder_is_compiled_again(project: Project) -> None:
    need_toolchain("cortex-m4", "gcc")
    config = edk.make(project.root, "cortex-m4") / edk.IMACROS
    written(project, edk.NAME)
    project.configured("cortex-m4", "gcc")
    project.built()
    config.write_text(config.read_text().replace("42", "43"))
    project.touch(str(config.relative_to(project.root)))
    project.built()
    assert "qemu board: 43" in project.ctest().stdout


def test_the_kit_is_for_this_folder_and_below(project: Project) -> None:
    """And the target's own C standard goes before the kit's."""
    need_toolchain("cortex-m4", "gcc")
    edk.make(project.root, "cortex-m4")
    for name in ("with", "with/below", "without"):
        (project.root / name).mkdir()
    source = (
        "#include <zephyr/kernel.h>\n#include <zephyr/llext/symbol.h>\nint f(void) { return 1; }\nEXPORT_SYMBOL(f);\n"
    )
    (project.root / "with/f.c").write_text('_Static_assert(__STDC_VERSION__ == 201710L, "");\n' + source)
    (project.root / "with/below/f.c").write_text('_Static_assert(__STDC_VERSION__ == 201112L, "");\n' + source)
    (project.root / "without/f.c").write_text("#ifdef CONFIG_LLEXT\n#error\n#endif\n#include <llext/symbol.h>\n"
                                              "int f(void) { return 1; }\nEXPORT_SYMBOL(f);\n")  # fmt: skip
    (project.root / "with/CMakeLists.txt").write_text(
        "llext_import_edk(../llext-edk STRICT)\nllext_add_extension(one SOURCES f.c)\nadd_subdirectory(below)\n"
    )
    (project.root / "with/below/CMakeLists.txt").write_text(
        "llext_add_extension(two SOURCES f.c)\nset_target_properties(two PROPERTIES C_STANDARD 11)\n"
    )
    (project.root / "without/CMakeLists.txt").write_text("llext_add_extension(three SOURCES f.c)\n")
    project.cmake_lists("add_subdirectory(with)\nadd_subdirectory(without)\n")
    project.configured("cortex-m4", "gcc")
    project.built()


def test_unknown_flags_are_a_warning_and_with_strict_an_error(project: Project) -> None:
    need_toolchain("cortex-m4", "gcc")
    edk.make(project.root, "cortex-m4", more=["-fpack-everything"])
    project.write(hello__c="#include <zephyr/kernel.h>\nint x;\n")
    project.cmake_lists("llext_import_edk(llext-edk)\nadd_library(hello STATIC hello.c)\n")
    done = project.configure("cortex-m4", "gcc")
    assert done.returncode == 0
    message = "does not take the flag `-fpack-everything` of the EDK"
    assert "llext_import_edk(llext-edk): warning[edk-flag-unknown]" in one_line(done.stdout)
    assert message in one_line(done.stdout)
    project.built()
    project.cmake_lists("llext_import_edk(llext-edk STRICT)\n")
    done = project.configure("cortex-m4", "gcc")
    assert done.returncode != 0
    assert "llext_import_edk(llext-edk): this EDK cannot be used error[edk-flag-unknown]" in one_line(done.stdout)
    assert message in one_line(done.stdout)


def test_a_build_shows_what_the_import_warns_of(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """When CMake runs first, and when Ninja runs it again; a build of one more target has it once."""
    need_toolchain("cortex-m4", "gcc")
    monkeypatch.chdir(project.root)
    edk.make(project.root, "cortex-m4", more=["-fpack-everything", '-DTEXT="a;b"', "-wrapper", "x"])
    project.write(hello__c="#include <zephyr/kernel.h>\n#include <zephyr/llext/symbol.h>\nint x;\nEXPORT_SYMBOL(x);\n")
    project.cmake_lists("llext_import_edk(llext-edk)\nllext_add_extension(hello SOURCES hello.c)\n")
    targets = ["--target=cortex-m3", "--target=cortex-m4"]
    for _ in range(2):
        code, printed = transcript.llext("build", *targets, "--toolchain=gcc")
        assert code == 0, printed
        for name in ("edk-flag-unknown", "edk-flag-unsafe", "edk-syntax"):
            assert printed.count(f"warning[{name}]") == 1, printed
        assert "= note: for `cortex-m3-gcc` and `cortex-m4-gcc`" in printed
        project.touch("CMakeLists.txt")


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_compile_commands_have_each_word_as_it_is(generator: str, project: Project) -> None:
    """Words that CMake's lists or generator expressions would take apart."""
    need_toolchain("rv32imac", "gcc")
    odd = ["-DTEMPLATE=<a,b>", "-DPAIR=1,2", '-DQUOTE="$x"', "-DHASH='#'", "-DADDED(a, b)=(a + b) /*#*/", "-DNONE(a)="]
    edk.make(project.root / "a,b>c", "rv32imac", more=odd)
    project.write(hello__c='#include <zephyr/kernel.h>\n_Static_assert(HASH == ADDED(30, 5), "");\nint x NONE(1);\n')
    project.cmake_lists('llext_import_edk("a,b>c/llext-edk")\nadd_library(hello STATIC hello.c)\n')
    project.configured("rv32imac", "gcc", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", generator=generator)
    project.built()
    (command,) = json.loads(project.path("compile_commands.json").read_text())
    for word in ("-DTEMPLATE=\\<a,b\\>", "-DPAIR=1,2", "-DQUOTE="):
        assert word.replace("\\", "") in command["command"].replace("\\", "").replace('"', "")

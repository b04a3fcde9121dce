"""Projects that configure and build. Oracles: the loader's rules for regions, pyelftools as the reader, CMake's and
Ninja's own word on what is up to date."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest

from cmake_project import (
    BOTH,
    HELLO,
    NOTHING_TO_DO,
    Project,
    loaded_sections,
    need_toolchain,
    one_line,
    symbols,
    undefined,
)

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]


@BOTH
def test_an_extension_is_an_ordinary_target(project: Project, target: str, toolchain: str) -> None:
    """C, C++ and both kinds of assembly, a static library, options, definitions, generator expressions."""
    need_toolchain(target, toolchain)
    project.write(
        hello__c='#include <llext/symbol.h>\n#include "deep.h"\n'
        "int cxx(void); int twice(int); int raw(void); int cooked(void);\n"
        "#ifndef LL_EXTENSION_BUILD\n#error not an extension\n#endif\n"
        "static const char name[] = NAME;\n"
        "int hello(int a) { return cxx() + twice(a) + raw() + cooked() + DEEP + name[0]; }\nEXPORT_SYMBOL(hello);\n",
        cxx__cpp='extern "C" int cxx() { return ONLY_CXX; }\n',
        raw__s=".globl raw\n.type raw, STT_FUNC\n.text\nraw: .word 1\n",
        cooked__S='#include "value.h"\n.globl cooked\n.type cooked, STT_FUNC\n.text\ncooked: .word VALUE\n',
        value__h="#define VALUE 2\n",
        library__c="int twice(int a) { return 2 * a; }\n",
        unused__c="int unused(void) { return 0; }\n",
    )
    (project.root / "include dir").mkdir()
    (project.root / "include dir" / "deep.h").write_text("#define DEEP 3\n")
    project.cmake_lists(
        "add_library(library STATIC library.c unused.c)\n"
        "llext_add_extension(hello SOURCES hello.c cxx.cpp raw.s cooked.S)\n"
        'target_compile_definitions(hello PRIVATE "NAME=\\"a b\\"" $<$<COMPILE_LANGUAGE:CXX>:ONLY_CXX=7>)\n'
        "target_compile_options(hello PRIVATE -Wall -Wextra -Werror)\n"
        'target_include_directories(hello PRIVATE "include dir")\n'
        "target_link_libraries(hello PRIVATE library)\n"
        "get_target_property(output hello LLEXT_OUTPUT)\n"
        'file(WRITE "${CMAKE_BINARY_DIR}/output.txt" "${output}")\n',
        languages="C CXX ASM",
    )
    project.configured(target, toolchain)
    project.built()
    output = project.path("hello.llext")
    assert project.path("output.txt").read_text() == str(output)
    assert undefined(output) == set()
    assert {name for name, bind, _ in symbols(output) if bind == "STB_GLOBAL"} == {
        *("hello", "cxx", "twice", "raw", "cooked")
    }, "`unused` is in the archive, too, but nothing refers to it"
    assert ".debug_info" not in {where for _, _, where in symbols(output)}
    assert ("hello.c", "STB_LOCAL", "SHN_ABS") in set(symbols(project.path("hello.debug.elf")))

    assert NOTHING_TO_DO in project.built()
    project.touch("value.h")
    assert "cooked.S" in project.built("-v")
    project.touch("include dir/deep.h")
    log = project.built("-v")
    assert "hello.c" in log
    assert "cxx.cpp" not in log.replace("cxx.cpp.obj", "")
    assert NOTHING_TO_DO in project.built()


@BOTH
def test_each_region_gets_one_section(project: Project, target: str, toolchain: str) -> None:
    """Inline variables, templates, sections for each function and object, priorities, common symbols, .noinit."""
    need_toolchain(target, toolchain)
    project.write(
        a__cpp='#include "both.hpp"\n#include <llext/symbol.h>\n'
        "struct Noisy { Noisy(int) { trace(); } ~Noisy() { trace(); } };\n"
        "__attribute__((init_priority(300))) Noisy late(3);\n"
        "__attribute__((init_priority(200))) Noisy early(2);\n"
        "Noisy last(1);\n"
        "int data = 5; const int *const pointer = &data; extern const int *const pointer;\n"
        'extern "C" int run() { static Noisy local(0); return count() + square(3) + *pointer; }\nEXPORT_SYMBOL(run);\n',
        b__cpp='#include "both.hpp"\nint other() { return count() + square(4); }\n',
        both__hpp='extern "C" void trace();\n'
        "inline int &count() { static int n; return n; }\n"
        "template <class T> T square(T x) { static T last; last = x * x; return last; }\n",
        c__c='int common_array[3]; __attribute__((section(".noinit"))) int kept; int zero, one = 1;\n'
        "int *use(int i) { return i ? &kept : common_array + zero + one; }\n",
    )
    project.cmake_lists(
        "llext_add_extension(run SOURCES a.cpp b.cpp c.c)\n"
        "target_compile_options(run PRIVATE -ffunction-sections -fdata-sections)\n",
        languages="C CXX",
    )
    project.configured(target, toolchain)
    project.built()
    output = project.path("run.llext")
    sections = loaded_sections(output)
    assert [name for name, _ in sections] == [
        *(".text", ".rodata", ".exported_sym", ".init_array", ".fini_array", ".data", ".bss")
    ]
    assert [kind for name, kind in sections if name.endswith("_array")] == ["SHT_INIT_ARRAY", "SHT_FINI_ARRAY"]
    assert sum(kind == "SHT_NOBITS" for _, kind in sections) <= 1
    assert undefined(output) == {"trace"}, "neither atexit() nor the C++ run-time library"


@pytest.mark.parametrize(
    ("target", "toolchain"), [("cortex-m0plus", "gcc"), ("cortex-m0plus", "zig"), ("rv32imac", "gcc")]
)
def test_compiler_runtime_adds_what_is_needed(project: Project, target: str, toolchain: str) -> None:
    """64-bit division and soft float leave nothing undefined but the host's own functions; nothing unused comes in."""
    need_toolchain(target, toolchain)
    project.write(
        math__c="#include <llext/host.h>\n#include <llext/symbol.h>\n"
        "struct big { int words[64]; };\n"
        "unsigned long long divide(unsigned long long a, unsigned long long b) { return a / b; }\n"
        "EXPORT_SYMBOL(divide);\n"
        "void copy(struct big *to, const struct big *from) { memcpy(to, from, sizeof *to); }\n",
    )
    project.cmake_lists(
        "llext_add_extension(with SOURCES math.c COMPILER_RUNTIME)\nllext_add_extension(without SOURCES math.c)\n"
    )
    project.configured(target, toolchain)
    project.built()
    assert undefined(project.path("with.llext")) == {"memcpy"}
    helpers = undefined(project.path("without.llext")) - {"memcpy"}
    assert helpers, "else this test shows nothing"
    added = {name for name, _, where in symbols(project.path("with.debug.elf")) if where == ".text"}
    assert helpers <= added
    assert not {name for name in added if re.match(r"__(aeabi_)?[fd](mul|add|sub)|__(mul|add|sub)[sd]f3", name)}
    assert NOTHING_TO_DO in project.built()


def test_output_and_symbols_are_for_the_user_to_choose(project: Project) -> None:
    need_toolchain("cortex-m4", "zig")
    source = HELLO + "__attribute__((used)) static int helper;\n"
    project.write(hello__c=source)
    project.cmake_lists(
        'llext_add_extension(small SOURCES hello.c OUTPUT "some where/other.bin")\n'
        "llext_add_extension(large SOURCES hello.c KEEP_SYMBOLS)\n"
    )
    project.configured("cortex-m4", "zig")
    project.built()
    small, large = project.path("some where/other.bin"), project.path("large.llext")
    assert small.with_name("small.debug.elf").exists()
    assert "helper" not in {name for name, _, _ in symbols(small)}
    assert "helper" in {name for name, _, _ in symbols(large)}


def test_the_users_flags_come_last(project: Project) -> None:
    """A default can be taken back for one extension, and a build type changes the optimization."""
    need_toolchain("cortex-m4", "gcc")
    project.write(hello__c=HELLO)
    project.cmake_lists(
        "llext_add_extension(hello SOURCES hello.c)\ntarget_compile_options(hello PRIVATE -mno-long-calls)\n"
    )
    project.configured("cortex-m4", "gcc", "-DCMAKE_BUILD_TYPE=Release")
    line = next(text for text in project.built("-v").splitlines() if " -c " in text)
    assert line.index("-Os") < line.index("-O3")
    assert line.index("-mlong-calls") < line.index("-mno-long-calls")


@BOTH
def test_the_projects_flags_replace_none_of_ours(project: Project, target: str, toolchain: str) -> None:
    """From the cache and from a CMakeLists.txt; each of ours is there once, in libraries, too."""
    need_toolchain(target, toolchain)
    lists = (
        "add_library(part STATIC part.c)\n"
        "llext_add_extension(hello SOURCES hello.c other.cpp start.S)\ntarget_link_libraries(hello PRIVATE part)\n"
    )
    main = "#include <stdint.h>\n#include <llext/symbol.h>\nint part(int32_t);\n"
    project.write(
        hello__c=main + "int hello(int a) { return part(a); }\nEXPORT_SYMBOL(hello);\n",
        part__c="#include <stdint.h>\nint part(int32_t a) { return a + 1; }\n",
        other__cpp="struct Two { int n; ~Two() { n = 0; } } two;\n",
        start__S=".globl start\nstart: nop\n",
    )
    languages = "C CXX ASM"
    project.cmake_lists(lists, languages)
    project.configured(target, toolchain)
    project.built()
    plain = json.loads(project.path("hello.json").read_text())["toolchain"]["flags"]

    project.cmake_lists('set(CMAKE_CXX_FLAGS "-DSET=1")\n' + lists, languages)
    project.configured(target, toolchain, "--fresh", "-DCMAKE_C_FLAGS=-DSET=1", "-DCMAKE_ASM_FLAGS=-DSET=1")
    project.built()
    flags = json.loads(project.path("hello.json").read_text())["toolchain"]["flags"]
    for language in languages.split():
        assert "-DSET=1" not in plain[language]
        assert [word for word in flags[language] if word != "-DSET=1"] == plain[language]
        assert flags[language].count("-DSET=1") == plain[language].count("-ffreestanding") == 1
    compiled = [line for line in project.built("--clean-first", "-v").splitlines() if " -c " in line]
    assert len(compiled) == 5, "with the destructors of static objects"
    assert {line.count(" -ffreestanding ") for line in compiled} == {1}


@BOTH
def test_flags_for_the_host_are_not_for_a_target(
    project: Project, target: str, toolchain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the compiler's own command lines, and the manifest. conda, nix and dpkg set such variables."""
    need_toolchain(target, toolchain)
    for name in ("CFLAGS", "CXXFLAGS", "ASMFLAGS"):
        monkeypatch.setenv(name, "-fPIC -DFOR_HOST")
    monkeypatch.setenv("LDFLAGS", "-Wl,--gc-sections -Wl,-z,relro")
    project.write(
        hello__c=HELLO,
        other__cpp='extern "C" int other() { return 1; }\n',
        start__S=".globl start\nstart: nop\n",
    )
    project.cmake_lists("llext_add_extension(hello SOURCES hello.c other.cpp start.S)\n", "C CXX ASM")
    project.configured(target, toolchain)
    log = project.built("-v")
    assert " -c " in log
    flags = json.loads(project.path("hello.json").read_text())["toolchain"]["flags"]
    assert set(flags) == {"C", "CXX", "ASM"}
    for word in ("-fPIC", "-DFOR_HOST"):
        assert word not in log
        assert not [language for language in flags if word in flags[language]]


def test_the_toolchain_is_asked_once(project: Project) -> None:
    """Configuring again takes the answer of the first time; without the compiler that it names it asks again."""
    need_toolchain("cortex-m4", "zig")
    project.write(hello__c=HELLO)
    project.cmake_lists("llext_add_extension(hello SOURCES hello.c)\n")
    project.configured("cortex-m4", "zig")
    answer = project.path("CMakeFiles/llext/cortex-m4-zig.cmake")
    first = answer.read_text()
    marked = first + "# still the first one\n"
    answer.write_text(marked)
    project.configured("cortex-m4", "zig")
    assert answer.read_text() == marked
    answer.write_text(first.replace("/zig", "/gone"))
    project.configured("cortex-m4", "zig")
    assert answer.read_text() == first


def test_a_moved_project_builds(project: Project) -> None:
    """Nothing outside the build folder remembers where it was."""
    need_toolchain("cortex-m4", "zig")
    project.write(hello__c=HELLO)
    project.cmake_lists("llext_add_extension(hello SOURCES hello.c)\n")
    project.configured("cortex-m4", "zig")
    project.built()
    moved = Project(project.root.with_name("moved"))
    shutil.copytree(project.root, moved.root, ignore=lambda *_: [project.build_dir.name])
    moved.configured("cortex-m4", "zig")
    moved.built()
    assert moved.path("hello.llext").read_bytes() == project.path("hello.llext").read_bytes()


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_assembly_alone(project: Project, toolchain: str) -> None:
    """A project without a C compiler; the extension's name is in the table of exports by hand."""
    need_toolchain("rv32imac", toolchain)
    project.write(
        only__S=".globl f\n.type f, @function\nf: li a0, 42\nret\n.size f, .-f\n"
        '.section .rodata\nname: .string "f"\n'
        '.section .exported_sym, "a", @progbits\n.balign 4\n.word name, f\n'
    )
    project.cmake_lists("llext_add_extension(only SOURCES only.S)\n", languages="ASM")
    project.configured("rv32imac", toolchain)
    project.built()
    assert [name for name, _ in loaded_sections(project.path("only.llext"))] == [".text", ".rodata", ".exported_sym"]


def test_configurations_do_not_overwrite_each_other(project: Project) -> None:
    """A generator for several configurations at once gives each a folder, unless OUTPUT says otherwise."""
    need_toolchain("cortex-m4", "zig")
    project.write(hello__c=HELLO)
    same = 'llext_add_extension(same SOURCES hello.c OUTPUT "same.llext")\n'
    project.cmake_lists(same)
    refused = project.configure("cortex-m4", "zig", generator="Ninja Multi-Config")
    message = "OUTPUT 'same.llext' is one file for all configurations; put $<CONFIG> into its folder"
    assert f"llext_add_extension(same): {message}" in one_line(refused.stdout)
    project.cmake_lists(
        "set(CMAKE_RUNTIME_OUTPUT_DIRECTORY_DEBUG /nowhere) # is for programs\n"
        "llext_add_extension(hello SOURCES hello.c)\n"
        'llext_add_extension(named SOURCES hello.c OUTPUT "to/$<CONFIG>/it.llext")\n'
    )
    project.configured("cortex-m4", "zig", generator="Ninja Multi-Config")
    for configuration in ("Debug", "Release"):
        project.built("--config", configuration)
    for configuration in ("Debug", "Release"):
        assert project.path(f"{configuration}/hello.llext").exists()
        assert project.path(f"{configuration}/hello.debug.elf").exists()
        assert project.path(f"to/{configuration}/it.llext").exists()
        extension = project.path(f"to/{configuration}/it.llext")
        manifest = json.loads(extension.with_suffix(".json").read_text())
        assert manifest["files"][extension.name]["sha256"] == hashlib.sha256(extension.read_bytes()).hexdigest()
    assert NOTHING_TO_DO in project.built("--config", "Debug")


def test_sub_folders_and_their_scopes(project: Project) -> None:
    """The package is found in one sub-folder; its commands work in another, too."""
    need_toolchain("cortex-m4", "zig")
    for name in ("first", "second"):
        (project.root / name).mkdir()
        (project.root / name / f"{name}.cpp").write_text(
            '#include <llext/symbol.h>\nextern "C" int run() { return 1; }\nEXPORT_SYMBOL(run);\n'
        )
        (project.root / name / "CMakeLists.txt").write_text(
            f"{'find_package(LlextTools REQUIRED)' if name == 'first' else ''}\n"
            f"llext_add_extension({name} SOURCES {name}.cpp COMPILER_RUNTIME)\n"
        )
    (project.root / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(both LANGUAGES CXX)\n"
        "add_subdirectory(first)\nadd_subdirectory(second)\n"
    )
    project.configured("cortex-m4", "zig")
    project.built()
    assert project.path("first/first.llext").exists()
    assert project.path("second/second.llext").exists()


@pytest.mark.parametrize(("target", "toolchain"), [("cortex-m4", "gcc"), ("cortex-m4", "zig"), ("rv32imac", "gcc")])
def test_destructors_of_static_objects_run_at_teardown(project: Project, target: str, toolchain: str) -> None:
    """Both compilers: a global object and one in a function, without anything from the C++ run-time library."""
    need_toolchain(target, toolchain)
    project.write(
        run__cpp="#include <llext/host.h>\n#include <llext/symbol.h>\n"
        "struct Noisy {\n    const char *name;\n"
        '    explicit Noisy(const char *n) : name(n) { printk("+%s ", name); }\n'
        '    ~Noisy() { printk("-%s ", name); }\n};\n'
        'Noisy outer("outer");\n'
        'extern "C" int run() { static Noisy inner("inner"); return 0; }\nEXPORT_SYMBOL(run);\n'
    )
    project.cmake_lists(
        "llext_add_extension(run SOURCES run.cpp)\n"
        'llext_add_test(runs EXTENSION run CALL "run()" EXPECT_OUTPUT "[+]outer [+]inner .*-outer")\n'
        'llext_add_test(runs_inner EXTENSION run CALL "run()" EXPECT_OUTPUT "[+]outer [+]inner .*-inner")\n',
        languages="CXX",
    )
    project.configured(target, toolchain)
    project.built()
    done = project.ctest()
    assert done.returncode == 0, done.stdout
    assert undefined(project.path("run.llext")) == {"printk"}

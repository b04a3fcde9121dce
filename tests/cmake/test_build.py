"""Projects that configure and build. Oracles: the loader's rules for regions, pyelftools as the reader, CMake's and
Ninja's own word on what is up to date."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest

from cmake_project import Project, loaded_sections, need_toolchain, one_line, symbols, undefined

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

BOTH = pytest.mark.parametrize(("target", "toolchain"), [("cortex-m4", "gcc"), ("rv32imac", "zig")])
NOTHING_TO_DO = "ninja: no work to do."

HELLO = """\
#include <llext/host.h>
#include <llext/symbol.h>
int hello(int a)
{
    printk("hello");
    return a + 1;
}
EXPORT_SYMBOL(hello);
"""


def table(*names: str) -> str:
    return "[exports]\n" + "".join(f"{name} = 0x{0x8001 + 16 * i:x}\n" for i, name in enumerate(names))


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


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_a_refused_extension_leaves_nothing_behind(project: Project, generator: str) -> None:
    """What is refused once is refused again, until its cause is gone; then it is built without being told."""
    need_toolchain("cortex-m4", "zig")
    project.write(hello__c=HELLO, board__toml=table("something_else"))
    project.cmake_lists(
        "llext_add_exports(board TABLE board.toml)\nllext_add_extension(hello SOURCES hello.c EXPORTS board)\n"
    )
    project.configured("cortex-m4", "zig", generator=generator)
    for _ in range(2):
        failed = project.build()
        assert failed.returncode != 0
        assert "error[undefined-symbol]: `printk`" in failed.stdout
        assert not project.path("hello.llext").exists()
        assert not project.path("hello.debug.elf").exists()
        assert not project.path("hello.json").exists()

    project.write(board__toml=table("printk"))
    project.touch("board.toml")
    project.built()
    assert project.path("hello.llext").exists()
    log = project.built()
    assert "Linking" not in log, "the second build has nothing to do"

    project.write(board__toml=table("something_else"))
    project.touch("board.toml")
    assert project.build().returncode != 0, "the table is a dependency"
    assert not project.path("hello.llext").exists()


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


def test_exports_come_from_a_firmware_target(project: Project) -> None:
    """The firmware is built first, and checked against again when it changes."""
    need_toolchain("cortex-m4", "zig")
    project.write(
        hello__c=HELLO,
        firmware__c="#include <llext/symbol.h>\nint printk(const char *f, ...) { return *f; }\nEXPORT_SYMBOL(printk);\n"
        "static int factor; void prepare(void) { factor = 10; } int scaled(int x) { return factor * x; }\n"
        "int sensor(void) { return -1; }\n"
        "EXPORT_SYMBOL(scaled); EXPORT_SYMBOL(sensor); void _start(void) {}\n",
        reader__c="#include <llext/symbol.h>\nint scaled(int); int sensor(void);\n"
        "int reading(void) { return scaled(sensor()); }\nEXPORT_SYMBOL(reading);\n",
        board__py="def sensor():\n    return 7\n",
        firmware__ld="SECTIONS { .text 0x8000000 : { *(.text*) } .rodata : { *(.rodata*) }\n"
        "llext_const_symbol_area : { KEEP(*(._llext_const_symbol.static.*)) KEEP(*(llext_const_symbol_area*)) }\n"
        ".bss 0x20000000 : { *(.bss*) } }\n",
    )
    project.cmake_lists(
        "add_executable(firmware firmware.c)\n"
        "target_link_libraries(firmware PRIVATE LlextTools::headers)\n"
        'target_link_options(firmware PRIVATE "LINKER:-T,${CMAKE_CURRENT_SOURCE_DIR}/firmware.ld")\n'
        "llext_add_exports(board FIRMWARE firmware)\n"
        "llext_add_extension(hello SOURCES hello.c EXPORTS board)\n"
        "llext_add_extension(reader SOURCES reader.c EXPORTS board)\n"
        'llext_add_test(reads AT_BUILD EXTENSION reader EXPORTS board CALL "reading()" EXPECT_RETURN 70\n'
        "  OVERRIDE sensor=board.py:sensor INIT prepare)\n"
        'llext_add_test(reads_zero AT_BUILD EXTENSION reader EXPORTS board CALL "reading()" EXPECT_RETURN 0\n'
        "  OVERRIDE sensor=7)\n"
    )
    project.configured("cortex-m4", "zig")
    project.built("--target", "hello")
    assert project.path("hello.llext").exists()
    project.touch("firmware.c")
    assert "hello.llext" in project.built("-v")
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


@BOTH
def test_extensions_are_run(project: Project, target: str, toolchain: str) -> None:
    """As a test for ctest and as a build step, with another extension loaded first."""
    need_toolchain(target, toolchain)
    project.write(
        base__c="#include <llext/symbol.h>\nint base(int a) { return 10 * a; }\nEXPORT_SYMBOL(base);\n",
        user__c="#include <llext/host.h>\n#include <llext/symbol.h>\nint base(int);\n"
        'int user(int a) { printk("[a;b] %d", base(a)); return base(a) + 1; }\nEXPORT_SYMBOL(user);\n',
    )
    project.cmake_lists(
        "llext_add_extension(base SOURCES base.c)\nllext_add_extension(user SOURCES user.c)\n"
        'llext_add_test(right EXTENSION user EXTENSIONS base CALL "user(4)" EXPECT_RETURN 41\n'
        '  EXPECT_OUTPUT "[[]a;b. 40" TIMEOUT 20)\n'
        'llext_add_test(wrong EXTENSION user EXTENSIONS base CALL "user(4)" EXPECT_RETURN -1)\n'
        'llext_add_test(step EXTENSION user EXTENSIONS base CALL "user(4)" EXPECT_RETURN ${EXPECTED} AT_BUILD)\n'
    )
    project.configured(target, toolchain, "-DEXPECTED=41")
    assert "Running step" in project.built()
    assert NOTHING_TO_DO in project.built()
    assert project.ctest("-R", "right").returncode == 0, project.ctest("-R", "right").stdout
    failed = project.ctest("-R", "wrong")
    assert failed.returncode != 0
    assert "error[expect-return]" in failed.stdout

    project.configured(target, toolchain, "-DEXPECTED=42")
    for _ in range(2):
        step = project.build()
        assert step.returncode != 0
        assert "error[expect-return]" in step.stdout
    project.configured(target, toolchain, "-DEXPECTED=41")
    project.touch("base.c")
    log = project.built()
    assert "Running step" in log, "an extension that it uses was built again"


def test_an_extension_is_checked_for_its_loader(project: Project) -> None:
    """Oracle: arch/arm/core/elf.c of Zephyr 4.2 has no R_ARM_TLS_LE32; the pull request 106643 has brought it."""
    need_toolchain("cortex-m4", "gcc")
    project.write(
        counter__c="#include <llext/symbol.h>\n"
        "__thread int mine;\nint count(void) { return ++mine; }\nEXPORT_SYMBOL(count);\n"
    )
    project.cmake_lists(
        "llext_add_extension(newer SOURCES counter.c)\n"
        "llext_add_extension(older SOURCES counter.c PROFILE zephyr-4.2)\n"
    )
    project.configured("cortex-m4", "gcc")
    refused = "error[reloc-refused]: the loader (zephyr-4.2) does not apply `R_ARM_TLS_LE32`"
    project.built("--target", "newer")
    assert refused in project.build("--target", "older").stdout
    assert not project.path("older.llext").exists()

    project.configured("cortex-m4", "gcc", "-DLLEXT_PROFILE=zephyr-4.2")
    assert refused in project.build("--target", "newer").stdout, "it is checked again, though no file has changed"
    assert not project.path("newer.llext").exists()


@pytest.mark.parametrize("name", ["llext.toml", "pyproject.toml"])
def test_an_extension_is_checked_by_the_settings_of_its_project(project: Project, name: str) -> None:
    """The nearest file above the CMakeLists.txt counts, and its changes; what lies above the project does not."""
    need_toolchain("cortex-m4", "gcc")
    head = "" if name == "llext.toml" else "[project]\nversion = '1'\n\n[tool.llext]\n"
    (project.root.parent / name).write_text(head + "no-key = 1\n")
    (project.root / "sub dir" / "deeper").mkdir(parents=True)
    (project.root / "sub dir" / "deeper" / "quiet.c").write_text("int quiet(void) { return 1; }\n")
    (project.root / "sub dir" / "deeper" / "CMakeLists.txt").write_text("llext_add_extension(quiet SOURCES quiet.c)\n")
    project.cmake_lists('add_subdirectory("sub dir/deeper")\n')
    project.configured("cortex-m4", "gcc")
    assert "warning[no-exports]" in project.built(), "nothing above the project counts"

    settings = project.root / "sub dir" / name
    settings.write_text(head + "werror = true\n")
    project.configured("cortex-m4", "gcc")
    assert "error[no-exports]" in project.build().stdout
    settings.write_text(head + 'ignore = "no-exports"\n')
    assert "no-exports" not in project.built(), "it is checked again, for the settings have changed"
    assert NOTHING_TO_DO in project.built()


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_settings_that_come_and_go_are_noticed(project: Project, generator: str) -> None:
    """Without being configured again by the user, and from any folder of the project."""
    need_toolchain("cortex-m4", "gcc")
    (project.root / "sub [1]").mkdir()
    (project.root / "sub [1]" / "CMakeLists.txt").write_text("llext_add_extension(quiet SOURCES quiet.c)\n")
    (project.root / "sub [1]" / "quiet.c").write_text("int quiet(void) { return 1; }\n")
    outer, inner, python = (project.root / name for name in ("llext.toml", "sub [1]/llext.toml", "pyproject.toml"))
    project.cmake_lists('add_subdirectory("sub [1]")\n')
    python.write_text("[project]\nversion = '1'\n")
    project.configured("cortex-m4", "gcc", generator=generator)
    assert "warning[no-exports]" in project.built()

    outer.write_text('ignore = "no-exports"\n')
    log = project.built()
    assert "Linking" in log
    assert "no-exports" not in log
    inner.write_text("werror = true\n")
    assert "error[no-exports]" in project.build().stdout
    inner.unlink()
    log = project.built()
    assert "Linking" in log
    assert "no-exports" not in log, "the outer one counts again"
    assert "Linking" not in project.built()
    outer.unlink()
    assert "warning[no-exports]" in project.built()
    python.write_text("[tool.llext]\nwerror = true\n")
    project.touch("pyproject.toml")
    assert "error[no-exports]" in project.build().stdout
    python.unlink()
    assert "warning[no-exports]" in project.built()


@pytest.mark.parametrize(
    ("generator", "toolchain"), [("Ninja", "zig"), ("Unix Makefiles", "gcc"), ("Ninja Multi-Config", "gcc")]
)
def test_what_other_extensions_export_is_there(project: Project, generator: str, toolchain: str) -> None:
    """They are built first, and what uses them is checked again when they change."""
    need_toolchain("cortex-m4", toolchain)
    export = "#include <llext/symbol.h>\nint meter(void) {{ return 3; }}\nLL_EXTENSION_SYMBOL_NAMED(meter, {});\n"
    project.write(
        meter__c=export.format("meter_start"),
        log__c="#include <llext/symbol.h>\nint meter_start(void);\n"
        "int log_start(void) { return meter_start(); }\nLL_EXTENSION_SYMBOL(log_start);\n",
        board__toml=table("printk"),
    )
    project.cmake_lists(
        "llext_add_exports(board TABLE board.toml)\n"
        "llext_add_extension(meter SOURCES meter.c EXPORTS board)\n"
        "llext_add_extension(log SOURCES log.c EXPORTS board EXTENSIONS meter)\n"
        "llext_add_extension(alone SOURCES log.c EXPORTS board)\n"
        "set_target_properties(alone PROPERTIES EXCLUDE_FROM_ALL TRUE)\n"
    )
    project.configured("cortex-m4", toolchain, generator=generator)
    folder = project.path("Debug" if "Multi" in generator else ".")
    project.built("--target", "log")
    assert (folder / "log.llext").exists()
    assert (folder / "meter.llext").exists()
    assert "meter_start" in undefined(folder / "log.llext")
    assert "Linking" not in project.built("--target", "log")
    alone = project.build("--target", "alone").stdout
    assert "error[undefined-symbol]: `meter_start`" in alone
    assert "if another extension exports it" in one_line(alone)

    project.write(meter__c=export.format("meter_begin"))
    project.touch("meter.c")
    for _ in range(2):
        assert "error[undefined-symbol]: `meter_start`" in project.build().stdout
    assert not (folder / "log.llext").exists()
    project.write(meter__c=export.format("meter_start"))
    project.touch("meter.c")
    project.built()
    assert (folder / "log.llext").exists()


def test_an_extension_is_run_by_the_rules_of_its_loader(project: Project) -> None:
    """Oracles: gABI, "Symbol Table", where an undefined weak symbol is 0; and Zephyr's loader, which gives -ENODATA."""
    need_toolchain("cortex-m4", "gcc")
    project.write(
        ask__c="#include <llext/symbol.h>\nint board(void) __attribute__((weak));\n"
        "int ask(void) { return board ? board() : 7; }\nEXPORT_SYMBOL(ask);\n",
        board__toml=table("something_else"),
    )
    project.cmake_lists(
        "llext_add_exports(board TABLE board.toml)\n"
        "llext_add_extension(lacking SOURCES ask.c EXPORTS board)\n"
        "set(LLEXT_PROFILE abi)\n"
        "llext_add_extension(ask SOURCES ask.c EXPORTS board)\n"
        "set(LLEXT_PROFILE zephyr-next)\n"
        'llext_add_test(asks EXTENSION ask CALL "ask()" EXPECT_RETURN 7)\n'
        'llext_add_test(asks_zephyr EXTENSION ask CALL "ask()" PROFILE zephyr-next)\n'
    )
    project.configured("cortex-m4", "gcc")
    assert "error[weak-undefined]: `board`" in project.build("--target", "lacking").stdout
    project.built("--target", "ask")
    assert project.ctest("-R", "asks$").returncode == 0, "by the profile of its extension"
    failed = project.ctest("-R", "asks_zephyr")
    assert failed.returncode != 0
    assert "error[weak-undefined]: `board`" in failed.stdout


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

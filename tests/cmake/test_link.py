"""What is linked into an extension: each kind of library, precompiled headers, unity builds and link-time optimization,
or the reason why not. Oracle: the extension runs and returns what its C code says; GNU ld and lld did the linking."""

from __future__ import annotations

import re

import pytest
from elftools.elf.elffile import ELFFile

from cmake_project import Project, need_toolchain, one_line

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

FILES = {
    "hello__c": "#include <llext/symbol.h>\nint helper(int);\nint hello(int a) { return helper(a) + 1; }\n"
    "EXPORT_SYMBOL(hello);\n",
    "hello__cpp": '#include <llext/symbol.h>\nextern "C" int helper(int);\n'
    'extern "C" int hello(int a) { return helper(a) + 1; }\nEXPORT_SYMBOL(hello);\n',
    "helper__c": "int twice(int);\nint helper(int a) { return twice(a); }\n",
    "twice__c": "int twice(int a) { return 2 * a; }\n",
    "static__cpp": "struct Two { int n = 2; ~Two() { n = 0; } };\n"
    'extern "C" int twice(int a) { static Two two; return a * two.n; }\n',
    "divide__c": "int twice(int a) { volatile long long n = a; return (int)(n * 14 / (n + 3)); }\n",
    "part__h": "#pragma once\nenum { PART = 1 };\n",
}
"""``hello(4)`` is 9, however it is put together."""

CASES = {
    "objects as sources": (
        "add_library(part OBJECT helper.c twice.c)\nllext_add_extension(hello SOURCES hello.c $<TARGET_OBJECTS:part>)\n"
    ),
    "objects alone": (
        "add_library(every OBJECT hello.c helper.c twice.c)\n"
        "target_link_libraries(every PRIVATE LlextTools::headers)\n"
        "target_compile_definitions(every PRIVATE LL_EXTENSION_BUILD)\n"
        "llext_add_extension(hello SOURCES $<TARGET_OBJECTS:every>)\n"
    ),
    "objects linked": (
        "add_library(part OBJECT helper.c static.cpp)\nllext_add_extension(hello SOURCES hello.c)\n"
        "target_link_libraries(hello PRIVATE part)\n"
    ),
    "libraries of libraries": (
        "add_library(deep STATIC twice.c)\nadd_library(near STATIC helper.c)\n"
        "target_compile_definitions(deep INTERFACE DEEP)\ntarget_link_libraries(near PUBLIC deep)\n"
        "llext_add_extension(hello SOURCES hello.c)\ntarget_link_libraries(hello PRIVATE near)\n"
    ),
    "C++ in a library of a library": (
        "add_library(deep STATIC static.cpp)\nadd_library(near STATIC helper.c)\n"
        "target_link_libraries(near PRIVATE deep)\nllext_add_extension(hello SOURCES hello.c)\n"
        "target_link_libraries(hello PRIVATE deep near)\n"
    ),
    "helpers for a library of a library": (
        "add_library(deep STATIC divide.c)\nadd_library(near STATIC helper.c)\n"
        "target_link_libraries(near PRIVATE deep)\nllext_add_extension(hello SOURCES hello.c COMPILER_RUNTIME)\n"
        "target_link_libraries(hello PRIVATE near)\n"
    ),
    "an interface library's sources": (
        "add_library(part INTERFACE)\ntarget_sources(part INTERFACE helper.c twice.c)\n"
        "llext_add_extension(hello SOURCES hello.c)\ntarget_link_libraries(hello PRIVATE part)\n"
    ),
    "sources that come later": (
        "llext_add_extension(hello SOURCES hello.c)\ntarget_sources(hello PRIVATE helper.c static.cpp)\n"
    ),
    "a whole archive and a group": (
        "add_library(near STATIC helper.c)\nadd_library(deep STATIC twice.c)\nadd_library(unused STATIC static.cpp)\n"
        "llext_add_extension(hello SOURCES hello.c)\n"
        'target_link_libraries(hello PRIVATE "$<LINK_GROUP:RESCAN,deep,near>")\n'
        "llext_add_extension(second SOURCES hello.c)\n"
        "target_link_libraries(second PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,near> deep)\n"
    ),
    "a project in a sub-folder": (
        'file(WRITE "${CMAKE_CURRENT_SOURCE_DIR}/sub/CMakeLists.txt" "cmake_minimum_required(VERSION 3.10...3.20)\n'
        'project(sub LANGUAGES C)\nadd_library(sub STATIC ../helper.c ../twice.c)\nadd_library(sub::it ALIAS sub)\n")\n'
        'include(FetchContent)\nFetchContent_Declare(sub SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}/sub")\n'
        "FetchContent_MakeAvailable(sub)\nllext_add_extension(hello SOURCES ./hello.c)\n"
        "target_link_libraries(hello PRIVATE sub::it)\n"
    ),
    "precompiled headers": (
        "llext_add_extension(hello SOURCES hello.cpp helper.c twice.c)\n"
        "target_precompile_headers(hello PRIVATE <llext/symbol.h> part.h)\n"
        "llext_add_extension(second SOURCES hello.cpp helper.c twice.c)\n"
        "target_precompile_headers(second REUSE_FROM hello)\n"
        "llext_add_extension(off SOURCES hello.cpp helper.c twice.c)\n"
        "target_precompile_headers(off PRIVATE part.h)\n"
        "set_target_properties(off PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)\n"
    ),
    "a unity build": "set(CMAKE_UNITY_BUILD ON)\nllext_add_extension(hello SOURCES hello.cpp helper.c static.cpp)\n",
    "position-independent code for others": (
        "set(CMAKE_POSITION_INDEPENDENT_CODE ON)\nllext_add_extension(hello SOURCES hello.c helper.c twice.c)\n"
    ),
    "interprocedural optimization": (
        "include(CheckIPOSupported)\ncheck_ipo_supported()\nset(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)\n"
        "add_library(part STATIC twice.c)\nllext_add_extension(hello SOURCES hello.c helper.c)\n"
        "target_link_libraries(hello PRIVATE part)\n"
    ),
    "-flto": (
        "llext_add_extension(hello SOURCES hello.cpp helper.c static.cpp)\n"
        "target_compile_options(hello PRIVATE -flto)\ntarget_link_options(hello PRIVATE -flto -Wl,--no-warn-mismatch)\n"
    ),
}

TARGETS = re.compile(r"\b(hello|second|off|part|near|deep|every|unused)\b(?![.(])")
"""Names that are in several cases; a project knows each once."""


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_what_is_linked_runs(project: Project, toolchain: str) -> None:
    """Each case is a folder of one project."""
    need_toolchain("cortex-m4", toolchain)
    lists = ""
    for number, text in enumerate(CASES.values()):
        folder = project.root / f"case {number}"
        (folder / "sub").mkdir(parents=True)
        Project(folder).write(**FILES)
        test = f'llext_add_test(works_{number} EXTENSION hello CALL "hello(4)" EXPECT_RETURN 9 PLACEMENTS 1)\n'
        (folder / "CMakeLists.txt").write_text(TARGETS.sub(rf"\1_{number}", text + test), encoding="utf-8")
        lists += f'add_subdirectory("case {number}")\n'
    project.cmake_lists(lists, languages="C CXX")
    project.configured("cortex-m4", toolchain)
    project.built("-v")
    ran = project.ctest("-j2")
    assert ran.returncode == 0, ran.stdout
    assert f"({len(CASES)} tests)" in ran.stdout

    for case in ("interprocedural optimization", "-flto"):
        number = list(CASES).index(case)
        debug = project.path(f"case {number}/hello_{number}.debug.elf")
        with debug.open("rb") as file:
            names = {section.name for section in ELFFile(file).iter_sections()}
        assert ".text" in names
        assert not [name for name in names if name.startswith((".gnu.lto", ".llvm.lto"))], "it is code"


HELLO = "llext_add_extension(hello SOURCES hello.c)\n"
LINK = HELLO + "target_link_libraries(hello PRIVATE {})\n"
ANY = {
    "'other' is an extension, which is loaded before this one and not linked into it: "
    "llext_add_extension(... EXTENSIONS other)": LINK.format("other") + "llext_add_extension(other SOURCES helper.c)",
    "'board' is what a firmware exports, and nothing to link: llext_add_extension(... EXPORTS board)": (
        'file(WRITE board.toml "[exports]\\n")\nllext_add_exports(board TABLE board.toml)\n' + LINK.format("board")
    ),
    "'firmware' is a program; what a firmware exports is given by llext_add_exports(<name> FIRMWARE firmware) and "
    "EXPORTS <name>": (
        "add_executable(firmware helper.c)\nset_target_properties(firmware PROPERTIES ENABLE_EXPORTS ON)\n"
        + LINK.format("firmware")
    ),
    "'shared' is a shared library, and a board's loader does not load those; link a static library or an object "
    "library": (
        "add_library(shared UNKNOWN IMPORTED)\n"
        "set_target_properties(shared PROPERTIES IMPORTED_LOCATION /usr/lib/libz.so.1)\n"
        "add_library(part STATIC helper.c twice.c)\ntarget_link_libraries(part PRIVATE shared)\n" + LINK.format("part")
    ),
    "'/usr/lib/libm.so' is a shared library": LINK.format("/usr/lib/libm.so"),
    "POSITION_INDEPENDENT_CODE is on, but position-independent code needs a table that the loader does not build; "
    "leave the property alone": HELLO + "set_target_properties(hello PROPERTIES POSITION_INDEPENDENT_CODE ON)",
    "target_link_options(): 'LINKER:--gc-sections' cannot be used in a partial link, which has no entry to start from; "
    "give it to the firmware alone: target_link_options(<firmware> PRIVATE ...)": (
        "add_link_options(LINKER:--gc-sections)\n" + HELLO
    ),
    "CMAKE_EXE_LINKER_FLAGS: '-Wl,--gc-sections' cannot be used": (
        'set(CMAKE_EXE_LINKER_FLAGS "-Wl,--gc-sections")\n' + HELLO
    ),
}
ZIG = {
    "target_link_options(): '--specs=nano.specs' is an option of a compiler, and zig's linker is called without one; "
    "give options of the linker, as in LINKER:--option": (
        HELLO + "target_link_options(hello PRIVATE --specs=nano.specs)"
    ),
    "CMAKE_EXE_LINKER_FLAGS has '-Wl,-Map=x.map', an option of a compiler; zig's linker is called without one: use "
    "target_link_options() of the program that is to have it": (
        'set(CMAKE_EXE_LINKER_FLAGS "-Wl,-Map=x.map")\n' + HELLO
    ),
}


@pytest.mark.parametrize(
    ("toolchain", "message", "text"),
    [*[("gcc", *case) for case in ANY.items()], *[("zig", *case) for case in ZIG.items()]],
    ids=lambda value: value.split(" ")[0],
)
def test_what_cannot_be_linked_is_refused(project: Project, toolchain: str, message: str, text: str) -> None:
    need_toolchain("cortex-m4", toolchain)
    project.write(**FILES)
    project.cmake_lists(text)
    refused = project.configure("cortex-m4", toolchain)
    assert refused.returncode != 0
    assert f"llext_add_extension(hello): {message}" in one_line(refused.stdout)

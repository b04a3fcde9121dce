"""The same project built in two folders: the files are equal, byte for byte. Oracles: the bytes, readelf, GDB."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cmake_project import Project, need_toolchain
from needs import need
from transcript import llext

pytestmark = [pytest.mark.cmake, pytest.mark.toolchain]

HELLO = """\
#include <llext/host.h>
#include <llext/symbol.h>
#include <stdint.h>
#include "deep.h"
extern long long divided(long long a, long long b);
extern int made(void), raw(void), cooked(void), cxx(void), lib(void);
static const char when[] = __DATE__ __TIME__;
const char *const where = __FILE__;
int hello(int a)
{
    printk("%s %s", where, deep());
    return (int)(divided(a, 3) / (a + 1)) + made() + raw() + cooked() + cxx() + lib() + when[a];
}
EXPORT_SYMBOL(hello);
"""
CXX = """\
#include "deep.h"
struct Noisy { int n; Noisy(); ~Noisy(); };
Noisy::Noisy() : n(deep()[0]) { }
Noisy::~Noisy() { n = 0; }
static Noisy noisy;
extern "C" int cxx() { static Noisy local; return noisy.n + local.n; }
"""
LISTS = """\
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/gen/made.c" "int made(void) { return __FILE__[0]; }\\n")
add_subdirectory(lib)
llext_add_extension(hello COMPILER_RUNTIME
  SOURCES src/hello.c src/cxx.cpp src/raw.s src/cooked.S "${CMAKE_CURRENT_BINARY_DIR}/gen/made.c")
target_include_directories(hello PRIVATE include)
target_compile_definitions(hello PRIVATE "HERE=\\"${CMAKE_SOURCE_DIR}/x\\"")
target_link_libraries(hello PRIVATE lib)
target_compile_options(hello PRIVATE ${OPTION})
target_link_options(hello PRIVATE ${OPTION})
"""


class Elsewhere(Project):
    """A project that is built outside of its folder."""

    @property
    def build_dir(self) -> Path:
        return self.root.parent / "made far away"


def write(project: Project) -> None:
    for folder in ("src", "include", "lib", "build items", "build it next", "build it empty"):
        (project.root / folder).mkdir(parents=True)
    assembly = ".globl {0}\n.type {0}, STT_FUNC\n.text\n{0}: nop\n"
    files = {
        "src/hello.c": HELLO,
        "src/cxx.cpp": CXX,
        "src/raw.s": assembly.format("raw"),
        "src/cooked.S": "#define COOKED cooked\n" + assembly.format("COOKED"),
        "include/deep.h": "static inline const char *deep(void) { return __FILE__; }\n",
        "lib/lib.c": "int item(void); int lib(void) { return item() + __FILE__[1]; }\n",
        "lib/divided.c": "long long divided(long long a, long long b) { return a / b; }\n",
        "build items/item.c": "int item(void) { return 1; }\n",
        "build it next/llext.log": "$ cmake\n",
        "lib/CMakeLists.txt": "add_library(lib STATIC lib.c divided.c ../build\\ items/item.c)\n",
    }
    for name, text in files.items():
        (project.root / name).write_text(text)
    project.cmake_lists(LISTS, languages="C CXX ASM")


@pytest.mark.parametrize(
    ("target", "toolchain", "option"),
    [("cortex-m4", "gcc", ""), ("cortex-m4", "gcc", "-flto"), ("rv32imac", "zig", "")],
)
def test_equal_wherever_it_is_built(
    target: str, toolchain: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_toolchain(target, toolchain)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    projects = [Project(tmp_path / "a"), Elsewhere(tmp_path / "another folder" / "with a longer name")]
    found = []
    for project in projects:
        write(project)
        project.configured(target, toolchain, f"-DOPTION={option}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
        project.built()
        paths = [project.path(f"hello{end}") for end in (".llext", ".debug.elf", ".json")]
        found.append({path.name: path.read_bytes() for path in paths})
    first, second = found
    for name, data in first.items():
        assert os.fsencode(tmp_path) not in data, name
        assert data == second[name], name
    for text in (b"src/hello.c\0", b"include/deep.h\0", b"Jan  1 197000:00:00\0"):
        assert text in first["hello.llext"]
    commands = json.loads(projects[0].path("compile_commands.json").read_text())
    given = {Path(each["file"]).name: shlex.split(each["command"]) for each in commands}
    flags = json.loads(first["hello.json"])["toolchain"]["flags"]
    assert flags.keys() == {"C", "CXX", "ASM"}
    for language, source in (("C", "hello.c"), ("CXX", "cxx.cpp"), ("ASM", "raw.s")):
        assert '-DHERE="x"' in flags[language]
        assert any(word.endswith("/build items/=build items/") for word in given[source])
        assert not re.search("build it (next|empty)", str(given[source])), (
            "another build's folder, which comes and goes"
        )
        assert {"-Os", *flags[language]} - {'-DHERE="x"'} <= set(given[source])

    for project in projects:
        monkeypatch.chdir(project.root)
        names = lines_of(project)
        assert {
            "src/hello.c",
            "src/cxx.cpp",
            "src/raw.s",
            "src/cooked.S",
            "lib/divided.c",
            "gen/made.c",
            "build items/item.c",
        } <= names
        assert not any(name.startswith(str(tmp_path)) for name in names)
        table = project.root / "table.toml"
        table.write_text("[exports]\nother = 0x8001\n")
        extension = str(project.path("hello.llext"))
        line = 1 + HELLO.splitlines().index('    printk("%s %s", where, deep());')
        code, printed = llext("check", extension, "--exports", str(table), "--no-settings")
        assert (code, f"--> src/hello.c:{line}, in `hello`" in printed) == (5, True), printed
        monkeypatch.chdir(tmp_path)
        code, printed = llext("check", extension, "--exports", str(table), "--no-settings", "--json")
        places = [each["location"] for each in json.loads(printed)["files"][0]["diagnostics"]]
        assert str(project.root / "src/hello.c") in json.dumps(places), "where it is, though not from here"


def lines_of(project: Project) -> set[str]:
    """The sources that GDB knows, as they stand in the file."""
    debug = project.path("hello.debug.elf")
    done = subprocess.run(
        [need("readelf"), "-W", "--debug-dump=info", debug],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    return {
        name.strip()
        for name in re.findall(r"DW_AT_name +: (?:\([^)]*\):? )*(\S.*\.\w+)\s*$", done.stdout, re.MULTILINE)
    }


def test_equal_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `llext new`, `llext build` and `llext pack` make in two folders: runs, toolchains and signature included."""
    need_toolchain("cortex-m4", "gcc")
    need_toolchain("rv32imac", "zig")
    key = str(tmp_path / "key.pem")
    assert llext("sign", "--new-key", key)[0] == 0
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    made = []
    for folder in (tmp_path / "a", tmp_path / "another folder" / "with a longer name"):
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        assert llext("new", "blink")[0] == 0
        monkeypatch.chdir(folder / "blink")
        for target, toolchain in (("cortex-m4", "gcc"), ("rv32imac", "zig")):
            code, printed = llext("build", "--target", target, "--toolchain", toolchain)
            assert code == 0, printed
        code, printed = llext(
            "pack", "-o", "blink.llextpack", "--key", key, "--target", "cortex-m4", "--target", "rv32imac"
        )
        assert code == 0, printed
        files = [path for path in Path().rglob("*") if path.parts[0] in ("dist", "blink.llextpack") and path.is_file()]
        made.append({str(path): path.read_bytes() for path in files})
    first, second = made
    assert len(first) == 2 * 3 + 1
    assert '"test": "blink_counts"' in first["dist/cortex-m4-gcc/blink.json"].decode()
    assert first.keys() == second.keys()
    assert [name for name, data in first.items() if data != second[name]] == []

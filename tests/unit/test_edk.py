"""Zephyr's EDK: reading its files, asking the compiler about its flags.

Oracles: CMake and Make, which include the files and print what they have read; the compilers, asked about one flag at a
time.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edk as kits
from cmake_project import need_toolchain, tool
from llext_tools import arch, toolchains
from llext_tools.edk import adapt, compiler, read_edk
from llext_tools.edk.cflags import read_cmake, read_make
from llext_tools.edk.words import NEVER, SPARE, sort
from llext_tools.errors import LlextError
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

pytestmark = pytest.mark.usefixtures("cache")

# the two files of variables

ODD = """\
# a comment; with (all) "sorts" of things
#[==[ and one
set(LLEXT_CFLAGS "of several lines") ]==]
set(MORE "-DMORE=1;-DB")   # behind a command
SET(LLEXT_CFLAGS -DPLAIN "-DQUOTED=\\"a b\\"" [=[-DBRACKET="$x\\n"]=] -DESCAPED=\\"x\\"
    -DLEGACY="a b" "${MORE};-DJOINED" "-DBACK=\\\\\\\\x" "-DTAB=a\\tb" "" "-I${CMAKE_CURRENT_LIST_DIR}/include"
    "-DLONG=con\\
tinued" -DDOLLAR=\\$x -D@AT@)
"""


def read_by_cmake(file: Path) -> list[str]:
    script = file.parent / "print.cmake"
    script.write_text(
        f'set(LLEXT_EDK_INSTALL_DIR "{file.parent}")\ninclude("{file}")\n'
        "list(REMOVE_ITEM LLEXT_CFLAGS [[]])\n"
        'foreach(word IN LISTS LLEXT_CFLAGS)\n  message("[${word}]")\nendforeach()\n'
    )
    done = subprocess.run([tool("cmake"), "-Wno-dev", "-P", str(script)], capture_output=True, text=True, check=True)
    return [line[1:-1] for line in done.stderr.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("flavour", ["new", "old", "first", "odd"])
def test_cmake_reads_the_same(flavour: kits.Flavour | Literal["odd"], tmp_path: Path) -> None:
    root = tmp_path
    if flavour == "odd":
        (root / "cmake.cflags").write_text(ODD)
    else:
        root = kits.make(tmp_path / "with space", "cortex-m4", flavour=flavour)
    kit = read_edk(str(root))
    assert list(kit.words) == read_by_cmake(root / "cmake.cflags")
    assert not kit.findings


@pytest.mark.parametrize("flavour", ["new", "old"])
def test_make_and_a_shell_read_the_same(flavour: kits.Flavour, tmp_path: Path) -> None:
    root = kits.make(tmp_path, "rv32imac", flavour=flavour)
    (root / "cmake.cflags").unlink()
    (root / "print.mk").write_text("include Makefile.cflags\nall:\n\t@printf '%s\\n' $(LLEXT_CFLAGS)\n")
    command = [need("gmake", "make"), "-s", "-f", "print.mk", f"LLEXT_EDK_INSTALL_DIR={root}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert list(read_edk(str(root)).words) == done.stdout.splitlines()


def test_a_kit_of_another_name_and_without_the_whole(tmp_path: Path) -> None:
    """CONFIG_LLEXT_EDK_NAME changes the variables' names; of LLEXT_CFLAGS only the parts are there."""
    (tmp_path / "Makefile.cflags").write_text(
        'MY_KIT_BOARD_TARGET = "board/soc"\nLLEXT_BASE_CFLAGS = "-DA=1" \\\n  "-mthumb"\n'
        'LLEXT_ALL_INCLUDE_CFLAGS = "-I$(MY_KIT_INSTALL_DIR)/include"\n'
    )
    kit = read_edk(str(tmp_path))
    assert kit.words == ("-DA=1", "-mthumb", f"-I{tmp_path}/include")
    assert kit.board == "board/soc"


@pytest.mark.parametrize(
    ("name", "text", "odd"),
    [
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-DA")\nlist(APPEND LLEXT_CFLAGS -DB)\n', [(2, "`list(APPEND)`")]),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-DA")\nset(X Y CACHE STRING "")\n', [(2, "`set(X)`")]),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-DA${WHAT}")\n', [(1, "`${WHAT}`")]),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-DA;-DB=\\"x;y;z\\";-DC=\\"u;v\\\\\\";w\\"")',
         [(1, 'the semicolon in `-DB="x;y;z"`'), (1, 'the semicolon in `-DC="u;v\\";w"`')]),
        ("Makefile.cflags", r'LLEXT_CFLAGS = "-DA" "-DB=\"x;y\""', [(1, 'the semicolon in `-DB="x;y"`')]),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-DA")\nset(X "y', [(2, '`"y`'), (2, "`set`, which does not end")]),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-DA")\n\n)', [(3, "`)`, which does not end")]),
        ("Makefile.cflags", "LLEXT_CFLAGS = -DA\n\nifdef X\n", [(3, "`ifdef X`")]),
        ("Makefile.cflags", "LLEXT_CFLAGS = -DA\nX = 'y\n", [(2, "the value of `X`")]),
        ("Makefile.cflags", "LLEXT_CFLAGS = -DA$(shell rm x)\n", [(1, "`$(`")]),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(tmp_path: Path, name: str, text: str, odd: list[tuple[int, str]]) -> None:
    (tmp_path / name).write_text(text)
    kit = read_edk(str(tmp_path))
    assert kit.words[0].startswith("-DA")
    assert not [word for word in kit.words if '"' in word or ";" in word]
    lines = [each.location.line if each.location else None for each in kit.findings]
    assert list(zip(lines, (each.message for each in kit.findings), strict=True)) == [
        (line, f"{what} is not understood, and was left out") for line, what in odd
    ]


@pytest.mark.parametrize("text", ["", "set(OTHER x)", 'set(LLEXT_CFLAGS "")'])
def test_a_file_without_flags_is_no_kit(tmp_path: Path, text: str) -> None:
    (tmp_path / "cmake.cflags").write_text(text)
    with pytest.raises(LlextError) as error:
        read_edk(str(tmp_path))
    assert [each.code for each in error.value.diagnostics] == ["edk-unreadable"]


# flags

BOTH = pytest.mark.parametrize("toolchain", ["gcc", "zig"])


@given(st.lists(st.integers(0, 30), unique=True), st.sets(st.integers(0, 30)))
def test_the_search_finds_just_those(words: list[int], bad: set[int]) -> None:
    found = compiler._search(lambda some: bool({int(word) for word in some} & bad), [], [str(word) for word in words])
    assert found == [str(word) for word in words if word in bad]


def test_of_two_that_do_not_go_together_the_later_is_named() -> None:
    found = compiler._search(lambda some: {"a", "d"} <= set(some), [], ["a", "b", "c", "d", "e"])
    assert found == ["d"]


@BOTH
@pytest.mark.parametrize("name", ["cortex-m4", "rv64gc"])
def test_refused_are_those_that_the_compiler_complains_of_alone(toolchain: str, name: str, tmp_path: Path) -> None:
    need_toolchain(name, toolchain)
    target = arch.target(name)
    found = toolchains.find(target, toolchain)
    kit = read_edk(str(kits.make(tmp_path, name, more=["-fpack-everything", "-mwhat=ever", "-Wno-such-thing"])))
    options = sort(kit.words, target, found.name).options
    empty = tmp_path / "empty.c"
    empty.touch()
    alone = []
    for option in options:
        command = [*found.cc, *toolchains.flags(target, found.name, "C"), option, "-fsyntax-only", str(empty)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode or done.stderr:
            alone.append(option)
    assert list(compiler.refused(found, target, "C", options)) == alone
    assert {"-fpack-everything", "-mwhat=ever"} <= set(alone)
    unknown = adapt(kit, target, found).unknown
    assert unknown == ("-fpack-everything", "-mwhat=ever")


@BOTH
def test_answers_are_kept(toolchain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_toolchain("cortex-m4", toolchain)
    target = arch.target("cortex-m4")
    found = toolchains.find(target, toolchain)
    kit = read_edk(str(kits.make(tmp_path, "cortex-m4")))
    first = adapt(kit, target, found)
    monkeypatch.setattr(compiler, "_run", lambda command: pytest.fail(f"asked again: {command}"))
    assert adapt(kit, target, found) == first


@BOTH
@pytest.mark.parametrize(
    ("of", "target", "help"),
    [
        ("cortex-m7", "cortex-m4", "set LLEXT_TARGET to cortex-m7"),
        ("cortex-m4", "cortex-m7", "set LLEXT_TARGET to cortex-m4"),
        ("rv32imac", "cortex-m4", "set LLEXT_TARGET to rv32imac"),
        ("cortex-m4", "rv64gc", "set LLEXT_TARGET to cortex-m4"),
        ("rv64gc", "rv32imac", "set LLEXT_TARGET to rv64gc"),
        ("cortex-m4", "cortex-m0plus", ""),
        ("rv64gc", "rv64gc", ""),
    ],
)
def test_a_wrong_target_is_refused_and_the_right_one_named(
    of: str, target: str, help: str, toolchain: str, tmp_path: Path
) -> None:
    """Code for a Cortex-M0+ runs on a Cortex-M4: that is no error."""
    need_toolchain(of, toolchain)
    need_toolchain(target, toolchain)
    kit = read_edk(str(kits.make(tmp_path, of)))
    its = arch.target(target)
    found = [each for each in adapt(kit, its, toolchains.find(its, toolchain)).findings if each.code == "edk-target"]
    assert [each.help for each in found] == ([help] if help else [])


@pytest.mark.parametrize(
    ("words", "severity"), [(["-mcpu=cortex-m99", "-mthumb"], "warning"), (["-mcpu=lx106"], "error")]
)
def test_a_cpu_that_no_compiler_knows(words: list[str], severity: str, tmp_path: Path) -> None:
    """A newer one of the same family may fit, one of another family does not."""
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / "Makefile.cflags").write_text(f"LLEXT_CFLAGS = {' '.join(words)} -fpack-everything\n")
    target = arch.target("cortex-m4")
    found = adapt(read_edk(str(tmp_path)), target, toolchains.find(target, "gcc"))
    assert [(each.code, each.severity) for each in found.findings] == [
        ("edk-target", severity),
        *([("edk-flag-unknown", "warning")] if severity == "warning" else []),
    ]


def test_the_headers_of_a_compiler_and_of_a_machine_are_left_out(tmp_path: Path) -> None:
    """Zephyr copies the headers of GCC itself into the kit; Clang cannot read them."""
    need_toolchain("cortex-m4", "gcc")
    own = "include/opt/sdk/lib/gcc/arm-zephyr-eabi/12.2.0/include"
    root = kits.make(tmp_path, "cortex-m4", includes=[own], more=["-isystem", "/opt/not/here", "-nostdinc"])
    (root / own).mkdir(parents=True)
    target = arch.target("cortex-m4")
    found = adapt(read_edk(str(root)), target, toolchains.find(target, "gcc"))
    assert list(found.includes) == [f"{root}/{name}" for name in kits.INCLUDES]
    assert {f"-I{root}/{own}", "/opt/not/here", "-nostdinc"} <= {each.word for each in found.dropped}
    assert not found.findings


def test_what_the_kit_lacks(tmp_path: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    root = kits.make(tmp_path, "cortex-m4", includes=["include/lost"])
    (root / kits.IMACROS).unlink()
    code, printed = llext("edk", str(root), "--target=cortex-m4", "--toolchain=gcc")
    assert code == 3
    assert f"error[edk-incomplete]: the EDK names `{kits.IMACROS}`" in " ".join(printed.split())
    assert "warning[edk-incomplete]: the EDK lacks 1 folder of headers: `include/lost`" in " ".join(printed.split())
    (root / kits.IMACROS).touch()
    arguments = ("edk", str(root), "--target=cortex-m4", "--toolchain=gcc")
    assert llext(*arguments)[0] == 0
    code, printed = llext(*arguments, "--strict")
    assert (code, printed.count("error[edk-incomplete]")) == (3, 1)


@BOTH
def test_flags_that_would_hurt_an_extension_stay_out(toolchain: str, tmp_path: Path) -> None:
    """What is left compiles to an object without a GOT, common symbols or unwinding tables: readelf says so."""
    need_toolchain("rv32imac", toolchain)
    hurting = ["-fPIC", "-fcommon", "-funwind-tables", "-fexceptions", "-mcmodel=medlow", "-mrelax", "-flto", "-O0"]
    root = kits.make(tmp_path, "rv32imac", more=hurting)
    code, printed = llext("edk", str(root), "--target=rv32imac", f"--toolchain={toolchain}", "--strict")
    assert code == 0, printed
    answer = json.loads(printed)
    assert set(hurting) - {"-fexceptions"} <= {each["flag"] for each in answer["dropped"]}
    assert all(each["why"] for each in answer["dropped"])
    target = arch.target("rv32imac")
    found = toolchains.find(target, toolchain)
    source = tmp_path / "a.c"
    source.write_text("#include <zephyr/llext/symbol.h>\nint shared;\nextern int far;\nint *f(void) { return &far; }\n")
    flags = [*toolchains.flags(target, found.name, "C"), *answer["options"]["C"]]
    flags += [f"-D{each}" for each in answer["definitions"]] + [f"-I{include_dir()}"]
    flags += [f"-isystem{each}" for each in answer["include_directories"]]
    flags += [each["option"] + each["file"] for each in answer["files"]]
    subprocess.run([*found.cc, *flags, "-c", str(source), "-o", str(tmp_path / "a.o")], check=True)
    command = [need("readelf"), "-rSsW", str(tmp_path / "a.o")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert not [word for word in ("GOT", "COM", ".eh_frame", "RELAX", "LTO", "R_RISCV_HI20") if word in printed]


def test_flags_of_two_words_stay_together(tmp_path: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / "include").mkdir()
    words = "-DKERNEL -D SPACED=1 -I include --param max-inline=5 -Xclang -menable -isysroot /sdk -Werror"
    (tmp_path / "Makefile.cflags").write_text(f"LLEXT_CFLAGS = {words}\n")
    target = arch.target("cortex-m4")
    found = adapt(read_edk(str(tmp_path)), target, toolchains.find(target, "gcc"))
    assert found.defines == ("KERNEL", "SPACED=1")
    assert found.includes == (str(tmp_path / "include"),)
    assert found.unknown == ()
    assert {each.word for each in found.dropped} == {
        "-Xclang -menable",
        "--param=max-inline=5",
        "-isysroot /sdk",
        "-Werror",
    }


def test_each_row_of_the_tables_gives_a_reason() -> None:
    for _, why in (*NEVER, *SPARE):
        assert why
        assert not why.endswith(".")


def test_a_folder_with_several_kits_is_not_guessed_at(tmp_path: Path) -> None:
    for name in ("one", "two"):
        kits.make(tmp_path / name, "cortex-m4")
    assert read_edk(str(tmp_path / "one")).folder == str(tmp_path / "one" / kits.NAME)
    code, printed = llext("edk", str(tmp_path), "--target=cortex-m4")
    assert code == 3
    assert f"has 2 EDKs: `one/{kits.NAME}` and `two/{kits.NAME}`" in " ".join(printed.split())


@given(st.text(st.sampled_from('set(LEXT_CFLAGS"\\;${}#[]= \n)$:-x'), max_size=60))
def test_any_text_is_read_without_a_traceback(text: str) -> None:
    for read in (read_cmake, read_make):
        read(text, "/kit")


@pytest.mark.parametrize("what", ["missing", "empty folder", "text", "deeper"])
def test_what_is_no_kit(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    if what == "text":
        path.write_text("hello")
    elif what != "missing":
        path.mkdir()
    if what == "deeper":
        kits.make(path / "a/b/c", "cortex-m4")
    code, printed = llext("edk", str(path), "--target=cortex-m4")
    assert code == 3
    assert printed.startswith("error[file-unreadable]" if what == "missing" else "error[edk-unreadable]")


@pytest.mark.parametrize(("folder", "mapped"), [("kit", True), ("a=b", False)])
def test_a_folder_with_an_equals_sign_is_not_mapped(folder: str, mapped: bool, tmp_path: Path) -> None:
    """Oracle: GCC's documentation of -ffile-prefix-map=OLD=NEW, which has no way to write that sign in OLD."""
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / folder).mkdir()
    root = kits.make(tmp_path / folder, "cortex-m4")
    code, printed = llext("edk", str(root), "--target=cortex-m4", "--toolchain=gcc", "--format=cmake")
    assert (code, f"-ffile-prefix-map={root}=edk" in printed) == (0, mapped), printed

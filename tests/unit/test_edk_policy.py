"""A kit says what code is like. Whatever else its flags would make a compiler do, is not done.

Oracles: the compilers, run with such flags by themselves; the names of all files, before and after.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import edk as kits
from cmake_project import need_toolchain
from llext_tools import arch, toolchains
from llext_tools.edk import read_edk
from llext_tools.edk.words import sort
from needs import need
from transcript import llext

pytestmark = pytest.mark.usefixtures("cache")

BOTH = pytest.mark.parametrize("toolchain", ["gcc", "zig"])

STEERING = """\
-fplugin=./x.so -fplugin-arg-x-y=z -fpass-plugin=./x.so -fmodule-mapper=|./x -wrapper ./x,-c -Xclang -load -mllvm
-load=./x.so -aux-info victim.txt -fdump-tree-all -fdump-rtl-expand=victim.txt -fopt-info-all=victim.txt -o victim.txt
-ovictim.txt -ftime-trace=victim.txt -fsave-optimization-record -foptimization-record-file=victim.txt
-fdeps-file=victim.txt -fcompare-debug -dumpdir ./ -dumpbase x -time=victim.txt -dD -ftime-report -fvtv-counts
-freport-bug -fmodules -fself-test=. -fauto-profile=victim.txt -fbasic-block-sections=victim.txt
-fsanitize-ignorelist=victim.txt -fcodegen-data-use=victim.txt -Wa,-o,victim.txt -Wp,-MD,victim.txt -Xassembler
--MD=victim.txt -Xpreprocessor -MDvictim.txt -specs=./x.specs --specs=/tmp/x.specs victim.txt
-fsyntax-only -x ada -H -### -fno-such=../../victim.txt -D1=2 -DA-B -UA-B --include=victim.txt --output=victim.txt
-iprefix ./ -femit-docs -mcpu=../victim -multi-lib-config=victim.txt
"""
TWO = (
    "-wrapper",
    "-Xclang",
    "-mllvm",
    "-aux-info",
    "-o",
    "-dumpdir",
    "-dumpbase",
    "-Xassembler",
    "-Xpreprocessor",
    "-x",
)

DROPPED_SILENTLY = """\
-save-temps=obj --save-temps -MD -MF victim.txt -gsplit-dwarf -fprofile-use=victim.txt -fcallgraph-info -fstack-usage
-B ./ -B. -T victim.txt -Wl,-Map,victim.txt -Xlinker --Map=victim.txt --coverage -flto -fuse-ld=x
"""


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@BOTH
def test_nothing_is_run_or_written_by_the_flags_of_a_kit(
    toolchain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_toolchain("cortex-m4", toolchain)
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path.parent / f"{tmp_path.name} cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "victim.txt").write_text("precious")
    words, silent = STEERING.split(), DROPPED_SILENTLY.split()
    root = kits.make(tmp_path, "cortex-m4", more=[*words, *silent])
    before = files_below(tmp_path)
    arguments = ("edk", str(root), "--target=cortex-m4", f"--toolchain={toolchain}")
    code, printed = llext(*arguments)
    assert code == 0
    assert files_below(tmp_path) == before
    answer = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    named = {each["flag"]: each["why"] for each in answer["dropped"]}
    singles = [each for i, each in enumerate(words) if each not in TWO and (not i or words[i - 1] not in TWO)]
    assert [each for each in singles if each not in named] == []
    assert all(named.values())
    left = [*answer["options"]["C"], *answer["options"]["CXX"], *answer["definitions"]]
    assert not [each for each in left if "victim" in each or each in words]
    code, printed = llext(*arguments, "--strict")
    text = " ".join(printed.split())
    assert (code, text.count("error[edk-flag-unsafe]")) == (12, 1)
    assert not [each for each in singles if each not in text]
    assert not [each for each in silent if each.startswith("-") and f"`{each}`" in text]


def test_a_file_of_flags_is_not_read(tmp_path: Path) -> None:
    """GCC and Clang put what is in the file where its name stands."""
    (tmp_path / "Makefile.cflags").write_text(f"LLEXT_CFLAGS = -DA @{tmp_path}/flags")
    words = sort(read_edk(str(tmp_path)).words, arch.target("cortex-m4"), "gcc")
    assert [each.word for each in words.steering] == [f"@{tmp_path}/flags"]


def test_a_plugin_in_an_archive_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler itself would run it, as is shown first."""
    need_toolchain("cortex-m4", "gcc")
    monkeypatch.chdir(tmp_path)
    marker, source = tmp_path / "it was run", tmp_path / "evil.c"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void)\n"
        f'{{\n\tFILE *file = fopen("{marker}", "w");\n\tif (file) fclose(file);\n}}\n'
    )
    subprocess.run([need("cc", "gcc"), "-shared", "-fPIC", "-o", "evil.so", str(source)], check=True)
    gcc = toolchains.find(arch.target("cortex-m4"), "gcc").cc
    command = [*gcc, f"-fplugin={tmp_path}/evil.so", "-fsyntax-only", "-x", "c", "/dev/null"]
    subprocess.run(command, capture_output=True, check=False)
    if not marker.exists():
        pytest.skip("this GCC loads no plugins")
    marker.unlink()
    root = kits.make(tmp_path, "cortex-m4", more=[f"-fplugin={tmp_path}/evil.so", "-fplugin=@/evil.so"])
    (tmp_path / "evil.so").rename(root / "evil.so")
    (tmp_path / "evil.so").symlink_to(root / "evil.so")
    archive = kits.pack(root, "tar.xz")
    code, printed = llext("edk", str(archive), "--target=cortex-m4", "--toolchain=gcc")
    assert (code, marker.exists()) == (0, False)
    assert "load or run programs: `-fplugin=" in " ".join(printed.split())


def test_the_compiler_is_asked_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag that nobody has judged may write where the compiler is run: here one that does is let through."""
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("llext_tools.edk.words.objection", lambda word: word and "")
    root = kits.make(tmp_path / "kit", "cortex-m4", more=["-fdump-tree-all", "-fno-tree-vrp"])
    code, printed = llext("edk", str(root), "--target=cortex-m4", "--toolchain=gcc")
    assert (code, json.loads(printed)["options"]["C"].count("-fdump-tree-all")) == (0, 1)
    assert not list((tmp_path / "here").iterdir())


ZEPHYRS = """\
-fno-strict-aliasing -fno-common -fdiagnostics-color=always -ffreestanding -fno-builtin -fno-builtin-printf
-imacros@/{imacros} -Wall -W -Wformat -Wformat-security -Wno-format-zero-length -Wdouble-promotion -Wno-pointer-sign
-Wpointer-arith -Wexpansion-to-defined -Wno-unused-but-set-variable -Werror=implicit-int -Wimplicit-fallthrough=2
-Wframe-larger-than=1024 -Wc++-compat -Wvla -pedantic -std=c17 -std=c99 -std=gnu++17 -fcheck-new -fno-exceptions
-fno-rtti -fno-threadsafe-statics -Wno-register -Wno-volatile -ftls-model=local-exec -fno-reorder-functions
-fno-defer-pop -fno-printf-return-value -fno-pic -fno-pie -fno-plt -fno-asynchronous-unwind-tables -ffunction-sections
-fdata-sections -fstack-protector-all -fstack-protector-strong -mstack-protector-guard=global
-mstack-protector-guard=tls -fsanitize=undefined -fsanitize-undefined-trap-on-error -finstrument-functions
-finstrument-functions-exclude-file-list=subsys/tracing,arch/arm/core -fno-omit-frame-pointer
-finstrument-functions-exclude-function-list=z_a,z_b -mfp16-format=ieee -mlong-calls -mtp=soft
-mbranch-protection=standard -mgeneral-regs-only -mno-unaligned-access -mcmse -mpure-code -mcmodel=medany -mno-relax
-msmall-data-limit=0 -mstrict-align -mno-outline-atomics -fno-delete-null-pointer-checks --param=min-pagesize=0
--param asan-globals=0 -specs=picolibc.specs --specs=nano.specs -nostdinc -nostdlib -fstrict-overflow -fwrapv
-funsigned-char -fshort-enums -fno-short-enums -fpack-struct=4 -mno-sse -mpreferred-stack-boundary=2 -mlongcalls
-mtext-section-literals -mfix-esp32-psram-cache-issue -EL -Wno-main -undef -fms-extensions -fsingle-precision-constant
-fno-math-errno -ffast-math -ffp-contract=off -ftrivial-auto-var-init=zero -fzero-init-padding-bits=unions
-fno-unique-section-names -Wno-typedef-redefinition -fstrict-flex-arrays=3 -w -ansi -pthread -fmacro-prefix-map=/a=b
-O2 -Os -g -gdwarf-4 -Werror -mabi=lp64d -fstack-usage -ftest-coverage -fprofile-arcs -UNDEBUG
"""


def test_no_flag_of_zephyrs_own_builds_is_called_unsafe(tmp_path: Path) -> None:
    """As its build writes them, by architecture, compiler and configuration."""
    words = ZEPHYRS.format(imacros=kits.IMACROS).split()
    kit = read_edk(str(kits.make(tmp_path, "cortex-m4", more=words)))
    assert not sort(kit.words, arch.target("cortex-m4"), "gcc").steering


@pytest.mark.parametrize("name", ["/dev/zero", "../outside.h", "include/../../outside.h"])
@pytest.mark.parametrize("option", ["-imacros", "-include"])
def test_a_file_outside_of_the_kit_is_not_read(option: str, name: str, tmp_path: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    root = kits.make(tmp_path, "cortex-m4", more=[option + name])
    (tmp_path / "outside.h").write_text("#error read\n")
    code, printed = llext("edk", str(root), "--target=cortex-m4", "--toolchain=gcc")
    assert (code, printed.count("error[edk-incomplete]")) == (3, 1)
    assert "which is not in it" in " ".join(printed.split())


def test_a_header_of_the_other_machine_is_that_of_the_kit(tmp_path: Path) -> None:
    """As Zephyr 3.7 writes it; the header itself may be there, too, where the firmware was built on this machine."""
    need_toolchain("cortex-m4", "gcc")
    other = tmp_path / "w/zephyr/include/zephyr/toolchain.h"
    other.parent.mkdir(parents=True)
    other.write_text("#error not the kit's\n")
    more = ["-imacros", str(other), "-imacros", "/b/zephyr/include/generated/zephyr/autoconf.h"]
    root = kits.make(tmp_path, "cortex-m4", flavour="first", more=more)
    code, printed = llext("edk", str(root), "--target=cortex-m4", "--toolchain=gcc")
    assert code == 0, printed
    assert json.loads(printed)["files"] == [
        {"option": "-imacros", "file": f"{root}/include/zephyr/include/zephyr/toolchain.h"},
        {"option": "-imacros", "file": f"{root}/{kits.IMACROS}"},
    ]


def test_a_line_break_in_a_word_makes_no_line_of_a_makefile(tmp_path: Path) -> None:
    """Nor does it begin a generator expression that what follows would end."""
    need_toolchain("cortex-m4", "gcc")
    ending = ["-DF(x)=$<1:y", "-DHASH=#$<NO:y", "-DG(x)=x"]
    root = kits.make(
        tmp_path,
        "cortex-m4",
        more=["-DA=1\\n$(shell touch x)", "-DB=\\r", "-DTAB=a\\tb", "-I$<SEMICOLON", "-DX=$<1:a>", *ending],
    )
    text = (root / "cmake.cflags").read_text()
    (root / "cmake.cflags").write_text(text.replace("\\\\", "\\").replace("$(", "\\$("))
    code, printed = llext("edk", str(root), "--target=cortex-m4", "--toolchain=gcc", "--format=cmake")
    assert (code, printed.count("warning[edk-syntax]")) == (0, 5)
    for word in ("-I$<SEMICOLON", *ending[:2]):
        assert f"the `$<` in `{word}`" in " ".join(printed.split())
        assert word.replace("$", "\\$") not in printed
    assert '"-DG(x)=x"' in printed
    assert r'"X=\$<1:a\$<ANGLE-R>"' in printed
    assert "the line break in `-DA=1\\n$(shell touch x)`" in " ".join(printed.split())
    assert "shell touch" not in printed.partition("set(")[2].partition("warning[")[0]
    assert '"TAB=a\tb"' in printed


@pytest.mark.parametrize("name", ["a;-fplugin=", "a\nb", "a$<SEMICOLON"])
def test_a_folder_whose_name_would_be_flags_is_refused(name: str, tmp_path: Path) -> None:
    root = kits.make(tmp_path, "cortex-m4")
    archive = kits.pack(root.rename(tmp_path / name), "tar.xz").rename(tmp_path / "kit.tar.xz")
    code, printed = llext("edk", str(archive), "--target=cortex-m4")
    assert (code, printed.count("error[edk-unsafe]")) == (3, 1)
    assert repr(name)[1:-1] in printed

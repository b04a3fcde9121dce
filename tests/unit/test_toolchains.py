"""Finding compilers and putting flags together. Oracles: the compilers themselves, stand-ins in an empty PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from llext_tools import arch, paths, toolchains, zephyr_sdk
from llext_tools.arch.model import Target
from llext_tools.errors import LlextError, ToolError, UsageError
from llext_tools.jobs import TOOLCHAINS, ToolchainName
from llext_tools.toolchains import Toolchain
from needs import need
from transcript import llext

TARGETS = list(arch.targets().values())
EVERY_TARGET = pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
EVERY_TOOLCHAIN = pytest.mark.parametrize("name", TOOLCHAINS)


def found(target: Target, name: ToolchainName) -> Toolchain:
    """The toolchain, or the test is skipped by the compiler's name."""
    if name == "gcc":
        need(*(f"{prefix}gcc" for prefix in target.gcc_prefixes))
    elif find_spec("ziglang") is None:
        pytest.skip("needs ziglang")
    return toolchains.find(target, name)


def stand_in(folder: Path, *names: str, version: str = "12.3.4") -> None:
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder, no ziglang and no Zephyr SDK."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(zephyr_sdk, "chosen", str)
    monkeypatch.setattr(zephyr_sdk, "installed", list)
    monkeypatch.setattr(toolchains, "find_spec", lambda _name: None)
    return tmp_path


def test_targets_are_those_of_the_documentation() -> None:
    assert [target.name for target in TARGETS] == [
        *("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33"),
        *("rv32imac", "rv32imafc", "rv64gc"),
    ]


@EVERY_TOOLCHAIN
@EVERY_TARGET
def test_compilers_take_the_flags(target: Target, name: ToolchainName, tmp_path: Path) -> None:
    """Each language compiles without a warning; the object is for the CPU, ABI and code model that the target says."""
    toolchain = found(target, name)
    (tmp_path / "a.c").write_text("#include <stdint.h>\n#include <stdarg.h>\nuint32_t f(int x) { return x; }\n")
    (tmp_path / "a.cpp").write_text("#include <stddef.h>\nstruct A { virtual ~A() {} };\nA a;\n")
    (tmp_path / "a.S").write_text("#define N 4\n.word N\n")
    for language, source in zip(toolchains.LANGUAGES, ("a.c", "a.cpp", "a.S"), strict=True):
        compiler = toolchain.cxx if language == "CXX" else toolchain.cc
        flags = toolchains.flags(target, name, language)
        command = [*compiler, *flags, "-Wall", "-Werror", "-c", source, "-o", f"{source}.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command
    with (tmp_path / "a.c.o").open("rb") as file:
        elf = ELFFile(file)
        assert elf.elfclass == target.bits
        assert elf["e_machine"] == {"arm": "EM_ARM", "riscv": "EM_RISCV"}[target.arch]
        if target.arch == "riscv":
            assert elf["e_flags"] & 6 == {"soft": 0, "single": 2, "double": 4}[target.float_abi]  # psABI, "File header"
        names = {section.name for section in elf.iter_sections()}
        assert not {name for name in names if name.startswith((".eh_frame", ".llvm_addrsig"))}


@EVERY_TARGET
def test_each_flag_has_a_reason(target: Target) -> None:
    for flag in (*toolchains.FLAGS, *target.flags):
        assert flag.flag.startswith("-")
        assert flag.why
        assert not flag.why.endswith("."), flag
    words = toolchains.flags(target, "gcc", "C")
    assert len(words) == len(set(words)), "a flag is given twice"


def test_flags_are_for_their_compiler_and_language() -> None:
    target = arch.target("cortex-m4")
    assert "-fno-exceptions" not in toolchains.flags(target, "gcc", "C")
    assert "-fno-exceptions" in toolchains.flags(target, "gcc", "CXX")
    assert "-fshort-enums" not in toolchains.flags(target, "gcc", "C")
    assert "-fshort-enums" in toolchains.flags(target, "zig", "C")
    assert toolchains.flags(target, "zig", "C")[0] == "--target=arm-none-eabi"


def test_prefixes_are_tried_in_order(empty_path: Path) -> None:
    target = arch.target("rv32imac")
    stand_in(empty_path, "riscv-none-elf-gcc")
    assert toolchains.find(target).path == str(empty_path / "riscv-none-elf-gcc")
    stand_in(empty_path, "riscv64-unknown-elf-gcc")
    toolchain = toolchains.find(target)
    assert toolchain.path == str(empty_path / "riscv64-unknown-elf-gcc")
    assert toolchain.cxx == (str(empty_path / "riscv64-unknown-elf-g++"),)
    assert toolchain.ld == (str(empty_path / "riscv64-unknown-elf-ld"),)
    assert toolchain.version == "12.3.4"


@pytest.mark.parametrize(
    ("name", "message", "cure"),
    [
        ("gcc", "`arm-none-eabi-gcc` is not installed", "apt-get install gcc-arm-none-eabi"),
        ("zig", "the Python package `ziglang` is not installed", 'pip install "llext-tools[zig]"'),
        ("auto", "no compiler for `cortex-m4`: neither `arm-none-eabi-gcc` nor `ziglang` is installed", "pip install"),
    ],
)
def test_a_missing_toolchain_brings_the_command_that_installs_it(
    empty_path: Path, name: str, message: str, cure: str
) -> None:
    with pytest.raises(ToolError) as caught:
        toolchains.find(arch.target("cortex-m4"), name)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "tool-missing"
    assert diagnostic.message == message
    assert cure in diagnostic.help


def test_an_unknown_toolchain_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no toolchain `clang`"):
        toolchains.find(arch.target("cortex-m4"), "clang")


@EVERY_TOOLCHAIN
def test_compiler_runtime_is_an_archive_with_helpers(name: ToolchainName) -> None:
    """The archiver finds a member, and the helper for 64-bit division is defined."""
    target = arch.target("cortex-m0plus")
    toolchain = found(target, name)
    archive = toolchains.compiler_runtime(target, toolchain)
    assert Path(archive).read_bytes().startswith(b"!<arch>\n")
    assert b"__aeabi_uldivmod" in Path(archive).read_bytes()
    assert toolchains.compiler_runtime(target, toolchain) == archive


def test_compiler_runtime_is_built_once_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four builds at a time, of which each makes the file, leave one file and nothing else."""
    zig = tmp_path / "zig"
    zig.write_text(
        "#!/bin/sh\n"
        '[ "$1" = version ] && { echo 1.2.3; exit; }\n'
        f"echo run >> '{tmp_path}/log'\nsleep 0.2\n"
        'for word; do case $word in -femit-bin=*) echo content > "${word#-femit-bin=}";; esac; done\n'
    )
    zig.chmod(0o755)
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    words = (str(zig),)
    toolchain = Toolchain(name="zig", version="9", cc=words, cxx=words, ld=words, ar=words, ranlib=words)
    target = arch.target("rv64gc")
    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(lambda _: toolchains.compiler_runtime(target, toolchain), range(4)))
    assert results == {str(tmp_path / "cache" / "zig-1.2.3" / "libcompiler_rt-rv64gc.a")}
    assert [path.name for path in (tmp_path / "cache" / "zig-1.2.3").iterdir()] == ["libcompiler_rt-rv64gc.a"]
    runs = (tmp_path / "log").read_text()
    toolchains.compiler_runtime(target, toolchain)
    assert (tmp_path / "log").read_text() == runs


def test_a_compiler_runtime_that_cannot_be_built_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zig = tmp_path / "zig"
    zig.write_text('#!/bin/sh\n[ "$1" = version ] && { echo 1.2.3; exit; }\necho "error: no such CPU" >&2\nexit 1\n')
    zig.chmod(0o755)
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    words = (str(zig),)
    toolchain = Toolchain(name="zig", version="9", cc=words, cxx=words, ld=words, ar=words, ranlib=words)
    with pytest.raises(LlextError, match="cannot build compiler-rt for `rv64gc`: error: no such CPU"):
        toolchains.compiler_runtime(arch.target("rv64gc"), toolchain)
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(zig / "below a file"))
    with pytest.raises(LlextError, match="cannot write the cache"):
        toolchains.compiler_runtime(arch.target("rv64gc"), toolchain)


def test_cache_is_where_the_platform_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LLEXT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert paths.cache_dir() == str(tmp_path / "llext-tools")
    monkeypatch.setenv("LLEXT_CACHE_DIR", "here")
    assert paths.cache_dir() == os.path.abspath("here")


def test_targets_command_lists_them() -> None:
    code, text = llext("targets")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == [target.name for target in TARGETS]
    code, text = llext("targets", "--json")
    assert [row["name"] for row in json.loads(text)] == [target.name for target in TARGETS]
    code, text = llext("targets", "cortex-m0plus")
    assert "-fno-jump-tables\n      gcc's switch helpers" in text
    assert "-fno-rtti  (C++ only)" in text


def test_doctor_names_what_is_missing(empty_path: Path) -> None:
    code, text = llext("doctor")
    assert code == ToolError.exit_code
    assert "apt-get install gcc-arm-none-eabi" in text
    assert "apt-get install gcc-riscv64-unknown-elf" in text
    assert 'pip install "llext-tools[zig]"' in text
    assert "no toolchain for cortex-m0plus, " in text
    stand_in(empty_path, "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc")
    code, text = llext("doctor", "--json")
    assert code == 0
    (row,) = [f for f in json.loads(text)["findings"] if f["name"] == "arm-none-eabi-gcc"]
    assert row["path"] == str(empty_path / "arm-none-eabi-gcc")
    assert row["version"] == "12.3.4"
    assert "cortex-m7" in row["targets"]


def test_a_compiler_is_asked_once_for_all_targets(empty_path: Path) -> None:
    stand_in(empty_path, "arm-none-eabi-gcc")
    script = empty_path / "arm-none-eabi-gcc"
    script.write_text(f"#!/bin/sh\necho asked >> '{empty_path}/calls'\necho 12.3.4\n")
    versions = [toolchains.find(arch.target(name)).version for name in ("cortex-m3", "cortex-m4", "cortex-m7")]
    assert versions == ["12.3.4"] * 3
    assert (empty_path / "calls").read_text() == "asked\n"


BROKEN = "#!/bin/sh\n[ $1 = -dumpfullversion ] && echo 12.3.4 && exit\necho cannot execute cc1 >&2\nexit 1\n"


def test_doctor_tries_the_compilers(empty_path: Path) -> None:
    """One that says its version may be without its other programs; one of another machine does not even start."""
    names = ("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc")
    stand_in(empty_path, *names)
    assert llext("doctor")[0] == 0
    for text, fault in ((BROKEN, "cannot execute cc1"), ("#!/no/such/shell\n", "no such file or directory")):
        (empty_path / names[0]).write_text(text)
        code, printed = llext("doctor", "--json")
        rows = {f["name"]: f for f in json.loads(printed)["findings"]}
        assert code == ToolError.exit_code
        assert [rows[name]["found"] for name in names] == [False, True]
        assert f"`{empty_path / names[0]}` fails: {fault}; " in rows[names[0]]["install"]
        assert "apt-get install gcc-arm-none-eabi" in rows[names[0]]["install"]


@pytest.mark.toolchain
@EVERY_TOOLCHAIN
def test_compilers_that_are_installed_have_no_fault(name: ToolchainName) -> None:
    target = next(each for each in TARGETS if each.name == "cortex-m4")
    assert toolchains.fault(target, found(target, name)) == ""


def test_toolchain_command_quotes_for_cmake(empty_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = empty_path / "a $b;c"
    odd.mkdir()
    stand_in(odd, "arm-none-eabi-gcc")
    monkeypatch.setenv("PATH", str(odd))
    code, text = llext("toolchain", "--target", "cortex-m4", "--format", "cmake")
    assert code == 0
    assert f'set(CMAKE_C_COMPILER "{empty_path}/a \\$b\\;c/arm-none-eabi-gcc" "-mcpu=cortex-m4" ' in text
    code, text = llext("toolchain", "--target", "cortex-m4")
    assert json.loads(text)["cc"] == [str(odd / "arm-none-eabi-gcc")]


def test_cmake_gets_no_compiler_argument_with_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CMake would split it at its spaces."""
    package = tmp_path / "with a space" / "ziglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    stand_in(package, "zig")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "ziglang", raising=False)
    code, text = llext("toolchain", "--target", "cortex-m4", "--toolchain", "zig", "--format", "cmake")
    assert code == 0
    (compiler,) = (line for line in text.splitlines() if line.startswith("set(CMAKE_C_COMPILER "))
    assert compiler.startswith(f'set(CMAKE_C_COMPILER "{package}/zig" "clang" "--target=')
    assert compiler.count("with a space") == 1
    assert f'set(LLEXT_TOOLCHAIN_FOLDERS "-resource-dir={package}/lib")\n' in text


def test_cmake_dir_command() -> None:
    assert llext("cmake-dir") == (0, paths.cmake_dir() + "\n")
    assert llext("cmake-dir", "--prefix") == (0, paths.cmake_prefix() + "\n")
    status, include = llext("cmake-dir", "--include")
    assert status == 0
    assert (Path(include.removesuffix("\n")) / "llext" / "symbol.h").is_file()
    assert (Path(paths.cmake_dir()) / "LlextToolsConfig.cmake").is_file()
    assert (Path(paths.include_dir()) / "llext" / "symbol.h").is_file()
    assert (Path(paths.samples_dir()) / "hello" / "hello.c").is_file()

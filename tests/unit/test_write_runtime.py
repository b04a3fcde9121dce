"""The compiler's helpers for a partial link.

Oracles: GNU binutils and LLVM's ar; the libraries themselves, read by pyelftools; the linkers.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from built import Combination, combination  # noqa: F401
from llext_tools import toolchains
from llext_tools.elf.archive import read_archive, write_archive
from llext_tools.elf.finish import finish
from llext_tools.elf.read import load_object, read_object
from llext_tools.elf.runtime import FROM_FIRMWARE, helper_archive, is_helper, undefined_names
from llext_tools.errors import FormatError
from needs import need
from transcript import llext

NAMES = st.text("abcXYZ_.09", min_size=1, max_size=40).filter(lambda name: name.strip("."))

SOURCE = """\
long long divide(long long a, long long b) { return a / b + a % b; }
double mixed(double a, double b) { return a * b + a / b - 1.5; }
float single(float a, float b) { return a * b + a / b; }
int to_int(double a) { return (int)a; }
unsigned long long to_long(float a) { return (unsigned long long)a; }
int choose(int x) { switch (x) { case 0: return 5; case 1: return 77; case 2: return 1; case 3: return 9; } return 0; }
"""
NOTHING_NEEDED = "int negate(int x) { return -x; }\n"


@given(st.dictionaries(NAMES, st.tuples(st.binary(max_size=50), st.lists(NAMES, max_size=3)), max_size=5))
def test_archives_round_trip(members: dict[str, tuple[bytes, list[str]]]) -> None:
    read = dict(read_archive(write_archive(members), "x"))
    assert read == {name: data for name, (data, _) in members.items()}


@pytest.mark.toolchain
def test_binutils_read_our_archives(tmp_path: Path) -> None:
    """Oracle: GNU ar and nm."""
    ar, nm = need("arm-none-eabi-ar"), need("arm-none-eabi-nm")
    members = {"short.o": (b"odd", ["first", "second"]), "a-name-longer-than-sixteen.o": (b"even", ["third"])}
    path = tmp_path / "ours.a"
    path.write_bytes(write_archive(members))
    assert _output(ar, "t", path).split() == list(members)
    for name, (data, _) in members.items():
        assert _output(ar, "p", path, name) == data.decode()
    index = _output(nm, "-s", path)
    assert [line for line in index.splitlines() if " in " in line] == [
        "first in short.o",
        "second in short.o",
        "third in a-name-longer-than-sixteen.o",
    ]


@pytest.mark.toolchain
@pytest.mark.parametrize("form", ["gnu", "bsd", "darwin"])
def test_we_read_llvms_archives(form: str, tmp_path: Path) -> None:
    """Oracle: LLVM's ar has put these files in."""
    zig = toolchains.find_zig()
    if zig is None:
        pytest.skip("needs ziglang")
    members = {"a.o": b"odd", "b": b"", "a-name-longer-than-sixteen.o": b"even"}
    for name, data in members.items():
        (tmp_path / name).write_bytes(data)
    subprocess.run([*zig.ar, f"--format={form}", "rcs", "theirs.a", *members], cwd=tmp_path, check=True)
    read = dict(read_archive((tmp_path / "theirs.a").read_bytes(), "theirs.a"))
    assert {name: data.rstrip(b"\n\0") for name, data in read.items()} == members


@pytest.mark.parametrize(
    "data", [b"", b"!<arch>", b"!<thin>\n", b"!<arch>\nabc", write_archive({"a": (b"x" * 9, [])})[:-5]]
)
def test_malformed_archives(data: bytes) -> None:
    with pytest.raises(FormatError) as failure:
        helper_archive(data, "x")
    assert [d.code for d in failure.value.diagnostics] == ["archive-malformed"]


def test_which_functions_are_helpers() -> None:
    """Oracle: the lists of the RTABI and of GCC's manual on one side, of the C standard on the other."""
    for name in ("__aeabi_ldivmod", "__udivdi3", "__adddf3", "__gnu_thumb1_case_uqi", "_call_via_r3", "__clzsi2"):
        assert is_helper(name), name
    for name in (
        "memcpy",
        "strlen",
        "sin",
        "fmod",
        "__memcpy_chk",
        "__stack_chk_fail",
        "__aeabi_unwind_cpp_pr0",
        "abort",
    ):
        assert not is_helper(name), name


@pytest.fixture
def library(combination: Combination, tmp_path: Path) -> Path:  # noqa: F811
    return Path(toolchains.compiler_runtime(combination.target, combination.toolchain))


@pytest.mark.toolchain
@pytest.mark.slow
def test_a_partial_link_takes_what_it_needs(combination: Combination, library: Path, tmp_path: Path) -> None:  # noqa: F811
    archive = tmp_path / "libllext-runtime.a"
    arguments = ["--target", combination.target.name, "--toolchain", combination.toolchain.name]
    assert llext("runtime", *arguments, "-o", str(archive)) == (0, "")
    partial = combination.merge(tmp_path, combination.compile(tmp_path, SOURCE), archive)
    obj = read_object(finish(load_object(str(partial))), "linked")
    assert set(undefined_names(obj)) <= FROM_FIRMWARE
    y = obj.symbols
    public = {y.name(i) for i in range(len(y)) if y.bind[i] != 0 and y.shndx[i] != 0}
    assert public == {"divide", "mixed", "single", "to_int", "to_long", "choose"}, "helpers are not global"

    alone = combination.merge(tmp_path, combination.compile(tmp_path, NOTHING_NEEDED), archive)
    text = combination.binutils("nm", "--defined-only", "-g", alone).stdout
    assert [line.split()[-1] for line in text.splitlines()] == ["negate"]


@pytest.mark.toolchain
@pytest.mark.slow
@pytest.mark.parametrize("combination", [("rv32imac", "gcc"), ("cortex-m33", "zig")], ids="-".join, indirect=True)
def test_helpers_are_those_of_the_library(combination: Combination, library: Path, tmp_path: Path) -> None:  # noqa: F811
    """Oracle: pyelftools reads the library's own objects; code, size and type of each helper are the same."""
    archive = tmp_path / "ours.a"
    archive.write_bytes(helper_archive(library.read_bytes(), str(library)))
    ours, theirs = _helpers(archive), _helpers(library)
    assert set(ours) == set(theirs)
    for name, function in ours.items():
        assert function == theirs[name], name
    undefined = _undefined(archive)
    assert undefined <= FROM_FIRMWARE | {"abort"}, "whatever else a helper needs is in the archive"


@pytest.mark.toolchain
def test_only_what_an_object_needs(combination: Combination, library: Path, tmp_path: Path) -> None:  # noqa: F811
    """Oracle: the linker takes the same from the small archive as from the whole one."""
    obj = combination.compile(tmp_path, "long long divide(long long a, long long b) { return a / b; }\n")
    linked = []
    for needed in (None, undefined_names(load_object(str(obj)))):
        archive = tmp_path / "ours.a"
        archive.write_bytes(helper_archive(library.read_bytes(), str(library), needed))
        linked.append(combination.merge(tmp_path, obj, archive).read_bytes())
        members = list(read_archive(archive.read_bytes(), "x"))
    assert linked[0] == linked[1]
    assert bool(members) == (combination.target.bits == 32)
    assert len(members) < 20


def _helpers(archive: Path) -> dict[str, tuple[str, int, bytes]]:
    """Type, size and code of the helpers that an archive defines, the first of each name."""
    found: dict[str, tuple[str, int, bytes]] = {}
    for _, data in read_archive(archive.read_bytes(), str(archive)):
        if data[:4] != b"\x7fELF":
            continue
        elf = ELFFile(io.BytesIO(data))
        table = elf.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if table else ():
            where = symbol["st_shndx"]
            if symbol["st_info"]["bind"] == "STB_LOCAL" or not isinstance(where, int) or not is_helper(symbol.name):
                continue
            section = elf.get_section(where)
            start = symbol["st_value"] & ~1
            code = b"" if section["sh_type"] == "SHT_NOBITS" else section.data()[start : start + symbol["st_size"]]
            found.setdefault(symbol.name, (symbol["st_info"]["type"], symbol["st_size"], code))
    return found


def _undefined(archive: Path) -> set[str]:
    defined, needed = set[str](), set[str]()
    for _, data in read_archive(archive.read_bytes(), str(archive)):
        y = read_object(data, "x").symbols
        for i in range(1, len(y)):
            if y.bind[i]:
                (defined if y.shndx[i] else needed).add(y.name(i))
    return needed - defined


def _output(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout

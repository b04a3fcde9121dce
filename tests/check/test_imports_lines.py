"""Source lines of places in objects. Oracle: binutils' addr2line, which reads the same debug information by itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

from llext_tools.arch.arm.literals import users_of
from llext_tools.elf.lines import Definitions, find_line, find_lines
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object, read_object
from needs import need

SOURCE = """\
extern int missing(int), other(int);
extern int *where;
#define TWICE(x) ((x) + (x))
static inline __attribute__((always_inline)) int helper(int a)
{
    return missing(a) + 1;
}
int counter;
static int (*const table[])(int) = {missing,
    other};
int f(int a)
{
    int sum = 0;
    for (int i = 0; i < a; i++) {
        sum += helper(i);
        if (sum > TWICE(
                other(i)))
            counter++;
    }
    return sum;
}

int g(int a) { return table[a & 1](a) + *where; }
__attribute__((section(".text.unlikely"))) int h(int a)
{
    switch (a) {
    case 1: return other(1);
    case 2: return f(3);
    case 3: return missing(7);
    case 4: return counter;
    case 9: return g(2);
    default: return a;
    }
}
struct { int a; int (*b)(int); } pair = {1, other};
"""
ARM = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb")
RISCV = ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32")
ZIG = (sys.executable, "-m", "ziglang", "cc", "-ffreestanding", "-fno-sanitize=all", "-fno-unwind-tables")
CHAINS = {
    "arm": (*ARM,),
    "arm-long": (*ARM, "-mlong-calls"),
    "riscv": (*RISCV, "-mno-relax"),
    "riscv-relax": (*RISCV,),
    "zig-arm": (*ZIG, "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4"),
    "zig-riscv": (*ZIG, "-target", "riscv32-freestanding", "-mcpu=generic_rv32+m+a+c", "-mno-relax"),
}
ADDR2LINE = {"arm": "arm-none-eabi-addr2line", "riscv": "riscv64-unknown-elf-addr2line"}
FLAGS = {"one section": ("-Os",), "sections": ("-O1", "-ffunction-sections", "-fdata-sections")}


def compiled(folder: Path, chain: str, *flags: str, output: str = "a.o") -> Path:
    command = CHAINS[chain]
    if chain.startswith("zig"):
        pytest.importorskip("ziglang")
    else:
        command = (need(command[0]), *command[1:])
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "a.c").write_text(SOURCE)
    subprocess.run([*command, *flags, "-c", "src/a.c", "-o", output], cwd=folder, check=True)
    return folder / output


def addr2line(path: Path, arch: str, section: str, offsets: list[int]) -> list[str]:
    """``file:line`` of each offset, ``""`` where it is not known."""
    done = subprocess.run(
        [need(ADDR2LINE[arch]), "-e", path, "-j", section],
        input="\n".join(f"{offset:#x}" for offset in offsets), capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line.partition(" (")[0] for line in done.stdout.splitlines()]
    return ["" if line.startswith("??") or line.endswith((":?", ":0")) else line for line in lines]


def code(obj: ElfObject) -> list[int]:
    return np.flatnonzero((obj.sections.flags & 4 != 0) & (obj.sections.size > 0)).tolist()


@pytest.mark.toolchain
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("chain", CHAINS)
def test_lines_of_all_code(chain: str, flags: str, dwarf: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, chain, dwarf, *FLAGS[flags])
    obj = load_object(str(path))
    arch = "arm" if "arm" in chain else "riscv"
    compared = 0
    for section in code(obj):
        offsets = list(range(0, int(obj.sections.size[section]), 2))
        ours = find_lines(obj, np.full(len(offsets), section), np.array(offsets))
        theirs = addr2line(path, arch, obj.sections.name[section], offsets)
        for offset, mine, expected in zip(offsets, ours, theirs, strict=True):
            got = os.path.normpath(tmp_path / mine.file) + f":{mine.line}" if mine else ""
            assert got == expected, f"{obj.sections.name[section]}+{offset:#x}"
            assert mine is None or mine.file == "src/a.c", "as the compiler was given it"
            compared += bool(expected)
    assert compared > 40


@pytest.mark.toolchain
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("chain", ["arm", "riscv", "zig-arm"])
def test_lines_of_data_are_those_of_the_declaration(chain: str, dwarf: str, tmp_path: Path) -> None:
    """Oracle: the source text."""
    obj = load_object(str(compiled(tmp_path, chain, dwarf, "-Os", "-fdata-sections")))
    lines = SOURCE.splitlines()
    for name, offset in {"counter": 0, "table": 4, "pair": 4}.items():
        (i,) = (i for i in range(len(obj.symbols)) if obj.symbols.name(i) == name)
        section, start = int(obj.symbols.shndx[i]), int(obj.symbols.value[i])
        found = find_line(obj, section, start + offset)
        expected = next(n for n, line in enumerate(lines, 1) if name in line)
        assert found is not None
        assert (found.file, found.line) == ("src/a.c", expected), name
        assert obj.variable_at(section, start + offset) == name + (f"+{offset:#x}" if offset else "")


@pytest.mark.toolchain
@pytest.mark.parametrize("chain", ["arm", "riscv", "zig-riscv"])
def test_lines_from_the_file_beside(chain: str, tmp_path: Path) -> None:
    """As the CMake helper leaves it: what is loaded has no debug information, and no names of static functions."""
    path = compiled(tmp_path, chain, "-g", "-O1", output="a.debug.elf")
    full = load_object(str(path))
    objcopy = need("arm-none-eabi-objcopy" if "arm" in chain else "riscv64-unknown-elf-objcopy")
    subprocess.run([objcopy, "--strip-debug", "--strip-unneeded", path, tmp_path / "a.llext"], check=True)
    bare = load_object(str(tmp_path / "a.llext"))
    assert ".debug_info" not in bare.sections.name
    for section in code(bare):
        offsets = np.arange(0, bare.sections.size[section], 2)
        there = full.sections.name.index(bare.sections.name[section])
        expected = find_lines(full, np.full(offsets.size, there), offsets)
        found = find_lines(bare, np.full(offsets.size, section), offsets)
        assert [x and x[:2] for x in found] == [x and x[:2] for x in expected]
        assert {x.inside for x in found if x} <= {"f", "g", "h"}, "the functions that the file beside knows"
        assert any(found)
    shutil.copy(compiled(tmp_path, chain, "-g", "-O0", output="other.o"), path)
    other = find_lines(bare, np.full(4, code(bare)[0]), np.arange(0, 8, 2))
    assert other == (None,) * 4, "a file of another build has a section of another size"


LOAD = re.compile(r"ldr(?:\.w)?\s+(\w+), \[pc, .*@ \(?([0-9a-f]+) <")
CALL = re.compile(r"\bblx?\s+(r\d+|sl|fp|ip|lr)$|\bbx\s+(r\d+|sl|fp|ip)$")


@pytest.mark.toolchain
@pytest.mark.parametrize("options", ["-O0", "-O2", "-Os", "-mcpu=cortex-m0plus"])
def test_users_of_a_word_in_the_code(options: str, tmp_path: Path) -> None:
    """Oracle: objdump, which shows for each load the address of its word, and for each call the register."""
    path = compiled(tmp_path, "arm-long", "-g", "-O2", options)
    obj = load_object(str(path))
    dump = subprocess.run([need("arm-none-eabi-objdump"), "-d", path], capture_output=True, text=True, check=True)
    expected: dict[tuple[str, int], set[int]] = {}
    waiting: dict[str, tuple[tuple[str, int], int]] = {}  # register -> word, load
    section = ""
    for line in dump.stdout.splitlines():
        if line.startswith("Disassembly"):
            section = line.split()[-1].rstrip(":")
        at = line.partition(":")[0].strip()
        if load := LOAD.search(line):
            waiting[load[1]] = ((section, int(load[2], 16)), int(at, 16))
            expected.setdefault(waiting[load[1]][0], set()).add(int(at, 16))
        elif (call := CALL.search(line)) and (known := waiting.pop(call[1] or call[2], None)):
            expected[known[0]] = expected[known[0]] - {known[1]} | {int(at, 16)}
    assert len(expected) > 5
    for (name, place), users in expected.items():
        assert users_of(obj.contents(obj.sections.name.index(name)), place).tolist() == sorted(users), hex(place)


GCC_FORMS = ((), ("-gdwarf-4",), ("-gpubnames",), ("-gno-as-locview-support",))
FORMS = {"arm": GCC_FORMS, "riscv": GCC_FORMS, "zig-arm": GCC_FORMS[:3]}


@pytest.mark.toolchain
@pytest.mark.parametrize(("chain", "flags"), [(chain, flags) for chain, forms in FORMS.items() for flags in forms])
def test_definitions_of_a_firmware(chain: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    """Oracle: the source text."""
    tools = "arm-none-eabi-" if "arm" in chain else "riscv64-unknown-elf-"
    path = compiled(tmp_path, chain, "-g", "-Os", "-ffunction-sections", *flags)
    (tmp_path / "b.c").write_text("int missing(int a) { return a; }\nint other(int a) { return a; }\nint *where;\n")
    subprocess.run([*CHAINS[chain], "-g", "-Os", *flags, "-c", "b.c", "-o", "b.o"], cwd=tmp_path, check=True)
    emulation = ["-m", "elf32lriscv"] if "riscv" in chain else []
    command = [need(tools + "ld"), *emulation, "-e0", "-Ttext=0x8000000", str(path), "b.o", "-o", "fw.elf"]
    subprocess.run(command, cwd=tmp_path, check=True)
    image = load_object(str(tmp_path / "fw.elf"))
    definitions = Definitions(image)
    expected = {"f": "int f(", "g": "int g(", "counter": "int counter", "table": "const table", "pair": "} pair"}
    for name, start in expected.items():
        (i,) = (i for i in range(len(image.symbols)) if image.symbols.name(i) == name)
        address, function = int(image.symbols.value[i]), image.symbols.type[i] == 2
        found = definitions.find(name, address & ~int(function), function=bool(function))
        line = next(n for n, text in enumerate(SOURCE.splitlines(), 1) if start in text)
        assert found is not None, name
        assert (found.file, found.line) == ("src/a.c", line), name
    assert definitions.find("nothing", 0x8000000 - 4, function=True) is None
    assert definitions.find("nothing", 0x8000000 - 4, function=False) is None


@pytest.mark.toolchain
@pytest.mark.parametrize("chain", ["arm", "zig-arm"])
def test_spoilt_debug_information_is_none(chain: str, tmp_path: Path) -> None:
    """Whatever it says, there is a line or none. Expected: no exception."""
    good = load_object(str(compiled(tmp_path, chain, "-g", "-Os")))
    names, random = good.sections.name, Random(4)
    spans = [
        (int(good.sections.offset[i]), int(good.sections.size[i]))
        for i, name in enumerate(names)
        if name.startswith(".debug") and good.sections.size[i]
    ]
    text, data = names.index(".text"), names.index(".data")
    for _ in range(150):
        spoilt = bytearray(good.image.tobytes())
        for _ in range(random.choice((1, 2, 4, 16))):
            start, size = random.choice(spans)
            spoilt[start + random.randrange(size)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        obj: ElfObject = read_object(bytes(spoilt), "spoilt.o")
        find_lines(obj, np.array([text, text, data]), np.array([4, 0x20, 4]))
        Definitions(obj).find("counter", 0, function=False)

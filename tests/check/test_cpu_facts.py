"""What files say of the CPU that they are for. Oracle: readelf and objdump; the compilers for where arguments go."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from llext_tools import arch as archs
from llext_tools.abi.c import CTypes
from llext_tools.abi.types import Layout, Member
from llext_tools.arch.base import Cpu
from llext_tools.arch.model import FloatAbi
from llext_tools.c.byvalue import scalars
from llext_tools.c.types import DataModel
from llext_tools.elf.read import load_object
from needs import need

pytestmark = pytest.mark.toolchain

SOFT, SOFTFP, HARD = "-mfloat-abi=soft", "-mfloat-abi=softfp", "-mfloat-abi=hard"
ARM = (
    f"-mcpu=cortex-m0 {SOFT} -fno-short-enums",
    f"-mcpu=cortex-m3 {SOFT} -fshort-wchar",
    f"-mcpu=cortex-m4 {SOFTFP} -mfpu=fpv4-sp-d16 -fshort-enums",
    f"-mcpu=cortex-m4 {HARD} -mfpu=fpv4-sp-d16",
    f"-mcpu=cortex-m7 {HARD} -mfpu=fpv5-d16 -fshort-enums -fshort-wchar",
    f"-mcpu=cortex-m23 {SOFT}",
    f"-mcpu=cortex-m33 {SOFT}",
    f"-mcpu=cortex-m33 {HARD} -mfpu=fpv5-sp-d16",
    f"-mcpu=cortex-m55 {HARD}",
    f"-mcpu=cortex-r5 {SOFT}",
)
RISCV = (
    "-march=rv32imac -mabi=ilp32",
    "-march=rv32imafc -mabi=ilp32f",
    "-march=rv32imafc -mabi=ilp32",
    "-march=rv32e -mabi=ilp32e",
    "-march=rv32imac_zba_zbb -mabi=ilp32",
    "-march=rv64gc -mabi=lp64d",
    "-march=rv64imac -mabi=lp64",
)
CASES = [(kind, flags) for flags in (*ARM, *RISCV) for kind in ("gcc", "clang")]
SOURCE = """\
enum size { SMALL, LARGE };
enum size twice(enum size x) { return x; }
float scale(const float *x) { return *x; }
"""
NAMES = {"v6S-M": "v6-M", "v8-M.baseline": "v8-M.base", "v8-M.mainline": "v8-M.main", "v8.1-M.mainline": "v8.1-M.main"}
"""readelf's names of architectures, where ours are others."""


def run(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def compiler(kind: str, flags: str) -> list[str]:
    arm = "-mcpu" in flags
    if kind == "gcc":
        return [
            need("arm-none-eabi-gcc" if arm else "riscv64-unknown-elf-gcc"),
            *(["-mthumb"] if arm else []),
            *flags.split(),
        ]
    pytest.importorskip("ziglang")
    target = "arm-none-eabi" if arm else f"riscv{64 if 'rv64' in flags else 32}-unknown-elf"
    return [
        sys.executable,
        "-m",
        "ziglang",
        "clang",
        f"--target={target}",
        *(["-mthumb"] if arm else []),
        *flags.split(),
    ]


def compiled(folder: Path, kind: str, flags: str, source: str = SOURCE) -> Path:
    (folder / "e.c").write_text(source)
    run(*compiler(kind, flags), "-Os", "-ffreestanding", "-c", folder / "e.c", "-o", folder / "e.o")
    return folder / "e.o"


def cpu_of(path: Path) -> Cpu:
    obj = load_object(str(path))
    arch = archs.by_machine(obj.machine)
    assert arch is not None
    return arch.cpu(obj)


def readelf(path: Path, arm: bool) -> dict[str, str]:
    """Tags, and ``Flags`` of the header, as GNU's tool prints them."""
    text = run(need("arm-none-eabi-readelf" if arm else "riscv64-unknown-elf-readelf"), "-A", "-h", path)
    return {key: value.strip(' "') for key, value in re.findall(r"^ +(?:Tag_)?(\w+): +(.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize(("kind", "flags"), CASES)
def test_facts_are_those_of_readelf(kind: str, flags: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, kind, flags)
    cpu, said = cpu_of(path), readelf(path, "-mcpu" in flags)
    if "-mcpu" in flags:
        name = said["CPU_arch"]
        assert cpu.name == f"Arm{NAMES.get(name, name)}" + (
            "-R" if name == "v7" and "r5" in flags else "-M" * (name == "v7")
        )
        assert cpu.floats == ("double" if said.get("ABI_VFP_args") == "VFP registers" else "soft")
        assert cpu.abi in flags
        assert cpu.enum == {"small": 1, "int": 4}[said["ABI_enum_size"]]
        assert cpu.wchar == int(said["ABI_PCS_wchar_t"])
        fpu = said.get("FP_arch", "")
        assert ("FPv5" in cpu.isa, "VFPv4" in cpu.isa) == ("FPv5" in fpu, "VFPv4" in fpu)
        assert ("double precision" in cpu.isa) == bool(fpu and said.get("ABI_HardFP_use") != "SP only")
        assert ("DSP" in cpu.isa) == (name == "v7E-M" or said.get("DSP_extension") == "Allowed")
    else:
        assert cpu.floats == re.findall(r"(\w+)-float ABI", said["Flags"])[0]
        assert ("e" in cpu.isa) == ("RVE" in said["Flags"])
        assert ("c" in cpu.isa) == ("RVC" in said["Flags"])
        assert list(cpu.isa) == [
            re.sub(r"\d+p\d+$", "", word).removeprefix(f"rv{cpu.bits}") for word in said["RISCV_arch"].split("_")
        ]
        assert f"-march={cpu.name} {cpu.abi}" == flags.replace("gc", "imafdc")


FIRMWARE = """\
#include <llext/symbol.h>
int twice(int x) { return 2 * x; }
EXPORT_SYMBOL(twice);
"""
SECTIONS = ".text 0x1000 : { *(.text*) *(.rodata*) } llext_const_symbol_area : { *(llext_const_symbol_area) }"
SCRIPTS = {
    "kept": f"SECTIONS {{ {SECTIONS} }}",
    "dropped": f"SECTIONS {{ {SECTIONS} /DISCARD/ : {{ *(.ARM.attributes) *(.riscv.attributes) }} }}",
}


@pytest.mark.parametrize("flags", [f"-mcpu=cortex-m4 {HARD} -mfpu=fpv4-sp-d16", f"-mcpu=cortex-m4 {SOFT}", *RISCV[:2]])
@pytest.mark.parametrize("how", ["kept", "dropped", "removed"])
def test_linked_images(flags: str, how: str, tmp_path: Path) -> None:
    """Where a linker script or objcopy takes the attributes away, the header still tells how floats are passed."""
    arm = "-mcpu" in flags
    obj, image, script = compiled(tmp_path, "gcc", flags), tmp_path / "fw.elf", tmp_path / "fw.ld"
    script.write_text(SCRIPTS.get(how, SCRIPTS["kept"]))
    run(*compiler("gcc", flags), "-nostdlib", "-T", script, "-Wl,-e0", obj, "-o", image)
    if how == "removed":
        prefix = "arm-none-eabi-" if arm else "riscv64-unknown-elf-"
        run(need(f"{prefix}objcopy"), "-R", ".ARM.attributes", "-R", ".riscv.attributes", image)
    said, cpu, of_object = readelf(image, arm), cpu_of(image), cpu_of(obj)
    assert ("CPU_arch" in said or "RISCV_arch" in said) == (how == "kept")
    floats = re.findall(r"(\w+)-float ABI", said["Flags"])[0]
    assert cpu.floats == ("double" if floats == "hard" else floats) == of_object.floats
    if how == "kept":
        assert cpu == of_object
    else:
        assert not cpu.name
        assert not cpu.isa
        assert not cpu.enum


@pytest.mark.parametrize("abi", [SOFT, f"{HARD} -mfpu=fpv4-sp-d16"])
def test_images_of_lld(abi: str, tmp_path: Path) -> None:
    """It keeps the attributes of the first file only; assembly code does not say how floats are passed."""
    flags = f"-mcpu=cortex-m4 {abi}"
    first, last, image = tmp_path / "first.o", compiled(tmp_path, "clang", flags), tmp_path / "fw.elf"
    (tmp_path / "first.s").write_text(".syntax unified\n.thumb\nnop\n")
    run(*compiler("clang", flags), "-c", tmp_path / "first.s", "-o", first)
    run(sys.executable, "-m", "ziglang", "ld.lld", "-e0", first, last, "-o", image)
    said, cpu = readelf(image, arm=True), cpu_of(image)
    assert "ABI_FP_number_model" not in said
    assert (cpu.floats == "double") == ("hard-float ABI" in said["Flags"])
    assert cpu._replace(enum=4, wchar=4) == cpu_of(last)


def struct(*members: str, kind: str = "struct") -> Layout:
    """Sizes and offsets do not matter here."""
    return Layout("union" if kind == "union" else "struct", 0, tuple(Member("m", 0, m, "") for m in members))


TYPES = {
    # C: the notation
    "float": "f32",
    "double": "f64",
    "int": "i32",
    "long long": "i64",
    "enum e": "enum e",
    "struct f1": "struct f1",
    "struct f4": "struct f4",
    "struct f5": "struct f5",
    "struct d2": "struct d2",
    "struct fi": "struct fi",
    "struct fd": "struct fd",
    "struct id": "struct id",
    "struct fll": "struct fll",
    "struct fp": "struct fp",
    "struct a3": "struct a3",
    "struct nest": "struct nest",
    "union ff": "union ff",
    "union fu": "union fu",
}
LAYOUTS = {
    "struct f1": struct("f32"),
    "struct f4": struct("f32", "f32", "f32", "f32"),
    "struct f5": struct(*["f32"] * 5),
    "struct d2": struct("f64", "f64"),
    "struct fi": struct("f32", "i32"),
    "struct fd": struct("f32", "f64"),
    "struct id": struct("i32", "f64"),
    "struct fll": struct("f32", "i64"),
    "struct fp": struct("f32", "*void"),
    "struct a3": struct("[3]f32"),
    "struct nest": struct("struct f1", "[1]struct f1"),
    "union ff": struct("f32", "[2]f32", kind="union"),
    "union fu": struct("f32", "i32", kind="union"),
}
DECLARATIONS = """\
enum e { A }; struct f1 { float a; }; struct f4 { float a, b, c, d; }; struct f5 { float a, b, c, d, e; };
struct d2 { double a, b; }; struct fi { float a; int b; }; struct fd { float a; double b; };
struct id { int a; double b; }; struct fll { float a; long long b; }; struct fp { float a; void *b; };
struct a3 { float a[3]; }; struct nest { struct f1 a, b[1]; }; union ff { float a, b[2]; };
union fu { float a; int b; };
void named(double x, double *to, ...) { *to = x; }
double result(double *from, ...) { return *from; }
void take(int, ...);
void unnamed(double *from) { take(1, *from); }
"""
PASSING = DECLARATIONS + "".join(
    f"void put{i}({c} x, {c} *to) {{ *to = x; }}\n{c} get{i}({c} *from) {{ return *from; }}\n"
    for i, c in enumerate(TYPES)
)
M7 = "-mcpu=cortex-m7 -mfpu=fpv5-d16"
PAIRS = [
    # flags, one ABI, the other one, which they are
    (M7, SOFTFP, HARD, "soft", "double"),
    ("-march=rv32imafdc", "-mabi=ilp32", "-mabi=ilp32f", "soft", "single"),
    ("-march=rv32imafdc", "-mabi=ilp32f", "-mabi=ilp32d", "single", "double"),
    ("-march=rv32imafdc", "-mabi=ilp32", "-mabi=ilp32d", "soft", "double"),
    ("-march=rv64imafdc", "-mabi=lp64", "-mabi=lp64d", "soft", "double"),
    ("-march=rv64imafdc", "-mabi=lp64f", "-mabi=lp64d", "single", "double"),
]


def functions(folder: Path, kind: str, flags: str) -> dict[str, bytes]:
    path = compiled(folder, kind, f"{flags} -ffunction-sections -fno-asynchronous-unwind-tables", PASSING)
    with path.open("rb") as file:
        sections = ELFFile(file).iter_sections()
        return {s.name.removeprefix(".text."): s.data() for s in sections if s.name.startswith(".text.")}


@pytest.mark.parametrize(("flags", "one", "other", "here", "there"), PAIRS)
@pytest.mark.parametrize("kind", ["gcc", "clang"])
def test_values_in_fpu_registers(
    kind: str, flags: str, one: str, other: str, here: FloatAbi, there: FloatAbi, tmp_path: Path
) -> None:
    """A function that passes a value on is compiled to other instructions where the value travels otherwise."""
    first, second = functions(tmp_path, kind, f"{flags} {one}"), functions(tmp_path, kind, f"{flags} {other}")
    assert first.keys() == second.keys()
    theirs = {name for name in first if first[name] != second[name]}
    arch = archs.load("arm" if flags == M7 else "riscv")
    bits = 64 if "rv64" in flags else 32

    def differs(notation: str, variadic: bool = False) -> bool:
        parts = scalars(CTypes(LAYOUTS, DataModel(32 if bits == 32 else 64, 16)).ctype(notation))
        return arch.callconv.in_fpu(parts, bits, here, variadic) != arch.callconv.in_fpu(parts, bits, there, variadic)

    ours = {f"{what}{i}" for i, notation in enumerate(TYPES.values()) if differs(notation) for what in ("put", "get")}
    ours |= {"named", "result"} if differs("f64", variadic=True) else set()
    assert ours == theirs


@pytest.mark.parametrize(("kind", "flags"), [c for c in CASES if HARD in c[1] or "rv64gc" in c[1] or "ilp32f" in c[1]])
def test_fpu_instructions_are_those_of_objdump(kind: str, flags: str, tmp_path: Path) -> None:
    source = PASSING + "".join(f"float f{i}(float x) {{ return x * {i}.1f + {i}; }}\n" for i in range(20))
    path = compiled(tmp_path, kind, flags, source)
    obj = load_object(str(path))
    section = obj.sections.index(".text")
    assert section is not None
    arch = archs.by_machine(obj.machine)
    assert arch is not None
    tool = "arm-none-eabi-objdump" if arch.name == "arm" else "riscv64-unknown-elf-objdump"
    text = run(need(tool), "-d", "-M", "no-aliases" if arch.name == "riscv" else "reg-names-std", path)
    lines = re.findall(r"^ +([0-9a-f]+):\t[0-9a-f ]+\t([\w.]+)", text, re.MULTILINE)
    pattern = r"v|fld|fst" if arch.name == "arm" else r"(c\.)?f(?!ence)"
    expected = [int(at, 16) for at, mnemonic in lines if re.match(pattern, mnemonic)]
    assert expected
    found = arch.fpu_instructions(obj.contents(section), obj.bits).tolist()
    assert found[0] == expected[0]
    assert set(expected) <= set(found)
    assert len(set(found) - set(expected)) <= len(expected) / 20, "data in code may look like instructions, seldom"

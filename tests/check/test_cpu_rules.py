"""CPU and binary interface of extension and firmware. Oracle: GNU ld, which says what both together need."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path

import pytest

from check.test_cpu_facts import ARM, FIRMWARE, HARD, RISCV, SCRIPTS, SOFT, SOFTFP, compiler, cpu_of, readelf, run
from llext_tools import arch as archs
from llext_tools.check import check
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf.read import load_object
from llext_tools.errors import ExportsError, LlextError
from llext_tools.host.firmware import read_firmware
from llext_tools.host.tables import read_exports
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain

EXTENSION = """\
#include <llext/symbol.h>
int twice(int x);
enum size { SMALL, LARGE } size;
int start(int x) { return twice(x) + size; }
LL_EXTENSION_SYMBOL(start);
"""


def compiled(folder: Path, kind: str, flags: str, source: str, name: str = "e.llext") -> Path:
    (folder / "source.c").write_text(source)
    more = "-mno-relax -msmall-data-limit=0" if "-march" in flags else "-mlong-calls"
    command = [*compiler(kind, flags), *more.split(), "-Os", "-ffreestanding", f"-I{include_dir()}"]
    run(
        *command,
        "-fno-unwind-tables",
        "-fno-asynchronous-unwind-tables",
        "-c",
        folder / "source.c",
        "-o",
        folder / name,
    )
    return folder / name


def extension(folder: Path, kind: str, flags: str, source: str = EXTENSION) -> Path:
    return compiled(folder, kind, f"{flags} -DLL_EXTENSION_BUILD", source)


def firmware(folder: Path, flags: str, source: str = FIRMWARE, how: str = "kept") -> Path:
    obj = compiled(folder, "gcc", flags, source, "fw.o")
    (folder / "fw.ld").write_text(SCRIPTS[how])
    run(*compiler("gcc", flags), "-nostdlib", "-T", folder / "fw.ld", "-Wl,-e0", obj, "-o", folder / "fw.elf")
    return folder / "fw.elf"


def found(extension: Path, exports: Path) -> list[Diagnostic]:
    """What ``check`` says of CPU, interface, Arm and Thumb."""
    reporter, obj, host = Reporter(), load_object(str(extension)), read_firmware([exports])
    try:
        check(obj, firmware=host, reporter=reporter)
    except LlextError as error:
        reporter.add(error.diagnostics)
    return [d for d in reporter.diagnostics if d.code.startswith(("abi-", "thumb-", "store-", "elf-"))]


@pytest.mark.parametrize("flags", [*ARM, *RISCV])
def test_the_same_flags_agree(flags: str, tmp_path: Path) -> None:
    """GCC's firmware, and extensions of both compilers; Clang has to be told about enumerations."""
    image = firmware(tmp_path, flags)
    short = " -fshort-enums" if "-mcpu" in flags and "short-enums" not in flags else ""
    for kind in ("gcc", "clang"):
        assert found(extension(tmp_path, kind, flags + (short if kind == "clang" else "")), image) == []


@pytest.mark.parametrize("flags", [*ARM[:-1], *RISCV])
def test_files_that_say_nothing_fit_everything(flags: str, tmp_path: Path) -> None:
    arm = "-mcpu" in flags
    image = firmware(tmp_path, flags)
    path = extension(tmp_path, "gcc", flags)
    prefix = "arm-none-eabi-" if arm else "riscv64-unknown-elf-"
    run(need(f"{prefix}objcopy"), "-R", ".ARM.attributes", "-R", ".riscv.attributes", path)
    assert found(path, image) == []
    image = firmware(tmp_path, flags, how="dropped")
    assert found(path, image) == []
    assert found(extension(tmp_path, "gcc", flags), image) == []


ASSEMBLY = """\
        .syntax unified
        .thumb
        .global start
        .type   start, %function
start:  push    {r4, lr}
        bl      twice
        pop     {r4, pc}
        .section .exported_sym, "a"
        .word   name, start
        .section .rodata
name:   .asciz  "start"
"""


@pytest.mark.parametrize("flags", [*ARM[:9]])
def test_assembly_code_without_a_cpu_fits_every_cortex_m(flags: str, tmp_path: Path) -> None:
    """The assembler notes what it has seen, and Thumb code of 16 bits looks like that of an Armv4T."""
    (tmp_path / "e.s").write_text(ASSEMBLY)
    run(need("arm-none-eabi-as"), tmp_path / "e.s", "-o", tmp_path / "e.llext")
    assert readelf(tmp_path / "e.llext", arm=True)["CPU_arch"] == "v4T"
    assert found(tmp_path / "e.llext", firmware(tmp_path, flags)) == []


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m33"])
@pytest.mark.parametrize("member", ["_udivdi3.o", "_muldc3.o"])
def test_members_of_the_runtime_fit(cpu: str, member: str, tmp_path: Path) -> None:
    archive = run(need("arm-none-eabi-gcc"), f"-mcpu={cpu}", "-mthumb", SOFT, "-print-libgcc-file-name").strip()
    run(need("arm-none-eabi-ar"), "--output", tmp_path, "x", archive, member)
    assert found(tmp_path / member, firmware(tmp_path, f"-mcpu={cpu} {SOFT}")) == []


CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m23", "cortex-m33", "cortex-m55+nofp+nomve", "cortex-r5",
         "cortex-a9")  # fmt: skip
ISAS = ("rv32i", "rv32im", "rv32imc", "rv32imac", "rv32imafc", "rv32imafdc", "rv32imac_zbb", "rv32imac_zba_zbb_zbs")
PLAIN = "int start(int x) { return x; }\n"


def needed_together(folder: Path, prefix: str, one: Path, other: Path) -> tuple[str, ...] | None:
    """What GNU ld says that both objects together need; None if it does not link one to the other."""
    linker = [need(f"{prefix}ld"), *(["-melf32lriscv"] if prefix.startswith("riscv") else [])]
    command = [*linker, "-r", "-z", "muldefs", one, other, "-o", folder / "both.o"]
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    if done.returncode:
        return None
    said = readelf(folder / "both.o", prefix.startswith("arm"))
    return tuple(said.get(key, "") for key in ("CPU_arch", "CPU_arch_profile", "RISCV_arch"))


@pytest.mark.parametrize(
    ("prefix", "flags"),
    [
        ("arm-none-eabi-", [f"-mcpu={core} {SOFT}" for core in CORES]),
        ("riscv64-unknown-elf-", [f"-march={isa} -mabi=ilp32" for isa in ISAS]),
    ],
)
def test_code_runs_where_it_adds_nothing(prefix: str, flags: list[str], tmp_path: Path) -> None:
    """GNU ld notes of linked objects what they need together: that is what one needs if the other adds nothing."""
    objects = [compiled(tmp_path, "gcc", each, PLAIN, f"{i}.o") for i, each in enumerate(flags)]
    arch = archs.load("arm" if prefix.startswith("arm") else "riscv")
    for code, cpu in itertools.product(objects, objects):
        runs = needed_together(tmp_path, prefix, code, cpu) == needed_together(tmp_path, prefix, cpu, cpu)
        assert (not arch.lacking(cpu_of(code), cpu_of(cpu).isa)) == runs, (flags[int(code.stem)], flags[int(cpu.stem)])


MATHS = """\
#include <llext/symbol.h>
float sqrtf(float x) { return x; }
EXPORT_SYMBOL(sqrtf);
int twice(int x) { return 2 * x; }
EXPORT_SYMBOL(twice);
"""
CALLS = """\
#include <llext/symbol.h>
float sqrtf(float);
float start(float x) { return sqrtf(x) * 2; }
LL_EXTENSION_SYMBOL(start);
"""
HARD_M4 = f"-mcpu=cortex-m4 {HARD} -mfpu=fpv4-sp-d16"
SOFTFP_M4 = f"-mcpu=cortex-m4 {SOFTFP} -mfpu=fpv4-sp-d16"
MISFITS = [
    # of the firmware, of the extension, its source, what is found
    (HARD_M4, SOFTFP_M4, CALLS, {("abi-float", "error")}),
    (HARD_M4, SOFTFP_M4, EXTENSION, {("abi-float", "warning")}),
    (SOFTFP_M4, HARD_M4, CALLS, {("abi-float", "error")}),
    (f"-mcpu=cortex-m4 {SOFT}", SOFTFP_M4, EXTENSION, set()),  # no FPU instruction
    (f"-mcpu=cortex-m4 {SOFT}", SOFTFP_M4, CALLS, {("abi-isa", "error")}),
    (f"-mcpu=cortex-m4 {SOFT}", HARD_M4, CALLS, {("abi-isa", "error"), ("abi-float", "error")}),
    (SOFTFP_M4, f"-mcpu=cortex-m4 {SOFT}", EXTENSION, set()),
    (SOFTFP_M4, f"-mcpu=cortex-m0 {SOFT}", EXTENSION, set()),
    (f"-mcpu=cortex-m0 {SOFT}", SOFTFP_M4, EXTENSION, {("abi-isa", "error")}),
    (SOFTFP_M4, f"{SOFTFP_M4} -fno-short-enums", EXTENSION, {("abi-enum-size", "warning")}),
    (f"{SOFTFP_M4} -fno-short-enums", SOFTFP_M4, EXTENSION, {("abi-enum-size", "warning")}),
    (SOFTFP_M4, f"{SOFTFP_M4} -fshort-wchar", EXTENSION, {("abi-wchar", "warning")}),
    (RISCV[1], RISCV[2], CALLS, {("abi-float", "error")}),
    (RISCV[1], RISCV[0], EXTENSION, {("abi-float", "warning")}),
    (RISCV[0], RISCV[2], EXTENSION, set()),  # no FPU instruction
    (RISCV[0], RISCV[4], EXTENSION, {("abi-isa", "error")}),
    (RISCV[4], RISCV[0], EXTENSION, set()),
    (RISCV[0], RISCV[3], EXTENSION, {("abi-isa", "error")}),  # 16 registers, and another stack
    (RISCV[0], RISCV[5], EXTENSION, {("abi-machine", "error")}),
    (RISCV[0], HARD_M4, EXTENSION, {("abi-machine", "error")}),
]


@pytest.mark.parametrize(("theirs", "ours", "source", "expected"), MISFITS)
def test_what_does_not_fit_is_found(
    theirs: str, ours: str, source: str, expected: set[tuple[str, str]], tmp_path: Path
) -> None:
    """With the firmware itself, and with a table that was written of it."""
    image, path = firmware(tmp_path, theirs, MATHS), extension(tmp_path, "gcc", ours, source)
    assert {(d.code, d.severity) for d in found(path, image)} == expected
    for suffix in ("toml", "json"):
        table = tmp_path / f"api.{suffix}"
        assert llext("exports", str(image), "-o", str(table))[0] == 0
        assert read_exports(table).cpu == cpu_of(image)
        assert found(path, table) == found(path, image)
        table.write_text(re.sub(r"(?m)^ *\"?cpu\"?[ :=]+\{[^}]*\},?\n", "", table.read_text()))
        left = {(code, severity) for code, severity in expected if code == "abi-machine" and "-mcpu" in ours}
        assert {(d.code, d.severity) for d in found(path, table)} == left, "without the facts only the machine is known"


@pytest.mark.parametrize(
    ("theirs", "machine", "ours", "message", "help"),
    [
        (RISCV[0], 0, HARD_M4, "32-bit arm, the firmware for 32-bit riscv",
         "compile the extension with `LLEXT_TARGET=rv32imac`, or give a firmware for 32-bit arm"),
        (f"-mcpu=cortex-m4 {SOFT}", 0, RISCV[0], "32-bit riscv, the firmware for 32-bit arm",
         "compile the extension with `LLEXT_TARGET=cortex-m4`, or give a firmware for 32-bit riscv"),
        (HARD_M4, 62, RISCV[0], "riscv, the firmware for machine 62 (x86-64)",
         "no extension can be compiled for that here: give a firmware for riscv"),
    ],
)  # fmt: skip
def test_a_firmware_of_another_machine_has_its_own_cure(
    theirs: str, machine: int, ours: str, message: str, help: str, tmp_path: Path
) -> None:
    """Which of both sides is the wrong one, nobody knows."""
    image, path = firmware(tmp_path, theirs), extension(tmp_path, "gcc", ours)
    if machine:
        data = bytearray(image.read_bytes())
        data[18:20] = machine.to_bytes(2, "little")  # e_machine
        image.write_bytes(data)
    expected = [("abi-machine", f"the extension is for {message}", help)]
    assert [(d.code, d.message, d.help) for d in found(path, image)] == expected


@pytest.mark.parametrize(
    ("cpu", "wrong"),
    [
        ({"arch": "arm"}, "no `arch` and `bits`"),
        ({"bits": 32}, "no `arch` and `bits`"),
        (40, "no `arch` and `bits`"),
        ({"arch": "arm", "bits": 33}, "`bits`"),
        ({"arch": "arm", "bits": True}, "`bits`"),
        ({"arch": "arm", "bits": 32, "enum": 2}, "`enum`"),
        ({"arch": "arm", "bits": 32, "wchar": "4"}, "`wchar`"),
        ({"arch": "arm", "bits": 32, "isa": "Armv6-M"}, "`isa`"),
        ({"arch": "arm", "bits": 32, "isa": [["Armv6-M"]]}, "`isa`"),
        ({"arch": "arm", "bits": 32, "floats": "none"}, "`floats`"),
        ({"arch": "arm", "bits": 32, "floats": []}, "`floats`"),
        ({"arch": "arm", "bits": 32, "fpu": ""}, "`fpu`"),
    ],
)
def test_wrong_facts_in_a_table(cpu: object, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"cpu": cpu, "exports": {"f": 4097}}))
    with pytest.raises(ExportsError) as caught:
        read_exports(tmp_path / "t.json")
    (found,) = caught.value.diagnostics
    assert found.code == "exports-syntax"
    assert wrong in found.message
    assert found.location is not None
    assert found.location.line == 1


TYPED = """\
#include <llext/symbol.h>
typedef __WCHAR_TYPE__ wchar_t;
struct pair { float x, y; };
enum mode { SLOW, FAST };
enum big { NONE, ALL = 0x7fffffff };
struct config { enum mode mode; int x; };
struct large { enum big big; };
union any { float f; int i; };
static int stored;
%s
EXPORT_SYMBOL(used);
"""
USES = """\
#include <llext/symbol.h>
typedef __WCHAR_TYPE__ wchar_t;
struct pair { float x, y; };
enum mode { SLOW, FAST };
enum big { NONE, ALL = 0x7fffffff };
struct config { enum mode mode; int x; };
struct large { enum big big; };
union any { float f; int i; };
extern %s;
void *start(void) { return (void *)used; }
LL_EXTENSION_SYMBOL(start);
"""
FLOAT, ENUM, WCHAR = "abi-float", "abi-enum-size", "abi-wchar"
SIGNATURES = [
    # the import, what is an error of it; the others are warnings
    ("int used(float x) { return x; }", {FLOAT}),
    ("double used(void) { return stored; }", {FLOAT}),
    ("int used(const float *x, int n) { return n; }", set()),
    ("int used(struct pair x) { return x.x; }", {FLOAT}),
    ("int used(struct pair *x) { return x->x; }", set()),
    ("int used(union any x) { return x.i; }", set()),
    ("int used(void (*call)(float x)) { return call != 0; }", {FLOAT}),
    ("int used(float (*call)(void)) { return call != 0; }", {FLOAT}),
    ("int used(const char *text, ...) { return text != 0; }", set()),
    ("int used(float x, ...) { return x; }", set()),  # as the base standard has it
    ("int used(enum mode x) { return x; }", set()),
    ("enum mode used(void) { return stored; }", set()),
    ("int used(enum mode *x) { return *x; }", {ENUM}),
    ("int used(struct config *x) { return x->x; }", {ENUM}),
    ("int used(struct large *x) { return x->big; }", set()),  # 4 bytes in either case
    ("int used(void (*call)(struct config *x)) { return call != 0; }", {ENUM}),
    ("int used(const wchar_t *x) { return *x; }", {WCHAR}),
    ("int used(const int *x) { return *x; }", set()),
]


@pytest.mark.parametrize(("definition", "expected"), SIGNATURES)
@pytest.mark.parametrize("where", ["firmware", "extension"])
def test_imports_that_are_concerned(definition: str, expected: set[str], where: str, tmp_path: Path) -> None:
    """The prototypes are in the debug information of one side. Both disagree in everything."""
    theirs, ours = ("-g", "-g0") if where == "firmware" else ("-g0", "-g")
    image = firmware(tmp_path, f"{HARD_M4} {theirs}", TYPED % definition)
    source = USES % definition.partition(" {")[0]
    path = extension(tmp_path, "gcc", f"{SOFTFP_M4} -fno-short-enums -fshort-wchar {ours}", source)
    severities = {d.code: d.severity for d in found(path, image)}
    assert severities == {code: "error" if code in expected else "warning" for code in (FLOAT, ENUM, WCHAR)}


def test_shared_objects_are_compared_too(tmp_path: Path) -> None:
    """They are linked, so that no relocation is looked at; floats and the rest matter as much."""
    obj = compiled(tmp_path, "gcc", f"{SOFTFP_M4} -fPIC -DLL_EXTENSION_BUILD", CALLS, "e.o")
    path = tmp_path / "e.llext"
    run(need("arm-none-eabi-ld"), "-shared", "--hash-style=sysv", "-zmax-page-size=16", obj, "-o", path)
    assert [(d.code, d.severity) for d in found(path, firmware(tmp_path, HARD_M4, MATHS))] == [("abi-float", "error")]
    assert found(path, firmware(tmp_path, SOFTFP_M4, MATHS)) == []
    code, text = llext("check", str(path), "--target", "cortex-m0plus")
    assert (code, "error[elf-target]" in text) == (3, True)


TARGETS = [
    # flags of the firmware, the target that has them: by the options of GCC, as LLEXT_TARGET sets them
    (HARD_M4, "cortex-m4f"),
    (SOFTFP_M4, "cortex-m4"),
    (f"-mcpu=cortex-m0 {SOFT}", "cortex-m0plus"),
    (f"-mcpu=cortex-m3 {SOFT}", "cortex-m3"),
    (f"-mcpu=cortex-m33 {SOFT}", "cortex-m33"),
    (RISCV[0], "rv32imac"),
]


@pytest.mark.parametrize(("flags", "name"), TARGETS)
def test_the_target_that_goes_with_a_firmware(flags: str, name: str, tmp_path: Path) -> None:
    arch = archs.load("arm" if "-mcpu" in flags else "riscv")
    assert arch.suited(cpu_of(firmware(tmp_path, flags))) == (name,)


def test_cures_lead_to_what_is_right(tmp_path: Path) -> None:
    """Each step of the way that the messages show, from a wrong target to an extension without a finding."""
    image = firmware(tmp_path, HARD_M4, MATHS)
    calls = CALLS.replace(" * 2", "")  # which would take a helper of the compiler
    soft = extension(tmp_path, "gcc", f"-mcpu=cortex-m4 {SOFT}", calls)
    code, text = llext("check", str(soft), "--exports", str(image), "--target", "cortex-m4")
    assert code == 13
    assert "`LLEXT_TARGET=cortex-m4f`" in text
    flags = " ".join(archs.target("cortex-m4f").cpu_flags)
    hard = extension(tmp_path, "gcc", flags, calls)
    code, text = llext("check", str(hard), "--exports", str(image), "--target", "cortex-m4")
    assert code == 3
    assert "help: the firmware is not for cortex-m4: give `--target cortex-m4f`" in " ".join(text.split())
    assert llext("check", str(hard), "--exports", str(image), "--target", "cortex-m4f")[0] == 0


def test_a_target_of_less_goes_with_a_firmware_of_more(tmp_path: Path) -> None:
    image = firmware(tmp_path, f"-mcpu=cortex-m4 {SOFT}", MATHS)
    path = extension(tmp_path, "gcc", f"-mcpu=cortex-m4 {SOFT}")
    code, text = llext("check", str(path), "--exports", str(image), "--target", "cortex-m3")
    assert (code, "compile it with `LLEXT_TARGET=cortex-m3`" in text) == (3, True)

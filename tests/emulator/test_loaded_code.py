"""What the loader has put into memory, run there: shared objects, stubs, thread-local storage, C++, and all samples.

Oracle: values that C and C++ give the sources, worked out by hand; the formulas of the ABIs and of the loader for
single words; GNU as for the instructions of a stub; pyelftools for what is in a file; the expectations of the samples.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from built import find
from cmake_project import Project, need_toolchain
from emulator.conftest import Build
from llext_tools import arch, toolchains
from llext_tools.abi.c import Known
from llext_tools.c.call import parse_call, parse_value, value_of
from llext_tools.c.types import DataModel, Value
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host import builtin
from llext_tools.host.function import HostFunction
from llext_tools.host.tables import read_exports
from llext_tools.link import link
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Llext, LoadParam, Runtime
from llext_tools.mem import PERM, Domain, Mem
from llext_tools.paths import include_dir, samples_dir
from needs import need
from samples import Sample, read_samples

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

FAR, NEAR = 0x0800_0100, 0x1FF0_0100
"""Where a host has its functions: out of the 16 MiB that a BL reaches from the heap, and inside of them."""

Functions = dict[str, HostFunction]


def weighted(*values: int) -> int:
    """A number that tells which argument was which."""
    total: int = sum(value * 7**i for i, value in enumerate(values))
    return total & 0x7FFF_FFFF


def host(target: str, start: int, *prototypes: str) -> tuple[ExportTable, Functions]:
    """A firmware's functions, which return ``weighted()`` of their arguments."""
    functions: Functions = {}
    for prototype in prototypes:
        name = re.findall(r"(\w+)\(", prototype)[0]
        functions[name] = HostFunction(name, prototype, lambda _guest, *values: weighted(*values))
    thumb = arch.load(arch.target(target).arch).thumb
    return ExportTable.of({name: start + 32 * i | thumb for i, name in enumerate(functions)}), functions


def run_tool(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Word(NamedTuple):
    """A relocation. ``value``: of the symbol, None where the file does not define it. ``section``: that it is for."""

    type: str
    offset: int
    addend: int
    symbol: str
    value: int | None
    section: str


CODES = {
    "EM_ARM": {
        2: "R_ARM_ABS32",
        10: "R_ARM_THM_CALL",
        21: "R_ARM_GLOB_DAT",
        22: "R_ARM_JUMP_SLOT",
        23: "R_ARM_RELATIVE",
        30: "R_ARM_THM_JUMP24",
        108: "R_ARM_TLS_LE32",
    },
    "EM_RISCV": {1: "R_RISCV_32", 3: "R_RISCV_RELATIVE", 5: "R_RISCV_JUMP_SLOT"},
}
"""aaelf32 (2024Q3), "Relocation codes"; RISC-V psABI, "Relocations"."""


def relocations(path: Path) -> Iterator[Word]:
    with path.open("rb") as file:
        elf = ELFFile(file)
        names = CODES[elf["e_machine"]]
        loaded = [section for section in elf.iter_sections() if section["sh_flags"] & 2]
        for table in elf.iter_sections():
            if not isinstance(table, RelocationSection):
                continue
            symbols = elf.get_section(table["sh_link"])
            for entry in table.iter_relocations():
                place = entry["r_offset"]
                if elf["e_type"] == "ET_DYN":
                    home = next(s for s in loaded if s["sh_addr"] <= place < s["sh_addr"] + s["sh_size"])
                else:
                    home = elf.get_section(table["sh_info"])
                at = place - home["sh_addr"]
                inside = int.from_bytes(home.data()[at : at + 4], "little")
                symbol = symbols.get_symbol(entry["r_info_sym"])
                value = None if symbol["st_shndx"] == "SHN_UNDEF" else symbol["st_value"]
                addend = entry["r_addend"] if table.is_RELA() else inside
                yield Word(names.get(entry["r_info_type"], "another"), place, addend, symbol.name, value, home.name)


def at(mem: Mem, address: int | None) -> LoadParam:
    """Put a region at an address, or leave the choice to the heap."""
    return LoadParam(place={} if address is None else {mem: address})


# ---- shared objects

SHARED = """\
#include <llext/host.h>
#include <llext/symbol.h>
extern int host_level;
int host_mix(int a, int b, int c, int d, int e);
int counted = 7;
static int hidden = 11;
int *const to_counted = &counted;
static int *volatile to_hidden = &hidden;
int zeros[3];
static volatile int order[8], ordered;
__attribute__((constructor(101))) static void first(void) { order[ordered++] = 1; }
__attribute__((constructor(102))) static void second(void) { order[ordered++] = 2; }
__attribute__((destructor)) static void last(void) { order[ordered++] = 9; counted = -1; }
int sum(int x)
{
    zeros[1] += x;
    return counted * 1000000 + *to_counted * 10000 + *to_hidden * 100 + zeros[1] + host_level;
}
int mixed(int a) { return host_mix(a, 2, 3, 4, 5) - host_mix(1, a, 1, 1, 1); }
int steps(void) { int all = 0; for (int i = 0; i < ordered; i++) all = all * 10 + order[i]; return all; }
int (*through)(int) = sum;
int call_through(int x) { return through(x); }
EXPORT_SYMBOL(sum); EXPORT_SYMBOL(mixed); EXPORT_SYMBOL(steps); EXPORT_SYMBOL(call_through); EXPORT_SYMBOL(counted);
"""

SCRIPT = """\
SECTIONS
{
  %s
  .init_array : { *(SORT(.init_array.*)) *(.init_array) }
  .fini_array : { *(.fini_array) }
  .exported_sym : { *(.exported_sym) }
  .data : { *(.data.rel.ro .data .data.*) }
  .got : { *(.got) }
  .got.plt : { *(.got.plt) }
  .bss : { *(.bss .bss.*) }
}
"""
CODE, CONSTANTS = ".text : { *(.text .text.*) } .plt : { *(.plt) }", ".rodata : { *(.rodata .rodata.*) }"
LAYOUTS = {
    "default": "",
    "code first": SCRIPT % f"{CODE} {CONSTANTS}",
    "constants first": SCRIPT % f". = SIZEOF_HEADERS; {CONSTANTS} {CODE}",
    "constants at 0": SCRIPT % f"{CONSTANTS} {CODE}",
}
SHARED_BY = [
    ("cortex-m4", "gcc", "default"),
    ("cortex-m7", "gcc", "constants first"),
    ("cortex-m33", "zig", "code first"),
    ("rv32imac", "zig", "code first"),
]
LEVEL_AT = 0x2008_0000
FORMULAS = {
    "R_ARM_RELATIVE": "B + A",
    "R_ARM_GLOB_DAT": "S",
    "R_ARM_JUMP_SLOT": "S",
    "R_ARM_ABS32": "S + A",
    "R_RISCV_RELATIVE": "B + A",
    "R_RISCV_JUMP_SLOT": "S",
    "R_RISCV_32": "S + A",
}
"""aaelf32 (2024Q3), "Dynamic relocations"; RISC-V psABI, "Relocations". The S of a Thumb function is odd."""


def shared(target: str, chain: str, layout: str, folder: Path) -> Path:
    """A shared object for a target, as a compiler driver would make it, or by a script."""
    found = find(target, chain)
    c, obj, out, script = (folder / f"shared.{end}" for end in ("c", "o", "llext", "ld"))
    c.write_text(SHARED)
    script.write_text(LAYOUTS[layout])
    flags = [*toolchains.flags(found.target, found.toolchain.name, "C"), "-g0", "-fPIC", f"-I{include_dir()}"]
    short = ["-mno-long-calls"] * (found.target.arch == "arm")  # the long ones go without a PLT
    run_tool(*found.toolchain.cc, *flags, *short, "-DLL_EXTENSION_BUILD", "-c", c, "-o", obj)
    options = ["-T", str(script), "-z", "norelro"] if LAYOUTS[layout] else []
    run_tool(*found.toolchain.ld, "-shared", *options, obj, "-o", out)
    return out


def on_host(target: str, folder: Path) -> tuple[Runtime, ExportTable]:
    """A firmware with what a shared object needs: a function far away, and a variable, which is 500."""
    found = find(target, "zig")
    c, obj, out = (folder / f"firmware.{end}" for end in ("c", "o", "elf"))
    c.write_text("int host_level = 500;\n")
    run_tool(*found.toolchain.cc, *toolchains.flags(found.target, "zig", "C"), "-g0", "-c", c, "-o", obj)
    run_tool(*found.toolchain.ld, f"--section-start=.data={LEVEL_AT:#x}", "--entry=0", obj, "-o", out)
    exports, functions = host(target, FAR, "int host_mix(int a, int b, int c, int d, int e)")
    exports = ExportTable.joined([exports, ExportTable.of({"host_level": LEVEL_AT})])
    return Runtime.on(target, exports=exports, functions=functions, firmware=[load_object(str(out))]), exports


@pytest.mark.parametrize("place", [None, 0x2000_8000, 0x2001_0114, 0x6000_0000], ids=["heap", "page", "word", "far"])
@pytest.mark.parametrize(("target", "chain", "layout"), SHARED_BY)
def test_shared_object(target: str, chain: str, layout: str, place: int | None, tmp_path: Path) -> None:
    """Each word that the loader writes is the ABI's, and the code does what C says."""
    path = shared(target, chain, layout, tmp_path)
    rt, exports = on_host(target, tmp_path)
    with rt:
        _, ext = rt.load(BufLoader(path.read_bytes()), "shared", at(Mem.TEXT, place))
        address = rt.get_region_info(ext, Mem.TEXT)[1]
        assert address is not None
        assert place in (None, address)
        base = address - min(section_addresses(path, executable=True))
        words = list(relocations(path))
        prefix = "R_ARM" if target.startswith("cortex") else "R_RISCV"
        assert {word.type for word in words} == {name for name in FORMULAS if name.startswith(prefix)}
        for word in words:
            S = base + (word.value or 0)
            if word.value is None and word.symbol:
                S = exports.by_name[word.symbol].address
            letters = {"B": base, "A": word.addend, "S": S}
            expected = sum(letters[letter] for letter in FORMULAS[word.type].split(" + "))
            assert int.from_bytes(rt.read(base + word.offset, 4), "little") == expected & 0xFFFF_FFFF, word
        rt.bringup(ext)
        assert rt.call(ext, "steps", "int steps(void)") == 12
        assert rt.call(ext, "sum", "int sum(int x)", 3) == 7_000_000 + 70_000 + 1_100 + 3 + 500
        assert rt.call(ext, "call_through", "int call_through(int x)", 4) == 7_000_000 + 70_000 + 1_100 + 7 + 500
        assert rt.call(ext, "mixed", "int mixed(int a)", 9) == weighted(9, 2, 3, 4, 5) - weighted(1, 9, 1, 1, 1)
        rt.teardown(ext)
        assert rt.call(ext, "steps", "int steps(void)") == 129
        assert rt.call(ext, "sum", "int sum(int x)", 0) == -1_000_000 - 10_000 + 1_100 + 7 + 500
        assert rt.unload(ext) == 0
        assert rt.heaps.data.empty


def section_addresses(path: Path, *, executable: bool) -> list[int]:
    with path.open("rb") as file:
        sections = [s for s in ELFFile(file).iter_sections() if s["sh_flags"] & 2]
        return [s["sh_addr"] for s in sections if bool(s["sh_flags"] & 4) == executable]


@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac"])
def test_lld_leaves_gaps_that_the_loader_refuses(target: str, tmp_path: Path) -> None:
    """By itself lld puts .data on pages behind .got: further from it in memory than in the file."""
    path = shared(target, "zig", "default", tmp_path)
    rt, _ = on_host(target, tmp_path)
    with rt, pytest.raises(LlextError) as caught:
        rt.load(BufLoader(path.read_bytes()), "shared")
    assert (caught.value.errno, caught.value.diagnostics[0].code) == ("ENOEXEC", "region-addresses")
    assert rt.heaps.data.empty


def test_what_is_at_address_0_is_a_null_pointer(tmp_path: Path) -> None:
    """Zephyr, arch/arm/core/elf.c: R_ARM_RELATIVE leaves a word that is 0. Here it is the name of an export, which
    sorting the table then compares."""
    path = shared("cortex-m4", "gcc", "constants at 0", tmp_path)
    names = [word for word in relocations(path) if word.type == "R_ARM_RELATIVE" and word.section == ".exported_sym"]
    assert 0 in {word.addend for word in names}
    rt, _ = on_host("cortex-m4", tmp_path)
    with rt, pytest.raises(LlextError) as caught:
        rt.load(BufLoader(path.read_bytes()), "shared")
    assert (caught.value.errno, caught.value.diagnostics[0].code) == ("", "load-undefined")


def test_relative_counts_from_the_code_on_risc_v(tmp_path: Path) -> None:
    """Zephyr, arch/riscv/core/elf.c: B is where TEXT is, which is the ABI's B only if the code is at address 0."""
    path = shared("rv32imac", "zig", "constants first", tmp_path)
    rt, _ = on_host("rv32imac", tmp_path)
    with rt:
        _, ext = rt.load(BufLoader(path.read_bytes()), "shared")
        text = rt.get_region_info(ext, Mem.TEXT)[1]
        assert text is not None
        code = min(section_addresses(path, executable=True))
        assert code > 0
        names = [
            word for word in relocations(path) if word.type == "R_RISCV_RELATIVE" and word.section == ".exported_sym"
        ]
        assert names
        for word in names:
            assert int.from_bytes(rt.read(text - code + word.offset, 4), "little") == ext.mem[Mem.TEXT] + word.addend
        assert rt.find_sym(ext.exp_tab, "sum") is None, "its name is looked for behind the names"


# ---- stubs for far calls

FAR_CALLS = """
int far_six(int a, int b, int c, int d, int e, int f);
long long far_wide(long long a, long long b);
int far_four(int a, int b, int c, int d);
int twice(int x) { return far_six(x, 2, 3, 4, 5, 6) - far_six(x + 1, 20, 30, 40, 50, 60); }
long long wide(long long x) { return far_wide(x, 0x1122334455667788) + 1; }
int tail(int a, int b, int c, int d) { return far_four(a, b, c, d); }
EXPORT_SYMBOL(twice); EXPORT_SYMBOL(wide); EXPORT_SYMBOL(tail);
"""
PROTOTYPES = (
    "int far_six(int a, int b, int c, int d, int e, int f)",
    "long long far_wide(long long a, long long b)",
    "int far_four(int a, int b, int c, int d)",
)
STUBS = {
    "cortex-m4": ("v7m", "ldr.w pc, [pc]\n.word {}"),
    "cortex-m33": ("v7m", "ldr.w pc, [pc]\n.word {}"),
    "cortex-m0plus": ("v6m", "push {{r4}}\nldr r4, [pc, #8]\nmov ip, r4\npop {{r4}}\nbx ip\nnop\n.word {}"),
}
"""The instructions: the reference, 2.11; GNU as has their codes."""
BRANCHES = ("R_ARM_THM_CALL", "R_ARM_THM_JUMP24")


def assembled(text: str, folder: Path) -> bytes:
    need("arm-none-eabi-as")
    source, obj = folder / "stub.s", folder / "stub.o"
    source.write_text(f".syntax unified\n.thumb\n{text}\n")
    run_tool("arm-none-eabi-as", "-mcpu=cortex-m3", source, "-o", obj)
    with obj.open("rb") as file:
        return bytes(ELFFile(file).get_section_by_name(".text").data())


def short_calls(target: str, build: Build, source: str = FAR_CALLS) -> ElfObject:
    return build(source, target, "gcc", "-g0", "-mno-long-calls")


def check_calls(rt: Runtime, ext: Llext) -> None:
    """Arguments in registers and on the stack arrive, and the results come back."""
    result = rt.call(ext, "twice", "int twice(int x)", 11)
    assert result == weighted(11, 2, 3, 4, 5, 6) - weighted(12, 20, 30, 40, 50, 60)
    assert rt.cpu is not None
    assert [call.arguments for call in rt.cpu.guest.calls] == [(11, 2, 3, 4, 5, 6), (12, 20, 30, 40, 50, 60)]
    x = 0x0123_4567_89AB_CDEF
    assert rt.call(ext, "wide", "long long wide(long long x)", x) == weighted(x, 0x1122_3344_5566_7788) + 1
    assert rt.call(ext, "tail", "int tail(int a, int b, int c, int d)", 1, 2, 3, 4) == weighted(1, 2, 3, 4)


@pytest.mark.parametrize("target", STUBS)
def test_far_calls_go_through_stubs(target: str, build: Build, tmp_path: Path) -> None:
    """One for each function that is called, however often; room is for each call."""
    veneers, text = STUBS[target]
    obj = short_calls(target, build)
    exports, functions = host(target, FAR, *PROTOTYPES)
    config = Config(veneers=veneers)  # type: ignore[arg-type]
    with Runtime.on(target, exports=exports, functions=functions, config=config) as rt:
        _, ext = rt.load(BufLoader(obj.image.tobytes()), "far")
        calls = [word for word in relocations(Path(obj.path)) if word.type in BRANCHES and word.value is None]
        order = list(dict.fromkeys(word.symbol for word in calls))
        assert (len(calls), sorted(order)) == (4, ["far_four", "far_six", "far_wide"])
        stubs = b"".join(assembled(text.format(exports.by_name[name].address), tmp_path) for name in order)
        table = rt.read(ext.mem[Mem.VENEER], ext.mem_size[Mem.VENEER])
        assert table == stubs + bytes(len(stubs) // 3)
        check_calls(rt, ext)
        assert rt.unload(ext) == 0
        assert rt.heaps.data.empty


def test_both_kinds_of_branches_are_tested(build: Build) -> None:
    words = {target: relocations(Path(short_calls(target, build).path)) for target in STUBS}
    found = {target: {word.type for word in each if word.type in BRANCHES} for target, each in words.items()}
    assert found["cortex-m4"] == set(BRANCHES)
    assert found["cortex-m0plus"] == {"R_ARM_THM_CALL"}, "it has no B.W"


@pytest.mark.parametrize("target", STUBS)
def test_near_calls_need_no_stubs(target: str, build: Build) -> None:
    exports, functions = host(target, NEAR, *PROTOTYPES)
    config = Config(veneers=STUBS[target][0])  # type: ignore[arg-type]
    with Runtime.on(target, exports=exports, functions=functions, config=config) as rt:
        _, ext = rt.load(BufLoader(short_calls(target, build).image.tobytes()), "near")
        assert not any(rt.read(ext.mem[Mem.VENEER], ext.mem_size[Mem.VENEER]))
        check_calls(rt, ext)


def refused(rt: Runtime, data: bytes, param: LoadParam | None = None) -> LlextError:
    """That a load fails because something is too far."""
    with pytest.raises(LlextError) as caught:
        rt.load(BufLoader(data), "refused", param)
    assert (caught.value.errno, caught.value.diagnostics[0].code) == ("ENOEXEC", "reloc-out-of-range")
    assert rt.heaps.data.empty
    return caught.value


@pytest.mark.parametrize("target", STUBS)
def test_far_calls_without_stubs(target: str, build: Build) -> None:
    """Without CONFIG_LLEXT_VENEERS, and where the stubs are too far away themselves."""
    data = short_calls(target, build).image.tobytes()
    exports, functions = host(target, FAR, *PROTOTYPES)
    with Runtime.on(target, exports=exports, functions=functions) as rt:
        found = refused(rt, data)
        text = " ".join(each.message for each in found.diagnostics)
        assert all(f"cannot reach `{name}`" in text for name in functions)
    config = Config(veneers=STUBS[target][0])  # type: ignore[arg-type]
    with Runtime.on(target, exports=exports, functions=functions, config=config) as rt:
        refused(rt, data, at(Mem.VENEER, 0x6000_0000))


ABSOLUTE_AT = 0x0800_0501
ABSOLUTE = """
int far_four(int a, int b, int c, int d);
__asm__(".global absolute\\nabsolute = {1:#x}");
void absolute(void);
int f(int x) {{ {0} return x; }}
EXPORT_SYMBOL(f);
"""


@pytest.mark.parametrize(
    ("calls", "missed"),
    [
        ("absolute(); x = far_four(x, 1, 1, 1);", FAR | 1),
        ("x = far_four(x, 1, 1, 1); absolute();", ABSOLUTE_AT),
    ],
)
def test_the_table_of_stubs_can_be_full(calls: str, missed: int, build: Build) -> None:
    """Room is counted for undefined functions only, but one of a known address takes it, too: whichever comes first."""
    data = short_calls("cortex-m4", build, ABSOLUTE.format(calls, ABSOLUTE_AT)).image.tobytes()
    exports, functions = host("cortex-m4", FAR, PROTOTYPES[2])
    with Runtime.on("cortex-m4", exports=exports, functions=functions, config=Config(veneers="v7m")) as rt:
        (only,) = refused(rt, data).diagnostics
        assert f"target {missed:#010x}" in only.detail[0]


# ---- thread-local storage

TLS = """
__thread int begun = 5;
__thread int first_zero;
__thread int many[4];
extern __thread int kernels;
void *begun_at(void) { return &begun; }
void *many_at(void) { return &many[2]; }
void *kernels_at(void) { return &kernels; }
int used(void) { return ++first_zero; }
EXPORT_SYMBOL(begun_at); EXPORT_SYMBOL(many_at); EXPORT_SYMBOL(kernels_at);
"""
THREAD = 0x2008_0000


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
def test_thread_local_variables_get_their_bare_offsets(target: str, build: Build) -> None:
    """The loader writes st_value + A, or what the firmware exports; the ABI adds the 8 bytes of the thread's control
    block (aaelf32, "Static TLS relocations"; addenda32, "TLS"). Nothing of the extension's own block is loaded."""
    obj = build(TLS, target, "gcc", "-g0", "-ftls-model=local-exec", "-fno-section-anchors")
    thumb = arch.load("arm").thumb
    exports = ExportTable.of({"__aeabi_read_tp": NEAR | thumb, "kernels": 0x24})
    pointer = HostFunction("__aeabi_read_tp", "void *__aeabi_read_tp(void)", lambda _guest: THREAD)
    with Runtime.on(target, exports=exports, functions={"__aeabi_read_tp": pointer}) as rt:
        _, ext = rt.load(BufLoader(obj.image.tobytes()), "tls", LoadParam(keep_section_info=True))
        words = [word for word in relocations(Path(obj.path)) if word.type == "R_ARM_TLS_LE32"]
        offsets = {word.symbol: 0x24 if word.value is None else word.value for word in words}
        assert offsets.keys() == {"begun", "first_zero", "many", "kernels"}
        address = rt.get_region_info(ext, Mem.TEXT)[1]
        assert address is not None
        for word in words:
            written = int.from_bytes(rt.read(address + word.offset, 4), "little")
            assert written == offsets[word.symbol] + word.addend
        for name, offset in (("begun", 0), ("many", 8), ("kernels", 0)):
            assert rt.call(ext, f"{name}_at", f"void *{name}_at(void)") == THREAD + offsets[name] + offset
        for section in (".tdata", ".tbss"):
            assert rt.get_section_info(ext, rt.section_shndx(ext, section))[1] is None
        (warning,) = ext.diagnostics
        assert (warning.code, "8 bytes too low" in warning.message) == ("reloc-deviates", True)


def test_the_abi_counts_from_the_control_block(build: Build) -> None:
    """By the profile `abi` a variable is 8 bytes further, where a compiler's own run-time library has it."""
    obj = build(TLS, "cortex-m4", "gcc", "-g0", "-ftls-model=local-exec", "-fno-section-anchors")
    exports = ExportTable.of({"__aeabi_read_tp": NEAR | 1, "kernels": 0x24})
    rt = Runtime(arch.load("arm"), exports=exports, profile="abi")
    _, ext = rt.load(BufLoader(obj.image.tobytes()), "tls")
    start = ext.mem[Mem.TEXT] + ext.regions[Mem.TEXT].prepad
    words = [word for word in relocations(Path(obj.path)) if word.type == "R_ARM_TLS_LE32" and word.value is not None]
    assert words
    for word in words:
        written = int.from_bytes(rt.space.view(start + word.offset, 4).tobytes(), "little")
        assert written == 8 + (word.value or 0) + word.addend


# ---- C++

ROOT = Path(samples_dir())
ZOO = r"""
#include <llext/host.h>
#include <llext/symbol.h>
namespace {
class Logged {
public:
    explicit Logged(int n) : n_(n) { printk("+%d ", n_); }
    ~Logged() { printk("-%d ", n_); }
    int value() const { return n_ * 10; }
private:
    int n_;
};
Logged first(1), second(2);
struct Shape {
    virtual int area() const = 0;
    virtual int weight() const { return 2 * area(); }
};
struct Square final : Shape {
    explicit Square(int side) : side_(side) {}
    int area() const override { return side_ * side_; }
    int side_;
};
struct Box : Shape {
    Box(int width, int height) : width_(width), height_(height) {}
    int area() const override { return width_ * height_; }
    int weight() const override { return 3 * area(); }
    int width_, height_;
};
Box box(2, first.value());
template <typename T> T biggest(T a, T b) { return a < b ? b : a; }
}
extern "C" void __cxa_pure_virtual() { abort(); }
extern "C" int zoo(int side)
{
    static Logged late(3);
    Square square(side);
    const Shape *volatile shapes[] = {&square, &box};
    int sum = 0;
    for (const Shape *shape : shapes) {
        sum += shape->area() * 1000 + shape->weight();
    }
    return sum + biggest(late.value(), second.value());
}
EXPORT_SYMBOL(zoo);
"""
ZOO_LISTS = """\
cmake_minimum_required(VERSION 3.25)
project(zoo LANGUAGES CXX)
find_package(LlextTools REQUIRED)
llext_add_extension(zoo SOURCES zoo.cpp)
"""
SAMPLES_BY = [("cortex-m4", "gcc"), ("rv32imac", "zig")]
Samples = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """``samples(target, chain)``: the folder in which all samples, and the C++ above, were built by CMake, once."""
    shared_by_workers = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared_by_workers = shared_by_workers.parent

    @cache
    def built(target: str, chain: str) -> Path:
        need_toolchain(target, chain)
        root = shared_by_workers / f"samples for {target}"
        with open(f"{root}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            project = Project(root)
            if not (root / "complete").exists():
                shutil.copytree(ROOT, root, dirs_exist_ok=True)
                (root / "zoo").mkdir(exist_ok=True)
                (root / "zoo" / "zoo.cpp").write_text(ZOO)
                (root / "zoo" / "CMakeLists.txt").write_text(ZOO_LISTS)
                with (root / "CMakeLists.txt").open("a") as lists:
                    lists.write("add_subdirectory(zoo)\n")
                project.configured(target, chain)
                project.built()
                (root / "complete").touch()
            return project.build_dir

    return built


@pytest.mark.cmake
@pytest.mark.parametrize(("target", "chain"), SAMPLES_BY)
def test_cpp(target: str, chain: str, samples: Samples) -> None:
    """Constructed at bringup in the order of the file, a local static at its first use; each destroyed once."""
    folder = samples(target, chain)
    with Runtime.on(target) as rt:
        path = folder / "zoo" / "zoo.llext"
        _, ext = rt.load(BufLoader(path.read_bytes()), "zoo")
        assert_linked(rt, ext, path, [])
        assert rt.output == ""
        rt.bringup(ext)
        assert rt.output == "+1 +2 "
        area, weight = 3 * 3 + 2 * 10, 2 * 9 + 3 * 20
        assert rt.call(ext, "zoo", "int zoo(int side)", 3) == 1000 * area + weight + 30
        assert rt.call(ext, "zoo", "int zoo(int side)", 0) == 1000 * 20 + 60 + 30
        assert rt.output == "+1 +2 +3 "
        rt.teardown(ext)
        ends = rt.output.removeprefix("+1 +2 +3 ").split()
        assert sorted(ends) == ["-1", "-2", "-3"]
        assert ends.index("-2") < ends.index("-1")  # GCC destroys local statics from a list of their own
        assert rt.unload(ext) == 0
        assert rt.heaps.data.empty


# ---- the samples


SAMPLES = tuple(read_samples())


def sample_runs() -> Iterator[Any]:
    """RISC-V does without the variant that uses short calls."""
    for target, chain in SAMPLES_BY:
        for sample in SAMPLES:
            if target.startswith("cortex") or not sample.extension.startswith("near_call"):
                yield pytest.param(target, chain, sample, id=f"{target}-{sample.name}")


def extension(folder: Path, sample: Sample, name: str) -> Path:
    return folder / sample.folder / f"{name}.llext"


def firmware_of(target: str, folder: Path, sample: Sample) -> Runtime:
    """The host that a sample runs on: the built-in one, one far away from the extension, or the sample's own."""
    if sample.exports:
        elf = folder / sample.folder / "firmware.elf"
        config = Config(heap_start=0x2010_0000)
        return Runtime.on(target, exports=read_exports(elf), firmware=[load_object(str(elf))], config=config)
    if sample.at:
        table = builtin.exports(arch.load(arch.target(target).arch))
        return Runtime.on(target, exports=table, config=Config(heap_start=int(sample.at, 0)))
    return Runtime.on(target)


def arguments(target: str, debug: Path, sample: Sample) -> tuple[str, str, list[Value | str | bytes]]:
    """Name, prototype and arguments of the sample's call."""
    call = parse_call(sample.call)
    cpu = arch.target(target)
    model = DataModel(cpu.bits, arch.load(cpu.arch).callconv.long_double)
    prototype = sample.prototype or str(Known(load_object(str(debug)), model).prototype(call.function))
    return call.function, prototype, [value_of(each, lambda _name: 0) for each in call.arguments]


@pytest.mark.cmake
@pytest.mark.parametrize(("target", "chain", "sample"), list(sample_runs()))
def test_sample(target: str, chain: str, sample: Sample, samples: Samples) -> None:
    """Loaded, brought up, called, torn down and unloaded, it does what its CMakeLists.txt says of `llext run`."""
    folder = samples(target, chain)
    names = [*sample.extensions.split(), sample.extension]
    with firmware_of(target, folder, sample) as rt:
        loaded: list[Llext] = []
        if sample.refused:
            with pytest.raises(LlextError) as caught:
                rt.load(BufLoader(extension(folder, sample, sample.extension).read_bytes()), sample.extension)
            text = "\n".join(f"{each.severity}[{each.code}]: {each.message}" for each in caught.value.diagnostics)
            assert re.search(sample.refused, text)
            return
        for name in names:
            _, ext = rt.load(BufLoader(extension(folder, sample, name).read_bytes()), name)
            assert_linked(rt, ext, extension(folder, sample, name), loaded)
            loaded.append(ext)
        for ext in loaded:
            rt.bringup(ext)
        debug = extension(folder, sample, sample.extension).with_suffix(".debug.elf")
        name, prototype, values = arguments(target, debug, sample)
        returned = rt.call(loaded[-1], name, prototype, *values)
        for ext in reversed(loaded):
            rt.teardown(ext)
            assert rt.unload(ext) == 0
        assert rt.heaps.data.empty
        assert sample.expect_return or sample.expect_output
        if sample.expect_return:
            assert returned == parse_value(sample.expect_return).value
        assert re.search(sample.expect_output, rt.output, re.MULTILINE)


def assert_linked(rt: Runtime, ext: Llext, path: Path, providers: list[Llext]) -> None:
    """What the loader left in memory is what `llext link` makes for these addresses; no deviation lies between them."""
    tables = [rt.exports, *(ExportTable.of({s.name or "": s.addr for s in each.exp_tab}) for each in providers)]
    regions = {mem: address for mem, address in ext.mem.items() if mem in PERM}
    image = link(load_object(str(path)), exports=ExportTable.joined(tables), domain=Domain(fixed=regions))
    assert image.mem.keys() == regions.keys()
    for mem, data in image.mem.items():
        assert rt.read(regions[mem], ext.mem_size[mem]) == data.tobytes(), mem
    assert not ext.diagnostics

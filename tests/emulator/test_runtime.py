"""The runtime that runs: bringup, calls, teardown, memory that is used again, on emulated Arm and RISC-V cores.

Oracle: C's own rules for what a source does; for error returns and orders Zephyr's ``subsys/llext/llext.c`` and
``llext_handlers.c``; for permissions ``llext_adjust_mmu_permissions()``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.cases import files
from emulator.conftest import Build
from emulator.failures import code, failure
from llext_tools import arch, toolchains
from llext_tools.elf.read import load_object
from llext_tools.errors import FaultError, LimitError, LlextError
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.link.exports import Export, ExportTable
from llext_tools.llext import BufLoader, Config, Level, Llext, LoadParam, Log, Runtime, Storage
from llext_tools.mem import Mem, Perm
from needs import need

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

TARGETS = ["cortex-m0plus", "cortex-m4f", "rv32imac", "rv64gc"]
ARRAYS = r"""
#define ARRAY(kind) __attribute__((section("." #kind "_array"), used)) static void (*const kind##_array[])(void)
static int steps;
static void early(void) { printk("early %d\n", ++steps); }
static void first(void) { printk("first %d\n", ++steps); }
static void second(void) { printk("second %d\n", ++steps); }
static void last(void) { printk("last %d\n", ++steps); }
static void very_last(void) { printk("very last %d\n", ++steps); }
ARRAY(preinit) = {early};
ARRAY(init) = {first, second};
ARRAY(fini) = {last, very_last};
void call(void) { printk("call %d\n", ++steps); } EXPORT_SYMBOL(call);
void entry(void *text) { printk("entry %s\n", (const char *)text); } EXPORT_SYMBOL(entry);
void hidden(void) { printk("hidden\n"); }
"""
VALUES = r"""
#include <stdint.h>
int add(int a, int b) { return a + b; } EXPORT_SYMBOL(add);
long long wide(char c, long long x, unsigned short s) { return x * c + s; } EXPORT_SYMBOL(wide);
double half(double x) { return x / 2; } EXPORT_SYMBOL(half);
int length(const char *text) { return (int)strlen(text); } EXPORT_SYMBOL(length);
const char *name(void) { return "a name"; } EXPORT_SYMBOL(name);
unsigned int *cell(unsigned int *p, unsigned int x) { *p = x; return p; } EXPORT_SYMBOL(cell);
void jump(void (*f)(void)) { f(); printk("back\n"); } EXPORT_SYMBOL(jump);
void loop(void) { for (;;) { __asm__ volatile(""); } } EXPORT_SYMBOL(loop);
int table[4] = {1, 2, 3, 4}; EXPORT_SYMBOL(table);
const int fixed[4] = {1, 2, 3, 4}; EXPORT_SYMBOL(fixed);
int fetch(const int *p) { return *p; } EXPORT_SYMBOL(fetch);
"""


def data_of(build: Build, source: str, target: str, *options: str) -> bytes:
    return Path(build(source, target, "gcc", *options).path).read_bytes()


Load = Callable[..., Llext]


@pytest.fixture
def load(build: Build) -> Load:
    """``load(runtime, source, name, loader options, param=...)``."""

    def loaded(rt: Runtime, source: str, name: str = "ext", param: LoadParam | None = None, **options: Any) -> Llext:
        assert rt.cpu is not None
        data = data_of(build, source, rt.cpu.target.name)
        rc, ext = rt.load(BufLoader(data, **options), name, param)
        assert rc == 0
        return ext

    return loaded


@pytest.mark.parametrize("target", TARGETS)
def test_a_whole_life(target: str, load: Load) -> None:
    """Each array is called in its own order; call_fn() alone calls no array."""
    with Runtime.on(target) as rt:
        ext = load(rt, ARRAYS)
        assert rt.call_fn(ext, "call") == 0
        assert rt.output == "call 1\n"
        assert rt.bringup(ext) == 0
        assert rt.call_fn(ext, "call") == 0
        assert rt.teardown(ext) == 0
        assert rt.unload(ext) == 0
        assert rt.output == "call 1\nearly 2\nfirst 3\nsecond 4\ncall 5\nlast 6\nvery last 7\n"


def test_call_fn_finds_exported_functions_only(load: Load) -> None:
    with Runtime.on("rv32imac") as rt:
        ext = load(rt, ARRAYS)
        error = failure(lambda: rt.call_fn(ext, "hidden"))
        assert error.errno == "ENOENT"
        assert error.diagnostics[0].detail == ("it exports `call`, `entry`",)
        assert code(lambda: rt.call(ext, "early")) == ("call-unknown", "ENOENT")
        rt.call(ext, "hidden")
        assert rt.output == "hidden\n"


@pytest.mark.parametrize("target", TARGETS)
def test_arguments_and_results(target: str, load: Load) -> None:
    with Runtime.on(target) as rt:
        ext = load(rt, VALUES)
        assert rt.call(ext, "add", "int add(int a, int b)", 40, 2) == 42
        wide = "long long wide(char c, long long x, unsigned short s)"
        assert rt.call(ext, "wide", wide, 3, -(1 << 40), 0xFFFF) == -3 * (1 << 40) + 0xFFFF
        assert rt.call(ext, "half", "double half(double x)", 2.5) == 1.25
        assert rt.call(ext, "length", "int length(const char *text)", "héllo") == len("héllo".encode())
        name = rt.call(ext, "name", "const char *name(void)")
        assert isinstance(name, int)
        assert rt.read(name, 7) == b"a name\0"
        place = rt.find_sym(ext.exp_tab, "table")
        assert place is not None
        rt.call(ext, "cell", "unsigned int *cell(unsigned int *p, unsigned int x)", place + 4, 0xCAFE)
        assert rt.read(place, 12) == b"".join(n.to_bytes(4, "little") for n in (1, 0xCAFE, 3))


def test_arguments_have_to_be_those_of_the_prototype(load: Load) -> None:
    with Runtime.on("cortex-m4f") as rt:
        ext = load(rt, VALUES)
        assert code(lambda: rt.call(ext, "add", "int add(int a, int b)", 1)) == ("call-syntax", "")
        assert code(lambda: rt.call(ext, "add", "int add(int a, ...)", 1)) == ("call-syntax", "")
        assert code(lambda: rt.call(ext, "add", "int add(int a")) == ("prototype-syntax", "")


def test_one_extension_calls_another(load: Load) -> None:
    using = "extern int base_add(int x); int use(int x) { return base_add(x) * 2; } EXPORT_SYMBOL(use);"
    offering = "static int base = 20; int base_add(int x) { return base += x; } EXPORT_SYMBOL(base_add);"
    with Runtime.on("rv64gc") as rt:
        base = load(rt, offering, "base")
        user = load(rt, using, "user")
        assert [provider.name for provider in user.dependency] == ["base"]
        assert rt.call(user, "use", "int use(int x)", 1) == 42
        assert rt.call(user, "use", "int use(int x)", 1) == 44
        rt.unload(user)
        assert rt.unload(base) == 0


@pytest.mark.parametrize("target", ["cortex-m0plus", "rv64gc"])
def test_memory_is_used_again(target: str, load: Load) -> None:
    """What the emulated CPU has translated at an address is forgotten when another extension comes there."""
    with Runtime.on(target) as rt:
        places = set()
        for n in (1, 2, 3):
            ext = load(rt, f"int number(void) {{ return {n}; }} EXPORT_SYMBOL(number);")
            places.add(rt.find_sym(ext.exp_tab, "number"))
            assert rt.call(ext, "number", "int number(void)") == n
            rt.unload(ext)
        assert len(places) == 1


def test_code_that_is_written_is_run(load: Load) -> None:
    """By the host, and by a function of the host's that the extension calls: `movs r0, #n; bx lr`."""
    source = """
    int number(void) { return 1; } EXPORT_SYMBOL(number);
    void patch(void *to, unsigned int code) { memcpy(to, &code, 4); } EXPORT_SYMBOL(patch);
    """
    with Runtime.on("cortex-m4f") as rt:
        ext = load(rt, source)
        place = rt.find_sym(ext.exp_tab, "number")
        assert place is not None
        assert rt.call(ext, "number", "int number(void)") == 1
        rt.write(place - 1, bytes.fromhex("2a207047"))
        assert rt.call(ext, "number", "int number(void)") == 0x2A
        rt.call(ext, "patch", "void patch(void *to, unsigned int code)", place - 1, 0x4770_202B)
        assert rt.call(ext, "number", "int number(void)") == 0x2B


# ---- function tables

OUTSIDE = r"""
#define ARRAY(kind) __attribute__((section("." #kind "_array"), used)) static void *const kind##_array[]
static int variable;
void good(void) { printk("good\n"); } EXPORT_SYMBOL(good);
void entry(void *p) { printk("entry\n"); } EXPORT_SYMBOL(entry);
ARRAY(preinit) = {(void *)good};
ARRAY(init) = {(void *)good, &variable, (void *)good};
ARRAY(fini) = {(void *)good, &variable};
"""


@pytest.mark.parametrize(("profile", "called"), [("zephyr-next", 2), ("zephyr-4.2", 0)])
@pytest.mark.parametrize("target", ["cortex-m0plus", "rv32imac"])
def test_a_pointer_outside_of_text(target: str, profile: str, called: int, load: Load) -> None:
    """Newer loaders look at a pointer right before they call it, older ones at all of them first."""
    with Runtime.on(target, profile=profile) as rt:
        ext = load(rt, OUTSIDE)
        error = failure(lambda: rt.bringup(ext))
        assert (error.diagnostics[0].code, error.errno) == ("run-bringup", "EFAULT")
        assert error.diagnostics[0].message.startswith("function 2 for bringup is at 0x")
        assert rt.output == "good\n" * called
        assert code(lambda: rt.teardown(ext)) == ("run-bringup", "EFAULT")
        assert rt.output == "good\n" * (called + bool(called))


@pytest.mark.parametrize("profile", ["zephyr-next", "zephyr-4.2"])
def test_bootstrap_ends_where_bringup_fails(profile: str, load: Load) -> None:
    with Runtime.on("rv32imac", profile=profile, log=Log()) as rt:
        ext = load(rt, OUTSIDE)
        rt.bootstrap(ext, "entry", 0)
        assert "entry" not in rt.output
        assert [line.level for line in rt.log.lines] == [Level.ERR, Level.ERR]
        assert "EFAULT" in rt.log.lines[1].text
        rt.bootstrap(None, "entry", 0)
        assert "EINVAL" in rt.log.lines[2].text


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_bootstrap_calls_what_it_is_given(target: str, load: Load) -> None:
    """By its name, by its address, or a function of the host's; in between bringup and teardown."""
    frame = "early 1\nfirst 2\nsecond 3\n{}last 4\nvery last 5\n"
    said: list[object] = []
    with Runtime.on(target) as rt:

        def host(argument: object) -> None:
            said.append((argument, rt.output.count("second 3"), rt.output.count("last 4")))

        for kind, print_of_entry in (("name", True), ("address", True), ("host", False)):
            ext = load(rt, ARRAYS)
            printed = len(rt.output)
            address = rt.find_sym(ext.exp_tab, "entry")
            assert address is not None
            entries: dict[str, Any] = {"name": "entry", "address": address, "host": host}
            rt.bootstrap(ext, entries[kind], "an argument")
            assert rt.output[printed:] == frame.format("entry an argument\n" * print_of_entry)
            rt.unload(ext)
    assert said == [("an argument", 3, 2)]


def test_bootstrap_logs_what_teardown_finds(load: Load) -> None:
    source = OUTSIDE.replace("ARRAY(init) = {(void *)good, &variable, (void *)good};", "")
    with Runtime.on("cortex-m4f", log=Log()) as rt:
        ext = load(rt, source)
        rt.bootstrap(ext, "entry", 0)
        assert rt.output == "good\nentry\ngood\n"
        assert "teardown" in rt.log.lines[-1].text
        assert code(lambda: rt.bootstrap(ext, "nothing")) == ("call-unknown", "ENOENT")


def test_a_fault_in_a_constructor_is_no_error_return(load: Load) -> None:
    source = "__attribute__((constructor)) static void wrong(void) { *(volatile int *)4 = 1; } EXPORT_SYMBOL(printk);"
    with Runtime.on("cortex-m4f", log=Log()) as rt:
        ext = load(rt, source.replace("EXPORT_SYMBOL(printk);", "void entry(void *p) {} EXPORT_SYMBOL(entry);"))
        for call in (lambda: rt.bringup(ext), lambda: rt.bootstrap(ext, "entry")):
            error = failure(call)
            assert isinstance(error, FaultError)
            assert error.errno == ""
            assert error.diagnostics[0].message == "`wrong` writes 4 bytes at 0x00000004, where there is no memory"
        assert not rt.log.lines


TABLE = r"""
#define ARRAY(kind) __attribute__((section("." #kind "_array"), used)) static void (*const kind##_array[])(void)
void one(void) {} EXPORT_SYMBOL(one);
void two(void) {} EXPORT_SYMBOL(two);
void three(void) {} EXPORT_SYMBOL(three);
ARRAY(preinit) = {three};
ARRAY(init) = {two, one};
ARRAY(fini) = {two};
"""


@pytest.mark.parametrize("target", TARGETS)
def test_the_function_table(target: str, load: Load) -> None:
    """PREINIT in front of INIT; sizes in bytes."""
    word = arch.target(target).bits // 8
    with Runtime.on(target) as rt:
        ext = load(rt, TABLE)
        one, two, three = (rt.find_sym(ext.exp_tab, name) for name in ("one", "two", "three"))
        assert rt.get_fn_table(ext, True)[0] == 3 * word
        assert rt.get_fn_table(ext, True, 3 * word) == (3 * word, (three, two, one))
        assert rt.get_fn_table(ext, False, 100) == (word, (two,))
        assert code(lambda: rt.get_fn_table(ext, True, 3 * word - 1)) == ("fn-table-small", "ENOMEM")
        assert rt.get_fn_table_entry(ext, True) == 3 * word
        assert [rt.get_fn_table_entry(ext, True, i) for i in range(3)] == [three, two, one]
        assert code(lambda: rt.get_fn_table_entry(ext, True, 3)) == ("fn-table-small", "EINVAL")


def test_the_function_table_of_wrong_pointers(load: Load) -> None:
    with Runtime.on("rv32imac") as rt:
        ext = load(rt, OUTSIDE)
        assert rt.get_fn_table(ext, True)[0] == 16
        assert code(lambda: rt.get_fn_table(ext, True, 16)) == ("run-bringup", "EFAULT")
        assert rt.get_fn_table_entry(ext, True, 1)
        assert code(lambda: rt.get_fn_table_entry(ext, True, 2)) == ("run-bringup", "EFAULT")


def test_no_extension(load: Load) -> None:
    with Runtime.on("cortex-m4f") as rt:
        for call in (rt.bringup, rt.teardown):
            assert code(call, None) == ("no-extension", "EINVAL")
        assert code(lambda: rt.get_fn_table(None, True)) == ("no-extension", "EINVAL")
        assert code(lambda: rt.get_fn_table_entry(None, False, 0)) == ("no-extension", "EINVAL")
        gone = load(rt, ARRAYS)
        rt.unload(gone)
        for name in ("bringup", "teardown"):
            assert code(getattr(rt, name), gone) == ("no-extension", "EINVAL")
        assert code(lambda: rt.call_fn(gone, "call")) == ("no-extension", "EINVAL")


# ---- what goes wrong


@pytest.mark.parametrize("target", TARGETS)
def test_after_a_fault_all_goes_on(target: str, load: Load) -> None:
    with Runtime.on(target) as rt:
        ext = load(rt, VALUES)
        for _ in range(3):
            error = failure(lambda: rt.call(ext, "cell", "unsigned *cell(unsigned *p, unsigned x)", 16, 1))
            found = error.diagnostics[0]
            assert found.code == "run-fault"
            assert found.message == "`cell` writes 4 bytes at 0x00000010, where there is no memory"
            assert found.location is not None
            assert (found.location.file, found.location.section, found.location.function) == ("ext", ".text", "cell")
            assert rt.cpu is not None
            assert ext.mem[Mem.TEXT] <= rt.cpu.registers["pc"] < ext.mem[Mem.TEXT] + ext.mem_size[Mem.TEXT]
            failure(lambda: rt.call(ext, "jump", "void jump(void *f)", 0))
            assert rt.call(ext, "add", "int add(int a, int b)", 1, 2) == 3


def test_a_host_function_may_catch_a_fault_of_what_it_calls(load: Load) -> None:
    """The function that called the host goes on as if nothing had been."""
    source = """
    extern int attempt(int x);
    int wrong(int x) { return *(volatile int *)(long)x; } EXPORT_SYMBOL(wrong);
    int outer(int a, int b, int c) { int x = attempt(4); return a + 10 * b + 100 * c + 1000 * x; } EXPORT_SYMBOL(outer);
    """
    caught: list[str] = []

    def attempt(guest: Guest, x: int) -> int:
        try:
            rt.call(ext, "wrong", "int wrong(int x)", x)
        except FaultError as error:
            caught.append(str(error))
        return 7

    for target in ("cortex-m4f", "rv64gc"):
        own = HostFunction("attempt", "int attempt(int x)", attempt)
        table = ExportTable.of({"attempt": 0x1FF0_0001 if target == "cortex-m4f" else 0x1FF0_0000})
        with Runtime.on(target, exports=table, functions={"attempt": own}) as rt:
            ext = load(rt, source)
            assert rt.call(ext, "outer", "int outer(int a, int b, int c)", 1, 2, 3) == 7321
    assert caught == ["`wrong` reads 4 bytes at 0x00000004, where there is no memory"] * 2


def test_each_call_has_the_time_anew(load: Load) -> None:
    with Runtime.on("rv32imac", timeout=0.15) as rt:
        ext = load(rt, VALUES)
        for _ in range(2):
            error = failure(lambda: rt.call(ext, "loop"))
            assert isinstance(error, LimitError)
            assert error.diagnostics[0].code == "run-timeout"
            assert rt.call(ext, "add", "int add(int a, int b)", 1, 2) == 3


def test_an_export_without_code(load: Load) -> None:
    source = "extern int sensor(int x); int use(void) { return sensor(3); } EXPORT_SYMBOL(use);"
    table = ExportTable(source="board", symbols=(Export("sensor", 0x0800_1001, "func", "int sensor(int x)"),))
    with Runtime.on("cortex-m4f", exports=table) as rt:
        ext = load(rt, source)
        error = failure(lambda: rt.call(ext, "use", "int use(void)"))
        assert error.diagnostics[0].code == "run-missing-code"
        assert error.diagnostics[0].message == "`use` calls `sensor`, which has an address but no code here"


# ---- memory


def ranges(rt: Runtime) -> set[tuple[int, int, Perm]]:
    return set(rt.mapped)


@pytest.mark.parametrize("storage", list(Storage))
@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_nothing_stays_mapped(target: str, storage: Storage, load: Load) -> None:
    """Whatever is used of the ELF buffer in place is memory of the CPU, and only as long."""
    rt = Runtime.on(target)
    before = ranges(rt)
    for _ in range(3):
        first = load(rt, ARRAYS, "first", storage=storage)
        second = load(rt, VALUES, "second", storage=storage)
        in_place = {mem for mem, on_heap in first.mem_on_heap.items() if not on_heap and mem <= Mem.FINI}
        assert bool(in_place) == (storage is not Storage.TEMPORARY)
        rt.bringup(first)
        assert rt.call(second, "add", "int add(int a, int b)", 1, 2) == 3
        assert bool(ranges(rt) - before) == bool(in_place)
        rt.teardown(first)
        assert rt.unload(first) == rt.unload(second) == 0
        assert ranges(rt) == before
    assert rt.heaps.data.empty
    assert rt.output.count("very last 5\n") == 3
    rt.close()
    assert not rt.mapped
    rt.close()
    assert code(lambda: rt.call_fn(first, "call")) == ("usage", "")


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
@pytest.mark.parametrize(
    "config",
    [
        Config(heap="memblk", heap_start=0x2000_0000, memblk_block_size=64),
        Config(harvard=True, heap_start=0x2000_0010, heap_size=0x3001, instr_heap_size=0x4000),
        Config(heap_start=0x8000_0000, heap_size=0x8000),
        Config(heap_start=0x20, heap_size=0x1_0000),
    ],
    ids=["memblk", "harvard", "far", "low"],
)
def test_heaps_of_all_kinds(config: Config, target: str, load: Load) -> None:
    if config.heap_start >= 0x4000_0000 and target == "cortex-m4f":
        config = config._replace(heap_start=0x3800_0000)  # a Cortex-M executes nothing from 0x40000000 on
    with Runtime.on(target, config=config) as rt:
        ext = load(rt, ARRAYS)
        rt.bootstrap(ext, "entry", "x")
        assert rt.output.endswith("entry x\nlast 4\nvery last 5\n")
        assert rt.unload(ext) == 0


def test_a_dynamic_heap(load: Load) -> None:
    with Runtime.on("rv32imac", config=Config(heap="dynamic")) as rt:
        before = ranges(rt)
        rt.heap_init(0x2100_0000, 0x8000)
        ext = load(rt, ARRAYS)
        rt.call_fn(ext, "call")
        assert rt.unload(ext) == 0
        assert (0x2100_0000, 0x2100_8000, Perm.R | Perm.W | Perm.X) in ranges(rt)
        rt.heap_uninit()
        assert ranges(rt) == before


def test_regions_at_given_places_may_share_a_page(load: Load) -> None:
    places = {Mem.TEXT: 0x2200_01C4, Mem.RODATA: 0x2200_0800, Mem.DATA: 0x2200_0F00, Mem.BSS: 0x2200_0FF8}
    source = r"""
    int data = 5; static int zero;
    int f(int x) { zero += x; data += zero; printk("%d %d\n", data, zero); return data; } EXPORT_SYMBOL(f);
    """
    with Runtime.on("cortex-m4f") as rt:
        before = ranges(rt)
        ext = load(rt, source, param=LoadParam(place=places))
        assert [rt.call(ext, "f", "int f(int x)", 1) for _ in range(3)] == [6, 8, 11]
        assert rt.output == "6 1\n8 2\n11 3\n"
        assert rt.read(places[Mem.BSS], 4) == (3).to_bytes(4, "little")
        rt.unload(ext)
        assert ranges(rt) == before


# ---- permissions of supervisor code

PAGES = Config(protection="page")


CELL = "unsigned *cell(unsigned *p, unsigned x)"


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_an_mmu_has_the_permissions_that_the_loader_sets(target: str, load: Load) -> None:
    """TEXT can be executed and not written, RODATA read only, the rest not executed; RW again when it is freed."""
    with Runtime.on(target, config=PAGES) as rt:
        before = ranges(rt)
        for _ in range(2):
            ext = load(rt, VALUES)
            perms = perms_of(rt, ext)
            assert perms[Mem.TEXT] == Perm.R | Perm.X
            assert perms[Mem.RODATA] == Perm.R
            assert {perms[mem] for mem in perms if mem not in (Mem.TEXT, Mem.RODATA)} == {Perm.R | Perm.W}
            check_permissions(rt, ext)
            assert rt.unload(ext) == 0
            assert ranges(rt) == before


def check_permissions(rt: Runtime, ext: Llext) -> None:
    """By what the CPU does, and what it says."""
    fixed, table, add = (rt.find_sym(ext.exp_tab, name) or 0 for name in ("fixed", "table", "add"))
    rt.call(ext, "cell", CELL, table, 1)
    for place, region in ((fixed, "RODATA (read-only)"), (add & ~1, "TEXT (code, read-only)")):
        found = failure(rt.call, ext, "cell", CELL, place, 1).diagnostics[0]
        assert found.message == f"`cell` writes 4 bytes at {place:#010x}, which is not writable"
        assert region in found.detail[1]
    pointer = table | (rt.arch.name == "arm")
    found = failure(lambda: rt.call(ext, "jump", "void jump(void *f)", pointer)).diagnostics[0]
    assert found.message == f"`jump` jumps to {table:#010x}, which is not executable"


def perms_of(rt: Runtime, ext: Llext) -> dict[Mem, Perm]:
    """The permissions of the pages where regions start."""
    return {mem: perm for mem, at in ext.mem.items() for start, end, perm in rt.mapped if start <= at < end}


def test_permissions_outlast_new_neighbours(load: Load) -> None:
    """Memory that shares a page with the end of the heap makes the emulator's memory of the heap another one."""
    with Runtime.on("rv32imac", config=PAGES._replace(heap_size=0x2_0100)) as rt:
        ext = load(rt, VALUES, "first")
        perms = perms_of(rt, ext)
        other = load(rt, ARRAYS, "second", LoadParam(place={Mem.BSS: 0x2002_0800}))
        assert rt.call(ext, "add", "int add(int a, int b)", 1, 2) == 3
        rt.bringup(other)
        assert perms_of(rt, ext) == perms
        check_permissions(rt, ext)


def test_code_at_a_given_place_runs_on_an_mmu_as_well(load: Load) -> None:
    """Where no page begins, and other memory may share the page: it stays writable."""
    with Runtime.on("rv64gc", config=PAGES) as rt:
        before = ranges(rt)
        ext = load(rt, VALUES, param=LoadParam(place={Mem.TEXT: 0x2200_0010, Mem.DATA: 0x2200_0800}))
        assert rt.call(ext, "add", "int add(int a, int b)", 1, 2) == 3
        rt.call(ext, "cell", CELL, rt.find_sym(ext.exp_tab, "table") or 0, 1)
        assert perms_of(rt, ext)[Mem.TEXT] == Perm.R | Perm.W | Perm.X
        rt.unload(ext)
        assert ranges(rt) == before


def test_without_protection_all_ram_is_alike(load: Load) -> None:
    """No MPU: constants can be written and data executed."""
    with Runtime.on("cortex-m4f") as rt:
        ext = load(rt, VALUES)
        fixed, table = (rt.find_sym(ext.exp_tab, name) or 0 for name in ("fixed", "table"))
        rt.call(ext, "cell", "unsigned *cell(unsigned *p, unsigned x)", fixed, 9)
        assert rt.call(ext, "fetch", "int fetch(int *p)", fixed) == 9
        rt.write(table, bytes.fromhex("704700bf"))  # bx lr
        rt.call(ext, "jump", "void jump(void *f)", table | 1)
        assert rt.output == "back\n"


def test_a_shared_object_on_an_mmu(tmp_path: Path) -> None:
    """Its pages with code are read and executed, the others are not executed."""
    source = tmp_path / "shared.c"
    source.write_text(
        "int number = 5; static int count;\n"
        '__attribute__((visibility("default"))) int f(int x) { return x + number + count++; }\n'
        "struct symbol { const char *name; void *address; };\n"
        '__attribute__((section(".exported_sym"), used)) static const struct symbol entry = {"f", (void *)f};\n'
    )
    gcc = need("arm-none-eabi-gcc")
    flags = ["-mcpu=cortex-m4", "-mthumb", "-O1", "-fPIC", "-shared", "-nostdlib", "-Wl,-z,max-page-size=4096"]
    out = tmp_path / "shared.so"
    subprocess.run([gcc, *flags, str(source), "-o", str(out)], check=True, capture_output=True)
    with Runtime.on("cortex-m4f", config=PAGES) as rt:
        before = ranges(rt)
        ext = rt.load(BufLoader(out.read_bytes()), "shared")[1]
        perms = perms_of(rt, ext)
        assert perms[Mem.TEXT] == Perm.R | Perm.X
        assert perms[Mem.DATA] == perms[Mem.BSS] == Perm.R | Perm.W
        assert [rt.call(ext, "f", "int f(int x)", 1) for _ in range(2)] == [6, 7]
        assert rt.unload(ext) == 0
        assert ranges(rt) == before


def test_an_arm_mpu_executes_no_ram_outside_of_a_domain(load: Load) -> None:
    """REGION_RAM_ATTR of Zephyr's MPU tables is execute-never, for the kernel's threads as well."""
    with Runtime.on("cortex-m4f", config=Config(protection="mpu-pow2")) as rt:
        ext = load(rt, VALUES)
        found = failure(lambda: rt.call(ext, "add", "int add(int a, int b)", 1, 2)).diagnostics[0]
        assert "in region TEXT of `ext`: the MPU lets no RAM be executed" in found.message
        assert "add_domain()" in found.help
        domain = rt.mem_domain()
        rt.add_domain(ext, domain)
        assert rt.call(ext, "add", "int add(int a, int b)", 1, 2, domain=domain, user=False) == 3
        cell = "unsigned *cell(unsigned *p, unsigned x)"
        fixed, table = (rt.find_sym(ext.exp_tab, name) or 0 for name in ("fixed", "table"))
        rt.call(ext, "cell", cell, table, 9, domain=domain, user=False)
        free = rt.heaps.data.start + rt.heaps.data.size - 64
        rt.call(ext, "cell", cell, free, 9, domain=domain, user=False)  # RAM that is in no partition
        message = str(failure(lambda: rt.call(ext, "cell", cell, fixed, 9, domain=domain, user=False)))
        assert message.endswith("in region RODATA of `ext`: partition RODATA allows only reading")


# ---- firmware

FIRMWARE = r"""
int calls;
unsigned char heap[0x8000] __attribute__((section(".noinit"), aligned(8)));
const int curve[3000] = {1, 2, 3};
int scale(int x) { calls++; return 3 * x; }
void _start(void) {}
"""


def test_a_firmware_runs_its_own_code(tmp_path: Path, load: Load) -> None:
    """Its exports have code in its flash, and the loader's heap is an array in its RAM."""
    target = arch.target("cortex-m4f")
    tools = toolchains.find(target, "gcc")
    source, obj, image = (tmp_path / f"firmware.{end}" for end in ("c", "o", "elf"))
    source.write_text(FIRMWARE)
    subprocess.run([*tools.cc, *target.cpu_flags, "-O1", "-c", str(source), "-o", str(obj)], check=True)
    places = [
        "--section-start=.rodata=0x08010000",
        "-Ttext=0x08000000",
        "-Tbss=0x20000004",
        "--section-start=.noinit=0x20000108",
        "--no-warn-rwx-segments",
    ]
    subprocess.run([*tools.ld, *places, str(obj), "-o", str(image)], check=True)
    firmware = load_object(str(image))
    table = firmware.symbols
    symbols = {table.name(i): int(table.value[i]) for i in range(len(table.value))}
    config = Config(heap_start=symbols["heap"], heap_size=0x8000)
    exports = ExportTable.of({"scale": symbols["scale"]})
    with Runtime.on("cortex-m4f", exports=exports, firmware=[firmware], config=config) as rt:
        ext = load(rt, "extern int scale(int x); int f(int x) { return scale(x) + 1; } EXPORT_SYMBOL(f);")
        assert symbols["heap"] < ext.mem[Mem.TEXT] < symbols["heap"] + 0x8000
        assert rt.call(ext, "f", "int f(int x)", 5) == 16
        assert rt.call(ext, "f", "int f(int x)", 6) == 19
        assert rt.read(symbols["calls"], 4) == (2).to_bytes(4, "little")
        other = load(rt, "".join(line for line in VALUES.splitlines(True) if re.search("cell|fetch", line)), "other")
        assert rt.call(other, "fetch", "int fetch(const int *p)", symbols["curve"] + 8) == 3
        found = failure(rt.call, other, "cell", CELL, symbols["curve"] + 0x1000, 1).diagnostics[0]
        assert found.message.endswith("which is not writable")
        assert found.detail[1].endswith(
            "is `curve`+0x1000, .rodata+0x1000, section .rodata of firmware.elf (read-only)"
        )


# ---- a runtime without a CPU


def test_a_runtime_that_only_loads(build: Build) -> None:
    rt = Runtime(arch.load("riscv"), 32, exports=ExportTable.of({"printk": 0x2010_0000, "memcpy": 0x2010_0010}))
    ext = rt.load(BufLoader(data_of(build, ARRAYS, "rv32imac")), "ext")[1]
    assert rt.get_fn_table(ext, True)[0] == 12
    assert code(lambda: rt.call_fn(ext, "call")) == ("usage", "")
    assert code(lambda: rt.bringup(ext)) == ("usage", "")
    assert (rt.mapped, rt.output) == ((), "")
    rt.close()
    assert rt.unload(ext) == 0


def test_loading_imports_no_emulator() -> None:
    probe = """
import sys
from llext_tools.llext import Config, Runtime
from llext_tools import arch
Runtime(arch.load("arm"))
heavy = ("unicorn", "elftools", "llext_tools.machine", "llext_tools.host")
print([name for name in sys.modules if name.startswith(heavy)])
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_buffers_keep_out_of_the_hosts_way() -> None:
    """An export where buffers go by default: the next free place is taken, and a buffer put there is refused."""
    data = files()["ptrs_arm_gcc/e.llext"]
    table = ExportTable.of({"printk": 0x3000_0101, "puts_k": 0x0800_0201, "ext": 0x0800_0401})
    with Runtime.on("cortex-m4", exports=table) as rt:
        at_first = rt.mapped
        loader = BufLoader(data, Storage.PERSISTENT)
        ext = rt.load(loader, "e")[1]
        assert loader.address is not None
        assert loader.address > 0x3000_0FFF
        assert rt.unload(ext) == 0
        with pytest.raises(LlextError) as info:
            rt.load(BufLoader(data, Storage.PERSISTENT, address=0x3000_0000), "e")
        assert info.value.diagnostics[0].code == "place-overlap"
        assert list(rt) == []
        assert rt.heaps.data.empty
        again = rt.load(BufLoader(data, Storage.PERSISTENT), "e")[1]
        assert rt.unload(again) == 0
        assert rt.mapped == at_first


def test_a_buffer_of_two_extensions_stays_for_the_second() -> None:
    loader = BufLoader(files()["ptrs_arm_gcc/e.llext"], Storage.PERSISTENT)
    table = ExportTable.of({"printk": 0x0800_0101, "puts_k": 0x0800_0201, "ext": 0x0800_0401})
    with Runtime.on("cortex-m4", exports=table) as rt:
        at_first = rt.mapped
        first, second = rt.load(loader, "a")[1], rt.load(loader, "b")[1]
        assert rt.unload(first) == 0
        assert loader.address is not None
        assert rt.read(loader.address, 4) == b"\x7fELF"
        assert rt.unload(second) == 0
        assert rt.mapped == at_first
        with pytest.raises(LlextError) as info:
            rt.unload(first)
        assert (info.value.errno, info.value.diagnostics[0].code) == ("EINVAL", "no-extension")

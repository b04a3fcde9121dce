"""Faults as a person reads them: the backtrace, and which relocation wrote the word that went wrong.

Expected: the C source says who calls whom and what is in the words; ``readelf -r`` which relocations there are.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import built
import fw
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.cli import main
from llext_tools.diag import Diagnostic
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.host.tables import exports_of
from llext_tools.run import Limits, RunResult, Setup, load, run
from needs import need

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = r"""
#define FN __attribute__((noinline, noclone)) int
static volatile int counter;
static const int limits[3] = {1, 2, 3};
static int tick(int n) { return n + 1; }
static int tock(int n) { return n + 2; }
static struct { char name[8]; int (*handlers[3])(int); } table = {"ticks", {tick, tock, (int (*)(int))limits}};
int *const pointers[2] = {(int *)limits, (int *)&counter};

FN dispatch(int i) { int x = table.handlers[i](i); counter++; return x; }
FN fill(int n, int byte) { for (int i = 0; i < n; i++) { ((volatile char *)table.name)[i] = byte; } return n; }
FN store(int i) { *(volatile int *)pointers[i] = 3; counter++; return i; }
FN direct(int n) { int x = ((int (*)(int))limits)(n); counter++; return x; }
FN jumps(int i) { return table.handlers[i](i); }
FN near(int i) { int x = jumps(i); counter++; return x; }
FN outer(int (*f)(int), int n) { int x = f(n); counter++; return x; }

int overflow(void) { fill(8 + 2 * sizeof(void *), 0x41); int x = outer(dispatch, 1); counter++; return x; }
EXPORT_SYMBOL(overflow);
int cleared(void) { fill(sizeof table, 0); int x = outer(dispatch, 2); counter++; return x; } EXPORT_SYMBOL(cleared);
int not_code(void) { int x = outer(dispatch, 2); counter++; return x; } EXPORT_SYMBOL(not_code);
int constant(void) { int x = outer(store, 0); counter++; return x; } EXPORT_SYMBOL(constant);
int data_call(void) { int x = outer(direct, 0); counter++; return x; } EXPORT_SYMBOL(data_call);
int jump_on(void) { int x = near(2); counter++; return x; } EXPORT_SYMBOL(jump_on);
int aborts(void) { int x = outer((int (*)(int))abort, 0); counter++; return x; } EXPORT_SYMBOL(aborts);
FN spin(int n) { while (counter >= 0) { counter = n; } return n; }
int endless(void) { int x = outer(spin, 0); counter++; return x; } EXPORT_SYMBOL(endless);
FN say(int n) { while (counter >= 0) { puts("again"); } return n; }
int chatter(void) { int x = outer(say, 0); counter++; return x; } EXPORT_SYMBOL(chatter);
FN frees(int n) { free((void *)&counter); counter++; return n; }
int foreign(void) { int x = outer(frees, 0); counter++; return x; } EXPORT_SYMBOL(foreign);
"""


PREFIX = {"arm": "arm-none-eabi-", "riscv": "riscv64-unknown-elf-"}
COMBINATIONS = [
    ("cortex-m4", "gcc"),
    ("cortex-m33", "zig"),
    ("cortex-m0plus", "gcc"),
    ("rv32imac", "gcc"),
    ("rv64gc", "zig"),
]
CALLS = {
    "overflow()": ["dispatch", "outer", "overflow"],
    "cleared()": ["dispatch", "outer", "cleared"],
    "not_code()": ["dispatch", "outer", "not_code"],
    "constant()": ["store", "outer", "constant"],
    "data_call()": ["direct", "outer", "data_call"],
    "aborts()": ["abort", "outer", "aborts"],
    "endless()": ["spin", "outer", "endless"],
    "chatter()": ["puts", "say", "outer", "chatter"],
    "foreign()": ["free", "frees", "outer", "foreign"],
}


def faulty(build: Build, target: str, chain: str, call: str) -> tuple[RunResult, Diagnostic]:
    cpu = arch.target(target)
    limits = Limits(seconds=1.0 if call == "endless()" else 60.0, output=1000)
    result = run(load([build(SOURCE, target, chain)], cpu), call, Setup(cpu, limits=limits))
    assert result.fault is not None
    return result, result.fault


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("target", "chain"), COMBINATIONS)
def test_backtrace_of_each_kind_of_fault(target: str, chain: str, call: str, build: Build) -> None:
    result, fault = faulty(build, target, chain, call)
    assert [frame.function for frame in result.backtrace] == CALLS[call]
    numbered = [line for line in fault.detail if line.startswith("#")]
    assert len(numbered) == len(CALLS[call])
    for number, (line, name) in enumerate(zip(numbered, CALLS[call], strict=True)):
        assert re.match(rf"#{number} {name}((\+0x[0-9a-f]+)? at ext.c:{line_of(name)}| \(host\))$", line), line


def line_of(function: str) -> int:
    """Each function is in one line of the source."""
    return next(
        (n for n, line in enumerate(SOURCE.splitlines(), 1) if re.search(rf"\b{function}\((int|void)", line)), 0
    )


NOTES = {
    "overflow()": [("table", 1, "tick", True), ("table", 2, "tock", True)],
    "not_code()": [("table", 3, "limits", False)],
    "constant()": [("pointers", 0, "limits", False)],
}
"""Call -> the words that are to be named: variable, word in it (a name takes 8 bytes), of what, overwritten."""


@pytest.mark.parametrize("call", [*NOTES, "data_call()"])
@pytest.mark.parametrize(("target", "chain"), COMBINATIONS)
def test_relocation_that_wrote_the_word(target: str, chain: str, call: str, build: Build) -> None:
    _, fault = faulty(build, target, chain, call)
    relocations = readelf(build(SOURCE, target, chain), target)
    notes = [note for note in fault.notes if "R_" in note]
    for note in notes:
        place = re.search(r"\((\.\w+)\+0x([0-9a-f]+)\)", note)
        kind = re.search(r"`(R_\w+)`", note)
        assert place
        assert kind
        section, offset = place[1], int(place[2], 16)
        assert kind[1] in (relocations.get((section, offset)) or relocations[section, offset - 4]), note
    word = arch.target(target).bits // 8
    for note, (variable, index, name, overwritten) in zip(notes, NOTES.get(call, ()), strict=call in NOTES):
        offset = 8 + (index - 1) * word if variable == "table" else index * word
        start = f"`{variable}`" + (f"+{offset:#x}" if offset else "")
        assert note.startswith(f"{start} (")
        assert f" for `{name}`" in note
        assert ("was overwritten with 0x" in note) == overwritten
    if call == "data_call()":
        assert len(notes) == 1
        assert "for `limits`" in notes[0]


def readelf(obj: ElfObject, target: str) -> dict[tuple[str, int], set[str]]:
    """The types of relocation at each place, as binutils sees them."""
    program = need(PREFIX[arch.target(target).arch] + "readelf")
    text = subprocess.run([program, "-rW", obj.path], capture_output=True, text=True, check=True).stdout
    found: dict[tuple[str, int], set[str]] = {}
    section = ""
    for line in text.splitlines():
        if head := re.match(r"Relocation section '\.rela?(\.[\w.]+)'", line):
            section = head[1]
        elif entry := re.match(r"([0-9a-f]+)\s+[0-9a-f]+\s+(R_\w+)", line):
            found.setdefault((section, int(entry[1], 16)), set()).add(entry[2])
    return found


def test_cleared_pointers_are_counted(build: Build) -> None:
    _, fault = faulty(build, "cortex-m4", "gcc", "cleared()")
    assert fault.message == "`dispatch` calls a null pointer"
    assert [note for note in fault.notes if note.startswith("`table`+0x8 (.data+0x8) was overwritten with 0x00000000")]
    assert fault.notes[-1] == "and 1 more word of that kind"


THREADS = r"""
K_THREAD_STACK_DEFINE(stack, 1024);
static struct k_thread worker;
static volatile int counter;
__attribute__((noinline)) static void crash(int *p) { *p = 1; counter++; }
static void work(void *a, void *b, void *c) { k_msleep(10); crash(a); counter++; }
__attribute__((noinline)) static int join(void) { int x = k_thread_join(&worker, K_FOREVER); counter++; return x; }
int start(void)
{
    k_thread_create(&worker, stack, sizeof(stack), work, NULL, NULL, NULL, 5, 0, K_NO_WAIT);
    int x = join();
    counter++;
    return x;
}
EXPORT_SYMBOL(start);
"""


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_fault_in_a_thread_has_the_backtrace_of_the_thread(target: str, build: Build) -> None:
    cpu = arch.target(target)
    result = run(load([build(THREADS, target)], cpu), "start()", Setup(cpu))
    assert result.fault is not None
    assert [(frame.function, frame.line) for frame in result.backtrace] == [("crash", 5), ("work", 6)]
    assert result.registers[arch.load(cpu.arch).callconv.pc] == result.backtrace[0].pc


def test_run_writes_the_backtrace_as_json(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    obj = build(SOURCE, "cortex-m4")
    assert main(["run", obj.path, "--target", "cortex-m4", "--call", "foreign()", "--json", "-"]) == 8
    document = json.loads(capsys.readouterr().out)
    frames = document["backtrace"]
    assert [frame["function"] for frame in frames] == CALLS["foreign()"]
    assert frames[0] == {"function": "free", "kind": "host"}
    assert frames[1]["kind"] == "extension"
    assert frames[1]["line"] == line_of("frees")
    assert frames[1]["source"].endswith("ext.c")
    assert document["diagnostics"][0]["detail"][-4:] == [
        f"#{i} {name}"
        for i, name in enumerate(
            ["free (host)", *(f"{f['function']}+{f['offset']:#x} at ext.c:{f['line']}" for f in frames[1:])]
        )
    ]


UNMARKED = r"""
__asm__(".text\n.thumb\n.syntax unified\n.global unmarked\nunmarked: bx lr\n");
extern int unmarked(int);
int (*volatile hook)(int) = unmarked;
static volatile int counter;
__attribute__((noinline, noclone)) int call_hook(int n) { int x = hook(n); counter++; return x; }
int start(void) { int x = call_hook(1); counter++; return x; }
EXPORT_SYMBOL(start);
"""


def test_address_without_the_thumb_bit_is_the_symbols(build: Build) -> None:
    cpu = arch.target("cortex-m4")
    result = run(load([build(UNMARKED, "cortex-m4")], cpu), "start()", Setup(cpu))
    assert result.fault is not None
    assert re.match("`call_hook` calls 0x[0-9a-f]{8} without the Thumb bit$", result.fault.message)
    assert [frame.function for frame in result.backtrace] == ["", "call_hook", "start"]
    assert re.search(
        r"^`hook` \(\.data\+0x\w+\) holds 0x\w+, written by `R_ARM_ABS32` for `unmarked`$", result.fault.notes[-1]
    )


DEEP = """
__attribute__((noinline)) int deep(int n) { volatile int x = n; return x ? deep(n + 1) + x : 0; }
EXPORT_SYMBOL(deep);
"""


@pytest.mark.parametrize("debug", ["-g", "-g0"])
@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_endless_recursion_takes_one_line(target: str, debug: str, build: Build) -> None:
    """Also where nothing but the stack tells of it, and the stack pointer is outside of the stack."""
    cpu = arch.target(target)
    result = run(load([build(DEEP, target, "gcc", debug)], cpu), "deep(1)", Setup(cpu))
    assert result.fault is not None
    assert result.fault.message == "`deep` overflows the stack of 65,536 bytes"
    assert {frame.function for frame in result.backtrace} == {"deep"}
    assert len(result.backtrace) == 1000
    first, others, more = result.fault.detail[-3:]
    assert re.match(r"#0 deep\b", first)
    assert re.match(r"#1 to #999 deep\+0x\w+ " + ("at ext.c:2$" if debug == "-g" else r"\(a guess\)$"), others)
    assert more == "... and more"


@pytest.mark.parametrize(("target", "chain"), [("cortex-m4", "gcc"), ("rv32imac", "zig")])
def test_names_of_cpp_are_those_of_the_source(target: str, chain: str, tmp_path: Path) -> None:
    text = """
    namespace sensor { struct Port { int at; int read(int n) const; static int open(const char *name); }; }
    static volatile int counter;
    __attribute__((noinline)) int sensor::Port::read(int n) const { *(volatile int *)4 = n; return at + counter; }
    __attribute__((noinline)) int sensor::Port::open(const char *name)
    {
        Port port{name[0]};
        int x = port.read(1);
        return x + counter;
    }
    extern "C" int start() { int x = sensor::Port::open("a"); return x + counter; }
    __attribute__((section(".exported_sym"), used)) static const struct { const char *name; void *address; } entry
        = {"start", (void *)start};
    """
    combination = built.find(target, chain)
    obj = combination.merge(tmp_path, combination.compile(tmp_path, text, language="CXX"))
    cpu = arch.target(target)
    result = run(load([load_object(str(obj))], cpu), "start()", Setup(cpu))
    assert [frame.function for frame in result.backtrace] == ["sensor::Port::read", "sensor::Port::open", "start"]


SUMMING = r"""
struct entry { const char *name; const void *address; };
#define EXPORT(x) static const struct entry entry_##x \
    __attribute__((section("llext_const_symbol_area"), used)) = { #x, (const void *)&x }
static int length(const char *text)
{
    int n = 0;
    while (text[n]) { // reads
        n++;
    }
    return n;
}
int total(const char *const *texts, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        sum += length(texts[i]); // calls
    }
    return sum;
}
void _start(void) {}
EXPORT(total);
"""
SUMMED = r"""
int total(const char *const *texts, int n);
static volatile int counter;
static struct { char name[4]; const char *texts[2]; } all = {"abc", {"one", "two"}};
__attribute__((noinline, noclone)) int sum(int n) { int x = total(all.texts, n); counter++; return x; }
int start(int n) { for (int i = 0; i < n; i++) ((volatile char *)&all)[i] = 0x5A; int x = sum(2); counter++; return x; }
EXPORT_SYMBOL(start);
"""


def test_fault_in_the_firmware_by_a_pointer_of_the_extension(build: Build, tmp_path: Path) -> None:
    cpu = arch.target("cortex-m4")
    image = load_object(str(fw.build(tmp_path, SUMMING, "-g")))
    exports = exports_of(image)
    images = load([build(SUMMED, "cortex-m4")], cpu, exports=exports, firmware=[image])
    result = run(images, "start(8)", Setup(cpu, exports=exports, firmware=(image,)))
    lines = SUMMING.splitlines()
    reads, calls = (next(n for n, text in enumerate(lines, 1) if f"// {mark}" in text) for mark in ("reads", "calls"))
    assert [(frame.function, frame.line, frame.kind) for frame in result.backtrace] == [
        ("length", reads, "firmware"),
        ("total", calls, "firmware"),
        ("sum", 5, "extension"),
        ("start", 6, "extension"),
    ]
    fault = result.fault
    assert fault is not None
    assert fault.message == "`length` reads 1 byte at 0x5a5a5a5a, where there is no memory"
    assert fault.location is not None
    assert (Path(fault.location.source).name, fault.location.line) == ("fw.c", reads)
    (note,) = (note for note in fault.notes if "R_ARM_ABS32" in note)
    assert re.match(
        r"`all`\+0x4 \(\.data\+0x\w+\) was overwritten with 0x5a5a5a5a: .* for \.rodata\+0x\w+ had put", note
    )


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_call_of_a_function_that_jumped_on_is_not_blamed(target: str, build: Build) -> None:
    result, fault = faulty(build, target, "gcc", "jump_on()")
    assert [frame.function for frame in result.backtrace] == ["near", "jump_on"]
    assert not [note for note in fault.notes if "`jumps`" in note]

"""What an extension must not do, and where it ends: each fault by its words, on an Arm and on RISC-V cores.

Expected: the C source says what the function does, and nm where it is.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.compiled import CHAINS, TARGETS
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.diag import CODES
from llext_tools.errors import FaultError, LimitError
from llext_tools.run import Limits, RunResult, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = r"""
#define LINE(name) __attribute__((noinline)) void name(void)
static const int limits[3] = {1, 2, 3};
static volatile int counter;
static unsigned int code[4] = {0x47704770, 0x47704770};
int *const nowhere = (int *)0x70000000;

void null_write(int *p) { *p = 42; counter++; } EXPORT_SYMBOL(null_write);
int null_read(const int *p) { return p[2]; } EXPORT_SYMBOL(null_read);
void unmapped_write(void) { *(volatile short *)nowhere = 7; counter++; } EXPORT_SYMBOL(unmapped_write);
void constant_write(int i) { ((volatile int *)limits)[i] = 6; counter++; } EXPORT_SYMBOL(constant_write);
void code_write(void) { *(volatile unsigned char *)((uintptr_t)&null_read & ~1ul) = 0; counter++; }
EXPORT_SYMBOL(code_write);
void data_jump(void) { ((void (*)(void))((uintptr_t)code | 1))(); counter++; } EXPORT_SYMBOL(data_jump);
void null_jump(void (*function)(void)) { function(); counter++; } EXPORT_SYMBOL(null_jump);
void far_jump(void) { ((void (*)(void))0x70000001)(); counter++; } EXPORT_SYMBOL(far_jump);
void trap(void) { counter++; __builtin_trap(); } EXPORT_SYMBOL(trap);
void loop(void) { for (;;) { counter++; } } EXPORT_SYMBOL(loop);
__attribute__((noinline)) int deep(int n) { volatile char local[100]; local[0] = n; return deep(n + 1) + local[0]; }
EXPORT_SYMBOL(deep);
void host_read(void) { puts((const char *)4); counter++; } EXPORT_SYMBOL(host_read);
void host_write(void) { memset((void *)limits, 0, 4); counter++; } EXPORT_SYMBOL(host_write);
void host_end(void) { memcpy((void *)&counter, (void *)0x70000000, 16); counter++; } EXPORT_SYMBOL(host_end);
void fail(void) { abort(); } EXPORT_SYMBOL(fail);
void chatter(void) { for (;;) { puts("again and again"); } } EXPORT_SYMBOL(chatter);
void bad_format(void) { int n; ((void (*)(const char *, ...))printk)("%n", &n); counter++; } EXPORT_SYMBOL(bad_format);
void wide_format(void) { ((void (*)(const char *, ...))printk)("%2000000000d", 1); counter++; }
EXPORT_SYMBOL(wide_format);

void twice(void) { char *p = malloc(10); free(p); free(p); counter++; } EXPORT_SYMBOL(twice);
void foreign(void) { free((void *)&counter); counter++; } EXPORT_SYMBOL(foreign);
void behind(void) { char *p = malloc(10); p[10] = 1; free(p); counter++; } EXPORT_SYMBOL(behind);
void front(void) { volatile char *p = malloc(10); p[-1] = 1; free((void *)p); counter++; } EXPORT_SYMBOL(front);
void after(void) { volatile char *p = malloc(10); free((void *)p); p[3] = 1; counter++; } EXPORT_SYMBOL(after);
int enough(void) { void *p = malloc(100 << 20); return p == NULL; } EXPORT_SYMBOL(enough);

static int again(const void *a, const void *b) { int x[2]; qsort(x, 2, 4, again); return 0; }
void nest(void) { again(0, 0); counter++; } EXPORT_SYMBOL(nest);
static int crashing(const void *a, const void *b) { *(volatile int *)16 = 1; return 0; }
void in_callback(void) { int x[2] = {0}; qsort(x, 2, 4, crashing); counter++; } EXPORT_SYMBOL(in_callback);
"""

CASES = {
    "null_write(0)": ("run-fault", r"`null_write` writes 4 bytes at 0x00000000, where there is no memory"),
    "null_read(0)": ("run-fault", r"`null_read` reads 4 bytes at 0x00000008, where there is no memory"),
    "unmapped_write()": ("run-fault", r"`unmapped_write` writes 2 bytes at 0x70000000, where there is no memory"),
    "constant_write(1)": ("run-fault", r"`constant_write` writes 4 bytes at 0x\w+, which is not writable"),
    "code_write()": ("run-fault", r"`code_write` writes 1 byte at 0x\w+, which is not writable"),
    "data_jump()": ("run-fault", r"`data_jump` jumps to 0x\w+, which is not executable"),
    "null_jump(0)": ("run-fault", r"`null_jump` calls a null pointer"),
    "far_jump()": ("run-fault", r"`far_jump` jumps to 0x70000000, where there is no memory"),
    "trap()": ("run-fault", r"`trap` (executes an undefined instruction|stops at a breakpoint instruction)"),
    "deep(1)": ("run-stack", r"`deep` overflows the stack of 65,536 bytes"),
    "host_read()": ("run-fault", r"`puts` reads 1 byte at 0x00000004, where there is no memory"),
    "host_write()": ("run-fault", r"`memset` writes 4 bytes at 0x\w+, which is not writable"),
    "host_end()": ("run-fault", r"`memcpy` reads 16 bytes at 0x70000000, where there is no memory"),
    "fail()": ("run-abort", r"`fail` calls abort\(\)"),
    "bad_format()": ("run-fault", r"`bad_format` gives a format that cannot be printed: `%n`"),
    "wide_format()": ("run-fault", r"`wide_format` gives a format .* a field of 2,000,000,000 characters"),
    "twice()": ("run-heap", r"`twice` frees 0x\w+ a second time"),
    "foreign()": ("run-heap", r"`foreign` frees 0x\w+, which did not come from the heap"),
    "behind()": ("run-heap", r"memory directly behind a block of the heap was written"),
    "front()": ("run-heap", r"memory in front of a block of the heap was written"),
    "after()": ("run-heap", r"freed memory was written at 0x\w+"),
    "nest()": ("run-depth", r"host and extension call each other 64 levels deep"),
    "in_callback()": ("run-fault", r"`crashing` writes 4 bytes at 0x00000010, where there is no memory"),
}


def one(build: Build, target: str, call: str, chain: str = "gcc", **limits: float) -> RunResult:
    cpu = arch.target(target)
    return run(load([build(SOURCE, target, chain)], cpu), call, Setup(cpu, limits=Limits(**limits)))  # type: ignore[arg-type]


@pytest.mark.parametrize("call", CASES)
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4f", "rv32imac", "rv64gc"])
def test_fault_is_named_and_placed(target: str, call: str, build: Build) -> None:
    code, message = CASES[call]
    fault = one(build, target, call).fault
    assert fault is not None
    assert fault.code == code
    assert re.match(message, fault.message), fault.message
    assert fault.location is not None
    assert CODES[code].error in (FaultError, LimitError)
    if code != "run-depth" and "after" not in call:
        function = {"in_callback()": "crashing"}.get(call, call.partition("(")[0])
        assert fault.location.function == function
        assert fault.location.section == ".text"


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_faults_on_all_targets(target: str, chain: str, build: Build) -> None:
    for call in ("null_write(0)", "constant_write(2)", "null_jump(0)", "deep(1)"):
        fault = one(build, target, call, chain).fault
        assert fault is not None
        assert re.match(CASES[call.replace("(2)", "(1)")][1], fault.message), fault.message


def test_figures_of_a_fault(build: Build) -> None:
    """Value, object and region; the source line comes from debug information."""
    fault = one(build, "cortex-m3", "null_write(0)").fault
    assert fault is not None
    assert fault.location is not None
    assert (Path(fault.location.source).name, fault.location.line) == ("ext.c", 8)
    assert any(
        line.startswith("write of 4 bytes, value 0x0000002a, by the instruction at 0x2001") for line in fault.detail
    )
    assert "a null pointer was used" in fault.notes
    fault = one(build, "cortex-m3", "null_read(0)").fault
    assert fault is not None
    assert fault.notes[0].startswith("0x8 is near null")
    fault = one(build, "cortex-m3", "constant_write(1)").fault
    assert fault is not None
    assert any(
        re.search(r"is `limits`\+0x4, \.rodata\+0x\w+, region RODATA \(read-only\)", line) for line in fault.detail
    )


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m7", "rv32imafc", "rv64gc"])
def test_an_endless_loop_ends_at_the_limit(target: str, build: Build) -> None:
    result = one(build, target, "loop()", seconds=0.3)
    assert result.fault is not None
    assert (result.fault.code, result.fault.message) == ("run-timeout", "`loop` was still running after 0.3 s")
    assert result.fault.location is not None
    assert result.fault.location.function == "loop"


def test_time_is_for_the_whole_run(build: Build) -> None:
    result = one(build, "cortex-m4", "chatter()", seconds=0.2, output=1 << 30)
    assert result.fault is not None
    assert result.fault.code == "run-timeout"


def test_output_has_a_limit(build: Build) -> None:
    result = one(build, "rv32imac", "chatter()", output=1000)
    assert result.fault is not None
    assert result.fault.code == "run-output"
    assert len(result.output) == 1000


def test_a_heap_without_room_gives_null(build: Build) -> None:
    assert one(build, "cortex-m3", "enough()").value == 1


ASSEMBLY = r"""
__asm__(".text\n"
        ".thumb\n"
        ".syntax unified\n"
        ".global unmarked\nunmarked: bx lr\n"
        ".balign 4\n"
        ".thumb_func\n.type svc, %function\n.global svc\nsvc: svc #3\n bx lr\n"
        ".thumb_func\n.type bkpt, %function\n.global bkpt\nbkpt: bkpt #1\n bx lr\n"
        ".thumb_func\n.type waits, %function\n.global waits\nwaits: wfi\n movs r0, #5\n bx lr\n"
        ".thumb_func\n.type clobber, %function\n.global clobber\nclobber: movs r4, #1\n bx lr\n"
        ".thumb_func\n.type stacked, %function\n.global stacked\nstacked: push {r0}\n bx lr\n");
void unmarked(void);
void svc(void); EXPORT_SYMBOL(svc);
void bkpt(void); EXPORT_SYMBOL(bkpt);
int waits(void); EXPORT_SYMBOL(waits);
void clobber(void); EXPORT_SYMBOL(clobber);
void stacked(void); EXPORT_SYMBOL(stacked);
static volatile int counter;
int odd_load(const char *p) { return *(volatile const int *)(p + 1); } EXPORT_SYMBOL(odd_load);
void even_call(void) { ((void (*)(void))((uintptr_t)&odd_load & ~1ul))(); counter++; } EXPORT_SYMBOL(even_call);
"""


def arm(build: Build, target: str, call: str) -> RunResult:
    cpu = arch.target(target)
    return run(load([build(ASSEMBLY, target)], cpu), call, Setup(cpu))


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m3", "cortex-m33"])
def test_what_only_assembly_can_do(target: str, build: Build) -> None:
    expected = {
        "svc()": "`svc` makes a system call",
        "bkpt()": "`bkpt` stops at a breakpoint instruction",
        "clobber()": "`clobber` returns with r4 changed",
        "stacked()": "`stacked` returns with its stack pointer off by -4 bytes",
        "even_call()": "`even_call` calls `odd_load` at 0x",
    }
    for call, message in expected.items():
        fault = arm(build, target, call).fault
        assert fault is not None
        assert fault.message.startswith(message), fault.message
    assert arm(build, target, "waits()").value == 5


def test_a_call_from_nowhere_has_no_place(build: Build) -> None:
    """The return address is 2 bytes behind the only page of the extension."""
    source = r"""
    __asm__(".text\n.thumb\n.syntax unified\n.thumb_func\n.type astray, %function\n.global astray\n"
            "astray: ldr r0, =end + 3\n mov lr, r0\n ldr r1, =abort\n bx r1\n.ltorg\n.balign 4096\nend:\n");
    """
    cpu = arch.target("cortex-m3")
    fault = run(load([build(source, "cortex-m3")], cpu), "astray()", Setup(cpu)).fault
    assert fault is not None
    assert fault.message == "the extension calls abort()"
    assert fault.location is not None
    assert fault.location.offset is None


def test_the_smallest_core_faults_on_an_unaligned_access(build: Build) -> None:
    fault = arm(build, "cortex-m0plus", 'odd_load("12345678")').fault
    assert fault is not None
    assert fault.message == "`odd_load` accesses memory at an address that is not aligned"
    assert arm(build, "cortex-m3", 'odd_load("12345678")').value == 0x35343332


def test_each_cpu_model_has_its_own_instructions(build: Build) -> None:
    """MOVW is Armv7-M, SDIV too; Armv6-M has neither."""
    source = r"""
    __asm__(".text\n.thumb\n.syntax unified\n.arch armv7e-m\n.thumb_func\n.type wide, %function\n.global wide\n"
            "wide: movw r0, #0x1234\n bx lr\n");
    int wide(void); EXPORT_SYMBOL(wide);
    """
    obj = build(source, "cortex-m4")
    cpu = arch.target("cortex-m4")
    assert run(load([obj], cpu), "wide()", Setup(cpu)).value == 0x1234
    small = arch.target("cortex-m0plus")
    fault = run(load([obj], small), "wide()", Setup(small)).fault
    assert fault is not None
    assert fault.message == "`wide` executes an undefined instruction"

"""What an extension tries in vain: the host's files, network and memory, and instructions that a debugger would obey.

Oracle: the interpreter's audit events (``sys.addaudithook``) for what the process does meanwhile; for instructions that
go on, the value that the code puts into the result behind them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.diag import CODES
from llext_tools.errors import FaultError, LimitError
from llext_tools.run import Limits, RunResult, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

UNDEFINED = "executes an undefined instruction"
BREAKPOINT = "stops at a breakpoint instruction"
SYSTEM_CALL = "makes a system call"
GOES_ON = ""

V6M, V7M = ("cortex-m0plus", "cortex-m3", "cortex-m4f", "cortex-m33"), ("cortex-m3", "cortex-m7", "cortex-m33")
RISCV = ("rv32imac", "rv32imafc", "rv64gc")


class Attempt(NamedTuple):
    """Assembly code, and how the fault that ends it begins; if it goes on, 5 is returned."""

    code: str
    ends: str
    targets: tuple[str, ...]


ATTEMPTS = {
    # semihosting: SYS_OPEN of a name, with the magic numbers that a debugger looks for
    "semihosting": Attempt("movs r0, #1; mov r1, sp; bkpt #0xab", BREAKPOINT, V6M),
    "semihosting by svc": Attempt("movs r0, #1; mov r1, sp; svc #0xab", SYSTEM_CALL, V6M),
    "semihosting of RISC-V": Attempt(
        ".option push; .option norvc; li a0, 1; mv a1, sp; slli x0, x0, 0x1f; ebreak; srai x0, x0, 7; .option pop",
        BREAKPOINT,
        RISCV,
    ),
    "ecall": Attempt("li a7, 56; ecall", SYSTEM_CALL, RISCV),
    "c.ebreak": Attempt("c.ebreak", BREAKPOINT, RISCV),
    "udf": Attempt("udf #1", UNDEFINED, V6M),
    # hints and waiting
    "wfi": Attempt("wfi; wfi", GOES_ON, V6M),
    "wfe": Attempt("wfe; wfe; yield; sev; wfe", GOES_ON, V6M),
    "wfe in a loop": Attempt("movs r2, #50; 1: wfe; subs r2, #1; bne 1b", GOES_ON, V6M),
    "wide hints": Attempt("wfe.w; yield.w; sev.w; wfi.w; nop.w; dbg #1", GOES_ON, V7M),
    "undefined behind a hint": Attempt("wfe; udf #1", UNDEFINED, V6M),
    "wfi of RISC-V": Attempt("wfi; .word 0x0100000f", GOES_ON, RISCV),  # the second one is `pause`
    "barriers": Attempt("dmb; dsb; isb", GOES_ON, V6M),
    "fences": Attempt("fence; fence.i", GOES_ON, RISCV),
    # the CPU's state
    "interrupts": Attempt("cpsid i; cpsie i; mrs r1, primask; msr primask, r1; mrs r1, ipsr", GOES_ON, V6M),
    "priorities": Attempt("cpsid f; movs r1, #16; msr basepri, r1; msr faultmask, r1", GOES_ON, V7M),
    "main stack": Attempt("movs r1, #0; msr msp, r1; push {r1}", "writes 4 bytes at 0xfffffffc", V6M),
    "process stack": Attempt("movs r1, #3; msr control, r1; isb; push {r1}", "writes 4 bytes at 0x", V6M),
    "exception return": Attempt("ldr r1, =0xfffffff9; bx r1", "0xfffffff8", V6M),
    "coprocessor": Attempt("mcr p15, 0, r1, c7, c5, 0", "uses the FPU or another coprocessor", V7M),
    "counters": Attempt("csrr a1, cycle; csrr a1, instret; csrr a1, mhartid", GOES_ON, RISCV),
    "trap vector": Attempt("csrw mtvec, a1; csrw mepc, x0; csrw mscratch, a1; csrw mie, a1", GOES_ON, RISCV),
    "status": Attempt("li a1, -1; csrs mstatus, a1; csrw pmpaddr0, a1; csrw pmpcfg0, x0", GOES_ON, RISCV),
    "page tables": Attempt("li a1, -1; csrw satp, a1; li a1, 0x20000; csrs mstatus, a1", GOES_ON, ("rv64gc",)),
    "mret": Attempt("csrw mepc, x0; mret", "calls a null pointer", RISCV),
    "unknown register": Attempt("csrr a1, 0x7c0", UNDEFINED, RISCV),
    # atomic and unaligned access
    "exclusive": Attempt(
        "sub sp, #8; mov r2, sp; ldrex r1, [r2]; strex r3, r1, [r2]; clrex; add sp, #8; cbz r3, 1f; udf #1; 1:",
        GOES_ON,
        V7M,
    ),
    "exclusive bytes": Attempt(
        "sub sp, #8; mov r2, sp; ldrexb r1, [r2]; strexb r3, r1, [r2]; ldrexh r1, [r2]; strexh r3, r1, [r2];"
        "add sp, #8; cbz r3, 1f; udf #1; 1:",
        GOES_ON,
        V7M,
    ),
    "reserved": Attempt(
        "addi sp, sp, -16; lr.w a1, (sp); sc.w a2, a1, (sp); addi sp, sp, 16; beqz a2, 1f; ebreak; 1:", GOES_ON, RISCV
    ),
    "atomic": Attempt(
        "addi sp, sp, -16; sw x0, (sp); li a1, 9; amoadd.w a2, a1, (sp); amoswap.w a2, a1, (sp);"
        "amomaxu.w a2, a1, (sp); amoor.w a2, a1, (sp); addi sp, sp, 16; beq a1, a2, 1f; ebreak; 1:",
        GOES_ON,
        RISCV,
    ),
    "unaligned words": Attempt("addi a1, sp, -31; lw a1, (a1); lh a1, -15(sp)", GOES_ON, RISCV),
    "unaligned pairs": Attempt(
        "mov r2, sp; sub r2, #30; ldrd r1, r3, [r2]; ldm r2, {r1, r3}; ldr r1, [r2]", GOES_ON, V7M
    ),
    # other stacks
    "own stack": Attempt(
        "mov r2, sp; ldr r1, =area + 128; mov sp, r1; push {r2, lr}; ldr r1, =k_uptime_get_32; blx r1; pop {r2, r3};"
        "mov sp, r2; mov lr, r3; .data; .balign 8; area: .space 128; .text",
        GOES_ON,
        V6M,
    ),
    "stack of its own": Attempt(
        "mv t0, sp; la sp, area + 112; sd t0, (sp); sd ra, 8(sp); call k_uptime_get_32; ld ra, 8(sp); ld sp, (sp);"
        ".data; .balign 16; area: .space 128; .text",
        GOES_ON,
        ("rv64gc",),
    ),
    "stack that is left behind": Attempt("sub sp, #16", "returns with its stack pointer off by -16 bytes", V6M),
    "stack that is not there": Attempt(
        "ldr r1, =0x70000000; mov sp, r1; push {r1}", "at 0x6ffffffc, where there is", V6M
    ),
    "no stack": Attempt("li sp, 0; sw a0, -4(sp)", "where there is no memory", RISCV),
    "leap out of a callback": Attempt(
        "push {r4, lr}; ldr r0, =table; movs r1, #3; movs r2, #4; ldr r3, =leap + 1; ldr r4, =qsort; blx r4;"
        "pop {r4, pc}; .balign 4; leap: sub sp, #16; bx lr; .data; table: .word 1, 2, 3; .text",
        "returns with its stack pointer off by -16 bytes",
        V6M,
    ),
    # code of the host
    "inside a function of the host": Attempt("ldr r1, =printk + 4; blx r1", "jumps to 0x2000000", V6M),
    "inside a function": Attempt("la a1, printk; addi a1, a1, 4; jalr a1", "jumps to 0x2000000", RISCV),
    "code of the host": Attempt("ldr r1, =printk; subs r1, #1; ldr r1, [r1]", "reads 4 bytes at 0x2000000", V6M),
    "text of the host": Attempt(
        "la a1, printk; lw a1, (a1)", "reads 4 bytes at 0x20000000, which is the host's", RISCV
    ),
    "own code": Attempt("mov r1, pc; str r1, [r1]", "writes 4 bytes at 0x2001", V6M),
    "own text": Attempt("auipc a1, 0; sw a1, (a1)", "writes 4 bytes at 0x2001", RISCV),
    "code on the stack": Attempt("mov r1, sp; subs r1, #15; bx r1", "jumps to 0x2f00", V6M),
    "text on the stack": Attempt("addi a1, sp, -16; jr a1", "jumps to 0x2f00", RISCV),
    "the top of memory": Attempt("movs r1, #0; subs r1, #4; ldr r1, [r1]", "reads 4 bytes at 0xfffffffc", V6M),
    "peripherals": Attempt(
        "ldr r1, =0xe000ed0c; ldr r2, =0x05fa0004; str r2, [r1]", "writes 4 bytes at 0xe000ed0c", V6M
    ),
}


def attempts(target: str) -> str:
    """All that are for a target, as C: functions ``try_0()`` and so on, by their places in ``ATTEMPTS``."""
    if target.startswith("cortex"):
        options, head, tail = ".thumb\n.syntax unified\n", ".thumb_func\n", "movs r0, #5\nbx lr\n.ltorg\n"
    else:
        options, head, tail = ".option arch, +zicsr, +zifencei\n", "", "li a0, 5\nret\n"
    text, exports = f".text\n{options}", ""
    for i, attempt in enumerate(ATTEMPTS.values()):
        if target in attempt.targets:
            code = "".join(f"{line.strip()}\n" for line in attempt.code.split(";"))
            label = f".global try_{i}\n.type try_{i}, %function\n.balign 4\n{head}try_{i}:\n"
            text += f"{label}{code}{tail}"
            exports += f"int try_{i}(void); EXPORT_SYMBOL(try_{i});\n"
    lines = text.replace("\n", "\\n")
    return f'__asm__("{lines}");\n{exports}'


CASES = [(name, target) for name, attempt in ATTEMPTS.items() for target in attempt.targets]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_instructions(name: str, target: str, build: Build) -> None:
    attempt = ATTEMPTS[name]
    result = called(build, attempts(target), target, f"try_{list(ATTEMPTS).index(name)}()")
    if attempt.ends == GOES_ON:
        assert result.fault is None
        assert result.value == 5
    else:
        assert result.fault is not None
        assert result.fault.code in ("run-fault", "run-stack")
        assert attempt.ends in result.fault.message, result.fault.message


def called(build: Build, source: str, target: str, call: str) -> RunResult:
    cpu = arch.target(target)
    return run(load([build(source, target)], cpu), call, Setup(cpu, limits=Limits(seconds=1)))


SOURCE = r"""
static volatile int counter;
static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static int data[64] = {3, 2, 1};
void bad_text(void) { printk("%s\n", (const char *)0x70000000); counter++; } EXPORT_SYMBOL(bad_text);
void bad_wide(void) { printk("%ls\n", (const void *)0x70000000); counter++; } EXPORT_SYMBOL(bad_wide);
void bad_template(void) { printk((const char *)0xffffffff); counter++; } EXPORT_SYMBOL(bad_template);
void counts(void) { printk("%d%n\n", 1, &counter); } EXPORT_SYMBOL(counts);
void many(void) { printk("%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %s", 1); } EXPORT_SYMBOL(many);
void negative(void) { printk("[%*d][%.*s][%-5d]", -8, 1, -1, "text", 7); } EXPORT_SYMBOL(negative);
void sort_nothing(void) { qsort(data, 3, 4, (int (*)(const void *, const void *))0); } EXPORT_SYMBOL(sort_nothing);
void sort_host(void) { qsort(data, 3, 4, (int (*)(const void *, const void *))printk); } EXPORT_SYMBOL(sort_host);
void sort_code(void) { qsort((void *)(uintptr_t)less, 2, 4, less); counter++; } EXPORT_SYMBOL(sort_code);
static struct k_thread thread;
static char stack[1024] __attribute__((aligned(16)));
static void start(void *entry, void *memory, size_t size) {
    k_thread_create(&thread, memory, size, (k_thread_entry_t)entry, 0, 0, 0, 5, 0, K_NO_WAIT);
    k_thread_join(&thread, K_FOREVER);
}
void thread_null(void) { start(0, stack, sizeof(stack)); } EXPORT_SYMBOL(thread_null);
void thread_data(void) { start(data, stack, sizeof(stack)); } EXPORT_SYMBOL(thread_data);
void thread_nowhere(void) { start((void *)0x70000001, stack, sizeof(stack)); } EXPORT_SYMBOL(thread_nowhere);
void thread_stack(void) { start((void *)(uintptr_t)start, (void *)0x70000000, 4096); } EXPORT_SYMBOL(thread_stack);
void thread_size(void) { start((void *)(uintptr_t)start, stack, (size_t)-1); } EXPORT_SYMBOL(thread_size);
"""
FAULTS = {
    "bad_text()": "`printk` reads 1 byte at 0x70000000",
    "bad_wide()": "`printk` reads 4 bytes at 0x70000000",
    "bad_template()": "`printk` reads 1 byte at 0xf+, where there is no memory",
    "counts()": "`counts` gives a format that cannot be printed: `%n`",
    "many()": "`printk` reads . bytes? at 0x",
    "sort_nothing()": "the extension calls a null pointer",
    "sort_code()": "`qsort` writes 8 bytes at 0x2001000., which is not writable",
    "thread_null()": "the extension calls a null pointer",
    "thread_data()": "the extension jumps to 0x2001.*, which is not executable",
    "thread_nowhere()": "the extension jumps to 0x7000000., where there is no memory",
    "thread_stack()": "`k_thread_create` writes 4,096 bytes at 0x70000000, where there is no memory",
    "thread_size()": "`k_thread_create` writes .* bytes at 0x2001....",
}


@pytest.mark.parametrize("call", FAULTS)
@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_wrong_pointers_for_the_host(target: str, call: str, build: Build) -> None:
    fault = called(build, SOURCE, target, call).fault
    assert fault is not None
    assert fault.code == "run-fault"
    assert re.match(FAULTS[call], fault.message), fault.message


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_a_function_of_the_host_as_a_callback(target: str, build: Build) -> None:
    """What printk() leaves in the result's register is an order like any other."""
    assert called(build, SOURCE, target, "sort_host()").fault is None


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_negative_widths_and_precisions(target: str, build: Build) -> None:
    """C17, 7.21.6.1: a negative width is the flag -, a negative precision is none."""
    assert called(build, SOURCE, target, "negative()").output == "[1       ][text][7    ]"


CALLER = """
static char text[256] = "text %d %s %5.3f %c", data[4096];
static int less(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }
long call(long (*f)(long, long, long, long, long, long), long a, long b, long c, long d, long e, long g) {
    return f(a, b, c, d, e, g);
}
EXPORT_SYMBOL(call);
void *used(void) { qsort(data, 1, 1, less); return text; } EXPORT_SYMBOL(used);
"""


@pytest.mark.parametrize("target", ["cortex-m4f", "rv32imac", "rv64gc"])
def test_nothing_happens_outside(target: str, build: Build) -> None:
    """Random calls of the host, and all the attempts: no file, socket, process or module, and not much memory."""
    objects = [build(source, target) for source in (CALLER, attempts(target), SOURCE)]
    command = [sys.executable, str(Path(__file__).with_name("audited.py")), target, "1", "150"]
    command += [obj.path for obj in objects]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == [], found["wrong"][0]
    assert found["events"] == []
    assert set(found["ended"]) <= {"", *(code for code, c in CODES.items() if c.error in (FaultError, LimitError))}
    assert {"run-fault", "run-heap"} <= set(found["ended"])
    assert found["grown"] < 200 << 20

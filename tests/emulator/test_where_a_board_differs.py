"""What passes here and is a fault on a board: the page on the sandbox says so. Oracle: that page, and Arm's manual.

Where one of these begins to fault, the page has to say so as well.
Source: Armv7-M Architecture Reference Manual, A3.2.1 "Alignment behavior"; SDIV: 0 where it does not trap.
"""

from __future__ import annotations

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.run import Setup, load, run

SOURCE = r"""
int divide(int a, int b) { return a / b; } EXPORT_SYMBOL(divide);
int pair(const char *p) { int a, b; __asm__ volatile("ldrd %0, %1, [%2]" : "=r"(a), "=r"(b) : "r"(p + 1)); return a; }
EXPORT_SYMBOL(pair);
int fpu(int x) { int a; __asm__ volatile(".fpu fpv4-sp-d16\n vmov s0, %1\n vmov %0, s0" : "=r"(a) : "r"(x)); return a; }
EXPORT_SYMBOL(fpu);
"""
VALUES = {"divide(7, 0)": 0, 'pair("123456789")': 0x35343332, "fpu(3)": 3}


def test_these_pass(build: Build) -> None:
    cpu = arch.target("cortex-m4")
    images = load([build(SOURCE, "cortex-m4")], cpu)
    assert {call: run(images, call, Setup(cpu)).value for call in VALUES} == VALUES

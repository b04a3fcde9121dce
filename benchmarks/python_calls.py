"""Time what tests in Python do, against bare Unicorn in the same process: ``python_calls.py FOLDER ROUNDS``.

Takes turns, and prints the medians in seconds, two for each comparison: a typed call of a function of two integers and
the calls of Unicorn that it needs; a fresh state and loading anew; a loop of ``LOOPS`` rounds both ways.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import unicorn
from unicorn import arm_const as arm

from llext_tools.testing import Extension
from llext_tools.testing.options import options
from llext_tools.testing.program import Program

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
LOOPS = 2_000_000
CALLS = 1000
CODE_AT, STACK_AT, RETURN_AT = 0x2001_0000, 0x2F00_0000, 0x1FFF_0000


def timed(act: Callable[[], Any], times: int = 1) -> float:
    start = perf_counter()
    for _ in range(times):
        act()
    return (perf_counter() - start) / times


class Bare:
    """An emulated Cortex-M4 with the same code, and nothing around it."""

    def __init__(self, code: bytes) -> None:
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, arm.UC_CPU_ARM_CORTEX_M4)
        runs, data = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        for start, permissions in ((CODE_AT, runs), (STACK_AT, data), (RETURN_AT, runs)):
            self.uc.mem_map(start, 0x1_0000, permissions)  # code that may be written would be slower
        self.uc.mem_write(CODE_AT, code)

    def call(self, address: int, first: int, second: int) -> int:
        uc = self.uc
        uc.reg_write(arm.UC_ARM_REG_R0, first)
        uc.reg_write(arm.UC_ARM_REG_R1, second)
        uc.reg_write(arm.UC_ARM_REG_SP, STACK_AT + 0x1_0000)
        uc.reg_write(arm.UC_ARM_REG_LR, RETURN_AT | 1)
        uc.emu_start(address, RETURN_AT)
        return int(uc.reg_read(arm.UC_ARM_REG_R0))


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], times: int = 1, most: int = rounds) -> None:
    """Print the medians of both, after a round to warm up."""
    ours(), theirs()
    turns = [(timed(ours, times), timed(theirs, times)) for _ in range(most)]
    print(*(median(column) for column in zip(*turns, strict=True)))


def load_anew() -> None:
    program = Program(life)
    program.fresh(bringup=True)
    program.close()


with Extension.load(folder / "loop.o", target="cortex-m4") as extension:
    add, spin = extension.prototype("int add(int, int)"), extension.prototype("unsigned int spin(unsigned int, int)")
    bare = Bare(extension.host.memory.read(CODE_AT, (spin.address & ~1) - CODE_AT + 32))
    assert spin(1000, 0) == bare.call(spin.address, 1000, 0)
    compare(lambda: add(2, 3), lambda: bare.call(add.address, 2, 3), CALLS)
    life = options(folder / "hello.o", target="cortex-m4")
    kept = Program(life)
    compare(lambda: kept.fresh(bringup=True), load_anew)
    compare(lambda: spin(LOOPS, 0), lambda: bare.call(spin.address, LOOPS, 0), most=max(rounds // 4, 3))

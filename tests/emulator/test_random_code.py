"""Whatever code does, a run ends with a result: random instructions, random memory, random host calls."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest

from emulator.compiled import TARGETS
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.diag import CODES
from llext_tools.errors import FaultError, LimitError
from llext_tools.host import builtin, kernel
from llext_tools.mem import Mem
from llext_tools.run import Limits, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = """
char data[256] = "data";
int f(void *a, int b, int c, void *d) { char big[400]; snprintf(big, 400, "%d", b); return big[0] + data[c & 255]; }
EXPORT_SYMBOL(f);
"""
ROUNDS = 60


@pytest.mark.parametrize("target", TARGETS)
def test_random_code_ends_with_a_fault_or_a_value(target: str, build: Build) -> None:
    cpu = arch.target(target)
    (image,) = load([build(SOURCE, target)], cpu)
    pick = random.Random(target)
    for _ in range(ROUNDS):
        text = np.frombuffer(pick.randbytes(image.mem[Mem.TEXT].size), np.uint8)
        mixed = np.where(np.arange(text.size) % 64 < pick.randint(0, 63), text, image.mem[Mem.TEXT])
        broken = replace(image, mem={**image.mem, Mem.TEXT: mixed.astype(np.uint8)})
        result = run(
            broken,
            f"f(&data, {pick.getrandbits(31)}, {pick.getrandbits(8)}, &f)",
            Setup(cpu, limits=Limits(seconds=0.05)),
        )
        assert result.fault is None or CODES[result.fault.code].error in (FaultError, LimitError)


KERNEL = sorted(f.name for f in kernel.FUNCTIONS if not f.name.startswith("z_impl_"))  # those are second names
LIBRARY = sorted(
    name for name in builtin.BY_NAME.keys() - {f.name for f in kernel.FUNCTIONS} if not name.startswith("z_impl_")
)
BOTH = ("cortex-m3", "rv64gc")


@pytest.mark.parametrize(
    ("name", "target"),
    [*((name, target) for name in LIBRARY for target in BOTH), *zip(KERNEL, cycle(BOTH), strict=False)],
)
def test_host_functions_take_any_arguments(name: str, target: str, build: Build) -> None:
    """Called with wild pointers and sizes, each returns or ends the run with a diagnostic."""
    cpu = arch.target(target)
    source = f"""
    char data[256] = "data %d %s";
    extern char callee[] __asm__("{name}");
    long f(long a, long b, long c, long d, long e) {{ ((void (*)(long, ...))callee)(a, b, c, d, e); return 0; }}
    EXPORT_SYMBOL(f);
    """
    (image,) = load([build(source, target, "gcc", "-w")], cpu)
    pick = random.Random(name)
    odd = ["&data", "&f", "0", "1", "-1", "16", "0x20010000", "0x7fffffff", "0x2f00fff0", "4096"]
    for _ in range(25):
        values = ", ".join(pick.choice(odd) for _ in range(5))
        prototype = "long f(void *a, void *b, void *c, void *d, void *e)"
        result = run(image, f"f({values})", Setup(cpu, limits=Limits(seconds=0.5)), prototypes=[prototype])
        assert result.fault is None or CODES[result.fault.code].error in (FaultError, LimitError)

"""Measures of a firmware's own code, which an extension calls. Oracle: the sources."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

import fw
from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.elf.read import load_object
from llext_tools.host.tables import read_exports
from llext_tools.measure import Measured, Wanted
from llext_tools.run import Setup, load, run
from llext_tools.testing.cache import Cache
from llext_tools.testing.options import options

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]
FIRMWARE = """\
struct entry { const char *name; const void *address; };
#define EXPORT(x) static const struct entry entry_##x \\
    __attribute__((section("llext_const_symbol_area"), used)) = { #x, (const void *)&x }
int twice(int x)
{
    return 2 * x;
}
int scale(int x)
{
    if (x > 10)
        return 0;
    return twice(x) + twice(1);
}
EXPORT(twice); EXPORT(scale);
void _start(void) {}
"""
SOURCE = """
int twice(int x);
int scale(int x);
int go(int x) { return scale(x) + twice(5); }
LL_EXTENSION_SYMBOL(go);
"""
LINES = {4: 3, 6: 3, 8: 1, 10: 1, 11: 0, 12: 1, 15: 0}
TREE = [(0, "go"), (1, "scale"), (2, "twice"), (1, "twice")]


def check(measured: Measured) -> None:
    assert measured.coverage is not None
    assert {Path(path).name: dict(file.lines) for path, file in measured.coverage.files.items()}["fw.c"] == LINES
    assert measured.profile is not None
    assert [(step.depth, step.frame.name) for step in measured.profile.threads[0].steps] == TREE


def names(lines: Iterable[str]) -> list[str]:
    return [line.split("(")[0] for line in lines if "(" in line]


def test_firmware_is_measured_like_an_extension(tmp_path: Path) -> None:
    image = fw.build(tmp_path, FIRMWARE, "-g", "-O0")
    cpu = arch.target("cortex-m4")
    firmware, table = load_object(str(image)), read_exports(str(image))
    lines: list[str] = []
    images = load([compile_c(SOURCE, cpu, "gcc", tmp_path)], cpu, exports=table, firmware=[firmware])
    wanted = Wanted(coverage=True, firmware=True, profile=True, trace=lines.append)
    result = run(images, "go(3)", Setup(cpu, table, (firmware,), measure=wanted))
    assert result.fault is None
    check(result.measured)
    assert lines == [
        "go(3)",
        "  scale(3)",
        "    twice(3) = 6",
        "    twice(1) = 2",
        "    scale = 8",
        "  twice(5) = 10",
        "  go = 18",
    ]


def test_functions_that_are_watched_are_measured_once(tmp_path: Path) -> None:
    """A test in Python sees the calls of the firmware's functions: each begins at a trap, and then runs."""
    image = fw.build(tmp_path, FIRMWARE, "-g", "-O0")
    obj = compile_c(SOURCE, arch.target("cortex-m4"), "gcc", tmp_path)
    cache = Cache(Wanted(coverage=True, firmware=True, profile=True))
    program = cache.take(options(obj.path, target="cortex-m4", firmware=str(image)))
    program.fresh(bringup=True)
    from llext_tools.testing import Extension

    extension = Extension(program)
    assert extension.go(3) == 18
    check(program.session.measured)
    cache.close()

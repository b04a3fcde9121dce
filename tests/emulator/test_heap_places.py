"""Where mistakes with the heap are said to be. Oracle: the comments at the ends of the source's lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.run import RunResult, Setup, load, run

SOURCE = """\
static int counter;
static char *kept;
static void drop(void *p) { free(p); counter++; } // drop
__attribute__((noinline)) static void *take(int size) { void *p = malloc(size); counter++; return p; } // take
int beyond(int by) // beyond
{
    char *p = take(6);
    p[6 + by] = 0;
    drop(p); // drops
    return counter;
}
void last(char *p) { free(p); } // last
void give(void) { kept = take(4); last(kept); counter++; last(kept); } // give
int twice(void)
{
    void *p = take(8);
    free(p); // first
    counter++;
    free(p); // second
    return counter;
}
int after(void)
{
    char *p = take(8);
    free(p); // freed
    p[3] = 1;
    return counter;
}
EXPORT_SYMBOL(beyond); EXPORT_SYMBOL(last); EXPORT_SYMBOL(give); EXPORT_SYMBOL(twice); EXPORT_SYMBOL(after);
"""


def line(name: str) -> int:
    return next(i for i, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(f"// {name}"))


def made(folder: Path, target: str, *calls: str, chain: str = "gcc") -> RunResult:
    cpu = arch.target(target)
    return run(load([compile_c(SOURCE, cpu, chain, folder, "-O2")], cpu), [*calls], Setup(cpu))


@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac", "rv64gc"])
def test_who_has_freed_what_and_where_it_was_found(target: str, tmp_path: Path) -> None:
    fault = made(tmp_path, target, "beyond(0)").fault
    assert fault
    assert fault.message == "memory directly behind a block of the heap was written"
    assert fault.notes[0].endswith(f"was allocated by `take` at ext.c:{line('take')}")
    assert fault.notes[1] == "found when it was freed here"
    assert any("beyond+0x" in text and f"ext.c:{line('drops')}" in text for text in fault.detail)

    fault = made(tmp_path, target, "twice()").fault
    assert fault
    assert fault.location
    assert fault.location.line == line("second")
    assert fault.notes == (f"it was freed before by `twice` at ext.c:{line('first')}",)
    assert fault.detail[0] == "#0 free (host)"
    assert fault.detail[1].endswith(f" at ext.c:{line('second')}")

    fault = made(tmp_path, target, "after()").fault
    assert fault
    assert fault.notes[0].endswith(f"was freed by `after` at ext.c:{line('freed')}")
    assert fault.notes[1] == "found by a look at all of the heap, afterwards"


@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac"])
def test_function_that_has_ended_with_a_jump_to_free_has_its_own_line(target: str, tmp_path: Path) -> None:
    fault = made(tmp_path, target, "last(0)", "last(1234)").fault
    assert fault
    assert fault.message == "`last` frees 0x000004d2, which did not come from the heap"
    assert fault.location
    assert (fault.location.function, fault.location.line, fault.location.offset) == ("last", line("last"), None)
    assert fault.detail[0] == "#0 free (host)"
    assert fault.detail[1].startswith("#1 last (ended by a jump)")

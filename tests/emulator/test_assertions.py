"""Assertions of <llext/assert.h> in an extension. Oracle: C17, 7.2, and the lines of the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.run import RunResult, Setup, load, run

SOURCE = """\
int checked(int x) { __ASSERT(x > 0 && x % 2, "x is %d", x); return x; }
int silent(int x) { __ASSERT_NO_MSG(x > 0); return x; }
int standard(int x) { assert(x != 0); return x; }
int evaluated(int x) { __ASSERT_EVAL((void)x, int y = x + 1, y > 1, "y is %d", y); return x; }
static int count;
int effects(int x) { assert(++count); if (x) __ASSERT(++count, "never"); else count = 90; return count; }
EXPORT_SYMBOL(checked); EXPORT_SYMBOL(silent); EXPORT_SYMBOL(standard); EXPORT_SYMBOL(evaluated);
EXPORT_SYMBOL(effects);
"""
FAILING = {
    "checked": ("x > 0 && x % 2", 1, "ASSERTION FAIL [x > 0 && x % 2] @ {source}:1\n\tx is 0\n"),
    "silent": ("x > 0", 2, "ASSERTION FAIL [x > 0] @ {source}:2\n"),
    "standard": ("x != 0", 3, ""),
    "evaluated": ("y > 1", 4, "ASSERTION FAIL [y > 1] @ {source}:4\n\ty is 1\n"),
}


def made(target: str, chain: str, folder: Path, call: str, *options: str) -> RunResult:
    cpu = arch.target(target)
    return run(load([compile_c(SOURCE, cpu, chain, folder, *options)], cpu), [call], Setup(cpu))


@pytest.mark.parametrize(("target", "chain"), [("cortex-m4", "gcc"), ("rv32imac", "gcc"), ("rv64gc", "zig")])
def test_failed_assertion_says_condition_file_and_line(target: str, chain: str, tmp_path: Path) -> None:
    for name, (condition, line, output) in FAILING.items():
        assert made(target, chain, tmp_path, f"{name}(3)").returned[0].value == 3
        result = made(target, chain, tmp_path, f"{name}(0)")
        assert result.fault
        assert result.fault.code == "run-abort"
        assert result.fault.message == f"the assertion `{condition}` does not hold in `{name}`"
        at = result.fault.location
        assert at
        assert (at.source, at.line, at.function) == (str(tmp_path / "ext.c"), line, name)
        assert result.output == output.format(source=tmp_path / "ext.c")


def test_what_is_left_out_is_not_evaluated(tmp_path: Path) -> None:
    values = {(): 2, ("-D__ASSERT_ON=0",): 1, ("-DNDEBUG",): 0, ("-DNDEBUG", "-D__ASSERT_ON=1"): 1}
    for options, count in values.items():
        result = made("cortex-m4", "gcc", tmp_path, "effects(1)", *options)
        assert result.returned[0].value == count, options


STANDARD_HEADER = """\
#undef assert
#define assert(e) ((e) ? (void)0 : __assert_func(__FILE__, __LINE__, __func__, "standard " #e))
void __assert_func(const char *, int, const char *, const char *) __attribute__((__noreturn__));
"""


@pytest.mark.parametrize("before", [True, False])
def test_the_c_librarys_own_header_may_come_before_or_behind(before: bool, tmp_path: Path) -> None:
    """Oracle: C17, 7.2: each inclusion of <assert.h> defines assert() anew."""
    (tmp_path / "assert.h").write_text(STANDARD_HEADER)
    own, ours = "#include <assert.h>\n", "#include <llext/host.h>\n#include <llext/symbol.h>\n"
    cpu = arch.target("cortex-m4")
    obj = compile_c(
        SOURCE, cpu, "gcc", tmp_path, f"-I{tmp_path}", "-Werror", prelude=own + ours if before else ours + own
    )
    fault = run(load([obj], cpu), ["standard(0)"], Setup(cpu)).fault
    assert fault
    assert fault.message == "the assertion `standard x != 0` does not hold in `standard`"

"""Coverage of emulated code. Oracle: gcov, of the same source compiled for this machine and run with the same calls.

Both compilers are GCC without optimisation, so that lines, functions and all their counts have to be the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from emulator.compiled import TARGETS, call, compile_file
from llext_tools.arch import target
from llext_tools.arch.base import Target
from llext_tools.measure import Wanted
from llext_tools.measure.coverage import Coverage, merged, to_lcov
from llext_tools.paths import include_dir
from llext_tools.run import Setup, load, run
from needs import need

FOLDER = Path(__file__).parent / "covered"
SAMPLES = Path(__file__).parents[2] / "sample_extensions"
EVERYTHING = "int everything(int); int main(void) {{ return everything({}) == 12345; }}"
PRINTK = """
#include <stdarg.h>
#include <stdio.h>
int printk(const char *format, ...) { va_list list; va_start(list, format); int n = vprintf(format, list); return n; }
"""
GCC = list(TARGETS)


class Counts(NamedTuple):
    """``lines``: (name of the file, line) -> times; ``functions``: (name of the file, line, name) -> times."""

    lines: dict[tuple[str, int], int]
    functions: dict[tuple[str, int, str], int]


class Case(NamedTuple):
    source: Path
    calls: tuple[str, ...]
    main: str  # what makes the same calls on this machine


def sample(name: str, prototypes: str, *calls: str) -> Case:
    main = f"{PRINTK}{prototypes};\nint main(void) {{ {'; '.join(calls)}; }}"
    return Case(SAMPLES / name / f"{name}.c", calls, main)


CASES = {
    "flow": Case(FOLDER / "flow.c", ("everything(7)",), EVERYTHING.format(7)),
    "statements": Case(FOLDER / "statements.c", ("everything(7)",), EVERYTHING.format(7)),
    "counter": sample("counter", "int counter_run(int), counter_tick(void)", "counter_run(6)", "counter_tick()"),
    "math": sample(
        "math",
        "long long mean_ns(long long, unsigned); float fahrenheit(float); double square_root(double)",
        *("mean_ns(-1000000000000, 7)", "fahrenheit(37.5)", "square_root(2.0)"),
    ),
    "hello": sample("hello", "int hello(void); void greet(const char *)", "hello()", 'greet("you")', 'greet("")'),
    "object": sample(
        "object",
        "int execute(const char *, const char *, int)",
        *('execute("led", "on", 5)', 'execute("led", "clear", 7)', 'execute("led", "blink", 0)'),
    ),
    "init_fini": sample("init_fini", "int init_fini_run(void)", "init_fini_run()"),
}


def gcov(case: Case, folder: Path) -> Counts:
    """What gcov says, with JSON as its output."""
    gcc, tool = need("gcc"), need("gcov")
    shutil.copytree(case.source.parent, folder, dirs_exist_ok=True)
    (folder / "main_of_test.c").write_text(case.main)
    source = case.source.name
    call([gcc, "-O0", "--coverage", f"-I{include_dir()}", "-c", str(folder / source), "-o", str(folder / "it.o")])
    call([gcc, "--coverage", str(folder / "main_of_test.c"), str(folder / "it.o"), "-o", str(folder / "program")])
    subprocess.run([folder / "program"], cwd=folder, check=False, capture_output=True)
    done = subprocess.run(
        [tool, "--json-format", "--stdout", "it.gcno"], cwd=folder, check=True, capture_output=True, text=True
    )
    lines: Counter[tuple[str, int]] = Counter()
    functions: dict[tuple[str, int, str], int] = {}
    for file in json.loads(done.stdout)["files"]:
        name = Path(file["file"]).name
        for line in file["lines"]:
            lines[name, line["line_number"]] += line["count"]
        functions |= {(name, f["start_line"], f["name"]): f["execution_count"] for f in file["functions"]}
    return Counts(dict(lines), functions)


@cache
def expected(name: str, folder: Path) -> Counts:
    return gcov(CASES[name], folder / f"native-{name}")


def measured(case: Case, cpu: Target, chain: str, folder: Path, *options: str) -> Coverage:
    obj = compile_file(case.source, cpu, chain, folder, "-O0", *options)
    result = run(load([obj], cpu), case.calls, Setup(cpu, measure=Wanted(coverage=True)))
    assert result.fault is None
    assert result.measured.coverage is not None
    return result.measured.coverage


def counts(coverage: Coverage) -> Counts:
    files = {Path(path).name: file for path, file in coverage.files.items()}
    return Counts(
        {(name, line): n for name, file in files.items() for line, n in file.lines.items()},
        {(name, f.line, f.name): f.calls for name, file in files.items() for f in file.functions},
    )


@pytest.mark.parametrize(
    ("name", "cpu"),
    [(name, cpu) for name in CASES for cpu in (GCC if name in ("flow", "statements") else ("cortex-m4", "rv32imac"))],
)
def test_lines_and_functions_equal_those_of_gcov(
    name: str, cpu: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = expected(name, tmp_path_factory.getbasetemp())
    ours = counts(measured(CASES[name], target(cpu), "gcc", tmp_path))
    assert ours.lines == theirs.lines
    assert ours.functions == theirs.functions
    assert sum(theirs.lines.values()) > 5, "nothing ran"


@pytest.mark.parametrize("cpu", ["cortex-m4", "rv32imac"])
def test_lines_by_clang_ran_where_those_of_gcc_did(
    cpu: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Clang puts more lines into its table, and other counts where a statement has several; not what ran at all."""
    theirs = expected("flow", tmp_path_factory.getbasetemp())
    ours = counts(measured(CASES["flow"], target(cpu), "zig", tmp_path))
    assert ours.functions == theirs.functions
    assert {line for line, n in theirs.lines.items() if n} <= {line for line, n in ours.lines.items() if n}
    assert not [line for line, n in theirs.lines.items() if not n and ours.lines[line]]


def test_lcov_reads_and_merges_what_is_written(tmp_path: Path) -> None:
    """Oracle: lcov's own sums, and the page that genhtml makes."""
    coverage = measured(CASES["flow"], target("cortex-m4"), "gcc", tmp_path)
    path, twice = tmp_path / "out.info", tmp_path / "twice.info"
    path.write_text(to_lcov(coverage))
    lcov, genhtml = need("lcov"), need("genhtml")
    call([lcov, "-q", "-a", str(path), "-a", str(path), "-o", str(twice)])
    records = [line for line in twice.read_text().splitlines() if line.startswith(("DA:", "FNDA:"))]
    ours = to_lcov(merged([coverage, coverage])).splitlines()
    assert [line.rsplit(",", 2)[0] if line.count(",") > 1 else line for line in sorted(records)] == sorted(
        line for line in ours if line.startswith(("DA:", "FNDA:"))
    )
    call([genhtml, "-q", str(path), "-o", str(tmp_path / "html")])
    page = next((tmp_path / "html").rglob("flow.c.gcov.html")).read_text()
    assert "int loops(int n)" in page

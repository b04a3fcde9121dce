"""Coverage by gcov: sources that are compiled for this machine and run with the same calls as in the emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from emulator.compiled import call
from llext_tools.paths import include_dir
from needs import need

FOLDER = Path(__file__).parent / "covered"
SAMPLES = Path(__file__).parents[2] / "sample_extensions"
EVERYTHING = "int everything(int); int main(void) {{ return everything({}) == 12345; }}"
PRINTK = """
#include <stdarg.h>
#include <stdio.h>
int printk(const char *format, ...) { va_list list; va_start(list, format); int n = vprintf(format, list); return n; }
"""


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
    "classes": Case(FOLDER / "classes.cpp", ("everything(7)",), 'extern "C" ' + EVERYTHING.format(7)),
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


@cache
def gcov(name: str) -> Counts:
    """What gcov says of a case, with JSON as its output."""
    case = CASES[name]
    with TemporaryDirectory() as folder:
        return _gcov(case, Path(folder))


def _gcov(case: Case, folder: Path) -> Counts:
    is_cpp = case.source.suffix == ".cpp"
    gcc, tool = need("g++" if is_cpp else "gcc"), need("gcov")
    options = ["-fno-exceptions", "-fno-rtti"] if is_cpp else [f"-I{include_dir()}"]
    shutil.copytree(case.source.parent, folder, dirs_exist_ok=True)
    main = folder / f"main_of_test{case.source.suffix}"
    main.write_text(case.main)
    source = case.source.name
    call([gcc, "-O0", "--coverage", *options, "-c", str(folder / source), "-o", str(folder / "it.o")])
    call([gcc, "--coverage", str(main), str(folder / "it.o"), "-o", str(folder / "program")])
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

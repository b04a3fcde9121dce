"""Coverage of emulated code. Oracle: gcov, of the same source compiled for this machine and run with the same calls.

Both compilers are GCC without optimisation, so that lines, functions and all their counts have to be the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emulator.compiled import TARGETS, call, compile_file
from emulator.gcov import CASES, Case, Counts, gcov
from llext_tools.arch import target
from llext_tools.arch.model import Target
from llext_tools.elf.read import load_object
from llext_tools.measure import Wanted
from llext_tools.measure.coverage import Coverage, merged, to_lcov
from llext_tools.run import Setup, load, run
from needs import need

GCC = list(TARGETS)


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
def test_lines_and_functions_equal_those_of_gcov(name: str, cpu: str, tmp_path: Path) -> None:
    theirs = gcov(name)
    ours = counts(measured(CASES[name], target(cpu), "gcc", tmp_path))
    assert ours.lines == theirs.lines
    assert ours.functions == theirs.functions
    assert sum(theirs.lines.values()) > 5, "nothing ran"


@pytest.mark.parametrize("cpu", ["cortex-m4", "rv32imac"])
def test_lines_by_clang_ran_where_those_of_gcc_did(cpu: str, tmp_path: Path) -> None:
    """Clang puts more lines into its table, and other counts where a statement has several; not what ran at all."""
    theirs = gcov("flow")
    ours = counts(measured(CASES["flow"], target(cpu), "zig", tmp_path))
    assert ours.functions == theirs.functions
    assert {line for line, n in theirs.lines.items() if n} <= {line for line, n in ours.lines.items() if n}
    assert not [line for line, n in theirs.lines.items() if not n and ours.lines[line]]


def test_lines_behind_a_fault_have_not_run(tmp_path: Path) -> None:
    """Not even those that would have run without another jump. Oracle: the source."""
    source = tmp_path / "broken.c"
    source.write_text(
        "int volatile seen;\n"
        "int broken(volatile int *p)\n"
        "{\n"
        "    seen = 1;\n"
        "    seen += *p;\n"
        "    seen = 2;\n"
        "    return seen;\n"
        "}\n"
    )
    cpu = target("cortex-m4")
    obj = compile_file(source, cpu, "gcc", tmp_path, "-O0")
    result = run(load([obj], cpu), ("broken(0)",), Setup(cpu, measure=Wanted(coverage=True)))
    assert result.fault is not None
    assert result.measured.coverage is not None
    assert counts(result.measured.coverage).lines == {
        ("broken.c", line): n for line, n in ((2, 1), (4, 1), (5, 1), (6, 0), (7, 0))
    }


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


def test_debug_information_that_goes_in_circles_counts_as_none(tmp_path: Path) -> None:
    """An entry whose sibling is its unit's first one; pyelftools, which says where that is written, would follow it."""
    source = tmp_path / "circle.c"
    source.write_text("int first(int a) { return a; }\nint f(int a) { { int b = a; a = b + 1; } return a; }\n")
    good = compile_file(source, target("cortex-m4"), "gcc", tmp_path, "-O0", "-DLL_EXTENSION_BUILD")
    with Path(good.path).open("rb") as file:
        elf = ELFFile(file)
        section = elf.get_section_by_name(".debug_info")
        unit = next(elf.get_dwarf_info().iter_CUs())
        first = unit.get_top_DIE().offset
        at = [die.attributes["DW_AT_sibling"].offset for die in unit.iter_DIEs() if "DW_AT_sibling" in die.attributes]
    assert at
    data = bytearray(Path(good.path).read_bytes())
    for offset in at:
        place = section["sh_offset"] + offset
        data[place : place + 4] = (first - unit.cu_offset).to_bytes(4, "little")
    (tmp_path / "bad.debug.elf").write_bytes(data)
    for path, files in ((good.path, 1), (str(tmp_path / "bad.debug.elf"), 0)):
        setup = Setup(target("cortex-m4"), measure=Wanted(coverage=True))
        result = run(load([load_object(path)], setup.target), "f(1)", setup, prototypes=["int f(int a)"])
        assert (result.value, result.fault) == (2, None)
        assert result.measured.coverage is not None
        assert len(result.measured.coverage.files) == files

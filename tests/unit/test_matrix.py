"""How `llext build` chooses targets and shows them. The jobs' results are made by hand; nothing is built here."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llext_tools import __version__, toolchains
from llext_tools.arch.model import Target
from llext_tools.build import Case, Failure, Firmware, Job, Progress, Result, Step
from llext_tools.cli import build as cli_build
from llext_tools.cli import demo, matrix, results, rows
from llext_tools.diag import fail
from llext_tools.errors import ToolError, UsageError
from llext_tools.toolchains import Toolchain

ROOT = Path("/p")


@pytest.fixture(autouse=True)
def without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def job(target: str, toolchain: str = "gcc") -> Job:
    name = f"{target}-{toolchain}"
    return Job(target=target, toolchain=toolchain, build=ROOT / "build" / name, output=ROOT / "dist" / name)


def with_tests(target: str, passed: int, failed: int = 0) -> Result:
    cases = [Case(name=f"t{i}", passed=i < passed, seconds=0.1) for i in range(passed + failed)]
    failures = [Failure(step=Step.TEST, what=c.name, lines=("no",)) for c in cases if not c.passed]
    return Result(
        job=job(target),
        artifacts=(ROOT / "a.llext", ROOT / "b.llext"),
        tests=tuple(cases),
        seconds={Step.CONFIGURE: 1.0, Step.BUILD: 2.0, Step.TEST: 0.25},
        failures=tuple(failures),
    )


def not_built(target: str, step: Step) -> Result:
    return Result(job=job(target), seconds={step: 1.0}, failures=(Failure(step=step, what="x", lines=()),))


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    matrix.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def only_arm_gcc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has arm-none-eabi-gcc and nothing else."""

    def find(target: Target, name: str = "auto") -> Toolchain:
        if target.arch != "arm" or name == "zig":
            fail("tool-missing", "no compiler", help=f"install {'zig' if name == 'zig' else target.debian}")
        tool = ("arm-none-eabi-gcc",)
        return Toolchain(name="gcc", version="12", cc=tool, cxx=tool, ld=tool, ar=tool, ranlib=tool)

    monkeypatch.setattr(toolchains, "find", find)


@pytest.mark.usefixtures("only_arm_gcc")
def test_targets_without_a_toolchain_are_left_out_by_default() -> None:
    jobs, notes = matrix.choose_jobs(arguments(), ROOT / "build", ROOT / "dist")
    assert {j.name for j in jobs} >= {"cortex-m0plus-gcc", "cortex-m33-gcc"}
    assert all(j.target.startswith("cortex") for j in jobs)
    assert jobs[0].output == ROOT / "dist" / jobs[0].name
    assert jobs[0].programs == ("arm-none-eabi-gcc",)
    assert notes == ("not built: rv32imac, rv32imafc, rv64gc; to build them: install gcc-riscv64-unknown-elf",)


@pytest.mark.usefixtures("only_arm_gcc")
def test_a_target_that_is_asked_for_must_have_a_toolchain() -> None:
    with pytest.raises(ToolError):
        matrix.choose_jobs(arguments("--target", "cortex-m4", "--target", "rv32imac"), ROOT, ROOT)
    with pytest.raises(ToolError):
        matrix.choose_jobs(arguments("--toolchain", "zig"), ROOT, ROOT)
    with pytest.raises(UsageError):
        matrix.choose_jobs(arguments("--target", "cortex-m5"), ROOT, ROOT)


@pytest.mark.usefixtures("only_arm_gcc")
def test_the_same_toolchain_twice_is_one_job() -> None:
    jobs, _ = matrix.choose_jobs(
        arguments("--target", "cortex-m4", "--toolchain", "auto", "--toolchain", "gcc"), ROOT, ROOT
    )
    assert [j.name for j in jobs] == ["cortex-m4-gcc"]


def test_plain_rows() -> None:
    stream = io.StringIO()
    results = [
        with_tests("cortex-m0plus", 12),
        with_tests("rv32imac", 10, 2),
        not_built("rv64gc", Step.BUILD),
        not_built("cortex-m4", Step.CONFIGURE),
    ]
    view = rows.Plain([result.job for result in results], stream)
    view.observe(Progress(job=results[0].job, step=Step.BUILD, done=1, total=2))
    for result in results:
        view.observe(result)
    assert stream.getvalue() == (
        "target         toolchain   built  checked       run      time\n"
        "cortex-m0plus  gcc             2        2        12     3.2 s\n"
        "rv32imac       gcc             2        2  10 of 12     3.2 s\n"
        "rv64gc         gcc                     build failed     1.0 s\n"
        "cortex-m4      gcc                 configure failed     1.0 s\n"
    )


def test_plain_rows_are_in_the_order_of_the_jobs() -> None:
    """Whichever ends first; of one that is interrupted there is none, and it holds back no other."""
    stream = io.StringIO()
    results = [with_tests(target, 1) for target in ("cortex-m4", "cortex-m7", "rv32imac", "rv64gc")]
    seen = []
    with rows.Plain([result.job for result in results], stream) as view:
        for i in (3, 1, 0):
            view.observe(results[i])
            seen.append([line.split()[0] for line in stream.getvalue().splitlines()[1:]])
    assert seen == [[], [], ["cortex-m4", "cortex-m7"]]
    ended = [line.split()[0] for line in stream.getvalue().splitlines()[1:]]
    assert ended == ["cortex-m4", "cortex-m7", "rv64gc"]


def test_live_rows_end_as_the_final_table() -> None:
    from rich.console import Console

    results = [with_tests("cortex-m4", 3), not_built("rv64gc", Step.BUILD)]
    table = rows.LiveTable([*(result.job for result in results), job("rv32imac")])

    def text() -> str:
        console = Console(file=io.StringIO(), width=80)
        console.print(table.table())
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "cortex-m4" in text()
    table.observe(Progress(job=results[0].job, step=Step.BUILD, done=3, total=40))
    assert text().split("\n")[3].split()[:4] == ["cortex-m4", "gcc", "7", "%"]
    table.observe(Progress(job=results[0].job, step=Step.TEST, done=3, total=40, built=2))
    assert text().split("\n")[3].split()[:5] == ["cortex-m4", "gcc", "2", "2", "3/40"], "extensions, as in the end"
    for result in results:
        table.observe(result)
    lines = [line.split() for line in text().splitlines() if line.strip()]
    assert ["cortex-m4", "gcc", "2", "2", "3", "3.2", "s"] in lines
    assert ["rv64gc", "gcc", "build", "failed", "1.0", "s"] in lines
    assert ["rv32imac", "gcc"] in lines, "a job that has not begun"


@pytest.mark.parametrize(
    ("what", "cells"),
    [
        ({}, ("cortex-m4", "gcc")),
        ({"firmware": Firmware(name="next", files=())}, ("cortex-m4", "gcc next")),
        ({"preset": "cortex-m4-gcc"}, ("cortex-m4", "gcc")),
        ({"preset": "debug"}, ("cortex-m4", "gcc debug")),
        ({"preset": "debug", "target": "", "toolchain": ""}, ("debug", "")),
    ],
    ids=["plain", "for a firmware", "preset of the usual name", "preset", "preset that tells no target yet"],
)
def test_a_row_says_which_job_it_is_of(what: dict[str, Any], cells: tuple[str, str]) -> None:
    assert rows.head(replace(job("cortex-m4"), **what)) == cells


@pytest.mark.parametrize(
    ("step", "done", "total", "cells"),
    [
        (Step.CONFIGURE, 0, 0, ("...", "", "")),
        (Step.BUILD, 0, 3, ("0 %", "", "")),
        (Step.BUILD, 2, 3, ("66 %", "", "")),
        (Step.BUILD, 3, 3, ("100 %", "", "")),
        (Step.TEST, 0, 0, ("5", "5", "...")),
        (Step.TEST, 1, 12, ("5", "5", "1/12")),
    ],
)
def test_a_row_says_how_far_its_job_is(step: Step, done: int, total: int, cells: tuple[str, ...]) -> None:
    built = 5 if step is Step.TEST else 0
    assert rows.under_way(Progress(job=job("rv64gc"), step=step, done=done, total=total, built=built)) == cells


def test_summary() -> None:
    two = [with_tests("cortex-m4", 3), with_tests("rv64gc", 4)]
    assert results.summary(two, 12.34) == "4 extensions for 2 targets built and checked, 7 tests run in 12 s"
    assert results.summary([with_tests("cortex-m4", 1)], 3.21) == (
        "2 extensions for 1 target built and checked, 1 test run in 3.2 s"
    )
    assert results.summary([*two, with_tests("rv32imac", 1, 1)], 3.0) == "1 of 3 targets failed in 3.0 s"


def test_extensions_that_were_checked_without_a_firmware_have_a_mark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newcomer has no firmware yet: that is no failure, but `checked` alone would promise too much."""
    monkeypatch.setenv("COLUMNS", "80")
    plain = with_tests("cortex-m4", 1)
    a, b = plain.artifacts
    all_bare, one_bare, full = (
        replace(plain, against=against)
        for against in ({a: (), b: ()}, {a: ("v1.elf",), b: ()}, {a: ("v1.elf",), b: ("v1.elf",)})
    )
    assert [rows.cells(each)[2:4] for each in (all_bare, one_bare, full)] == [("2", "2*"), ("2", "2*"), ("2", "2")]
    assert "built and checked without a firmware, 1 test run" in results.summary([all_bare], 1)
    assert "4 extensions for 2 targets built and checked (1 without a firmware)," in results.summary(
        [one_bare, full], 1
    )
    assert "built and checked, 1" in results.summary([full], 1)
    assert results.paint_summary([all_bare], 123456).split("\n") == [
        "2 extensions for 1 target built and checked without a firmware,",
        "  1 test run in 123456 s",
    ]
    results.print_end([one_bare, full], 1, ())
    assert "\n* what they import is looked up once a firmware is named: EXPORTS of" in capsys.readouterr().out
    results.print_end([full], 1, ())
    assert "*" not in capsys.readouterr().out
    not_there = replace(all_bare, failures=not_built("cortex-m4", Step.BUILD).failures)
    results.print_end([not_there], 1, ())
    assert "*" not in capsys.readouterr().out, "no row has the mark"


def test_tests_that_were_not_run_are_named() -> None:
    result = replace(with_tests("cortex-m4", 2), not_run=("c", "d"))
    assert results.tests_not_run([result, with_tests("rv64gc", 4)]) == [
        "cortex-m4-gcc: 2 tests run, 2 not, for their extensions were not built: c, d"
    ]


def test_a_test_at_build_counts_as_one() -> None:
    done = with_tests("cortex-m4", 12)
    failed = replace(done, failures=(Failure(step=Step.TEST, what="at_build", lines=()),))
    assert rows.cells(failed)[2:5] == ("2", "2", "12 of 13")
    assert rows.cells(replace(failed, seconds={Step.BUILD: 1.0}))[2] == "build failed", "no other test was run"


@pytest.mark.parametrize("text", ["FOO", "=1", "FOO:BLA=1", "A B=1"])
def test_definitions_for_cmake(text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    cli_build.add_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match="is not NAME=VALUE"):
        parser.parse_args(["-D", text])
    assert parser.parse_args(["-DFOO=", "-D", "A:PATH=b=c"]).define == ["FOO=", "A:PATH=b=c"]


def test_json_is_complete() -> None:
    value = json.loads(results.to_json([with_tests("cortex-m4", 1, 1), not_built("rv64gc", Step.CONFIGURE)], 1.5))
    assert value["version"] == 1
    assert value["exit_code"] == 12
    first, second = value["jobs"]
    assert (first["target"], first["toolchain"], first["passed"]) == ("cortex-m4", "gcc", False)
    assert first["tests"] == [
        {"name": "t0", "passed": True, "seconds": 0.1},
        {"name": "t1", "passed": False, "seconds": 0.1},
    ]
    assert first["seconds"] == {"configure": 1.0, "build": 2.0, "test": 0.25}
    assert second["failures"][0]["step"] == "configure"
    assert [found["code"] for found in value["diagnostics"]] == ["build-failed", "build-failed"]


def test_samples_are_copied_once_and_only_to_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "demo"
    assert not demo.copy_samples(folder, "demo")
    hello = folder / "hello" / "hello.c"
    hello.write_text("mine", encoding="utf-8")
    assert demo.copy_samples(folder, "demo")
    assert hello.read_text(encoding="utf-8") == "mine"

    (folder / demo.MARK).write_text("0.0.1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=f"0.0.1, this is {__version__}"):
        demo.copy_samples(folder, "demo")

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    assert not demo.copy_samples(foreign, "foreign"), "an empty folder will do"
    (tmp_path / "file").touch()
    for name in ("file", "new"):
        with pytest.raises(UsageError, match="not empty"):
            demo.copy_samples(tmp_path / name, name)


def test_a_folder_without_cmakelists_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a CMake project") as found:
        matrix.project(str(tmp_path))
    assert "`llext new NAME`" in found.value.diagnostics[0].help
    with pytest.raises(UsageError, match="there is no folder"):
        matrix.project(str(tmp_path / "not there"))


def test_below_a_project_the_way_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder between that only adds sources is no project."""
    source = tmp_path / "my project" / "sub" / "src"
    source.mkdir(parents=True)
    (source.parent / "CMakeLists.txt").write_text("target_sources(a PRIVATE src/a.c)\n")
    (tmp_path / "my project" / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(a)\n")
    for here, folder, command in (
        (source, ".", "llext build ../.."),
        (tmp_path / "my project", "sub/src", "llext build"),
        (tmp_path, "my project/sub/src", "llext build 'my project'"),
    ):
        monkeypatch.chdir(here)
        with pytest.raises(UsageError) as found:
            matrix.project(folder)
        assert found.value.diagnostics[0].help == f"the project is above: `{command}`"


def test_short_options_are_those_of_make() -> None:
    args = arguments("-j3", "-k")
    assert (args.jobs, args.keep_going) == (3, True)
    assert arguments("-j", "2", "--no-keep-going").keep_going is False

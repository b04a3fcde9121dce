"""What is said of all jobs of a build together. Oracle: the outputs of GCC 12.2 and Clang 20 were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from llext_tools import build
from llext_tools.build import Failure, Job, Result, Step
from llext_tools.cli.render import Paint, render


def test_the_first_warnings_of_each_job_go_before_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both compilers warn of the same two lines in other words, at another column."""
    monkeypatch.chdir(tmp_path)
    start = f"{tmp_path}/src/a.c"
    gcc = [
        f"{start}:8:57: warning: format '%s' expects argument of type 'char *' [-Wformat=]",
        f"{start}:7:13: warning: unused variable 'x' [-Wunused-variable]",
        f"{start}:7:16: warning: unused variable 'y' [-Wunused-variable]",
        *(f"{start}:{i}:1: warning: {i} [-Wextra]" for i in range(20, 25)),
    ]
    clang = [
        f"{start}:8:54: warning: format specifies type 'char *' but the argument has type 'int' [-Wformat]",
        f"{start}:7:6: warning: unused variable 'x' [-Wunused-variable]",
    ]
    results = [
        Result(
            job=Job(target="rv64gc", toolchain=name, build=tmp_path / name, output=tmp_path),
            compiler_warnings=tuple(lines),
        )
        for name, lines in (("gcc", gcc), ("zig", clang), ("other", ["warning: of a linker"]))
    ]
    assert build.show_compiler_warnings(results) == (
        "9 compiler warnings, see gcc/llext.log",
        "  src/a.c:8:57: warning: format '%s' expects argument of type 'char *' [-Wformat=] (in 2 builds)",
        "  warning: of a linker (in rv64gc-other)",
        "  src/a.c:7:13: warning: unused variable 'x' [-Wunused-variable] (in 2 builds)",
        "  src/a.c:7:16: warning: unused variable 'y' [-Wunused-variable] (in rv64gc-gcc)",
        "  src/a.c:20:1: warning: 20 [-Wextra] (in rv64gc-gcc)",
        "  ... and 4 more",
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  --> {}/src/a.c:17, in `f`", "  --> src/a.c:17, in `f`"),
        ("exported by {0}/a.toml and `{0}/b.toml`", "exported by a.toml and `b.toml`"),
        ("cc -I{0}/src -ffile-prefix-map={0}/=. -c {0}/a.c", "cc -I{0}/src -ffile-prefix-map={0}/=. -c a.c"),
        ("in {0}/ and {0}2/a.c and /x{0}/a.c", "in {0}/ and {0}2/a.c and /x{0}/a.c"),
    ],
)
def test_names_of_files_in_a_failure_begin_here(
    line: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failure = Failure(step=Step.BUILD, what="a", lines=(line.format(tmp_path), ""))
    job = Job(target="rv64gc", toolchain="gcc", build=tmp_path / "b", output=tmp_path)
    (found,) = build.diagnose([Result(job=job, failures=(failure,))])
    assert found.detail[0] == expected.format(tmp_path)
    assert not [text for text in render(found, Paint(None)).splitlines() if text != text.rstrip()]

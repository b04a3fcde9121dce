"""What is said of all jobs of a build together. Oracle: the outputs of GCC 12.2 and Clang 20 were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from llext_tools import build
from llext_tools.build import Job, Result


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

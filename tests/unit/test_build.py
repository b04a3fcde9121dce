"""The build driver without compilers: CMake, CTest and Ninja are stand-ins that do what a plan says.

Oracles: the stand-ins log their calls; the output of a compiler below was recorded.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from build_tools import FILES_OF_A, TWO_EXTENSIONS, B, Tools, manifest
from llext_tools import build
from llext_tools.build import Options, Progress, Result, Step, logs, process
from llext_tools.cli.render import Paint, render
from llext_tools.diag import Diagnostic, Location
from llext_tools.errors import ToolError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts with a #! line")

WARNED = """\
[1/3] Building C object CMakeFiles/a.dir/a.c.obj
/tmp/p/a.c: In function 'a':
/tmp/p/a.c:1:21: warning: unused variable 'x' [-Wunused-variable]
/tmp/p/a.h:1:21: warning: 'b' defined but not used [-Wunused-function]
[2/3] Building C object CMakeFiles/c.dir/c.c.obj
/tmp/p/a.h:1:21: warning: 'b' defined but not used [-Wunused-function]
"""


def test_a_job_runs_three_steps_and_leaves_its_extensions(tools: Tools) -> None:
    (result,) = tools.run()
    assert result.passed
    assert tools.calls == ["cmake", "ninja", "ctest"]
    assert tools.dist() == {**FILES_OF_A, "b.llext": "B"}
    assert result.artifacts == (tools.job().output / "a.llext", tools.job().output / "b.llext")
    assert [(test.name, test.passed, test.seconds) for test in result.tests] == [("runs", True, 0.5)]
    assert set(result.seconds) == set(Step)
    assert "[2/2] b" in result.job.log.read_text(encoding="utf-8")


def test_cmake_runs_only_when_its_arguments_change(tools: Tools) -> None:
    tools.run()
    tools.run()
    assert tools.calls == ["cmake", "ninja", "ctest", "ninja", "ctest"]
    tools.run(define=("BOARD=a",))
    assert tools.calls.count("cmake") == 2
    assert "-DBOARD=a" in tools.calls_file.read_text(encoding="utf-8")
    assert "-DLLEXT_PROFILE" not in tools.calls_file.read_text(encoding="utf-8"), "the project says which"
    for _ in range(2):
        tools.run(profile="zephyr-4.2")
    assert tools.calls.count("cmake") == 3
    assert "-DLLEXT_PROFILE=zephyr-4.2" in tools.calls_file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["CMakeCache.txt", "build.ninja", "CMakeFiles/rules.ninja", "llext-extensions.txt", "CMakeFiles"]
)
def test_cmake_runs_again_when_somebody_has_removed_what_it_wrote(tools: Tools, name: str) -> None:
    tools.run()
    path = tools.job().build / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    tools.run()
    assert tools.calls.count("cmake") == 2
    if path.is_file():
        path.write_bytes(b"")
        tools.run()
        assert tools.calls.count("cmake") == 3
    tools.run()
    assert tools.calls[-2:] == ["ninja", "ctest"]
    assert tools.calls.count("cmake") == (3 if path.is_file() else 2)
    assert tools.dist() == {**FILES_OF_A, "b.llext": "B"}


def test_warnings_of_the_compiler_are_shown_once_for_all_targets(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tools.root)
    tools.plan({**TWO_EXTENSIONS, "ninja": {"print": WARNED}})
    results = tools.run(tools.job("cortex-m4"), tools.job("rv32imac"))
    assert all(result.passed for result in results)
    assert build.show_compiler_warnings(results) == (
        "2 compiler warnings, see build/cortex-m4-gcc/llext.log",
        "  /tmp/p/a.c:1:21: warning: unused variable 'x' [-Wunused-variable] (in 2 targets)",
        "  /tmp/p/a.h:1:21: warning: 'b' defined but not used [-Wunused-function] (in 2 targets)",
    )
    assert build.show_compiler_warnings(results[:1])[1].endswith("[-Wunused-variable]"), "there is one target"


def test_our_warnings_are_read_back(tools: Tools) -> None:
    """Oracle: what the renderer has written."""
    diagnostic = Diagnostic(
        code="call-not-exported",
        message="`f` is not exported",
        severity="warning",
        location=Location(file="a.llext"),
        detail=("one",),
        notes=("two",),
        help="three",
    )
    text = render(diagnostic, Paint(io.StringIO()), int(process.WIDE))
    assert logs.our_findings(["f(1) = 2", *text.splitlines(), "", "1 warning"], "warning") == (diagnostic,)
    junit = (
        f'<testsuite><testcase name="runs" time="0.5" status="run"><system-out>{text.replace(">", "&gt;")}</system-out>'
    )
    tools.plan({**TWO_EXTENSIONS, "ctest": {"junit": junit + "</testcase></testsuite>"}})
    results = tools.run(tools.job("cortex-m4"), tools.job("rv32imac"))
    (found,) = build.diagnose_warnings(results)
    assert found == diagnostic._replace(notes=("two", "in test `runs`", "for `cortex-m4-gcc` and `rv32imac-gcc`"))
    assert build.exit_code(results) == 0


def test_a_project_without_extensions_is_warned_of(tools: Tools) -> None:
    jobs = tools.job("cortex-m4"), tools.job("rv32imac")
    some = tools.run(*jobs)
    assert not build.diagnose_warnings(some)
    tools.plan({**TWO_EXTENSIONS, "cmake": {"write": {"build.ninja": "#", "llext-extensions.txt": "\n"}}})
    none = tools.run(*jobs, define=("X=1",))
    (found,) = build.diagnose_warnings(none)
    assert (found.code, found.severity) == ("build-empty", "warning")
    assert found.message == "the project adds no extension for `cortex-m4-gcc` and `rv32imac-gcc`"
    assert build.exit_code(none) == 0
    assert not build.diagnose_warnings([some[0], none[1]]), "there is none for one target"


def test_what_the_project_no_longer_makes_leaves_the_output(tools: Tools) -> None:
    tools.run()
    note = tools.job().output / "NOTES.txt"
    note.write_text("mine", encoding="utf-8")
    one = {"write": {"build.ninja": "#", "llext-extensions.txt": B}}
    tools.plan({**TWO_EXTENSIONS, "cmake": one})
    tools.run(define=("X=1",))
    assert tools.dist() == {"NOTES.txt": "mine", "b.llext": "B"}


def test_files_of_other_names_leave_the_output_with_their_extension(tools: Tools) -> None:
    """Oracle: docs/reference/manifest.md, by which a manifest names its files."""
    made = {"other.bin": "b", "target.debug.elf": "d"}
    text = manifest("other", {"other.bin": ("extension", "b"), "target.debug.elf": ("debug", "d")})
    listed = {"write": {"build.ninja": "#", "llext-extensions.txt": "@/other.bin\t@/target.debug.elf\t@/other.json\n"}}
    tools.plan({"cmake": listed, "ninja": {"write": {**made, "other.json": text}}})
    tools.run()
    assert tools.dist().keys() == {*made, "other.json"}
    (tools.job().output / "mine.json").write_text("{}")
    tools.plan({"cmake": listed, "ninja": {"exit": 1}})
    tools.run()
    assert tools.dist().keys() == {"mine.json"}


@pytest.mark.parametrize("name", FILES_OF_A)
def test_files_that_contradict_the_manifest_are_made_again(tools: Tools, name: str) -> None:
    tools.run()
    with (tools.job().build / name).open("a", encoding="utf-8") as file:
        file.write("x")
    tools.plan({**TWO_EXTENSIONS, "ninja": {"exit": 1}})
    tools.run()
    assert not any((tools.job().build / each).exists() for each in FILES_OF_A), "Ninja sees that"
    tools.plan(TWO_EXTENSIONS)
    assert tools.run()[0].passed
    assert tools.dist() == {**FILES_OF_A, "b.llext": "B"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.llext", "`a.llext` is not what the manifest says: it has other contents"),
        ("a.debug.elf", "`a.debug.elf` is not what the manifest says: it has 1 bytes, not 2"),
        ("a.json", "`a.json`: this is no manifest: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_files_that_contradict_the_manifest_again_are_refused(tools: Tools, name: str, says: str) -> None:
    """As where a command of the project changes them after the link."""
    tools.plan({**TWO_EXTENSIONS, "ninja": {"write": {**FILES_OF_A, name: "x"}}})
    for _ in range(2):
        (failure,) = tools.run()[0].failures
        assert (failure.step, failure.what, failure.lines) == (Step.BUILD, "a", (says,))
        assert tools.dist() == {}


def test_progress_is_told(tools: Tools) -> None:
    seen: list[Progress | Result] = []
    build.build([tools.job()], Options(source=tools.root, cores=1), seen.append)
    assert [(e.step, e.done, e.total) for e in seen if isinstance(e, Progress)] == [
        (Step.CONFIGURE, 0, 0),
        (Step.BUILD, 0, 0),
        (Step.BUILD, 1, 2),
        (Step.BUILD, 2, 2),
        (Step.TEST, 0, 0),
    ]
    assert isinstance(seen[-1], Result)


def test_two_extensions_of_one_file_name_are_refused(tools: Tools) -> None:
    names = {"build.ninja": "#", "llext-extensions.txt": "@/x/a.llext\t@/x/a.debug.elf\n@/y/a.llext\t@/y/a.debug.elf\n"}
    tools.plan({"cmake": {"write": names}, "ninja": {"write": {"x/a.llext": "1", "y/a.llext": "2"}}})
    (result,) = tools.run()
    assert result.failures[0].what == "two extensions have the file name `a.llext`"


def test_flags_for_the_host_do_not_reach_the_cross_compiler(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: CMake's documentation of CFLAGS and CC, which initialize a new build tree."""
    monkeypatch.setenv("CFLAGS", "-march=native")
    monkeypatch.setenv("CC", "ccache gcc")
    environment = process.environment()
    assert not {"CFLAGS", "CC"} & environment.keys()
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(("given", "found"), [(None, "0"), ("", "0"), ("1700000000", "1700000000")])
def test_compilers_see_no_clock(given: str | None, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: GCC's documentation of SOURCE_DATE_EPOCH; what it makes of it, tests/cmake/test_reproducible.py shows."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    if given is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    assert process.environment()["SOURCE_DATE_EPOCH"] == found


def start_driver(tools: Tools) -> subprocess.Popen[bytes]:
    script = textwrap.dedent(f"""
        import signal, sys
        from pathlib import Path
        from llext_tools import build
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background of a shell
        build.find_tool = lambda name: str(Path({str(tools.root)!r}) / "bin" / name)
        job = build.Job(target="cortex-m4", toolchain="gcc", build=Path({str(tools.job().build)!r}),
                        output=Path({str(tools.job().output)!r}))
        try:
            build.build([job], build.Options(source=Path({str(tools.root)!r}), cores=1))
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    home = str(Path(build.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([sys.executable, "-c", script], env=environment)


def test_an_interrupt_ends_the_children_and_keeps_the_old_output(tools: Tools) -> None:
    tools.run()
    tools.plan({**TWO_EXTENSIONS, "ninja": {"sleep": 60, "write": {"a.llext": "half"}}})
    with start_driver(tools) as driver:
        asleep = tools.root / "asleep"
        deadline = time.monotonic() + 30
        while not asleep.exists() or not asleep.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(asleep.read_text()), 0)
    assert tools.dist() == {**FILES_OF_A, "b.llext": "B"}


def test_an_interrupt_while_files_are_gathered_lets_that_end(tools: Tools) -> None:
    """The manifest is a FIFO: whoever opens it to write goes on when the driver is about to read it."""
    tools.run()
    new = {"a.llext": "A2", "a.debug.elf": "dA2", "b.llext": "B2"}
    tools.plan({**TWO_EXTENSIONS, "ninja": {"write": new}})
    manifest = tools.job().build / "a.json"
    manifest.unlink()
    os.mkfifo(manifest)
    with start_driver(tools) as driver:
        with manifest.open("w") as fifo:
            driver.send_signal(signal.SIGINT)
            fifo.write("mA2")
        assert driver.wait(30) == 130
    assert tools.dist() == {**new, "a.json": "mA2"}


def test_a_second_interrupt_kills_who_has_not_heard_the_first(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    children = process.Children()
    child = children.start([sys.executable, "-c", deaf], dict(os.environ))
    assert child.stdout is not None
    assert child.stdout.readline() == "deaf\n"

    def again(_: object, __: float | None = None) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "wait", again)
        with pytest.raises(KeyboardInterrupt):
            children.stop()
    with child:
        assert child.wait(30) == -signal.SIGKILL


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError) as caught:
        build.find_tool("ctest")
    assert "-m pip install cmake" in caught.value.diagnostics[0].help

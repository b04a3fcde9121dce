"""The build driver without compilers: CMake, CTest and Ninja are stand-ins that do what a plan says.

Oracles: the outputs of CMake 4.4 and Ninja 1.13 below were recorded from real runs; the stand-ins log their calls.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from llext_tools import build
from llext_tools.build import Failure, Job, Options, Progress, Result, Step, logs, process, steps
from llext_tools.cli.render import Paint, render
from llext_tools.diag import Diagnostic, Location
from llext_tools.errors import BuildError, ToolError, UndefinedError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts with a #! line")

TOOL = """\
#!{python}
import json, os, sys, time
from pathlib import Path

name = Path(sys.argv[0]).name
args = sys.argv[1:]
plan = json.loads(Path({plan!r}).read_text()).get(name, {{}})
with open({calls!r}, "a") as calls:
    print(name, *args, file=calls)
folder = Path(args[args.index({{"cmake": "-B", "ninja": "-C", "ctest": "--test-dir"}}[name]) + 1])
for path, text in plan.get("write", {{}}).items():
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text.replace("@", str(folder)))
if name == "ctest":
    Path(args[args.index("--output-junit") + 1]).write_text(plan.get("junit", "<testsuite/>"))
print(plan.get("print", ""), flush=True)
if "sleep" in plan:
    Path({calls!r}).with_name("asleep").write_text(str(os.getpid()))
    time.sleep(plan["sleep"])
sys.exit(plan.get("exit", 0))
"""

A = "@/a.llext\t@/a.debug.elf\t@/a.json\n"
B = "@/b.llext\t@/b.debug.elf\t@/b.json\n"
FILES_OF_A = {"a.debug.elf": "dA", "a.llext": "A", "a.json": "mA"}
TWO_EXTENSIONS = {
    "cmake": {"write": {"build.ninja": "", "llext-extensions.txt": A + B}},
    "ninja": {"print": "[1/2] a\n[2/2] b", "write": {**FILES_OF_A, "b.llext": "B"}},
    "ctest": {
        "junit": '<testsuite><testcase name="runs" time="0.5" status="run"/>'
        '<testcase name="off" time="0" status="disabled"/></testsuite>'
    },
}

NINJA = """\
ninja: Entering directory `/tmp/p/build/cortex-m4-gcc'
[1/4] Building C object sub/CMakeFiles/a.dir/a.c.obj
FAILED: [code=1] sub/CMakeFiles/a.dir/a.c.obj
/usr/bin/arm-none-eabi-gcc -DLL_EXTENSION_BUILD -mcpu=cortex-m4 -o CMakeFiles/a.dir/a.c.obj -c /tmp/p/a.c
/tmp/p/a.c: In function 'a':
/tmp/p/a.c:1:20: error: 'x' undeclared (first use in this function)
    1 | int a(void){return x;}
      |                    ^
[2/4] Building C object CMakeFiles/b.dir/b.c.obj
[3/4] Linking C executable b.debug.elf
FAILED: [code=5] b.debug.elf /tmp/p/build/cortex-m4-gcc/b.llext
: && /usr/bin/arm-none-eabi-gcc -r -o b.debug.elf && llext check b.llext
error[undefined-symbol]: `nowhere` is not exported
  --> b.llext: .text+0x4, in `b`
ninja: build stopped: cannot make progress due to previous errors.
"""

CMAKE = """\
-- The C compiler identification is GNU 12.2.1
CMake Error at /main/cmake/LlextExports.cmake:51 (message):
  llext_add_extension(callbacks): unknown argument 'SORCES'
Call Stack (most recent call first):
  /main/cmake/LlextExtension.cmake:29 (_llext_check_arguments)
  CMakeLists.txt:4 (llext_add_extension)


-- Configuring incomplete, errors occurred!
"""

CONFIGURES_AGAIN = f"""\
ninja: Entering directory `/tmp/p/build/cortex-m4-gcc'
[0/1] Re-running CMake...
{CMAKE}FAILED: [code=1] build.ninja
/usr/bin/cmake --regenerate-during-build -S/tmp/p -B/tmp/p/build/cortex-m4-gcc
ninja: error: rebuilding 'build.ninja': subcommand failed
"""

WARNED = """\
[1/3] Building C object CMakeFiles/a.dir/a.c.obj
/tmp/p/a.c: In function 'a':
/tmp/p/a.c:1:21: warning: unused variable 'x' [-Wunused-variable]
/tmp/p/a.h:1:21: warning: 'b' defined but not used [-Wunused-function]
[2/3] Building C object CMakeFiles/c.dir/c.c.obj
/tmp/p/a.h:1:21: warning: 'b' defined but not used [-Wunused-function]
"""

FAILED_TEST = """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="2" failures="1" disabled="0" skipped="0">
  <testcase name="good" classname="good" time="0.25" status="run"><system-out>fine</system-out></testcase>
  <testcase name="bad" classname="bad" time="0.75" status="fail"><failure message=""/>
    <system-out>error[expect-return]: `f` returned 41, not 42
</system-out></testcase>
</testsuite>
"""


class Tools:
    """Stand-ins for the three tools, and a job for them to work on."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = tmp_path
        self.plan_file = tmp_path / "plan.json"
        self.calls_file = tmp_path / "calls"
        for name in ("cmake", "ctest", "ninja"):
            script = tmp_path / "bin" / name
            script.parent.mkdir(exist_ok=True)
            text = TOOL.format(python=sys.executable, plan=str(self.plan_file), calls=str(self.calls_file))
            script.write_text(text, encoding="utf-8")
            script.chmod(0o755)
        monkeypatch.setattr(build, "find_tool", lambda name: str(tmp_path / "bin" / name))
        self.plan(TWO_EXTENSIONS)

    def plan(self, plan: dict[str, Any]) -> None:
        self.plan_file.write_text(json.dumps(plan), encoding="utf-8")
        self.calls_file.write_text("", encoding="utf-8")

    def job(self, target: str = "cortex-m4") -> Job:
        name = f"{target}-gcc"
        return Job(target=target, toolchain="gcc", build=self.root / "build" / name, output=self.root / "dist" / name)

    def run(self, *jobs: Job, **options: Any) -> tuple[Result, ...]:
        return build.build(jobs or (self.job(),), Options(source=self.root, **({"cores": 2} | options)))

    @property
    def calls(self) -> list[str]:
        return [line.split()[0] for line in self.calls_file.read_text(encoding="utf-8").splitlines()]

    def dist(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.job().output.glob("*"))}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path, monkeypatch)


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


def test_cmake_runs_again_after_it_has_failed(tools: Tools) -> None:
    tools.plan({**TWO_EXTENSIONS, "cmake": {"exit": 1, "print": CMAKE, "write": {"build.ninja": ""}}})
    (result,) = tools.run()
    assert [failure.step for failure in result.failures] == [Step.CONFIGURE]
    tools.plan(TWO_EXTENSIONS)
    assert tools.run()[0].passed
    assert tools.calls[0] == "cmake"


def test_a_mistake_in_cmakelists_reads_the_same_in_a_used_build_folder(tools: Tools) -> None:
    """Ninja runs CMake then, and calls its own output, `build.ninja`, what failed."""
    tools.run()
    tools.plan({**TWO_EXTENSIONS, "ninja": {"exit": 1, "print": CONFIGURES_AGAIN}})
    (result,) = tools.run()
    assert result.failures == logs.failures_of_cmake(CMAKE.splitlines())
    assert tools.calls == ["ninja"]


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
    assert found == diagnostic._replace(notes=("two", "in test `runs`", "for cortex-m4-gcc, rv32imac-gcc"))
    assert build.exit_code(results) == 0


def test_keep_going_runs_the_tests_of_what_was_built(tools: Tools) -> None:
    off = '<testcase name="off" time="0" status="notrun"><skipped message="Required Files Missing"/></testcase>'
    junit = FAILED_TEST.replace("</testsuite>", f"{off}</testsuite>")
    tools.plan({**TWO_EXTENSIONS, "ninja": {"exit": 1, "print": NINJA}, "ctest": {"exit": 8, "junit": junit}})
    (result,) = tools.run(keep_going=True)
    assert [failure.step for failure in result.failures] == [Step.BUILD, Step.BUILD, Step.TEST]
    assert [test.name for test in result.tests] == ["good", "bad"]
    assert result.not_run == ("off",)
    assert not tools.job().output.exists()


def test_what_the_project_no_longer_makes_leaves_the_output(tools: Tools) -> None:
    tools.run()
    note = tools.job().output / "NOTES.txt"
    note.write_text("mine", encoding="utf-8")
    one = {"write": {"build.ninja": "", "llext-extensions.txt": B}}
    tools.plan({**TWO_EXTENSIONS, "cmake": one})
    tools.run(define=("X=1",))
    assert tools.dist() == {"NOTES.txt": "mine", "b.llext": "B"}


def test_files_of_other_names_leave_the_output_with_their_extension(tools: Tools) -> None:
    """Oracle: docs/reference/manifest.md, by which a manifest names its files."""
    kinds = {"other.bin": "extension", "target.debug.elf": "debug"}
    files = {name: {"kind": kind, "size": 1, "sha256": "0" * 64} for name, kind in kinds.items()}
    manifest = json.dumps({"format": 2, "name": "other", "files": files})
    made = {"write": {"other.bin": "b", "target.debug.elf": "d", "other.json": manifest}}
    listed = {"write": {"build.ninja": "", "llext-extensions.txt": "@/other.bin\t@/target.debug.elf\t@/other.json\n"}}
    tools.plan({"cmake": listed, "ninja": made})
    tools.run()
    assert tools.dist().keys() == {*files, "other.json"}
    (tools.job().output / "mine.json").write_text("{}")
    tools.plan({"cmake": listed, "ninja": {"exit": 1}})
    tools.run()
    assert tools.dist().keys() == {"mine.json"}


@pytest.mark.parametrize("tool", ["cmake", "ninja", "ctest"])
def test_a_failed_job_leaves_nothing_in_the_output(tools: Tools, tool: str) -> None:
    tools.run()
    tools.plan({**TWO_EXTENSIONS, tool: {"exit": 3, "print": "went\nwrong"}})
    (result,) = tools.run(define=("X=1",))
    assert not result.passed
    assert not tools.job().output.exists()
    (failure,) = result.failures
    assert failure.what == f"{tool} gave exit code 3"
    assert failure.lines[-2:] == ("went", "wrong")
    assert tools.calls[-1] == tool, "a step ran after one that failed"


def test_a_failed_test_shows_its_output_and_gives_its_exit_code(tools: Tools) -> None:
    tools.plan({**TWO_EXTENSIONS, "ctest": {"exit": 8, "junit": FAILED_TEST}})
    results = tools.run()
    assert results[0].failures == (
        Failure(
            step=Step.TEST,
            what="bad",
            lines=("error[expect-return]: `f` returned 41, not 42",),
            codes=("expect-return",),
        ),
    )
    assert build.exit_code(results) == 10
    (found,) = build.diagnose(results)
    assert found.message == "cortex-m4-gcc: test `bad` failed"


def test_one_of_several_targets_fails_alone(tools: Tools) -> None:
    jobs = [tools.job("cortex-m4"), tools.job("rv32imac"), tools.job("rv64gc")]
    tools.run(*jobs)
    (jobs[1].build / steps.STAMP).unlink()  # so that only this one is configured
    tools.plan({**TWO_EXTENSIONS, "cmake": {"exit": 1, "print": CMAKE}})
    assert [result.passed for result in tools.run(*jobs)] == [True, False, True]
    assert [job.output.exists() for job in jobs] == [True, False, True]


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
    names = {"build.ninja": "", "llext-extensions.txt": "@/x/a.llext\t@/x/a.debug.elf\n@/y/a.llext\t@/y/a.debug.elf\n"}
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


def test_failures_in_ninjas_output() -> None:
    compiled, checked = logs.failures_of_ninja(NINJA.splitlines())
    assert compiled.what == "sub/a.c.obj"
    assert compiled.lines[0] == "/tmp/p/a.c: In function 'a':"
    assert len(compiled.lines) == 4
    assert checked.what == "b", "the extension, not the file that it is made from"
    assert checked.codes == ("undefined-symbol",)


def test_a_test_that_is_a_build_step_is_named() -> None:
    text = "FAILED: [code=10] sub/CMakeFiles/runs.dir/run.json /p/sub/CMakeFiles/runs.dir/run.json\ncommand\nno"
    (failure,) = logs.failures_of_ninja(text.splitlines())
    assert (failure.step, failure.what, failure.lines) == (Step.TEST, "runs", ("no",))


def test_failures_in_cmakes_output() -> None:
    (failure,) = logs.failures_of_cmake(CMAKE.splitlines())
    assert failure.lines == ("llext_add_extension(callbacks): unknown argument 'SORCES'",)
    assert failure.what == "CMakeLists.txt:4", "the line of the project, not that of our function"


def test_lines_that_cmake_has_broken_are_joined() -> None:
    """Recorded: CMake wraps paragraphs at 77 columns; lines that are indented further it leaves alone."""
    text = ["CMake Error at CMakeLists.txt:4 (x):", "  one", "  two", "", "  three", "", "    four", "    five", "", ""]
    (failure,) = logs.failures_of_cmake(text)
    assert failure.lines == ("one two", "", "three", "", "  four", "  five")


def test_failures_without_a_call_stack() -> None:
    """Recorded: an unknown command; a toolchain file that gives up, with what follows of it."""
    unknown = ["CMake Error at CMakeLists.txt:4 (foo):", '  Unknown CMake command "foo".', "", "", "-- Configuring"]
    missing = ["CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage", "-- Configuring incomplete"]
    first, second = logs.failures_of_cmake([*unknown, *missing])
    assert (first.what, first.lines) == ("CMakeLists.txt:4", ('Unknown CMake command "foo".',))
    assert second.lines == ("CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage",)


def test_long_output_begins_at_the_first_error() -> None:
    lines = [f"warning {i}" for i in range(500)] + ["a.c:1: error: x"] + [f"note {i}" for i in range(500)]
    shown = logs.shorten(lines)
    assert shown[0] == "a.c:1: error: x"
    assert shown[-1] == "... and 487 more lines"
    assert len(shown) == logs.LINES_SHOWN + 1


def test_our_own_errors_are_not_cut() -> None:
    """Of an extension with many undefined symbols all are shown."""
    ours = [f"error[undefined-symbol]: `f{i}` is not exported" for i in range(50)]
    assert logs.shorten(["a.c:1: warning: or error", *ours]) == tuple(ours)
    assert process.environment()["COLUMNS"] == process.WIDE


def test_alike_failures_are_one_diagnostic(tools: Tools) -> None:
    def failed(target: str, *what: str) -> Result:
        job = tools.job(target)
        lines = (f"{job.build}/f.c:3: error: no", f"at 0x{hash(target) & 0xFFFF:08x}")
        return Result(job=job, failures=tuple(Failure(step=Step.TEST, what=w, lines=lines) for w in what))

    (found,) = build.diagnose([failed("cortex-m4", "one", "two"), failed("rv32imac", "one")])
    assert found.message == "cortex-m4-gcc: test `one` failed"
    assert found.notes == ("the same for `two`", "and for rv32imac-gcc")


def test_exit_code_is_that_of_the_class_all_failures_share(tools: Tools) -> None:
    def failed(*codes: str) -> Result:
        return Result(job=tools.job(), failures=(Failure(step=Step.BUILD, what="x", lines=(), codes=codes),))

    assert build.exit_code([Result(job=tools.job())]) == 0
    assert build.exit_code([failed("undefined-symbol"), failed("undefined-symbol")]) == UndefinedError.exit_code
    assert build.exit_code([failed("undefined-symbol"), failed()]) == BuildError.exit_code


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError) as caught:
        build.find_tool("ctest")
    assert "-m pip install cmake" in caught.value.diagnostics[0].help

"""What the build driver says of what failed: it is read from the outputs of CMake, Ninja and CTest.

Oracles: those of CMake 4.4 and Ninja 1.13 below were recorded from real runs.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from build_tools import TWO_EXTENSIONS, Tools
from llext_tools import build, paths
from llext_tools.build import Failure, Job, Result, Step, logs, process, steps
from llext_tools.errors import BuildError, ToolError, UndefinedError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts with a #! line")

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

FAILED_TEST = """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="2" failures="1" disabled="0" skipped="0">
  <testcase name="good" classname="good" time="0.25" status="run"><system-out>fine</system-out></testcase>
  <testcase name="bad" classname="bad" time="0.75" status="fail"><failure message=""/>
    <system-out>error[expect-return]: `f` returned 41, not 42
</system-out></testcase>
</testsuite>
"""


def test_a_mistake_in_cmakelists_reads_the_same_in_a_used_build_folder(tools: Tools) -> None:
    """Ninja runs CMake then, and calls its own output, `build.ninja`, what failed."""
    tools.run()
    tools.plan({**TWO_EXTENSIONS, "ninja": {"exit": 1, "print": CONFIGURES_AGAIN}})
    (result,) = tools.run()
    assert result.failures == logs.failures_of_cmake(CMAKE.splitlines())
    assert tools.calls == ["ninja"]


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


def test_cmake_runs_again_after_it_has_failed(tools: Tools) -> None:
    tools.plan({**TWO_EXTENSIONS, "cmake": {"exit": 1, "print": CMAKE, "write": {"build.ninja": "#"}}})
    (result,) = tools.run()
    assert [failure.step for failure in result.failures] == [Step.CONFIGURE]
    tools.plan(TWO_EXTENSIONS)
    assert tools.run()[0].passed
    assert tools.calls[0] == "cmake"


def test_keep_going_runs_the_tests_of_what_was_built(tools: Tools) -> None:
    off = '<testcase name="off" time="0" status="notrun"><skipped message="Required Files Missing"/></testcase>'
    junit = FAILED_TEST.replace("</testsuite>", f"{off}</testsuite>")
    tools.plan({**TWO_EXTENSIONS, "ninja": {"exit": 1, "print": NINJA}, "ctest": {"exit": 8, "junit": junit}})
    (result,) = tools.run(keep_going=True)
    assert [failure.step for failure in result.failures] == [Step.BUILD, Step.BUILD, Step.TEST]
    assert [test.name for test in result.tests] == ["good", "bad"]
    assert result.not_run == ("off",)
    assert not tools.job().output.exists()


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
    assert found.notes == ("the same for `two`", "and for `rv32imac-gcc`")


def test_exit_code_is_that_of_the_class_all_failures_share(tools: Tools) -> None:
    def failed(*codes: str) -> Result:
        return Result(job=tools.job(), failures=(Failure(step=Step.BUILD, what="x", lines=(), codes=codes),))

    assert build.exit_code([Result(job=tools.job())]) == 0
    assert build.exit_code([failed("undefined-symbol"), failed("undefined-symbol")]) == UndefinedError.exit_code
    assert build.exit_code([failed("undefined-symbol"), failed()]) == BuildError.exit_code


FULL = "ninja: build stopped: Error writing to deps log: No space left on device."


@pytest.mark.parametrize(("log", "free"), [(FULL, 1 << 30), ("cc: Disk quota exceeded", 1 << 30), ("", 0)])
def test_a_full_disk_is_said_before_what_cmake_takes_it_for(
    log: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text was recorded on a full disk."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    job = Job(target="cortex-m4", toolchain="gcc", build=tmp_path, output=tmp_path)
    job.log.write_text(f"x\n{log}\n", encoding="utf-8")
    failure = Failure(step=Step.CONFIGURE, what="CMakeLists.txt:2", lines=("The C compiler is not able",))
    first, second = logs.on_full_disk((failure, failure), job)
    assert first.lines[0].startswith("no room is left on the disk of ")
    assert (first.lines[1:], second) == (failure.lines, failure)
    assert logs.on_full_disk((), job) == ()
    job.log.write_text("x\n", encoding="utf-8")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    assert logs.on_full_disk((failure,), job) == (failure,)


def test_a_log_that_cannot_be_written_is_named(tools: Tools) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    job = tools.job()
    job.build.mkdir(parents=True, exist_ok=True)
    job.log.symlink_to("/dev/full")
    (found,) = build.diagnose(tools.run(job))
    assert found.code == "file-unwritable"
    assert re.fullmatch(r"cortex-m4-gcc: cannot write `.*llext\.log`: no space left on device", found.message)
    assert found.help == "make room, or take another folder: `--build-dir FOLDER`"


def test_a_folder_that_cannot_be_made_is_named(tools: Tools) -> None:
    """As in a folder that is read only; here a file stands in its way."""
    job = tools.job()
    job.build.parent.write_text("", encoding="utf-8")
    results = tools.run(job)
    (found,) = build.diagnose(results)
    assert (found.code, build.exit_code(results)) == ("file-unwritable", 3)
    assert re.fullmatch(r"cortex-m4-gcc: cannot write `.*cortex-m4-gcc`: not a directory", found.message)
    assert found.help == "remove what is in the way, or take another folder: `--build-dir FOLDER`"


@pytest.mark.parametrize("name", ["a.llext", "link"])
def test_an_output_that_cannot_be_written_fails_its_job_alone(tools: Tools, name: str) -> None:
    jobs = [tools.job("cortex-m4"), tools.job("rv32imac")]
    if name == "link":  # that leads nowhere
        jobs[0].output.parent.mkdir(parents=True)
        jobs[0].output.symlink_to("nowhere")
    else:
        (jobs[0].output / name).mkdir(parents=True)
    tools.plan(TWO_EXTENSIONS)
    results = tools.run(*jobs)
    assert [result.passed for result in results] == [False, True]
    (found,) = build.diagnose(results)
    assert (found.code, build.exit_code(results)) == ("file-unwritable", 3)
    assert found.message.startswith(f"cortex-m4-gcc: cannot write `{paths.shown(jobs[0].output)}")
    assert found.help == "remove what is in the way, or take another folder: `--output FOLDER`"


@pytest.mark.parametrize("text", ["#!/nowhere/python\n", "no program"])
def test_a_tool_that_cannot_be_run_is_named(text: str, tmp_path: Path) -> None:
    """As a script of an environment that has moved; it is no file of the project that cannot be read."""
    tool = tmp_path / "cmake"
    tool.write_text(text, encoding="utf-8")
    tool.chmod(0o755)
    with pytest.raises(ToolError, match=re.escape(f"`{tool}` cannot be run: ")):
        process.Children().start([str(tool)], os.environ)


def test_what_failed_is_said_even_where_nothing_can_be_removed(tools: Tools) -> None:
    """As in an output folder that is read only; here a folder stands in the way."""
    tools.run()
    (tools.job().output / "old.llext").mkdir()
    tools.plan({**TWO_EXTENSIONS, "ninja": {"exit": 1, "print": NINJA}})
    results = tools.run()
    first, *_, last = build.diagnose(results)
    assert (first.code, first.message) == ("build-failed", "cortex-m4-gcc: building `sub/a.c.obj` failed")
    assert (last.code, build.exit_code(results)) == ("file-unwritable", 12)
    assert last.message.startswith(f"cortex-m4-gcc: cannot remove `{paths.shown(tools.job().output / 'old.llext')}`: ")

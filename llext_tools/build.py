"""The build driver: configures, builds and tests one CMake project for several targets at the same time.

Each combination of target and toolchain is a job with a build folder of its own and three steps: ``cmake``, ``ninja``,
``ctest``. What they print goes to ``llext.log`` in that folder. A job that passes leaves its extensions in the output
folder, ``dist/<target>-<toolchain>/``; one that fails leaves nothing there, so that the output never holds a file that
did not pass; one that is interrupted leaves what was there before.

Nothing is printed here: ``observe`` is called with each change, from the threads that run the jobs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from textwrap import dedent
from typing import TextIO

import llext_tools
from llext_tools import paths
from llext_tools.diag import CODES, Diagnostic, Location, fail
from llext_tools.errors import BuildError
from llext_tools.files import write_atomically

LOG = "llext.log"
STAMP = "llext-configured.json"
TESTS = "llext-tests.xml"
EXTENSIONS = (
    "llext-extensions.txt"  # written by the CMake package: on each line a .llext file, then what lies beside it
)

FAILURES_SHOWN = 5  # kinds of failure, over all jobs
LINES_SHOWN = 14  # of one failure of another program
WIDE = "9999"  # columns: what our own commands print is not wrapped, for it is wrapped when we show it

HOST_VARIABLES = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "ASMFLAGS", "CMAKE_TOOLCHAIN_FILE")
"""Environment variables that steer a build for the host itself, as conda sets them; CMake would take them over."""


class Step(StrEnum):
    """What a job does, in this order."""

    CONFIGURE = "configure"
    BUILD = "build"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One target with one toolchain, and its folders."""

    target: str
    toolchain: str
    build: Path
    output: Path

    @property
    def name(self) -> str:
        return f"{self.target}-{self.toolchain}"

    @property
    def log(self) -> Path:
        return self.build / LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A job has reached ``done`` of ``total`` in a step; ``total`` is 0 while it is not known."""

    job: Job
    step: Step
    done: int = 0
    total: int = 0
    built: int = 0  # extensions, while tests run


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A test that ran, with what it printed."""

    name: str
    passed: bool
    seconds: float
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that went wrong: where, the lines of the log that say so, and the codes of our diagnostics in them.

    A test that is a build step (``AT_BUILD``) fails as a test.
    """

    step: Step
    what: str
    lines: tuple[str, ...]
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A warning of our own commands, and the test that ran into it, if it was one."""

    diagnostic: Diagnostic
    test: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a job ended."""

    job: Job
    artifacts: tuple[Path, ...] = ()  # the .llext files, in the build folder if the job failed
    tests: tuple[Case, ...] = ()
    not_run: tuple[str, ...] = ()  # tests of extensions that were not built, with keep_going
    seconds: Mapping[Step, float] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    compiler_warnings: tuple[str, ...] = ()  # their first lines
    warnings: tuple[Warned, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all jobs of a call share."""

    source: Path
    cores: int
    keep_going: bool = False
    profile: str = ""  # the loader; "" leaves it to the project
    define: tuple[str, ...] = ()  # NAME=VALUE for CMake


Observer = Callable[[Progress | Result], None]


def build(jobs: Sequence[Job], options: Options, observe: Observer = lambda _: None) -> tuple[Result, ...]:
    """Run all jobs, as many at a time as there are cores, and return how each ended, in the order given.

    Raises:
        ToolError: CMake or Ninja is not installed.
        KeyboardInterrupt: after all children have ended.
    """
    tools = {name: find_tool(name) for name in ("cmake", "ctest", "ninja")}
    children = Children()
    workers = max(1, min(len(jobs), options.cores))
    share = -(-options.cores // workers)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_run_job, job, options, tools, share, children, observe) for job in jobs]
        try:
            waiting = set(futures)
            while waiting:  # with a timeout, so that Ctrl-C is noticed everywhere
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()
            raise
    return tuple(future.result() for future in futures)


def cores() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def find_tool(name: str) -> str:
    """The full path of ``cmake``, ``ctest`` or ``ninja``: the one installed with us by pip, else the one on the PATH.

    Raises:
        ToolError: ``tool-missing``.
    """
    ours = [os.path.dirname(sys.executable), sysconfig.get_path("scripts")]
    with suppress(KeyError):
        ours.append(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    found = shutil.which(name, path=os.pathsep.join(ours)) or shutil.which(name)
    if found:
        return found
    package = "ninja" if name == "ninja" else "cmake"
    return fail("tool-missing", f"`{name}` is not installed", help=f"`{sys.executable} -m pip install {package}`")


# Three steps ---------------------------------------------------------------------------------------------------------


def _run_job(
    job: Job, options: Options, tools: Mapping[str, str], share: int, children: Children, observe: Observer
) -> Result:
    """Configure, build, test; stop at the first step that fails, or with ``keep_going`` test what was built."""
    job.build.mkdir(parents=True, exist_ok=True)
    seconds: dict[Step, float] = {}
    failures: tuple[Failure, ...] = ()
    lines: list[str] = []
    tests: tuple[Case, ...] = ()
    not_run: tuple[str, ...] = ()
    with open(job.log, "w", encoding="utf-8") as log:
        for step in Step:
            built = len(_extensions(job)) if step is Step.TEST else 0
            shell = _Shell(job, step, log, children, observe, built)
            shell.progress(0, 0)
            start = time.monotonic()
            if step is Step.CONFIGURE:
                failures = _configure(shell, options, tools)
            elif step is Step.BUILD:
                lines, failures = _build(shell, options, tools, share)
            else:
                tests, not_run, failed = _test(shell, tools, share, some=bool(failures))
                failures += failed
            seconds[step] = time.monotonic() - start
            if failures and not (options.keep_going and all(f.step is not Step.CONFIGURE for f in failures)):
                break
    made = _extensions(job)
    artifacts = tuple(made)
    if not failures:
        artifacts, failures = _gather(job, made)
    if failures:
        _sweep(job.output, keep=())
    result = Result(
        job=job,
        artifacts=artifacts,
        tests=tests,
        not_run=not_run,
        seconds=seconds,
        failures=failures,
        compiler_warnings=compiler_warnings(lines),
        warnings=_warnings(lines, tests, failures),
    )
    observe(result)
    return result


def _configure(shell: _Shell, options: Options, tools: Mapping[str, str]) -> tuple[Failure, ...]:
    """Run CMake where it has not run with these very arguments; Ninja itself runs it when a CMakeLists.txt changes."""
    job = shell.job
    arguments = [
        *("-S", str(options.source), "-B", str(job.build), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tools['ninja']}",
        f"-DCMAKE_TOOLCHAIN_FILE={os.path.join(paths.cmake_dir(), 'toolchains', 'llext.cmake')}",
        f"-DLLEXT_TARGET={job.target}",
        f"-DLLEXT_TOOLCHAIN={job.toolchain}",
        f"-DLLEXT_COMMAND={sys.executable};-m;llext_tools",
        f"-DLlextTools_DIR={paths.cmake_dir()}",
        *([f"-DLLEXT_PROFILE={options.profile}"] if options.profile else []),
        *(f"-D{definition}" for definition in options.define),
    ]
    stamp = job.build / STAMP
    wanted = json.dumps({"version": llext_tools.__version__, "cmake": tools["cmake"], "arguments": arguments}, indent=1)
    if (job.build / "build.ninja").exists() and _read(stamp) == wanted:
        return ()
    with suppress(FileNotFoundError):
        stamp.unlink()
    code, lines = shell.run([tools["cmake"], "--fresh", *arguments])
    if code == 0:
        write_atomically(stamp, wanted)
        return ()
    return failures_of_cmake(lines) or _unexplained(Step.CONFIGURE, "cmake", code, lines)


NINJA_STATUS = re.compile(r"\[(\d+)/(\d+)\] ")


def _build(
    shell: _Shell, options: Options, tools: Mapping[str, str], share: int
) -> tuple[list[str], tuple[Failure, ...]]:
    """Run Ninja, and return what it printed, too."""

    def count(line: str) -> None:
        if status := NINJA_STATUS.match(line):
            shell.progress(int(status[1]), int(status[2]))

    command = [tools["ninja"], "-C", str(shell.job.build), "-j", str(share)]
    code, lines = shell.run([*command, "-k", "0"] if options.keep_going else command, count)
    if code == 0:
        return lines, ()
    if options.keep_going:
        _remove_outdated(shell, tools["ninja"], everything=configures_again(lines))
    failures = failures_of_cmake(lines) if configures_again(lines) else failures_of_ninja(lines)
    return lines, failures or _unexplained(Step.BUILD, "ninja", code, lines)


def configures_again(lines: Sequence[str]) -> bool:
    """Whether what failed is the run of CMake that Ninja begins with when a CMakeLists.txt has changed."""
    return any(
        re.match(r"FAILED: (\[code=\d+\] )?build\.ninja|ninja: error: rebuilding 'build\.ninja'", s) for s in lines
    )


def _remove_outdated(shell: _Shell, ninja: str, *, everything: bool) -> None:
    """Remove the extensions of an earlier build that this one should have replaced, so that no test runs them.

    Ninja is asked through a file that no rule makes: in a trial run of ``build.ninja`` it says that CMake looks for
    settings first.
    """
    trial = shell.job.build / "llext-trial.ninja"
    write_atomically(trial, "include build.ninja\n")
    for extension, others in _extensions(shell.job).items():
        name = os.path.relpath(extension, shell.job.build)
        known = str(extension) if name.startswith("..") else name
        code, lines = shell.run([ninja, "-C", str(shell.job.build), "-f", str(trial), "-n", known])
        if everything or code != 0 or not any(line.startswith("ninja: no work to do") for line in lines):
            for path in (extension, *others):
                path.unlink(missing_ok=True)


CTEST_STATUS = re.compile(r" *(\d+)/(\d+) Test ")


def _test(
    shell: _Shell, tools: Mapping[str, str], share: int, *, some: bool
) -> tuple[tuple[Case, ...], tuple[str, ...], tuple[Failure, ...]]:
    """Run CTest: tests that ran, those without their extension (no failure if only ``some`` was built), failures."""

    def count(line: str) -> None:
        if status := CTEST_STATUS.match(line):
            shell.progress(int(status[1]), int(status[2]))

    report = shell.job.build / TESTS
    with suppress(FileNotFoundError):
        report.unlink()
    command = [tools["ctest"], "--test-dir", str(shell.job.build), "-j", str(share), "--no-tests=ignore"]
    command += ["--output-on-failure", "--output-junit", str(report), "--test-output-size-passed", "300000"]
    code, lines = shell.run(command, count)
    tests, not_run = read_junit(report)
    failures = tuple(
        Failure(step=Step.TEST, what=test.name, lines=_shorten(test.output.splitlines()), codes=_codes(test.output))
        for test in tests
        if not test.passed
    )
    if code != 0 and not failures and not (some and not_run):
        failures = _unexplained(Step.TEST, "ctest", code, lines)
    return tests, not_run if some else (), failures


def read_junit(path: Path) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The tests in CTest's report that ran, and those whose extension is not there; none if there is no report."""
    from xml.etree import ElementTree as ET

    try:
        cases = list(ET.parse(path).getroot().iter("testcase"))
    except (OSError, ET.ParseError):
        return (), ()
    ran = tuple(
        Case(
            name=case.get("name", ""),
            passed=case.get("status") == "run",
            seconds=float(case.get("time", 0)),
            output=case.findtext("system-out", ""),
        )
        for case in cases
        if case.get("status") in ("run", "fail")
    )
    skipped = ((case.get("name", ""), case.find("skipped")) for case in cases)
    return ran, tuple(n for n, why in skipped if why is not None and why.get("message") == "Required Files Missing")


# The output folder ---------------------------------------------------------------------------------------------------


def _extensions(job: Job) -> dict[Path, tuple[Path, ...]]:
    """The .llext files that the project makes now, not those that an earlier state of it has left.

    With each its debug file and its manifest.
    """
    rows = (line.split("\t") for line in (_read(job.build / EXTENSIONS) or "").splitlines() if line)
    return {Path(extension): tuple(map(Path, others)) for extension, *others in rows if os.path.exists(extension)}


def _gather(job: Job, made: Mapping[Path, tuple[Path, ...]]) -> tuple[tuple[Path, ...], tuple[Failure, ...]]:
    """Copy extensions, with what belongs to them, to the output folder, and remove what is there from earlier."""
    built = tuple(made)
    files: dict[str, Path] = {}
    for file in (*made, *(path for others in made.values() for path in others)):
        if files.setdefault(file.name, file) != file:
            what = f"two extensions have the file name `{file.name}`"
            return built, (Failure(step=Step.BUILD, what=what, lines=(str(files[file.name]), str(file))),)
    files = {name: path for name, path in files.items() if path.exists()}
    if files:
        job.output.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        data, copy = path.read_bytes(), job.output / name
        if not copy.exists() or _digest(copy.read_bytes()) != _digest(data):
            write_atomically(copy, data)
    _sweep(job.output, keep=files)
    return tuple(job.output / path.name for path in built), ()


def _sweep(output: Path, keep: Iterable[str]) -> None:
    """Remove extensions that are not to be kept, with what lies beside them, and the folder if it is empty then."""
    stay = set(keep)
    for extension in output.glob("*.llext"):
        for path in (extension, extension.with_suffix(".debug.elf"), extension.with_suffix(".json")):
            if path.name not in stay:
                path.unlink(missing_ok=True)
    with suppress(OSError):
        output.rmdir()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


# What went wrong -----------------------------------------------------------------------------------------------------


def failures_of_cmake(lines: Sequence[str]) -> tuple[Failure, ...]:
    """The blocks that begin with ``CMake Error``, named by the line of the project that the call stack ends with."""
    found: list[Failure] = []
    head, message, stack = "", list[str](), list[str]()
    for line in (*lines, "end"):
        if head and line and not line[0].isspace() and not line.startswith("Call Stack"):
            where = (
                stack[-1].strip().replace(":DEFERRED", "")
                if stack
                else head.removeprefix("CMake Error").removeprefix(" at ").rstrip(":")
            )
            unwrapped = re.sub(r"(?<=\S)\n  (?=\S)", " ", "\n".join(message))  # CMake breaks lines at 77 columns
            text = dedent(unwrapped).strip().splitlines() or [head]
            what = where.partition(" (")[0].strip(" :") or "cmake"
            found.append(Failure(step=Step.CONFIGURE, what=what, lines=_shorten(text), codes=_codes(*text)))
            head = ""
        if line.startswith("CMake Error"):
            head, message, stack = line, [], []
        elif head and (stack or line.startswith("Call Stack")):
            stack += [line] if line.strip() else []
        elif head:
            message.append(line)
    return tuple(found)


def failures_of_ninja(lines: Sequence[str]) -> tuple[Failure, ...]:
    """The output of each command after ``FAILED:``, without the command itself."""
    found: list[Failure] = []
    for i, line in enumerate(lines):
        if line.startswith("FAILED: "):
            what = re.sub(r"^FAILED: (\[code=\d+\] )?", "", line).split()[0]
            test = re.search(r"CMakeFiles/([^/ ]+)\.dir/passed$", what)
            extension = re.search(r"([^/ ]+)\.debug\.elf$", what)
            what = (test or extension or ("", re.sub(r"CMakeFiles/[^/ ]+\.dir/", "", what)))[1]
            output = []
            for following in lines[i + 2 :]:
                if NINJA_STATUS.match(following) or following.startswith(("FAILED: ", "ninja: ")):
                    break
                output.append(following)
            lines_shown = _shorten(output) or ("the command printed nothing",)
            step = Step.TEST if test else Step.BUILD
            found.append(Failure(step=step, what=what, lines=lines_shown, codes=_codes(*output)))
    return tuple(found)


OUR_ERROR = re.compile(r"^\s*error\[([a-z-]+)\]: ", re.MULTILINE)


def _unexplained(step: Step, tool: str, code: int, lines: Sequence[str]) -> tuple[Failure, ...]:
    what = f"{tool} was ended by signal {-code}" if code < 0 else f"{tool} gave exit code {code}"
    return (Failure(step=step, what=what, lines=_shorten(lines[-LINES_SHOWN:])),)


def _shorten(lines: Sequence[str]) -> tuple[str, ...]:
    """At most ``LINES_SHOWN`` lines, from the first one that looks like an error; our own errors in full."""
    text = [line.rstrip() for line in lines]
    while text and not text[-1]:
        text.pop()
    if len(text) <= LINES_SHOWN:
        return tuple(text)
    ours = [i for i, line in enumerate(text) if OUR_ERROR.match(line)]
    if ours:
        return tuple(text[ours[0] :])
    text = text[next((i for i, line in enumerate(text) if re.search(r"\berror\b|\bundefined\b", line)), 0) :]
    more = len(text) - LINES_SHOWN
    return (*text[:LINES_SHOWN], f"... and {more} more lines") if more > 0 else tuple(text)


def _codes(*text: str) -> tuple[str, ...]:
    """The codes of our own diagnostics in a text, each once."""
    found = OUR_ERROR.findall("\n".join(text))
    return tuple(dict.fromkeys(code for code in found if code in CODES))


COMPILER_WARNING = re.compile(r"(?:.*: )?warning: ")
OUR_WARNING = re.compile(r"warning\[([a-z-]+)\]: (.*)")
OUR_ITEM = re.compile(r"  (-->)|   (\||= note:|= help:) ?")


def compiler_warnings(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that begin a warning of GCC, Clang or their linkers, each once: a header has it for each source."""
    return tuple(dict.fromkeys(line for line in lines if COMPILER_WARNING.match(line)))


def our_warnings(lines: Sequence[str]) -> tuple[Diagnostic, ...]:
    """The warnings that ``cli.render`` has written to a wide page."""
    found: list[Diagnostic] = []
    for i, line in enumerate(lines):
        head = OUR_WARNING.match(line)
        if head is None or head[1] not in CODES:
            continue
        items: dict[str, list[str]] = {"-->": [], "|": [], "= note:": [], "= help:": []}
        for following in lines[i + 1 :]:
            item = OUR_ITEM.match(following)
            if item is None:
                break
            items[item[1] or item[2]].append(following[item.end() :].strip())
        at = Location(file=items["-->"][0]) if items["-->"] else None
        found.append(
            Diagnostic(
                code=head[1],
                message=head[2],
                severity="warning",
                location=at,
                detail=tuple(items["|"]),
                notes=tuple(items["= note:"]),
                help=" ".join(items["= help:"]),
            )
        )
    return tuple(found)


def _warnings(lines: Sequence[str], tests: Iterable[Case], failures: Iterable[Failure]) -> tuple[Warned, ...]:
    """Our warnings in a build and in its tests that passed; those beside an error are shown with it."""
    beside = {line for failure in failures for line in failure.lines}
    found = [Warned(diagnostic=each) for each in our_warnings([line for line in lines if line not in beside])]
    for test in tests:
        if test.passed:
            found += [Warned(diagnostic=each, test=test.name) for each in our_warnings(test.output.splitlines())]
    return tuple(found)


def diagnose_warnings(results: Sequence[Result]) -> tuple[Diagnostic, ...]:
    """One diagnostic for each distinct warning of our own commands, which names all tests and jobs that have it."""
    alike: dict[tuple[str, ...], list[tuple[Job, Warned]]] = {}
    for result in results:
        for warned in result.warnings:
            where = warned.diagnostic.location
            text = (warned.diagnostic.message, where.file if where else "", *warned.diagnostic.detail)
            key = tuple(_neutral(line, result.job) for line in text)
            alike.setdefault(key, []).append((result.job, warned))
    found: list[Diagnostic] = []
    for same in alike.values():
        warned = same[0][1]
        tests = list(dict.fromkeys(f"`{each.test}`" for _, each in same if each.test))
        names = list(dict.fromkeys(each.name for each, _ in same))
        at = warned.diagnostic.location
        if at is not None and os.path.isabs(at.file):
            at = Location(file=shown(Path(at.file)))
        notes = [f"in test {_list(tests)}"] if tests else []
        notes += [f"for {_list(names)}"] if len(results) > 1 else []
        found.append(warned.diagnostic._replace(location=at, notes=(*warned.diagnostic.notes, *notes)))
    return tuple(found)


def count_compiler_warnings(results: Sequence[Result]) -> tuple[str, ...]:
    """A line on how many there are and where, one for all jobs that have the same."""
    alike: dict[tuple[str, ...], list[Job]] = {}
    for result in results:
        if result.compiler_warnings:
            key = tuple(sorted(_neutral(line, result.job) for line in result.compiler_warnings))
            alike.setdefault(key, []).append(result.job)
    found = []
    for lines, jobs in alike.items():
        count = "1 compiler warning" if len(lines) == 1 else f"{len(lines)} compiler warnings"
        same = "" if len(jobs) == 1 else f"; the same for {_list([job.name for job in jobs[1:]])}"
        found.append(f"{count} for {jobs[0].name}, see {shown(jobs[0].log)}{same}")
    return tuple(found)


def diagnose(results: Sequence[Result]) -> tuple[Diagnostic, ...]:
    """One diagnostic for each distinct failure, which names all jobs and files or tests that failed in this way."""
    alike: dict[tuple[Step, tuple[str, ...]], list[tuple[Job, Failure]]] = {}
    for result in results:
        for failure in result.failures:
            lines = tuple(re.sub(r"0x[0-9a-f]+|\d+", "#", _neutral(line, result.job)) for line in failure.lines)
            alike.setdefault((failure.step, lines), []).append((result.job, failure))
    found: list[Diagnostic] = []
    groups = list(alike.values())
    for same in groups[:FAILURES_SHOWN]:
        job, failure = same[0]
        others = list(dict.fromkeys(f"`{each.what}`" for _, each in same if each.what != failure.what))
        elsewhere = list(dict.fromkeys(each.name for each, _ in same if each != job))
        notes = []
        if others:
            notes.append(f"the same for {_list(others)}")
        if elsewhere:
            notes.append(f"and for {_list(elsewhere)}")
        if len(found) == FAILURES_SHOWN - 1 and (more := len(groups) - FAILURES_SHOWN) > 0:
            notes.append(f"{more} more kinds of failure are in the logs of the targets")
        verb = {Step.CONFIGURE: "configuring", Step.BUILD: "building", Step.TEST: "test"}[failure.step]
        found.append(
            Diagnostic(
                code="build-failed",
                message=f"{job.name}: {verb} `{failure.what}` failed",
                location=Location(file=shown(job.log)),
                detail=failure.lines,
                notes=tuple(notes),
            )
        )
    return tuple(found)


def shown(path: Path) -> str:
    """A path as short as it gets: relative to this folder where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _list(names: Sequence[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def exit_code(results: Sequence[Result]) -> int:
    """0, the exit code that all failures share, or that of a failed build."""
    codes = {
        CODES[code].error.exit_code
        for result in results
        for failure in result.failures
        for code in failure.codes or ("build-failed",)
    }
    return 0 if not codes else codes.pop() if len(codes) == 1 else BuildError.exit_code


def _neutral(line: str, job: Job) -> str:
    return line.replace(str(job.build), "").replace(job.name, "").replace(job.target, "").replace(job.toolchain, "")


# Child processes -----------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """Ends a job whose children were stopped."""


class Children:
    """The processes that run now. ``stop()`` ends all of them, with their own children, and lets none start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start a command in a process group of its own.

        Raises:
            StoppedError: ``stop()`` was called.
        """
        with self._lock:
            if self._stopped:
                raise StoppedError
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="backslashreplace",
                env=environment,
                start_new_session=True,
            )
            self._running.add(child)
            return child

    def ended(self, child: subprocess.Popen[str]) -> None:
        """Forget a process that has ended, by itself or by ``stop()``.

        Raises:
            StoppedError: ``stop()`` was called, so what the process has done is not to be judged.
        """
        with self._lock:
            self._running.discard(child)
            if self._stopped:
                raise StoppedError

    def stop(self) -> None:
        """Interrupt all: Ninja then removes the outputs of unfinished commands. Who does not end is killed."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for child in running:
            _signal(child, signal.SIGINT)
        deadline = time.monotonic() + 5
        for child in running:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(child: subprocess.Popen[str], number: int) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, number)
        else:
            child.terminate()


@dataclass(frozen=True, slots=True)
class _Shell:
    """Runs the commands of one step of one job."""

    job: Job
    step: Step
    log: TextIO
    children: Children
    observe: Observer
    built: int = 0

    def run(self, command: Sequence[str], on_line: Callable[[str], None] = lambda _: None) -> tuple[int, list[str]]:
        """Run to the end, with all output in the log; return the exit code and the lines."""
        self.log.write(f"$ {' '.join(command)}\n")
        self.log.flush()
        lines = []
        with self.children.start(command, _environment()) as child:
            assert child.stdout is not None
            for line in child.stdout:
                self.log.write(line)
                lines.append(line.rstrip("\n"))
                on_line(lines[-1])
        self.children.ended(child)
        self.log.flush()
        return child.returncode, lines

    def progress(self, done: int, total: int) -> None:
        self.observe(Progress(job=self.job, step=self.step, done=done, total=total, built=self.built))


def _environment() -> dict[str, str]:
    """Ours, without what belongs to builds for the host, and so that children find this very package."""
    environment = {name: value for name, value in os.environ.items() if name not in HOST_VARIABLES}
    home = os.path.dirname(os.path.dirname(os.path.abspath(llext_tools.__file__)))
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):  # a checkout
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    return environment | {"NINJA_STATUS": "[%f/%t] ", "NO_COLOR": "1", "CLICOLOR_FORCE": "0", "COLUMNS": WIDE}

"""The three steps of a job: ``cmake``, ``ninja``, ``ctest``."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import llext_tools
from llext_tools import paths
from llext_tools.build.cache import initial_cache, tree, variable
from llext_tools.build.job import Case, Failure, Job, Observer, Options, Result, Step, Warned
from llext_tools.build.logs import (
    NINJA_STATUS,
    codes_in,
    compiler_warnings,
    configures_again,
    failures_of_cmake,
    failures_of_ninja,
    never_ends,
    on_full_disk,
    shorten,
    unexplained,
    warnings_of,
)
from llext_tools.build.output import (
    EXTENSIONS,
    checked_against,
    discard,
    extensions,
    firmware_unused,
    gather,
    read_text,
    remove_changed,
    unwritable,
)
from llext_tools.build.preset_files import foreign
from llext_tools.build.process import Children, Shell
from llext_tools.build.runs import excluding, others, up_to_date
from llext_tools.diag import listed
from llext_tools.errors import FormatError
from llext_tools.files import write_atomically
from llext_tools.paths import shown

STAMP = "llext-configured.json"
INITIAL = "llext-initial.cmake"
TESTS = "llext-tests.xml"
EVERY = "llext_extensions"
"""The target of the CMake package that builds each extension, be it outside of ``all``."""


def run_job(
    job: Job, options: Options, tools: Mapping[str, str], share: int, children: Children, observe: Observer
) -> Result:
    """Run the steps, with all that they print in the job's log; what cannot be written is a failure of this job."""
    try:
        return run_steps(job, options, tools, share, children, observe)
    except (OSError, FormatError) as error:
        result = Result(job=job, failures=(unwritable(job, error),))
        observe(result)
        return result


def run_steps(
    job: Job, options: Options, tools: Mapping[str, str], share: int, children: Children, observe: Observer
) -> Result:
    """Configure, build, test; stop at the first step that fails, or with ``keep_going`` test what was built."""
    job.build.mkdir(parents=True, exist_ok=True)
    seconds: dict[Step, float] = {}
    failures: tuple[Failure, ...] = ()
    lines: list[str] = []
    tests: tuple[Case, ...] = ()
    held: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()
    with open(job.log, "w", encoding="utf-8") as log:
        for step in Step if options.run else (Step.CONFIGURE, Step.BUILD):
            built = len(extensions(job)) if step is Step.TEST else 0
            shell = Shell(job, step, log, children, observe, built)
            shell.progress(0, 0)
            start = time.monotonic()
            if step is Step.CONFIGURE:
                lines, failures = configure(shell, options, tools)
                job = job if failures else found_in_tree(job)
            elif step is Step.BUILD:
                more, failures = build(shell, options, tools, share)
                lines += more
            else:
                held = () if options.rerun else up_to_date(job)
                tests, not_run, failed = test(shell, tools, share, held, some=bool(failures))
                failures += failed
            seconds[step] = time.monotonic() - start
            if failures and not (options.keep_going and all(f.step is not Step.CONFIGURE for f in failures)):
                break
    failures = on_full_disk(failures, job)
    made = extensions(job)
    artifacts = tuple(made)
    if not failures:
        artifacts, failures = gather(job, made)
    against = checked_against(artifacts)
    unused = () if failures else firmware_unused(job, against)
    if failures:
        try:
            discard(job)
        except OSError as error:
            failures += (unwritable(job, error, "remove"),)
    result = Result(
        job=job,
        artifacts=artifacts,
        against=against,
        tests=tests,
        up_to_date=held,
        not_run=not_run,
        seconds=seconds,
        failures=failures,
        compiler_warnings=compiler_warnings(lines),
        warnings=(*warnings_of(lines, tests, failures), *(Warned(diagnostic=each) for each in unused)),
    )
    observe(result)
    return result


def configure(shell: Shell, options: Options, tools: Mapping[str, str]) -> tuple[list[str], tuple[Failure, ...]]:
    """Run CMake where it has not run with these very arguments, and return what it printed, too.

    Ninja itself runs it when a CMakeLists.txt changes.
    """
    job = shell.job
    arguments = ["-S", str(options.source), "-B", str(job.build), "-G", "Ninja"]
    words = cmake_variables(job, options, tools["ninja"])
    state: dict[str, object] = {"version": llext_tools.__version__}
    if job.preset:
        state |= {"variables": words, "presets": foreign(options.source)}
        given = [word for word in words if variable(word) in options.said]
        initial = job.build / INITIAL
        write_atomically(initial, initial_cache(word for word in words if word not in given))
        arguments += ["--preset", job.preset, "-C", str(initial), *(f"-D{word}" for word in given)]
    else:
        arguments += [f"-D{word}" for word in words]
    stamp = job.build / STAMP
    state["arguments"] = arguments
    if _is_whole(job.build) and read_text(stamp) == _with_programs(state, job, tools["cmake"]):
        return [], ()
    with suppress(FileNotFoundError):
        stamp.unlink()
    code, lines = shell.run([tools["cmake"], "--fresh", *arguments])
    if code == 0 and job.preset and not tree(job.build):
        why = f"the preset does not use our toolchain file, {toolchain_file()}"
        return lines, (Failure(step=Step.CONFIGURE, what=job.preset, lines=(why,)),)
    if code == 0:
        write_atomically(stamp, _with_programs(state, job, tools["cmake"]))
        return lines, ()
    return lines, failures_of_cmake(lines) or unexplained(Step.CONFIGURE, "cmake", code, lines)


GLOBS = "CMakeFiles/VerifyGlobs.cmake"
"""A script that Ninja runs first where a list of files is to be looked up in each build."""


def _is_whole(build: Path) -> bool:
    """Whether all is there that CMake has written and Ninja cannot have made again; in none of these is nothing."""
    needed = ["CMakeCache.txt", "build.ninja", "CMakeFiles/rules.ninja", EXTENSIONS]
    needed += [GLOBS] if GLOBS in (read_text(build / "build.ninja") or "") else []
    return all((build / name).exists() and (build / name).stat().st_size for name in needed)


def _with_programs(state: Mapping[str, object], job: Job, cmake: str) -> str:
    """What a job is configured with; a program that is replaced by a new version of it has another size or time.

    Neither CMake nor Ninja looks at that.
    """
    found = None if job.programs else tree(job.build)
    programs = {}
    for path in (cmake, *(job.programs or ((found.program,) if found else ()))):
        with suppress(OSError):
            stat = os.stat(path)
            programs[path] = [stat.st_size, stat.st_mtime_ns]
    return json.dumps({**state, "programs": programs}, indent=1)


def cmake_variables(job: Job, options: Options, ninja: str) -> list[str]:
    """What a job is configured with, as ``NAME=VALUE``."""
    target = [
        f"CMAKE_TOOLCHAIN_FILE={toolchain_file()}",
        f"LLEXT_TARGET={job.target}",
        f"LLEXT_TOOLCHAIN={job.toolchain}",
    ]
    return [
        f"CMAKE_MAKE_PROGRAM={ninja}",
        *(target if job.target else ()),
        f"LLEXT_COMMAND={sys.executable};-P;-m;llext_tools",  # -P: this package, whatever the current folder has
        f"LlextTools_DIR={paths.cmake_dir()}",
        *(f"{name}={value}" for name, value in _project_variables(job, options).items() if value),
        *options.define,
    ]


def toolchain_file() -> str:
    return os.path.join(paths.cmake_dir(), "toolchains", "llext.cmake")


def _project_variables(job: Job, options: Options) -> dict[str, str]:
    """What extensions are for; where neither settings nor the command line say it, the project does."""
    firmware = job.firmware
    files = [os.path.abspath(path) for path in firmware.files] if firmware else []
    kconfig = [word if "=" in word else os.path.abspath(word) for word in firmware.config] if firmware else []
    return {
        "LLEXT_PROFILE": (firmware.profile if firmware else "") or options.profile,
        "LLEXT_FIRMWARE": ";".join(files),
        "LLEXT_HEAP": (firmware.heap if firmware else "") or options.heap,
        "LLEXT_CHECK_OPTIONS": ";".join(f"--config={word}" for word in kconfig),
        "LLEXT_SETTINGS": options.settings,
    }


def build(
    shell: Shell, options: Options, tools: Mapping[str, str], share: int
) -> tuple[list[str], tuple[Failure, ...]]:
    """Run Ninja, and return what it printed, too."""

    def count(line: str) -> None:
        if status := NINJA_STATUS.match(line):
            shell.progress(int(status[1]), int(status[2]))

    remove_changed(shell.job.build)
    command = [tools["ninja"], "-C", str(shell.job.build), "-j", str(share)]
    if f"\nbuild {EVERY}:" in (read_text(shell.job.build / "build.ninja") or ""):
        command += ["all", EVERY]
    code, lines = shell.run([*command, "-k", "0"] if options.keep_going else command, count)
    if code == 0:
        return lines, ()
    if never_ends(lines):
        return lines, (_from_the_future(shell, tools["ninja"]),)
    if options.keep_going:
        _remove_outdated(shell, tools["ninja"], everything=configures_again(lines))
    failures = failures_of_cmake(lines) if configures_again(lines) else failures_of_ninja(lines)
    return lines, failures or unexplained(Step.BUILD, "ninja", code, lines)


def _from_the_future(shell: Shell, ninja: str) -> Failure:
    """Why Ninja gives up: what CMake has made is older than a file that it has read, whenever it was made."""
    _, lines = shell.run([ninja, "-C", str(shell.job.build), "-t", "query", "build.ninja"])
    names = []
    for line in lines:
        path = shell.job.build / line.strip().lstrip("| ")
        with suppress(OSError):
            if line.startswith("    ") and path.stat().st_mtime > time.time():
                names.append(shown(Path(os.path.abspath(path))))
    what = f"the time of {listed(names)} is in the future" if names else "the clock of this computer goes wrong"
    cure = f"`touch {shlex.join(names)}`, or set the clock" if names else "set the clock"
    said = (f"{what}, so that CMake runs again and again",)
    return Failure(step=Step.BUILD, what="build.ninja", lines=said, help=cure)


def _remove_outdated(shell: Shell, ninja: str, *, everything: bool) -> None:
    """Remove the extensions of an earlier build that this one should have replaced, so that no test runs them.

    Ninja is asked through a file that no rule makes: in a trial run of ``build.ninja`` it says that CMake looks for
    settings first.
    """
    trial = shell.job.build / "llext-trial.ninja"
    write_atomically(trial, "include build.ninja\n")
    for extension, beside in extensions(shell.job).items():
        name = os.path.relpath(extension, shell.job.build)
        known = str(extension) if name.startswith("..") else name
        code, lines = shell.run([ninja, "-C", str(shell.job.build), "-f", str(trial), "-n", known])
        if everything or code != 0 or not any(line.startswith("ninja: no work to do") for line in lines):
            for path in (extension, *beside):
                path.unlink(missing_ok=True)


def found_in_tree(job: Job) -> Job:
    """A job with a preset, and what that is for."""
    found = tree(job.build) if job.preset else None
    return replace(job, target=found.target, toolchain=found.toolchain) if found else job


CTEST_STATUS = re.compile(r" *(\d+)/(\d+) Test ")


def test(
    shell: Shell, tools: Mapping[str, str], share: int, held: tuple[str, ...], *, some: bool
) -> tuple[tuple[Case, ...], tuple[str, ...], tuple[Failure, ...]]:
    """Run CTest: tests that ran, those without their extension (no failure if only ``some`` was built), failures.

    Without those that are ``held`` for passed; without any left, CTest is not asked.
    """
    if not others(shell.job, set(held)):
        return (), (), ()

    def count(line: str) -> None:
        if status := CTEST_STATUS.match(line):
            shell.progress(int(status[1]), int(status[2]))

    report = shell.job.build / TESTS
    with suppress(FileNotFoundError):
        report.unlink()
    command = [tools["ctest"], "--test-dir", str(shell.job.build), "-j", str(share), "--no-tests=ignore"]
    command += ["--output-on-failure", "--output-junit", str(report), "--test-output-size-passed", "300000"]
    command += excluding(held)
    code, lines = shell.run(command, count)
    tests, not_run = read_junit(report)
    failures = tuple(
        Failure(step=Step.TEST, what=test.name, lines=shorten(test.output.splitlines()), codes=codes_in(test.output))
        for test in tests
        if not test.passed
    )
    if code != 0 and not failures and not (some and not_run):
        failures = unexplained(Step.TEST, "ctest", code, lines)
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

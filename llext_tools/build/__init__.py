"""The build driver: configures, builds and tests one CMake project for several targets at the same time.

Each combination of target and toolchain is a job with a build folder of its own and three steps: ``cmake``, ``ninja``,
``ctest``. What they print goes to ``llext.log`` in that folder. A job that passes leaves its extensions in the output
folder, ``dist/<target>-<toolchain>/``; one that fails leaves nothing there, so that the output never holds a file that
did not pass; one that is interrupted leaves what was there before.

Nothing is printed here: ``observe`` is called with each change, from the threads that run the jobs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from llext_tools.build import presets
from llext_tools.build.job import (
    Case,
    Failure,
    Firmware,
    Job,
    Observer,
    Options,
    Progress,
    Result,
    Step,
    Warned,
)
from llext_tools.build.process import Children, find_tool
from llext_tools.build.report import (
    compiler_warnings,
    diagnose,
    diagnose_warnings,
    exit_code,
    noun,
    show_compiler_warnings,
)
from llext_tools.build.steps import cmake_variables, run_job

__all__ = [
    "Case",
    "Failure",
    "Firmware",
    "Job",
    "Options",
    "Progress",
    "Result",
    "Step",
    "Warned",
    "build",
    "compiler_warnings",
    "cores",
    "diagnose",
    "diagnose_warnings",
    "exit_code",
    "find_tool",
    "honoured_presets",
    "keep_presets",
    "noun",
    "show_compiler_warnings",
]


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
        try:
            futures = [pool.submit(run_job, job, options, tools, share, children, observe) for job in jobs]
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


def keep_presets(results: Sequence[Result], options: Options, *, every: bool = False) -> None:
    """Write presets of the jobs that could be configured into the project, see ``presets``.

    Args:
        every: these are all jobs of the project, so that presets of other ones go.
    Raises:
        UsageError: ``usage``: the file that is there is none of presets.
        FormatError: ``file-unreadable``, ``file-unwritable``.
    """
    ninja = find_tool("ninja")
    good = (result.job for result in results if all(f.step is not Step.CONFIGURE for f in result.failures))
    made = {job: cmake_variables(job, options, ninja) for job in good if not job.preset}
    presets.keep(options.source, made, [result.job.name for result in results] if every else None)


def honoured_presets(source: Path) -> frozenset[str]:
    """The configure presets of the project itself that can be used, see ``presets``.

    Raises:
        UsageError: ``usage``: the files are wrong.
        FormatError: ``file-unreadable``, ``file-unwritable``.
    """
    return presets.honoured(source)


def cores() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1

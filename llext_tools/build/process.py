"""Child processes: CMake, Ninja and CTest, whose output goes to the log of a job."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

import llext_tools
from llext_tools import paths
from llext_tools.build.job import Job, Observer, Progress, Step
from llext_tools.diag import fail
from llext_tools.files import reason

WIDE = "9999"  # columns: what our own commands print is not wrapped, for it is wrapped when we show it
HOST_VARIABLES = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "ASMFLAGS", "CMAKE_TOOLCHAIN_FILE")
"""Environment variables that steer a build for the host itself, as conda sets them; CMake would take them over."""


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
            ToolError: ``tool-missing``: it is there, but the system cannot run it.
        """
        with self._lock:
            if self._stopped:
                raise StoppedError
            try:
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
            except OSError as error:
                if error.filename is None:
                    raise
                text = f"`{command[0]}` cannot be run: {reason(error)}"
                fail("tool-missing", text, help="install it again, or another one in front of it in PATH")
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
        """Interrupt all: Ninja then removes the outputs of unfinished commands. Who does not end is killed.

        One more Ctrl-C kills at once.
        """
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for child in running:
            _signal(child, signal.SIGINT)
        deadline = time.monotonic() + 5
        try:
            for child in running:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for child in running:
                if child.poll() is None:
                    _signal(child, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(child: subprocess.Popen[str], number: int) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, number)
        else:
            child.terminate()


@dataclass(frozen=True, slots=True)
class Shell:
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
        with self.children.start(command, environment()) as child:
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


def environment() -> dict[str, str]:
    """Ours, without what belongs to builds for the host, and so that children find this very package.

    ``LLEXT_CMAKE_DIR`` is for presets of the project, whose toolchain file lies there.
    """
    environment = {name: value for name, value in os.environ.items() if name not in HOST_VARIABLES}
    environment.setdefault("LLEXT_CMAKE_DIR", paths.cmake_dir())
    home = os.path.dirname(os.path.dirname(os.path.abspath(llext_tools.__file__)))
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):  # a checkout
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    environment["SOURCE_DATE_EPOCH"] = source_date_epoch()
    return environment | {"NINJA_STATUS": "[%f/%t] ", "NO_COLOR": "1", "CLICOLOR_FORCE": "0", "COLUMNS": WIDE}


def source_date_epoch() -> str:
    """What a compiler makes ``__DATE__`` of: the same at any time, unless the caller says otherwise."""
    return os.environ.get("SOURCE_DATE_EPOCH") or "0"

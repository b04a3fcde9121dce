"""Ctrl-C and other signals in the middle of `llext build`. Oracle: the digests in manifests, and the files of before.

A wrapper stands before the compiler and before our own command. At the moment that is asked for it writes to a FIFO and
waits for ever, so that what is interrupted is where the test wants it. The FIFO ends when all who wait have ended.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cmake_project import need_toolchain
from llext_tools.artifact import changed_files, read_artifact

pytestmark = [
    pytest.mark.cmake,
    pytest.mark.toolchain,
    pytest.mark.emulator,
    pytest.mark.skipif(os.name != "posix", reason="FIFOs"),
]

LISTS = """\
cmake_minimum_required(VERSION 3.25)
set(LLEXT_COMMAND "$ENV{WRAPPER}")
project(two LANGUAGES C)
find_package(LlextTools REQUIRED)
foreach(name IN ITEMS one two)
  llext_add_extension(${name} SOURCES ${name}.c)
  llext_add_test(runs_${name} EXTENSION ${name} CALL "${name}()")
endforeach()
"""
SOURCE = "#include <llext/symbol.h>\nint {0}(void) {{ return {1}; }}\nEXPORT_SYMBOL({0});\n"
WRAPPER = """\
import os, signal, subprocess, sys

def stop_at(moment):
    if moment == os.environ.get("STOP_AT"):
        with open(os.environ["FIFO"], "w") as fifo:
            print(end=".", file=fifo, flush=True)
            while True:
                signal.pause()

kind, *command = sys.argv[1:]
if kind == "llext":
    kind, command = command[0], [sys.executable, "-m", "llext_tools", *command]
stop_at(f"before {kind}")
code = subprocess.call(command)
stop_at(f"after {kind}")
sys.exit(code)
"""
MOMENTS = ("after toolchain", "after compile", "after finish", "after run")
CTRL_C = 130
TIMEOUT = 120  # seconds, for a build that never gets there


class Build:
    """`llext build` of two extensions, with the wrapper."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fifo = folder, folder / "fifo"
        os.mkfifo(self.fifo)
        (folder / "CMakeLists.txt").write_text(LISTS, encoding="utf-8")
        (folder / "wrapper.py").write_text(WRAPPER, encoding="utf-8")
        self.write("one", 0)
        self.write("two", 0)

    def write(self, name: str, value: int) -> None:
        (self.folder / f"{name}.c").write_text(SOURCE.format(name, value), encoding="utf-8")

    def start(self, moment: str = "", *more: str, on_int: Any = signal.default_int_handler) -> subprocess.Popen[str]:
        wrapper = f"{sys.executable};{self.folder / 'wrapper.py'}"
        command = [sys.executable, "-m", "llext_tools", "build", ".", "--target=cortex-m4", "--toolchain=gcc", *more]
        command += [f"-DCMAKE_C_COMPILER_LAUNCHER={wrapper};compile"]

        def hear() -> None:
            """Tests may run behind a `&` or `nohup`, where signals are ignored."""
            signal.signal(signal.SIGINT, on_int)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "WRAPPER": f"{wrapper};llext", "STOP_AT": moment, "FIFO": str(self.fifo)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            preexec_fn=hear,  # noqa: PLW1509
        )

    def succeed(self, *more: str) -> None:
        with self.start("", *more) as driver:
            output, errors = driver.communicate()
        assert driver.returncode == 0, output + errors

    def interrupt(self, moment: str, *more: str, number: int = signal.SIGINT, **how: Any) -> int:
        """The driver's answer to a signal at a moment."""
        reader = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with self.start(moment, *more, **how) as driver:
                assert select.select([reader], [], [], TIMEOUT)[0], f"never {moment}"
                driver.send_signal(number)
                try:
                    output, errors = driver.communicate(timeout=TIMEOUT)
                except subprocess.TimeoutExpired:
                    driver.kill()
                    raise
            os.set_blocking(reader, False)
            assert not os.read(reader, 100).strip(b"."), output + errors
            assert os.read(reader, 1) == b"", "somebody still waits"
        finally:
            os.close(reader)
        assert "Traceback" not in errors
        return driver.returncode

    def whole(self) -> set[str]:
        """The extensions that are there, all of which belong to the files beside them."""
        found = set()
        for folder in (self.folder / "build", self.folder / "dist"):
            assert not [path.name for path in folder.rglob("*.tmp")]
            for path in folder.rglob("*.llext"):
                artifact = read_artifact(path.with_suffix(".json"))
                assert changed_files(artifact) == []
                assert artifact.debug
                found.add(path.relative_to(self.folder).as_posix())
        return found

    def dist(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "dist").rglob("*.*")}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    need_toolchain("cortex-m4", "gcc")
    return Build(tmp_path)


def test_no_half_artifact_is_left(build: Build) -> None:
    shipped = {f"dist/cortex-m4-gcc/{name}.llext" for name in ("one", "two")}
    assert build.interrupt("before compile") == CTRL_C
    assert build.whole() == set(), "the first build has nothing to keep"
    build.succeed()
    for value, moment in enumerate(MOMENTS, 1):
        before = build.dist()
        build.write("one", value)
        again = (f"-DAGAIN={value}",) if "toolchain" in moment else ()
        assert build.interrupt(moment, *again) == CTRL_C, moment
        assert shipped <= build.whole(), moment
        assert build.dist() == before, moment
        build.succeed()
        assert shipped <= build.whole(), moment
        assert build.dist()["one.llext"] != before["one.llext"], moment


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGTERM, "after run"), (signal.SIGHUP, "before compile")], ids=["TERM", "HUP"]
)
def test_a_signal_ends_what_it_would_have_left_behind(build: Build, number: signal.Signals, moment: str) -> None:
    """Behind a `&` of a script SIGINT is ignored, and by all children, too. Oracle: the status that a shell sees."""
    assert build.interrupt(moment, number=number, on_int=signal.SIG_IGN) == -number
    assert build.dist() == {}
    assert not any("dist" in path for path in build.whole())

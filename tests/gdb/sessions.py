"""Sessions of gdb-multiarch with ``llext debug``, each with an extension of one C source.

A line of the source is named by a comment at its end: ``line("here")``.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulator.compiled import compile_c
from llext_tools import arch
from needs import need

TARGETS = ("cortex-m4", "rv32imac", "rv64gc")
SECONDS = 60
"""After that a test fails that hangs."""


@dataclass(frozen=True)
class Extension:
    """A compiled extension; ``source`` is what GDB shows lines of."""

    path: Path
    source: Path
    target: str

    def line(self, name: str) -> int:
        lines = self.source.read_text().splitlines()
        return next(i for i, text in enumerate(lines, 1) if text.endswith(f"// {name}"))

    def at(self, name: str) -> str:
        """A line as GDB's commands have it."""
        return f"{self.source.name}:{self.line(name)}"


@dataclass(frozen=True)
class Done:
    """What GDB and the command line printed, and how the latter ended."""

    gdb: str
    llext: str
    code: int


def build(folder: Path, text: str, target: str) -> Extension:
    source = folder / "program.c"
    source.write_text(text)
    obj = compile_c(f'#line 1 "{source}"\n{text}', arch.target(target), "gcc", folder, "-O0")
    return Extension(Path(obj.path), source, target)


@contextmanager
def debugged(extension: Extension, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``llext debug`` as a process that listens, and the path of the script that it has written."""
    command = [
        sys.executable,
        "-m",
        "llext_tools",
        "debug",
        str(extension.path),
        "--target",
        extension.target,
        *options,
    ]
    environment = os.environ | {"COLUMNS": "200"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so on
    try:
        started = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with started as process:
        try:
            assert process.stdout
            first, second = process.stdout.readline(), process.stdout.readline()
            assert first.startswith("listening on 127.0.0.1:"), first + second + process.stdout.read()
            *words, script = shlex.split(second)
            assert words == ["gdb-multiarch", "-x"], second
            yield process, script
        finally:
            process.kill()


def gdb(script: str, *more: str) -> list[str]:
    return [need("gdb-multiarch"), "-nx", "-q", *more, "-iex", "set width 0", "-x", script]


def session(extension: Extension, commands: Sequence[str], *options: str) -> Done:
    """Let GDB carry out commands behind the script."""
    with debugged(extension, *options) as (process, script):
        command = gdb(script, "-batch")
        for text in commands:
            command += ["-ex", text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        rest, _ = process.communicate(timeout=SECONDS)
        return Done(done.stdout + done.stderr, rest, process.returncode)

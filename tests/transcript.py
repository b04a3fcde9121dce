"""Console transcripts: lines ``$ command`` with what they print below. ``llext`` runs in this process, into a pipe."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from glob import glob
from pathlib import Path
from unittest.mock import patch

from llext_tools import cli

ENVIRONMENT = {"COLUMNS": "80", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


def llext(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code of ``llext ARGUMENTS``, and stdout and stderr in the order of writing."""
    output = io.StringIO()
    with (
        patch.dict(os.environ, {**ENVIRONMENT, **(environment or {})}),
        redirect_stdout(output),
        redirect_stderr(output),
    ):
        code = cli.main(arguments)
    return code, output.getvalue()


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let the shell run a command; ``llext`` and ``pytest`` are there as scripts."""
    scripts = folder / ".bin"
    scripts.mkdir(exist_ok=True)
    for name, module in (("llext", "llext_tools"), ("pytest", "pytest -p llext_tools.pytest_plugin")):
        script = scripts / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        script.chmod(0o755)
    places = {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    environment = {**os.environ, **ENVIRONMENT, **places}
    return subprocess.run(
        f"({command}) 2>&1", shell=True, cwd=folder, text=True, capture_output=True, check=False, env=environment
    )


def commands(lines: Sequence[str]) -> list[str]:
    """The commands of a transcript."""
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def run(lines: Sequence[str], folder: Path, *, show_exit: bool = False) -> tuple[list[str], list[int]]:
    """Run a transcript's commands in ``folder``, the current one: a new transcript, and the exit code of each command.

    With ``show_exit`` a line tells each exit code that is not 0. ``NAME=VALUE`` may stand before ``llext``.
    """
    transcript, codes = [], []
    for command in commands(lines):
        words = shlex.split(command, comments=True)
        variables = {}
        while "=" in words[0]:
            name, _, variables[name] = words.pop(0).partition("=")
        if words[0] == "llext" and not {"|", ">"} & set(words):
            assert Path.cwd() == folder, "a relative path in the command would lead elsewhere"
            arguments = (path for word in words[1:] for path in sorted(glob(word)) or [word])
            code, printed = llext(*arguments, environment=variables)
        else:
            done = shell(command, folder)
            code, printed = done.returncode, done.stdout
        codes.append(code)
        transcript += [f"$ {command}", *printed.rstrip("\n").split("\n")] if printed else [f"$ {command}"]
        if show_exit and code:
            transcript.append(f"[exit code {code}]")
    return transcript, codes

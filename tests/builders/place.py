"""A folder to build in by the commands of another builder than CMake."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from cmake_project import tool

ROOT = Path(__file__).parents[2]


class Place:
    """A folder ``my project``, in which commands run as a user gives them; ``llext`` is a script in PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my project"
        self.folder.mkdir(parents=True)
        script = folder / "bin" / "llext"
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m llext_tools "$@"\n')
        script.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{script.parent}{os.pathsep}{Path(tool('ninja')).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def done(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file, which is then newer than all others, whatever the resolution of the clock."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        newest = max(each.stat().st_mtime_ns for each in self.folder.rglob("*") if each.is_file())
        os.utime(path, ns=(newest + 1, newest + 1))


def example_in(folder: Path) -> Place:
    """A copy of the example."""
    place = Place(folder)
    shutil.copytree(ROOT / "examples" / "morse", place.folder, dirs_exist_ok=True)
    return place

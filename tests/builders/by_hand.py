"""An extension built as a makefile would: by the commands of `llext cflags`, `ldflags` and `finish`, without CMake."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cmake_project import tool
from transcript import llext

LANGUAGE = {".c": "C", ".cpp": "CXX", ".S": "ASM"}


def printed(*arguments: str) -> list[str]:
    """The words of the line that a command prints, as a shell splits them."""
    code, text = llext(*arguments)
    assert code == 0, text
    (line,) = text.splitlines()
    return shlex.split(line)


def made(folder: Path, *command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command


def assert_built_alike(build: Path, name: str, sources: Sequence[Path], out: Path, *chosen: str) -> None:
    """Oracle: CMake's build of the same sources; objects, debug file and extension have the same bytes.

    The compilers run in the same folder with the same maps of it, for debug information names it.
    """
    done = subprocess.run([tool("ninja"), "-C", build, "-t", "compdb"], capture_output=True, text=True, check=True)
    commands = {entry["file"]: entry for entry in json.loads(done.stdout) if "CMakeFiles" in entry["output"]}
    objects: list[Path] = []
    for source in sources:
        entry = commands[str(source)]
        maps = [word for word in shlex.split(entry["command"]) if "-prefix-map=" in word or word.startswith("-std=")]
        language = LANGUAGE[source.suffix]
        compiler = printed("cflags", *chosen, "--cxx" if language == "CXX" else "--cc")
        flags = printed("cflags", *chosen, "--language", language)
        objects.append(out / f"{source.name}.obj")
        made(build, *compiler, *flags, *maps, "-c", source, "-o", objects[-1])
        assert objects[-1].read_bytes() == (build / entry["output"]).read_bytes(), source
    runtime = [path for path in build.glob("CMakeFiles/llext/*atexit.a") if any(s.suffix == ".cpp" for s in sources)]
    debug = out / f"{name}.debug.elf"
    made(out, *printed("ldflags", *chosen, "--ld"), *printed("ldflags", *chosen), *objects, *runtime, "-o", debug)
    code, text = llext("finish", str(debug), "-o", str(out / f"{name}.llext"), "--debug-file", str(debug))
    assert code == 0, text
    (folder,) = {path.parent for path in build.rglob(f"{name}.llext")}
    for path in debug, debug.with_name(f"{name}.llext"):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path
    assert os.path.samefile(printed("ldflags", *chosen, "--script")[0], printed("cmake-dir")[0] + "/llext-merge.ld")

"""What CMake cannot use of folders and files, and which folders are not for a build.

No other build works in a folder at the same time, and none is let into a folder with files that are not its own: a
build clears its folders of what earlier ones have left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from llext_tools.build.job import LOG, Job
from llext_tools.diag import fail, listed
from llext_tools.files import is_utf8
from llext_tools.paths import OUTPUT, shown

UNFIT = {
    ";": "`;`",
    '"': '`"`',
    "\\": "`\\`",
    "\t": "a tab",
    **dict.fromkeys("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", "a line break"),
}
"""Characters that separate or quote words in CMake, or in the lists that it writes."""

SOURCES = frozenset((".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".s", ".asm"))
APART = "name a folder of its own: `{0} FOLDER`"


def check_folders(folders: Iterable[Path]) -> None:
    """Say before anything is built that CMake cannot use a folder.

    Raises:
        UsageError: ``usage``.
    """
    for folder in folders:
        text = folder.as_posix()
        if what := _unfit(text):
            fail("usage", f"CMake cannot work in `{text}`: it {what}", help="give the folder another name")


def check_files(files: Iterable[str]) -> None:
    """Say before anything is built that CMake cannot use a file, in a list and in rules for Ninja.

    Raises:
        UsageError: ``usage``.
    """
    for file in files:
        if what := _unfit(Path(file).as_posix()):
            fail("usage", f"CMake cannot use `{file}`: it {what}", help="rename it")


def _unfit(path: str) -> str:
    """What a path has that CMake cannot use; "" if there is nothing."""
    if not is_utf8(path):
        return "has a name that is not in UTF-8"
    if path.count("[") != path.count("]"):
        return "has a bracket without its partner in its name"
    return next((f"has {shown} in its name" for letter, shown in UNFIT.items() if letter in path), "")


def check_own(source: Path, jobs: Sequence[Job]) -> None:
    """Say before anything is built that a folder to build in or to gather in has files of the user, or of another one.

    Raises:
        UsageError: ``usage``.
    """
    roots = {job.output.parent: "--output" for job in jobs} | {job.build.parent: "--build-dir" for job in jobs}
    of_jobs = {job.output: "--output" for job in jobs} | {job.build: "--build-dir" for job in jobs}
    for folder, option in (roots | of_jobs).items():
        if folder.resolve() == source.resolve():
            fail("usage", f"{option}: `{shown(folder)}` is the folder of the project itself", help=APART.format(option))
        if folder.exists() and not folder.is_dir():
            fail("usage", f"{option}: `{shown(folder)}` is no folder", help=APART.format(option))
        ours = any((folder / name).exists() for name in (LOG, "CMakeCache.txt"))  # it may have sources that were made
        if not ours and (found := _a_source(folder)):
            fail("usage", f"{option}: `{shown(folder)}` has sources, such as `{found}`", help=APART.format(option))
    builds = {job.build.resolve() for job in jobs}
    for output in {job.output: None for job in jobs}:
        real = output.resolve()
        for build in builds:
            if real.is_relative_to(build) or build.is_relative_to(real):
                text = f"--output: `{shown(output)}` would mix with what is built in `{shown(build)}`"
                fail("usage", text, help=APART.format("--output"))
    for job in jobs:
        known = job.output.parent == source / OUTPUT or (job.build / LOG).exists()
        if not known and (strangers := sorted(path.name for path in job.output.glob("*.llext"))):
            text = f"--output: `{shown(job.output)}` has extensions of another build: {listed(strangers)}"
            fail("usage", text, help=f"remove them, or {APART.format('--output')}")


def _a_source(folder: Path) -> str:
    """The name of a file of sources in a folder; "" if there is none."""
    with suppress(OSError):
        names = (each.name for each in os.scandir(folder) if each.is_file())
        return min((n for n in names if n == "CMakeLists.txt" or Path(n).suffix.lower() in SOURCES), default="")
    return ""


@contextmanager
def alone(folders: Iterable[Path]) -> Iterator[None]:
    """Keep other builds out of these folders, which are made, for the time of a block.

    Raises:
        UsageError: ``usage``: another one is at work there.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows, where a file that is open cannot be replaced by another build
        yield
        return
    held: list[int] = []
    try:
        for folder in folders:
            with suppress(OSError):  # whoever uses the folder says what is wrong with it
                folder.mkdir(parents=True, exist_ok=True)
                held.append(os.open(folder, os.O_RDONLY))
                try:
                    flock(held[-1], LOCK_EX | LOCK_NB)
                except BlockingIOError:
                    cure = "wait for it, or build elsewhere: `--build-dir FOLDER`"
                    fail("usage", f"another build is at work in `{folder}`", help=cure)
        yield
    finally:
        for each in held:
            os.close(each)

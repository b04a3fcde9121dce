"""The output folder: what a job that passed leaves there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from llext_tools.build.job import Failure, Job, Step
from llext_tools.files import write_atomically

EXTENSIONS = (
    "llext-extensions.txt"  # written by the CMake package: on each line a .llext file, then what lies beside it
)


def extensions(job: Job) -> dict[Path, tuple[Path, ...]]:
    """The .llext files that the project makes now, not those that an earlier state of it has left.

    With each its debug file and its manifest.
    """
    rows = (line.split("\t") for line in (read_text(job.build / EXTENSIONS) or "").splitlines() if line)
    return {Path(extension): tuple(map(Path, others)) for extension, *others in rows if os.path.exists(extension)}


def gather(job: Job, made: Mapping[Path, tuple[Path, ...]]) -> tuple[tuple[Path, ...], tuple[Failure, ...]]:
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
    sweep(job.output, keep=files)
    return tuple(job.output / path.name for path in built), ()


def sweep(output: Path, keep: Iterable[str]) -> None:
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


def read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None

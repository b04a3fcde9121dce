"""The output folder: what a job that passed leaves there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from llext_tools.artifact import DEBUG_SUFFIX, MANIFEST_SUFFIX, changed_files, manifest_path, read_artifact, to_text
from llext_tools.artifact.facts import firmware_of
from llext_tools.artifact.runs import with_runs
from llext_tools.build.job import LOG, Failure, Job, Step
from llext_tools.build.report import nearby
from llext_tools.build.runs import records_by_file
from llext_tools.diag import Diagnostic, listed
from llext_tools.errors import FormatError, LlextError
from llext_tools.files import reason, write_all, write_atomically
from llext_tools.paths import shown

EXTENSIONS = "llext-extensions.txt"
"""Written by the CMake package: on each line a .llext file, then what lies beside it, with tabs between them."""
GATHERED = "llext-gathered.txt"

CURES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change its permissions"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST), "remove what is in the way"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room"),
}
"""What cannot be written, and why -> what to do, but to write elsewhere."""


def extensions(job: Job) -> dict[Path, tuple[Path, ...]]:
    """The .llext files that the project makes now, not those that an earlier state of it has left.

    With each its debug file and its manifest.
    """
    return {path: beside for path, beside in declared(job.build).items() if path.exists()}


def declared(build: Path) -> dict[Path, tuple[Path, ...]]:
    """The same, whether they are built or not."""
    rows = (line.split("\t") for line in (read_text(build / EXTENSIONS) or "").splitlines() if line)
    return {Path(extension): tuple(map(Path, others)) for extension, *others in rows}


def remove_changed(build: Path) -> None:
    """Remove extensions that are not what their manifests say, so that Ninja makes them again.

    Only what is not as it was gathered is read.
    """
    left = gathered(build)
    for extension, beside in declared(build).items():
        files = (extension, *beside)
        if any(path.exists() and left.get(path) != size_and_time(path) for path in files) and _changed(beside):
            for path in files:
                path.unlink(missing_ok=True)


def _changed(beside: Iterable[Path]) -> tuple[str, ...]:
    """In which way the files of an extension are not what its manifest says, if it has one."""
    try:
        manifests = [path for path in beside if path.suffix == MANIFEST_SUFFIX and path.is_file()]
        found = [change for path in manifests for change in changed_files(read_artifact(path))]
    except LlextError as error:
        return _said_of(error)
    return tuple(f"`{os.path.basename(path)}` is not what the manifest says: it {reason}" for path, reason in found)


def _said_of(error: LlextError) -> tuple[str, ...]:
    """What is wrong, with the name of the file that it is wrong in."""
    places = ((each.location, each.message) for each in error.diagnostics)
    return tuple(f"`{os.path.basename(at.file)}`: {text}" if at else text for at, text in places)


def gather(job: Job, made: Mapping[Path, tuple[Path, ...]]) -> tuple[tuple[Path, ...], tuple[Failure, ...]]:
    """Copy extensions, with what belongs to them, to the output folder, and remove what is there from earlier."""
    built = tuple(made)
    files: dict[str, Path] = {}
    for file in (*made, *(path for others in made.values() for path in others)):
        if files.setdefault(file.name, file) != file:
            what = f"two extensions have the file name `{file.name}`"
            return built, (Failure(step=Step.BUILD, what=what, lines=(str(files[file.name]), str(file))),)
    files = {name: path for name, path in files.items() if path.exists()}
    copies = tuple(job.output / path.name for path in built)
    records = records_by_file(job)
    if read_text(job.build / GATHERED) == _state(job, files, records):
        return copies, ()
    if files:
        job.output.mkdir(parents=True, exist_ok=True)
    for extension, beside in made.items():
        if lines := _changed(beside):
            cure = "`llext build` links it again; let no command of the project change the files after that"
            return built, (Failure(step=Step.BUILD, what=extension.stem, lines=lines, help=cure),)
        parts = {job.output / path.name: path for path in (extension, *beside) if path.exists()}
        try:
            contents = {copy: _contents(path, records.get(extension.name, ())) for copy, path in parts.items()}
        except LlextError as error:
            return built, (Failure(step=Step.BUILD, what=extension.stem, lines=_said_of(error)),)
        write_all({copy: data for copy, data in contents.items() if not copy.exists() or copy.read_bytes() != data})
    sweep(job.output, keep=files)
    write_atomically(job.build / GATHERED, _state(job, files, records))
    return copies, ()


def checked_against(artifacts: Iterable[Path]) -> dict[Path, tuple[str, ...]]:
    """Of each extension the names of the ELF files and tables that its imports were looked up in."""
    found = {}
    for path in artifacts:
        # Not so of an OUTPUT of its own name; gathering has said what is wrong.
        with suppress(LlextError):
            document = read_artifact(manifest_path(path)).document
            if "checked" in document:
                found[path] = tuple(each.file for each in firmware_of(document))
    return found


def firmware_unused(job: Job, against: Mapping[Path, tuple[str, ...]]) -> tuple[Diagnostic, ...]:
    """A warning of the extensions that were not checked against the firmware of the job, for they name another one."""
    if job.firmware is None:
        return ()
    wanted = {os.path.basename(path) for path in job.firmware.files}
    names = [path.stem for path, files in against.items() if wanted.isdisjoint(files)]
    if not names:
        return ()
    was = "was" if len(names) == 1 else "were"
    text = f"the firmware `{job.firmware.name}` is not what {listed(names)} {was} checked against"
    why = "EXPORTS of llext_add_extension() goes before the firmware of `llext build`"
    cure = "leave EXPORTS out, or name `${LLEXT_FIRMWARE}` in llext_add_exports()"
    return (Diagnostic("firmware-unused", text, "warning", notes=(why,), help=cure),)


def _contents(path: Path, records: Sequence[str]) -> bytes:
    """What is shipped of a file: a manifest says also which runs have passed.

    Raises:
        FormatError: ``manifest-syntax``.
    """
    if path.suffix == ".json" and records:
        return to_text(with_runs(read_artifact(path), records)).encode()
    return path.read_bytes()


def _state(job: Job, files: Mapping[str, Path], records: Mapping[str, Sequence[str]]) -> str:
    """Sizes and times of all that is gathered, of the records of runs and of what is in the output folder."""
    paths: list[str | Path] = [
        *files.values(),
        *sorted({record for those in records.values() for record in those}),
        *(job.output / name for name in files),
    ]
    return "\n".join(f"{size_and_time(path)} {path}" for path in paths)


def size_and_time(path: str | Path) -> str:
    """Of a file as it is now; by the same words ``gathered()`` knows it."""
    try:
        stat = os.stat(path)
    except OSError:
        return "- -"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def gathered(build: Path) -> dict[Path, str]:
    """The files that the last job in a build folder has gathered, and those that it has left, as they were then."""
    rows = (line.split(" ", 2) for line in (read_text(build / GATHERED) or "").splitlines())
    return {Path(row[2]): f"{row[0]} {row[1]}" for row in rows if len(row) == 3}


def unwritable(job: Job, error: OSError | FormatError, done: str = "write") -> Failure:
    """The failure of a job that cannot ``write`` or ``remove`` a file or folder of its own; any other error is raised.

    What had passed before counts no more: the output may be half of it.
    """
    cause = error if isinstance(error, OSError) else error.__context__
    if not isinstance(cause, OSError):
        raise error
    path = Path(job.log if cause.filename is None else os.fsdecode(cause.filename))
    below = [folder for folder in (job.build, job.output) if path.is_relative_to(folder) or folder.is_relative_to(path)]
    if not below:
        raise error
    with suppress(OSError):
        (job.build / GATHERED).unlink(missing_ok=True)
    step, option = (Step.CONFIGURE, "--build-dir") if below[0] == job.build else (Step.BUILD, "--output")
    cure = ", or ".join(filter(None, (CURES.get(cause.errno or 0), f"take another folder: `{option} FOLDER`")))
    text = f"cannot {done} `{shown(path)}`: {reason(cause)}"
    if isinstance(error, FormatError):  # it names the file itself, not the one that was to take its place
        text = nearby(error.diagnostics[0].message)
    return Failure(step=step, what="", lines=(text,), codes=("file-unwritable",), help=cure)


def discard(job: Job) -> None:
    """Remove what an earlier build has left in the output folder, for this one did not pass."""
    (job.build / GATHERED).unlink(missing_ok=True)
    sweep(job.output, keep=())


def did_not_pass(build: Path) -> bool:
    """Whether the last job in a folder has failed, or was killed when none had passed before."""
    return (build / LOG).exists() and not (build / GATHERED).exists()


def ships_nothing(build: Path) -> bool:
    """Whether the last job in a folder has passed without any extension: the project has none for that target."""
    state = read_text(build / GATHERED)
    return state is not None and not any(line.endswith(".llext") for line in state.splitlines())


def sweep(output: Path, keep: Iterable[str]) -> None:
    """Remove extensions that are not to be kept, with what lies beside them, and the folder if it is empty then."""
    stay = set(keep)
    for path in set(_artifacts(output)):
        if path.name not in stay:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        output.rmdir()


def _artifacts(output: Path) -> Iterator[Path]:
    """The files of all artifacts in a folder: those that manifests name, and those that bear the usual names."""
    for extension in output.glob("*.llext"):
        yield from (extension, extension.with_suffix(DEBUG_SUFFIX), Path(manifest_path(extension)))
    for manifest in output.glob("*.json"):
        with suppress(LlextError):
            yield from map(Path, read_artifact(manifest).paths)


def read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None

"""Whether artifacts in the output folder are still those of the project: of its sources, and of its build folders.

``llext build`` alone fills the output folder. When somebody has changed a source since, or CMake alone has built again,
what lies there is older, and must not be shipped for the new. Artifacts that the last build here has not left, as those
that come from continuous integration, are not judged: nothing here tells what they were made of.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from llext_tools.arch import targets
from llext_tools.build.cache import moved_from
from llext_tools.build.output import declared, gathered, read_text, size_and_time
from llext_tools.build.runs import changed_since, runs_of
from llext_tools.build.stale import find_stale, newer_lists
from llext_tools.build.steps import STAMP
from llext_tools.bundle.gather import Wanted
from llext_tools.bundle.pack import Packed
from llext_tools.cli.pack_jobs import Project, asked_for
from llext_tools.diag import Diagnostic, Location, listed
from llext_tools.jobs import TOOLCHAINS, job_name, parts
from llext_tools.paths import shown


def outdated(project: Project, packed: Sequence[Packed], wanted: Wanted, *, whole: bool) -> Iterator[Diagnostic]:
    """The extensions that are outdated: one diagnostic for all that are so in the same way.

    Args:
        whole: all of the output folder is packed, so that nothing of a job must be missing.
    """
    output, jobs = Path(project.output).absolute(), dict[str, list[Packed]]()
    for each in packed:
        folder = Path(each.artifact.folder).resolve()
        if folder.parent == output.resolve():
            jobs.setdefault(folder.name, []).append(each)
    alike: dict[tuple[str, str], list[str]] = {}
    for job, those in jobs.items():
        for name, fault in _faults(Path(project.build_dir, job), output / job, those, wanted, whole):
            alike.setdefault((fault, _cure(project, job)), []).append(shown(output / job / name))
    for (fault, cure), (first, *others) in alike.items():
        text = f"`{os.path.basename(first)}` {fault}"
        notes = (f"the same for {listed(others)}",) if others else ()
        yield Diagnostic("bundle-stale", text, "error", Location(first), (), notes, cure)


def _cure(project: Project, job: str) -> str:
    """What builds a job again: without options only what the settings ask for."""
    which = parts(job)
    if _is_usual(project, job):
        return f"`llext build` builds it again; it alone fills `{project.output}`"
    remove = f"remove `{shown(Path(project.output, job).absolute())}`"
    if '"--preset"' in (read_text(Path(project.build_dir, job, STAMP)) or ""):
        options = ["--preset", job]
    elif which.target and not which.firmware:
        options = ["--target", which.target, "--toolchain", which.toolchain]
    else:
        return f"{remove}: nothing asks for it any more"
    return f"`{shlex.join(['llext', 'build', *options])}` builds it again; or {remove}: `llext build` alone does not"


def _is_usual(project: Project, job: str) -> bool:
    """Whether a job is built without options: of an open toolchain the first one counts of which there is something."""
    target, asked = parts(job).target, [each.names for each in asked_for(project.build, [job])]
    if not asked and target in targets():
        asked = [tuple(job_name(target, name) for name in TOOLCHAINS)]
    return any(job == next((name for name in names if Path(project.output, name).is_dir()), "") for names in asked)


def _faults(
    build: Path, output: Path, packed: Sequence[Packed], wanted: Wanted, whole: bool
) -> Iterator[tuple[str, str]]:
    """The names of a job's extensions that are outdated, and in which way."""
    if before := moved_from(build):
        where = f"`{shown(build)}` was made for another place, `{before}`"
        yield from ((name, f"may be outdated, and nobody can tell: {where}") for name in _left_before(build, packed))
        return
    made, left, lists = declared(build), gathered(build), newer_lists(build)
    files = {path.name: path for extension, others in made.items() for path in (extension, *others)}
    judged = False
    for each in packed:
        contents = _contents(each)
        if files and all(left.get(output / name) == size_and_time(output / name) for name in contents):
            judged = True
            if fault := _fault(contents, files, lists) or _fault_of_runs(build, each):
                yield next(iter(contents)), fault
    for path in made if judged and whole else ():
        chosen = not wanted.extensions or path.stem in wanted.extensions
        if chosen and path.exists() and output / path.name not in left:
            yield path.name, "is missing: it was built after the others had been gathered"


def _left_before(build: Path, packed: Sequence[Packed]) -> Iterator[str]:
    """The extensions that the last job in a folder has left, when the folder and the output were elsewhere."""
    left = {(path.parent.name, path.name, state) for path, state in gathered(build).items()}
    for each in packed:
        folder, names = Path(each.artifact.folder).resolve(), list(_contents(each))
        if all((folder.name, name, size_and_time(folder / name)) in left for name in names):
            yield names[0]


def _contents(each: Packed) -> dict[str, bytes]:
    """The extension and its debug file, by their names in the output folder."""
    return {os.path.basename(name): each.files[name] for name in (each.entry.extension, each.entry.debug) if name}


def _fault(contents: dict[str, bytes], files: dict[str, Path], lists: Sequence[Path]) -> str:
    """In which way an extension, the first one of some files of an artifact, is outdated; "" if it is not."""
    extension = files.get(next(iter(contents)))
    if extension is None:
        return "is no extension of the project any more"
    stale = find_stale(str(extension))
    newer = [*(stale.sources if stale else ()), *lists]
    if newer:
        more = f" and {len(newer) - 1} more" if newer[1:] else ""
        return f"was built before `{shown(newer[0])}`{more} {stale.how if stale else 'changed'}"
    with suppress(OSError):
        if any(files[name].read_bytes() != data for name, data in contents.items() if name in files):
            return "is older than what CMake alone has built since"
    return ""


def _fault_of_runs(build: Path, each: Packed) -> str:
    """Which run that the manifest lists is of other files than there are now; "" if none is."""
    listed_there = {run["test"] for run in each.artifact.document.get("runs", ())}
    for run in runs_of(build):
        if run.test in listed_there and (changed := changed_since(run, build)):
            return f"was run by `{run.test}` before `{shown(changed[0])}` changed"
    return ""

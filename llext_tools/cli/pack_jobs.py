"""Whether what ``llext pack`` finds in the output folder is what the project builds: jobs that are missing or strange.

The settings say what is wanted. Where they name no target, what the last build left in the build folders tells which
jobs did not pass.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from llext_tools.arch import targets
from llext_tools.build.job import LOG
from llext_tools.build.output import did_not_pass, ships_nothing
from llext_tools.bundle.gather import Wanted
from llext_tools.cli import settings, settings_build, settings_pack
from llext_tools.cli.matrix import suiting
from llext_tools.cli.policy import Policy
from llext_tools.cli.settings_build import BuildSettings
from llext_tools.cli.settings_pack import PackSettings
from llext_tools.diag import Diagnostic, Location, listed
from llext_tools.errors import UsageError
from llext_tools.files import read_bytes
from llext_tools.jobs import TOOLCHAINS, job_name, parts
from llext_tools.paths import BUILD, OUTPUT, shown


class Project(NamedTuple):
    """The settings of the current folder's project; ``file`` is "" if it has none."""

    file: str = ""
    build: BuildSettings = BuildSettings()
    pack: PackSettings = PackSettings()
    policy: Policy = Policy()

    @property
    def output(self) -> str:
        """Where ``llext build`` leaves what it has built."""
        return self.build.output or OUTPUT

    @property
    def build_dir(self) -> str:
        return self.build.build_dir or BUILD

    def is_all(self, paths: Sequence[str]) -> bool:
        """Whether these paths, or none, stand for all of the output folder; the folder of a built project does, too."""
        is_project = os.path.isfile("CMakeLists.txt") and os.path.isdir(self.output)
        stand_for = {self.output, "."} if is_project else {self.output}
        return len(paths) < 2 and os.path.abspath((*paths, self.output)[0]) in map(os.path.abspath, stand_for)


class Asked(NamedTuple):
    """A job that the settings ask for. ``names``: one of them, for `auto` leaves the toolchain open.

    ``sure``: the settings name its target or firmware; otherwise it is built only where its toolchain is installed.
    """

    names: tuple[str, ...]
    label: str
    sure: bool


def read(paths: Sequence[str]) -> Project:
    """What is wrong with ``[build]`` keeps nobody from packing other files than those of the output folder.

    Args:
        paths: what is packed; nothing stands for all of the output folder.
    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    file = settings.find()
    if not file:
        return Project()
    data = read_bytes(file)
    project = Project(file, pack=settings_pack.read(file, data), policy=settings.read(file, data).policy)
    try:
        return project._replace(build=settings_build.read(file, data))
    except UsageError:
        if project.is_all(paths):
            raise
        return project


def differences(project: Project, packed: Iterable[str], wanted: Wanted) -> Iterator[Diagnostic]:
    """What is wrong with the jobs that are packed, all of the output folder but those that are not wanted."""
    found = set(packed)
    there = found | set(_jobs_in(project.output))
    asked = [each for each in asked_for(project.build, there) if any(map(wanted.takes_job, each.names))]
    yield from _missing(project, asked, there)
    if not project.build.targets:
        yield from _failed(project, asked, there, wanted)
    if asked:
        yield from _strange(project, asked, found - set(wanted.targets))


def asked_for(build: BuildSettings, there: Iterable[str]) -> list[Asked]:
    """The jobs that the settings ask for; none if they do not say. ``there``: those that somebody has built."""
    if not (build.targets or build.toolchains or build.firmware):
        return []
    seen = {parts(job).target for job in there}
    built = [name for name in targets() if name in seen]
    named = build.targets or [name for image in build.firmware for name in image.targets]
    found = []
    for target in build.targets or dict.fromkeys([*named, *built]):
        for image in suiting(target, build.firmware):
            for toolchain in build.toolchains or ("auto",):
                chosen = TOOLCHAINS if toolchain == "auto" else (toolchain,)
                names = tuple(job_name(target, name, image.name if image else "") for name in chosen)
                label = names[0] if len(names) == 1 else f"{target}-{image.name}" if image else target
                found.append(Asked(names, label, target in named or image is not None))
    return found


def _jobs_in(output: str) -> Iterator[str]:
    """The sub-folders with artifacts in them."""
    return (path.parent.name for kind in ("llext", "json") for path in Path(output).glob(f"*/*.{kind}"))


def _missing(project: Project, asked: Sequence[Asked], there: set[str]) -> Iterator[Diagnostic]:
    build_dir = Path(project.build_dir)
    missing = [
        each
        for each in asked
        if there.isdisjoint(each.names) and not any(ships_nothing(build_dir / name) for name in each.names)
    ]
    for sure in (True, False):
        if labels := dict.fromkeys(_label(build_dir, each) for each in missing if each.sure is sure):
            logs = [shown(log) for each in missing if each.sure is sure for log in _bad_logs(build_dir, each.names)]
            text = f"`{project.output}` has nothing for {listed(labels)}, which `{project.file}` asks for"
            yield _incomplete(text, logs, project.file, sure=sure)


def _label(build_dir: Path, asked: Asked) -> str:
    """What is missing; where the toolchain is open, with the one that did not build it."""
    return next((name for name in asked.names if did_not_pass(build_dir / name)), asked.label)


def failed_logs(project: Project, wanted: Wanted) -> list[str]:
    """The logs of all jobs that did not pass."""
    logs = sorted(Path(project.build_dir).glob(f"*/{LOG}"))
    return [shown(log) for log in logs if did_not_pass(log.parent) and wanted.takes_job(log.parent.name)]


def notes_on(logs: Sequence[str]) -> tuple[str, ...]:
    return (f"the last build did not pass: {listed(logs)}",) if logs else ()


def _failed(project: Project, asked: Iterable[Asked], there: set[str], wanted: Wanted) -> Iterator[Diagnostic]:
    """Jobs that did not pass, of which no settings tell whether they matter."""
    build_dir, known = Path(project.build_dir), {name for each in asked for name in each.names}
    logs = sorted(build_dir.glob(f"*/{LOG}"))
    failed = [log for log in logs if did_not_pass(log.parent) and log.parent.name not in there | known]
    if failed := [log for log in failed if wanted.takes_job(log.parent.name)]:
        text = f"`{project.output}` has nothing for {listed(log.parent.name for log in failed)}"
        yield _incomplete(text, [shown(log) for log in failed], project.output, sure=False)


def _bad_logs(build_dir: Path, names: Iterable[str]) -> Iterator[Path]:
    return (build_dir / name / LOG for name in names if did_not_pass(build_dir / name))


def _incomplete(text: str, logs: Sequence[str], file: str, *, sure: bool) -> Diagnostic:
    cure = "`llext build` builds all; `--target` packs some"
    return Diagnostic(
        "bundle-incomplete", text, "error" if sure else "warning", Location(file), (), notes_on(logs), cure
    )


def _strange(project: Project, asked: Iterable[Asked], found: set[str]) -> Iterator[Diagnostic]:
    """Of an open toolchain the first one counts, as for ``llext build``."""
    known = {next((name for name in each.names if name in found), "") for each in asked}
    if strange := sorted(found - known):
        verb = "is" if len(strange) == 1 else "are"
        text = f"{listed(strange)} in `{project.output}` {verb} not what `{project.file}` asks for"
        cure = "remove what an earlier build has left, or say what to pack: `--target`, or the folders"
        yield Diagnostic("bundle-unasked", text, "warning", Location(os.path.normpath(project.output)), help=cure)

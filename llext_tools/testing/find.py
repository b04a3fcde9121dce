"""Where the file is that a test asks for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from llext_tools import arch as archs
from llext_tools.diag import Diagnostic, listed
from llext_tools.distributions import find_installed
from llext_tools.errors import FormatError
from llext_tools.toolchains import NAMES

ENDING = ".llext"
BUILD, OUTPUT = "build", "dist"
"""Where ``llext build`` builds, and where it puts what has passed: in both, a folder for each target and toolchain."""
JOB = re.compile(rf"(.+?)-({'|'.join(NAMES)})(-.+)?")
"""The name of such a folder: target, toolchain and perhaps a firmware."""


def find_extension(
    name: str | os.PathLike[str], folders: Sequence[str | os.PathLike[str]], *, deep: bool, target: str = ""
) -> str:
    """The path of ``blink.llext``, of ``blink`` alone, of any path that is there, or of an installed extension.

    Args:
        folders: where to look, the most likely ones first; with ``build`` and ``dist`` in each.
        deep: whether a folder may have it anywhere below.
        target: which one to take of those that are built for several targets.
    Raises:
        FormatError: ``file-unreadable``: it is in none of them, or nothing says which one is meant.
    """
    names = [Path(name)] if Path(name).suffix else [Path(f"{name}{ENDING}"), Path(name)]
    tops = list(dict.fromkeys(Path(top) / each for top in folders for each in ("", BUILD, OUTPUT)))
    for top in tops:
        for each in names:
            if (top / each).is_file():
                return str(top / each)
    if not names[0].is_absolute():
        for folder in map(Path, folders):
            built: dict[Path, list[Path]] = {}
            for top in (folder, folder / BUILD, folder / OUTPUT):
                built |= {job: found for job in _jobs(top) if (found := _below(job, names))}
            if built:
                return _only(_of_target(built, target, names[0]))
        for top in tops if deep else ():
            if found := _below(top, names):
                return _only((top, found))
    if path := find_installed(os.fspath(name), target):
        return path
    raise _not_there(names[0], [shown(top) for top in tops if top.is_dir()])


def _jobs(top: Path) -> list[Path]:
    """The folders of one target and toolchain each: ``cortex-m4-gcc``, or ``cortex-m4-gcc-v2`` for one firmware."""
    if not top.is_dir():
        return []
    return [each for each in sorted(top.iterdir()) if _target(each) in archs.targets() and each.is_dir()]


def _target(job: Path) -> str:
    """``cortex-m4`` of ``cortex-m4-gcc-v2``; "" of another folder."""
    found = JOB.fullmatch(job.name)
    return found[1] if found else ""


def _below(folder: Path, names: list[Path]) -> list[Path]:
    found = (sorted(path for path in folder.rglob(str(each)) if path.is_file()) for each in names)
    return next(filter(None, found), [])


def _of_target(built: dict[Path, list[Path]], target: str, name: Path) -> tuple[Path, list[Path]]:
    """The folder of the target, or the only one, with what is in it; one of ``build`` rather than of ``dist``."""
    jobs: dict[str, Path] = {}
    for job in built:
        jobs.setdefault(job.name, job)
    fit = [job for job in jobs.values() if target in ("", _target(job))]
    if len(fit) == 1:
        return fit[0], built[fit[0]]
    targets = list(dict.fromkeys(map(_target, jobs.values())))
    choice = f"choose one: `--llext-target {targets[0]}`, or LLEXT_TARGET in the environment"
    if not fit:
        text = f"`{name}` is not built for `{target}`, but for {listed(targets, 6)}"
        raise _unclear(text, f"build it, `llext build --target {target}`, or {choice}")
    text = f"`{name}` is built for several targets: {listed([shown(job) for job in fit], 6)}"
    if len({_target(job) for job in fit}) == 1:
        why = "by several toolchains, or for several firmwares"
        text = f"`{name}` is built {why}: {listed([shown(job) for job in fit], 6)}"
        choice = f"choose one: `--llext-build-dir {shown(fit[0])}`, or LLEXT_BUILD_DIR in the environment"
    raise _unclear(text, choice)


def _only(found: tuple[Path, list[Path]]) -> str:
    """Raises:
    FormatError: there are several."""
    folder, paths = found
    if len(paths) > 1:
        text = f"`{shown(folder)}` has several files `{paths[0].name}`"
        raise _unclear(text, f"name one of them: {listed(map(shown, paths))}")
    return str(paths[0])


def shown(path: Path) -> str:
    """From the current folder, if that is shorter."""
    try:
        return min(os.path.relpath(path), str(path), key=len)
    except ValueError:  # on another drive
        return str(path)


def _not_there(name: Path, looked: list[str]) -> FormatError:
    cure = "build it, as `llext build` does, or say where it is: `--llext-build-dir DIR`, or LLEXT_BUILD_DIR in the "
    return _unclear(f"there is no `{name}` in {listed(looked, 6)}", cure + "environment")


def _unclear(text: str, cure: str) -> FormatError:
    return FormatError((Diagnostic("file-unreadable", text, help=cure),))

"""Where the file is that a test asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from llext_tools import arch as archs
from llext_tools.artifact import EXTENSION_SUFFIX
from llext_tools.diag import Diagnostic, listed
from llext_tools.distributions import find_installed
from llext_tools.errors import FormatError, UsageError
from llext_tools.jobs import OPEN, Which, parts
from llext_tools.paths import BUILD, OUTPUT, shown


def find_extension(
    name: str | os.PathLike[str],
    folders: Sequence[str | os.PathLike[str]],
    *,
    deep: bool,
    which: Which = OPEN,
    usual: Callable[[], Sequence[Which]] = lambda: (OPEN,),
) -> str:
    """The path of ``blink.llext``, of ``blink`` alone, of any path that is there, or of an installed extension.

    Args:
        folders: where to look, the most likely ones first; with ``build`` and ``dist`` in each.
        deep: whether a folder may have it anywhere below.
        which: the one to take of those that are built for several targets, by several toolchains.
        usual: asked for likely ones where that leaves several.
    Raises:
        FormatError: ``file-unreadable``: it is in none of them.
        UsageError: ``build-ambiguous``: nothing says which one is meant.
    """
    names = [Path(name)] if Path(name).suffix else [Path(f"{name}{EXTENSION_SUFFIX}"), Path(name)]
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
                return _only(_chosen(built, which, usual, names[0]))
        for top in tops if deep else ():
            if found := _below(top, names):
                return _only((top, found))
    if path := find_installed(os.fspath(name), which.target, which.toolchain):
        return path
    raise _not_there(names[0], tops)


def _jobs(top: Path) -> list[Path]:
    """The folders of jobs."""
    if not top.is_dir():
        return []
    return [each for each in sorted(top.iterdir()) if parts(each.name).target in archs.targets() and each.is_dir()]


def _below(folder: Path, names: list[Path]) -> list[Path]:
    """Files of the first of these names that is there. What lies in CMake's own folders has not passed its check."""
    found = (
        sorted(path for path in folder.rglob(str(each)) if path.is_file() and not _is_cmakes(path.relative_to(folder)))
        for each in names
    )
    return next(filter(None, found), [])


def _is_cmakes(path: Path) -> bool:
    return "CMakeFiles" in path.parts


def _chosen(
    built: dict[Path, list[Path]], which: Which, usual: Callable[[], Sequence[Which]], name: Path
) -> tuple[Path, list[Path]]:
    """The folder that is meant, or the only one, with what is in it; one of ``build`` rather than of ``dist``."""
    nearest: dict[str, Path] = {}
    for folder in built:
        nearest.setdefault(folder.name, folder)
    fit = {folder: parts(job) for job, folder in nearest.items()}
    for part in PARTS:
        wanted, there = part.of(which), list(dict.fromkeys(map(part.of, fit.values())))
        fit = {folder: each for folder, each in fit.items() if wanted in ("", part.of(each))}
        if not fit:
            text = f"`{name}` is not built {part.how} `{wanted}`, but {part.how} {listed(there, 6)}"
            options = [f"--{each.name} {each.of(which)}" for each in PARTS if each.of(which)]
            cure = f"build it, `llext build {' '.join(options)}`, or choose one: `--llext-{part.name} {there[0]}`"
            raise _missing(text, cure)
    likely = usual() if len(fit) > 1 else ()
    for part in PARTS:
        fit = {folder: each for folder, each in fit.items() if part.of(each) in map(part.of, likely)} or fit
    first, *others = fit
    if not others:
        return first, built[first]
    part = next(part for part in PARTS if len(set(map(part.of, fit.values()))) > 1)
    text = f"`{name}` is built {part.how} several {part.name}s: {listed(map(shown, fit), 6)}"
    raise _unclear(text, part.cure.format(part.of(fit[first]), shown(first)))


class Part(NamedTuple):
    """A part of ``Which``: how messages speak of it, and how to choose one of several."""

    name: str
    how: str
    cure: str

    def of(self, which: Which) -> str:
        return str(getattr(which, self.name))


PARTS = (
    Part(
        "target",
        "for",
        "choose one: `--llext-target {0}`, LLEXT_TARGET in the environment, or `targets` of [build] in llext.toml",
    ),
    Part(
        "toolchain",
        "by",
        "choose one: `--llext-toolchain {0}`, LLEXT_TOOLCHAIN in the environment, or `toolchains` of [build] in "
        "llext.toml",
    ),
    Part(
        "firmware",
        "for",
        "choose one: `--llext-firmware={0}` or LLEXT_FIRMWARE in the environment, where llext.toml names it, else "
        "`--llext-build-dir={1}`",
    ),
)


def _only(found: tuple[Path, list[Path]]) -> str:
    """Raises:
    UsageError: there are several."""
    folder, paths = found
    if len(paths) > 1:
        text = f"`{shown(folder)}` has several files `{paths[0].name}`"
        raise _unclear(text, f"name one of them: {listed(map(shown, paths))}")
    return str(paths[0])


def _not_there(name: Path, tops: list[Path]) -> FormatError:
    from llext_tools.build.job import LOG
    from llext_tools.build.output import did_not_pass

    looked = [shown(top) for top in tops if top.is_dir()]
    failed = [shown(each / LOG) for top in tops for each in (top, *_jobs(top)) if did_not_pass(each)]
    note = f"the last build did not pass: {listed(dict.fromkeys(failed), 6)}"
    cure = "build it, as `llext build` does, or say where it is: `--llext-build-dir=DIR`, or LLEXT_BUILD_DIR in the "
    return _missing(f"there is no `{name}` in {listed(looked, 6)}", cure + "environment", *([note] if failed else ()))


def _missing(text: str, cure: str, *notes: str) -> FormatError:
    return FormatError((Diagnostic("file-unreadable", text, notes=notes, help=cure),))


def _unclear(text: str, cure: str) -> UsageError:
    return UsageError((Diagnostic("build-ambiguous", text, help=cure),))

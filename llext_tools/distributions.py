"""Extensions that Python packages have brought along: found by the packages' entry points, without importing them.

A distribution announces a package in the group ``llext.extensions``; the package has a folder ``llext`` with one folder
for each target and toolchain, as ``llext build`` leaves them in ``dist``:

    blink/llext/cortex-m4-gcc/blink.llext
    blink/llext/cortex-m4-gcc/blink.json
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata, util
from typing import NamedTuple

from llext_tools.artifact import (
    EXTENSION_SUFFIX,
    MANIFEST_SUFFIX,
    Artifact,
    changed_files,
    manifest_path,
    read_artifact,
)
from llext_tools.artifact.facts import target_of, toolchain_of
from llext_tools.diag import Diagnostic, Location, fail, listed, nearest
from llext_tools.errors import LlextError
from llext_tools.jobs import Named, job_name, named, parts

GROUP = "llext.extensions"
FOLDER = "llext"


class Installed(NamedTuple):
    """One file that a board can load. ``version`` is that of the distribution."""

    distribution: str
    version: str
    name: str
    target: str
    toolchain: str
    size: int
    path: str

    @property
    def job(self) -> str:
        """The folder: what it was built for."""
        return os.path.basename(os.path.dirname(self.path))

    @property
    def whole_name(self) -> str:
        """Which no other one of the distribution has: ``blink@cortex-m4-gcc``."""
        return f"{self.name}@{self.job}"


def installed_extensions(warn: Callable[[Diagnostic], None] = lambda _: None) -> tuple[Installed, ...]:
    """All installed extensions, sorted by distribution, name and target; each file once.

    Args:
        warn: gets what is damaged, and left out.
    """
    found: dict[str, Installed] = {}
    for distribution, title, version, module in _announced(warn):
        folders = _folders(distribution, module)
        if not folders:
            text = f"`{title}` {version} announces extensions in the package `{module}`, which is not there"
            warn(Diagnostic("file-unreadable", text, "warning", help=f"install `{title}` again"))
        for path in (path for folder in folders for path in _manifests(folder)):
            for each in _read(path, warn):
                file = each.extension
                found[os.path.realpath(file)] = Installed(
                    title, version, each.name, *_made_for(each), os.path.getsize(file), file
                )
    return tuple(sorted(found.values(), key=lambda each: (*each[:5], each.job, each.path)))


def _announced(warn: Callable[[Diagnostic], None]) -> Iterator[tuple[metadata.Distribution, str, str, str]]:
    """Each distribution on the path that announces a package, with its name and version, and the package."""
    seen = set()
    for each in metadata.distributions():
        try:
            title = str(each.metadata["Name"])
            if _normal(title) in seen:
                continue  # the first one on the path counts, as for imports
            seen.add(_normal(title))
            modules = [entry.module for entry in each.entry_points if entry.group == GROUP]
            version = each.version if modules else ""
        except (OSError, ValueError, TypeError, AttributeError, KeyError):  # what importlib makes of damaged files
            where = os.fspath(getattr(each, "_path", "")) or str(each.locate_file(""))
            text = f"the metadata of a package cannot be read: `{where}`"
            warn(Diagnostic("file-unreadable", text, "warning", help="install the package again"))
        else:
            yield from ((each, title, version, module) for module in modules)


def installed(name: str, *, target: str = "", distribution: str = "") -> str:
    """The path of an installed extension.

    Args:
        name: ``blink``; where one target has several, what it is built for behind it: ``blink@cortex-m4-gcc``.
        target: one of ``llext targets``; needed if it is there for several.
        distribution: that has brought it; needed if several have one of this name.
    Raises:
        UsageError: ``usage``: there is none. ``build-ambiguous``: nothing says which one is meant.
    """
    path = find_installed(f"{distribution}:{name}" if distribution else name, target)
    if path is None:
        fail("usage", f"no extension `{name}` is installed", help="`llext list` lists those that are")
    return path


def find_installed(word: str, target: str = "", toolchain: str = "") -> str | None:
    """The path of what ``blink``, ``my-extensions:blink`` or ``blink@cortex-m4-gcc`` is the name of.

    Args:
        target, toolchain: which one to take if the word does not say.
    Returns:
        None if it is no name, or nobody's.
    Raises:
        UsageError: ``build-ambiguous``: there are several. ``usage``: there is one, but for other targets or from other
            toolchains.
    """
    every, asked = named_so(word, target), named(word)
    if not every or asked is None:
        return None
    name, what = word.partition("@")[0], f"the installed extension `{word}`"
    found = [each for each in every if asked.job or toolchain in ("", each.toolchain)]
    if not found:
        made = listed(dict.fromkeys(each.toolchain for each in every))
        fail("usage", f"{what} is built by {made}, not by `{toolchain}`", help="`llext list` lists all")
    targets, jobs = (list(dict.fromkeys(each)) for each in ([e.target for e in found], [e.job for e in found]))
    if len(targets) > 1:
        text = f"{what} is there for {listed(targets, 6)}"
        fail("build-ambiguous", text, help=f"choose one, such as `{name}@{targets[0]}`")
    if len(jobs) > 1:
        text = f"{what} is there several times for `{targets[0]}`: {listed(jobs, 6)}"
        fail("build-ambiguous", text, help=f"choose one, such as `{name}@{jobs[0]}`")
    if len(found) > 1:
        fail("build-ambiguous", f"{what} is there {len(found):,} times", help=f"name the file: {found[0].path}")
    return found[0].path


def named_so(word: str, target: str = "") -> list[Installed]:
    """All that a word is the name of, of one distribution; nothing if it is no name, or nobody's.

    Raises:
        UsageError: ``build-ambiguous``: several distributions have it, or the word ends with ``@``. ``usage``: one has
            it, but for other targets.
    """
    asked = named(word)
    every = _called(asked, installed_extensions()) if asked else []
    if asked is None or not every:
        return []
    name = word.partition("@")[0]
    jobs, targets = ({getattr(each, key): None for each in every} for key in ("job", "target"))
    if asked.job == "":
        text = f"`{word}` does not say what the extension is built for, {listed(jobs, 6)}"
        fail("build-ambiguous", text, help=f"choose one, such as `{name}@{next(iter(jobs))}`, or leave the `@` out")
    found = _built_for(asked.job, every) if asked.job else [each for each in every if target in ("", each.target)]
    if not found:
        there, chosen = (jobs, asked.job) if asked.job else (targets, target)
        near = nearest(asked.job, [*jobs, *targets]) if asked.job else ""
        cure = f"did you mean `{name}@{near}`?" if near else "`llext list` lists all"
        fail("usage", f"the installed extension `{name}` is for {listed(there, 6)}, not for `{chosen}`", help=cure)
    titles = list(dict.fromkeys(each.distribution for each in found))
    if len(titles) > 1:
        cure = f"say whose you mean: {' or '.join(f'`{title}:{word}`' for title in titles)}"
        text = f"several distributions have the installed extension `{word}`: {listed(titles, 6)}"
        fail("build-ambiguous", text, help=cure)
    return found


def matching(word: str, every: Iterable[Installed]) -> list[Installed]:
    """Those that a word is the name of, whoever has brought them."""
    asked = named(word)
    found = _called(asked, every) if asked else []
    return found if asked is None or asked.job is None else _built_for(asked.job, found)


def nearest_name(word: str, every: Iterable[Installed]) -> str:
    """The name that may have been meant by one that is nobody's; "" if none is near."""
    name, _, job = word.rpartition(":")[2].partition("@")
    jobs: dict[str, set[str]] = {}
    for each in every:
        jobs.setdefault(each.name, set()).update((each.job, each.target))
    found = nearest(name, jobs)
    near = nearest(job, jobs[found]) if found and job else ""
    return f"{found}@{near}" if near else found


def _called(asked: Named, every: Iterable[Installed]) -> list[Installed]:
    source = _normal(asked.distribution)
    return [each for each in every if each.name == asked.extension and source in ("", _normal(each.distribution))]


def _built_for(job: str, every: list[Installed]) -> list[Installed]:
    """Those in a folder of that name; else those for that target, or by that toolchain for it."""
    exactly = [each for each in every if job == each.job]
    return exactly or [each for each in every if job in (each.target, job_name(each.target, each.toolchain))]


def _normal(distribution: str) -> str:
    """As the Python Package Index compares names."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _folders(distribution: metadata.Distribution, package: str) -> list[str]:
    """Where a package lies: beside its metadata, or where Python would import it from, as with an editable one."""
    top, *below = package.split(".")
    beside = os.path.join(str(distribution.locate_file("")), top, *below)
    if os.path.isdir(beside):
        return [beside]
    try:
        spec = util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return []
    places = (spec.submodule_search_locations or ()) if spec else ()
    return [path for place in places if os.path.isdir(path := os.path.join(place, *below))]


def _manifests(package: str) -> Iterator[str]:
    """The manifests that should be there: one for each extension, one for each that has lost its extension."""
    top = os.path.join(package, FOLDER)
    for job in sorted(os.listdir(top)) if os.path.isdir(top) else ():
        folder = os.path.join(top, job)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found = {manifest_path(name) for name in names if name.endswith((EXTENSION_SUFFIX, MANIFEST_SUFFIX))}
        yield from (os.path.join(folder, name) for name in sorted(found))


def _read(manifest: str, warn: Callable[[Diagnostic], None]) -> Iterator[Artifact]:
    """The artifact, unless it is damaged."""
    try:
        artifact = read_artifact(manifest)
    except LlextError as error:
        for each in error.diagnostics:
            warn(each._replace(severity="warning", help="install its package again"))
        return
    for path, reason in changed_files(artifact):
        if path == artifact.extension:
            text, cure = f"`{os.path.basename(path)}` {reason}", "install its package again"
            warn(Diagnostic("manifest-stale", text, "warning", Location(file=manifest), help=cure))
            return
    yield artifact


def _made_for(artifact: Artifact) -> tuple[str, str]:
    """Target and toolchain, as the manifest has them, else the folder: ``cortex-m4-gcc``, or ``cortex-m4`` alone."""
    job = os.path.basename(os.path.dirname(artifact.manifest))
    target, (toolchain, _) = target_of(artifact.document), toolchain_of(artifact.document)
    return target or parts(job).target or job, toolchain or parts(job).toolchain

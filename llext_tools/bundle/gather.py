"""The artifacts that go into a bundle: found below folders, or named one by one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from llext_tools.artifact import (
    DEBUG_SUFFIX,
    EXTENSION_SUFFIX,
    MANIFEST_SUFFIX,
    Artifact,
    manifest_path,
    parse,
    read_artifact,
    report_changed,
)
from llext_tools.artifact.facts import target_of, toolchain_of
from llext_tools.bundle.index import Entry, folded, is_job, is_safe
from llext_tools.bundle.pack import Packed, at
from llext_tools.diag import Diagnostic, Location, Reporter
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes, reason
from llext_tools.jobs import belongs, job_name

ENDS = (DEBUG_SUFFIX, f"{MANIFEST_SUFFIX}.sig")
"""Of files of an artifact, where the end is more than the last dot and what follows."""


class Wanted(NamedTuple):
    """Which artifacts are taken: all if nothing is said. ``debug``: with their debug files."""

    extensions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    debug: bool = True

    def takes(self, job: str, artifact: Artifact) -> bool:
        if self.extensions and artifact.name not in self.extensions:
            return False
        return self.takes_job(job, target_of(artifact.document))

    def takes_job(self, job: str, target: str = "") -> bool:
        return not self.targets or any(each == target or belongs(job, each) for each in self.targets)


def gather(paths: Iterable[str], wanted: Wanted, reporter: Reporter) -> list[Packed]:
    """The artifacts below folders, of manifests and of extensions, sorted by their place in the bundle.

    What is wrong with any of them is reported: a missing manifest, files that are not what it says, two of one name.

    Raises:
        FormatError: ``file-unreadable`` if a path is not there.
    """
    found: dict[str, Packed] = {}
    seen: set[str] = set()
    for manifest, folder in _manifests(paths, reporter):
        if (real := os.path.realpath(manifest)) in seen:
            continue
        seen.add(real)
        try:
            artifact = read_artifact(manifest)
        except LlextError as error:
            reporter.add(error.diagnostics)
            continue
        job = _job(artifact, folder)
        if wanted.takes(job, artifact) and (packed := _packed(artifact, job, wanted, reporter)):
            for name in sorted(packed.files):
                if other := found.get(folded(name)):
                    reporter.add([_duplicate(name, artifact, other)])
                    break
            found |= {folded(name): packed for name in packed.files}
    unique = {packed.entry: packed for packed in found.values()}
    return [unique[entry] for entry in sorted(unique)]


def _duplicate(name: str, artifact: Artifact, other: Packed) -> Diagnostic:
    text = f"`{name}` would be twice in the bundle"
    cure = "pack folders with one sub-folder for each target and toolchain, as `llext build` makes them"
    notes: tuple[str, ...] = (f"the other one is of `{other.artifact.manifest}`",)
    if name not in other.files:
        alike = next(each for each in other.files if folded(each) == folded(name))
        text = f"`{name}` and `{alike}` differ only in upper and lower case, or in how an accent is written"
        notes = ("some file systems take them for one file", *notes)
        cure = "give one of them another name"
    return Diagnostic("bundle-duplicate", text, "error", at(artifact), (), notes, cure)


def _manifests(paths: Iterable[str], reporter: Reporter) -> Iterator[tuple[str, str]]:
    """The manifest of each artifact, and the folder that was given for it, "" if none was."""

    def unreadable(error: OSError) -> None:
        reporter.error("file-unreadable", f"cannot read `{error.filename}`: {reason(error)}")

    for path in paths:
        if not os.path.isdir(path):
            end = next((end for end in ENDS if path.endswith(end)), os.path.splitext(path)[1])
            manifest = path.removesuffix(end) + MANIFEST_SUFFIX
            if not os.path.lexists(path):
                read_bytes(path)  # says what is wrong
            if _is_there(manifest, path, reporter):
                yield manifest, ""
            continue
        for folder, folders, files in os.walk(path, onerror=unreadable):
            folders.sort()
            extensions = {manifest_path(name): name for name in files if name.endswith(EXTENSION_SUFFIX)}
            others = {name for name in files if name.endswith(MANIFEST_SUFFIX)} - extensions.keys()
            names = extensions | {name: name for name in others if _is_manifest(os.path.join(folder, name))}
            for name in sorted(names):
                manifest = os.path.join(folder, name)
                if _is_there(manifest, os.path.join(folder, names[name]), reporter):
                    yield manifest, path


def _is_there(manifest: str, extension: str, reporter: Reporter) -> bool:
    if os.path.lexists(manifest):
        return True
    text = f"`{extension}` has no manifest: there is no `{os.path.basename(manifest)}` beside it"
    cure = "ship it with the manifest that `llext finish` writes"
    reporter.error("manifest-missing", text, at=Location(file=extension), help=cure)
    return False


def _is_manifest(path: str) -> bool:
    """Whether a JSON file without an extension beside it is a manifest all the same."""
    if not os.path.isfile(path):  # a pipe would keep us waiting
        return False
    try:
        parse(read_bytes(path))
    except (LlextError, ValueError):
        return False
    return True


def _job(artifact: Artifact, folder: str) -> str:
    """The artifact's folder in the bundle: that below the given one, or what it was built for.

    The firmware of a job has its name nowhere but in that of the job's folder.
    """
    inside = os.path.relpath(artifact.folder, folder) if folder else "."
    if inside != ".":
        return inside.replace(os.sep, "-")
    document = artifact.document
    job = job_name(target_of(document), toolchain_of(document)[0])
    here = os.path.basename(os.path.abspath(artifact.folder))
    return (here if belongs(here, job) else job) if job else _machine(document)


def _machine(document: dict[str, Any]) -> str:
    target = document.get("target")
    machine, bits = (target.get(key, 0) for key in ("machine", "bits")) if isinstance(target, dict) else (0, 0)
    return f"machine{machine}-{bits}"


def _packed(artifact: Artifact, job: str, wanted: Wanted, reporter: Reporter) -> Packed | None:
    """The artifact with the contents of its files; None if it cannot be packed, which is reported."""
    faulty = report_changed(artifact, reporter, None if wanted.debug else artifact.debug)
    paths = {
        "manifest": artifact.manifest,
        "extension": artifact.extension,
        "debug": (artifact.debug or "") if wanted.debug else "",
    }
    names = {role: f"{job}/{os.path.basename(path)}" if path else "" for role, path in paths.items()}
    for word in (job, *(os.path.basename(path) for path in paths.values() if path)):
        if not is_safe(word):
            text = f"`{word}` cannot be a name in a bundle: not every system can have it"
            reporter.error("usage", text, at=at(artifact), help="give it another name")
            return None
    if not is_job(job):
        text = f"`{job}` cannot be the folder of a job: it has another meaning"
        reporter.error("usage", text, at=at(artifact), help="give it another name")
        return None
    if faulty:
        return None
    files = {names[role]: read_bytes(path) for role, path in paths.items() if path}
    return Packed(Entry(job, artifact.name, **names), artifact, files)

"""A kit for one target and one compiler: what extensions are compiled with, and what there is to say about it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llext_tools.arch.model import Target
from llext_tools.diag import Diagnostic, Location, listed, number
from llext_tools.edk.compiler import refused
from llext_tools.edk.read import Edk
from llext_tools.edk.target import misfit
from llext_tools.edk.words import Dropped, Words, sort, spare
from llext_tools.toolchains import Toolchain

Asked = Literal["C", "CXX"]
LANGUAGES: tuple[Asked, ...] = ("C", "CXX")
WHOLE = "unpack the whole archive, or make it anew: `west build -t llext-edk`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What extensions are compiled with, in the compiler's own words."""

    defines: tuple[str, ...]
    includes: tuple[str, ...]  # folders, searched behind those of the extension itself
    files: tuple[tuple[str, str], ...]  # ("-imacros" or "-include", file)
    options: Mapping[Asked, tuple[str, ...]]
    dropped: tuple[Dropped, ...]
    unknown: tuple[str, ...]
    findings: tuple[Diagnostic, ...]


def adapt(edk: Edk, target: Target, toolchain: Toolchain) -> Adapted:
    """Ask the compiler, and look whether all is there that the kit names.

    A flag that the compiler takes for one of the languages is that language's.
    """
    words = _placed(sort(edk.words, target, toolchain.name), edk.folder)
    wrong = misfit(edk, target, toolchain)
    if any(each.severity == "error" for each in wrong):
        words = replace(words, options=())  # another compiler's
    not_taken = {each: refused(toolchain, target, each, words.options) for each in LANGUAGES}
    nobody = [word for word in words.options if all(word in each for each in not_taken.values())]
    unknown = tuple(word for word in nobody if not spare(word))
    without = tuple(Dropped(word, spare(word)) for word in nobody if spare(word))
    includes, absent, lost = _folders(words, edk.folder)
    findings = [*wrong, *edk.findings, *_missing(edk, words, lost), *_steering(edk, words)]
    if unknown:
        names = listed(unknown, len(unknown))
        what = f"the flag {names} of the EDK" if len(unknown) == 1 else f"{len(unknown)} flags of the EDK: {names}"
        findings.append(
            Diagnostic(
                "edk-flag-unknown",
                f"`{_compiler(toolchain)}` does not take {what}",
                "warning",
                Location(edk.file),
                notes=("extensions are compiled without",),
                help="compile with the compiler of the firmware, or make sure that it changes no layout and no call",
            )
        )
    flags: dict[Asked, tuple[str, ...]] = {
        each: tuple(word for word in words.options if word not in not_taken[each]) for each in LANGUAGES
    }
    return Adapted(
        defines=words.defines,
        includes=includes,
        files=words.files,
        options=flags,
        dropped=(*words.dropped, *words.steering, *without, *absent),
        unknown=unknown,
        findings=tuple(findings),
    )


def _placed(words: Words, root: str) -> Words:
    """With paths that a hand has written without a folder taken from the kit's, not from that of the build."""
    includes = tuple(os.path.join(root, folder) for folder in words.includes)
    own = [folder for folder in includes if _below(folder, root)]
    files = tuple((option, _copied(os.path.join(root, file), root, own)) for option, file in words.files)
    return replace(words, includes=includes, files=tuple(dict.fromkeys(files)))


def _copied(file: str, root: str, folders: Sequence[str]) -> str:
    """The kit's copy of a header; Zephyr 3.7 names that of the machine that built the firmware.

    The copy is below one of the kit's folders what the header is below one of its own: at least a folder and a name.
    """
    parts = os.path.normpath(file).split(os.sep)
    if _below(file, root):
        return file
    tails = [os.path.join(*parts[i:]) for i in range(1, len(parts) - 1)]
    copies = (os.path.join(folder, tail) for tail in tails for folder in folders)
    return next(filter(os.path.isfile, copies), file)


def _compiler(toolchain: Toolchain) -> str:
    return os.path.basename(toolchain.path) + (" clang" if toolchain.name == "zig" else "")


def _folders(words: Words, root: str) -> tuple[tuple[str, ...], tuple[Dropped, ...], tuple[str, ...]]:
    """Folders that are there; those outside of the kit that are not; those of the kit that are not."""
    there, absent, lost = [], [], []
    for folder in words.includes:
        if os.path.isdir(folder):
            there.append(folder)
        elif _below(folder, root):
            lost.append(folder)
        else:
            absent.append(Dropped(folder, "a folder of the machine that built the firmware"))
    return tuple(there), tuple(absent), tuple(lost)


def _below(path: str, root: str) -> bool:
    return os.path.normpath(path).startswith(os.path.normpath(root) + os.sep)


def _steering(edk: Edk, words: Words) -> list[Diagnostic]:
    """What of the kit no compiler was asked about, with each reason once."""
    if not words.steering:
        return []
    reasons: dict[str, list[str]] = {}
    for word, why in words.steering:
        reasons.setdefault(why, []).append(word)
    names = [word for word, _ in words.steering]
    what = f"{number(len(names), 'flag')} of the EDK {'was' if len(names) == 1 else 'were'} left out"
    return [
        Diagnostic(
            "edk-flag-unsafe",
            f"{what}, for a kit may only say what code is like: {listed(names, len(names))}",
            "warning",
            Location(edk.file),
            notes=tuple(f"{why}: {listed(some)}" for why, some in reasons.items()),
            help="if you trust who made the kit and need it, give it to the target: target_compile_options()",
        )
    ]


def _missing(edk: Edk, words: Words, folders: Sequence[str]) -> list[Diagnostic]:
    """Files that no source can be compiled with, and folders of the kit that are not there."""
    found = []
    for option, file in words.files:
        inside = _below(file, edk.folder)
        if inside and os.path.isfile(file):
            continue
        name, where = (os.path.relpath(file, edk.folder), "there") if inside else (file, "in it")
        found.append(
            Diagnostic(
                "edk-incomplete",
                f"the EDK names `{name}`, which is not {where}",
                location=Location(edk.file),
                notes=(f"each source is compiled with `{option}` of it",),
                help=WHOLE,
            )
        )
    if folders:
        names = [os.path.relpath(folder, edk.folder) for folder in folders]
        message = f"the EDK lacks {number(len(names), 'folder')} of headers: {listed(names)}"
        found.append(Diagnostic("edk-incomplete", message, "warning", Location(edk.file), help=WHOLE))
    return found

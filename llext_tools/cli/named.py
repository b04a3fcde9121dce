"""Installed extensions by their names: where a command takes an extension's file, and there is none of that name.

Called between parsing and running, for all commands; those that take extensions stand in the table. Files that lie in
an installed package are only read: a command that would write beside one says so, and writes nothing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator

from llext_tools.diag import Diagnostic, fail
from llext_tools.jobs import named

OPERANDS: dict[str, tuple[str, ...]] = {
    "check": ("files", "first"),
    "debug": ("extension", "first"),
    "exports": ("needed_by",),
    "inspect": ("file",),
    "link": ("extension",),
    "load": ("files",),
    "manifest": ("manifest",),
    "pack": ("paths",),
    "run": ("extension", "first"),
    "sign": ("files",),
    "slid": ("what",),
    "verify": ("files",),
}
"""Command -> those of its arguments that are extensions, as the parser stores them.

Not here: what takes bundles (``unpack``), firmware (``exports``, ``api``), the objects of a build (``finish``,
``runtime``), or has names of its own for what a build has made (``zephyr``).
"""

MANIFESTS = ("manifest", "sign", "verify")
"""An extension is named, and its manifest is meant."""

BY_TARGET = ("check", "debug", "run")
"""Their ``--target`` chooses, too: it says what the extension has to be for."""


def find_named(command: str, args: argparse.Namespace) -> None:
    """Put the paths of installed extensions in the place of their names.

    Raises:
        UsageError: ``usage``: a name stands for several, or the command would write into an installed package.
    """
    chosen = (args.target or "") if command in BY_TARGET else ""
    for key in _operands(command, args):
        value = getattr(args, key, None)
        if isinstance(value, str):
            setattr(args, key, _paths(command, value, chosen, args)[0])
        elif isinstance(value, list):
            setattr(args, key, [path for word in value for path in _paths(command, word, chosen, args)])


def words_of(command: str, args: argparse.Namespace) -> Iterator[str]:
    """All that is given where the command takes extensions."""
    for key in _operands(command, args):
        value = getattr(args, key, None) or []
        for word in [value] if isinstance(value, str) else value:
            yield word.rpartition("=")[2] if command == "load" else word


def _operands(command: str, args: argparse.Namespace) -> tuple[str, ...]:
    if command == "slid" and (args.list or args.prepare):
        return ()  # these take names of symbols, and a firmware
    return OPERANDS.get(command, ())


def _paths(command: str, word: str, target: str, args: argparse.Namespace) -> list[str]:
    """What a word stands for: itself, unless it is the name of something that is installed."""
    own, equals, rest = word.rpartition("=") if command == "load" else ("", "", word)
    if not _may_be_name(rest) or (command == "pack" and os.path.isdir(rest)):
        return [word]
    from llext_tools.artifact import manifest_path
    from llext_tools.distributions import find_installed, named_so

    if command == "pack":
        found = [each.path for each in named_so(rest)]
    else:
        path = find_installed(rest, target)
        found = [] if path is None else [path]
    if not found:
        return [word]
    if command in MANIFESTS:
        found = [manifest_path(path) for path in found]
    if command == "sign" or (command == "slid" and not args.output):
        cure = "sign what the package is made of" if command == "sign" else "`-o FILE` writes the result elsewhere"
        text = f"llext {command}: `{rest}` is installed, and nothing is written into an installed package"
        fail("usage", text, help=f"{cure}; or name the file: {found[0]}")
    return [f"{own}{equals}{path}" for path in found]


def _may_be_name(word: str) -> bool:
    """Whether a word need not be a path. A folder of that name is no extension."""
    return named(word) is not None and (os.path.isdir(word) or not os.path.exists(word))


def advised(found: Iterable[Diagnostic], words: Iterable[str]) -> tuple[Diagnostic, ...]:
    """With what may have been meant by those words that could be names, but are nobody's and no files either."""
    unknown = [word for word in words if _may_be_name(word) and not os.path.lexists(word)]
    missing = {f"`{word}`": word for word in unknown}

    def with_advice(each: Diagnostic) -> Diagnostic:
        quoted = next((quoted for quoted in missing if each.code == "file-unreadable" and quoted in each.message), "")
        return each._replace(help=_meant(missing[quoted])) if quoted else each

    return tuple(map(with_advice, found))


def _meant(word: str) -> str:
    from llext_tools.artifact import EXTENSION_SUFFIX
    from llext_tools.distributions import installed_extensions, nearest_name

    if os.path.isfile(f"{word}{EXTENSION_SUFFIX}"):
        return f"did you mean `{word}{EXTENSION_SUFFIX}`?"
    near = nearest_name(word, installed_extensions())
    return f"did you mean `{near}`, which is installed?" if near else "`llext list` shows which names there are"

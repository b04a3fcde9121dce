"""Installed extensions by their names: where a command takes an extension's file, and there is none of that name.

Called between parsing and running, for all commands; those that take extensions stand in the table.
"""

from __future__ import annotations

import argparse
import os

OPERANDS: dict[str, tuple[str, ...]] = {
    "check": ("files", "first"),
    "debug": ("extension", "first"),
    "inspect": ("file",),
    "link": ("extension",),
    "load": ("files",),
    "run": ("extension", "first"),
}
"""Command -> those of its arguments that are extensions, as the parser stores them."""


def find_named(command: str, args: argparse.Namespace) -> None:
    """Put the paths of installed extensions in the place of their names.

    Raises:
        UsageError: ``usage``: a name stands for several.
    """
    target = getattr(args, "target", None)
    chosen = target if isinstance(target, str) else ""
    for key in OPERANDS.get(command, ()):
        value = getattr(args, key, None)
        if isinstance(value, str):
            setattr(args, key, path_of(value, chosen))
        elif isinstance(value, list):
            setattr(args, key, [path_of(word, chosen) for word in value])


def path_of(word: str, target: str) -> str:
    """The word itself, if it is a path of something or can be no name, or names nothing that is installed."""
    if (
        "/" in word
        or os.sep in word
        or "." in word.rpartition(":")[2]
        or (os.path.exists(word) and not os.path.isdir(word))
    ):
        return word
    from llext_tools.distributions import find_installed

    return find_installed(word, target) or word

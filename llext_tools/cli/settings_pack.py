"""The table ``[pack]`` of a settings file: what ``llext pack`` and ``llext verify`` want to know."""

from __future__ import annotations

from typing import NamedTuple

from llext_tools.cli.settings import Key, find, paths, read_table, text


class PackSettings(NamedTuple):
    """What the table says, empty where it says nothing. ``key``: paths of public keys."""

    name: str = ""
    version: str = ""
    key: tuple[str, ...] = ()


def read() -> PackSettings:
    """The table in the nearest settings file; empty if there is none.

    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    path = find()
    return PackSettings(**read_table(path, "pack", KEYS)) if path else PackSettings()


KEYS: dict[str, Key] = {
    "name": Key('"blink"', "of the bundle; else that of the project in pyproject.toml, or of the file", text),
    "version": Key('"1.2.0"', "of the bundle; else that of the project in pyproject.toml", text),
    "key": Key('["keys/release.pub"]', "public keys that `llext verify` trusts", paths),
}
"""The keys, in the order of docs/reference/settings.md."""

"""The table ``[pack]`` of a settings file: what ``llext pack`` and ``llext verify`` want to know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from llext_tools.artifact.facts import is_word
from llext_tools.cli.settings import PYPROJECT, Key, Source, open_source, paths, read_table, text, texts, whole_document


class PackSettings(NamedTuple):
    """What the table says, empty where it says nothing. ``key``: paths of public keys."""

    name: str = ""
    version: str = ""
    key: tuple[str, ...] = ()


def read(path: str, data: bytes | None = None) -> PackSettings:
    """The table in a settings file; empty if there is none ("").

    Args:
        data: what the file holds, where it has been read already.
    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    return PackSettings(**read_table(path, "pack", KEYS, data)) if path else PackSettings()


def of_project(wanted: Sequence[str]) -> PackSettings:
    """Some of ``name`` and ``version`` in ``[project]`` of the current folder's pyproject.toml; empty if there is none.

    Raises:
        UsageError: ``settings-syntax``, with everything that is wrong.
        FormatError: ``file-unreadable``.
    """
    if not wanted or not os.path.isfile(PYPROJECT):
        return PackSettings()
    source = open_source(PYPROJECT)
    table = whole_document(source).get("project", {})
    source.first = source.line_of("project") or 1
    there = [key for key in wanted if key in table] if isinstance(table, dict) else []
    values = {key: KEYS[key].judge(source, key, table[key]) for key in there}
    source.reporter.checkpoint()
    return PackSettings(**values)


def _name(source: Source, key: str, value: Any) -> str:
    return _word(source, key, value, without="/\\")


def _word(source: Source, key: str, value: Any, without: str = "") -> str:
    word = text(source, key, value)
    if word and (not is_word(word) or set(word) & set(without)):
        slashes = ", without slashes" if without else ""
        source.error(f"`{key}` cannot be `{word}`", key, f"give a text of one line{slashes}")
    return word


def _keys(source: Source, key: str, value: Any) -> tuple[str, ...]:
    found = paths(source, key, value)
    if not source.reporter.failed:
        for word, path in zip(texts(source, key, value), found, strict=True):
            if not os.path.exists(path):
                source.error(
                    f"`{key}`: there is no file `{path}`", word, "`llext sign --new-key FILE` makes `FILE.pub`", key
                )
    return found


KEYS: dict[str, Key] = {
    "name": Key('"blink"', "of the bundle; else that of the project in pyproject.toml, or of the file", _name),
    "version": Key('"1.2.0"', "of the bundle; else that of the project in pyproject.toml", _word),
    "key": Key('["keys/release.pub"]', "public keys that `llext verify` trusts", _keys),
}
"""The keys, in the order of docs/reference/settings.md."""

"""What a manifest says in words, whoever has written it: "" for what it does not say, or not as a text of one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MOST = 200
"""Letters of a word."""


class File(NamedTuple):
    """A file that is no part of the artifact."""

    file: str
    sha256: str


def is_word(value: Any, *, empty: bool = False) -> bool:
    """Whether a value is a text of one line."""
    return isinstance(value, str) and value.isprintable() and len(value) <= MOST and (empty or value != "")


def target_of(document: Mapping[str, Any]) -> str:
    """The CPU that it is built for."""
    return _name(document.get("target"))


def toolchain_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """Name and version of what it is built by."""
    toolchain = document.get("toolchain")
    return _name(toolchain), _word(toolchain.get("version")) if isinstance(toolchain, dict) else ""


def profile_of(document: Mapping[str, Any]) -> str:
    """The loader that it was checked for."""
    return _name(_checked(document).get("profile"))


def firmware_of(document: Mapping[str, Any]) -> tuple[File, ...]:
    """The ELF files and tables that its imports were looked up in."""
    return tuple(_files(_checked(document).get("firmware")))


def _files(entries: Any) -> Iterator[File]:
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and (file := _word(entry.get("file"))):
            yield File(file, _word(entry.get("sha256")))


def _checked(document: Mapping[str, Any]) -> Mapping[str, Any]:
    checked = document.get("checked")
    return checked if isinstance(checked, dict) else {}


def _name(entry: Any) -> str:
    """The ``name`` of a table, or a text itself."""
    return _word(entry.get("name") if isinstance(entry, dict) else entry)


def _word(value: Any) -> str:
    return value if is_word(value) else ""

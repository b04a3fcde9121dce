"""Text as a string of another language: what would mean something there is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable


def cmake(text: str) -> str:
    """A quoted argument of CMake's language."""
    return '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'


def cmake_list(words: Iterable[str]) -> str:
    """Quoted arguments that make a list of just these words: no semicolon splits one."""
    return " ".join(cmake(word).replace(";", r"\;") for word in words)


def toml(value: object) -> str:
    """A text, or a list of texts, in TOML. JSON has the same strings, but for one character that it need not escape."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """A key of TOML, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def python(text: str) -> str:
    """A string of Python, in double quotes where that needs no escape."""
    said = repr(text)
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in said else said


def make(text: str) -> str:
    """The value of a variable of GNU make."""
    return text.replace("$", "$$").replace("#", r"\#")


def make_file(path: str) -> str:
    """One file in such a value, for make and for the shell of its recipes."""
    return make(path.replace(" ", r"\ "))


def meson(text: str) -> str:
    """A string of Meson."""
    return "'" + re.sub(r"([\\'])", r"\\\1", text) + "'"


def meson_list(words: Iterable[str]) -> str:
    return f"[{', '.join(map(meson, words))}]"

"""``cmake.cflags`` and ``Makefile.cflags``: text -> variables, each a list of words.

Neither file is run: it is read. Of CMake's language that is ``set(NAME VALUE...)`` with its quoting, comments and
references to variables; of Make's ``NAME = VALUE``, whose words a shell would split. The folder of the kit itself is
``${CMAKE_CURRENT_LIST_DIR}`` in the one; ``$(LLEXT_EDK_INSTALL_DIR)`` in the other, and in the first CMake files. What
stands before ``_INSTALL_DIR`` is the kit's name (CONFIG_LLEXT_EDK_NAME).

Zephyr 3.7 and 4.0 wrote ``set(LLEXT_CFLAGS a;b;c)`` and ``LLEXT_CFLAGS = a b c`` without quotes; since 4.1 it is
``set(LLEXT_CFLAGS "a;b;c")`` and ``LLEXT_CFLAGS = "a" "b" "c"``. What 4.4 does to the words, ``read`` undoes.

Sources: cmake-language(7), "Syntax"; "GNU Make", 6.5 and 6.1.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

HERE = "\ue000"
"""Stands for the kit's folder until lists are split: a folder's name may hold a semicolon."""

TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<comment>\#\[(?P<c>=*)\[.*?\](?P=c)\] | \#[^\n]*)
    | (?P<bracket>\[(?P<b>=*)\[\n?(?P<raw>.*?)\](?P=b)\])
    | (?P<quoted>"(?P<text>(?:[^"\\]|\\.)*)")
    | (?P<open>\() | (?P<close>\))
    | (?P<word>(?:[^\s()\#"\\]|\\.|"(?:[^"\\\n]|\\.)*")+)
    """,
    re.VERBOSE | re.DOTALL,
)
REFERENCE = re.compile(r"\$(?:ENV)?\{([\w.+/-]+)\}|\$\(([\w.+/-]+)\)|\$\{|\$\(")
INSTALL_DIR = re.compile(r"CMAKE_CURRENT_LIST_DIR|CMAKE_CURRENT_SOURCE_DIR|\w*_INSTALL_DIR")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


class Odd(NamedTuple):
    """Something that is not understood."""

    line: int
    what: str


class Variables(NamedTuple):
    """What a file sets."""

    values: Mapping[str, tuple[str, ...]]
    odd: tuple[Odd, ...]


def read_cmake(text: str, folder: str) -> Variables:
    """The variables of ``cmake.cflags``."""
    values: dict[str, str] = {}
    odd: list[Odd] = []
    command: str | None = None
    arguments: list[str] = []
    depth, start, at = 0, 1, 0
    end, after_inner = -1, False  # of the last argument, and whether it was a parenthesis
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        token = TOKEN.match(text, at)
        if token is None:
            odd.append(Odd(line, f"`{text[at : at + 20].splitlines()[0]}`"))
            break
        at = token.end()
        if token["space"] or token["comment"]:
            continue
        if depth == 0:
            if token["open"] and command:
                depth, arguments = 1, []
            else:
                if command:
                    odd.append(Odd(start, f"`{command}`"))
                command, start = token[0], line
            continue
        inner = bool(token["open"] or token["close"])
        if inner:
            depth += 1 if token["open"] else -1
            if depth == 0 and command:
                if command.lower() == "set" and arguments and not {"CACHE", "PARENT_SCOPE"} & set(arguments):
                    values[arguments[0]] = ";".join(arguments[1:])
                else:
                    odd.append(Odd(start, f"`{command}({' '.join(arguments[:1])})`"))
                command = None
                continue
        argument = token[0] if inner else _argument(token, values, odd, line)
        # -DSIZE=(4*1024), which the script did not quote
        if arguments and end == token.start() and (inner or after_inner):
            arguments[-1] += argument
        else:
            arguments.append(argument)
        end, after_inner = at, inner
    if command:
        odd.append(Odd(start, f"`{command}`, which does not end"))
    return Variables({name: _list(value, folder) for name, value in values.items()}, tuple(odd))


def _argument(token: re.Match[str], values: Mapping[str, str], odd: list[Odd], line: int) -> str:
    """One argument, evaluated; of an unquoted one the semicolons separate later, of a quoted one they do as well."""
    if token["bracket"]:
        return token["raw"]
    text = token["text"] if token["quoted"] else token["word"]
    parts = re.split(r"(\\.)", text, flags=re.DOTALL)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = _referred(part, values, odd, line)
        elif part[1] == "\n":
            parts[i] = ""
        elif part[1] != ";":  # that stays escaped, for the list
            parts[i] = ESCAPES.get(part[1], part[1])
    return "".join(parts)


def _referred(text: str, values: Mapping[str, str], odd: list[Odd], line: int) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2] or ""
        if INSTALL_DIR.fullmatch(name):
            return HERE
        if name not in values:
            odd.append(Odd(line, f"`{found[0]}`"))
        return values.get(name, "")

    return REFERENCE.sub(value, text)


def _list(value: str, folder: str) -> tuple[str, ...]:
    """A CMake list: separated by semicolons, but for those behind a backslash; nothing is no element here."""
    words = re.split(r"(?<!\\);", value)
    return tuple(word.replace("\\;", ";").replace(HERE, folder) for word in words if word)


def read_make(text: str, folder: str) -> Variables:
    """The variables of ``Makefile.cflags``."""
    values: dict[str, str] = {}
    words: dict[str, tuple[str, ...]] = {}
    odd: list[Odd] = []
    line = 0
    for whole in re.split(r"(?<!\\)\n", text):
        line, start = line + whole.count("\n") + 1, line + 1
        statement = whole.replace("\\\n", " ").strip()
        if not statement or statement.startswith("#"):
            continue
        found = re.match(r"(?:export\s+)?([\w.-]+)\s*(?::{0,3}=|\?=)\s*(.*)$", statement, re.DOTALL)
        if not found:
            odd.append(Odd(start, f"`{statement[:40]}`"))
            continue
        value = _referred(found[2].replace("$$", "\ue001"), values, odd, start).replace("\ue001", "$")
        values[found[1]] = value
        try:
            words[found[1]] = tuple(word.replace(HERE, folder) for word in shlex.split(value))
        except ValueError:  # a quotation that does not end
            odd.append(Odd(start, f"the value of `{found[1]}`"))
    return Variables(words, tuple(odd))

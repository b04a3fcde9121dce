"""What only the text of a source file tells: labels, which have no code, and whether a function has a `return`.

Without the file nothing is known of that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from llext_tools.errors import LlextError
from llext_tools.files import read_bytes

QUIET = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | ^[ \t]*\#(?:\\\n|[^\n])*""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
"""Comments, texts and directives."""

WORD = re.compile(r"\w+")
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)((?:\\\n|[^\n])*)", re.MULTILINE)
TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|::|\S")
ACCESS = ("public", "protected", "private")
NESTED = {"{": "}", "(": ")", "[": "]"}
TYPES = ("struct", "union", "enum", "class", "typedef")


class Label(NamedTuple):
    """``named``: those of a switch are not. ``joined``: control comes here from inside of the statement before, too."""

    line: int
    named: bool
    joined: bool


class Source:
    """The files of a program, read when they are asked for."""

    def __init__(self) -> None:
        self.text = cache(self._text)
        self.lines = cache(self._lines)
        self.returning = cache(self._returning)

    def _text(self, file: str) -> str:
        try:
            return read_bytes(file).decode("utf-8", "replace")
        except LlextError:
            return ""

    def _returning(self, file: str) -> frozenset[str]:
        """The macros that a file defines with a `return` in them."""
        macros = MACRO.findall(self.text(file))
        return frozenset(name for name, body in macros if "return" in WORD.findall(body))

    def _lines(self, file: str) -> tuple[str, ...]:
        """The lines of a file, with spaces instead of comments, texts and directives."""
        text = self.text(file)
        return tuple(QUIET.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text).split("\n"))

    def at(self, file: str, line: int, column: int) -> str:
        """The character at a place, where that is known; both count from 1."""
        lines = self.lines(file)
        return lines[line - 1][column - 1 : column] if 0 < line <= len(lines) and column else ""

    def has_return(self, file: str, first: int, last: int, column: int) -> bool:
        """Whether there is a `return`, or a macro of the file with one, between two lines, the last up to a column."""
        text = [*self.lines(file)[first - 1 : last]]
        if len(text) == last - first + 1:
            text[-1] = text[-1][: column - 1]
        words = set(WORD.findall("\n".join(text)))
        return "return" in words or not words.isdisjoint(self.returning(file))

    def labels(self, file: str, first: int, last: int) -> list[Label]:
        """The labels between two lines, in order."""
        reader = Statements(self.lines(file)[first - 1 : last], first)
        with suppress(LookupError, RecursionError):
            reader.skip_to("{")
            reader.statement()
        return reader.labels


class Statements:
    """Reads C as far as statements go, for the labels among them. What it does not understand, it passes over."""

    def __init__(self, lines: Sequence[str], first: int) -> None:
        self._tokens = [(token[0], first + i) for i, line in enumerate(lines) for token in TOKEN.finditer(line)]
        self._at = 0
        self.labels: list[Label] = []

    def skip_to(self, token: str) -> None:
        while self._tokens[self._at][0] != token:
            self._at += 1

    def statement(self, joined: bool = False) -> bool:
        """Pass over one; ``joined`` tells whether control comes to its start from inside of the one before.

        Returns:
            Whether control comes to its end from inside of it: that is where a loop or an `if` is left.
        """
        token = self._next()
        if token == "{":
            while self._peek() != "}":
                joined = self.statement(joined)
            self._at += 1
            return joined
        if token in ("if", "for", "while", "switch"):
            self.skip_to("(")  # `if constexpr`
            self._skip_balanced()
            self.statement()
            if token == "if" and self._peek() == "else":
                self._at += 1
                self.statement()
            return True
        if token == "do":
            self.statement()
            self._simple()
            return True
        line = self._tokens[self._at - 1][1]
        if token in ("case", "default"):
            while self._next() != ":":
                pass
            self.labels.append(Label(line, False, joined))
            return self._behind_label()
        if self._peek() == ":" and token not in ACCESS and (token[0].isalpha() or token[0] == "_"):
            self._at += 1
            self.labels.append(Label(line, True, joined))
            return self._behind_label()
        self._at -= 1
        return self._simple()

    def _behind_label(self) -> bool:
        return False if self._peek() == "}" else self.statement()

    def _simple(self) -> bool:
        """Up to the semicolon; or a block, if a macro stands for the head of a loop."""
        start, last = self._peek(), ""
        while (token := self._peek()) != ";":
            if token == "}":
                return False
            if token == "{" and last == ")" and start not in TYPES:
                self.statement()
                return True
            if token in NESTED:
                self._skip_balanced()
            else:
                self._at += 1
            last = self._tokens[self._at - 1][0]
        self._at += 1
        return False

    def _skip_balanced(self) -> None:
        """Pass over what is between two brackets. Statements in there have labels of their own, which are left out."""
        opened = self._next()
        while (token := self._peek()) != NESTED[opened]:
            if token in NESTED:
                self._skip_balanced()
            else:
                self._at += 1
        self._at += 1

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _peek(self) -> str:
        return self._tokens[self._at][0]

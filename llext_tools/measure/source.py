"""What only the text of a source file tells: labels, which have no code, and whether a function has a `return`.

Without the file nothing is known of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from llext_tools.errors import LlextError
from llext_tools.files import read_bytes

QUIET = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | ^[ \t]*\#(?:\\\n|[^\n])*""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
"""Comments, texts and directives."""

WORD = re.compile(r"\w+")
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)((?:\\\n|[^\n])*)", re.MULTILINE)
BOUNDARY = re.compile(r"[;{}]")
LABEL = re.compile(r"\s*(?:(?P<case>case\b(?:::|[^;{}:])*|default\s*)|(?P<name>[A-Za-z_]\w*)\s*):(?!:)")
ACCESS = ("public", "protected", "private")


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

    def labels(self, file: str, first: int, last: int) -> Iterator[tuple[int, bool]]:
        """The lines of the labels between two lines, in order; whether each has a name, as those of a switch do not."""
        text = "\n".join(self.lines(file)[first - 1 : last])
        for boundary in BOUNDARY.finditer(text):
            at = boundary.end()
            while (label := LABEL.match(text, at)) and label["name"] not in ACCESS:
                start = label.start("case") if label["case"] else label.start("name")
                yield first + text.count("\n", 0, start), label["name"] is not None
                at = label.end()

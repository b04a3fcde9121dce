"""Which findings are reported, and how severe they are: ``--select``, ``--ignore``, ``--werror``, per-file-ignores.

A code stands for itself, the first words of codes for all that begin so: ``region`` and ``region-*`` are one family,
``all`` is every code. What keeps a file from being looked at is reported in any case, for nothing else is known of the
file then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from llext_tools.diag import CODES, Diagnostic, Reporter, nearest

ALL = "all"
UNSEEN = frozenset(
    {
        *("usage", "settings-syntax", "file-unreadable", "file-unwritable", "internal"),
        *("elf-magic", "elf-truncated", "elf-header", "elf-machine", "elf-type"),
    }
)
"""Codes after which a file has not been checked."""

Codes = frozenset[str]
NONE: Codes = frozenset()


class Policy(NamedTuple):
    """What is asked for. ``per_file``: a pattern of full paths, and what is not reported for files of such a path."""

    select: Codes | None = None
    ignore: Codes = NONE
    werror: Codes = NONE
    per_file: tuple[tuple[str, Codes], ...] = ()

    def hidden(self, path: str = "") -> Codes:
        """The codes that are not reported for a file, or for none."""
        hidden = self.ignore | (CODES.keys() - self.select if self.select is not None else NONE)
        if path and self.per_file:
            full = os.path.abspath(path).replace(os.sep, "/")
            hidden = hidden.union(*(codes for pattern, codes in self.per_file if fnmatchcase(full, pattern)))
        return hidden - UNSEEN

    def apply(self, found: Iterable[Diagnostic], path: str = "") -> tuple[Diagnostic, ...]:
        """What is left of the findings of a file, in their order, as severe as it is meant to be."""
        hidden = self.hidden(path)
        return tuple(
            d._replace(severity="error") if d.severity == "warning" and d.code in self.werror else d
            for d in found
            if d.code not in hidden
        )


def codes_of(words: Iterable[str]) -> tuple[Codes, dict[str, str]]:
    """The codes that words stand for, and for each word that stands for nothing a hint."""
    found: set[str] = set()
    wrong: dict[str, str] = {}
    for word in words:
        family = word.removesuffix("*").rstrip("-")
        members = {code for code in CODES if code.startswith(f"{family}-")} if family else set()
        if word in CODES:
            found.add(word)
        elif word in (ALL, "*"):
            found |= CODES.keys()
        elif members:
            found |= members
        else:
            near = nearest(word, [*CODES, *families()])
            wrong[word] = f"did you mean `{near}`?" if near else "`llext explain` lists the codes"
    return frozenset(found), wrong


def families() -> list[str]:
    """The first words of codes of which there are several."""
    words = [code.partition("-")[0] for code in CODES]
    return sorted({word for word in words if words.count(word) > 1})


def codes_given(option: str, given: Sequence[str], reporter: Reporter) -> Codes:
    """The codes that an option names, each time that it is given, separated by commas."""
    found, wrong = codes_of(word for words in given for part in words.split(",") if (word := part.strip()))
    for word, hint in wrong.items():
        reporter.error("usage", f"{option}: there is no diagnostic `{word}`", help=hint)
    return found

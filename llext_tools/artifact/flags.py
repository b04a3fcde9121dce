"""The flags that an extension was compiled with, as its manifest has them: without folders of the machine.

CMake writes them to a file for each language: a first line as a shell reads it, then an option a line. Options that map
folders to other names (``-ffile-prefix-map=OLD=NEW``) are applied to the others and left out, and so are the folders of
headers: they say where something is, not how it was compiled.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator

MAPS = re.compile(r"-f(?:file|debug|macro)-prefix-map=([^=]*)=(.*)", re.DOTALL)
HEADERS = ("-I", "-isystem", "-iquote", "-idirafter", "-isysroot", "--sysroot", "-resource-dir")
BEGIN = r"(?:^|(?<=^-[A-Za-z])|(?<=[^\w./+-]))"
END = r"(?![\w.+-])"
"""Where a folder's name is in a word: not within another name; it may follow an option of one letter."""
ABSOLUTE = re.compile(r"(^|=)(/[^\"']*/)(?=[^/\"']*$)")


def read_flags(text: str) -> list[str]:
    """The flags in a file that CMake has written.

    Raises:
        ValueError: the first line is none that a shell reads.
    """
    first, *options = text.split("\n")
    return scrubbed([*shlex.split(first), *_words(options)])


def _words(options: Iterable[str]) -> Iterator[str]:
    """The options of a target, each of which may stand for several words."""
    for option in filter(None, options):
        yield from shlex.split(option[6:]) if option.startswith("SHELL:") else [option]


def scrubbed(words: Iterable[str]) -> list[str]:
    """The words without folders, in their order."""
    maps: dict[str, str] = {}
    rest: list[str] = []
    folder_follows = False
    for word in words:
        if found := MAPS.fullmatch(word):
            maps[found[1]] = found[2]
        elif folder_follows or word.startswith(HEADERS):
            folder_follows = not folder_follows and word in HEADERS
        else:
            rest.append(word)
    maps |= {old.rstrip("/"): new.rstrip("/") or "." for old, new in maps.items() if old.rstrip("/") not in maps}
    return [_mapped(word, maps) for word in rest]


def _mapped(word: str, maps: dict[str, str]) -> str:
    for old in sorted(filter(None, maps), key=len, reverse=True):
        end = "" if old.endswith("/") else END
        word = re.sub(BEGIN + re.escape(old) + end, maps[old].replace("\\", r"\\"), word)
    return ABSOLUTE.sub(r"\1", word) if os.sep in word else word

"""The names of an archive as a tree, and what its links lead to: a file system that is looked at, and never made.

A path is followed as a kernel does it: part by part, over each link on the way, and ``..`` from where it has come to by
then. Whatever a link says, it leads to a name of the archive or to nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Literal

Kind = Literal["file", "folder", "link"]

MOST_LINKS = 40
"""In one path: what Linux follows."""


class Tree:
    """Files, folders and links of one archive. Names are normal, and lead below its top, which is ``""``."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {"": "folder"}
        self.folders: dict[str, list[str]] = {"": []}  # -> names in it
        self.links: dict[str, str] = {}  # -> paths from the top, which may lead over other links

    def add(self, name: str, kind: Kind, path: str = "") -> str:
        """Add a file, a folder, or a link with its path. The same may come again: the later one holds.

        Returns:
            The name of what is in the way, and of another kind; ``""`` if nothing is.
        """
        if name not in self.kinds:
            above, _, last = name.rpartition("/")
            if wrong := self.add(above, "folder"):
                return wrong
            self.folders[above].append(last)
            self.kinds[name] = kind
            if kind == "folder":
                self.folders[name] = []
        elif self.kinds[name] != kind:
            return name
        if kind == "link":
            self.links[name] = path
        return ""

    def find(self, path: str) -> str | None:
        """The file or folder that a path leads to; None if that is nothing, out of the archive, or round and round."""
        if path.startswith("/"):
            return None
        at, links = "", 0
        rest = path.split("/")[::-1]
        while rest:
            part = rest.pop()
            if at not in self.folders or (part == ".." and not at):
                return None
            if part in ("", ".", ".."):
                at = posixpath.dirname(at) if part == ".." else at
                continue
            at = posixpath.join(at, part)
            if at in self.links:
                links += 1
                if links > MOST_LINKS:
                    return None
                rest += self.links[at].split("/")[::-1]
                at = ""
        return at if at in self.kinds else None

    def behind(self, link: str) -> Iterator[tuple[str, str]]:
        """What has to be where a link is: the name of each file and folder, and that of the archive which it is.

        Below a folder that is what the links there lead to, too. A link that leads to where another one has led to on
        the way would lead on for ever: it ends in an empty folder.

        Args:
            link: one that leads somewhere, as those that it leads to do.
        """
        at = self.find(self.links[link]) or ""
        yield link, at
        folders: list[tuple[str, str, tuple[str, ...]]] = [(link, at, (at,))]
        while folders:
            name, at, led = folders.pop()
            for each in self.folders.get(at, []):
                below, source = f"{name}/{each}", posixpath.join(at, each)
                if source not in self.links:
                    folders.append((below, source, led))
                else:
                    source = self.find(self.links[source]) or ""
                    if source not in led:
                        folders.append((below, source, (*led, source)))
                yield below, source

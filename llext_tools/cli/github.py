"""Workflow commands of GitHub Actions: what they say is shown beside the source, and on the page of the run.

Source: docs.github.com, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from llext_tools.cli.render import from_here, message_lines, printable
from llext_tools.diag import Diagnostic


def at_work() -> bool:
    """Whether GitHub reads what is printed."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotation(d: Diagnostic, more: Iterable[str] = (), *, place: tuple[str, int | None] | None = None) -> str:
    """``::error file=blink.c,line=7,title=undefined-symbol::...``

    Args:
        more: notes, behind those that it has.
        place: file and line, where the caller knows better than its location has them; file "" for none.
    """
    at = d.location
    file, line = place or ((at.source or at.file, at.line) if at else ("", None))
    first, *rest = message_lines(d, more)
    return command(d.severity, d.code, [first, *([f"at {at}"] if at else []), *rest], file, line)


def command(severity: str, title: str, lines: Iterable[str], file: str = "", line: int | None = None) -> str:
    """One line, whatever the lines of its message have in them."""
    properties = {"file": in_workspace(file) if file else "", "line": line, "title": title}
    written = ",".join(f"{name}={_escaped(value, more=True)}" for name, value in properties.items() if value)
    return f"::{severity} {written}::{'%0A'.join(map(_escaped, lines))}"


def in_workspace(path: str) -> str:
    """From the folder that GitHub's paths start at, for a path below it: where the repository is checked out.

    Links are followed: either of the two may be named by one, and the repository has no file below a link.
    """
    root = os.environ.get("GITHUB_WORKSPACE", "")
    whole, above = os.path.realpath(path), os.path.join(os.path.realpath(root), "")
    return whole.removeprefix(above) if root and whole.startswith(above) else from_here(path)


def _escaped(value: object, more: bool = False) -> str:
    """Text that ends neither its line nor, with ``more``, its property."""
    text = printable(str(value), keep="" if more else "\n")
    for plain in "%\n:," if more else "%\n":
        text = text.replace(plain, f"%{ord(plain):02X}")
    return text

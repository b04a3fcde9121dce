"""The pages that explain diagnostics: ``<code>.md`` beside this file, one for each code.

A page is a heading with the code, a paragraph on what it means and what a board does, and the sections Example and
Cure. The example can be tried: each fenced block named ``asm arm``, ``toml exports`` and the like is a file, and the
block ``console`` says which commands to run and what they print. The test suite runs them.
"""

from __future__ import annotations

import os

FOLDER = os.path.dirname(__file__)


def codes() -> list[str]:
    """The codes that have a page, sorted."""
    return sorted(name.removesuffix(".md") for name in os.listdir(FOLDER) if name.endswith(".md"))


def page(code: str) -> str:
    """The page of a code, as Markdown.

    Raises:
        KeyError: there is none.
    """
    if code not in codes():
        raise KeyError(code)
    with open(os.path.join(FOLDER, f"{code}.md"), encoding="utf-8") as file:
        return file.read()


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """A page as blocks: ("#", ["code"]), ("##", [heading]), ("text", lines), or a fence's words and its lines.

    The first word of a fence follows three backticks: ("``` asm arm", lines).
    """
    found: list[tuple[str, list[str]]] = []
    fence = ""
    for line in text.splitlines():
        if line.startswith("```"):
            fence = "" if fence else f"``` {line[3:].strip()}"
            found.append((fence, []) if fence else ("", []))
        elif fence:
            found[-1][1].append(line)
        elif line.startswith("#"):
            marks, _, heading = line.partition(" ")
            found.append((marks, [heading]))
        elif not line.strip():
            found.append(("", []))
        elif line.startswith("* ") or not found or found[-1][0] != "text":
            found.append(("text", [line]))
        else:
            found[-1][1].append(line.strip())
    return [(kind, lines) for kind, lines in found if kind]

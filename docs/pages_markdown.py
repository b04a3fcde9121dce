"""Markdown of the generated pages: titles, tables, and what CMake's comments are written in."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

NOTE = "<!-- made by docs/generate.py: change the code, then run it -->\n"


def cell(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"`{value}`"


def markdown(rst: str) -> str:
    """The little reStructuredText that CMake's comments use: indented blocks after ``::``, double backticks."""
    lines, code = [], False
    rst = re.sub(r":cmake:\w+:`", "`", textwrap.dedent(rst).replace("``", "`"))
    for line in rst.strip("\n").splitlines():
        if code and line and not line.startswith(" "):
            lines.append("```\n")
            code = False
        text = line[2:] if code else line
        lines.append(text.removesuffix("::").rstrip() if text.endswith("::") else text)
        if line.endswith("::"):
            code = True
            lines.append("\n```cmake")
    text = "\n".join([*lines, *(["```"] if code else [])])
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"```cmake\n+", "```cmake\n", re.sub(r"\n+```\n", "\n```\n", text))).strip()


def first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def page(title: str, *paragraphs: str) -> str:
    filled = [textwrap.fill(p, 120) if "\n" not in p and not p.startswith(("#", "|")) else p for p in paragraphs]
    return "\n\n".join([f"# {title}", NOTE.rstrip(), *filled]).rstrip() + "\n"

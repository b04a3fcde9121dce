"""The results of ``llext build`` as Markdown, for the page that a CI service shows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from llext_tools.artifact import manifest_path
from llext_tools.build import Result
from llext_tools.diag import fail
from llext_tools.files import reason, write_cure

PAGE_KIND = re.compile(rb"## llext build\s")
"""How the page begins."""
HEAD = ("job", "", "extensions", "bytes", "tests", "time")
SIZES = ("extension", "bytes", "regions", "checked against")


def to_markdown(results: Sequence[Result], sentence: str) -> str:
    """A table of the jobs, one of the extensions' sizes for each job that passed, and what failed."""
    lines = ["## llext build", "", f"{sentence}.", "", _row(HEAD), _row(["---", "---", *["---:"] * 4])]
    lines += [_row(_cells(result)) for result in results]
    for result in results:
        if rows := _sizes(result):
            lines += ["", f"<details><summary>sizes: {result.job.name}</summary>", ""]
            lines += [_row(SIZES), _row(("---", "---:", "---", "---")), *rows, "", "</details>"]
        for failure in result.failures:
            what = _plain(f"{result.job.name}: {failure.step.value} {failure.what}".rstrip())
            lines += ["", f"<details open><summary>{what}</summary>", ""]
            lines += [*(f"    {line}" for line in failure.lines), "", "</details>"]
    return "\n".join(lines) + "\n"


def append_to(path: str, text: str) -> None:
    """Append the text to a file, unless its name is empty.

    Raises:
        FormatError: ``file-unwritable``.
    """
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        what = f"cannot write `{path}`: {reason(error)}"
        fail("file-unwritable", what, help=write_cure(error, path))


def _cells(result: Result) -> list[str]:
    sizes = [path.stat().st_size for path in result.artifacts if path.exists()]
    passed, total = result.good_tests, result.all_tests
    tests = str(total) if passed == total else f"{passed} of {total}"
    verdict = "passed" if result.passed else "**failed**"
    took = f"{sum(result.seconds.values()):.1f} s"
    return [_name(result.job.name), verdict, str(len(sizes)), f"{sum(sizes):,}", tests, took]


def _sizes(result: Result) -> list[str]:
    """Rows for the extensions of a job that passed; the regions are those of the manifest."""
    rows = []
    for path in result.artifacts if result.passed else ():
        regions = ""
        with suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads(Path(manifest_path(path)).read_text(encoding="utf-8"))
            regions = ", ".join(f"{each['name']} {each['size']:,}" for each in manifest["regions"])
        against = ", ".join(map(_name, result.against.get(path, ()))) or "no firmware"
        rows.append(_row((_name(path.stem), f"{path.stat().st_size:,}", regions, against)))
    return rows


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', '&#124;') for cell in cells)} |"


def _name(text: str) -> str:
    """A name in which no character is a mark of Markdown: `__a__` would be bold."""
    return re.sub(r"([\\`*_~\[\]])", r"\\\1", text)


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")

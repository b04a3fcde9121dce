"""The documentation says what the code says. Oracle: the code's own tables, from which docs/generate.py makes pages."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

import generate
from llext_tools.cli import EVERY
from llext_tools.cli.parser import parser_for
from llext_tools.errors import LlextError

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")])
CHANGES = sorted((ROOT / "changelog").glob("*"))


def test_every_page_of_the_reference_is_generated() -> None:
    assert sorted(generate.PAGES) == sorted(path.name for path in (ROOT / "docs/reference").glob("*.md"))


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_page_is_up_to_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    text = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert text == generate.PAGES[name](), "run `tox -e docs`"


def parity_rows() -> list[dict[str, Any]]:
    areas = tomllib.loads((ROOT / "docs/parity.toml").read_text(encoding="utf-8"))["area"]
    return [row for area in areas for row in area["row"]]


def test_every_row_of_parity_has_a_test_or_a_reason() -> None:
    for row in parity_rows():
        assert row["holds"]
        assert row.keys() <= {"item", "holds", "tests", "cases", "host"}
        assert bool(row.get("tests") or row.get("cases")) != bool(row.get("host")), f"{row['item']}: {row['holds']}"


def test_every_test_that_parity_names_exists() -> None:
    """Oracle: what pytest collects. A name without parameters stands for all of them."""
    named = {test for row in parity_rows() for test in row.get("tests", ())}
    files = sorted({test.split("::")[0] for test in named} | {"tests/conformance/test_load.py"})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    collected = set(done.stdout.splitlines())
    collected |= {line.split("[")[0] for line in collected}
    assert named - collected == set()
    cases = {case for row in parity_rows() for case in row.get("cases", ())}
    assert {f"tests/conformance/test_load.py::test_load[{case}-placed]" for case in cases} - collected == set()
    rules = {line for line in collected if line.startswith("tests/unit/test_llext_rules.py::") and "[" not in line}
    assert rules - {test.split("[")[0] for test in named} == set(), "a rule that no row names"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_named_in_the_text_exist(path: Path) -> None:
    for command in re.findall(r"(?:^|[`$;&] ?)llext ([a-z][a-z-]*)", path.read_text(encoding="utf-8"), re.MULTILINE):
        assert command in {*EVERY, "help"}, command


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_on_a_page_can_be_given(path: Path) -> None:
    """Their options are there and have the values that they want; what the text has in passing may lack arguments."""
    text = path.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    shown = re.findall(r"^\$ (?:\w+=\S+ )*llext ([a-z].*)", blocks, re.MULTILINE)
    named = re.findall(r"`llext ([a-z][^`]*)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for command in [*shown, *named]:
        words = shlex.split(command, comments=True)
        name, *arguments = takewhile(lambda word: word not in ("|", ">", "&&"), words)
        try:
            if name != "help":
                parser_for(name).parse(arguments)
        except LlextError as error:
            message = error.diagnostics[0].message
            assert command in named, message
            assert re.search("missing argument: |expected (at least )?one argument$", message), message


def test_every_page_of_the_documentation_is_reached() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        relative = path.relative_to(ROOT / "docs").as_posix()
        assert relative == "README.md" or f"({relative})" in index, f"docs/README.md does not mention {relative}"


@pytest.mark.parametrize("path", CHANGES, ids=lambda path: path.name)
def test_changelog_fragment_has_a_kind(path: Path) -> None:
    if path.name != "README.md":
        assert re.fullmatch(r"(added|changed|fixed|removed)-[a-z0-9-]+\.md", path.name)
        assert path.read_text(encoding="utf-8").strip()


def test_lowest_versions_are_the_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [*project["dependencies"], *project["optional-dependencies"]["zig"]]
    lowest = dict(
        re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "tests/lowest.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {re.split(r"[<>=!~ ]", bound)[0] for bound in bounds} == set(lowest)
    for bound in bounds:
        name, least = re.match(r"([\w-]+)>=([\d.]+)", bound).groups()  # type: ignore[union-attr]
        assert re.fullmatch(rf"{re.escape(least)}(\.0)*", lowest[name]), f"{bound} is tested with {lowest[name]}"

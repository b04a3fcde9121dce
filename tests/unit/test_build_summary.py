"""The Markdown page of `llext build`. Oracle: markdown-it, which renders it, and the parser of HTML in Python."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from llext_tools.build import Case, Failure, Job, Options, Result, Step
from llext_tools.cli import matrix, rows
from llext_tools.cli.results import to_json
from llext_tools.errors import UsageError


class Page(HTMLParser):
    """The rows of all tables, and what stands in each ``<details>``: its summary and the text of its code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.details: list[dict[str, str]] = []
        self.tags: list[str] = []
        self.bold: list[str] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
        assert self.tags == [], "what is opened is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "details":
            self.details.append({"open": str(("open", None) in attrs), "summary": "", "pre": ""})

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "strong":
            self.bold.append(data)
        if {"td", "th"} & set(self.tags):
            self.rows[-1][-1] += data
        for tag in ("summary", "pre"):
            if tag in self.tags:
                self.details[-1][tag] += data


def results(tmp_path: Path) -> list[Result]:
    made = tmp_path / "__a_b__.llext"
    made.write_bytes(bytes(1234))
    made.with_suffix(".json").write_text('{"regions": [{"name": "text", "size": 1000}, {"name": "bss", "size": 8}]}')
    other = tmp_path / "other.llext"
    other.write_bytes(b"1")
    good = Job(target="cortex-m4", toolchain="gcc", build=tmp_path, output=tmp_path)
    bad = Job(target="rv32imac", toolchain="zig", build=tmp_path, output=tmp_path, preset="my|own_1_")
    lines = ("a.c:1: error: <b> & **not** `this`", "", "    1 | </details>")
    return [
        Result(
            job=good,
            artifacts=(made, other),
            against={made: ("v1.elf", "more_.toml"), other: ()},
            tests=(Case(name="runs", passed=True, seconds=0.1),),
            up_to_date=("holds",),
            seconds={Step.CONFIGURE: 0.5, Step.TEST: 0.75},
        ),
        Result(
            job=bad,
            tests=(Case(name="x", passed=False, seconds=0.1), Case(name="y", passed=True, seconds=0.1)),
            failures=(Failure(step=Step.BUILD, what="a<b>.c", lines=lines),),
        ),
    ]


def run_jobs(
    found: list[Result], folder: Path, monkeypatch: pytest.MonkeyPatch, summary: str | None, facts: str | None = None
) -> int:
    """The exit code."""
    monkeypatch.setattr(matrix, "build", lambda *_: found)
    args = argparse.Namespace(json=facts, summary=summary)
    return matrix.run_jobs([each.job for each in found], args, Options(source=folder, cores=1))[1]


def test_cells_and_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    run_jobs(results(tmp_path), tmp_path, monkeypatch, str(tmp_path / "page.md"))
    page = Page((tmp_path / "page.md").read_text(encoding="utf-8"))
    assert page.rows == [
        ["job", "", "extensions", "bytes", "tests", "time"],
        ["cortex-m4-gcc", "passed", "2", "1,235", "2", "1.2 s"],
        ["my|own_1_", "failed", "0", "0", "1 of 2", "0.0 s"],
        ["extension", "bytes", "regions", "checked against"],
        ["__a_b__", "1,234", "text 1,000, bss 8", "v1.elf, more_.toml"],
        ["other", "1", "", "no firmware"],
    ]
    assert page.bold == ["failed"]
    assert page.details == [
        {"open": "False", "summary": "sizes: cortex-m4-gcc", "pre": ""},
        {
            "open": "True",
            "summary": "my|own_1_: build a<b>.c",
            "pre": "a.c:1: error: <b> & **not** `this`\n\n    1 | </details>\n",
        },
    ]


def test_what_extensions_were_checked_against(tmp_path: Path) -> None:
    """In JSON, for programs."""
    extensions = json.loads(to_json(results(tmp_path), 1))["jobs"][0]["extensions"]
    assert {each["name"]: each["checked_against"] for each in extensions} == {
        "__a_b__": ["v1.elf", "more_.toml"],
        "other": [],
    }


def test_the_page_of_github_is_appended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "step.md"
    page.write_text("# before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    run_jobs(results(tmp_path)[:1], tmp_path, monkeypatch, None)
    once = page.read_text(encoding="utf-8")
    assert once.startswith("# before\n## llext build\n")
    run_jobs(results(tmp_path)[:1], tmp_path, monkeypatch, None)
    both = page.read_text(encoding="utf-8")
    assert both == once + once.removeprefix("# before\n")
    assert [row[0] for row in Page(both).rows] == ["job", "cortex-m4-gcc", "extension", "__a_b__", "other"] * 2


def test_only_results_of_a_build_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built. What an earlier build has written may be replaced, and an empty file."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    page, facts = tmp_path / "page.md", tmp_path / "facts.json"
    facts.touch()
    for found in (results(tmp_path), results(tmp_path)[:1]):
        run_jobs(found, tmp_path, monkeypatch, str(page), str(facts))
        assert len(json.loads(facts.read_text(encoding="utf-8"))["jobs"]) == len(found)
    facts.write_text(
        json.dumps(json.loads(facts.read_text(encoding="utf-8"))), encoding="utf-8"
    )  # as another prints it
    assert run_jobs(found, tmp_path, monkeypatch, None, str(facts)) == 0
    page.unlink()
    readme = tmp_path / "README.md"
    readme.write_text("# Mine\n", encoding="utf-8")
    for names in ((str(page), str(readme)), (str(readme), None)):
        with pytest.raises(UsageError, match=re.escape(f"`{readme}` is there already")):
            run_jobs(found, tmp_path, monkeypatch, *names)
    assert (readme.read_text(encoding="utf-8"), page.exists()) == ("# Mine\n", False)


def test_a_failed_test_that_is_a_build_step_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the terminal. Of those that pass, only the build knows."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    failed = tuple(Failure(step=Step.TEST, what=what, lines=("no",)) for what in ("x", "at_build"))
    result = dataclasses.replace(results(tmp_path)[1], failures=failed, seconds={Step.TEST: 0.1})
    run_jobs([result], tmp_path, monkeypatch, str(tmp_path / "page.md"))
    page = Page((tmp_path / "page.md").read_text(encoding="utf-8"))
    assert page.rows[1][4] == rows.cells(result)[4] == "1 of 3"


def test_a_page_that_cannot_be_written_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service's one is a warning; the one that was asked for is an error, after what the build has to say."""
    nowhere = tmp_path / "not there" / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(nowhere))
    monkeypatch.setenv("NO_COLOR", "1")
    run_jobs(results(tmp_path), tmp_path, monkeypatch, str(tmp_path / "asked.md"))
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "error[build-failed]" in said
    assert f"warning[file-unwritable]: cannot write `{nowhere}`" in said
    assert (tmp_path / "asked.md").exists()
    for found, expected in ((results(tmp_path), 12), (results(tmp_path)[:1], 3)):
        facts = tmp_path / f"{expected}.json"
        for page, file in (
            (nowhere, facts),
            (tmp_path / f"{expected}.md", nowhere.parent / "facts.json"),
            (tmp_path, ""),
        ):
            code = run_jobs(found, tmp_path, monkeypatch, str(page), str(file))
            said = re.sub(r"\s+", " ", capsys.readouterr().err)
            assert (code, said.count("error[build-failed]")) == (expected, expected == 12)
            assert f"error[file-unwritable]: cannot write `{tmp_path}" in said
        assert json.loads(facts.read_text(encoding="utf-8"))["exit_code"] == (12 if expected == 12 else 0)
        assert (tmp_path / f"{expected}.md").exists()

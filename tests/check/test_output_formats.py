"""What a check prints: text, JSON, SARIF, GitHub's workflow commands.

Oracles: the JSON schema that OASIS has made of SARIF 2.1.0; for GitHub, a reader that undoes the escapes which its
runner undoes; for text, that no character but line feeds is one that a terminal obeys.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import public_schemas
from conformance.cases import files
from llext_tools import explain
from llext_tools.cli import sarif
from llext_tools.cli.findings import FORMS, Checked, Facts, Report
from llext_tools.cli.progress import counted
from llext_tools.cli.render import Paint, printable, render
from llext_tools.cli.settings import FORMATS
from llext_tools.diag import CODES, Diagnostic, Location
from public_schemas import SARIF
from transcript import llext
from workflow import commands

FACTS = Facts(regions={"TEXT": 40, "BSS": 8}, imports=["printk"], exports=1)
WHERE = (
    None,
    Location(file="blink.llext"),
    Location(file="out/my file.llext", section=".text", offset=0x1C, function="blink_start"),
    Location(file="/elsewhere/board.toml", line=7),
    Location(file="blink.llext", offset=52),
    Location("blink.llext", ".text", 0x1C, "start", 12, "src/blink.c"),
    Location(file="blink.llext", section=".data", offset=8, variable="table+0x8"),
)
EVERY = [
    Diagnostic(
        code,
        f"`{code}` is about [this](0) and {{0}}",
        severity="warning" if i % 3 else "error",
        location=WHERE[i % len(WHERE)],
        detail=("place 0x20001a1c",) * (i % 2),
        notes=("one", "two\nin two lines"),
        help="do something",
    )
    for i, code in enumerate(CODES)
]
names = st.text(max_size=12)
diagnostics = st.builds(
    Diagnostic,
    st.sampled_from(sorted(CODES)),
    names,
    severity=st.sampled_from(["error", "warning"]),
    location=st.none()
    | st.builds(
        Location,
        st.text(min_size=1, max_size=12).filter(lambda path: "\0" not in path),
        names,
        st.none() | st.integers(0, 1 << 64),
        names,
        st.none() | st.integers(1, 1 << 31),
        names.filter(lambda path: "\0" not in path),
        names,
    ),
    detail=st.lists(names, max_size=2).map(tuple),
    notes=st.lists(names, max_size=2).map(tuple),
    help=names,
)
hostile = st.builds(
    Report,
    st.lists(
        st.builds(
            Checked, names.filter(lambda path: "\0" not in path), st.none() | st.just(FACTS), st.tuples(diagnostics)
        ),
        max_size=2,
    ).map(tuple),
    st.lists(diagnostics, max_size=2).map(tuple),
)


def log(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FORMS["sarif"](report))
    return found


# ---- SARIF


def test_sarif_of_every_code_is_valid() -> None:
    files = (Checked("blink.llext", None, tuple(EVERY[:60])), Checked("fine.llext", FACTS, ()))
    document = log(Report(files, tuple(EVERY[60:])))
    assert public_schemas.problems(document, SARIF) == []
    run = document["runs"][0]
    assert [result["ruleId"] for result in run["results"]] == list(CODES)
    for result in run["results"]:
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["properties"]["exit_code"] == CODES[rule["id"]].error.exit_code
        assert rule["defaultConfiguration"]["level"] == result["level"]
        assert rule["help"]["markdown"] in explain.page(rule["id"])


def test_the_schema_finds_mistakes() -> None:
    document = log(Report(others=(EVERY[0],)))
    document["runs"][0]["results"][0]["severity"] = "error"
    del document["runs"][0]["tool"]["driver"]["name"]
    assert len(public_schemas.problems(document, SARIF)) == 2


@given(hostile)
def test_sarif_of_hostile_names_is_valid(report: Report) -> None:
    document = log(report)
    assert public_schemas.problems(document, SARIF) == []
    for uri in re.findall(r'"uri": (".*?")[,\n]', json.dumps(document, indent=1)):
        assert re.fullmatch(r"[\w.~!$&'()*+,;=:@%/-]+", json.loads(uri), re.ASCII), uri


def test_sarif_tells_file_line_section_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [EVERY[0]._replace(location=at) for at in WHERE]
    run = log(Report(others=tuple(found)))["runs"][0]
    root = run["originalUriBaseIds"][sarif.ROOT]["uri"]
    assert Path(unquote(urlsplit(root).path)) == tmp_path
    assert root.endswith("/")
    none, alone, inside, line, byte, source, variable = [r.get("locations", [{}])[0] for r in run["results"]]
    assert none == {}
    assert alone["physicalLocation"] == {"artifactLocation": {"uri": "blink.llext", "uriBaseId": sarif.ROOT}}
    assert inside["physicalLocation"]["artifactLocation"]["uri"] == "out/my%20file.llext"
    section, function = inside["logicalLocations"]
    assert (section["name"], section["fullyQualifiedName"]) == (".text", ".text+0x1c")
    assert (function["name"], function["kind"]) == ("blink_start", "function")
    assert line["physicalLocation"]["artifactLocation"] == {"uri": "file:///elsewhere/board.toml"}
    assert line["physicalLocation"]["region"] == {"startLine": 7}
    assert byte["physicalLocation"]["region"] == {"byteOffset": 52}
    assert source["physicalLocation"] == {
        "artifactLocation": {"uri": "src/blink.c", "uriBaseId": sarif.ROOT},
        "region": {"startLine": 12},
    }
    assert run["results"][5]["analysisTarget"]["uri"] == "blink.llext"
    assert variable["logicalLocations"][1] == {
        "name": "table",
        "fullyQualifiedName": "table+0x8",
        "kind": "variable",
    }


def test_fingerprints_outlive_moved_code_and_tell_results_apart() -> None:
    at = Location(file="blink.llext", section=".text", offset=0x10, function="f")
    first = Diagnostic("reloc-out-of-range", "`f` is 16,777,300 bytes from 0x20001a1c", location=at)
    moved = first._replace(message="`f` is 16,777,420 bytes from 0x20002b00", location=at._replace(offset=0x80))
    other = first._replace(location=at._replace(function="g"))
    renamed = first._replace(message=first.message.replace("`f`", "`f1`"))
    (a,), (b,), (c,), (d,) = (sarif.fingerprints([d]) for d in (first, moved, other, renamed))
    assert a == b
    assert len({a, c, d}) == 3
    assert len(set(sarif.fingerprints([first, moved, other, renamed]))) == 4


@pytest.mark.parametrize(
    ("version", "expected"), [("1.2", "1.2.0"), ("0.1.0", "0.1.0"), ("1.2.3.dev4", "1.2.3-dev4"), ("2", "2.0.0")]
)
def test_semantic_version(version: str, expected: str) -> None:
    assert sarif.semantic(version) == expected


def test_messages_of_sarif_have_neither_placeholders_nor_links() -> None:
    """Section 3.11.5: braces that are meant as such are doubled; 3.11.6: a link is ``[text](target)``."""
    assert sarif.escaped("{0} [x](1) a[8]") == "{{0}} \\[x](1) a[8]"


# ---- GitHub


@given(hostile)
def test_github_reads_back_what_was_found(report: Report) -> None:
    text = FORMS["github"](report)
    assert all(c.isprintable() or c == "\n" for c in text)
    found = report.diagnostics
    assert len(text.splitlines()) == len(found) + bool(found), "a name has made a line of its own"
    for d, (kind, properties, message) in zip(found, commands(text), strict=True):
        assert kind == d.severity
        assert properties["title"] == d.code
        file = printable(d.location.source or d.location.file) if d.location else None
        assert properties.get("file") == file
        assert properties.get("line") == (str(d.location.line) if d.location and d.location.line else None)
        assert message.startswith(printable(d.message, keep="\n"))


def test_github_commands() -> None:
    d = Diagnostic(
        "exports-syntax",
        "100% wrong",
        location=Location(file="a,b:c.toml", line=3),
        notes=("first\nsecond",),
        help="mend it",
    )
    first, last = FORMS["github"](Report(others=(d,))).splitlines()
    assert first == (
        "::error file=a%2Cb%3Ac.toml,line=3,title=exports-syntax::100%25 wrong%0Aat a,b:c.toml:3"
        "%0Anote: first%0Asecond%0Ahelp: mend it"
    )
    assert last == "1 error; `llext explain exports-syntax` says more"


def test_github_paths_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    at = Location(file="out/a.llext", line=3, source=str(tmp_path / "src" / "a.c"))
    found = Report(others=(Diagnostic("elf-magic", "m", location=at), Diagnostic("elf-magic", "m", location=WHERE[3])))
    (_, here, _), (_, elsewhere, _) = commands(FORMS["github"](found))
    assert (here["file"], here["line"]) == ("src/a.c", "3")
    assert elsewhere["file"] == "/elsewhere/board.toml"


# ---- text


@given(diagnostics)
def test_names_cannot_command_a_terminal(d: Diagnostic) -> None:
    text = render(d, Paint(None))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert re.match(rf"{d.severity}\[{d.code}\]:[ \n]", text)
    assert len(re.findall(r"^(?:error|warning)\[", text, re.MULTILINE)) == 1, "a name looks like a finding"


def test_a_hostile_name_is_spelt_out() -> None:
    d = Diagnostic("undefined-symbol", "`\x1b[2J\nerror[x]: y\u202e` is\tmissing")
    assert render(d, Paint(None)).splitlines()[0] == (
        "error[undefined-symbol]: `\\x1b[2J\\nerror[x]: y\\u202e` is\\tmissing"
    )


@pytest.mark.parametrize("form", ["text", "github"])
def test_an_object_with_a_hostile_name(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = files()["switchtab_arm_gcc/e.llext"]
    assert data.count(b"\0printk\0") == 1
    (tmp_path / "e.llext").write_bytes(data.replace(b"\0printk\0", b"\0\x1b[2J\n:\0"))
    (tmp_path / "table.toml").write_text("[exports]\nother = 0x1001\n")
    monkeypatch.chdir(tmp_path)
    code, text = llext("check", "e.llext", "--exports", "table.toml", "--format", form)
    assert code == 5
    assert "\x1b" not in text
    assert "`\\x1b[2J\\n:`" in text.replace("%0A", "\\n")


def some(errors: int, warnings: int) -> tuple[Diagnostic, ...]:
    error = Diagnostic("elf-magic", "m")
    return (error,) * errors + (error._replace(code="no-exports", severity="warning"),) * warnings


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (Report((Checked("a", FACTS, ()),)), ""),
        (Report((Checked("a", None, some(1, 0)),)), "1 error; `llext explain elf-magic` says more"),
        (Report((Checked("a", None, some(2, 1)),)), "2 errors, 1 warning; `llext explain CODE` says more"),
        (
            Report((Checked("a", FACTS, ()), Checked("b", FACTS, some(0, 2)), Checked("c", None, some(1, 0)))),
            "1 error, 2 warnings in 2 of 3 files; `llext explain CODE` says more",
        ),
        (Report(others=some(1, 0)), "1 error; `llext explain elf-magic` says more"),
    ],
)
def test_summary(report: Report, expected: str) -> None:
    assert report.summary == expected
    assert FORMS["text"](report).splitlines()[-1:] == (
        [expected] if expected else FORMS["text"](report).splitlines()[-1:]
    )


def test_json_document() -> None:
    report = Report((Checked("a", FACTS, some(0, 1)), Checked("b", None, some(1, 0))), some(0, 1))
    document = json.loads(FORMS["json"](report))
    assert list(document) == ["files", "diagnostics", "summary"]
    assert [(file["file"], file["ok"]) for file in document["files"]] == [("a", True), ("b", False)]
    assert document["files"][0].keys() == {"file", "ok", "regions", "imports", "exports", "compared", "diagnostics"}
    assert [d["code"] for d in document["diagnostics"]] == ["no-exports"]
    assert document["summary"] == {
        "files": 2,
        "files_with_findings": 2,
        "errors": 1,
        "warnings": 2,
        "exit_code": CODES["elf-magic"].error.exit_code,
    }


# ---- the command


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.llext").write_bytes(files()["ptrs_arm_gcc/e.llext"])
    (tmp_path / "bad.llext").write_text("not an object\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("two_files")
@pytest.mark.parametrize("form", FORMATS)
def test_output_file_has_the_report_and_the_terminal_the_text(form: str, tmp_path: Path) -> None:
    code, text = llext("check", "good.llext", "bad.llext", "--format", form, "-o", "report")
    written = (tmp_path / "report").read_text()
    assert code == 3
    assert text == llext("check", "good.llext", "bad.llext")[1]
    if form == "text":
        assert written.split() == text.split()
    else:
        assert written == llext("check", "good.llext", "bad.llext", "--format", form)[1]
    if form == "sarif":
        assert public_schemas.problems(json.loads(written), SARIF) == []


@pytest.mark.usefixtures("two_files")
def test_json_is_short_for_the_format() -> None:
    assert llext("check", "good.llext", "--json") == llext("check", "good.llext", "--format=json")


@pytest.mark.usefixtures("two_files")
@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_what_keeps_everything_from_being_checked_is_reported_in_the_form(form: str) -> None:
    code, text = llext("check", "good.llext", "--exports", "missing.toml", "--format", form)
    assert code == 3
    if form == "github":
        assert [properties for _, properties, _ in commands(text)] == [{"title": "file-unreadable"}]
    else:
        document = json.loads(text)
        found = document["diagnostics"][0]["code"] if form == "json" else document["runs"][0]["results"][0]["ruleId"]
        assert found == "file-unreadable"
    if form == "sarif":
        assert public_schemas.problems(document, SARIF) == []
        assert document["runs"][0]["invocations"][0]["executionSuccessful"] is False


# ---- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_on_a_terminal_and_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("llext_tools.cli.progress.PATIENCE", 0)
    monkeypatch.setattr("llext_tools.cli.progress.PAUSE", 0)
    assert list(counted(iter("abc"), 3, "files checked")) == ["a", "b", "c"]
    assert screen.getvalue() == "\r1 of 3 files checked\r2 of 3 files checked\r3 of 3 files checked\r\x1b[K"


def test_no_progress_in_a_pipe_or_when_it_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert list(counted(iter("abc"), 3, "files checked")) == ["a", "b", "c"]
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    monkeypatch.setattr("llext_tools.cli.progress.PATIENCE", 0)
    assert list(counted(iter("abc"), 3, "files checked")) == ["a", "b", "c"]
    assert screen.getvalue() == pipe.getvalue() == ""


def test_github_paths_start_at_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """https://docs.github.com: GITHUB_WORKSPACE is where the repository is checked out."""
    (tmp_path / "firmware").mkdir()
    monkeypatch.chdir(tmp_path / "firmware")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    places = [Location(file="out/a.llext"), Location(file="x", source="../src/a.c", line=3), WHERE[3]]
    found = Report(others=tuple(Diagnostic("elf-magic", f"{i}", location=at) for i, at in enumerate(places)))
    files = [properties["file"] for _, properties, _ in commands(FORMS["github"](found))]
    assert files == ["firmware/out/a.llext", "src/a.c", "/elsewhere/board.toml"]


def test_two_forms_at_once() -> None:
    code, text = llext("check", "x.llext", "--json", "--format", "sarif")
    assert (code, "--format is sarif" in text) == (2, True)

"""The ledger of an API. Oracle: the steps of a firmware's history by hand, and what people wrote into the file."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces import LAYOUTS, SIGNATURES, WORDS
from llext_tools.abi.text import signature_entry, type_hash
from llext_tools.abi.types import Interface, Layout, Signature
from llext_tools.host.ledger import Change, Ledger, Line, is_below, needed_version, read_ledger, write_ledger
from transcript import llext

OPEN = 'sensor_open = { address = 16, prototype = "int sensor_open(void)", type = "fn() -> i32" }\n'
READ = (
    'sensor_read = { address = 32, prototype = "int sensor_read(struct sensor *s)", '
    'type = "fn(*struct sensor) -> i32" }\n'
)
STOP = 'sensor_stop = { address = 48, prototype = "void sensor_stop(void)", type = "fn() -> void" }\n'
NAMELESS = "k_yield = 64\n"
SENSOR = '[types."struct sensor"]\nsize = 8\nmembers = ["0 id: int = i32", "4 unit: int = i32"]\n'
WIDER = '[types."struct sensor"]\nsize = 8\nmembers = ["0 id: int = i32", "4 unit: short = i16"]\n'


class Project:
    """A firmware with its ledger, in the current folder."""

    def build(self, *symbols: str, types: str = SENSOR) -> None:
        Path("fw.toml").write_text("[exports]\n" + "".join(symbols) + types)

    def update(self, *options: str) -> str:
        code, printed = llext("api", "update", "fw.toml", *options)
        assert code == 0, printed
        return printed

    def check(self) -> tuple[list[str], str]:
        """The codes of what is found, and the version that is needed."""
        code, printed = llext("api", "check", "fw.toml", "--json")
        found = json.loads(printed)
        codes = [d["code"] for d in found["diagnostics"]]
        assert code == (14 if codes else 0)
        return codes, found["needed"]

    def edit(self, old: str, new: str) -> None:
        path = Path("api-ledger.toml")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def line(self, name: str) -> str:
        return next(line for line in self.text.splitlines() if line.startswith(f"{name} ="))

    @property
    def text(self) -> str:
        return Path("api-ledger.toml").read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project()


@pytest.fixture
def released(project: Project) -> Project:
    """Version 1.4.0 was released with open and read."""
    project.build(OPEN, READ)
    project.update("--accept")
    project.edit('version = "1.0.0"', 'version = "1.4.0"')
    project.update("--release")
    assert project.check() == ([], "1.4.0")
    return project


def test_first_ledger_is_to_be_reviewed(project: Project) -> None:
    project.build(READ, OPEN)
    assert "2 symbols, 2 added, 2 to be reviewed; version 1.0.0, not released yet" in project.update()
    assert project.check() == (["api-unreviewed"], "")
    assert project.line("sensor_open").startswith('sensor_open = { status = "?", prototype = "int sensor_open(void)"')
    assert project.text.index("sensor_open") < project.text.index("sensor_read"), "sorted"
    project.edit('status = "?"', 'status = "ok"')
    assert project.check() == ([], "")
    before = project.text
    project.update()
    assert project.text == before


def test_added(released: Project) -> None:
    released.build(OPEN, READ, STOP)
    assert released.check() == (["api-unreviewed", "api-version"], "1.5.0")
    released.update()
    assert 'status = "?", change = "added"' in released.line("sensor_stop")
    released.edit('"?"', '"ok: audio needs it"')
    assert released.check() == (["api-version"], "1.5.0")
    released.edit('version = "1.4.0"', 'version = "1.5.0"')
    assert released.check() == ([], "1.5.0")
    released.update()
    assert "ok: audio needs it" in released.line("sensor_stop")
    released.update("--release")
    assert released.check() == ([], "1.5.0")
    assert "change" not in released.line("sensor_stop")


def test_added_and_gone_before_the_release(released: Project) -> None:
    before = released.text
    released.build(OPEN, READ, STOP)
    released.update("--accept")
    released.build(OPEN, READ)
    assert released.check() == (["api-removed"], "1.4.0")
    released.update()
    assert released.text == before


def test_removed(released: Project) -> None:
    released.build(READ)
    assert released.check() == (["api-removed", "api-version"], "2.0.0")
    released.update()
    assert 'status = "removed", change = "removed"' in released.line("sensor_open")
    assert released.check() == (["api-unreviewed", "api-version"], "2.0.0")
    released.edit('"removed", change', '"ok", change')
    released.edit('version = "1.4.0"', 'version = "2.0.0"')
    assert released.check() == ([], "2.0.0")
    released.update()
    assert released.check() == ([], "2.0.0"), "what the reviewer wrote stays"
    released.update("--release")
    assert "sensor_open" not in released.text


def test_removed_and_back(released: Project) -> None:
    before = released.text
    released.build(READ)
    released.update()
    released.build(OPEN, READ)
    released.update("--accept")
    assert released.text == before


@pytest.mark.parametrize(("more", "says"), [("c", "so does 1 more"), ("c d", "so do 2 more")])
def test_several_members_changed(more: str, says: str, released: Project) -> None:
    members = [f"{4 * i} {name}: int = i32" for i, name in enumerate(["b", *more.split()])]
    wider = [each.replace("int = i32", "short = i16") for each in members]
    layouts = (f'[types."struct sensor"]\nsize = 12\nmembers = {json.dumps(each)}\n' for each in (members, wider))
    released.build(OPEN, READ, types=next(layouts))
    released.update("--accept")
    released.build(OPEN, READ, types=next(layouts))
    printed = llext("api", "check", "fw.toml")[1]
    assert f"`short` at offset 0, not `int` at offset 0; {says}" in " ".join(printed.split())


def test_changed(released: Project) -> None:
    released.build(OPEN, READ, types=WIDER)
    codes, needed = released.check()
    assert (codes, needed) == (["api-changed", "api-version"], "2.0.0")
    printed = llext("api", "check", "fw.toml")[1]
    assert "`struct sensor` differs in `unit`: `short` at offset 4, not `int` at offset 4" in " ".join(printed.split())
    assert f"api-ledger.toml:{1 + released.text.splitlines().index(released.line('sensor_read'))}" in printed
    assert "raise the version to 2.0.0: 1 changed since 1.4.0" in printed
    was = released.line("sensor_read")
    released.update()
    assert 'status = "?", change = "changed"' in released.line("sensor_read")
    assert '"4 unit: short = i16"' in released.text
    assert released.check() == (["api-unreviewed", "api-version"], "2.0.0")
    released.build(OPEN, READ)
    released.update("--accept")
    assert released.line("sensor_read") == was, "back to what was released"
    assert released.check() == ([], "1.4.0")


def test_prototype_changed(released: Project) -> None:
    released.build(OPEN.replace("void", "int n").replace("fn()", "fn(i32)"), READ)
    assert released.check()[0] == ["api-changed", "api-version"]
    printed = llext("api", "check", "fw.toml")[1]
    assert "int sensor_open(void)" in printed
    assert "int sensor_open(int n)" in printed


def test_names_of_parameters_are_no_change(released: Project) -> None:
    released.build(OPEN, READ.replace("*s)", "*which)"))
    assert released.check() == ([], "1.4.0")
    released.update()
    assert "struct sensor *which" in released.line("sensor_read")
    assert '"ok"' in released.line("sensor_read")


def test_a_type_that_becomes_complete_is_no_change(project: Project) -> None:
    project.build(READ, types="")
    project.update("--accept", "--release")
    project.build(READ)
    assert project.check() == ([], "1.0.0")


def test_symbols_of_which_only_the_name_is_known(released: Project) -> None:
    released.build(OPEN, READ, NAMELESS)
    released.update("--accept")
    assert released.line("k_yield") == 'k_yield = { status = "ok", change = "added" }'
    released.build(OPEN, NAMELESS)
    assert released.check()[0] == ["api-removed", "api-version"]


def test_types_that_a_firmware_does_not_tell(released: Project) -> None:
    """It was built without debug information: nobody can say that nothing has changed, and nothing is forgotten."""
    before = released.text
    released.build("sensor_open = 16\n", 'sensor_read = { address = 32, prototype = "void sensor_read(void)" }\n')
    assert released.check()[0] == ["api-untyped"]
    code, printed = llext("api", "check", "fw.toml")
    assert "`sensor_open` and `sensor_read` have recorded types, but the firmware tells none" in " ".join(
        printed.split()
    )
    for options in ((), ("--accept",), ("--release",), ("--json",)):
        code, printed = llext("api", "update", "fw.toml", *options)
        assert (code, "api-untyped" in printed) == (14, True)
        assert released.text == before
    released.build(OPEN, "sensor_read = 32\n")
    code, printed = llext("api", "check", "fw.toml")
    assert "`sensor_read` has a recorded type, but the firmware tells none" in " ".join(printed.split())
    released.edit(released.line("sensor_read") + "\n", "")
    assert released.check()[0] == ["api-unreviewed", "api-version"]
    released.update()
    assert released.line("sensor_read") == 'sensor_read = { status = "?", change = "added" }'


def test_types_of_what_was_recorded_as_a_name(released: Project) -> None:
    released.build(OPEN, READ, NAMELESS)
    released.update("--accept")
    released.edit('version = "1.4.0"', 'version = "1.5.0"')
    assert released.check()[0] == []
    released.build(OPEN, READ, 'k_yield = { address = 64, prototype = "void k_yield(void)", type = "fn() -> void" }\n')
    code, printed = llext("api", "check", "fw.toml")
    assert (code, "`k_yield` has a type that is not in the ledger" in " ".join(printed.split())) == (14, True)
    assert released.check()[0] == ["api-unreviewed"]
    released.update()
    assert 'type = "fn() -> void"' in released.line("k_yield")
    assert 'status = "?"' in released.line("k_yield")
    assert released.check() == (["api-unreviewed"], "1.5.0")
    released.update("--accept")
    assert released.check() == ([], "1.5.0")


@pytest.mark.parametrize("more", [(), ("-o", "my ledger.toml")])
def test_check_without_a_ledger(more: tuple[str, ...], project: Project) -> None:
    """The command that is advised writes what was missing."""
    project.build(OPEN)
    code, printed = llext("api", "check", "fw.toml", *more)
    assert (code, "file-unreadable" in printed) == (3, True)
    command = " ".join(printed.split()).partition("run `")[2].partition("`")[0]
    code, printed = llext(*shlex.split(command)[1:])
    assert code == 0, printed
    assert llext("api", "check", "fw.toml", *more)[0] == 14


def test_release_needs_a_review_and_a_version(released: Project) -> None:
    released.build(OPEN, READ, STOP)
    code, printed = llext("api", "update", "fw.toml", "--release")
    assert code == 14
    assert "api-unreviewed" in printed
    code, printed = llext("api", "update", "fw.toml", "--release", "--accept")
    assert (code, "api-version" in printed) == (14, True)
    assert 'released = "1.4.0"' in released.text


def test_comments_of_people_stay(released: Project) -> None:
    released.edit('version = "1.4.0"', '# who: the sensor team\nversion = "1.4.0"')
    line = released.line("sensor_read")
    released.edit(line, f"\n# of reading:\n# see the manual\n{line}   # }} slow, # really")
    released.edit("\n\n# The layouts", "\n# that is all\n\n# The layouts")
    before = released.text
    released.update()
    assert released.text == before
    released.build(OPEN, READ.replace("sensor_read", "sensor_quit"), READ, types=WIDER)
    released.update()
    text = released.text
    assert text.startswith(before[: before.index("[api]")])
    at = text.index("\n# of reading:\n# see the manual\nsensor_read = ")
    assert text.index("sensor_quit") < at
    assert released.line("sensor_read").endswith("   # } slow, # really")
    assert "# that is all\n" in text


def test_ledgers_differ_in_the_lines_that_changed_only(released: Project) -> None:
    before = released.text.splitlines()
    released.build(STOP, READ, OPEN)
    released.update()
    after = released.text.splitlines()
    assert [line for line in after if line not in before] == [released.line("sensor_stop")]
    assert [line for line in before if line not in after] == []


@pytest.mark.parametrize(
    ("released", "changes", "needed"),
    [
        ("", ["removed"], ""),
        ("1.4.2", [], "1.4.2"),
        ("1.4.2", ["added"], "1.5.0"),
        ("1.4.2", ["added", "changed"], "2.0.0"),
        ("1.4.2", ["removed", "added"], "2.0.0"),
        ("0.9.9", ["added"], "0.10.0"),
    ],
)
def test_versions(released: str, changes: list[Change], needed: str) -> None:
    ledger = Ledger("x", "1.0.0", released, {}, {})
    assert needed_version(ledger, {str(i): change for i, change in enumerate(changes)}) == needed


def test_versions_are_compared_as_numbers() -> None:
    assert is_below("1.9.0", "1.10.0")
    assert not is_below("2.0.0", "1.10.0")
    assert not is_below("1.0.0", "")


LINES = st.builds(
    lambda status, change, was, comments, remark: Line(status, {}, "", change, was, tuple(comments), remark),
    st.text(min_size=1),
    st.sampled_from(["", "added", "changed", "removed"]),
    st.sampled_from(["", "0123456789abcdef"]),
    st.lists(st.sampled_from(["# a comment", "", '# x = { status = "?" }', "  # [api]"]), max_size=3),
    st.sampled_from(["", "  # a remark", ' # } "', "# {}"]),
)


@given(
    symbols=st.dictionaries(WORDS | st.text(min_size=1), st.tuples(LINES, SIGNATURES), max_size=4),
    types=st.dictionaries(WORDS, LAYOUTS, max_size=3),
)
def test_what_is_written_is_read_again(symbols: dict[str, tuple[Line, Signature]], types: dict[str, Layout]) -> None:
    layouts = {f"{layout.kind} {name}": layout for name, layout in types.items()}
    whole = Interface({name: signature for name, (_, signature) in symbols.items()}, layouts)
    lines = {
        name: line._replace(entry=signature_entry(name, signature), hash=type_hash(name, whole))
        for name, (line, signature) in sorted(symbols.items())
    }
    ledger = Ledger("x", "1.2.3", "1.2.0", lines, layouts)
    again = read_ledger(write_ledger(ledger), "x")
    numberless = {name: line._replace(number=None) for name, line in again.lines.items()}
    assert again._replace(lines=numberless) == ledger
    assert again.interface == whole


WRONG = [
    ("[api]\nf = \n", 2, "not TOML"),
    ('version = "1.0.0"\n', None, "[api]"),
    ('version = "1.0"\n[api]\n', None, 'version = "1.0.0"'),
    ('version = 1\nreleased = "x"\n[api]\n', None, "found `1`"),
    ('version = "1.0.0"\n[api]\nf = 3\n', 3, 'status = "ok"'),
    ('version = "1.0.0"\n[api]\n\nf = { state = "ok" }\n', 4, "unknown key `state`"),
    ('version = "1.0.0"\n[api]\nf = { status = 3 }\n', 3, "wrong `status`"),
    ('version = "1.0.0"\n[api]\nf = { change = "new" }\n', 3, "wrong `change`"),
    ('version = "1.0.0"\n[api]\nf = { type = "int" }\n', 3, "the type of `f`"),
    ('version = "1.0.0"\n[api]\n[types."struct a"]\nsize = "x"\n', 3, "a size in bytes"),
    ("x = " + "[" * 100_000, None, "not TOML"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_wrong_ledgers(text: str, line: int | None, message: str, project: Project) -> None:
    project.build(OPEN)
    Path("api-ledger.toml").write_text(text)
    code, printed = llext("api", "check", "fw.toml", "--json")
    (first, *_) = json.loads(printed)["diagnostics"]
    assert (code, first["code"], first["location"].get("line")) == (14, "api-syntax", line)
    assert message in first["message"]
    assert os.path.exists("api-ledger.toml")

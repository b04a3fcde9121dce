"""Settings files: where they are found, what is wrong in them, and what counts if the command line differs.

Oracle: the rules of docs/reference/settings.md, each with a file of its own; tomllib reads the files.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cases import files
from llext_tools.cli import settings
from llext_tools.cli.policy import UNSEEN
from llext_tools.cli.settings import KEYS, Settings
from llext_tools.diag import CODES
from llext_tools.errors import LlextError, UsageError
from transcript import llext

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an extension that imports something and exports nothing."""
    (tmp_path / "e.llext").write_bytes(files()["arm_norelocate/e.llext"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(text: str, folder: Path, name: str = "llext.toml") -> list[tuple[int | None, str, str]]:
    """Line, message and help of each thing that is wrong with a file."""
    path = folder / name
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        settings.read(str(path))
    assert {d.code for d in error.value.diagnostics} == {"settings-syntax"}
    assert {d.location and d.location.file for d in error.value.diagnostics} == {str(path)}
    return [(d.location and d.location.line, d.message, d.help) for d in error.value.diagnostics]


# ---- what a file says


def test_every_key_of_the_reference_is_taken_and_none_is_left_out(project: Path) -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| `(.*?)` \|", REFERENCE.read_text().partition("## The table")[0], re.MULTILINE)
    assert [key for key, _ in rows] == list(KEYS)
    for head in ("", "[check]\n"):
        (project / "llext.toml").write_text(head + "".join(f"{key} = {value}\n" for key, value in rows))
        found = settings.read("llext.toml")
        assert all(getattr(found, key.replace("-", "_")) for key, _ in rows)
    body = "".join(f"{key} = {value}\n" for key, value in rows)
    (project / "pyproject.toml").write_text(f"[tool.other]\nselect = 3\n[tool.llext]\n{body}")
    assert settings.read("pyproject.toml")._replace(file="") == found._replace(file="")


def test_an_empty_file_says_nothing(project: Path) -> None:
    (project / "llext.toml").write_text("\n")
    assert settings.read("llext.toml") == Settings(file="llext.toml")


def test_paths_start_at_the_folder_of_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "llext.toml").write_text('exports = ["out/zephyr.elf", "/abs/table.toml"]\n')
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    found = settings.read(settings.find())
    assert [Path(path).resolve() for path in found.exports] == [project / "out/zephyr.elf", Path("/abs/table.toml")]


@pytest.mark.parametrize("key", ["exports", "entries", "config", "select"])
def test_a_list_holds_no_empty_text(key: str, project: Path) -> None:
    """The path of the folder would come of it, or a name that nothing can have."""
    for value, verb in ('""', "is"), ('["", "x=1"]', "holds"):
        first, *_ = problems(f"# nothing\n{key} = {value}\n", project)
        assert first[:2] == (2, f"`{key}` {verb} an empty text")


@pytest.mark.parametrize(
    ("werror", "expected"), [("true", set(CODES)), ("false", set()), ('["elf-magic"]', {"elf-magic"})]
)
def test_werror(werror: str, expected: set[str], project: Path) -> None:
    (project / "llext.toml").write_text(f"werror = {werror}\n")
    assert settings.read("llext.toml").werror == expected


def test_per_file_ignores_start_at_the_folder_of_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "[a] project").mkdir()
    (project / "[a] project" / "llext.toml").write_text(
        '[per-file-ignores]\n"old/*.llext" = ["no-exports"]\n"b.llext" = ["thread-local"]\n'
    )
    policy = settings.read("[a] project/llext.toml").policy
    assert policy.hidden("[a] project/old/a.llext") == {"no-exports"}
    assert policy.hidden("old/a.llext") == set()
    assert policy.hidden("anywhere/b.llext") == {"thread-local"}
    monkeypatch.chdir("[a] project")
    assert policy.hidden("old/a.llext") == {"no-exports"}


# ---- what is wrong with it


def test_all_that_is_wrong_comes_at_once_with_its_line(project: Path) -> None:
    text = (
        "# select is spelt wrongly\n"
        'selct = ["elf"]\n'
        'ignore = ["no-export", "elf", 7]\n'
        "werror = 1\n"
        "profile = 'zephyr-nxt'\n"
        "target = ['cortex-m4']\n"
        'format = ""\n'
        "[per-file-ignores]\n"
        '"a.llext" = ["regoin"]\n'
        "[other]\n"
        "x = 1\n"
    )
    found = problems(text, project)
    assert [(line, hint) for line, _, hint in found if "did you mean" in hint] == [
        (2, "did you mean `select`?"),
        (3, "did you mean `no-exports`?"),
        (5, "did you mean `zephyr-next`?"),
        (9, "did you mean `region`?"),
    ]
    assert [line for line, _, _ in found] == [2, 3, 3, 4, 5, 6, 7, 9, 10]
    assert "`werror` is a number, neither text nor a list of texts" in [message for _, message, _ in found]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("select = [", "not TOML: ", 1),
        ("\n= 1\n", "not TOML: ", 2),
        ('check = "elf"', "`check` is text, not a table of keys", 1),
        ('target = "cortex-m4"\n[check]\ntarget = "cortex-m4"\n', "`target` stands both in `[check]` and outside", 1),
        ("per-file-ignores = 1979-05-27", "`per-file-ignores` is a date or time, not a table of patterns", 1),
        ("x = " + "[" * 5000, "not TOML: nested too deeply, or a number too long", None),
        ("x = 1" + "0" * 5000, "not TOML: nested too deeply, or a number too long", None),
    ],
)
def test_one_mistake(text: str, message: str, line: int | None, project: Path) -> None:
    ((found_line, found, _),) = problems(text, project)
    assert found.startswith(message)
    assert found_line == line


toml = st.recursive(
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(sorted(CODES)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def written(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), repr(value))
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if not 0xD800 <= ord(c) < 0xE000 else "?" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(k)} = {written(v)}" for k, v in value.items()) + "}"
    return str(value)


@given(st.dictionaries(st.sampled_from([*KEYS, "check", "tool", "llext"]) | st.text(max_size=6), toml, max_size=4))
def test_any_table_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]) -> None:
    text = "".join(f"{written(key)} = {written(value)}\n" for key, value in table.items())
    tomllib.loads(text)
    taken_or_refused(fuzzed(tmp_path_factory), text.encode())


@given(st.binary(max_size=64) | st.text(alphabet='[]{}=#"\\\n\x00.abck-', max_size=40).map(str.encode))
def test_any_bytes_are_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    taken_or_refused(fuzzed(tmp_path_factory), data)


def fuzzed(factory: pytest.TempPathFactory) -> Path:
    """A file in a folder that is above no other test's."""
    folder = factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    return folder / "llext.toml"


def taken_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        found = settings.read(str(path))
    except LlextError as error:
        assert {d.code for d in error.diagnostics} == {"settings-syntax"}
    else:
        assert isinstance(found.policy.hidden("x.llext"), frozenset)


# ---- which file


def test_the_nearest_file_counts_and_llext_toml_before_pyproject(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    (project / "llext.toml").touch()
    assert settings.find() == os.path.join("..", "..", "llext.toml")
    (project / "a" / "pyproject.toml").write_text("[tool.llext]\n")
    assert settings.find() == os.path.join("..", "pyproject.toml")
    (project / "a" / "llext.toml").touch()
    assert settings.find() == os.path.join("..", "llext.toml")


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("[tool.ruff]\nline-length = 1\n", False),
        ('[project]\nname = "llext-demo"\n', False),
        ("[tool.llext.per-file-ignores]\n", True),
        ("tool.llext.select = []\n", True),
        ("[project\nllext = 1\n", False),
        ("[tool.llext]\nselect = [\n", True),
        ("tool = 3 # llext\n", False),
    ],
)
def test_a_pyproject_of_others_is_passed_over(text: str, ours: bool, project: Path) -> None:
    (project / "pyproject.toml").write_text(text)
    assert settings.find() == ("pyproject.toml" if ours else "")


def test_no_settings_and_settings_file(project: Path) -> None:
    (project / "llext.toml").write_text("werror = true\n")
    (project / "other.toml").write_text('ignore = ["no-exports"]\n')
    code = CODES["no-exports"].error.exit_code
    assert llext("check", "e.llext")[0] == code
    assert llext("check", "e.llext", "--no-settings")[0] == 0
    assert "no-exports" not in llext("check", "e.llext", "--settings", "other.toml")[1]
    assert llext("check", "e.llext", "--settings", "absent.toml")[0] == 3
    (project / "llext.toml").write_text("weror = true\n")
    code, text = llext("check", "e.llext")
    assert code == 2
    assert "error[settings-syntax]: there is no key `weror`" in text


def test_the_command_line_goes_before_the_file(project: Path) -> None:
    (project / "table.toml").write_text("[exports]\nother = 0x1001\n")
    (project / "llext.toml").write_text(
        'exports = "table.toml"\ntarget = "cortex-m4"\nformat = "json"\nentries = ["start"]\nignore = ["elf"]\n'
    )
    code, text = llext("check", "e.llext")
    assert text.startswith("{")
    assert code == 5
    assert "does not export `start`" in text
    assert "does not export `start`" not in llext("check", "e.llext", "--entry", "other", "--format=text")[1]
    code, text = llext("check", "e.llext", "--format=text", "--target=rv32imac")
    assert code == 5, "elf-target is ignored"
    assert "undefined" in text
    assert "elf-target" in llext("check", "e.llext", "--format=text", "--target=rv32imac", "--ignore=no-exports")[1]


def test_finish_passes_the_settings_on(project: Path) -> None:
    (project / "strict.toml").write_text("werror = true\n")
    code = CODES["no-exports"].error.exit_code
    finish = ("finish", "e.llext", "-o", "out.llext", "--check")
    assert llext(*finish)[0] == 0
    assert llext(*finish, "--settings", "strict.toml")[0] == code
    (project / "strict.toml").rename("llext.toml")
    assert llext(*finish)[0] == code
    assert llext(*finish, "--no-settings")[0] == 0
    (project / "llext.toml").write_text('werror = true\nformat = "sarif"\n')
    assert "error[no-exports]" in llext(*finish)[1], "a build's log is for people"


def test_every_code_of_a_file_that_was_not_checked_exists() -> None:
    assert not UNSEEN - CODES.keys()


def test_the_board_is_that_of_the_file_unless_the_command_line_says(project: Path) -> None:
    """Oracle: what the command line says to the same, without any file."""
    (project / "llext.toml").write_text('heap = "0x20000000+16"\nconfig = ["LLEXT_HEAP_SIZE=1", ".config"]\n')
    (project / ".config").write_text("CONFIG_HARVARD=n\n")
    code, text = llext("check", "e.llext")
    assert code
    assert (code, text) == llext("check", "e.llext", "--no-settings", "--heap=0x20000000+16", "--config=.config")
    assert llext("check", "e.llext", "--heap=0x20000000+8K")[0] == 0


def test_a_heap_may_be_a_number(project: Path) -> None:
    (project / "llext.toml").write_text("heap = 8192\n")
    assert llext("check", "e.llext") == llext("check", "e.llext", "--no-settings", "--heap=8K")


@pytest.mark.parametrize("heap", ["lots", "-1", "0x+8K", "1+2+3"])
def test_a_heap_is_judged_where_it_stands(heap: str, project: Path) -> None:
    ((line, message, _),) = problems(f'\nheap = "{heap}"\n', project)
    assert line == 2
    assert message.startswith("`heap`: ")

"""What is reported and what it is worth: --select, --ignore, --werror.

Oracle: the table of codes; and for what an ignored error must not hide, the same object without that error.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cases import files
from llext_tools.check import check
from llext_tools.cli.policy import UNSEEN, Policy, codes_of
from llext_tools.diag import CODES, Diagnostic, Reporter
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import ExportTable
from transcript import llext

EVERYTHING = [Diagnostic(code, "m", severity="warning" if i % 2 else "error") for i, code in enumerate(CODES)]
UNDEFINED = "arm_norelocate/e.llext"
"""Imports something; exports nothing that the loader finds."""


def codes(found: object) -> list[str]:
    assert isinstance(found, tuple)
    return [d.code for d in found]


@pytest.mark.parametrize("word", ["region", "region-", "region-*"])
def test_a_family_is_what_its_codes_begin_with(word: str) -> None:
    found, wrong = codes_of([word])
    assert found == {code for code in CODES if code.startswith("region-")}
    assert not wrong


def test_a_code_is_no_family() -> None:
    assert codes_of(["undefined-symbol"]) == (frozenset({"undefined-symbol"}), {})
    assert codes_of(["all"]) == codes_of(["*"]) == (frozenset(CODES), {})


def test_nothing_asked_for_changes_nothing() -> None:
    assert Policy().apply(EVERYTHING) == tuple(EVERYTHING)


@given(st.none() | st.frozensets(st.sampled_from(sorted(CODES))), st.frozensets(st.sampled_from(sorted(CODES))))
def test_select_and_ignore(select: frozenset[str] | None, ignore: frozenset[str]) -> None:
    wanted = [
        d for d in EVERYTHING if d.code in UNSEEN or ((select is None or d.code in select) and d.code not in ignore)
    ]
    assert Policy(select=select, ignore=ignore).apply(EVERYTHING) == tuple(wanted)


@given(st.frozensets(st.sampled_from(sorted(CODES))))
def test_werror_raises_warnings_only(werror: frozenset[str]) -> None:
    found = Policy(werror=werror).apply(EVERYTHING)
    assert codes(found) == list(CODES)
    for before, after in zip(EVERYTHING, found, strict=True):
        assert after.severity == ("error" if before.code in werror else before.severity)


def test_per_file_ignores_go_by_path_or_name() -> None:
    policy = Policy(per_file=(("*/old-*.llext", frozenset({"no-exports"})), ("/src/*", frozenset({"thread-local"}))))
    assert policy.hidden("some/old-1.llext") == {"no-exports"}
    assert policy.hidden("/src/a/b.llext") == {"thread-local"}
    assert policy.hidden("/src/old-2.llext") == {"no-exports", "thread-local"}
    assert policy.hidden("new.llext") == policy.hidden() == set()


# ---- the command


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has one error against this table, ``undefined-symbol``, and behind it a warning, ``no-exports``."""
    (tmp_path / "e.llext").write_bytes(files()[UNDEFINED])
    (tmp_path / "table.toml").write_text("[exports]\nother = 0x1001\n")
    monkeypatch.chdir(tmp_path)
    return "e.llext"


def run(extension: str, *options: str) -> tuple[int, str]:
    return llext("check", extension, "--exports", "table.toml", *options)


def test_an_ignored_error_hides_nothing_and_fails_nothing(extension: str) -> None:
    code, text = run(extension)
    assert code == 5
    assert "[no-exports]" not in text
    missing = CODES["undefined-symbol"].error
    ignored = ",".join(c for c, row in CODES.items() if row.error is missing)
    code, text = run(extension, "--ignore", ignored)
    assert code == 0
    assert "warning[no-exports]" in text
    assert "undefined" not in text


def test_werror_gives_the_exit_code_of_the_warning(extension: str) -> None:
    base = ("check", extension)
    assert llext(*base)[0] == 0
    for option in ("--werror", "--werror=no-exports", "--werror=no", "--werror=elf-magic,no-exports"):
        code, text = llext(*base, option)
        assert code == CODES["no-exports"].error.exit_code, option
        assert "error[no-exports]" in text
    assert llext(*base, "--werror=elf-magic")[0] == 0


def test_werror_without_codes_takes_no_file_for_them(extension: str) -> None:
    assert llext("check", "--werror", extension)[0] == CODES["no-exports"].error.exit_code


def test_select_restricts(extension: str) -> None:
    assert run(extension, "--select", "elf")[0] == 0
    code, text = run(extension, "--select", "no-exports", "--select", "elf")
    assert code == 0
    assert "warning[no-exports]" in text
    assert run(extension, "--select", "undefined-symbol,elf-magic")[0] == 5


@pytest.mark.parametrize("option", ["--select", "--entry"])
@pytest.mark.parametrize("value", [" ", ","])
def test_an_option_that_names_nothing_is_a_mistake(option: str, value: str, extension: str) -> None:
    """As with `--select "$CODES"` where nobody has set the variable: it would hide everything."""
    code, text = run(extension, option, value)
    assert code == 2
    assert f"{option}: there is no name in it" in text


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_is_written_over_what_is_checked(form: str, extension: str) -> None:
    before = Path(extension).read_bytes()
    Path("link").symlink_to(extension)
    for output in (extension, "link"):
        code, text = llext("check", extension, "--format", form, "-o", output)
        assert code == 2
        assert f"llext check: --output: `{output}` is one of the files that are read" in " ".join(text.split())
        assert Path(extension).read_bytes() == before


@pytest.mark.parametrize("name", [".config", "llext.toml"])
def test_nothing_is_written_over_what_else_is_read(name: str, extension: str) -> None:
    Path(".config").write_text("CONFIG_LLEXT_HEAP_SIZE=8\n")
    Path("llext.toml").write_text("ignore = []\n")
    code, text = llext("check", extension, "--config", ".config", "-o", f"./{name}")
    assert code == 2
    assert f"llext check: --output: `./{name}` is one of the files that are read" in " ".join(text.split())


def test_a_file_that_cannot_be_read_is_never_passed_over(extension: str) -> None:
    Path("text.llext").write_text("no object")
    for option in ("--select=no-exports", "--ignore=all", "--ignore=elf"):
        assert llext("check", extension, "text.llext", option)[0] == 3, option
        assert llext("check", "absent.llext", option)[0] == 3, option


def test_all_unknown_codes_are_reported_with_what_was_meant(extension: str) -> None:
    code, text = run(extension, "--select", "regoin", "--ignore", "no-export,region", "--werror=elf-magick")
    assert code == 2
    assert text.count("error[usage]") == 3
    for near in ("region", "no-exports", "elf-magic"):
        assert f"did you mean `{near}`?" in text


# ---- going on after an ignored error


@given(st.sampled_from(sorted(files())), st.integers(0, 1 << 16), st.integers(0, 255), st.integers(1, 8))
def test_going_on_after_errors_needs_no_sound_object(name: str, at: int, value: int, count: int) -> None:
    """Whatever is wrong with a file: an ``LlextError`` or an answer, and what is found without ignoring, is found."""
    data = bytearray(files()[name])
    for i in range(count):
        data[(at * (i + 1)) % min(len(data), 0x400)] = value
    firmware = Firmware(exports=ExportTable.of({"nothing": 0x1001}))
    found = []
    for ignored in ((), CODES):
        reporter = Reporter()
        try:
            check(read_object(bytes(data), "e"), firmware=firmware, reporter=reporter, ignored=ignored)
        except LlextError as error:
            reporter.add(error.diagnostics)
        found.append({(d.code, d.message) for d in reporter.diagnostics})
    assert found[0] <= found[1]

"""Each failure that a host can find is found in an object of a real compiler or assembler, and its twin is clean.

Oracle: the table in ``failures/``, which says what each object does on a board; the goldens, read by a person.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import transcript
from check.failures import table
from check.failures.table import Case
from llext_tools.diag import CODES

pytestmark = pytest.mark.toolchain

CASES = table.cases()
HEAD = re.compile(r"^(error|warning)\[([\w-]+)\]", re.MULTILINE)


def printed(case: Case, which: str, arch: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """What the command prints about one object, and its exit code."""
    work = folder / f"{which}-{arch}"
    work.mkdir()
    table.build(case, which, arch, work)
    patch.chdir(work)
    lines, codes = transcript.run([f"$ {case.command(which)}"], work, show_exit=True)
    return lines, codes[-1]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.row[:2]}-{case.name}" for case in CASES])
def test_fault_is_found_and_twin_is_clean(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: bool
) -> None:
    texts = []
    for arch in case.arch:
        lines, code = printed(case, "faulty", arch, tmp_path, monkeypatch)
        text = "\n".join(lines)
        found = HEAD.findall(text)
        assert {name for _, name in found} == set(case.codes), text
        assert case.severity in {severity for severity, _ in found}, text
        first = next((name for severity, name in found if severity == "error"), "")
        assert code == (CODES[first].error.exit_code if first else 0), text
        texts += [f"# {arch}", *lines]

        lines, code = printed(case, "twin", arch, tmp_path, monkeypatch)
        text = "\n".join(lines)
        assert not HEAD.search(text), text
        assert code == 0, text
    expected = table.GOLDEN / f"{case.row[:2]}-{case.name}.txt"
    text = "\n".join([*texts, ""])
    if golden:
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(text)
    assert text == expected.read_text()


def test_all_of_them_are_there() -> None:
    assert {int(case.row[:2]) for case in CASES} == set(range(1, 36))


def test_each_expected_text_belongs_to_a_case() -> None:
    names = [f"{case.row[:2]}-{case.name}.txt" for case in CASES]
    assert len(set(names)) == len(names)
    assert sorted(path.name for path in table.GOLDEN.iterdir()) == sorted(names)

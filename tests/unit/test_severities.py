"""The severities that the table of codes names. Oracle: what the package's source gives to a diagnostic of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import llext_tools
from llext_tools import explain
from llext_tools.diag import CODES
from transcript import llext

PACKAGE = Path(llext_tools.__file__).parent
GOLDEN = Path(__file__).parents[1] / "golden"
MADE = {"Diagnostic": "error", "error": "error", "fail": "error", "warning": "warning"}


def severity_of(call: ast.Call, made: str) -> set[str]:
    """Of a call, what stands for the severity in it: a constant, or the constants of an ``if``."""
    given = next((word.value for word in call.keywords if word.arg == "severity"), None)
    if given is None and made == "Diagnostic" and len(call.args) > 2:
        given = call.args[2]
    if given is None:
        return {MADE[made]}
    words = {str(part.value) for part in ast.walk(given) if isinstance(part, ast.Constant)}
    return words & {"error", "warning"}


def found() -> Iterator[tuple[str, str]]:
    """Code and severity of each diagnostic that is made with a constant code."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in MADE and node.args[0].value in CODES:
                    yield from ((str(node.args[0].value), severity) for severity in severity_of(node, name))


def test_a_code_that_is_always_a_warning_is_never_made_as_an_error() -> None:
    made = set(found())
    assert len({code for code, _ in made}) > 60, "the source is not read as it is written"
    for code, row in CODES.items():
        assert (code, "error") not in made or row.warning != "always", code
        assert (code, "warning") not in made or row.warning, code


def test_what_is_printed_has_a_severity_of_the_table() -> None:
    texts = [path.read_text() for path in GOLDEN.rglob("*.txt")] + [explain.page(code) for code in explain.codes()]
    printed = {(code, severity) for severity, code in re.findall(r"(error|warning)\[([a-z-]+)\]", "\n".join(texts))}
    assert {code for code, severity in printed if severity == "warning"} >= {"no-exports", "abi-float"}
    assert [code for code, severity in printed if severity == "warning" and not CODES[code].warning] == []
    for code, row in CODES.items():
        assert row.warning != "always" or (code, "warning") in printed or (code, "error") in printed, code


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("no-exports", "no-exports: exit code 4 with --werror, else a warning\n"),
        ("abi-float", "abi-float: exit code 13, 0 as a warning\n"),
        ("undefined-symbol", "undefined-symbol: exit code 5, on the board -ENODATA\n"),
    ],
)
def test_explain_says_it(code: str, line: str) -> None:
    assert llext("explain", code)[1].startswith(line)

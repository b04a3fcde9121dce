"""The how-to page on tests: its C is compiled, its tests are run, as they are printed there.

Oracle: the asserts in the page, on what its C code computes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.compiled import compile_c
from llext_tools.arch import target
from transcript import llext

pytestmark = pytest.mark.emulator

PAGE = (Path(__file__).parents[2] / "docs/how-to/test-from-python.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("cpu", ["cortex-m4", "rv32imac"])
def test_the_tests_of_the_page(
    cpu: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,), python = blocks("c"), blocks("python")
    compiled = compile_c(source, target(cpu), "gcc", pytester.path, name="blink")
    assert llext("finish", compiled.path) == (0, "")
    *tests, script = python
    pytester.makepyfile(test_blink="\n\n".join(tests))
    count = sum(text.count("\ndef test_") for text in ("\n" + each for each in tests))
    done = pytester.runpytest_inprocess("-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider", "-W", "error")
    done.assert_outcomes(passed=count)
    assert count >= 10
    monkeypatch.chdir(pytester.path)
    capsys.readouterr()
    exec(compile(script.replace("cortex-m4", cpu), "test-from-python.md", "exec"), {})
    assert capsys.readouterr().out == "blinked 3\n"

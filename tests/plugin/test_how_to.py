"""The how-to page on tests: its C is compiled, its tests are run, as they are printed there.

Oracle: the asserts in the page, on what its C code computes.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
from pathlib import Path

import pytest

import llext_tools
from built import find
from emulator.compiled import compile_c
from llext_tools import Extension
from llext_tools.arch import target
from llext_tools.testing.options import Options
from needs import need
from transcript import llext

pytestmark = pytest.mark.emulator

PAGE = (Path(__file__).parents[2] / "docs/how-to/test-from-python.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


PLUGIN = ("-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider", "-W", "error")


def commands() -> list[list[str]]:
    return [shlex.split(line[2:]) for line in "".join(blocks("console")).splitlines()]


@pytest.mark.parametrize("cpu", ["cortex-m4", "rv32imac"])
def test_the_tests_of_the_page(
    cpu: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder as `llext build` leaves it for two targets."""
    (source,), python = blocks("c"), blocks("python")
    for each in ("cortex-m4", "rv32imac"):
        folder = pytester.path / "build" / f"{each}-gcc"
        folder.mkdir(parents=True)
        compiled = compile_c(source, target(each), "gcc", folder, name="blink")
        assert llext("finish", compiled.path) == (0, "")
    *tests, script = python
    pytester.mkdir("tests").joinpath("test_blink.py").write_text("\n\n".join(tests), encoding="utf-8")
    count = sum(text.count("\ndef test_") for text in ("\n" + each for each in tests))
    done = pytester.runpytest_inprocess(*PLUGIN, "--llext-target", cpu)
    done.assert_outcomes(passed=count)
    assert count >= 10
    monkeypatch.chdir(pytester.path / "build" / f"{cpu}-gcc")
    capsys.readouterr()
    exec(compile(script.replace("cortex-m4", cpu), "test-from-python.md", "exec"), {})
    assert capsys.readouterr().out == "blinked 3\n"


def test_the_page_lists_all_options_and_keywords(pytester: pytest.Pytester) -> None:
    """Oracle: what Python itself says of ``Extension.load()``, and pytest of the options of the plugin."""
    listed = " ".join(re.findall(r"^\|(.*?)\|", PAGE, re.MULTILINE))
    keywords = {*inspect.signature(Extension.load).parameters, *Options._fields} - {"path", "given"}
    assert set(re.findall(r"`(\w+)=", listed)) == keywords
    text = pytester.runpytest_subprocess(*PLUGIN, "--help").stdout.str()
    offered = re.findall(r"^ +(--llext-[\w-]+)=", text, re.MULTILINE)
    assert sorted(re.findall(r"`(--llext-[\w-]+)=", listed)) == sorted(offered)


@pytest.mark.cmake
@pytest.mark.toolchain
def test_the_commands_of_the_page(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as it is printed, from a folder with nothing but what the page shows."""
    need("cmake")
    need("ninja")
    find("cortex-m4", "gcc"), find("rv32imac", "gcc")
    for name in list(os.environ):
        if name.startswith(("LLEXT_", "PYTEST_ADDOPTS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(Path(llext_tools.__file__).parents[1]))
    *tests, _ = blocks("python")
    pytester.mkdir("tests")
    files = {"blink.c": blocks("c"), "CMakeLists.txt": blocks("cmake"), "tests/test_blink.py": tests}
    for name, text in files.items():
        (pytester.path / name).write_text("\n\n".join(text), encoding="utf-8")
    seen = []
    for program, *rest in commands():
        seen.append(program)
        if program == "llext":
            done = pytester.runpython_c(f"from llext_tools.cli import main; raise SystemExit(main({rest}))")
            assert done.ret == 0, done.stdout.str()
        elif program == "pytest":
            ran = pytester.runpytest_subprocess(*PLUGIN, *rest)
            ran.assert_outcomes(passed=ran.parseoutcomes()["passed"])
    assert seen == ["pip", "llext", "pytest", "llext", "pytest"]

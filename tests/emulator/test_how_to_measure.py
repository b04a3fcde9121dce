"""The page on measures says what happens.

Oracle: the page; numbers of instructions and bytes, which another release of GCC may change, count as numbers only.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import transcript
from emulator.compiled import compile_file
from llext_tools.arch import target
from needs import need

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/measure.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
VARYING = re.compile(r"^ +[\d,]+ +[\d,]+(?= )|(?<=^stack of main: )\d+|(?<=^instructions: )\d+", re.MULTILINE)

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sample ``counter`` is, compiled as the page says."""
    source = Path(shutil.copy(ROOT / "sample_extensions/counter/counter.c", tmp_path))
    compile_file(source, target("cortex-m4"), "gcc", tmp_path, "-O0")
    shutil.copy(tmp_path / "counter.debug.elf", tmp_path / "counter.llext")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", CONSOLE, ids=["coverage", "profile", "trace", "usage"])
def test_console(block: str, folder: Path) -> None:
    if "genhtml" in block:
        need("genhtml")
    found, codes = transcript.run(block.splitlines(), folder)
    assert VARYING.sub("#", "\n".join(found)) == VARYING.sub("#", block.rstrip("\n"))
    assert set(codes) == {0}


@pytest.mark.usefixtures("folder")
def test_python(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = PYTHON
    exec(compile(block, "measure.md", "exec"), {})
    lines, function = capsys.readouterr().out.splitlines()
    assert lines == "13 lines", "the page has 13 of them, too"
    assert re.fullmatch(r"counter_tick \d+", function)

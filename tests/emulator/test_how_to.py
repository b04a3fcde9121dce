"""The Python of the how-to page runs, as it is printed there.

Oracle: the asserts in the page, which are what the sample's own CMakeLists expects of it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from emulator.compiled import compile_c
from llext_tools.arch import target

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/load-from-python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
PRINTED = ["total 15", "packet lost", "no partition of the domain"]
"""A part of what each block prints."""


@pytest.mark.parametrize(("block", "printed"), list(zip(BLOCKS, PRINTED, strict=True)), ids=["life", "loader", "user"])
@pytest.mark.parametrize("chain", ["gcc", "zig"])
def test_page_runs(
    block: str,
    printed: str,
    chain: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = (ROOT / "sample_extensions/counter/counter.c").read_text(encoding="utf-8")
    compiled = compile_c(source, target("cortex-m4"), chain, tmp_path, name="counter")
    shutil.copy(compiled.path, tmp_path / "counter.llext")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "load-from-python.md", "exec"), {})
    assert printed in capsys.readouterr().out

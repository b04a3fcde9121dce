"""The Python of the how-to page runs, as it is printed there.

Oracle: the asserts in the page, which are what the sample's own CMakeLists expects of it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import transcript
from emulator.compiled import compile_c
from llext_tools.arch import target
from llext_tools.cli import main

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


FAULT = (ROOT / "docs/how-to/read-a-fault.md").read_text(encoding="utf-8")


def test_page_on_faults_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is shipped, with the one for debuggers beside it."""
    source, console = (
        re.findall(rf"^```{kind}\n(.*?)^```", FAULT, re.DOTALL | re.MULTILINE)[0] for kind in ("c", "console")
    )
    monkeypatch.chdir(tmp_path)
    here = f"-ffile-prefix-map={tmp_path}/="
    compile_c(source, target("cortex-m4"), "gcc", tmp_path, here, name="sensor")
    assert main(["finish", "sensor.debug.elf"]) == 0
    printed, codes = transcript.run(console.splitlines(), tmp_path)
    assert codes == [8]
    assert printed == console.splitlines()
    assert console in (ROOT / "README.md").read_text(encoding="utf-8")
    lines = source.splitlines()
    for function, line in (("sample", "value = sensor.read"), ("sensor_start", "first = sample(0)")):
        shown = next(text for text in printed if text.startswith("   | #") and function in text)
        assert line in lines[int(shown.rsplit(":", 1)[1]) - 1]

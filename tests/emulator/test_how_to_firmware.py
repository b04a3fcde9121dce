"""The commands of the page on running against a firmware print what the page shows.

Oracle: the page, whose figures the sample's own CMakeLists expects as well; ``--update-golden`` writes it anew.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import transcript
from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.cli import main
from samples import ROOT, Builder

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

PAGE = Path(__file__).parents[2] / "docs/how-to/run-against-firmware.md"


def test_the_page_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], golden: bool
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    builder = Builder("cortex-m3", "gcc", tmp_path)
    builder.firmware(0x0800_0000, 0x2000_0000, 0x4000_4000)
    shutil.copy(builder.extension("thermometer"), tmp_path / "thermometer.llext")
    for name, body in re.findall(r"^```python (\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lines = "void light(int leds) { *(volatile int *)0x50000000 = leds; } EXPORT_SYMBOL(light);"
    compile_c(lines, arch.target("cortex-m3"), "gcc", tmp_path)
    (device,) = re.findall(r"`(--mmio \S+:Leds)`", text)
    assert main(["run", "ext.debug.elf", *device.split(), "--call", "light(5)"]) == 0
    assert capsys.readouterr().out.splitlines() == ["leds: 00000101", "light(5) returned"]
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        printed = "\n".join(transcript.run(block.splitlines(), tmp_path)[0]) + "\n"
        printed = printed.replace(f"{ROOT}/firmware/", "")  # where the sample was compiled
        printed = re.sub(r"\n {6}(?=in `|`|\()", " ", printed)  # a long path of it had put the rest on lines of its own
        if golden:
            PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(block, printed), encoding="utf-8")
        else:
            assert printed == block

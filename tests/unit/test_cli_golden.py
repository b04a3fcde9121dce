"""What the command line prints. Oracle: the transcripts in tests/golden, read by a person when they change."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import transcript
from llext_tools.paths import cmake_dir
from needs import need

FOR_M4 = "-g -Os -ffreestanding -fno-builtin -mcpu=cortex-m4 -mthumb"
CPP = "-fno-exceptions -fno-rtti -fno-use-cxa-atexit -mlong-calls"
METER = (
    f"arm-none-eabi-gcc {FOR_M4} -nostdlib -T zephyr/firmware.ld zephyr/firmware.c -o zephyr/zephyr.elf",
    f"arm-none-eabi-g++ {FOR_M4} {CPP} -c meter.cpp -o meter.o",
    f"arm-none-eabi-ld -r -T {cmake_dir()}/llext-merge.ld --force-group-allocation meter.o -o meter.llext",
)
"""A firmware with debug information, a ``.config`` and a devicetree beside it, and an extension that lacks much."""
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.txt")))
def test_transcript(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: bool) -> None:
    expected = (GOLDEN / f"{name}.txt").read_text()
    shutil.copytree(GOLDEN / "inputs", tmp_path, dirs_exist_ok=True)
    if "meter.llext" in expected:
        for command in METER:
            subprocess.run([need(command.split()[0]), *command.split()[1:]], cwd=tmp_path, check=True)
    if "blink.llext" in expected:
        subprocess.run([need("arm-none-eabi-as"), "blink.s", "-o", "blink.llext"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    printed, _ = transcript.run(expected.splitlines(), tmp_path, show_exit=True)
    found = "\n".join([*printed, ""])
    if golden:
        (GOLDEN / f"{name}.txt").write_text(found)
        expected = found
    assert found == expected

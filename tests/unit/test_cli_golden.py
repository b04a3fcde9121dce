"""What the command line prints. Oracle: the transcripts in tests/golden, read by a person when they change."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import transcript
from needs import need

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.txt")))
def test_transcript(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: bool) -> None:
    expected = (GOLDEN / f"{name}.txt").read_text()
    shutil.copytree(GOLDEN / "inputs", tmp_path, dirs_exist_ok=True)
    if "blink.llext" in expected:
        subprocess.run([need("arm-none-eabi-as"), "blink.s", "-o", "blink.llext"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    printed, _ = transcript.run(expected.splitlines(), tmp_path, show_exit=True)
    found = "\n".join([*printed, ""])
    if golden:
        (GOLDEN / f"{name}.txt").write_text(found)
        expected = found
    assert found == expected

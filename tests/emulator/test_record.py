"""The record of a run that passed. Oracles: ``sha256sum`` and ``stat`` of the files; what the run was asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.compiled import CALLS_READ_ADC
from llext_tools.build import Job
from llext_tools.build.process import environment
from llext_tools.build.runs import up_to_date
from needs import need

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

ANSWER = f"""{CALLS_READ_ADC}
.ltorg
.section .exported_sym, "a"
.balign 4
.word name, answer
.section .rodata, "a"
name: .asciz "answer"
"""
BOARD = "import levels\ndef adc() -> int:\n    return levels.LEVEL\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gas = need("arm-none-eabi-as")
    folder = tmp_path_factory.mktemp("record")
    (folder / "answer.s").write_text(ANSWER, encoding="utf-8")
    subprocess.run([gas, "-mcpu=cortex-m4", "answer.s", "-o", "answer.llext"], cwd=folder, check=True)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    shutil.copyfile(built / "answer.llext", tmp_path / "answer.llext")
    (tmp_path / "board.py").write_text(BOARD, encoding="utf-8")
    (tmp_path / "levels.py").write_text("LEVEL = 7\n", encoding="utf-8")
    return tmp_path


def run(folder: Path, *more: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llext_tools", "run", "answer.llext", "--target=cortex-m4", "--call=answer()"]
    command += ["--prototype=int answer(void)", "--prototype=int read_adc(void)", "--record=out/run.json"]
    done = subprocess.run([*command, *more], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == code, done.stderr
    return done


def record(folder: Path) -> Any:
    return json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))


def test_a_record_says_what_has_passed_and_what_was_read(folder: Path) -> None:
    for _ in range(2):  # the second time, what board.py imports comes from its .pyc file
        run(folder, "--test=works", "--override=read_adc=board.py:adc", "--placements=2", "--expect-return=7")
        found = record(folder)
        assert (found["test"], found["calls"], found["placements"]) == ("works", ["answer()"], 2)
        digest = subprocess.run(["sha256sum", "answer.llext"], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
        assert found["files"] == {"answer.llext": digest.decode().split()[0]}
        names = ("answer.llext", "board.py", "levels.py")
        stats = {str(folder / name): os.stat(folder / name) for name in names}
        inputs = {path: each for path, each in found["inputs"].items() if each}
        assert inputs == {path: [each.st_size, each.st_mtime_ns] for path, each in stats.items()}


def test_a_record_says_what_was_looked_for(folder: Path) -> None:
    text = f"try:\n    open('more.txt')\nexcept OSError:\n    pass\n{BOARD}"
    (folder / "board.py").write_text(text, encoding="utf-8")
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").touch()
    (folder / "build").mkdir()
    run(folder, "--test=works", "--override=read_adc=board.py:adc")
    found = record(folder)
    assert found["inputs"][str(folder / "more.txt")] is None
    assert found["modules"][str(folder)] == ["board.py", "levels.py", "pack"]
    assert found["folders"] == {}
    assert found["pythonpath"] == os.environ.get("PYTHONPATH", "")


@pytest.mark.parametrize("how", ["os.listdir(waves)", "list(os.scandir(waves))", "list(pathlib.Path(waves).glob('*'))"])
def test_a_record_says_what_was_listed(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And holds while there are the same names."""
    text = f"import os, pathlib\nwaves = 'waves'\ndef adc() -> int:\n    return len({how})\n"
    (folder / "board.py").write_text(text, encoding="utf-8")
    (folder / "waves").mkdir()
    for name in ("b.wav", "a.wav"):
        (folder / "waves" / name).touch()
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", environment().get("PYTHONPATH", ""))
        run(folder, "--test=works", "--override=read_adc=board.py:adc", "--expect-return=2")
    found = record(folder)
    assert found["folders"] == {str(folder / "waves"): ["a.wav", "b.wav"]}
    (folder / "build").mkdir()
    (folder / "build" / "CTestTestfile.cmake").touch()
    os.utime(folder / "build" / "CTestTestfile.cmake", (0, 0))
    row = (folder / "out" / "run.json", "works", folder / "build" / "CTestTestfile.cmake")
    (folder / "build" / "llext-runs.txt").write_text("\t".join(map(str, row)), encoding="utf-8")
    job = Job(target="cortex-m4", toolchain="gcc", build=folder / "build", output=folder / "dist")
    assert up_to_date(job) == ("works",)
    (folder / "waves" / "c.wav").touch()
    assert up_to_date(job) == ()
    (folder / "waves" / "c.wav").unlink()
    assert up_to_date(job) == ("works",)
    shutil.rmtree(folder / "waves")
    assert up_to_date(job) == ()


def test_a_run_that_fails_leaves_no_record(folder: Path) -> None:
    run(folder, "--test=works", "--override=read_adc=5")
    assert record(folder)["test"] == "works"
    run(folder, "--test=works", "--override=read_adc=5", "--expect-return=6", code=10)
    assert not (folder / "out" / "run.json").exists()


def test_what_another_program_was_asked_is_not_known(folder: Path) -> None:
    text = "import subprocess\ndef adc() -> int:\n    return len(subprocess.run(['true']).args)\n"
    (folder / "board.py").write_text(text, encoding="utf-8")
    run(folder, "--test=works", "--override=read_adc=board.py:adc", "--expect-return=1")
    assert record(folder)["inputs"] is None


def test_a_record_needs_the_name_of_a_test(folder: Path) -> None:
    assert "error[usage]: llext run: `--record` needs the name of the test" in run(folder, code=2).stderr
    (folder / "out").write_text("a file", encoding="utf-8")
    assert "error[file-unwritable]" in run(folder, "--test=works", code=3).stderr


def test_a_record_replaces_nothing_that_is_read(folder: Path) -> None:
    before = (folder / "answer.llext").read_bytes()
    done = run(folder, "--test=works", "--record=answer.llext", code=2)
    assert "error[usage]: llext run: --record: `answer.llext`" in done.stderr
    assert (folder / "answer.llext").read_bytes() == before

"""The tests of the samples, which show what a test of an extension looks like, for several CPUs.

Oracle: what the samples' tests say, which is what their C code computes, and Python's own arithmetic.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import llext_tools
from llext_tools import arch
from samples import ROOT, Builder, sources
from transcript import llext

pytestmark = pytest.mark.emulator

UART = 0x4000_4000


def build(target: str, chain: str, folder: Path) -> None:
    """All samples, as they are delivered: ``NAME.llext`` with ``NAME.debug.elf`` beside it."""
    builder = Builder(target, chain, folder)
    for name in sources().keys() - {"firmware"}:
        code, said = llext("finish", str(builder.extension(name)))
        assert code == 0, said
    builder.firmware(*arch.target(target).firmware_base, UART)


@pytest.mark.parametrize(
    ("target", "chain"),
    [("cortex-m0plus", "gcc"), ("cortex-m7", "gcc"), ("rv32imac", "gcc"), ("rv64gc", "gcc"), ("cortex-m4f", "zig")],
)
def test_the_tests_of_the_samples(target: str, chain: str, tmp_path: Path) -> None:
    build(target, chain, tmp_path)
    folders = sorted(ROOT.glob("*/tests"))
    assert {folder.parent.name for folder in folders} == {path.parent.name for path in ROOT.glob("*/CMakeLists.txt")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "llext_tools.pytest_plugin", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(ROOT), "-W", "error"]
    command += ["--llext-build-dir", str(tmp_path), "--llext-target", target, *map(str, folders)]
    paths = os.pathsep.join([str(Path(llext_tools.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LLEXT_", "PYTEST_"))}
    environment |= {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert " skipped" not in done.stdout

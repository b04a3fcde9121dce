"""Ctrl-C while code of an extension runs that never calls the host. Expected: what a shell reports of SIGINT."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.conftest import Build

pytestmark = [pytest.mark.emulator, pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")]

SPINS = 'void spin(void) { printk(""); for (;;) { } } EXPORT_SYMBOL(spin);'
BEGIN = """
import os, signal, threading

def begin(*_):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
"""


@pytest.mark.parametrize("more", [(), ("--count",), ("--coverage", "out.info")], ids=" ".join)
@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_an_endless_loop_ends(build: Build, tmp_path: Path, target: str, more: tuple[str, ...]) -> None:
    (tmp_path / "begin.py").write_text(BEGIN, encoding="utf-8")
    extension = build(SPINS, target).path
    command = [sys.executable, "-m", "llext_tools", "run", extension, "--timeout", "86400", "--call", "spin()"]
    done = subprocess.run(
        [*command, "--override", "printk=begin.py:begin", *more],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not (tmp_path / "out.info").exists()

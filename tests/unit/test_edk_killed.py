"""An EDK's archive whose unpacking is ended half-way. Oracle: the names in the folder of the cache."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import edk as kits
from llext_tools.edk import read_edk

HALF_WAY = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it runs behind ignore it
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from llext_tools.cli import main
from llext_tools.edk import archive

def unpack(path, folder):
    open(f"{folder}/half", "w").close()
    print("half-way", flush=True)
    sys.stdin.read()

archive._unpack = unpack
sys.exit(main(["edk", sys.argv[1], "--target", "cortex-m4"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and locks")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_what_a_killed_process_leaves_is_removed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is asked to end nothing is left; after one that was killed the next one clears up."""
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "cache"))
    cache = tmp_path / "cache/edk"
    path = kits.pack(kits.make(tmp_path / "made", "cortex-m4"), "tar.xz")
    command = [sys.executable, "-c", HALF_WAY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as child:
        assert child.stdout
        assert child.stdout.readline() == b"half-way\n"
        assert [each.name.startswith(".") for each in cache.iterdir()] == [True]
        child.send_signal(getattr(signal, name))
        child.communicate(timeout=60)
    assert len([*cache.iterdir()]) in {"SIGINT": (0,), "SIGKILL": (1,)}.get(name, (0, 1))
    kit = Path(read_edk(str(path)).folder)
    (folder,) = cache.iterdir()
    assert kit.is_relative_to(folder)

"""The unwinder's frames. Oracle: GDB, which unwinds the same stack by the same call frame information."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.compiled import compile_c
from emulator.test_backtrace import INLINED, SOURCE, traced
from gdb.sessions import Extension, session
from llext_tools import arch

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]


@pytest.mark.parametrize("source", [SOURCE, INLINED], ids=["calls", "inlined"])
@pytest.mark.parametrize(("target", "chain"), [("cortex-m4", "gcc"), ("cortex-m33", "zig"), ("rv64gc", "gcc")])
def test_frames_are_those_of_gdb(target: str, chain: str, source: str, tmp_path: Path) -> None:
    """Up to the host, where GDB's backtrace ends."""
    obj = compile_c(source, arch.target(target), chain, tmp_path, "-O2")
    extension = Extension(Path(obj.path), tmp_path / "ext.c", target)
    done = session(extension, ["break k_yield", "continue", "backtrace", "kill"], "--call", "start(5)")
    pattern = r"^#\d+ +(?:0x(\w+) in )?(\w+) (?:\[inlined\] )?\(.*?\)(?: at .*?(\w+\.c:\d+))?$"
    theirs = re.findall(pattern, done.gdb, re.MULTILINE)
    names = [name for _, name, _ in theirs]
    assert names[0] == "k_yield"
    end = names.index("llext_host")
    ours = traced(obj, target, "start(5)")[0][0][1:end]
    assert [(frame.function, f"ext.c:{frame.line}") for frame in ours] == [(name, at) for _, name, at in theirs[1:end]]
    pairs = [(frame.pc, int(address, 16)) for frame, (address, *_) in zip(ours, theirs[1:end], strict=True) if address]
    assert len(pairs) > 1
    assert all(pc == address for pc, address in pairs), pairs

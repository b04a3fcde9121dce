"""What a terminal gets of names and texts that are meant for it, and of the table of `llext build`.

Oracles: a pseudo-terminal, what the file has, and pyte, which does what a terminal does with what it gets.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pyte
import pytest

from elfedit import Elf
from llext_tools.cli.render import Paint, diagnostics_to_json, render
from llext_tools.diag import Diagnostic, Location, spelt_out
from needs import need

SOURCE = r"""
    .text
    .global fname_, greet
    .thumb_func
greet:
    bl fname_
"""
TITLE = b"\x1b]0;ab"  # sets the title of the window, as long as "fname_"


TABLE = """
import sys
from pathlib import Path
from llext_tools.build import Job, Progress, Result, Step
from llext_tools.cli.rows import view
from llext_tools.cli.terminal import Terminal

sys.stdout = Terminal(sys.stdout)
jobs = [Job(target=name, toolchain="gcc", build=Path("b"), output=Path("o")) for name in ("cortex-m4", "rv32imac")]
print("before")
with view(jobs) as table:
    table.observe(Progress(job=jobs[0], step=Step.BUILD, done=1, total=4))
    table.observe(Progress(job=jobs[1], step=Step.BUILD, done=1, total=4))
    table._live.refresh()
    for job in jobs:
        table.observe(Result(job=job, artifacts=(Path("a"), Path("b")), seconds={Step.BUILD: 2.5}))
print("after")
"""


def on_terminal(*command: str) -> bytes:
    """What Python writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    for name in ("NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        found = b""
        while part := read(ours):
            found += part
        process.wait()
    os.close(ours)
    return found


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nobody has its other end any more
        return b""


@pytest.mark.parametrize("command", ["inspect", "run"])
def test_names_are_no_orders(command: str, tmp_path: Path) -> None:
    source, out = tmp_path / "a.s", tmp_path / "a.llext"
    source.write_text(SOURCE)
    subprocess.run([need("arm-none-eabi-gcc"), "-mcpu=cortex-m4", "-c", str(source), "-o", str(out)], check=True)
    elf = Elf(out.read_bytes())
    elf.data[:] = elf.data.replace(b"fname_", TITLE)
    out.write_bytes(bytes(elf))
    printed = on_terminal("-m", "llext_tools", command, str(out))
    assert TITLE not in printed
    assert rb"\x1b]0;ab" in printed
    assert b"\x1b[" in printed, "colours are there"


def test_the_table_of_a_build_is_drawn_in_its_place() -> None:
    screen = pyte.Screen(80, 24)
    pyte.ByteStream(screen).feed(on_terminal("-c", TABLE))
    lines = [line.split() for line in screen.display if line.strip() and "─" not in line]
    assert lines == [
        ["before"],
        ["target", "toolchain", "built", "checked", "run", "time"],
        ["cortex-m4", "gcc", "2", "2", "0", "2.5", "s"],
        ["rv32imac", "gcc", "2", "2", "0", "2.5", "s"],
        ["after"],
    ]


def test_what_passes() -> None:
    assert spelt_out("\x1b[1;31mred\x1b[0m\t\r\n\x1b[K") == "\x1b[1;31mred\x1b[0m\t\r\n\x1b[K"
    assert spelt_out("a\x1b]52;c;AAAA\x07\x08\x9b2J\x1b[2J\u202e") == r"a\x1b]52;c;AAAA\x07\x08\x9b2J\x1b[2J\u202e"


def test_places_are_told_from_the_current_folder_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: what a person would type. Files elsewhere keep their whole path; JSON has it in any case."""
    monkeypatch.chdir(tmp_path)
    beside = f"{tmp_path}x/a.c"
    at = Location(f"{tmp_path}/build/a.llext", ".text", 4, "f", 3, f"{tmp_path}/src/a.c")
    found = Diagnostic(code="run-fault", message="wrong", location=at)
    assert render(found, Paint(None)).splitlines()[1] == "  --> src/a.c:3, in `f` (build/a.llext: .text+0x4)"
    elsewhere = found._replace(location=Location(beside, line=3))
    assert render(elsewhere, Paint(None)).splitlines()[1] == f"  --> {beside}:3"
    (entry,) = diagnostics_to_json([found])
    assert (entry["location"]["file"], entry["location"]["source"]) == (at.file, at.source)


def test_place_that_is_too_long_takes_two_lines() -> None:
    at = Location("/builds/product/extension/pool.llext", ".text", 0x14, "give_back", 135, "extensions/pool/src/pool.c")
    lines = render(Diagnostic(code="run-fault", message="wrong", location=at), Paint(None)).splitlines()
    assert lines[1:] == [
        "  --> extensions/pool/src/pool.c:135, in `give_back`",
        "      (/builds/product/extension/pool.llext: .text+0x14)",
    ]

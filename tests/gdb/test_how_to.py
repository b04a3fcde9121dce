"""The session on the page about GDB is what GDB prints. Oracle: GDB; addresses and white space may differ."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.compiled import compile_c
from gdb.sessions import Extension, session
from llext_tools import arch

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/debug-with-gdb.md"
PROMPT = "(gdb) "


def normal(text: str) -> list[str]:
    lines = (re.sub(r"\b0x[0-9a-f]+", "0x...", " ".join(line.split())) for line in text.splitlines())
    return [line for line in lines if line]


def test_session_is_as_printed(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    block = re.search(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert block
    commands = [line.removeprefix(PROMPT) for line in block[1].splitlines() if line.startswith(PROMPT)]
    call = re.search(r"^\$ llext debug \S+ --call '(.*)'$", page, re.MULTILINE)
    assert call
    source = ROOT / "sample_extensions/counter/counter.c"
    text = f'#line 1 "{source}"\n{source.read_text(encoding="utf-8")}'
    obj = compile_c(text, arch.target("cortex-m4"), "gcc", tmp_path, name="counter")
    extension = Extension(Path(obj.path), source, "cortex-m4")
    echoed = [each for command in commands for each in (f"echo {PROMPT}{command}\\n", command)]
    done = session(extension, echoed, "--call", call[1])
    shown = done.gdb.replace(f"{source.parent}/", "").partition('host.elf"\n')[2]
    assert normal(shown)[: len(normal(block[1]))] == normal(block[1])
    assert f"`{done.llext.splitlines()[-1]}`" in page

"""The pages of ``llext explain``: one for each code, and each one's example does what it says.

Oracle: the pages themselves. Their files are assembled and compiled by the real tools, their commands run, and what
is printed must be what the page shows (``--update-golden`` writes it anew). What only Python can do is an
``example.py``, which prints the errno and the code.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import transcript
from elfedit import edit
from llext_tools import explain
from llext_tools.diag import CODES
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

NOT_LITERALLY = {
    "build-ambiguous",
    "build-empty",
    "build-failed",
    "bundle-stale",
    "firmware-unused",
    "signature-untrusted",
    "signature-wrong",
}  # times, paths and keys differ, and pytest's own words
WITHOUT_EXAMPLE = {"internal"}  # a mistake of ours that we know of is mended, not documented
TEXT_FILES = {
    "toml exports": "table.toml",
    "json exports": "table.json",
    "csv exports": "table.csv",
    "ld exports": "table.ld",
    "python": "example.py",
    "toml": "llext.toml",
}
GCC = {
    "arm": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mlong-calls"),
    "riscv32": ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-mno-relax", "-msmall-data-limit=0"),
    "riscv64": ("riscv64-unknown-elf-gcc", "-march=rv64gc", "-mabi=lp64d", "-mno-relax", "-msmall-data-limit=0"),
}
C_FLAGS = ("-g", "-Os", "-ffreestanding", "-DLL_EXTENSION_BUILD")


def build(language: str, arch: str, name: str, lines: list[str], folder: Path) -> None:
    """Compile an example to ``NAME.llext``."""
    source = folder / f"{name}.{'s' if language == 'asm' else language}"
    source.write_text("\n".join([*lines, ""]))
    compiler, *flags = GCC[arch]
    flags += C_FLAGS if language != "asm" else ()
    command = [need(compiler), *flags, f"-I{include_dir()}", "-c", source.name, "-o", f"{name}.llext"]
    subprocess.run(command, cwd=folder, check=True)


def this_python(folder: Path) -> str:
    """A search path on which ``python3`` is the Python that runs the tests."""
    tools = folder / ".python"
    tools.mkdir()
    (tools / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (tools / "python3").chmod(0o755)
    return f"{tools}{os.pathsep}{os.environ['PATH']}"


def test_each_code_has_a_page_and_each_page_a_code() -> None:
    assert set(explain.codes()) == set(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_page_has_the_parts_that_each_page_has(code: str) -> None:
    blocks = explain.blocks(explain.page(code))
    assert blocks[0] == ("#", [code])
    assert [lines[0] for kind, lines in blocks if kind == "##"] == ["Example", "Cure"]
    assert blocks[1][0] == blocks[-1][0] == "text"
    for kind, lines in blocks:
        assert kind == "text" or all(len(line) <= 80 for line in lines), lines


@pytest.mark.parametrize("code", sorted(set(CODES) - WITHOUT_EXAMPLE))
def test_example_triggers_its_code(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: bool) -> None:
    monkeypatch.chdir(tmp_path)
    console = None
    for kind, lines in explain.blocks(explain.page(code)):
        language = kind.removeprefix("``` ")
        first, _, arch = language.partition(" ")
        if kind in ("#", "##", "text"):
            continue
        if language == "console":
            console = lines
        elif language == "edit":
            edit(lines, tmp_path / "example.llext")
        elif first in ("asm", "c", "cpp") and arch.split()[0] in GCC:
            arch, _, name = arch.partition(" ")
            build(first, arch, name or "example", lines, tmp_path)
        else:
            (tmp_path / TEXT_FILES.get(language, arch)).write_text("\n".join([*lines, ""]))
    assert console is not None, "the page has no commands"
    for command in transcript.commands(console):
        tool = command.split()[0]
        if tool.startswith(("arm-", "riscv64-")):
            need(tool)
        if command.startswith("llext edk") and command.count("--toolchain gcc"):
            need("arm-none-eabi-gcc")
    if (tmp_path / TEXT_FILES["python"]).exists():
        monkeypatch.setenv("PATH", this_python(tmp_path))
    printed, codes = transcript.run(console, tmp_path)
    if transcript.commands(console)[-1] == "python3 example.py":
        errno, found = printed[-1].split()
        assert found == code
        assert errno == (CODES[code].errno or errno)
        assert codes[-1] == 0
    else:
        severity = "error" if codes[-1] else "warning"
        assert f"{severity}[{code}]" in "\n".join(printed)
        failed = 1 if transcript.commands(console)[-1].startswith("pytest") else CODES[code].error.exit_code
        assert codes[-1] == (failed if severity == "error" else 0)
    if code in NOT_LITERALLY:
        return
    if golden:
        update(code, console, printed)
    assert printed == console


def update(code: str, old: list[str], new: list[str]) -> None:
    path = Path(explain.FOLDER) / f"{code}.md"
    path.write_text(path.read_text().replace("\n".join(old), "\n".join(new)))
    old[:] = new


def test_every_code_is_explained_on_a_screen() -> None:
    for code in CODES:
        exit_code, text = llext("explain", code)
        assert exit_code == 0
        assert text.startswith(f"{code}: exit code {CODES[code].error.exit_code}")
        assert all(len(line) <= 80 for line in text.splitlines()), text

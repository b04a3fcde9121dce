"""`llext run` of what cannot be run: always a diagnostic and the exit code of its class, never a traceback.

Expected: the codes that `docs/reference/diagnostics.md` gives to what is wrong, with their exit codes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.conftest import Build
from llext_tools.cli import main
from llext_tools.diag import CODES

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = 'int f(int x) { printk("%d\\n", x); return x; } EXPORT_SYMBOL(f);'
FILES = {
    "folder": "file-unreadable",
    "nothing": "file-unreadable",
    "empty": "elf-magic",
    "text": "elf-magic",
    "short": "elf-truncated",
    "": "usage",
}
OPTIONS = {
    "--exports nothing": "file-unreadable",
    "--exports folder": "file-unreadable",
    "--exports empty": "exports-syntax",
    "--exports text": "exports-syntax",
    "--exports short": "elf-truncated",
    "--exports ext": "exports-missing",
    "--firmware nothing": "file-unreadable",
    "--firmware folder": "file-unreadable",
    "--firmware text": "elf-magic",
    "--firmware short": "elf-truncated",
    "--firmware ext": "exports-missing",
    "--extension folder": "file-unreadable",
    "--extension text": "elf-magic",
    "--json folder": "file-unwritable",
    "--coverage folder": "file-unwritable",
    "--at 0xffffffffffff": "place-misaligned",
    "--at 0xfffff000": "place-too-small",
    "--at 0x20000000": "place-overlap",
    "--at here": "usage",
    "--placements 0": "usage",
    "--placements 65": "usage",
    "--placements two": "usage",
    "--stack-size 1": "usage",
    "--stack-size 1G": "usage",
    "--heap-size lots": "usage",
    "--max-memory 0": "usage",
    "--max-memory 4K": "run-memory",
    "--max-output -1": "usage",
    "--max-output 1": "run-output",
    "--timeout nan": "usage",
    "--timeout 1e-9": "run-timeout",
    "--call f(": "call-syntax",
    "--call g()": "call-unknown",
    "--call f(1,2)": "call-syntax",
    "--prototype int": "prototype-syntax",
    "--target rv64gc": "elf-target",
    "--target z80": "target-unknown",
    "--profile x": "usage",
    "--mmio 0x40000000": "usage",
    "--mmio 0x40000000+4K=python:nothing.py:device": "file-unreadable",
    "--mmio 0x20010000+4K=ram": "usage",
    "--override f": "usage",
    "--override printk=folder:f": "file-unreadable",
    "--expect-output (": "usage",
    "--expect-return f": "usage",
}


@pytest.fixture
def folder(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one of each kind of file; it is the current one."""
    monkeypatch.chdir(tmp_path)
    data = Path(build(SOURCE, "cortex-m4").path).read_bytes()
    (tmp_path / "ext").write_bytes(data)
    (tmp_path / "short").write_bytes(data[:500])
    (tmp_path / "text").write_text("no object")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


def fails(arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *arguments]) == CODES[code].error.exit_code
    assert f"error[{code}]" in capsys.readouterr().err


@pytest.mark.parametrize("file", FILES)
@pytest.mark.usefixtures("folder")
def test_files(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    fails([file], FILES[file], capsys)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.usefixtures("folder")
def test_options(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = [] if options.startswith("--call") else ["--call", "f(1)"]
    fails(["ext", *call, *options.split(" ", 1)], OPTIONS[options], capsys)

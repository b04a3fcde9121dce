"""``llext inputs``: what CMake lets a check depend on. Oracle: the file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from llext_tools.cli import main


def test_files_that_a_settings_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the root on, wherever the command runs; Kconfig options are no files."""
    (tmp_path / "sub dir").mkdir()
    monkeypatch.chdir(tmp_path / "sub dir")
    text = 'exports = ["fw.toml", "../b.elf"]\nconfig = ["SMP=y", "prj.conf"]\n[build]\nheap = "8K"\n'
    (tmp_path / "sub dir" / "llext.toml").write_text(text)
    (tmp_path / "none.toml").write_text("werror = true\n")
    assert main(["inputs", "llext.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(tmp_path / name) for name in ("sub dir/fw.toml", "b.elf", "sub dir/prj.conf")]
    assert main(["inputs", "../none.toml"]) == 0
    assert capsys.readouterr().out == ""

"""Files are written whole or not at all. Oracle: the file system, read with plain Python."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llext_tools.errors import FormatError
from llext_tools.files import read_bytes, remove, write_all, write_atomically


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data in (b"\0\1", "tést\n", memoryview(b"xyz"), bytearray(b"")):
        write_atomically(path, data)
        expected = data.encode() if isinstance(data, str) else bytes(data)
        assert path.read_bytes() == read_bytes(path) == expected
    assert os.listdir(tmp_path) == ["a"]


def test_one_bad_file_prevents_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FormatError, match=r"cannot write `.*nowhere/b`: no such file or directory"):
        write_all({tmp_path / "a": "new", tmp_path / "c": "new", tmp_path / "nowhere" / "b": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["", "folder", "\0", "x" * 300])
def test_names_that_cannot_be_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError) as failure:
        write_atomically(name, b"data")
    assert [d.code for d in failure.value.diagnostics] == ["file-unwritable"]
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("name", ["", ".", "missing", "\0"])
def test_names_that_cannot_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError) as failure:
        read_bytes(name)
    assert [d.code for d in failure.value.diagnostics] == ["file-unreadable"]


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("target")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_new_files_get_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    write_atomically(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_devices_are_written_directly() -> None:
    write_atomically(os.devnull, b"data")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("name", ["file", "linked", "dangling", "missing", "pipe", "to_pipe"])
def test_only_files_are_removed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link leads to a new file afterwards; a pipe, as a device, is where it was."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("old")
    os.mkfifo("pipe")
    for link, target in (("linked", "file"), ("dangling", "new"), ("to_pipe", "pipe")):
        Path(link).symlink_to(target)
    remove(name)
    gone = {"file"} if name in ("file", "linked") else set()
    assert set(os.listdir()) == {"file", "pipe", "linked", "dangling", "to_pipe"} - gone
    if "pipe" not in name:
        write_atomically(name, "new")
        assert Path(name).read_text() == "new"
        assert Path(name).is_symlink() == (name in ("linked", "dangling"))


@pytest.mark.parametrize("name", [".", "folder"])
def test_no_folder_is_removed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(FormatError, match="cannot write `"):
        remove(name)
    assert os.listdir() == ["folder"]

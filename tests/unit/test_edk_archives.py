"""Unpacking the archives of Zephyr's EDK. Oracle: the folder that an archive was made of."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import edk as kits
from llext_tools.edk import archive, read_edk
from llext_tools.errors import LlextError

pytestmark = pytest.mark.usefixtures("cache")


def codes(error: pytest.ExceptionInfo[LlextError]) -> list[str]:
    return [each.code for each in error.value.diagnostics]


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", kits.FORMATS)
def test_an_archive_unpacks_to_what_it_was_made_of(format: str, tmp_path: Path, cache: Path) -> None:
    root = kits.make(tmp_path / "made", "cortex-m4")
    kit = read_edk(str(kits.pack(root, format)))
    assert Path(kit.folder).is_relative_to(cache)
    assert tree(Path(kit.folder)) == tree(root)
    assert [path for path in (cache / "edk").iterdir() if path.name.startswith(".")] == []


def test_the_same_archive_is_unpacked_once_and_a_changed_one_elsewhere(tmp_path: Path) -> None:
    root = kits.make(tmp_path, "cortex-m4")
    archive_file = kits.pack(root, "zip")
    first = Path(read_edk(str(archive_file)).folder)
    before = (first / "cmake.cflags").stat().st_ino
    assert Path(read_edk(str(archive_file)).folder) == first
    assert (first / "cmake.cflags").stat().st_ino == before
    (root / "new.h").write_text("")
    assert Path(read_edk(str(kits.pack(root, "zip"))).folder) != first
    elsewhere = read_edk(str(archive_file), str(tmp_path / "else where"))
    assert Path(elsewhere.folder).is_relative_to(tmp_path / "else where")


def tar_of(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = folder / "kit.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize(
    "member",
    [
        info("../out"),
        info("a/../../out"),
        info("/tmp/out"),
        info("C:/out"),
        info("..\\out"),
        info("a/link", tarfile.SYMTYPE, "../../out"),
        info("a/link", tarfile.SYMTYPE, "/etc/passwd"),
        info("a/link", tarfile.SYMTYPE, "missing"),
        info("a/link", tarfile.LNKTYPE, "../out"),
        info("device", tarfile.CHRTYPE),
        info("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name} {member.linkname}",
)
def test_hostile_tar(member: tarfile.TarInfo, tmp_path: Path, cache: Path) -> None:
    flags = b'set(LLEXT_CFLAGS "-DA")'
    with pytest.raises(LlextError) as error:
        read_edk(str(tar_of(tmp_path, (info("cmake.cflags"), flags), (member, b""))))
    assert codes(error) == ["edk-unsafe"]
    assert list((cache / "edk").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"kit.tar.gz", "the cache"}


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../../out", "link"])
def test_hostile_zip(name: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "kit.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("cmake.cflags", 'set(LLEXT_CFLAGS "-DA")')
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK if name == "link" else stat.S_IFREG) << 16
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(LlextError) as error:
        read_edk(str(path))
    assert codes(error) == ["edk-unsafe"]
    assert list((cache / "edk").iterdir()) == []


def test_a_link_within_the_archive_becomes_a_file(tmp_path: Path) -> None:
    kit = read_edk(
        str(
            tar_of(
                tmp_path,
                (info("k/cmake.cflags"), b'set(LLEXT_CFLAGS "-DA")'),
                (info("k/include/link.h", tarfile.SYMTYPE, "../real.h"), b""),
                (info("k/hard.h", tarfile.LNKTYPE, "k/real.h"), b""),
                (info("k/real.h"), b"int x;"),
            )
        )
    )
    for name in ("include/link.h", "hard.h"):
        path = Path(kit.folder) / name
        assert path.read_text() == "int x;"
        assert not path.is_symlink()
        assert path.stat().st_nlink == 1


@pytest.mark.parametrize("format", kits.FORMATS)
@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
def test_what_unpacks_to_too_much(
    format: str, limit: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = kits.make(tmp_path, "cortex-m4")
    (root / "zeros.h").write_bytes(bytes(1 << 20))
    archive_file = kits.pack(root, format)
    monkeypatch.setattr(archive, limit, {"MOST_BYTES": 1 << 20, "MOST_FILES": 5}[limit])
    with pytest.raises(LlextError) as error:
        read_edk(str(archive_file))
    assert codes(error) == ["edk-unsafe"]
    assert list((cache / "edk").iterdir()) == []


@pytest.mark.parametrize("format", kits.FORMATS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_damaged_archive(format: str, part: float, tmp_path: Path, cache: Path) -> None:
    path = kits.pack(kits.make(tmp_path, "cortex-m4"), format)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(LlextError) as error:
        read_edk(str(path))
    assert codes(error) == ["edk-unreadable"]
    assert list((cache / "edk").iterdir()) == []


@pytest.mark.parametrize("format", kits.FORMATS)
def test_a_changed_byte_is_no_traceback(format: str, tmp_path: Path) -> None:
    path = kits.pack(kits.make(tmp_path, "cortex-m4"), format)
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            read_edk(str(path))
        except LlextError as error:
            assert {each.code for each in error.diagnostics} <= {"edk-unreadable", "edk-unsafe"}


def test_two_processes_at_a_time_end_with_one_folder(tmp_path: Path, cache: Path) -> None:
    root = kits.make(tmp_path, "cortex-m4")
    for i in range(300):
        (root / f"include/{i}.h").write_text(f"int x{i};\n" * 50)
    path = kits.pack(root, "tar.xz")
    script = "import sys\nfrom llext_tools.edk import read_edk\nsys.stdin.read(1)\nprint(read_edk(sys.argv[1]).folder)"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.write("go")
        process.stdin.flush()
    folders = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    (folder,) = folders
    assert tree(Path(folder)) == tree(root)
    assert len(os.listdir(cache / "edk")) == 1

"""Links in the archives of an EDK, as CMake packs those among a vendor's headers.

Oracle: GNU tar, and CMake for zip: they make the links, and the kernel follows them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmake_project import tool
from llext_tools.edk import archive, read_edk
from llext_tools.errors import LlextError
from needs import need

PACK = """\
file(COPY vendor DESTINATION out/llext-edk/include FILES_MATCHING PATTERN "*.h")
file(COPY cmake.cflags DESTINATION out/llext-edk)
file(ARCHIVE_CREATE OUTPUT kit PATHS out/llext-edk FORMAT {format})
"""
FLAGS = 'set(LLEXT_CFLAGS "-DA")'

FORMATS = pytest.mark.parametrize("format", ["gnutar", "zip"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "the cache"))
    return tmp_path / "the cache/edk"


def packed(folder: Path, format: str, links: dict[str, str]) -> Path:
    """The archive that CMake makes of a vendor's headers with these links."""
    for name in ("real/a.h", "real/z.h", "real/sub/b.h", "u.h", "docs/readme.txt"):
        file = folder / "vendor" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"int {file.stem};")
    (folder / "cmake.cflags").write_text(FLAGS)
    for name, target in links.items():
        (folder / "vendor" / name).symlink_to(target)
    (folder / "pack.cmake").write_text(PACK.format(format=format))
    subprocess.run([tool("cmake"), "-P", "pack.cmake"], cwd=folder, check=True)
    return folder / "kit"


def extracted(kit: Path, format: str) -> Path:
    """What others unpack: a folder with links."""
    folder = kit.parent / "theirs"
    folder.mkdir()
    command = [tool("cmake"), "-E", "tar", "xf"] if format == "zip" else [need("tar"), "-xf"]
    subprocess.run([*command, kit], cwd=folder, check=True)
    return folder


def reached(top: Path, led: tuple[str, ...] = ()) -> dict[str, bytes] | None:
    """Name -> contents of all files below a folder and behind its links; None if one leads out, or nowhere.

    Links lead to the same folder once in a path: behind that they go round.
    """
    root = led[0] if led else os.path.realpath(top)
    found: dict[str, bytes] = {}
    for path in top.iterdir():
        real = os.path.realpath(path)
        if not os.path.exists(path) or not f"{real}/".startswith(f"{root}/"):
            return None
        below: dict[str, bytes] | None = {}
        if path.is_file():
            below = {"": path.read_bytes()}
        elif not path.is_symlink() or real not in led[1:]:
            below = reached(path, (*(led or (root,)), *([real] if path.is_symlink() else [])))
        if below is None:
            return None
        found |= {f"{path.name}/{name}".rstrip("/"): data for name, data in below.items()}
    return found


def ours(kit: Path) -> tuple[Path, dict[str, bytes] | None]:
    """The folder that we make of an archive, and what is in it."""
    folder = Path(read_edk(str(kit)).folder).parents[1]
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    return folder, reached(folder)


@FORMATS
def test_links_become_what_they_lead_to(format: str, tmp_path: Path) -> None:
    """Over other links, earlier and later ones, and of folders."""
    links = {"1.h": "2.h", "2.h": "3.h", "3.h": "real/z.h", "4.h": "3.h", "again": "real", "more": "again"}
    kit = packed(tmp_path, format, links)
    folder, found = ours(kit)
    assert found == reached(extracted(kit, format))
    assert found
    assert found["out/llext-edk/include/vendor/1.h"] == b"int z;"
    assert not any(path.stat().st_nlink > 1 for path in folder.rglob("*.h"))


@FORMATS
@pytest.mark.parametrize(
    "links",
    [
        {"real/l.h": "a.h", "real/up.h": "../u.h", "real/s": "sub", "alias": "real", "more": "alias"},
        {"alias": "real", "x.h": "alias/a.h", "y.h": "alias/sub/b.h", "z.h": "./alias//sub/../z.h"},
        {"a": "real/sub", "x.h": "a/../a.h"},  # not the a.h beside it
        {"real/sub/up": "..", "alias": "real/sub", "x.h": "alias/up/sub/up/z.h"},
        {"self": ".", "real/self": ".", "alias": "real"},
        {"real/other": "../docs", "docs/other": "../real", "alias": "docs"},
        {"d": "docs"},
    ],
    ids=["below", "through", "physical", "through a loop", "loops", "mutual", "empty"],
)
def test_links_in_and_through_linked_folders(format: str, links: dict[str, str], tmp_path: Path) -> None:
    kit = packed(tmp_path, format, links)
    folder, found = ours(kit)
    assert found == reached(extracted(kit, format))
    assert found
    for name in links:
        assert (folder / "out/llext-edk/include/vendor" / name).exists()


NAMES = st.sampled_from(["a", "b", "c", "a/a", "a/b", "b/a", "b/b", "a/a/a", "b/a/c"])
PATHS = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(NAMES, unique=True, max_size=4), links=st.dictionaries(NAMES, PATHS, max_size=4))
def test_any_links(tmp_path_factory: pytest.TempPathFactory, names: list[str], links: dict[str, str]) -> None:
    """All that GNU tar has unpacked is there, or nothing is where it has links that lead out or nowhere."""
    folder = tmp_path_factory.mktemp("any")
    top = folder / "top"
    top.mkdir()
    (top / "cmake.cflags").write_text(FLAGS)
    for name in names:
        with suppress(OSError):  # the folder for it is a file, or it is a folder
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(name)
    for name in sorted(links, reverse=True):  # those in a folder before one of its name
        with suppress(OSError):
            (top / name).symlink_to(links[name])
    with tarfile.open(folder / "kit.tar", "w") as tar:
        tar.add(top, "top")
    theirs = folder / "theirs"
    theirs.mkdir()
    subprocess.run([need("tar"), "-xf", folder / "kit.tar"], cwd=theirs, check=True)
    expected = reached(theirs)
    into = str(folder / "ours")
    if expected is None:
        with pytest.raises(LlextError) as error:
            read_edk(str(folder / "kit.tar"), into)
        assert [each.code for each in error.value.diagnostics] == ["edk-unsafe"]
        assert list(Path(into).iterdir()) == []
    else:
        assert reached(Path(read_edk(str(folder / "kit.tar"), into).folder).parent) == expected
    shutil.rmtree(folder)


@FORMATS
@pytest.mark.parametrize(
    "links",
    [
        {"a.h": "/etc/passwd"},
        {"a.h": "../../../../x.h"},
        {"a.h": "b.h", "b.h": "a.h"},
        {"a.h": "none.h"},
        {"a.h": "real/a.h/"},
        {"a.h": "none/../u.h"},
        {"top": "../../../llext-edk", "a.h": "top/../../out/x.h"},
    ],
    ids=["absolute", "out", "round", "nothing", "no folder", "no way", "out by another"],
)
def test_links_that_lead_nowhere(format: str, links: dict[str, str], tmp_path: Path, cache: Path) -> None:
    with pytest.raises(LlextError) as error:
        read_edk(str(packed(tmp_path, format, links)))
    (found,) = error.value.diagnostics
    assert (found.code, found.help) == ("edk-unsafe", archive.BY_HAND)
    assert list(cache.iterdir()) == []


@FORMATS
@pytest.mark.parametrize(
    "links",
    [
        {str(i): "real" for i in range(4)},
        {"real/b": "..", "real/c": "..", "a": "real"},
    ],
    ids=["files", "loops"],
)
def test_copies_count_as_files_do(
    format: str, links: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path, format, links)
    monkeypatch.setattr(archive, "MOST_FILES", 20)
    with pytest.raises(LlextError, match="has more than 20 files"):
        read_edk(str(path))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("k/alias", "real"), ("k/alias/a.h", "")], "`k/alias/a.h` lies below `k/alias`, which is no folder"),
        ([("k/alias/a.h", ""), ("k/alias", "real")], "`k/alias` is in it as two kinds of thing"),
        ([("k/a.h", ""), ("k/a.h/b.h", "")], "`k/a.h/b.h` lies below `k/a.h`, which is no folder"),
        ([("k/a.h", ""), ("k/a.h", "cmake.cflags")], "`k/a.h` is in it as two kinds of thing"),
    ],
)
def test_a_name_with_two_meanings(members: list[tuple[str, str]], message: str, tmp_path: Path, cache: Path) -> None:
    """Nothing is written through a link."""
    path = tmp_path / "kit.tar"
    with tarfile.open(path, "w") as tar:
        for name, link in [("k/cmake.cflags", ""), *members]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (tarfile.SYMTYPE, link) if link else (tarfile.REGTYPE, "")
            tar.addfile(member)
    with pytest.raises(LlextError) as error:
        read_edk(str(path))
    assert [(each.code, each.message) for each in error.value.diagnostics] == [("edk-unsafe", f"`{path}`: {message}")]
    assert list(cache.iterdir()) == []

"""Kits as each release of Zephyr writes them: the same flags come out of all.

Oracles: a shell, which splits what CMake has written for one; the list that a kit was made of; CMake, which packs.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import edk as kits
from cmake_project import need_toolchain, tool
from llext_tools.edk import archive, read_edk
from llext_tools.errors import LlextError
from needs import need
from transcript import llext


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLEXT_CACHE_DIR", str(tmp_path / "the cache"))


def spoken(words: list[str]) -> list[str]:
    """What a program gets when a shell has read these words as one line."""
    script = "printf '%s\\n' " + " ".join(words)
    return subprocess.run([need("sh"), "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()


MORE = ["-DPAREN=(4*1024)", '-DTEXT="config.h"', '-DSPACED="two words"', "-DHEADER=<a.h>", '-DINNER="a\\"b"']


@pytest.mark.parametrize("file", ["cmake.cflags", "Makefile.cflags"])
def test_flags_that_were_written_for_a_shell(file: str, tmp_path: Path) -> None:
    """Since 4.4. A folder with a quotation mark in its name is not the shell's."""
    root = kits.make(tmp_path / "the \"kit's", "cortex-m4", flavour="shell", more=MORE)
    for other in {"cmake.cflags", "Makefile.cflags"} - {file}:
        (root / other).unlink()
    words = read_edk(str(root)).words
    theirs = spoken(kits.command_line(kits.base_flags("cortex-m4", MORE)))
    assert list(words[: len(theirs)]) == theirs
    assert sorted(theirs) == sorted(kits.base_flags("cortex-m4", MORE))
    assert words[len(theirs)] == f"-imacros{root}/{kits.IMACROS}"


def test_flags_before_that_are_taken_as_they_are(tmp_path: Path) -> None:
    """A string with a quotation mark in it looks like one for a shell."""
    root = kits.make(tmp_path, "cortex-m4", more=MORE)
    assert list(read_edk(str(root)).words)[: -len(kits.INCLUDES) - 1] == kits.base_flags("cortex-m4", MORE)


def test_a_quotation_that_does_not_end_is_left_as_it_is(tmp_path: Path) -> None:
    root = kits.make(tmp_path, "cortex-m4", flavour="shell", more=["-DCUT=it's"])
    assert "-DCUT=it's" in read_edk(str(root)).words


@pytest.mark.parametrize("separator", [";", " ", "\n"])
def test_parentheses_without_quotes(separator: str, tmp_path: Path) -> None:
    """As 4.0 writes them; CMake itself makes four words of such a one."""
    words = ["-DA", "-DPAREN=(4*1024)", "-DCALL=f(g(1),2)x", "-DB"]
    (tmp_path / "cmake.cflags").write_text(f"set(LLEXT_CFLAGS {separator.join(words)})\nset(X ( y ))\n")
    kit = read_edk(str(tmp_path))
    assert list(kit.words) == words
    assert not kit.findings


@pytest.mark.parametrize(
    ("parts", "board"),
    [
        (kits.BOARD, "qemu_board/soc/cpu0"),
        ({**kits.BOARD, "REVISION": "1.0.0"}, "qemu_board@1.0.0/soc/cpu0"),
        ({**kits.BOARD, "QUALIFIERS": ""}, "qemu_board"),
        ({"TARGET": "qemu_board_soc"}, "qemu_board_soc"),
        ({}, ""),
    ],
)
def test_the_board_is_what_west_takes(parts: dict[str, str], board: str, tmp_path: Path) -> None:
    lines = [f'set(MY_KIT_BOARD_{name} "{value}")' for name, value in parts.items()]
    (tmp_path / "cmake.cflags").write_text("\n".join([*lines, 'set(LLEXT_CFLAGS "-DA")', ""]))
    assert read_edk(str(tmp_path)).board == board


# links: what CMake packs of headers that are links, and what becomes of it

PACK = """\
file(COPY vendor DESTINATION out/llext-edk/include FILES_MATCHING PATTERN "*.h")
file(COPY cmake.cflags DESTINATION out/llext-edk)
file(ARCHIVE_CREATE OUTPUT kit PATHS out/llext-edk FORMAT {format})
"""


def packed(folder: Path, format: str, links: dict[str, str]) -> Path:
    """The archive that CMake makes of a vendor's headers with these links."""
    (folder / "vendor/real").mkdir(parents=True)
    (folder / "vendor/real/a.h").write_text("int a;")
    (folder / "vendor/real/z.h").write_text("int z;")
    (folder / "cmake.cflags").write_text('set(LLEXT_CFLAGS "-DA")')
    for name, target in links.items():
        (folder / "vendor" / name).symlink_to(target)
    (folder / "pack.cmake").write_text(PACK.format(format=format))
    subprocess.run([tool("cmake"), "-P", "pack.cmake"], cwd=folder, check=True)
    return folder / "kit"


@pytest.mark.parametrize("format", ["gnutar", "zip"])
def test_links_become_what_they_lead_to(format: str, tmp_path: Path) -> None:
    """Over other links, earlier and later ones, and of folders."""
    links = {"1.h": "2.h", "2.h": "3.h", "3.h": "real/z.h", "4.h": "3.h", "again": "real", "more": "again"}
    kit = Path(read_edk(str(packed(tmp_path, format, links))).folder) / "include/vendor"
    found = {str(path.relative_to(kit)): path.read_text() for path in kit.rglob("*") if path.is_file()}
    files = {f"{folder}/{name}.h": f"int {name};" for folder in ("real", "again", "more") for name in "az"}
    assert found == {**files, **{f"{i}.h": "int z;" for i in range(1, 5)}}
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in kit.rglob("*.h"))


@pytest.mark.parametrize("format", ["gnutar", "zip"])
@pytest.mark.parametrize(
    "links",
    [{"a.h": "/etc/passwd"}, {"a.h": "../../../../x.h"}, {"a.h": "b.h", "b.h": "a.h"}, {"a.h": "none.h"}],
    ids=["absolute", "out", "round", "nothing"],
)
def test_links_that_lead_nowhere(format: str, links: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(LlextError) as error:
        read_edk(str(packed(tmp_path, format, links)))
    (found,) = error.value.diagnostics
    assert (found.code, found.help) == ("edk-unsafe", archive.BY_HAND)
    assert list((tmp_path / "the cache/edk").iterdir()) == []


@pytest.mark.parametrize("format", ["gnutar", "zip"])
def test_copies_count_as_files_do(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path, format, {str(i): "real" for i in range(4)})
    monkeypatch.setattr(archive, "MOST_FILES", 10)
    with pytest.raises(LlextError, match="has more than 10 files"):
        read_edk(str(path))


# each diagnostic says what to do


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cmake.cflags", ""),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-mcpu=cortex-m4;-mthumb")\nlist(APPEND X y)'),
        ("Makefile.cflags", "LLEXT_CFLAGS = -mcpu=cortex-m4 -mthumb\nifdef X"),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-mcpu=cortex-m99")'),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-mcpu=arm926ej-s;-mfloat-abi=soft")'),
        ("cmake.cflags", 'set(LLEXT_CFLAGS "-mcpu=cortex-m4;-mthumb;-I${CMAKE_CURRENT_LIST_DIR}/lost")'),
        ("kit.tar", "no archive"),
    ],
)
def test_what_is_wrong_with_a_kit_has_a_cure(name: str, text: str, tmp_path: Path) -> None:
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / name).write_text(text)
    source = str(tmp_path / name if name == "kit.tar" else tmp_path)
    code, said = llext("edk", source, "--target", "cortex-m4", "--toolchain", "gcc", "--strict")
    assert code != 0
    assert said.count("error[edk-") == said.count("= help: ") == 1, said

"""Kits as each release of Zephyr writes them: the same flags come out of all.

Oracles: a shell, which splits what CMake has written for one; the list that a kit was made of.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

import edk as kits
from cmake_project import need_toolchain
from llext_tools.edk import read_edk
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


# what CPU the flags name


@pytest.mark.parametrize("target", kits.CPU)
def test_the_target_is_that_of_the_flags(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    need_toolchain(target, "gcc")
    root = kits.make(tmp_path, target)
    code, said = llext("edk", str(root), "--toolchain", "gcc")
    assert (code, json.loads(said)["target"]) == (0, target)
    made = tmp_path / "made"
    code, said = llext("new", "made", "--edk", str(root))
    assert (code, said.splitlines()[0]) == (0, f"made: 11 files for {target}")
    assert tomllib.loads((made / "llext.toml").read_text())["build"]["targets"] == [target]


@pytest.mark.parametrize(
    ("flags", "message", "help"),
    [
        ("-DA", "the flags of the EDK name no CPU", "give --target"),
        ("-mcpu=cortex-m99 -mthumb", "no compiler here knows the CPU", "or give --target"),
        ("-mcpu=lx106", "no compiler here knows the CPU", "install a newer compiler"),
        ("-mcpu=arm926ej-s -mfloat-abi=soft", "a firmware for Armv5TEJ with `-mfloat-abi=soft`, which no target fits",
         "`llext targets` lists"),
    ],
)  # fmt: skip
def test_flags_that_fit_no_target(
    flags: str, message: str, help: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags that say nothing of it are no reason to make no project."""
    monkeypatch.chdir(tmp_path)
    need_toolchain("cortex-m4", "gcc")
    (tmp_path / "Makefile.cflags").write_text(f"LLEXT_CFLAGS = {flags}\n")
    code, said = llext("edk", str(tmp_path))
    text = " ".join(said.split())
    assert (code, said.count("error[edk-target]")) == (13, 1)
    assert message in text
    assert help in text.partition("= help: ")[2]
    assert ("or give --target" in text) == ("or give" in help)
    code, said = llext("new", "made", "--edk", str(tmp_path))
    assert (code, (tmp_path / "made").exists()) == ((0, True) if flags == "-DA" else (13, False))


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

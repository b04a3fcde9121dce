"""The examples for other builders, as a user builds them. Oracles: what runs in the emulator; make and ninja themselves
on what there is left to do; pyelftools on what is in the files.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders.place import Place, example_in
from cmake_project import loaded_sections, need_toolchain, tool, undefined
from needs import need

pytestmark = [pytest.mark.toolchain, pytest.mark.emulator]

COMBINATIONS = [("cortex-m4", "gcc"), ("rv32imac", "zig")]
SAID = "... --- ..."  # ITU-R M.1677-1: S is three dots, O three dashes


@pytest.fixture
def example(tmp_path: Path) -> Place:
    return example_in(tmp_path)


def assert_complete(extension: Path) -> None:
    """One section of each name, nothing missing that the board's table lacks, all three files there."""
    names = [name for name, _ in loaded_sections(extension)]
    assert sorted(names) == sorted(set(names))
    assert {".text", ".init_array", ".fini_array"} <= set(names)
    assert undefined(extension) == {"printk"}
    assert {path.name for path in extension.parent.glob("morse.*")} >= {"morse.llext", "morse.json", "morse.debug.elf"}


@pytest.mark.parametrize(("target", "toolchain"), COMBINATIONS)
def test_make(target: str, toolchain: str, example: Place) -> None:
    need_toolchain(target, toolchain)
    make = (need("gmake", "make"), f"TARGET={target}", f"TOOLCHAIN={toolchain}")
    said = example.done(*make, "test")
    assert SAID in said
    assert said.index("book opened") < said.index(SAID) < said.index("book closed")
    assert_complete(example.folder / "build" / f"{target}-{toolchain}" / "morse.llext")
    assert example.run(*make, "-q").returncode == 0

    example.edit("code.h", "The code of a letter", "The Morse code of a letter")
    assert example.run(*make, "-q").returncode == 1, "the header is no prerequisite"
    assert example.done(*make).count(" -c ") == 2
    example.edit("board.toml", "printk", "printf")
    refused = example.run(*make)
    assert "error[undefined-symbol]: `printk`" in refused.stdout
    assert refused.returncode != 0
    left = {path.name for path in (example.folder / "build" / f"{target}-{toolchain}").glob("morse.*")}
    assert left == {"morse.o", "morse.d", "morse.o.elf"}


@pytest.mark.parametrize(("target", "toolchain"), COMBINATIONS)
def test_meson(target: str, toolchain: str, example: Place) -> None:
    need_toolchain(target, toolchain)
    meson, ninja = tool("meson"), tool("ninja")
    cross = ("--target", target, "--toolchain", toolchain, "--format", "meson", "-o", "cross file.ini")
    example.done("llext", "toolchain", *cross)
    said = example.done(meson, "setup", "build", "--cross-file", "cross file.ini")
    assert "WARNING: Unknown" not in said
    example.done(ninja, "-C", "build")
    example.done(meson, "test", "-C", "build", "--no-rebuild")
    assert SAID in (example.folder / "build/meson-logs/testlog.txt").read_text()
    assert_complete(example.folder / "build" / "morse.llext")
    assert "no work to do" in example.done(ninja, "-C", "build", "-n")

    example.edit("code.h", "The code of a letter", "The Morse code of a letter")
    assert example.done(ninja, "-C", "build").count("Compiling") == 2
    example.edit("board.toml", "printk", "printf")
    refused = example.run(ninja, "-C", "build")
    assert "error[undefined-symbol]: `printk`" in refused.stdout
    assert refused.returncode != 0


@pytest.mark.parametrize(("target", "toolchain"), COMBINATIONS)
def test_builds_are_equal_in_every_folder(target: str, toolchain: str, tmp_path: Path) -> None:
    """Oracle: the bytes. `-flto` compiles once more, in the link."""
    need_toolchain(target, toolchain)
    make, meson, ninja = need("gmake", "make"), tool("meson"), tool("ninja")
    found = []
    for folder in tmp_path / "a", tmp_path / "another folder" / "deeper":
        example = example_in(folder)
        example.done(make, f"TARGET={target}", f"TOOLCHAIN={toolchain}", "CFLAGS=-flto")
        cross = ("--target", target, "--toolchain", toolchain, "--root", ".", "--format", "meson", "-o", "cross.ini")
        example.done("llext", "toolchain", *cross)
        example.done(meson, "setup", "build/meson", "--cross-file", "cross.ini")
        example.done(ninja, "-C", "build/meson")
        ends = ("morse.llext", "morse.debug.elf", "morse.json")
        paths = [example.folder / "build" / by / end for by in ("meson", f"{target}-{toolchain}") for end in ends]
        found.append([path.read_bytes() for path in paths])
    assert found[0] == found[1]
    for data in found[0]:
        assert os.fsencode(tmp_path) not in data
    assert b"morse.c\0" in found[0][1]

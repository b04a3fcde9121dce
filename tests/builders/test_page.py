"""The commands and the makefile of the page on building without CMake, as they are printed there.

Oracles: pyelftools on what comes out; make's own word on what there is left to do.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import fw
from builders.place import ROOT, Place, example_in
from cmake_project import loaded_sections, need_toolchain, tool, undefined
from needs import need

pytestmark = pytest.mark.toolchain

PAGE = (ROOT / "docs/how-to/without-cmake.md").read_text(encoding="utf-8")
CONSOLE, SHELL, MAKEFILE = (
    re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for kind in ("console", "sh", "make")
)
CORTEX = ("cortex-m4", "gcc")
BOTH = [CORTEX, ("rv32imac", "zig")]
BLINK = """\
#include <llext/host.h>
#include <llext/symbol.h>
#include "blink.h"
static int count; int kept __attribute__((section(".noinit")));
int blink(void) { printk("x"); return (count += STEP) + kept; }
LL_EXTENSION_SYMBOL(blink);
"""


def of(text: str, target: str, toolchain: str) -> str:
    """The text of the page for another target and toolchain than its own."""
    return text.replace("cortex-m4", target).replace("--toolchain gcc", f"--toolchain {toolchain}")


def commands(block: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", block, re.MULTILINE)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (place.folder / "blink.c").write_text(BLINK)
    (place.folder / "blink.h").write_text("#define STEP 1\n")
    return place


def assert_extension(path: Path, target: str) -> None:
    assert undefined(path) == {"printk"}
    names = [name for name, _ in loaded_sections(path)]
    assert sorted(names) == sorted(set(names)), "more than one section of a kind"
    with path.open("rb") as file:
        assert ELFFile(file)["e_machine"] == ("EM_ARM" if target == "cortex-m4" else "EM_RISCV")
    assert path.with_suffix(".debug.elf").exists()
    assert path.with_suffix(".json").exists()


def test_the_page_has_what_is_tested_here() -> None:
    assert [len(CONSOLE), len(SHELL), len(MAKEFILE)] == [3, 1, 1]
    assert CONSOLE[2].count("$ ") == 3


@pytest.mark.parametrize(("target", "toolchain"), BOTH)
def test_the_shell_commands(target: str, toolchain: str, place: Place) -> None:
    need_toolchain(target, toolchain)
    for command in (*commands(CONSOLE[1]), SHELL[0]):
        place.done("sh", "-e", "-c", of(command, target, toolchain))
    assert_extension(place.folder / "blink.llext", target)


def test_the_shell_commands_with_the_table_of_a_firmware(place: Place) -> None:
    folder = place.folder / "build" / "zephyr"
    folder.mkdir(parents=True)
    fw.build(folder).rename(folder / "zephyr.elf")
    for command in (*commands(CONSOLE[0]), SHELL[0]):
        place.done("sh", "-e", "-c", command)
    assert_extension(place.folder / "blink.llext", "cortex-m4")
    assert "strlen" not in (place.folder / "board.toml").read_text()


def test_the_makefile(place: Place) -> None:
    """Two targets, one after the other in the same folder, and each again; then a refused extension."""
    make = need("gmake", "make")
    for target, toolchain in BOTH:
        need_toolchain(target, toolchain)
    (place.folder / "Makefile").write_text(MAKEFILE[0])
    chosen = {target: (make, f"TARGET={target}", f"TOOLCHAIN={toolchain}") for target, toolchain in BOTH}
    outputs = {target: place.folder / f"build/{target}-{toolchain}/blink.llext" for target, toolchain in BOTH}
    for target, command in chosen.items():
        place.done(*command)
        assert_extension(outputs[target], target)
    for target, command in chosen.items():
        assert place.run(*command, "-q").returncode == 0, "make would do something again"
        assert_extension(outputs[target], target)
    refused = "int absent(void); int more(void) { return absent(); }\nLL_EXT"
    for file, old, new in ("blink.c", '"x"', '"y"'), ("blink.h", "1", "2"), ("blink.c", "LL_EXT", refused):
        place.edit(file, old, new)
        for command in chosen.values():
            assert place.run(*command, "-q").returncode == 1, f"{file} is no prerequisite"
        results = [place.run(*command) for command in chosen.values()]
    for done, output in zip(results, outputs.values(), strict=True):
        assert "error[undefined-symbol]: `absent`" in done.stdout
        assert done.returncode != 0
        assert {path.name for path in output.parent.glob("blink.*")} == {"blink.d", "blink.o", "blink.o.elf"}


def test_the_makefile_without_a_choice(place: Place) -> None:
    make = need("gmake", "make")
    need_toolchain(*CORTEX)
    (place.folder / "Makefile").write_text(MAKEFILE[0])
    place.done(make)
    assert_extension(place.folder / "build/cortex-m4-auto/blink.llext", "cortex-m4")


@pytest.mark.emulator
def test_the_commands_for_meson(tmp_path: Path) -> None:
    tool("meson")
    need_toolchain(*CORTEX)
    place = example_in(tmp_path)
    for command in commands(CONSOLE[2]):
        place.done("sh", "-e", "-c", command)
    assert (place.folder / "build/cortex-m4/morse.llext").exists()

"""The examples for other builders, as a user builds them. Oracles: what runs in the emulator; make and ninja themselves
on what there is left to do; pyelftools on what is in the files.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmake_project import loaded_sections, need_toolchain, tool, undefined
from needs import need

pytestmark = [pytest.mark.toolchain, pytest.mark.emulator]

ROOT = Path(__file__).parents[2]
COMBINATIONS = [("cortex-m4", "gcc"), ("rv32imac", "zig")]
SAID = "... --- ..."  # ITU-R M.1677-1: S is three dots, O three dashes


class Example:
    """A copy of an example in a folder of its own; ``llext`` is a script in PATH."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / "my project"
        shutil.copytree(ROOT / "examples" / name, self.folder)
        script = folder / "bin" / "llext"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m llext_tools "$@"\n')
        script.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{script.parent}{os.pathsep}{Path(tool('ninja')).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def done(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file, which is then newer than all others, whatever the resolution of the clock."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        newest = max(each.stat().st_mtime_ns for each in self.folder.rglob("*") if each.is_file())
        os.utime(path, ns=(newest + 1, newest + 1))


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example("morse", tmp_path)


def assert_complete(extension: Path) -> None:
    """One section of each name, nothing missing that the board's table lacks, all three files there."""
    names = [name for name, _ in loaded_sections(extension)]
    assert sorted(names) == sorted(set(names))
    assert {".text", ".init_array", ".fini_array"} <= set(names)
    assert undefined(extension) == {"printk"}
    assert {path.name for path in extension.parent.glob("morse.*")} >= {"morse.llext", "morse.json", "morse.debug.elf"}


@pytest.mark.parametrize(("target", "toolchain"), COMBINATIONS)
def test_make(target: str, toolchain: str, example: Example) -> None:
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
    assert not (example.folder / "build" / f"{target}-{toolchain}" / "morse.llext").exists()


@pytest.mark.parametrize(("target", "toolchain"), COMBINATIONS)
def test_meson(target: str, toolchain: str, example: Example) -> None:
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


def test_the_shell_commands_of_the_page(example: Example) -> None:
    """Oracle: pyelftools on what comes out."""
    need("arm-none-eabi-gcc")
    page = (ROOT / "docs/how-to/without-cmake.md").read_text(encoding="utf-8")
    commands = page.partition("```sh\n")[2].partition("```")[0]
    (example.folder / "blink.c").write_text(
        "#include <llext/host.h>\n#include <llext/symbol.h>\n"
        'void blink(void) { printk("x"); }\nLL_EXTENSION_SYMBOL(blink);\n'
    )
    example.done("sh", "-e", "-c", commands)
    assert undefined(example.folder / "blink.llext") == {"printk"}
    assert (example.folder / "blink.debug.elf").exists()

"""The samples as their ``CMakeLists.txt`` describe them, and built without CMake: extensions and the base image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from emulator.compiled import call
from llext_tools import arch, toolchains
from llext_tools.errors import ToolError
from llext_tools.paths import cmake_dir, include_dir, samples_dir

ROOT = Path(samples_dir())
RUNTIME = Path("COMPILER_RUNTIME")
IMAGE_SCRIPT = """
SECTIONS {
    .text 0x08000000 : { *(.text*) *(.rodata*) *(.srodata*) }
    llext_const_symbol_area : { KEEP(*(llext_const_symbol_area)) }
    copied = ALIGN(16);
    .data 0x20000000 : AT(copied) { *(.data*) *(.sdata*) }
    .bss : { *(.bss*) *(.sbss*) }
    .noinit (NOLOAD) : ALIGN(4096) { *(.noinit*) }
    /DISCARD/ : { *(.ARM*) *(.eh_frame*) }
}
"""
QUOTED = r'"(?:[^"\\]|\\.)*"'


class Sample(NamedTuple):
    """One ``llext_add_test()``, as far as tests here look at it; what is not given is empty."""

    folder: str
    name: str
    extension: str
    extensions: str = ""
    call: str = ""
    prototype: str = ""
    exports: str = ""
    at: str = ""
    mmio: str = ""
    expect_return: str = ""
    expect_output: str = ""
    refused: str = ""


def _lists() -> Iterator[tuple[str, str]]:
    """Folder and text of each ``CMakeLists.txt``, without comments, with its variables filled in."""
    for lists in sorted(ROOT.glob("*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", lists.read_text(encoding="utf-8"))
        for name, value in re.findall(r"^set\((\w+) (\S+)\)", text, re.MULTILINE):
            text = text.replace(f"${{{name}}}", value.strip('"'))
        yield lists.parent.name, text


def read_samples() -> Iterator[Sample]:
    """What the samples expect of themselves."""
    for folder, text in _lists():
        for name, body in re.findall(rf'llext_add_test\((\w+)((?:[^()"]|{QUOTED})*)\)', text):
            words = [re.sub(r"\\(.)", r"\1", word.strip('"')) for word in re.findall(rf"{QUOTED}|\S+", body)]
            given = {key.lower(): value for key, value in zip(words[::2], words[1::2], strict=True)}
            refusal = re.search(rf"set_tests_properties\({name} PROPERTIES\s+PASS_REGULAR_EXPRESSION ({QUOTED})", text)
            given = {key: value for key, value in given.items() if key in Sample._fields}
            yield Sample(folder, name, **given, refused=refusal[1].strip('"') if refusal else "")


@cache
def sources() -> dict[str, list[Path]]:
    """The sources of each extension, ``RUNTIME`` among them if it is wanted, and of ``firmware``."""
    found = {}
    for folder, text in _lists():
        for name, body in re.findall(r"llext_add_extension\((\w+)\s+SOURCES\s+([^)]*)\)", text):
            names = [word for word in body.split() if re.fullmatch(r"\w+\.(c|cpp|S)", word)]
            found[name] = [ROOT / folder / file for file in names]
            if "COMPILER_RUNTIME" in body:
                found[name].append(RUNTIME)
        for body in re.findall(r"add_executable\(firmware\s+([^)]*)\)", text):
            found["firmware"] = [ROOT / folder / file for file in body.split()]
    return found


class Builder:
    """Compiles and links as the CMake helpers do it. Skips the test without the compiler."""

    def __init__(self, target: str, chain: str, folder: Path) -> None:
        self.target, self.folder = arch.target(target), folder
        try:
            self.tools = toolchains.find(self.target, chain)
            self.runtime = toolchains.compiler_runtime(self.target, self.tools)
        except ToolError as error:
            pytest.skip(str(error))

    def compile(self, source: Path, *options: str) -> Path:
        language: toolchains.Language = {".c": "C", ".cpp": "CXX", ".S": "ASM"}[source.suffix]  # type: ignore[assignment]
        compiler = self.tools.cxx if language == "CXX" else self.tools.cc
        out = self.folder / f"{source.parent.name}-{source.name}.o"
        flags = toolchains.flags(self.target, self.tools.name, language)
        call([*compiler, *flags, f"-I{include_dir()}", *options, "-c", str(source), "-o", str(out)])
        return out

    def _link(self, out: Path, *arguments: str | Path) -> Path:
        emulation = {"arm": "armelf", "riscv": f"elf{self.target.bits}lriscv"}[self.target.arch]
        call([*self.tools.ld, "-m", emulation, *map(str, arguments), "-o", str(out)])
        return out

    def extension(self, name: str, *files: Path) -> Path:
        """The extension of these sources, or a sample's: partially linked, with debug information."""
        wanted = files or sources()[name]
        objects = [self.compile(source, "-DLL_EXTENSION_BUILD") for source in wanted if source != RUNTIME]
        options = ["-d", "--force-group-allocation"] if self.tools.name == "gcc" else []
        merge = ["-r", *options, "-T", f"{cmake_dir()}/llext-merge.ld"]
        return self._link(self.folder / f"{name}.debug.elf", *merge, *objects, *[self.runtime] * (RUNTIME in wanted))

    def firmware(self, flash: int, ram: int, uart: int) -> Path:
        """The base image for these addresses."""
        template = (ROOT / "firmware/firmware.ld.in").read_text(encoding="utf-8")
        script = self.folder / "firmware.ld"
        script.write_text(template.replace("@FLASH_BASE@", hex(flash)).replace("@RAM_BASE@", hex(ram)))
        objects = [self.compile(c, "-fno-builtin", f"-DUART_BASE={uart:#x}") for c in sources()["firmware"]]
        return self._link(self.folder / "firmware.elf", "-T", script, *objects)

    def image(self, source: str) -> Path:
        """A small linked image of a C text: code at 0x08000000, variables at 0x20000000, filled from flash."""
        c, script = self.folder / "image.c", self.folder / "image.ld"
        c.write_text(source, encoding="utf-8")
        script.write_text(IMAGE_SCRIPT, encoding="utf-8")
        return self._link(self.folder / "image.elf", "--entry=0", "-T", script, self.compile(c), self.runtime)

    def program(self, source: Path, at: int) -> Path:
        """A C file linked for an address, for whoever wants to jump to its function ``start``."""
        script = self.folder / "program.ld"
        script.write_text(
            f"ENTRY(start)\nSECTIONS {{ . = {at:#x}; .all : {{ *(.text.start) *(.text*) *(.rodata*)"
            " *(.srodata*) *(.data*) *(.bss*) } /DISCARD/ : { *(.ARM*) *(.eh_frame*) } }\n"
        )
        return self._link(self.folder / f"{source.stem}.elf", "-T", script, self.compile(source), self.runtime)

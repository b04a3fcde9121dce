"""Small extensions for the emulator tests, compiled as the CMake helpers do it, without CMake."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from llext_tools import arch, toolchains
from llext_tools.arch.model import Target
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.errors import ToolError
from llext_tools.paths import cmake_dir, include_dir

TARGETS = tuple(arch.targets())
CHAINS = ("gcc", "zig")
CALLS_READ_ADC = """\
.syntax unified
.thumb
.globl answer
.type answer, %function
answer:
    push {r3, lr}
    ldr r3, =read_adc
    blx r3
    pop {r3, pc}
"""
"""A function for Arm that calls one of the host, in assembly."""


PRELUDE = "#include <stdbool.h>\n#include <llext/host.h>\n#include <llext/symbol.h>"


def compile_c(
    source: str, target: Target, chain: str, folder: Path, *options: str, name: str = "ext", prelude: str = PRELUDE
) -> ElfObject:
    """An extension of one C source, with debug information and the compiler's helpers. Skips without a compiler."""
    c = folder / f"{name}.c"
    c.write_text(f"{prelude}\n#line 1\n{source}", encoding="utf-8")
    return compile_file(c, target, chain, folder, *options)


def compile_file(c: Path, target: Target, chain: str, folder: Path, *options: str) -> ElfObject:
    """The same of a file, as it is."""
    try:
        tools = toolchains.find(target, chain)
        runtime = toolchains.compiler_runtime(target, tools)
    except ToolError as error:
        pytest.skip(str(error))
    obj, out = (folder / f"{c.stem}{end}" for end in (".o", ".debug.elf"))
    language: toolchains.Language = "CXX" if c.suffix == ".cpp" else "C"
    compiler = tools.cxx if language == "CXX" else tools.cc
    flags = [*toolchains.flags(target, tools.name, language), f"-I{include_dir()}", "-DLL_EXTENSION_BUILD", *options]
    call([*compiler, *flags, "-c", str(c), "-o", str(obj)])
    emulation = {"arm": "armelf", "riscv": f"elf{target.bits}lriscv"}[target.arch]
    script = f"{cmake_dir()}/llext-merge.ld"
    group = ["--force-group-allocation"] if language == "CXX" else []
    call([*tools.ld, "-m", emulation, "-r", "-d", *group, "-T", script, str(obj), runtime, "-o", str(out)])
    return load_object(str(out))


def call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[:2000]}"

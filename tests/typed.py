"""Extensions and firmwares with debug information, for tests of what they think of each other's types."""

from __future__ import annotations

import subprocess
from pathlib import Path

from built import Combination
from llext_tools.check import check
from llext_tools.diag import Diagnostic
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import read_firmware
from llext_tools.toolchains import Language

EXPORT = """
struct export_entry { const char *name; const void *address; };
#define EXPORT(what) EXPORT_AS(what, what)
#define EXPORT_AS(what, called) const struct export_entry export_of_##called \\
    __attribute__((used, section("llext_const_symbol_area"))) = {#called, (const void *)&what}
"""


def link(
    built: Combination, folder: Path, *sources: str, flags: tuple[str, ...] = (), cpp: str = "", name: str = "fw.elf"
) -> Path:
    """A firmware of several C sources, and one in C++; what is to be exported stands in ``EXPORT(name);``."""
    objects = []
    for i, source in enumerate((*sources, cpp) if cpp else sources):
        part = folder / f"{name}.{i}"
        part.mkdir()
        language: Language = "CXX" if source is cpp else "C"
        objects.append(built.compile(part, source if source is cpp else EXPORT + source, *flags, language=language))
    emulation = {("arm", 32): "armelf", ("riscv", 32): "elf32lriscv", ("riscv", 64): "elf64lriscv"}
    more = ["-m", emulation[built.target.arch, built.target.bits]] if built.toolchain.name == "gcc" else []
    command = [*built.toolchain.ld, *more, "-e", "0", *map(str, objects), "-o", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / name


def disagreements(extension: Path, firmware: Path) -> list[Diagnostic]:
    """What the check of an extension says of types."""
    try:
        check(load_object(str(extension)), firmware=read_firmware([str(firmware)]))
    except LlextError as error:
        found = error.diagnostics
    else:
        return []
    typed = ("abi-prototype", "abi-layout")
    assert all(d.code in typed or d.severity == "warning" for d in found), found
    return [d for d in found if d.code in typed]

"""What the loader takes and should not, found when its own code was measured: the check has a word for each of it.

Oracle: what that code did with such objects, as each case says. Objects come from GNU as; fields that no assembler
writes are edited.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from elfedit import Elf
from llext_tools.check import check
from llext_tools.diag import Reporter
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from needs import need

pytestmark = pytest.mark.toolchain

ENTRY = """\
.syntax unified
.thumb
.global start
.type start, %function
start: bx lr
.section .rodata.name, "a"
name: .asciz "start"
.section .exported_sym, "a"
.word name, start
"""


def shdr(section: str, field: str, value: int) -> Callable[[Elf], None]:
    return lambda elf: elf.put(elf.shdr(section, field), value)


CASES = {
    # two undefined symbols of a type are counted but get no name: the sort calls strcmp(NULL)
    "undefined functions": (
        ".data\n.word one, two\n.global one, two\n.type one, %function\n.type two, %function\n",
        None,
        "load-undefined",
    ),
    # with the second one the sort compares a name with NULL
    "entries without a name": (".section .exported_sym\n.word 0, start\n.word 0, start\n", None, "export-entry"),
    # its address is in the ELF buffer, which is gone after the load
    "function in an empty section": (
        '.section .text.empty, "ax"\n.global none\n.type none, %function\nnone:\n',
        None,
        "symbol-nowhere",
    ),
    # the loader refuses: an empty section is in no region
    "reference to an empty section": (
        '.section .text.empty, "ax"\nnone:\n.data\n.word none\n',
        None,
        "symbol-unmapped",
    ),
    # prepad is then the whole offset in the file
    "alignment of 0": (".data\n.word 1\n", shdr(".data", "addralign", 0), "region-alignment"),
    # read clamps: the region holds what the heap held before
    "data beyond the file": (".data\n.word 1\n", shdr(".data", "offset", 0x10_0000), "elf-truncated"),
    # the index is not bounded: the name of what lies there reaches the relocation
    "symbol beyond the table": (".data\n.word start\n", shdr(".rel.data", "link", 1), "elf-relocations"),
    # silently no exports
    "exports without memory": ('.section .exported_sym, "a"\n', shdr(".exported_sym", "flags", 0), "export-section"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_reported(name: str, tmp_path: Path) -> None:
    more, edit, code = CASES[name]
    found = codes(ENTRY + more, edit, tmp_path)
    assert code in found


def test_what_they_are_added_to_is_fine(tmp_path: Path) -> None:
    assert codes(ENTRY, None, tmp_path) == set()


def codes(text: str, edit: Callable[[Elf], None] | None, folder: Path) -> set[str]:
    (folder / "e.s").write_text(text)
    subprocess.run([need("arm-none-eabi-as"), "-mcpu=cortex-m4", "e.s", "-o", "e.o"], cwd=folder, check=True)
    elf = Elf((folder / "e.o").read_bytes())
    if edit:
        edit(elf)
    reporter = Reporter()
    try:
        check(read_object(bytes(elf), "e.o"), reporter=reporter)
    except LlextError as error:
        reporter.add(error.diagnostics)
    return {found.code for found in reporter.diagnostics}

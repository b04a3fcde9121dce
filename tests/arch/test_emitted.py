"""Relocations that compilers emit have a row, or a cure where they cannot have one.

Oracle: GCC and clang compile ``emitted.c``; pyelftools reads what they wrote.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from llext_tools.arch import by_machine
from oracle.gnu_ld import run, tool, zig

pytestmark = pytest.mark.toolchain
MACHINE = {"EM_ARM": 40, "EM_RISCV": 243}
SOURCE = Path(__file__).with_name("emitted.c")

GCC = (
    ("arm", "-mcpu=cortex-m0plus -mthumb -Os"),
    ("arm", "-mcpu=cortex-m0plus -mthumb -O2 -mpure-code -DNO_TLS"),
    ("arm", "-mcpu=cortex-m4 -mthumb -O2 -g -funwind-tables"),
    ("arm", "-mcpu=cortex-m33 -mthumb -Os -mlong-calls -ftls-model=local-exec"),
    ("arm", "-mcpu=cortex-m33 -mthumb -Os -mpure-code -DNO_TLS"),
    ("arm", "-mcpu=cortex-a8 -marm -O2"),
    ("riscv", "-march=rv32imac -mabi=ilp32 -Os -mno-relax"),
    ("riscv", "-march=rv32imafc -mabi=ilp32f -O2 -g -funwind-tables -ftls-model=local-exec"),
    ("riscv", "-march=rv64gc -mabi=lp64d -mcmodel=medany -Os -msave-restore"),
)
CLANG = (
    "-target thumb-freestanding-eabi -mcpu=cortex_m0plus -Os",
    "-target thumb-freestanding-eabi -mcpu=cortex_m4 -O2 -g -funwind-tables",
    "-target thumb-freestanding-eabi -mcpu=cortex_m33 -Os -mexecute-only -DNO_TLS",
    "-target thumb-freestanding-eabi -mcpu=cortex_m33 -Os -fropi -frwpi -DNO_TLS",
    "-target riscv32-freestanding-none -mcpu=baseline_rv32 -Os -mno-relax",
    "-target riscv64-freestanding-none -mcpu=baseline_rv64 -O2 -mrelax -g -funwind-tables -mcmodel=medlow",
)


def emitted(path: Path) -> tuple[set[str], set[int]]:
    """The names of the relocations in an object that have a row, and the codes of the others."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        arch = by_machine(MACHINE[elf["e_machine"]])
        assert arch
        tables = [section for section in elf.iter_sections() if isinstance(section, RelocationSection)]
        codes = {entry["r_info_type"] for table in tables for entry in table.iter_relocations()}
        rows = arch.relocs[elf.elfclass]
        absent = codes - rows.keys()
        assert absent <= arch.no_help.keys(), "neither a row nor a cure"
        return {rows[code].name for code in codes & rows.keys()}, absent


@pytest.mark.parametrize(("arch", "flags"), GCC, ids=lambda x: x.replace(" ", ""))
def test_gcc(arch: str, flags: str, tmp_path: Path) -> None:
    path = tmp_path / "x.o"
    for pic in ("-fno-pic", "-fPIC"):
        if "pure-code" in flags and pic == "-fPIC":
            continue
        run(tool(arch, "gcc"), "-ffreestanding", *flags.split(), pic, "-c", str(SOURCE), "-o", str(path))
        have, absent = emitted(path)
        assert len(have) > 1
        assert bool(absent) == (pic == "-fPIC")


@pytest.mark.parametrize("flags", CLANG, ids=lambda x: x.replace(" ", ""))
def test_clang(flags: str, tmp_path: Path) -> None:
    path = tmp_path / "x.o"
    run(*zig("cc"), "-ffreestanding", *flags.split(), "-fno-pic", "-c", str(SOURCE), "-o", str(path))
    have, absent = emitted(path)
    assert len(have) > 2
    assert not absent

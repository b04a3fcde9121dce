"""The passes of a link, on objects that gas makes here.

The expected values come from the sources that the modules name: the order and alignment of regions from
``enum llext_mem``, reach from the ABI, what is reported together from the design ("all causes at once").
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from llext_tools.check import check
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object, read_object
from llext_tools.errors import LlextError, RangeError, RefusedError, UndefinedError
from llext_tools.host.firmware import Firmware
from llext_tools.link import ExportTable, link
from llext_tools.link.exports import Export
from llext_tools.mem import Domain, Mem
from needs import need

pytestmark = pytest.mark.toolchain

ARM = ("arm-none-eabi-as", "-mcpu=cortex-m4", "-mthumb")
RISCV = ("riscv64-unknown-elf-as", "-march=rv32ima", "-mabi=ilp32", "-mno-relax")

ENTRY = """
    .syntax unified
    .text
    .globl entry
    .type entry, %function
entry:
"""


def assemble(folder: Path, source: str, assembler: tuple[str, ...] = ARM) -> ElfObject:
    need(assembler[0])
    text, obj = folder / "ext.s", folder / "ext.o"
    text.write_text(source)
    subprocess.run([*assembler, str(text), "-o", str(obj)], check=True)
    return load_object(str(obj))


def errors(obj: ElfObject, exports: dict[str, int], domain: Domain, **options: Any) -> tuple[Diagnostic, ...]:
    with pytest.raises(LlextError) as caught:
        link(obj, exports=ExportTable.of(exports, "firmware.toml"), domain=domain, **options)
    return caught.value.diagnostics


def test_all_undefined_symbols_are_reported_together(tmp_path: Path) -> None:
    obj = assemble(tmp_path, ENTRY + "bl printk\n" * 6 + "bl k_malloc\nbl here\nhere: bx lr\n.data\n.word errno\n")
    with pytest.raises(UndefinedError) as caught:
        link(obj, exports=ExportTable.of({"printf": 0x8001}, "firmware.toml"), domain=Domain())
    found = {d.message.split("`")[1]: d for d in caught.value.diagnostics}
    assert set(found) == {"printk", "k_malloc", "errno"}
    printk = found["printk"]
    assert str(printk.location) == f"{obj.path}: .text+0x0, in `entry`"
    assert printk.notes == (*(f"also at .text+{4 * i:#x}, in `entry`" for i in (1, 2, 3)), "and from 2 more places")
    assert printk.help == "did you mean `printf`?"
    assert found["errno"].location is not None
    assert found["errno"].location.section == ".data"


def test_all_range_errors_are_reported_together(tmp_path: Path) -> None:
    """Oracle: aaelf32, BL reaches from -2**24 to 2**24 - 2; the places start at 0x2000_0000."""
    obj = assemble(tmp_path, ENTRY + "bl near\nbl far\nbl farther\nbl far\n")
    exports = {"near": 0x2000_1001, "far": 0x0800_0001, "farther": 0x0900_0001}
    with pytest.raises(RangeError) as caught:
        link(obj, exports=ExportTable.of(exports), domain=Domain.at(text=0x2000_0000))
    first, second = caught.value.diagnostics
    assert first.message == "`R_ARM_THM_CALL` cannot reach `far`"
    assert first.notes == ("also at .text+0xc, in `entry`",)
    assert second.message == "`R_ARM_THM_CALL` cannot reach `farther`"
    distance = 0x0900_0001 - 0x2000_0008
    assert second.detail == (f"place 0x20000008, target 0x09000001: {distance:,} bytes apart, at most 16,777,216",)
    assert second.help == "compile the extension with `-mlong-calls`"


def test_regions_follow_one_another_in_enum_order(tmp_path: Path) -> None:
    """Oracle: ``enum llext_mem`` (TEXT, DATA, RODATA, BSS, EXPORT), each at the alignment that readelf shows."""
    source = ENTRY + (
        "bx lr\n.data\n.balign 16\n.byte 1\n.section .rodata\nname: .asciz \"entry\"\n.bss\n.balign 32\n.space 5\n"
        '.section .exported_sym, "a"\n.word name, entry\n'
    )  # fmt: skip
    base = dict(link(assemble(tmp_path, source), domain=Domain(start=0x2000_0002)).layout.base)
    assert base == {
        Mem.TEXT: 0x2000_0002,
        Mem.DATA: 0x2000_0010,
        Mem.RODATA: 0x2000_0011,
        Mem.BSS: 0x2000_0020,
        Mem.EXPORT: 0x2000_0025,
    }


def test_exports_are_sorted_and_carry_the_thumb_bit(tmp_path: Path) -> None:
    source = ENTRY + (
        'bx lr\n.data\nvalue: .word 7\n.section .rodata\na: .asciz "zoo"\nb: .asciz "ant"\n'
        '.section .exported_sym, "a"\n.word a, entry\n.word b, value\n'
    )  # fmt: skip
    image = link(assemble(tmp_path, source), domain=Domain.at(text=0x8000, data=0x9000))
    assert [tuple(e)[:3] for e in image.exp_tab.symbols] == [("ant", 0x9000, "object"), ("zoo", 0x8001, "func")]


def test_an_export_without_a_name_is_refused(tmp_path: Path) -> None:
    source = ENTRY + 'bx lr\n.section .exported_sym, "a"\n.word 4, entry\n'
    (found,) = errors(assemble(tmp_path, source), {}, Domain(start=0x1000))
    assert found.code == "export-entry"


def test_undefined_weak_symbol_depends_on_the_loader(tmp_path: Path) -> None:
    """Oracle: gABI, "Symbol Table" (value 0) and Zephyr's llext_link.c (-ENODATA)."""
    obj = assemble(tmp_path, ENTRY + "bx lr\n.data\n.weak maybe\n.word maybe\n")
    assert link(obj, domain=Domain(), profile="abi").mem[Mem.DATA].tobytes() == bytes(4)
    (found,) = errors(obj, {}, Domain(), profile="zephyr-next")
    assert (found.code, found.errno) == ("weak-undefined", "ENODATA")


@pytest.mark.parametrize(
    ("domain", "code"),
    [
        (Domain.at(text=0x1000, data=0x1001), "place-misaligned"),
        (Domain.at(text=0x1000, data=0x1000), "place-overlap"),
        (Domain.at(text=0xFFFF_FFFE), "place-too-small"),
    ],
)
def test_impossible_places_are_refused(tmp_path: Path, domain: Domain, code: str) -> None:
    obj = assemble(tmp_path, ENTRY + "bx lr\nbx lr\n.data\n.balign 4\n.word 1\n")
    assert code in {d.code for d in errors(obj, {}, domain)}


PAIR = """
    .text
    .globl entry
    .type entry, @function
entry:
high: auipc a0, %pcrel_hi(target)
    ret
    {section}
    lw a1, %pcrel_lo({label})(a0)
"""


def test_low_part_finds_its_high_part_in_another_section(tmp_path: Path) -> None:
    """Oracle: psABI, the low 12 bits of target - address of the AUIPC; the instruction's bits 31-20."""
    source = PAIR.format(section='.section .text.cold, "ax"', label="high")
    obj = assemble(tmp_path, source, RISCV)
    image = link(obj, exports=ExportTable.of({"target": 0x1234}), domain=Domain.at(text=0x8000), profile="abi")
    text = image.mem[Mem.TEXT].view("<u4")
    assert (text[-1] >> 20, text[0] >> 12) == ((0x1234 - 0x8000) & 0xFFF, (0x1234 - 0x8000 + 0x800) >> 12 & 0xFFFFF)


def test_low_part_without_high_part_is_refused(tmp_path: Path) -> None:
    obj = assemble(tmp_path, PAIR.format(section="other: nop", label="other"), RISCV)
    (found,) = errors(obj, {"target": 0x1234}, Domain(start=0x8000))
    assert found.code == "reloc-unpaired"
    assert "`R_RISCV_PCREL_LO12_I` finds no `R_RISCV_PCREL_HI20` at its label `other`" in found.message


def test_second_nobits_section_and_overlap_are_reported_together(tmp_path: Path) -> None:
    """Oracle: reference of the loader, -ENOTSUP for a second NOBITS section and -ENOEXEC for regions that overlap."""
    source = ENTRY + (
        "bx lr\n.section .data.a, \"aw\"\n.word 1\n.section .text.b, \"ax\"\nnop\n.bss\n.word 0\n"
        '.section .noinit, "aw", %nobits\n.word 0\n'
    )  # fmt: skip
    reporter = Reporter()
    with pytest.raises(RefusedError):
        link(assemble(tmp_path, source), domain=Domain(), reporter=reporter)
    assert {(d.code, d.errno) for d in reporter.diagnostics} == {
        ("region-nobits", "ENOTSUP"),
        ("region-overlap", "ENOEXEC"),
    }


def test_an_exact_start_is_kept_or_refused(tmp_path: Path) -> None:
    obj = assemble(tmp_path, ENTRY + ".balign 8\nbx lr\n.data\n.balign 16\n.word 1\n")
    image = link(obj, domain=Domain(start=0x2000_0008, exact=True))
    assert image.layout.base[Mem.TEXT] == 0x2000_0008
    (found,) = errors(obj, {}, Domain(start=0x2000_0009, exact=True))
    assert found.code == "place-misaligned"
    assert found.help == "the next suitable address is 0x20000010"


@pytest.mark.parametrize(
    ("export", "use", "warned"),
    [
        (Export("f", 0x1234), "bl f", True),
        (Export("f", 0x1234), "b.w f", True),
        (Export("f", 0x1235), "bl f", False),
        (Export("f", 0x1234), ".word f", False),  # data, for all that is known
        (Export("f", 0x1234, "func"), ".word f", True),
        (Export("f", 0x1234, "object"), "ldr r0, =f", False),
    ],
)
def test_an_even_address_of_a_thumb_function(export: Export, use: str, warned: bool, tmp_path: Path) -> None:
    reporter = Reporter()
    table = ExportTable(source="table.toml", symbols=(export,))
    check(assemble(tmp_path, ENTRY + use), firmware=Firmware(exports=table), reporter=reporter)
    assert ("exports-thumb" in {d.code for d in reporter.diagnostics}) == warned


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("", True),
        ('.section .exported_sym, "aw"\n', True),
        ('.section .exported_sym, "aw"\n.word name, entry\n.data\nname: .asciz "entry"\n', False),
        ('.section .init_array, "aw", %init_array\n.word entry\n', False),
        ('.section exported_sym, "aw"\n.word 0, 0\n', False),  # export-section says it
    ],
)
def test_an_extension_without_exports(more: str, warned: bool, tmp_path: Path) -> None:
    reporter = Reporter()
    check(assemble(tmp_path, ENTRY + "bx lr\n" + more), reporter=reporter)
    assert ("no-exports" in {d.code for d in reporter.diagnostics}) == warned


def test_low_part_may_have_an_addend_of_its_own(tmp_path: Path) -> None:
    """Oracle: GNU ld, which adds it to the value of the pair: (target - label) + 4."""
    source = PAIR.format(section="nop", label="high + 4")
    image = link(
        assemble(tmp_path, source, RISCV), exports=ExportTable.of({"target": 0x8100}), domain=Domain.at(text=0x8000)
    )
    assert image.mem[Mem.TEXT].view("<u4")[-1] >> 20 == 0x8100 - 0x8000 + 4


def test_two_relocations_of_one_place_are_refused(tmp_path: Path) -> None:
    """Oracle: gABI, "Relocation": the first one's result is the second one's addend. We do not compose them."""
    source = (
        ENTRY + "bx lr\n.data\nword: .word 0x10\n.reloc word, R_ARM_ABS32, entry\n.reloc word, R_ARM_ABS32, entry\n"
    )
    (found,) = errors(assemble(tmp_path, source), {}, Domain(start=0x1000))
    assert (found.code, str(found.location).rpartition(": ")[2]) == ("elf-relocations", ".data+0x0")


def test_uleb128_must_end_in_its_section(tmp_path: Path) -> None:
    """Oracle: psABI, SET_ULEB128 (60) changes the bytes of the number that is there; this one has no last byte."""
    source = (
        ".text\n.globl entry\n.type entry, @function\nentry: ret\n"
        ".data\n.byte 1\nnumber: .byte 0x80\n.reloc number, R_RISCV_SET8, entry\n"  # gas does not know the other one
    )
    obj = assemble(tmp_path, source, RISCV)
    data = bytearray(obj.image.tobytes())
    data[int(obj.sections.offset[obj.sections.name.index(".rela.data")]) + 4] = 60
    (found,) = errors(read_object(bytes(data), "e.llext"), {}, Domain(start=0x1000), profile="abi")
    assert (found.code, found.location and found.location.section) == ("elf-relocations", ".data")


def test_export_beyond_the_address_space_is_refused(tmp_path: Path) -> None:
    (found,) = errors(assemble(tmp_path, ENTRY + "bl far\n"), {"far": 1 << 32}, Domain(start=0x1000))
    assert found.code == "exports-syntax"

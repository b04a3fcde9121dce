"""Every error return of the loader and its API, made to happen by a real object, with Zephyr's errno and a known code.

Oracle: Zephyr's ``subsys/llext`` (2026; ``zephyr-4.2`` where a row says so), whose error returns the rows go through
function by function, and the answers of its own code where they were measured (``tests/conformance``). Objects come
from GNU as and ld; fields that no tool writes are edited (``elfedit``). After each failure the heap, the memory and the
use counts of other extensions have to be as Zephyr leaves them.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from conformance.cases import files
from elfedit import SIZE, Elf, widen
from llext_tools import arch, explain
from llext_tools.diag import CODES
from llext_tools.errors import LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, FileLoader, Llext, Loader, LoadParam, Runtime, Storage
from llext_tools.mem import Mem
from needs import need

pytestmark = pytest.mark.toolchain

EXPLAINED = frozenset(explain.codes())
TEXT = """\
.text
.global start
.type start, %function
start: bx lr
"""
START = f".syntax unified\n.thumb\n{TEXT}"
RISCV = TEXT.replace("bx lr", "ret")
HELLO = f"""{START}
    nop
    .word printk, .text
    .data
value: .word start
    .section .rodata
name: .asciz "start"
    .section .exported_sym, "a"
    .word name, start
    .section .init_array, "aw", %init_array
    .word start
    .section .fini_array, "aw", %fini_array
    .word start
    .section .preinit_array, "aw", %preinit_array
    .word start
    .bss
    .space 8
"""
"""An extension with every region that an object of GNU as can have."""

SHARED = """\
extern int printk(const char *);
int counter = 5, *where = &counter, zero[4];
int start(void) { return printk("x") + *where + zero[1]; }
struct symbol { const char *name; void *address; };
__attribute__((section(".exported_sym"), used)) static struct symbol entry = {"start", (void *)start};
"""
PRINTK = {"printk": 0x2000_8101}
ARM_AS = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-c")
RISCV_AS = {
    32: ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-mno-relax", "-c"),
    64: ("riscv64-unknown-elf-gcc", "-march=rv64imac", "-mabi=lp64", "-mno-relax", "-c"),
}
ARM_SHARED = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Os", "-fPIC", "-shared", "-nostdlib")
NOBITS, PROGBITS, NOTE, FILE_NAMES, SYMBOLS = 8, 1, 7, 3, 2


@cache
def built(source: str, *command: str) -> bytes:
    """What the compiler makes of a source: assembly, or C if it has a comment or declaration of C."""
    compiler, *flags = command or ARM_AS
    language = "c" if "extern" in source else "assembler"
    with TemporaryDirectory() as folder:
        (Path(folder) / "source").write_text(source)
        tool = [need(compiler), *flags, "-x", language, "source", "-o", "e.llext"]
        subprocess.run(tool, cwd=folder, check=True)
        return (Path(folder) / "e.llext").read_bytes()


def edited(data: bytes, *edits: Callable[[Elf], None]) -> bytes:
    elf = Elf(data)
    for edit in edits:
        edit(elf)
    return bytes(elf)


def put(structure: str, *where: Any, value: int) -> Callable[[Elf], None]:
    """``put("shdr", ".data", "size", value=6)``: set a field."""
    return lambda elf: elf.put(getattr(elf, structure)(*where), value)


def rel(table: str, n: int, field: str, value: int) -> Callable[[Elf], None]:
    return lambda elf: elf.put(elf.rel(elf.index(table), n, field), value)


def symbol(name: str, field: str, value: int) -> Callable[[Elf], None]:
    """Set a field of the symbol of that name."""

    def edit(elf: Elf) -> None:
        table = elf.of_type(SYMBOLS)[0]
        strings = elf.get(elf.shdr(elf.get(elf.shdr(table, "link")), "offset"))
        count = elf.get(elf.shdr(table, "size")) // SIZE["sym"][elf.bits]
        for n in range(count):
            at = strings + elf.get(elf.sym(n, "name"))
            if elf.original[at : elf.original.index(0, at)] == name.encode():
                elf.put(elf.sym(n, field), value)
                return
        raise LookupError(name)

    return edit


K_HEAP, DEFAULT = Config(), LoadParam()


class Refused(NamedTuple):
    """A load that fails. ``errno`` is empty where C leaves undefined what happens."""

    data: Callable[[], bytes]
    errno: str
    code: str
    arch: str = "arm"
    bits: int = 32
    exports: dict[str, int] = PRINTK
    config: Config = K_HEAP
    profile: str = "zephyr-next"
    storage: Storage | None = None  # None: with any
    peek: bool | None = None  # None: whether there is peek or not
    param: LoadParam = DEFAULT
    header: bool = False  # fails in front of the section headers


def arm(source: str = HELLO, *edits: Callable[[Elf], None]) -> Callable[[], bytes]:
    return lambda: edited(built(source), *edits)


def riscv(source: str, *edits: Callable[[Elf], None], bits: int = 32) -> Callable[[], bytes]:
    return lambda: edited(built(source, *RISCV_AS[bits]), *edits)


def shared(*edits: Callable[[Elf], None]) -> Callable[[], bytes]:
    return lambda: edited(built(SHARED, *ARM_SHARED), *edits)


def stripped() -> bytes:
    with TemporaryDirectory() as folder:
        (Path(folder) / "e").write_bytes(built(HELLO))
        subprocess.run([need("arm-none-eabi-strip"), "--strip-all", "e"], cwd=folder, check=True)
        return (Path(folder) / "e").read_bytes()


def nothing_loaded(elf: Elf) -> None:
    """No section of a shared object is loaded any more."""
    for i in elf.sections:
        if elf.get(elf.shdr(i, "type")) in (PROGBITS, NOBITS):
            elf.put(elf.shdr(i, "flags"), 0)


WRITABLE, TEMPORARY, PERSISTENT = Storage.WRITABLE, Storage.TEMPORARY, Storage.PERSISTENT
VENEERS, NO_RELOC = Config(veneers="v7m"), Config(rodata_no_reloc=True)
HARVARD = Config(harvard=True, instr_heap_size=0x8000)
DETACHED = LoadParam(section_detached=lambda header: header.offset == 0x34)
BSS_ALONE = LoadParam(section_detached=lambda header: header.flags == 3 and header.type == PROGBITS)
FAR = {"far": 0x0800_0001, "further": 0x0900_0001, "furthest": 0x0A00_0001}
CALLS = f"{START} bl far\n bl further\n"
FULL = f"{START} bl far\n .word 0\n bl 1f\n bl 2f\n.set 1, 0x09000001\n.set 2, 0x0a000001\n"
PCREL = f"{RISCV}1: auipc a0, %pcrel_hi(value)\n addi a0, a0, %pcrel_lo(1b)\n.data\nvalue: .word 0\n"
TWO_DATA = f'{START}.data\n.word 1\n.section .data.second, "aw"\n.word 2\n'
COMMON = f"{START}.word block\n.comm block, 4\n"
WEAK = f"{START}.weak gone\n.word gone\n"
DETACHED_TEXT = 'section .far, "ax"'

HEADER = {
    # llext_load_elf_data()
    "not ELF": Refused(arm(HELLO, put("ehdr", "magic", value=0)), "ENOEXEC", "elf-magic"),
    "nothing": Refused(lambda: b"", "ENOEXEC", "elf-magic"),
    "big-endian": Refused(arm(HELLO, put("ehdr", "ei_data", value=2)), "ENOEXEC", "elf-header"),
    "64 bits": Refused(riscv(RISCV, bits=64), "ENOEXEC", "elf-machine", "riscv"),
    "class 0": Refused(arm(HELLO, put("ehdr", "ei_class", value=0)), "ENOEXEC", "elf-machine"),
    "another machine": Refused(riscv(RISCV), "ENOEXEC", "elf-machine"),
    "executable": Refused(arm(HELLO, put("ehdr", "type", value=2)), "ENOEXEC", "elf-type"),
    "core dump": Refused(arm(HELLO, put("ehdr", "type", value=4)), "ENOEXEC", "elf-type"),
    "section headers of 64 bytes": Refused(arm(HELLO, put("ehdr", "shentsize", value=64)), "ENOEXEC", "elf-header"),
    "no section headers": Refused(arm(HELLO, put("ehdr", "shnum", value=0)), "ENOMEM", "load-memory"),
    "no heap": Refused(arm(), "ENOMEM", "load-memory", config=Config(heap="dynamic")),
}
"""What fails before the loader has the section headers."""

SECTIONS = {
    # llext_find_tables()
    "names of symbols nowhere": Refused(arm(HELLO, put("shdr", ".symtab", "link", value=99)), "ENOEXEC", "elf-symbols"),
    "names of symbols no strings": Refused(
        arm(HELLO, put("shdr", ".strtab", "type", value=PROGBITS)), "ENOEXEC", "elf-symbols"
    ),
    "no names of sections": Refused(arm(HELLO, put("ehdr", "shstrndx", value=99)), "ENOEXEC", "elf-symbols"),
    "stripped": Refused(stripped, "ENOEXEC", "elf-symbols"),
    "shared, without dynamic symbols": Refused(arm(HELLO, put("ehdr", "type", value=3)), "ENOEXEC", "elf-symbols"),
    "symbols of 0 bytes": Refused(arm(HELLO, put("shdr", ".symtab", "entsize", value=0)), "ENOEXEC", "elf-symbols"),
    "part of a symbol": Refused(arm(HELLO, put("shdr", ".symtab", "size", value=33)), "ENOEXEC", "elf-symbols"),
    "the older pass over the tables": Refused(
        arm(HELLO, put("shdr", ".symtab", "link", value=99)), "ENOEXEC", "elf-symbols", profile="zephyr-4.2"
    ),
    # llext_map_sections()
    "section without a name": Refused(arm(HELLO, put("shdr", ".data", "name", value=9999)), "ENOEXEC", "elf-sections"),
    "table of names without bytes": Refused(
        arm(HELLO, put("shdr", ".shstrtab", "size", value=0)), "ENOEXEC", "elf-sections"
    ),
    "array of 8 bytes": Refused(arm(HELLO, put("shdr", ".init_array", "entsize", value=8)), "ENOEXEC", "region-array"),
    "part of a pointer": Refused(
        arm(HELLO, put("shdr", ".init_array", "entsize", value=4), put("shdr", ".init_array", "size", value=6)),
        "ENOEXEC",
        "region-array",
    ),
    "array of pointers of unknown size": Refused(
        arm(
            f'{START}.section .init_array, "aw", %init_array\n.word start\n',
            put("shdr", ".init_array", "entsize", value=0),
        ),
        "ENOEXEC",
        "region-array",
        profile="zephyr-4.2",
    ),
    "second array": Refused(
        arm(f'{HELLO}.section .init_array.100, "aw", %init_array\n.word start\n'), "ENOEXEC", "region-array"
    ),
    "code that can be written": Refused(arm(f'{START}.section .hot, "awx"\nnop\n'), "ENOEXEC", "region-flags"),
    "second .bss": Refused(arm(f'{HELLO}.section .noinit, "aw", %nobits\n.space 4\n'), "ENOTSUP", "region-nobits"),
    "second .bss, read-only": Refused(
        arm(f'{HELLO}.section .zero, "a", %nobits\n.space 4\n'), "ENOEXEC", "region-flags"
    ),
    "thread-local and .bss in 4.2": Refused(
        arm(f'{START}.section .tbss, "awT", %nobits\n.space 4\n.bss\n.space 4\n'),
        "ENOTSUP",
        "region-nobits",
        profile="zephyr-4.2",
    ),
    "detached code without peek": Refused(arm(HELLO), "ENOTSUP", "section-detached", param=DETACHED, peek=False),
    "addresses unlike offsets": Refused(
        shared(lambda e: e.put(e.shdr(".data", "addr"), e.get(e.shdr(".data", "addr")) + 64)),
        "ENOEXEC",
        "region-addresses",
    ),
    "alignment of 3": Refused(arm(HELLO, put("shdr", ".data", "addralign", value=3)), "ENOEXEC", "region-alignment"),
    "names aligned to 3": Refused(
        arm(HELLO, put("shdr", ".strtab", "addralign", value=3)), "ENOEXEC", "region-alignment"
    ),
    "prepad below address 0": Refused(
        shared(put("shdr", ".rodata", "addralign", value=0x1000), put("shdr", ".rodata", "addr", value=4)),
        "ENOEXEC",
        "region-alignment",
    ),
    "overlapping offsets": Refused(
        arm(HELLO, lambda e: e.put(e.shdr(".data", "offset"), e.get(e.shdr(".text", "offset")))),
        "ENOEXEC",
        "region-overlap",
    ),
    "overlapping addresses": Refused(
        shared(lambda e: e.put(e.shdr(".rodata", "addr"), e.get(e.shdr(".text", "addr")))), "ENOEXEC", "region-overlap"
    ),
    "tables that overlap in 4.2": Refused(
        arm(HELLO, lambda e: e.put(e.shdr(".shstrtab", "offset"), e.get(e.shdr(".strtab", "offset")))),
        "ENOEXEC",
        "region-overlap",
        profile="zephyr-4.2",
    ),
    "relocations of no section": Refused(
        arm(HELLO, put("shdr", ".rel.text", "info", value=99)), "ENOEXEC", "elf-relocations"
    ),
    "relocated, but to stay": Refused(
        arm(f'{START}.section .llext.rodata.noreloc, "a"\n.word start\n'), "ENOEXEC", "reloc-refused", config=NO_RELOC
    ),
    # llext_copy_strings(), llext_copy_regions()
    "pre-located, to be copied": Refused(
        arm(), "EFAULT", "pre-located", storage=TEMPORARY, param=LoadParam(pre_located=True)
    ),
    "pre-located, to be written": Refused(
        arm(), "EFAULT", "pre-located", storage=PERSISTENT, param=LoadParam(pre_located=True)
    ),
    "pre-located out of sight": Refused(
        arm(), "EFAULT", "pre-located", storage=WRITABLE, peek=False, param=LoadParam(pre_located=True)
    ),
    "shared, for two heaps": Refused(shared(), "ENOTSUP", "region-image", config=HARVARD),
    "shared, without a program": Refused(shared(nothing_loaded), "ENOEXEC", "region-image"),
    "section of 2^32-16 bytes": Refused(
        arm(START, put("shdr", ".text", "size", value=-16)), "ENOMEM", "load-memory", storage=TEMPORARY
    ),
    "alignment beyond the block of a memblk": Refused(
        arm(f"{START}.data\n.balign 64\n.word 1\n"),
        "ENOMEM",
        "load-memory",
        config=Config(heap="memblk", heap_size=0x4000),
        storage=TEMPORARY,
    ),
    # llext_count_export_syms(), llext_allocate_symtab(), llext_copy_symbols()
    "symbol without a name": Refused(arm(HELLO, symbol("value", "name", 9999)), "ENOEXEC", "elf-symbols"),
    "no symbols of others' concern": Refused(
        arm(".syntax unified\n.thumb\n.type start, %function\nstart: bx lr\n"), "ENOMEM", "no-globals"
    ),
    "no symbols": Refused(arm(HELLO, put("shdr", ".symtab", "size", value=0)), "ENOMEM", "no-globals"),
    "global number": Refused(
        arm(f"{START}.global limit\n.type limit, %object\n.set limit, 42\n"), "ENOEXEC", "symbol-absolute"
    ),
    "global common": Refused(arm(f"{START}.comm block, 4\n"), "ENOEXEC", "symbol-common"),
    "global in a section that is not there": Refused(
        arm(HELLO, symbol("start", "shndx", 99)), "ENOEXEC", "elf-symbols"
    ),
    "global out of sight": Refused(
        arm(f'{START}.section .note.x, "", %note\n.global mark\n.type mark, %object\nmark: .word 1\n'),
        "ENOTSUP",
        "symbol-nowhere",
        peek=False,
    ),
    # llext_link()
    "RELA for Arm": Refused(arm(HELLO, put("shdr", ".rel.text", "type", value=4)), "ENOTSUP", "reloc-rela"),
    "relocations of 12 bytes": Refused(
        arm(HELLO, put("shdr", ".rel.text", "entsize", value=12)), "ENOEXEC", "elf-relocations"
    ),
    "part of a relocation": Refused(
        arm(HELLO, put("shdr", ".rel.text", "size", value=9)), "ENOEXEC", "elf-relocations"
    ),
    "relocations of 8 bytes for RISC-V": Refused(
        riscv(f"{RISCV}.word start\n", put("shdr", ".rela.text", "entsize", value=8)),
        "ENOEXEC",
        "elf-relocations",
        "riscv",
    ),
    "relocated, but not loaded": Refused(
        arm(f'{START}.section .ARM.exidx.x, "a", %note\n.word start\n'), "ENOEXEC", "reloc-unmapped"
    ),
    "thread-local data relocated": Refused(
        arm(f'{START}.section .tdata, "awT"\n.word start\n'), "ENOEXEC", "reloc-unmapped"
    ),
    "place behind its section": Refused(arm(HELLO, rel(".rel.data", 0, "offset", 4)), "ENOEXEC", "elf-relocations"),
    "place at 2^63": Refused(
        riscv(f"{RISCV}.dword start\n", rel(".rela.text", 0, "offset", 1 << 63), bits=64),
        "ENOEXEC",
        "elf-relocations",
        "riscv",
        64,
    ),
    "place of a shared object in no section": Refused(
        shared(rel(".rel.dyn", 0, "offset", 0x40)), "ENOEXEC", "elf-relocations"
    ),
    "undefined": Refused(arm(), "ENODATA", "undefined-symbol", exports={}),
    "undefined in a shared object": Refused(shared(), "ENODATA", "undefined-symbol", exports={}),
    "at address 0": Refused(arm(), "ENODATA", "symbol-unexported", exports={"printk": 0}),
    "device": Refused(arm(f"{START}.word __device_dts_ord_14\n"), "ENODATA", "symbol-unexported"),
    "weak and undefined": Refused(arm(WEAK), "ENODATA", "weak-undefined"),
    "common": Refused(arm(COMMON, symbol("block", "info", 0x10)), "ENOEXEC", "symbol-common"),
    "in a section that is not there": Refused(
        arm(
            f"{START}.word value\n.data\nvalue: .word 1\n",
            symbol("value", "shndx", 99),
            rel(".rel.text", 0, "info", 2 | 9 << 8),
        ),
        "ENOEXEC",
        "elf-symbols",
    ),
    "in an empty section": Refused(
        arm(f'{START}.word nothing\n.section .rodata.none, "a"\nnothing:\n'), "ENOEXEC", "symbol-unmapped"
    ),
    "in no region": Refused(
        arm(f'{START}.word note\n.section .note.x, "", %note\nnote: .word 1\n'), "ENOEXEC", "symbol-unmapped"
    ),
    "type that the loader does not know": Refused(
        arm(HELLO, rel(".rel.data", 0, "info", 1 << 8 | 0xFE)), "ENOEXEC", "reloc-unknown"
    ),
    "type of 32 bits": Refused(
        riscv(f"{RISCV}.dword start\n", rel(".rela.text", 0, "info", 1 << 32 | 0xFFFF_FFFF), bits=64),
        "ENOEXEC",
        "reloc-unknown",
        "riscv",
        64,
    ),
    "type that it does not apply": Refused(arm(f"{START}beq.w printk\n"), "ENOEXEC", "reloc-refused"),
    "alignment for the linker": Refused(
        riscv(f"{RISCV}.reloc 0, R_RISCV_ALIGN, 2\n"), "ENOEXEC", "reloc-refused", "riscv"
    ),
    "low half alone": Refused(riscv(PCREL, rel(".rela.text", 0, "offset", 0)), "ENOEXEC", "reloc-unpaired", "riscv"),
    "low half of what is undefined": Refused(
        riscv(PCREL.replace("value)", "gone)")), "ENODATA", "undefined-symbol", "riscv", exports={}
    ),
    "out of reach": Refused(arm(CALLS), "ENOEXEC", "reloc-out-of-range", exports=FAR),
    "out of reach from 25 places": Refused(arm(START + 25 * " bl far\n"), "ENOEXEC", "reloc-out-of-range", exports=FAR),
    "relocations of 12 bytes, with stubs": Refused(
        arm(HELLO, put("shdr", ".rel.text", "entsize", value=12)), "ENOEXEC", "elf-relocations", config=VENEERS
    ),
    "out of a stub's reach": Refused(
        arm(f"{START}.data\n.word 1\n.text\nbl far\n"),
        "ENOEXEC",
        "reloc-out-of-range",
        exports=FAR,
        config=VENEERS,
        param=LoadParam(place={Mem.VENEER: 0x0A00_0000}),
    ),
    "more far numbers than stubs": Refused(
        arm(f"{START} bl far\n bl one\n bl two\n.set one, 0x09000001\n.set two, 0x0a000001\n"),
        "ENOEXEC",
        "reloc-out-of-range",
        exports={"far": 0x2000_8001},
        config=VENEERS,
    ),
    "moved from no section": Refused(
        shared(lambda e: e.put((e.get(e.shdr(".exported_sym", "offset")), 4), 0x40)), "ENOEXEC", "elf-relocations"
    ),
    "symbol below its section": Refused(
        shared(lambda e: e.put((e.get(e.shdr(".dynsym", "offset")) + 4 * 16 + 4, 4), 0x10)), "ENOEXEC", "elf-symbols"
    ),
}
"""What fails behind the section headers, in the order of the passes."""

NAMELESS = '.section .exported_sym, "a"\n.word 0, start\n'
BEHIND = f"{START}.word .text\n"


def symbol_behind_the_table(elf: Elf) -> None:
    """A relocation's symbol lies in the first section header: undefined, and with a name that is nowhere."""
    table, headers = elf.get(elf.shdr(".symtab", "offset")), elf.get(elf.ehdr("shoff"))
    n = -(-(headers - table) // SIZE["sym"][32])
    elf.put((table + n * SIZE["sym"][32], 4), 0xFFFF_FFFF)
    elf.put(elf.rel(elf.index(".rel.text"), 0, "info"), n << 8 | 2)


UNDEFINED = {
    # llext_copy_symbols(), llext_export_symbols(): sorting with strcmp()
    "functions that are undefined": Refused(
        arm(f"{START}.word a, b\n.type a, %function\n.type b, %function\n"), "", "load-undefined"
    ),
    "exports without names": Refused(arm(START + 2 * NAMELESS), "", "load-undefined"),
    # llext_link() and arch_elf_relocate()
    "symbol behind the file": Refused(arm(BEHIND, rel(".rel.text", 0, "info", 0xFFFF02)), "", "load-undefined"),
    "symbol behind the table": Refused(arm(BEHIND, symbol_behind_the_table), "", "load-undefined"),
    "table of 32 MiB": Refused(arm(HELLO, put("shdr", ".rel.text", "size", value=1 << 25)), "", "load-undefined"),
    "place at address 8": Refused(arm(BEHIND), "", "load-undefined", storage=TEMPORARY, param=DETACHED, peek=True),
    # the veneers of arch/arm/core/elf.c
    "relocations of 0 bytes": Refused(
        arm(HELLO, put("shdr", ".rel.text", "entsize", value=0)), "", "load-undefined", config=VENEERS
    ),
    # llext_copy_region(), llext_load_elf_data()
    "alignment of 0 in place": Refused(
        arm(HELLO, put("shdr", ".data", "addralign", value=0)), "", "load-undefined", storage=WRITABLE, peek=True
    ),
    "section headers behind the buffer": Refused(
        arm(HELLO, put("ehdr", "shnum", value=0xFEFF)),
        "",
        "load-undefined",
        peek=True,
        config=Config(heap_size=1 << 22),
    ),
    # what the loader of 4.2 does not check
    "section without a name": Refused(
        arm(HELLO, put("shdr", ".data", "name", value=9999)), "", "load-undefined", profile="zephyr-4.2"
    ),
    "symbol without a name": Refused(
        arm(HELLO, symbol("value", "name", 9999)), "", "load-undefined", profile="zephyr-4.2"
    ),
    "symbols of 0 bytes": Refused(
        arm(HELLO, put("shdr", ".symtab", "entsize", value=0)), "", "load-undefined", profile="zephyr-4.2"
    ),
    "relocations of no section": Refused(
        arm(HELLO, put("shdr", ".rel.text", "info", value=99)), "", "load-undefined", profile="zephyr-4.2"
    ),
    "global in a section that is not there": Refused(
        arm(HELLO, symbol("start", "shndx", 99)), "", "load-undefined", profile="zephyr-4.2"
    ),
    "alignment of 3": Refused(
        arm(HELLO, put("shdr", ".data", "addralign", value=3)), "", "load-undefined", profile="zephyr-4.2"
    ),
    "place behind its section": Refused(
        arm(HELLO, rel(".rel.data", 0, "offset", 0x0800_0000)), "", "load-undefined", profile="zephyr-4.2"
    ),
}
"""Where C does what it leaves undefined: a division by 0, a null pointer, memory that is nobody's."""


class Failure(NamedTuple):
    """How a load failed, and what it left behind."""

    error: LlextError
    runtime: Runtime
    left: int  # allocations


def attempt(row: Refused, storage: Storage, *, peek: bool) -> Failure:
    """Load what is to be refused; all is as before."""
    runtime = Runtime(
        arch.load(row.arch), row.bits, exports=ExportTable.of(row.exports), config=row.config, profile=row.profile
    )
    before = state(runtime)
    with pytest.raises(LlextError) as caught:
        runtime.load(BufLoader(row.data(), storage, peek=peek), "e", row.param)
    assert runtime.by_name("e") is None
    assert list(runtime) == []
    after = state(runtime)
    assert after.segments == before.segments, "memory is left over"
    return Failure(caught.value, runtime, after.allocations - before.allocations)


def firmware(config: Config = K_HEAP, exports: dict[str, int] = PRINTK) -> Runtime:
    return Runtime(arch.load("arm"), exports=ExportTable.of(exports), config=config)


class State(NamedTuple):
    segments: tuple[int, ...]
    allocations: int


def state(runtime: Runtime) -> State:
    heaps = {id(heap): heap for heap in runtime.heaps}.values()
    return State(tuple(s.start for s in runtime.space.segments), sum(heap.allocations for heap in heaps))


def check(error: LlextError, errno: str, code: str) -> None:
    """The errno of Zephyr, a class and an exit code that fit the diagnostic, and a page that explains it."""
    assert error.errno == errno
    assert error.diagnostics[0].code == code
    assert type(error) is CODES[code].error
    assert error.diagnostics[0].message
    assert {d.code for d in error.diagnostics} <= EXPLAINED


@pytest.mark.parametrize("what", [*HEADER, *SECTIONS])
def test_refused(what: str) -> None:
    """With each storage, with and without ``peek``."""
    row = {**HEADER, **SECTIONS}[what]
    for storage, peek in circumstances(row):
        failure = attempt(row, storage, peek=peek)
        check(failure.error, row.errno, row.code)
        assert failure.left == (what in SECTIONS and not peek), "a copy of the section headers, nothing else"


@pytest.mark.parametrize("what", UNDEFINED)
def test_undefined(what: str) -> None:
    """No errno, but the code; and the host frees everything."""
    row = UNDEFINED[what]
    for storage, peek in circumstances(row):
        failure = attempt(row, storage, peek=peek)
        check(failure.error, "", row.code)
        assert failure.left == 0


def circumstances(row: Refused) -> list[tuple[Storage, bool]]:
    storages = [row.storage] if row.storage else list(Storage)
    return [(storage, peek) for storage in storages for peek in ([True, False] if row.peek is None else [row.peek])]


# ---- loaders


class Calls(BufLoader):
    """A loader that notes each call, and fails at the one whose turn it is."""

    def __init__(self, data: bytes, failing: int, error: Exception, *, peek: bool) -> None:
        super().__init__(data, peek=peek)
        self.failing, self.error = failing, error
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) > self.failing:
            raise self.error

    def prepare(self) -> None:
        self._call("prepare")

    def seek(self, position: int) -> None:
        self._call("seek")
        super().seek(position)

    def read(self, size: int) -> bytes:
        self._call("read")
        return super().read(size)

    def finalize(self) -> None:
        self.calls.append("finalize")


HEADERS_COPIED = ["prepare", "seek", "read"]
"""The calls before the loader without ``peek`` has memory for the section headers (llext_load_elf_data())."""


@pytest.mark.parametrize("peek", [True, False], ids=["peek", "no peek"])
@pytest.mark.parametrize("data", [arm(), shared()], ids=["relocatable", "shared"])
def test_loader_that_fails_midway(data: Callable[[], bytes], peek: bool) -> None:
    """At each call in turn: its error comes back as it is, it is finalized, and nothing of the extension is left."""
    for failing in range(1000):
        runtime = firmware()
        loader = Calls(data(), failing, OSError(errno.ETIMEDOUT, "no answer"), peek=peek)
        before = state(runtime)
        try:
            runtime.load(loader, "e")
        except LlextError as error:
            check(error, "ETIMEDOUT", "loader-failed")
            assert f"`{loader.calls[failing]}`" in error.diagnostics[0].message
            assert loader.calls[failing + 1 :] == ["finalize"]
            copied = (
                not peek and loader.calls[: len(HEADERS_COPIED)] == HEADERS_COPIED and failing >= len(HEADERS_COPIED)
            )
            assert state(runtime) == before._replace(allocations=int(copied))
        else:
            break
    assert loader.calls[0] == "prepare"
    assert loader.calls[-1] == "finalize"
    assert failing == len(loader.calls) - 1
    assert failing > 12


@pytest.mark.parametrize("failing", [0, 1, 2, 9])
def test_loader_that_breaks(failing: int) -> None:
    """What is no ``OSError`` is the caller's mistake, and comes out as it is; nothing is left all the same."""
    runtime = firmware()
    before = state(runtime)
    with pytest.raises(ZeroDivisionError):
        runtime.load(Calls(built(HELLO), failing, ZeroDivisionError(), peek=False), "e")
    assert state(runtime) == before
    assert runtime.by_name("e") is None


class Own(Loader):
    """A user's loader: without ``peek``, and with more bytes than were asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def seek(self, position: int) -> None:
        self.position = position

    def read(self, size: int) -> bytes:  # noqa: ARG002 - its mistake
        return self.data[self.position :]


def test_own_loader() -> None:
    runtime = firmware()
    assert runtime.load(Own(built(HELLO)), "own")[0] == 0
    with pytest.raises(LlextError) as caught:
        runtime.load(Own(b"no ELF"), "other")
    check(caught.value, "ENOEXEC", "elf-magic")
    with pytest.raises(NotImplementedError):
        runtime.load(Loader(), "nothing to read")
    assert [ext.name for ext in runtime] == ["own"]


def test_file_loader(tmp_path: Path) -> None:
    """The file system's error is the one that comes back: llext_fs_prepare() returns that of fs_open()."""
    runtime = firmware()
    before = state(runtime)
    for path, name in (tmp_path / "missing.llext", "ENOENT"), (tmp_path, "EISDIR"):
        with pytest.raises(LlextError) as caught:
            runtime.load(FileLoader(path), "e")
        check(caught.value, name, "loader-failed")
    with pytest.raises(LlextError) as caught:
        runtime.load(Calls(built(HELLO), 2, OSError("no number"), peek=True), "e")
    check(caught.value, "EIO", "loader-failed")
    assert state(runtime) == before
    (tmp_path / "e.llext").write_bytes(built(HELLO))
    assert runtime.load(FileLoader(tmp_path / "e.llext"), "e")[0] == 0


@pytest.mark.parametrize("length", [0, 51, 52, 100, -1])
def test_file_that_ends_early(length: int, tmp_path: Path) -> None:
    """llext_fs_read() gives -EINVAL for fewer bytes than it was asked for; llext_buf_read() gives what there is."""
    (tmp_path / "e.llext").write_bytes(built(HELLO)[:length])
    runtime = firmware()
    with pytest.raises(LlextError) as caught:
        runtime.load(FileLoader(tmp_path / "e.llext"), "e")
    check(caught.value, "EINVAL", "loader-failed")
    assert state(runtime).allocations == (length not in (0, 51)), "a copy of the section headers"


def test_file_with_numbers_behind_its_end(tmp_path: Path) -> None:
    """A table of 2^63 bytes, a section at 2^63: no number of a 64-bit file is too large for a loader."""
    source = f"{RISCV}.dword start\n"
    for field in "offset", "size":
        data = edited(built(source, *RISCV_AS[64]), put("shdr", ".rela.text", field, value=24 << 58))
        (tmp_path / "e.llext").write_bytes(data)
        with pytest.raises(LlextError) as caught:
            Runtime(arch.load("riscv"), 64).load(FileLoader(tmp_path / "e.llext"), "e")
        check(caught.value, "EINVAL", "loader-failed")


# ---- memory

ALLOCATIONS = [
    "`struct llext`", "the section map", "the section headers", "SHSTRTAB", "STRTAB", "TEXT", "DATA",
    "RODATA", "VENEER", "BSS", "EXPORT", "SYMTAB", "PREINIT", "INIT", "FINI", "RODATA_NO_RELOC", "`sym_tab`",
    "`exp_tab`",
]  # fmt: skip
"""The loader's allocations in their order: llext_load(), do_llext_load() and the enum llext_mem."""
METADATA = {name for name in ALLOCATIONS if name.startswith(("the ", "`"))}
CODE = {"TEXT", "VENEER"}
FULL_HOUSE = f'{HELLO}.text\nbl printk\n.section .llext.rodata.noreloc, "a"\n.word 1\n'
EVERYTHING = Config(veneers="v7m", rodata_no_reloc=True)

HEAPS: dict[str, tuple[Config, str, int, set[str]]] = {
    # which size is raised, in which steps, and what that heap holds
    "k_heap": (EVERYTHING, "heap_size", 8, set(ALLOCATIONS)),
    "memblk: blocks": (EVERYTHING._replace(heap="memblk"), "heap_size", 32, set(ALLOCATIONS) - METADATA),
    "memblk: metadata": (EVERYTHING._replace(heap="memblk"), "metadata_heap_size", 8, METADATA),
    "harvard: data": (EVERYTHING._replace(harvard=True), "heap_size", 8, set(ALLOCATIONS) - CODE),
    "harvard: code": (EVERYTHING._replace(harvard=True), "instr_heap_size", 8, CODE),
    # between aligned regions there is room for the last tables
    "mpu": (EVERYTHING._replace(protection="mpu-pow2"), "heap_size", 8, set(ALLOCATIONS[:-2])),
}


@pytest.mark.parametrize("peek", [True, False], ids=["peek", "no peek"])
@pytest.mark.parametrize("kind", HEAPS)
def test_heap_too_small(kind: str, peek: bool) -> None:
    """The heap grows from nothing: each allocation fails in its turn, then the load succeeds and gives all back."""
    config, size, step, held = HEAPS[kind]
    data = built(FULL_HOUSE)
    missing: list[str] = []
    for room in range(step, 1 << 16, step):
        try:
            sizes: dict[str, Any] = {size: room}
            runtime = firmware(config._replace(**sizes))
        except LlextError as error:  # a heap that has no room even for its own tables: K_HEAP_DEFINE() has none such
            assert error.diagnostics[0].code == "usage"
            assert not missing
            continue
        before = state(runtime)
        try:
            _, ext = runtime.load(BufLoader(data, peek=peek), "e")
        except LlextError as error:
            check(error, "ENOMEM", "load-memory")
            missing.append(what_is_missing(error))
            copied = not peek and ALLOCATIONS.index(missing[-1]) > ALLOCATIONS.index("the section headers")
            assert state(runtime) == before._replace(allocations=int(copied))
        else:
            break
    order = list(dict.fromkeys(missing))
    assert order == [name for name in ALLOCATIONS if name in held and (name != "the section headers" or not peek)]
    assert ext.exp_tab
    assert runtime.unload(ext) == 0
    assert state(runtime) == before


def what_is_missing(error: LlextError) -> str:
    message = error.diagnostics[0].message.removeprefix("no room for ").removeprefix("region ")
    return next(name for name in [*ALLOCATIONS, "the image"] if message.startswith((f"{name}:", f"{name},")))


def test_heap_too_small_for_the_image_of_a_shared_object() -> None:
    data = built(SHARED, *ARM_SHARED)
    missing = []
    for room in range(1 << 9, 1 << 16, 8):
        runtime = firmware(Config(heap_size=room))
        try:
            runtime.load(BufLoader(data), "e")
            break
        except LlextError as error:
            check(error, "ENOMEM", "load-memory")
            assert state(runtime).allocations == 0
            missing.append(what_is_missing(error))
    assert list(dict.fromkeys(missing)) == [
        "SHSTRTAB",
        "STRTAB",
        "the image",
        "SYMTAB",
        "`sym_tab`",
        "`exp_tab`",
    ]


def test_heaps_that_cannot_be() -> None:
    """What a build refuses: BUILD_ASSERT() in llext_memblk.c, and a heap smaller than its own tables."""
    for config in (
        Config(heap_size=8),
        Config(heap="memblk", memblk_block_size=48),
        Config(heap="memblk", heap_size=0x1001),
    ):
        with pytest.raises(LlextError) as caught:
            firmware(config)
        check(caught.value, "", "usage")


# ---- extensions that depend on one another

PROVIDER = HELLO.replace("printk", "0")
USER = f"{START}.word start_of_another, {{}}\n"


def provider() -> bytes:
    """An extension that exports ``give``."""
    source = f'{START}.section .rodata\nname: .asciz "give"\n.section .exported_sym, "a"\n.word name, start\n'
    return built(source)


@pytest.mark.parametrize("storage", Storage)
def test_failed_load_keeps_what_it_took_of_others(storage: Storage) -> None:
    """Measured: a dependency that was taken before the error stays taken."""
    runtime = firmware()
    _, giver = runtime.load(BufLoader(provider()), "giver")
    before = state(runtime)
    for n in range(1, 4):
        with pytest.raises(LlextError) as caught:
            runtime.load(BufLoader(built(f"{START}.word give, gone\n"), storage), "taker")
        check(caught.value, "ENODATA", "undefined-symbol")
        assert giver.use_count == 1 + n
        assert state(runtime) == before
    with pytest.raises(LlextError):
        runtime.load(BufLoader(built(f"{START}.word gone\n"), storage), "taker")
    assert giver.use_count == 4
    assert runtime.unload(giver) == 3


@pytest.mark.parametrize(("first", "held"), [("give", 2), ("gone", 1)])
def test_shared_object_looks_nothing_up_behind_its_first_error(first: str, held: int) -> None:
    """llext_link(), the path of ET_DYN, returns at once, where that of ET_REL goes on."""
    source = "extern int give, gone;\nint *start(int which) { return which ? &give : &gone; }\n"
    data = edited(built(source, *ARM_SHARED), lambda elf: in_front(elf, first))
    runtime = firmware()
    _, giver = runtime.load(BufLoader(provider()), "giver")
    with pytest.raises(LlextError) as caught:
        runtime.load(BufLoader(data), "taker")
    check(caught.value, "ENODATA", "undefined-symbol")
    assert giver.use_count == held


def in_front(elf: Elf, name: str) -> None:
    """Exchange the two relocations of ``.rel.dyn`` if that of the symbol is the second."""
    table = elf.index(".rel.dyn")
    first, second = (elf.get(elf.rel(table, n, "info")) for n in (0, 1))
    if symbol_name(elf, first >> 8) != name:
        elf.put(elf.rel(table, 0, "info"), second)
        elf.put(elf.rel(table, 1, "info"), first)


def symbol_name(elf: Elf, n: int) -> str:
    at = elf.get(elf.shdr(".dynstr", "offset")) + elf.get((elf.get(elf.shdr(".dynsym", "offset")) + n * 16, 4))
    return elf.original[at : elf.original.index(0, at)].decode()


def test_error_of_a_shared_object_comes_before_a_later_one() -> None:
    """The undefined symbol of the first relocation, although the place of the second is nowhere."""
    source = "extern int give, gone;\nint *start(int which) { return which ? &give : &gone; }\n"
    data = edited(
        built(source, *ARM_SHARED), lambda elf: in_front(elf, "gone"), rel(".rel.dyn", 1, "offset", 0x1000_0000)
    )
    with pytest.raises(LlextError) as caught:
        firmware().load(BufLoader(data), "e")
    check(caught.value, "ENODATA", "undefined-symbol")


def test_nameless_export_of_another() -> None:
    """A single export without a name loads, and then is compared with each name that is looked for."""
    runtime = firmware()
    runtime.load(BufLoader(built(START + NAMELESS)), "nameless")
    with pytest.raises(LlextError) as caught:
        runtime.load(BufLoader(built(f"{START}.word gone\n")), "taker")
    check(caught.value, "", "load-undefined")
    assert [ext.name for ext in runtime] == ["nameless"]


def test_nameless_export_behind_the_one_that_is_looked_for() -> None:
    """4.2 does not sort its tables: it meets first what stands first."""
    nothing = '.section .rodata\nname: .asciz "give"\n.section .exported_sym, "a"\n.word name, start, 0, start\n'
    for wanted, code in ("give", ""), ("gone", "load-undefined"):
        runtime = Runtime(arch.load("arm"), profile="zephyr-4.2")
        runtime.load(BufLoader(built(START + nothing)), "giver")
        try:
            assert runtime.load(BufLoader(built(f"{START}.word {wanted}\n")), "taker")[0] == 0
            assert not code
        except LlextError as error:
            check(error, "", code)


# ---- looking at sections and regions: llext.c and inspect.h


def loaded(param: LoadParam = DEFAULT, *, peek: bool = True) -> tuple[Runtime, Llext]:
    runtime = firmware()
    _, ext = runtime.load(BufLoader(built(HELLO), peek=peek), "e", param)
    return runtime, ext


def test_find_section() -> None:
    runtime = firmware()
    data = built(HELLO)
    at = Elf(data).get(Elf(data).shdr(".data", "offset"))
    assert runtime.find_section(BufLoader(data), ".data") == at
    for loader in BufLoader(data, peek=False), Own(data), BufLoader(b""):
        with pytest.raises(LlextError) as caught:
            runtime.find_section(loader, ".data")
        check(caught.value, "ENOTSUP", "loader-peek")
    with pytest.raises(LlextError) as caught:
        runtime.find_section(BufLoader(edited(data, put("ehdr", "shoff", value=1 << 20))), ".data")
    check(caught.value, "ENOTSUP", "loader-peek")
    with pytest.raises(LlextError) as caught:
        runtime.find_section(BufLoader(data), "data")
    check(caught.value, "ENOENT", "section-unknown")
    with pytest.raises(LlextError) as caught:
        runtime.find_section(BufLoader(edited(data, put("shdr", ".text", "name", value=1 << 20))), ".data")
    check(caught.value, "", "load-undefined")


def test_section_headers() -> None:
    runtime, ext = loaded(LoadParam(keep_section_info=True))
    elf = Elf(built(HELLO))
    assert runtime.section_shndx(ext, ".data") == elf.index(".data")
    assert runtime.get_section_header(ext, ".data").offset == elf.get(elf.shdr(".data", "offset"))
    for function in runtime.get_section_header, runtime.section_shndx:
        for name in (".date", ""):  # the search begins behind the null header
            with pytest.raises(LlextError) as caught:
                function(ext, name)
            check(caught.value, "ENOENT", "section-unknown")


@pytest.mark.parametrize("freed", [True, False], ids=["freed", "not kept"])
def test_section_map_that_is_not_there(freed: bool) -> None:
    runtime, ext = loaded(LoadParam(keep_section_info=freed))
    if freed:
        assert runtime.free_inspection_data(ext) == 0
    for ask in (
        lambda: runtime.get_section_info(ext, 1),
        lambda: runtime.get_section_header(ext, ".text"),
        lambda: runtime.section_shndx(ext, ".text"),
    ):
        with pytest.raises(LlextError) as caught:
            ask()
        check(caught.value, "ENOTSUP", "inspection-freed")
    with pytest.raises(LlextError) as caught:
        runtime.get_section_info(ext, 999)  # the index is looked at first
    check(caught.value, "EINVAL", "section-unknown")
    assert runtime.get_region_info(ext, Mem.TEXT)[1] == ext.mem[Mem.TEXT], "the regions are the loader's own"


def test_sections_and_regions_that_are_not_there() -> None:
    runtime, ext = loaded(LoadParam(keep_section_info=True))
    for index in (len(ext.headers), -1):
        with pytest.raises(LlextError) as caught:
            runtime.get_section_info(ext, index)
        check(caught.value, "EINVAL", "section-unknown")
    for region in (-1, 13, 99):
        with pytest.raises(LlextError) as caught:
            runtime.get_region_info(ext, region)  # type: ignore[arg-type]
        check(caught.value, "EINVAL", "region-unknown")
    assert runtime.get_region_info(ext, Mem.VENEER)[1:] == (None, 0)


def test_section_map_on_the_heap() -> None:
    """Counted while it is kept; llext_unload() does not free it."""
    usual = loaded()[1].alloc_size
    runtime, ext = loaded(LoadParam(keep_section_info=True))
    assert ext.alloc_size == usual + 8 * len(ext.headers)
    runtime.free_inspection_data(ext)
    assert ext.alloc_size == usual
    runtime.unload(ext)
    assert state(runtime).allocations == 0
    runtime, ext = loaded(LoadParam(keep_section_info=True))
    runtime.unload(ext)
    assert state(runtime).allocations == 1


# ---- a heap of the application's: llext_mem.c, CONFIG_LLEXT_HEAP_DYNAMIC

DYNAMIC = Config(heap="dynamic")
AT = 0x2001_0000


def one_heap(runtime: Runtime) -> int:
    return runtime.heap_init(AT, 4096)


def two_heaps(runtime: Runtime) -> int:
    return runtime.heap_init_harvard(AT, 4096, AT + 4096, 4096)


def test_functions_for_a_dynamic_heap_in_another_firmware() -> None:
    harvard = DYNAMIC._replace(harvard=True)
    calls: list[tuple[Config, Callable[[Runtime], int]]] = [
        (K_HEAP, one_heap),
        (K_HEAP, two_heaps),
        (K_HEAP, Runtime.heap_uninit),
        (Config(heap="memblk"), one_heap),
        (HARVARD, two_heaps),
        (DYNAMIC, two_heaps),
        (harvard, one_heap),
    ]
    for config, call in calls:
        runtime = firmware(config)
        before = state(runtime)
        with pytest.raises(LlextError) as caught:
            call(runtime)
        check(caught.value, "ENOSYS", "heap-config")
        assert state(runtime) == before


@pytest.mark.parametrize("harvard", [False, True])
def test_dynamic_heap(harvard: bool) -> None:
    runtime = firmware(DYNAMIC._replace(harvard=harvard))

    init = two_heaps if harvard else one_heap

    with pytest.raises(LlextError) as caught:
        runtime.heap_uninit()
    check(caught.value, "EEXIST", "heap-config")
    assert init(runtime) == 0
    with pytest.raises(LlextError) as caught:
        init(runtime)
    check(caught.value, "EEXIST", "heap-config")
    _, ext = runtime.load(BufLoader(built(HELLO)), "e")
    with pytest.raises(LlextError) as caught:
        runtime.heap_uninit()
    check(caught.value, "EBUSY", "heap-busy")
    assert runtime.by_name("e") is ext
    runtime.unload(ext)
    with pytest.raises(LlextError):
        runtime.load(BufLoader(built(WEAK), peek=False), "leaves its section headers")
    assert state(runtime).allocations == 1
    assert runtime.heap_uninit() == 0, "only extensions keep it"
    assert runtime.space.segments == []
    assert init(runtime) == 0


# ---- rules that were wrong, or that no other test shows


def test_stubs_come_in_the_order_of_the_table() -> None:
    """arch_elf_relocate() makes each stub when it meets its branch, of whichever type."""
    source = f"{START} b.w far\n bl further\n b.w furthest\n bl far\n"
    runtime = firmware(VENEERS, FAR)
    _, ext = runtime.load(BufLoader(built(source)), "e")
    words = runtime.space.view(ext.mem[Mem.VENEER], ext.mem_size[Mem.VENEER]).view("<u4")
    assert words[1::2].tolist() == [FAR["far"], FAR["further"], FAR["furthest"], 0]


def test_a_padded_symbol_table_is_read_from_its_padding_on() -> None:
    """llext_count_export_syms() starts at the region's sh_offset, which map_sections() has moved to the alignment."""
    elf = Elf(built(HELLO))
    prepad = elf.get(elf.shdr(".symtab", "offset")) % 256
    assert prepad
    elf.put(elf.shdr(".symtab", "addralign"), 256)
    with pytest.raises(LlextError) as info:
        firmware().load(BufLoader(bytes(elf)), "e")
    check(info.value, "ENOEXEC", "elf-symbols")


def test_offsets_without_prepad() -> None:
    """inspect.h: address, size and offset are those behind the prepad."""
    source = f"{START}.balign 64\nlast: nop\n"
    elf = Elf(built(source))
    elf.put(elf.shdr(".text", "addralign"), 256)
    runtime = firmware()
    _, ext = runtime.load(BufLoader(bytes(elf)), "e", LoadParam(keep_section_info=True))
    prepad = elf.get(elf.shdr(".text", "offset")) % 256
    region, address, size = runtime.get_region_info(ext, Mem.TEXT)
    header, home = runtime.get_section_info(ext, elf.index(".text"))
    assert prepad
    assert (region.prepad, address, size) == (prepad, ext.mem[Mem.TEXT] + prepad, header.size)
    assert home == (Mem.TEXT, 0)
    assert runtime.get_section_info(ext, 0)[1] is None


def test_strings_that_do_not_end() -> None:
    """A name goes on into the memory behind its table: here 0xa5, which nobody wrote, up to the next chunk's bytes."""
    elf = Elf(built(HELLO))
    for table in ".strtab", ".shstrtab":
        elf.put(elf.shdr(table, "size"), elf.get(elf.shdr(table, "size")) - 1)
    runtime = firmware()
    with pytest.raises(LlextError) as caught:
        runtime.load(BufLoader(bytes(elf)), "e")
    check(caught.value, "ENODATA", "undefined-symbol")
    assert "`printk\\xa5" in caught.value.diagnostics[0].message


IN_PLACE = LoadParam(pre_located=True, relocate_local=False)


def test_pre_located_names_are_read_in_the_buffer() -> None:
    """llext_export_symbols(): a name is at an address of the file; what the loader asks for is where the buffer is."""
    source = f'{START}.section .rodata\n.asciz "start"\n.section .exported_sym, "a"\n.word 0x1000, 0x2001\n'
    places = {".rodata": 0x1000, ".text": 0x2000, ".exported_sym": 0x3000}
    data = edited(built(source), *(put("shdr", name, "addr", value=at) for name, at in places.items()))
    runtime = firmware()
    _, ext = runtime.load(BufLoader(data, WRITABLE), "e", IN_PLACE)
    assert ext.exp_tab == (("start", 0x2001),)
    assert ext.sym_tab == (("start", 0x2001),)


def test_pre_located_shared_object_is_not_copied() -> None:
    """llext_copy_regions() makes no image of it."""
    elf = Elf(built(SHARED, *ARM_SHARED))
    runtime = firmware()
    loader = BufLoader(bytes(elf), WRITABLE)
    _, ext = runtime.load(loader, "e", IN_PLACE)
    assert loader.address is not None
    assert ext.mem[Mem.DATA] == loader.address + elf.get(elf.shdr(".got", "offset"))
    assert not any(ext.mem_on_heap.values())
    assert ext.alloc_size == 8 * len(ext.sym_tab)


# ---- anything in any field

OBJECTS: dict[str, tuple[str, int, Callable[[], bytes]]] = {
    "arm": ("arm", 32, lambda: built(HELLO)),
    "shared": ("arm", 32, lambda: built(SHARED, *ARM_SHARED)),
    "riscv": ("riscv", 32, lambda: files()["app_Os_rv_gcc/e.llext"]),
    "riscv64": ("riscv", 64, lambda: widen(files()["app_Os_rv_gcc/e.llext"])),
}
VALUES = (0, 3, 0xFFF2, 1 << 31, 1 << 63, -1)


@pytest.mark.parametrize("profile", ["zephyr-next", "zephyr-4.2"])
@pytest.mark.parametrize("kind", OBJECTS)
def test_any_field_may_hold_anything(kind: str, profile: str) -> None:
    """The load succeeds or fails with a diagnostic, and leaves nothing but section headers behind."""
    name, bits, make = OBJECTS[kind]
    data = make()
    for n, (field, place) in enumerate(Elf(data).fields()):
        elf = Elf(data)
        elf.put(place, VALUES[n % len(VALUES)])
        row = Refused(partial(bytes, elf), "", "", name, bits, profile=profile)
        try:
            anything(row, list(Storage)[n % 3], peek=bool(n % 2))
        except Exception as error:
            error.add_note(field)
            raise


def anything(row: Refused, storage: Storage, *, peek: bool) -> None:
    exports = ExportTable.of(dict.fromkeys(("printk", "puts_k", "memset", "memcpy"), 0x2000_8101))
    runtime = Runtime(arch.load(row.arch), row.bits, exports=exports, profile=row.profile)
    before = state(runtime)
    try:
        _, ext = runtime.load(BufLoader(row.data(), storage, peek=peek), "e")
        assert runtime.unload(ext) == 0
        left = 0
    except LlextError as error:
        check(error, error.errno, error.diagnostics[0].code)
        left = state(runtime).allocations
        assert left <= (not peek or "shoff" in str(error)) + 1
    assert state(runtime) == before._replace(allocations=left)


def test_a_relocation_is_written_before_it_is_checked_on_riscv() -> None:
    """Oracle: the order in arch/riscv/core/elf.c; the recorded case fails, and its buffer is relocated in place."""
    data = files()["rv_rvcbranch_over/e.llext"]
    changed = {}
    for profile in ("zephyr-next", "abi"):
        loader = BufLoader(data, Storage.WRITABLE)
        rt = Runtime(arch.load("riscv"), exports=ExportTable.of({"ext": 0x2010_0400}), profile=profile)
        place = {Mem.TEXT: 0x2001_0000}
        with pytest.raises(LlextError) as info:
            rt.load(loader, "e", LoadParam(place=place))
        assert info.value.errno == "ENOEXEC"
        assert loader.buffer is not None
        changed[profile] = bytes(loader.buffer.data[: len(data)])
    assert changed["zephyr-next"] != changed["abi"], "the branch that does not reach"


@pytest.mark.parametrize("section", [".text", ".data", ".rodata"])
def test_any_detached_section_needs_peek(section: str) -> None:
    """A detached section is where the file is, which a loader without peek does not know."""
    data = files()["ptrs_arm_gcc/e.llext"]
    at = Elf(data).get(Elf(data).shdr(section, "offset"))
    runtime = firmware()
    with pytest.raises(LlextError) as info:
        runtime.load(BufLoader(data, peek=False), "e", LoadParam(section_detached=lambda x: x.offset == at))
    check(info.value, "ENOTSUP", "section-detached")

"""The loader's rules, one at a time: what `docs/reference/parity.md` names that no recorded case shows.

Oracle: Zephyr's ``subsys/llext`` (2026, and of July 2025 for ``zephyr-4.2``) and the figures that its own code gave
when it was measured; sizes, offsets and addresses are worked out by hand from the assembly. Objects come from GNU as
and ld; fields that no assembler writes are edited (``elfedit``).
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from elfedit import SHDR, SIZE, SYM, SYMTAB, Elf
from llext_tools import arch
from llext_tools.errors import FaultError, LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, FileLoader, Llext, Loader, LoadParam, Log, Runtime, Storage
from llext_tools.llext.log import Level
from llext_tools.mem import Mem, Perm
from needs import need

pytestmark = pytest.mark.toolchain

HEAP, SIZE_OF_HEAP, BUFFER = 0x2000_0000, 0x1_0000, 0x3000_0000
NEXT, OLD, ABI = "zephyr-next", "zephyr-4.2", "abi"
ALLOC, WRITE, EXEC, TLS = 2, 1, 4, 0x400
STRTAB, NOBITS, DYNSYM = 3, 8, 11

ENTRY = """\
.text
.global entry
.type entry, %function
entry: bx lr
"""
EXPORT = """\
.section .rodata.name, "a", %progbits
.Lname: .asciz "entry"
.section .exported_sym, "a", %progbits
.word .Lname, entry
"""
NAMELESS = '.section .exported_sym, "a", %progbits\n.word 0, 1\n'
VALUE = """\
.data
.global value
.type value, %object
"""


# ---- objects


def tool(name: str, *arguments: str, folder: Path) -> None:
    subprocess.run([need(f"arm-none-eabi-{name}"), *arguments], cwd=folder, check=True)


@cache
def assembled(text: str, *flags: str) -> bytes:
    """An object for a Cortex-M4."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "e.s").write_text(f".syntax unified\n.thumb\n{text}")
        tool("as", "-mcpu=cortex-m4", *flags, "e.s", "-o", "e.o", folder=folder)
        return (folder / "e.o").read_bytes()


@cache
def shared(text: str) -> bytes:
    """A shared object (ET_DYN) of the same, with segments that follow one another closely."""
    data = assembled(text)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "e.o").write_bytes(data)
        flags = ["-shared", "--hash-style=sysv", "-zmax-page-size=16"]
        tool("ld", *flags, "e.o", "-o", "e.so", folder=folder)
        return (folder / "e.so").read_bytes()


def edited(data: bytes, **fields: int) -> bytes:
    """A copy with fields of the ELF header changed."""
    elf = Elf(data)
    for field, value in fields.items():
        elf.put(elf.ehdr(field), value)
    return bytes(elf)


def with_section(data: bytes, section: str | int, **fields: int) -> bytes:
    """A copy with fields of a section header changed."""
    elf = Elf(data)
    for field, value in fields.items():
        elf.put(elf.shdr(section, field), value)
    return bytes(elf)


def with_header(data: bytes, like: str, **fields: int) -> bytes:
    """A copy with one more section at the end of the headers: that named ``like``, with some fields changed."""
    elf = Elf(data)
    start, count, size = elf.get(elf.ehdr("shoff")), len(elf.sections), SIZE["shdr"][32]
    headers = data[start : start + count * size]
    header = bytearray(headers[elf.index(like) * size :][:size])
    for field, value in fields.items():
        at, width = SHDR[32][field]
        header[at : at + width] = value.to_bytes(width, "little")
    body = data + bytes(-len(data) % 4)
    return edited(body + headers + header, shoff=len(body), shnum=count + 1)


def header(data: bytes, section: str | int, field: str) -> int:
    elf = Elf(data)
    return elf.get(elf.shdr(section, field))


def symbol_places(elf: Elf) -> list[int]:
    """Where the symbols of the table that the loader reads are in the file."""
    kind = DYNSYM if elf.get(elf.ehdr("type")) == 3 else SYMTAB
    table = elf.of_type(kind)[0]
    start, size = elf.get(elf.shdr(table, "offset")), elf.get(elf.shdr(table, "size"))
    return list(range(start, start + size, SIZE["sym"][32]))


def symbol_names(elf: Elf) -> list[str]:
    kind = DYNSYM if elf.get(elf.ehdr("type")) == 3 else SYMTAB
    strings = elf.get(elf.shdr(elf.get(elf.shdr(elf.of_type(kind)[0], "link")), "offset"))
    starts = [strings + elf.get((place, 4)) for place in symbol_places(elf)]
    return [elf.original[at : elf.original.index(0, at)].decode() for at in starts]


def with_symbol(data: bytes, symbol: str, **fields: int) -> bytes:
    """A copy with fields of a symbol changed."""
    elf = Elf(data)
    start = symbol_places(elf)[symbol_names(elf).index(symbol)]
    for field, value in fields.items():
        at, width = SYM[32][field]
        elf.put((start + at, width), value)
    return bytes(elf)


# ---- the loader


def firmware(
    profile: str = NEXT, exports: dict[str, int] | None = None, log: Log | None = None, **options: Any
) -> Runtime:
    """A firmware for Arm whose heap hands out one address after the other, without bookkeeping."""
    options = {"heap": "plain", "heap_start": HEAP, "heap_size": SIZE_OF_HEAP, **options}
    table = ExportTable.of(exports or {"printk": 0x0800_0101})
    return Runtime(arch.load("arm"), exports=table, config=Config(**options), profile=profile, log=log)


def load(
    rt: Runtime, data: bytes, name: str = "e", storage: str = "temporary", peek: bool = True, **param: Any
) -> Llext:
    loader = BufLoader(data, Storage(storage), peek=peek)
    count, ext = rt.load(loader, name, LoadParam(**param))
    assert count == 0
    return ext


def refused(rt: Runtime, data: bytes, **options: Any) -> tuple[str, str]:
    """What a load is refused with: errno, empty where C leaves the behaviour undefined, and the diagnostic's code."""
    with pytest.raises(LlextError) as info:
        load(rt, data, **options)
    assert rt.by_name("e") is None
    return info.value.errno, info.value.diagnostics[0].code


def word(rt: Runtime, address: int) -> int:
    return int.from_bytes(rt.space.view(address, 4).tobytes(), "little")


def address_of(ext: Llext, name: str) -> int:
    return dict(ext.sym_tab)[name]


def place_of(ext: Llext, section: str) -> int:
    mem, offset = ext.sections[ext.section_names.index(section)]
    return ext.mem[mem] + offset


# ---- llext.h: loading, finding, looking


def test_names_count_in_their_first_15_characters() -> None:
    rt = firmware()
    ext = load(rt, assembled(ENTRY), "abcdefghijklmno-1")
    assert ext.name == "abcdefghijklmno"
    assert rt.load(BufLoader(b"this is never looked at"), "abcdefghijklmno-2") == (1, ext)
    assert ext.use_count == 2
    assert rt.by_name("abcdefghijklmno-3") is ext
    assert rt.by_name("abcdefghijklmn") is None


def test_a_failed_load_leaves_nothing() -> None:
    rt = firmware()
    assert refused(rt, assembled(f"{ENTRY}bl nowhere")) == ("ENODATA", "undefined-symbol")
    assert rt.by_name("e") is None
    assert list(rt) == []
    assert rt.heaps.data.allocations == 0
    assert load(rt, assembled(ENTRY)).use_count == 1


def test_section_headers_stay_on_the_heap_when_a_load_fails() -> None:
    """They are copied for a loader without ``peek``."""
    rt = firmware()
    assert refused(rt, assembled(f"{ENTRY}bl nowhere"), peek=False) == ("ENODATA", "undefined-symbol")
    assert rt.heaps.data.allocations == 1


def test_without_a_parameter_local_relocations_are_done() -> None:
    rt = firmware()
    count, ext = rt.load(BufLoader(assembled(f"{ENTRY}{VALUE}value: .word printk")), "e")
    assert count == 0
    assert word(rt, address_of(ext, "value")) == 0x0800_0101
    assert LoadParam() == LoadParam(
        relocate_local=True, pre_located=False, section_detached=None, keep_section_info=False
    )


class Recording(BufLoader):
    """Writes down what is called, and fails at the call number ``at`` of a function with an errno."""

    def __init__(self, data: bytes, function: str = "", at: int = 0, errno: int = 0) -> None:
        super().__init__(data, peek=False)
        self.calls: list[str] = []
        self.failure = (function, at, errno)

    def _note(self, function: str) -> None:
        self.calls.append(function)
        if (function, self.calls.count(function)) == self.failure[:2]:
            raise OSError(self.failure[2], "failed")

    def prepare(self) -> None:
        self._note("prepare")

    def seek(self, position: int) -> None:
        self._note("seek")
        super().seek(position)

    def read(self, size: int) -> bytes:
        self._note("read")
        return super().read(size)

    def peek(self, position: int) -> int | None:
        self._note("peek")
        return super().peek(position)

    def finalize(self) -> None:
        self._note("finalize")


def test_a_loaders_functions_are_called_in_turn() -> None:
    loader = Recording(assembled(ENTRY))
    firmware().load(loader, "e")
    assert loader.calls[0] == "prepare"
    assert loader.calls[-1] == "finalize"
    assert loader.calls.count("prepare") == loader.calls.count("finalize") == 1
    assert {"seek", "read", "peek"} < set(loader.calls)
    assert all(loader.calls[i - 1] == "seek" for i, function in enumerate(loader.calls) if function == "read")


@pytest.mark.parametrize(
    ("function", "at", "errno", "name"),
    [("prepare", 1, 19, "ENODEV"), ("seek", 2, 29, "ESPIPE"), ("read", 1, 5, "EIO"), ("read", 4, 110, "ETIMEDOUT")],
)
def test_a_loaders_errors_are_returned_as_they_are(function: str, at: int, errno: int, name: str) -> None:
    loader = Recording(assembled(ENTRY), function, at, errno)
    with pytest.raises(LlextError) as info:
        firmware().load(loader, "e")
    assert info.value.errno == name
    assert info.value.diagnostics[0].code == "loader-failed"
    assert loader.calls.count("finalize") == 1


def test_a_loader_of_nothing_is_temporary_and_cannot_peek() -> None:
    assert Loader().storage is Storage.TEMPORARY
    assert Loader().peek(0) is None


def test_a_file_loader_is_temporary_and_cannot_peek(tmp_path: Path) -> None:
    path = tmp_path / "e.llext"
    path.write_bytes(assembled(ENTRY))
    rt = firmware()
    count, ext = rt.load(FileLoader(path), "e")
    assert (count, FileLoader(path).storage) == (0, Storage.TEMPORARY)
    assert all(ext.mem_on_heap.values())
    assert rt.space.view(ext.mem[Mem.TEXT], 2).tobytes() == b"\x70\x47"
    with pytest.raises(LlextError) as info:
        rt.find_section(FileLoader(path), ".text")
    assert info.value.errno == "ENOTSUP"


def test_iterate_goes_in_the_order_of_loading_and_stops_at_a_value() -> None:
    rt = firmware()
    seen: list[str] = []

    def visit(ext: Llext, last: str) -> int:
        seen.append(ext.name)
        return 7 if ext.name == last else 0

    assert rt.iterate(visit, "") == 0
    assert seen == []
    for name in ("one", "two", "three"):
        load(rt, assembled(ENTRY), name)
    assert rt.iterate(visit, "two") == 7
    assert seen == ["one", "two"]
    seen.clear()
    assert rt.iterate(visit, "four") == 0
    assert seen == ["one", "two", "three"]


def test_unloading_takes_an_extension_off_the_list() -> None:
    rt = firmware()
    ext, other = load(rt, assembled(ENTRY), "one"), load(rt, assembled(ENTRY), "two")
    assert rt.unload(ext) == 0
    assert list(rt) == [other]
    assert rt.by_name("one") is None


def test_the_built_in_table_does_not_have_what_has_no_address() -> None:
    rt = firmware(exports={"printk": 0x0800_0101, "z_impl_absent": 0})
    assert rt.find_sym(None, "printk") == 0x0800_0101
    assert rt.find_sym(None, "z_impl_absent") is None
    assert rt.find_sym(None, "entry") is None


def test_an_extension_has_two_tables() -> None:
    rt = firmware()
    ext = load(rt, assembled(f"{ENTRY}{VALUE}value: .word 0\n{EXPORT}"))
    assert rt.find_sym(ext.exp_tab, "entry") == ext.mem[Mem.TEXT] + 1
    assert rt.find_sym(ext.exp_tab, "value") is None
    assert rt.find_sym(ext.sym_tab, "value") == ext.mem[Mem.DATA]
    assert rt.find_sym(ext.sym_tab, "printk") is None


def test_an_exported_address_of_0_is_not_found() -> None:
    rt = firmware()
    ext = load(rt, assembled(ENTRY + EXPORT.replace(", entry\n", ", 0\n")))
    assert ext.exp_tab == (("entry", 0),)
    assert rt.find_sym(ext.exp_tab, "entry") is None


def test_find_section_gives_the_offset_in_the_file() -> None:
    rt, data = firmware(), assembled(ENTRY + EXPORT)
    assert rt.find_section(BufLoader(data), ".exported_sym") == header(data, ".exported_sym", "offset")
    for loader, name, errno in [
        (BufLoader(data), ".exported", "ENOENT"),
        (BufLoader(data, peek=False), ".text", "ENOTSUP"),
    ]:
        with pytest.raises(LlextError) as info:
            rt.find_section(loader, name)
        assert info.value.errno == errno


def test_section_info_is_there_until_it_is_freed() -> None:
    rt = firmware()
    data = assembled(f'{ENTRY}.section .rodata.a, "a"\n.balign 16\n.word 1, 2\n.section .rodata.b, "a"\n.word 3\n')
    ext = load(rt, data, keep_section_info=True)
    index = Elf(data).index(".rodata.b")
    assert rt.section_shndx(ext, ".rodata.b") == index
    found, where = rt.get_section_info(ext, index)
    assert (found.size, found.offset) == (4, header(data, ".rodata.b", "offset"))
    assert where == (Mem.RODATA, found.offset - header(data, ".rodata.a", "offset") // 16 * 16)
    assert rt.get_section_header(ext, ".rodata.b") == found
    assert rt.get_section_info(ext, 0)[1] is None
    region, address, size = rt.get_region_info(ext, Mem.RODATA)
    assert (region.align, address, size) == (16, ext.mem[Mem.RODATA], region.size)
    assert rt.get_region_info(ext, Mem.BSS)[1:] == (None, 0)

    allocations = rt.heaps.data.allocations
    assert rt.free_inspection_data(ext) == 0
    assert rt.heaps.data.allocations == allocations - 1
    assert rt.unload(ext) == 0
    assert rt.heaps.data.allocations == 0


def test_the_section_map_counts_while_it_is_kept() -> None:
    """8 bytes for each section."""
    rt, data = firmware(), assembled(ENTRY)
    ext, kept = load(rt, data, "one"), load(rt, data, "two", keep_section_info=True)
    assert kept.alloc_size == ext.alloc_size + 8 * len(Elf(data).sections)
    rt.free_inspection_data(kept)
    assert kept.alloc_size == ext.alloc_size


def test_a_section_map_that_nobody_frees_stays_on_the_heap() -> None:
    rt = firmware()
    rt.unload(load(rt, assembled(ENTRY), keep_section_info=True))
    assert rt.heaps.data.allocations == 1


INSPECT: dict[str, Callable[[Runtime, Llext], object]] = {
    "get_section_header": lambda rt, ext: rt.get_section_header(ext, ".text"),
    "section_shndx": lambda rt, ext: rt.section_shndx(ext, ".text"),
    "get_section_info": lambda rt, ext: rt.get_section_info(ext, 1),
}


@pytest.mark.parametrize("function", INSPECT)
def test_section_info_that_was_not_kept(function: str) -> None:
    rt = firmware()
    kept = load(rt, assembled(ENTRY), "kept", keep_section_info=True)
    INSPECT[function](rt, kept)
    rt.free_inspection_data(kept)
    for ext in (kept, load(rt, assembled(ENTRY), "not kept")):
        with pytest.raises(LlextError) as info:
            INSPECT[function](rt, ext)
        assert info.value.errno == "ENOTSUP"


def test_region_info_is_always_there_and_counts_behind_the_prepad() -> None:
    data = with_section(assembled(ENTRY), ".text", addralign=64)
    rt = firmware()
    ext = load(rt, data)
    prepad = header(data, ".text", "offset")
    region, address, size = rt.get_region_info(ext, Mem.TEXT)
    assert region.prepad == prepad == 52
    assert (address, size) == (ext.mem[Mem.TEXT] + prepad, 2)
    kept = load(rt, data, "kept", keep_section_info=True)
    assert rt.get_section_info(kept, Elf(data).index(".text"))[1] == (Mem.TEXT, 0)


def test_sections_and_regions_that_are_not_there() -> None:
    rt = firmware()
    ext = load(rt, assembled(ENTRY), keep_section_info=True)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: rt.get_section_header(ext, ".tex"), "ENOENT"),
        (lambda: rt.section_shndx(ext, ".tex"), "ENOENT"),
        (lambda: rt.get_section_info(ext, len(ext.headers)), "EINVAL"),
        (lambda: rt.get_region_info(ext, 13), "EINVAL"),  # type: ignore[arg-type]
    ]
    for call, errno in wrong:
        with pytest.raises(LlextError) as info:
            call()
        assert info.value.errno == errno


def test_regions_are_in_the_order_of_llext_h() -> None:
    order = "TEXT DATA RODATA VENEER BSS EXPORT SYMTAB STRTAB SHSTRTAB PREINIT INIT FINI RODATA_NO_RELOC"
    assert [mem.name for mem in Mem] == order.split()
    assert [int(mem) for mem in Mem] == list(range(13))


def test_the_log_has_the_level_that_was_asked_for() -> None:
    data = assembled(f"{ENTRY}bl nowhere")
    levels: dict[Level, set[Level]] = {}
    for level in Level:
        log = Log(level)
        refused(firmware(log=log), data)
        levels[level] = {line.level for line in log.lines}
    assert levels[Level.OFF] == set()
    assert levels[Level.ERR] == {Level.ERR}
    assert levels[Level.DBG] >= {Level.ERR, Level.INF, Level.DBG}


# ---- heaps


def test_a_dynamic_heap_comes_and_goes() -> None:
    rt = firmware(heap="dynamic")
    data = assembled(ENTRY)
    assert refused(rt, data) == ("ENOMEM", "load-memory")
    assert rt.heap_init(HEAP + 0x100, 0x1000) == 0
    ext = load(rt, data)
    assert HEAP + 0x100 <= ext.mem[Mem.TEXT] < HEAP + 0x1100
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: rt.heap_init(HEAP, 0x1000), "EEXIST"),
        (rt.heap_uninit, "EBUSY"),
    ]
    for call, errno in wrong:
        with pytest.raises(LlextError) as info:
            call()
        assert info.value.errno == errno
    rt.unload(ext)
    assert rt.heap_uninit() == 0
    assert refused(rt, data) == ("ENOMEM", "load-memory")
    with pytest.raises(LlextError) as info:
        rt.heap_uninit()
    assert info.value.errno == "EEXIST"


def test_heaps_of_other_configurations_cannot_be_given() -> None:
    two = (HEAP, 0x1000, HEAP + 0x1000, 0x1000)
    fixed, one, harvard = firmware(), firmware(heap="dynamic"), firmware(heap="dynamic", harvard=True)
    wrong: list[Callable[[], object]] = [
        lambda: fixed.heap_init(HEAP, 0x1000),
        lambda: fixed.heap_init_harvard(*two),
        fixed.heap_uninit,
        lambda: one.heap_init_harvard(*two),
        lambda: harvard.heap_init(HEAP, 0x1000),
    ]
    for call in wrong:
        with pytest.raises(LlextError) as info:
            call()
        assert info.value.errno == "ENOSYS"
    assert harvard.heap_init_harvard(*two) == 0
    ext = load(harvard, assembled(ENTRY + EXPORT))
    assert HEAP <= ext.mem[Mem.TEXT] < HEAP + 0x1000 <= ext.mem[Mem.RODATA] < HEAP + 0x2000


HARVARD: Any = {
    "heap": "k_heap", "harvard": True,
    "heap_start": HEAP, "heap_size": 0x1000, "instr_heap_start": 0x1000_0000, "instr_heap_size": 0x100,
}  # fmt: skip


def test_code_has_a_heap_of_its_own_on_a_harvard_machine() -> None:
    rt = firmware(**HARVARD)
    ext = load(rt, assembled(ENTRY + EXPORT))
    assert 0x1000_0000 <= ext.mem[Mem.TEXT] < 0x1000_0100
    others = [mem for mem in ext.mem if mem is not Mem.TEXT]
    assert others
    assert all(HEAP <= ext.mem[mem] < HEAP + 0x1000 for mem in others)
    assert rt.heaps.metadata is rt.heaps.data
    rt.unload(ext)
    big = assembled(f"{ENTRY}.space 0x100\n")
    assert refused(rt, big) == ("ENOMEM", "load-memory"), "the heap for instructions is full"
    assert refused(firmware(**HARVARD), shared(ENTRY)) == ("ENOTSUP", "region-image")


@pytest.mark.parametrize("block", [32, 64])
def test_regions_take_whole_blocks(block: int) -> None:
    rt = firmware(heap="memblk", heap_size=0x1000, memblk_block_size=block, metadata_heap_size=0x1000)
    ext = load(rt, assembled(f"{ENTRY}.space 31\n{VALUE}value: .word 0\n"))
    assert ext.mem[Mem.TEXT] % block == ext.mem[Mem.DATA] % block == 0
    sizes = {mem: -(-size // block) * block for mem, size in ext.mem_size.items()}
    assert sizes[Mem.TEXT] == 64
    assert sizes[Mem.DATA] == block
    assert ext.alloc_size == sum(sizes.values()) + 2 * 8, "two symbols"
    assert HEAP <= ext.mem[Mem.TEXT] < HEAP + 0x1000
    assert rt.heaps.metadata is not rt.heaps.data
    assert rt.heaps.metadata.allocations > 0
    rt.unload(ext)
    assert [heap.allocations for heap in rt.heaps] == [0, 0, 0]


def test_metadata_has_a_heap_of_its_own_size_beside_blocks() -> None:
    options: Any = {"heap": "memblk", "heap_size": 0x1000, "metadata_heap_start": 0x2100_0000}
    rt = firmware(**options, metadata_heap_size=0x400)
    assert (rt.heaps.metadata.start, rt.heaps.metadata.size) == (0x2100_0000, 0x400)
    load(rt, assembled(ENTRY))
    assert refused(firmware(**options, metadata_heap_size=0x100), assembled(ENTRY)) == ("ENOMEM", "load-memory")


def test_the_heap_lies_where_it_was_put_and_is_as_large_as_was_said() -> None:
    data = assembled(f"{ENTRY}.space 0x800\n")
    ext = load(firmware(heap="k_heap", heap_start=0x2002_0000, heap_size=0x1000), data)
    assert 0x2002_0000 <= ext.mem[Mem.TEXT] < 0x2002_1000
    assert refused(firmware(heap="k_heap", heap_size=0x800), data) == ("ENOMEM", "load-memory")


TEXT_72 = f"{ENTRY}.space 70\n"
ROUNDED = {
    ("none", NEXT): (72, 2), ("page", NEXT): (4096, 4096), ("mpu-pow2", NEXT): (128, 128), ("mpu-32", NEXT): (96, 32),
    ("pmp", NEXT): (80, 16),
    ("page", OLD): (4096, 4096), ("mpu-pow2", OLD): (128, 128), ("mpu-32", OLD): (128, 128), ("pmp", OLD): (72, 2),
}  # fmt: skip


@pytest.mark.parametrize(("protection", "profile"), ROUNDED)
def test_regions_are_rounded_so_that_they_can_be_protected(protection: str, profile: str) -> None:
    """Regions of the program, but not the ELF's tables."""
    granularity = 16 if protection == "pmp" else 4096
    rt = firmware(profile, protection=protection, granularity=granularity)
    ext = load(rt, assembled(TEXT_72))
    part = ext.mem_parts[Mem.TEXT]
    size, align = ROUNDED[protection, profile]
    assert (part.start, part.size) == (ext.mem[Mem.TEXT], size)
    assert part.start % align == 0
    tables = sum(ext.mem_size[mem] for mem in (Mem.SYMTAB, Mem.STRTAB, Mem.SHSTRTAB))
    assert ext.alloc_size == size + tables + 8


def test_partitions_have_zephyrs_permissions() -> None:
    text = f"{ENTRY}{VALUE}value: .word 0\n.bss\n.word 0\n{EXPORT}"
    ext = load(firmware(protection="mpu-32"), assembled(text))
    R, W, X = Perm.R, Perm.W, Perm.X
    found = {mem: part.perm for mem, part in ext.mem_parts.items()}
    assert found == {Mem.TEXT: R | X, Mem.DATA: R | W, Mem.RODATA: R, Mem.BSS: R | W}


# ---- which regions stay in the ELF buffer


@pytest.mark.parametrize("storage", ["writable", "persistent"])
def test_without_peek_everything_is_copied(storage: str) -> None:
    ext = load(firmware(), assembled(ENTRY + EXPORT), storage=storage, peek=False)
    assert all(ext.mem_on_heap.values())
    assert all(HEAP <= address < HEAP + SIZE_OF_HEAP for address in ext.mem.values())


def test_pre_located_is_used_where_it_is_whatever_its_alignment() -> None:
    text = f"{ENTRY}{VALUE}.balign 4\nvalue: .word 0\n.bss\n.word 0\n"
    data = with_section(assembled(text), ".text", addr=0x4_0000)
    rt = firmware()
    loader = BufLoader(data, Storage.WRITABLE, address=BUFFER + 2)
    ext = rt.load(loader, "e", LoadParam(pre_located=True))[1]
    assert ext.mem[Mem.DATA] == BUFFER + 2 + header(data, ".data", "offset")
    assert ext.mem[Mem.BSS] == 0
    assert not any(ext.mem_on_heap.values())
    assert dict(ext.sym_tab) == {"entry": 0x4_0001, "value": 0}, "st_value + sh_addr"
    assert ext.alloc_size == 2 * 8


@pytest.mark.parametrize(("storage", "peek"), [("temporary", True), ("persistent", True), ("writable", False)])
def test_pre_located_cannot_be_copied(storage: str, peek: bool) -> None:
    """A persistent buffer keeps what is only read, which these relocated data are not."""
    data = assembled(f"{ENTRY}{VALUE}value: .word printk\n")
    assert refused(firmware(), data, storage=storage, peek=peek, pre_located=True) == ("EFAULT", "pre-located")


def test_pre_located_fails_at_the_names_before_sections_are_mapped() -> None:
    data = assembled(f'{ENTRY}.bss\n.word 0\n.section .noinit, "aw", %nobits\n.word 0\n')
    assert refused(firmware(), data) == ("ENOTSUP", "region-nobits")
    assert refused(firmware(), data, pre_located=True) == ("EFAULT", "pre-located")


FAR = f"""\
{ENTRY}.section .text.far, "ax", %progbits
.global far
.type far, %function
.word 0
far: bx lr
"""


def detach(section: str, data: bytes) -> Callable[[Any], bool]:
    offset = header(data, section, "offset")
    return lambda shdr: bool(shdr.offset == offset)


def test_a_detached_section_is_addressed_from_its_region() -> None:
    """Right only where the region stays in the ELF buffer; otherwise the address is outside of the region."""
    data = assembled(FAR)
    ext = load(firmware(), data, section_detached=detach(".text.far", data))
    distance = header(data, ".text.far", "offset") - header(data, ".text", "offset")
    assert ext.mem_size[Mem.TEXT] == 2 <= distance
    assert address_of(ext, "far") == ext.mem[Mem.TEXT] + distance + 4 + 1


def test_a_region_of_detached_sections_alone_has_no_address() -> None:
    data = assembled(ENTRY)
    ext = load(firmware(), data, section_detached=detach(".text", data))
    assert Mem.TEXT not in ext.mem
    assert address_of(ext, "entry") == header(data, ".text", "offset") + 1


def test_relocate_local_false_leaves_exports_as_the_file_has_them() -> None:
    """The name is the offset 2 in its section, the address 0."""
    data = assembled(ENTRY + EXPORT.replace(".Lname:", '.asciz "x"\n.Lname:'))
    ext = load(firmware(), data, relocate_local=False)
    assert ext.exp_tab == ((None, 0),)


# ---- links between extensions


def provider(symbol: str) -> bytes:
    return assembled(ENTRY + EXPORT.replace('"entry"', f'"{symbol}"'))


def test_a_ninth_dependency_takes_no_use_count() -> None:
    rt = firmware()
    providers = [load(rt, provider(f"give_{i}"), f"provider_{i}") for i in range(9)]
    ext = load(rt, assembled(ENTRY + ".data\n" + "".join(f".word give_{i}\n" for i in range(9))))
    assert [each.use_count for each in providers] == [2] * 8 + [1]
    assert ext.dependency == providers[:8]
    assert [word(rt, ext.mem[Mem.DATA] + 4 * i) for i in range(9)] == [p.mem[Mem.TEXT] + 1 for p in providers]
    assert rt.unload(ext) == 0
    assert [each.use_count for each in providers] == [1] * 9
    assert [rt.unload(each) for each in providers] == [0] * 9
    assert rt.heaps.data.empty


def test_a_provider_is_held_once_however_much_is_imported() -> None:
    rt = firmware()
    held = load(rt, assembled(THREE), "provider")
    ext = load(rt, assembled(f"{ENTRY}.data\n.word alpha, mu, alpha\n"), "user")
    assert held.use_count == 1 + 1
    assert ext.dependency == [held]


def test_the_built_in_table_is_asked_before_other_extensions() -> None:
    rt = firmware(exports={"give": 0x0800_0201})
    held = load(rt, provider("give"), "provider")
    ext = load(rt, assembled(f"{ENTRY}{VALUE}value: .word give\n"))
    assert word(rt, ext.mem[Mem.DATA]) == 0x0800_0201
    assert held.use_count == 1


def test_imports_by_slid() -> None:
    """``st_value`` holds the SLID, and the name does not count; other extensions are still asked by name."""
    options: Any = {"exports": {"printk": 0x0800_0101, "puts_k": 0x0800_0201}, "export_builtins_by_slid": True}
    rt = firmware(**options)
    assert rt.find_sym(None, 0x87B3_1052) == 0x0800_0101
    assert rt.find_sym(None, 0x87B3_1053) is None
    data = assembled(f"{ENTRY}{VALUE}value: .word puts_k, give\n")
    prepared = with_symbol(data, "puts_k", value=0x87B3_1052)
    assert refused(rt, prepared) == ("ENODATA", "undefined-symbol"), "nobody exports `give`"
    giving = load(rt, provider("give"), "provider")
    assert refused(rt, data) == ("ENODATA", "slid-missing"), "0 is the SLID of nothing"
    ext = load(rt, prepared)
    assert word(rt, ext.mem[Mem.DATA]) == 0x0800_0101, "that of printk"
    assert word(rt, ext.mem[Mem.DATA] + 4) == giving.mem[Mem.TEXT] + 1


def test_weak_imports() -> None:
    text = f"{ENTRY}{VALUE}.weak maybe\nvalue: .word maybe + 4\n"
    for profile in (NEXT, OLD):
        assert refused(firmware(profile), assembled(text)) == ("ENODATA", "weak-undefined")
    rt = firmware(ABI)
    assert word(rt, load(rt, assembled(text)).mem[Mem.DATA]) == 4


def test_all_missing_symbols_are_named() -> None:
    with pytest.raises(LlextError) as info:
        load(firmware(), assembled(f"{ENTRY}bl missing_a\n{VALUE}value: .word missing_b, missing_a\n"))
    named = [found.message.split("`")[1] for found in info.value.diagnostics]
    assert set(named) == {"missing_a", "missing_b"}
    assert info.value.errno == "ENODATA"


@pytest.mark.parametrize("devices", [False, True])
def test_devices_that_are_not_exported_are_explained(devices: bool) -> None:
    log = Log(Level.WRN)
    data = assembled(f"{ENTRY}{VALUE}value: .word __device_dts_ord_7\n")
    assert refused(firmware(log=log, export_devices=devices), data) == ("ENODATA", "symbol-unexported")
    told = [line for line in log.lines if "CONFIG_LLEXT_EXPORT_DEVICES" in line.text]
    assert [line.level for line in told] == ([] if devices else [Level.WRN])


# ---- the header and the tables


def test_the_file_must_begin_like_an_elf_file() -> None:
    assert refused(firmware(), edited(assembled(ENTRY), magic=0x4C45_4680)) == ("ENOEXEC", "elf-magic")


def test_checks_of_the_header_have_their_order() -> None:
    """Each of these is wrong in all the ways that come after it, too."""
    wrong = {"ei_data": 2, "ei_class": 2, "machine": 243, "type": 2, "shentsize": 64}
    texts = []
    for first in range(len(wrong)):
        data = edited(assembled(ENTRY), **dict(list(wrong.items())[first:]))
        with pytest.raises(LlextError) as info:
            load(firmware(), data)
        assert info.value.errno == "ENOEXEC"
        texts.append(info.value.diagnostics[0].message)
    for text, part in zip(texts, ["EI_DATA", "EI_CLASS", "riscv (243)", "ELF type 2", "64 bytes"], strict=True):
        assert part in text


def test_flags_and_version_are_not_checked() -> None:
    load(firmware(), edited(assembled(ENTRY), flags=0xFFFF_FFFF, version=9))


def test_without_sections_there_is_no_memory_for_their_map() -> None:
    assert refused(firmware(), edited(assembled(ENTRY), shnum=0)) == ("ENOMEM", "load-memory")


@pytest.mark.parametrize(("peek", "entry", "what"), [(True, 8, "section map"), (False, 48, "section headers")])
def test_the_section_map_and_headers_need_memory(peek: bool, entry: int, what: str) -> None:
    """struct llext has 208 bytes, an entry of the map 8, a header 40."""
    data = assembled(ENTRY)
    enough = 208 + entry * len(Elf(data).sections)
    for size, missing in ((enough - 1, what), (enough, "region SHSTRTAB")):
        with pytest.raises(LlextError) as info:
            load(firmware(heap_size=size), data, peek=peek)
        assert info.value.errno == "ENOMEM"
        assert missing in info.value.diagnostics[0].message


def test_the_last_symbol_table_counts() -> None:
    """One without global functions is refused, so that it is seen which one was taken."""
    data = assembled(f'{ENTRY}.section .first, "", %progbits\n.space 16\n')
    load(firmware(), with_section(data, ".first", type=2, entsize=16, link=Elf(data).index(".strtab")))
    assert refused(firmware(), with_header(data, ".symtab", size=16)) == ("ENOMEM", "no-globals")


def test_a_stripped_object_is_refused() -> None:
    with TemporaryDirectory() as name:
        (Path(name) / "e.o").write_bytes(assembled(ENTRY))
        tool("objcopy", "--strip-all", "e.o", folder=Path(name))
        assert refused(firmware(), (Path(name) / "e.o").read_bytes()) == ("ENOEXEC", "elf-symbols")


# ---- sections to regions


def test_a_section_needs_a_name_in_the_table() -> None:
    data = with_section(assembled(ENTRY), ".data", name=0x1_0000)
    assert refused(firmware(), data) == ("ENOEXEC", "elf-sections")
    assert refused(firmware(OLD), data) == ("", "load-undefined")


def test_a_table_of_the_loaders_is_not_mapped_again() -> None:
    data = assembled(f"{ENTRY}{NAMELESS}")
    data = with_section(data, ".symtab", name=header(data, ".exported_sym", "name"), flags=ALLOC)
    data = with_section(data, ".exported_sym", size=0)
    ext = load(firmware(), data)
    assert Mem.EXPORT not in ext.mem
    assert ext.exp_tab == ()


@pytest.mark.parametrize("name", [".relro_padding", ".heap", ".stack"])
def test_sections_that_are_skipped_by_name(name: str) -> None:
    data = assembled(f'{ENTRY}.bss\n.space 4\n.section {name}, "aw", %nobits\n.space 64\n')
    ext = load(firmware(), data)
    assert ext.mem_size[Mem.BSS] == 4
    assert refused(firmware(OLD), data) == ("ENOTSUP", "region-nobits")


def test_thread_local_data_is_not_mapped() -> None:
    """Its symbol's value is an offset, to which the 8 bytes of Arm's ABI are not added."""
    text = f'{ENTRY}{VALUE}value: .word local(tpoff)\n.section .tdata, "awT", %progbits\n.word 1\nlocal: .word 2\n'
    rt = firmware()
    ext = load(rt, assembled(text))
    assert word(rt, address_of(ext, "value")) == 4
    assert ext.section_names.index(".tdata") not in ext.sections
    assert refused(firmware(OLD), assembled(text)) == ("ENOEXEC", "reloc-refused")


def test_thread_local_zeros_are_no_second_bss() -> None:
    data = assembled(f'{ENTRY}.bss\n.space 4\n.section .tbss, "awT", %nobits\n.space 4\n')
    assert load(firmware(), data).mem_size[Mem.BSS] == 4
    assert refused(firmware(OLD), data) == ("ENOTSUP", "region-nobits")


def test_relocated_thread_local_data_is_refused() -> None:
    text = f'{ENTRY}.section .tdata, "awT", %progbits\n.word entry\n'
    assert refused(firmware(), assembled(text)) == ("ENOEXEC", "reloc-unmapped")
    assert Mem.DATA in load(firmware(OLD), assembled(text)).mem


@pytest.mark.parametrize("flags", [ALLOC | TLS, 0], ids=["thread-local", "not loaded"])
def test_exports_in_the_wrong_kind_of_section_are_silently_lost(flags: int) -> None:
    data = assembled(f"{ENTRY}{NAMELESS}")
    assert len(load(firmware(), data).exp_tab) == 1
    ext = load(firmware(), with_section(data, ".exported_sym", flags=flags))
    assert ext.exp_tab == ()
    assert Mem.EXPORT not in ext.mem


@pytest.mark.parametrize(("entsize", "size", "next_", "old"), [
    (4, 8, True, True), (0, 8, True, False), (0, 6, True, False), (4, 6, False, False), (8, 8, False, False),
])  # fmt: skip
def test_entries_of_an_array(entsize: int, size: int, next_: bool, old: bool) -> None:
    data = assembled(f'{ENTRY}.section .init_array, "aw", %init_array\n.word 0, 0\n')
    data = with_section(data, ".init_array", entsize=entsize, size=size)
    for profile, fits in ((NEXT, next_), (OLD, old)):
        if fits:
            assert load(firmware(profile), data).mem_size[Mem.INIT] == size
        else:
            assert refused(firmware(profile), data) == ("ENOEXEC", "region-array")


def test_flags_must_match_within_a_region() -> None:
    data = assembled(f'{ENTRY}.section .text.w, "awx", %progbits\nbx lr\n')
    assert refused(firmware(), data) == ("ENOEXEC", "region-flags")


def test_a_region_has_the_largest_alignment_of_its_sections() -> None:
    text = "".join(f'.section .rodata.{n}, "a", %progbits\n.balign {n}\n.word {n}\n' for n in (4, 32, 8))
    ext = load(firmware(heap_start=HEAP + 4), assembled(ENTRY + text))
    assert ext.regions[Mem.RODATA].align == 32
    assert ext.mem[Mem.RODATA] % 32 == 0
    assert place_of(ext, ".rodata.32") % 32 == 0


def test_groups_are_as_good_as_none() -> None:
    """COMDAT members are sections like any other: a static variable of an inline function is a second .bss."""
    text = '.section .{0}._ZZ1fvE1n, "{1}G", %{2}, _ZZ1fvE1n, comdat\n.space 4\n'
    load(firmware(), assembled(ENTRY + VALUE + "value: .word 0\n" + text.format("data", "aw", "progbits")))
    twice = assembled(f"{ENTRY}.bss\n.space 4\n" + text.format("bss", "aw", "nobits"))
    assert refused(firmware(), twice) == ("ENOTSUP", "region-nobits")


NO_RELOC = (
    f'{ENTRY}.section .llext.rodata.noreloc, "a", %progbits\n.word 1, {{0}}\n'
    '.section .rodata, "a", %progbits\n.word 3\n'
)


def test_rodata_without_relocations_is_a_region_where_the_option_is() -> None:
    plain, relocated = assembled(NO_RELOC.format("2")), assembled(NO_RELOC.format("entry"))
    ext = load(firmware(), plain)
    assert Mem.RODATA_NO_RELOC not in ext.mem
    assert ext.mem_size[Mem.RODATA] == 12
    load(firmware(), relocated)
    assert refused(firmware(rodata_no_reloc=True), relocated) == ("ENOEXEC", "reloc-refused")
    apart = load(firmware(rodata_no_reloc=True), plain)
    assert (apart.mem_size[Mem.RODATA], apart.mem_size[Mem.RODATA_NO_RELOC]) == (4, 8)


# ---- alignment and overlap


def test_an_alignment_of_0_makes_all_of_the_offset_a_prepad() -> None:
    data = with_section(assembled(ENTRY), ".text", addralign=0)
    offset = header(data, ".text", "offset")
    rt = firmware()
    ext = load(rt, data)
    assert ext.regions[Mem.TEXT].prepad == offset == 52
    assert ext.mem_size[Mem.TEXT] == offset + 2
    assert rt.space.view(ext.mem[Mem.TEXT], offset + 2).tobytes() == bytes(offset) + b"\x70\x47"
    assert address_of(ext, "entry") == ext.mem[Mem.TEXT] + offset + 1


def test_zephyr_4_2_leaves_alignments_to_the_heap() -> None:
    data = with_section(assembled(ENTRY), ".text", addralign=3)
    assert refused(firmware(), data) == ("ENOEXEC", "region-alignment")
    assert refused(firmware(OLD), data) == ("", "load-undefined"), "sys_heap_aligned_alloc() asserts"


def test_exports_may_lie_anywhere() -> None:
    data = assembled(f'{ENTRY}.section .rodata, "a", %progbits\n.word 1, 0, 2, 3\n{NAMELESS}')
    data = with_section(data, ".exported_sym", offset=header(data, ".rodata", "offset") + 4)
    assert load(firmware(), data).exp_tab == ((None, 2),)


def test_the_same_between_other_regions_is_an_overlap() -> None:
    text = '.section .rodata.{0}, "a", %progbits\n.word 1\n'
    data = assembled(f'{ENTRY}{text.format("a")}.section .data.b, "aw", %progbits\n.word 5\n{text.format("c")}')
    assert refused(firmware(), data) == ("ENOEXEC", "region-overlap")


def test_bss_may_lie_anywhere_in_the_file() -> None:
    data = assembled(f"{ENTRY}{VALUE}value: .word 1, 2, 3\n.bss\n.space 64\n")
    ext = load(firmware(), with_section(data, ".bss", offset=header(data, ".data", "offset")))
    assert ext.mem_size[Mem.BSS] == 64


@pytest.mark.parametrize(("size", "answer"), [(16, ("ENOEXEC", "region-overlap")), (0, ("ENOMEM", "no-globals"))])
def test_an_empty_table_overlaps_with_nothing(size: int, answer: tuple[str, str]) -> None:
    data = assembled(f"{ENTRY}.space 62\n")
    data = with_section(data, ".symtab", offset=header(data, ".text", "offset") + 16, size=size)
    assert refused(firmware(), data) == answer


def test_names_of_sections_and_symbols_may_share_bytes() -> None:
    data = assembled(ENTRY)
    start, end = header(data, ".strtab", "offset"), header(data, ".shstrtab", "offset") + 8
    data = with_section(data, ".strtab", size=end - start)
    load(firmware(), data)
    assert refused(firmware(OLD), data) == ("ENOEXEC", "region-overlap")


def test_relocations_of_no_section_are_refused_while_mapping() -> None:
    """Also where linking is left out."""
    data = assembled(f"{ENTRY}{VALUE}value: .word printk\n")
    data = with_section(data, ".rel.data", info=99)
    assert refused(firmware(), data, relocate_local=False) == ("ENOEXEC", "elf-relocations")
    assert refused(firmware(OLD), data, relocate_local=False) == ("", "load-undefined")


# ---- symbols


def test_without_a_global_function_or_object_there_is_no_memory_for_their_table() -> None:
    data = assembled(ENTRY.replace(".global", ".local") + EXPORT)
    for profile in (NEXT, OLD):
        assert refused(firmware(profile), data) == ("ENOMEM", "no-globals")
    ext = load(firmware(ABI), data)
    assert ext.sym_tab == ()
    assert [name for name, _ in ext.exp_tab] == ["entry"]


def test_global_symbols_of_reserved_sections() -> None:
    absolute = f"{ENTRY}.global fixed\n.type fixed, %object\n.set fixed, 0x1234\n"
    for text, code in ((absolute, "symbol-absolute"), (f"{ENTRY}.comm shared, 4, 4\n", "symbol-common")):
        assert refused(firmware(), assembled(text)) == ("ENOEXEC", code)
        assert refused(firmware(OLD), assembled(text)) == ("", "load-undefined")
    assert address_of(load(firmware(ABI), assembled(absolute)), "fixed") == 0x1234


def test_two_exports_without_a_name_cannot_be_compared() -> None:
    text = f'{ENTRY}.section .exported_sym, "a", %progbits\n.word 0, entry\n'
    assert load(firmware(), assembled(text)).exp_tab[0].name is None
    assert refused(firmware(), assembled(f"{text}.word 0, entry\n")) == ("", "load-undefined")


THREE = "".join(f".global {n}\n.type {n}, %function\n{n}: bx lr\n" for n in ("zeta", "alpha", "mu")) + (
    '.section .rodata.names, "a", %progbits\n.Lz: .asciz "zeta"\n.La: .asciz "alpha"\n.Lm: .asciz "mu"\n'
    '.section .exported_sym, "a", %progbits\n.word .Lz, zeta, .La, alpha, .Lm, mu\n'
)


def test_tables_are_sorted_since_zephyr_4_2() -> None:
    new, old = load(firmware(), assembled(THREE)), load(firmware(OLD), assembled(THREE))
    for tables in (new.sym_tab, new.exp_tab):
        assert [name for name, _ in tables] == ["alpha", "mu", "zeta"]
    assert [name for name, _ in old.exp_tab] == ["zeta", "alpha", "mu"]
    elf = Elf(assembled(THREE))
    in_file = [name for name in symbol_names(elf) if name in ("zeta", "alpha", "mu")]
    assert [name for name, _ in old.sym_tab] == in_file


def test_the_symbol_table_leaves_the_heap_after_the_load_unless_all_is_logged() -> None:
    data = assembled(ENTRY)
    quiet, debug = firmware(log_level_dbg=False), firmware(log_level_dbg=True)
    without, ext = load(quiet, data), load(debug, data)
    assert without.sym_tab == ()
    assert [name for name, _ in ext.sym_tab] == ["entry"]
    assert without.alloc_size == ext.alloc_size
    assert debug.heaps.data.allocations == quiet.heaps.data.allocations + 1


# ---- linking


def test_a_table_of_relocations_has_whole_entries() -> None:
    data = assembled(f"{ENTRY}{VALUE}value: .word printk\n")
    assert refused(firmware(), with_section(data, ".rel.data", size=12)) == ("ENOEXEC", "elf-relocations")


def test_relocations_of_debug_sections_are_left_alone() -> None:
    """Even against symbols that nobody has."""
    load(firmware(), assembled(f'{ENTRY}.section .debug_info, "", %progbits\n.word nowhere\n'))


def test_zephyr_4_2_takes_addresses_of_sections_that_are_not_loaded() -> None:
    """The section's address is 0 then."""
    text = f'{ENTRY}{VALUE}value: .word lost\n.section .note, "a", %note\n.space 12\nlost: .word 0\n'
    data = with_symbol(assembled(f"{text}.global lost\n"), "lost", value=12)
    assert refused(firmware(), data) == ("ENOEXEC", "symbol-unmapped")
    rt = firmware(OLD)
    assert word(rt, load(rt, data).mem[Mem.DATA]) == 12


def test_zephyr_4_2_does_not_look_at_the_ends_of_a_file() -> None:
    data = assembled(f"{ENTRY}{VALUE}value: .word printk\n")
    elf = Elf(data)
    table = elf.index(".rel.data")
    elf.put(elf.rel(table, 0, "offset"), 0x4000_0000)
    for spoilt, code in [
        (bytes(elf), "elf-relocations"),
        (with_section(data, ".symtab", entsize=20), "elf-symbols"),
        (with_symbol(data, "value", name=0x1_0000), "elf-symbols"),
    ]:
        assert refused(firmware(), spoilt) == ("ENOEXEC", code)
        assert refused(firmware(OLD), spoilt) == ("", "load-undefined")


def test_zephyr_4_2_does_not_look_at_the_machine() -> None:
    for fields in ({"ei_data": 2}, {"ei_class": 2}, {"machine": 243}):
        load(firmware(OLD), edited(assembled(ENTRY), **fields))


def test_zephyr_4_2_wants_two_tables_of_names() -> None:
    """LLVM may write one for sections and symbols; here that of the symbols goes on over that of the sections."""
    data = assembled(ENTRY)
    start, end = header(data, ".strtab", "offset"), header(data, ".shstrtab", "offset")
    data = with_section(data, ".strtab", size=end - start + header(data, ".shstrtab", "size"))
    data = edited(data, shstrndx=Elf(data).index(".strtab"))
    load(firmware(), data)
    assert refused(firmware(OLD), data) == ("ENOEXEC", "elf-symbols")


def test_zephyr_4_2_wants_the_names_behind_the_symbols() -> None:
    data = assembled(f'{ENTRY}.section .first, "", %progbits\n.space 16\n')
    names = header(data, ".strtab", "offset"), header(data, ".strtab", "size")
    before = with_section(data, ".first", type=STRTAB, offset=names[0], size=names[1])
    before = with_section(before, ".symtab", link=Elf(data).index(".first"))
    load(firmware(), before)
    load(firmware(OLD), data)
    assert refused(firmware(OLD), before) == ("ENOEXEC", "elf-symbols")


# ---- veneers


FAR_EXPORTS = {"far": 0x0800_0101, "other": 0x0800_0201, "near": HEAP + 0x8001}
CALLS = f"{ENTRY}bl far\nbl far\nb.w other\nbl near\n"


def branch_target(rt: Runtime, at: int) -> int:
    """Where a BL or B.W goes, by the T4 encoding of the Arm ARM."""
    first, second = (int(half) for half in struct.unpack("<HH", rt.space.view(at, 4).tobytes()))
    sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
    offset = sign << 24 | (1 ^ j1 ^ sign) << 23 | (1 ^ j2 ^ sign) << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
    return at + 4 + offset - (sign << 25)


@pytest.mark.parametrize(("kind", "size", "literal"), [("v7m", 8, 4), ("v6m", 16, 12)])
def test_veneers_are_counted_for_each_branch_and_made_for_each_target(kind: str, size: int, literal: int) -> None:
    """One slot each for two far calls, a far jump and a near call; two are used."""
    rt = firmware(exports=FAR_EXPORTS, veneers=kind)
    ext = load(rt, assembled(CALLS))
    table, text = ext.mem[Mem.VENEER], ext.mem[Mem.TEXT]
    assert ext.mem_size[Mem.VENEER] == 4 * size
    assert table % 4 == 0
    assert ext.mem_parts[Mem.VENEER].perm == Perm.R | Perm.X
    region = ext.regions[Mem.VENEER]
    assert (region.type, region.flags, region.align) == (NOBITS, ALLOC | EXEC, 4)
    targets = [branch_target(rt, text + 2 + 4 * i) for i in range(4)]
    assert targets == [table, table, table + size, HEAP + 0x8000]
    assert [word(rt, table + i * size + literal) for i in range(4)] == [0x0800_0101, 0x0800_0201, 0, 0]
    if kind == "v7m":
        assert rt.space.view(table, 4).tobytes() == bytes.fromhex("dff800f0")  # ldr.w pc, [pc]


def test_without_far_branches_there_are_no_veneers() -> None:
    absolute = f"{ENTRY}bl fixed\n.set fixed, 0x08000101\n.type fixed, %function\n"
    assert Mem.VENEER not in load(firmware(veneers="v7m"), assembled(ENTRY)).mem
    with pytest.raises(LlextError) as info:
        load(firmware(veneers="v7m"), assembled(absolute))
    assert info.value.errno == "ENOEXEC"
    assert info.value.diagnostics[0].code == "reloc-out-of-range"


def test_veneers_out_of_reach_do_not_help() -> None:
    rt = firmware(exports=FAR_EXPORTS, veneers="v7m")
    place = {Mem.TEXT: 0x2100_0000, Mem.VENEER: 0x2300_0000}
    assert refused(rt, assembled(CALLS), place=place) == ("ENOEXEC", "reloc-out-of-range")


def test_an_addend_moves_the_branch_off_its_stub() -> None:
    rt = firmware(exports=FAR_EXPORTS, veneers="v7m")
    ext = load(rt, assembled(f"{ENTRY}bl far + 4\n"))
    assert branch_target(rt, ext.mem[Mem.TEXT] + 2) == ext.mem[Mem.VENEER] + 4


def test_counting_veneers_divides_by_the_size_of_an_entry() -> None:
    data = with_section(assembled(CALLS), ".rel.text", entsize=0)
    assert refused(firmware(exports=FAR_EXPORTS), data) == ("ENOEXEC", "elf-relocations")
    assert refused(firmware(exports=FAR_EXPORTS, veneers="v7m"), data) == ("", "load-undefined")


# ---- shared objects


SHARED = f"{ENTRY}bl printk\n{VALUE}value: .word entry, printk\n{EXPORT}"


def test_a_shared_object_is_one_image() -> None:
    data = shared(SHARED)
    rt = firmware()
    ext = load(rt, data)
    names = [".text", ".rodata", ".data"]
    for name in names:
        assert place_of(ext, name) - place_of(ext, ".text") == header(data, name, "addr") - header(
            data, ".text", "addr"
        )
    assert word(rt, address_of(ext, "value")) == address_of(ext, "entry")
    assert word(rt, address_of(ext, "value") + 4) == 0x0800_0101
    assert ext.exp_tab == (("entry", address_of(ext, "entry")),)


@pytest.mark.parametrize(("protection", "align"), [("none", 4), ("page", 4096)])
def test_an_image_begins_and_ends_at_multiples_of_4_or_of_a_page(protection: str, align: int) -> None:
    """Whatever its sections want; without pages its end is not rounded."""
    data = shared(f"{ENTRY}{VALUE}value: .word 1\n")
    for name in (".text", ".data", ".got"):
        data = with_section(data, name, addralign=1)
    first = header(data, ".text", "addr") + 1
    data = with_section(data, ".text", addr=first)
    ext = load(firmware(protection=protection), data)
    low = first // align * align
    sizes = [header(data, ".data", "addr") + 4 - low, ext.mem_size[Mem.SYMTAB], ext.mem_size[Mem.STRTAB]]
    if protection == "page":
        sizes = [4096, 4096, 4096]  # .dynsym and .dynstr have SHF_ALLOC, too
    assert first % 4 != 0
    assert (place_of(ext, ".text") - (first - low)) % align == 0
    assert ext.alloc_size == sum(sizes) + ext.mem_size[Mem.SHSTRTAB] + 2 * 8


def test_a_shared_object_without_a_program_is_refused() -> None:
    data = shared(f"{ENTRY}{VALUE}value: .word 1\n")
    for name in (".text", ".data", ".got"):
        data = with_section(data, name, flags=0)
    assert refused(firmware(), data) == ("ENOEXEC", "region-image")


def test_sections_of_a_region_keep_their_distance_in_a_shared_object() -> None:
    data = shared(SHARED)
    data = with_section(data, ".text", addr=header(data, ".text", "addr") + 4)
    assert refused(firmware(), data) == ("ENOEXEC", "region-addresses")


def test_addresses_of_regions_must_not_overlap_in_a_shared_object() -> None:
    data = shared(f'{ENTRY}.section .rodata, "a", %progbits\n.word 1\n')
    data = with_section(data, ".rodata", addr=header(data, ".text", "addr"))
    assert refused(firmware(), data) == ("ENOEXEC", "region-overlap")


def test_the_prepad_of_a_shared_object_is_taken_off_its_address() -> None:
    data = shared(f"{ENTRY}{VALUE}value: .word 1\n")
    offset, addr = header(data, ".text", "offset"), header(data, ".text", "addr")
    align = 1 << (offset & -offset).bit_length()  # the offset is a multiple of half of this
    wide = with_section(data, ".text", addralign=align)
    ext = load(firmware(), wide)
    assert ext.regions[Mem.TEXT].addr == addr - align // 2
    assert address_of(ext, "value") - address_of(ext, "entry") == header(data, ".data", "addr") - addr - 1
    assert refused(firmware(), with_section(wide, ".text", addr=align // 2 - 2)) == ("ENOEXEC", "region-alignment")


def dyn_relocation(data: bytes, offset: int) -> bytes:
    elf = Elf(data)
    elf.put(elf.rel(elf.index(".rel.dyn"), 0, "offset"), offset)
    return bytes(elf)


def test_relocations_of_a_shared_object_are_for_loaded_addresses() -> None:
    data = shared(f"{ENTRY}{VALUE}value: .word printk\n")
    assert refused(firmware(), dyn_relocation(data, 0x10_0000)) == ("ENOEXEC", "elf-relocations")


def test_linking_a_shared_object_ends_at_the_first_error() -> None:
    data = shared(f"{ENTRY}{VALUE}value: .word missing_a, missing_b\n")
    with pytest.raises(LlextError) as info:
        load(firmware(), data)
    assert info.value.errno == "ENODATA"
    assert len(info.value.diagnostics) == 1


def test_a_symbol_of_a_shared_object_is_not_below_its_section() -> None:
    data = shared(f"{ENTRY}{VALUE}value: .word 1, value\n")
    assert header(data, ".data", "addr") > 1
    with_low = with_symbol(data, "value", value=header(data, ".data", "addr") - 1)
    assert refused(firmware(), with_low) == ("ENOEXEC", "elf-symbols")


@pytest.mark.emulator
def test_a_page_of_code_and_data_is_not_executed() -> None:
    """An MMU cannot have it both ways, and the loader decides for writing."""
    data = shared(f"{ENTRY}{VALUE}value: .word 1\n{EXPORT}")
    with Runtime.on("cortex-m4f", config=Config(protection="page")) as rt:
        ext = load(rt, data)
        assert ext.mem[Mem.TEXT] // 4096 == ext.mem[Mem.DATA] // 4096
        with pytest.raises(FaultError, match="not executable"):
            rt.call_fn(ext, "entry")


@pytest.mark.emulator
def test_pages_of_a_pre_located_extension_keep_their_permissions() -> None:
    with Runtime.on("cortex-m4f", config=Config(protection="page")) as rt:
        before = load(rt, assembled(ENTRY + EXPORT), "pre", storage="writable", pre_located=True)
        after = load(rt, assembled(ENTRY + EXPORT), "copied")
        perms = [
            next(perm for start, end, perm in rt.mapped if start <= ext.mem[Mem.TEXT] < end) for ext in (before, after)
        ]
        assert perms == [Perm.R | Perm.W, Perm.R | Perm.X]


def test_zephyr_4_2_does_not_relocate_a_shared_object() -> None:
    """Its table names no section, and section 0 is not loaded: nothing is done, and nothing is said."""
    data = shared(f"{ENTRY}{VALUE}value: .word printk\n")
    rt = firmware(OLD)
    ext = load(rt, data)
    assert word(rt, address_of(ext, "value")) == 0
    assert ext.mem_on_heap[Mem.DATA]

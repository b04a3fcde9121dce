"""What an image leaves in memory, and where an extension goes beside it.

Oracle: pyelftools for the image's segments and symbols; C's rules for what its functions return.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.cli import main
from llext_tools.elf.slid import slid
from llext_tools.host.firmware import Firmware, read_firmware
from llext_tools.host.function import HostFunction
from llext_tools.link.exports import Export, ExportTable
from llext_tools.mem import Mem
from llext_tools.run import RunResult, Session, Setup, load, run
from llext_tools.testing import Extension
from samples import Builder

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

IMAGE = """
#include <stdint.h>
#include <llext/symbol.h>
__attribute__((section(".noinit"), aligned(4096))) unsigned char kheap_llext_heap[%d];
static int value = 0x1234;
const int table[] = {1, 2, 3};
static int cleared[100];
__attribute__((section(".data.code"), noinline)) static int in_ram(int x) { return 3 * x; }
int from_ram(int x) { return in_ram(x) + value++ + cleared[x]; }
int end_of_heap(int x) { return kheap_llext_heap[sizeof(kheap_llext_heap) - 1] += x; }
void begin(void) { value = 0x2000; }
EXPORT_SYMBOL(from_ram); EXPORT_SYMBOL(end_of_heap);
"""
EXTENSION = """
int from_ram(int); int end_of_heap(int);
int ram(int x) { return from_ram(x); } EXPORT_SYMBOL(ram);
int heap(int x) { return end_of_heap(x); } EXPORT_SYMBOL(heap);
int look(uintptr_t at) { return *(volatile int *)at; } EXPORT_SYMBOL(look);
int change(uintptr_t at) { *(volatile int *)at = 1; return 0; } EXPORT_SYMBOL(change);
int counter = 5;
"""
HEAP = 64 << 10
TARGETS = ["cortex-m0plus", "cortex-m33", "rv32imac", "rv64gc"]


def image(target: str, folder: Path, heap: int = HEAP) -> Firmware:
    return read_firmware([Builder(target, "gcc", folder).image(IMAGE % heap)])


def symbol(path: str, name: str) -> int:
    with Path(path).open("rb") as file:
        return int(ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name(name)[0]["st_value"])


def setup_of(target: str, host: Firmware) -> Setup:
    return Setup(arch.target(target), host.exports, tuple(found.obj for found in host.images))


def run_on(host: Firmware, target: str, folder: Path, *calls: str, at: int | None = None) -> tuple[RunResult, int]:
    """What came of it, and where the extension's code was."""
    setup = setup_of(target, host)
    obj = compile_c(EXTENSION, setup.target, "gcc", folder)
    images = load([obj], setup.target, exports=setup.exports, firmware=setup.firmware, at=at)
    return run(images, calls, setup), images[0].layout.base[Mem.TEXT]


@pytest.mark.parametrize("target", TARGETS)
def test_the_extension_is_in_the_heap_of_the_image(target: str, tmp_path: Path) -> None:
    host = image(target, tmp_path)
    heap = symbol(host.images[0].path, "kheap_llext_heap")
    calls = ["ram(5)", "ram(5)", "heap(3)", "heap(4)", f"look({symbol(host.images[0].path, 'table') + 4})"]
    found, where = run_on(host, target, tmp_path, *calls)
    assert found.fault is None, found.fault
    assert [r.value for r in found.returned] == [15 + 0x1234, 15 + 0x1235, 3, 7, 2]
    assert heap <= where < heap + HEAP
    found, where = run_on(host, target, tmp_path, *calls, at=heap + 0x4000)
    assert found.fault is None, found.fault
    assert where == heap + 0x4000


@pytest.mark.parametrize("target", TARGETS)
def test_memory_is_what_the_segments_say(target: str, tmp_path: Path) -> None:
    """At the addresses of running code, and where a flash tool puts the initial values."""
    host = image(target, tmp_path)
    setup = setup_of(target, host)
    obj = compile_c(EXTENSION, setup.target, "gcc", tmp_path)
    images = load([obj], setup.target, exports=setup.exports, firmware=setup.firmware)
    with Session(images, setup) as session, Path(host.images[0].path).open("rb") as file:
        elsewhere = 0
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            data, size = segment.data(), segment["p_memsz"]
            if data:
                assert session.machine.read(segment["p_vaddr"], size) == data.ljust(size, b"\0")
                assert session.machine.read(segment["p_paddr"], len(data)) == data
                elsewhere += segment["p_paddr"] != segment["p_vaddr"]
        assert elsewhere


def test_a_heap_with_too_few_pages_is_left_alone(tmp_path: Path) -> None:
    host = image("cortex-m3", tmp_path, heap=8 << 10)
    heap = symbol(host.images[0].path, "kheap_llext_heap")
    found, where = run_on(host, "cortex-m3", tmp_path, "ram(1)", "heap(200)")
    assert found.fault is None, found.fault
    assert [r.value for r in found.returned] == [3 + 0x1234, 200]
    assert heap + (8 << 10) <= where < heap + (1 << 20)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("change({text})", "`change` writes 4 bytes at 0x08000000, which is not writable"),
        ("change({copied})", "which is not writable"),
        ("look({end})", "where there is no memory"),
        ("look(0x40000000)", "where there is no memory"),
    ],
)
def test_what_an_extension_may_not_do_to_the_image(call: str, words: str, tmp_path: Path) -> None:
    host = image("cortex-m3", tmp_path)
    path = host.images[0].path
    end = symbol(path, "kheap_llext_heap") + HEAP
    call = call.format(text=0x0800_0000, copied=symbol(path, "copied"), end=end)
    fault = run_on(host, "cortex-m3", tmp_path, call)[0].fault
    assert fault is not None
    assert words in fault.message


def test_an_extension_cannot_be_where_the_image_is(tmp_path: Path) -> None:
    host = image("cortex-m3", tmp_path)
    fault = run_on(host, "cortex-m3", tmp_path, "ram(1)", at=0x2000_0000)[0].fault
    assert fault is not None
    assert fault.code == "place-overlap"


def test_python_tests_have_it_there_too(tmp_path: Path) -> None:
    path = image("cortex-m3", tmp_path).images[0].path
    heap = symbol(path, "kheap_llext_heap")
    built = compile_c(EXTENSION, arch.target("cortex-m3"), "gcc", tmp_path)
    with Extension.load(built.path, target="cortex-m3", firmware=path, init="begin") as extension:
        assert heap <= extension.symbols["ram"].address < heap + HEAP
        assert extension.ram(0) == 0x2000


def test_an_image_for_another_machine_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes: those of the classes of failure."""
    host = image("cortex-m3", tmp_path)
    other = compile_c(EXTENSION, arch.target("rv32imac"), "gcc", tmp_path, name="other")
    assert main(["run", other.path, "--firmware", host.images[0].path]) == 13
    printed = " ".join(capsys.readouterr().err.split())
    assert "the extension is for 32-bit riscv, the firmware for 32-bit arm" in printed
    assert main(["run", other.path, "--firmware", str(tmp_path / "image.ld")]) == 3
    assert "is no firmware: it is not an ELF file" in " ".join(capsys.readouterr().err.split())


def test_functions_of_an_image_without_names_are_replaced_by_their_slids(tmp_path: Path) -> None:
    host = image("cortex-m3", tmp_path)
    nameless = ExportTable(
        source="slids",
        symbols=tuple(Export(f"0x{slid(e.name, 32):08x}", e.address) for e in host.exports.symbols),
        slid_bits=32,
        heap=host.exports.heap,
    )
    function = HostFunction("from_ram", "int from_ram(int x)", lambda _, x: x + 100)
    setup = setup_of("cortex-m3", host)._replace(exports=nameless, overrides={"from_ram": function})
    obj = compile_c(EXTENSION, setup.target, "gcc", tmp_path)
    images = load([obj], setup.target, exports=nameless, firmware=setup.firmware)
    assert [r.value for r in run(images, ["ram(1)", "heap(2)"], setup).returned] == [101, 2]

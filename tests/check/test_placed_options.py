"""How ``llext check`` learns where extensions will be loaded: options, a build's configuration, the firmware's file.

Oracle: nm for what is in the firmware; ``llext load`` for what a heap of those options does.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llext_tools.host.firmware import read_firmware
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain

GCC = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Os", "-ffreestanding", "-nostdlib")
EXTENSION = """
#include <llext/symbol.h>
extern int printk(const char *, ...);
static int count;
int start(void) { return printk("hello") + count++; }
LL_EXTENSION_SYMBOL(start);
"""
FIRMWARE = """
#define KB(x) ((x) << 10)
#define NOINIT __attribute__((used, aligned(32), section(".noinit.heap")))
int printk(const char *format, ...) { return *format; }
struct symbol { const char *name; void *address; };
__attribute__((used, section("llext_const_symbol_area"))) static const struct symbol entry = {"printk", (void *)printk};
HEAP
int main(void) { return 0; }
"""
LAYOUT = """
SECTIONS {
  .text 0x08000000 : { *(.text*) *(.rodata*) }
  llext_const_symbol_area : { KEEP(*(llext_const_symbol_area)) }
  .data : { *(.data*) }
  .bss 0x20000000 : { *(.bss*) }
  .noinit 0x20001000 (NOLOAD) : { *(.noinit*) }
}
"""


def compiled(folder: Path, name: str, text: str, *flags: str) -> Path:
    (folder / f"{name}.c").write_text(text)
    include = ("-DLL_EXTENSION_BUILD", f"-I{include_dir()}")
    command = [need(GCC[0]), *GCC[1:], *include, *flags, f"{name}.c", "-o", f"{name}.elf"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / f"{name}.elf"


def firmware(folder: Path, heap: str) -> Path:
    (folder / "layout.ld").write_text(LAYOUT)
    return compiled(folder, "zephyr", FIRMWARE.replace("HEAP", heap), "-Tlayout.ld", "-Wl,-emain")


def extension(folder: Path, *flags: str) -> Path:
    return compiled(folder, "ext", EXTENSION, "-c", *flags)


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(llext("check", "--json", *map(str, arguments))[1])
    return found


def symbol(file: Path, name: str) -> tuple[int, int]:
    """Address and size, as nm reads them."""
    command = [need("arm-none-eabi-nm"), "-S", str(file)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = next(line.split() for line in lines.splitlines() if line.endswith(f" {name}"))
    return int(found[0], 16), int(found[1], 16)


def test_the_heap_of_the_firmwares_elf_file_is_taken(tmp_path: Path) -> None:
    image = firmware(tmp_path, "char kheap_llext_heap[KB(6)] NOINIT;")
    start, size = symbol(image, "kheap_llext_heap")
    near, far = extension(tmp_path, "-mlong-calls"), compiled(tmp_path, "far", EXTENSION, "-c")
    assert start >= 0x2000_0000
    file = document(near, "--exports", image)["files"][0]
    assert file["ok"]
    assert [heap["size"] for heap in file["memory"]["heaps"]] == [size]
    found = document(far, "--exports", image)["files"][0]["diagnostics"]
    assert [d["code"] for d in found] == ["reloc-out-of-range"]
    place = int(found[0]["detail"][0].partition("place 0x")[2].split(",")[0], 16)
    assert start <= place < start + size
    assert hex(symbol(image, "printk")[0] | 1)[2:] in found[0]["detail"][0]
    assert (
        document(near, "--exports", image, "--heap", "0x20100000+4K")["files"][0]["memory"]["heaps"][0]["size"] == 4096
    )


BLOCKS = (
    "unsigned char _sys_mem_blocks_buf_llext_ext_heap[KB(16)] NOINIT; char kheap_llext_metadata_heap[KB(4)] NOINIT;"
)
HARVARD = "char kheap_llext_instr_heap[KB(4)] NOINIT; char kheap_llext_data_heap[KB(8)] NOINIT;"


@pytest.mark.parametrize(
    ("heap", "options", "sizes"),
    [
        ("char kheap_llext_ext_heap[KB(5)] NOINIT;", (), [5120]),
        (BLOCKS, (), None),
        (BLOCKS, ("CONFIG_LLEXT_METADATA_HEAP_SIZE=4",), [4096, 16384]),
        (HARVARD, (), None),
        (HARVARD, ("CONFIG_LLEXT_DATA_HEAP_SIZE=8",), [8192, 4096]),
    ],
)
def test_each_kind_of_heap_is_known_by_its_buffer(
    heap: str, options: tuple[str, ...], sizes: list[int] | None, tmp_path: Path
) -> None:
    """The size of a second heap is the configuration's to say; where the code goes is known without it."""
    image = firmware(tmp_path, heap)
    configuration = [word for option in options for word in ("--config", option)]
    file = document(extension(tmp_path, "-mlong-calls"), "--exports", image, *configuration)["files"][0]
    assert file["ok"]
    assert [each["size"] for each in file["memory"]["heaps"]] == sizes if sizes else "memory" not in file
    far = compiled(tmp_path, "far", EXTENSION, "-c")
    found = document(far, "--exports", image, *configuration)["files"][0]["diagnostics"]
    assert [d["code"] for d in found] == ["reloc-out-of-range"]


@pytest.mark.parametrize("ending", ["toml", "json"])
@pytest.mark.parametrize("heap", ["char kheap_llext_heap[KB(6)] NOINIT;", BLOCKS, HARVARD])
def test_a_table_says_the_same_of_the_heap(ending: str, heap: str, tmp_path: Path) -> None:
    """The firmware's ELF file is the oracle."""
    image, table = firmware(tmp_path, heap), tmp_path / f"api.{ending}"
    code, printed = llext("exports", str(image), "-o", str(table))
    assert code == 0, printed
    assert read_firmware([table]).heap() == read_firmware([image]).heap() is not None
    for flags in ((), ("-mlong-calls",)):
        path = extension(tmp_path, *flags)
        by_table, by_image = (document(path, "--exports", against)["files"][0] for against in (table, image))
        assert [d["code"] for d in by_table["diagnostics"]] == [d["code"] for d in by_image["diagnostics"]]
        assert by_table.get("memory") == by_image.get("memory")
    assert [d["code"] for d in document(extension(tmp_path), "--exports", table)["files"][0]["diagnostics"]] == [
        "reloc-out-of-range"
    ]


@pytest.mark.parametrize(
    "heap",
    [
        "1",
        "{}",
        "{ address = 4, size = 8 }",
        '{ address = "0x20000000" }',
        '{ symbol = "kheap_llext_heap", address = "here", size = 4 }',
        '{ symbol = "kheap_llext_heap", address = 4, size = true }',
        '{ symbol = "kheap_llext_heap", address = 4, size = 0 }',
        '{ symbol = "kheap_llext_heap", address = -4, size = 8 }',
        '{ symbol = "kheap_llext_heap", address = "0xfffffff0", size = 32 }',
        '{ address = 4, size = 8, symbol = "heap" }',
        "{ address = 4, size = 8, symbol = [] }",
        '{ symbol = "kheap_llext_heap", address = 4, size = 8, more = 1 }',
    ],
)
def test_wrong_heaps_in_a_table(heap: str, tmp_path: Path) -> None:
    table = tmp_path / "api.toml"
    table.write_text(f"machine = 40\nheap = {heap}\n[exports]\nprintk = 1\n")
    code, printed = llext("exports", str(table))
    assert code == 7, printed
    assert "api.toml:2" in printed
    assert "heap" in printed
    table.write_text(
        'heap = { symbol = "kheap_llext_heap", address = 0x20000000, size = "4096" }\n[exports]\nprintk = 1\n'
    )
    assert read_firmware([table]).heap() == ("kheap_llext_heap", 0x2000_0000, 4096, None)


def test_a_firmware_without_a_heap_says_nothing(tmp_path: Path) -> None:
    image = firmware(tmp_path, "char *heap;")
    file = document(compiled(tmp_path, "far", EXTENSION, "-c"), "--exports", image)["files"][0]
    assert file["ok"]
    assert "memory" not in file


def test_the_size_alone_is_for_the_room(tmp_path: Path) -> None:
    image = firmware(tmp_path, "char *heap;")
    far = compiled(tmp_path, "far", EXTENSION, "-c")
    assert document(far, "--exports", image, "--heap", "8K")["files"][0]["memory"]["heaps"][0]["size"] == 8192
    found = document(far, "--exports", image, "--heap", "640")["files"][0]["diagnostics"]
    assert [d["code"] for d in found] == ["load-memory"]


def test_a_builds_configuration_is_taken(tmp_path: Path) -> None:
    """Veneers, sizes and protection of a `.config`; what is given by itself comes first."""
    image = firmware(tmp_path, "char kheap_llext_heap[KB(8)] NOINIT;")
    far = compiled(tmp_path, "far", EXTENSION, "-c")
    config = tmp_path / ".config"
    config.write_text("CONFIG_ARM=y\nCONFIG_LLEXT_VENEERS=y\nCONFIG_LLEXT_HEAP_SIZE=8\nCONFIG_USERSPACE=y\n"
                      "CONFIG_ARM_MPU=y\nCONFIG_MPU_REQUIRES_POWER_OF_TWO_ALIGNMENT=y\n")  # fmt: skip
    memory = document(far, "--exports", image, "--config", config)["files"][0]["memory"]
    assert memory["veneers"] == {"slots": 1, "size": 8, "needed": 1}
    assert memory["mpu_regions"] == memory["partitions"] == 4
    assert memory["rounding"] > 0
    plain = document(far, "--exports", image, "--config", config, "--protection", "none")["files"][0]["memory"]
    assert (plain["mpu_regions"], plain["rounding"]) == (0, 0)
    sized = document(extension(tmp_path, "-mlong-calls"), "--config", config)["files"][0]["memory"]
    assert sized["heaps"][0]["size"] == 8192


def test_the_configuration_beside_the_elf_file_is_taken(tmp_path: Path) -> None:
    """Zephyr's build leaves `zephyr.elf` and `.config` in one folder. What is given by --config replaces it."""
    image = firmware(tmp_path, "char kheap_llext_heap[KB(8)] NOINIT;")
    far = compiled(tmp_path, "far", EXTENSION, "-c")
    config = tmp_path / ".config"
    config.write_text("CONFIG_ARM=y\nCONFIG_LLEXT_VENEERS=y\n")
    assert not document(far, "--exports", image)["files"][0]["ok"], "it is no configuration with a loader"
    config.write_text("CONFIG_ARM=y\nCONFIG_LLEXT=y\nCONFIG_LLEXT_VENEERS=y\n")
    assert document(far, "--exports", image)["files"][0]["memory"]["veneers"]["needed"] == 1
    assert not document(far, "--exports", image, "--config", "CONFIG_LLEXT_VENEERS=n")["files"][0]["ok"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--heap", "somewhere"], "--heap: `somewhere` is not a size"),
        (["--heap", "here+8K"], "--heap: `here` is not an address"),
        (["--heap", "8"], "a heap of 8 bytes is too small for its own tables"),
        (["--heap", "1024M"], "a heap of 1,073,741,824 bytes is larger than"),
        (["--heap", "5K", "--heap-kind", "memblk", "--config", "LLEXT_HEAP_MEMBLK_BLOCK_SIZE=2048"], "is not made of"),
        (["--heap", "0xfffff000+8K", "--target", "cortex-m4"], "do not fit into an address space of 32 bits"),
        (["--heap", "0xfffffffffffff000+8K"], "do not fit into an address space of 64 bits"),
        (["--heap-kind", "stack"], "cannot be `stack`"),
        (["--protection", "wall"], "cannot be `wall`"),
        (["--storage", "tape"], "cannot be `tape`"),
        (["--buffer", "there"], "--buffer: `there` is not an address"),
        (["--heap", "0x20000000+8K", "--buffer", "0x20000100"], "--buffer: 0x20000100 is in the heap"),
        (["--config", "CONFIG_LLEXT_HEAP_SIZ=8"], "did you mean `CONFIG_LLEXT_HEAP_SIZE`?"),
    ],
)
def test_what_cannot_be_is_one_error(options: list[str], message: str, tmp_path: Path) -> None:
    file = str(extension(tmp_path, "-mlong-calls"))
    code, text = llext("check", file, file, *options)
    assert code == 2
    assert message in " ".join(text.split())
    assert text.count("error[usage]") == 1


def heap_sizes(*arguments: object) -> list[int]:
    return [heap["size"] for heap in document(*arguments)["files"][0]["memory"]["heaps"]]


def test_a_size_that_is_given_goes_before_that_of_the_buffer(tmp_path: Path) -> None:
    image = firmware(tmp_path, "char kheap_llext_heap[KB(6)] NOINIT;")
    near = extension(tmp_path, "-mlong-calls")
    assert heap_sizes(near, "--exports", image) == [symbol(image, "kheap_llext_heap")[1]]
    assert heap_sizes(near, "--exports", image, "--config", "CONFIG_LLEXT_HEAP_SIZE=4") == [4 << 10]
    (tmp_path / "llext.toml").write_text('config = ["CONFIG_LLEXT_HEAP_SIZE=5"]\n')
    assert heap_sizes(near, "--exports", image, "--settings", tmp_path / "llext.toml") == [5 << 10]


def test_one_option_adds_to_the_configuration_beside_the_image(tmp_path: Path) -> None:
    image = firmware(tmp_path, BLOCKS)
    near = extension(tmp_path, "-mlong-calls")
    (tmp_path / ".config").write_text("CONFIG_LLEXT=y\nCONFIG_LLEXT_HEAP_MEMBLK=y\nCONFIG_LLEXT_METADATA_HEAP_SIZE=4\n")
    assert heap_sizes(near, "--exports", image) == [4 << 10, 16 << 10]
    assert heap_sizes(near, "--exports", image, "--config", "CONFIG_LLEXT_EXT_HEAP_SIZE=8") == [4 << 10, 8 << 10]
    assert heap_sizes(near, "--exports", image, "--config", "CONFIG_LLEXT_METADATA_HEAP_SIZE=2") == [2 << 10, 16 << 10]


def test_options_that_contradict_each_other(tmp_path: Path) -> None:
    near = extension(tmp_path, "-mlong-calls")
    for command in (("check",), ("inspect", "--memory")):
        code, text = llext(*command, str(near), "--config", "CONFIG_LLEXT_HEAP_SIZE=1", "--heap", "8K")
        assert (code, "8,192 bytes, and --config 1,024" in text) == (2, True)
        assert llext(*command, str(near), "--config", "CONFIG_LLEXT_HEAP_SIZE=8", "--heap", "8K")[0] == 0


@pytest.mark.parametrize("command", [("check",), ("inspect", "--memory")])
def test_a_user_mode_needs_something_that_protects_it(command: tuple[str, ...], tmp_path: Path) -> None:
    near = str(extension(tmp_path, "-mlong-calls"))
    code, text = llext(*command, near, "--heap", "8K", "--config", "CONFIG_USERSPACE=y")
    assert (code, "add `CONFIG_ARM_MPU=y`" in text) == (2, True)
    for more in (("--config", "CONFIG_ARM_MPU=y"), ("--protection", "mpu-pow2")):
        assert llext(*command, near, "--heap", "8K", "--config", "CONFIG_USERSPACE=y", *more)[0] == 0
    (tmp_path / "other").write_text("CONFIG_USERSPACE=y\n")
    assert llext(*command, near, "--heap", "8K", "--config", str(tmp_path / "other"))[0] == 0, "another kind, perhaps"

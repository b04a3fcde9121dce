"""What an extension takes of its board: heaps, the ELF buffer, memory domains, pages; and its constructors.

Oracles: ``llext inspect --memory``, whose bill was compared with Zephyr's own code; loads into smaller heaps; what the
loader logs, and what bringup answers; GNU as, ld and readelf for what is in the files.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llext_tools import arch as archs
from llext_tools.check import Board, Subject, check
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Runtime, Storage
from llext_tools.llext.config import Protection
from llext_tools.llext.runtime import BUFFERS
from llext_tools.paths import cmake_dir
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain

KIB = 1 << 10
C_FLAGS = ("-mcpu=cortex-m4", "-mthumb", "-mlong-calls", "-Os", "-ffreestanding", "-fno-pic", "-c", "-x", "c", "-")
SOURCE = """
static const int limits[64] __attribute__((aligned(16))) = {1, 2};
static char line[500];
int counter = 5;
extern int printk(const char *, ...);
int start(int i) { return limits[i] + line[i]++ + counter++ + printk(i & 1 ? "even" : "odd"); }
struct symbol { const char *name; void *address; };
__attribute__((section(".exported_sym"), used)) static const struct symbol entry = {"start", (void *)start};
"""


@cache
def compiled(text: str = SOURCE, *flags: str) -> bytes:
    """An object made of C, merged as the CMake helper does it."""
    with TemporaryDirectory() as folder:
        command = [need("arm-none-eabi-gcc"), *C_FLAGS, *flags, "-o", f"{folder}/a.o"]
        subprocess.run(command, input=text, text=True, check=True)
        output = Path(folder, "a.llext")
        script = f"{cmake_dir()}/llext-merge.ld"
        subprocess.run([need("arm-none-eabi-ld"), "-r", "-T", script, f"{folder}/a.o", "-o", output], check=True)
        return output.read_bytes()


def checked(
    data: bytes, board: Board, exports: dict[str, int] | None = None
) -> tuple[Subject | None, list[Diagnostic]]:
    reporter = Reporter()
    subject = None
    firmware = None if exports is None else Firmware(exports=ExportTable.of(exports))
    try:
        subject = check(read_object(data, "e"), firmware=firmware, board=board, reporter=reporter)
    except LlextError:
        pass
    return subject, [d for d in reporter.diagnostics if d.code != "no-exports"]


# ---- heaps


OPTIONS = (
    ("--heap", "8K"),
    ("--heap", "0x20004a80+8K", "--protection", "mpu-pow2"),
    ("--heap", "64K", "--protection", "page"),
    ("--heap", "16K", "--heap-kind", "memblk", "--protection", "mpu-32"),
    ("--heap", "8K", "--storage", "persistent"),
    ("--heap", "8K", "--storage", "writable", "--buffer", "0x08040004"),
    ("--heap", "8K", "--config", "CONFIG_HARVARD=y", "--config", "CONFIG_LLEXT_INSTR_HEAP_SIZE=4"),
    ("--config", "CONFIG_LLEXT_HEAP_SIZE=12", "--config", "CONFIG_LLEXT_LOG_LEVEL_DBG=y"),
)


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_heap_is_used_as_the_bill_has_it(options: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "e.llext"
    file.write_bytes(compiled())
    bill = json.loads(llext("inspect", str(file), "--memory", "--json", *options)[1])
    code, text = llext("check", str(file), "--json", *options)
    assert code == 0, text
    found = json.loads(text)["files"][0]["memory"]
    keys = ("option", "size", "peak", "taken")
    assert [tuple(heap.values()) for heap in found["heaps"]] == [
        tuple(heap[key] for key in keys) for heap in bill["heaps"]
    ]
    assert found["mpu_regions"] == bill["mpu_regions"]
    assert found["partitions"] == len(bill["partitions"])
    in_regions = sum(row["rounding"] for heap in bill["heaps"] for row in heap["allocations"])
    assert found["rounding"] == in_regions
    uses = " + ".join(f"{heap['taken']:,} of {heap['size']:,}" for heap in bill["heaps"])
    assert f", {uses} bytes of heap" in llext("check", str(file), *options)[1]


@pytest.mark.parametrize("protection", ["none", "mpu-pow2", "page"])
def test_what_is_too_large_is_told_the_smallest_heap_that_is_enough(protection: Protection) -> None:
    """Oracle: heaps of each size, tried one after the other."""
    config = Config(heap_start=0x2001_2340, protection=protection, log_level_dbg=False)
    enough = 1
    while any(d.severity == "error" for d in checked(compiled(), Board(config._replace(heap_size=enough * KIB)))[1]):
        enough += 1
    assert enough > 1
    for size in {1, enough - 1}:
        subject, found = checked(compiled(), Board(config._replace(heap_size=size * KIB)))
        assert subject is None
        assert [d.code for d in found] == ["load-memory"]
        assert f"CONFIG_LLEXT_HEAP_SIZE={enough};" in found[0].help


def test_the_heap_that_is_too_small_is_named() -> None:
    """Of the two heaps of a Harvard machine, and of the two with blocks."""
    harvard = Config(harvard=True, heap_size=8 * KIB, instr_heap_size=4 * KIB)
    big = SOURCE + 'int more(void) { __asm__ volatile(".space 5000"); return 0; }'
    found = checked(compiled(big), Board(harvard))[1]
    assert [d.help.partition(";")[0] for d in found] == ["it takes CONFIG_LLEXT_INSTR_HEAP_SIZE=6"]
    blocks = Config(heap="memblk", heap_size=8 * KIB, metadata_heap_size=1 * KIB)
    lines = "".join(f"int f{i}(void) {{ return {i}; }}\n" for i in range(150))
    found = checked(compiled(SOURCE + lines), Board(blocks))[1]
    assert [d.help.partition("=")[0] for d in found] == ["it takes CONFIG_LLEXT_METADATA_HEAP_SIZE"]
    assert not checked(
        compiled(SOURCE + lines), Board(blocks._replace(heap_size=16 * KIB, metadata_heap_size=4 * KIB))
    )[1]


def test_a_dynamic_heap_is_what_the_application_gives() -> None:
    config = Config(heap="dynamic", heap_size=1 * KIB)
    assert checked(compiled(), Board(config))[1][0].help.startswith("it takes llext_heap_init() 2,048 bytes")
    subject, found = checked(compiled(), Board(config._replace(heap_size=2 * KIB)))
    assert not found
    assert subject
    assert subject.footprint
    assert subject.footprint.heaps[0].option == "llext_heap_init()"


def test_a_large_heap_and_one_where_files_usually_are(tmp_path: Path) -> None:
    """Its size is what is said; what is taken of it is the same as of 512 KiB, for headers are as large there."""
    found = []
    for heap in (
        Config(heap_size=512 * KIB),
        Config(heap_size=64 << 20),
        Config(heap_start=BUFFERS, heap_size=64 << 20),
    ):
        for storage in Storage:
            subject, diagnostics = checked(compiled(), Board(heap, storage))
            assert not diagnostics
            assert subject
            assert subject.footprint
            (use,) = subject.footprint.heaps
            assert use.size == heap.heap_size
            found.append((use.kept, use.peak))
    assert found[:3] == found[3:6] == found[6:]


# ---- the ELF buffer


@pytest.mark.parametrize("storage", [Storage.PERSISTENT, Storage.WRITABLE])
@pytest.mark.parametrize("protection", ["none", "mpu-32"])
def test_regions_that_are_copied_for_their_alignment(storage: Storage, protection: Protection) -> None:
    """Oracle: the loader's own warnings, at each address of the file modulo the largest alignment."""
    config, data = Config(protection=protection, heap_size=64 * KIB), compiled()
    seen = set()
    for buffer in range(0x3000_0000, 0x3000_0040, 4):
        rt = Runtime(archs.load("arm"), exports=ExportTable.of({"printk": 0x2000_0001}), config=config)
        rt.load(BufLoader(data, storage, address=buffer), "e")
        lines = [line.text for line in rt.log.lines if "cannot stay in the ELF buffer" in line.text]
        logged = {text.split("(")[1].split(")")[0] for text in lines} - {"SYMTAB"}
        found = checked(data, Board(config, storage, buffer), {"printk": 0x2000_0001})[1]
        assert {d.message.split()[0] for d in found if d.code == "buffer-misaligned"} == logged
        assert {d.code for d in found} <= {"buffer-misaligned", "domain-partition"}
        for d in found:
            if "behind" in d.help:
                step, grid = (int(word) for word in d.help.replace(",", "").split() if word.isdigit())
                moved = checked(data, Board(config, storage, 0x3000_0000 + step % grid), {"printk": 0x2000_0001})[1]
                assert d.message.split()[0] not in {other.message.split()[0] for other in moved}
        seen |= logged
    assert seen >= {"RODATA"}


# ---- pages of an MMU


@pytest.mark.parametrize("data_at", ["0x2100", "0x2ff0", "0x3000"])
def test_code_and_data_on_one_page(data_at: str, tmp_path: Path) -> None:
    """Oracle: the pages of the addresses that readelf reads."""
    command = [need("arm-none-eabi-gcc"), *C_FLAGS, "-fPIC", "-o", str(tmp_path / "a.o")]
    subprocess.run(command, input="int counter = 5; int start(void) { return ++counter; }", text=True, check=True)
    sections = f".text 0x2000 : {{*(.text)}} .data {data_at} : {{*(.data) *(.got)}}"
    (tmp_path / "a.ld").write_text(f"SECTIONS {{ {sections} .dynamic : {{*(.dynamic)}} }}")
    file = tmp_path / "a.so"
    ld = [need("arm-none-eabi-ld"), "-shared", "-z", "max-page-size=16", "--hash-style=sysv"]
    subprocess.run([*ld, "-Ta.ld", "a.o", "-o", "a.so"], cwd=tmp_path, check=True)
    listing = subprocess.run(
        [need("arm-none-eabi-readelf"), "-SW", file], check=True, capture_output=True, text=True
    ).stdout
    pages: dict[str, set[int]] = {"AX": set(), "WA": set()}
    for line in listing.splitlines():
        words = line.replace("[ ", "[").split()
        if len(words) > 7 and words[7] in pages and words[2] in ("PROGBITS", "NOBITS"):
            start, size = int(words[3], 16), int(words[5], 16)
            pages[words[7]] |= set(range(start // 4096, (start + size - 1) // 4096 + 1)) if size else set()
    conflict = bool(pages["AX"] & pages["WA"])
    found = checked(file.read_bytes(), Board(Config(protection="page", heap_size=64 * KIB)))[1]
    assert [d.code for d in found] == (["page-conflict"] if conflict else []), listing
    assert not checked(file.read_bytes(), Board(Config(heap_size=64 * KIB)))[1]


# ---- constructors


FUNCTION = ".global start\n.type start, %function\nstart: nop\nbx lr\n"
ARRAY = '.section .{kind}, "aw", %{kind}\n.word {entry}\n'


@pytest.mark.parametrize("kind", ["preinit_array", "init_array", "fini_array"])
@pytest.mark.parametrize(
    ("entry", "runs"),
    [("start", True), ("start+2", True), ("start+4", False), ("start-4", False), ("0", False), ("elsewhere", False)],
)
def test_constructors_are_in_the_code(kind: str, entry: str, runs: bool, tmp_path: Path) -> None:
    """Oracle: what llext_bringup() and llext_teardown() answer, compared with Zephyr's code elsewhere."""
    (tmp_path / "a.s").write_text(".syntax unified\n.thumb\n" + FUNCTION + ARRAY.format(kind=kind, entry=entry))
    subprocess.run([need("arm-none-eabi-as"), "-mcpu=cortex-m4", "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    data = (tmp_path / "a.o").read_bytes()
    exports = {"elsewhere": 0x0800_0001}
    rt = Runtime(archs.load("arm"), exports=ExportTable.of(exports))
    _, ext = rt.load(BufLoader(data), "e")
    try:
        rt.get_fn_table(ext, kind != "fini_array", 64)
        answer = ""
    except LlextError as error:
        answer = error.errno
    assert (answer == "") is runs
    for board in (Board(), Board(Config())):
        for table in (exports, None):
            found = checked(data, board, table)[1]
            assert [(d.code, d.errno) for d in found] == ([] if runs else [("run-bringup", answer)])
            assert all(d.location and d.location.section == f".{kind}" for d in found)


def test_each_bad_constructor_is_named_with_its_place(tmp_path: Path) -> None:
    text = FUNCTION + ARRAY.format(kind="init_array", entry="start, 0, start, 7")
    (tmp_path / "a.s").write_text(".thumb\n" + text)
    subprocess.run([need("arm-none-eabi-as"), "-mcpu=cortex-m4", "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    found = checked((tmp_path / "a.o").read_bytes(), Board())[1]
    assert [d.location.offset for d in found if d.location] == [4, 12]
    assert [d.message.split()[1] for d in found] == ["1", "3"]


# ---- several extensions in one heap


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_extensions_that_are_loaded_together_share_the_heap(size: int, tmp_path: Path) -> None:
    """Oracle: ``llext load`` of all of them, with the heap that there is and with the one that is said to be enough."""
    files: list[Path] = []
    for i in range(4):
        files.append(tmp_path / f"e{i}.llext")
        files[-1].write_bytes(compiled(SOURCE.replace("line[500]", f"line[{300 + 200 * i}]")))
    board = ("--config", "CONFIG_LLEXT_LOG_LEVEL_DBG=n", "--heap-kind", "k_heap")

    def refused(kib: int, files: Sequence[Path] = files) -> set[str]:
        table = tmp_path / "table.toml"
        table.write_text("[exports]\nprintk = 0x20000001\n")
        heap = ("--heap", f"0x20000000+{kib}K", "--exports", str(table))
        steps = json.loads(llext("load", *map(str, files), "--json", *board, *heap)[1])["steps"]
        return {step["file"] for step in steps if step["rc"] == "-ENOMEM"}

    wanted = refused(size)
    code, text = llext("check", *map(str, files), "--json", "--together", *board, "--heap", f"0x20000000+{size}K")
    document = json.loads(text)
    found = [d for d in document["diagnostics"] if d["code"] == "heap-shared"]
    alone = {file["file"] for file in document["files"] if not file["ok"]}
    assert {d["location"]["file"] for d in found} == wanted - alone
    assert bool(found) == (code == 4)
    for d in found:
        enough = int(d["help"].partition("=")[2].split()[0])
        assert not refused(enough, [file for file in files if str(file) not in alone])
    assert "heap-shared" not in llext("check", *map(str, files), "--json", *board, "--heap", f"{size}K")[1]


# ---- whatever is in the file


BOARDS = [
    Board(Config(heap_size=8 * KIB)),
    Board(Config(heap_size=8 * KIB, veneers="v7m", protection="mpu-pow2")),
    Board(Config(heap="memblk", heap_size=16 * KIB, protection="mpu-32"), Storage.WRITABLE, 0x3000_0004),
    Board(Config(protection="page"), Storage.PERSISTENT),
    Board(Config(heap="dynamic", heap_size=4 * KIB, protection="pmp", rodata_no_reloc=True)),
    Board(Config(harvard=True), located=False),
]


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_are_refused_or_checked(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(25):
        data = bytearray(compiled())
        for _ in range(r.randrange(1, 6)):
            at = r.randrange(len(data)) & -4
            number = r.choice([0, 1, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, len(data), r.randrange(1 << 32)])
            data[at : at + 4] = number.to_bytes(4, "little")
        reporter = Reporter()
        try:
            check(read_object(bytes(data), "e"), board=r.choice(BOARDS), reporter=reporter)
        except LlextError as error:
            assert error.diagnostics
        else:
            assert not reporter.failed

"""What an extension costs of a firmware's heap: ``llext inspect --memory``.

Oracles: the ``alloc_size`` that Zephyr's own loader code gave (tests/conformance); loads into heaps of the size that is
said to be enough, and of one KiB less; sizes worked out by hand from the assembly. What a heap takes for an allocation,
and what an MPU needs, is tested in ``test_llext_heap.py``.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from built import SOURCE, Combination, combination  # noqa: F401
from conformance.cases import ANSWERED, HERE, files
from llext_tools import arch, profile
from llext_tools.cli.memory import undefined
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Runtime, Storage
from llext_tools.llext.bill import Bill, Job, memory_bill, option, sized
from llext_tools.llext.config import Protection
from llext_tools.llext.heap import Heaps
from needs import need
from transcript import llext

KIB = 1024
NEXT = profile.load("zephyr-next")
METADATA = ("struct llext", "section map", "section headers", "sym_tab", "exp_tab")
TYPICAL = ("app_ldr_arm_gcc/e.llext", "app_Os_rv_clang/e.llext", "arm_elf_shared/e.llext")


def job(data: bytes, config: Config | None = None, storage: str = "temporary", *, peek: bool = True) -> Job:
    obj = read_object(data, "e.llext")
    found = arch.by_machine(obj.machine)
    assert found
    config = config or Config(heap_size=8 * KIB, log_level_dbg=False)
    return Job(data, "e.llext", found, obj.bits, config, NEXT, Storage(storage), peek, None, undefined(obj))


def check_sums(bill: Bill) -> None:
    """What is added up is what the heaps themselves say."""
    for heap in bill.heaps:
        assert sum(row.total for row in heap.rows if row.kept) == heap.taken
        assert sum(row.total for row in heap.rows) == heap.peak
        assert heap.own + heap.taken + heap.left == heap.size
        for row in heap.rows:
            assert min(row.contents, row.prepad, row.gaps, row.rounding, row.own) >= 0, row


# ---- against Zephyr's own code


@cache
def recorded() -> dict[str, tuple[bytes, int]]:
    """Objects that were loaded by default rules: the file, and the ``alloc_size`` that the C code had in the end."""
    found = {}
    for raw in json.loads((HERE / ANSWERED).read_text())["cases"]:
        answers = [answer for answer in raw["answers"] if answer["op"] == "load"]
        steps = [step for step in raw["steps"] if step[0] == "load"]
        if raw["variant"] in ("arm", "riscv") and not raw.get("options"):
            for (_, name, file), answer in zip(steps, answers, strict=True):
                if answer.get("rc") == "0":
                    found[f"{raw['id']}:{name}"] = files()[f"{raw['id']}/{file}"], answer["alloc_size"]
    return found


NOT_BILLED = {
    "arm_elf_sh_offset_past:e": "a section lies behind the end of the file: the command refuses to read it",
    "rv_rvcbranch_max:e": "it loads only where the import is at most 256 bytes away",
    "rv_rvcbranch_min:e": "it loads only where the import is at most 256 bytes away",
}
"""Objects of which there is no bill, with the reason."""


@pytest.mark.parametrize("name", sorted(set(recorded()) - set(NOT_BILLED)))
def test_regions_and_symbol_table_are_the_recorded_alloc_size(name: str) -> None:
    """The C code counts the regions and ``sym_tab``, without what the heap adds (reference: it logs this figure)."""
    data, alloc_size = recorded()[name]
    bill, _ = memory_bill(job(data))
    rows = [row for heap in bill.heaps for row in heap.rows]
    assert sum(row.total - row.own for row in rows if row.what == "sym_tab" or row.what not in METADATA) == alloc_size
    assert bill.alloc_size == alloc_size
    check_sums(bill)


# ---- against loads


PROTECTIONS: tuple[Protection, ...] = ("none", "page", "mpu-pow2", "mpu-32", "pmp")
LARGE = Config(heap_size=64 * KIB)
CONFIGS = [
    *(LARGE._replace(protection=protection) for protection in PROTECTIONS),
    LARGE._replace(harvard=True),
    LARGE._replace(heap="memblk"),
    LARGE._replace(heap="memblk", memblk_block_size=256, protection="mpu-32"),
    LARGE._replace(heap="memblk", memblk_block_size=4 * KIB, protection="page"),
]


def succeeds(wanted: Job, config: Config) -> bool:
    """Whether a firmware of its own, whose imports are near, loads the file; no other reason for a failure."""
    exports = ExportTable.of(dict.fromkeys(wanted.imports, config.instr_heap_start if config.harvard else 0x2000_0000))
    rt = Runtime(wanted.arch, wanted.bits, exports=exports, config=config)
    try:
        rt.load(BufLoader(wanted.data, wanted.storage, peek=wanted.peek), "e")
    except LlextError as error:
        assert error.errno == "ENOMEM"
        return False
    return True


@pytest.mark.parametrize("storage", [storage.value for storage in Storage])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.heap}-{c.protection}-{c.memblk_block_size}-{c.harvard}")
@pytest.mark.parametrize("name", TYPICAL)
def test_the_smallest_heap_is_enough_and_less_is_not(name: str, config: Config, storage: str) -> None:
    wanted = job(files()[name], config, storage)
    if config.harvard and "shared" in name:
        with pytest.raises(LlextError, match="two heaps"):
            memory_bill(wanted)
        return
    bill, error = memory_bill(wanted)
    assert error is None
    check_sums(bill)
    found = {heap.option: heap.smallest for heap in bill.heaps}
    kinds = {name: [kind for kind in Heaps._fields if option(config, kind) == name] for name in found}
    enough = {kind: found[name] for name in found for kind in kinds[name]}
    assert sorted(enough) == sorted(Heaps._fields)
    assert succeeds(wanted, sized(config, enough))
    for heap in bill.heaps:
        less = heap.smallest - (max(config.memblk_block_size // KIB, 1) if "_EXT_" in heap.option else 1)
        if less:
            assert not succeeds(wanted, sized(config, {**enough, **dict.fromkeys(kinds[heap.option], less)})), (
                heap.option
            )


@pytest.mark.toolchain
def test_what_compilers_make_is_billed(combination: Combination, tmp_path: Path) -> None:  # noqa: F811
    """Each architecture and width: a load into the smallest heap succeeds, and one KiB less is too small."""
    data = combination.merge(tmp_path, combination.compile(tmp_path, SOURCE)).read_bytes()
    config = Config(heap_size=64 * KIB, protection="mpu-pow2")
    wanted = job(data, config)
    bill, error = memory_bill(wanted)
    assert error is None
    check_sums(bill)
    kib = bill.heaps[0].smallest
    assert kib > 1
    assert succeeds(wanted, config._replace(heap_size=kib * KIB))
    assert not succeeds(wanted, config._replace(heap_size=(kib - 1) * KIB))


def test_a_heap_that_is_too_small_gives_the_bill_of_the_smallest() -> None:
    wanted = job(files()[TYPICAL[0]], Config(heap_size=KIB))
    bill, error = memory_bill(wanted)
    assert error
    assert (error.errno, error.diagnostics[0].code) == ("ENOMEM", "load-memory")
    assert [heap.size for heap in bill.heaps] == [bill.heaps[0].smallest * KIB]
    check_sums(bill)


# ---- worked out by hand

GAPS = """\
        .syntax unified
        .section .text, "ax", %progbits
        .global entry
        .type   entry, %function
entry:  .space  36
        .section .rodata.a, "a", %progbits
        .space  5
        .section .rodata.b, "a", %progbits
        .balign 8
        .space  16
        .section .exported_sym, "a", %progbits
        .balign 4
        .word   0, 0
"""
"""At 0x34 in the file: .text (36 bytes), .rodata.a (5) at 0x58, .rodata.b (16, aligned to 8) at 0x60."""


def assembled(folder: Path, source: str) -> bytes:
    (folder / "e.s").write_text(source)
    command = [need("arm-none-eabi-as"), "-mcpu=cortex-m4", "-mthumb", "e.s", "-o", "e.llext"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "e.llext").read_bytes()


@pytest.mark.toolchain
def test_contents_padding_gaps_and_rounding_by_hand(tmp_path: Path) -> None:
    """RODATA is what lies between 0x58 and 0x70: 5 and 16 bytes, 3 between them; nothing in front, 0x58 being aligned
    to 8. TEXT is not aligned to more than 2. An MPU of powers of two makes 64 of 36, and 32 of 24 and of 8."""
    data = assembled(tmp_path, GAPS)
    bill, _ = memory_bill(job(data, Config(protection="mpu-pow2", log_level_dbg=False)))
    rows = {row.what: row for row in bill.heaps[0].rows}
    assert rows["TEXT"][1:5] == (36, 0, 0, 28)
    assert rows["RODATA"][1:5] == (21, 0, 3, 8)
    assert rows["EXPORT"][1:5] == (8, 0, 0, 24)
    assert rows["struct llext"].contents == 208
    assert (bill.protected, bill.mpu_regions) == (("TEXT", "RODATA"), 2)
    assert [row.what for row in bill.heaps[0].rows if not row.kept] == ["section map", "sym_tab"]


@pytest.mark.toolchain
def test_prepad_by_hand(tmp_path: Path) -> None:
    """.rodata.a is at 0x58 = 88; the 16 of .rodata.b aligned to 32 are at 96: the region starts at 64, 24 before."""
    bill, _ = memory_bill(job(assembled(tmp_path, GAPS.replace(".balign 8", ".balign 32"))))
    row = next(row for row in bill.heaps[0].rows if row.what == "RODATA")
    assert row[1:5] == (21, 24, 3, 0)


@pytest.mark.toolchain
def test_a_loader_without_peek_copies_the_headers(tmp_path: Path) -> None:
    """A section header has 40 bytes, an entry of the map 8. The headers stay until the extension is unloaded."""
    data = assembled(tmp_path, GAPS)
    count = int.from_bytes(data[48:50], "little")
    rows = {row.what: row for row in memory_bill(job(data, peek=False))[0].heaps[0].rows}
    assert (rows["section headers"].contents, rows["section headers"].kept) == (40 * count, True)
    assert (rows["section map"].contents, rows["section map"].kept) == (8 * count, False)


# ---- the command


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.llext").write_bytes(files()[TYPICAL[0]])
    return "e.llext"


def facts(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, printed = llext("inspect", *arguments, "--memory", "--json")
    found: dict[str, Any] = json.loads(printed)
    return code, found


def test_json_adds_up_and_is_what_the_table_says(extension: str) -> None:
    code, found = facts(extension, "--protection", "mpu-pow2")
    assert (code, found["fits"], found["diagnostics"]) == (0, True, [])
    heap = found["heaps"][0]
    assert (heap["option"], heap["size"]) == ("CONFIG_LLEXT_HEAP_SIZE", 8192)
    assert sum(row["total"] for row in heap["allocations"] if row["kept"]) == heap["taken"]
    assert heap["own_tables"] + heap["taken"] + heap["left"] == heap["size"]
    assert found["storages"]["temporary"]["taken"] == heap["taken"]
    _, printed = llext("inspect", extension, "--memory", "--protection", "mpu-pow2")
    lines = [line.replace(",", "").split() for line in printed.splitlines()]
    for row in heap["allocations"]:
        figures = [str(row[key]) if row[key] else "-" for key in ("contents", "prepad", "gaps", "rounding", "own")]
        assert [*row["what"].split(), *figures, str(row["total"])] in lines
    assert max(map(len, printed.splitlines())) <= 80


def test_it_does_not_fit(extension: str) -> None:
    code, printed = llext("inspect", extension, "--memory", "--heap", "0x20010000+2K")
    assert code == 4
    assert "It does not fit" in printed
    assert "error[load-memory]" in printed
    assert "llext_load() fails here with -ENOMEM" in printed
    code, found = facts(extension, "--heap", "0x20010000+2K")
    assert (code, found["fits"], found["heaps"][0]["start"]) == (4, False, 0x2001_0000)
    assert [each["code"] for each in found["diagnostics"]] == ["load-memory"]


def test_kconfig_chooses_the_heaps(extension: str) -> None:
    options = [
        "CONFIG_LLEXT_HEAP_MEMBLK=y",
        "CONFIG_LLEXT_HEAP_MEMBLK_BLOCK_SIZE=64",
        "CONFIG_LLEXT_METADATA_HEAP_SIZE=2",
    ]
    _, found = facts(extension, *(word for each in options for word in ("--config", each)))
    heaps = {heap["option"]: heap for heap in found["heaps"]}
    assert heaps["CONFIG_LLEXT_METADATA_HEAP_SIZE"]["size"] == 2048
    assert heaps["CONFIG_LLEXT_EXT_HEAP_SIZE"]["size"] == 16384
    assert all(row["total"] % 64 == 0 for row in heaps["CONFIG_LLEXT_EXT_HEAP_SIZE"]["allocations"])
    _, found = facts(extension, "--config", "CONFIG_LLEXT_LOG_LEVEL_DBG=y")
    assert {row["what"]: row["kept"] for row in found["heaps"][0]["allocations"]}["sym_tab"]


def test_a_pmp_rounds_by_its_granularity(extension: str) -> None:
    """712 bytes of text: Zephyr's granularity is 4, and 64 if the option says so."""
    for options, rounding in [((), 0), (("--config", "CONFIG_PMP_GRANULARITY=64"), 56)]:
        _, found = facts(extension, "--protection", "pmp", *options)
        rows = {row["what"]: row for row in found["heaps"][0]["allocations"]}
        assert (rows["TEXT"]["contents"], rows["TEXT"]["rounding"]) == (712, rounding)


def test_a_dynamic_heap_has_no_option(extension: str) -> None:
    code, printed = llext("inspect", extension, "--memory", "--heap-kind", "dynamic", "--heap", "0x20000000+16K")
    assert code == 0
    assert "llext_heap_init(): 16,384 bytes of k_heap at 0x20000000" in printed
    assert "smallest: 4,096 bytes for llext_heap_init()" in printed


@pytest.mark.parametrize(
    "option", ["--heap=8K", "--protection=none", "--config=HARVARD=y", "--no-peek", "--profile=abi"]
)
def test_options_of_a_firmware_are_for_memory(extension: str, option: str) -> None:
    code, printed = llext("inspect", extension, option)
    assert code == 2
    assert "add `--memory`" in printed


@pytest.mark.parametrize("heap", ["8Q", "0x2000+", "+8K", "x+8K", "1024M"])
def test_a_heap_that_is_none(extension: str, heap: str) -> None:
    assert llext("inspect", extension, "--memory", "--heap", heap)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--config", "CONFIG_BT=y"], "known are LLEXT_"),
        (["--config", "CONFIG_LLEXT_HEAP_SIZE=8K"], "it counts KiB: `CONFIG_LLEXT_HEAP_SIZE=8`"),
        (["--heap", "0x20004000-1K"], "`0x20004000+1K`"),
        (["--heap", "0x20000010+8K", "--heap-kind", "memblk", "--config", "LLEXT_HEAP_MEMBLK_BLOCK_SIZE=4096"],
         "start and size have to be multiples of 4,096"),
    ],
)  # fmt: skip
def test_a_size_that_is_none_brings_how_to_write_it(extension: str, arguments: list[str], hint: str) -> None:
    code, text = llext("inspect", extension, "--memory", *arguments)
    assert code == 2
    assert hint in " ".join(text.split())

"""What an extension reaches from wherever in the heap it may be loaded: ``reloc-out-of-range`` and ``reloc-deviates``.

Oracle: ``Runtime``, whose loads were compared with those of Zephyr's own code (tests/conformance), at the places that a
verdict speaks of; GNU as and ld for what is in the objects.
"""

from __future__ import annotations

import random
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llext_tools import arch as archs
from llext_tools.check import Board, check
from llext_tools.diag import Diagnostic, Reporter
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import ExportTable
from llext_tools.link.validate import find_arch
from llext_tools.llext import BufLoader, Config, LoadParam, Runtime
from llext_tools.llext.config import Veneers
from llext_tools.mem import Mem
from needs import need

pytestmark = pytest.mark.toolchain

AS = {
    "arm": ("arm-none-eabi-as", "-mcpu=cortex-m4", "-mthumb"),
    "riscv32": ("riscv64-unknown-elf-as", "-march=rv32imac", "-mabi=ilp32", "-mno-relax"),
    "riscv64": ("riscv64-unknown-elf-as", "-march=rv64imac", "-mabi=lp64", "-mno-relax"),
}
KIB, MIB = 1 << 10, 1 << 20
START = ".global start\n.type start, %function\nstart: "
HEAP = 0x2000_0000


@cache
def assembled(arch: str, text: str) -> bytes:
    tool, *flags = AS[arch]
    with TemporaryDirectory() as folder:
        source, output = Path(folder, "ext.s"), Path(folder, "ext.o")
        source.write_text((".syntax unified\n" if arch == "arm" else "") + START + text.replace(";", "\n") + "\n")
        subprocess.run([need(tool), *flags, str(source), "-o", str(output)], check=True)
        return output.read_bytes()


def findings(obj: ElfObject, exports: dict[str, int], config: Config) -> tuple[Diagnostic, ...]:
    reporter = Reporter()
    try:
        check(obj, firmware=Firmware(exports=ExportTable.of(exports)), board=Board(config), reporter=reporter)
    except LlextError:
        pass
    return tuple(d for d in reporter.diagnostics if d.code != "no-exports")


def codes(data: bytes, exports: dict[str, int], config: Config) -> list[str]:
    return [d.code for d in findings(read_object(data, "e"), exports, config)]


def loads_at(data: bytes, exports: dict[str, int], config: Config, text: int) -> bool:
    """Whether the loader takes the object with its code at an address."""
    return loads(data, exports, config, {Mem.TEXT: text})


def loads(data: bytes, exports: dict[str, int], config: Config, place: dict[Mem, int]) -> bool:
    """Whether the loader takes the object with regions at these addresses: it refuses nothing and warns of nothing."""
    obj = read_object(data, "e")
    rt = Runtime(find_arch(obj, Reporter()), obj.bits, exports=ExportTable.of(exports), config=config)
    try:
        _, ext = rt.load(BufLoader(data), "e", LoadParam(place=place))
    except LlextError as error:
        assert {d.code for d in error.diagnostics} <= {"reloc-out-of-range", "reloc-deviates"}
        return False
    return not ext.diagnostics


def ends(data: bytes, config: Config) -> tuple[int, int]:
    """The lowest and the highest address that a k_heap gives for the code, by filling it up with other allocations."""
    obj = read_object(data, "e")
    text = obj.sections.index(".text")
    size, align = int(obj.sections.size[text]), int(obj.sections.addralign[text])
    found = set()
    for first in (True, False):
        heap = Runtime(find_arch(obj, Reporter()), obj.bits, config=config).heaps.instr
        taken = []
        while True:
            address = heap.alloc(align, size)
            if address is None:
                break
            taken.append(address)
        found.add(min(taken) if first else max(taken))
    return min(found), max(found)


@pytest.mark.parametrize("beyond", [0, 2])
@pytest.mark.parametrize("up", [True, False])
def test_thumb_branch_at_the_limit_from_the_worst_place(up: bool, beyond: int) -> None:
    """The limits of a Thumb branch are 16 MiB, both excluded (reference, 3.1); A is -4."""
    data, config = assembled("arm", "bl far"), Config(heap_start=HEAP, heap_size=8 * KIB)
    low, high = ends(data, config)
    odd = 1 << 24
    target = low + 4 + odd - 1 + beyond if up else high + 4 - odd + 1 - beyond
    exports = {"far": target}
    assert target & 1
    worst, best = (low, high) if up else (high, low)
    assert loads_at(data, exports, config, worst) is not bool(beyond)
    assert loads_at(data, exports, config, best)
    assert codes(data, exports, config) == (["reloc-out-of-range"] if beyond else [])


@pytest.mark.parametrize("seed", range(60))
def test_verdict_is_that_of_the_loader_at_random(seed: int) -> None:
    """The rule finds something exactly if a load at one end of the heap, or at some place between, fails."""
    r = random.Random(seed)
    arch, text, limit = r.choice(
        [
            ("arm", "bl far", 1 << 24),
            ("arm", "b.w far", 1 << 24),
            ("riscv32", "jal far", 1 << 20),
            ("riscv32", "call far", 1 << 40),
            ("riscv64", "jal far", 1 << 20),
            ("riscv64", "call far", 1 << 31),
            ("riscv64", "lui a0, %hi(far); addi a0, a0, %lo(far)", 1 << 31),
        ]
    )
    heap = r.choice([0x2000_0000, 0x8000_0000, 0x1_0000])
    config = Config(heap_start=heap, heap_size=r.choice([4, 64, 1024]) * KIB, heap=r.choice(["k_heap", "memblk"]))
    data = assembled(arch, text)
    low, high = ends(data, config)
    edge = r.choice([low, high, r.randrange(low, high) & -2])
    target = edge + r.choice([-1, 1]) * limit + 2 * r.randrange(-8, 8) + r.choice([0, 0, r.randrange(-MIB, MIB) & -2])
    target = target % (1 << (64 if arch == "riscv64" else 32)) | (arch == "arm")
    places = {low, high, *(r.randrange(low, high + 1) & -4 for _ in range(4))} - {0}
    fails = {place for place in places if not loads_at(data, {"far": target}, config, place)}
    found = findings(read_object(data, "e"), {"far": target}, config)
    errors = [d for d in found if d.severity == "error"]
    assert bool(errors) == bool(fails), (hex(target), [hex(x) for x in sorted(fails)], found)
    hopeless = [d for d in errors if "everywhere" not in d.message and "wherever" not in d.message]
    if fails and {d.code for d in errors} == {"reloc-out-of-range"}:
        assert bool(hopeless) == (fails >= {low, high}), found


COUNTER = "lla a0, counter; .data; counter: .word 1"


@pytest.mark.parametrize("beyond", [0, 4])
@pytest.mark.parametrize("up", [True, False])
def test_data_in_a_heap_of_its_own_is_reached_from_the_worst_place(up: bool, beyond: int) -> None:
    """AUIPC reaches +-2 GiB (reference, 3.2), less the 2,048 bytes that the psABI's rounding costs at the upper end."""
    data = assembled("riscv64", COUNTER)
    size, instr = 4 * KIB, 0x1_0000_0000
    limit = (1 << 31) - 0x800
    config = Config(harvard=True, instr_heap_start=instr, instr_heap_size=size, heap_size=size)
    text = ends(data, config)
    first, last = instr - (1 << 31) - 0x1000, instr + limit + 0x1000  # somewhere near, to be moved
    config = config._replace(heap_start=last if up else first)
    low, high = ends_of_data(config)
    distance = high - text[0] if up else low - text[1]
    wanted = limit - 8 + beyond if up else -(1 << 31) - beyond
    config = config._replace(heap_start=config.heap_start + (wanted - distance & -8))
    low, high = ends_of_data(config)
    distance = high - text[0] if up else low - text[1]
    fits = -(1 << 31) <= distance < limit
    place = {Mem.TEXT: text[0], Mem.DATA: high} if up else {Mem.TEXT: text[1], Mem.DATA: low}
    assert loads(data, {}, config, place) is fits
    assert bool(codes(data, {}, config)) is not fits


def ends_of_data(config: Config) -> tuple[int, int]:
    """The ends of the heap for data, for a word."""
    heap = Runtime(archs.load("riscv"), 64, config=config).heaps.data
    taken = []
    while (address := heap.alloc(4, 4)) is not None:
        taken.append(address)
    return min(taken), max(taken)


@pytest.mark.parametrize("far", [4094, 4096])
def test_what_is_in_one_region_needs_no_heap(far: int) -> None:
    """A conditional branch of RISC-V reaches 4,094 bytes ahead; both ends move together. Oracle: a load, anywhere."""
    beqz = ".reloc ., R_RISCV_BRANCH, behind; .word 0x00050063"  # the assembler would make two instructions of it
    data = assembled("riscv32", f"{beqz}; .space {far - 4}; .globl behind; behind: ret")
    reporter = Reporter()
    try:
        check(read_object(data, "e"), reporter=reporter)
    except LlextError:
        pass
    found = [d.code for d in reporter.diagnostics if d.code != "no-exports"]
    assert found == ([] if far == 4094 else ["reloc-out-of-range"])
    assert loads_at(data, {}, Config(heap_size=64 * KIB), 0x3100_0000) is (far == 4094)


def test_without_the_address_of_the_heap_nothing_is_said_of_reach() -> None:
    data, exports = assembled("arm", "bl far"), ExportTable.of({"far": 0x0800_0001})
    for board in (Board(), Board(Config(), located=False), Board(Config(), sized=False, located=False)):
        reporter = Reporter()
        subject = check(read_object(data, "e"), firmware=Firmware(exports=exports), board=board, reporter=reporter)
        assert {d.code for d in reporter.diagnostics} <= {"no-exports"}
        assert (subject.footprint is not None) is (board.config is not None and board.sized)


@pytest.mark.parametrize("variant", ["v7m", "v6m"])
def test_veneers_serve_what_is_too_far_and_are_counted_for_all_imports(variant: Veneers) -> None:
    """Oracle: the stubs that a load really makes; 8 and 16 bytes for each (reference, 2.11)."""
    data = assembled("arm", "bl far; bl near; bl far; bl other; b.w far; bl start")
    exports = {"far": 0x0800_0001, "near": HEAP + 0x10_0001, "other": 0x0900_0001}
    config = Config(heap_start=HEAP, heap_size=8 * KIB, veneers=variant)
    firmware = Firmware(exports=ExportTable.of(exports))
    subject = check(read_object(data, "e"), firmware=firmware, board=Board(config))
    assert subject.footprint
    rt = Runtime(archs.load("arm"), exports=firmware.exports, config=config)
    _, ext = rt.load(BufLoader(data), "e")
    table = rt.space.view(ext.mem[Mem.VENEER], ext.mem_size[Mem.VENEER])
    made = {address for address in exports.values() if address.to_bytes(4, "little") in table.tobytes()}
    assert subject.footprint.veneers == (5, 5 * {"": 0, "v7m": 8, "v6m": 16}[variant], len(made))
    assert len(made) == 2
    assert codes(data, exports, config._replace(veneers="")) == ["reloc-out-of-range"] * 3


def test_many_symbols_out_of_reach_are_counted() -> None:
    names = [f"f{i}" for i in range(24)]
    data = assembled("arm", ";".join(f"bl {name}; bl {name}" for name in names))
    found = findings(read_object(data, "e"), dict.fromkeys(names, 1), Config(heap_start=HEAP, heap_size=8 * KIB))
    assert len(found) == 20
    assert all(any("also at .text" in note for note in d.notes) for d in found)
    assert "4 more symbols out of reach" in found[-1].notes


@pytest.mark.parametrize("seed", range(24))
def test_verdict_with_veneers_is_that_of_the_loader_at_random(seed: int) -> None:
    """Code and stubs at all ends of the heap, which may be larger than a branch reaches. Not all calls are imports."""
    r = random.Random(seed)
    names = ["a", "b", "c"][: r.randrange(1, 4)]
    rom = r.random() < 0.3
    calls = [f"{r.choice(['bl', 'b.w'])} {name}" for name in names * 2] + ["bl rom"] * rom
    data = assembled("arm", ";".join(calls) + (f"; .equ rom, {HEAP - r.choice([8, 24]) * MIB:#x}" if rom else ""))
    config = Config(
        heap_start=HEAP, heap_size=r.choice([64 * KIB, 12 * MIB, 20 * MIB]), veneers=r.choice(["v7m", "v6m"])
    )
    exports = {name: HEAP + r.choice([-20, -2, 8, 30, 200]) * MIB + 1 for name in names}
    obj = read_object(data, "e")
    heap = Runtime(archs.load("arm"), config=config).heaps.instr
    text = heap.extremes(int(obj.sections.addralign[1]), int(obj.sections.size[1]))
    stubs = heap.extremes(4, 2 * len(names) * (8 if config.veneers == "v7m" else 16))
    assert text
    assert stubs
    places = [{Mem.TEXT: at, Mem.VENEER: stub} for at in text for stub in stubs if abs(at - stub) > 1000]
    fails = [not loads(data, exports, config, place) for place in places]
    assert bool(codes(data, exports, config)) == any(fails), (exports, fails)

"""Extensions at several places: what depends on the place is found, and nothing else.

Expected: what the C source does, or what is edited into the object. Oracle for the places: the addresses themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from elfedit import Elf
from emulator.compiled import CHAINS, TARGETS
from emulator.conftest import Build
from llext_tools import arch, profile
from llext_tools.cli import main
from llext_tools.diag import Diagnostic
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import read_object
from llext_tools.mem import Mem
from llext_tools.run import Setup, load, run
from llext_tools.run.proof import FAR_AT, REACH, others, prove, relink

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

RIGHT = r"""
static const char *const names[3] = {"ash", "birch", "cedar"};
static int data[4] = {4, 3, 2, 1}, zero[300];
static int (*const table[2])(int);
static _Alignas(64) char aligned[64];
static int twice(int x) { return x + x; }
static int thrice(int x) { return 3 * x; }
static int (*const table[2])(int) = {twice, thrice};
static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
const char *name(int i) { return names[i]; } EXPORT_SYMBOL(name);
void *end(void) { return zero + 300; } EXPORT_SYMBOL(end);
void *code(int i) { return (void *)(uintptr_t)table[i]; } EXPORT_SYMBOL(code);
int calls(int x) { return table[x & 1](x); } EXPORT_SYMBOL(calls);
int rest(void) { return (uintptr_t)aligned % 64; } EXPORT_SYMBOL(rest);
struct pair { const char *name; int *at, number; };
struct pair both(int i) { return (struct pair){names[i], data + i, i}; } EXPORT_SYMBOL(both);
int show(void) {
    int local = 1, *block = malloc(16);
    int n = printf("%p %8x|%lu %s\n", (void *)data, (unsigned)(uintptr_t)zero, (unsigned long)(uintptr_t)names, *names);
    printk("%p %p %d %x\n", (void *)&local, (void *)block, n, 0x20010000);
    qsort(data, 4, sizeof(int), order);
    memcpy(zero, data, 16);
    for (int i = 0; i < 4; i++) printk("%d", zero[i]);
    free(block);
    return n;
}
EXPORT_SYMBOL(show);
"""
GOOD = ("name(2)", "end()", "code(0)", "code(1)", "calls(5)", "rest()", "both(1)", "show()")

WRONG = r"""
static int one = 1, two[100];
static const int fixed[4] = {1, 2, 3, 4};
int cached(void) { return *(volatile int *)0x20012000; } EXPORT_SYMBOL(cached);
int page(void) { return (uintptr_t)&one / 4096 % 2; } EXPORT_SYMBOL(page);
int bigger(void) { return (uintptr_t)fixed > (uintptr_t)two; } EXPORT_SYMBOL(bigger);
int apart(void) { return (uintptr_t)&one - (uintptr_t)&apart; } EXPORT_SYMBOL(apart);
void says(void) { printk("first\nat %u\n", (unsigned)((uintptr_t)&one >> 12)); } EXPORT_SYMBOL(says);
int asks(void) { return memcmp(&one, &one, (uintptr_t)&one >> 12 & 3); } EXPORT_SYMBOL(asks);
struct pair { int *at; int page; };
struct pair both(void) { return (struct pair){&one, (uintptr_t)&one >> 12}; } EXPORT_SYMBOL(both);
int touched(void) { return one + two[3] + fixed[1]; } EXPORT_SYMBOL(touched);
"""
BAD = {
    "page()": r"`page\(\)` does not return the same at every place",
    "bigger()": r"`bigger\(\)` does not return the same at every place",
    "apart()": r"`apart\(\)` does not return the same at every place",
    "both()": r"`both\(\)` does not return the same at every place",
    "says()": "line 2 of the output is not the same at every place",
    "asks()": "call 1 of the host is not the same at every place",
    "cached()": "`cached` reads 4 bytes at 0x20012000, where there is no memory",
}


def proof(objects: ElfObject | Sequence[ElfObject], target: str, *calls: str, placements: int = 3) -> Diagnostic | None:
    cpu = arch.target(target)
    objects = [objects] if isinstance(objects, ElfObject) else objects
    images, setup = load(objects, cpu), Setup(cpu)
    first = run(images, calls, setup)
    assert first.fault is None
    return prove(images, calls, setup, first, placements=placements, profile=profile.DEFAULT)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_what_moves_with_the_extension_is_the_same(target: str, chain: str, build: Build) -> None:
    assert proof(build(RIGHT, target, chain), target, *GOOD, placements=8) is None


@pytest.mark.parametrize("call", BAD)
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4f", "rv32imac", "rv64gc"])
def test_what_depends_on_the_place_is_found(target: str, call: str, build: Build) -> None:
    found = proof(build(WRONG, target, "gcc", "-O1"), target, call, placements=8)
    assert found is not None
    assert found.code == "run-placement"
    assert re.fullmatch(BAD[call], found.message), found.message


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_the_places(target: str, build: Build) -> None:
    """Far from all of the host; then each region in an odd page and no more aligned than it asks for."""
    cpu = arch.target(target)
    setup = Setup(cpu)
    images = load([build(RIGHT, target)], cpu)
    moved = [relink(images, domains, setup, profile.DEFAULT) for domains in others(images, setup, 4)]
    assert len({tuple(sorted(image.layout.base.items())) for (image,) in (images, *moved)}) == 5
    host = [export.address for export in setup.table.symbols]
    far = moved[0][0].layout.base.values()
    assert min(abs(base - address) for base in far for address in host) > REACH
    assert min(far) >= FAR_AT
    for (image,) in moved[1:]:
        for mem, base in image.layout.base.items():
            align = image.regions.regions[mem].align
            assert base // 4096 % 2 == 1
            assert base // align % 2 == 1
    orders = {tuple(sorted(image.layout.base, key=image.layout.base.__getitem__)) for (image,) in (images, *moved)}
    assert len(orders) > 2


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m7", "rv32imac", "rv64gc"])
def test_an_address_without_its_relocation(target: str, build: Build) -> None:
    """The word has the address that is right at the first place, and its relocation is of the type 0: none."""
    source = "int f(void) { return 7; } int (*volatile at)(void) = f; int g(void) { return at(); } EXPORT_SYMBOL(g);"
    obj = build(source, target, "gcc", "-O0")
    assert proof(obj, target, "g()") is None

    (image,) = load([obj], arch.target(target))
    elf = Elf(obj.image.tobytes())
    section = elf.index(".data")
    (table,) = (t for t in elf.reloc_tables if elf.get(elf.shdr(t, "info")) == section)
    offset = elf.get(elf.rel(table, 0, "offset"))
    filled = image.mem[Mem.DATA][offset : offset + obj.bits // 8].tobytes()
    elf.put((elf.get(elf.shdr(section, "offset")) + offset, obj.bits // 8), int.from_bytes(filled, "little"))
    elf.put(elf.rel(table, 0, "info"), elf.get(elf.rel(table, 0, "info")) & ~0xFF)

    found = proof(read_object(bytes(elf), "edited.llext"), target, "g()")
    assert found is not None
    assert found.code == "run-placement"
    address = int.from_bytes(filled, "little") & ~1
    assert re.search(rf"jumps to 0x{address:08x}, where there is no memory", found.message), found.message
    assert any("with TEXT at 0x20010000 the same runs without a fault" in note for note in found.notes)


def test_several_extensions(build: Build) -> None:
    """The second one keeps a pointer of the first one in its data, and calls it."""
    first = build("static int n; int *counter(int by) { n += by; return &n; } EXPORT_SYMBOL(counter);", "cortex-m33")
    source = """int *counter(int); int *(*const used)(int) = counter;
    int *count(void) { return counter(3); } EXPORT_SYMBOL(count);
    int value(void) { return *used(4); } EXPORT_SYMBOL(value);"""
    assert proof([first, build(source, "cortex-m33")], "cortex-m33", "count()", "value()") is None


def test_a_branch_that_does_not_reach_is_named_for_what_it_is(build: Build) -> None:
    source = 'int f(void) { printk("x"); return 1; } EXPORT_SYMBOL(f);'
    found = proof(build(source, "cortex-m4", "gcc", "-mno-long-calls"), "cortex-m4", "f()")
    assert found is not None
    assert found.code == "reloc-out-of-range"
    assert found.notes[-1] == f"the extension links with TEXT at 0x20010000, but not with TEXT at {FAR_AT:#010x}"


BOARD = """
count = 0
def ticks():
    global count
    count += 1
    return count
class Device:
    def __init__(self):
        self.reads = 0
    def read(self, offset, size):
        self.reads += 1
        return self.reads
    def write(self, offset, size, value):
        pass
device = Device()
"""


def test_python_begins_anew_at_each_place(build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Functions and devices of the user that count their calls say the same in each run."""
    source = """
    unsigned f(void) { return k_cycle_get_32() * 100u + 20u + *(volatile unsigned *)0x40000000; }
    EXPORT_SYMBOL(f);
    """
    board = tmp_path / "board.py"
    board.write_text(BOARD)
    options = ["--override", f"k_cycle_get_32={board}:ticks", "--mmio", f"0x40000000+4K=python:{board}:device"]
    code = main(["run", build(source, "cortex-m4").path, "--call", "f()", *options, "--placements", "5"])
    assert (code, capsys.readouterr().out) == (0, "f() = 121\n")

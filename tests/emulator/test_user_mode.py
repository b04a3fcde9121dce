"""Memory domains and calls in user mode: what a thread may touch, to the byte, and how a fault names what was missing.

Oracle: Zephyr's ``kernel/mem_domain.c`` for errors and their order; the permissions of ``llext_init_mem_part()``; which
bytes a partition has is arithmetic. Emulated Arm and RISC-V cores, with each kind of memory protection.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from emulator.conftest import Build
from emulator.failures import code, failure
from llext_tools import arch
from llext_tools.errors import FaultError
from llext_tools.host import builtin
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Llext, Log, MemDomain, Runtime, Storage
from llext_tools.mem import Mem, Partition, Perm

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

R, W, X = Perm.R, Perm.W, Perm.X
KINDS = {
    "cortex-m0plus": Config(protection="mpu-pow2"),
    "cortex-m4f": Config(protection="mpu-pow2"),
    "cortex-m33": Config(protection="mpu-32"),
    "cortex-m7": Config(protection="page"),
    "rv32imac": Config(protection="pmp", granularity=4),
    "rv64gc": Config(protection="pmp", granularity=4),
    "rv32imafc": Config(protection="page"),
}
SOURCE = r"""
#include <stdint.h>
int counter;
unsigned char table[64] = {1, 2, 3, 4}; EXPORT_SYMBOL(table);
const int fixed[4] = {1, 2, 3, 4}; EXPORT_SYMBOL(fixed);
__attribute__((constructor)) static void start(void) { counter = 100; }
__attribute__((destructor)) static void stop(void) { printk("stop %d\n", counter); }

int add(int a, int b) { return a + b + ++counter; } EXPORT_SYMBOL(add);
void hello(void) { printk("hello %d\n", counter); } EXPORT_SYMBOL(hello);
void entry(void *text) { printk("entry %s\n", (char *)text); } EXPORT_SYMBOL(entry);
int load1(const uint8_t *p) { return *(volatile const uint8_t *)p; } EXPORT_SYMBOL(load1);
int load4(const uint32_t *p) { return *(volatile const uint32_t *)p; } EXPORT_SYMBOL(load4);
void store1(uint8_t *p) { *(volatile uint8_t *)p = 0x77; counter = -1; } EXPORT_SYMBOL(store1);
void store4(uint32_t *p) { *(volatile uint32_t *)p = 0x77777777; counter = -1; } EXPORT_SYMBOL(store4);
void jump(void (*f)(void)) { f(); counter = -1; } EXPORT_SYMBOL(jump);
void set(void *p) { memset(p, 0x55, 4); } EXPORT_SYMBOL(set);
int text(const char *p) { return (int)strlen(p); } EXPORT_SYMBOL(text);
int heap(int n) { char *p = malloc(n); p[n - 1] = 1; n += p[n - 1]; free(p); return n; } EXPORT_SYMBOL(heap);

static int order(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }
int sorted(void) { char x[] = "stack"; qsort(x, 5, 1, order); return memcmp(x, "ackst", 5); } EXPORT_SYMBOL(sorted);
static int evil(const void *a, const void *b) { return *(volatile int *)fixed = 1; }
void sort_evil(void) { char x[] = "abc"; qsort(x, 3, 1, evil); counter = -1; } EXPORT_SYMBOL(sort_evil);
"""
VISIT = r"""
extern uintptr_t visit(uintptr_t place);
void both(uintptr_t place) { *(volatile uint32_t *)visit(place) = 1; counter = -1; } EXPORT_SYMBOL(both);
"""


class Board(NamedTuple):
    """A firmware with an extension, and a domain with its partitions."""

    rt: Runtime
    ext: Llext
    domain: MemDomain

    def address(self, name: str) -> int:
        found = self.rt.find_sym(self.ext.exp_tab, name)
        assert found is not None
        return found

    def call(self, name: str, argument: int = 0) -> object:
        """In user mode."""
        return self.rt.call(self.ext, name, f"int {name}(uintptr_t argument)", argument, domain=self.domain)

    def refused(self, name: str, argument: int = 0) -> str:
        """The message of the fault, without its addresses."""
        with pytest.raises(FaultError) as caught:
            self.call(name, argument)
        found = caught.value.diagnostics[0]
        assert found.code == "run-fault"
        return re.sub(r"0x[0-9a-f]+", "0x", found.message)

    def counter(self) -> int:
        y = self.ext.symbols
        assert y is not None
        i = next(i for i in range(len(y.value)) if y.name(i) == b"counter")
        home = self.ext.sections[int(y.shndx[i])]
        return int.from_bytes(self.rt.read(self.ext.mem[home.mem] + home.offset + int(y.value[i]), 4), "little")


Boards = Callable[..., Board]


@pytest.fixture
def board(build: Build) -> Boards:
    def made(target: str, config: Config | None = None, source: str = SOURCE, **options: Any) -> Board:
        rt = Runtime.on(target, config=config or KINDS[target], log=Log(), **options)
        ext = rt.load(BufLoader(Path(build(source, target, "gcc").path).read_bytes()), "blink")[1]
        domain = rt.mem_domain()
        assert rt.add_domain(ext, domain) == 0
        return Board(rt, ext, domain)

    return made


# ---- what is allowed


@pytest.mark.parametrize("target", KINDS)
def test_the_partitions_of_an_extension(target: str, board: Boards) -> None:
    """In the order of the regions, with Zephyr's permissions, and as large as the protection makes them."""
    domain = board(target).domain
    assert [(p.name, p.perm) for p in domain.partitions] == [
        ("TEXT", R | X),
        ("DATA", R | W),
        ("RODATA", R),
        ("BSS", R | W),
    ]
    config = KINDS[target]
    for p in domain.partitions:
        step = {"mpu-pow2": p.size, "mpu-32": 32, "page": 4096, "pmp": 4}[config.protection]
        assert p.start % step == p.size % step == 0
        assert config.protection != "mpu-pow2" or p.size.bit_count() == 1


@pytest.mark.parametrize("target", KINDS)
def test_a_thread_in_user_mode_has_its_domain_and_its_stack(target: str, board: Boards) -> None:
    b = board(target)
    rt, ext, domain = b
    assert rt.bringup(ext, domain=domain) == 0
    assert rt.call(ext, "add", "int add(int a, int b)", 1, 2, domain=domain) == 104
    assert rt.call_fn(ext, "hello", domain=domain) == 0
    assert rt.call(ext, "text", "int text(const char *p)", "an argument", domain=domain) == 11
    assert b.call("sorted") == 0
    assert b.call("load4", b.address("fixed")) == 1
    b.call("store4", b.address("table"))
    b.call("set", b.address("table") + 4)
    assert rt.read(b.address("table"), 9) == b"\x77\x77\x77\x77\x55\x55\x55\x55\0"
    assert rt.teardown(ext, domain=domain) == 0
    rt.bootstrap(ext, "entry", "in user mode", domain=domain)
    assert rt.output == "hello 101\nstop -1\nentry in user mode\nstop 100\n"
    assert not rt.log.lines


def test_memory_of_malloc_is_a_partition_of_its_own(board: Boards) -> None:
    for target in ("cortex-m4f", "rv32imac"):
        b = board(target)
        assert b.refused("heap", 10) == "`heap` writes 1 byte at 0x, in the heap: no partition of the domain covers it"
        b.domain.add_partition(b.rt.malloc_partition)
        assert b.call("heap", 10) == 11


def test_two_extensions_in_one_domain(board: Boards, build: Build) -> None:
    """A call from one into the other needs the partitions of both."""
    b = board("rv64gc", KINDS["rv64gc"]._replace(mpu_regions=16))
    source = "extern int add(int a, int b); int use(int x) { return add(x, x); } EXPORT_SYMBOL(use);"
    user = b.rt.load(BufLoader(Path(build(source, "rv64gc", "gcc").path).read_bytes()), "user")[1]
    own = b.rt.mem_domain()
    b.rt.add_domain(user, own)
    message = str(failure(lambda: b.rt.call(user, "use", "int use(int x)", 2, domain=own)))
    assert re.fullmatch(
        r"`use` jumps to `add` at 0x\w+, in region TEXT of `blink`: no partition of the domain covers it", message
    )
    b.rt.add_domain(b.ext, own)
    assert b.rt.call(user, "use", "int use(int x)", 2, domain=own) == 5
    assert b.rt.call(user, "use", "int use(int x)", 2) == 6


# ---- what is not

FORBIDDEN = {
    "store1 fixed": "`store1` writes 1 byte at 0x, in region RODATA of `blink`: partition RODATA allows only reading",
    "store4 TEXT": "`store4` writes 4 bytes at 0x, in region TEXT of `blink`: "
    "partition TEXT allows only reading and executing",
    "load4 EXPORT": "`load4` reads 4 bytes at 0x, in region EXPORT of `blink`: no partition of the domain covers it",
    "store4 INIT": "`store4` writes 4 bytes at 0x, in region INIT of `blink`: no partition of the domain covers it",
    "load1 free": "`load1` reads 1 byte at 0x, in the loader's heap: no partition of the domain covers it",
    "store4 free": "`store4` writes 4 bytes at 0x, in the loader's heap: no partition of the domain covers it",
    "load4 host": "`load4` reads 4 bytes at 0x, in the host's memory: no partition of the domain covers it",
    "jump table": "`jump` jumps to 0x, in region DATA of `blink`: partition DATA allows only reading and writing",
    "jump free": "`jump` jumps to 0x, in the loader's heap: no partition of the domain covers it",
    "set fixed": "`memset` writes 4 bytes at 0x, in region RODATA of `blink`: partition RODATA allows only reading",
    "text EXPORT": "`strlen` reads",
    "store4 null": "`store4` writes 4 bytes at 0x, where there is no memory",
    "sort_evil": "`evil` writes 4 bytes at 0x, in region RODATA of `blink`: partition RODATA allows only reading",
}


def place_of(b: Board, what: str) -> int:
    heap = b.rt.heaps.data
    match what:
        case "free":
            return heap.start + heap.size - 64
        case "host":
            return b.rt.exports.by_name["printk"].address & ~1
        case "null" | "":
            return 0
        case _ if what in Mem.__members__:
            return b.ext.mem[Mem[what]]
        case _:
            return b.address(what)


@pytest.mark.parametrize("case", FORBIDDEN)
@pytest.mark.parametrize("target", KINDS)
def test_nothing_else_can_be_touched(target: str, case: str, board: Boards) -> None:
    b = board(target)
    name, _, what = case.partition(" ")
    place = place_of(b, what)
    thumb = name == "jump" and target.startswith("cortex")
    before = [b.rt.space.view(p.start, p.size).tobytes() for p in b.domain.partitions]
    there = b.rt.read(place, 8) if what not in ("null", "") else b""
    message = b.refused(name, place | thumb)
    assert message.startswith(FORBIDDEN[case]), message
    assert [b.rt.space.view(p.start, p.size).tobytes() for p in b.domain.partitions] == before
    assert not there or b.rt.read(place, 8) == there
    assert b.rt.call(b.ext, "add", "int add(int a, int b)", 1, 2, domain=b.domain) == 4


def test_a_fault_names_its_place_and_its_value(board: Boards) -> None:
    b = board("cortex-m4f")
    found = failure(lambda: b.call("store4", b.address("fixed") + 4)).diagnostics[0]
    assert found.location is not None
    assert (found.location.file, found.location.section, found.location.function) == ("blink", ".text", "store4")
    assert found.detail[0].startswith("write of 4 bytes, value 0x77777777, by the instruction at 0x2000")
    assert re.fullmatch(r"0x\w+ is `fixed`\+0x4, \.rodata\+0x\w+, region RODATA of `blink`", found.detail[1]), (
        found.detail[1]
    )


@pytest.mark.parametrize("target", ["cortex-m4f", "rv32imac", "rv64gc"])
def test_a_partition_ends_at_its_last_byte(target: str, board: Boards) -> None:
    """A partition of 32 bytes inside of a table, byte by byte, with accesses of 1 and 4 bytes of any alignment."""
    b = board(target)
    text = next(p for p in b.domain.partitions if p.name == "TEXT")
    bss = next(p for p in b.domain.partitions if p.name == "BSS")
    table = b.address("table")
    start = table // 32 * 32 + (32 if table % 32 else 0)
    window = Partition(start, 32, R | W, "window")
    b = b._replace(domain=b.rt.mem_domain(text, bss, window))
    b.rt.write(table, bytes(64))
    allowed = {True: set(), False: set()}  # type: dict[bool, set[tuple[str, int]]]
    for name, size in (("load1", 1), ("store1", 1), ("load4", 4), ("store4", 4)):
        step = 1 if size == 1 or target == "cortex-m4f" else 4  # the RISC-V cores here need aligned words
        for place in range(table, table + 64 - size + 1, step):
            try:
                b.call(name, place)
                allowed[True].add((name, place))
            except FaultError as error:
                assert "no partition of the domain covers it" in str(error)
                allowed[False].add((name, place))
    expected = {
        (name, place)
        for outcome in allowed.values()
        for name, place in outcome
        if start <= place and place + (4 if name.endswith("4") else 1) <= start + 32
    }
    assert allowed[True] == expected
    assert allowed[False]
    inside = range(start - table, start - table + 32)
    assert b.rt.read(table, 64) == bytes(0x77 if i in inside else 0 for i in range(64))


@pytest.mark.parametrize("target", ["cortex-m4f", "rv32imac", "rv64gc"])
def test_user_and_supervisor_take_turns(target: str, board: Boards) -> None:
    """Code that has been run, and so translated, in one mode is bound by the other mode's rules there."""
    b = board(target)
    free = place_of(b, "free")
    rt, ext, domain = b
    for _ in range(3):
        kernel = {"domain": domain, "user": False}
        rt.call(ext, "store4", "void store4(void *p)", free, **kernel)  # type: ignore[arg-type]
        assert rt.read(free, 4) == b"\x77" * 4
        rt.write(free, bytes(4))
        assert "no partition of the domain covers it" in b.refused("store4", free)
        assert rt.read(free, 4) == bytes(4)
        rt.write(free, bytes.fromhex("70470000" if target == "cortex-m4f" else "67800000"))  # return
        thumb = target == "cortex-m4f"
        if not thumb:  # an Arm MPU keeps the kernel from executing there, too
            rt.call(ext, "jump", "void jump(void *f)", free, **kernel)  # type: ignore[arg-type]
        assert "no partition of the domain covers it" in b.refused("jump", free | thumb)


@pytest.mark.parametrize("target", ["cortex-m4f", "rv64gc"])
def test_a_call_of_the_kernel_from_inside(target: str, board: Boards) -> None:
    """The host's function may call as the kernel; behind it the caller is in user mode as before."""

    def visit(guest: Guest, place: int) -> int:
        b.rt.call(b.ext, "store4", "void store4(void *p)", place, domain=b.domain, user=False)
        return place

    function = HostFunction("visit", "uintptr_t visit(uintptr_t place)", visit)
    odd = int(target == "cortex-m4f")
    host = builtin.exports(arch.load(arch.target(target).arch), 0x1F01_0000)
    table = ExportTable.joined([ExportTable.of({"visit": 0x1F00_0000 | odd}), host])
    b = board(target, source=SOURCE + VISIT, exports=table, functions={**builtin.BY_NAME, "visit": function})
    free = place_of(b, "free")
    assert b.refused("both", free).startswith("`both` writes 4 bytes at 0x, in the loader's heap")
    assert b.rt.read(free, 4) == b"\x77" * 4


def test_memory_that_comes_during_a_call_is_out_of_bounds(board: Boards) -> None:
    """A function of the host's loads an extension that stays in its ELF buffer."""

    def visit(guest: Guest, place: int) -> int:
        loader = BufLoader(b.ext.loader.data, Storage.WRITABLE)  # type: ignore[union-attr]
        return b.rt.load(loader, "other")[1].mem[Mem.DATA]

    function = HostFunction("visit", "uintptr_t visit(uintptr_t place)", visit)
    host = builtin.exports(arch.load("riscv"), 0x1F01_0000)
    table = ExportTable.joined([ExportTable.of({"visit": 0x1F00_0000}), host])
    b = board("rv32imac", source=SOURCE + VISIT, exports=table, functions={**builtin.BY_NAME, "visit": function})
    assert b.refused("both").endswith("of `other`: no partition of the domain covers it")


def test_memory_that_is_new_is_out_of_bounds(board: Boards) -> None:
    """Also if the domain is the one of the call before."""
    for target in ("rv32imac", "rv64gc"):
        b = board(target)
        b.call("add")
        data = b.ext.loader.data  # type: ignore[union-attr]
        other = b.rt.load(BufLoader(data, Storage.WRITABLE), "other")[1]
        assert not other.mem_on_heap[Mem.DATA]
        assert b.refused("store4", other.mem[Mem.DATA]).endswith("of `other`: no partition of the domain covers it")


def test_a_domain_without_the_extension(board: Boards) -> None:
    for target in ("cortex-m4f", "rv64gc"):
        b = board(target)
        b = b._replace(domain=b.rt.mem_domain())
        expected = "`add` jumps to `add` at 0x, in region TEXT of `blink`: no partition of the domain covers it"
        assert b.refused("add") == expected


def test_the_stack_has_an_end(board: Boards) -> None:
    source = "__attribute__((noinline)) int deep(int n) { volatile int x[50]; x[0] = n; return deep(n + 1) + x[0]; }"
    b = board("rv32imac", source=source + "EXPORT_SYMBOL(deep); int a = 1, b; const int c = 1;")
    error = failure(lambda: b.call("deep", 0))
    assert (error.diagnostics[0].code, error.diagnostics[0].message) == (
        "run-stack",
        "`deep` overflows the stack of 65,536 bytes",
    )


# ---- error returns


@pytest.mark.parametrize("target", ["cortex-m4f", "rv32imac", "rv64gc"])
def test_without_userspace(target: str, build: Build) -> None:
    with Runtime.on(target) as rt:
        ext = rt.load(BufLoader(Path(build(SOURCE, target, "gcc").path).read_bytes()), "blink")[1]
        domain = rt.mem_domain()
        assert code(lambda: rt.add_domain(ext, domain)) == ("no-userspace", "ENOSYS")
        assert code(lambda: rt.call_fn(ext, "hello", domain=domain)) == ("no-userspace", "ENOSYS")
        assert not domain.partitions


@pytest.mark.parametrize("target", ["cortex-m4f", "rv32imac", "rv64gc"])
def test_a_domain_has_room_for_so_many(target: str, board: Boards) -> None:
    """Of 8 regions the firmware has 2 and the stack 1. What was added before the error stays."""
    b = board(target)
    assert b.domain.limit == 5
    small = b.rt.config._replace(mpu_regions=6)
    rt = Runtime.on(target, config=small)
    ext = rt.load(BufLoader(b.ext.loader.data), "blink")[1]  # type: ignore[union-attr]
    domain = rt.mem_domain()
    assert domain.limit == 3
    assert code(lambda: rt.add_domain(ext, domain)) == ("domain-full", "ENOSPC")
    assert [p.name for p in domain.partitions] == ["TEXT", "DATA", "RODATA"]
    assert code(lambda: rt.mem_domain(*b.domain.partitions)) == ("domain-full", "EINVAL")
    many = b.rt.config._replace(mpu_regions=64)
    assert MemDomain(many).limit == MemDomain(Config(protection="page")).limit == 16


@pytest.mark.parametrize("target", ["cortex-m4f", "cortex-m33", "rv32imac", "rv64gc", "rv32imafc"])
def test_partitions_that_are_refused(target: str, board: Boards) -> None:
    """EINVAL comes before ENOSPC."""
    b = board(target)
    assert code(lambda: b.rt.add_domain(b.ext, b.domain)) == ("domain-partition", "EINVAL")  # overlaps itself
    bits = b.rt.bits
    step = {"mpu-pow2": 32, "mpu-32": 32, "pmp": 4, "page": 4096}[b.rt.config.protection]
    wrong = [
        Partition(0x3000_0000, 0, R | W, "empty"),
        Partition((1 << bits) - step, step, R | W, "round"),
        Partition(0x3000_0000, step + 1, R | W, "odd"),
        Partition(0x3000_0001, step, R | W, "astray"),
        Partition(b.domain.partitions[0].start, 2 * b.domain.partitions[0].size, R | W, "twice"),
    ]
    if b.rt.config.protection == "mpu-pow2":
        wrong += [Partition(0x3000_0000, 96, R, "no power"), Partition(0x3000_0040, 128, R, "not at its size")]
        wrong += [Partition(0x3000_0000, 16, R, "too small")]
    for partition in wrong:
        assert code(b.domain.add_partition, partition) == ("domain-partition", "EINVAL"), partition.name
        assert code(b.domain.remove_partition, partition) == ("domain-partition", "ENOENT")
    assert len(b.domain.partitions) == 4
    assert b.domain.add_partition(Partition(0x3000_0000, step, R, "right")) == 0
    assert b.domain.remove_partition(Partition(0x3000_0000, step, R | W)) == 0
    full = Partition(0x3000_0000, step + 1, R)
    while len(b.domain.partitions) < b.domain.limit:
        b.domain.add_partition(Partition(0x3000_0000 + step * len(b.domain.partitions), step, R))
    assert code(lambda: b.domain.add_partition(full)) == ("domain-partition", "EINVAL")
    assert code(lambda: b.domain.add_partition(full._replace(start=0x4000_0000, size=step))) == (
        "domain-full",
        "ENOSPC",
    )


def test_an_extension_that_is_gone(board: Boards) -> None:
    b = board("cortex-m4f")
    b.rt.unload(b.ext)
    assert code(lambda: b.rt.add_domain(b.ext, b.rt.mem_domain())) == ("no-extension", "EINVAL")

"""What a run may use: each limit ends it with a diagnostic of its own, also where the host works for the extension.

Expected: the limits as they are given. How long something takes is not measured: what would take hours does not come
back without a limit, and what is made beyond one is counted.
"""

from __future__ import annotations

import re

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.diag import CODES
from llext_tools.errors import LimitError
from llext_tools.host import builtin
from llext_tools.host.function import HostFunction
from llext_tools.link.exports import Export, ExportTable
from llext_tools.run import Limits, RunResult, Session, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = r"""
static char wide[200000], text[100 << 10];
static unsigned letters[8000];
static int less(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }
static const char *fields(const char *field) {
    char *at = wide;
    for (int i = 0; i < 3000; i++) for (const char *c = field; *c; c++) *at++ = *c;
    *at = 0;
    return wide;
}
int print_all(const char *, void *) __asm__("vprintf");  /* a va_list is a pointer to the arguments */
int store_all(char *, size_t, const char *, void *) __asm__("vsnprintf");
void *find(const void *, int, size_t) __asm__("memchr");
static int format(int print, const char *field) {
    return print ? print_all(fields(field), letters) : store_all(NULL, 0, fields(field), letters);
}
__attribute__((noinline)) int deep(int n) { volatile char local[100]; local[0] = n; return deep(n + 1) + local[0]; }
EXPORT_SYMBOL(deep);
int skips(int n) { volatile char big[200000]; big[n] = 1; return big[n]; } EXPORT_SYMBOL(skips);
int heap(unsigned size) { return malloc(size) != NULL; } EXPORT_SYMBOL(heap);
int zeroed(size_t count, size_t size) { return calloc(count, size) != NULL; } EXPORT_SYMBOL(zeroed);
int prints(void) { return format(1, "%65000d"); } EXPORT_SYMBOL(prints);
int counts(void) { return format(0, "%65000d"); } EXPORT_SYMBOL(counts);
int floats(void) { return format(0, "%.65000f"); } EXPORT_SYMBOL(floats);
int letter_count(void) {
    for (int i = 0; i < 7999; i++) letters[i] = 'x';
    return snprintf(NULL, 0, "%ls", (const void *)letters);
}
EXPORT_SYMBOL(letter_count);
void fill(size_t size) { memset(text, 1, size); } EXPORT_SYMBOL(fill);
void copy(size_t size) { memcpy(text, wide, size); } EXPORT_SYMBOL(copy);
void pad(size_t size) { strncpy(text, "x", size); } EXPORT_SYMBOL(pad);
int search(size_t size) { return find(text, 1, size) != NULL; } EXPORT_SYMBOL(search);
int compares(size_t size) { return memcmp(text, wide, size); } EXPORT_SYMBOL(compares);
void sorts(size_t count, size_t size) { qsort(text, count, size, less); } EXPORT_SYMBOL(sorts);
int finds(size_t count, size_t size) { return bsearch("x", text, count, size, less) != NULL; } EXPORT_SYMBOL(finds);
int length(void) { memset(text, 'x', sizeof(text) - 1); return (int)strlen(text); } EXPORT_SYMBOL(length);
int blocks(void) { int n = 0; while (malloc(1)) n++; return n; } EXPORT_SYMBOL(blocks);
"""
WIDE = ("cortex-m4f", "rv64gc")


def one(build: Build, target: str, call: str, **limits: float) -> RunResult:
    cpu = arch.target(target)
    return run(load([build(SOURCE, target)], cpu), call, Setup(cpu, limits=Limits(**limits)))  # type: ignore[arg-type]


def ends(result: RunResult, code: str, message: str) -> None:
    assert result.fault is not None
    assert result.fault.code == code
    assert re.match(message, result.fault.message), result.fault.message
    assert CODES[code].error is LimitError


@pytest.mark.parametrize("target", WIDE)
def test_the_stack(target: str, build: Build) -> None:
    for size in (1024, 5008, 1 << 20):
        ends(one(build, target, "deep(1)", stack=size), "run-stack", f"`deep` overflows the stack of {size:,} bytes")
    ends(one(build, target, "skips(0)"), "run-stack", "`skips` overflows the stack of 65,536 bytes")
    assert one(build, target, "skips(0)", stack=1 << 18).value == 1


@pytest.mark.parametrize("target", WIDE)
def test_the_heap(target: str, build: Build) -> None:
    assert one(build, target, "heap(5000)", heap=4096).value == 0
    assert one(build, target, "heap(5000)", heap=8192).value == 1
    assert one(build, target, "zeroed(65536, 65536)").value == 0
    assert one(build, target, "zeroed(4294967295, 4294967295)").value == 0


@pytest.mark.parametrize("target", WIDE)
def test_memory(target: str, build: Build) -> None:
    need = 1 << 19
    with Session(load([build(SOURCE, target)], arch.target(target)), Setup(arch.target(target))) as session:
        mapped = sum(area.end - area.start for area in session.guest.memory.areas if area.name != "host")
    assert mapped < need
    assert one(build, target, "heap(5000)", memory=need, heap=1 << 14).value == 1
    result = one(build, target, "heap(5000)", memory=need, heap=need)
    ends(result, "run-memory", "the heap needs 524,288 bytes, more memory than the limit leaves")
    assert result.fault is not None
    assert result.fault.location is not None
    assert result.fault.location.function == "heap"
    ends(one(build, target, "heap(1)", memory=1 << 16), "run-memory", "ext.debug.elf needs ")
    ends(one(build, target, "heap(1)", memory=need, stack=need), "run-memory", "the stack needs ")


def test_memory_is_counted_again_after_going_back(build: Build) -> None:
    cpu = arch.target("cortex-m3")
    with Session(
        load([build(SOURCE, cpu.name)], cpu), Setup(cpu, limits=Limits(memory=1 << 20, heap=1 << 10))
    ) as session:
        before = session.snapshot()
        for _ in range(40):
            session.guest.place_text(b"x" * (1 << 16))
            session.rollback(before)


@pytest.mark.parametrize("target", WIDE)
def test_output_is_not_made_beyond_its_limit(target: str, build: Build) -> None:
    """3,000 fields of 65,000 characters are 195 megabytes."""
    result = one(build, target, "prints()", output=100_000)
    ends(result, "run-output", "`vprintf` prints more than 100,000 bytes")
    assert len(result.output) == 100_000
    ends(one(build, target, "counts()"), "run-output", "`vsnprintf` makes a string of more than 1,048,576 bytes")
    assert one(build, target, "letter_count()", output=8000).value == 7999
    ends(one(build, target, "letter_count()", output=7000), "run-output", "`snprintf` makes")


@pytest.mark.parametrize("call", ["counts()", "floats()", "letter_count()", "sorts(50000, 2)", "prints()"])
def test_time_ends_functions_of_the_host(call: str, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time has stood still until the function is called, and is over then."""
    cpu = arch.target("cortex-m4f")
    now = [0.0]
    monkeypatch.setattr("llext_tools.host.guest.time.monotonic", lambda: now[0])

    def late(name: str) -> HostFunction:
        function = builtin.BY_NAME[name]

        def body(*arguments: object) -> object:
            now[0] = 1e9
            return function.body(*arguments)

        return function._replace(body=body)

    names = ("vprintf", "vsnprintf", "snprintf", "qsort")
    setup = Setup(cpu, overrides={name: late(name) for name in names}, limits=Limits(output=1 << 30))
    ends(run(load([build(SOURCE, cpu.name)], cpu), call, setup), "run-timeout", "`.*` was still running after 5 s")


def test_a_timer_that_nobody_waits_for_takes_no_time(build: Build) -> None:
    """It expires ten thousand times a second, for a thousand hours."""
    source = """
    static struct k_timer timer;
    int f(void) {
        k_timer_init(&timer, NULL, NULL);
        k_timer_start(&timer, K_TICKS(1), K_TICKS(1));
        k_sleep(K_TICKS(10000ll * 3600 * 1000));
        return 7;
    }
    EXPORT_SYMBOL(f);
    """
    cpu = arch.target("cortex-m4f")
    assert run(load([build(source, cpu.name)], cpu), "f()", Setup(cpu)).value == 7


@pytest.mark.parametrize("target", WIDE)
@pytest.mark.parametrize("call", ["fill", "copy", "pad", "search", "compares"])
def test_sizes_beyond_memory_are_refused(target: str, call: str, build: Build) -> None:
    for size in (300 << 10, 1 << 31, (1 << 32) - 1, *([1 << 40, (1 << 64) - 1] if "64" in target else [])):
        result = one(build, target, f"{call}({size})")
        assert result.fault is not None
        assert result.fault.code == "run-fault"


@pytest.mark.parametrize("target", WIDE)
def test_tables_beyond_memory_are_refused(target: str, build: Build) -> None:
    for count, size in ((1 << 30, 1), (1 << 20, 1 << 20), ((1 << 32) - 1, (1 << 32) - 1)):
        result = one(build, target, f"sorts({count}, {size})")
        assert result.fault is not None
        assert result.fault.code == "run-fault"
        assert one(build, target, f"finds({count}, {size})").fault is not None


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 100])
def test_parts_of_many_elements_are_merged(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: Python's own sort, which is stable, too."""
    monkeypatch.setattr(builtin, "AT_ONCE", 4)
    values = [i * 37 % 101 for i in range(count)]
    order = builtin.in_order(values, lambda a, b: a // 10 - b // 10)
    assert order == sorted(values, key=lambda value: value // 10)


def test_many_blocks(build: Build) -> None:
    assert one(build, "cortex-m4f", "length()").value == (100 << 10) - 1
    assert one(build, "cortex-m4f", "blocks()", heap=1 << 16).value == (1 << 16) // 48


@pytest.mark.parametrize("target", WIDE)
def test_exports_on_many_pages(target: str, build: Build) -> None:
    """Each has a page of its own, with others between them. Only the first few are mapped; all stop the machine."""
    source = """
    int last(int); int even(int);
    int f(int x) { return last(x); } EXPORT_SYMBOL(f);
    int g(void) { return *(volatile char *)((uintptr_t)last & ~1ul); } EXPORT_SYMBOL(g);
    int h(int x) { return even(x); } EXPORT_SYMBOL(h);
    """
    cpu = arch.target(target)
    ours = builtin.exports(arch.load(cpu.arch))
    thumb = arch.load(cpu.arch).thumb
    many = [Export(f"f{i}", 0x3000_0000 + 0x2000 * i | thumb, "func") for i in range(20_000)]
    many[-1] = many[-1]._replace(name="last")
    many[-2] = many[-2]._replace(name="even", address=many[-2].address & ~1)
    table = ExportTable(source="many", symbols=(*ours.symbols, *many), machine=ours.machine)
    functions = {"last": HostFunction("last", "int last(int)", lambda _, x: 2 * x)}
    setup = Setup(cpu, table, functions={**builtin.BY_NAME, **functions})
    images = load([build(source, target)], cpu, exports=table)
    assert run(images, "f(21)", setup).value == 42
    fault = run(images, "g()", setup).fault
    assert fault is not None
    assert re.match("`g` reads 1 byte at 0x.*, which is the host's and has no contents here", fault.message)
    if thumb:
        fault = run(images, "h(1)", setup).fault
        assert fault is not None
        assert re.match("`h` calls `even` at 0x.* without the Thumb bit", fault.message), fault.message
    with Session(images, setup) as session:
        assert len(session.machine.regions) < 100

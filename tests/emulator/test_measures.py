"""Instructions, calls and stacks of emulated code.

Oracles: a hook of Unicorn's on each single instruction; assembly whose instructions can be counted by hand; gcov's
calls of functions; what GCC says that each function needs of the stack.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import unicorn
from elftools.elf.elffile import ELFFile

from emulator.compiled import compile_c, compile_file
from emulator.gcov import CASES, FOLDER, gcov
from llext_tools import arch
from llext_tools.machine.unicorn import UnicornMachine
from llext_tools.measure import Measured, Wanted
from llext_tools.measure.profile import table, to_speedscope
from llext_tools.mem import Mem
from llext_tools.run import Limits, RunResult, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]
EVERYWHERE = ("cortex-m0plus", "cortex-m4", "rv32imac", "rv64gc")
BOTH = ("cortex-m4", "rv32imac")


COUNTED: Counter[int] = Counter()


class Counting(UnicornMachine):
    """Counts each instruction by a hook on all code, in ``COUNTED``: address -> times."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        COUNTED.clear()
        self._uc.hook_add(unicorn.UC_HOOK_CODE, lambda _uc, address, _size, _data: COUNTED.update((address,)))


def with_skipped(counted: dict[int, int], code: bytes, base: int) -> dict[int, int]:
    """Unicorn's hook leaves out those whose condition in an IT block does not hold: they are executed, to no effect."""

    def half(at: int) -> int:
        return int.from_bytes(code[at - base : at - base + 2], "little")

    found = dict(counted)
    for address, times in counted.items():
        mask = half(address) & 15
        if half(address) >> 8 == 0xBF and mask:
            at = address + 2
            for _ in range(4 - (mask & -mask).bit_length() + 1):
                found[at] = times
                at += 4 if half(at) >= 0xE800 else 2
    return found


def go(
    source: str | Path, target: str, folder: Path, *calls: str, limits: Limits | None = None, **wanted: Any
) -> RunResult:
    cpu = arch.target(target)
    if isinstance(source, Path):
        obj = compile_file(source, cpu, "gcc", folder, "-O0")
    else:
        obj = compile_c(source, cpu, "gcc", folder, "-O0")
    return run(load([obj], cpu), calls, Setup(cpu, measure=Wanted(**wanted), limits=limits or Limits()))


@pytest.mark.parametrize("target", EVERYWHERE)
@pytest.mark.parametrize("name", ["flow", "statements"])
def test_instructions_of_each_function_equal_those_of_a_hook_on_each(name: str, target: str, tmp_path: Path) -> None:
    """And the calls are gcov's. Helpers of the compiler jump into each other: for them only the sum is compared."""
    cpu = arch.target(target)
    images = load([compile_file(FOLDER / f"{name}.c", cpu, "gcc", tmp_path, "-O0")], cpu)
    result = run(images, "everything(5)", Setup(cpu, measure=Wanted(profile=True), machine=Counting))
    assert result.fault is None
    base = images[0].layout.base[Mem.TEXT]
    code = images[0].mem[Mem.TEXT].tobytes()
    inside = {at: n for at, n in COUNTED.items() if base <= at < base + len(code)}
    if cpu.arch == "arm":
        inside = with_skipped(inside, code, base)
    with (tmp_path / f"{name}.debug.elf").open("rb") as stream:
        file = ELFFile(stream)
        text = file.get_section_index(".text")
        functions = {
            symbol.name: ((symbol["st_value"] & ~1) + base, symbol["st_size"])
            for symbol in file.get_section_by_name(".symtab").iter_symbols()
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] == text
        }
    own = {
        n: sum(c for at, c in inside.items() if start <= at < start + size) for n, (start, size) in functions.items()
    }
    profile = result.measured.profile
    assert profile is not None
    assert profile.instructions == result.measured.instructions == sum(inside.values()) > 1000
    ours = {row.name: row.own for row in profile.functions if row.own and not row.name.startswith("__")}
    assert ours == {function: own[function] for function in ours}
    assert next(row.total for row in profile.functions if row.name == "everything") == profile.instructions


@pytest.mark.parametrize("target", EVERYWHERE)
@pytest.mark.parametrize("name", ["flow", "statements"])
def test_calls_of_each_function_equal_those_of_gcov(name: str, target: str, tmp_path: Path) -> None:
    theirs = {function[2]: n for function, n in gcov(name).functions.items() if n}
    profile = go(FOLDER / f"{name}.c", target, tmp_path, *CASES[name].calls, profile=True).measured.profile
    assert profile is not None
    ours = {row.name: row.calls for row in profile.functions if row.name != "memset" and row.name[:2] != "__"}
    assert ours == theirs


ASSEMBLY = {
    "cortex-m4": r"""
__asm__(".syntax unified\n.thumb_func\n.global leaf\n.type leaf, %function\n"
    "leaf: cmp r0, #0\n it eq\n addeq r0, #7\n bx lr\n.size leaf, .-leaf\n"
    ".thumb_func\n.global last\n.type last, %function\n"
    "last: movw r1, #0x1234\n b leaf\n.size last, .-last\n"
    ".thumb_func\n.global counted\n.type counted, %function\n"
    "counted: push {r4, lr}\n movs r4, #5\n"
    "1: movs r0, #0\n bl last\n subs r4, #1\n bne 1b\n pop {r4, pc}\n.size counted, .-counted\n");
""",
    "rv32imac": r"""
__asm__(".global leaf\n.type leaf, @function\n"
    "leaf: .option push\n.option norvc\n addi a0, a0, 7\n .option pop\n mv a1, a0\n nop\n ret\n.size leaf, .-leaf\n"
    ".global last\n.type last, @function\n"
    "last: lui a1, 0x12345\n j leaf\n.size last, .-last\n"
    ".global counted\n.type counted, @function\n"
    "counted: addi sp, sp, -16\n sw ra, 12(sp)\n sw s0, 8(sp)\n li s0, 5\n"
    "1: li a0, 0\n jal ra, last\n addi s0, s0, -1\n bnez s0, 1b\n"
    "lw ra, 12(sp)\n lw s0, 8(sp)\n addi sp, sp, 16\n ret\n.size counted, .-counted\n");
""",
}
BY_HAND = {
    "cortex-m4": {"counted": (2 + 5 * 4 + 1, 1), "last": (5 * 2, 5), "leaf": (5 * 4, 5)},
    "rv32imac": {"counted": (4 + 5 * 4 + 4, 1), "last": (5 * 2, 5), "leaf": (5 * 4, 5)},
}


@pytest.mark.parametrize("target", ASSEMBLY)
def test_assembly_counted_by_hand(target: str, tmp_path: Path) -> None:
    """``last`` jumps to ``leaf``, which returns for it: both are called by ``counted``."""
    source = ASSEMBLY[target] + "int counted(void);\nLL_EXTENSION_SYMBOL(counted);\n"
    lines: list[str] = []
    result = go(source, target, tmp_path, "counted()", profile=True, trace=lines.append)
    profile = result.measured.profile
    assert result.fault is None
    assert profile is not None
    assert {row.name: (row.own, row.calls) for row in profile.functions} == BY_HAND[target]
    assert {(step.frame.name, step.depth) for step in profile.threads[0].steps} == {
        ("counted", 0),
        ("last", 1),
        ("leaf", 1),
    }
    assert lines[1:3] == ["  last(...)", "  leaf(...)"]


@pytest.mark.parametrize("target", BOTH)
def test_limit_ends_a_run_at_an_instruction(target: str, tmp_path: Path) -> None:
    """Oracle: the count by hand."""
    source = ASSEMBLY[target] + "int counted(void);\nLL_EXTENSION_SYMBOL(counted);\n"
    total = sum(own for own, _ in BY_HAND[target].values())
    enough = go(source, target, tmp_path, "counted()", limits=Limits(instructions=total))
    assert enough.fault is None
    assert enough.measured.instructions == total
    ended = go(source, target, tmp_path, "counted()", limits=Limits(instructions=total - 1))
    assert ended.fault is not None
    assert ended.fault.code == "run-instructions"
    assert ended.measured.instructions is not None
    assert ended.measured.instructions < total


def test_a_fault_in_a_block_ends_the_count_there(tmp_path: Path) -> None:
    source = r"""
__asm__(".syntax unified\n.thumb_func\n.global counted\n.type counted, %function\n"
    "counted: movs r0, #0\n nop\n ldr r1, [r0]\n nop\n nop\n bx lr\n.size counted, .-counted\n");
int counted(void);
LL_EXTENSION_SYMBOL(counted);
"""
    result = go(source, "cortex-m4", tmp_path, "counted()", profile=True)
    assert result.fault is not None
    assert result.measured.instructions == 3


CALLS = r"""
struct point { int x, y; };
static struct point moved(struct point p, int by) { p.x += by; return p; }
static int twice(int x) { return 2 * x; }
static void say(const char *text) { printk("%s\n", text); }
static int by(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }
static double same(double x) { return x; }
bool all(const char *name, unsigned char c)
{
    struct point p = moved((struct point){1, -2}, twice(3));
    char letters[] = "ba";
    say(name);
    qsort(letters, 2, 1, by);
    return same(2.5) > p.x + c;
}
LL_EXTENSION_SYMBOL(all);
"""
TRACED = """\
all("you", 2)
  twice(3) = 6
  moved({x: 1, y: -2}, 6) = {x: 7, y: -2}
  say("you")
    printk("%s\\n", ...)
  qsort(LETTERS, 2, 1, BY)
    by(LETTERS+1, LETTERS) = -1
  same(2.5) = 2.5
  all = false
"""


@pytest.mark.parametrize("target", BOTH)
def test_trace_shows_calls_with_values(target: str, tmp_path: Path) -> None:
    """Oracle: what the source says."""
    lines: list[str] = []
    result = go(CALLS, target, tmp_path, 'all("you", 2)', trace=lines.append)
    assert result.fault is None
    shown = [line for line in lines if "__" not in line]
    address = next(line for line in shown if "qsort" in line).split("(")[1].split(",")[0]
    by = next(line for line in shown if "qsort" in line).split(", ")[-1].rstrip(")")
    want = TRACED.replace("LETTERS+1", f"{int(address, 16) + 1:#010x}").replace("LETTERS", address).replace("BY", by)
    assert "\n".join(shown) + "\n" == want


def test_names_of_cpp_are_those_of_the_source(tmp_path: Path) -> None:
    lines: list[str] = []
    result = go(FOLDER / "classes.cpp", "cortex-m4", tmp_path, "everything(4)", profile=True, trace=lines.append)
    assert result.measured.profile is not None
    names = {row.name for row in result.measured.profile.functions}
    assert {"geo::Square::area() const", "geo::Square::~Square()", "int biggest<int>(int, int)", "scoped(int)"} <= names
    assert [line.split("(")[0] for line in lines if "Shape::twice" in line] == [
        "    geo::Shape::twice",
        "      geo::Shape::twice = 8",
    ]


def test_a_long_trace_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llext_tools.measure.MOST_LINES", 4)
    lines: list[str] = []
    go(CALLS, "cortex-m4", tmp_path, 'all("you", 2)', trace=lines.append)
    assert len(lines) == 4
    assert "cut" in lines[-1]


JUMPS = {
    "cortex-m4": r"""
__asm__(".syntax unified\n.thumb_func\n.global save\n.type save, %function\n"
    "save: mov r1, sp\n stmia r0!, {r1, r4-r11, lr}\n movs r0, #0\n bx lr\n.size save, .-save\n"
    ".thumb_func\n.global jump\n.type jump, %function\n"
    "jump: ldmia r0!, {r2, r4-r11, lr}\n mov sp, r2\n mov r0, r1\n bx lr\n.size jump, .-jump\n");
""",
    "rv32imac": r"""
__asm__(".global save\n.type save, @function\n"
    "save: sw sp, 0(a0)\n sw ra, 4(a0)\n sw s0, 8(a0)\n li a0, 0\n ret\n.size save, .-save\n"
    ".global jump\n.type jump, @function\n"
    "jump: lw sp, 0(a0)\n lw ra, 4(a0)\n lw s0, 8(a0)\n mv a0, a1\n ret\n.size jump, .-jump\n");
""",
}


@pytest.mark.parametrize("target", BOTH)
def test_longjmp_ends_the_calls_that_it_leaves(target: str, tmp_path: Path) -> None:
    source = (
        JUMPS[target]
        + r"""
int save(int *buffer) __attribute__((returns_twice));
void jump(int *buffer, int value) __attribute__((noreturn));
static int buffer[12];
static void deep(int n) { if (n) deep(n - 1); else jump(buffer, 5); }
static int after(void) { return 3; }
int test(void)
{
    int found = save(buffer);
    if (!found) deep(2);
    return found + after();
}
LL_EXTENSION_SYMBOL(test);
"""
    )
    profile = go(source, target, tmp_path, "test()", profile=True).measured.profile
    assert profile is not None
    assert [(step.depth, step.frame.name) for step in profile.threads[0].steps] == [
        *((0, "test"), (1, "save"), (1, "deep"), (2, "deep"), (3, "deep"), (4, "jump"), (1, "after")),
    ]


def usage(folder: Path, name: str = "ext") -> dict[str, int]:
    """What GCC says (-fstack-usage): function -> bytes."""
    rows = (line.split("\t") for line in (folder / f"{name}.su").read_text().splitlines())
    return {place.rsplit(":", 1)[-1]: int(size) for place, size, _ in rows}


STACKS = r"""
K_THREAD_STACK_DEFINE(area, 2048);
static struct k_thread thread;
static int leaf(int x) { volatile char room[200] = {1}; return room[x]; }
static int rec(int n) { return n ? rec(n - 1) : leaf(3); }
static void work(void *a, void *b, void *c) { rec(6); }
int test(void)
{
    k_thread_create(&thread, area, K_THREAD_STACK_SIZEOF(area), work, NULL, NULL, NULL, 5, 0, K_NO_WAIT);
    k_thread_join(&thread, K_FOREVER);
    return rec(2);
}
LL_EXTENSION_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_stacks_are_used_as_the_compiler_says(target: str, tmp_path: Path) -> None:
    """All but what the innermost function reserves and does not write: less than an alignment, or a saved register."""
    cpu = arch.target(target)
    obj = compile_c(STACKS, cpu, "gcc", tmp_path, "-O0", "-fstack-usage", "-Wno-unused")
    result = run(load([obj], cpu), "test()", Setup(cpu))
    assert result.fault is None
    needs = usage(tmp_path)
    uses = {use.name: use for use in result.stacks}
    assert uses.keys() == {"main", "work"}
    for name, calls in (("main", ["test", *["rec"] * 3, "leaf"]), ("work", ["work", *["rec"] * 7, "leaf"])):
        want = sum(needs[call] for call in calls)
        assert want - 32 <= uses[name].used <= want
    assert uses["work"].size >= 2048


@pytest.mark.parametrize("target", BOTH)
def test_threads_have_profiles_of_their_own(target: str, tmp_path: Path) -> None:
    lines: list[str] = []
    result = go(STACKS, target, tmp_path, "test()", profile=True, trace=lines.append, coverage=True)
    profile = result.measured.profile
    assert result.measured.coverage is not None
    calls = {f.name: f.calls for file in result.measured.coverage.files.values() for f in file.functions}
    assert calls == {"test": 1, "work": 1, "rec": 10, "leaf": 2}
    assert profile is not None
    assert {thread.name: thread.steps[0].frame.name for thread in profile.threads} == {"main": "test", "work": "work"}
    assert [sum(step.calls for step in t.steps if step.frame.name == "rec") for t in profile.threads] == [3, 7]
    assert "-- thread work" in lines
    assert "-- thread main" in lines
    check_speedscope(json.loads(to_speedscope(profile, "x", "test")), [t.instructions for t in profile.threads])


@pytest.mark.parametrize("target", BOTH)
def test_interrupts_are_no_part_of_the_thread_that_they_interrupt(target: str, tmp_path: Path) -> None:
    """A timer expires three times while the only thread waits."""
    source = r"""
K_SEM_DEFINE(sem, 0, 5);
static int given;
static void work(void) { given++; }
static void tick(struct k_timer *timer) { work(); k_sem_give(&sem); }
K_TIMER_DEFINE(timer, tick, NULL);
static int waits(int n) { for (int i = 0; i < n; i++) k_sem_take(&sem, K_FOREVER); return n; }
int test(void)
{
    k_timer_start(&timer, K_MSEC(1), K_MSEC(1));
    int n = waits(3);
    k_timer_stop(&timer);
    return n + given;
}
LL_EXTENSION_SYMBOL(test);
"""
    lines: list[str] = []
    result = go(source, target, tmp_path, "test()", profile=True, trace=lines.append)
    assert result.fault is None
    profile = result.measured.profile
    assert profile is not None
    calls = {thread.name: {step.frame.name: step.calls for step in thread.steps} for thread in profile.threads}
    assert calls["main"] == {"test": 1, "k_timer_start": 1, "waits": 1, "k_sem_take": 3, "k_timer_stop": 1}
    assert calls["interrupt"] == {"tick": 3, "work": 3, "k_sem_give": 3}
    assert lines[-5:-3] == ["-- thread main", "      k_sem_take = 0"]
    assert lines[-3:] == ["    waits = 3", "  k_timer_stop(" + lines[-2].split("(")[1], "  test = 6"]


def check_speedscope(document: dict[str, Any], totals: Sequence[int]) -> None:
    """What the format asks for: known frames, values that do not decrease, frames closed in reverse."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    assert all(frame["name"] for frame in frames)
    assert [profile["endValue"] for profile in document["profiles"]] == list(totals)
    for profile in document["profiles"]:
        assert (profile["type"], profile["unit"], profile["startValue"]) == ("evented", "none", 0)
        stack, last = [], 0
        for event in profile["events"]:
            assert event["at"] >= last
            last = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
            else:
                assert stack.pop() == event["frame"] < len(frames)
        assert not stack
        assert last == profile["endValue"]


def test_table_of_functions(tmp_path: Path) -> None:
    profile = go(FOLDER / "flow.c", "cortex-m4", tmp_path, "everything(5)", profile=True).measured.profile
    assert profile is not None
    head, *rows = table(profile, most=3)
    assert head.split() == ["instructions", "with", "calls", "calls", "function"]
    assert len({len(row) - len(row.split()[-1]) for row in rows[:3]}) == 1
    assert rows[3].startswith("... and ")


def test_nothing_is_measured_unless_somebody_wants_it(tmp_path: Path) -> None:
    assert go(CALLS, "cortex-m4", tmp_path, 'all("you", 2)').measured == Measured()

"""Backtraces: the functions of a C program write down their own return addresses, the unwinder has to find the same.

Expected: ``__builtin_return_address(0)`` of the compiler, in functions that call each other in all the ways that there
are, with GCC and Clang, optimised or not, with and without a frame pointer.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import load_object
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.host.tables import exports_of
from llext_tools.mem import Mem
from llext_tools.run import load
from llext_tools.run.session import Session, Setup
from llext_tools.unwind import Frame, backtrace
from needs import need

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = r"""
#define FN __attribute__((noinline, noclone)) int
#define NOTE() (returns[depth++] = (uintptr_t)__builtin_return_address(0))
uintptr_t returns[64];
volatile int depth;
static volatile int sink;
void k_yield(void);

FN leaf(int n) { NOTE(); k_yield(); sink += n; depth--; return n + 1; }
FN plain(int n) { NOTE(); int x = leaf(n); depth--; return x * 2; }
FN variadic(int n, ...)
{
    NOTE();
    __builtin_va_list args;
    __builtin_va_start(args, n);
    int x = plain(__builtin_va_arg(args, int));
    __builtin_va_end(args);
    depth--;
    return x;
}
FN with_alloca(int n)
{
    NOTE();
    volatile char *block = __builtin_alloca(n);
    block[n - 1] = 1;
    int x = variadic(2, n, n);
    depth--;
    return x + block[n - 1];
}
FN big_frame(int n)
{
    NOTE();
    volatile char block[3000];
    block[n] = 1;
    int x = with_alloca(n * 8);
    depth--;
    return x + block[n];
}
FN many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j)
{
    NOTE();
    int x = big_frame(a + j), y = a * b + c * d + e * f + g * h + i * j;
    depth--;
    return x + y;
}
FN doubles(int n)
{
    NOTE();
    volatile double y = n * 0.5;
    int x = many(n, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    depth--;
    return x + (int)(y * 2.0);
}
FN recurse(int n) { NOTE(); int x = n ? recurse(n - 1) + 1 : doubles(3); sink += n; depth--; return x; }
static int compare(const void *a, const void *b)
{
    NOTE();
    int x = recurse(2);
    depth--;
    return x + *(const int *)a - *(const int *)b;
}
FN sorts(int n) { NOTE(); int two[2] = {n, 1}; qsort(two, 2, sizeof *two, compare); depth--; return two[0]; }
int start(int n) { NOTE(); int x = sorts(n); depth--; return x + 1; }
EXPORT_SYMBOL(start);
EXPORT_SYMBOL(returns);
EXPORT_SYMBOL(depth);
"""
CHAIN = ["leaf", "plain", "variadic", "with_alloca", "big_frame", "many", "doubles"]
CHAIN += ["recurse", "recurse", "recurse", "compare", "qsort", "sorts", "start"]


FIRMWARE = r"""
#include <stdint.h>
struct entry { const char *name; const void *address; };
#define EXPORT(x) static const struct entry entry_##x \
    __attribute__((section("llext_const_symbol_area"), used)) = { #x, (const void *)&x }
#define NOTE() (returns[depth++] = (uintptr_t)__builtin_return_address(0))
uintptr_t returns[64];
volatile int depth;
int k_yield(int n) { return n; }
__attribute__((noinline, noclone)) static int middle(int (*f)(int), int n)
{
    NOTE();
    volatile char block[500];
    block[n] = 0;
    int x = f(n) + block[n];
    depth--;
    return x + 1;
}
int each(int (*f)(int), int n) { NOTE(); int x = middle(f, n); depth--; return x + 1; }
void _start(void) { }
EXPORT(returns); EXPORT(depth); EXPORT(k_yield); EXPORT(each);
"""
CALLER = r"""
#define NOTE() (returns[depth++] = (uintptr_t)__builtin_return_address(0))
extern uintptr_t returns[64];
extern volatile int depth;
int each(int (*f)(int), int n);
void k_yield(void);
static int recurse(int n)
{
    NOTE();
    if (n == 0) { k_yield(); }
    int x = n ? each(recurse, n - 1) : 0;
    depth--;
    return x + n;
}
int start(int n) { NOTE(); int x = recurse(n); depth--; return x + 1; }
EXPORT_SYMBOL(start);
"""

Trace = tuple[tuple[Frame, ...], list[int]]


def traced(obj: ElfObject, target: str, call: str = "start(1)", firmware: ElfObject | None = None) -> list[Trace]:
    """Backtraces at each call of ``k_yield()``, and what the functions have written down then."""
    cpu = arch.target(target)
    found: list[Trace] = []

    def look(guest: Guest) -> None:
        word = cpu.bits // 8
        table = exports if exports is not None else images[0].exp_tab
        at = {name: export.address for name, export in table.by_name.items()}
        depth = int.from_bytes(guest.memory.peek(at["depth"], 4), "little")
        data = guest.memory.peek(at["returns"], depth * word)
        returns = [int.from_bytes(data[i : i + word], "little") for i in range(0, len(data), word)]
        if guest.arch.thumb:
            returns = [value & ~1 for value in returns]
        found.append((backtrace(guest), [value for value in reversed(returns) if value != guest.return_at]))

    exports = exports_of(firmware) if firmware else None
    images = load([obj], cpu, exports=exports, firmware=[firmware] if firmware else ())
    here = {"k_yield": HostFunction("k_yield", "void k_yield(void)", look)}
    setup = Setup(cpu, exports=exports, firmware=(firmware,) if firmware else (), overrides=here)
    with Session(images, setup) as session:
        session.call(call)
    return found


FOUR = [("cortex-m4f", "gcc"), ("cortex-m33", "zig"), ("rv32imac", "gcc"), ("rv64gc", "zig")]
OPTIONS = [("-O0",), ("-Os",), ("-O2",), ("-O2", "-fno-omit-frame-pointer"), ("-Os", "-fomit-frame-pointer")]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
@pytest.mark.parametrize("chain", ["gcc", "zig"])
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4f", "rv32imac", "rv64gc"])
def test_return_addresses_are_those_of_the_compiler(
    target: str, chain: str, options: tuple[str, ...], build: Build
) -> None:
    found = traced(build(SOURCE, target, chain, *options), target)
    assert found
    for frames, returns in found:
        assert [frame.function for frame in frames if frame.function != "k_yield"] == CHAIN
        assert not any(frame.guessed for frame in frames)
        pairs = pairwise(frames)
        assert [frame.pc for inner, frame in pairs if "host" not in (inner.kind, frame.kind)] == returns


@pytest.mark.parametrize(
    ("target", "chain"), [("cortex-m4f", "gcc"), ("cortex-m33", "zig"), ("rv32imac", "gcc"), ("rv64gc", "zig")]
)
def test_lines_are_those_of_addr2line(target: str, chain: str, build: Build) -> None:
    obj = build(SOURCE, target, chain, "-O1", "-fno-inline")
    frames = [frame for frame in traced(obj, target)[0][0] if frame.kind == "extension"]
    sections = {frame.section for frame in frames}
    assert sections == {".text"}
    found = [(frame.function, f"{Path(frame.source).name}:{frame.line}") for frame in frames]
    assert found == addr2line(target, obj, [offset_of(obj, frame) for frame in frames])


LINKED = {
    "cortex-m4f": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-Wl,-Ttext=0x08000000"),
    "rv32imac": ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-Wl,-Ttext=0x80000000"),
    "rv64gc": (
        "riscv64-unknown-elf-gcc",
        "-march=rv64gc",
        "-mabi=lp64d",
        "-mcmodel=medany",
        "-mno-relax",
        "-Wl,-Ttext=0x80000000",
    ),
}


@pytest.mark.parametrize(
    ("target", "debug"),
    [
        *((target, debug) for target in LINKED for debug in ("-g", "-g0")),
        ("rv64gc", "-gdwarf-4"),
        *((target, "-fasynchronous-unwind-tables") for target in LINKED if "rv" in target),
    ],
)
def test_frames_of_extension_and_firmware(target: str, debug: str, build: Build, tmp_path: Path) -> None:
    """By ``.debug_frame``, by ``.eh_frame``, or by guessing in the firmware's part."""
    compiler, *options = LINKED[target]
    (tmp_path / "fw.c").write_text(FIRMWARE)
    options += ["-nostdlib", "-ffreestanding", "-O1", debug, "fw.c", "-o", "fw.elf"]
    subprocess.run([need(compiler), *options], cwd=tmp_path, check=True)
    ((frames, returns),) = traced(build(CALLER, target), target, "start(3)", load_object(str(tmp_path / "fw.elf")))
    own = [frame for frame in frames if frame.kind != "host"]
    assert [frame.function for frame in frames if not frame.guessed or frame.function == "recurse"][:2] == [
        "k_yield",
        "recurse",
    ]
    if debug == "-g0":
        assert not set(returns) - {frame.pc for frame in own}
        return
    assert [frame.function for frame in own] == [*(["recurse", "middle", "each"] * 3), "recurse", "start"]
    assert [frame.kind == "firmware" for frame in own] == [frame.function in ("middle", "each") for frame in own]
    assert [frame.pc for frame in own][1:] == returns
    assert not any(frame.guessed for frame in own)
    if debug != "-fasynchronous-unwind-tables":
        lines = {frame.function: frame.line for frame in own if frame.kind == "firmware"}
        source = FIRMWARE.splitlines()
        assert "f(n)" in source[(lines["middle"] or 0) - 1]
        assert "middle(f, n)" in source[(lines["each"] or 0) - 1]


INLINED = r"""
#define IN static inline __attribute__((always_inline)) int
static volatile int sink;
volatile int depth, returns;
void k_yield(void);
IN third(int n)
{
    sink += n;
    k_yield();
    return n + sink;
}
IN second(int n)
{
    int x = n * 3;
    return third(x) + 1;
}
IN first(int n)
{
    if (n > 1) {
        return second(n) * 2;
    }
    return n;
}
__attribute__((noinline, noclone)) int work(int n)
{
    sink = 1;
    int x = first(n);
    return x + sink;
}
int start(int n)
{
    int x = n;
    for (int i = 0; i < 1; i++) {
        int y = work(n);
        x += y;
    }
    return x;
}
EXPORT_SYMBOL(start); EXPORT_SYMBOL(depth); EXPORT_SYMBOL(returns);
"""


@pytest.mark.parametrize("version", ["-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize(("target", "chain"), FOUR)
def test_inlined_functions_are_those_of_addr2line(target: str, chain: str, version: str, build: Build) -> None:
    """Binutils 2.40 leave out functions that have several ranges in DWARF 5: they are asked about DWARF 4."""
    obj, older = (build(INLINED, target, chain, "-O2", option) for option in (version, "-gdwarf-4"))
    ((frames, _),) = traced(obj, target, "start(5)")
    own = [frame for frame in frames if frame.kind == "extension"]
    assert [frame.function for frame in own] == ["third", "second", "first", "work", "start"]
    assert [frame.inlined for frame in own] == [True, True, True, False, False]
    offsets = [offset_of(obj, frame) for frame in own if not frame.inlined]
    found = [(frame.function, f"{Path(frame.source).name}:{frame.line}") for frame in own]
    assert found == addr2line(target, older, offsets, "-i")


def addr2line(target: str, obj: ElfObject, offsets: Sequence[int], *options: str) -> list[tuple[str, str]]:
    """Function and line at places in ``.text``, as binutils say."""
    program = need(
        {"arm": "arm-none-eabi-addr2line", "riscv": "riscv64-unknown-elf-addr2line"}[arch.target(target).arch]
    )
    command = [program, "-s", "-f", *options, "-j", ".text", "-e", obj.path, *(f"{offset:#x}" for offset in offsets)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [(name, line.partition(" (disc")[0]) for name, line in zip(printed[::2], printed[1::2], strict=True)]


def offset_of(obj: ElfObject, frame: Frame) -> int:
    """Of the frame's place in its section."""
    y = obj.symbols
    start = next(int(y.value[i]) & ~1 for i in range(len(y)) if y.name(i) == frame.function)
    return start + frame.offset


@pytest.mark.parametrize("strip", [False, True], ids=["symbols", "stripped"])
@pytest.mark.parametrize("options", [("-Os",), ("-O2", "-fno-omit-frame-pointer")], ids=" ".join)
@pytest.mark.parametrize(
    ("target", "chain"), [("cortex-m0plus", "gcc"), ("cortex-m33", "zig"), ("rv32imac", "zig"), ("rv64gc", "gcc")]
)
def test_guesses_contain_the_true_frames(
    target: str, chain: str, options: tuple[str, ...], strip: bool, build: Build, tmp_path: Path
) -> None:
    obj = build(SOURCE, target, chain, *options, "-g0")
    if strip:
        program = need({"arm": "arm-none-eabi-strip", "riscv": "riscv64-unknown-elf-strip"}[arch.target(target).arch])
        subprocess.run([program, "--strip-unneeded", obj.path, "-o", str(tmp_path / "ext.llext")], check=True)
        obj = load_object(str(tmp_path / "ext.llext"))
    for frames, returns in traced(obj, target):
        pcs = [frame.pc for frame in frames]
        assert not set(returns) - set(pcs), [str(frame) for frame in frames]
        assert [pc for pc in pcs if pc in returns][-1] == returns[-1]
        assert all(frame.guessed for frame in frames if frame.kind == "extension" and frame.pc in returns)
        assert len(frames) < 3 * len(CHAIN)


@pytest.mark.parametrize("debug", [(), ("-g0",)], ids=["CFI", "none"])
@pytest.mark.parametrize(("target", "chain"), [("cortex-m4f", "gcc"), ("rv64gc", "zig")])
def test_corrupted_stacks_end_somewhere(target: str, chain: str, debug: tuple[str, ...], build: Build) -> None:
    """Random words on the stack and in the registers: addresses of the stack, of code behind calls, and any others."""
    cpu = arch.target(target)
    pick = random.Random(5)
    images = load([build(SOURCE, target, chain, "-Os", *debug)], cpu)
    lengths = set()

    def look(guest: Guest) -> None:
        stack = guest.frames.stack
        assert stack is not None
        sp = guest.machine.get(guest.conv.sp)
        before = guest.memory.peek(sp, stack.end - sp)
        word = cpu.bits // 8
        text = images[0].layout.base[Mem.TEXT]
        size = images[0].mem[Mem.TEXT].size
        returns = [frame.pc | guest.arch.thumb for frame in backtrace(guest)]
        odd = [sp, stack.start, stack.end, stack.end - word, text, 0, guest.return_at | guest.arch.thumb]
        for _ in range(30):
            data = bytearray(before)
            for at in pick.sample(range(0, len(data), word), k=pick.choice([1, 5, len(data) // word])):
                value = pick.choice(
                    [
                        *odd,
                        pick.choice(returns),
                        text + pick.randrange(size),
                        pick.getrandbits(cpu.bits),
                        sp + pick.randrange(4000),
                    ]
                )
                data[at : at + word] = value.to_bytes(word, "little")
            guest.memory.poke(sp, bytes(data))
            registers = {name: guest.machine.get(name) for name in guest.conv.shown}
            for name in pick.sample(sorted(registers), k=pick.choice([0, 1, 5])):
                registers[name] = pick.choice([*odd, sp + word * pick.randrange(100), pick.getrandbits(cpu.bits)])
            lengths.add(len(backtrace(guest, registers, guest.frames)))
        guest.memory.poke(sp, before)

    setup = Setup(cpu, overrides={"k_yield": HostFunction("k_yield", "void k_yield(void)", look)})
    with Session(images, setup) as session:
        session.call("start(1)")
    assert max(lengths) <= 1000
    assert len(lengths) > 5

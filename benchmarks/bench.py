"""Measure llext against what its users would run instead: ``tox -e bench``, or ``python benchmarks/bench.py``.

Whole processes, from start to end, written to real files. The two commands of a comparison take turns, so that whatever
else the machine does hits both; a figure is the median of all rounds. Targets stand beside the figures and decide
nothing: the exit code says only whether the measurement ran.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import firmware
import matrix
from objects import IMPORTS, SCRIPT, SHAPES, Shape, assembly, exports

HERE = Path(__file__).parent
PREFIX = "arm-none-eabi-"
LOOPS = 2_000_000  # of what python_calls.py lets spin
EXTENSIONS = 500  # checked in one call
ONE_FUNCTION = ".syntax unified\n.cpu cortex-m4\n.thumb\n.globl add\n.type add, %function\nadd: adds r0, r1\nbx lr\n"

HELLO = """\
.syntax unified
.cpu cortex-m4
.thumb
.text
.globl hello, twice
.type hello, %function
hello:
    push {r4, lr}
    ldr r3, =hook
    ldr r3, [r3]
    ldr r0, =count
    ldr r0, [r0]
    blx r3
    mov r1, r0
    ldr r0, =format
    ldr r3, =printk
    blx r3
    pop {r4, pc}
.type twice, %function
twice:
    lsls r0, #1
    adds r0, #1
    bx lr
.type start, %function
start:
    ldr r3, =count
    movs r2, #1
    str r2, [r3]
    bx lr
.type stop, %function
stop:
    ldr r3, =count
    movs r2, #0
    str r2, [r3]
    bx lr
.ltorg
.section .rodata, "a"
format: .asciz "hello %d\\n"
name1: .asciz "hello"
name2: .asciz "twice"
.section .exported_sym, "a"
.balign 4
.word name1, hello, name2, twice
.section .init_array, "aw", %init_array
.balign 4
.word start
.section .fini_array, "aw", %fini_array
.balign 4
.word stop
.data
.balign 4
hook: .word twice
.bss
.balign 4
count: .space 4
"""
"""What a small extension has: arrays of both kinds, two exports, one import; 15 symbols or so, 11 relocations."""


LOOP = """\
.syntax unified
.cpu cortex-m4
.thumb
.text
.globl add, spin
.type add, %function
add:
    adds r0, r1
    bx lr
.type spin, %function
spin:
    sub sp, #16
    movs r2, #1
1:  eor r2, r2, r2, lsl #13
    eor r2, r2, r2, lsr #17
    eor r2, r2, r2, lsl #5
    str r2, [sp, #4]
    ldr r3, [sp, #4]
    add r1, r3
    subs r0, #1
    bne 1b
    mov r0, r1
    add sp, #16
    bx lr
"""
"""Two functions for what tests in Python do: one that takes no time, and one that only takes time."""

START = """\
.globl _start
.type _start, %function
_start:
    ldr r0, =LOOPS
    movs r1, #0
    bl spin
    movs r0, #0
    movs r7, #1
    svc #0
"""
"""The same as a program of Linux: it ends with exit(0)."""


class Run(NamedTuple):
    """One process: seconds from start to end, the most memory it held in MB, what it printed."""

    seconds: float
    peak: float
    output: str


class Figure(NamedTuple):
    """One line of the result. ``value`` and ``target`` in ``unit``; ``ours`` and ``theirs`` as they were measured."""

    name: str
    value: float
    target: float | None
    unit: str
    ours: str = ""
    theirs: str = ""


def run(command: Sequence[str], folder: Path) -> Run:
    """Run a command to its end; what it prints on stderr is shown if it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{err.read().decode()}")
        return Run(seconds, usage.ru_maxrss / 1024, out.read().decode())


def take_turns(rounds: int, folder: Path, *commands: Sequence[str]) -> list[list[Run]]:
    """Run each command once to warm the caches, then all of them ``rounds`` times in turns."""
    for command in commands:
        run(command, folder)
    turns = [[run(command, folder) for command in commands] for _ in range(rounds)]
    return [list(runs) for runs in zip(*turns, strict=True)]


def seconds(runs: Sequence[Run]) -> float:
    return median(r.seconds for r in runs)


def memory(runs: Sequence[Run]) -> str:
    return f"{max(r.peak for r in runs):.0f} MB"


def micro(time: float) -> str:
    return f"{time * 1e6:.1f} us"


def shown(time: float) -> str:
    return f"{time * 1000:.0f} ms" if time >= 0.1 else f"{time * 1000:.1f} ms"


def compare_linking(shape: Shape, folder: Path, rounds: int) -> list[Figure]:
    """Link one large object by ``llext link`` and by GNU ld: at the same addresses, to the same bytes (checked)."""
    with (folder / "big.s").open("w") as file:
        file.writelines(assembly(shape))  # not at once: a child's peak memory includes what its parent held
    (folder / "exports.ld").write_text(exports())
    (folder / "link.ld").write_text(SCRIPT)
    run([PREFIX + "as", "big.s", "-o", "big.o"], folder)
    count = relocations(folder)
    if count != shape.relocations:
        raise SystemExit(f"{shape.name}: {count:,} relocations, {shape.relocations:,} were meant")
    ld = [PREFIX + "ld", "-T", "link.ld", "-e", "0", "big.o", "-o", "ld.elf"]
    llext = [*LLEXT, "link", "big.o", "--exports", "exports.ld", "--at", "0x20010000", "-o", "llext.elf"]
    relocate = [sys.executable, str(HERE / "relocate.py"), "big.o", "exports.ld"]
    ours, theirs, alone = take_turns(rounds, folder, llext, ld, relocate)
    for section in (".text", ".data"):
        if contents(folder, "llext.elf", section) != contents(folder, "ld.elf", section):
            raise SystemExit(f"{shape.name}: {section} differs from GNU ld's")
    inner = median(float(r.output) for r in alone)
    peak = max(r.peak for r in ours)
    aimed = shape is SHAPES[0]
    what = f"{shape.name}: {count:,} Arm relocations"
    a, b = seconds(ours), seconds(theirs)
    return [
        Figure(f"{what}, whole process / GNU ld", a / b, 0.4 if aimed else None, "x", shown(a), shown(b)),
        Figure(f"{what}, relocating / GNU ld", inner / b, 0.15 if aimed else None, "x", shown(inner), shown(b)),
        Figure(f"{what}, peak memory", peak, 400.0 if aimed else None, "MB", memory(ours), memory(theirs)),
    ]


def relocations(folder: Path) -> int:
    """By the sizes of the tables that readelf lists: name, type, address, offset, size."""
    text = run([PREFIX + "readelf", "-WS", "big.o"], folder).output
    return sum(int(line.split(" REL ")[1].split()[2], 16) // 8 for line in text.splitlines() if " REL " in line)


def contents(folder: Path, file: str, section: str) -> bytes:
    run([PREFIX + "objcopy", "-O", "binary", "-j", section, file, "section.bin"], folder)
    return (folder / "section.bin").read_bytes()


def compare_small(folder: Path, rounds: int) -> list[Figure]:
    """A one-function object: what is left is starting Python and importing, so that is what it is compared with."""
    (folder / "small.s").write_text(ONE_FUNCTION)
    run([PREFIX + "as", "small.s", "-o", "small.o"], folder)
    link = [*LLEXT, "link", "small.o", "--at", "0x20010000", "-o", "small.elf"]
    imports = [sys.executable, "-c", "import numpy, elftools.elf.elffile"]
    ours, theirs = take_turns(rounds, folder, link, imports)
    a, b = seconds(ours), seconds(theirs)
    return [Figure("one function, whole process / import numpy and pyelftools", a / b, 1.5, "x", shown(a), shown(b))]


def compare_abi(folder: Path, rounds: int) -> list[Figure]:
    """Check an extension and its interface against a large firmware: what it exports is read, or remembered."""
    sources = firmware.write(folder)
    gcc = [PREFIX + "gcc", *firmware.CPU, "-c"]
    run([*gcc, "extension.c", *sources], folder)
    units = [source.replace(".c", ".o") for source in sources]
    run([PREFIX + "ld", "-T", "firmware.ld", "-e", "0", *units, "-o", "firmware.elf"], folder)
    (folder / "extension.o").rename(folder / "extension.debug.elf")
    run([*LLEXT, "finish", "extension.debug.elf"], folder)
    check = shlex.join([*LLEXT, "check", "extension.llext", "--exports", "firmware.elf"])
    cold = ["sh", "-c", f"rm -rf cold && LLEXT_CACHE_DIR=cold exec {check}"]
    again = ["sh", "-c", f"LLEXT_CACHE_DIR=warm exec {check}"]
    visit = [sys.executable, str(HERE / "dies.py"), "firmware.elf"]
    imports = [sys.executable, "-c", "import numpy, elftools.elf.elffile"]
    ours, visiting, cached, importing = take_turns(rounds, folder, cold, visit, again, imports)
    size = debug_info(folder, "firmware.elf")
    what = f"check against {firmware.UNITS * firmware.FUNCTIONS:,} exports, {size / 1e6:.1f} MB of .debug_info"
    a, b, c, d = map(seconds, (ours, visiting, cached, importing))
    return [
        Figure(f"{what}, cold / visiting its entries", a / b, 0.5, "x", shown(a), shown(b)),
        Figure(f"{what}, again / import numpy and pyelftools", c / d, 2.0, "x", shown(c), shown(d)),
    ]


def debug_info(folder: Path, file: str) -> int:
    """Bytes of .debug_info by readelf: name, type, address, offset, size."""
    text = run([PREFIX + "readelf", "-WS", file], folder).output
    return next(int(line.split(" PROGBITS ")[1].split()[2], 16) for line in text.splitlines() if ".debug_info" in line)


def compare_help(folder: Path, rounds: int) -> list[Figure]:
    ours, theirs = take_turns(rounds, folder, [*LLEXT, "--help"], [sys.executable, "-c", "pass"])
    a, b = seconds(ours), seconds(theirs)
    return [Figure("llext --help / python -c pass", a / b, 2.0, "x", shown(a), shown(b))]


def compare_life(folder: Path, rounds: int) -> list[Figure]:
    """A small extension on a runtime that is up, against what starting Python takes."""
    (folder / "hello.s").write_text(HELLO)
    run([PREFIX + "as", "hello.s", "-o", "hello.o"], folder)
    out = run([sys.executable, str(HERE / "cycle.py"), "hello.o", str(rounds)], folder).output
    a, b = map(float, out.split())
    return [Figure("load, bring up, call, tear down, unload / python -c pass", a / b, 0.3, "x", shown(a), shown(b))]


def compare_python(folder: Path, rounds: int) -> list[Figure]:
    """What a test in Python takes, against bare Unicorn in the same process; and the loop by QEMU, if that is there."""
    for name, text in {"hello": HELLO, "loop": LOOP}.items():
        (folder / f"{name}.s").write_text(text)
        run([PREFIX + "as", f"{name}.s", "-o", f"{name}.o"], folder)
    out = run([sys.executable, str(HERE / "python_calls.py"), str(folder), str(rounds)], folder).output
    (call, bare), (fresh, anew), (spin, unicorn) = ([*map(float, line.split())] for line in out.splitlines())
    figures = [
        Figure("typed call from Python / its calls of bare Unicorn", call / bare, 3.0, "x", micro(call), micro(bare)),
        Figure("fresh state for a test / loading anew", fresh / anew, 0.2, "x", micro(fresh), micro(anew)),
        Figure("CPU-bound loop / bare Unicorn", spin / unicorn, 1.2, "x", shown(spin), shown(unicorn)),
    ]
    if shutil.which("qemu-arm"):
        loops = 50 * LOOPS  # so many that starting counts little; that is taken off all the same
        for name, count in {"long": loops, "short": 1}.items():
            (folder / f"{name}.s").write_text(LOOP + START.replace("LOOPS", str(count)))
            run([PREFIX + "as", f"{name}.s", "-o", f"{name}.o"], folder)
            run([PREFIX + "ld", f"{name}.o", "-o", f"{name}.elf"], folder)
        qemu = ["qemu-arm", "-cpu", "cortex-a7"]
        long, short = take_turns(max(rounds // 4, 3), folder, [*qemu, "long.elf"], [*qemu, "short.elf"])
        theirs = (seconds(long) - seconds(short)) * LOOPS / loops
        figures.append(Figure("CPU-bound loop / qemu-arm", spin / theirs, None, "x", shown(spin), shown(theirs)))
    return figures


def compare_check(folder: Path, rounds: int) -> list[Figure]:
    """Many small extensions against a firmware's table, in one call, and GNU ld that merges one after the other."""
    names = [f"check{i:03}.llext" for i in range(EXTENSIONS)]
    for i, name in enumerate(names):
        source = HELLO.replace("adds r0, #1", f"adds r0, #{i % 200}").replace('"twice"', f'"twice{i}"')
        (folder / "check.s").write_text(source)
        run([PREFIX + "as", "check.s", "-o", name], folder)
    functions = {"printk": 0x0800_0101} | {f"function{i}": 0x0800_1001 + 16 * i for i in range(IMPORTS)}
    (folder / "check.toml").write_text("[exports]\n" + "".join(f"{n} = {a:#x}\n" for n, a in functions.items()))
    merge = f"set -e; for name in {' '.join(names)}; do {PREFIX}ld -r $name -o merged.o; done"
    check = [*LLEXT, "check", "--quiet", "--exports", "check.toml", *names]
    ours, theirs, alone = take_turns(rounds, folder, check, ["sh", "-c", merge], [*LLEXT, "check", "--quiet", names[0]])
    a, b, one = seconds(ours), seconds(theirs), seconds(alone)
    what = f"check {EXTENSIONS} small extensions in one call"
    return [
        Figure(f"{what} / {EXTENSIONS} times ld -r", a / b, 1.5, "x", shown(a), shown(b)),
        Figure(f"{what}, of this one of them", one / a, None, "x", shown(one), shown(a)),
    ]


def compare_matrix(folder: Path, rounds: int) -> list[Figure]:
    """Ten extensions for all targets that a toolchain is installed for; all is up to date."""
    matrix.project(folder / "ten")
    build = [*LLEXT, "build", "ten"]
    run(build, folder)
    one, two = (matrix.cmake_calls(folder / "ten", n) for n in (1, 2))
    ours, theirs, pairs = (seconds(each) for each in take_turns(rounds, folder, build, one, two))
    what = f"up-to-date build of {matrix.EXTENSIONS} extensions for all targets / cmake --build"
    return [
        Figure(f"{what}, one after the other", ours / theirs, 1.3, "x", shown(ours), shown(theirs)),
        Figure(f"{what}, two at a time", ours / pairs, 1.3, "x", shown(ours), shown(pairs)),
    ]


def report(figures: Sequence[Figure]) -> str:
    rows = [("what", "ours", "theirs", "value", "target", "")]
    for f in figures:
        value = f"{f.value:.2f}x" if f.unit == "x" else f"{f.value:.0f} {f.unit}"
        target = "" if f.target is None else f"<= {f.target:g}{'x' if f.unit == 'x' else ' ' + f.unit}"
        verdict = "" if f.target is None else "met" if f.value <= f.target else "MISSED"
        rows.append((f.name, f.ours, f.theirs, value, target, verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def environment() -> dict[str, str]:
    ld = subprocess.run([PREFIX + "ld", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return {"python": platform.python_version(), "cpus": str(os.cpu_count()), "machine": platform.machine(), "ld": ld}


def command() -> list[str]:
    """The command as it is installed beside this interpreter."""
    installed = Path(sys.executable).with_name("llext")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "llext_tools"]


LLEXT = command()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="turns for each comparison (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    parser.add_argument(
        "--only", choices=["large", "small", "help", "life", "python", "check", "abi", "matrix"], help="one comparison"
    )
    args = parser.parse_args()
    if not shutil.which(PREFIX + "ld"):
        print(f"{PREFIX}ld is not installed: apt-get install binutils-arm-none-eabi", file=sys.stderr)
        return 1
    steps: dict[str, list[Callable[[Path], list[Figure]]]] = {
        "help": [lambda folder: compare_help(folder, 4 * args.rounds)],
        "life": [lambda folder: compare_life(folder, 20 * args.rounds)],
        "python": [lambda folder: compare_python(folder, 10 * args.rounds)],
        "small": [lambda folder: compare_small(folder, 2 * args.rounds)],
        "check": [lambda folder: compare_check(folder, args.rounds)],
        "matrix": [lambda folder: compare_matrix(folder, args.rounds)],
        "abi": [lambda folder: compare_abi(folder, args.rounds)],
        "large": [lambda folder, s=shape: compare_linking(s, folder, args.rounds) for shape in SHAPES],  # type: ignore[misc]
    }
    figures = []
    with tempfile.TemporaryDirectory(prefix="llext-bench-") as name:
        for key, measures in steps.items():
            for measure in measures if args.only in (None, key) else ():
                figures += measure(Path(name))
    print(", ".join(f"{key} {value}" for key, value in environment().items()))
    print(*(f"{shape.name}: {shape.why}" for shape in SHAPES), sep="\n")
    print()
    print(report(figures))
    if args.json:
        found = {"environment": environment(), "rounds": args.rounds, "figures": [f._asdict() for f in figures]}
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

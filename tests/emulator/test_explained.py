"""Faults as a person reads them: the backtrace, and which relocation wrote the word that went wrong.

Expected: the C source says who calls whom and what is in the words; ``readelf -r`` which relocations there are.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.diag import Diagnostic
from llext_tools.elf.model import ElfObject
from llext_tools.run import Limits, RunResult, Setup, load, run
from needs import need

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = r"""
#define FN __attribute__((noinline, noclone)) int
static volatile int counter;
static const int limits[3] = {1, 2, 3};
static int tick(int n) { return n + 1; }
static int tock(int n) { return n + 2; }
static struct { char name[8]; int (*handlers[3])(int); } table = {"ticks", {tick, tock, (int (*)(int))limits}};
int *const pointers[2] = {(int *)limits, (int *)&counter};

FN dispatch(int i) { int x = table.handlers[i](i); counter++; return x; }
FN fill(int n, int byte) { for (int i = 0; i < n; i++) { ((volatile char *)table.name)[i] = byte; } return n; }
FN store(int i) { *(volatile int *)pointers[i] = 3; counter++; return i; }
FN direct(int n) { int x = ((int (*)(int))limits)(n); counter++; return x; }
FN outer(int (*f)(int), int n) { int x = f(n); counter++; return x; }

int overflow(void) { fill(8 + 2 * sizeof(void *), 0x41); int x = outer(dispatch, 1); counter++; return x; }
EXPORT_SYMBOL(overflow);
int cleared(void) { fill(sizeof table, 0); int x = outer(dispatch, 2); counter++; return x; } EXPORT_SYMBOL(cleared);
int not_code(void) { int x = outer(dispatch, 2); counter++; return x; } EXPORT_SYMBOL(not_code);
int constant(void) { int x = outer(store, 0); counter++; return x; } EXPORT_SYMBOL(constant);
int data_call(void) { int x = outer(direct, 0); counter++; return x; } EXPORT_SYMBOL(data_call);
int aborts(void) { int x = outer((int (*)(int))abort, 0); counter++; return x; } EXPORT_SYMBOL(aborts);
FN spin(int n) { while (counter >= 0) { counter = n; } return n; }
int endless(void) { int x = outer(spin, 0); counter++; return x; } EXPORT_SYMBOL(endless);
FN say(int n) { while (counter >= 0) { puts("again"); } return n; }
int chatter(void) { int x = outer(say, 0); counter++; return x; } EXPORT_SYMBOL(chatter);
FN frees(int n) { free((void *)&counter); counter++; return n; }
int foreign(void) { int x = outer(frees, 0); counter++; return x; } EXPORT_SYMBOL(foreign);
"""


PREFIX = {"arm": "arm-none-eabi-", "riscv": "riscv64-unknown-elf-"}
COMBINATIONS = [
    ("cortex-m4", "gcc"),
    ("cortex-m33", "zig"),
    ("cortex-m0plus", "gcc"),
    ("rv32imac", "gcc"),
    ("rv64gc", "zig"),
]
CALLS = {
    "overflow()": ["dispatch", "outer", "overflow"],
    "cleared()": ["dispatch", "outer", "cleared"],
    "not_code()": ["dispatch", "outer", "not_code"],
    "constant()": ["store", "outer", "constant"],
    "data_call()": ["direct", "outer", "data_call"],
    "aborts()": ["abort", "outer", "aborts"],
    "endless()": ["spin", "outer", "endless"],
    "chatter()": ["puts", "say", "outer", "chatter"],
    "foreign()": ["free", "frees", "outer", "foreign"],
}


def faulty(build: Build, target: str, chain: str, call: str) -> tuple[RunResult, Diagnostic]:
    cpu = arch.target(target)
    result = run(load([build(SOURCE, target, chain)], cpu), call, Setup(cpu, limits=Limits(seconds=0.3, output=1000)))
    assert result.fault is not None
    return result, result.fault


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("target", "chain"), COMBINATIONS)
def test_backtrace_of_each_kind_of_fault(target: str, chain: str, call: str, build: Build) -> None:
    result, fault = faulty(build, target, chain, call)
    assert [frame.function for frame in result.backtrace] == CALLS[call]
    numbered = [line for line in fault.detail if line.startswith("#")]
    assert len(numbered) == len(CALLS[call])
    for number, (line, name) in enumerate(zip(numbered, CALLS[call], strict=True)):
        assert re.match(rf"#{number} {name}(\+0x[0-9a-f]+ at ext.c:{line_of(name)}| \(host\))$", line), line


def line_of(function: str) -> int:
    """Each function is in one line of the source."""
    return next(
        (n for n, line in enumerate(SOURCE.splitlines(), 1) if re.search(rf"\b{function}\((int|void)", line)), 0
    )


NOTES = {
    "overflow()": [("table", 1, "tick", True), ("table", 2, "tock", True)],
    "not_code()": [("table", 3, "limits", False)],
    "constant()": [("pointers", 0, "limits", False)],
}
"""Call -> the words that are to be named: variable, word in it (a name takes 8 bytes), of what, overwritten."""


@pytest.mark.parametrize("call", [*NOTES, "data_call()"])
@pytest.mark.parametrize(("target", "chain"), COMBINATIONS)
def test_relocation_that_wrote_the_word(target: str, chain: str, call: str, build: Build) -> None:
    _, fault = faulty(build, target, chain, call)
    relocations = readelf(build(SOURCE, target, chain), target)
    notes = [note for note in fault.notes if "R_" in note]
    for note in notes:
        place = re.search(r"\((\.\w+)\+0x([0-9a-f]+)\)", note)
        kind = re.search(r"`(R_\w+)`", note)
        assert place
        assert kind
        section, offset = place[1], int(place[2], 16)
        assert kind[1] in (relocations.get((section, offset)) or relocations[section, offset - 4]), note
    word = arch.target(target).bits // 8
    for note, (variable, index, name, overwritten) in zip(notes, NOTES.get(call, ()), strict=call in NOTES):
        offset = 8 + (index - 1) * word if variable == "table" else index * word
        start = f"`{variable}`" + (f"+{offset:#x}" if offset else "")
        assert note.startswith(f"{start} (")
        assert f" for `{name}`" in note
        assert ("was overwritten with 0x" in note) == overwritten
    if call == "data_call()":
        assert len(notes) == 1
        assert "for `limits`" in notes[0]


def readelf(obj: ElfObject, target: str) -> dict[tuple[str, int], set[str]]:
    """The types of relocation at each place, as binutils sees them."""
    program = need(PREFIX[arch.target(target).arch] + "readelf")
    text = subprocess.run([program, "-rW", obj.path], capture_output=True, text=True, check=True).stdout
    found: dict[tuple[str, int], set[str]] = {}
    section = ""
    for line in text.splitlines():
        if head := re.match(r"Relocation section '\.rela?(\.[\w.]+)'", line):
            section = head[1]
        elif entry := re.match(r"([0-9a-f]+)\s+[0-9a-f]+\s+(R_\w+)", line):
            found.setdefault((section, int(entry[1], 16)), set()).add(entry[2])
    return found


def test_cleared_pointers_are_counted(build: Build) -> None:
    _, fault = faulty(build, "cortex-m4", "gcc", "cleared()")
    assert fault.message == "`dispatch` calls a null pointer"
    assert [note for note in fault.notes if note.startswith("`table`+0x8 (.data+0x8) was overwritten with 0x00000000")]
    assert fault.notes[-1] == "and 1 more word of that kind"

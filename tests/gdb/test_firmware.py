"""GDB where other code runs, too: of a firmware, or of another extension. Oracle: GDB and the compilers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gdb.sessions import Extension, build, session
from llext_tools import arch
from needs import need

FIRMWARE = """\
struct entry { const char *name; const void *address; };
#define EXPORT(x) static const struct entry entry_##x \\
    __attribute__((section("llext_const_symbol_area"), used)) = { #x, (const void *)&x }
static int calls;
static int once(int (*function)(int), int value)
{
    calls++;
    return function(value) + 1; // calls back
}
int apply(int (*function)(int), int value, int times)
{
    for (int i = 0; i < times; i++) {
        value = once(function, value); // inner
    }
    return value;
}
EXPORT(apply);
void _start(void) {}
"""
EXTENSION = """\
extern int apply(int (*function)(int), int value, int times);
static int seen = 5;
static int twice(int x)
{
    seen += x; // twice
    return 2 * x;
}
int run(int x)
{
    int y = apply(twice, x, 2); // applies
    return y;
}
LL_EXTENSION_SYMBOL(run);
"""
PREFIXES = {"arm": "arm-none-eabi-", "riscv": "riscv64-unknown-elf-"}


def firmware(folder: Path, target: str) -> Path:
    cpu = arch.target(target)
    (folder / "firmware.c").write_text(FIRMWARE)
    options = [*cpu.cpu_flags, "-nostdlib", "-ffreestanding", "-g", "-O0", "-mcmodel=medany"]
    if cpu.arch == "arm":
        options.remove("-mcmodel=medany")
    compiler = need(f"{PREFIXES[cpu.arch]}gcc")
    at = f"-Wl,-Ttext={cpu.firmware_base[0]:#x},-Tdata={cpu.firmware_base[1]:#x}"
    command = [compiler, *options, at, "firmware.c", "-o", "firmware.elf"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "firmware.elf"


@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac"])
def test_backtrace_passes_through_the_firmware(target: str, tmp_path: Path) -> None:
    extension = build(tmp_path, EXTENSION, target)
    image = firmware(tmp_path, target)
    inside = Extension(image, tmp_path / "firmware.c", target)
    commands = ["break " + extension.at("twice"), "continue", "backtrace", "up", "info args", "continue", "print seen"]
    commands += ["print calls", "delete", "break once", "tbreak run", "finish", "finish", "continue"]
    done = session(extension, commands, "--call", "run(3)", "--firmware", str(image))
    frames = re.findall(r"^#(\d) .*?(\w+) \(.*\)(?: at (?:.*/)?(\S+))?$", done.gdb, re.MULTILINE)
    assert frames[:5] == [
        ("0", "twice", extension.at("twice")),
        ("1", "once", inside.at("calls back")),
        ("2", "apply", inside.at("inner")),
        ("3", "run", extension.at("applies")),
        ("4", "llext_host", ""),
    ]
    assert re.search(r"^function = 0x[0-9a-f]+ <twice>\nvalue = 3$", done.gdb, re.MULTILINE)
    assert "$1 = 8\n$2 = 2\n" in done.gdb, "5 + 3, not yet + 7; the second of two calls"
    assert "Value returned is $3 = 14" in done.gdb
    assert "Value returned is $4 = 15" in done.gdb
    assert done.llext == "run(3) = 15\n", "2 * (2 * 3 + 1) + 1"


FIRST = """\
static int base = 40;
int lift(int x)
{
    return x + base; // lifts
}
EXPORT_SYMBOL(lift);
"""
SECOND = """\
int lift(int x);
int run(int x)
{
    int y = lift(x); // asks
    return y;
}
LL_EXTENSION_SYMBOL(run);
"""


def test_two_extensions_with_files_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first, second = build(tmp_path / "first", FIRST, "cortex-m4"), build(tmp_path, SECOND, "cortex-m4")
    commands = ["break lift", "continue", "backtrace", "print base", "finish", "continue"]
    done = session(second, commands, "--call", "run(2)", "--extension", str(first.path))
    assert re.search(rf"^#0 .*lift \(x=2\) at {first.source}:{first.line('lifts')}$", done.gdb, re.MULTILINE)
    assert re.search(rf"^#1 .* run \(x=2\) at {second.source}:{second.line('asks')}$", done.gdb, re.MULTILINE)
    assert "$1 = 40\n" in done.gdb
    assert "Value returned is $2 = 42" in done.gdb
    assert done.llext == "run(2) = 42\n"

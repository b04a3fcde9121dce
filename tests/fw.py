"""A small firmware with a table of exports, for the tests: built from C by GCC for Arm."""

from __future__ import annotations

import subprocess
from pathlib import Path

from needs import need

SOURCE = """\
struct entry { const char *name; const void *address; };
#define EXPORT(x) static const struct entry entry_##x \\
    __attribute__((section("llext_const_symbol_area"), used)) = { #x, (const void *)&x }
int printk(const char *format, ...) { return format[0]; }
int counter = 5;
EXPORT(printk); EXPORT(counter);
char kheap_llext_heap[4096] __attribute__((aligned(8)));
static int hidden(int x) { return x + counter; }
int kept(void) { return hidden(1); }
int xkept(void) { return hidden(2); }
void _start(void) {}
"""
CC = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-ffreestanding", "-O1", "-fno-inline")


def build(folder: Path, source: str = SOURCE, *flags: str) -> Path:
    (folder / "fw.c").write_text(source)
    command = [need(CC[0]), *CC[1:], "-Wl,-Ttext=0x08000000", *flags, "fw.c", "-o", "fw.elf"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "fw.elf"

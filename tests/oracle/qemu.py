"""QEMU as an oracle: a second emulator, whole boards with their UARTs, runs what `llext run` runs.

The base image starts from reset on a board that QEMU has. Extensions lie in its heap for extensions, as linked; a
program in C, made for the case and compiled for the target, calls them. So it is the compiler that knows how arguments
travel. The program prints results as bits through the image's printk() and ends QEMU, by semihosting or by the device
for that.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from elftools.elf.elffile import ELFFile

from llext_tools.link.image import Image
from llext_tools.mem import Mem
from needs import need

BOOT_MAGIC = 0x4C4C_4558
PATIENCE = 60
"""Seconds after which QEMU is taken to hang: the image loops in its fault handler."""


class Board(NamedTuple):
    """A machine of QEMU, and where the image goes on it."""

    program: str
    machine: str
    flash: int
    ram: int
    uart: int
    kind: str  # of UART, as ``--mmio`` has it


def mps2(machine: str) -> Board:
    return Board("qemu-system-arm", machine, 0x0, 0x2000_0000, 0x4000_4000, "cmsdk-uart")


def virt(bits: int) -> Board:
    return Board(f"qemu-system-riscv{bits}", "virt", 0x8000_0000, 0x8010_0000, 0x1000_0000, "uart16550")


BOARDS = {
    "cortex-m0plus": mps2("mps2-an385"),  # a Cortex-M3, which runs all that Armv6-M has
    "cortex-m3": mps2("mps2-an385"),
    "cortex-m4": mps2("mps2-an386"),
    "cortex-m4f": mps2("mps2-an386"),
    "cortex-m7": mps2("mps2-an500"),
    "cortex-m33": Board(
        "qemu-system-arm", "mps2-an505", 0x1000_0000, 0x3800_0000, 0x5020_0000, "cmsdk-uart"
    ),  # all secure
    "rv32imac": virt(32),
    "rv32imafc": virt(32),
    "rv64gc": virt(64),
}
PROGRAM_AT = 0x10_0000
"""Bytes from the start of RAM: behind what the image has."""

PROGRAM = """\
#include <stddef.h>
#include <stdint.h>

#define printk ((void (*)(const char *, ...)){printk:#x})

static void call_all(uintptr_t table, unsigned int count)
{{
	for (unsigned int i = 0; i < count; i++) {{
		((void (**)(void))table)[i]();
	}}
}}

/* All bits of a result; the next character is the extension's again. */
static void show(const void *result, unsigned int size)
{{
	printk("\\x02");
	for (unsigned int i = size; i-- > 0;) {{
		printk("%02x", ((const unsigned char *)result)[i]);
	}}
	printk("\\x03");
}}

static void leave(void)
{{
#if defined(__arm__)
	register unsigned int operation __asm__("r0") = 0x18; /* SYS_EXIT */
	register unsigned int reason __asm__("r1") = 0x20026; /* ADP_Stopped_ApplicationExit */

	__asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(reason));
#else
	*(volatile uint32_t *)0x100000 = 0x5555;
#endif
	for (;;) {{
	}}
}}

__attribute__((used, section(".text.start"))) void start(void)
{{
{body}
	leave();
}}
"""


class Call(NamedTuple):
    """A call of a C function at an address (with the Thumb bit): the type of it, its result's type, its arguments.

    ``type``: with ``(*)`` in place of the name. ``result``: ``""`` for void.
    """

    type: str
    address: int
    arguments: str
    result: str


class Answer(NamedTuple):
    """``results``: the bits of each call's result; a string's characters. ``output``: all else that came by UART."""

    results: tuple[int | bytes, ...]
    output: str


def program(images: Sequence[Image], calls: Iterable[Call], printk: int) -> str:
    """C that brings the extensions up, makes the calls and tears the extensions down."""
    word = images[0].obj.bits // 8
    lines = [_arrays(image, mem, word) for image in images for mem in (Mem.PREINIT, Mem.INIT)]
    for call in calls:
        made = f"(({call.type}){call.address:#x})({call.arguments})"
        if not call.result:
            lines.append(f"{made}; show(NULL, 0);")
        elif call.result == "const char *":
            lines.append(f'printk("\\x02\\"%s\\x03", {made});')
        else:
            lines.append(f"{{ {call.result} result = {made}; show(&result, sizeof(result)); }}")
    lines += [_arrays(image, Mem.FINI, word) for image in reversed(images)]
    return PROGRAM.format(printk=printk, body="".join(f"\t{line}\n" for line in lines if line))


def _arrays(image: Image, mem: Mem, word: int) -> str:
    data = image.mem.get(mem)
    return f"call_all({image.layout.base[mem]:#x}, {data.size // word});" if data is not None else ""


def run(board: Board, firmware: Path, start: Path, images: Iterable[Image], folder: Path) -> Answer:
    """Reset the board with all that in its memory; returns what came by UART.

    Args:
        start: the program, linked for ``PROGRAM_AT``.
    """
    command = [need(board.program), "-M", board.machine, "-display", "none", "-monitor", "none", "-serial", "stdio"]
    command += ["-semihosting-config", "enable=on,target=native"]
    if board.machine == "virt":
        command += ["-bios", "none"]
    with firmware.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        request = symbols.get_symbol_by_name("boot_request")[0]["st_value"]
    with start.open("rb") as file:
        elf = ELFFile(file)
        word = elf.elfclass // 8
        thumb = elf["e_machine"] == "EM_ARM"
        entry = (elf["e_entry"] | thumb).to_bytes(word, "little")
    pieces = [*_segments(firmware), *_segments(start), (request, BOOT_MAGIC.to_bytes(word, "little") + entry)]
    for image in images:
        pieces += [(base, image.mem[mem].tobytes()) for mem, base in image.layout.base.items() if mem in image.mem]
    for i, (address, data) in enumerate(pieces):
        if data:
            (folder / f"{i}.bin").write_bytes(data)
            command += ["-device", f"loader,file={folder / f'{i}.bin'},addr={address:#x},force-raw=on"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return parse(done.stdout)


def parse(text: bytes) -> Answer:
    """Results stand between \\x02 and \\x03."""
    results: list[int | bytes] = []
    output = b""
    for part in text.split(b"\x02"):
        result, end, rest = part.rpartition(b"\x03")
        if end:
            results.append(result[1:] if result.startswith(b'"') else int(result or b"0", 16))
        output += rest
    return Answer(tuple(results), output.decode())


def _segments(path: Path) -> list[tuple[int, bytes]]:
    """What a debugger would load: load addresses and contents."""
    with path.open("rb") as file:
        return [(s["p_paddr"], s.data()) for s in ELFFile(file).iter_segments("PT_LOAD") if s["p_filesz"]]

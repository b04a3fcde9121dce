"""A stand-in for what `west build -t llext-edk` makes: a small kit of the same shape, for any CPU and in any format.

Its headers are few and short, its flags are those that Zephyr's builds have: what GCC alone knows, what a linker wants,
folders of the machine that built the firmware. ``new`` is how Zephyr writes the two files since 4.1, ``old`` how it did
before: without quotes, and in the first version with a variable for the folder. ``shell`` is what the flags become
since 4.4, which takes them from a compiler's command line and splits that at each space.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import zstandard

NAME = "llext-edk"
FORMATS = ("tar.xz", "tar.gz", "tar.Z", "zip")
Flavour = Literal["new", "shell", "old", "first"]
BOARD = {
    "NAME": "qemu_board",
    "QUALIFIERS": "soc/cpu0",
    "REVISION": "cmake-board-revision-NOTFOUND",
    "TARGET": "qemu_board_soc_cpu0",
}
"""``..._BOARD_*``; a board without revisions has the answer of CMake's JSON reader there."""

CPU = {
    "cortex-m4": ("-mcpu=cortex-m4", "-mthumb", "-mabi=aapcs", "-mfloat-abi=soft"),
    "cortex-m7": ("-mcpu=cortex-m7", "-mthumb", "-mabi=aapcs", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
    "rv32imac": ("-march=rv32imac_zicsr_zifencei", "-mabi=ilp32"),
    "rv64gc": ("-march=rv64imafdc_zicsr_zifencei", "-mabi=lp64d", "-mcmodel=medany"),
}

DEFINES = (
    "-DKERNEL",
    "-D__ZEPHYR__=1",
    '-DBOARD_NAME="qemu board"',
    "-DPOOL_SIZE=4*1024",
    "-DLL_EXTENSION_BUILD",
)
COMMON = (
    "-fno-strict-aliasing",
    "-O2",
    "-fno-common",
    "-Wall",
    "-Wno-pointer-sign",
    "-Werror=implicit-int",
    "-Wexpansion-to-defined",
    "-fno-asynchronous-unwind-tables",
    "-fno-reorder-functions",
    "--param=min-pagesize=0",
    "-fno-defer-pop",
    "-specs=picolibc.specs",
    "--sysroot=/opt/sdk/sysroot",
    "-std=c17",
    "-nodefaultlibs",
)
ARM = ("-mfp16-format=ieee", "-mtp=soft", "-mlong-calls")

GENERATED = "include/zephyr/include/generated"
INCLUDES = (f"{GENERATED}/zephyr", "include/zephyr/include", GENERATED)
IMACROS = f"{GENERATED}/zephyr/autoconf.h"

HEADERS = {
    IMACROS: "#define CONFIG_LLEXT 1\n#define CONFIG_STANDS_FOR 42\n",
    "include/zephyr/include/zephyr/kernel.h": """\
#ifndef STAND_IN_KERNEL_H
#define STAND_IN_KERNEL_H
#ifndef CONFIG_STANDS_FOR
#error the configuration was not read first
#endif
#ifndef _ASMLANGUAGE
#include <stdint.h>
#include <stddef.h>
#include <zephyr/toolchain.h>
#include <zephyr/sys/printk.h>
#include <zephyr/syscalls/kernel.h>
#endif
#endif
""",
    "include/zephyr/include/zephyr/toolchain.h": """\
#ifndef STAND_IN_TOOLCHAIN_H
#define STAND_IN_TOOLCHAIN_H
#define TEXT_OF_(word) #word
#define TEXT_OF(word) TEXT_OF_(word)
#endif
""",
    "include/zephyr/include/zephyr/sys/printk.h": """\
#ifndef STAND_IN_PRINTK_H
#define STAND_IN_PRINTK_H
#ifdef __cplusplus
extern "C"
#endif
void printk(const char *format, ...);
static inline int counted(unsigned int a)
{
	int unused;
	printk("counted\\n");
	return a > -1 ? 1 : a;
}
#endif
""",
    "include/zephyr/include/zephyr/llext/symbol.h": """\
#ifndef STAND_IN_SYMBOL_H
#define STAND_IN_SYMBOL_H
#include <zephyr/toolchain.h>
struct llext_symbol { const char *name; void *addr; };
#ifndef LL_EXTENSION_BUILD
#error an EDK is for extensions
#endif
#define LL_EXTENSION_SYMBOL(symbol) \\
	struct llext_symbol __attribute__((section(".exported_sym"), used)) export_##symbol = \\
	{TEXT_OF(symbol), (void *)&symbol}
#define EXPORT_SYMBOL(symbol) LL_EXTENSION_SYMBOL(symbol)
#endif
""",
    f"{GENERATED}/zephyr/syscalls/kernel.h": """\
#ifndef STAND_IN_SYSCALLS_H
#define STAND_IN_SYSCALLS_H
#define CONFIG_OF_THE_KIT CONFIG_STANDS_FOR
#endif
""",
}


def base_flags(target: str, more: Sequence[str] = ()) -> list[str]:
    """What ``LLEXT_BASE_CFLAGS`` has, one word each."""
    arm = ARM if target.startswith("cortex") else ()
    return [*DEFINES, *COMMON, *arm, *CPU[target], *more]


def make(
    folder: Path, target: str, *, flavour: Flavour = "new", more: Sequence[str] = (), includes: Sequence[str] = ()
) -> Path:
    """Write a kit below ``folder`` and return its own folder. ``includes``: further ones, that are not made."""
    root = folder / NAME
    for name, text in HEADERS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    base = base_flags(target, more)
    if flavour == "shell":
        base = command_line(base)
    words = [*base, f"-imacros@/{IMACROS}", *(f"-I@/{each}" for each in (*INCLUDES, *includes))]
    sets = {
        "LLEXT_CFLAGS": words,
        "LLEXT_ALL_INCLUDE_CFLAGS": [word for word in words if word.startswith("-I")],
        "LLEXT_BASE_CFLAGS": base,
    }
    writer = {"new": quoted, "shell": quoted, "old": plain, "first": plain}[flavour]
    here = "${LLEXT_EDK_INSTALL_DIR}" if flavour == "first" else "${CMAKE_CURRENT_LIST_DIR}"
    cmake, makefile = writer(sets, target)
    (root / "cmake.cflags").write_text(cmake.replace("@", here))
    (root / "Makefile.cflags").write_text(makefile.replace("@", "$(LLEXT_EDK_INSTALL_DIR)"))
    return root


def command_line(words: Sequence[str]) -> list[str]:
    """These words as CMake writes them for a shell, with the definitions first, split at each space."""

    def escaped(word: str) -> str:
        inner = word.replace("\\", "\\\\").replace('"', '\\"')
        name, equals, value = inner.partition("=")
        return f'{name}{equals}"{value}"' if set(word) & set(" *()<>;|&") else inner

    own = "-DLL_EXTENSION_BUILD"
    defines = sorted(word for word in words if word.startswith("-D") and word != own)
    others = [word for word in words if not word.startswith("-D")]
    return [*" ".join(escaped(word) for word in (*defines, *others)).split(" "), own]


def quoted(sets: dict[str, list[str]], target: str) -> tuple[str, str]:
    def escaped(word: str) -> str:
        return word.replace("\\", "\\\\").replace('"', '\\"')

    del target
    cmake = "\n# Target information\n" + "".join(f'set(LLEXT_EDK_BOARD_{key} "{BOARD[key]}")\n' for key in BOARD)
    makefile = "\n# Target information\n" + "".join(f'LLEXT_EDK_BOARD_{key} = "{BOARD[key]}"\n' for key in BOARD)
    cmake, makefile = (text + "\n# Compile flags\n" for text in (cmake, makefile))
    for name, words in sets.items():
        cmake += f'set({name} "{";".join(map(escaped, words))}")\n'
        makefile += f"{name} = " + " ".join(f'"{escaped(word)}"' for word in words) + "\n"
    return cmake, makefile


def plain(sets: dict[str, list[str]], target: str) -> tuple[str, str]:
    """The old way cannot tell a space in a word; the word with one is left out, as no board had any."""
    del target
    lists = {name: [word for word in words if " " not in word] for name, words in sets.items()}
    cmake = "\n\n".join(f"set({name} {';'.join(words[:3])} {';'.join(words[3:])})" for name, words in lists.items())
    return cmake, "\n\n".join(f"{name} = {' '.join(words)}" for name, words in lists.items())


def pack(root: Path, format: str) -> Path:
    """The archive of a kit, beside it."""
    archive = root.parent / f"{root.name}.{format}"
    if format == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(root.rglob("*")):
                file.write(path, path.relative_to(root.parent))
        return archive
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(root, root.name)
    compress: dict[str, Callable[[bytes], bytes]] = {
        "tar.xz": lzma.compress,
        "tar.gz": gzip.compress,
        "tar.Z": zstandard.compress,
    }
    archive.write_bytes(compress[format](data.getvalue()))
    return archive

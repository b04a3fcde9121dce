"""A firmware to check against, of a real one's size: C sources of many units, their headers, and an extension for it.

Each unit defines functions that take the structures of a common header, as a kernel's subsystems do; all of them are
exported. ``write()`` makes the sources, ``COMPILE`` and ``LINK`` are the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

UNITS, FUNCTIONS = 200, 20  # 4,000 symbols
STRUCTS = 16
USED = 10  # imports of the extension, each from another unit

CPU = ("-mcpu=cortex-m4", "-mthumb", "-mlong-calls", "-Os", "-g", "-ffreestanding")

HEADER = """\
#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
struct node { struct node *next, *prev; };
enum state { STATE_OFF, STATE_IDLE, STATE_BUSY, STATE_FAILED };
typedef int (*handler_t)(struct node *node, enum state state, void *data);
"""


def header() -> str:
    """Structures that hold and refer to each other."""
    lines = [HEADER]
    for i in range(STRUCTS):
        earlier = f"struct s{i - 1} inner; struct s{i // 2} *owner;" if i % 3 == 2 else "struct node node;"
        lines.append(
            f"struct s{i} {{ uint32_t id; {earlier} enum state state; handler_t handler; uint8_t name[{8 + i}];\n"
            f"  size_t length; union {{ int32_t value; float ratio; }}; bool ready : 1, busy : 1; }};"
        )
    lines += [f"extern {prototype(unit, f)};" for unit in range(UNITS) for f in range(FUNCTIONS)]
    return "\n".join(lines) + "\n"


def name(unit: int, f: int) -> str:
    return f"subsys{unit}_operation{f}"


def prototype(unit: int, f: int) -> str:
    a, b = (unit + f) % STRUCTS, (unit * 7 + f) % STRUCTS
    return f"int {name(unit, f)}(struct s{a} *self, const struct s{b} *other, uint32_t flags, size_t count)"


def source(unit: int) -> Iterator[str]:
    yield '#include "firmware.h"\n'
    yield "struct symbol { const char *name; const void *address; };\n"
    yield f"static struct s{unit % STRUCTS} instances{unit}[2];\n"
    for f in range(FUNCTIONS):
        yield f"{prototype(unit, f)}\n{{\n"
        yield f"  return (int)(self->id + instances{unit}[count & 1].id + flags + (other ? other->length : {f}));\n}}\n"
        yield (
            f'__attribute__((section("llext_const_symbol_area"), used)) static const struct symbol\n'
            f'  entry{f} = {{"{name(unit, f)}", (const void *){name(unit, f)}}};\n'
        )


def extension() -> str:
    """Calls functions of different units."""
    called = [name(unit * (UNITS // USED), unit) for unit in range(USED)]
    lines = ['#include "firmware.h"', "static struct s5 mine;", "int run(void)", "{", "  int sum = 0;"]
    lines += [f"  sum += {each}((void *)&mine, (const void *)&mine, {i}, 4);" for i, each in enumerate(called)]
    lines += ["  return sum;", "}", "struct symbol { const char *name; const void *address; };"]
    lines.append('__attribute__((section(".exported_sym"), used)) static const struct symbol entry = {"run", run};')
    return "\n".join(lines) + "\n"


SCRIPT = """\
SECTIONS
{
  .text 0x08000000 : { *(.text .text.*) }
  .rodata : { *(.rodata .rodata.*) }
  llext_const_symbol_area : { KEEP(*(llext_const_symbol_area)) }
  .data 0x20000000 : { *(.data .data.*) }
  .bss : { *(.bss .bss.*) }
  /DISCARD/ : { *(.ARM.exidx* .ARM.extab*) }
}
"""


def write(folder: Path) -> list[str]:
    """All sources, and ``firmware.ld``; the names of the firmware's C files."""
    (folder / "firmware.h").write_text(header())
    (folder / "firmware.ld").write_text(SCRIPT)
    (folder / "extension.c").write_text(extension())
    for unit in range(UNITS):
        (folder / f"unit{unit}.c").write_text("".join(source(unit)))
    return [f"unit{unit}.c" for unit in range(UNITS)]

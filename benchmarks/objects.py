"""Large objects to measure with: assembly of a chosen shape, and the symbols that it imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

IMPORTS = 200  # functions of the host, within reach of a BL


class Shape(NamedTuple):
    """``functions`` functions, as many data objects, and with ``pool`` as many static variables.

    Each function has ``calls``, MOVW/MOVT ``pairs`` (two relocations each) and a literal ``pool`` of addresses behind
    it; each object has ``words`` that hold addresses. GNU ld's time goes by the number of symbols.
    """

    name: str
    functions: int
    calls: int
    pairs: int
    pool: int
    words: int
    why: str

    @property
    def relocations(self) -> int:
        return self.functions * (self.calls + 2 * self.pairs + self.pool + self.words)


SHAPES = (
    Shape(
        name="as compiled",
        functions=90_000,
        calls=2,
        pairs=0,
        pool=4,
        words=4,
        why="2 relocations a symbol. GCC 12 -Os -mlong-calls made 200,000 relocations and 100,000 symbols of 20,000 C"
        " functions, each with a static variable and a table entry: two symbols of five mark where code and data begin",
    ),
    Shape("few statics", 100_000, 3, 1, 0, 4, "4.5 relocations a symbol: addresses by MOVW and MOVT, no literal pools"),
    Shape("few symbols", 1_000, 300, 150, 0, 300, "450 relocations a symbol: kind to GNU ld"),
)
"""The first one is what the targets are for."""


def assembly(shape: Shape) -> Iterator[str]:
    """Thumb-2 code. A third of the calls goes to the host, the others stay inside."""
    n = shape.functions
    yield ".syntax unified\n.cpu cortex-m4\n.thumb\n.text\n"
    for f in range(n):
        yield f".globl f{f}\n.thumb_func\n.type f{f}, %function\nf{f}:\n"
        for k in range(shape.calls):
            yield f"bl host{(f * 3 + k) % IMPORTS}\n" if k % 3 == 2 else f"bl f{(f * 7 + k * 11) % n}\n"
        for k in range(shape.pairs):
            d = (f + k) % n
            yield f"movw r0, #:lower16:d{d}\nmovt r0, #:upper16:d{d}\n"
        if shape.pool:
            yield "bx lr\n.balign 4\n"
            pool = (f"s{f}", f"host{f % IMPORTS}", f"d{f * 31 % n}", f"f{f * 13 % n}")
            for k in range(shape.pool):
                yield f".word {pool[k % len(pool)]}\n"
        yield f".size f{f}, . - f{f}\n"
    if shape.pool:
        yield ".bss\n"
        for f in range(n):
            yield f".type s{f}, %object\n.size s{f}, 4\ns{f}: .space 4\n"
    yield ".data\n"
    for f in range(n):
        yield f".globl d{f}\n.type d{f}, %object\nd{f}:\n"
        for k in range(shape.words):
            yield f".word f{(f * 13 + k) % n}\n" if k % 3 else f".word d{(f * 5 + k) % n}\n"
        yield f".size d{f}, . - d{f}\n"


def exports() -> str:
    """The host's symbols as a linker script, which both linkers read. Bit 0 marks Thumb code."""
    return "".join(f"host{i} = {0x2080_0001 + 16 * i:#x};\n" for i in range(IMPORTS))


SCRIPT = """INCLUDE exports.ld
SECTIONS
{
  .text 0x20010000 : { *(.text) }
  .data : { *(.data) }
  .bss : { *(.bss) }
}
"""
"""For GNU ld: the addresses that ``llext link --at 0x20010000`` gives."""

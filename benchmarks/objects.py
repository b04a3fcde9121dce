"""Large objects to measure with: assembly of a chosen shape, and the symbols that it imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

IMPORTS = 200  # functions of the host, within reach of a BL


class Shape(NamedTuple):
    """``functions`` functions and as many data objects; each function has calls and MOVW/MOVT pairs (two relocations
    each), each object words that hold addresses. Every second function has half of ``pairs`` more."""

    name: str
    functions: int
    calls: int
    pairs: int
    words: int
    why: str

    @property
    def relocations(self) -> int:
        more = self.functions // 2 * (self.pairs // 2 or 1)
        return self.functions * (self.calls + 2 * self.pairs + self.words) + 2 * more


SHAPES = (
    Shape("many symbols", 100_000, 3, 1, 3, "4 to 5 relocations a symbol, as compiled code has"),
    Shape("few symbols", 1_000, 300, 120, 300, "450 relocations a symbol: kind to GNU ld, whose time goes by symbols"),
)


def assembly(shape: Shape) -> Iterator[str]:
    """Thumb-2 code. A third of the calls goes to the host, the others stay inside."""
    n = shape.functions
    yield ".syntax unified\n.cpu cortex-m4\n.thumb\n.text\n"
    for f in range(n):
        yield f".globl f{f}\n.thumb_func\n.type f{f}, %function\nf{f}:\n"
        for k in range(shape.calls):
            yield f"bl host{(f * 3 + k) % IMPORTS}\n" if k % 3 == 2 else f"bl f{(f * 7 + k * 11) % n}\n"
        for k in range(shape.pairs + (f % 2) * (shape.pairs // 2 or 1)):
            d = (f + k) % n
            yield f"movw r0, #:lower16:d{d}\nmovt r0, #:upper16:d{d}\n"
        yield f".size f{f}, . - f{f}\n"
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
}
"""
"""For GNU ld: the addresses that ``llext link --at 0x20010000`` gives."""

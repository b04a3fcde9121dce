"""What a value consists of when it is passed by value: the scalars in it, whatever structures are around them.

Procedure call standards decide by these whether a value travels in FPU registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from llext_tools.c.types import CType

MOST = 8  # scalars that are told apart: no standard passes more than four in registers
POINTER = "*"
UNKNOWN = "?"  # a type that is incomplete
UNION = "union"  # in front of what a union holds
INTEGERS = ("int", "uint", "bool", "pointer")
"""Kinds of values that never travel in FPU registers."""
LETTERS = {"int": "i", "uint": "u", "float": "f", "bool": "b"}


class Leaf(NamedTuple):
    """A scalar ``offset`` bytes from the start of a value: ``i32``, ``f64``, ``*``; of a bit-field its own width."""

    offset: int
    scalar: str
    size: int


@lru_cache(maxsize=4096)
def leaves(ctype: CType) -> tuple[Leaf, ...]:
    """The first scalars of a type, in the order of memory.

    A union gives ``UNION`` and then the most that one of its members has, if they all are of one kind.
    """
    return tuple(islice(_leaves(ctype, 0), MOST + 1))


def scalars(ctype: CType) -> tuple[str, ...]:
    """What ``leaves()`` are."""
    return tuple(leaf.scalar for leaf in leaves(ctype))


def _leaves(ctype: CType, at: int) -> Iterator[Leaf]:
    record = ctype.record
    if ctype.kind == "pointer":
        yield Leaf(at, POINTER, ctype.size)
    elif ctype.kind in LETTERS:
        yield Leaf(at, f"{LETTERS[ctype.kind]}{8 * ctype.size}", ctype.size)
    elif ctype.kind == "array" and ctype.to is not None:
        for i in range(min(ctype.length or 0, MOST + 1 if ctype.to.size else 1)):
            yield from _leaves(ctype.to, at + i * ctype.to.size)
    elif ctype.kind != "void" and record is None:
        yield Leaf(at, UNKNOWN, ctype.size)
    elif record is not None and record.kind == "union":
        found = [tuple(islice(_leaves(field.type, at), MOST + 1)) for field in record.fields]
        alike = len({leaf.scalar for each in found for leaf in each}) == 1
        yield Leaf(at, UNION, 0)
        yield from max(found, key=len) if alike else (Leaf(at, UNKNOWN, ctype.size),)
    elif record is not None:
        for field in record.fields:
            if field.bits:
                yield Leaf(at + field.offset, f"u{field.bits}", field.size)
            else:
                yield from _leaves(field.type, at + field.offset)

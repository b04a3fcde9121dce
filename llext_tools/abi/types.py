"""Interfaces as values: signatures of symbols and layouts of the types that they reach, in a notation of their own.

Two compilers spell one type differently: ``uint32_t`` is ``unsigned int`` for one and ``unsigned long`` for the other.
What counts is the notation, in which equal text means the same binary interface:

    i8 u8 i16 u16 i32 u32 i64 u64   integers by sign and width in bits; plain char is u8
    f16 f32 f64 f128 b8 void        floating point, bool
    *T                              a pointer or reference to T; const and volatile are left out everywhere
    [n]T                            an array of n; [] if the length is not known
    fn(T, T, ...) -> T              a function
    struct tag, union tag, enum tag a type of ``Interface.types``, or one that is incomplete on this side

A type without a tag goes by its typedef, else by where it stands: ``struct outer.member``. Class and struct are one.
Of several types of one tag, in different files of a program, the second one is ``struct tag#2``. Rare scalars are named
alike: ``i128``, ``c64`` for a complex number, ``d64`` for a decimal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Member(NamedTuple):
    """A member at ``offset`` bytes, or ``bits`` bits from bit ``offset`` on if it is a bit-field.

    Of an enumeration: a name and its value, as ``offset``.
    """

    name: str
    offset: int
    type: str  # in the notation above; "" of an enumeration
    spelling: str  # as C has it, with its typedefs: ``uint32_t``
    bits: int = 0


class Layout(NamedTuple):
    """A complete type: bytes and members in the order of their declaration."""

    kind: Literal["struct", "union", "enum"]
    size: int
    members: tuple[Member, ...]


class Param(NamedTuple):
    name: str  # "" where the declaration has none
    type: str
    spelling: str


class Signature(NamedTuple):
    """A function's result and parameters; of a variable ``params`` is None and ``result`` its type."""

    result: str
    spelling: str  # of the result, as C has it
    params: tuple[Param, ...] | None
    variadic: bool = False


class Interface(NamedTuple):
    """``symbols`` by their names in the symbol table, ``types`` by ``struct tag``: complete ones only."""

    symbols: Mapping[str, Signature]
    types: Mapping[str, Layout]

"""C's types as they pass between host and extension: a kind, a size, a name, and what they consist of.

Sources: aapcs32 (2024Q3), "Arm C and C++ language mappings"; RISC-V psABI 1.0, "C/C++ type details". On both, plain
``char`` is unsigned, each scalar is aligned to its size, and ``long`` is as wide as a pointer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Hashable, Mapping
from functools import cache, cached_property, lru_cache
from typing import Literal, NamedTuple, TypeAlias

Kind = Literal["void", "bool", "int", "uint", "float", "pointer", "record", "array", "function"]
Value: TypeAlias = "int | float | None"


class CType(NamedTuple):
    """A type: ``size`` in bytes, ``name`` as C spells it, ``to`` what a pointer points to or an array is made of.

    An enumeration is an integer with an ``Enum`` as ``made_of``. A record without a ``Record`` is incomplete, or
    something that no register has, such as a complex number.
    """

    kind: Kind
    size: int
    name: str
    to: CType | None = None
    length: int | None = None  # elements of an array; None also if nobody knows: it is a flexible array member
    made_of: Record | Enum | Prototype | None = None

    @property
    def align(self) -> int:
        """Bytes. Nothing tells what ``alignas`` has added; that a record is packed is concluded from its layout."""
        return _align_of(self) if self.kind in ("array", "record") else max(self.size, 1)

    @property
    def record(self) -> Record | None:
        return self.made_of if isinstance(self.made_of, Record) else None

    @property
    def enum(self) -> Enum | None:
        return self.made_of if isinstance(self.made_of, Enum) else None

    @property
    def function(self) -> Prototype | None:
        """Of a function, or a pointer to one."""
        if self.kind == "pointer" and self.to is not None and self.to.kind == "function":
            return self.to.function
        return self.made_of if isinstance(self.made_of, Prototype) else None

    @property
    def is_char(self) -> bool:
        return self.name in ("char", "const char", "volatile char", "const volatile char")

    @property
    def is_text(self) -> bool:
        """Whether it is a pointer to ``char``, const or not."""
        return self.kind == "pointer" and self.to is not None and self.to.name.split()[-1:] == ["char"]

    @property
    def is_void(self) -> bool:
        return self.kind == "void"

    @property
    def is_scalar(self) -> bool:
        """Whether it has one value: a number or an address."""
        return self.kind in ("bool", "int", "uint", "float", "pointer")

    def pointer(self) -> str:
        """How C spells a pointer to this type."""
        if self.kind == "function":
            returned, _, params = self.name.partition("(")
            return f"{returned.rstrip()} (*)({params}"
        return f"{self.name}*" if self.name.endswith("*") else f"{self.name} *"

    def array(self, length: int | None) -> CType:
        """An array of this type."""
        name, bracket, rest = self.name.partition("[")
        spelled = f"{name}{'' if bracket else ' '}[{'' if length is None else length}]{bracket}{rest}"
        return CType("array", self.size * (length or 0), spelled, self, length)


class Field(NamedTuple):
    """A member, ``offset`` bytes from the start; a bit-field of ``bits`` bits from bit ``shift`` of the byte there on.

    A member without a name is a struct or union whose members count as those of what is around it.
    """

    name: str
    offset: int
    type: CType
    bits: int = 0
    shift: int = 0

    @property
    def size(self) -> int:
        """Bytes that it is in."""
        return (self.shift + self.bits + 7) // 8 if self.bits else self.type.size


class Record:
    """What a struct or union consists of. Two are the same if they have one tag and one layout.

    Args:
        layout: anything that tells it from other layouts.
        fields: makes the members when they are asked for, as a type may refer to itself.
    """

    def __init__(
        self, kind: Literal["struct", "union"], tag: str, layout: Hashable, fields: Callable[[], tuple[Field, ...]]
    ) -> None:
        self.kind, self.tag, self.layout = kind, tag, layout
        self._make = fields

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        return self._make()

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """All members, also those of members without a name, at their offset from the start of this one."""
        found: dict[str, Field] = {}
        for field in self.fields:
            inner = field.type.record
            if field.name:
                found.setdefault(field.name, field)
            elif inner is not None:
                for name, each in inner.by_name.items():
                    found.setdefault(name, each._replace(offset=field.offset + each.offset))
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and (self.tag, self.layout) == (other.tag, other.layout)

    def __hash__(self) -> int:
        return hash(self.tag)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.tag}>".replace("> >", ">>")


class Enum(NamedTuple):
    """The named constants of an enumeration, in their order."""

    names: tuple[tuple[str, int], ...]

    def name_of(self, value: int) -> str:
        """The first constant of that value, "" if there is none."""
        return next((name for name, each in self.names if each == value), "")

    def value_of(self, name: str) -> int | None:
        return dict(self.names).get(name)


class Prototype(NamedTuple):
    """What a function takes and returns. ``variadic``: more arguments may follow ``params``."""

    name: str
    result: CType
    params: tuple[CType, ...]
    variadic: bool = False
    names: tuple[str, ...] = ()  # of the parameters, where they are known; "" of one that has none

    def __str__(self) -> str:
        params = [p.name for p in self.params] + ["..."] * self.variadic
        return f"{self.result.name} {self.name}({', '.join(params) or 'void'})".replace("* ", "*")


class DataModel(NamedTuple):
    """The sizes that C leaves open: ``bits`` of a pointer and of ``long``, bytes of a ``long double``."""

    bits: Literal[32, 64]
    long_double: Literal[8, 16]

    @property
    def word(self) -> int:
        return self.bits // 8

    @property
    def types(self) -> Mapping[str, CType]:
        """The types that have a name: ``unsigned long`` and ``size_t`` alike."""
        return _types(self)

    def pointer(self, to: CType) -> CType:
        return CType("pointer", self.word, to.pointer(), to)


@cache
def _types(model: DataModel) -> dict[str, CType]:
    word = model.word
    table: list[tuple[str, Kind, int]] = [
        ("void", "void", 0),
        ("bool", "bool", 1),
        ("_Bool", "bool", 1),
        ("char", "uint", 1),
        ("signed char", "int", 1),
        ("unsigned char", "uint", 1),
        ("short", "int", 2),
        ("unsigned short", "uint", 2),
        ("int", "int", 4),
        ("unsigned int", "uint", 4),
        ("long", "int", word),
        ("unsigned long", "uint", word),
        ("long long", "int", 8),
        ("unsigned long long", "uint", 8),
        ("float", "float", 4),
        ("double", "float", 8),
        ("long double", "float", model.long_double),
        *((f"int{bits}_t", "int", bits // 8) for bits in (8, 16, 32, 64)),
        *((f"uint{bits}_t", "uint", bits // 8) for bits in (8, 16, 32, 64)),
        ("size_t", "uint", word),
        ("ssize_t", "int", word),
        ("ptrdiff_t", "int", word),
        ("intptr_t", "int", word),
        ("uintptr_t", "uint", word),
        ("intmax_t", "int", 8),
        ("uintmax_t", "uint", 8),
        ("wchar_t", "uint", 4),
        ("wint_t", "uint", 4),
        ("k_ticks_t", "int", 8),
        ("k_timeout_t", "int", 8),  # a struct of one k_ticks_t: on both ABIs it travels as its member does
    ]
    types = {name: CType(kind, size, name) for name, kind, size in table}
    types["va_list"] = CType("pointer", word, "va_list", types["void"])  # one pointer on both ABIs
    return types


@lru_cache(maxsize=4096)
def _align_of(ctype: CType) -> int:
    """Of a structure the greatest alignment of a member. What is not aligned in it is packed."""
    if ctype.kind == "array" and ctype.to is not None:
        return ctype.to.align
    record, most = ctype.record, 1
    for field in record.fields if record is not None else ():
        align = field.type.align
        while not field.bits and field.offset % align:
            align //= 2
        most = max(most, align)
    while ctype.size % most:
        most //= 2
    return most


def encode(ctype: CType, value: Value) -> bytes:
    """A value as memory holds it. Integers wrap to the type's size, as a C conversion does."""
    if ctype.kind == "float":
        return _float_bytes(ctype.size, float(value if value is not None else 0))
    if ctype.kind == "bool":
        return bytes([bool(value)])
    return (int(value or 0) & ((1 << 8 * ctype.size) - 1)).to_bytes(ctype.size, "little")


def decode(ctype: CType, data: bytes) -> Value:
    """The value of ``type.size`` bytes of memory; None for void."""
    if ctype.kind == "void":
        return None
    if ctype.kind == "float":
        return _float_of(data)
    if ctype.kind == "bool":
        return int(data[0] != 0)
    return int.from_bytes(data, "little", signed=ctype.kind == "int")


def widen(ctype: CType, data: bytes, word: int) -> bytes:
    """An integer as a register of ``word`` bytes holds it: extended by its sign to 32 bits, from there as signed.

    The second step is RISC-V's rule; the other ABIs leave the upper bits open.
    """
    value = int.from_bytes(data, "little", signed=ctype.kind == "int")
    if len(data) <= 4 < word:
        value = ((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000
    return (value & ((1 << 8 * word) - 1)).to_bytes(word, "little")


FLOAT_FORMATS = {2: "<e", 4: "<f", 8: "<d"}
"""What ``struct`` calls a number of so many bytes."""


def _float_bytes(size: int, value: float) -> bytes:
    if size not in FLOAT_FORMATS:
        return _binary128(value)
    try:
        return struct.pack(FLOAT_FORMATS[size], value)
    except OverflowError:  # as a C conversion rounds it
        return struct.pack(FLOAT_FORMATS[size], math.copysign(math.inf, value))


def _float_of(data: bytes) -> float:
    if len(data) in FLOAT_FORMATS:
        return float(struct.unpack(FLOAT_FORMATS[len(data)], data)[0])
    sign, exponent, fraction = split_float(data)
    if exponent == 0x7FFF:
        return math.nan if fraction else (-math.inf if sign else math.inf)
    mantissa, shift = fraction | (1 << 112 if exponent else 0), max(exponent, 1) - 16383 - 112
    try:
        value = float(mantissa << shift) if shift >= 0 else mantissa / (1 << -shift)  # both round once
    except OverflowError:
        value = math.inf
    return -value if sign else value


FLOAT_BITS = {2: (5, 10), 4: (8, 23), 8: (11, 52), 16: (15, 112)}
"""Bits of exponent and fraction of an IEEE 754 number of so many bytes."""


def split_float(data: bytes) -> tuple[int, int, int]:
    """Sign, biased exponent and fraction field of an IEEE 754 number."""
    exponent_bits, fraction_bits = FLOAT_BITS[len(data)]
    word = int.from_bytes(data, "little")
    return (
        word >> (exponent_bits + fraction_bits),
        word >> fraction_bits & ((1 << exponent_bits) - 1),
        word & ((1 << fraction_bits) - 1),
    )


def _binary128(value: float) -> bytes:
    sign, exponent, fraction = split_float(struct.pack("<d", value))
    if exponent == 0x7FF:
        exponent, fraction = 0x7FFF, fraction << 60
    elif exponent:
        exponent, fraction = exponent - 1023 + 16383, fraction << 60
    elif fraction:  # subnormal as a double, normal here
        shift = 53 - fraction.bit_length()
        exponent, fraction = 1 - 1023 + 16383 - shift, (fraction << shift & ((1 << 52) - 1)) << 60
    return (sign << 127 | exponent << 112 | fraction).to_bytes(16, "little")

"""Python's values as C's and back: numbers, texts, mappings and sequences for structures, nothing that does not fit.

``encode()`` of ``c.types`` converts as C does, without a word; what a person or a test gives goes through ``pack()``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol, Self, SupportsIndex

from llext_tools.c.types import CType, Field, Record, decode, encode

Place = Callable[[bytes], int]
"""Puts bytes into the extension's memory, and gives their address."""
LARGEST = 1 << 26
"""Bytes of a value that a test gives. A manifest can claim any size of a type."""


class Space(Protocol):
    """Memory with addresses. What is not there, or not for that, raises an exception of its own."""

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


class Spot(NamedTuple):
    """An address in memory, and what is there."""

    memory: Space
    ctype: CType
    address: int
    held: bool = False  # a copy, which no pointer can point to


class Located:
    """A value in memory: see ``c.view``."""

    __slots__ = ("_spot",)
    _spot: Spot

    def __bytes__(self) -> bytes:
        """All of it, padding too."""
        spot = self._spot
        return spot.memory.read(spot.address, spot.ctype.size)


class Enumerator(int):
    """A value of an enumeration: a number with the ``name`` of the constant, "" if there is none of that value."""

    name: str

    def __new__(cls, value: int, name: str) -> Self:
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __repr__(self) -> str:
        return self.name or int.__repr__(self)


class Constant:
    """The name of an enumeration's constant, and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def pack(ctype: CType, value: Any, place: Place | None = None, what: str = "") -> bytes:
    """The bytes of a value in memory.

    Args:
        value: a number, bool, text of one character for a ``char``, the name of an enumeration's constant, also as a
            ``Constant``; None, an
            address, or anything that has one for a pointer; a text, bytes or sequence for an array, and also for a
            pointer if there is ``place``; a mapping by members, a sequence in their order, or bytes for a structure.
            What is not given is zero.
        place: gives texts for pointers an address.
        what: "member `x` of `struct point`", for messages.
    Raises:
        TypeError: it is something else. AttributeError: a member that is not there. OverflowError: it does not fit.
    """
    kind = ctype.kind
    if kind == "pointer":
        return _pointer(ctype, value, place, what)
    if kind == "array":
        return _array(ctype, value, place, what)
    if kind == "record":
        return _record(ctype, value, place, what)
    if kind == "float":
        return _float(ctype, value, what)
    if kind in ("int", "uint", "bool"):
        return encode(ctype, _integer(ctype, value, what))
    raise TypeError(f"{_at(what)}there are no values of type `{ctype.name}`")


def put_bits(field: Field, value: Any, old: bytes, what: str) -> bytes:
    """The bytes around a bit-field with a value in it.

    Raises:
        As ``pack()``.
    """
    number = _integer(field.type, value, what, field.bits) & ((1 << field.bits) - 1)
    mask = (1 << field.bits) - 1 << field.shift
    return (int.from_bytes(old, "little") & ~mask | number << field.shift).to_bytes(len(old), "little")


def bits_of(field: Field, data: bytes) -> int:
    """The number in a bit-field, from the bytes that it is in."""
    number = int.from_bytes(data, "little") >> field.shift & ((1 << field.bits) - 1)
    sign = 1 << (field.bits - 1)
    return (number ^ sign) - sign if field.type.kind == "int" else number


def number(ctype: CType, value: int) -> int:
    """A number as Python has it best: a bool, or with the name of an enumeration's constant."""
    if ctype.kind == "bool":
        return bool(value)
    return Enumerator(value, ctype.enum.name_of(value)) if ctype.enum is not None else value


def scalar(ctype: CType, data: bytes) -> int | float:
    """A number or an address, from its bytes."""
    value = decode(ctype, data)
    assert value is not None
    return value if isinstance(value, float) else number(ctype, value)


def near(name: str, known: Iterable[str]) -> str:
    """What could have been meant, as the end of a sentence."""
    found = get_close_matches(name, (known := list(dict.fromkeys(known))), 3)
    if found:
        return ": did you mean " + " or ".join(f"`{each}`" for each in found) + "?"
    return ": there are " + ", ".join(f"`{each}`" for each in known[:12]) + ", ..." * (len(known) > 12) if known else ""


def no_member(ctype: CType, name: str) -> AttributeError:
    record = ctype.record
    if record is None:
        return AttributeError(f"the members of `{ctype.name}` are not known: it is incomplete")
    return AttributeError(f"`{ctype.name}` has no member `{name}`{near(name, record.by_name)}")


# ---- one kind of value each


def _integer(ctype: CType, value: Any, what: str, bits: int = 0) -> int:
    wide = bits or 8 * ctype.size
    if isinstance(value, Constant):
        value = value.name if ctype.enum is not None else value
    if isinstance(value, str) and ctype.enum is not None:
        named = ctype.enum.value_of(value)
        if named is None:
            raise TypeError(f"{_at(what)}`{ctype.name}` has no `{value}`{near(value, dict(ctype.enum.names))}")
        value = named
    elif isinstance(value, str | bytes) and ctype.is_char:
        text = value.encode() if isinstance(value, str) else value
        if len(text) != 1:
            raise TypeError(f"{_at(what)}{value!r} is not one byte")
        value = text[0]
    elif isinstance(value, bool):
        return int(value)
    if not isinstance(value, SupportsIndex):
        raise TypeError(f"{_at(what)}{_shown(value)} is no value of type `{ctype.name}`")
    found = value.__index__()
    if ctype.kind == "bool":
        low, high = 0, 1
    elif ctype.kind == "int":
        low, high = -1 << (wide - 1), (1 << (wide - 1)) - 1
    else:
        low, high = 0, (1 << wide) - 1
    if not low <= found <= high:
        type_ = f"`{ctype.name}`" + (f" of {bits} bits" if bits else "")
        raise OverflowError(f"{_at(what)}{found} does not fit into {type_}, which has {low} to {high}")
    return found


def _float(ctype: CType, value: Any, what: str) -> bytes:
    if not hasattr(value, "__float__") and not isinstance(value, SupportsIndex):
        raise TypeError(f"{_at(what)}{_shown(value)} is no value of type `{ctype.name}`")
    given = float(value)
    data = encode(ctype, given)
    if math.isfinite(given) and not math.isfinite(float(decode(ctype, data) or 0)):
        raise OverflowError(f"{_at(what)}{given!r} does not fit into `{ctype.name}`")
    return data


def _pointer(ctype: CType, value: Any, place: Place | None, what: str) -> bytes:
    if value is None:
        address = 0
    elif isinstance(value, Located) and not _is_the_pointer(ctype, value) and not value._spot.held:
        address = value._spot.address
    elif place is not None and isinstance(value, Located) and not _is_the_pointer(ctype, value):
        address = place(bytes(value))
    elif isinstance(value, SupportsIndex) and not isinstance(value, bool):
        address = value.__index__()
    elif place is not None and isinstance(value, str | bytes | bytearray):
        address = place(value.encode() + b"\0" if isinstance(value, str) else bytes(value) + b"\0")
    elif place is not None and ctype.to is not None and ctype.to.size and isinstance(value, Sequence | Mapping):
        whole = ctype.to.array(len(value)) if _are_elements(ctype.to, value) else ctype.to
        address = place(pack(whole, value, place, what))
    else:
        raise TypeError(f"{_at(what)}{_shown(value)} is no value of type `{ctype.name}`")
    if not 0 <= address < 1 << 8 * ctype.size:
        raise OverflowError(f"{_at(what)}{address:#x} is no address of {8 * ctype.size} bits")
    return address.to_bytes(ctype.size, "little")


def _is_the_pointer(ctype: CType, value: Located) -> bool:
    """Whether a view is one of a pointer that is to be copied, not pointed to."""
    return value._spot.ctype.kind == "pointer" and (ctype.to is None or ctype.to.kind != "pointer")


def _are_elements(to: CType, value: Any) -> bool:
    """Whether what a pointer points to is the first of several: of structures, if the values are none themselves."""
    if not isinstance(value, Sequence) or to.record is None:
        return isinstance(value, Sequence)
    inner = bool(to.record.fields) and not to.record.fields[0].type.is_scalar
    return bool(value) and not inner and all(isinstance(each, Sequence | Mapping | Located) for each in value)


def _array(ctype: CType, value: Any, place: Place | None, what: str) -> bytes:
    of, room = ctype.to, ctype.length or 0
    assert of is not None
    if isinstance(value, Located) and value._spot.ctype.kind == "array":
        value = bytes(value) if value._spot.ctype.to == of else list(value)  # type: ignore[call-overload]
        if isinstance(value, bytes) and len(value) == ctype.size:
            return value
    if isinstance(value, str) and of.size == 1:
        value = value.encode()
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence | bytearray):
        raise TypeError(f"{_at(what)}{_shown(value)} is no value of type `{ctype.name}`")
    count = len(value)
    if count > room:
        raise OverflowError(f"{_at(what)}`{ctype.name}` has no room for {count} elements")
    if isinstance(value, bytes | bytearray) and of.size == 1:
        data = bytes(value)
    else:
        data = b"".join(pack(of, each, place, f"element {i}{_of(what)}") for i, each in enumerate(value))
    return data.ljust(_held(ctype, what), b"\0")


def _record(ctype: CType, value: Any, place: Place | None, what: str) -> bytes:
    if isinstance(value, bytes | bytearray | Located):
        whole = bytes(value)
        if len(whole) != ctype.size:
            raise TypeError(f"{_at(what)}`{ctype.name}` has {ctype.size} bytes, not {len(whole)}")
        return whole
    record = ctype.record
    if record is None:
        raise TypeError(f"{_at(what)}the members of `{ctype.name}` are not known: give its {ctype.size} bytes")
    data = bytearray(_held(ctype, what))
    for field, each in _given(ctype, record, value, what):
        put = f"member `{field.name}` of `{ctype.name}`"
        part = slice(field.offset, field.offset + field.size)
        data[part] = put_bits(field, each, bytes(data[part]), put) if field.bits else pack(field.type, each, place, put)
    return bytes(data)


def _held(ctype: CType, what: str) -> int:
    """The size of a value that is made here as a whole.

    Raises:
        OverflowError: it is too large.
    """
    if ctype.size > LARGEST:
        raise OverflowError(f"{_at(what)}`{ctype.name}` of {ctype.size:,} bytes is too large for a value")
    return ctype.size


def _given(ctype: CType, record: Record, value: Any, what: str) -> list[tuple[Field, Any]]:
    if isinstance(value, Mapping):
        for name in value:
            if name not in record.by_name:
                raise no_member(ctype, str(name))
        return [(record.by_name[name], each) for name, each in value.items()]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{_at(what)}{_shown(value)} is no value of type `{ctype.name}`")
    fields = record.fields[:1] if record.kind == "union" else record.fields
    if len(value) > len(fields):
        raise TypeError(f"{_at(what)}`{ctype.name}` takes {len(fields)} values, not {len(value)}")
    return list(zip(fields, value, strict=False))


def _at(what: str) -> str:
    return f"{what}: " if what else ""


def _of(what: str) -> str:
    return f" of {what}" if what else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

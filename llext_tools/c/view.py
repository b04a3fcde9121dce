"""Emulated memory as Python sees C's types: ``view.member``, ``view[3]``, pointers that can be followed.

    point = View(memory, ctype, 0x2001_0000)
    point.x = point.next.x + 1          # a member of a pointer's structure: C's ``->``
    point.name[:4], point.counts[1]     # bytes of a char array, a number
    point[...]                          # all of it, as Python has it: {"x": 1, "name": b"a", ...}
    point[...] = {"x": 1}               # all of it anew

A view reads and writes where it is; nothing is kept. Members come first: what a view says of itself has functions of
its own, ``address_of()`` and ``type_of()``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from llext_tools.c.show import same, show
from llext_tools.c.types import CType, Field
from llext_tools.c.values import Located, Space, Spot, bits_of, no_member, pack, put_bits, scalar
from llext_tools.c.values import number as number_of

LONGEST_TEXT = 1 << 16
"""Bytes: a longer text is none."""


class View(Located):
    """A value at an address in memory; the class of what is made depends on the type."""

    __slots__ = ()

    def __new__(cls, memory: Space, ctype: CType, address: int, *, held: bool = False) -> View:  # noqa: PYI034 - of a class by its type
        made = object.__new__(CLASSES.get(ctype.kind, ScalarView))
        object.__setattr__(made, "_spot", Spot(memory, ctype, address, held))
        return made

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"`{self._spot.ctype.name}` has no members" if name != "_spot" else name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"`{self._spot.ctype.name}` has no members")

    def __getitem__(self, key: Any) -> Any:
        """``view[...]``: the whole value as Python has it."""
        if key is ...:
            return plain(self)
        raise TypeError(f"`{self._spot.ctype.name}` is no array")

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is not ...:
            raise TypeError(f"`{self._spot.ctype.name}` is no array")
        spot = self._spot
        spot.memory.write(spot.address, pack(spot.ctype, value))

    def __eq__(self, other: object) -> bool:
        return same(self._spot.ctype, plain(self), plain(other) if isinstance(other, View) else other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __str__(self) -> str:
        return show(self._spot.ctype, plain(self))

    def __repr__(self) -> str:
        spot = self._spot
        try:
            text = str(self)
        except Exception as error:  # noqa: BLE001 - whatever the memory raises: a repr is for looking at what went wrong
            text = f"at {spot.address:#010x}: {error}"
        return f"{spot.ctype.name} {text}" if spot.ctype.kind == "record" else text


class RecordView(View):
    """A struct or union: ``view.member``, and ``view["member"]`` for names that Python has otherwise."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name == "_spot":
            raise AttributeError(name)
        return _get(self._spot, _field(self._spot, name))

    def __setattr__(self, name: str, value: Any) -> None:
        _set(self._spot, _field(self._spot, name), value)

    def __getitem__(self, key: Any) -> Any:
        return self.__getattr__(key) if isinstance(key, str) else View.__getitem__(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, str):
            self.__setattr__(key, value)
        else:
            View.__setitem__(self, key, value)

    def __iter__(self) -> Iterator[Any]:
        """The members' values in their order: ``x, y = point``."""
        record = self._spot.ctype.record
        return (_get(self._spot, field) for field in (record.fields if record else ()))

    def __dir__(self) -> list[str]:
        record = self._spot.ctype.record
        return [*super().__dir__(), *(record.by_name if record else ())]


class ArrayView(View):
    """An array: indices, slices, ``len()``; one of ``char`` is also a text."""

    __slots__ = ()

    def __len__(self) -> int:
        return _length(self._spot.ctype)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if key is ...:
            return plain(self)
        spot = self._spot
        if isinstance(key, slice):
            return _get_slice(spot, spot.ctype.to, range(*key.indices(len(self))))
        return _get(spot, _element(spot.ctype, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        spot = self._spot
        if isinstance(key, slice):
            indices = range(*key.indices(len(self)))
            value = _as_elements(spot.ctype, value)
            if len(value) != len(indices):
                raise ValueError(f"{len(value)} values for {len(indices)} elements of `{spot.ctype.name}`")
            for i, each in zip(indices, value, strict=True):
                _set(spot, _element(spot.ctype, i), each)
        elif key is ...:
            spot.memory.write(spot.address, pack(spot.ctype, value))
        else:
            _set(spot, _element(spot.ctype, key), value)

    @property
    def text(self) -> str:
        """What is before the NUL, or all of it."""
        return bytes(self).partition(b"\0")[0].decode("utf-8", "backslashreplace")

    @property
    def address(self) -> int:
        return address_of(self)


class ScalarView(View):
    """A number or pointer in memory: ``view.value``, ``view[...]``."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        return plain(self)

    @value.setter
    def value(self, value: Any) -> None:
        self[...] = value

    @property
    def address(self) -> int:
        return address_of(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "value":
            raise AttributeError(f"`{self._spot.ctype.name}` has no members")
        self[...] = value

    def __bool__(self) -> bool:
        return bool(plain(self))

    def __int__(self) -> int:
        return int(plain(self))

    def __index__(self) -> int:
        return int(plain(self).__index__())

    def __float__(self) -> float:
        return float(plain(self))


CLASSES: Mapping[str, type[View]] = {"record": RecordView, "array": ArrayView}


class Pointer(int):
    """An address with a type: a number that can be followed, and false if it is NULL.

    ``p.contents`` is what it points to, ``p[i]`` an element, ``p.member`` a member, ``p.text`` a string.
    """

    _to: Spot

    def __new__(cls, memory: Space, ctype: CType, address: int) -> Self:
        made = super().__new__(cls, address)
        to = ctype.to if ctype.to is not None else CType("void", 0, "void")
        object.__setattr__(made, "_to", Spot(memory, to, address))
        return made

    @property
    def address(self) -> int:
        return int(self)

    @property
    def contents(self) -> View:
        """What it points to.

        Raises:
            TypeError: nothing is known of that.
        """
        return View(*_followed(self._to)[:3])

    @property
    def text(self) -> str:
        """The string that it points to."""
        memory, found = self._to.memory, bytearray()
        while len(found) < LONGEST_TEXT:
            byte = memory.read(int(self) + len(found), 1)
            if byte == b"\0":
                return found.decode("utf-8", "backslashreplace")
            found += byte
        raise ValueError(f"no string at {int(self):#010x}: {LONGEST_TEXT:,} bytes without a NUL")

    def __getitem__(self, key: Any) -> Any:
        if key is ...:
            return plain(self.contents)
        to = _followed(self._to)
        if isinstance(key, slice):
            if key.stop is None:
                raise ValueError("a slice of a pointer needs an end")
            return _get_slice(to, to.ctype, range(key.start or 0, key.stop, key.step or 1))
        return _get(to, _nth(to.ctype, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        to = _followed(self._to)
        _set(to, _nth(to.ctype, 0 if key is ... else key), value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        to = _followed(self._to)
        return _get(to, _field(to, name))

    def __setattr__(self, name: str, value: Any) -> None:
        to = _followed(self._to)
        _set(to, _field(to, name), value)

    def __eq__(self, other: object) -> bool:
        """A pointer to ``char`` also equals its text: ``name == "oak"``."""
        if isinstance(other, str | bytes):
            return (
                bool(self)
                and self._to.ctype.is_char
                and self.text == (other if isinstance(other, str) else other.decode("utf-8", "backslashreplace"))
            )
        return int(self) == other

    __hash__ = int.__hash__

    def __str__(self) -> str:
        """The text, of a pointer to ``char``."""
        return self.text if self and self._to.ctype.is_char else repr(self)

    def __repr__(self) -> str:
        return f"({self._to.ctype.pointer()}) {int(self):#x}" if self else f"({self._to.ctype.pointer()}) NULL"


class Held:
    """A copy of a value that is nowhere in memory: an argument or a result. Its pointers point into ``memory``."""

    def __init__(self, data: bytes, memory: Space | None = None) -> None:
        self._data, self.memory = bytearray(data), memory if memory is not None else self

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._data[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        self._data[address : address + len(data)] = data


def address_of(view: View) -> int:
    """Where a view is.

    Raises:
        ValueError: it is a copy.
    """
    if view._spot.held:
        raise ValueError(f"a copy of a `{view._spot.ctype.name}` has no address")
    return view._spot.address


def type_of(view: View) -> CType:
    return view._spot.ctype


def value_of(ctype: CType, data: bytes, memory: Space) -> Any:
    """A value from its bytes: a number, a ``Pointer``, a view of a copy; None for void."""
    if ctype.is_void:
        return None
    if ctype.kind in ("record", "array"):
        return View(Held(data, memory), ctype, 0, held=True)
    if ctype.kind == "pointer":
        return Pointer(memory, ctype, int.from_bytes(data, "little"))
    return scalar(ctype, data)


def plain(value: Any) -> Any:
    """What a view sees as Python has it: numbers, lists, dicts, bytes of a char array up to its NUL."""
    if not isinstance(value, View):
        return value
    spot = value._spot
    ctype = spot.ctype
    if ctype.kind == "record":
        record = ctype.record
        if record is None:
            return bytes(value)
        return {name: plain(_get(spot, field)) for name, field in record.by_name.items()}
    if ctype.kind == "array":
        data = bytes(value)
        if ctype.to is not None and ctype.to.is_char:
            return data.partition(b"\0")[0]
        return [plain(_get(spot, _element(ctype, i))) for i in range(ctype.length or 0)]
    return _get(spot, Field("", 0, ctype))


# ---- members and elements


def _field(spot: Spot, name: str) -> Field:
    record = spot.ctype.record
    field = record.by_name.get(name) if record is not None else None
    if field is None:
        raise no_member(spot.ctype, name)
    return field


def _length(ctype: CType) -> int:
    if ctype.length is None:
        raise TypeError(f"nobody knows how many elements `{ctype.name}` has")
    return ctype.length


def _element(ctype: CType, key: Any) -> Field:
    """An element of an array as if it were a member."""
    of, i = ctype.to, key.__index__()
    assert of is not None
    if ctype.length is not None:
        if not -ctype.length <= i < ctype.length:
            raise IndexError(f"`{ctype.name}` has no element {i}")
        i %= ctype.length
    elif i < 0:
        raise IndexError(f"`{ctype.name}` has no element {i}")
    return _nth(of, i)


def _nth(of: CType, i: Any) -> Field:
    return Field(f"[{i}]", i.__index__() * of.size, of)


def _get(spot: Spot, field: Field) -> Any:
    ctype, at = field.type, spot.address + field.offset
    if field.bits:
        return number_of(ctype, bits_of(field, spot.memory.read(at, field.size)))
    if ctype.kind in ("record", "array"):
        return View(spot.memory, ctype, at, held=spot.held)
    if ctype.kind == "pointer":
        memory = spot.memory.memory if isinstance(spot.memory, Held) else spot.memory
        return Pointer(memory, ctype, int.from_bytes(spot.memory.read(at, ctype.size), "little"))
    if not ctype.is_scalar:
        raise TypeError(f"there are no values of type `{ctype.name}`")
    return scalar(ctype, spot.memory.read(at, ctype.size))


def _set(spot: Spot, field: Field, value: Any) -> None:
    at = spot.address + field.offset
    name = field.name if field.name.startswith("[") else f"member `{field.name}` of `{spot.ctype.name}`"
    if field.bits:
        data = put_bits(field, value, spot.memory.read(at, field.size), name)
    else:
        data = pack(field.type, value, None, name)
    spot.memory.write(at, data)


def _get_slice(spot: Spot, of: CType | None, indices: range) -> Any:
    assert of is not None
    found = [_get(spot, _nth(of, i)) for i in indices]
    return bytes(found) if of.is_char else found


def _as_elements(ctype: CType, value: Any) -> Any:
    of = ctype.to
    return value.encode() if isinstance(value, str) and of is not None and of.size == 1 else value


def _followed(to: Spot) -> Spot:
    if to.ctype.kind in ("void", "function") or (not to.ctype.size and to.ctype.kind == "record"):
        known = {"void": "it may point to anything", "function": "it points to code"}
        raise TypeError(
            f"`{to.ctype.pointer()}` cannot be followed: {known.get(to.ctype.kind, 'the type is incomplete')}"
        )
    return to

"""Views of memory by C types. Oracle: Python's ctypes, with the same structure at the same bytes.

The types come from an interface as debug information gives it; that those are the compiler's is tested elsewhere.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import pytest

from llext_tools.abi.c import CTypes
from llext_tools.abi.types import Layout, Member, Param, Signature
from llext_tools.c.types import CType, DataModel
from llext_tools.c.values import pack
from llext_tools.c.view import Pointer, View, address_of, type_of, value_of

MODEL = DataModel(64, 16)  # as this machine's ctypes
BASE = 0x1000


class Buffer:
    """Memory from ``BASE`` on, in a ctypes object. What is behind it cannot be read."""

    def __init__(self, content: ctypes.Structure) -> None:
        self.content = content

    def _check(self, address: int, size: int) -> int:
        if not BASE <= address <= BASE + ctypes.sizeof(self.content) - size:
            raise OSError(f"no memory at {address:#x}")
        return ctypes.addressof(self.content) + address - BASE

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(self._check(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        ctypes.memmove(self._check(address, len(data)), data, len(data))


class Pair(ctypes.Structure):
    _fields_ = (("a", ctypes.c_uint8), ("b", ctypes.c_double))


class Number(ctypes.Union):
    _fields_ = (("i", ctypes.c_int32), ("f", ctypes.c_float))


class Sample(ctypes.Structure):
    _anonymous_ = ("number",)
    _fields_ = (
        ("byte", ctypes.c_int8),
        ("wide", ctypes.c_uint64),
        ("flag", ctypes.c_bool),
        ("low", ctypes.c_uint16, 3),
        ("high", ctypes.c_uint16, 9),
        ("signed", ctypes.c_int32, 5),
        ("color", ctypes.c_int32),
        ("pair", Pair),
        ("number", Number),
        ("name", ctypes.c_char * 8),
        ("counts", ctypes.c_int16 * 3),
        ("pairs", Pair * 2),
        ("next", ctypes.c_uint64),
        ("title", ctypes.c_uint64),
        ("single", ctypes.c_float),
    )


def member(name: str, type: str, spelling: str) -> Member:
    """Where it is, ctypes tells."""
    return Member(name, getattr(Sample, name or "number").offset, type, spelling)


def bit_field(name: str, type: str, spelling: str) -> Member:
    place = getattr(Sample, name)
    return Member(name, 8 * place.offset + (place.size & 0xFFFF), type, spelling, place.size >> 16)


PAIR = (Member("a", 0, "u8", "uint8_t"), Member("b", 8, "f64", "double"))
TYPES = {
    "struct pair": Layout("struct", ctypes.sizeof(Pair), PAIR),
    "union number": Layout("union", 4, (Member("i", 0, "i32", "int"), Member("f", 0, "f32", "float"))),
    "enum color": Layout("enum", 4, (Member("RED", 0, "", ""), Member("GREEN", 5, "", ""), Member("LAST", 5, "", ""))),
    "struct sample": Layout(
        "struct",
        ctypes.sizeof(Sample),
        (
            member("byte", "i8", "int8_t"),
            member("wide", "u64", "uint64_t"),
            member("flag", "b8", "bool"),
            bit_field("low", "u16", "unsigned short"),
            bit_field("high", "u16", "unsigned short"),
            bit_field("signed", "i32", "int"),
            member("color", "enum color", "enum color"),
            member("pair", "struct pair", "struct pair"),
            member("", "union number", "union {...}"),
            member("name", "[8]u8", "char [8]"),
            member("counts", "[3]i16", "short [3]"),
            member("pairs", "[2]struct pair", "struct pair [2]"),
            member("next", "*struct sample", "struct sample *"),
            member("title", "*u8", "const char *"),
            member("single", "f32", "float"),
        ),
    ),
}  # fmt: skip
SAMPLE = CTypes(TYPES, MODEL).ctype("struct sample")


def sample() -> tuple[Sample, Any]:
    theirs = Sample()
    return theirs, View(Buffer(theirs), SAMPLE, BASE)


VALUES = {
    "byte": -128,
    "wide": 0xFEDC_BA98_7654_3210,
    "flag": True,
    "low": 5,
    "high": 300,
    "signed": -16,
    "color": 5,
    "i": -5,
    "f": 1.5,
    "single": 0.25,
    "next": BASE,
}


@pytest.mark.parametrize(("name", "value"), VALUES.items())
def test_members_are_those_of_ctypes(name: str, value: Any) -> None:
    """Written by one and read by the other, in memory that is all ones or zeros around them."""
    for fill in (0, 0xFF):
        theirs, ours = sample()
        ctypes.memset(ctypes.addressof(theirs), fill, ctypes.sizeof(theirs))
        before = bytes(theirs)
        setattr(theirs, name, value)
        expected = bytes(theirs)
        assert getattr(ours, name) == getattr(theirs, name) == value
        ctypes.memmove(ctypes.addressof(theirs), before, len(before))
        setattr(ours, name, value)
        assert bytes(theirs) == expected == bytes(ours)


def test_nested_values() -> None:
    theirs, ours = sample()
    ours.pair.b, ours.pairs[1].a, ours.counts[2], ours.name = 2.5, 7, -300, "text"
    assert (theirs.pair.b, theirs.pairs[1].a, list(theirs.counts), theirs.name) == (2.5, 7, [0, 0, -300], b"text")
    theirs.pairs[0].b, theirs.name = 0.125, b"other"
    assert ours.pairs[0] == {"a": 0, "b": 0.125}
    assert ours.pairs == [(0, 0.125), (7, 0.0)]
    assert ours.pairs == [ours.pairs[0], ours.pairs[1]]
    assert ours.pairs != [ours.pairs[1], ours.pairs[0]]
    assert [each.a for each in ours.pairs] == [0, 7]
    assert (ours.name.text, ours.name[:2], bytes(ours.name), ours.name[-4]) == ("other", b"ot", b"other\0\0\0", 114)
    assert ours.name == "other" == ours.name
    assert (ours.counts[:], len(ours.counts), list(ours.counts), ours.counts[-1]) == (
        [0, 0, -300],
        3,
        [0, 0, -300],
        -300,
    )
    ours.counts[0:2] = [1, 2]
    ours.pairs[0] = (3, 4.5)
    ours.pairs[1] = ours.pairs[0]
    assert (list(theirs.counts), theirs.pairs[1].b) == ([1, 2, -300], 4.5)
    a, b = ours.pair
    assert (a, b) == (0, 2.5)


def test_pointers_are_followed() -> None:
    theirs, ours = sample()
    theirs.next, theirs.byte, theirs.title = BASE, 9, BASE + Sample.name.offset
    theirs.name = b"title"
    assert ours.next.next.byte == ours.next[0].byte == ours.next.contents.byte == 9
    assert (ours.title.text, ours.title[1], ours.title[0:3]) == ("title", ord("i"), b"tit")
    ours.next.byte = 3
    assert theirs.byte == 3
    assert (int(ours.next), ours.next.address, bool(ours.next)) == (BASE, BASE, True)
    ours.next = None
    assert not ours.next
    assert repr(ours.next) == "(struct sample *) NULL"
    with pytest.raises(OSError, match="no memory at 0x0"):
        ours.next.byte  # noqa: B018
    ours.next = ours
    assert theirs.next == BASE == address_of(ours)
    assert type_of(ours) == SAMPLE
    with pytest.raises(TypeError, match="it may point to anything"):
        Pointer(Buffer(theirs), CTypes(TYPES, MODEL).ctype("*void"), BASE)[0]


def test_constants_have_names() -> None:
    theirs, ours = sample()
    ours.color = "GREEN"
    assert (theirs.color, ours.color, ours.color.name, repr(ours.color)) == (5, 5, "GREEN", "GREEN")
    theirs.color = 4
    assert (ours.color, ours.color.name, repr(ours.color)) == (4, "", "4")


def test_whole_values() -> None:
    theirs, ours = sample()
    ours[...] = {"byte": 1, "high": 2, "name": b"abcdefgh", "pair": {"b": 1.0}, "single": 0.1, "pairs": [(1, 2)]}
    assert (theirs.byte, theirs.high, theirs.name, theirs.pair.b, theirs.pairs[0].b) == (1, 2, b"abcdefgh", 1.0, 2.0)
    assert ours[...]["pairs"] == [{"a": 1, "b": 2.0}, {"a": 0, "b": 0.0}]
    assert ours == {**ours[...], "single": 0.1}, "a float is compared as one"
    assert ours != {**ours[...], "single": 0.2}
    assert ours != {"byte": 1}
    copy = value_of(SAMPLE, bytes(ours), Buffer(theirs))
    assert copy == ours
    ours.byte = 2
    assert copy.byte == 1
    assert copy != ours
    with pytest.raises(ValueError, match="has no address"):
        address_of(copy)
    assert pack(SAMPLE, copy) == bytes(copy)


def test_what_a_person_sees() -> None:
    _, ours = sample()
    ours.pair = (1, 0.5)
    ours.name = 'a"\n'
    ours.color = "GREEN"
    assert repr(ours.pair) == "struct pair {a: 1, b: 0.5}"
    assert repr(ours.counts) == "[0, 0, 0]"
    assert repr(ours.name) == r'"a\"\n"'
    assert "color: GREEN" in repr(ours)
    assert repr(View(Buffer(Sample()), SAMPLE, 4)) == "struct sample at 0x00000004: no memory at 0x4"
    assert "name" in dir(ours)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda s: s.nmae, AttributeError, "`struct sample` has no member `nmae`: did you mean `name`?"),
        (lambda s: setattr(s, "bite", 1), AttributeError, "did you mean `byte` or `title`?"),
        (lambda s: setattr(s, "byte", 128), OverflowError, "member `byte` of `struct sample`: 128 does not fit"),
        (lambda s: setattr(s, "wide", -1), OverflowError, "-1 does not fit into `uint64_t`"),
        (lambda s: setattr(s, "low", 8), OverflowError, "8 does not fit into `unsigned short` of 3 bits, which has"),
        (lambda s: setattr(s, "signed", -17), OverflowError, "-17 does not fit into `int` of 5 bits"),
        (lambda s: setattr(s, "flag", 2), OverflowError, "2 does not fit into `bool`"),
        (lambda s: setattr(s, "byte", 1.0), TypeError, "1.0 is no value of type `int8_t`"),
        (lambda s: setattr(s, "byte", "a"), TypeError, "'a' is no value of type `int8_t`"),
        (lambda s: setattr(s, "single", 1e39), OverflowError, "1e+39 does not fit into `float`"),
        (lambda s: setattr(s, "single", "1"), TypeError, "'1' is no value of type `float`"),
        (lambda s: setattr(s, "color", "GREAN"), TypeError, "`enum color` has no `GREAN`: did you mean `GREEN`?"),
        (lambda s: setattr(s, "name", "nine char"), OverflowError, "`char [8]` has no room for 9 elements"),
        (lambda s: setattr(s, "next", "text"), TypeError, "'text' is no value of type `struct sample *`"),
        (lambda s: setattr(s, "next", -1), OverflowError, "is no address of 64 bits"),
        (lambda s: setattr(s, "pair", {"c": 1}), AttributeError, "`struct pair` has no member `c`"),
        (lambda s: setattr(s, "pair", (1, 2, 3)), TypeError, "`struct pair` takes 2 values, not 3"),
        (lambda s: setattr(s, "pair", b"123"), TypeError, "`struct pair` has 16 bytes, not 3"),
        (lambda s: setattr(s, "counts", [1, 2, 40000]), OverflowError, "element 2 of member `counts`"),
        (lambda s: s.counts[3], IndexError, "`short [3]` has no element 3"),
        (lambda s: s.counts.__setitem__(slice(0, 2), [1]), ValueError, "1 values for 2 elements"),
        (lambda s: s.counts.nothing, AttributeError, "`short [3]` has no members"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(wrong: Callable[[Any], object], error: type[Exception], message: str) -> None:
    """And nothing is written."""
    theirs, ours = sample()
    with pytest.raises(error, match=re.escape(message)):
        wrong(ours)
    assert bytes(theirs) == bytes(len(bytes(theirs)))


def test_arrays_without_a_length_and_incomplete_types() -> None:
    types = {
        "struct tail": Layout("struct", 4, (Member("n", 0, "u32", "uint32_t"), Member("at", 4, "[]u16", "uint16_t []")))
    }
    theirs = Sample()
    ours: Any = View(Buffer(theirs), CTypes(types, MODEL).ctype("struct tail"), BASE)
    ours.at[1] = 0x1234
    assert bytes(theirs)[6:8] == b"\x34\x12"
    assert (ours.at[1], ours[...]) == (0x1234, {"n": 0, "at": []})
    with pytest.raises(TypeError, match="nobody knows how many elements"):
        len(ours.at)
    with pytest.raises(IndexError):
        ours.at[-1]
    opaque = CTypes(types, MODEL).ctype("*struct nobody")
    with pytest.raises(TypeError, match="`struct nobody \\*` cannot be followed: the type is incomplete"):
        Pointer(Buffer(theirs), opaque, BASE)[0]


@pytest.mark.parametrize(
    ("notation", "spelling", "names"),
    [
        ("*u8", "const char *", ["const char *", "const char"]),
        ("**u8", "char **", ["char **", "char *", "char"]),
        ("[4]*u8", "char * [4]", ["char * [4]", "char *", "char"]),
        ("[2][3]i32", "int [2][3]", ["int [2][3]", "int [3]", "int"]),
        ("*[3]i32", "int (*)[3]", ["int (*)[3]", "int [3]", "int"]),
        ("[4]*fn() -> i32", "int (*[4])(void)", ["int (*[4])(void)", "int (*)(void)", "int (void)"]),
        ("*struct queue", "queue_t", ["queue_t", "struct queue"]),
        ("*fn(*void, i32) -> *u8", "", ["unsigned char * (*)(void *, int)", "unsigned char *(void *, int)"]),
    ],
)
def test_names_of_types_are_those_of_their_declarations(notation: str, spelling: str, names: list[str]) -> None:
    found, ctype = [], CTypes({}, MODEL).ctype(notation, spelling)
    inner: CType | None = ctype
    while inner is not None:
        found.append(inner.name)
        inner = inner.to
    assert found == names


def test_prototypes() -> None:
    params = (Param("p", "struct pair", "struct pair"), Param("", "*fn(i32, *u8) -> void", "void (*)(int, char *)"))
    found = CTypes(TYPES, MODEL).prototype(Signature("u32", "uint32_t", params, True), "f")
    assert str(found) == "uint32_t f(struct pair, void (*)(int, char *), ...)"
    assert found.names == ("p", "")
    inner = found.params[1].function
    assert inner is not None
    assert str(inner) == "void (int, char *)"
    with pytest.raises(ValueError, match="is no function"):
        CTypes(TYPES, MODEL).prototype(Signature("u32", "uint32_t", None), "v")


def test_a_timeout_is_passed_as_a_number() -> None:
    """It travels as its member does; as a result it does not, on Arm: aapcs32, "Result return"."""
    types = {"struct k_timeout_t": Layout("struct", 8, (Member("ticks", 0, "i64", "k_ticks_t"),))}
    timeout = Param("timeout", "struct k_timeout_t", "k_timeout_t")
    found = CTypes(types, MODEL).prototype(Signature(timeout.type, timeout.spelling, (timeout,)), "f")
    assert (found.params[0].kind, found.result.kind, str(found)) == ("int", "record", "k_timeout_t f(k_timeout_t)")
    assert CTypes(types, MODEL).ctype(timeout.type, timeout.spelling).record is not None


def test_a_type_may_refer_to_itself() -> None:
    assert hash(SAMPLE) == hash(CTypes(TYPES, MODEL).ctype("struct sample"))
    assert CTypes(TYPES, MODEL).ctype("struct sample") == SAMPLE
    record = SAMPLE.record
    assert record is not None
    assert record.by_name["next"].type.to == SAMPLE
    assert repr(record) == "<struct sample>"

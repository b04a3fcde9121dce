"""Oracle: snprintf() of this machine's libc, called through ctypes with the same format and the same bits."""

from __future__ import annotations

import ctypes
import math
import random
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llext_tools.c.types import CType, DataModel, Value, decode, encode
from llext_tools.host.format import FormatError, format_c

MODEL = DataModel(64, 16)  # that of this machine, but for its long double
TEXTS = {0x1000: b"hello", 0x2000: b"", 0x3000: b"\xffbytes"}


class Given:
    """Arguments by value."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.left = list(values)

    def next(self, ctype: CType) -> bytes:
        return encode(ctype, self.left.pop(0))


def text_at(address: int, most: int | None) -> bytes:
    if most is not None and most < 0:  # one wide character
        index = address - 0x4000
        return struct.pack("<I", ord(("h\u00e9\u20ac!"[index // 4 :] + "\0")[0]))
    return TEXTS[address][:most]


def ours(template: bytes, *values: Value) -> bytes:
    return format_c(template, Given(values), MODEL, text_at)


def as_c(value: float) -> ctypes.c_double | ctypes.c_int64:
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.c_double(value)


@pytest.fixture(scope="module")
def libc() -> Callable[..., bytes]:
    library = ctypes.CDLL(None)
    if not hasattr(library, "snprintf"):
        pytest.skip("needs snprintf in the C library of this process")

    def theirs(template: bytes, *values: float | bytes) -> bytes:
        room = ctypes.create_string_buffer(10_000)
        passed = [v if isinstance(v, bytes) else as_c(v) for v in values]
        size = library.snprintf(room, len(room), template, *passed)
        return room.raw[:size]

    return theirs


FLAGS = st.text("-+ #0", max_size=3).map(str.encode)
WIDTH = st.sampled_from([b"", b"1", b"5", b"12", b"25"])
PRECISION = st.sampled_from([b"", b".", b".0", b".1", b".3", b".10", b".20"])
INTS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [0, 1, -1, 127, 128, 255, -128, 32768, 2**31 - 1, 2**31, 2**32]
)


@given(
    FLAGS,
    WIDTH,
    PRECISION,
    st.sampled_from([b"", b"hh", b"h", b"l", b"ll", b"j", b"z", b"t"]),
    st.sampled_from(b"diuoxX"),
    INTS,
)
def test_integers(
    libc: Callable[..., bytes], flags: bytes, width: bytes, precision: bytes, length: bytes, conv: int, value: int
) -> None:
    template = b"[%" + flags + width + precision + length + bytes([conv]) + b"]"
    assert ours(template, value) == libc(template, value)


NUMBERS = st.floats() | st.sampled_from([0.5, 1.5, 2.5, 0.125, 9.9995, 999999.5, 1e-5, 1e15, 5e-324, 2.0**-1022, 1e22])


@given(FLAGS, WIDTH, PRECISION, st.sampled_from(b"fFeEgGaA"), NUMBERS)
def test_floats(
    libc: Callable[..., bytes], flags: bytes, width: bytes, precision: bytes, conv: int, value: float
) -> None:
    template = b"[%" + flags + width + precision + bytes([conv]) + b"]"
    theirs = libc(template, value)
    if b"#" in flags and conv in b"gG" and math.isfinite(value):
        # Seen with glibc 2.36: `%#g` of 999999.5 loses its zeros, though C 7.21.6.1 keeps them under `#`.
        digits = [b.strip(b"[] +-").rstrip(b"0") for b in (ours(template, value), theirs)]
        if digits[0].split(b"e")[0].strip(b"0.") == digits[1].split(b"e")[0].strip(b"0."):
            return
    assert ours(template, value) == theirs


@pytest.mark.parametrize(
    ("template", "values"),
    [
        (b"%d%%%c!", (5, 65)),
        (b"%*d|%-*d|%.*f", (6, 1, 6, 2, 3, 2.5)),
        (b"%*d|%.*d", (-6, 1, -1, 5)),
        (b"%5c|%-5c|%c", (66, 67, 0)),
        (b"%p|%10p", (0x1F, 0)),
        (b"%lc", (0x41,)),
        (b"plain", ()),
        (b"%i %+i % i", (1, 2, 3)),
    ],
)
def test_the_rest(libc: Callable[..., bytes], template: bytes, values: tuple[float, ...]) -> None:
    assert ours(template, *values) == libc(template, *values)


@pytest.mark.parametrize("template", [b"%s", b"%10s|", b"%-10s|", b"%.3s", b"%.0s", b"%8.2s"])
def test_strings(libc: Callable[..., bytes], template: bytes) -> None:
    for address, text in TEXTS.items():
        assert ours(template, address) == libc(template, text)


def test_wide_strings() -> None:
    """C17 7.21.6.1: as by wcrtomb(), here UTF-8; a precision counts bytes and writes no partial character."""
    assert (
        ours(b"%ls|%.2ls|%.3ls|%.6ls", 0x4000, 0x4000, 0x4000, 0x4000)
        == "h\u00e9\u20ac!|h|h\u00e9|h\u00e9\u20ac".encode()
    )


def test_what_is_refused() -> None:
    for template in (b"%n", b"%hhn", b"%100000d", b"%.99999f", b"%" + b"1" * 5000 + b"d", b"%." + b"9" * 5000 + b"f"):
        with pytest.raises(FormatError):
            ours(template, 0)


def test_what_c_leaves_open_prints_itself() -> None:
    assert ours(b"100%") == b"100%"
    assert ours(b"%y %d", 5) == b"%y 5"


class Quad:
    """A binary128 number given as its bits."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def next(self, ctype: CType) -> bytes:
        assert ctype.size == 16
        return self.data


def test_long_double_of_128_bits_is_exact() -> None:
    """Expected by integers: a third is 0x15555.../2**114 in binary128."""
    third = (0x3FFD << 112 | 0x5555_5555_5555_5555_5555_5555_5555).to_bytes(16, "little")
    exact = Fraction((1 << 112) + 0x5555_5555_5555_5555_5555_5555_5555, 1 << 114)
    digits = round(exact * 10**60)
    assert format_c(b"%.60Lf", Quad(third), MODEL, text_at) == b"0." + str(digits).encode()
    smallest = (1).to_bytes(16, "little")
    assert format_c(b"%.3Le", Quad(smallest), MODEL, text_at) == b"6.475e-4966"


@given(st.floats(allow_nan=False))
def test_long_double_takes_every_double(value: float) -> None:
    wide = MODEL.types["long double"]
    assert decode(wide, encode(wide, value)) == value
    assert format_c(b"%.20Lg", Given([value]), MODEL, text_at) == ours(b"%.20g", value)


def test_many_arguments(libc: Callable[..., bytes]) -> None:
    pick = random.Random(1)
    values: list[float] = [pick.choice([pick.uniform(-9, 9), pick.getrandbits(31)]) for _ in range(30)]
    template = b" ".join(b"%ld" if isinstance(v, int) else b"%g" for v in values)
    assert ours(template, *values) == libc(template, *values)

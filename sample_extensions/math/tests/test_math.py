"""math: 64-bit integers, floats and doubles, whatever registers they travel in."""

import math
import struct

import pytest


@pytest.fixture
def arithmetic(llext_extension):
    return llext_extension("math.llext")


def as_float(value: float) -> float:
    """What is left of a number in 32 bits."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


@pytest.mark.parametrize(("total", "events"), [(10**12, 7), (-(10**12), 7), (1 << 62, 1 << 33)])
def test_divides_64_bits(arithmetic, total, events):
    assert arithmetic.mean_ns(total, events) == int(abs(total) // events) * (1 if total > 0 else -1)


@pytest.mark.parametrize("celsius", [-40.0, 0.0, 36.6, 1e30])
def test_fahrenheit(arithmetic, celsius):
    assert arithmetic.fahrenheit(celsius) == pytest.approx(as_float(celsius) * 9 / 5 + 32, rel=1e-6)


@pytest.mark.parametrize("x", [0.25, 1.0, 2.0, 12345.678, 1e9])
def test_square_root(arithmetic, x):
    assert arithmetic.square_root(x) == pytest.approx(math.sqrt(x), rel=1e-15)


def test_rounds_to_a_step(arithmetic):
    assert [arithmetic.round_to(value, 25) for value in (0.0, 12.4, 12.5, 1234.0)] == [0, 0, 25, 1225]


def test_what_does_not_fit(arithmetic):
    with pytest.raises(OverflowError, match="does not fit into `float`"):
        arithmetic.fahrenheit(1e39)
    with pytest.raises(TypeError):
        arithmetic.square_root("2")

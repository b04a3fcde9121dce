"""Bit fields of integers and of integer arrays alike. Positions count from 0, the least significant bit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    import numpy as np
    from numpy.typing import NDArray

    Int = TypeVar("Int", int, NDArray[np.int64])


def bit(x: Int, n: int) -> Int:
    """Bit ``n`` of ``x``, as 0 or 1."""
    return x >> n & 1


def bits(x: Int, high: int, low: int) -> Int:
    """Bits ``high`` to ``low`` of ``x``, both included, moved to position 0."""
    return x >> low & ((1 << (high - low + 1)) - 1)


def sext(x: Int, width: int) -> Int:
    """The low ``width`` bits of ``x`` as a signed number in two's complement."""
    sign = 1 << (width - 1)
    return ((x & ((1 << width) - 1)) ^ sign) - sign

"""Memory of the host that an emulator can use where it is: whole pages, from the start of one on."""

from __future__ import annotations

import numpy as np

from llext_tools.elf.model import Bytes

PAGE = 4096
"""Bytes."""


def zeros(size: int) -> Bytes:
    """uint8[size], ``size`` a multiple of ``PAGE``. What is not touched takes no memory."""
    raw = np.zeros(size + PAGE, np.uint8)
    first = -raw.ctypes.data % PAGE
    return raw[first : first + size]

"""Build attributes: what a compiler says about the code in an object, tag by tag.

They are the only place where an object says which CPU it is for and how it passes floating-point arguments. Reading
them never fails: what is malformed counts as not said. The loader ignores them.
Source: "Addenda to, and Errata in, the ABI for the Arm Architecture" 2024Q3, chapter 3; RISC-V psABI, "Attributes".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from llext_tools.elf.model import ElfObject

SHT_ATTRIBUTES = 0x7000_0003  # SHT_ARM_ATTRIBUTES and SHT_RISCV_ATTRIBUTES alike
TAG_FILE = 1
TAG_COMPATIBILITY = 32  # a number and a text


def read_attributes(obj: ElfObject) -> Mapping[int, int | str]:
    """Tag -> value of the attributes that hold for the whole file; empty if there are none."""
    sections = np.flatnonzero(obj.sections.type == SHT_ATTRIBUTES).tolist()
    return _attributes(tuple(obj.contents(section).tobytes() for section in sections))


@cache  # a compiler writes the same for each file
def _attributes(sections: tuple[bytes, ...]) -> Mapping[int, int | str]:
    found: dict[int, int | str] = {}
    for data in sections:
        try:
            _read(data, found)
        except (IndexError, ValueError):
            pass  # ends too early
    return MappingProxyType(found)


def _read(data: bytes, found: dict[int, int | str]) -> None:
    """Format version, then per vendor: length, name, sub-sections of tag, length and pairs."""
    if data[0] != ord("A"):
        return
    at = 1
    while at < len(data):
        end = at + int.from_bytes(data[at : at + 4], "little")
        name_end = data.index(0, at + 4)
        vendor, at = data[at + 4 : name_end], name_end + 1
        while at < end:
            tag, size = data[at], int.from_bytes(data[at + 1 : at + 5], "little")
            if tag == TAG_FILE and vendor in (b"aeabi", b"riscv"):
                _read_pairs(data[at + 5 : at + size], vendor == b"aeabi", found)
            at += max(size, 5)
        at = max(at, end)


def _read_pairs(data: bytes, arm: bool, found: dict[int, int | str]) -> None:
    at = 0
    while at < len(data):
        tag, at = _uleb128(data, at)
        text = (tag & 1 and (not arm or tag > TAG_COMPATIBILITY)) or (arm and tag in (4, 5))
        if not text:
            found[tag], at = _uleb128(data, at)
        if text or tag == TAG_COMPATIBILITY:
            end = data.index(0, at)
            if text:
                found[tag] = data[at:end].decode("utf-8", "backslashreplace")
            at = end + 1


def _uleb128(data: bytes, at: int) -> tuple[int, int]:
    """A number and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at

"""The parts of which requests consist: numbers in hex, and bytes in hex."""

from __future__ import annotations

import re

from llext_tools.gdb.packets import LARGEST, escaped
from llext_tools.gdb.program import WATCHES

NUMBER = re.compile(r"[0-9a-fA-F]{1,16}")


class PacketError(Exception):
    """A packet that makes no sense."""


def parsed(text: str) -> int:
    """A number in hex, of up to 64 bits."""
    if not NUMBER.fullmatch(text):
        raise PacketError
    return int(text, 16)


def pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition(",")
    return parsed(first), parsed(second)


def point(text: str) -> tuple[int, int, int]:
    """Type, address and size of a breakpoint or watchpoint; conditions would follow a semicolon."""
    kind, _, where = text.partition(";")[0].partition(",")
    if kind not in ("0", "1", *map(str, WATCHES)):
        raise PacketError
    return int(kind), *pair(where)


def hexed(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise PacketError from None


def part(text: str, where: str) -> bytes:
    """What a qXfer request reads of a text: from an offset on, so many bytes."""
    offset, size = pair(where)
    data = text.encode()
    piece = data[offset : offset + min(size, LARGEST // 2)]
    return (b"m" if offset + len(piece) < len(data) else b"l") + escaped(piece)

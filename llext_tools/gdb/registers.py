"""The registers of a target in GDB's order, and the description that tells GDB of them.

Source: the GDB manual, "Target Descriptions" and "Packets" (g, G, p, P): values are in the target's byte order, which
is little-endian for everything here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from xml.sax.saxutils import quoteattr

from llext_tools.arch.base import Arch, GdbRegister
from llext_tools.arch.model import Target


class Registers:
    """The registers of one target; GDB's number of one is its index."""

    def __init__(self, arch: Arch, target: Target) -> None:
        self._features = arch.gdb.features(target)
        self._architecture = arch.gdb.architecture(target)
        self.all: tuple[GdbRegister, ...] = tuple(r for feature in self._features for r in feature.registers)
        self.sources = tuple(register.emulator or register.name for register in self.all)
        """The emulator's names."""

    @property
    def description(self) -> str:
        """``target.xml``."""
        lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
        lines.append(f"<architecture>{self._architecture}</architecture>")
        number = count()
        for feature in self._features:
            lines.append(f"<feature name={quoteattr(feature.name)}>")
            for name, bits, kind, *_ in feature.registers:
                lines.append(f'<reg name="{name}" bitsize="{bits}" type="{kind}" regnum="{next(number)}"/>')
            lines.append("</feature>")
        return "\n".join([*lines, "</target>", ""])

    def pack(self, value_of: Callable[[str], int | None], which: Iterable[int] | None = None) -> str:
        """Registers in hex, all by default; ``value_of(emulator's name)`` is None where a value is not known."""
        text = ""
        for i in range(len(self.all)) if which is None else which:
            value, size = value_of(self.sources[i]), self.all[i].bits // 8
            text += "xx" * size if value is None else masked(value, size).to_bytes(size, "little").hex()
        return text

    def unpack(self, data: bytes) -> list[tuple[int, int]]:
        """Number and value of each register that all bytes are there of."""
        found, at = [], 0
        for number, register in enumerate(self.all):
            size = register.bits // 8
            if at + size > len(data):
                break
            found.append((number, int.from_bytes(data[at : at + size], "little")))
            at += size
        return found


def masked(value: int, size: int) -> int:
    return value & ((1 << 8 * size) - 1)

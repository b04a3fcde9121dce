"""Call frame information: how the caller's registers are found from those of a function, by pyelftools.

An object's ``.debug_frame`` or ``.eh_frame`` has an entry (FDE) for each function, which refers to one that several
share (CIE). Firmwares have thousands of them: they are listed by their addresses alone, and pyelftools decodes those
that are asked for.
Source: DWARF 5, section 6.4 "Call Frame Information"; LSB 5.0, "Exception Frames" for ``.eh_frame``.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from elftools.dwarf.callframe import CallFrameInfo, RegisterRule
from elftools.dwarf.structs import DWARFStructs
from elftools.elf.elffile import ELFFile

from llext_tools.elf.debug import relocated, with_debug
from llext_tools.elf.dwarf import MALFORMED
from llext_tools.elf.model import I64, ElfObject
from llext_tools.elf.structs import ET_REL

FRAME = ".debug_frame"
EH_FRAME = ".eh_frame"
SIZES = {2: 2, 3: 4, 4: 8}
SIGNED, RELATIVE = 0x08, 0x10
"""DW_EH_PE_*: bytes of a number by the lowest bits; others have a word."""
IS_CIE = 0xFFFF_FFFF  # what stands in place of the CIE's offset; as a length: DWARF of 64 bits
KINDS = {RegisterRule.OFFSET: "at", RegisterRule.VAL_OFFSET: "is", RegisterRule.REGISTER: "register"}
"""Rules that are understood: the value is at CFA + n, is CFA + n, or is in register n."""


class Row(NamedTuple):
    """How to unwind at one instruction. ``cfa``: DWARF's number of a register and what is added to it.

    ``rules``: number of a register -> (kind, n), see ``KINDS``, or ``("lost", 0)``. Others are as they were.
    """

    cfa: tuple[int, int]
    rules: dict[int, tuple[str, int]]


class Part(NamedTuple):
    """A section with call frame information.

    ``entries``: the FDEs, each with first address, end, own offset and that of its CIE, int64[n, 4].
    """

    data: bytes
    address: int
    eh: bool
    entries: I64


class CallFrames:
    """What an object's debug information says of the frames of its functions.

    Args:
        debug: the object with debug information.
        start: int64[k], the address of each section.
    """

    def __init__(self, debug: ElfObject, start: I64) -> None:
        self._word = debug.bits // 8
        self._parts: list[Part] = []
        self._decoded: dict[tuple[bool, int], tuple[list[int], list[Row]]] = {}
        names = [FRAME] if debug.type == ET_REL else [FRAME, EH_FRAME]
        wanted = [name for name in names if name in debug.sections.name]
        if not wanted:
            return
        with suppress(*MALFORMED, struct.error):
            file = ELFFile(io.BytesIO(relocated(debug, wanted, start)))
            for name in wanted:
                section = file.get_section_by_name(name)
                data, address = section.data(), int(section["sh_addr"])
                found = eh_entries(data, address, self._word) if name == EH_FRAME else entries(data, self._word)
                self._parts.append(Part(data, address, name == EH_FRAME, found))

    @classmethod
    def of(cls, obj: ElfObject, start: I64) -> CallFrames:
        """Those of an object, or of the file with debug information beside it; ``start``: of the object's sections."""
        return cls(*with_debug(obj, start))

    def row(self, pc: int) -> Row | None:
        """How to unwind at an instruction; None if that is not known."""
        try:
            table = self._table(pc)
        except (*MALFORMED, struct.error):
            return None
        if table is None:
            return None
        starts, rows = table
        i = int(np.searchsorted(starts, pc, side="right")) - 1
        return rows[i] if i >= 0 else None

    def _table(self, pc: int) -> tuple[list[int], list[Row]] | None:
        for part in self._parts:
            here = np.flatnonzero((part.entries[:, 0] <= pc) & (pc < part.entries[:, 1]))
            if here.size:
                offset, cie = part.entries[here[0], 2:].tolist()
                key = part.eh, offset
                if key not in self._decoded:
                    self._decoded[key] = decoded(cut(part, offset, cie, self._word))
                return self._decoded[key]
        return None


def cut(part: Part, offset: int, cie: int, word: int) -> Any:
    """The FDE at an offset, from a section that has only its CIE and it."""
    first, second = (
        bytearray(part.data[at : at + 4 + int.from_bytes(part.data[at : at + 4], "little")]) for at in (cie, offset)
    )
    second[4:8] = (len(first) + 4 if part.eh else 0).to_bytes(4, "little")
    structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=word)
    address = part.address + offset - len(first)  # so that what is relative to a place stays what it is
    stream = io.BytesIO(bytes(first + second))
    return CallFrameInfo(stream, len(first) + len(second), address, structs, for_eh_frame=part.eh).get_entries()[1]


def entries(data: bytes, word: int) -> I64:
    """The FDEs of a ``.debug_frame``, see ``Part``."""
    found = []
    head = struct.Struct("<II" + {4: "II", 8: "QQ"}[word])
    at = 0
    while at + head.size <= len(data):
        length, cie, start, size = head.unpack_from(data, at)
        if length == IS_CIE:
            break  # no compiler writes 64-bit DWARF for a microcontroller
        if cie != IS_CIE and size and start + size < 1 << 63:
            found.append((start, start + size, at, cie))
        at += 4 + length
    return np.array(found, np.int64).reshape(-1, 4)


def eh_entries(data: bytes, address: int, word: int) -> I64:
    """The FDEs of an ``.eh_frame`` at an address: its CIEs say how addresses are written."""
    found = []
    encodings: dict[int, int] = {}
    at = 0
    while at + 8 <= len(data):
        length, back = struct.unpack_from("<II", data, at)
        if length in (0, IS_CIE):
            break
        if back:
            cie = at + 4 - back
            if cie not in encodings:
                encodings[cie] = encoding(data, cie, word)
            size, signed = SIZES.get(encodings[cie] & 7, word), bool(encodings[cie] & SIGNED)
            start, count = (
                int.from_bytes(data[i : i + size], "little", signed=signed and i == at + 8)
                for i in (at + 8, at + 8 + size)
            )
            start += address + at + 8 if encodings[cie] & RELATIVE else 0
            if 0 <= start < start + count < 1 << 63:
                found.append((start, start + count, at, cie))
        at += 4 + length
    return np.array(found, np.int64).reshape(-1, 4)


def encoding(data: bytes, cie: int, word: int) -> int:
    """How the FDEs of a CIE have their addresses: DW_EH_PE_*."""
    version, at = data[cie + 8], cie + 9
    end = data.index(0, at)
    augmentation, at = data[at:end].decode("latin-1"), end + 1
    for _ in range(2 + (version > 1)):  # alignment of code and data, the return address's register
        at = behind_leb128(data, at)
    at = behind_leb128(data, at + (version == 1)) if augmentation.startswith("z") else at
    for letter in augmentation[1:]:
        if letter == "R":
            return data[at]
        at += {"L": 1, "P": 1 + SIZES.get(data[at] & 7, word)}.get(letter, 0)
    return 0


def behind_leb128(data: bytes, at: int) -> int:
    while data[at] & 0x80:
        at += 1
    return at + 1


def decoded(entry: Any) -> tuple[list[int], list[Row]]:
    """The addresses from which rows hold, and the rows. What cannot be evaluated here ends the table before it."""
    starts, rows = [], []
    for line in entry.get_decoded().table:
        cfa = line["cfa"]
        if cfa.reg is None:
            break
        rules = {
            register: (KINDS.get(rule.type, "lost"), rule.arg or 0)
            for register, rule in line.items()
            if isinstance(register, int) and rule.type != RegisterRule.SAME_VALUE
        }
        rules = {register: (kind, n if isinstance(n, int) else 0) for register, (kind, n) in rules.items()}
        starts.append(int(line["pc"]))
        rows.append(Row((int(cfa.reg), int(cfa.offset)), rules))
    return starts, rows

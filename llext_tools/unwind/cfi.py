"""Call frame information: how the caller's registers are found from those of a function, by pyelftools.

An object's ``.debug_frame`` or ``.eh_frame`` has an entry (FDE) for each function, which refers to one that several
share (CIE). Firmwares have thousands of them: they are listed by their addresses alone, and pyelftools decodes those
that are asked for.
Source: DWARF 5, section 6.4 "Call Frame Information"; LSB 5.0, "Exception Frames" for ``.eh_frame``.
"""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

import numpy as np
from elftools.dwarf.callframe import FDE, CallFrameInfo, RegisterRule
from elftools.dwarf.structs import DWARFStructs
from elftools.elf.elffile import ELFFile

from llext_tools.elf.debug import debug_file, relocated, same_sections
from llext_tools.elf.dwarf import MALFORMED
from llext_tools.elf.model import I64, ElfObject

FRAME = ".debug_frame"
EH_FRAME = ".eh_frame"
IS_CIE = 0xFFFF_FFFF  # what stands in place of the CIE's offset; as a length: DWARF of 64 bits
KINDS = {RegisterRule.OFFSET: "at", RegisterRule.VAL_OFFSET: "is", RegisterRule.REGISTER: "register"}
"""Rules that are understood: the value is at CFA + n, is CFA + n, or is in register n."""


class Row(NamedTuple):
    """How to unwind at one instruction. ``cfa``: DWARF's number of a register and what is added to it.

    ``rules``: number of a register -> (kind, n), see ``KINDS``, or ``("lost", 0)``. Others are as they were.
    """

    cfa: tuple[int, int]
    rules: dict[int, tuple[str, int]]


class CallFrames:
    """What an object's debug information says of the frames of its functions.

    Args:
        debug: the object with debug information.
        start: int64[k], the address of each section.
    """

    def __init__(self, debug: ElfObject, start: I64) -> None:
        self._word = debug.bits // 8
        self._data = b""
        self._entries: I64 = np.zeros((0, 4), np.int64)
        self._decoded: dict[int, tuple[list[int], list[Row]]] = {}
        self._eh: list[tuple[int, int, Any]] = []
        wanted = {FRAME, EH_FRAME} & set(debug.sections.name)
        try:
            file = ELFFile(io.BytesIO(relocated(debug, wanted, start))) if wanted else None
            section = file.get_section_by_name(FRAME) if file else None
            if section is not None:
                self._data = section.data()
                self._entries = entries(self._data, self._word)
            if file is not None and EH_FRAME in wanted and debug.type != 1:
                self._eh = eh_entries(file)
        except (*MALFORMED, struct.error):
            pass

    @classmethod
    def of(cls, obj: ElfObject, start: I64) -> CallFrames:
        """Those of an object, or of the file with debug information beside it; ``start``: of the object's sections."""
        debug = debug_file(obj)
        if debug is None or debug is obj:
            return cls(debug or obj, start)
        there = same_sections(obj, debug)
        moved = np.zeros(len(debug.sections), np.int64)
        moved[there[there >= 0]] = start[there >= 0]
        return cls(debug, moved)

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
        here = np.flatnonzero((self._entries[:, 0] <= pc) & (pc < self._entries[:, 1]))
        if here.size:
            offset, cie = self._entries[here[0], 2:].tolist()
            if offset not in self._decoded:
                self._decoded[offset] = decoded(self._cut(offset, cie))
            return self._decoded[offset]
        for start, end, entry in self._eh:
            if start <= pc < end:
                if -start not in self._decoded:
                    self._decoded[-start] = decoded(entry)
                return self._decoded[-start]
        return None

    def _cut(self, offset: int, cie: int) -> Any:
        """The FDE at an offset, from a section that has only its CIE and it."""
        parts = [bytearray(self._data[at : at + 4 + self._length(at)]) for at in (cie, offset)]
        parts[1][4:8] = bytes(4)
        stream = io.BytesIO(b"".join(parts))
        size = len(stream.getvalue())
        structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=self._word)
        return CallFrameInfo(stream, size, 0, structs).get_entries()[1]

    def _length(self, at: int) -> int:
        return int.from_bytes(self._data[at : at + 4], "little")


def entries(data: bytes, word: int) -> I64:
    """The FDEs of a ``.debug_frame``: first address, end, own offset, that of the CIE, int64[n, 4]."""
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


def eh_entries(file: Any) -> list[tuple[int, int, Any]]:
    """The FDEs of an ``.eh_frame``: first address, end, the entry itself."""
    info = file.get_dwarf_info(relocate_dwarf_sections=False)
    found = [entry for entry in info.EH_CFI_entries() if isinstance(entry, FDE)]
    starts = [(int(entry["initial_location"]), entry) for entry in found]
    return [(start, start + int(entry["address_range"]), entry) for start, entry in starts]


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

"""An ELF file that tells GDB of the host: the names of its functions, and that nobody has called it.

Nothing of it is loaded. Its functions are single addresses that take no time: whoever halts there finds the caller in
the register for return addresses, and the stack pointer as it was. Backtraces end where the host has called.
Source: gABI 4.1, chapter 4; DWARF 5, section 6.4.1 "Structure of Call Frame Information".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from llext_tools.arch.base import CallConv
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.write import Section, aligned, elf_file, head_size, string_table, symbol_sections

HOST = "llext_host"
"""The name of what calls extensions."""
BEFORE = 4
"""Bytes in front of a return address, where debuggers look for the call."""
DEF_CFA, UNDEFINED, SAME_VALUE = 0x0C, 0x07, 0x08  # DW_CFA_*
CIE_ID = 0xFFFF_FFFF
CODE_FLAGS = elf.SHF_ALLOC | elf.SHF_EXECINSTR


def host_symbols(
    obj: ElfObject, conv: CallConv, functions: Mapping[int, str], areas: Sequence[tuple[int, int]], return_at: int
) -> bytes:
    """The file.

    Args:
        obj: any file for the same CPU.
        functions: address -> name, of those that are in no image.
        areas: start and end of the ranges of addresses that they are in.
        return_at: where calls by the host return to.
    """
    bits, word = obj.bits, obj.bits // 8
    spans = [(return_at - BEFORE, 2 * BEFORE), *((start, end - start) for start, end in areas)]
    frames = call_frames(word, conv, spans)
    named = [(return_at - BEFORE, HOST, 1)]
    for i, (start, end) in enumerate(areas, 2):
        named += [(at, name, i) for at, name in sorted(functions.items()) if start <= at < end]
    strtab, at = string_table(name for _, name, _ in named)
    symtab = np.zeros(len(named) + 1, elf.SYM_OF[bits])
    for entry, (address, name, section) in zip(symtab[1:], named, strict=True):
        size = BEFORE if section > 1 else 2 * BEFORE
        entry["name"], entry["value"], entry["size"], entry["shndx"] = at[name], address, size, section
        entry["info"] = elf.STB_GLOBAL << 4 | elf.STT_FUNC
    start = aligned(head_size(bits), word)
    sections = [
        Section(name=f".host.{i}", type=elf.SHT_NOBITS, flags=CODE_FLAGS, addr=first, offset=start, size=size)
        for i, (first, size) in enumerate(spans)
    ]
    sections.append(Section(name=".debug_frame", type=elf.SHT_PROGBITS, offset=start, size=len(frames), data=frames))
    end = aligned(start + len(frames), word)
    sections += symbol_sections(symtab, strtab, behind=len(sections), offset=end, first=1)
    return elf_file(
        bits=bits,
        type=elf.ET_EXEC,
        machine=obj.machine,
        flags=obj.flags,
        ident=obj.image[7:9].tobytes(),
        sections=sections,
    )


def call_frames(word: int, conv: CallConv, spans: list[tuple[int, int]]) -> bytes:
    """``.debug_frame``: of the first span (start, size) there is no caller, of the others it is in the register."""
    sp, ra = conv.dwarf.index(conv.sp), conv.dwarf.index(conv.ra)
    data = b""
    for i, (start, size) in enumerate(spans):
        rule = SAME_VALUE if i else UNDEFINED
        entry = bytes((3, 0, 1, -word & 0x7F, ra, DEF_CFA, sp, 0, rule, ra))  # version 3, no augmentation
        cie = len(data)
        data += block(struct.pack("<I", CIE_ID) + entry, word)
        data += block(struct.pack("<I", cie) + start.to_bytes(word, "little") + size.to_bytes(word, "little"), word)
    return data


def block(contents: bytes, word: int) -> bytes:
    """With its length in front, filled up with DW_CFA_nop."""
    contents += bytes(-(len(contents) + 4) % word)
    return struct.pack("<I", len(contents)) + contents

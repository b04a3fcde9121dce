"""Putting an ELF file together: string tables, places in the file, and one join of all pieces.

A writer decides on sections and symbols; what is here are the parts that every writer needs. Files are the same,
byte for byte, for the same input.
Source: gABI 4.1, chapter 4 "Object Files".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64, Bytes, ElfObject

EV_CURRENT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of a new file. ``data`` is None for SHT_NOBITS. ``offset``: bytes from the start of the file."""

    name: str
    type: int
    flags: int = 0
    addr: int = 0
    offset: int
    size: int
    link: int = 0
    info: int = 0
    addralign: int = 1
    entsize: int = 0
    data: Bytes | bytes | None = None


def aligned(offset: int, align: int) -> int:
    """The next multiple of ``align``, any positive number."""
    return -(-offset // align) * align


def head_size(bits: int, segments: int = 0) -> int:
    """Bytes of the ELF header and the program headers: where the first section may start."""
    return elf.EHDR_OF[bits].itemsize + segments * elf.PHDR_OF[bits].itemsize


def raw_symbols(obj: ElfObject) -> NDArray[np.void]:
    """The symbol table's entries as they are in the file: structured[n], read-only."""
    return obj.contents(obj.symbols.section).view(elf.SYM_OF[obj.bits])


def kept_strings(strtab: bytes, at: I64) -> tuple[bytes, I64]:
    """The string table that holds only the strings which start at ``at``, and their places in it, int64[n].

    Strings that shared their end still do, so the result is never larger than ``strtab``. It begins with the
    empty string.
    """
    table = np.frombuffer(strtab, np.uint8)
    ends = np.flatnonzero(table == 0)
    which = np.searchsorted(ends, at)
    named = at != ends[which]
    used, share = np.unique(which[named], return_inverse=True)
    first = np.full(used.shape, table.size, np.int64)
    np.minimum.at(first, share, at[named])
    length = ends[used] + 1 - first
    start = 1 + np.cumsum(length) - length
    bytes_of = np.arange(length.sum()) + np.repeat(first - start + 1, length)
    new_at = np.zeros_like(at)
    new_at[named] = start[share] + at[named] - first[share]
    return b"\0" + table[bytes_of].tobytes(), new_at


def string_table(names: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    """A string table of ``names`` in their order, each once, and where each is."""
    data, at = bytearray(b"\0"), {"": 0}
    for name in names:
        if name not in at:
            at[name] = len(data)
            data += to_bytes(name) + b"\0"
    return bytes(data), at


def to_bytes(name: str) -> bytes:
    """The bytes of a name that ``model.string_at()`` has decoded: ``\\xNN`` stands for one that was not UTF-8."""
    data = name.encode()
    if b"\\x" not in data:
        return data
    import re

    return re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes([int(found[1], 16)]), data)


def symbol_sections(symtab: NDArray[np.void], strtab: bytes, *, behind: int, offset: int, first: int) -> list[Section]:
    """The symbol table, its strings and the section names, which end a file.

    Args:
        symtab: structured[n], SYM_OF.
        behind: how many sections there are in front of them.
        offset: where the table may begin, aligned to a word.
        first: index of the first symbol that is not local.
    """
    word, strings = 4 if symtab.dtype == elf.SYM_OF[32] else 8, offset + symtab.nbytes
    return [
        Section(
            name=".symtab",
            type=elf.SHT_SYMTAB,
            offset=offset,
            size=symtab.nbytes,
            link=behind + 2,
            info=first,
            addralign=word,
            entsize=symtab.itemsize,
            data=symtab.view(np.uint8),
        ),
        Section(name=".strtab", type=elf.SHT_STRTAB, offset=strings, size=len(strtab), data=strtab),
        Section(name=".shstrtab", type=elf.SHT_STRTAB, offset=strings + len(strtab), size=0),
    ]


def elf_file(
    *,
    bits: int,
    type: int,
    machine: int,
    flags: int,
    ident: bytes,
    sections: Sequence[Section],
    segments: NDArray[np.void] | None = None,
    contents: Sequence[tuple[int, Bytes]] = (),
) -> bytes:
    """The bytes of an ELF file: ``sections`` without the empty first one, the last holds the section names.

    Args:
        ident: OS ABI and ABI version, e_ident[7:9].
        sections: in the order of their headers.
        segments: program headers, PHDR_OF[bits].
        contents: offset and bytes of more contents, for sections without ``data`` of their own. No two contents
            overlap.
    The entry point is 0: an extension has none.
    """
    word = bits // 8
    strings, name_at = string_table(s.name for s in sections)
    names = sections[-1]
    last = Section(name=names.name, type=elf.SHT_STRTAB, offset=names.offset, size=len(strings), data=strings)
    sections = [*sections[:-1], last]
    headers = np.zeros(len(sections) + 1, elf.SHDR_OF[bits])
    mask = (1 << bits) - 1  # the model holds numbers of 2**63 and more as negative ones
    for i, s in enumerate(sections, 1):
        headers[i] = (
            *(name_at[s.name], s.type, s.flags & mask, s.addr & mask, s.offset, s.size),
            *(s.link, s.info, s.addralign, s.entsize & mask),
        )
    shoff = aligned(last.offset + last.size, word)
    header = np.zeros(1, elf.EHDR_OF[bits])
    header[0] = (
        elf.ELFMAG + bytes([{32: 1, 64: 2}[bits], elf.ELFDATA2LSB, EV_CURRENT]) + ident,
        *(type, machine, EV_CURRENT, 0),
        *(0 if segments is None else header.itemsize, shoff, flags, header.itemsize),
        *(elf.PHDR_OF[bits].itemsize if segments is not None else 0, 0 if segments is None else segments.size),
        *(headers.itemsize, headers.size, len(sections)),
    )
    parts: list[bytes | memoryview] = [header.tobytes()]
    if segments is not None:
        parts.append(segments.tobytes())
    end = sum(map(len, parts))
    pieces = [*contents, *((s.offset, s.data) for s in sections if s.data is not None)]
    for offset, data in sorted(pieces, key=lambda piece: (piece[0], len(piece[1]))):
        assert offset >= end, "contents overlap"
        parts += [bytes(offset - end), data if isinstance(data, bytes) else data.data]
        end = offset + len(data)
    return b"".join([*parts, bytes(shoff - end), headers.tobytes()])

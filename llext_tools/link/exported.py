"""What an extension offers to the next one: the entries of its ``.exported_sym``, after relocation.

Source: Zephyr, ``llext_export.c`` (``struct llext_symbol``: two pointers, name and address) and ``llext_load.c``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llext_tools.arch.base import Arch
from llext_tools.diag import Location, Reporter
from llext_tools.elf.model import Bytes, ElfObject, string_at
from llext_tools.link.exports import Export, ExportTable
from llext_tools.link.image import Layout
from llext_tools.mem import Mem

LARGEST = 1 << 24
"""Bytes of an export table: a million entries, beyond any extension."""


def export(obj: ElfObject, arch: Arch, layout: Layout, mem: Mapping[Mem, Bytes], reporter: Reporter) -> ExportTable:
    """The extension's export table, sorted by name as the loader sorts it.

    Reports ``export-entry`` for an entry whose name is not a string in one of the regions.
    """
    at = Location(file=obj.path, section=".exported_sym")
    area = mem.get(Mem.EXPORT, np.zeros(0, np.uint8))
    word = obj.bits // 8
    if area.size % (2 * word):
        text = f"the table has {area.size:,} bytes, not a multiple of {2 * word}: two pointers an entry"
        reporter.warning("export-entry", text, at=at)  # the loader drops the rest without a word
    if area.size > LARGEST:
        reporter.error("export-entry", f"the table has {area.size:,} bytes, more than {LARGEST:,}", at=at)
        reporter.checkpoint()
    entries = area[: area.size // (2 * word) * 2 * word].tobytes()
    pairs = np.frombuffer(entries, f"<u{word}").reshape(-1, 2).tolist()
    text_start, text_end = _span(layout, mem, Mem.TEXT)
    symbols, nameless = [], []
    for i, (name_at, address) in enumerate(pairs):
        name = _string(layout, mem, name_at)
        if name is None:
            nameless.append(i)
            continue
        symbols.append(Export(name, address, "func" if text_start <= address < text_end else "object"))
    if nameless:
        first = nameless[0]
        more = f", like {len(nameless) - 1:,} more" if len(nameless) > 1 else ""
        text = f"entry {first} has no name: {pairs[first][0]:#010x} is no string of the extension{more}"
        where = Location(file=obj.path, section=".exported_sym", offset=2 * word * first)
        reporter.error("export-entry", text, at=where)
    reporter.checkpoint()
    return ExportTable(source=obj.path, symbols=tuple(sorted(symbols)), machine=arch.machine)


def _span(layout: Layout, mem: Mapping[Mem, Bytes], region: Mem) -> tuple[int, int]:
    start = layout.base.get(region, 0)
    return start, start + (mem[region].size if region in mem else 0)


def _string(layout: Layout, mem: Mapping[Mem, Bytes], address: int) -> str | None:
    for region, contents in mem.items():
        start = layout.base[region]
        if start <= address < start + contents.size:
            tail = contents[address - start :]
            ends = np.flatnonzero(tail[:4096] == 0)
            return string_at(tail[: ends[0] + 1].tobytes(), 0) if ends.size else None
    return None

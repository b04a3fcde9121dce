"""What the loader reads of a file: header, section headers and tables, as its C code sees them.

The code reads structures over what they held before: a read that ends early leaves the rest as it was. Nothing here is
checked that the loader does not check; ``elf.read`` is the strict reader.
Source: Zephyr, ``llext_load.c``, ``llext_load_elf_data()``.
"""

from __future__ import annotations

import errno
from struct import Struct
from typing import NamedTuple

from llext_tools.diag import CODES, Diagnostic, Location
from llext_tools.elf.read import REBUILD
from llext_tools.link.hints import MERGED
from llext_tools.llext.heap import Heap
from llext_tools.llext.loaders import Loader
from llext_tools.llext.outcome import Refusal, Undefined
from llext_tools.llext.space import Space


class Shdr(NamedTuple):
    """A section header; the names are the gABI's without ``sh_``."""

    name: int = 0
    type: int = 0
    flags: int = 0
    addr: int = 0
    offset: int = 0
    size: int = 0
    link: int = 0
    info: int = 0
    addralign: int = 0
    entsize: int = 0


EHDR = {32: Struct("<16sHHIIIIIHHHHHH"), 64: Struct("<16sHHIQQQIHHHHHH")}
SHDR = {32: Struct("<10I"), 64: Struct("<IIQQQQIIQQ")}
SYM_SIZE = {32: 16, 64: 24}
POINTER = {32: 4, 64: 8}


class Source:
    """A loader, with its errors turned into refusals. ``name`` stands for the file in diagnostics."""

    def __init__(self, loader: Loader, space: Space, name: str) -> None:
        self.loader = loader
        self.space = space
        self.name = name

    @property
    def at(self) -> Location:
        return Location(file=self.name)

    def prepare(self) -> None:
        try:
            self.loader.prepare()
        except OSError as error:
            raise self._failed("prepare", error) from None

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``position``: fewer where the file ends."""
        try:
            self.loader.seek(position)
        except OSError as error:
            raise self._failed("seek", error) from None
        try:
            return bytes(self.loader.read(size)[:size])
        except OSError as error:
            raise self._failed("read", error) from None

    def peek(self, position: int) -> int | None:
        return self.loader.peek(position)

    def table(self, position: int, size: int, entry: int) -> bytes:
        """A table that is read entry by entry: one that the file cuts short repeats what was read last."""
        data = self.read(position, size)
        if len(data) == size or not size:
            return data
        if size > 1 << 24:
            raise Undefined(f"a table of {size:,} bytes goes on behind the end of the file")
        partial = len(data) % entry
        last = data[len(data) - partial - entry : len(data) - partial].ljust(entry, b"\0")
        whole = data[len(data) - partial :] + last[partial:] if partial else b""
        data = data[: len(data) - partial] + whole
        return data + (whole or last) * ((size - len(data)) // entry)

    def _failed(self, function: str, error: OSError) -> Refusal:
        number = error.errno or errno.EIO
        name = errno.errorcode.get(number, str(number))
        why = f": {error.strerror}" if error.strerror else ""
        text = f"the loader's `{function}` failed with -{name}{why}"
        return Refusal(name, Diagnostic("loader-failed", text, location=self.at, returned=name))


CURES = {
    "elf-header": "build the file again for this firmware's CPU",
    "elf-sections": REBUILD,
    "elf-symbols": REBUILD,
    "elf-relocations": REBUILD,
    "region-alignment": "give the section an alignment that is a power of two",
    "region-addresses": "link with `-r` instead of `-shared`, or without moving sections (`-Tdata`, a linker script)",
    "region-image": "link with `-r` instead of `-shared`",
    "region-flags": "give both sections the same flags, or merge the input sections",
    "region-overlap": MERGED,
    "symbol-nowhere": "put it into a section that is loaded, or make it local",
    "reloc-rela": "build the file with the assembler and linker of its CPU",
}
"""What to do about a refusal, where it is the same for each of a code."""


def fail(
    errno: str, code: str, text: str, at: Location, *, said: str = "", help: str = "", detail: tuple[str, ...] = ()
) -> Refusal:
    """A refusal to raise; ``said`` is its line in the log."""
    returned = errno if CODES[code].errno != errno else ""
    cure = help or CURES.get(code, "")
    return Refusal(errno, Diagnostic(code, text, location=at, help=cure, detail=detail, returned=returned), said)


def no_room(heap: Heap, what: str, size: int, at: Location, *, align: int = 1, said: str = "") -> Refusal:
    """``load-memory``: a heap that has no room for ``size`` bytes, aligned to ``align``."""
    text = f"no room for {what}: {size:,} bytes" + (f", aligned to {align:,}" if align > 1 else "")
    detail = (f"the heap of {heap.size:,} bytes has {heap.free_bytes:,} free, {heap.largest:,} in one piece",)
    cure = "raise CONFIG_LLEXT_HEAP_SIZE; `llext inspect --memory` adds it up"
    return fail("ENOMEM", "load-memory", text, at, said=said, help=cure, detail=detail)

"""A firmware as far as extensions are checked against it: what it exports, and what else its files tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from llext_tools.abi.text import type_hash
from llext_tools.abi.types import Interface, Layout, Signature
from llext_tools.arch.base import Cpu
from llext_tools.diag import Location, fail
from llext_tools.elf.structs import ELFMAG
from llext_tools.files import read_bytes
from llext_tools.host import cache
from llext_tools.host.build import FirmwareBuild
from llext_tools.host.image import Image
from llext_tools.host.known import Facts, table_from_json, table_to_json
from llext_tools.host.tables import Table, table_in
from llext_tools.link.exports import Definition, ExportTable, Heap

__all__ = ["NOTHING", "Definition", "Facts", "Firmware", "read_firmware", "require_image"]

NOTHING = Interface({}, {})
LARGE = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """One firmware. ``exports`` is its table; of several ``sources`` the first one that has a name counts."""

    exports: ExportTable
    sources: tuple[Image | Table, ...] = ()

    @property
    def images(self) -> tuple[Image, ...]:
        """The ELF files: a table of exports does not know what is not exported."""
        return tuple(source for source in self.sources if isinstance(source, Image))

    @property
    def facts(self) -> Facts | None:
        """CPU, build attributes and heap, if there is an ELF file to tell."""
        return next((image.facts for image in self.images), None)

    @property
    def cpu(self) -> Cpu | None:
        """What it was compiled for, as far as its files say."""
        return self.exports.cpu

    def interface(self, names: Iterable[str]) -> Interface:
        """Signatures of those of ``names`` that it exports and that its files describe, and the types they reach.

        Of an ELF file without debug information a table tells that was written when there was some.
        """
        symbols: dict[str, Signature] = {}
        types: dict[str, Layout] = {}
        left = list(names)
        for source in self.sources:
            here = [name for name in left if source.exports.find(name)]
            found = source.interface(here) if here else NOTHING
            told = found.symbols if isinstance(source, Image) else here
            left = [name for name in left if name not in told] if here else left
            symbols |= found.symbols
            types = {**found.types, **types}
        return Interface(symbols, types)

    def hash_of(self, name: str) -> str:
        """The hash of what an export means (``abi.text.type_hash()``), ``""`` if nobody knows it."""
        for source in (source for source in self.sources if source.exports.find(name)):
            known = type_hash(name, source.interface([name]))
            if isinstance(source, Table):
                return known or source.hashes.get(name, "")
            if known:
                return known
        return ""

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """The hashes of those of ``names`` of which nothing but that is known: of tables without types."""
        found: dict[str, str] = {}
        for source in self.sources:
            if isinstance(source, Table) and source.hashes:
                here = {name: source.hashes[name] for name in names if name in source.hashes}
                found = {**{name: h for name, h in here.items() if name not in source.whole.symbols}, **found}
        return found if not found else {n: h for n, h in found.items() if n not in self.interface(found).symbols}

    def definition(self, name: str) -> Definition | None:
        """What is defined under a name, exported or not, if that can be told: tables list exports only."""
        return next((found for image in self.images if (found := image.definition(name))), None)

    def heap(self) -> Heap | None:
        """The heap of extensions, if it can be told: by an ELF file, or a table that was made of one."""
        return self.exports.heap

    def remember(self) -> None:
        """Keep what has been found out for the next call, if there is a place to keep it (``paths.cache_dir()``)."""
        for image in self.images:
            image.remember()


def require_image(path: str, help: str) -> None:
    """Refuse what is no ELF file where the code of a firmware is to run; ``help``: where a table may be given.

    Raises:
        FormatError: ``elf-magic``, ``file-unreadable``.
    """
    if not read_bytes(path).startswith(ELFMAG):
        fail("elf-magic", f"`{path}` is no firmware: it is not an ELF file", at=Location(path), help=help, returned="0")


def read_firmware(paths: Sequence[str | os.PathLike[str]], *, config: str = "") -> Firmware:
    """The firmware that files describe: its ELF file, tables of exports, or both.

    Args:
        config: the ``.config`` of its build, if that is not beside the ELF file.
    Raises:
        FormatError, ExportsError: as ``read_exports()``.
    """
    sources = []
    for path in [os.fspath(path) for path in paths]:
        data = read_bytes(path)
        sources.append(Image(data, path) if data.startswith(ELFMAG) else _table(data, path))
    exports = ExportTable.joined(source.exports for source in sources)
    if config:
        elf = next((source.path for source in sources if isinstance(source, Image)), "")
        exports = replace(exports, build=FirmwareBuild(elf, config=config))
    return Firmware(exports=exports, sources=tuple(sources))


def _table(data: bytes, path: str) -> Table:
    """A large text takes as long as an ELF file, and is kept in the same way."""
    if len(data) < LARGE:
        return table_in(data, path)
    key = cache.key_of(data, os.path.splitext(path)[1].lower())
    known = table_from_json(cache.load(key), path)
    if known is None:
        known = table_in(data, path)
        cache.store(key, table_to_json(known))
    return known

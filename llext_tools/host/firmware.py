"""A firmware as far as extensions are checked against it: what it exports, and what else its files tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from llext_tools.abi.types import Interface
from llext_tools.arch.base import Cpu
from llext_tools.elf.structs import ELFMAG
from llext_tools.files import read_bytes
from llext_tools.host.build import FirmwareBuild
from llext_tools.host.image import NOTHING, Facts, Image
from llext_tools.host.tables import exports_in
from llext_tools.link.exports import Definition, ExportTable

__all__ = ["NOTHING", "Definition", "Facts", "Firmware", "read_firmware"]


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """One firmware. ``exports`` is its table; of several files the first one that has a name counts.

    ``images`` are its ELF files: a table of exports tells of nothing else.
    """

    exports: ExportTable
    images: tuple[Image, ...] = ()

    @property
    def facts(self) -> Facts | None:
        """CPU, build attributes and heap, if there is an ELF file to tell."""
        return self.images[0].facts if self.images else None

    @property
    def cpu(self) -> Cpu | None:
        """What it was compiled for, as far as its files say."""
        return self.exports.cpu

    def interface(self, names: Iterable[str]) -> Interface:
        """Signatures of those of ``names`` that it exports and has debug information of, and the types they reach."""
        wanted = [name for name in names if self.exports.find(name)]
        return self.images[0].interface(wanted) if self.images else NOTHING

    def definition(self, name: str) -> Definition | None:
        """What is defined under a name, exported or not, if that can be told: tables list exports only."""
        return next((found for image in self.images if (found := image.definition(name))), None)

    def heap(self) -> tuple[int, int] | None:
        """Address and size in bytes of the heap of extensions, if it can be told."""
        return next((image.facts.heap for image in self.images if image.facts.heap), None)


def read_firmware(paths: Sequence[str | os.PathLike[str]], *, config: str = "") -> Firmware:
    """The firmware that files describe: its ELF file, tables of exports, or both.

    Args:
        config: the ``.config`` of its build, if that is not beside the ELF file.
    Raises:
        FormatError, ExportsError: as ``read_exports()``.
    """
    tables, images = [], []
    for path in [os.fspath(path) for path in paths]:
        data = read_bytes(path)
        if data.startswith(ELFMAG):
            images.append(Image(data, path))
            tables.append(images[-1].exports)
        else:
            tables.append(exports_in(data, path))
    exports = ExportTable.joined(tables)
    if config:
        exports = replace(exports, build=FirmwareBuild(images[0].path if images else "", config=config))
    return Firmware(exports=exports, images=tuple(images))

"""A firmware as far as extensions are checked against it: what it exports, and what else its files tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llext_tools.abi.types import Interface
from llext_tools.host.tables import read_exports
from llext_tools.link.exports import ExportTable

NOTHING = Interface({}, {})


class Definition(NamedTuple):
    """Something that the firmware defines, exported or not. ``line`` is 0 where debug information does not tell."""

    name: str
    address: int
    function: bool
    file: str = ""
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """One firmware. ``exports`` is its table; of several files the first one that has a name counts."""

    exports: ExportTable

    def interface(self, names: Iterable[str]) -> Interface:
        """Signatures of those of ``names`` that it exports and has debug information of, and the types they reach."""
        del names
        return NOTHING

    def definition(self, name: str) -> Definition | None:
        """What is defined under a name, exported or not, if that can be told: tables list exports only."""
        del name
        return None

    def heap(self) -> tuple[int, int] | None:
        """Address and size in bytes of the heap of extensions, if it can be told."""
        return None


def read_firmware(paths: Sequence[str | os.PathLike[str]]) -> Firmware:
    """The firmware that files describe: its ELF file, tables of exports, or both.

    Raises:
        FormatError, ExportsError: as ``read_exports()``.
    """
    return Firmware(exports=ExportTable.joined(map(read_exports, paths)))

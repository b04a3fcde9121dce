"""Tables of exported symbols: what a host, or an extension, offers to the extensions linked against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Kind = Literal["func", "object", ""]


class Export(NamedTuple):
    """One exported symbol. On Arm the address of a function carries the Thumb bit, as in Zephyr's tables."""

    name: str
    address: int
    kind: Kind = ""  # "" where the source of the table does not say
    prototype: str = ""  # C, for example "int name(int)"; "" if unknown


@dataclass(frozen=True, kw_only=True)
class ExportTable:
    """Exported symbols by name, in the order of their source. ``source`` names it in messages."""

    source: str
    symbols: tuple[Export, ...]
    machine: int = 0  # e_machine of the firmware that the table came from, 0 if it did not come from one

    @cached_property
    def by_name(self) -> Mapping[str, Export]:
        """The first definition of a name wins, as in Zephyr's search."""
        return {export.name: export for export in reversed(self.symbols)}

    @staticmethod
    def of(addresses: Mapping[str, int], source: str = "table") -> ExportTable:
        return ExportTable(source=source, symbols=tuple(Export(n, a) for n, a in addresses.items()))

    @staticmethod
    def joined(tables: Iterable[ExportTable]) -> ExportTable:
        """One table of several: an earlier one wins."""
        tables = tuple(tables)
        return ExportTable(
            source=", ".join(table.source for table in tables),
            symbols=tuple(export for table in tables for export in table.symbols),
            machine=next((table.machine for table in tables if table.machine), 0),
        )

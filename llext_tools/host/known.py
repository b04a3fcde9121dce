"""What is known of a firmware, in the form that ``llext_tools.host.cache`` keeps: made of what JSON has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from llext_tools.abi.notation import complete
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature
from llext_tools.arch.base import Cpu
from llext_tools.host.build import FirmwareBuild
from llext_tools.host.tables import Table
from llext_tools.link.exports import Definition, Export, ExportTable, Heap

T = TypeVar("T")


class Facts(NamedTuple):
    """The firmware as a whole. ``attributes``: its build attributes by tag, none if its linker script dropped them."""

    machine: int
    bits: int
    flags: int
    attributes: Mapping[int, int | str]
    heap: Heap | None


class Made(Mapping[str, T]):
    """Lists under names, each made into a value when it is asked for: an extension uses few of a firmware's."""

    def __init__(self, lists: dict[str, list[Any]], make: Callable[[list[Any]], T]) -> None:
        self.lists, self._make = lists, make

    def __getitem__(self, name: str) -> T:
        return self._make(self.lists[name])

    def __contains__(self, name: object) -> bool:
        return name in self.lists

    def __iter__(self) -> Iterator[str]:
        return iter(self.lists)

    def __len__(self) -> int:
        return len(self.lists)


class Known:
    """What is known so far. ``changed`` tells whether that is more than what was kept."""

    def __init__(self, exports: ExportTable, facts: Facts) -> None:
        self.exports, self.facts = exports, facts
        self.symbols: dict[str, list[Any] | None] = {}  # None: there is no debug information of it
        self.types = Made({}, _layout)
        self.definitions: dict[str, Definition | None] = {}
        self.changed = True

    def interface(self, names: Iterable[str]) -> Interface:
        """Those of ``names`` that were looked for and found, and the types that they reach."""
        lists = {name: found for name in names if (found := self.symbols.get(name))}
        symbols = {name: _signature(found) for name, found in lists.items()}
        return Interface(symbols, complete(symbols.values(), self.types))

    def learn(self, names: Iterable[str], found: Interface) -> bool:
        """Add what debug information says of ``names``; False, with nothing done, if it contradicts what is known.

        Two units may each have a type of one name. Which one is meant then depends on who asks.
        """
        types = {tag: _list(layout) for tag, layout in found.types.items()}
        if any(self.types.lists.get(tag, layout) != layout for tag, layout in types.items()):
            return False
        self.types.lists.update(types)
        for name in names:
            signature = found.symbols.get(name)
            self.symbols[name] = _list(signature) if signature else None
        self.changed = True
        return True

    def forget_interface(self) -> None:
        self.symbols, self.types = {}, Made({}, _layout)

    def to_json(self) -> dict[str, Any]:
        return {
            "exports": _exports_to_json(self.exports),
            "facts": self.facts._replace(attributes=[*self.facts.attributes.items()]),  # type: ignore[arg-type]
            "symbols": self.symbols,
            "types": self.types.lists,
            "definitions": self.definitions,
        }

    @staticmethod
    def from_json(content: Any, path: str) -> Known | None:
        """None if ``content`` is something else."""
        try:
            machine, bits, flags, attributes, heap = content["facts"]
            facts = Facts(machine, bits, flags, dict(attributes), Heap(*heap) if heap else None)
            exports = replace(_exports_from_json(content["exports"], path), build=FirmwareBuild(path))
            known = Known(exports, facts)
            known.symbols, known.types = dict(content["symbols"]), Made(dict(content["types"]), _layout)
            known.definitions = {n: d and Definition(*d) for n, d in content["definitions"].items()}
        except WRONG:
            return None
        known.changed = False
        return known


def table_to_json(table: Table) -> dict[str, Any]:
    return {
        "exports": _exports_to_json(table.exports),
        "symbols": table.whole.symbols,
        "types": table.whole.types,
        "hashes": table.hashes,
    }


def table_from_json(content: Any, path: str) -> Table | None:
    """None if ``content`` is something else."""
    try:
        whole = Interface(Made(dict(content["symbols"]), _signature), Made(dict(content["types"]), _layout))
        return Table(_exports_from_json(content["exports"], path), whole, dict(content["hashes"]))
    except WRONG:
        return None


WRONG = (KeyError, TypeError, ValueError, AttributeError)
"""What content raises that is something else."""


def _exports_to_json(table: ExportTable) -> dict[str, Any]:
    return {
        "machine": table.machine,
        "slid_bits": table.slid_bits,
        "cpu": table.cpu,
        "heap": table.heap,
        "symbols": table.symbols,
    }


def _exports_from_json(content: Any, path: str) -> ExportTable:
    cpu = content["cpu"] and Cpu(*content["cpu"])
    return ExportTable(
        source=path,
        symbols=tuple([Export(*export) for export in content["symbols"]]),
        machine=content["machine"],
        slid_bits=content["slid_bits"],
        cpu=cpu._replace(isa=tuple(cpu.isa)) if cpu else None,
        heap=Heap(*content["heap"]) if content["heap"] else None,
    )


def _layout(fields: list[Any]) -> Layout:
    kind, size, members = fields
    return Layout(kind, size, tuple(Member(*member) for member in members))


def _signature(fields: list[Any]) -> Signature:
    result, spelling, params, variadic = fields
    return Signature(result, spelling, None if params is None else tuple(Param(*p) for p in params), variadic)


def _list(value: Any) -> Any:
    """A tuple of tuples as JSON gives it back: lists of lists."""
    return [_list(part) for part in value] if isinstance(value, tuple) else value

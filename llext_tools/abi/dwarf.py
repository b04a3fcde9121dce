"""Interfaces from debug information: signatures of symbols, and the layouts of all types that they reach.

An extension's imports are declarations in it; a firmware's exports are definitions. In a firmware nothing is searched
entry by entry. A definition has the symbol's address among its attributes, so the units are those in which the bytes
of the address occur; a symbol that only has declarations (its definition is in assembly) is found by the bytes of the
place of its name in ``.debug_str``. Of these few units the outermost entries are looked at, and nothing else.

One tag may stand for different types in different units. Types are therefore read per unit, starting from the unit
that the signature is in, and joined at the end: a second type of the same tag is ``struct tag#2``.
Source: DWARF 5, chapters 3 to 5.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools.abi.notation import complete, complete_tags, renamed, tags
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature
from llext_tools.elf import structs as elf
from llext_tools.elf.debug import debug_file
from llext_tools.elf.dies import AT, ELSEWHERE, MALFORMED, TAG, Debug, Entry, Unit, uleb
from llext_tools.elf.model import ElfObject, positions
from llext_tools.elf.read import load_object

NOTHING = Interface({}, {})
DEEPEST = 60  # types around each other
LONGEST = 8_000  # characters of a type; what names more is no program's
MOST_UNITS = 8  # that mention a name without defining it: one of them declares it, or nobody does

ENCODINGS = {1: "u", 2: "b", 3: "c", 4: "f", 5: "i", 6: "i", 7: "u", 8: "u", 0x0F: "d", 0x10: "u"}
"""DW_ATE_* -> letter of a scalar."""

RECORDS = (TAG.structure_type, TAG.class_type, TAG.union_type)
SCOPES = (TAG.namespace, *RECORDS)
NAMED = (TAG.subprogram, TAG.variable, TAG.typedef, TAG.enumeration_type, *SCOPES)
POINTERS = {TAG.pointer_type: "*", TAG.reference_type: "&", TAG.rvalue_reference_type: "&&"}
QUALIFIERS = {TAG.const_type: "const", TAG.volatile_type: "volatile", TAG.restrict_type: "restrict",
              TAG.atomic_type: "_Atomic"}  # fmt: skip
WORDS = tuple(QUALIFIERS.values())
BEHIND = re.compile(rf"(?<=[*&])({'|'.join(WORDS)}| )*$")
BEFORE = re.compile(rf"(({'|'.join(WORDS)}) )*")
"""The qualifiers of a pointer, and of anything else."""
CPP = frozenset((0x04, 0x1A, 0x21, 0x2B, 0x3A))  # DW_LANG_C_plus_plus and its later standards
C = frozenset((0x01, 0x02, 0x0C, 0x1D, 0x2C, 0x3E))
ANY_TYPE = (TAG.base_type, TAG.pointer_type, *RECORDS)


def read_interface(source: str | ElfObject, names: Iterable[str]) -> Interface:
    """As ``Described.interface()`` of a file; nothing if that has no debug information.

    Args:
        source: a linked firmware or an extension, the latter with its debug information in it or beside it.
    """
    described = open_debug(source)
    return described.interface(names) if described else NOTHING


def read_types(source: str | ElfObject, wanted: Iterable[str]) -> Mapping[str, Layout]:
    """As ``Described.types()`` of a file; nothing if that has no debug information."""
    described = open_debug(source)
    return described.types(wanted) if described else {}


def open_debug(source: str | ElfObject) -> Described | None:
    """The debug information of a file, for several questions; None if there is none, or it is malformed."""
    try:
        obj = load_object(source) if isinstance(source, str) else source
        where = debug_file(obj)
        return Described(where) if where else None
    except MALFORMED:
        return None


class Described:
    """What the debug information of one file says of symbols and types; what was read is kept for the next question."""

    def __init__(self, obj: ElfObject) -> None:
        """Raises one of ``MALFORMED`` if the units cannot be told apart."""
        self._reader = _Reader(obj)
        self._units: dict[int, _Types] = {}

    def interface(self, names: Iterable[str], *, statics: bool = False) -> Interface:
        """The signatures of symbols and the types that they reach; what is not found, or malformed, is left out.

        Args:
            names: of exports or imports; a mapping gives their addresses, for names that are not in the symbol table.
            statics: of a relocatable file also what is static in it; the first one of several of a name.
        """
        wanted = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 0)
        parts: dict[int, dict[str, Signature]] = {}
        for name, (unit, entry) in self._reader.find(wanted, statics=statics).items():
            types = self._types_of(unit)
            try:
                parts.setdefault(unit.offset, {})[name] = types.signature(name, entry)
            except MALFORMED:
                pass
            types.finish()
        layouts = {unit: self._units[unit].layouts for unit in parts}
        return joined(Interface(symbols, complete(symbols.values(), layouts[unit])) for unit, symbols in parts.items())

    def interfaces(self, names: Iterable[str]) -> list[Interface]:
        """As ``interface()``, and behind it what further source files take the names for, if it is not the same."""
        names = list(names)
        found = [self.interface(names)]
        several = len(self._reader.debug.units) > 1
        units = {unit.offset: unit for name in names if several for unit in self._reader.units_naming(name)}
        for unit in units.values():
            symbols, types = dict[str, Signature](), self._types_of(unit)
            for name, entry in self._reader.declared(unit, names):
                try:
                    symbols[name] = types.signature(name, entry)
                except MALFORMED:
                    pass
                types.finish()
            further = Interface(symbols, complete(symbols.values(), types.layouts))
            if symbols and not any(_includes(known, further) for known in found):
                found.append(further)
        return found

    def types(self, wanted: Iterable[str]) -> Mapping[str, Layout]:
        """The complete types of tags such as ``struct sensor``, and what they reach: the first one of each tag."""
        parts: dict[int, dict[str, Layout]] = {}
        for tag in sorted(set(wanted)):
            try:
                found = self._reader.find_type(tag)
            except MALFORMED:
                continue
            if found is not None:
                unit, entry = found
                types = self._types_of(unit)
                root = types.tag_of(entry, "")
                types.finish()
                parts.setdefault(unit.offset, {}).update(complete_tags([root], types.layouts))
        return joined(Interface({}, layouts) for layouts in parts.values()).types

    def named(self, names: Iterable[str]) -> Interface:
        """Types by what C calls them, each as if it were that of a variable: ``struct sensor``, ``sensor_t``."""
        parts: dict[int, dict[str, Signature]] = {}
        for name in names:
            try:
                found = self._reader.find_named(name)
                if found is None:
                    continue
                unit, entry = found
                types = self._types_of(unit)
                parts.setdefault(unit.offset, {})[name] = types.named(name, entry)
                types.finish()
            except MALFORMED:
                pass
        layouts = {unit: self._units[unit].layouts for unit in parts}
        return joined(Interface(symbols, complete(symbols.values(), layouts[unit])) for unit, symbols in parts.items())

    def typedef(self, name: str) -> str:
        """What a typedef stands for, as C has it; "" if there is none of that name."""
        try:
            found = self._reader.find_named(name)
            return self._types_of(found[0]).target(found[1]) if found else ""
        except MALFORMED:
            return ""

    def all_types(self) -> Mapping[str, Layout]:
        """All complete types that have a tag, or a typedef."""
        reader, found = self._reader, set[str]()
        for unit in reader.debug.units:
            try:
                index = reader.index(unit)
                found |= index.types.keys()
                for target, typedef in index.typedefs.items():
                    entry = reader.debug.entry(target)
                    found |= {f"{KINDS[entry.tag]} {typedef}"} if entry.tag in KINDS and not _name(entry) else set()
            except MALFORMED:
                pass
        return self.types(found)

    def _types_of(self, unit: Unit) -> _Types:
        return self._units.setdefault(unit.offset, _Types(self._reader, unit))


# ---- which entry describes a symbol


@dataclass
class _Index:
    """What the outermost entries of a unit describe, and those in its namespaces and classes."""

    symbols: dict[str, list[Entry]] = field(default_factory=dict)  # by linkage name, else by name
    types: dict[str, Entry] = field(default_factory=dict)  # complete ones, by tag
    typedefs: dict[int, str] = field(default_factory=dict)  # type -> the first typedef of it
    aliases: dict[str, Entry] = field(default_factory=dict)  # typedefs by their names
    scopes: dict[int, str] = field(default_factory=dict)  # entry -> "ns::outer::", if it has one
    completions: dict[int, Entry] = field(default_factory=dict)  # declaration -> the type that completes it


class _Reader:
    """One file: finds entries, and knows the scopes of types."""

    def __init__(self, obj: ElfObject) -> None:
        self.obj = obj
        self.debug = Debug(obj)
        self._indices: dict[int, _Index] = {}
        self._bases: dict[str, tuple[list[Unit], list[int]]] = {}
        self._homes: dict[int, Unit] = {}  # address -> the unit of what is there, of the units read so far

    def find(self, names: Mapping[str, int], *, statics: bool = False) -> dict[str, tuple[Unit, Entry]]:
        """For each name that is described: the entry, and the unit where its types are."""
        found = {}
        places = self._places_of(names) if self.obj.type != elf.ET_REL else {}
        for name in names:
            try:
                entry = self._find(*places.get(name, (name, None)), statics=statics)
                if entry is None and statics and "." in name:
                    entry = self._find_inside(name)
                if entry is not None:
                    found[name] = self.debug.unit_at(entry.offset), entry
            except MALFORMED:
                pass
        return found

    def declared(self, unit: Unit, names: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """What a unit itself says of names that other files define."""
        try:
            index = self.index(unit)
            for name in names:
                for entry in (entry for alias in _aliases(name) for entry in index.symbols.get(alias, ())):
                    described = self._described(entry)
                    if self.attribute(entry, AT.external) and not self._tells_nothing(entry, described):
                        yield name, described
                        break
        except MALFORMED:
            return

    def find_type(self, tag: str) -> tuple[Unit, Entry] | None:
        """The first complete type of a tag. Without a name of its own it goes by that of a typedef."""
        kind, _, name = tag.partition(" ")
        for unit in self.debug.units if "<" in name else self.units_naming(name.rpartition("::")[2]):
            index = self.index(unit)
            if tag in index.types:
                return unit, index.types[tag]
            for target in (offset for offset, typedef in index.typedefs.items() if typedef == name):
                entry = self.debug.entry(target)
                if KINDS.get(entry.tag) == kind and not _name(entry):
                    return unit, entry
        return None

    def find_named(self, name: str) -> tuple[Unit, Entry] | None:
        """The first complete type of a tag, with ``struct`` in front or without, or a typedef."""
        for unit in self.units_naming(name) if " " not in name else ():
            if name in (aliases := self.index(unit).aliases):
                return unit, aliases[name]
        tags = (name,) if " " in name else tuple(f"{kind} {name}" for kind in ("struct", "union", "enum"))
        return next((found for tag in tags if (found := self.find_type(tag))), None)

    def _find(self, name: str, address: int | None, *, statics: bool = False) -> Entry | None:
        """The definition, else a declaration."""
        declaration = static = None
        aliases = _aliases(name)
        for unit in self._units(name, address):
            try:
                index = self.index(unit)
            except MALFORMED:
                continue
            for alias in aliases:
                for entry in index.symbols.get(alias, ()):
                    try:
                        described = self._described(entry)
                        if self._tells_nothing(entry, described):
                            continue
                    except MALFORMED:
                        continue
                    here = address is not None and address in _places(entry, unit)
                    if here or (AT.declaration not in entry.values and self.attribute(entry, AT.external)):
                        return described
                    if self.attribute(entry, AT.external):
                        declaration = declaration or described
                    elif statics and AT.declaration not in entry.values:
                        static = static or described
        return static or declaration

    def _find_inside(self, name: str) -> Entry | None:
        """A static variable of a function: ``calls.0`` of GCC, ``bump.calls`` of Clang; if one only can be meant."""
        function, _, variable = name.partition(".")
        if variable.isdecimal():
            function, variable = "", function
        found = dict[object, Entry]()
        for unit in self.units_naming(variable):
            symbols = self.index(unit).symbols
            listed = symbols.get(function, []) if function else chain.from_iterable(symbols.values())
            waiting = [entry for entry in listed if entry.tag == TAG.subprogram]
            while waiting:
                for entry in self.debug.children(waiting.pop(), (TAG.variable, TAG.lexical_block)):
                    if entry.tag == TAG.lexical_block:
                        waiting.append(entry)
                    elif self.attribute(entry, AT.name) == variable and AT.location in entry.values:
                        found.setdefault(self.attribute(entry, AT.type), self._described(entry))
        return next(iter(found.values())) if len(found) == 1 else None

    def _units(self, name: str, address: int | None) -> Iterator[Unit]:
        """The units worth a look, the most promising ones first."""
        seen = set()
        if (home := self._homes.get(address or 0)) is not None:  # asked for all exports, most are near another one
            seen.add(home.offset)
            yield home
        for unit in self._units_with_address(address) if address else ():
            if unit.offset not in seen:
                seen.add(unit.offset)
                yield unit
        for alias in _aliases(name):
            for i, unit in enumerate(self.units_naming(alias)):
                if unit.offset not in seen and i < MOST_UNITS:
                    seen.add(unit.offset)
                    yield unit

    def _units_with_address(self, address: int) -> Iterator[Unit]:
        debug = self.debug
        word = address.to_bytes(self.obj.bits // 8, "little")
        yield from self._units_of(positions(debug.info, word))
        yield from self._units_based(positions(debug.addr, word), "addr_base")

    def _units_based(self, places: Iterable[int], base: Literal["addr_base", "str_offsets_base"]) -> Iterator[Unit]:
        """The units whose parts of ``.debug_addr`` or ``.debug_str_offsets`` have these places."""
        for place in places:
            if base not in self._bases:
                units = [unit for unit in self.debug.units if unit.version >= 5 and self.debug.top(unit)]
                units.sort(key=lambda unit: int(getattr(unit, base)))
                self._bases[base] = units, [int(getattr(unit, base)) for unit in units]
            units, starts = self._bases[base]
            end = bisect_right(starts, place)
            if end:  # one that has no part, as of assembly, seems to share another one's
                yield from units[bisect_left(starts, starts[end - 1]) : end]

    def units_naming(self, name: str) -> Iterator[Unit]:
        """Units in which some entry has that name, in their order."""
        debug = self.debug
        if len(debug.units) <= 2:
            yield from debug.units
            return
        text = name.encode("utf-8", "backslashreplace") + b"\0"
        words = [at.to_bytes(4, "little") for at in positions(debug.str, text)]
        places = sorted(p for word in (*words, text) for p in positions(debug.info, word))
        found = {unit.offset: unit for unit in self._units_of(places)}
        indexed = (p for word in words for p in positions(debug.str_offsets, word))
        found |= {unit.offset: unit for unit in self._units_based(indexed, "str_offsets_base")}
        yield from (found[offset] for offset in sorted(found))

    def _units_of(self, places: Iterable[int]) -> Iterator[Unit]:
        last = -1
        for place in places:
            if place >= last:
                unit = self.debug.unit_at(place)
                last = unit.end
                yield unit

    def _places_of(self, names: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        """The name and address of each symbol; a name that is exported only goes by that of the symbol there."""
        y, arch = self.obj.symbols, archs.by_machine(self.obj.machine)
        value = y.value
        if arch is not None and arch.thumb:
            value = np.where(y.type == elf.STT_FUNC, value & ~1, value)
        defined = (y.shndx != elf.SHN_UNDEF) & (y.name_at > 0) & (y.type <= elf.STT_FUNC)
        found = {}
        for name, given in names.items():
            text = name.encode("utf-8", "backslashreplace") + b"\0"
            known = np.flatnonzero(np.isin(y.name_at, list(positions(y.strtab, text))) & defined)
            index = (
                known if known.size else np.flatnonzero(np.isin(value, (given, given & ~1)) & (y.type > 0) & defined)
            )
            here = np.isin(value[index], (given, given & ~1)) & bool(given)
            index = index[np.lexsort((y.bind[index] == elf.STB_LOCAL, ~here))]
            if index.size:
                found[name] = (name if known.size else y.name(int(index[0]))), int(value[index[0]])
        return found

    def _tells_nothing(self, entry: Entry, described: Entry) -> bool:
        """Whether an entry is without a word on types.

        So are GCC's own declarations of what it calls unasked, such as memset, and everything with ``-g1``.
        """
        told = (AT.type, AT.prototyped)
        if entry.tag == TAG.variable or any(self.attribute(described, each) for each in told):
            return self.attribute(described, AT.type) is None and entry.tag == TAG.variable
        link = described.values.get(AT.specification)
        for each in (described, self.debug.entry(link)) if isinstance(link, int) else (described,):
            if any(True for _ in self.debug.children(each, (TAG.formal_parameter, TAG.unspecified_parameters))):
                return False
        unit = self.debug.unit_at(described.offset)
        builtin = _name(described).startswith("__builtin_")
        top = self.debug.top(unit)
        return builtin or unit.language not in CPP or not any(True for _ in self.debug.children(top, ANY_TYPE))

    def attribute(self, entry: Entry, attribute: int) -> object:
        """An attribute of an entry, or of what it completes or is an instance of."""
        for _ in range(DEEPEST):
            if attribute in entry.values:
                return entry.values[attribute]
            link = entry.values.get(AT.specification, entry.values.get(AT.abstract_origin))
            if not isinstance(link, int):
                return None
            entry = self.debug.entry(link)
        return None

    def _described(self, entry: Entry) -> Entry:
        """The abstract entry of an instance, which has the types."""
        for _ in range(DEEPEST):
            link = entry.values.get(AT.abstract_origin)
            if not isinstance(link, int):
                return entry
            entry = self.debug.entry(link)
        raise ValueError("entries refer to each other")

    # ---- a unit's outermost entries

    def index(self, unit: Unit) -> _Index:
        if unit.offset not in self._indices:
            index = self._indices[unit.offset] = _Index()
            top = self.debug.top(unit)
            waiting = [(top, "", False)]
            while waiting:
                parent, scope, in_class = waiting.pop()
                if scope.count("::") > DEEPEST:
                    raise ValueError("namespaces are nested too deep")
                for entry in self.debug.children(parent, NAMED):
                    self._add(index, entry, scope, in_class)
                    self._homes |= dict.fromkeys(_places(entry, unit), unit)
                    if entry.tag in SCOPES and unit.language in CPP:
                        waiting.append((entry, f"{scope}{_name(entry) or '(anonymous)'}::", entry.tag != TAG.namespace))
        return self._indices[unit.offset]

    def _add(self, index: _Index, entry: Entry, scope: str, in_class: bool) -> None:
        values = entry.values
        if entry.tag in (TAG.subprogram, TAG.variable):
            linkage = self.attribute(entry, AT.linkage_name) or self.attribute(entry, AT.mips_linkage_name)
            name = linkage or (None if in_class else self.attribute(entry, AT.name))
            if isinstance(name, str):
                index.symbols.setdefault(name, []).append(entry)
            return
        if scope:
            index.scopes[entry.offset] = scope
        name, target = _name(entry), values.get(AT.type)
        if entry.tag == TAG.typedef and isinstance(target, int):
            index.typedefs.setdefault(target, f"{scope}{name}")
            index.aliases.setdefault(f"{scope}{name}", entry)
        elif entry.tag in KINDS and AT.declaration not in values:
            if isinstance(link := values.get(AT.specification), int):
                index.completions[link] = entry
            if name:
                index.types.setdefault(f"{KINDS[entry.tag]} {scope}{name}", entry)


KINDS: dict[int, Literal["struct", "union", "enum"]] = {
    TAG.structure_type: "struct",
    TAG.class_type: "struct",
    TAG.union_type: "union",
    TAG.enumeration_type: "enum",
}


def _name(entry: Entry) -> str:
    """The name, with a template's arguments as GCC writes them: Clang has blanks in ``vec<int *>``."""
    name = entry.values.get(AT.name, "")
    if not isinstance(name, str):
        return ""
    return name.replace(" *", "*").replace(" &", "&").replace("> >", ">>") if "<" in name else name


def _aliases(name: str) -> tuple[str, ...]:
    """A constructor's or destructor's symbol is one of several for one entry, which GCC gives a name of its own."""
    if name.startswith("_Z"):
        for kind, numbers in (("C", "123"), ("D", "012")):
            for number in numbers:
                if f"{kind}{number}E" in name:
                    return name, name.replace(f"{kind}{number}E", f"{kind}4E")
    return (name,)


def _places(entry: Entry, unit: Unit) -> Iterator[int]:
    """The address that an entry has, if it has one."""
    low, location = entry.values.get(AT.low_pc), entry.values.get(AT.location)
    if isinstance(low, int):
        yield low
    if isinstance(location, bytes) and location[:1] == b"\x03":  # DW_OP_addr
        yield int.from_bytes(location[1 : 1 + unit.address_size], "little")


# ---- types


class _Text(NamedTuple):
    """A type: in the notation, and as C has it, on the left and on the right of a name."""

    type: str
    left: str
    right: str = ""

    @property
    def spelling(self) -> str:
        space = " " if self.right.startswith("[") and not self.left.endswith("(*") else ""
        return f"{self.left}{space}{self.right}"


VOID = _Text("void", "void")


class _Types:
    """The types that one unit's signatures reach."""

    def __init__(self, reader: _Reader, unit: Unit) -> None:
        self.layouts: dict[str, Layout] = {}
        self._reader, self._unit = reader, unit
        self._tags: dict[int, str] = {}
        self._taken: dict[str, int] = {}
        self._texts: dict[int, _Text] = {}
        self._waiting: deque[tuple[str, Entry]] = deque()

    def signature(self, name: str, entry: Entry) -> Signature:
        """What an entry says of a symbol."""
        if entry.tag == TAG.variable:
            text = self._typed(entry, name)
            return Signature(text.type, text.spelling, None)
        params, variadic = self._params(entry, name)
        structor = len(_aliases(name)) > 1  # what it returns is the ABI's business: on Arm the object
        result = VOID if structor else self._typed(entry, f"{name}.result")
        return Signature(result.type, result.spelling, tuple(params), variadic)

    def named(self, name: str, entry: Entry) -> Signature:
        """What a typedef, or a type with a tag, stands for."""
        if entry.tag in KINDS:
            return Signature(self.tag_of(entry, ""), name, None)
        return Signature(self._text(entry.offset, name, 0).type, name, None)

    def target(self, entry: Entry) -> str:
        """What a typedef stands for, as C has it."""
        return self._typed(entry, _name(entry)).spelling if entry.tag == TAG.typedef else ""

    def finish(self) -> None:
        """Lay out the types that are waiting; what is malformed stays as incomplete as a declaration."""
        while self._waiting:
            tag, entry = self._waiting.popleft()
            try:
                self.layouts[tag] = self._layout(tag, entry)
            except MALFORMED:
                pass

    def _params(self, entry: Entry, place: str) -> tuple[list[Param], bool]:
        debug, params, variadic = self._reader.debug, list[Param](), False
        children = list(debug.children(entry, (TAG.formal_parameter, TAG.unspecified_parameters)))
        link = entry.values.get(AT.specification)
        if not children and isinstance(link, int):
            entry = debug.entry(link)
            children = list(debug.children(entry, (TAG.formal_parameter, TAG.unspecified_parameters)))
        for child in children:
            if child.tag == TAG.unspecified_parameters:
                variadic = True
                continue
            name = self._reader.attribute(child, AT.name) or ""
            if params and self._reader.attribute(child, AT.artificial):
                continue  # of a constructor or destructor, described by GCC alone
            text = self._typed(child, f"{place}.{name or len(params) + 1}")
            params.append(Param(str(name), text.type, text.spelling))
        unit = debug.unit_at(entry.offset)
        if not params and unit.language in C and not self._reader.attribute(entry, AT.prototyped):
            variadic = True
        return params, variadic

    def _typed(self, entry: Entry, place: str, depth: int = 0) -> _Text:
        """The type that an entry has."""
        offset = self._reader.attribute(entry, AT.type)
        return self._text(offset, place, depth + 1) if isinstance(offset, int) else VOID

    def _text(self, offset: int, place: str, depth: int) -> _Text:
        if depth > DEEPEST:
            raise ValueError("types refer to each other")
        if offset not in self._texts:
            text = self._read(self._reader.debug.entry(offset), place, depth)
            if len(text.type) + len(text.left) + len(text.right) > LONGEST:
                raise ValueError("a type is too long")
            self._texts[offset] = text
        return self._texts[offset]

    def _read(self, entry: Entry, place: str, depth: int) -> _Text:
        """One type. Qualifiers count for C alone."""
        tag = entry.tag
        name = _name(entry)
        if tag == TAG.base_type:
            return _Text(_scalar(entry, name), name)
        if tag in KINDS:
            tagged = self.tag_of(entry, place)
            if name:
                return _Text(tagged, tagged)
            named = self._reader.index(self._reader.debug.unit_at(entry.offset)).typedefs.get(entry.offset)
            return _Text(tagged, named or f"{KINDS[tag]} {{...}}")
        if tag == TAG.typedef:
            scope = self._scope(entry)
            inner = self._typed(entry, f"{scope}{name}", depth)
            return _Text(inner.type, f"{scope}{name}")
        if tag in POINTERS:
            inner = self._typed(entry, place, depth)
            mark = POINTERS[tag]
            if inner.right:
                return _Text(f"*{inner.type}", f"{inner.left} ({mark}", f"){inner.right}")
            return _Text(f"*{inner.type}", f"{inner.left}{'' if inner.left.endswith('*') else ' '}{mark}")
        if tag in QUALIFIERS:
            inner = self._typed(entry, place, depth)
            return _Text(inner.type, _qualified(inner.left, QUALIFIERS[tag]), inner.right)
        if tag == TAG.array_type:
            inner = self._typed(entry, place, depth)
            counts = [_count(each) for each in self._reader.debug.children(entry, (TAG.subrange_type,))] or [0]
            dimensions = "".join(f"[{count or ''}]" for count in counts)
            return _Text(f"{dimensions}{inner.type}", inner.left, f"{dimensions}{inner.right}")
        if tag == TAG.subroutine_type:
            return self._function(entry, place, depth)
        if tag == TAG.ptr_to_member_type:
            inner = self._typed(entry, place, depth)
            word = f"i{8 * self._unit.address_size}"
            return _Text(f"[2]{word}" if inner.type.startswith("fn(") else word, f"{inner.left} ::*", inner.right)
        if tag == TAG.unspecified_type:
            return _Text("*void", name or "void *")
        raise ValueError(f"an unknown kind of type: {tag:#x}")

    def _function(self, entry: Entry, place: str, depth: int) -> _Text:
        types, spellings, variadic = list[str](), list[str](), False
        for child in self._reader.debug.children(entry, (TAG.formal_parameter, TAG.unspecified_parameters)):
            variadic = child.tag == TAG.unspecified_parameters
            if not variadic:
                param = self._typed(child, f"{place}.{len(types) + 1}", depth)
                types.append(param.type)
                spellings.append(param.spelling)
        if not types and self._unit.language in C and AT.prototyped not in entry.values:
            variadic = True
        result = self._typed(entry, f"{place}.result", depth)
        more = ["..."] if variadic else []
        listed = ", ".join([*spellings, *more]) if types else "" if variadic else "void"
        return _Text(f"fn({', '.join([*types, *more])}) -> {result.type}", result.left, f"({listed}){result.right}")

    # ---- types with a tag

    def tag_of(self, entry: Entry, place: str) -> str:
        """The tag that a type goes by; a complete one gets its layout later."""
        if entry.offset in self._tags:
            return self._tags[entry.offset]
        debug, first = self._reader.debug, entry
        signed = entry.values.get(AT.signature)
        if isinstance(signed, int) and signed != ELSEWHERE:
            entry = debug.entry(signed)
        index = self._reader.index(debug.unit_at(entry.offset))
        if AT.declaration in entry.values:
            entry = index.completions.get(entry.offset, entry)
        declared = entry
        if isinstance(link := entry.values.get(AT.specification), int):
            declared = debug.entry(link)
        name = _name(entry) or _name(declared)
        scoped = f"{index.scopes.get(declared.offset, '')}{name}" if name else index.typedefs.get(entry.offset, place)
        tag = plain = f"{KINDS[entry.tag]} {scoped}"
        complete, number = AT.declaration not in entry.values and signed != ELSEWHERE, 1
        while complete and self._taken.setdefault(tag, entry.offset) != entry.offset:
            number += 1
            tag = f"{plain}#{number}"
        self._tags[first.offset] = self._tags[entry.offset] = tag
        if complete:
            self._waiting.append((tag, entry))
        return tag

    def _scope(self, entry: Entry) -> str:
        unit = self._reader.debug.unit_at(entry.offset)
        return self._reader.index(unit).scopes.get(entry.offset, "") if unit.language in CPP else ""

    def _layout(self, tag: str, entry: Entry) -> Layout:
        kind, debug = KINDS[entry.tag], self._reader.debug
        size = entry.values.get(AT.byte_size, 0)
        if not isinstance(size, int):
            raise ValueError("a type without a size")
        if kind == "enum":
            values = debug.children(entry, (TAG.enumerator,))
            return Layout(kind, size, tuple(_enumerator(each) for each in values))
        members = list[Member]()
        for child in debug.children(entry, (TAG.member, TAG.inheritance)):
            if AT.external in child.values or AT.declaration in child.values or AT.virtuality in child.values:
                continue  # a static member, or a base class whose place is in the vtable
            members.append(self._member(tag.split(" ", 1)[1], child, len(members)))
        members.sort(key=lambda m: m.offset if m.bits else 8 * m.offset)
        return Layout(kind, size, tuple(members))

    def _member(self, outer: str, entry: Entry, number: int) -> Member:
        values = entry.values
        name = _name(entry)
        offset = _offset(values.get(AT.data_member_location, 0))
        if name.startswith("_vptr"):
            return Member("_vptr", offset, "*void", "void *")
        text = self._typed(entry, f"{outer}.{name or number}")
        bits = values.get(AT.bit_size, 0)
        if isinstance(bits, int) and bits:
            return Member(name, self._bit(entry, offset, bits), text.type, text.spelling, bits)
        if entry.tag == TAG.inheritance:
            name = text.type.split(" ", 1)[1]
        return Member(name, offset, text.type, text.spelling)

    def _bit(self, entry: Entry, offset: int, bits: int) -> int:
        """The first bit of a bit-field. The old attribute counts from the highest bit of the unit of storage."""
        values = entry.values
        if isinstance(at := values.get(AT.data_bit_offset), int):
            return at
        old = values.get(AT.bit_offset)
        if not isinstance(old, int):
            return 8 * offset
        size = values.get(AT.byte_size) or self._size(entry)
        if not isinstance(size, int):
            raise ValueError("a bit-field without a size")
        if old >= 1 << 63:
            old -= 1 << 64  # a negative one in DW_FORM_data8
        return 8 * offset + 8 * size - old - bits

    def _size(self, entry: Entry) -> object:
        for _ in range(DEEPEST):
            link = entry.values.get(AT.type)
            if not isinstance(link, int):
                return None
            entry = self._reader.debug.entry(link)
            if AT.byte_size in entry.values:
                return entry.values[AT.byte_size]
        return None


def _qualified(left: str, word: str) -> str:
    """A type's left part with a qualifier, once and in one order: compilers nest them as they like."""
    place = BEHIND.search(left) or BEFORE.match(left)
    assert place is not None  # it matches no words, too
    words = " ".join(sorted({word, *place[0].split()}, key=WORDS.index))
    return f"{left[: place.start()]}{words}" if place.re is BEHIND else f"{words} {left[place.end() :]}"


def _scalar(entry: Entry, name: str) -> str:
    size, encoding = entry.values.get(AT.byte_size), entry.values.get(AT.encoding)
    if not isinstance(size, int) or not isinstance(encoding, int):
        raise ValueError("a base type without size or encoding")
    letter = "u" if name == "char" else ENCODINGS.get(encoding, f"x{encoding}_")
    return f"{letter}{8 * size}"


def _count(entry: Entry) -> int:
    """How many elements a dimension has; 0 if it is not known, as in a flexible array."""
    count, last = entry.values.get(AT.count), entry.values.get(AT.upper_bound)
    if isinstance(count, int):
        return count
    if not isinstance(last, int) or last in (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF):
        return 0
    return last + 1


def _enumerator(entry: Entry) -> Member:
    value = entry.values.get(AT.const_value, 0)
    if not isinstance(value, int):
        raise ValueError("an enumerator without a number")
    return Member(_name(entry), value, "", "")


def _offset(location: object) -> int:
    """A member's place: a number, or in old versions the expression ``DW_OP_plus_uconst n``."""
    if isinstance(location, int):
        return location
    if isinstance(location, bytes) and location[:1] == b"\x23":
        return uleb(location, 1)[0]
    raise ValueError("a member whose place is computed")


# ---- one interface of several


def joined(parts: Iterable[Interface]) -> Interface:
    """One interface; a type that differs from one of the same tag gets a mark, and so do those that refer to it."""
    symbols: dict[str, Signature] = {}
    types: dict[str, Layout] = {}
    for part in parts:
        clash = {tag for tag, layout in part.types.items() if types.get(tag, layout) != layout}
        users: dict[str, set[str]] = {}
        for tag, layout in part.types.items() if clash else ():
            for used in _used(layout):
                users.setdefault(used, set()).add(tag)
        waiting = list(clash)
        while waiting:
            more = {user for user in users.get(waiting.pop(), ()) if user in types} - clash
            clash |= more
            waiting += more
        names: dict[str, str] = {}
        own = dict(part.types)
        for number in range(2, 2 + len(types) if clash else 2):
            names = {tag: f"{tag}#{number}" for tag in clash}
            own = {names.get(tag, tag): _with_tags(layout, names) for tag, layout in part.types.items()}
            if all(types.get(tag, layout) == layout for tag, layout in own.items()):
                break
        types |= own
        symbols |= {name: _signature_with_tags(signature, names) for name, signature in part.symbols.items()}
    return Interface(symbols, types)


def _includes(known: Interface, other: Interface) -> bool:
    """Whether an interface says of all symbols of another one what that says."""
    symbols, types = other.symbols.items() <= known.symbols.items(), other.types.items() <= known.types.items()
    return symbols and types


def _used(layout: Layout) -> Iterator[str]:
    for member in layout.members:
        if member.type:
            yield from tags(member.type)


def _with_tags(layout: Layout, names: Mapping[str, str]) -> Layout:
    members = tuple(member._replace(type=renamed(member.type, names)) for member in layout.members)
    return layout._replace(members=members)


def _signature_with_tags(signature: Signature, names: Mapping[str, str]) -> Signature:
    params = signature.params
    if params is not None:
        params = tuple(param._replace(type=renamed(param.type, names)) for param in params)
    return signature._replace(result=renamed(signature.result, names), params=params)

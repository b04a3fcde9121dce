"""C's types and prototypes from interfaces: what ``abi.types`` has in its notation, as the values of ``c.types``.

The notation says what a type is in memory, its spelling what it is called; what a typedef hides is called by the
notation. A type that is incomplete has no size; nothing here raises for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from llext_tools.abi.notation import Array, Function, Pointer, Type, is_tag, name_place, parse
from llext_tools.abi.types import Interface, Layout, Member, Signature
from llext_tools.c.types import CType, DataModel, Enum, Field, Kind, Prototype, Record
from llext_tools.elf.model import ElfObject

if TYPE_CHECKING:
    from llext_tools.abi.dwarf import Described

KINDS: Mapping[str, Kind] = {"i": "int", "u": "uint", "f": "float", "b": "bool", "x": "record", "d": "record"}
"""First letter of a scalar -> what it is."""

NAMES = {
    "i8": "signed char", "u8": "unsigned char", "i16": "short", "u16": "unsigned short", "i32": "int",
    "u32": "unsigned int", "i64": "long long", "u64": "unsigned long long", "i128": "__int128",
    "u128": "unsigned __int128", "f16": "_Float16", "f32": "float", "f64": "double", "f128": "long double",
    "b8": "bool", "c64": "float _Complex", "c128": "double _Complex", "void": "void",
}  # fmt: skip
"""What a scalar is called whose spelling nobody knows."""

AS_NUMBERS = {"k_timeout_t": "k_timeout_t", "va_list": "va_list", "__builtin_va_list": "va_list"}
"""Structures of one number or pointer that count as that where they are passed, by their typedefs."""

SIZES = {"int": (1, 2, 4, 8, 16), "uint": (1, 2, 4, 8, 16), "float": (2, 4, 8, 16), "bool": (1,)}
DEEPEST = 20  # typedefs of typedefs
TYPEDEF = re.compile(r"(?:(?:const|volatile) )*([\w:]+)")
INNER = re.compile(r"\(\s*[*&]")
STAR = re.compile(r"(?:\*|&&?)\s*(?:(?:const|volatile|restrict|_Atomic)\s*)*$")


class CTypes:
    """The types of one interface, each structure made once, and its members when they are asked for.

    Args:
        typedef: what a typedef stands for, as C has it; "" for what is none.
    """

    def __init__(
        self, types: Mapping[str, Layout], model: DataModel, typedef: Callable[[str], str] = lambda _name: ""
    ) -> None:
        self._types, self._model, self._typedef = types, model, typedef
        self._tagged: dict[str, CType] = {}

    def ctype(self, notation: str | Type, spelling: str = "") -> CType:
        """A type.

        Args:
            spelling: as C has it, if that is known: ``uint32_t`` for ``u32``.
        Raises:
            ValueError: the text is not in the notation.
        """
        value = parse(notation) if isinstance(notation, str) else notation
        match value:
            case Pointer(to):
                found = self._model.pointer(self.ctype(to, pointed(self._behind(spelling))))
                return found._replace(name=spelling) if spelling else found
            case Array(of, length):
                found = self.ctype(of, element(self._behind(spelling))).array(length)
                return found._replace(name=spelling) if spelling else found
            case Function(result, params, variadic):
                return self._function(result, params, variadic, spelling)
        return self._leaf(value, spelling)

    def prototype(self, signature: Signature, name: str) -> Prototype:
        """The prototype of a function.

        Raises:
            ValueError: it is a variable's signature.
        """
        if signature.params is None:
            raise ValueError(f"`{name}` is no function")
        params = tuple(self._param(param.type, param.spelling) for param in signature.params)
        names = tuple(param.name for param in signature.params)
        return Prototype(name, self.ctype(signature.result, signature.spelling), params, signature.variadic, names)

    def _param(self, value: str | Type, spelling: str) -> CType:
        found = self.ctype(value, spelling)
        known = self._model.types.get(AS_NUMBERS.get(spelling.rpartition(" ")[2], ""))
        same = known is not None and (found.kind, found.size) == ("record", known.size)
        return known._replace(name=spelling) if known is not None and same else found

    def _leaf(self, value: str, spelling: str) -> CType:
        if is_tag(value):
            if value not in self._tagged:
                self._tagged[value] = self._with_tag(value)
            found = self._tagged[value]
            return found._replace(name=spelling) if spelling and "{" not in spelling else found
        name = spelling or NAMES.get(value, value)
        if value == "void":
            return CType("void", 0, name)
        letter, width = value[0], value[1:].rpartition("_")[2]
        size = int(width) // 8 if width.isdecimal() else 0
        if letter == "c" and size in (8, 16, 32):
            return self._complex(size, name)
        kind = KINDS.get(letter, "record")
        return CType(kind if size in SIZES.get(kind, ()) else "record", size, name)

    def _function(self, result: Type, params: tuple[Type, ...], variadic: bool, spelling: str) -> CType:
        returned, listed = taken_apart(self._behind(spelling))
        if len(listed) != len(params) + variadic:
            listed = ("",) * len(params)
        made = tuple(self._param(param, name) for param, name in zip(params, listed, strict=False))
        prototype = Prototype("", self.ctype(result, returned), made, variadic)
        return CType("function", 0, spelling or str(prototype), made_of=prototype)

    def _behind(self, spelling: str) -> str:
        """What a typedef hides, if it is one."""
        for _ in range(DEEPEST):
            name = TYPEDEF.fullmatch(spelling)
            target = self._typedef(name[1]) if name else ""
            if not target:
                break
            spelling = target
        return spelling

    def _complex(self, size: int, name: str) -> CType:
        """Both standards pass it as a structure of its parts."""
        part = self._leaf(f"f{4 * size}", "")
        fields = Field("real", 0, part), Field("imag", size // 2, part)
        return CType("record", size, name, made_of=Record("struct", name, size, lambda: fields))

    def _with_tag(self, tag: str) -> CType:
        layout = self._types.get(tag)
        if layout is None or self._is_endless(tag):
            return CType("int", 4, tag) if tag.startswith("enum ") else CType("record", 0, tag)
        if layout.kind == "enum":
            values = [member.offset for member in layout.members]
            signed = min(values, default=0) < 0 or (layout.size == 4 and max(values, default=0) < 1 << 31)
            named = Enum(tuple((member.name, member.offset) for member in layout.members))
            return CType("int" if signed else "uint", layout.size or 4, tag, made_of=named)
        record = Record(layout.kind, tag.partition(" ")[2], layout, lambda: tuple(map(self._field, layout.members)))
        return CType("record", layout.size, tag, made_of=record)

    def _is_endless(self, tag: str) -> bool:
        """Whether a structure is a part of itself, as only debug information with an error in it has it."""
        seen, waiting = set[str](), [tag]
        while waiting:
            layout = self._types.get(waiting.pop())
            parts = {_part(member.type) for member in layout.members} if layout and layout.kind != "enum" else set()
            if tag in parts:
                return True
            waiting += parts - seen
            seen |= parts
        return False

    def _field(self, member: Member) -> Field:
        try:
            ctype = self.ctype(member.type, member.spelling)
        except ValueError:
            ctype = CType("record", 0, member.spelling or member.type)
        if member.bits:
            return Field(member.name, member.offset // 8, ctype, member.bits, member.offset % 8)
        return Field(member.name, member.offset, ctype)


def _part(notation: str) -> str:
    """The tag of what is in memory where a member is, "" if it has none."""
    try:
        value = parse(notation)
    except ValueError:
        return ""
    while isinstance(value, Array):
        value = value.of
    return value if isinstance(value, str) else ""


# ---- what a file says


class Known:
    """Prototypes of functions, types of variables and types by name, as the debug information of a file has them.

    Without that, as the manifest beside an extension has those of its imports and exports.

    Args:
        obj: an extension, with its debug information in it or beside it, or a linked firmware. Of an extension static
            functions and variables are known, too.
    """

    def __init__(self, obj: ElfObject, model: DataModel) -> None:
        self._obj, self._model = obj, model
        self._types = cache(self._find_type)
        self._symbols = cache(self._find_symbol)

    @cached_property
    def _described(self) -> Described | None:
        from llext_tools.abi.dwarf import open_debug

        return open_debug(self._obj)

    @cached_property
    def _kept(self) -> Interface:
        from llext_tools.abi.extension import kept_interface

        return kept_interface(self._obj)

    def prototype(self, name: str, address: int = 0) -> Prototype | None:
        """Of a function; ``address`` for a firmware's, if the name is not in its symbol table."""
        found = self._symbols(name, address)
        return found if isinstance(found, Prototype) else None

    def variable(self, name: str, address: int = 0) -> CType | None:
        """Of a variable, exported or static."""
        found = self._symbols(name, address)
        return found if isinstance(found, CType) else None

    def type(self, name: str) -> CType | None:
        """A type by its tag, ``struct point``, or a typedef."""
        return self._types(name)

    def _find_symbol(self, name: str, address: int) -> Prototype | CType | None:
        if self._described is None:
            interface, types = self._kept, CTypes(self._kept.types, self._model)
        else:
            interface = self._described.interface({name: address}, statics=True)
            types = CTypes(interface.types, self._model, self._described.typedef)
        signature = interface.symbols.get(name)
        if signature is None:
            return None
        if signature.params is not None:
            return types.prototype(signature, name)
        return types.ctype(signature.result, signature.spelling)

    def _find_type(self, name: str) -> CType | None:
        if (known := self._model.types.get(name)) is not None:
            return known
        if self._described is None:
            tags = (name, *(f"{kind} {name}" for kind in ("struct", "union", "enum")))
            tag = next((tag for tag in tags if tag in self._kept.types), "")
            return CTypes(self._kept.types, self._model).ctype(tag, name) if tag else None
        interface = self._described.named([name])
        signature = interface.symbols.get(name)
        types = CTypes(interface.types, self._model, self._described.typedef)
        return types.ctype(signature.result, name) if signature else None


# ---- spellings taken apart


def pointed(spelling: str) -> str:
    """What a pointer points to: ``const char`` of ``const char *``, "" if that is hidden."""
    at = name_place(spelling)
    before, after = spelling[:at].rstrip(), spelling[at:].lstrip()
    star = STAR.search(before)
    if star is None:
        return ""
    before = before[: star.start()].rstrip()
    if before.endswith("(") and after.startswith(")"):
        before, after = before[:-1].rstrip(), after[1:].lstrip()
    return _put_together(before, after)


def element(spelling: str) -> str:
    """What an array is made of: ``char *`` of ``char * [4]``."""
    at = name_place(spelling)
    before, after = spelling[:at].rstrip(), spelling[at:].lstrip()
    if not after.startswith("["):
        return ""
    return _put_together(before, after.partition("]")[2].lstrip())


def taken_apart(spelling: str) -> tuple[str, tuple[str, ...]]:
    """What a function returns and takes: ``int`` and ``(char *, ...)`` of ``int (char *, ...)``."""
    at = spelling.find("(")
    if INNER.match(spelling, at):
        at = name_place(spelling)
    before, after = spelling[:at].rstrip(), spelling[at:].lstrip()
    params, depth, start = list[str](), 0, 1
    if not after.startswith("("):
        return "", ()
    for i, character in enumerate(after):
        depth += (character in "([<{") - (character in ")]>}")
        if (character == "," and depth == 1) or not depth:
            params.append(after[start:i].strip())
            start = i + 1
        if not depth:
            break
    listed = tuple(param for param in params if param not in ("", "void"))
    return _put_together(before, after[start:].lstrip()), listed


def _put_together(before: str, after: str) -> str:
    return before + (" " if after[:1] in ("[", "(") and not before.endswith("*") else "") + after

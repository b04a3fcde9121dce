"""The prototypes of what an extension imports, from whoever knows them.

That is the firmware's debug information, else the table of exports, else the extension's own debug information, else
what is known of the name: the functions that every host has (``host.builtin``), and those of <math.h>.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llext_tools.abi.extension import extension_interface
from llext_tools.abi.types import Layout, Param, Signature
from llext_tools.c.types import CType, DataModel
from llext_tools.check.subject import Subject
from llext_tools.errors import LlextError
from llext_tools.link.hints import MATHS

MATH_TYPES = {"f": "float", "": "double", "l": "long double"}


class Imported(NamedTuple):
    """``known`` by the names of the imports, with the types that they reach; ``unknown``: the others."""

    known: Mapping[str, Signature]
    types: Mapping[str, Layout]
    unknown: tuple[str, ...]


def imported(subject: Subject) -> Imported:
    """What is known of the imports of an extension. The compiler's own helpers are left out: they have an ABI apart."""
    if subject.firmware is None:
        return Imported({}, {}, ())
    names = [name for name in subject.imports if not name.startswith("__")]
    interface = subject.firmware.interface(names)
    known = dict(interface.symbols)
    exports = subject.firmware.exports
    known |= _from_texts(
        {e.name: e.prototype for name in names if name not in known and (e := exports.find(name))}, subject
    )
    own = extension_interface(subject.obj, [name for name in names if name not in known])
    known |= own.symbols
    known |= _from_texts({name: _usual(name) for name in names if name not in known}, subject)
    types = {**own.types, **interface.types}
    return Imported(known, types, tuple(name for name in names if name not in known))


def _from_texts(prototypes: Mapping[str, str], subject: Subject) -> dict[str, Signature]:
    return {name: found for name, text in prototypes.items() if (found := _from_text(text, subject))}


def _usual(name: str) -> str:
    """The prototype that a name usually has, in C; "" if it can be anything. Of <math.h> only a part counts here."""
    from llext_tools.host.builtin import BY_NAME  # brings the whole emulated host along

    if name in BY_NAME:
        return str(BY_NAME[name].prototype)
    stem, suffix = (name, "") if name in MATHS else (name[:-1], name[-1:])
    number = MATH_TYPES.get(suffix, "") if stem in MATHS else ""
    return f"{number} {name}({number})" if number else ""


def _from_text(prototype: str, subject: Subject) -> Signature | None:
    """Of a prototype in C; None for what it leaves open: structures by value, types that only a header has."""
    if not prototype:
        return None
    from llext_tools.c.prototype import parse_prototype  # loads a parser

    try:
        found = parse_prototype(
            prototype, DataModel(64 if subject.obj.bits == 64 else 32, subject.arch.callconv.long_double)
        )
    except LlextError:
        return None
    if any(ctype.kind == "record" for ctype in (found.result, *found.params)):
        return None
    params = tuple(Param("", _notation(ctype), ctype.name) for ctype in found.params)
    return Signature(_notation(found.result), found.result.name, params, found.variadic)


def _notation(ctype: CType) -> str:
    if ctype.kind == "pointer" and ctype.to is not None:
        if "(*)" in ctype.name:
            real = next((f"f{8 * size}" for word, size in (("double", 8), ("float", 4)) if word in ctype.name), "void")
            return f"*fn(...) -> {real}"
        return f"*{_notation(ctype.to)}"
    if ctype.kind == "record":
        return ctype.name
    letter = {"int": "i", "uint": "u", "float": "f", "bool": "b"}.get(ctype.kind)
    return f"{letter}{8 * ctype.size}" if letter else "void"

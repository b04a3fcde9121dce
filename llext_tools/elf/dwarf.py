"""Prototypes from debug information, by pyelftools.

Source: DWARF 5, sections 3.3 "Subroutine and Entry Point Entries" and 5 "Type Entries".
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile

from llext_tools.c.types import CType, DataModel, Kind, Prototype
from llext_tools.elf.debug import debug_file, relocated
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError

ENCODINGS: dict[int, Kind] = {2: "bool", 4: "float", 5: "int", 6: "int", 7: "uint", 8: "uint", 0x10: "uint"}
"""DW_ATE_* -> kind."""

MALFORMED = (
    *(ELFError, DWARFError, LlextError, KeyError, IndexError, ValueError, AttributeError, TypeError, OverflowError),
    *(RecursionError, AssertionError, NotImplementedError, ZeroDivisionError, zlib.error),
)
"""What reading debug information with errors in it may raise."""

DEEPEST = 40  # typedefs of typedefs


def find_prototypes(obj: ElfObject, names: Iterable[str], model: DataModel) -> dict[str, Prototype]:
    """The prototypes of functions, by their names or linkage names; those that are not found are left out.

    Malformed debug information counts as none: it only adds comfort.
    """
    wanted = set(names)
    source = debug_file(obj) if wanted else None
    found: dict[str, Prototype] = {}
    if source is None:
        return found
    try:
        info = ELFFile(io.BytesIO(relocated(source))).get_dwarf_info(relocate_dwarf_sections=False)
        for unit in info.iter_CUs():
            for die in _functions(unit.get_top_DIE()):
                for name in names_of(die) & wanted - found.keys():
                    found[name] = _prototype(name, die, model)
            if wanted == found.keys():
                break
    except MALFORMED:
        pass
    return found


def _functions(unit: Any) -> Iterator[Any]:
    """Subprograms of a unit, those in C++ namespaces and classes included."""
    for die in unit.iter_children():
        if die.tag == "DW_TAG_subprogram":
            yield die
        elif die.tag in ("DW_TAG_namespace", "DW_TAG_class_type", "DW_TAG_structure_type"):
            yield from _functions(die)


def names_of(die: Any) -> set[str]:
    """The name of an entry in the source and the one in the symbol table, where it has them."""
    found = (attribute(die, name) for name in ("DW_AT_linkage_name", "DW_AT_name"))
    return {value.decode("utf-8", "replace") for value in found if value}


def attribute(die: Any, name: str) -> Any:
    """An attribute of an entry, or of the declaration that it completes."""
    for _ in range(DEEPEST):
        if name in die.attributes:
            return die.attributes[name].value
        link = next((k for k in ("DW_AT_specification", "DW_AT_abstract_origin") if k in die.attributes), "")
        if not link:
            return None
        die = die.get_DIE_from_attribute(link)
    return None


def _prototype(name: str, die: Any, model: DataModel) -> Prototype:
    for _ in range(DEEPEST):  # an out-of-line instance has its types at the abstract one
        link = next((k for k in ("DW_AT_abstract_origin", "DW_AT_specification") if k in die.attributes), "")
        if not link or "DW_AT_type" in die.attributes:
            break
        die = die.get_DIE_from_attribute(link)
    children = list(die.iter_children())
    params = tuple(_type(child, model) for child in children if child.tag == "DW_TAG_formal_parameter")
    variadic = any(child.tag == "DW_TAG_unspecified_parameters" for child in children)
    return Prototype(name, _type(die, model), params, variadic)


def _type(die: Any, model: DataModel, depth: int = 0) -> CType:
    """The type that an entry's DW_AT_type refers to; void without one."""
    if depth > DEEPEST:
        raise ValueError("types refer to each other")
    while "DW_AT_type" not in die.attributes and "DW_AT_abstract_origin" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_abstract_origin")
    if "DW_AT_type" not in die.attributes:
        return model.types["void"]
    node = die.get_DIE_from_attribute("DW_AT_type")
    name = node.attributes["DW_AT_name"].value.decode("utf-8", "replace") if "DW_AT_name" in node.attributes else ""
    size = node.attributes["DW_AT_byte_size"].value if "DW_AT_byte_size" in node.attributes else 0
    match node.tag:
        case "DW_TAG_base_type":
            return _scalar(ENCODINGS.get(node.attributes["DW_AT_encoding"].value, "record"), size, name)
        case "DW_TAG_pointer_type" | "DW_TAG_reference_type" | "DW_TAG_rvalue_reference_type":
            return model.pointer(_type(node, model, depth + 1))
        case "DW_TAG_subroutine_type":
            return model.types["void"]._replace(name="void (void)")
        case "DW_TAG_const_type":
            inner = _type(node, model, depth + 1)
            return inner._replace(name=f"const {inner.name}")
        case "DW_TAG_typedef":
            inner = _type(node, model, depth + 1)
            keeps = inner.kind == "record" or inner.is_void
            return inner if keeps and name != "k_timeout_t" else _named(inner, name, model)
        case "DW_TAG_enumeration_type":
            signed = "DW_AT_type" in node.attributes and _type(node, model, depth + 1).kind == "int"
            return _scalar("int" if signed or size == 4 else "uint", size or 4, f"enum {name}")
        case "DW_TAG_structure_type" | "DW_TAG_class_type" | "DW_TAG_union_type" | "DW_TAG_array_type":
            return CType("record", size, f"struct {name}".strip())
        case "DW_TAG_unspecified_type":
            return model.types["uintptr_t"]  # nullptr_t
        case _:  # volatile, restrict, atomic: the same type to a caller
            return _type(node, model, depth + 1)


def _scalar(kind: Kind, size: int, name: str) -> CType:
    """A number; one of a size that no register has, such as a ``_Float16``, is as opaque as a structure."""
    return CType(kind if size in ((4, 8, 16) if kind == "float" else (1, 2, 4, 8, 16)) else "record", size, name)


def _named(inner: CType, name: str, model: DataModel) -> CType:
    known = model.types.get(name)
    return known if known and inner.kind == "record" else inner._replace(name=name)

"""What the readers of debug information by pyelftools share. Types are read by ``abi.dwarf``, without it."""

from __future__ import annotations

import zlib
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError

from llext_tools.errors import LlextError

MALFORMED = (
    *(ELFError, DWARFError, LlextError, KeyError, IndexError, ValueError, AttributeError, TypeError, OverflowError),
    *(RecursionError, AssertionError, NotImplementedError, ZeroDivisionError, zlib.error),
)
"""What reading debug information with errors in it may raise."""

DEEPEST = 40  # entries that complete each other


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

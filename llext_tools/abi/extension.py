"""What an extension takes its imports for, wherever that can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llext_tools.abi.types import Interface, Layout
from llext_tools.elf.model import ElfObject


def extension_interface(obj: ElfObject, names: Iterable[str]) -> Interface:
    """The signatures of imports, and the types that they reach; those that nothing is known of are left out."""
    from llext_tools.abi.dwarf import read_interface

    return read_interface(obj, names)


def extension_interfaces(obj: ElfObject, names: Iterable[str]) -> list[Interface]:
    """The same, and behind it what further source files of the extension take them for, if it is not the same."""
    from llext_tools.abi.dwarf import open_debug

    described = open_debug(obj)
    return described.interfaces(names) if described else [Interface({}, {})]


def extension_types(obj: ElfObject, tags: Iterable[str]) -> Mapping[str, Layout]:
    """The complete types of those tags that the extension knows, and what they reach."""
    from llext_tools.abi.dwarf import read_types

    return read_types(obj, tags)

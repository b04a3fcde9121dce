"""What an extension takes its imports for: by the manifest beside it if that is about it, else by debug information.

The manifest says the same as the debug information that it was made of, in a form that is read in no time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from llext_tools.abi.notation import complete_tags
from llext_tools.abi.text import closure
from llext_tools.abi.types import Interface, Layout
from llext_tools.elf.model import ElfObject


def extension_interface(obj: ElfObject, names: Iterable[str]) -> Interface:
    """The signatures of imports, and the types that they reach; those that nothing is known of are left out."""
    if kept := _kept(obj):
        return closure(kept[0], names)
    from llext_tools.abi.dwarf import read_interface

    return read_interface(obj, names)


def extension_interfaces(obj: ElfObject, names: Iterable[str]) -> list[Interface]:
    """The same, and behind it what further source files of the extension take them for, if it is not the same."""
    if kept := _kept(obj):
        return [closure(kept[0], names), *(part for each in kept[1:] if (part := closure(each, names)).symbols)]
    from llext_tools.abi.dwarf import open_debug

    described = open_debug(obj)
    return described.interfaces(names) if described else [Interface({}, {})]


def extension_types(obj: ElfObject, tags: Iterable[str]) -> Mapping[str, Layout]:
    """The complete types of those tags that the extension knows, and what they reach."""
    if kept := _kept(obj):
        return complete_tags(tags, kept[0].types)
    from llext_tools.abi.dwarf import read_types

    return read_types(obj, tags)


def kept_interface(obj: ElfObject) -> Interface:
    """What the manifest beside an extension says of imports, and of exports by their exported names."""
    from llext_tools.abi.manifest import read_manifest

    manifest = read_manifest(obj)
    if manifest is None or manifest.fault:
        return Interface({}, {})
    imports = manifest.interfaces[0]
    return Interface({**imports.symbols, **manifest.exports}, imports.types)


def disregarded(obj: ElfObject) -> str:
    """Why the manifest beside an extension tells nothing of it, as a sentence; "" if it does, or there is none."""
    from llext_tools.abi.manifest import read_manifest

    manifest = read_manifest(obj)
    return f"`{os.path.basename(manifest.path)}` {manifest.fault}" if manifest and manifest.fault else ""


def _kept(obj: ElfObject) -> tuple[Interface, ...]:
    """What the manifest says, if it is about this file; else nothing."""
    from llext_tools.abi.manifest import read_manifest

    manifest = read_manifest(obj)
    return manifest.interfaces if manifest and not manifest.fault else ()

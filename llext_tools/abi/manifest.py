"""The manifest of an extension: what it takes its imports for, kept beside the shipped file, which has no debug info.

    {"format": 2, "name": "hello", ...
     "imports": {"sensor_read": {"prototype": ..., "type": ..., "hash": ...}, "printk": {}},
     "types": {"struct sensor": {...}},
     "files": {"hello.llext": {"kind": "extension", "size": 1234, "sha256": "..."}}}

Imports and types are entries as ``abi.text`` has them; an import that nothing is known of is empty. Some compilers do
not describe functions that an extension only calls: then all types are listed that it describes. Where source files of
one extension do not agree, ``further`` lists what the others say, each with imports and types.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llext_tools import artifact
from llext_tools.abi.text import read_layout, read_signature, signature_entry, type_hash, types_entry
from llext_tools.abi.types import Interface, Signature
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes


class Manifest(NamedTuple):
    """``path`` may be of a file that is not there, cannot be read, or is about another extension: see ``fault``."""

    path: str
    interfaces: tuple[Interface, ...] = ()  # at least one if there is no fault
    fault: str = ""


def manifest_path(path: str) -> str:
    """``dir/hello.llext`` -> ``dir/hello.json``."""
    return f"{os.path.splitext(path)[0]}.json"


def imported(obj: ElfObject) -> list[str]:
    """The names of the undefined symbols, sorted."""
    return sorted(set(obj.symbols.names(obj.symbols.undefined.tolist())))


def interface_of(obj: ElfObject, described: ElfObject) -> dict[str, Any]:
    """The keys ``imports``, ``types`` and ``further``: what the debug information of ``described`` says of ``obj``."""
    from llext_tools.abi.dwarf import open_debug

    names, debug = imported(obj), open_debug(described)
    whole, *further = debug.interfaces(names) if debug else [Interface({}, {})]
    if debug and whole.symbols.keys() != set(names):
        whole = whole._replace(types={**debug.all_types(), **whole.types})
    return {
        **_entries(whole, names),
        **({"further": [_entries(each, sorted(each.symbols)) for each in further]} if further else {}),
    }


def _entries(interface: Interface, names: Iterable[str]) -> dict[str, Any]:
    """The keys ``imports`` and ``types``."""
    known = interface.symbols
    imports = {
        name: {**signature_entry(name, known[name]), "hash": type_hash(name, interface)} if name in known else {}
        for name in names
    }
    return {"imports": imports, "types": dict(sorted(types_entry(interface.types).items()))}


def read_manifest(obj: ElfObject) -> Manifest | None:
    """The manifest beside an extension, None if there is none."""
    path = manifest_path(obj.path)
    nothing = Manifest(path)
    if not os.path.isfile(path):
        return None
    try:
        return _checked(artifact.parse(read_bytes(path)), obj, nothing)
    except LlextError as error:
        return nothing._replace(fault=error.diagnostics[0].message)
    except (ValueError, RecursionError) as error:
        return nothing._replace(fault=f"is no manifest ({error})")


def follow(obj: ElfObject, data: bytes, output: str) -> dict[str, str]:
    """What else to write when an extension becomes ``data`` at ``output``: its manifest, if it has one."""
    try:
        document = artifact.parse(read_bytes(manifest_path(obj.path)))
    except (LlextError, ValueError):
        return {}
    if not _is_about(document, obj):
        return {}
    here = os.path.realpath(os.path.dirname(output)) == os.path.realpath(os.path.dirname(obj.path))
    kept = {name: each for name, each in document["files"].items() if here and each["kind"] != artifact.EXTENSION}
    files = {os.path.basename(output): artifact.file_entry(artifact.EXTENSION, data), **kept}
    name = os.path.splitext(os.path.basename(output))[0]
    return {manifest_path(output): artifact.to_text({**document, "name": name, "files": files})}


def _is_about(document: Mapping[str, Any], obj: ElfObject) -> bool:
    digest = artifact.digest(obj.image.tobytes())
    return any(entry["sha256"] == digest for entry in document["files"].values())


def _checked(document: Mapping[str, Any], obj: ElfObject, nothing: Manifest) -> Manifest:
    """Raises ``ValueError`` if the document is no manifest."""
    if not _is_about(document, obj):
        return nothing._replace(fault=f"is about another version of `{os.path.basename(obj.path)}`")
    further = document.get("further", [])
    if not isinstance(further, list):
        raise ValueError("`further` is no list")
    return nothing._replace(interfaces=tuple(map(_interface, [document, *further])))


def _interface(document: Any) -> Interface:
    """What ``_entries()`` has written. Raises ``ValueError`` if it is something else."""
    imports, types = (document.get(key) if isinstance(document, dict) else None for key in ("imports", "types"))
    if not isinstance(imports, dict) or not isinstance(types, dict):
        raise ValueError("it lists neither imports nor types")
    symbols: dict[str, Signature] = {}
    for name, entry in imports.items():
        if not isinstance(entry, dict):
            raise ValueError(f"`{name}` is no import")
        if "type" in entry:
            symbols[name] = read_signature(name, entry)
    return Interface(symbols, {tag: read_layout(tag, entry) for tag, entry in types.items()})

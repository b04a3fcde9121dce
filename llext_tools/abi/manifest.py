"""The manifest of an extension: what it takes its imports for, kept beside the shipped file, which has no debug info.

    {"format": 1, "file": "hello.llext", "sha256": "...", "machine": 40, "bits": 32, "target": "cortex-m4",
     "profile": "main", "exports": ["hello"],
     "imports": {"sensor_read": {"prototype": ..., "type": ..., "hash": ...}, "printk": {}},
     "types": {"struct sensor": {...}}}

Imports and types are entries as ``abi.text`` has them; an import that nothing is known of is empty. Some compilers do
not describe functions that an extension only calls: then all types are listed that it describes. Where source files of
one extension do not agree, ``further`` lists what the others say, each with imports and types.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llext_tools.abi.text import read_layout, read_signature, signature_entry, type_hash, types_entry
from llext_tools.abi.types import Interface, Signature
from llext_tools.elf.model import ElfObject

FORMAT = 1


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


def write_manifest(
    obj: ElfObject, described: ElfObject, exports: Iterable[str], *, file: str, target: str, profile: str
) -> str:
    """The manifest of ``obj``, a finished extension, with what the debug information of ``described`` says."""
    from llext_tools.abi.dwarf import open_debug

    names, debug = imported(obj), open_debug(described)
    whole, *further = debug.interfaces(names) if debug else [Interface({}, {})]
    if debug and whole.symbols.keys() != set(names):
        whole = whole._replace(types={**debug.all_types(), **whole.types})
    document = {
        "format": FORMAT,
        "file": file,
        "sha256": _digest(obj),
        "machine": obj.machine,
        "bits": obj.bits,
        **({"target": target} if target else {}),
        "profile": profile,
        "exports": sorted(exports),
        **_entries(whole, names),
        **({"further": [_entries(each, sorted(each.symbols)) for each in further]} if further else {}),
    }
    return _text(document)


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
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        return _checked(document, obj, nothing)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        return nothing._replace(fault=f"cannot be read: {getattr(error, 'strerror', None) or error}")


def follow(obj: ElfObject, data: bytes, output: str) -> dict[str, str]:
    """What else to write when an extension becomes ``data`` at ``output``: its manifest, if it has one."""
    try:
        with open(manifest_path(obj.path), encoding="utf-8") as file:
            document = json.load(file)
        if document["sha256"] != _digest(obj):
            return {}
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return {}
    document |= {"file": os.path.basename(output), "sha256": hashlib.sha256(data).hexdigest()}
    return {manifest_path(output): _text(document)}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _checked(document: Any, obj: ElfObject, nothing: Manifest) -> Manifest:
    """Raises ``ValueError`` if the document is no manifest."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return nothing._replace(fault=f"is not of format {FORMAT}")
    if document.get("sha256") != _digest(obj):
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


def _digest(obj: ElfObject) -> str:
    return hashlib.sha256(obj.image.tobytes()).hexdigest()

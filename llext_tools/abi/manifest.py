"""The manifest of an extension: what imports and exports are, kept beside the shipped file, which has no debug info.

    {"format": 2, "name": "hello", ...
     "imports": {"sensor_read": {"prototype": ..., "type": ..., "hash": ...}, "printk": {}},
     "types": {"struct sensor": {...}},
     "exports": {"probe": {"prototype": ..., "type": ..., "hash": ...}},
     "files": {"hello.llext": {"kind": "extension", "size": 1234, "sha256": "..."}}}

Imports, exports and types are entries as ``abi.text`` has them; of what nothing is known the entry is empty. Some
compilers do not describe functions that an extension only calls: then all types are listed that it describes. Where
source files of one extension do not agree, ``further`` lists what the others say, each with imports and types.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from llext_tools import artifact
from llext_tools.abi.text import closure, read_layout, read_signature, signature_entry, type_hash, types_entry
from llext_tools.abi.types import Interface, Signature
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes


class Manifest(NamedTuple):
    """``path`` may be of a file that cannot be read, is no manifest, or about another extension: see ``fault``."""

    path: str
    interfaces: tuple[Interface, ...] = ()  # of imports; at least one if there is no fault
    fault: str = ""
    exports: Mapping[str, Signature] = {}  # their types are those of the first interface


def imported(obj: ElfObject) -> list[str]:
    """The names of the undefined symbols, sorted."""
    return sorted(set(obj.symbols.names(obj.symbols.undefined.tolist())))


def interface_of(obj: ElfObject, described: ElfObject, exports: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The keys ``imports``, ``types``, ``further``, ``exports``: what the debug information of ``described`` says.

    Args:
        obj: the extension.
        exports: the names that it offers, and for each what the same is called in the source.
    """
    from llext_tools.abi.dwarf import joined, open_debug

    names, debug = imported(obj), open_debug(described)
    whole, *further = debug.interfaces(names) if debug else [Interface({}, {})]
    if debug and whole.symbols.keys() != set(names):
        whole = whole._replace(types={**debug.all_types(), **whole.types})
    own = debug.interface(sorted({*chain(*exports.values())}), statics=True) if debug else Interface({}, {})
    known = {name: [own.symbols[each] for each in every if each in own.symbols] for name, every in exports.items()}
    offers = {f"{OFFERED}{name}": signatures[0] for name, signatures in known.items() if signatures}
    both = joined([whole, closure(own._replace(symbols=offers), offers)])
    return {
        "imports": _entries(both, names),
        "types": dict(sorted(types_entry(both.types).items())),
        **({"further": [_further(each) for each in further]} if further else {}),
        "exports": _entries(both, sorted(exports), OFFERED),
    }


OFFERED = "exported "
"""In front of the name of an export: an import may have the same one."""


def _further(interface: Interface) -> dict[str, Any]:
    imports = _entries(interface, sorted(interface.symbols))
    return {"imports": imports, "types": dict(sorted(types_entry(interface.types).items()))}


def _entries(interface: Interface, names: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """An entry for each name, under which the interface has it with a prefix."""
    entries: dict[str, Any] = {name: {} for name in names}
    for name, entry in entries.items():
        if signature := interface.symbols.get(f"{prefix}{name}"):
            entry |= {**signature_entry(name, signature), "hash": type_hash(f"{prefix}{name}", interface)}
    return entries


def read_manifest(obj: ElfObject) -> Manifest | None:
    """The manifest beside an extension, None if there is none."""
    path = artifact.manifest_path(obj.path)
    nothing = Manifest(path)
    if not os.path.isfile(path):
        return None
    try:
        return _checked(artifact.parse(read_bytes(path)), obj, nothing)
    except LlextError as error:
        why = error.diagnostics[0].message.removeprefix(f"cannot read `{path}`: ")
        return nothing._replace(fault=f"cannot be read ({why})")
    except (ValueError, RecursionError) as error:
        return nothing._replace(fault=f"is no manifest ({error})")


def follow(obj: ElfObject, data: bytes, output: str) -> dict[str, str]:
    """What else to write when an extension becomes ``data`` at ``output``: its manifest, if it has one."""
    try:
        document = artifact.parse(read_bytes(artifact.manifest_path(obj.path)))
    except (LlextError, ValueError):
        return {}
    if not _is_about(document, obj):
        return {}
    here = os.path.realpath(os.path.dirname(output)) == os.path.realpath(os.path.dirname(obj.path))
    kept = {name: each for name, each in document["files"].items() if here and each["kind"] != artifact.EXTENSION}
    files = {os.path.basename(output): artifact.file_entry(artifact.EXTENSION, data), **kept}
    name = os.path.splitext(os.path.basename(output))[0]
    return {artifact.manifest_path(output): artifact.to_text({**document, "name": name, "files": files})}


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
    exports = _symbols(document.get("exports", {}), "export")
    return nothing._replace(interfaces=tuple(map(_interface, [document, *further])), exports=exports)


def _interface(document: Any) -> Interface:
    """Imports and types. Raises ``ValueError`` if they are something else."""
    imports, types = (document.get(key) if isinstance(document, dict) else None for key in ("imports", "types"))
    if not isinstance(imports, dict) or not isinstance(types, dict):
        raise ValueError("it lists neither imports nor types")
    return Interface(_symbols(imports, "import"), {tag: read_layout(tag, entry) for tag, entry in types.items()})


def _symbols(entries: Any, what: str) -> dict[str, Signature]:
    """What ``_entries()`` has written. Raises ``ValueError`` if it is something else."""
    if not isinstance(entries, dict):
        raise ValueError(f"it has no table of {what}s")
    symbols: dict[str, Signature] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise ValueError(f"`{name}` is no {what}")
        if "type" in entry:
            symbols[name] = read_signature(name, entry)
    return symbols

"""The bill of materials of a bundle: CycloneDX 1.6 in JSON, made of the artifacts alone: the same anywhere.

The bundle is the component that the document is about. It consists of the artifacts; an artifact was made by a compiler
and depends on the firmware that it was checked against, which has the names that it imports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6

from llext_tools import __version__
from llext_tools.artifact import DEBUG, EXTENSION
from llext_tools.artifact.facts import firmware_of, profile_of, target_of, toolchain_of
from llext_tools.bundle.index import Entry
from llext_tools.bundle.pack import Packed

SPACE = uuid5(NAMESPACE_URL, "llext-tools:bundle")
PREFIX = "llext-tools:"


def sbom(name: str, version: str, time: int, packed: Sequence[Packed], helpers: Mapping[Entry, Sequence[str]]) -> bytes:
    """The document, for a bundle of these artifacts.

    Args:
        time: seconds since 1970; 0 for a document without one.
        helpers: for artifacts with functions of their compiler linked in, the names of those.
    """
    whole = Component(name=name, version=version or None, type=ComponentType.FIRMWARE, bom_ref="bundle")
    tool = Component(name="llext-tools", version=__version__, type=ComponentType.APPLICATION, bom_ref="llext-tools")
    bom = Bom(metadata=BomMetaData(component=whole, tools=ToolRepository(components=[tool])))
    bom.metadata.timestamp = datetime.fromtimestamp(time, UTC)
    others: dict[str, Component] = {}
    parts = []
    for each in packed:
        mine = helpers.get(each.entry, ())
        part = _artifact(each, version, mine)
        needed = {str(other.bom_ref.value): other for other in _others(each.document, mine)}
        others = {**needed, **others}
        bom.components.add(part)
        bom.register_dependency(part, [others[ref] for ref in sorted(needed)])
        parts.append(part)
    for other in others.values():
        bom.components.add(other)
        bom.register_dependency(other)
    bom.register_dependency(whole, parts)
    return _written(bom, time)


def _written(bom: Bom, time: int) -> bytes:
    """The text of the document, with a serial number that follows from the rest."""
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document.pop("serialNumber", None)
    for key in ("components", "dependencies"):  # versions of the library sort them in other ways
        document[key] = sorted(document[key], key=lambda each: str(each.get("bom-ref", each.get("ref"))))
    if not time:
        document["metadata"].pop("timestamp", None)
    serial = uuid5(SPACE, json.dumps(document, sort_keys=True))
    document = {"$schema": document.pop("$schema"), "serialNumber": serial.urn, **dict(sorted(document.items()))}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _artifact(each: Packed, version: str, helpers: Sequence[str]) -> Component:
    """An extension, with its debug file as a part."""
    document = each.document
    properties = {
        "job": each.entry.job,
        "target": target_of(document),
        "toolchain": toolchain_of(document)[0],
        "profile": profile_of(document),
        "helpers": " ".join(helpers),
    }
    return Component(
        name=each.entry.name,
        version=version or None,
        type=ComponentType.FIRMWARE,
        bom_ref=each.entry.extension,
        hashes=_hashes(_digest(each, EXTENSION)),
        properties=[Property(name=PREFIX + key, value=value) for key, value in properties.items() if value],
        components=[_file(each.entry.debug, _digest(each, DEBUG))] if each.entry.debug else [],
    )


def _file(name: str, digest: str) -> Component:
    return Component(
        name=name.rpartition("/")[2], type=ComponentType.FILE, bom_ref=f"file:{name}", hashes=_hashes(digest)
    )


def _digest(each: Packed, kind: str) -> str:
    file = each.digest(kind)
    return file.sha256 if file else ""


def _hashes(digest: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if len(digest) == 64 else []


def _others(document: dict[str, Any], helpers: Sequence[str]) -> list[Component]:
    """What is not in the bundle: the compiler with the helper functions that it put in, the firmware."""
    firmware = (_other("firmware", file, "", ComponentType.FIRMWARE, sha256) for file, sha256 in firmware_of(document))
    return [*_compiler(*toolchain_of(document), helpers), *firmware]


def _compiler(name: str, version: str, helpers: Sequence[str]) -> list[Component]:
    found = [_other("compiler", name, version, ComponentType.APPLICATION)] if name else []
    if helpers:
        library = f"run-time library of {name or 'the compiler'}"
        found.append(_other("runtime", library, version, ComponentType.LIBRARY))
    return found


def _other(role: str, name: str, version: str, type: ComponentType, digest: str = "") -> Component:
    ref = ":".join(part for part in (role, name, version, digest[:16]) if part)
    return Component(name=name, version=version or None, type=type, bom_ref=ref, hashes=_hashes(digest))

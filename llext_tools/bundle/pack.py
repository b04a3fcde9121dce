"""From artifacts to the bytes of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llext_tools.artifact import Artifact
from llext_tools.bundle import INDEX, SBOM, SIGNATURE, container
from llext_tools.bundle.index import Entry, File, Index, file_of, in_order, to_bytes
from llext_tools.diag import Location, fail


class Packed(NamedTuple):
    """An artifact with its place in the bundle. ``files``: name in the bundle -> contents."""

    entry: Entry
    artifact: Artifact
    files: dict[str, bytes]

    @property
    def document(self) -> dict[str, Any]:
        return self.artifact.document

    def digest(self, role: str) -> File | None:
        """Size and SHA-256 of the extension or the debug file, as the manifest has them."""
        files = self.document["files"].values()
        return next((File(each["size"], each["sha256"]) for each in files if each["kind"] == role), None)


def members(name: str, version: str, time: int, packed: Sequence[Packed], sbom: bytes) -> dict[str, bytes]:
    """All files of a bundle that nobody has signed yet, in their order."""
    files = {SBOM: sbom}
    for each in packed:
        files |= each.files
    files = {file: files[file] for file in in_order(files)}
    entries = tuple(sorted(each.entry for each in packed))
    index = Index(name, version, time, entries, {file: file_of(data) for file, data in files.items()})
    return {INDEX: to_bytes(index), **files}


def archive(files: dict[str, bytes], time: int, signature: bytes = b"") -> bytes:
    """The bytes of a bundle with these files, and its signature if there is one.

    Raises:
        UsageError: ``usage`` if a name is too long for an archive.
    """
    rest = {name: data for name, data in files.items() if name != SIGNATURE}
    try:
        return container.write({**rest, **({SIGNATURE: signature} if signature else {})}, time)
    except ValueError as error:
        cure = "give jobs and extensions shorter names: 100 bytes are always enough"
        fail("usage", f"this does not fit into a bundle: {error}", help=cure)


def at(artifact: Artifact) -> Location:
    """Where findings about an artifact are."""
    return Location(file=artifact.manifest)

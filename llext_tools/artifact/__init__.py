"""An artifact: a shipped extension, the file that a debugger reads for it, and the manifest that vouches for both.

    hello.llext      what a board loads
    hello.debug.elf  the same code with its debug information; a finished extension need not have it
    hello.json       the manifest: what the others are, what they were made of, what they were checked against

The manifest names the files beside it with their sizes and SHA-256, so that whoever is given the three can tell whether
they belong together. Reading one needs neither numpy nor any ELF file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from llext_tools.diag import Location, Reporter, fail
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes

EXTENSION_SUFFIX, DEBUG_SUFFIX, MANIFEST_SUFFIX = ".llext", ".debug.elf", ".json"
FORMAT = 2
"""Of a manifest. Format 1 was never released."""
EXTENSION, DEBUG = "extension", "debug"
KINDS = (EXTENSION, DEBUG)
DIGEST = re.compile(r"[0-9a-f]{64}")


class Artifact(NamedTuple):
    """``manifest``: the path that was read; ``document``: what it says, of which ``name`` and ``files`` are sound."""

    manifest: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def folder(self) -> str:
        return os.path.dirname(self.manifest)

    @property
    def extension(self) -> str:
        """The path of the ``.llext`` file."""
        return self._of(EXTENSION) or ""

    @property
    def debug(self) -> str | None:
        """The path of the file with debug information; None if the artifact has none."""
        return self._of(DEBUG)

    @property
    def paths(self) -> tuple[str, ...]:
        """All files: the extension, its debug file if there is one, the manifest."""
        return tuple(path for path in (self.extension, self.debug, self.manifest) if path)

    def _of(self, kind: str) -> str | None:
        names = (name for name, entry in self.document["files"].items() if entry["kind"] == kind)
        return next((os.path.join(self.folder, name) for name in names), None)


def manifest_path(extension: str | os.PathLike[str]) -> str:
    """``dir/hello.llext`` -> ``dir/hello.json``."""
    return os.path.splitext(extension)[0] + MANIFEST_SUFFIX


def read_artifact(manifest: str | os.PathLike[str], data: bytes | None = None) -> Artifact:
    """The artifact that a manifest is of. Whether the files are there and unchanged says ``changed_files()``.

    Args:
        data: what the manifest holds, where it has been read already.
    Raises:
        FormatError: ``file-unreadable``, ``manifest-syntax``.
    """
    path = os.fspath(manifest)
    try:
        document = parse(read_bytes(path) if data is None else data)
    except ValueError as error:
        at = Location(file=path)
        fail("manifest-syntax", f"this is no manifest: {error}", at=at, help="build the extension again")
    return Artifact(path, document)


def parse(text: bytes) -> dict[str, Any]:
    """The document of a manifest.

    Raises:
        ValueError: it is none; the message says why.
    """
    document = of_format(text, FORMAT)
    if not is_basename(document.get("name")):
        raise ValueError("`name` is not the name of an extension")
    _check_files(document.get("files"))
    return document


def of_format(text: bytes, number: int) -> dict[str, Any]:
    """A document in JSON that is of this format of its kind.

    Raises:
        ValueError: it is not; the message says why.
    """
    document = load(text)
    if not isinstance(document, dict) or "format" not in document:
        raise ValueError("it says of no format that it has it")
    if document["format"] != number or isinstance(document["format"], bool):
        raise ValueError(f"it is of format {json.dumps(document['format'])[:20]}, not {number}")
    return document


def load(text: bytes) -> Any:
    """What a JSON text says, if the same can be written again: no lone surrogates, no infinite numbers.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("a text in it is half a character") from None
    return document


def _check_files(files: Any) -> None:
    if not isinstance(files, dict):
        raise ValueError("`files` is no table of files")
    for name, entry in files.items():
        if not is_basename(name):
            raise ValueError(f"`files`: {json.dumps(name)[:80]} is not the name of a file beside it")
        if not isinstance(entry, dict):
            raise ValueError(f"`files`: `{name}` is no file")
        kind, size, digest = (entry.get(key) for key in ("kind", "size", "sha256"))
        if kind not in KINDS:
            raise ValueError(f"`files`: `{name}` is none of {', '.join(KINDS)}")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"`files`: the size of `{name}` is not a number of bytes")
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise ValueError(f"`files`: `{name}` has no SHA-256")
    kinds = [entry["kind"] for entry in files.values()]
    if kinds.count(EXTENSION) != 1 or kinds.count(DEBUG) > 1:
        raise ValueError("`files` must have one extension and at most one debug file")


def is_basename(name: Any) -> bool:
    """Whether a value is the name of a file in a folder, with no way out of it."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0") and name.isprintable()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_entry(kind: str, data: bytes) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"kind": kind, "size": len(data), "sha256": digest(data)}


def named_file(path: str) -> dict[str, str]:
    """What a manifest says of a file that is no part of the artifact.

    Raises:
        FormatError: ``file-unreadable``.
    """
    return {"file": os.path.basename(path), "sha256": digest(read_bytes(path))}


def changed_files(artifact: Artifact) -> list[tuple[str, str]]:
    """The paths of those files that are not what the manifest says, each with the reason."""
    found = []
    for name, entry in artifact.document["files"].items():
        path = os.path.join(artifact.folder, name)
        if reason := _change(path, entry):
            found.append((path, reason))
    return found


def report_changed(artifact: Artifact, reporter: Reporter, left_out: str | None = None) -> bool:
    """Report the files that are not what the manifest says, but for one that is left out; whether there are any."""
    found = [(path, reason) for path, reason in changed_files(artifact) if path != left_out]
    for path, reason in found:
        text = f"`{path}` is not what the manifest says: it {reason}"
        at = Location(file=artifact.manifest)
        reporter.error("manifest-stale", text, at=at, help="build the extension again")
    return bool(found)


def _change(path: str, entry: Mapping[str, Any]) -> str:
    if not os.path.lexists(path):
        return "is missing"
    try:
        data = read_bytes(path)
    except LlextError as error:
        return f"cannot be read: {error.diagnostics[0].message.removeprefix(f'cannot read `{path}`: ')}"
    return difference(data, entry["size"], entry["sha256"])


def difference(data: bytes, size: int, sha256: str) -> str:
    """In words, how a file's contents are not those with a size and a digest; "" if they are."""
    if len(data) != size:
        return f"has {len(data):,} bytes, not {size:,}"
    return "" if digest(data) == sha256 else "has other contents"


def with_files_last(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same, in the order of a manifest."""
    return {**{key: value for key, value in document.items() if key != "files"}, "files": document["files"]}


def to_text(document: Mapping[str, Any]) -> str:
    """The manifest as it is written."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

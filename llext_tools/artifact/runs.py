"""The runs of an artifact that passed: from the records that ``llext run --record`` has left.

    {"format": 1, "test": "hello.greets", "calls": ["hello()"], "files": {"hello.llext": "<sha256>"}, ...}

A record is about files, by their SHA-256. It counts for an artifact while its extension is one of them; when the
extension is built anew with another result, the record tells nothing of it any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from llext_tools.artifact import DIGEST, Artifact, is_basename, of_format, with_files_last
from llext_tools.diag import Location, fail
from llext_tools.files import read_bytes

FORMAT = 1
REPEATED = ("test", "calls", "placements", "firmware")
"""Keys of a record that a manifest repeats: what is the same whoever has run the test, and where."""


def with_runs(artifact: Artifact, records: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    """The manifest's document with the runs that the records prove, sorted by test; those that it had are dropped.

    Records that are not there are passed over: that test has not passed. So are those about other files.

    Raises:
        FormatError: ``file-unreadable``, ``manifest-syntax``.
    """
    found = [record for path in records if os.path.lexists(path) for record in [read_record(path)]]
    runs = [_run(artifact, record) for record in found if _holds(artifact, record)]
    unique = {json.dumps(run, sort_keys=True): run for run in runs}
    rest = {key: value for key, value in artifact.document.items() if key != "runs"}
    ordered = [unique[key] for key in sorted(unique, key=lambda key: (unique[key]["test"], key))]
    return with_files_last({**rest, **({"runs": ordered} if ordered else {})})


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """One record.

    Raises:
        FormatError: ``file-unreadable``, ``manifest-syntax``.
    """
    name = os.fspath(path)
    try:
        return _checked(of_format(read_bytes(name), FORMAT))
    except ValueError as error:
        fail("manifest-syntax", f"this is no record of a run: {error}", at=Location(file=name), help="run it again")


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(record.get("test"), str) or not record["test"]:
        raise ValueError("`test` is no name")
    files = record.get("files")
    if not isinstance(files, dict) or not files:
        raise ValueError("`files` is no table of files")
    for name, digest in files.items():
        if not is_basename(name) or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise ValueError(f"`files`: {json.dumps(name)[:80]} is not a file's name with its SHA-256")
    return record


def _holds(artifact: Artifact, record: dict[str, Any]) -> bool:
    """Whether a record is about this extension, with its present contents."""
    extension = os.path.basename(artifact.extension)
    return bool(record["files"].get(extension) == artifact.document["files"][extension]["sha256"])


def _run(artifact: Artifact, record: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of a run. ``with``: the other extensions that were loaded, and their digests."""
    others = {name: digest for name, digest in sorted(record["files"].items()) if name not in _names(artifact)}
    rest = {key: record[key] for key in REPEATED if key in record}
    return {**rest, **({"with": others} if others else {})}


def _names(artifact: Artifact) -> set[str]:
    return {os.path.basename(path) for path in artifact.paths}

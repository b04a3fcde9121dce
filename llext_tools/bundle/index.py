"""The index of a bundle: what is in it, with the digest of every file. Its bytes are what is signed.

    {"format": 1, "name": "blink", "version": "1.0", "time": 0,
     "artifacts": [{"job": "cortex-m4-gcc", "name": "blink", "manifest": "cortex-m4-gcc/blink.json",
                    "extension": "cortex-m4-gcc/blink.llext", "debug": "cortex-m4-gcc/blink.debug.elf"}],
     "files": {"sbom.cdx.json": {"size": 2345, "sha256": "..."}, ...}}

There is one way to write it, which ``parse()`` insists on.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from unicodedata import normalize

from llext_tools.artifact import DIGEST, digest, is_basename, of_format
from llext_tools.artifact.facts import is_word
from llext_tools.bundle import INDEX, SBOM, SIGNATURE

FORMAT = 1
LATEST = (1 << 33) - 1
"""The last second that a header of the archive can tell."""
DEVICE = re.compile("con|prn|aux|nul|(com|lpt)[0-9]", re.IGNORECASE)
"""What Windows takes for a device, whatever ending it has."""
KEYS = ["format", "name", "version", "time", "artifacts", "files"]
ROLES = ("manifest", "extension", "debug")
OWN = (INDEX, SBOM, SIGNATURE)
"""Files beside the folders of the jobs."""


class File(NamedTuple):
    size: int
    sha256: str


class Entry(NamedTuple):
    """An artifact: ``job`` is its folder; the others are names of files, ``debug`` "" if it has none here."""

    job: str
    name: str
    manifest: str
    extension: str
    debug: str

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for file in (self.manifest, self.extension, self.debug) if file)


class Index(NamedTuple):
    """``time``: seconds since 1970 that all files bear. ``files`` are in the order of the archive."""

    name: str
    version: str
    time: int
    artifacts: tuple[Entry, ...]
    files: dict[str, File]


def file_of(data: bytes) -> File:
    """What the index says of a file."""
    return File(len(data), digest(data))


def to_bytes(index: Index) -> bytes:
    """The index as it is written."""
    document = {
        "format": FORMAT,
        "name": index.name,
        "version": index.version,
        "time": index.time,
        "artifacts": [{key: value for key, value in each._asdict().items() if value} for each in index.artifacts],
        "files": {name: file._asdict() for name, file in index.files.items()},
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def parse(data: bytes) -> Index:
    """The index in some bytes.

    Raises:
        ValueError: they are none; the message says why.
    """
    document = of_format(data, FORMAT)
    if list(document) != KEYS:
        raise ValueError(f"its keys are not {', '.join(KEYS)}")
    for key in ("name", "version"):
        if not is_word(document[key], empty=key == "version"):
            raise ValueError(f"`{key}` is no text")
    time = document["time"]
    if not isinstance(time, int) or isinstance(time, bool) or not 0 <= time <= LATEST:
        raise ValueError("`time` is no number of seconds")
    files = _files(document["files"])
    index = Index(document["name"], document["version"], time, _artifacts(document["artifacts"], files), files)
    try:
        same = to_bytes(index) == data
    except UnicodeEncodeError:
        same = False
    if not same:
        raise ValueError("it is not written as `llext pack` writes it")
    return index


def is_member(name: Any) -> bool:
    """Whether a value is the name of a file in a bundle: at most one folder, and no way out of it."""
    return isinstance(name, str) and name.count("/") <= 1 and all(is_safe(part) for part in name.split("/"))


def is_safe(name: Any) -> bool:
    """Whether a value can be the name of a file or a folder wherever a bundle is unpacked."""
    if not is_basename(name) or set(name) & set(':*?"<>|') or name.endswith((".", " ")):
        return False
    return not DEVICE.fullmatch(name.partition(".")[0].rstrip())


def is_job(name: Any) -> bool:
    """Whether a value can be the folder of a job."""
    return is_safe(name) and folded(name) not in OWN


def folded(name: str) -> str:
    """What is the same for all names that some file system takes for one: upper and lower case, composed accents."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _files(table: Any) -> dict[str, File]:
    if not isinstance(table, dict):
        raise ValueError("`files` is no table of files")
    found: dict[str, File] = {}
    for name, entry in table.items():
        shown = json.dumps(name)[:80]
        if not is_member(name) or name in (INDEX, SIGNATURE):
            raise ValueError(f"`files`: {shown} is not the name of a file in a bundle")
        if not isinstance(entry, dict) or list(entry) != ["size", "sha256"]:
            raise ValueError(f"`files`: {shown} has not just a size and a SHA-256")
        size, sha256 = entry["size"], entry["sha256"]
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"`files`: the size of {shown} is not a number of bytes")
        if not isinstance(sha256, str) or not DIGEST.fullmatch(sha256):
            raise ValueError(f"`files`: {shown} has no SHA-256")
        found[name] = File(size, sha256)
    if len(set(map(folded, found))) < len(found):
        raise ValueError("`files`: two names differ in the case of letters only, or in how an accent is written")
    if list(found) != in_order(found):
        raise ValueError("`files` is not in order")
    return found


def in_order(names: Any) -> list[str]:
    """Names of files in the order that they have in a bundle."""
    return sorted(names, key=lambda name: (name != SBOM, name))


def _artifacts(entries: Any, files: dict[str, File]) -> tuple[Entry, ...]:
    if not isinstance(entries, list) or not entries:
        raise ValueError("`artifacts` is no list of artifacts")
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not set(entry) <= set(Entry._fields):
            raise ValueError("`artifacts`: one is no artifact")
        each = Entry(*(entry.get(key, "") for key in Entry._fields))
        if not all(isinstance(value, str) for value in each) or not is_job(each.job) or not is_word(each.name):
            raise ValueError("`artifacts`: one has no name")
        for role in ROLES:
            file = getattr(each, role)
            if (file or role != "debug") and (file not in files or file.partition("/")[0] != each.job):
                raise ValueError(f"`artifacts`: the {role} of `{each.job}/{each.name}` is not among the files")
        found.append(each)
    owned = [file for each in found for file in each.files]
    if sorted([*owned, SBOM]) != sorted(files):
        raise ValueError("`artifacts` and `files` do not list the same files")
    if found != sorted(found):
        raise ValueError("`artifacts` is not in order")
    return tuple(found)

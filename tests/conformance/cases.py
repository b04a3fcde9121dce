"""The conformance set: small objects with the answers of Zephyr's own loader code. See README.md for the format."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ANSWERED = "cases.json"
FILES = "files.tar.xz"


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region as the loader left it, after relocation; ``contents`` is None where only its hash is known."""

    name: str  # of enum llext_mem
    base: int
    size: int
    align: int
    file_offset: int
    prepad: int
    contents: bytes | None
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Load:
    """One ``llext_load()`` and what it gave. ``sections`` maps an index to (region, offset in it, address)."""

    case: Case
    name: str
    file: str
    rc: str
    log: tuple[str, ...]
    regions: tuple[Region, ...]
    sections: Mapping[int, tuple[str, int, int]]
    sym_tab: tuple[tuple[str, int], ...]
    exports: tuple[tuple[str, int], ...]
    host: Mapping[str, int]  # what it was linked against: the built-in table, and what earlier extensions export

    @property
    def id(self) -> str:
        return self.case.id if len(self.case.loads) == 1 else f"{self.case.id}:{self.name}"

    @property
    def object(self) -> bytes:
        return files()[f"{self.case.id}/{self.file}"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A case: ``gnu_ld`` is ``"same"`` where GNU ld made the same bytes at the same addresses, else what differs."""

    id: str
    arch: str
    variant: str
    rule: str
    options: Mapping[str, Any]
    gnu_ld: str | tuple[str, ...] | None
    loads: list[Load]


@cache
def files() -> Mapping[str, bytes]:
    """All sources and objects, as ``<case>/<file>``."""
    with tarfile.open(HERE / FILES) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


@cache
def cases() -> Mapping[str, Case]:
    """All cases by their ``id``, in the order of the file."""
    return {raw["id"]: _case(raw) for raw in json.loads((HERE / ANSWERED).read_text())["cases"]}


def loads() -> Iterator[Load]:
    """Every ``llext_load()`` of every case."""
    for case in cases().values():
        yield from case.loads


def objects(*, arch: str = "") -> dict[str, bytes]:
    """The objects that were loaded without an error, by ``<case>/<file>``; ``arch`` is ``arm`` or ``riscv``."""
    return {
        f"{load.case.id}/{load.file}": load.object
        for load in loads()
        if load.rc == "0" and (not arch or load.case.arch == arch)
    }


def _case(raw: Mapping[str, Any]) -> Case:
    gnu_ld = raw["gnu_ld"]
    case = Case(
        id=raw["id"],
        arch=raw["arch"],
        variant=raw["variant"],
        rule=raw["rule"],
        options=raw.get("options", {}),
        gnu_ld=tuple(gnu_ld) if isinstance(gnu_ld, list) else gnu_ld,
        loads=[],
    )
    host = {name: int(address, 0) for name, address in raw["exports"].items()}
    answers = [answer for answer in raw["answers"] if answer["op"] == "load"]
    steps = [step for step in raw["steps"] if step[0] == "load"]
    for (_, name, file), answer in zip(steps, answers, strict=True):
        load = _load(case, name, file, answer, host)
        case.loads.append(load)
        host = {**dict(load.exports), **host}  # the built-in table is asked first
    return case


def _load(case: Case, name: str, file: str, answer: Mapping[str, Any], host: Mapping[str, int]) -> Load:
    data = files()[f"{case.id}/{file}"]
    return Load(
        case=case,
        name=name,
        file=file,
        rc=answer.get("rc", "crash"),
        log=tuple(answer.get("log", ())),
        regions=tuple(_region(raw, data) for raw in answer.get("regions", ())),
        sections={i: (region, at, int(addr, 0)) for i, _, region, at, addr in answer.get("sections", ())},
        sym_tab=tuple((symbol, int(addr, 0)) for symbol, addr in answer.get("sym_tab", ())),
        exports=tuple((symbol, int(addr, 0)) for symbol, addr in answer.get("exports", ()) if symbol),
        host=host,
    )


def _region(raw: Mapping[str, Any], data: bytes) -> Region:
    size, at = raw["size"], raw["file_offset"]
    if raw.get("bytes") == "as in the file":
        contents: bytes | None = data[at : at + size]
    elif raw.get("bytes") == "zeros":
        contents = bytes(size)
    else:
        contents = bytes.fromhex(raw["hex"]) if "hex" in raw else None
    return Region(
        name=raw["region"],
        base=int(raw["base"], 0),
        size=size,
        align=raw["align"],
        file_offset=at,
        prepad=raw["prepad"],
        contents=contents,
        sha256=raw.get("sha256", hashlib.sha256(contents).hexdigest() if contents is not None else ""),
    )

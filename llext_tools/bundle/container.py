"""The archive of a bundle: ustar as ``tarfile`` writes it, with nothing in a header that could differ.

Reading is lenient, so that all that is wrong can be said at once and of the right file: a header that cannot be read is
passed over by the size that the index gives for that place.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from tarfile import BLOCKSIZE, RECORDSIZE
from typing import NamedTuple

from llext_tools.bundle import cut_off

KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.XHDTYPE: "an extended header",
    tarfile.XGLTYPE: "an extended header",
    tarfile.GNUTYPE_LONGNAME: "a long name of GNU tar",
    tarfile.GNUTYPE_LONGLINK: "a long name of GNU tar",
    tarfile.GNUTYPE_SPARSE: "a file with holes",
}

EMPTY = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)


class Member(NamedTuple):
    """One file. ``fault``: what is wrong with how it stands in the archive, "" if nothing is."""

    name: str
    data: bytes
    fault: str = ""


class Contents(NamedTuple):
    """``faults``: what is wrong with the archive as a whole, each with the byte where it was seen."""

    members: tuple[Member, ...]
    faults: tuple[tuple[int, str], ...]


def header(name: str, size: int, time: int) -> bytes:
    """The block in front of a file.

    Raises:
        ValueError: the name or the size is too long for it.
    """
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, time, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def write(members: Mapping[str, bytes], time: int) -> bytes:
    """The archive. Raises ``ValueError`` for a name that does not fit."""
    parts = []
    for name, data in members.items():
        try:
            parts += [header(name, len(data), time), data, bytes(-len(data) % BLOCKSIZE)]
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None
    size = sum(map(len, parts))
    return b"".join([*parts, _end(size)])


def _end(size: int) -> bytes:
    """What follows the last file, which ends at ``size``."""
    return bytes(2 * BLOCKSIZE + -(size + 2 * BLOCKSIZE) % RECORDSIZE)


def first(data: bytes) -> Member | str:
    """The first file, or why there is none: then this is no bundle."""
    for magic, kind in ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if data.startswith(magic):
            return f"it is compressed with {kind}, which a bundle never is"
    if data.startswith(b"PK\x03\x04"):
        return "it is a zip archive"
    if not data:
        return "it is empty"
    if len(data) < BLOCKSIZE and cut_off(data):
        return "it ends too early"
    if data[257:262] != b"ustar":
        return "it is no tar archive"
    member, _ = _member(data, 0, None, None)
    return member


def read(data: bytes, expected: Iterable[tuple[str, int]], time: int) -> Contents:
    """All files of an archive.

    Args:
        expected: name and size of each file that the index wants, in their order, with that of the index first.
        time: what each header has to say.
    """
    places, at = {}, 0
    for name, size in expected:
        places[at] = (name, size)
        at += BLOCKSIZE + size + -size % BLOCKSIZE
    last = at  # the signature may stand there
    members: list[Member] = []
    faults: list[tuple[int, str]] = []
    at = 0
    while at < len(data) and any(data[at : at + BLOCKSIZE]):
        place = places.get(at)
        if place is None and isinstance(_info(data[at : at + BLOCKSIZE]), str):
            what = "what should be `signature.json` or the end is neither" if at == last else "a header is damaged"
            faults.append((at, what))
            return Contents(tuple(members), tuple(faults))
        member, at = _member(data, at, place, time)
        members.append(member)
    end = _end(at)
    if at > len(data) or len(data) - at < len(end):
        faults.append((len(data), "it ends too early"))
    elif data[at:] != end:
        extra = next((i for i, byte in enumerate(data[at:]) if byte), len(end))
        faults.append((at + extra, "there is something behind the last file"))
    return Contents(tuple(members), tuple(faults))


def _info(block: bytes) -> tarfile.TarInfo | str:
    """What a header says, or what is wrong with it."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError):
        return "its header is damaged"
    if info.size < 0:
        return "its header is damaged"
    return info


def _member(data: bytes, at: int, place: tuple[str, int] | None, time: int | None) -> tuple[Member, int]:
    """The file whose header stands at a byte, and where the next one should begin."""
    block = data[at : at + BLOCKSIZE]
    info = _info(block)
    if isinstance(info, str):
        name, size = place or ("", 0)
        fault = info
    else:
        name, size, fault = info.name, info.size, ""
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            fault = f"it is {KINDS.get(info.type, 'no regular file')}"
            size = 0 if info.type in EMPTY else size
        elif time is not None and not _is_canonical(block, name, size, time):
            fault = "its header is not the one that `llext pack` writes"
    begin = at + BLOCKSIZE
    end = begin + size
    contents = data[begin:end]
    after = end + -size % BLOCKSIZE
    if len(contents) < size:
        fault = fault or f"it ends after {len(contents):,} of {size:,} bytes"
    elif len(data) < after:
        fault = fault or "the padding behind it is cut off"
    elif any(data[end:after]):
        fault = fault or "the padding behind it is not zero"
    return Member(name, contents, fault), after


def _is_canonical(block: bytes, name: str, size: int, time: int) -> bool:
    try:
        return block == header(name, size, time)
    except ValueError:
        return False

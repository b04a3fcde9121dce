"""Archives of objects (``.a``): read in the System V/GNU and the BSD form, written in the GNU form.

An archive is a sequence of members, each after a header of 60 characters. System V puts long names into the member
``//`` and BSD in front of the contents; a first member ``/`` or ``__.SYMDEF`` lists which member defines a symbol, so
that a linker takes only what it needs.
Source: ``ar.h`` of GNU binutils 2.40; System V ABI, "Archive File"; the BSD form: FreeBSD, ar(5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

from llext_tools.diag import Location, fail

MAGIC, THIN = b"!<arch>\n", b"!<thin>\n"
HEADER = 60
INDEXES = ("/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED", "__.SYMDEF_64")


def read_archive(data: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each member, in the archive's order; indexes are left out.

    Raises:
        FormatError: ``archive-malformed``.
    """
    if data[:8] == THIN:
        _malformed(path, 0, "is a thin archive, which only names other files")
    if data[:8] != MAGIC:
        _malformed(path, 0, "is not an archive")
    at, long_names = len(MAGIC), b""
    while at < len(data):
        header, start = data[at : at + HEADER], at + HEADER
        size = header[48:58].strip()
        if len(header) < HEADER or header[58:] != b"`\n" or not size.isdigit() or start + int(size) > len(data):
            _malformed(path, at, "ends or goes astray here")
        contents = data[start : start + int(size)]
        name = header[:16].rstrip(b" ")
        if name == b"//":
            long_names = contents
        elif name.startswith(b"#1/") and name[3:].isdigit():
            length = int(name[3:])
            name, contents = contents[:length].rstrip(b"\0"), contents[length:]
        elif name[:1] == b"/" and name[1:].isdigit():
            name = long_names[int(name[1:]) :].split(b"\n", 1)[0].removesuffix(b"/")
        elif name not in (b"/", b"/SYM64/"):
            name = name.removesuffix(b"/")
        text = name.decode("utf-8", "backslashreplace")
        if text != "//" and text not in INDEXES:
            yield text, contents
        at = start + int(size) + int(size) % 2


def write_archive(members: Mapping[str, tuple[bytes, Iterable[str]]]) -> bytes:
    """An archive of ``members``: name -> (contents, the symbols that a linker shall find in it).

    Times, owners and modes are constant, so that equal members give equal archives.
    """
    names = bytearray()
    fields: list[tuple[bytes, bytes]] = []
    symbols: list[tuple[bytes, int]] = []
    for i, (name, (contents, defined)) in enumerate(members.items()):
        short = name.encode() + b"/"
        if len(short) > 16:
            short = b"/%d" % len(names)
            names += name.encode() + b"/\n"
        fields.append((short, contents))
        symbols += [(symbol.encode(), i) for symbol in defined]
    strings = b"".join(symbol + b"\0" for symbol, _ in symbols)
    index_size = 4 + 4 * len(symbols) + len(strings)
    parts = [_member(b"//", bytes(names))] if names else []
    at = len(MAGIC) + HEADER + index_size + index_size % 2 + sum(map(len, parts))
    starts = []
    for field in fields:
        starts.append(at)
        parts.append(_member(*field))
        at += len(parts[-1])
    index = struct.pack(f">I{len(symbols)}I", len(symbols), *(starts[i] for _, i in symbols)) + strings
    return b"".join([MAGIC, _member(b"/", index), *parts])


def _member(name: bytes, contents: bytes) -> bytes:
    header = b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name, 0, 0, 0, b"644", len(contents))
    return header + contents + b"\n" * (len(contents) % 2)


def _malformed(path: str, at: int, what: str) -> NoReturn:
    fail("archive-malformed", f"`{path}` {what}", at=Location(file=path, offset=at))

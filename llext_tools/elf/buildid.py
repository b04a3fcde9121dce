"""What ties a shipped extension to the file with its debug information: a build-id in both, and a link to it.

``.note.gnu.build-id`` is one note of the owner ``GNU``, of type 3: 20 bytes that name this build. Here they are the
SHA-1 of the file with the debug information, so that equal builds have equal names. ``.gnu_debuglink`` in the shipped
file is the debug file's name, padded to a multiple of 4, and the CRC-32 of the whole of it: debuggers look beside the
shipped file. Neither section has SHF_ALLOC, so the loader passes over them.
Source: "Debugging Information in Separate Files" of the GDB manual; gABI 4.1, "Note Section".
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace

import numpy as np

from llext_tools.diag import Location, fail
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.write import Section, aligned

NOTE, LINK = ".note.gnu.build-id", ".gnu_debuglink"
NT_GNU_BUILD_ID = 3


def build_id(obj: ElfObject) -> bytes:
    """The build-id that a file has; b"" if it has none."""
    at = obj.sections.index(NOTE)
    data = obj.contents(at).tobytes() if at is not None else b""
    sizes = np.frombuffer(data[:12], "<u4").tolist() if len(data) >= 12 else []
    if not sizes or sizes[0] != 4 or sizes[2] != NT_GNU_BUILD_ID or data[12:16] != b"GNU\0":
        return b""
    return data[16 : 16 + sizes[1]]


def debug_link(obj: ElfObject) -> str:
    """The name of the file with the debug information, as the file says it; "" if it does not."""
    at = obj.sections.index(LINK)
    name, end, _ = obj.contents(at).tobytes().partition(b"\0") if at is not None else (b"", b"", b"")
    return name.decode("utf-8", "surrogateescape") if end else ""


def with_build_id(obj: ElfObject) -> tuple[bytes, bytes]:
    """The file with a build-id, and that build-id: it is as it was if it has one.

    The section is added behind the others, and nothing before it changes but the place of the section headers.

    Raises:
        FormatError: ``elf-sections`` if there are too many.
    """
    data = obj.image.tobytes()
    known = build_id(obj)
    if known:
        return data, known
    found = hashlib.sha1(data, usedforsecurity=False).digest()
    return _appended(obj, data, note(found)), found


def note(identity: bytes) -> Section:
    """The section with a build-id, not yet in its place."""
    words = np.array([4, len(identity), NT_GNU_BUILD_ID], "<u4").tobytes()
    data = words + b"GNU\0" + identity
    return Section(name=NOTE, type=elf.SHT_NOTE, offset=0, size=len(data), addralign=4, data=data)


def link(name: str, debug: bytes) -> Section:
    """The section that names a debug file, not yet in its place."""
    text = name.encode("utf-8", "surrogateescape") + b"\0"
    data = text.ljust(aligned(len(text), 4), b"\0") + zlib.crc32(debug).to_bytes(4, "little")
    return Section(name=LINK, type=elf.SHT_PROGBITS, offset=0, size=len(data), addralign=4, data=data)


def _appended(obj: ElfObject, data: bytes, section: Section) -> bytes:
    """A file with one section more. Its headers move to the end, with the table of their names."""
    header = np.frombuffer(data, elf.EHDR_OF[obj.bits], 1).copy()
    count, start, names = (int(header[key][0]) for key in ("shnum", "shoff", "shstrndx"))
    if count + 1 >= elf.SHN_LORESERVE:
        fail("elf-sections", f"{count:,} sections are too many for one more", at=Location(file=obj.path))
    shdr = elf.SHDR_OF[obj.bits]
    headers = np.zeros(count + 1, shdr)
    headers[:count] = np.frombuffer(data, shdr, count, start)
    body = bytearray(data[:start] if start + count * shdr.itemsize == len(data) else data)
    strings = obj.contents(names).tobytes()
    section = replace(section, offset=aligned(len(body), section.addralign))
    assert isinstance(section.data, bytes)
    body += bytes(section.offset - len(body)) + section.data
    headers["offset"][names], headers["size"][names] = len(body), len(strings) + len(section.name) + 1
    body += strings + section.name.encode() + b"\0"
    headers[count] = (len(strings), section.type, 0, 0, section.offset, section.size, 0, 0, section.addralign, 0)
    end = aligned(len(body), obj.bits // 8)
    body += bytes(end - len(body))
    header["shoff"], header["shnum"] = end, count + 1
    body[: header.nbytes] = header.tobytes()
    return bytes(body) + headers.tobytes()

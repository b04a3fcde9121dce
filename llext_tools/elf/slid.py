"""SLIDs, symbol link identifiers: numbers that stand for names where a firmware and its extensions meet.

With ``CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID`` a firmware keeps no names of what it exports. The SLID of a name is the
first bytes of its SHA-256, as many as a pointer has, read as a big-endian number; the SLID of 32 bits is thus the upper
half of that of 64. It stands

* in the firmware where the pointer to a name stood, in ``llext_const_symbol_area``, sorted in ascending order. The
  names are in ``llext_exports_strtab``, a section at address 0 that takes no memory, so that a "pointer" to one is an
  offset. ``prepare()`` puts the SLIDs in after the link, and marks the section with a bit of its flags;
* in an extension in ``st_value`` of its undefined symbols, which otherwise is 0. ``inject()`` puts them in, after
  everything else: what is undefined and weak, or has a type, gets none.

Two names of one SLID cannot be told apart; ``collisions()`` finds them. Extensions find each other by name.
Source: Zephyr, ``scripts/build/`` ``llext_slidlib.py``, ``llext_prepare_exptab.py``, ``llext_inject_slids.py`` and
``llext_elf_toolkit.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.diag import Location, Reporter, fail, listed
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.write import to_bytes

AREA = "llext_const_symbol_area"
NAMES = "llext_exports_strtab"
PREPARED = 0x0800_0000
"""The bit in ``sh_flags`` of the table's section that says that it has been prepared; of SHF_MASKOS."""

WIDTHS = (32, 64)
_TEXT = re.compile(r"0[xX](?:[0-9a-fA-F]{8}|[0-9a-fA-F]{16})")
_TYPES = {elf.STT_OBJECT: "OBJECT", elf.STT_FUNC: "FUNC", elf.STT_TLS: "TLS"}
MOST = 8  # names in one message


def slid(name: str, bits: int) -> int:
    """The SLID of a name on a machine whose pointers have ``bits`` bits: 32 or 64."""
    return int.from_bytes(hashlib.sha256(to_bytes(name)).digest()[: bits // 8], "big")


def slids(names: Iterable[str], bits: int) -> NDArray[np.uint64]:
    """The SLIDs of n names: uint64[n]."""
    digests = b"".join(hashlib.sha256(to_bytes(name)).digest()[: bits // 8] for name in names)
    return np.frombuffer(digests, f">u{bits // 8}").astype(np.uint64)


def slid_text(value: int, bits: int) -> str:
    """``0x87B31052``: as Zephyr's tools write it."""
    return f"0x{value:0{bits // 4}X}"


def slid_from(text: str) -> tuple[int, int] | None:
    """The SLID and its bits that a text of 8 or 16 hexadecimal digits after ``0x`` stands for. No name looks so."""
    return (int(text, 16), 4 * (len(text) - 2)) if _TEXT.fullmatch(text) else None


def slid_of(name: str, bits: int) -> int:
    """The SLID of a name in an export table, which may be a SLID itself."""
    known = slid_from(name)
    return known[0] if known else slid(name, bits)


def collisions(names: Iterable[str], bits: int) -> dict[int, tuple[str, ...]]:
    """SLID -> the names that share it, two or more different ones, in the order given."""
    distinct = list(dict.fromkeys(names))
    _, which, counts = np.unique(slids(distinct, bits), return_inverse=True, return_counts=True)
    shared: dict[int, tuple[str, ...]] = {}
    for i in np.flatnonzero(counts[which] > 1).tolist():
        value = slid(distinct[i], bits)
        shared[value] = (*shared.get(value, ()), distinct[i])
    return shared


def report_shared(
    names: Iterable[str], others: Iterable[str], bits: int, reporter: Reporter, at: Location | None = None
) -> None:
    """``slid-collision`` for each SLID that one of ``names`` shares with another one, or with one of ``others``.

    ``others`` are what a firmware exports; those of which only the SLID is known are left out.
    """
    own = dict.fromkeys(names)
    for value, shared in collisions([*own, *(name for name in others if slid_from(name) is None)], bits).items():
        if own.keys().isdisjoint(shared):
            continue
        exported = tuple(name for name in shared if name not in own)
        reporter.error(
            "slid-collision",
            f"{listed(shared, MOST)} have the same SLID of {bits} bits, {slid_text(value, bits)}",
            at=at,
            notes=(f"the firmware exports {listed(exported, MOST)}",) if exported else (),
            help="rename one of them",
        )


# ---- an extension


class Injected(NamedTuple):
    """An extension with SLIDs: the bytes of the file, the SLID of each import, and the undefined symbols without."""

    data: bytes
    slids: dict[str, int]
    without: tuple[str, ...]


def inject(obj: ElfObject, reporter: Reporter, others: Iterable[str] = ()) -> Injected:
    """Put the SLIDs of its imports into an extension: into ``st_value`` of the symbols that are undefined and global.

    Reports ``slid-injected`` if one of them has a value already, ``slid-collision`` for an import that shares its SLID
    with another one or with one of ``others``, the names that the firmware exports; as a warning, ``slid-missing`` for
    the undefined symbols to which Zephyr gives none.

    Raises:
        FormatError: ``elf-type``; ``elf-symbols`` if there are none.
    """
    if obj.type not in (elf.ET_REL, elf.ET_DYN):
        fail("elf-type", "only an extension has SLIDs: a relocatable or shared object", at=Location(file=obj.path))
    if not len(obj.symbols):
        fail("elf-symbols", "the extension has no symbols", at=Location(file=obj.path))
    y = obj.symbols
    at = Location(file=obj.path, section=obj.sections.name[y.section])
    undefined = (y.shndx == elf.SHN_UNDEF) & (y.bind != elf.STB_LOCAL) & (y.name_at > 0)
    imported = undefined & (y.bind == elf.STB_GLOBAL) & (y.type == elf.STT_NOTYPE)
    index = np.flatnonzero(imported)
    names = y.names(index.tolist())
    found = slids(names, obj.bits)
    _report_values(names, found, y.value[index].astype(np.uint64) & np.uint64((1 << obj.bits) - 1), at, reporter)
    report_shared(names, others, obj.bits, reporter, at)
    without = np.flatnonzero(undefined & ~imported).tolist()
    for i in without:
        weak = y.bind[i] == elf.STB_WEAK
        why = "it is weak" if weak else f"its type is {_TYPES.get(int(y.type[i]), int(y.type[i]))}"
        reporter.warning(
            "slid-missing",
            f"the undefined symbol `{y.name(i)}` gets no SLID: {why}",
            at=at,
            help=f"declare it without {'`weak`' if weak else 'a type'} if the firmware exports it",
        )
    image = obj.image.copy()
    start = int(obj.sections.offset[y.section])
    table = image[start : start + int(obj.sections.size[y.section])].view(elf.SYM_OF[obj.bits])
    table["value"][index] = found
    return Injected(image.tobytes(), dict(zip(names, found.tolist(), strict=True)), tuple(y.names(without)))


def _report_values(
    names: list[str], found: NDArray[np.uint64], value: NDArray[np.uint64], at: Location, reporter: Reporter
) -> None:
    used = np.flatnonzero(value).tolist()
    which = listed((names[i] for i in used), MOST)
    if used and np.array_equal(found[used], value[used]):
        text, cure = "the extension has SLIDs already", "they are put in once: there is nothing left to do"
    else:
        text = "undefined symbols have a value already, and not their SLID"
        cure = "put SLIDs into the file as the linker and `strip` leave it"
    if used:
        reporter.error("slid-injected", f"{text}: {which}", at=at, help=cure)


# ---- a firmware


class Prepared(NamedTuple):
    """A firmware whose table is by SLID: the bytes of the file, and (SLID, name) of each entry in ascending order.

    ``done`` says that it had been prepared before: the bytes then are those of the file, without any entries.
    """

    data: bytes
    entries: tuple[tuple[int, str], ...]
    done: bool = False


def prepare(firmware: ElfObject, reporter: Reporter) -> Prepared:
    """Replace the names in a firmware's export table by SLIDs and sort it by them.

    A firmware that has been prepared is left as it is, with a warning. Reports ``slid-collision`` for each SLID that
    several entries have.

    Raises:
        ExportsError: ``exports-missing`` where the table or its names are not there, ``exports-syntax``.
    """
    s, word = firmware.sections, firmware.bits // 8
    at = Location(file=firmware.path, section=AREA)
    area, strings = s.index(AREA), s.index(NAMES)
    if area is None or s.type[area] == elf.SHT_NOBITS:
        fail(
            "exports-missing",
            f"`{firmware.path}` has no section `{AREA}`",
            at=Location(file=firmware.path),
            help="give the ELF file of a firmware with `CONFIG_LLEXT=y`",
        )
    if int(s.flags[area]) & PREPARED:
        reporter.warning("slid-injected", "the export table has been prepared already: nothing is changed", at=at)
        return Prepared(firmware.image.tobytes(), (), done=True)
    if s.size[area] % (2 * word):
        sizes = f"{s.size[area]:,} bytes, no multiple of {2 * word}"
        fail("exports-syntax", f"the export table has {sizes}", at=at)
    if strings is None:
        fail(
            "exports-missing",
            f"`{firmware.path}` has no section `{NAMES}`: it exports by name",
            at=Location(file=firmware.path),
            help="build the firmware with `CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID=y`",
        )
    image = firmware.image.copy()
    start = int(s.offset[area])
    table = image[start : start + int(s.size[area])].view(f"<u{word}").reshape(-1, 2)
    names = _names(firmware, table[:, 0].tolist(), firmware.contents(strings).tobytes(), at)
    _report_entries(names, firmware.bits, at, reporter)
    reporter.checkpoint()
    found = slids(names, firmware.bits)
    order = np.argsort(found)
    table[:] = np.stack([found.astype(table.dtype), table[:, 1]], axis=1)[order]
    shdr = elf.SHDR_OF[firmware.bits]
    head = int(np.frombuffer(firmware.image, elf.EHDR_OF[firmware.bits], 1)["shoff"][0]) + area * shdr.itemsize
    image[head : head + shdr.itemsize].view(shdr)["flags"] |= PREPARED
    entries = tuple((int(found[i]), names[i]) for i in order.tolist())
    return Prepared(image.tobytes(), entries)


def _names(firmware: ElfObject, offsets: list[int], strings: bytes, at: Location) -> list[str]:
    """The names at ``offsets`` of the section of names."""
    names = []
    for i, offset in enumerate(offsets):
        end = strings.find(0, offset)
        if end <= offset:
            text = f"entry {i} has no name: {offset:#x} is no string in `{NAMES}`, of {len(strings):,} bytes"
            fail("exports-syntax", text, at=at._replace(offset=i * firmware.bits // 4))
        names.append(strings[offset:end].decode("utf-8", "backslashreplace"))
    return names


def _report_entries(names: list[str], bits: int, at: Location, reporter: Reporter) -> None:
    report_shared(names, (), bits, reporter, at)
    for name, times in Counter(names).items():
        if times > 1:
            text = f"`{name}` is exported {times} times, but its SLID stands for one address"
            reporter.error("slid-collision", text, at=at, help="export it once")

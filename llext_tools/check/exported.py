"""What an extension offers to others: the entries of its ``.exported_sym``, read without addresses, and their rules.

An entry is two pointers, name and address. Each has a relocation: the first leads to a string of the extension, the
second to what is exported. Source: Zephyr, ``include/zephyr/llext/symbol.h``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from llext_tools.check.subject import Offer, Rule, Subject
from llext_tools.diag import Diagnostic, listed, nearest
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.read import reloc_tables
from llext_tools.link.regions import EXPORTED
from llext_tools.mem import Mem

BASE_IMAGE = ("llext_const_symbol_area", "._llext_const_symbol")
"""Sections of entries that a base image has: its own, and those that its linker script gathers there."""

LONGEST = 4096  # bytes of a name


def offered(obj: ElfObject) -> tuple[Offer, ...]:
    """The entries that the loader would take. Where the file is malformed, some are left out: others report that."""
    s, section = obj.sections, obj.sections.index(EXPORTED)
    if section is None or not s.flags[section] & elf.SHF_ALLOC:
        return ()
    data, word = obj.contents(section).tobytes(), obj.bits // 8
    targets = _pointers(obj, section, data)
    offers = []
    for offset in range(0, len(data) - 2 * word + 1, 2 * word):
        name, (symbol, addend) = targets.get(offset), targets.get(offset + word, (-1, 0))
        offers.append(Offer(_text(obj, *name) if name else None, symbol, offset, addend))
    return tuple(offers)


def names(offers: tuple[Offer, ...]) -> tuple[str, ...]:
    """The names of what is offered, each once."""
    return tuple(dict.fromkeys(offer.name for offer in offers if offer.name is not None))


def own_names(obj: ElfObject) -> dict[str, tuple[str, ...]]:
    """By what is offered: the names in the source of what that is, static or not, if the symbol table still has them.

    A name that several static ones have is left out: nothing says which of them is meant.
    """
    y = obj.symbols
    function, local = y.type == elf.STT_FUNC, y.bind == elf.STB_LOCAL
    named = np.flatnonzero((function | (y.type == elf.STT_OBJECT)) & (y.shndx != elf.SHN_UNDEF))
    known = dict(zip(named.tolist(), y.names(named.tolist()), strict=True))
    several = Counter(known.values())
    found: dict[str, tuple[str, ...]] = {}
    for offer in offered(obj):
        if offer.name is None or offer.symbol < 0:
            continue
        at = y.value[offer.symbol] + offer.addend
        here = (y.shndx == y.shndx[offer.symbol]) & ((y.value ^ at) & ~function.astype(np.int64) == 0)  # bit 0: Thumb
        clear = [i for i in np.flatnonzero(here).tolist() if i in known and (several[known[i]] == 1 or not local[i])]
        found.setdefault(offer.name, tuple(known[i] for i in clear))
    return found


def _pointers(obj: ElfObject, section: int, data: bytes) -> dict[int, tuple[int, int]]:
    """Offset in the section -> symbol and addend of the relocation there; of a shared object the symbol may be 0."""
    s, shift, word = obj.sections, elf.R_SYM_SHIFT[obj.bits], obj.bits // 8
    shared = obj.type == elf.ET_DYN
    start = int(s.addr[section]) if shared else 0
    found = {}
    for table in reloc_tables(obj).tolist():
        rela = s.type[table] == elf.SHT_RELA
        dtype = (elf.RELA_OF if rela else elf.REL_OF)[obj.bits]
        if s.entsize[table] != dtype.itemsize or s.size[table] % dtype.itemsize:
            continue
        if s.info[table] != section and not shared:
            continue
        for place, info, *addend in obj.contents(table).view(dtype).tolist():
            offset = place - start
            if 0 <= offset <= len(data) - word and info >> shift < len(obj.symbols):
                in_place = int.from_bytes(data[offset : offset + word], "little")
                found[offset] = info >> shift, addend[0] if rela else in_place
    return found


def _text(obj: ElfObject, symbol: int, addend: int) -> str | None:
    """The string that a symbol and an addend lead to."""
    s, section = obj.sections, int(obj.symbols.shndx[symbol])
    at = int(obj.symbols.value[symbol]) + addend
    if obj.type == elf.ET_DYN:
        holding = (s.flags & elf.SHF_ALLOC != 0) & (s.addr <= at) & (at < s.addr + s.size)
        section = int(holding.argmax()) if holding.any() else 0
        at -= int(s.addr[section])
    if not 0 < section < len(s) or s.type[section] == elf.SHT_NOBITS or not 0 <= at < s.size[section]:
        return None
    start = int(s.offset[section]) + at
    text, end, _ = obj.image[start : start + min(int(s.size[section]) - at, LONGEST)].tobytes().partition(b"\0")
    return text.decode("utf-8", "backslashreplace") if end else None


# ---- the rules


def export_section(subject: Subject) -> Iterator[Diagnostic]:
    """``export-section``: a section that is meant to be ``.exported_sym``, but for the loader is not."""
    s = subject.obj.sections
    for i, name in enumerate(s.name):
        if "exported_sym" not in name.lower() or name.startswith((".rel", ".debug")):
            continue
        if name == EXPORTED and not s.flags[i] & elf.SHF_ALLOC and s.size[i]:
            why = "does not take memory (SHF_ALLOC)"
        elif name != EXPORTED and name.strip(" \"'.").lower() == EXPORTED.strip("."):
            why = f"is not named `{EXPORTED}`"
        else:
            continue
        yield Diagnostic(
            "export-section",
            f"`{name}` {why}: the loader exports nothing of it",
            severity="warning",
            location=subject.at(i),
            help="let `EXPORT_SYMBOL(name)` or `LL_EXTENSION_SYMBOL(name)` write the entries",
        )


def export_entries(subject: Subject) -> Iterator[Diagnostic]:
    """``export-entry``: entries that are cut off, have no name, stay where they are, or have the name of another."""
    if Mem.EXPORT not in subject.regions.regions:
        return
    section = subject.regions.regions[Mem.EXPORT].sections[0]
    at, size, entry = subject.at(section), int(subject.obj.sections.size[section]), subject.obj.bits // 4
    if size % entry:
        yield Diagnostic(
            "export-entry",
            f"the table has {size:,} bytes, not a multiple of {entry}: two pointers an entry",
            severity="warning",
            location=at,
            help="let `EXPORT_SYMBOL(name)` or `LL_EXTENSION_SYMBOL(name)` write the entries",
        )
    seen = set()
    for offer in subject.offers:
        here = at._replace(offset=offer.offset)
        if offer.name is None:
            yield Diagnostic(
                "export-entry",
                f"entry {offer.offset // entry} has no name: its first word leads to no string of the extension",
                location=here,
                notes=("the loader compares names without looking whether there is one",),
                help="let `EXPORT_SYMBOL(name)` or `LL_EXTENSION_SYMBOL(name)` write the entries",
            )
        elif offer.symbol < 0:
            yield Diagnostic(
                "export-entry",
                f"`{offer.name}` is exported with an address that nothing relocates",
                severity="warning",
                location=here,
                help="export a function or variable of the extension, which moves with it",
            )
        elif offer.name in seen:
            yield Diagnostic(
                "export-entry",
                f"`{offer.name}` is exported twice: which one is found depends on how the loader sorts",
                severity="warning",
                location=here,
                help=f"keep one `EXPORT_SYMBOL({offer.name})`, or give the other one a name of its own",
            )
        seen.add(offer.name)


def entry_missing(subject: Subject) -> Iterator[Diagnostic]:
    """``entry-missing``: a name that the firmware is going to look up is not exported."""
    if not subject.entries:
        return
    exported = names(subject.offers)
    for name in subject.entries:
        if name not in exported:
            yield _missing(subject, name, exported)


def _missing(subject: Subject, name: str, exported: tuple[str, ...]) -> Diagnostic:
    y = subject.obj.symbols
    defined = y.names((y.shndx != elf.SHN_UNDEF).nonzero()[0].tolist())
    near = nearest(name, exported)
    if name in defined:
        note, cure = f"it is defined, but has no entry in `{EXPORTED}`", f"`LL_EXTENSION_SYMBOL({name});` exports it"
    elif near:
        note, cure = f"it exports {listed(exported)}", f"did you mean `{near}`?"
    else:
        note = f"it exports {listed(exported) or 'nothing'}"
        cure = f"define `{name}`, and export it with `LL_EXTENSION_SYMBOL({name});`"
    return Diagnostic(
        "entry-missing",
        f"the extension does not export `{name}`, which it has to",
        location=subject.at(),
        notes=(note, "on the board, llext_call_fn() fails with -ENOENT, and llext_find_sym() finds nothing"),
        help=cure,
    )


def export_shadowed(subject: Subject) -> Iterator[Diagnostic]:
    """``export-shadowed``: the firmware exports that name, too, and is asked first."""
    if subject.firmware is None or not subject.offers:
        return
    exports = subject.firmware.exports
    shadowed = [name for name in names(subject.offers) if exports.find(name)]
    if shadowed:
        is_, them = ("is", "it") if len(shadowed) == 1 else ("are", "them")
        yield Diagnostic(
            "export-shadowed",
            f"{listed(shadowed)} {is_} exported by {exports.source}, too",
            severity="warning",
            location=subject.at(subject.obj.sections.index(EXPORTED)),
            notes=(f"an extension that imports {them} gets the firmware's",),
            help="give what the extension exports a name of its own: `LL_EXTENSION_SYMBOL_NAMED(symbol, name)`",
        )


def no_exports(subject: Subject) -> Iterator[Diagnostic]:
    """``no-exports``: the extension loads, and nobody finds anything in it. Constructors alone can be its purpose."""
    if not subject.regions.regions.keys().isdisjoint((Mem.EXPORT, Mem.PREINIT, Mem.INIT)):
        return
    if any(export_section(subject)):
        return
    as_firmware = [name for name in subject.obj.sections.name if name.startswith(BASE_IMAGE)]
    yield Diagnostic(
        "no-exports",
        "the extension exports nothing: llext_call_fn() and llext_find_sym() find nothing in it",
        severity="warning",
        location=subject.at(),
        notes=(f"`{as_firmware[0]}` has entries, as they are made for a firmware",) if as_firmware else (),
        help="compile it with `-DLL_EXTENSION_BUILD`, as llext_add_extension() does"
        if as_firmware
        else "`LL_EXTENSION_SYMBOL(name);` behind its entry function exports it, with `-DLL_EXTENSION_BUILD`",
    )


RULES: tuple[Rule, ...] = (export_section, export_entries, entry_missing, export_shadowed)
LATE_RULES: tuple[Rule, ...] = (no_exports,)
"""Those of an extension that loads."""

"""Rules about constructors and destructors: what runs at bringup and teardown, in which order, and what never does.

The loader calls the functions of a table from its first entry to its last, the destructors' as well, and nothing else.
Source: Zephyr, ``subsys/llext/llext.c``, ``llext_bringup()`` and ``llext_teardown()``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llext_tools.check.subject import Rule, Subject
from llext_tools.diag import Diagnostic
from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64
from llext_tools.link.regions import ARRAYS
from llext_tools.mem import Mem

REGISTER = frozenset({"__aeabi_atexit", "__cxa_atexit", "__cxa_thread_atexit", "atexit", "on_exit", "at_quick_exit"})


def atexit_ignored(subject: Subject) -> Iterator[Diagnostic]:
    """``atexit-ignored``: destructors are registered with the firmware, which knows nothing of unloading."""
    if REGISTER.isdisjoint(subject.imports):
        return
    for name in sorted(REGISTER & subject.imports.keys()):
        yield Diagnostic(
            "atexit-ignored",
            f"`{name}` is the firmware's: what is registered with it does not run when the extension is unloaded",
            severity="warning",
            location=subject.at(),
            notes=("the firmware keeps pointers to destructors that are gone then",),
            help="compile with `-fno-use-cxa-atexit`, as llext_add_extension() does; call `atexit()` only if the "
            "extension brings its own",
        )


def array_entries(subject: Subject) -> Iterator[Diagnostic]:
    """``run-bringup``: an entry of a table of constructors or destructors that is no code of the extension."""
    if subject.obj.type != elf.ET_REL:
        return
    s, y = subject.obj.sections, subject.obj.symbols
    for mem in ARRAYS:
        region = subject.regions.regions.get(mem)
        if region is None:
            continue
        section, word = region.sections[0], subject.obj.bits // 8
        index = np.flatnonzero(subject.relocs.section == section)
        targets = dict(zip(subject.relocs.offset[index].tolist(), subject.relocs.symbol[index].tolist(), strict=True))
        for offset in range(0, int(s.size[section]), word):
            symbol = targets.get(offset, 0)
            home = int(y.shndx[symbol])
            if 0 < home < len(s) and subject.regions.region[home] == Mem.TEXT:
                continue
            what = y.name(symbol) or (s.name[home] if 0 < home < len(s) else "")
            yield Diagnostic(
                "run-bringup",
                f"entry {offset // word} of {mem.name} "
                + (f"leads to `{what}`, which is no" if what else "leads to no")
                + " code of the extension",
                location=subject.at(section)._replace(offset=offset),
                help="put functions of the extension into the table: `__attribute__((constructor))` does",
            )


def fini_order(subject: Subject) -> Iterator[Diagnostic]:
    """``fini-order``: destructors that run in the order of their constructors, where C++ asks for the reverse."""
    regions = subject.regions.regions
    if Mem.FINI not in regions or Mem.INIT not in regions or subject.obj.type != elf.ET_REL:
        return
    word = subject.obj.bits // 8
    if regions[Mem.FINI].size < 2 * word or regions[Mem.INIT].size < 2 * word:
        return
    init, fini = _places(subject, Mem.INIT), _places(subject, Mem.FINI)
    if init.size < 2 or fini.size < 2 or (init[0] < init[-1]) != (fini[0] < fini[-1]):
        return
    yield Diagnostic(
        "fini-order",
        f"{fini.size} destructors will run in the order of the constructors, where C++ asks for the reverse",
        severity="warning",
        location=subject.at(regions[Mem.FINI].sections[0]),
        notes=("llext_teardown() calls the functions of the table from its first entry to its last",),
        help="let one destructor do what depends on an order; if there is no such order, `--ignore fini-order`, "
        "in llext.toml `ignore`",
    )


def _places(subject: Subject, mem: Mem) -> I64:
    """Where the functions of a table are, in the order of its entries: section and offset in one number."""
    relocs, y, obj = subject.relocs, subject.obj.symbols, subject.obj
    section = subject.regions.regions[mem].sections[0]
    index = np.flatnonzero(relocs.section == section)
    index = index[np.argsort(relocs.offset[index], kind="stable")]
    symbol, addend = relocs.symbol[index], relocs.addend[index]
    if not subject.arch.rela:
        words = obj.contents(section).view(f"<u{obj.bits // 8}")
        addend = words[relocs.offset[index] // (obj.bits // 8)].astype(np.int64)
    places: I64 = (y.shndx[symbol].astype(np.int64) << 40) + y.value[symbol] + addend
    return places


RULES: tuple[Rule, ...] = (atexit_ignored, array_entries, fini_order)

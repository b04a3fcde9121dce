"""What the log says of linking, relocation by relocation, in the order of the file.

Relocating works on whole tables; this goes through one afterwards, and only if somebody wants to read it or something
is wrong. At level DBG the loader looks each symbol of an object up once more, for the log alone: what is found or
missing then stands there twice, as on the board. Of a shared object it does not.
Source: Zephyr, ``llext_link.c``, ``arch/arm/core/elf.c``, ``arch/riscv/core/elf.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llext_tools.elf import structs as elf
from llext_tools.llext.log import Level, Line
from llext_tools.mem import Mem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llext_tools.llext.lookup import Lookup, Problem
    from llext_tools.llext.relocate import Entries
    from llext_tools.reloc import I64


def narrate(
    lookup: Lookup,
    i: int,
    entries: Entries,
    S: I64,
    P: I64,
    used: I64,
    problems: Mapping[int, Problem],
    *,
    stops: bool,
) -> None:
    """Log all relocations of section ``i``.

    Args:
        S, P, used: int64[n]: address of the symbol, of the place, and what stands for the symbol in the formula.
        problems: index -> what is wrong with a relocation.
        stops: the first of them is the last that the loader looks at.
    """
    log, word, shift = lookup.log, (1 << lookup.header.bits) - 1, elf.R_SYM_SHIFT[lookup.header.bits]
    link, y = lookup.header.sections[i].link, lookup.symbols
    base, shared = lookup.ext.mem.get(Mem.TEXT, 0), entries.target is None
    for k in range(S.size) if log.inf else sorted(problems):
        symbol, offset, kind = int(entries.symbol[k]), int(entries.offset[k]) & word, int(entries.type[k])
        name = lookup.name(symbol) if symbol else ""
        looked = lookup.said(symbol, offset, link)
        missing = lookup.problem(symbol) is not None
        problem = problems.get(k)
        twice = log.dbg and not shared
        if twice or not missing:
            log.add(*looked)
        if twice or (log.inf and not missing):
            address, place = 0 if missing else int(S[k]) & word, int(P[k]) & word
            if twice:
                known = symbol < y.value.size and not missing
                kinds = [int(column[symbol]) if known else 0 for column in (y.type, y.bind, y.shndx)]
                text = "relocation {}:{}, info {:#x}: type {}, symbol {}, offset {}; {}, type {}, bind {}, section {}{}"
                info, failed = symbol << shift | kind, " (no address)" if missing else ""
                log(Level.DBG, text, i, k, info, kind, symbol, offset, name, *kinds, failed)
            log(Level.INF, "type {} at {:#x} gets {} ({:#x})", kind, place, name, address)
        if missing or twice:
            log.add(*looked)
        if missing:
            log.add(Line(Level.ERR, f"no address for symbol {name}", "elf"))
        elif log.dbg and (problem is None or problem.resolved):
            figures = f"{int(P[k]) & word:#x}, symbol {name} is {int(used[k]) & word:#x}, the text {base:#x}"
            log.add(Line(Level.DBG, f"type {kind} at {figures}", "elf"))
        log.add(*problem.said if problem else ())
        if problem and stops:
            return

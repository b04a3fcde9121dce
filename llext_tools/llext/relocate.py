"""Linking: each relocation as the loader applies it, in its order, with its errors.

All relocations of a section are attempted; the first error is what ``llext_load()`` returns. Only what is wrong with
the section itself ends the load at once, and then hides an earlier error. Relocations whose places do not overlap do
not see one another: they are applied together, a whole type at a time.
Source: Zephyr, ``subsys/llext/llext_link.c``, ``llext_link()``; ``arch/*/core/elf.c``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.arch.base import Arch
from llext_tools.diag import Diagnostic, Location, number
from llext_tools.elf import structs as elf
from llext_tools.elf.model import I64, Bytes
from llext_tools.link.hints import PARTIAL_LINK, unmapped_help
from llext_tools.llext.log import Level, Line
from llext_tools.llext.lookup import Lookup, Problem
from llext_tools.llext.outcome import Refusal, Undefined
from llext_tools.llext.source import Shdr, fail
from llext_tools.llext.veneers import Veneers
from llext_tools.mem import Mem
from llext_tools.reloc import Batch, Reloc, load, store

Mask = NDArray[np.bool_]

WRITTEN = "the loader has written the value, cut off, before it checks it: it stays in a buffer relocated in place"
MOST = 20
"""Places out of reach are described one by one up to this number."""
PCREL_HI20, PCREL_LO12, ALIGN = 23, (24, 25), 43  # of RISC-V


class Entries(NamedTuple):
    """The n relocations of a section, int64[n] each; ``target`` is the section of their places, None if shared."""

    offset: I64
    symbol: I64
    type: I64
    addend: I64
    target: int | None

    def take(self, n: int) -> Entries:
        return Entries(self.offset[:n], self.symbol[:n], self.type[:n], self.addend[:n], self.target)


class Work(NamedTuple):
    """The relocations of a section with their letters, int64[n] each; ``origin`` is the P that values are relative to.

    ``problems``: index -> what is wrong; ``usable`` (bool[n]) is False where there is no value to write.
    """

    entries: Entries
    S: I64
    A: I64
    P: I64
    origin: I64
    T: I64
    usable: Mask
    problems: dict[int, Problem]


class Linker:
    """``llext_link()`` for one extension."""

    def __init__(self, lookup: Lookup, arch: Arch, veneers: Veneers | None) -> None:
        self.lookup, self.arch, self.veneers = lookup, arch, veneers
        self.source, self.header, self.ext = lookup.source, lookup.header, lookup.ext
        self.profile, self.log, self.bases = lookup.profile, lookup.log, lookup.bases
        self.abi = not self.profile.loader_rows
        rows = arch.relocs if self.abi else arch.loader_relocs
        self.rows: Mapping[int, Reloc] = rows[self.header.bits]
        self.accepted = self.profile.relocs.get(arch.name)
        self.shared = self.header.dyn and self.profile.dyn_image
        self.stops = self.shared or not self.profile.collects_errors  # at the first error
        self.word = (1 << self.header.bits) - 1
        self.mask = np.int64(-1 if self.header.bits == 64 else self.word)  # the same, for arrays
        self.deviating = frozenset() if self.abi else self.profile.deviations.get(arch.name, frozenset())
        self.writes_first = self.profile.writes_before_check and arch.loader_writes_first
        self.problems: list[Problem] = []
        self._left_over = 0  # the addend of the last RELA entry, which a REL entry then has, too

    def run(self) -> None:
        """All relocation sections, in the order of the file.

        Raises:
            Refusal: the first error, with the diagnostics of all that were found.
            Undefined: the loader's code would leave its memory or read a name that is not there.
        """
        for i, x in enumerate(self.header.sections):
            if x.type not in (elf.SHT_REL, elf.SHT_RELA):
                continue
            try:
                self._section(i, x)
            except Refusal as refusal:
                refusal.diagnostics += self._found()
                raise
            if self.problems and self.stops:
                break
        if self.problems:
            first = Refusal(self.problems[0].errno, self.problems[0].diagnostic)
            first.diagnostics = self._found()
            raise first

    def _found(self) -> list[Diagnostic]:
        return list(dict.fromkeys(problem.diagnostic for problem in self.problems))

    def _section(self, i: int, x: Shdr) -> None:
        sections, names = self.header.sections, self.ext.section_names
        at = Location(file=self.source.name, section=names[i])
        rela = x.type == elf.SHT_RELA
        if rela and not self.arch.rela:
            text = f"the relocations are SHT_RELA, but {self.arch.name} uses SHT_REL"
            said = f"section {i} is SHT_RELA, which {self.arch.name} does not have"
            raise fail("ENOTSUP", "reloc-rela", text, at, said=said)
        dtype = (elf.RELA_OF if rela else elf.REL_OF)[self.header.bits]
        if x.entsize != dtype.itemsize or x.info >= len(sections) or x.size % dtype.itemsize:
            text = f"the table has {x.size:,} bytes in entries of {x.entsize}, not a multiple of {dtype.itemsize}"
            table = f"{x.size} bytes in entries of {x.entsize}, for section {x.info}"
            said = f"the relocations in section {i} ({'SHT_RELA' if rela else 'SHT_REL'}) cannot be read: {table}"
            raise fail("ENOEXEC", "elf-relocations", text, at, said=said)
        if self.shared:
            entries = self._read(x, rela, dtype, None)
            self._relocate_inside(i, entries, self._homes(entries) < 0, at, "which is in no loaded section")
            return
        if not sections[x.info].flags & elf.SHF_ALLOC and self.profile.skips_unallocated:
            return
        count, name, size = x.size // dtype.itemsize, names[x.info], sections[x.info].size
        self.log(Level.DBG, "section {} ({}) changes section {}: {} relocations", names[i], i, x.info, count)
        if x.info not in self.ext.sections:
            text = f"`{name}` is relocated, but no region takes it"
            said = f"section {x.info} is relocated but not loaded"
            raise fail("ENOEXEC", "reloc-unmapped", text, at, said=said, help=unmapped_help(name))
        entries = self._read(x, rela, dtype, x.info)
        beyond = entries.offset.view(np.uint64) >= size
        if not self.profile.bounds_checks:
            beyond[:] = False
        self._relocate_inside(i, entries, beyond, at, f"but `{name}` has {size:,} bytes")

    def _relocate_inside(self, i: int, entries: Entries, beyond: Mask, at: Location, why: str) -> None:
        """The relocations in front of the first one whose place is ``beyond`` what it may change (bool[n])."""
        outside = np.flatnonzero(beyond)
        first = int(outside[0]) if outside.size else beyond.size
        self._relocate(i, entries.take(first))
        if outside.size and not (self.problems and self.stops):
            offset = int(entries.offset[first]) & self.word
            said = f"relocation {first} of section {i} changes offset {offset:#x}, in no loaded section"
            if entries.target is not None:
                size = self.header.sections[entries.target].size
                said = f"offset {offset:#x} to be relocated is outside section {entries.target} (size {size:#x})"
            text = f"relocation {first} changes offset {offset:#x}, {why}"
            raise fail("ENOEXEC", "elf-relocations", text, at, said=said)

    def _read(self, x: Shdr, rela: bool, dtype: np.dtype[np.void], target: int | None) -> Entries:
        raw = np.frombuffer(self.source.table(x.offset, x.size, dtype.itemsize), dtype)
        info = raw["info"].astype(np.int64)
        shift = elf.R_SYM_SHIFT[self.header.bits]
        addend = raw["addend"].astype(np.int64) if rela else np.full(raw.size, self._left_over, np.int64)
        if rela and raw.size:
            self._left_over = int(addend[-1])
        symbol = info >> shift & 0xFFFF_FFFF
        return Entries(raw["offset"].astype(np.int64), symbol, info & (1 << shift) - 1, addend, target)

    def _relocate(self, i: int, entries: Entries) -> None:
        """All relocations of section ``i``."""
        if not entries.offset.size:
            return
        if entries.target is None:
            addr = np.array([x.addr for x in self.header.sections], np.uint64).astype(np.int64)
            homes = self._homes(entries)
            P = self.bases[homes] + entries.offset - addr[homes]
        else:
            P = self.bases[entries.target] + entries.offset
        S = self.lookup.addresses(entries.symbol, entries.offset, entries.target, stops=self.stops)
        problems: dict[int, Problem] = {}
        if self.lookup.failures:
            for k in np.flatnonzero(self.lookup.failed(entries.symbol)).tolist():
                problems[k] = self._why(entries, k)
        self._check_types(entries, P, problems)
        usable = np.ones(S.size, bool)
        if problems:
            usable[list(problems)] = False
        T = np.zeros(S.size, np.int64)
        if self.abi and self.arch.thumb:
            T = S & 1 & self._functions(entries.symbol)
        work = Work(entries, S - T, entries.addend, P, P, T, usable, problems)
        if self.arch.rela and PCREL_HI20 in self.rows:
            work = self._paired(work, self.header.sections[i].link)
        self._apply(work)
        if problems or self.log.inf:
            from llext_tools.llext.narrate import narrate

            narrate(self.lookup, i, entries, S, P, work.S + work.T, problems, stops=self.stops)
        for k in sorted(problems):
            self.problems.append(problems[k])
            if self.stops:
                break

    def _why(self, entries: Entries, k: int, symbol: int | None = None) -> Problem:
        """The problem of a symbol, at the place of relocation ``k``."""
        problem = self.lookup.problem(int(entries.symbol[k]) if symbol is None else symbol)
        assert problem is not None
        return problem

    def _check_types(self, entries: Entries, P: I64, problems: dict[int, Problem]) -> None:
        for code in set(entries.type.tolist()):
            row = self.rows.get(code)
            if row is not None and (self.accepted is None or code in self.accepted):
                continue
            known = self.arch.relocs[self.header.bits].get(code)
            name, cure = (known.name, "") if known else self.arch.no_help.get(code, (f"type {code}", ""))
            text = f"the loader ({self.profile.name}) does not apply `{name}`"
            for k in np.flatnonzero(entries.type == code).tolist():
                at = self.lookup.at(entries.target, int(entries.offset[k]))
                found = Diagnostic("reloc-refused" if known else "reloc-unknown", text, location=at, help=cure)
                said = [f"type {code} is not applied, for symbol {self.lookup.name(int(entries.symbol[k]))}"]
                if code == ALIGN and self.arch.rela:
                    step = 1 << max(int(entries.addend[k]) - 1, 0).bit_length()
                    said = [f"{said[0]} at {int(P[k]) & self.word:#x}: to align to {step}", "code cannot be moved"]
                lines = tuple(Line(Level.ERR, text, "elf") for text in said)
                problems.setdefault(k, Problem("ENOEXEC", found, lines))

    def _homes(self, entries: Entries) -> I64:
        """The loaded section that holds each place of a shared object, int64[n]; -1 where there is none."""
        s = self.header.sections
        loaded = sorted(
            (s[k].addr, s[k].addr + s[k].size & self.word, k)
            for k in self.ext.sections
            if s[k].flags & elf.SHF_ALLOC and s[k].size
        )
        starts, ends, index = np.array([(0, 0, 0), *loaded], np.uint64).T
        place = entries.offset.view(np.uint64)
        found = np.searchsorted(starts, place, "right") - 1
        homes: I64 = np.where(place < ends[found], index[found].astype(np.int64), -1)
        return homes

    def _paired(self, work: Work, link: int) -> Work:
        """RISC-V: a PCREL_LO12 has the value of the PCREL_HI20 in its own table at the offset that its symbol has."""
        entries = work.entries
        low = np.flatnonzero(np.isin(entries.type, PCREL_LO12) & work.usable)
        if not low.size:
            return work
        high = np.flatnonzero(entries.type == PCREL_HI20)
        high = high[np.argsort(entries.offset[high], kind="stable")]
        y = self.lookup.symbols
        symbol = entries.symbol[low]
        label = np.where(symbol < y.value.size, y.value[np.minimum(symbol, y.value.size - 1)], -1)
        at = np.searchsorted(entries.offset[high], label)
        partner = high[np.minimum(at, high.size - 1)] if high.size else low
        match = (entries.offset[partner] == label) & (entries.type[partner] == PCREL_HI20)
        failed = ~match | self.lookup.failed(entries.symbol[partner])
        for k, j, found in zip(low[failed].tolist(), partner[failed].tolist(), match[failed].tolist(), strict=True):
            work.usable[k] = False
            problem = self._why(entries, k, int(entries.symbol[j])) if found else self._unpaired(entries, k)
            said: tuple[Line, ...] = (Line(Level.ERR, "no R_RISCV_PCREL_HI20 for this R_RISCV_PCREL_LO12", "elf"),)
            if found:
                said = self.lookup.said(int(entries.symbol[j]), int(entries.offset[j]) & self.word, link)
            work.problems[k] = problem._replace(said=(*said, self._unresolved(work, k)), resolved=False)
        elsewhere = ~failed & (y.shndx[np.minimum(symbol, y.value.size - 1)] != entries.target)
        for code in PCREL_LO12 if not self.shared else ():
            self._warn(self.rows[code], low[elsewhere & (entries.type[low] == code)], work)
        S, A, origin = work.S.copy(), work.A.copy(), work.origin.copy()
        S[low] = self._word(S[partner] + A[partner] - origin[partner])
        A[low] = origin[low] = 0
        return work._replace(S=S, A=A, origin=origin)

    def _unpaired(self, entries: Entries, k: int) -> Problem:
        name = self.rows[int(entries.type[k])].name
        text = f"`{name}` has no `R_RISCV_PCREL_HI20` in its own section at the place that its symbol names"
        at = self.lookup.at(entries.target, int(entries.offset[k]))
        cure = f"{PARTIAL_LINK}: they keep both in one section"
        return Problem("ENOEXEC", Diagnostic("reloc-unpaired", text, location=at, help=cure))

    def _unresolved(self, work: Work, k: int) -> Line:
        name, kind = self.lookup.name(int(work.entries.symbol[k])), int(work.entries.type[k])
        place, label = int(work.P[k]) & self.word, int(work.S[k]) & self.word
        figures = f"{place:#x}, its label at {label:#x}, the text at {self.ext.mem.get(Mem.TEXT, 0):#x}"
        return Line(Level.ERR, f"type {kind} has no value: symbol {name} at {figures}", "elf")

    def _word(self, x: I64) -> I64:
        """A difference of addresses is a signed word of the target."""
        return x.astype(np.int32).astype(np.int64) if self.header.bits == 32 else x

    def _apply(self, work: Work) -> None:
        active = np.flatnonzero(work.usable)
        kinds = work.entries.type[active]
        codes = sorted(set(kinds.tolist()))
        size = np.zeros(max(codes, default=0) + 1, np.int64)
        for code in codes:
            field = self.rows[code].field
            size[code] = field.size if field else 0
        for wave in waves(work.P[active], size[kinds]):
            for group in self._groups(active[wave], kinds[wave], codes):
                self._apply_type(self.rows[int(work.entries.type[group[0]])], group, work)

    def _groups(self, chosen: I64, kinds: I64, codes: list[int]) -> list[I64]:
        """What is applied together: a type; where there are veneers, neighbours only, so that stubs come in order."""
        if self.veneers is not None and chosen.size:
            return np.split(chosen, np.flatnonzero(np.diff(kinds)) + 1)
        groups = (chosen[kinds == code] for code in codes) if len(codes) > 1 else (chosen,)
        return [group for group in groups if group.size]

    def _apply_type(self, row: Reloc, which: I64, work: Work) -> None:
        """The relocations ``which``, all of one type, no two at one place."""
        B = np.full(which.size, self.ext.mem.get(Mem.TEXT, 0))
        batch = Batch(which, work.S[which], work.A[which], work.origin[which], work.T[which], B, B, self.arch.tls_bias)
        field = row.field
        if field is None:
            if row.check is not None:
                value = row.value(batch)
                self._report(row, which, value, row.check.misfits(value), work)
            return
        image, offset = self._image(work.P[which], field.size)
        word = load(image, field, offset)
        V = field.decode(word.copy())
        batch = batch._replace(offset=offset, V=V, A=batch.A if self.arch.rela else V)
        if row.code == self.arch.relative and not self.arch.rela:
            batch = batch._replace(S=self._mapped(V, which, work))
        value = row.value(batch)
        bad = row.check.misfits(value) if row.check is not None else np.zeros(which.size, bool)
        if row.code in self.deviating:
            written = word & ~field.mask | field.encode(value) & field.mask
            self._compare(row, which, batch, word, written, bad, work)
        if bad.any() and self.veneers is not None and self.veneers.serve(row.code):
            value, bad = self.veneers.reroute(row, batch, bad, self.source.space)
        if bad.any():
            self._report(row, which, value, bad, work)
            if not self.writes_first:
                good = ~bad
                offset, word, value = offset[good], word[good], value[good]
        store(image, field, offset, word & ~field.mask | field.encode(value) & field.mask)

    def _image(self, P: I64, size: int) -> tuple[Bytes, I64]:
        """The memory that holds all places, and their offsets in it."""
        at = (P & self.mask).astype(np.uint64)  # a sum of a base and an offset may lie beyond the last address
        low, high = int(at.min()), int(at.max()) + size
        segment = self.source.space.find(low, high - low)
        if segment is None:
            raise Undefined(f"a relocation writes to {low:#010x}, outside the memory of the extension")
        return segment.data, (at - np.uint64(segment.start)).astype(np.int64)

    def _mapped(self, V: I64, which: I64, work: Work) -> I64:
        """RELATIVE: the place holds an address of the file, which becomes one of the target; 0 stays."""
        if not self.profile.dyn_image:
            return V + self.ext.mem.get(Mem.TEXT, 0)
        result = V.copy()
        s = self.header.sections
        loaded = [k for k in sorted(self.ext.sections) if s[k].flags & elf.SHF_ALLOC]
        spans = [(s[k].addr, s[k].addr + s[k].size, int(self.bases[k])) for k in loaded]
        for k in np.flatnonzero(V).tolist():
            value = int(V[k]) & self.word
            home = next((base - start for start, end, base in spans if start <= value < end), None)
            if home is None:
                text = f"a place to be moved holds {value:#010x}, which is an address of no loaded section"
                at = self.lookup.at(work.entries.target, int(work.entries.offset[which[k]]))
                said = (Line(Level.ERR, f"address {value:#x} is in no loaded section", "elf"),)
                found = Diagnostic("elf-relocations", text, location=at)
                work.problems[int(which[k])] = Problem("ENOEXEC", found, said)
            else:
                result[k] = home + value
        return result

    def _report(self, row: Reloc, which: I64, value: I64, bad: Mask, work: Work) -> None:
        found = which[np.flatnonzero(bad)].tolist()
        assert row.check is not None
        for n, (k, wanted) in enumerate(zip(found, value[bad].tolist(), strict=True)):
            name = self.lookup.name(int(work.entries.symbol[k]))
            place, target = int(work.P[k]) & self.word, int(work.S[k] + work.T[k]) & self.word
            most = -row.check.low if wanted < 0 else row.check.high - 1
            figures = f"{place:#x} to {target:#x} ({wanted} bytes, at most {most})"
            said = (Line(Level.ERR, f"type {row.code} does not reach symbol {name}: {figures}", "elf"),)
            if n >= MOST:
                work.problems[k] = work.problems[found[0]]._replace(said=said)
                continue
            found_here = Diagnostic(
                "reloc-out-of-range",
                f"`{row.name}` cannot reach `{name}`",
                location=self.lookup.at(work.entries.target, int(work.entries.offset[k])),
                detail=(f"place {place:#010x}, target {target:#010x}: {abs(target - place):,} bytes apart",),
                notes=(WRITTEN,) if self.writes_first else (),
                help=self.arch.reach_help if row.code in self.arch.branches else "",
            )
            work.problems[k] = Problem("ENOEXEC", found_here, said)

    def _compare(self, row: Reloc, which: I64, batch: Batch, word: I64, written: I64, bad: Mask, work: Work) -> None:
        """Warn where the loader's value is another one than the ABI's, or where only one of the two fits."""
        ours = self.arch.relocs[self.header.bits].get(row.code)
        if ours is None and self.shared:
            return  # at home there
        if ours is None or ours.field is None or row.field is None or ours.field.unit != row.field.unit:
            deviates = np.ones(which.size, bool) & (written != word)
        else:
            V = ours.field.decode(word.copy())
            T = batch.S & 1 & self._functions(work.entries.symbol[which]) if self.arch.thumb else batch.T
            value = ours.value(batch._replace(S=batch.S - T, T=T, V=V, A=batch.A if self.arch.rela else V))
            misfits = ours.check.misfits(value) if ours.check is not None else np.zeros(which.size, bool)
            theirs = word & ~ours.field.mask | ours.field.encode(value) & ours.field.mask
            deviates = np.where(misfits | bad, misfits != bad, theirs != written)
        self._warn(row, which[np.flatnonzero(deviates)], work)

    def _warn(self, row: Reloc, found: I64, work: Work) -> None:
        """Name the deviation at the places ``found``, if there are any."""
        if not found.size or row.code not in self.deviating:
            return
        at = [self.lookup.at(work.entries.target, offset) for offset in work.entries.offset[found[:4]].tolist()]
        more = [f"and from {number(found.size - 4, 'more place')}"] if found.size > 4 else []
        notes = (*(f"also at {each.section}+{each.offset:#x}" for each in at[1:]), *more)
        text = f"`{row.name}`: {self.arch.loader_deviations[row.code]}"
        cure = f"write it so that loader and ABI agree; `llext explain {row.name}` has the ABI's formula"
        self.ext.diagnostics.append(Diagnostic("reloc-deviates", text, "warning", at[0], notes=notes, help=cure))

    def _functions(self, symbols: I64) -> I64:
        """1 for the symbols that are functions, or that somebody else defines."""
        y = self.lookup.symbols
        index = np.where(symbols < y.type.size, symbols, 0)
        found: Mask = (y.type[index] == elf.STT_FUNC) | (y.shndx[index] == elf.SHN_UNDEF)
        return found.astype(np.int64)


def waves(place: I64, length: I64) -> Sequence[I64]:
    """Indices of relocations in groups of which no two overlap; within overlaps the order is kept.

    Args:
        place: int64[n], addresses.
        length: int64[n], bytes written, 0 for none.
    """
    n = place.size
    everything = [np.arange(n)]
    if n < 2 or (place[1:] >= (place + length)[:-1]).all():
        return everything
    order = np.argsort(place, kind="stable")
    end = np.maximum.accumulate((place + length)[order])
    starts = np.append(True, place[order][1:] >= end[:-1])
    if starts.all():
        return everything
    cluster = np.empty(n, np.int64)
    cluster[order] = np.cumsum(starts)
    grouped = np.argsort(cluster, kind="stable")  # in each cluster in the order of the table
    first = np.flatnonzero(np.append(True, np.diff(cluster[grouped]) != 0))
    rank = np.empty(n, np.int64)
    rank[grouped] = np.arange(n) - np.repeat(first, np.diff(np.append(first, n)))
    by_rank = np.argsort(rank, kind="stable")
    return np.split(by_rank, np.flatnonzero(np.diff(rank[by_rank])) + 1)

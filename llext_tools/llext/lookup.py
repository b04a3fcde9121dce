"""Symbols to addresses, one at a time where it is not plain: ``llext_lookup_symbol()``.

An extension's own symbols come from its tables as whole arrays. The rest is looked up in the loader's order: the
built-in table, by name or SLID, then what other extensions export.
Source: Zephyr, ``subsys/llext/llext_link.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llext_tools.diag import Diagnostic, Location
from llext_tools.elf import structs as elf
from llext_tools.link.exports import ExportTable
from llext_tools.link.layout import signed
from llext_tools.llext.config import Config
from llext_tools.llext.ext import Llext
from llext_tools.llext.log import Level, Line, Log
from llext_tools.llext.outcome import Undefined
from llext_tools.llext.source import SYM_SIZE, Source
from llext_tools.llext.symbols import SymbolData
from llext_tools.llext.tables import Header
from llext_tools.mem import Mem
from llext_tools.profile import Profile
from llext_tools.reloc import I64


class Problem(NamedTuple):
    """What is wrong with one relocation; ``errno`` as in ``Refusal``.

    ``said`` is what the log says of it, beyond ``Lookup.said()``; ``resolved``: its value was found nevertheless.
    """

    errno: str
    diagnostic: Diagnostic
    said: tuple[Line, ...] = ()
    resolved: bool = True


class Kernel(NamedTuple):
    """What a firmware offers: its table, the same by SLID where it has SLIDs, and the other extensions.

    ``find`` gives the address that a loaded extension exports under a name, or 0, and takes note of the dependency.
    """

    exports: ExportTable
    by_slid: Mapping[int, int] | None
    find: Callable[[str], int]

    def address(self, name: str, slid: int) -> int:
        """The address of an import, 0 if there is none."""
        if self.by_slid is not None:
            address = self.by_slid.get(slid, 0)
        else:
            export = self.exports.by_name.get(name)
            address = export.address if export else 0
        return address or self.find(name)


class Lookup:
    """The symbols of one extension, as relocations see them. ``bases`` (int64[k]): where its sections are."""

    def __init__(
        self,
        source: Source,
        header: Header,
        ext: Llext,
        symbols: SymbolData,
        bases: I64,
        kernel: Kernel,
        config: Config,
        profile: Profile,
        log: Log,
    ) -> None:
        self.source, self.header, self.ext, self.symbols, self.bases = source, header, ext, symbols, bases
        self.kernel, self.config, self.profile, self.log = kernel, config, profile, log
        self._known: dict[int, tuple[int, Problem | None]] = {}
        self._shndx: dict[int, int] = {}  # of the same symbols

    def addresses(self, symbols: I64, offsets: I64, target: int | None, *, stops: bool = False) -> I64:
        """S of ``n`` relocations, int64[n], 0 where ``problem()`` knows why there is none.

        Args:
            symbols, offsets: int64[n], index of the symbol and offset of the place.
            target: the section that holds the places, None in a shared object.
            stops: nothing is looked up behind the first symbol that has none, and so no further extension is held.
        """
        y = self.symbols
        index = np.where(symbols < y.value.size, symbols, 0)
        shndx = y.shndx[index]
        defined = (index != 0) & (shndx != elf.SHN_UNDEF) & (shndx < len(self.header.sections))
        base = self.bases[np.where(defined, shndx, 0)]
        plain = defined & (base != 0) & (not (self.header.dyn and self.profile.dyn_image))
        addresses: I64 = np.where(plain, base + y.value[index], 0)
        others = np.flatnonzero(~plain & (symbols != 0))
        if others.size:
            unique, first, share = np.unique(symbols[others], return_index=True, return_inverse=True)
            found = np.zeros_like(unique)
            for k in np.argsort(first).tolist():
                found[k] = signed(self._one(int(unique[k]), int(offsets[others[first[k]]]), target))
                if stops and self.problem(int(unique[k])):
                    break
            addresses[others] = found[share.ravel()]
        return addresses

    def problem(self, symbol: int) -> Problem | None:
        """Why a symbol has no address, if it has none."""
        return self._known.get(symbol, (0, None))[1]

    @property
    def failures(self) -> list[int]:
        """The symbols that have a problem."""
        return [i for i, (_, problem) in self._known.items() if problem]

    def failed(self, symbols: I64) -> NDArray[np.bool_]:
        """Which of n symbols have a problem."""
        return np.isin(symbols, self.failures)

    def said(self, i: int, offset: int, link: int) -> tuple[Line, ...]:
        """What the log says when a symbol is looked up: where somebody else has it, or why it has no address.

        Args:
            offset, link: of the relocation, and of its section.
        """
        address, problem = self._known.get(i, (0, None))
        name, shndx = self.name(i), self._shndx.get(i, 0)
        if problem is None:
            found = address and shndx == elf.SHN_UNDEF
            return (Line(Level.INF, f"symbol {name} found at {address:#x}"),) if found else ()
        match problem.diagnostic.code:
            case "undefined-symbol" | "symbol-unexported" | "runtime-missing" | "weak-undefined":
                first = Line(Level.ERR, f"nobody has symbol {name}: offset {offset}, link section {link}")
                text = "devices are not exported: CONFIG_LLEXT_EXPORT_DEVICES is not enabled"
                return (first, Line(Level.WRN, text)) if self._is_hidden_device(name) else (first,)
            case "symbol-unmapped":
                return (Line(Level.ERR, f"cannot relocate: section {shndx} of symbol {name} is not loaded"),)
        return (Line(Level.ERR, f"cannot relocate: symbol {name} is in section {shndx} ({shndx:#x})"),)

    def _is_hidden_device(self, name: str) -> bool:
        return name.startswith("__device_dts_ord_") and not self.config.export_devices

    def name(self, i: int) -> str:
        """A symbol's name for a person: its section's for a section symbol."""
        if i >= self.symbols.value.size:
            return f"symbol {i}"
        shndx, names = int(self.symbols.shndx[i]), self.ext.section_names
        name = self.symbols.name(i).decode("utf-8", "backslashreplace")
        return name or (names[shndx] if shndx < len(names) else f"symbol {i}")

    def at(self, target: int | None, offset: int) -> Location:
        """A place, with the function that it is in."""
        if target is None:
            return Location(file=self.source.name, offset=offset)
        y = self.symbols
        before = np.flatnonzero((y.type == elf.STT_FUNC) & (y.shndx == target) & ((y.value & ~1) <= offset))
        function = self.name(int(before[np.argmax(y.value[before])])) if before.size else ""
        section = self.ext.section_names[target]
        return Location(file=self.source.name, section=section, offset=offset, function=function)

    def _one(self, i: int, offset: int, target: int | None) -> int:
        if i not in self._known:
            found = self._find(i, offset, target)
            self._known[i] = (0, found) if isinstance(found, Problem) else (found, None)
        return self._known[i][0]

    def _find(self, i: int, offset: int, target: int | None) -> int | Problem:
        y = self.symbols
        name: bytes | None
        if i < y.value.size:
            value, shndx, name, bind = int(y.value[i]), int(y.shndx[i]), y.name(i), int(y.bind[i])
        else:
            value, shndx, name, bind = self._behind(i)
        self._shndx[i] = shndx
        text = "" if name is None else name.decode("utf-8", "backslashreplace")
        at = self.at(target, offset)
        if shndx == elf.SHN_UNDEF:
            if name is None:
                raise Undefined(f"symbol {i} lies behind the symbol table, and its name outside the string table")
            return self._import(text, value, bind, at)
        if shndx == elf.SHN_ABS:
            return value
        if shndx < min(len(self.header.sections), elf.SHN_LORESERVE):
            return self._own(shndx, value, text, at)
        common = shndx == elf.SHN_COMMON
        message = f"`{text}` is a common symbol: it has no section"
        if not common:
            message = f"`{text}` is in section {shndx:,}, which is not there"
        cure = "compile with `-fno-common`, or link with `ld -r -d`" if common else ""
        code = "symbol-common" if common else "elf-symbols"
        return Problem("ENOEXEC", Diagnostic(code, message, location=at, help=cure))

    def _import(self, name: str, slid: int, bind: int, at: Location) -> int | Problem:
        address = self.kernel.address(name, slid)
        if address:
            return address
        if bind == elf.STB_WEAK and self.profile.weak_undefined == "null":
            return 0
        exports = self.kernel.exports
        if self.kernel.by_slid is not None and not slid and exports.find(name):
            text = f"`{name}` has no SLID, and {exports.source} looks symbols up by SLID"
            cure = "`llext slid FILE` puts SLIDs in, as the last step of the build"
            return Problem("ENODATA", Diagnostic("slid-missing", text, location=at, help=cure))
        from llext_tools.link.missing import Reasons  # only here, where something is wrong already

        why = Reasons(exports).missing(name, weak=bind == elf.STB_WEAK)
        return Problem("ENODATA", Diagnostic(why.code, why.message, location=at, notes=why.notes, help=why.help))

    def _own(self, shndx: int, value: int, name: str, at: Location) -> int | Problem:
        """A symbol that the extension defines itself."""
        x, base = self.header.sections[shndx], int(self.bases[shndx])
        if x.flags & elf.SHF_TLS and self.profile.skips_tls:
            return value
        section = self.ext.section_names[shndx]
        if not base and self.profile.checks_symbol_sections:
            why = "is empty" if not x.size else "is in no region"
            text = f"`{name or section}` is in section `{section}`, which {why} and therefore is not loaded"
            return Problem("ENOEXEC", Diagnostic("symbol-unmapped", text, location=at))
        if self.header.dyn and self.profile.dyn_image:
            if value < x.addr:
                text = f"`{name}` is at {value:#x}, below its section `{section}`"
                return Problem("ENOEXEC", Diagnostic("elf-symbols", text, location=at))
            value -= x.addr
        return base + value

    def _behind(self, i: int) -> tuple[int, int, bytes | None, int]:
        """A symbol behind the table: whatever the file has there. Value, section, name, binding."""
        region, entry = self.ext.regions[Mem.SYMTAB], SYM_SIZE[self.header.bits]
        raw = self.source.read(region.offset + i * entry, entry)
        if len(raw) < entry:
            raise Undefined(f"symbol {i} lies behind the symbol table, and behind the end of the file")
        found = np.frombuffer(raw, elf.SYM_OF[self.header.bits])[0]
        at, strtab = int(found["name"]), self.symbols.strtab
        name = strtab[at:].split(b"\0", 1)[0] if at < self.ext.regions[Mem.STRTAB].size else None
        return int(found["value"]), int(found["shndx"]), name, int(found["info"]) >> 4

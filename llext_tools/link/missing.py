"""The report on imports that nobody has: one diagnostic for each, with where it is used, why it is missing, the cure.

    symbol-unexported   the firmware has it, or is known to have it with other options, but its table does not
    runtime-missing     compilers refer to it, not the source: their own helpers, and what C++ needs
    weak-undefined      it is weak, which makes no difference to the loader
    undefined-symbol    all others, most of them misspelt

Nothing here is imported unless something is missing.
Source: Zephyr, ``include/zephyr/llext/symbol.h``, ``subsys/llext/llext_export.c``, ``include/zephyr/device.h``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from llext_tools import arch as archs
from llext_tools.arch.base import Arch
from llext_tools.diag import Diagnostic, Location, Reporter, number
from llext_tools.elf import structs as elf
from llext_tools.elf.lines import Line, find_lines
from llext_tools.elf.model import I64, ElfObject, Relocs
from llext_tools.elf.names import demangle, without_parameters
from llext_tools.elf.read import read_relocs, reloc_tables
from llext_tools.link.exports import IMPLEMENTATION, Definition, ExportTable
from llext_tools.link.families import RUNTIME, family
from llext_tools.link.nearest import Names

SHOWN = 3
"""Places of further use in one diagnostic."""
GROUP = "CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_"
LIBC = frozenset({
    "strcpy", "strncpy", "strlen", "strcmp", "strncmp", "memcmp", "memcpy", "memset", "memmove", "strtoul", "sprintf",
})  # fmt: skip
"""Zephyr's group LIBC, to which on Arm ``__aeabi_mem*()`` belong as well."""
DEVICE = re.compile(r"__device_(?:dts_ord_(\d+)|\w+)")
FOREIGN = frozenset(("libgcc", "newlib", "picolibc", "libm", "compiler-rt", "libstdc++-v3", "libcxx", "libcxxabi"))
"""Folders with the sources of such libraries."""
MACRO = re.compile(r"_*[A-Z][A-Z0-9_]{2,}")
SYSCALL = re.compile(r"z_(impl|mrsh|vrfy)_(\w+)")


class Missing(NamedTuple):
    """What there is to say of one missing import, wherever it is used."""

    code: str
    message: str
    notes: tuple[str, ...]
    help: str


class Use(NamedTuple):
    """A place where a symbol is used, with the source line if that is known."""

    at: Location
    line: Line | None


def missing_imports(
    obj: ElfObject, arch: Arch, relocs: Relocs, symbols: Sequence[int], exports: ExportTable
) -> list[Diagnostic]:
    """A diagnostic for each of the undefined ``symbols``, in the order in which the extension first uses them."""
    y, why = obj.symbols, Reasons(exports)
    found = []
    for i, (first, *others) in uses(obj, arch, relocs, symbols).items():
        missing = why.missing(y.name(i), weak=bool(y.bind[i] == elf.STB_WEAK))
        found.append(
            Diagnostic(
                missing.code,
                missing.message,
                location=first.at,
                notes=(*further(others), *missing.notes),
                help=missing.help,
            )
        )
    return found


MISSING = frozenset({"undefined-symbol", "symbol-unexported", "runtime-missing", "weak-undefined"})


def in_full(obj: ElfObject, found: Sequence[Diagnostic], exports: ExportTable) -> list[Diagnostic]:
    """``found``, with those on missing imports as ``missing_imports()`` has them: with lines and further places."""
    arch = archs.by_machine(obj.machine)
    relocs = relocations(obj)
    if arch is None:
        return list(found)
    result = []
    for each in found:
        at = each.location
        symbols: Sequence[int] = ()
        if each.code in MISSING and at is not None and at.offset is not None:
            address = obj.sections.addr[relocs.section] if not at.section else np.zeros(len(relocs), np.int64)
            there = relocs.offset + address == at.offset
            if at.section:
                there &= relocs.section == (obj.sections.index(at.section) or 0)
            symbols = [i for i in relocs.symbol[there].tolist() if i and obj.symbols.shndx[i] == elf.SHN_UNDEF][:1]
        result += missing_imports(obj, arch, relocs, symbols, exports) if symbols else [each]
    return result


def relocations(obj: ElfObject) -> Relocs:
    """The relocations of what is loaded. In a shared object the places are addresses: here they are offsets again."""
    s = obj.sections
    loaded = s.flags & elf.SHF_ALLOC != 0
    if obj.type == elf.ET_REL:
        return read_relocs(obj, loaded, Reporter())
    columns: dict[str, list[I64]] = {"section": [], "table": [], "offset": [], "symbol": [], "type": []}
    shift = elf.R_SYM_SHIFT[obj.bits]
    filled = np.flatnonzero(loaded & (s.size > 0) & (s.flags & elf.SHF_TLS == 0))
    for table in reloc_tables(obj).tolist():
        dtype = (elf.RELA_OF if s.type[table] == elf.SHT_RELA else elf.REL_OF)[obj.bits]
        if s.link[table] != obj.symbols.section or s.entsize[table] != dtype.itemsize or s.size[table] % dtype.itemsize:
            continue
        entries = obj.contents(table).view(dtype)
        at, info = entries["offset"].astype(np.int64), entries["info"].astype(np.int64)
        inside = (s.addr[filled][:, None] <= at) & (at < (s.addr + s.size)[filled][:, None])
        known = inside.any(0) & (info >> shift < len(obj.symbols))
        home = filled[inside.argmax(0)[known]] if filled.size else at[:0]
        columns["section"].append(home)
        columns["table"].append(np.full(home.size, table))
        columns["offset"].append(at[known] - s.addr[home])
        columns["symbol"].append(info[known] >> shift)
        columns["type"].append(info[known] & (1 << shift) - 1)
    joined = {name: np.concatenate([np.zeros(0, np.int64), *parts]) for name, parts in columns.items()}
    return Relocs(
        section=joined["section"].astype(np.uint16),
        table=joined["table"].astype(np.uint16),
        offset=joined["offset"],
        symbol=joined["symbol"].astype(np.int32),
        type=joined["type"].astype(np.uint32),
        addend=np.zeros(joined["offset"].size, np.int64),
    )


# ---- where


def uses(obj: ElfObject, arch: Arch, relocs: Relocs, symbols: Sequence[int]) -> dict[int, list[Use]]:
    """Where each symbol is used, each place once, symbols and places in the order of the file.

    A word in the code is used where instructions load it or call through it: the source has lines for these.
    """
    index = np.flatnonzero(np.isin(relocs.symbol, symbols))
    index = index[np.lexsort((relocs.offset[index], relocs.section[index]))]
    rows: list[tuple[int, int, int, int]] = []  # symbol, section, offset of the relocation, of the instruction
    executable = obj.sections.flags & elf.SHF_EXECINSTR != 0
    for k in index.tolist():
        symbol, section, offset = int(relocs.symbol[k]), int(relocs.section[k]), int(relocs.offset[k])
        users: Sequence[int] = ()
        if executable[section] and arch.users_of is not None and int(relocs.type[k]) in arch.literals:
            users = arch.users_of(obj.contents(section), offset).tolist()
        rows += [(symbol, section, offset, at) for at in users or (offset,)]
    sections, offsets = np.array([[row[1], row[3]] for row in rows], np.int64).reshape(-1, 2).T
    lines = find_lines(obj, sections, offsets)
    order = sorted(range(len(rows)), key=lambda r: (rows[r][1], rows[r][3]))
    found: dict[int, dict[tuple[object, ...], Use]] = {}
    for r in order:
        symbol, section, offset, _ = rows[r]
        at, line = place(obj, section, offset, lines[r]), lines[r]
        key = (line.file, line.line, at.inside) if line else (section, offset)
        found.setdefault(symbol, {}).setdefault(key, Use(at, line))
    return {symbol: list(places.values()) for symbol, places in found.items()}


def place(obj: ElfObject, section: int, offset: int, line: Line | None) -> Location:
    """A place in an object and in its source."""
    function = obj.function_at(section, offset)
    variable = "" if function else obj.variable_at(section, offset)
    if line is not None and not function and not variable:
        function, variable = (line.inside, "") if line.code else ("", line.inside)
    return Location(
        file=obj.path,
        section=obj.sections.name[section],
        offset=offset,
        function=readable(function),
        variable=readable(variable),
        source=line.file if line else "",
        line=line.line if line else None,
    )


def further(others: Sequence[Use]) -> tuple[str, ...]:
    """Notes on more places: some of them, then how many more."""
    notes = []
    for use in others[:SHOWN]:
        where = str(use.line) if use.line else f"{use.at.section}+{use.at.offset:#x}"
        notes.append(f"also at {where}{use.at.inside}")
    if len(others) > SHOWN:
        notes.append(f"and from {number(len(others) - SHOWN, 'more place')}")
    return tuple(notes)


def readable(name: str) -> str:
    """A name as its source has it; an offset behind it stays."""
    symbol, plus, offset = name.partition("+")
    return (demangle(symbol) or symbol) + plus + offset


# ---- why


class Reasons:
    """Why names are missing in a table of exports."""

    def __init__(self, exports: ExportTable) -> None:
        self.exports, self.build = exports, exports.build
        self.source = exports.source

    def missing(self, name: str, *, weak: bool = False) -> Missing:
        """What there is to say of a name that the table does not have. ``weak``: it is undefined and weak."""
        found = next(filter(None, (step(name) for step in self._steps)))
        cpp = demangle(name)
        notes = (f"its name in the symbol table is `{name}`", *found.notes) if cpp else found.notes
        if not weak:
            return found._replace(notes=notes)
        cure = found.help
        if found.code == "undefined-symbol" and not cure.startswith("did you mean"):
            cure = "define it in the extension, if only as a weak function that does nothing"
        notes = ("it is weak, but the loader looks for it all the same", *notes)
        return Missing("weak-undefined", found.message, notes, cure)

    @property
    def _steps(self) -> tuple[Callable[[str], Missing | None], ...]:
        """Reasons in the order in which they are considered; the last one always holds."""
        return self._null, self._group, self._device, self._syscall, self._family, self._defined, self._unknown

    def _neither(self, name: str) -> str:
        return f"`{demangle(name) or name}` is neither defined in the extension nor exported by {self.source}"

    def _null(self, name: str) -> Missing | None:
        export = self.exports.by_name.get(name)
        if not (export is not None and not export.address) and not (self.build and self.build.unimplemented(name)):
            return None
        return Missing(
            "symbol-unexported",
            f"`{demangle(name) or name}` is exported by {self.source}, but with the address 0",
            ("nothing in the firmware implements it, and the loader takes that for not found",),
            "enable the driver or subsystem that implements it",
        )

    def _group(self, name: str) -> Missing | None:
        """The firmware itself says so, or its options do, or none of the group is there."""
        group = self.build.group(name) if self.build else ""
        if not group:
            libc = name in LIBC or re.fullmatch(r"__aeabi_mem(cpy|move|set|clr)[48]?", name)
            guess = "LIBC" if libc else "SYSCALL" if name.startswith(IMPLEMENTATION) else ""
            group = guess if guess and self._option(f"{GROUP}{guess}") == "n" else ""
        if not group:
            return None
        return Missing(
            "symbol-unexported",
            f"`{demangle(name) or name}` is not exported by {self.source}: its group {group} is switched off",
            (),
            f"build the firmware with `{GROUP}{group}=y`",
        )

    def _device(self, name: str) -> Missing | None:
        found = DEVICE.fullmatch(name)
        if found is None:
            return None
        node = self.build.device(int(found[1])) if self.build and found[1] else ""
        notes = [f"it is the device of the node `{node}`" if node else "it is a device of the devicetree"]
        kin = sum(DEVICE.fullmatch(known) is not None for known in self.exports.by_name)
        absent = self.build is not None and self.build.has_symbols and self.build.definition(name) is None
        if found[1] and self._option("CONFIG_LLEXT_EXPORT_DEV_IDS_BY_HASH") == "y":
            notes.append("this firmware names devices by a hash, not by their ordinal numbers")
            cure = "compile the extension with the headers and options of this firmware"
        elif absent:
            notes.append(f"{self.source} has no such device")
            cure = "enable the driver and the node, or compile with this firmware's headers: ordinals change with both"
        elif kin:
            notes.append(f"the table has {number(kin, 'other device')}")
            cure = "compile the extension with the headers of this firmware: ordinals change with the devicetree"
        else:
            cure = "build the firmware with `CONFIG_LLEXT_EXPORT_DEVICES=y`"
            if self._option(f"{GROUP}DEVICE") is not None:
                cure = f"build the firmware with `{GROUP}DEVICE=y`"
        return Missing("symbol-unexported", self._neither(name), tuple(notes), cure)

    def _syscall(self, name: str) -> Missing | None:
        found = SYSCALL.fullmatch(name)
        if found is None:
            return None
        side, call = found.groups()
        notes = [f"it is the system call `{call}()`, called in kernel mode"]
        if side != "impl":
            notes = [f"it is the firmware's side of the system call `{call}()`"]
            cure = f"leave files that include `{call}_mrsh.c` out of the extension, and call `{call}()`"
            return Missing("symbol-unexported", self._neither(name), tuple(notes), cure)
        known = self.build.definition(name) if self.build else None
        cure = f"add `EXPORT_SYSCALL({call});` to the firmware"
        if known is not None:
            cure = f"add `EXPORT_SYSCALL({call});` behind its definition{_at(known)}"
        elif self.build and self.build.has_symbols:
            notes.append(f"{self.source} does not define it")
            cure = "enable the driver or subsystem that implements it"
        elif not any(export.startswith(IMPLEMENTATION) for export in self.exports.by_name):
            cure = f"build the firmware with `{GROUP}SYSCALL=y`, or " + cure
        return Missing("symbol-unexported", self._neither(name), tuple(notes), cure)

    def _family(self, name: str) -> Missing | None:
        """What compilers and libraries bring along. What the user's code calls itself goes by where it is defined."""
        found = family(name)
        known = self.build.definition(name) if self.build and found else None
        if found is None or (known and (found.code != RUNTIME or name in LIBC)):
            return None
        notes, cure = [found.what], found.cure
        if f"{GROUP}LIBC" in cure and not LIBC.isdisjoint(self.exports.by_name):  # that group is on
            cure = f"add `EXPORT_SYMBOL({name});` to the firmware, or define it in the extension"
        if known:
            notes.append(f"{_where(known)}, but not exported")  # where no source declares it, for EXPORT_SYMBOL()
        return Missing(found.code, self._neither(name), tuple(notes), cure)

    def _defined(self, name: str) -> Missing | None:
        known = self.build.definition(name) if self.build else None
        if known is None:
            return None
        source = self.build.source if self.build else self.source
        how = "static" if known.static else "not exported"
        cure = f"add `EXPORT_SYMBOL({name});` behind its definition{_at(known)}"
        if is_foreign(known):
            cure = f"add `EXPORT_SYMBOL({name});` to a file of the firmware that includes its declaration"
        if name in LIBC:
            cure = f"build the firmware with `{GROUP}LIBC=y`, or add `EXPORT_SYMBOL({name});` to it"
        text = f"`{demangle(name) or name}` is in {source}, but it is {how}{' there' if known.static else ''}"
        return Missing("symbol-unexported", text, () if _at(known) in cure else (_where(known),), cure)

    def _unknown(self, name: str) -> Missing:
        """Misspelt, declared otherwise, or simply not there."""
        text = self._neither(name)
        for step in (self._other_signature, self._other_language, self._misspelt):
            if found := step(name):
                notes, cure = found
                return Missing("undefined-symbol", text, notes, cure)
        if MACRO.fullmatch(name):
            note = "names of this kind are macros; without its header the compiler takes one for a function"
            cure = f"if `{name}` is a macro, include the header that defines it; else let the firmware export it"
            return Missing("undefined-symbol", text, (note,), cure)
        if name.startswith("_ZTV"):
            cure = "define its first virtual function that is not inline: the table of functions comes with that one"
            return Missing("undefined-symbol", text, (), cure)
        cure = f"if the firmware defines it, add `EXPORT_SYMBOL({name});` there"
        other = "if another extension exports it, load that one first: `--extension`, in CMake EXTENSIONS"
        if self.build and self.build.has_symbols:
            text = f"`{demangle(name) or name}` is defined neither in the extension nor in {self.build.source}"
            cure = "link the file that defines it into the extension"
        return Missing("undefined-symbol", text, (), f"{cure}; {other}")

    def _other_signature(self, name: str) -> tuple[tuple[str, ...], str] | None:
        cpp = demangle(name)
        others = self._cpp.get(without_parameters(cpp), ()) if cpp else ()
        if not others:
            return None
        if cpp in others:
            note = "another variant of it is exported: compilers make several of a constructor or destructor"
            return (note,), f"add `EXPORT_SYMBOL({name});` to the firmware"
        shown = " and ".join(f"`{other}`" for other in others[:SHOWN])
        return (f"exported with another signature: {shown}",), "declare it as the firmware does"

    def _other_language(self, name: str) -> tuple[tuple[str, ...], str] | None:
        """One side took the declaration for C, the other for C++."""
        cpp = demangle(name)
        plain = without_parameters(cpp)
        if cpp and plain != cpp and plain in self.exports.by_name:
            return (f"`{plain}` is exported, a function of C",), 'include its header within `extern "C" { ... }`'
        if not cpp and (others := self._cpp.get(name)):
            note = f"exported with another signature: `{others[0]}`, a function of C++"
            return (note,), 'let the firmware define it as `extern "C"`'
        return None

    def _misspelt(self, name: str) -> tuple[tuple[str, ...], str] | None:
        cpp = demangle(name)
        if cpp:
            bases = self._cpp_names.nearest(without_parameters(cpp))
            near = tuple(other for base in bases for other in self._cpp[base])[:SHOWN]
        else:
            near = self._c_names.nearest(name)
        notes: tuple[str, ...] = ()
        if not near and self.build and not cpp:
            near = self._defined_names.nearest(name)
            notes = (f"defined in {self.build.source}, but not exported: {', '.join(f'`{n}`' for n in near)}",)
        if not near:
            return None
        *most, last = (f"`{each}`" for each in near)
        return notes, f"did you mean {', '.join(most)}{' or ' if most else ''}{last}?"

    def _option(self, name: str) -> str | None:
        return self.build.option(name.removeprefix("CONFIG_")) if self.build else None

    @cached_property
    def _c_names(self) -> Names:
        return Names(name for name in self.exports.by_name if not name.startswith("_Z"))

    @cached_property
    def _defined_names(self) -> Names:
        return Names(name for name in (self.build.names() if self.build else ()) if not name.startswith("_Z"))

    @cached_property
    def _cpp(self) -> dict[str, list[str]]:
        """C++ name without parameters -> what is exported under it."""
        found: dict[str, list[str]] = {}
        for name in self.exports.by_name:
            if cpp := demangle(name):
                found.setdefault(without_parameters(cpp), []).append(cpp)
        return found

    @cached_property
    def _cpp_names(self) -> Names:
        return Names(self._cpp)


def is_foreign(known: Definition) -> bool:
    """Whether something is defined in a library that comes with the compiler, where nobody adds a line."""
    return bool(FOREIGN & {*known.file.replace("\\", "/").split("/")[:-1]})


def _where(known: Definition) -> str:
    return f"defined in {known.file}:{known.line}" if known.line else f"defined at {known.address:#010x}"


def _at(known: Definition) -> str:
    return f", {known.file}:{known.line}" if known.line else f", at {known.address:#010x}"

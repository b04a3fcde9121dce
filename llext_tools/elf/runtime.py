"""The compiler's helper functions, cut out of libgcc or compiler-rt: one archive member for each section.

A compiler calls functions of its run-time library for what the CPU has no instruction for: ``__aeabi_ldivmod``,
``__udivdi3``, ``__adddf3``. A partial link against libgcc.a or libcompiler_rt.a would work, but bring along much more:
compiler-rt is a single object with all functions, libgcc has unwinding tables that ask for the unwinder, which asks for
``abort`` and ``memcpy``, and both come with debugging sections of their own. So each section of code or data becomes
an object of its own here, and a linker takes exactly those that are reached. What a section refers to by local
symbols becomes a symbol of its own, so that two helpers share a table as before.

Only helpers of the compiler are offered: names beginning with ``__``, which C reserves for it, and
``_call_via_<register>``. Not offered, though they are in these libraries, are

* the C library (``memcpy``, ``strlen``, ``sin``, ``fmod``, and the checking ``__memcpy_chk``): an extension gets these
  from the firmware, once for all extensions. A helper that copies memory leaves ``memcpy`` undefined: compilers
  demand that function of every environment. Should a helper need a mathematical function of its own library, as
  complex division does in compiler-rt, it takes it along under a private name,
* exceptions, unwinding and thread-local emulation (``NOT_HELPERS``), which need a heap or an operating system.

All offered symbols are hidden: ``finish`` makes them local to the extension, where they cost no entry in the loader's
symbol table and cannot meet the helpers of another extension.
Source: GCC 12 internals, "The GCC low-level runtime library"; rtabi32 2024Q3, "The standard compiler helper
function library"; compiler-rt, ``lib/builtins/README.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from llext_tools.diag import Reporter
from llext_tools.elf import structs as elf
from llext_tools.elf.archive import read_archive, write_archive
from llext_tools.elf.attributes import SHT_ATTRIBUTES
from llext_tools.elf.finish import UNWINDING
from llext_tools.elf.model import I64, ElfObject, Relocs
from llext_tools.elf.read import read_object, read_relocs
from llext_tools.elf.write import Section, aligned, elf_file, head_size, raw_symbols, string_table

HELPER = re.compile(r"__|_call_via_")
NOT_HELPERS = re.compile(
    r"__\w+_chk$|__chk_fail$|__stack_chk_|__ssp_"  # checks of the C library, the stack guard: the firmware's
    r"|__emutls_|__cxa_|__gxx_|__gcc_personality|__gcov|__gcc_nested_func"
    r"|___?Unwind|__gnu_[Uu]nwind|__aeabi_unwind_cpp_pr|__(de)?register_frame|__restore_core_regs|__frame_state_for"
    r"|__init_riscv_feature_bits$|__riscv_\w+$|__cpu_model$|__init_cpu_features"  # a constructor, unless called
)
FROM_FIRMWARE = frozenset({"memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"})
STV_HIDDEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One section as an object of its own: what it defines, what it needs, and its bytes."""

    name: str
    defines: tuple[str, ...]
    needs: frozenset[str]
    data: bytes


@dataclass(slots=True)
class _Names:
    """What the symbols of one object are called outside of it: private ones that other sections use get a name."""

    obj: ElfObject
    number: int
    shared: dict[int, str] = field(default_factory=dict)

    def of(self, symbol: int) -> str:
        return self.shared.get(symbol) or self.obj.symbols.name(symbol)


def is_helper(name: str) -> bool:
    """Whether a function of the run-time library is the compiler's, and not the C library's."""
    return bool(HELPER.match(name)) and not NOT_HELPERS.match(name)


def helper_archive(data: bytes, path: str, needed: Iterable[str] | None = None) -> bytes:
    """The archive of helpers that are in the archive ``data``; ``path`` names it in messages.

    Args:
        needed: undefined symbols; only helpers that they lead to are then in the result. None: all helpers.
    Raises:
        FormatError: ``archive-malformed``, or from reading an object.
    """
    pieces: dict[str, Piece] = {}
    defined: dict[str, Piece] = {}
    for number, (_, contents) in enumerate(read_archive(data, path)):
        if contents[:4] != elf.ELFMAG:
            continue
        obj = read_object(contents, path)
        for piece in _pieces(obj, number) if obj.type == elf.ET_REL else ():
            pieces[piece.name] = piece
            for name in piece.defines:
                defined.setdefault(name, piece)  # as a linker, the first counts
    chosen = _reached(defined, (n for n in defined if is_helper(n)) if needed is None else needed)
    return write_archive(
        {
            name: (piece.data, [symbol for symbol in piece.defines if defined[symbol] is piece])
            for name, piece in pieces.items()
            if name in chosen
        }
    )


def undefined_names(obj: ElfObject) -> list[str]:
    """The names of the undefined symbols, in the order of the file."""
    return obj.symbols.names(obj.symbols.undefined.tolist())


def _reached(defined: Mapping[str, Piece], start: Iterable[str]) -> set[str]:
    """The names of the pieces that the symbols ``start`` lead to, directly or through other pieces."""
    waiting = [defined[name] for name in start if name in defined]
    reached: set[str] = set()
    while waiting:
        piece = waiting.pop()
        if piece.name not in reached:
            reached.add(piece.name)
            waiting += [defined[name] for name in piece.needs if name in defined]
    return reached


def _pieces(obj: ElfObject, number: int) -> Iterator[Piece]:
    """Cut ``obj``, member ``number`` of its archive, into one object for each section that something refers to."""
    s, y = obj.sections, obj.symbols
    loaded = (s.flags & elf.SHF_ALLOC != 0) & np.isin(s.type, (elf.SHT_PROGBITS, elf.SHT_NOBITS))
    loaded &= np.array([not name.startswith((*UNWINDING, ".eh_frame")) for name in s.name], bool)
    outside = y.bind != elf.STB_LOCAL
    if not (outside & (y.shndx != elf.SHN_UNDEF)).any():
        return
    reporter = Reporter()
    relocs = read_relocs(obj, loaded, reporter)
    reporter.checkpoint()
    symbol = _firmware_twins(obj)[relocs.symbol]
    text = y.names(range(len(y)))
    helper = np.fromiter(map(is_helper, text), bool, len(y))
    private = (y.shndx != elf.SHN_UNDEF) & ~(outside & (helper | np.isin(text, list(FROM_FIRMWARE))))
    home = np.where(y.shndx < len(s), y.shndx, 0)
    across = (home[symbol] != relocs.section) & private[symbol] & loaded[home[symbol]]
    names = _Names(obj, number)
    for i in np.unique(symbol[across]).tolist():
        names.shared[i] = f".private.{number}.{i}.{text[i] or s.name[home[i]]}"
    public = outside & loaded[home] & helper
    public[list(names.shared)] = True
    marks = np.fromiter((name.startswith("$") for name in text), bool, len(y)) & ~outside  # $t, $d: kinds of code
    attributes = np.flatnonzero(s.type == SHT_ATTRIBUTES).tolist()
    for section in np.unique(home[public]).tolist():
        mine = relocs.section == section
        yield _piece(obj, names, section, symbol[mine], relocs, mine, public & (home == section), marks, attributes)


def _firmware_twins(obj: ElfObject) -> I64:
    """For each symbol the one to use for it, int64[n]: for a private name of, say, memcpy the global one.

    compiler-rt calls its own memcpy by a local symbol, or by the symbol of the section that has nothing else.
    """
    s, y = obj.sections, obj.symbols
    twin = np.arange(len(y))
    for i in np.flatnonzero((y.bind != elf.STB_LOCAL) & (y.shndx > 0) & (y.shndx < len(s))).tolist():
        if y.name(i) in FROM_FIRMWARE:
            same = (y.bind == elf.STB_LOCAL) & (y.shndx == y.shndx[i])
            alone = y.size[i] == s.size[y.shndx[i]]
            named = (y.type == elf.STT_FUNC) & (y.value == y.value[i])
            twin[same & (named | (y.type == elf.STT_SECTION) & alone)] = i
    return twin


def _piece(
    obj: ElfObject,
    names: _Names,
    section: int,
    symbol: I64,
    relocs: Relocs,
    mine: NDArray[np.bool_],
    public: NDArray[np.bool_],
    marks: NDArray[np.bool_],
    attributes: list[int],
) -> Piece:
    """The object that holds only ``section``. ``symbol``: that of each of its relocations, ``mine`` of all."""
    s, y = obj.sections, obj.symbols
    defines = np.flatnonzero(public)
    inside = (y.shndx == section) & ~public
    used = np.zeros(len(y), bool)
    used[symbol] = True
    local = np.flatnonzero(inside & (marks | used & (y.bind == elf.STB_LOCAL)))
    foreign = np.flatnonzero(used & ~public & (y.shndx != section) & (np.arange(len(y)) > 0))
    shared_here = np.flatnonzero(inside & used & (y.bind != elf.STB_LOCAL))  # such as memcpy: the firmware's
    order = np.concatenate([[0], local, defines, shared_here, foreign]).astype(np.int64)
    number = np.zeros(len(y), np.int64)
    number[order] = np.arange(order.size)

    strtab, at = string_table(names.of(i) for i in order[1:].tolist())
    table = raw_symbols(obj)[order]
    table["name"] = [0, *(at[names.of(i)] for i in order[1:].tolist())]
    first_public, end_public = 1 + local.size, 1 + local.size + defines.size
    table["shndx"][1:end_public] = 1
    table["other"][first_public:end_public] = table["other"][first_public:end_public] & 0xFC | STV_HIDDEN
    bind = np.maximum(y.bind[defines], elf.STB_GLOBAL)
    kind = np.where(y.type[defines] == elf.STT_SECTION, elf.STT_NOTYPE, y.type[defines])
    table["info"][first_public:end_public] = bind << 4 | kind
    table[end_public:] = np.zeros((), table.dtype)
    table["name"][end_public:] = [at[names.of(i)] for i in order[end_public:].tolist()]
    table["info"][end_public:] = elf.STB_GLOBAL << 4

    headers = [_section(obj, section, flags=int(s.flags[section]) & ~(elf.SHF_GROUP | elf.SHF_LINK_ORDER))]
    headers += [_section(obj, i) for i in attributes]
    symtab_at = len(headers) + 1 + np.unique(relocs.table[mine]).size
    for source in np.unique(relocs.table[mine]).tolist():
        entries = obj.contents(source).view((elf.RELA_OF if s.type[source] == elf.SHT_RELA else elf.REL_OF)[obj.bits])
        entries = entries.copy()
        shift = elf.R_SYM_SHIFT[obj.bits]
        new = number[symbol[relocs.table[mine] == source]] << shift
        entries["info"] = new.astype(entries["info"].dtype) | entries["info"] & ((1 << shift) - 1)
        headers.append(_section(obj, source, data=entries.tobytes(), link=symtab_at, info=1))
    headers.append(
        Section(
            name=".symtab",
            type=elf.SHT_SYMTAB,
            offset=0,
            size=table.nbytes,
            link=symtab_at + 1,
            info=first_public,
            addralign=obj.bits // 8,
            entsize=table.itemsize,
            data=table.tobytes(),
        )
    )
    headers.append(Section(name=".strtab", type=elf.SHT_STRTAB, offset=0, size=len(strtab), data=strtab))
    headers.append(Section(name=".shstrtab", type=elf.SHT_STRTAB, offset=0, size=0))
    return Piece(
        name=f"{names.number}.{section}.o",
        defines=tuple(names.of(i) for i in defines.tolist()),
        needs=frozenset(names.of(i) for i in [*shared_here.tolist(), *foreign.tolist()]),
        data=_file(obj, headers),
    )


def _section(
    obj: ElfObject, i: int, *, data: bytes | None = None, flags: int | None = None, link: int = 0, info: int = 0
) -> Section:
    """Section ``i`` as it is, or with other contents, not yet in its place."""
    s = obj.sections
    if data is None and s.type[i] != elf.SHT_NOBITS:
        data = obj.contents(i).tobytes()
    return Section(
        name=s.name[i],
        type=int(s.type[i]),
        flags=int(s.flags[i]) if flags is None else flags,
        offset=0,
        size=int(s.size[i]),
        link=link,
        info=info,
        addralign=max(int(s.addralign[i]), 1),
        entsize=int(s.entsize[i]),
        data=data,
    )


def _file(obj: ElfObject, headers: list[Section]) -> bytes:
    """The relocatable file of these sections, placed one after the other."""
    end = head_size(obj.bits)
    placed = []
    for header in headers:
        start = aligned(end, min(header.addralign, 1 << 12))
        placed.append(replace(header, offset=start))
        end = start + (0 if header.data is None else header.size)
    return elf_file(
        bits=obj.bits,
        type=elf.ET_REL,
        machine=obj.machine,
        flags=obj.flags,
        ident=obj.image[7:9].tobytes(),
        sections=placed,
    )

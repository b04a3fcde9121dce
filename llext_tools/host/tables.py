"""Export tables: read from a firmware's ELF file or from a text file, and written as text.

A firmware built with LLEXT has the section ``llext_const_symbol_area``: an array of pairs of pointers, name and
address. Where names were replaced by SLIDs (``llext_tools.elf.slid``), they are recovered from
``llext_exports_strtab``, or from a listing; without either, a symbol goes by its SLID. The text forms are

    TOML            [exports]
                    name = 0x08001235
                    other = { address = 0x20000010, kind = "object", prototype = "int other" }
                    in front of [exports]: machine = 40 (ELF's number), slid_bits = 32 if it finds names by SLID,
                    cpu = { ... }, what the firmware was compiled for: see ``Cpu``;
                    heap = { ... }, where it loads extensions to: see ``Heap``;
                    with a symbol's `type` and `hash`, and with `[types]`, as ``llext_tools.abi.text`` has them,
                    a table says what debug information would say
    JSON            the same shape; an address is a number or text such as "0x08001235"
    CSV             name,address[,kind[,prototype]], with or without a header line
    linker script   name = 0x08001235;  or  PROVIDE(name = 0x08001235);

Source: Zephyr, ``include/zephyr/llext/symbol.h`` and ``scripts/build/llext_prepare_exptab.py``.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np

from llext_tools import quote
from llext_tools.abi.notation import prototype
from llext_tools.abi.text import (
    closure,
    read_layout,
    read_signature,
    signature_entry,
    type_hash,
    types_entry,
)
from llext_tools.abi.types import Interface, Layout, Signature
from llext_tools.arch import by_machine
from llext_tools.arch.base import Cpu
from llext_tools.arch.model import FloatAbi
from llext_tools.diag import Location, Reporter, fail, nearest
from llext_tools.elf.model import Bytes, ElfObject, string_at
from llext_tools.elf.read import read_object
from llext_tools.elf.slid import AREA, PREPARED, WIDTHS, slid, slid_from, slid_text
from llext_tools.elf.slid import NAMES as SLID_NAMES
from llext_tools.elf.structs import (
    ELFMAG,
    ET_DYN,
    ET_EXEC,
    SHF_ALLOC,
    SHN_UNDEF,
    SHT_NOBITS,
    STT_FUNC,
    STT_OBJECT,
)
from llext_tools.files import read_bytes, toml_fault
from llext_tools.host.build import FirmwareBuild
from llext_tools.link.exports import HEAPS, Export, ExportTable, Heap, Kind

AREA_ENDS = ("_llext_const_symbol_list_start", "_llext_const_symbol_list_end")
ERRORS_SHOWN = 10  # of one file; a file of another kind would give one for each line
SHOWN = 60  # characters of a wrong value
COLUMNS = ("name", "address", "kind", "prototype")
KEYS = (*COLUMNS[1:], "type", "spelled", "hash")
HASH = re.compile("[0-9a-f]{16}")
NOTHING = Interface({}, {})
KINDS = tuple(kind for kind in get_args(Kind) if kind)


class Head(NamedTuple):
    """What a text file may say about the firmware as a whole."""

    machine: int = 0
    slid_bits: int = 0
    cpu: Cpu | None = None
    heap: Heap | None = None
    types: Mapping[str, Any] = {}


class Table(NamedTuple):
    """What a text file tells: the exports, and what they are to a compiler, as far as it says so.

    ``hashes`` are those that the file gives (``abi.text.type_hash()``).
    """

    exports: ExportTable
    whole: Interface = NOTHING
    hashes: Mapping[str, str] = {}

    def interface(self, names: Iterable[str]) -> Interface:
        """Those of ``names`` whose type the file gives, and the types that they reach."""
        return closure(self.whole, names)


class Row(NamedTuple):
    """One entry of a text file before it is judged: values as the format gives them."""

    line: int | None
    name: Any
    address: Any
    kind: Any = ""
    prototype: Any = ""
    type: Any = None
    spelled: Any = None
    hash: Any = ""


def read_exports(path: str | os.PathLike[str], *, as_it_is: bool = False) -> ExportTable:
    """The export table in a file, whatever its format: by content, then by the end of its name.

    Args:
        as_it_is: take a text that has no entry at all, or entries of address 0, as a firmware may have them.
    Raises:
        FormatError: the file cannot be read, or is an ELF file that is malformed.
        ExportsError: ``exports-missing``, ``exports-syntax`` or ``exports-duplicate``.
    """
    path = os.fspath(path)
    data = read_bytes(path)
    return (
        exports_of(read_object(data, path))
        if data.startswith(ELFMAG)
        else table_in(data, path, as_it_is=as_it_is).exports
    )


def table_in(data: bytes, path: str, *, as_it_is: bool = False) -> Table:
    """The table in a text file of these contents, as ``read_exports()``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(
            "exports-syntax",
            f"`{path}` is neither an ELF file nor text",
            at=Location(file=path, offset=error.start),
            help="give a firmware's ELF file, or a table as TOML, JSON, CSV or linker script",
        )
    return _from_text(path, text, FORMATS[_format_of(path, text)].read, as_it_is)


def write_exports(
    table: ExportTable, suffix: str, whole: Interface = NOTHING, hashes: Mapping[str, str] | None = None
) -> str:
    """A table as text in the format of ``suffix``, a key of ``FORMATS``. Of a name given twice the first one counts.

    Args:
        whole: what the symbols are to a compiler: TOML and JSON keep it, CSV and linker scripts prototypes only.
        hashes: of symbols that ``whole`` lacks.
    """
    once = replace(table, symbols=tuple(e for e in table.symbols if table.by_name[e.name] is e))
    return FORMATS[suffix].write(Table(with_prototypes(once, whole), whole, hashes or {}))


def with_prototypes(table: ExportTable, whole: Interface) -> ExportTable:
    """The table with the prototypes of what is known to be more than a name."""
    known = whole.symbols
    symbols = (e._replace(prototype=prototype(e.name, known[e.name])) if e.name in known else e for e in table.symbols)
    return replace(table, symbols=tuple(symbols))


def read_listing(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names in a listing of SLIDs: ``0x87B31052 -> printk`` a line, as Zephyr's build writes it.

    Only the last word of a line counts: names alone will do as well. ``//``, ``#`` and ``/*`` begin a comment.

    Raises:
        FormatError: ``file-unreadable``.
        ExportsError: ``exports-syntax`` where a line's SLID is not that of its name.
    """
    path = os.fspath(path)
    source = _Source(path, read_bytes(path).decode("utf-8", "backslashreplace"))
    names = []
    for number, line in enumerate(source.text.splitlines(), 1):
        words = re.split(r"//|#|/\*", line, maxsplit=1)[0].split()
        if not words:
            continue
        name, known = words[-1], slid_from(words[0])
        if known and known[0] != slid(name, known[1]):
            expected = slid_text(slid(name, known[1]), known[1])
            source.error(number, f"`{words[0]}` is not the SLID of `{name}`, which is {expected}")
        names.append(name)
    source.reporter.checkpoint()
    return tuple(names)


# ---- firmware


def exports_of(firmware: ElfObject) -> ExportTable:
    """The table in a firmware's ELF file.

    Raises:
        ExportsError: ``exports-missing``, ``exports-syntax``.
    """
    if firmware.type not in (ET_EXEC, ET_DYN):
        fail(
            "exports-missing",
            f"`{firmware.path}` is an extension, not a firmware image",
            at=Location(file=firmware.path),
            help=f"`llext inspect {firmware.path}` lists what it exports; what takes extensions has `--extension`",
        )
    pointer = firmware.bits // 8
    area = _area(firmware)
    if area.size % (2 * pointer):
        fail(
            "exports-syntax",
            f"the export table has {area.size:,} bytes, no multiple of {2 * pointer}",
            at=Location(file=firmware.path, section=AREA),
        )
    pairs = area.view(f"<u{pointer}").reshape(-1, 2).tolist()
    (names, slid_bits), kind_of = _names(firmware, [word for word, _ in pairs]), _kinds(firmware)
    reporter, symbols, wrong = Reporter(), [], []
    for i, (name, (name_at, address)) in enumerate(zip(names, pairs, strict=True)):
        if name is None:
            wrong.append((2 * i * pointer, name_at))
        elif address:  # to Zephyr a null address is "not found": a weak symbol that nothing defines
            symbols.append(Export(name, address, kind_of.get((name, address)) or kind_of.get(("", address), "")))
    if wrong:
        offset, name_at = wrong[0]
        reporter.error(
            "exports-syntax",
            f"the export table's name pointer {name_at:#0{2 * pointer + 2}x} points to no string in the image",
            at=Location(file=firmware.path, section=AREA, offset=offset),
            notes=(f"so do {len(wrong) - 1} more of {len(pairs)} entries",) if len(wrong) > 1 else (),
            help="give the final image of the build (`zephyr.elf`), not an intermediate one",
        )
    reporter.checkpoint()
    arch = by_machine(firmware.machine)
    return ExportTable(
        source=firmware.path,
        symbols=tuple(symbols),
        machine=firmware.machine,
        slid_bits=slid_bits,
        cpu=arch.cpu(firmware) if arch else None,
        build=FirmwareBuild(firmware.path),
    )


def _area(firmware: ElfObject) -> Bytes:
    """The bytes of the table: a section of its own, or what the linker's two symbols enclose."""
    section = firmware.sections.index(AREA)
    if section is not None and firmware.sections.type[section] != SHT_NOBITS and firmware.sections.size[section]:
        return firmware.contents(section)
    values = firmware.symbols.value
    ends = {name: int(values[i]) for i in range(len(values)) if (name := firmware.symbols.name(i)) in AREA_ENDS}
    start, end = (ends.get(name, 0) for name in AREA_ENDS)
    found = _memory(firmware, start, end - start) if end > start else None
    if found is None:
        fail(
            "exports-missing",
            f"`{firmware.path}` {'has no' if section is None else 'has an empty'} export table",
            at=Location(file=firmware.path),
            notes=(f"a firmware with loadable extensions has a section `{AREA}`",),
            help="build the firmware with `CONFIG_LLEXT=y` and mark what it offers with `EXPORT_SYMBOL(name)`",
        )
    return found


def _memory(firmware: ElfObject, address: int, size: int) -> Bytes | None:
    """The bytes that the image has at an address, None if no single section has them all."""
    s = firmware.sections
    holds = (
        (s.flags & SHF_ALLOC != 0) & (s.type != SHT_NOBITS) & (s.addr <= address) & (address + size <= s.addr + s.size)
    )
    if not holds.any():
        return None
    i = int(np.flatnonzero(holds)[0])
    start = address - int(s.addr[i])
    return firmware.contents(i)[start : start + size]


def _names(firmware: ElfObject, words: Sequence[int]) -> tuple[list[str | None], int]:
    """What the table's first words stand for, None where it is nothing, and the bits of SLIDs if they are SLIDs.

    Without the section of names a table that has been prepared holds either pointers to names or SLIDs.
    """
    section = firmware.sections.index(SLID_NAMES)
    if section is not None:
        strings = firmware.contents(section).tobytes()
        by_slid = {
            slid(name, firmware.bits): name
            for part in strings.split(b"\0")
            if (name := part.decode("utf-8", "backslashreplace"))
        }
        found = [by_slid.get(w) or (_string(strings, w) if w < len(strings) else None) for w in words]
        return found, firmware.bits

    s = firmware.sections
    filled = np.flatnonzero((s.flags & SHF_ALLOC != 0) & (s.type != SHT_NOBITS) & (s.size > 0))
    parts = [(int(s.addr[i]), int(s.addr[i] + s.size[i]), firmware.contents(int(i)).tobytes()) for i in filled]

    def name_at(word: int) -> str | None:
        return next((_string(data, word - start) for start, end, data in parts if start <= word < end), None)

    found = [name_at(word) for word in words]
    area = s.index(AREA)
    if None in found and area is not None and s.flags[area] & PREPARED:
        return [slid_text(word, firmware.bits) for word in words], firmware.bits
    return found, 0


def _string(data: bytes, offset: int) -> str | None:
    if data.find(0, offset) <= offset:  # no end, or empty
        return None
    name = string_at(data, offset)
    return name if name.isprintable() and " " not in name else None


def _kinds(firmware: ElfObject) -> dict[tuple[str, int], Kind]:
    """(name, address) -> kind, and ("", address) -> kind of whatever the symbol table has there."""
    y = firmware.symbols
    kinds: dict[tuple[str, int], Kind] = {}
    known: tuple[tuple[int, Kind], ...] = ((STT_FUNC, "func"), (STT_OBJECT, "object"))
    for symbol_type, kind in known:
        for i in np.flatnonzero((y.type == symbol_type) & (y.shndx != SHN_UNDEF)).tolist():
            address = int(y.value[i])
            kinds[y.name(i), address] = kind
            kinds.setdefault(("", address), kind)
    return kinds


# ---- text


CONTENT = (
    (".json", re.compile(r"\s*\{")),
    (".toml", re.compile(r"^\s*\[exports", re.MULTILINE)),
    (".ld", re.compile(r"=[^=;]*;")),
    (".csv", re.compile(r"^[^,#]+,\s*(0x[0-9a-fA-F]+|\d+)", re.MULTILINE)),
)
"""What tells a format where the file's name does not; JSON's is tried at the start of the text only."""


def _format_of(path: str, text: str) -> str:
    suffix = os.path.splitext(path)[1].lower()
    if suffix in (".lds", ".x", ".lcf"):
        suffix = ".ld"
    elif suffix not in FORMATS:
        suffix = next((s for s, sign in CONTENT if (sign.match if s == ".json" else sign.search)(text)), "")
    if not suffix:
        fail(
            "exports-syntax",
            f"the format of `{path}` is not known",
            at=Location(file=path),
            help="name the file *.toml, *.json, *.csv or *.ld, or give a firmware's ELF file",
        )
    return suffix


def _from_text(path: str, text: str, read: Callable[[_Source], tuple[Iterable[Row], Head]], as_it_is: bool) -> Table:
    source = _Source(path, text)
    rows, head = read(source)
    symbols: dict[str, Export] = {}
    signatures: dict[str, Signature] = {}
    hashes: dict[str, str] = {}
    first_at: dict[str, int | None] = {}
    for row in rows:
        export = _judge(source, row, 32 if head.machine in (40, 3) else 64, as_it_is)
        if export is None:
            continue
        earlier = symbols.get(export.name)
        if earlier is not None and earlier.address != export.address:
            source.error(
                row.line,
                f"`{export.name}` has two addresses: {earlier.address:#010x} and {export.address:#010x}",
                code="exports-duplicate",
                notes=(f"the first one is in line {first_at[export.name]}",) if first_at[export.name] else (),
            )
        elif earlier is None:
            symbols[export.name] = export
            first_at[export.name] = row.line
            if signature := _signature_of(source, row):
                signatures[export.name] = signature
            if row.hash:
                hashes[export.name] = row.hash
    types = {tag: layout for tag, entry in head.types.items() if (layout := _layout_of(source, tag, entry))}
    source.reporter.checkpoint()
    if not symbols and not as_it_is:
        fail("exports-missing", f"`{path}` lists no symbol", at=Location(file=path))
    slid_bits = head.slid_bits or next((known[1] for name in symbols if (known := slid_from(name))), 0)
    table = ExportTable(
        source=path,
        symbols=tuple(symbols.values()),
        machine=head.machine,
        slid_bits=slid_bits,
        cpu=head.cpu,
        heap=head.heap,
    )
    return Table(table, Interface(signatures, types), hashes)


def _signature_of(source: _Source, row: Row) -> Signature | None:
    if row.type is None:
        return None
    entry = {"prototype": row.prototype, "type": row.type}
    try:
        return read_signature(row.name, entry if row.spelled is None else {**entry, "spelled": row.spelled})
    except ValueError as error:
        source.error(row.line, f"the type of `{row.name}`: {error}")
        return None


def _layout_of(source: _Source, tag: str, entry: object) -> Layout | None:
    try:
        return read_layout(tag, entry)
    except ValueError as error:
        source.error(source.line_of(tag, "[=:\\]]"), f"`{_shown(tag)}`: {error}")
        return None


class _Source:
    """A text file with the errors found in it so far."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text, self.reporter = path, text, Reporter()
        self._lines: dict[str, dict[str, int]] = {}  # of keys; one search for all, for a table may have thousands

    def error(
        self,
        line: int | None,
        message: str,
        *,
        code: str = "exports-syntax",
        notes: tuple[str, ...] = (),
        help: str = "",
    ) -> None:
        """Report one; after some of them stop, with all so far.

        Raises:
            ExportsError: there were ``ERRORS_SHOWN``.
        """
        self.reporter.error(code, message, at=Location(file=self.path, line=line), notes=notes, help=help)
        if len(self.reporter.diagnostics) >= ERRORS_SHOWN:
            self.reporter.checkpoint()

    def line_of(self, name: object, assign: str) -> int | None:
        """The line where a key first stands in front of ``assign``, found by its spelling: the parsers do not tell."""
        lines = self._lines.get(assign)
        if lines is None:
            lines = self._lines[assign] = {}
            word = r"""(?<![^\s"'#{,=:])([^\s"'#{,=:]++)"""  # a whole one, so that a long text takes no long time
            key = re.compile(rf"""(?:"([^"]*)"|'([^']*)'|{word})\s*{assign}""")
            for number, line in enumerate(self.text.split("\n"), 1):
                for found in key.finditer(line.partition("#")[0]):
                    lines.setdefault(found[found.lastindex or 0], number)
        return lines.get(str(name))


def _judge(source: _Source, row: Row, bits: int, as_it_is: bool) -> Export | None:
    name, line = row.name, row.line
    if not isinstance(name, str) or not name or not name.isprintable() or " " in name:
        source.error(line, f"expected the name of a symbol, found `{_shown(name)}`")
        return None
    address = _number(row.address)
    if address is None:
        source.error(line, f"expected an address for `{name}`, such as 0x08001235, found `{_shown(row.address)}`")
    elif not 0 <= address < 1 << bits:
        source.error(line, f"the address of `{name}`, {_shown(hex(address))}, does not fit {bits} bits")
    elif address == 0 and not as_it_is:
        source.error(
            line,
            f"`{name}` has address 0, which Zephyr takes for not exported",
            help=f"leave `{name}` out of the table",
        )
    if row.kind and row.kind not in KINDS:
        source.error(line, f'expected the kind of `{name}`, "func" or "object", found `{_shown(row.kind)}`')
    elif not isinstance(row.prototype, str):
        source.error(line, f"expected the prototype of `{name}` as text, found `{_shown(row.prototype)}`")
    elif not isinstance(row.hash, str) or (row.hash and not HASH.fullmatch(row.hash)):
        source.error(line, f"expected the hash of `{name}`, 16 hexadecimal digits, found `{_shown(row.hash)}`")
    elif address or (as_it_is and address is not None):
        return Export(name, address, row.kind or "", row.prototype)
    return None


def _shown(value: object) -> str:
    """The beginning of a value, for a message. Python writes no number of more than 4,300 decimal digits."""
    try:
        text = str(value)
    except ValueError:
        text = "a number too long to be shown"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value.strip(), 0)
        except ValueError:
            return None
    return None


def _read_toml(source: _Source) -> tuple[Iterable[Row], Head]:
    try:
        document = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        message, line = toml_fault(error, source.text.count("\n") + 1)
        if "overwrite" in message or "twice" in message:
            fail(
                "exports-duplicate",
                "a name is given twice",
                at=Location(file=source.path, line=line),
                help="keep one of the two",
            )
        fail("exports-syntax", f"not TOML: {message}", at=Location(file=source.path, line=line))
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        fail("exports-syntax", "not TOML: nested too deeply, or a number too long", at=Location(file=source.path))
    return _rows_of(source, document, "=")


def _read_json(source: _Source) -> tuple[Iterable[Row], Head]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
            source.error(source.line_of(twice, ":"), f"`{twice}` is given twice", code="exports-duplicate")
        return members

    try:
        document = json.loads(source.text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        fail("exports-syntax", f"not JSON: {_lower(error.msg)}", at=Location(file=source.path, line=error.lineno))
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        fail("exports-syntax", "not JSON: nested too deeply, or a number too long", at=Location(file=source.path))
    return _rows_of(source, document, ":")


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _rows_of(source: _Source, document: object, assign: str) -> tuple[Iterable[Row], Head]:
    """The rows of what TOML and JSON share: a table ``exports``, and ``machine``, the number of ELF's e_machine.

    A firmware that looks symbols up by SLID has ``slid_bits`` as well.
    """
    table = document.get("exports") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(table, dict):
        form = "a table `[exports]`" if assign == "=" else 'an object `{"exports": {...}}`'
        cure = "`llext exports` writes one of a firmware; a file of settings is for `--settings`"
        fail("exports-syntax", f"expected {form}", at=Location(file=source.path), help=cure)
    for key in document:
        if key not in ("exports", *Head._fields):
            form = "in front of `[exports]`" if assign == "=" else 'outside `"exports"`'
            expected = ", ".join(f"`{field}`" for field in Head._fields[:-1]) + f" and `{Head._fields[-1]}`"
            source.error(source.line_of(key, assign), f"`{key}` stands {form}; expected only {expected} there")
    machine = document.get("machine", 0)
    if isinstance(machine, bool) or not isinstance(machine, int) or not 0 <= machine < 1 << 16:
        source.error(
            source.line_of("machine", assign),
            f"expected the number of an ELF machine, such as 40, found `{_shown(machine)}`",
        )
        machine = 0
    slid_bits = document.get("slid_bits", 0)
    if type(slid_bits) is not int or slid_bits not in (0, *WIDTHS):  # neither a bool nor 32.0
        line = source.line_of("slid_bits", assign)
        source.error(line, f"expected 32 or 64, the bits of the firmware's SLIDs, found `{_shown(slid_bits)}`")
        slid_bits = 0
    cpu = _cpu_of(source, document["cpu"], assign) if "cpu" in document else None
    heap = _heap_of(source, document["heap"], assign, 32 if machine in (40, 3) else 64) if "heap" in document else None
    types = document.get("types", {})
    if not isinstance(types, dict):
        source.error(source.line_of("types", assign), f"expected types by their tags, found `{_shown(types)}`")
        types = {}
    rows = (_row_of(source, name, value, assign) for name, value in table.items())
    return rows, Head(machine, slid_bits, cpu, heap, types)


def _cpu_of(source: _Source, value: object, assign: str) -> Cpu | None:
    """What a table says of the firmware's CPU: the fields of ``Cpu``, without those that are empty."""
    line = source.line_of("cpu", assign)
    given: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    isa = given.get("isa")
    if isinstance(isa, list):
        given["isa"] = tuple(isa)
    known: dict[str, tuple[Any, ...]] = {
        "bits": (32, 64),
        "floats": ("", *get_args(FloatAbi)),
        "enum": (0, 1, 4),
        "wchar": (0, 2, 4),
    }
    wrong = [
        key
        for key, item in given.items()
        if key not in Cpu._fields
        or type(item) is not CPU_TYPES.get(key, str)
        or item not in known.get(key, (item,))
        or (isinstance(item, tuple) and not all(isinstance(word, str) for word in item))
    ]
    if wrong or "arch" not in given or "bits" not in given:
        what = f"`{wrong[0]}`" if wrong else "no `arch` and `bits`"
        source.error(line, f"expected what `llext exports` writes of a CPU, found {what}")
        return None
    return Cpu(**given)


def _heap_of(source: _Source, value: object, assign: str, bits: int) -> Heap | None:
    """What a table says of the firmware's heap for extensions: the fields of ``Heap``."""
    line = source.line_of("heap", assign)
    given: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    address, size, data = (_number(given.get(key, 0)) for key in ("address", "size", "data"))
    symbol = given.get("symbol")
    if given.keys() - set(Heap._fields) or None in (address, size, data) or symbol not in list(HEAPS):
        source.error(line, f"expected what `llext exports` writes of a heap, found `{_shown(value)}`")
        return None
    assert address is not None
    assert size is not None
    assert data is not None
    if address < 0 or size <= 0 or address + size > 1 << bits or not 0 <= data < 1 << bits:
        source.error(line, f"a heap cannot be at {_shown(address)} and have {_shown(size)} bytes")
        return None
    return Heap(symbol, address, size, data or None)


CPU_TYPES: Mapping[str, type] = {"bits": int, "isa": tuple, "enum": int, "wchar": int}  # of its fields; else text


def _row_of(source: _Source, name: str, value: Any, assign: str) -> Row:
    line = source.line_of(name, assign)
    if not isinstance(value, dict):
        return Row(line, name, value)
    meant: list[str] = []
    for key in value:
        if key not in KEYS:
            near = nearest(key, KEYS)
            meant.append(near)
            hint = f"did you mean `{near}`?" if near else f"the keys are {', '.join(f'`{k}`' for k in KEYS)}"
            source.error(line, f"`{name}` has an unknown key `{key}`", help=hint)
    if "address" not in value:
        if "address" not in meant:
            source.error(line, f"`{name}` has no `address`")
        value = {**value, "address": 1}  # reported; do not report it again as malformed
    return Row(line, name, **{key: value[key] for key in KEYS if key in value})


def _read_csv(source: _Source) -> tuple[Iterable[Row], Head]:
    return _csv_rows(source), Head()


def _csv_rows(source: _Source) -> Iterator[Row]:
    lines = (line if not line.lstrip().startswith("#") else "\n" for line in io.StringIO(source.text))
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    columns: tuple[str, ...] = COLUMNS
    first = True
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if not any(cells):
                continue
            if (
                first
                and set(header := [c.lower() for c in cells]) <= set(COLUMNS)
                and {"name", "address"} <= set(header)
            ):
                columns = tuple(header)
            elif len(cells) < 2 or len(cells) > len(columns):
                source.error(
                    reader.line_num,
                    f"expected {','.join(columns)}, found {len(cells)} column{'' if len(cells) == 1 else 's'}",
                    help="put a prototype that contains a comma in double quotes" if len(cells) > len(columns) else "",
                )
            else:
                yield Row(reader.line_num, **dict(zip(columns, cells, strict=False)))
            first = False
    except csv.Error as error:
        source.error(reader.line_num, f"not CSV: {error}")


_STATEMENT = re.compile(
    r"""(?P<provide>PROVIDE(_HIDDEN)?\s*\()?\s*
        (?P<name>"[^"]+"|[A-Za-z_.$/\\~][\w.$/\\~-]*)\s*=\s*
        (?P<value>[^;=]*?)\s*(?(provide)\))""",
    re.VERBOSE | re.DOTALL,
)
_SCALE = {"": 1, "K": 1 << 10, "M": 1 << 20}


def _read_script(source: _Source) -> tuple[Iterable[Row], Head]:
    return _script_rows(source), Head()


def _script_rows(source: _Source) -> Iterator[Row]:
    text = re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), source.text, flags=re.DOTALL)
    at = 0
    for part in text.split(";"):
        line = 1 + text.count("\n", 0, at + len(part) - len(part.lstrip()))
        last = at + len(part) >= len(text)
        at += len(part) + 1
        statement = part.strip()
        if not statement:
            continue
        found = _STATEMENT.fullmatch(statement)
        shown = " ".join(statement.split())[:60]
        if last:
            source.error(line, f"expected `;` after `{shown}`")
        elif found is None:
            source.error(line, f"expected `name = 0x...;` or `PROVIDE(name = 0x...);`, found `{shown}`")
        else:
            number = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([KM]?)", found["value"])
            if number is None:
                source.error(
                    line,
                    f"expected a number after `{found['name']} =`, found `{found['value'][:60]}`",
                    help="only numbers are read from a linker script: expressions depend on the link they belong to",
                )
                continue
            digits = number[1]
            octal = digits.startswith("0") and digits.isdecimal()
            try:
                value = int(digits, 8 if octal else 0)
            except ValueError:
                value = -1  # 08 or 09
            if value < 0:
                source.error(line, f"expected a number, found `{digits}`", help="a leading 0 makes a number octal")
            else:
                yield Row(line, found["name"].strip('"'), value * _SCALE[number[2]])


def _write_toml(table: Table) -> str:
    lines = [f"{key} = {_toml(value)}" for key, value in _head(table.exports).items()]
    lines += [*([""] if lines else []), "[exports]"]
    for export, address in zip(table.exports.symbols, _addresses(table.exports), strict=True):
        more = [f"{key} = {quote.toml(value)}" for key, value in _extras(table, export).items()]
        value = f"{{ {', '.join([f'address = {address}', *more])} }}" if more else address
        lines.append(f"{quote.toml_key(export.name)} = {value}")
    for tag, entry in sorted(types_entry(table.whole.types).items()):
        lines += ["", f"[types.{quote.toml(tag)}]", f"size = {entry['size']}", "members = ["]
        lines += [*(f"    {quote.toml(m)}," for m in entry["members"]), "]"]
    return "\n".join(lines) + "\n"


def _write_json(table: Table) -> str:
    exports: dict[str, Any] = {}
    for export, address in zip(table.exports.symbols, _addresses(table.exports), strict=True):
        extras = _extras(table, export)
        exports[export.name] = {"address": address, **extras} if extras else address
    types = dict(sorted(types_entry(table.whole.types).items()))
    document = {**_head(table.exports), "exports": exports, **({"types": types} if types else {})}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write_csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = zip(table.exports.symbols, _addresses(table.exports), strict=True)
    writer.writerows((e.name, address, e.kind, e.prototype) for e, address in rows)
    return out.getvalue()


def _write_script(table: Table) -> str:
    lines = []
    for export, address in zip(table.exports.symbols, _addresses(table.exports), strict=True):
        name = export.name if re.fullmatch(r"[A-Za-z_.$][\w.$]*", export.name, re.ASCII) else f'"{export.name}"'
        note = (export.prototype or export.kind).replace("*/", "* /")
        lines.append(f"{name} = {address};" + (f" /* {note} */" if note else ""))
    return "\n".join(lines) + "\n"


def _head(table: ExportTable) -> dict[str, Any]:
    """What the file says of the firmware as a whole, in values of JSON."""
    cpu = {key: value for key, value in table.cpu._asdict().items() if value} if table.cpu else {}
    heap = {key: value for key, value in table.heap._asdict().items() if value} if table.heap else {}
    heap |= {key: f"0x{heap[key]:08x}" for key in ("address", "data") if key in heap}
    head = {"machine": table.machine, "slid_bits": table.slid_bits, "cpu": cpu, "heap": heap}
    return {key: value for key, value in head.items() if value}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return quote.toml(value) if isinstance(value, str) else str(value)


def _addresses(table: ExportTable) -> list[str]:
    """Of all symbols, with as many digits as the widest one needs, 8 or 16."""
    digits = 16 if any(e.address >> 32 for e in table.symbols) else 8
    return [f"0x{e.address:0{digits}x}" for e in table.symbols]


def _extras(table: Table, export: Export) -> dict[str, Any]:
    """What else there is to say of a symbol, by ``KEYS``."""
    signature = table.whole.symbols.get(export.name)
    entry = signature_entry(export.name, signature) if signature else {"prototype": export.prototype}
    known = type_hash(export.name, table.whole) or table.hashes.get(export.name, "")
    return {key: value for key, value in {"kind": export.kind, **entry, "hash": known}.items() if value}


class Format(NamedTuple):
    """How a text format is read and written."""

    read: Callable[[_Source], tuple[Iterable[Row], Head]]
    write: Callable[[Table], str]


FORMATS: dict[str, Format] = {
    ".toml": Format(_read_toml, _write_toml),
    ".json": Format(_read_json, _write_json),
    ".csv": Format(_read_csv, _write_csv),
    ".ld": Format(_read_script, _write_script),
}
"""The text formats by the end of the file's name."""

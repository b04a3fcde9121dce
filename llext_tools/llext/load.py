"""``do_llext_load()``: the list of passes, in the loader's order.

Each pass raises at the first thing that the loader refuses; whoever calls frees everything in one place.
Source: Zephyr, ``subsys/llext/llext_load.c``.
"""

from __future__ import annotations

from llext_tools.arch.base import Arch
from llext_tools.diag import Location
from llext_tools.llext.config import Config
from llext_tools.llext.ext import Llext, LoadParam
from llext_tools.llext.heap import Heap
from llext_tools.llext.log import Level, Log, ret
from llext_tools.llext.lookup import Kernel, Lookup
from llext_tools.llext.memory import IMAGE, STRINGS, Memory
from llext_tools.llext.outcome import Refusal
from llext_tools.llext.regions import map_sections
from llext_tools.llext.relocate import Linker
from llext_tools.llext.source import POINTER, Source, fail, no_room
from llext_tools.llext.symbols import bases_of, export_table, globals_of, read_symbols, say_symbols, symbol_table
from llext_tools.llext.tables import find_tables, read_header, section_names
from llext_tools.llext.veneers import Veneers, veneer_region
from llext_tools.mem import Mem
from llext_tools.profile import Profile


def do_load(
    source: Source,
    ext: Llext,
    *,
    arch: Arch,
    bits: int,
    kernel: Kernel,
    config: Config,
    profile: Profile,
    param: LoadParam,
    log: Log,
) -> None:
    """Load one extension into ``ext``.

    Args:
        bits: of an address of the firmware.
        kernel: what can be imported.
    Raises:
        Refusal: what Zephyr returns, with everything that was found.
        Undefined: where its code does what C leaves undefined.
    """
    memory = Memory(source, ext, config, profile, param, bits, log)
    with Step(log, "", "prepare the loader"):
        source.prepare()
    with Step(log, "reading the ELF header", "read the ELF header and the section headers"):
        header = read_header(source, arch, bits, profile, ext, log)
    with Step(log, "looking for the tables", "find the tables that every load needs"):
        tables = find_tables(source, header, profile, log)
    with Step(log, "string tables into memory", "get the string tables into memory"):
        for mem in STRINGS:
            memory.copy(mem, tables.regions[mem])
    with Step(log, "sections to regions", "map the sections to regions"):
        names = section_names(source, header, ext.mem.get(Mem.SHSTRTAB), tables.regions[Mem.SHSTRTAB].size)
        tables = map_sections(source, header, tables, names, config, profile, param, log)
        ext.headers, ext.sections = header.sections, tables.sections
        ext.section_names = tuple(name or "" for name in names)
        if config.veneers:
            veneer = veneer_region(source, header, tables, config)
            if veneer is not None:
                tables.regions[Mem.VENEER] = veneer
        ext.regions = tables.regions
    ext.arena.taken[:] = [
        (at, at + tables.regions[mem].size) for mem, at in param.place.items() if mem in tables.regions
    ]

    with Step(log, "regions into memory", "get the regions into memory"):
        image = IMAGE if header.dyn and profile.dyn_image and not param.pre_located else ()
        if image:
            memory.copy_image(tables.regions)
        for mem in sorted(tables.regions):
            if mem not in STRINGS and mem not in image:
                memory.copy(mem, tables.regions[mem])
    if log.dbg:
        log(Level.DBG, gdb_line(ext, source.name))

    bases = bases_of(header, ext)
    with Step(log, "counting symbols", "count the symbols"):
        y = ext.symbols = read_symbols(source, header, ext, profile)
        if log.dbg:
            say_symbols(y, log)
    with Step(log, "room for the symbol table", "get room for the symbol table"):
        size = globals_of(y)[1] * 2 * POINTER[bits]
        ext.sym_tab_at = ext.arena.alloc(ext.arena.heaps.metadata, 1, size, "sym_tab")
        if ext.sym_tab_at is None and (size or profile.needs_globals):
            raise no_symbols(ext.arena.heaps.metadata, source.at, size)
        ext.alloc_size += size
    with Step(log, "symbols to addresses", "give the symbols their addresses"):
        ext.sym_tab = symbol_table(source, header, ext, y, bases, param, profile, log)

    if param.relocate_local:
        with Step(log, "linking", "link"):
            veneers = None
            if Mem.VENEER in ext.mem:
                veneers = Veneers(config, ext.mem[Mem.VENEER], ext.mem_size[Mem.VENEER])
            lookup = Lookup(source, header, ext, y, bases, kernel, config, profile, log)
            Linker(lookup, arch, veneers).run()
    with Step(log, "", "export"):
        ext.exp_tab = ext.sym_tab if config.import_all_globals else export_table(source, header, ext, param, profile)
        if ext.exp_tab:
            size = len(ext.exp_tab) * 2 * POINTER[bits]
            if ext.arena.alloc(ext.arena.heaps.metadata, 1, size, "exp_tab") is None:
                raise no_room(ext.arena.heaps.metadata, "`exp_tab`", size, source.at)
    if log.dbg:
        for symbol in ext.exp_tab:
            log(Level.DBG, "exported: {} at {:#x}", symbol.name, symbol.addr)
        text, rodata = ext.mem.get(Mem.TEXT, 0), ext.mem.get(Mem.RODATA, 0)
        log(Level.DBG, "loaded: {} bytes of heap, .text at {:#x}, .rodata at {:#x}", ext.alloc_size, text, rodata)


class Step:
    """One pass, with what the log says before it, and after it if it is refused."""

    def __init__(self, log: Log, doing: str, failed: str) -> None:
        self.log, self.failed = log, failed
        if doing:
            log(Level.DBG, doing)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, reason: BaseException | None, trace: object) -> None:
        if isinstance(reason, Refusal):
            if reason.said:
                self.log(Level.ERR, reason.said)
            self.log(Level.ERR, "could not {}: {}", self.failed, ret(reason.errno))


def no_symbols(heap: Heap, at: Location, size: int) -> Exception:
    """Why there is no symbol table: an allocation of 0 bytes fails like any other."""
    if size:
        return no_room(heap, "`sym_tab`", size, at)
    text = "the object has no global function and no global object"
    return fail("ENOMEM", "no-globals", text, at, help="make the entry function global, not `static`")


def gdb_line(ext: Llext, path: str) -> str:
    """The ``add-symbol-file`` command that tells GDB where each section is."""
    places = [
        f"-s {ext.section_names[i]} {ext.section_address(i):#x}"
        for i, home in sorted(ext.sections.items())
        if home.mem < Mem.EXPORT and home.mem in ext.mem
    ]
    return " ".join(["add-symbol-file", path, *places])

"""``do_llext_load()``: the list of passes, in the loader's order.

Each pass raises at the first thing that the loader refuses; whoever calls frees everything in one place.
Source: Zephyr, ``subsys/llext/llext_load.c``.
"""

from __future__ import annotations

from llext_tools.arch.base import Arch
from llext_tools.diag import Location
from llext_tools.llext.config import Config
from llext_tools.llext.ext import Llext, LoadParam
from llext_tools.llext.log import Level, Log
from llext_tools.llext.lookup import Kernel, Lookup
from llext_tools.llext.memory import IMAGE, STRINGS, Memory
from llext_tools.llext.regions import map_sections
from llext_tools.llext.relocate import Linker
from llext_tools.llext.source import POINTER, Source, fail
from llext_tools.llext.symbols import bases_of, export_table, globals_of, read_symbols, symbol_table
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
    memory = Memory(source, ext, config, profile, param, log)
    source.prepare()
    header = read_header(source, arch, bits, profile, ext, log)
    tables = find_tables(source, header, profile, log)
    for mem in STRINGS:
        memory.copy(mem, tables.regions[mem])
    names = section_names(source, header, ext.mem.get(Mem.SHSTRTAB), tables.regions[Mem.SHSTRTAB].size)
    tables = map_sections(source, header, tables, names, config, profile, param, log)
    ext.headers, ext.sections = header.sections, tables.sections
    ext.section_names = tuple(name or "" for name in names)
    if config.veneers:
        veneer = veneer_region(source, header, tables, config)
        if veneer is not None:
            tables.regions[Mem.VENEER] = veneer
    ext.regions = tables.regions

    image = IMAGE if header.dyn and profile.dyn_image else ()
    if image:
        memory.copy_image(tables.regions)
    for mem in sorted(tables.regions):
        if mem not in STRINGS and mem not in image:
            memory.copy(mem, tables.regions[mem])

    bases = bases_of(header, ext)
    y = read_symbols(source, header, ext, profile)
    count = globals_of(y)[1]
    size = count * 2 * POINTER[bits]
    if ext.arena.alloc(ext.arena.heaps.metadata, 1, size) is None:
        raise no_symbols(source.at, size)
    ext.alloc_size += size
    ext.sym_tab = symbol_table(source, header, ext, y, bases, param, profile, log)

    if param.relocate_local:
        veneers = None
        if Mem.VENEER in ext.mem:
            veneers = Veneers(config, ext.mem[Mem.VENEER], ext.mem_size[Mem.VENEER])
        lookup = Lookup(source, header, ext, y, bases, kernel, config, profile, log)
        Linker(lookup, arch, veneers).run()
    ext.exp_tab = ext.sym_tab if config.import_all_globals else export_table(source.space, header, ext, profile)
    if ext.exp_tab:
        size = len(ext.exp_tab) * 2 * POINTER[bits]
        if ext.arena.alloc(ext.arena.heaps.metadata, 1, size) is None:
            raise fail("ENOMEM", "load-memory", f"no room for the export table, {size:,} bytes", source.at)
    for symbol in ext.exp_tab:
        log(Level.DBG, f"sym {symbol.addr:#x} name {symbol.name}")
    if log.dbg:
        log(Level.DBG, gdb_line(ext, source.name))
        text, rodata = ext.mem.get(Mem.TEXT, 0), ext.mem.get(Mem.RODATA, 0)
        log(Level.DBG, f"loaded: {ext.alloc_size} bytes in heap, .text at {text:#x}, .rodata at {rodata:#x}")


def no_symbols(at: Location, size: int) -> Exception:
    """Why there is no symbol table: an allocation of 0 bytes fails like any other."""
    if size:
        return fail("ENOMEM", "load-memory", f"no room for the symbol table, {size:,} bytes", at)
    text = "the object has no global function and no global object"
    return fail("ENOMEM", "no-globals", text, at, help="make the entry function global, not `static`")


def gdb_line(ext: Llext, path: str) -> str:
    """The ``add-symbol-file`` command that tells GDB where each section is."""
    places = [
        f"-s {ext.section_names[i]} {ext.mem[mem] + offset:#x}"
        for i, (mem, offset) in sorted(ext.sections.items())
        if mem < Mem.EXPORT and mem in ext.mem
    ]
    return " ".join(["add-symbol-file", path, *places])

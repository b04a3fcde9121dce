"""Replaying a case of the conformance set: its steps against a ``Runtime``, and what each gave, in the set's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.cases import Case, files
from llext_tools import arch
from llext_tools.errors import LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.llext import BufLoader, Config, Llext, LoadParam, Log, Runtime, Storage
from llext_tools.mem import Mem

HEAP = range(0x2000_0000, 0x2004_0000)
BUFFER, GUARD = 0x3000_0000, 0x2000
VENEERS = {"arm_veneers": "v7m", "arm_veneers_v6m": "v6m"}


def runtime(case: Case, exports: Mapping[str, int], log: Log | None = None) -> Runtime:
    """The firmware of a case: its architecture, table, options and heap."""
    config = Config(
        heap="plain",
        heap_start=HEAP.start,
        heap_size=case.options.get("heap_size", len(HEAP)),
        veneers=VENEERS.get(case.variant, ""),  # type: ignore[arg-type]
        rodata_no_reloc=case.variant == "arm_noreloc",
        import_all_globals=case.variant == "arm_allglobals",
        log_level_dbg=case.variant != "arm_inf",
    )
    return Runtime(
        arch.load("riscv" if case.arch == "riscv" else "arm"), exports=ExportTable.of(exports), config=config, log=log
    )


def replay(
    case: Case,
    raw: Mapping[str, Any],
    *,
    place: bool,
    seen: Callable[[Llext], None] = lambda _: None,
    log: Log | None = None,
) -> list[dict[str, Any]]:
    """What each step gives, in the form of the recorded ``answers``, up to the first that is undefined.

    Args:
        raw: the case as ``cases.json`` has it.
        place: put the regions of the heap where they were, instead of where our heap has room.
        seen: is called with each extension that was loaded.
        log: receives the loader's log.
    """
    rt = runtime(case, {name: int(address, 0) for name, address in raw["exports"].items()}, log)
    buffer = BUFFER + case.options.get("bufofs", 0)
    given: list[dict[str, Any]] = []
    for step, answer in zip(raw["steps"], raw["answers"], strict=False):
        match step:
            case ["load", name, file]:
                data = files()[f"{case.id}/{file}"]
                loader = BufLoader(
                    data,
                    Storage(case.options.get("storage", "temporary")),
                    address=buffer,
                    peek=bool(case.options.get("peek", True)),
                )
                buffer += -(-len(data) // 0x1000) * 0x1000 + GUARD
                bases = {Mem[region["region"]]: int(region["base"], 0) for region in answer.get("regions", ())}
                bases = {mem: base for mem, base in bases.items() if place and base in HEAP}
                given.append(_load(rt, loader, name, _param(case, bases)))
                if (ext := rt.by_name(name)) is not None:
                    seen(ext)
            case ["unload", name]:
                ext = rt.by_name(name)
                result = {"op": "unload", "name": name, "rc": str(rt.unload(ext)) if ext else "no handle"}
                given.append({**result, "live_allocations": rt.heaps.data.allocations})
            case ["use", name]:
                ext = rt.by_name(name)
                given.append({"op": "use", "name": name, "use_count": ext.use_count if ext else -1})
            case ["find", name, symbol]:
                ext = rt.by_name(name)
                assert ext is not None
                address = rt.find_sym(ext.exp_tab, symbol)
                given.append({"op": "find", "name": name, "symbol": symbol, "addr": hex(address or 0)})
        if given[-1].get("rc") == "undefined":
            return given
    given.append({"op": "end", "live_allocations": rt.heaps.data.allocations})
    return given


def _param(case: Case, place: dict[Mem, int]) -> LoadParam:
    options = case.options
    detached = options.get("detach")
    return LoadParam(
        relocate_local=bool(options.get("relocate_local", True)),
        pre_located=bool(options.get("pre_located", False)),
        section_detached=None if detached is None else lambda header: header.offset == detached,
        place=place,
    )


def _load(rt: Runtime, loader: BufLoader, name: str, param: LoadParam) -> dict[str, Any]:
    try:
        rc, ext = rt.load(loader, name, param)
    except LlextError as error:
        return {"op": "load", "name": name, "rc": f"-{error.errno}" if error.errno else "undefined"}
    return {"op": "load", "name": name, "rc": str(rc), **_described(rt, ext)}


def _described(rt: Runtime, ext: Llext) -> dict[str, Any]:
    regions = [
        {
            "region": mem.name,
            "base": hex(base),
            "size": ext.mem_size[mem],
            "on_heap": ext.mem_on_heap[mem],
            "align": ext.regions[mem].align,
            "file_offset": ext.regions[mem].offset,
            "prepad": ext.regions[mem].prepad,
            "contents": rt.space.view(base, ext.mem_size[mem]).tobytes(),
        }
        for mem, base in sorted(ext.mem.items())
    ]
    sections = [
        [i, ext.section_names[i], mem.name, offset, hex(ext.section_address(i) or 0)]
        for i, (mem, offset) in sorted(ext.sections.items())
        if mem in ext.mem
    ]
    return {
        "ext_name": ext.name,
        "use_count": ext.use_count,
        "alloc_size": ext.alloc_size,
        "regions": regions,
        "sections": sections,
        "sym_tab": [[symbol.name, hex(symbol.addr) if symbol.addr else "0"] for symbol in ext.sym_tab],
        "exports": [[symbol.name, hex(symbol.addr) if symbol.addr else "0"] for symbol in ext.exp_tab],
        "dependencies": [each.name for each in ext.dependency],
    }

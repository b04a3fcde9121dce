"""What ``llext load`` says of each call of the loader: as JSON for programs, as lines for people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

from llext_tools.cli.render import BOLD, DIM, GREEN, RED, YELLOW, Paint, columns, diagnostics_to_json, wrap
from llext_tools.diag import CODES, Diagnostic, number
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError, UndefinedError
from llext_tools.llext.ext import Llext, LoadParam
from llext_tools.llext.heap import Heap
from llext_tools.llext.loaders import BufLoader
from llext_tools.llext.runtime import Runtime

SHOWN = 3


class Span(NamedTuple):
    """Addresses from ``start`` up to ``end``, and what is there."""

    what: str
    start: int
    end: int

    def common(self, other: Span) -> int:
        """How many bytes two spans have in common."""
        return max(min(self.end, other.end) - max(self.start, other.start), 0)


class Step(NamedTuple):
    """What one call of the loader gave; ``facts`` is what ``--json`` prints of it."""

    facts: dict[str, Any]
    diagnostics: tuple[Diagnostic, ...] = ()


def load_step(rt: Runtime, name: str, path: str, loader: BufLoader, param: LoadParam, buffers: Sequence[Span]) -> Step:
    """Load a file. ``buffers``: where the files are, for a warning where regions are placed on them."""
    logged = len(rt.log.lines)
    facts: dict[str, Any] = {"op": "load", "name": name, "file": path}
    facts |= {"file_size": len(loader.data), "buffer": loader.address}
    facts["place"] = {mem.name: at for mem, at in param.place.items()}
    found: Sequence[Diagnostic]
    ext = None
    try:
        facts["rc"], ext = rt.load(loader, name, param)
        found = () if facts["rc"] else (*ext.diagnostics, *(overlaps(rt, ext, buffers) if param.place else ()))
    except LlextError as error:
        facts["rc"] = f"-{error.errno}" if error.errno else "undefined"
        found = error.diagnostics
    found = gathered(with_sources(rt, loader.data, path, [with_path(d, name, path) for d in found]))
    facts["diagnostics"] = diagnostics_to_json(found)
    return Step(facts | described(rt, ext) | state(rt, logged), found)


def unload_step(rt: Runtime, name: str) -> Step:
    logged = len(rt.log.lines)
    facts: dict[str, Any] = {"op": "unload", "name": name, "rc": "no handle", "use_count": 0}
    ext = rt.by_name(name)
    if ext is not None:
        facts["rc"] = rt.unload(ext)
        facts["use_count"] = ext.use_count
    return Step(facts | state(rt, logged))


def with_path(d: Diagnostic, name: str, path: str) -> Diagnostic:
    """The loader knows an extension by its name; a person looks for the file."""
    if d.location is None or d.location.file != name:
        return d
    return d._replace(location=d.location._replace(file=path))


def with_sources(rt: Runtime, data: bytes, path: str, found: Sequence[Diagnostic]) -> Sequence[Diagnostic]:
    """Missing imports with their lines of the source and all their places."""
    if not any(CODES[d.code].error is UndefinedError for d in found):
        return found
    from llext_tools.link.missing import in_full

    try:
        return in_full(read_object(data, path), found, rt.exports)
    except LlextError:
        return found  # the loader bears files that are not well-formed


def gathered(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """One for each cause, where the loader complains of each place: three further places in notes, then a count."""
    causes: dict[Diagnostic, list[Diagnostic]] = {}
    for d in diagnostics:
        causes.setdefault(d._replace(location=None, detail=()), []).append(d)
    found = []
    for first, *others in causes.values():
        places = [d.location for d in others if d.location is not None]
        notes = [f"also at {at.section}+{at.offset or 0:#x}" for at in places[:SHOWN]]
        notes += [f"and from {number(len(places) - SHOWN, 'more place')}"] if len(places) > SHOWN else []
        found.append(first._replace(notes=(*first.notes, *notes)))
    return tuple(found)


def overlaps(rt: Runtime, ext: Llext, buffers: Sequence[Span]) -> tuple[Diagnostic, ...]:
    """A warning for each region that has been placed where something else is."""
    mine = list(spans_of(ext))
    others = [
        span._replace(what=f"{span.what} of `{each.name}`") for each in rt if each is not ext for span in spans_of(each)
    ]
    pairs = [*product(mine, [*others, *buffers]), *((a, b) for i, a in enumerate(mine) for b in mine[i + 1 :])]
    return tuple(
        Diagnostic("place-overlap", f"{a.what} and {b.what} have {common:,} bytes in common", severity="warning")
        for a, b in pairs
        if (common := a.common(b))
    )


def spans_of(ext: Llext) -> Iterable[Span]:
    """The regions that were given memory of their own."""
    for mem, base in sorted(ext.mem.items()):
        if ext.mem_on_heap[mem]:
            yield Span(f"region {mem.name}", base, base + ext.mem_size[mem])


# ---- for programs


def described(rt: Runtime, ext: Llext | None) -> dict[str, Any]:
    """What is known of an extension; the same keys if it was not loaded."""
    if ext is None:
        empty: dict[str, Any] = {key: [] for key in ("regions", "sections", "exports", "sym_tab", "dependencies")}
        return {"use_count": 0, "alloc_size": 0, **empty}
    return {
        "use_count": ext.use_count,
        "alloc_size": ext.alloc_size,
        "regions": [
            {
                "region": mem.name,
                "base": base,
                "size": ext.mem_size[mem],
                "align": ext.regions[mem].align,
                "prepad": ext.regions[mem].prepad,
                "file_offset": ext.regions[mem].offset,
                "on_heap": ext.mem_on_heap[mem],
                "sha256": sha256(rt, base, ext.mem_size[mem]),
            }
            for mem, base in sorted(ext.mem.items())
        ],
        "sections": [
            {"index": i, "name": ext.section_names[i], "region": mem.name, "offset": at, "addr": ext.section_address(i)}
            for i, (mem, at) in sorted(ext.sections.items())
            if mem in ext.mem
        ],
        "exports": [[symbol.name, symbol.addr] for symbol in ext.exp_tab],
        "sym_tab": [[symbol.name, symbol.addr] for symbol in ext.sym_tab],
        "dependencies": [each.name for each in ext.dependency],
    }


def sha256(rt: Runtime, base: int, size: int) -> str | None:
    """Of a region's contents, None if it has no memory: a pre-located .bss."""
    if rt.space.find(base, size) is None:
        return None
    return hashlib.sha256(rt.space.view(base, size).tobytes()).hexdigest()


def state(rt: Runtime, logged: int) -> dict[str, Any]:
    """How many allocations there are after a step, and what it logged."""
    return {
        "allocations": sum(heap.allocations for _, heap in heaps_of(rt)),
        "log": [str(line) for line in rt.log.lines[logged:]],
    }


def heaps_of(rt: Runtime) -> list[tuple[list[str], Heap]]:
    """Each heap with what it is for: one may be for everything."""
    unique = {id(heap): heap for heap in rt.heaps}
    return [([name for name, heap in rt.heaps._asdict().items() if heap is each], each) for each in unique.values()]


def document(rt: Runtime, steps: Sequence[Step], warnings: Sequence[Diagnostic]) -> dict[str, Any]:
    """What ``--json`` prints; ``heaps`` are as the last step left them."""
    return {
        "arch": rt.arch.name,
        "bits": rt.bits,
        "profile": rt.profile.name,
        "steps": [step.facts for step in steps],
        "heaps": [
            {
                "for": purposes,
                "start": heap.start,
                "size": heap.size,
                "used": heap.used,
                "free": heap.free_bytes,
                "largest": heap.largest,
                "allocations": heap.allocations,
            }
            for purposes, heap in heaps_of(rt)
        ],
        "diagnostics": diagnostics_to_json(warnings),
    }


# ---- for people


def text(step: Step, paint: Paint, digits: int, *, logged: bool) -> list[str]:
    """The lines about a step. ``digits``: of an address; ``logged``: the log is shown anyway."""
    facts = step.facts
    name = paint(facts["name"], BOLD)
    if facts["op"] == "unload":
        lines = [f"{name}: {unload_verdict(facts, paint)}"]
    else:
        lines = [f"{name}: {load_verdict(facts, paint)}"]
        lines += details(facts, paint, digits) if facts["rc"] == 0 else []
    if not logged and not step.diagnostics:
        lines += [line for each in facts["log"] for line in wrap(f"  {each}", columns(), "    ")]
    return lines


def load_verdict(facts: dict[str, Any], paint: Paint) -> str:
    rc = facts["rc"]
    if rc == "undefined":
        return f"{paint('undefined', RED)}: the board may stop, hang or go on with wrong data"
    if isinstance(rc, str):
        return paint(f"refused ({rc})", RED)
    if rc:
        return f"{paint(f'already loaded ({rc})', GREEN)}, its use count is {facts['use_count']} now"
    return f"{paint('loaded (0)', GREEN)}, alloc_size {facts['alloc_size']:,}"


def unload_verdict(facts: dict[str, Any], paint: Paint) -> str:
    rc = facts["rc"]
    if rc == "no handle":
        return paint("no extension of this name is loaded", YELLOW)
    if rc < 0:
        return f"{paint(f'not unloaded ({rc})', YELLOW)}, its use count was 0 already: it stays in memory"
    return paint(f"still in use ({rc})", YELLOW) if rc else paint("unloaded (0)", GREEN)


def details(facts: dict[str, Any], paint: Paint, digits: int) -> list[str]:
    """What a fresh extension consists of: regions, exports, those that it imports from."""
    lines = []
    column = max([8, *(len(region["region"]) for region in facts["regions"])])
    buffer = range(facts["buffer"], facts["buffer"] + facts["file_size"])
    for region in facts["regions"]:
        base, size, padding = region["base"], region["size"], region["prepad"]
        where = "heap" if region["on_heap"] else "ELF buffer" if base in buffer else "image on the heap"
        if region["sha256"] is None:
            where = "nowhere"
        elif facts["place"].get(region["region"]) == base:
            where = "placed"
        where += f", {padding:,} of padding first" if padding else ""
        lines.append(f"  {region['region']:{column}} 0x{base:0{digits}x} {size:>9,} bytes  {paint(where, DIM)}")
    names = [name or "(no name)" for name, _ in facts["exports"]]
    width = max(map(len, names), default=0)
    for i, (name, (_, at)) in enumerate(zip(names, facts["exports"], strict=True)):
        lines.append(f"  {'' if i else 'exports':{column}} {name:{width}}  0x{at:0{digits}x}")
    if not names:
        lines.append(f"  {'exports':{column}} nothing")
    if facts["dependencies"]:
        lines += wrap(f"  {'needs':{column}} {', '.join(facts['dependencies'])}", columns(), " " * (column + 3))
    return lines


def heap_lines(rt: Runtime) -> list[str]:
    """What is taken of each heap in the end."""
    lines = []
    for purposes, heap in heaps_of(rt):
        which = "heap" if len(purposes) == len(rt.heaps) else f"heap for {' and '.join(purposes)}"
        count = number(heap.allocations, "allocation")
        lines.append(f"{which}: {heap.used:,} of {heap.size:,} bytes in {count}, largest free {heap.largest:,}")
    if rt.config.heap == "counted":
        lines.append("(addresses by first fit; `--heap-kind k_heap` has the board's)")
    return lines

"""The loader's own answer: the object is loaded on the host, into the board's heap if that is known.

Else it is loaded wherever there is room, and what depends on addresses is not reported: nobody knows them yet. Without
a table of exports each undefined symbol has some address. The rules here look at the extension as it then lies in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np

from llext_tools.arch.base import Arch
from llext_tools.check.reach import veneers
from llext_tools.check.subject import Board, Footprint, HeapUse, Subject
from llext_tools.diag import Diagnostic, Reporter, number
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.errors import LlextError
from llext_tools.link.exports import ExportTable
from llext_tools.link.regions import ARRAYS
from llext_tools.llext import BufLoader, Config, Runtime, Storage
from llext_tools.llext.bill import Job, Meters, measure, option, smallest_heaps
from llext_tools.llext.config import KIB
from llext_tools.llext.ext import Llext
from llext_tools.llext.heap import Heaps, mpu_regions, rounded
from llext_tools.llext.loaders import BEHIND
from llext_tools.llext.memory import rounding
from llext_tools.llext.runtime import BUFFERS
from llext_tools.llext.space import LARGEST
from llext_tools.mem import PERM, Mem
from llext_tools.pages import PAGE
from llext_tools.profile import Profile

HEAP = 0x2000_0000
ROOM = 1 << 20  # for the loader's own data; regions come on top
PLACED = ("reloc-out-of-range", "reloc-deviates")
WRITABLE = (Mem.DATA, Mem.BSS)


class Loaded(NamedTuple):
    """An extension that was loaded by ``runtime``, whose heaps are ``meters`` if they are those of the board."""

    runtime: Runtime
    ext: Llext
    meters: Meters


LoadedRule: TypeAlias = Callable[[Subject, Loaded], Iterable[Diagnostic]]


def load(
    obj: ElfObject,
    arch: Arch,
    exports: ExportTable | None,
    board: Board,
    profile: Profile,
    reporter: Reporter,
    *,
    borrowed: Sequence[str] = (),
    completed: bool = False,
) -> Loaded | None:
    """Report why the loader refuses ``obj``, where it runs into undefined behaviour, and what it gets wrong.

    Args:
        borrowed: names that other extensions export, which are in the same heap.
        completed: what ``exports`` lacks has some address, too, so that more than its absence is found.
    Returns:
        The extension, None if it is refused or nothing can be said.
    """
    config = _config(obj, board, profile)
    if config is None:
        return None
    near = anyone(obj, config)
    table = near if exports is None else _as_injected(obj, exports)
    if exports is not None and completed:
        table = ExportTable.joined((table, near))
    if borrowed:
        table = ExportTable.joined((ExportTable.of({name: near.by_name[name].address for name in borrowed}), table))
    loaded, found = _load(obj, arch, table, board, config, profile)
    known = board.config is not None and board.located and exports is not None
    relevant = [each for each in found if known or not _depends_on_addresses(each, arch, obj.bits)]
    if loaded is None and not relevant:  # only because it is out of reach of what it imports
        loaded, found = _load(obj, arch, near, board, config, profile)
        relevant = [each for each in found if not _depends_on_addresses(each, arch, obj.bits)]
    if board.config is not None and board.sized:
        relevant = [
            _enough(each, obj, arch, board, config, profile) if each.code == "load-memory" else each
            for each in relevant
        ]
    reporter.add(relevant)
    return loaded


def _config(obj: ElfObject, board: Board, profile: Profile) -> Config | None:
    """The board's options, with a heap that is large enough if its own is not known; None if no board is so large.

    Of a large heap the first part is enough: nothing else is in it.
    """
    config = configured(board.config or Config(heap="plain"), profile)
    room = ROOM + 4 * int(obj.image.size) + 4 * int(obj.sections.size[obj.sections.type == elf.SHT_NOBITS].sum())
    room = -(-room // PAGE) * PAGE
    if board.config is not None and board.sized:
        part = config._replace(heap_size=min(config.heap_size, room), instr_heap_size=min(config.instr_heap_size, room))
        return part if config.memblk_block_size <= PAGE else config
    if room > LARGEST:
        return None  # simulating it would take as much memory here
    return config._replace(heap="plain", heap_start=HEAP, heap_size=room, harvard=False)


def configured(config: Config, profile: Profile) -> Config:
    """Options with what the profile has, and what files without SLIDs need."""
    no_reloc = config.rodata_no_reloc or profile.rodata_no_reloc
    return config._replace(rodata_no_reloc=no_reloc, export_builtins_by_slid=False)


def _load(
    obj: ElfObject, arch: Arch, exports: ExportTable, board: Board, config: Config, profile: Profile
) -> tuple[Loaded | None, Sequence[Diagnostic]]:
    try:
        rt = Runtime(arch, obj.bits, exports=exports, config=config, profile=profile)
        meters = measure(rt) if board.config is not None and board.sized else {}
        address = free_place(config, obj.image.size) if board.buffer is None else board.buffer
        _, ext = rt.load(BufLoader(obj.image.tobytes(), board.storage, address=address), obj.path)
    except LlextError as error:
        return None, error.diagnostics
    return Loaded(rt, ext, meters), ext.diagnostics


def lacking(obj: ElfObject, exports: ExportTable, profile: Profile) -> list[int]:
    """The undefined symbols that the loader would look for in vain, if a relocation needs them."""
    y = obj.symbols
    undefined = y.undefined
    if profile.weak_undefined == "null":
        undefined = undefined[y.bind[undefined] != elf.STB_WEAK]
    return [i for i in undefined.tolist() if exports.find(y.name(i)) is None]


def free_place(config: Config, size: int) -> int:
    """Where the file can be if nobody knows where it is: apart from the heaps."""
    at, room = BUFFERS, -(-size // PAGE) * PAGE + BEHIND
    starts = (config.heap_start, config.instr_heap_start, config.metadata_heap_start)
    sizes = (config.heap_size, config.instr_heap_size, config.metadata_heap_size)
    for start, length in sorted(zip(starts, sizes, strict=True)):
        if start < at + room and at < start + length + PAGE:
            at = -(-(start + length) // PAGE) * PAGE + PAGE
    return at


def anyone(obj: ElfObject, config: Config) -> ExportTable:
    """A firmware that exports all that the object lacks; the addresses are even, near and equal."""
    near = config.instr_heap_start if config.harvard else config.heap_start
    return ExportTable.of(dict.fromkeys(obj.symbols.names(obj.symbols.undefined.tolist()), near & -4 or 4), "anyone")


def _as_injected(obj: ElfObject, exports: ExportTable) -> ExportTable:
    """The table by name for an object without SLIDs, which get into it in the last step of a build."""
    y = obj.symbols
    if not exports.slid_bits or y.value[y.undefined].any():
        return exports
    return replace(exports.named(y.names(y.undefined.tolist())), slid_bits=0)


def _depends_on_addresses(found: Diagnostic, arch: Arch, bits: int) -> bool:
    if found.code not in PLACED:
        return False
    formulas = {row.name: row.formula for row in arch.loader_relocs[bits].values()}
    return found.code == "reloc-out-of-range" or "P" in formulas.get(found.message.split("`")[1], "")


def _enough(
    found: Diagnostic, obj: ElfObject, arch: Arch, board: Board, config: Config, profile: Profile
) -> Diagnostic:
    """``load-memory``, with the heaps that would do."""
    names = tuple(anyone(obj, config).by_name)
    job = Job(obj.image.tobytes(), obj.path, arch, obj.bits, config, profile, board.storage, True, board.buffer, names)
    try:
        kib = smallest_heaps(job)
    except LlextError:
        return found._replace(help="no heap is large enough for it")
    sizes = {option(config, kind): (kib[kind], _size(config, kind)) for kind in Heaps._fields}
    cures = [
        f"{name} {wanted * KIB:,} bytes" if name.endswith("()") else f"{name}={wanted}"
        for name, (wanted, have) in sizes.items()
        if wanted * KIB > have
    ]
    return found._replace(
        help=f"it takes {' and '.join(cures)}; `llext inspect --memory` adds it up" if cures else found.help
    )


def _size(config: Config, kind: str) -> int:
    """Bytes of the heap of a purpose."""
    if kind == "metadata" and config.heap == "memblk":
        return config.metadata_heap_size
    return config.instr_heap_size if kind == "instr" and config.harvard else config.heap_size


# ---- what is in memory now


def footprint(subject: Subject, loaded: Loaded) -> Footprint | None:
    """What the extension takes of its board, None if its heap is not known."""
    config, ext = subject.board.config, loaded.ext
    if config is None or not subject.board.sized:
        return None
    unique = {id(meter): (kind, meter) for kind, meter in reversed(loaded.meters.items())}
    uses = [
        HeapUse(option(config, kind), _size(config, kind), meter.peak, meter.used) for kind, meter in unique.values()
    ]
    parts = [part for part in ext.mem_parts.values() if part.size]
    return Footprint(
        heaps=tuple(reversed(uses)),
        rounding=sum(size - ext.mem_size[mem] for mem, size in ext.mem_rounded.items()),
        partitions=len(parts),
        mpu_regions=mpu_regions(config, [(part.start, part.size) for part in parts]),
        veneers=veneers(subject),
    )


def constructors(subject: Subject, loaded: Loaded) -> Iterator[Diagnostic]:
    """``run-bringup``: a constructor or destructor that is no code of the extension, which bringup then refuses."""
    ext = loaded.ext
    for mem in ARRAYS:
        if not ext.mem_size.get(mem):
            continue
        word = subject.obj.bits // 8
        table = loaded.runtime.space.view(ext.mem[mem], ext.mem_size[mem] // word * word)
        pointers = np.frombuffer(table.tobytes(), f"<u{word}")
        start = ext.mem.get(Mem.TEXT, 0)
        end = start + ext.mem_size.get(Mem.TEXT, 0)
        for i in np.flatnonzero((pointers < start) | (pointers >= end)).tolist():
            section = next(k for k, home in ext.sections.items() if home.mem is mem)
            yield Diagnostic(
                "run-bringup",
                f"entry {i} of {mem.name} points to {int(pointers[i]):#010x}, outside of the extension's code",
                location=subject.at(section)._replace(offset=i * word),
                detail=(f"TEXT is {start:#010x} to {end - 1:#010x}" if end else "the extension has no TEXT",),
                help="a null entry comes from a weak function that nobody defines",
            )


def buffer_alignment(subject: Subject, loaded: Loaded) -> Iterator[Diagnostic]:
    """``buffer-misaligned``: a region that could stay in the ELF buffer, but is copied as it is not aligned there."""
    ext, board = loaded.ext, subject.board
    if board.buffer is None or board.storage is Storage.TEMPORARY or ext.image:
        return
    config = rounding(loaded.runtime.config, subject.profile)
    for mem, region in ext.regions.items():
        if mem not in PERM or not ext.mem_on_heap.get(mem) or region.type == elf.SHT_NOBITS:
            continue
        if board.storage is Storage.PERSISTENT and (region.flags & elf.SHF_WRITE or region.has_relocs):
            continue
        align = rounded(config, region.size, region.align)[1]
        at, behind = board.buffer + region.offset, -region.offset % align
        place = f"{number(behind, 'byte')} behind" if behind else "at"
        yield Diagnostic(
            "buffer-misaligned",
            f"{mem.name} cannot stay in the file: the loader copies {number(ext.mem_rounded[mem], 'byte')} to the heap",
            severity="warning",
            location=subject.at(),
            detail=(f"in the ELF buffer it is at {at:#010x}, which is not aligned to {align:,}",),
            help=f"put the buffer {place} a multiple of {align:,}",
        )


def domain(subject: Subject, loaded: Loaded) -> Iterator[Diagnostic]:
    """``domain-full`` and ``domain-partition``: what llext_add_domain() would answer, or what a PMP has no room for."""
    rt, ext, board = loaded.runtime, loaded.ext, subject.board
    if board.config is None or not board.sized or rt.config.protection in ("none", "page"):
        return
    try:
        rt.add_domain(ext, rt.mem_domain())
    except LlextError as error:
        found = error.diagnostics[0]
        if found.code == "domain-full" or board.buffer is not None or board.storage is Storage.TEMPORARY:
            yield found._replace(severity="warning", location=subject.at())
        return
    if rt.config.protection != "pmp":
        return
    parts = [part for part in ext.mem_parts.values() if part.size]
    entries, free = mpu_regions(rt.config, [part[:2] for part in parts]), rt.config.mpu_regions - rt.config.mpu_static
    if entries > free - 1:
        yield Diagnostic(
            "domain-full",
            f"{len(parts)} partitions take {entries} entries of the PMP, of which {free - 1} are left",
            severity="warning",
            location=subject.at(),
            detail=(f"{rt.config.mpu_regions} entries: {rt.config.mpu_static} for the firmware, 1 for the stack",),
            help="`--config CONFIG_PMP_SLOTS=16`, in llext.toml `config`, says that there are more; "
            "fewer regions take fewer",
        )


def pages(subject: Subject, loaded: Loaded) -> Iterator[Diagnostic]:
    """``page-conflict``: code and data of a shared object in one page of an MMU, where the code cannot be executed."""
    rt, ext = loaded.runtime, loaded.ext
    if not ext.image or rt.config.protection != "page" or Mem.TEXT not in ext.mem:
        return
    step, code = rt.config.grain, ext.mem[Mem.TEXT]
    first, last = code // step, (code + ext.mem_size[Mem.TEXT] - 1) // step
    for mem in WRITABLE:
        if not ext.mem_size.get(mem):
            continue
        low, high = ext.mem[mem] // step, (ext.mem[mem] + ext.mem_size[mem] - 1) // step
        if first <= high and low <= last:
            text, data = ext.regions[Mem.TEXT].addr, ext.regions[mem].addr
            yield Diagnostic(
                "page-conflict",
                f"TEXT and {mem.name} share a page of {step:,} bytes: the loader makes it writable, not executable",
                location=subject.at(),
                detail=(f"TEXT is linked to {text:#010x}, {mem.name} to {data:#010x}",),
                help=f"link with `-z separate-code` and `-z max-page-size={step}`",
            )


RULES: tuple[LoadedRule, ...] = (constructors, buffer_alignment, domain, pages)

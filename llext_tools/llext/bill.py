"""What an extension costs of a firmware's memory, byte by byte: from loads that are really made, into heaps that count.

A load asks its heaps for the same memory in the same order whatever their size, so that the smallest heap that serves
is found by asking again; the bill itself is always that of a load. Undefined symbols are taken to be exported: where a
firmware does not have them, the loader needs as much memory until it says so.
Source: Zephyr, ``llext_load.c``, ``llext_mem.c``; ``subsys/llext/Kconfig`` for the options' names and units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from llext_tools.arch.base import Arch
from llext_tools.errors import LlextError, UsageError
from llext_tools.link.exports import ExportTable
from llext_tools.llext.config import KIB, Config
from llext_tools.llext.ext import Llext
from llext_tools.llext.heap import Heap, Heaps, NoHeap, heaps, mpu_regions
from llext_tools.llext.loaders import BufLoader, Storage
from llext_tools.llext.memory import IMAGE, PARTITIONS
from llext_tools.llext.runtime import BUFFERS, Runtime
from llext_tools.mem import PERM, Mem
from llext_tools.profile import Profile

ENOUGH, LARGEST = 1 << 18, 1 << 27
"""Bytes of a heap to begin with, and of the one into which an extension fits if it fits into any."""


class Row(NamedTuple):
    """One allocation, in bytes that add up to what it takes of the heap.

    ``contents`` is what was asked for of metadata, and of a region what its sections hold; ``prepad`` and ``gaps`` are
    what the file has in front of and between them, ``rounding`` is for the sake of protection, ``own`` what the heap
    adds. ``kept`` until the extension is unloaded, or freed when it is loaded.
    """

    what: str
    contents: int
    prepad: int
    gaps: int
    rounding: int
    own: int
    kept: bool

    @property
    def total(self) -> int:
        return self.contents + self.prepad + self.gaps + self.rounding + self.own


class HeapBill(NamedTuple):
    """One heap: ``size`` is ``own`` (its own tables) and ``taken`` and ``left``, in pieces of at most ``largest``.

    ``option`` sets its size, of which ``smallest`` KiB are enough.
    """

    option: str
    start: int
    size: int
    own: int
    taken: int
    left: int
    largest: int
    peak: int
    smallest: int
    rows: tuple[Row, ...]


class Bill(NamedTuple):
    """``in_place``: regions that stay in the ELF buffer, and their bytes; ``protected``: those that a domain gets."""

    heaps: tuple[HeapBill, ...]
    in_place: tuple[tuple[str, int], ...]
    protected: tuple[str, ...]
    mpu_regions: int
    alloc_size: int


class Job(NamedTuple):
    """A load to be made: of a file, by a firmware. ``imports``: the names that it is taken to export."""

    data: bytes
    name: str
    arch: Arch
    bits: int
    config: Config
    profile: Profile
    storage: Storage
    peek: bool
    buffer: int | None
    imports: tuple[str, ...]


class Taken(NamedTuple):
    """An allocation: what was asked for, and the bytes that the heap took for it."""

    address: int
    align: int
    size: int
    taken: int


class Meter:
    """A heap that remembers what it was asked for."""

    def __init__(self, heap: Heap) -> None:
        self.heap = heap
        self.asked: list[Taken] = []
        self.peak = 0

    def alloc(self, align: int, size: int) -> int | None:
        before = self.used
        address = self.heap.alloc(align, size)
        if address is not None:
            self.asked.append(Taken(address, align, size, self.used - before))
            self.peak = max(self.peak, self.used)
        return address

    def extremes(self, align: int, size: int) -> tuple[int, int] | None:
        return self.heap.extremes(align, size)

    def free(self, address: int) -> None:
        self.heap.free(address)

    @property
    def start(self) -> int:
        return self.heap.start

    @property
    def size(self) -> int:
        return self.heap.size

    @property
    def used(self) -> int:
        return self.heap.used

    @property
    def free_bytes(self) -> int:
        return self.heap.free_bytes

    @property
    def largest(self) -> int:
        return self.heap.largest

    @property
    def empty(self) -> bool:
        return self.heap.empty

    @property
    def allocations(self) -> int:
        return self.heap.allocations


Meters = dict[str, Meter]
"""The heaps by purpose, one of them perhaps for several."""


def memory_bill(job: Job) -> tuple[Bill, LlextError | None]:
    """The bill of a load, and why the load fails, if the heaps are too small: the bill is then that of the smallest.

    Raises:
        LlextError: no heap is large enough, or the loader refuses the file.
    """
    smallest = smallest_heaps(job)
    try:
        meters, ext = metered(job)
        return _bill(job, meters, ext, smallest), None
    except LlextError as error:
        if not _too_small(error):
            raise
        job = job._replace(config=sized(job.config, smallest))
        meters, ext = metered(job)
        return _bill(job, meters, ext, smallest), error


def metered(job: Job) -> tuple[Meters, Llext]:
    """Make a load, with heaps that count.

    Raises:
        LlextError: as ``Runtime.load()``.
    """
    heap = job.config.instr_heap_start if job.config.harvard else job.config.heap_start
    try:
        return _metered(job, heap or 4)
    except LlextError as error:  # nobody knows where the imports are: within reach of the code, perhaps in the buffer
        if not job.imports or error.diagnostics[0].code != "reloc-out-of-range":
            raise
    return _metered(job, BUFFERS if job.buffer is None else job.buffer)


def _metered(job: Job, imports: int) -> tuple[Meters, Llext]:
    """The same, with all imports at one address."""
    config = job.config
    exports = ExportTable.of(dict.fromkeys(job.imports, imports))
    rt = Runtime(job.arch, job.bits, exports=exports, config=config, profile=job.profile)
    meters = measure(rt)
    _, ext = rt.load(BufLoader(job.data, job.storage, address=job.buffer, peek=job.peek), job.name)
    return meters, ext


def measure(rt: Runtime) -> Meters:
    """Let the heaps of a runtime that has loaded nothing yet count, those that an application gives it included."""
    config = rt.config
    if config.heap == "dynamic" and config.harvard:
        instr = config.instr_heap_start, config.instr_heap_size
        rt.heap_init_harvard(*instr, config.heap_start, config.heap_size)
    elif config.heap == "dynamic":
        rt.heap_init(config.heap_start, config.heap_size)
    unique = {id(heap): Meter(heap) for heap in rt.heaps}
    meters = {kind: unique[id(heap)] for kind, heap in zip(Heaps._fields, rt.heaps, strict=True)}
    rt.heaps = Heaps(**meters)
    return meters


def smallest_heaps(job: Job) -> dict[str, int]:
    """The smallest heaps with which the load succeeds, in KiB: each of the purposes that ``Heaps`` names.

    Raises:
        LlextError: no heap is large enough, or the loader refuses the file.
    """
    size = ENOUGH
    while True:
        try:
            meters, _ = metered(job._replace(config=sized(job.config, dict.fromkeys(Heaps._fields, size // KIB))))
            break
        except LlextError as error:
            if size >= LARGEST or not _too_small(error):
                raise
            size *= 8
    purposes: dict[int, list[str]] = {}
    for kind, meter in meters.items():
        purposes.setdefault(id(meter), []).append(kind)
    return {kind: kib for kinds in purposes.values() for kind, kib in _smallest(meters[kinds[0]], kinds, job).items()}


def sized(config: Config, kib: Mapping[str, int]) -> Config:
    """The firmware with heaps of these sizes."""
    return config._replace(
        heap_size=kib["data"] * KIB, instr_heap_size=kib["instr"] * KIB, metadata_heap_size=kib["metadata"] * KIB
    )


def _too_small(error: LlextError) -> bool:
    return error.diagnostics[0].code == "load-memory"


def _smallest(meter: Meter, kinds: Sequence[str], job: Job) -> dict[str, int]:
    """KiB of the heap of these purposes that serves all that ``meter`` was asked for, in that order."""
    config = job.config._replace(heap="k_heap") if job.config.heap == "dynamic" else job.config
    kib = max(sum(each.size for each in meter.asked) // KIB, 1)
    while True:
        try:
            sizes = {**dict.fromkeys(Heaps._fields, LARGEST // KIB), **dict.fromkeys(kinds, kib)}
            heap = getattr(heaps(sized(config, sizes), job.bits), kinds[0])
        except UsageError:  # no whole number of blocks, or no room for the heap's own tables
            heap = NoHeap()
        if all(heap.alloc(each.align, each.size) is not None for each in meter.asked):
            return dict.fromkeys(kinds, kib)
        kib += 1


def _bill(job: Job, meters: Meters, ext: Llext, smallest: Mapping[str, int]) -> Bill:
    found = {}
    for kind, meter in meters.items():
        found[id(meter)] = HeapBill(
            option=option(job.config, kind),
            start=meter.start,
            size=meter.size,
            own=meter.size - meter.used - meter.free_bytes,
            taken=meter.used,
            left=meter.free_bytes,
            largest=meter.largest,
            peak=meter.peak,
            smallest=smallest[kind],
            rows=tuple(_row(ext, each) for each in meter.asked),
        )
    parts = [ext.mem_parts[mem] for mem in PARTITIONS if mem in ext.mem_parts]
    in_place = [mem for mem in sorted(ext.mem) if not ext.mem_on_heap[mem] and mem not in _image(ext)]
    return Bill(
        heaps=tuple(found.values()),
        in_place=tuple((mem.name, ext.mem_size[mem]) for mem in in_place),
        protected=tuple(part.name for part in parts if part.size),
        mpu_regions=mpu_regions(job.config, [(part.start, part.size) for part in parts]),
        alloc_size=ext.alloc_size,
    )


def option(config: Config, kind: str) -> str:
    """What sets the size of a heap."""
    if config.heap == "dynamic":
        return "llext_heap_init_harvard()" if config.harvard else "llext_heap_init()"
    if config.heap == "memblk" and kind == "metadata":
        return "CONFIG_LLEXT_METADATA_HEAP_SIZE"
    if config.harvard:
        return "CONFIG_LLEXT_INSTR_HEAP_SIZE" if kind == "instr" else "CONFIG_LLEXT_DATA_HEAP_SIZE"
    return "CONFIG_LLEXT_EXT_HEAP_SIZE" if config.heap == "memblk" else "CONFIG_LLEXT_HEAP_SIZE"


def _image(ext: Llext) -> list[Mem]:
    """The regions that are part of a shared object's image."""
    return [mem for mem in IMAGE if mem in ext.mem] if "image" in ext.arena.what.values() else []


def _row(ext: Llext, each: Taken) -> Row:
    what, kept = ext.arena.what[each.address], each.address in ext.arena.owned
    if what == "image":
        contents, prepad, gaps = map(sum, zip(*(_parts(ext, mem) for mem in _image(ext)), strict=True))
        spans = [(ext.regions[mem].addr, ext.regions[mem].size) for mem in _image(ext)]
        span = max(addr + size for addr, size in spans) - min(addr for addr, _ in spans)
        gaps += span - sum(size for _, size in spans)
        return Row(what, contents, prepad, gaps, each.size - span, each.taken - each.size, kept)
    if what not in Mem.__members__:
        return Row(what, each.size, 0, 0, 0, each.taken - each.size, kept)
    mem = Mem[what]
    size, rounded = ext.mem_size[mem], ext.mem_rounded[mem]
    return Row(what, *_parts(ext, mem), rounded - size, each.taken - rounded, kept)


def _parts(ext: Llext, mem: Mem) -> tuple[int, int, int]:
    """Contents, prepad and gaps of a region."""
    region, size = ext.regions[mem], ext.mem_size[mem]
    prepad = region.prepad if size == region.size else 0  # string tables are copied before regions are padded
    if mem not in PERM or mem is Mem.VENEER:
        return size - prepad, prepad, 0
    inside = [(offset, ext.headers[i].size) for i, (home, offset) in ext.sections.items() if home is mem]
    contents = covered((offset, offset + size) for offset, size in inside if offset < ext.mem_size[mem])
    return contents, prepad, size - prepad - contents


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """How many bytes lie in one span at least."""
    total, end = 0, 0
    for start, stop in sorted(spans):
        total += max(stop - max(start, end), 0)
        end = max(end, stop)
    return total

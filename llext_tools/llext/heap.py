"""The heaps that the loader allocates from, as bookkeeping: addresses and sizes, no bytes.

``SysHeap`` is Zephyr's ``k_heap`` (``sys_heap``) and answers with its addresses. A heap is cut into chunks of whole
8-byte units; a chunk starts with its header (4 bytes, 8 in a big heap) and memory is the rest of it. The heap's own
tables lie in front of the first chunk, a last header behind the last one. Free chunks are kept in rings, one for each
power of two of their size. What the options leave open is Zephyr's default: CONFIG_SYS_HEAP_ALLOC_LOOPS=3, headers
chosen by size (CONFIG_SYS_HEAP_AUTO), no CONFIG_SYS_HEAP_RUNTIME_STATS, no canaries (a hardening level below FULL).

``MemBlocks`` is ``sys_mem_blocks`` as CONFIG_LLEXT_HEAP_MEMBLK uses it: blocks of one size, no headers between them.

``rounded()`` and ``in_blocks()`` give the size that the loader asks for, ``mpu_regions()`` what protecting it costs.

Sources (Zephyr): ``lib/heap/heap.c`` and ``heap.h``, ``lib/mem_blocks/mem_blocks.c``, ``lib/utils/bitarray.c``;
``subsys/llext/``: ``llext_mem.c`` and ``.h``, ``llext_kheap.h``, ``llext_memblk.c`` and ``.h``;
``arch/riscv/core/pmp.c``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Generic, NamedTuple, Protocol, TypeVar

from llext_tools.diag import fail
from llext_tools.llext.config import Config

UNIT = 8  # bytes; sizes and positions of chunks are counted in it
TRIES = 3  # CONFIG_SYS_HEAP_ALLOC_LOOPS: chunks looked at in the ring that may hold one of the size
BIG = 0x8000  # units; from here on a size needs more than the 15 bits of a small heap's header
MPU_MINIMUM = 32  # bytes; LLEXT_PAGE_SIZE without an MMU


class Heap(Protocol):
    """Memory that is allocated and freed. Addresses and sizes in bytes."""

    @property
    def start(self) -> int: ...

    @property
    def size(self) -> int: ...

    def alloc(self, align: int, size: int) -> int | None:
        """An address, or None where C gives NULL. ``align`` is a power of two, or 0 for any.

        ``size`` is taken as a ``size_t``: a negative one is huge, 0 gives None.
        """
        ...

    def extremes(self, align: int, size: int) -> tuple[int, int] | None:
        """The lowest and the highest address that ``alloc()`` could give, whatever else is allocated; None if none."""
        ...

    def free(self, address: int) -> None:
        """Give back what ``alloc()`` gave.

        Raises:
            ValueError: the address is not that of an allocation; C would corrupt the heap or panic.
        """
        ...

    @property
    def used(self) -> int:
        """What the allocations take, with headers and rounding."""
        ...

    @property
    def free_bytes(self) -> int:
        """What is left for allocations and their headers, in however many pieces."""
        ...

    @property
    def largest(self) -> int:
        """The largest ``size`` that ``alloc(1, size)`` would serve now."""
        ...

    @property
    def empty(self) -> bool: ...

    @property
    def allocations(self) -> int: ...


Entry = TypeVar("Entry")


class Ledger(Generic[Entry]):
    """The allocations of a heap: ``_taken`` has what it notes of each, by address."""

    def __init__(self) -> None:
        self._taken: dict[int, Entry] = {}

    @property
    def empty(self) -> bool:
        return not self._taken

    @property
    def allocations(self) -> int:
        return len(self._taken)

    def _strike(self, address: int) -> Entry:
        """Forget an allocation, whose entry is returned."""
        if address not in self._taken:
            raise ValueError(f"`{address:08x}` is not an allocation of this heap")
        return self._taken.pop(address)


class SysHeap(Ledger[tuple[int, int]]):
    """``k_heap``: a ring of free chunks for each power of two, merged with their neighbours when they are freed.

    ``bits`` is the width of a pointer. All chunks are known by the unit at which they start. A free chunk without
    room for the links of a ring (one unit of a big heap) is in no ring: it waits for a neighbour.
    """

    def __init__(self, start: int, size: int, bits: int = 32) -> None:
        """An empty heap in ``size`` bytes from ``start``.

        Raises:
            UsageError: too small for the heap's own tables and one chunk.
        """
        self.start, self.size = start, size
        self._size_t = (1 << bits) - 1
        footer = 8 if bits > 32 or size // UNIT >= BIG else 4
        self._base = _up(start, UNIT)
        self._end = (start + size - footer) // UNIT - self._base // UNIT
        self._header = 8 if bits > 32 or self._end >= BIG else 4
        self._least = self._units(1)
        top = self._end - self._least + 1
        first = _up(16 + 4 * top.bit_length(), UNIT) // UNIT if top > 0 else 0  # struct z_heap and its buckets
        if top <= 0 or first + self._least > self._end:
            fail("usage", f"a heap of {size:,} bytes is too small for its own tables")
        self._rings: list[deque[int]] = [deque() for _ in range(top.bit_length())]
        self._free: dict[int, int] = {}  # chunk -> units
        self._before: dict[int, int] = {}  # where a free chunk ends -> the chunk
        super().__init__()  # chunk, units
        self._used = 0
        self._room = self._end - first
        self._put(first, self._room)

    def alloc(self, align: int, size: int) -> int | None:
        assert align & (align - 1) == 0, f"alignment {align} is not a power of two"
        size &= self._size_t
        if not size:
            return None
        align = max(align, self._header)  # a chunk's memory is aligned as its header is
        units = self._units(size + align - self._header)
        found = self._take(min(units, self._end))  # no chunk has as many units as the heap
        if found is None:
            return None
        chunk, have = found
        end = chunk + have
        address = self._memory(chunk, align)
        if align > self._header:  # found with room to spare: what is not needed on either side stays free
            inner = (address - self._header - self._base) // UNIT
            if inner > chunk:
                self._put(chunk, inner - chunk)
                chunk = inner
            units = _up(address + size - self._base, UNIT) // UNIT - chunk
        if end > chunk + units:
            self._put(chunk + units, end - chunk - units)
        self._taken[address] = chunk, units
        self._used += units
        return address

    def extremes(self, align: int, size: int) -> tuple[int, int] | None:
        align = max(align, self._header)
        first = self._end - self._room
        last = self._end - self._units((size & self._size_t) + align - self._header)
        if not size or last < first:
            return None
        return self._memory(first, align), self._memory(last, align)

    def free(self, address: int) -> None:
        chunk, units = self._strike(address)
        self._used -= units
        if chunk + units in self._free:
            units += self._drop(chunk + units)
        if chunk in self._before:
            left = self._before[chunk]
            units += self._drop(left)
            chunk = left
        self._put(chunk, units)

    @property
    def used(self) -> int:
        return self._used * UNIT

    @property
    def free_bytes(self) -> int:
        return (self._room - self._used) * UNIT

    @property
    def largest(self) -> int:
        """Less than the largest free chunk if that is not among the first ``TRIES`` of its ring."""
        for ring in reversed(self._rings):
            if ring:
                return max(self._free[ring[i]] for i in range(min(TRIES, len(ring)))) * UNIT - self._header
        return 0

    def _memory(self, chunk: int, align: int) -> int:
        """The first address of a chunk's memory that is aligned, which its header's size is at least."""
        address = self._base + chunk * UNIT + self._header
        return address if align <= self._header else _up(address, align)

    def _units(self, size: int) -> int:
        """The units of a chunk with ``size`` bytes of memory."""
        return _up(size + self._header, UNIT) // UNIT

    def _ring(self, units: int) -> int:
        return (units - self._least + 1).bit_length() - 1

    def _put(self, chunk: int, units: int) -> None:
        """Note a free chunk: last in its ring."""
        self._free[chunk] = units
        self._before[chunk + units] = chunk
        if units >= self._least:
            self._rings[self._ring(units)].append(chunk)

    def _drop(self, chunk: int) -> int:
        """Forget a free chunk, whose units are returned. Its successor becomes the first of the ring."""
        units = self._free.pop(chunk)
        del self._before[chunk + units]
        if units >= self._least:
            ring = self._rings[self._ring(units)]
            ring.rotate(-ring.index(chunk))
            ring.popleft()
        return units

    def _take(self, units: int) -> tuple[int, int] | None:
        """Take a free chunk of at least so many units out of its ring: (chunk, its units), or None.

        Of the ring that may hold chunks of this size a few are tried, and those found too small go to its end; every
        chunk of a higher ring fits.
        """
        index = self._ring(units)
        ring = self._rings[index]
        for _ in range(min(TRIES, len(ring))):
            if self._free[ring[0]] >= units:
                break
            ring.rotate(-1)
        else:
            ring = next(filter(None, self._rings[index + 1 :]), deque())
            if not ring:
                return None
        chunk = ring.popleft()
        have = self._free.pop(chunk)
        del self._before[chunk + have]
        return chunk, have


class MemBlocks(Ledger[int]):
    """``sys_mem_blocks``: the first run of free blocks that is long enough.

    All memory is aligned to the block's size and to no more: a larger alignment is refused, and so is 0, by which
    the loader's check would divide. The loader keeps an extension's allocations in a table with one entry for each
    region; an extension has no more than that, so the table's limit has no counterpart here.
    """

    def __init__(self, start: int, size: int, block: int, bits: int = 32) -> None:
        """All blocks are free.

        Raises:
            UsageError: a block is no power of two, or start or size is no multiple of it (Zephyr: BUILD_ASSERT).
        """
        if block < 1 or block & (block - 1):
            fail("usage", f"a block of {block:,} bytes is not a power of two")
        if start % block or size % block or size < block:
            text = f"a heap of {size:,} bytes at {start:#010x} is not made of blocks of {block:,} bytes"
            fail("usage", text, help=f"start and size have to be multiples of {block:,}: {block:#x}")
        self.start, self.size, self.block = start, size, block
        self._size_t = (1 << bits) - 1
        self._vacant = (1 << size // block) - 1  # a bit for each free block
        super().__init__()  # blocks

    def alloc(self, align: int, size: int) -> int | None:
        assert align & (align - 1) == 0, f"alignment {align} is not a power of two"
        count = -(-(size & self._size_t) // self.block)
        if not 1 <= align <= self.block or not 1 <= count <= self.size // self.block:
            return None
        runs = self._runs(count)
        if not runs:
            return None
        first = (runs & -runs).bit_length() - 1
        self._vacant ^= ((1 << count) - 1) << first
        address = self.start + first * self.block
        self._taken[address] = count
        return address

    def extremes(self, align: int, size: int) -> tuple[int, int] | None:
        room = _up(size & self._size_t, self.block)
        if not 1 <= align <= self.block or not 0 < room <= self.size:
            return None
        return self.start, self.start + self.size - room

    def free(self, address: int) -> None:
        count = self._strike(address)
        self._vacant |= ((1 << count) - 1) << (address - self.start) // self.block

    @property
    def used(self) -> int:
        return self.size - self.free_bytes

    @property
    def free_bytes(self) -> int:
        return self._vacant.bit_count() * self.block

    @property
    def largest(self) -> int:
        low, high = 0, self._vacant.bit_count()
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._runs(middle) else (low, middle - 1)
        return low * self.block

    def _runs(self, count: int) -> int:
        """A bit for each block at which ``count`` free ones start."""
        runs, have = self._vacant, 1
        while have < count:
            step = min(have, count - have)
            runs &= runs >> step
            have += step
        return runs


class PlainHeap(Ledger[int]):
    """A heap without bookkeeping: the first gap in which an allocation fits, in steps of ``GRANULE`` bytes."""

    GRANULE = 4

    def __init__(self, start: int, size: int, bits: int = 32) -> None:
        self.start, self.size, self._limit = start, size, 1 << bits - 1
        super().__init__()  # bytes

    def alloc(self, align: int, size: int) -> int | None:
        if not 0 < size < self._limit:
            return None
        step = max(align, self.GRANULE)
        address = _up(self.start, step)
        for start, end in self._spans():
            if address + size <= start:
                break
            address = max(address, _up(end, step))
        if address + size > self.start + self.size:
            return None
        self._taken[address] = _up(size, self.GRANULE)
        return address

    def extremes(self, align: int, size: int) -> tuple[int, int] | None:
        step = max(align, self.GRANULE)
        low, high = _up(self.start, step), (self.start + self.size - size) // step * step
        return (low, high) if 0 < size < self._limit and low <= high else None

    def free(self, address: int) -> None:
        self._strike(address)

    def _spans(self) -> list[tuple[int, int]]:
        return sorted((start, start + size) for start, size in self._taken.items())

    @property
    def used(self) -> int:
        return sum(self._taken.values())

    @property
    def free_bytes(self) -> int:
        return self.size - self.used

    @property
    def largest(self) -> int:
        spans = [(self.start, self.start), *self._spans(), (self.start + self.size, self.start + self.size)]
        return max(after[0] - before[1] for before, after in pairwise(spans))


class CountedHeap(PlainHeap):
    """The room of a ``k_heap``, bookkeeping included, with the addresses of a plain heap.

    It is for a heap of which size and place are known, but not what is in it before or how its bookkeeping was built:
    an allocation fails where an empty ``k_heap`` of this size would have no room.
    """

    def __init__(self, start: int, size: int, bits: int = 32) -> None:
        super().__init__(start, size, bits)
        self._room = SysHeap(start, size, bits)
        self._counted: dict[int, int] = {}  # address -> what stands for it in the k_heap

    def alloc(self, align: int, size: int) -> int | None:
        counted = self._room.alloc(align, size)
        if counted is None:
            return None
        address = super().alloc(align, size)
        if address is None:
            self._room.free(counted)
        else:
            self._counted[address] = counted
        return address

    def free(self, address: int) -> None:
        super().free(address)
        self._room.free(self._counted.pop(address))

    @property
    def used(self) -> int:
        return self._room.used

    @property
    def free_bytes(self) -> int:
        return self._room.free_bytes

    @property
    def largest(self) -> int:
        return self._room.largest


class NoHeap:
    """CONFIG_LLEXT_HEAP_DYNAMIC before ``llext_heap_init()``: nothing can be allocated."""

    start = size = used = free_bytes = largest = allocations = 0
    empty = True

    def alloc(self, align: int, size: int) -> int | None:  # noqa: ARG002
        return None

    def extremes(self, align: int, size: int) -> tuple[int, int] | None:  # noqa: ARG002
        return None

    def free(self, address: int) -> None:
        raise ValueError(f"`{address:08x}` is not an allocation of this heap")


OTHERS: dict[str, type[PlainHeap]] = {"plain": PlainHeap, "counted": CountedHeap}
"""The kinds of heap that are not Zephyr's."""


class Heaps(NamedTuple):
    """What the loader allocates from; the same object where a configuration has one heap for two of them.

    ``metadata`` holds ``struct llext``, the section map, a copy of the section headers, ``sym_tab`` and ``exp_tab``.
    Regions, among them the copies of the ELF's symbol and string tables, come from ``instr`` if they have
    SHF_EXECINSTR and from ``data`` if not; the image of an ET_DYN extension comes from ``instr``. They are freed by
    another rule: TEXT, VENEER and that image to ``instr``, every other region to ``data``.
    """

    metadata: Heap
    data: Heap
    instr: Heap


def k_heaps(data: Heap, instr: Heap | None = None) -> Heaps:
    """One ``k_heap`` for everything, or the two of a Harvard machine: metadata is with the data."""
    return Heaps(metadata=data, data=data, instr=data if instr is None else instr)


def heaps(config: Config, bits: int = 32) -> Heaps:
    """The heaps of a firmware, empty. A dynamic heap is none (``NoHeap``) until the application gives it memory.

    Raises:
        UsageError: a size does not suit its kind of heap.
    """

    def regions(start: int, size: int) -> Heap:
        if config.heap == "memblk":
            return MemBlocks(start, size, config.memblk_block_size, bits)
        return OTHERS.get(config.heap, SysHeap)(start, size, bits)

    if config.heap == "dynamic":
        return k_heaps(NoHeap())
    data = regions(config.heap_start, config.heap_size)
    found = k_heaps(data, regions(config.instr_heap_start, config.instr_heap_size) if config.harvard else None)
    if config.heap == "memblk":
        return found._replace(metadata=SysHeap(config.metadata_heap_start, config.metadata_heap_size, bits))
    return found


def rounded(config: Config, size: int, align: int) -> tuple[int, int]:
    """Size and alignment of a region with SHF_ALLOC, so that it can be protected by itself.

    The others (the ELF's tables, which are not the program's) are allocated as they are. This size is also the
    partition's, and this alignment decides whether the region can stay in the ELF buffer.
    """
    match config.protection:
        case "none":
            return size, align
        case "mpu-pow2":
            block = 1 << (max(size, align, MPU_MINIMUM) - 1).bit_length()
            return block, block
        case "mpu-32":
            step = MPU_MINIMUM
        case "page" | "pmp":
            step = config.grain
    return _up(size, step), max(align, step)


def in_blocks(config: Config, size: int) -> int:
    """What the loader asks of a heap for so many (rounded) bytes of a region or image, and adds to ``alloc_size``."""
    return _up(size, config.memblk_block_size) if config.heap == "memblk" else size


def mpu_regions(config: Config, regions: Iterable[tuple[int, int]]) -> int:
    """How many regions of an MPU, or entries of a PMP, protect these (start, size), in the order of the domain.

    An Arm or ARC MPU: one for each; where they must not overlap (``mpu-32``), up to twice as many with
    CONFIG_MPU_GAP_FILLING. A PMP: one for a region that starts where the one before, matched by its top (TOR), ends;
    one for a power of two that is aligned to itself (NAPOT); else two. The entry in front of the first region is that
    of the thread's stack, and is taken not to adjoin. An MMU, or no protection: none.
    """
    filled = [region for region in regions if region[1]]
    if config.protection in ("none", "page"):
        return 0
    if config.protection != "pmp":
        return len(filled)
    entries, top = 0, -1
    for start, size in filled:
        if start == top:
            entries, top = entries + 1, start + size
        elif size & (size - 1) == 0 and start % size == 0:
            entries, top = entries + 1, -1  # its register holds a pattern, not an end that the next could use
        else:
            entries, top = entries + 2, start + size
    return entries


def _up(value: int, step: int) -> int:
    return -(-value // step) * step

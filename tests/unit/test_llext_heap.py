"""The loader's heaps, its rounding of regions, and what protecting them costs.

Oracle: ``data/llext_heap.json``, answers of Zephyr's ``lib/heap/heap.c`` and ``lib/utils/bitarray.c`` (2026), compiled
for hosts of 32 and 64 bits with the heap at the addresses given there. A step ``[align, size, answer]`` is an
allocation, its answer the offset from the heap's start, or -1; ``[i]`` frees what step i allocated. A state
``[i, used, free, largest]`` is that before step i: bytes in used and in free chunks (or blocks), and the largest size
of alignment 1 that was served. The other figures are those of ``llext_mem.c`` and ``pmp.c``, worked out by hand.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llext_tools.errors import UsageError
from llext_tools.llext.config import Config, Protection
from llext_tools.llext.heap import (
    CountedHeap,
    Heap,
    Heaps,
    MemBlocks,
    PlainHeap,
    SysHeap,
    heaps,
    in_blocks,
    k_heaps,
    mpu_regions,
    rounded,
)

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "llext_heap.json").read_text())
START = 0x2000_0000
KIB = 1024


def state(heap: Heap) -> tuple[int, int, int]:
    return heap.used, heap.free_bytes, heap.largest


# ---- the addresses


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['heap']}-{case['bits']}-{case['size']}")
def test_each_answer_is_that_of_the_c_code(case: dict[str, Any]) -> None:
    start, size, bits = case["start"], case["size"], case["bits"]
    heap: Heap = MemBlocks(start, size, case["block"], bits) if "block" in case else SysHeap(start, size, bits)
    states = {index: tuple(figures) for index, *figures in case["states"]}
    live: dict[int, int] = {}
    for index, step in enumerate(case["steps"]):
        if index in states:
            assert state(heap) == states.pop(index), f"before step {index}"
        if len(step) == 1:
            heap.free(live.pop(step[0]))
        else:
            align, wanted, answer = step
            address = heap.alloc(align, wanted)
            assert (-1 if address is None else address - start) == answer, f"step {index}"
            if address is not None:
                live[index] = address
        assert heap.allocations == len(live)
    assert states == {len(case["steps"]): state(heap)}
    assert heap.empty


@pytest.mark.parametrize(("bits", "least"), [(32, 44), (64, 56)])
def test_the_smallest_heap_is_zephyrs(bits: int, least: int) -> None:
    """Oracle: Z_HEAP_MIN_SIZE of ``kernel.h``, the least that serves one byte."""
    assert SysHeap(START, least, bits).alloc(1, 1) is not None
    with pytest.raises(UsageError, match="too small"):
        SysHeap(START, least - 1, bits)


# ---- what holds of every heap


@st.composite
def made(draw: st.DrawFn) -> Heap:
    """A heap of either kind, for pointers of either width."""
    bits = draw(st.sampled_from([32, 64]))
    if draw(st.booleans()):
        return SysHeap(START + draw(st.integers(0, 40)), draw(st.integers(64, 5000)), bits)
    block = 1 << draw(st.integers(3, 8))
    return MemBlocks(START, block * draw(st.integers(1, 70)), block, bits)


STEPS = st.lists(
    st.tuples(
        st.booleans(),  # allocate, or free
        st.sampled_from([1, 2, 4, 8, 16, 32, 64, 256]),  # alignment
        st.integers(1, 90) | st.integers(1, 2000),  # size
        st.integers(0, 1000),  # which of the allocations to free
    ),
    max_size=80,
)


@given(made(), STEPS)
def test_allocations_are_apart_and_freeing_them_restores_the_heap(heap: Heap, steps: list[Any]) -> None:
    new = state(heap)
    live: dict[int, int] = {}
    for allocate, align, size, pick in steps:
        if allocate or not live:
            address = heap.alloc(align, size)
            if address is None:
                continue
            assert address % align == 0
            assert heap.start <= address
            assert address + size <= heap.start + heap.size
            live[address] = size
        else:
            address = sorted(live)[pick % len(live)]
            del live[address]
            heap.free(address)
        assert all(one + live[one] <= other for one, other in pairwise(sorted(live)))
        assert heap.allocations == len(live)
        assert heap.empty is (not live)
        assert heap.used >= sum(live.values())
        assert heap.used + heap.free_bytes == new[1]
    if heap.largest:
        assert deepcopy(heap).alloc(1, heap.largest) is not None
    assert deepcopy(heap).alloc(1, heap.largest + 1) is None
    for address in sorted(live, key=lambda at: live[at]):
        heap.free(address)
    assert state(heap) == new
    assert heap.empty


@pytest.mark.parametrize("heap", [SysHeap(START, KIB), SysHeap(START, KIB, 64), MemBlocks(START, KIB, 32)])
@pytest.mark.parametrize("size", [0, -1, -KIB, KIB + 1, 1 << 31, (1 << 32) - 1, (1 << 64) - 1, 1 << 64])
def test_no_size_and_impossible_sizes_have_no_room(heap: Heap, size: int) -> None:
    for align in (1, 8, 32):
        assert heap.alloc(align, size) is None
    assert heap.empty


@pytest.mark.parametrize("heap", [SysHeap(START, KIB), MemBlocks(START, KIB, 32)])
def test_freeing_what_is_not_allocated_is_an_error(heap: Heap) -> None:
    address = heap.alloc(4, 40)
    assert address is not None
    with pytest.raises(ValueError, match="not an allocation"):
        heap.free(address + 4)
    heap.free(address)
    with pytest.raises(ValueError, match=f"`{address:08x}` is not an allocation"):
        heap.free(address)


def test_any_alignment_is_that_of_the_header() -> None:
    """A region's ``sh_addralign`` may be 0. In a heap of blocks the loader's check then divides by it."""
    assert SysHeap(START, KIB).alloc(0, 40) == SysHeap(START, KIB).alloc(1, 40)
    assert MemBlocks(START, KIB, 32).alloc(0, 40) is None


@pytest.mark.parametrize(
    ("start", "size", "block"),
    [(START, KIB, 48), (START, KIB, 0), (START + 16, KIB, 32), (START, KIB + 8, 32), (0, 0, 8)],
)
def test_blocks_must_fit(start: int, size: int, block: int) -> None:
    """Zephyr refuses such a configuration when it is built."""
    with pytest.raises(UsageError, match="block"):
        MemBlocks(start, size, block)


# ---- a configuration's heaps


def kinds(found: Heaps) -> dict[str, tuple[str, int, int]]:
    return {name: (type(heap).__name__, heap.start, heap.size) for name, heap in found._asdict().items()}


def test_one_k_heap_serves_everything() -> None:
    found = heaps(Config(heap_size=8 * KIB))
    assert found.metadata is found.data
    assert found.metadata is found.instr
    assert kinds(found)["data"] == ("SysHeap", START, 8 * KIB)


def test_a_harvard_machine_keeps_metadata_with_its_data() -> None:
    """``llext_kheap.h`` defines ``llext_metadata_heap`` as ``llext_data_heap``."""
    found = heaps(Config(harvard=True, heap_size=8 * KIB))
    assert found.metadata is found.data
    assert kinds(found)["instr"] == ("SysHeap", 0x1000_0000, 4 * KIB)


def test_blocks_serve_regions_alone() -> None:
    assert kinds(heaps(Config(heap="memblk", heap_size=16 * KIB))) == {
        "metadata": ("SysHeap", 0x2100_0000, 4 * KIB),
        "data": ("MemBlocks", START, 16 * KIB),
        "instr": ("MemBlocks", START, 16 * KIB),
    }
    both = heaps(Config(heap="memblk", harvard=True, heap_size=16 * KIB))
    assert kinds(both) == {
        "metadata": ("SysHeap", 0x2100_0000, 4 * KIB),
        "data": ("MemBlocks", START, 16 * KIB),
        "instr": ("MemBlocks", 0x1000_0000, 4 * KIB),
    }


def test_a_dynamic_heap_has_no_room_before_it_is_given() -> None:
    found = heaps(Config(heap="dynamic"))
    assert [heap.alloc(1, 1) for heap in found] == [None, None, None]
    assert found.data.empty
    with pytest.raises(ValueError, match="not an allocation"):
        found.data.free(START)
    data, instr = SysHeap(START, KIB), SysHeap(0, KIB)
    assert k_heaps(data) == Heaps(metadata=data, data=data, instr=data)
    assert k_heaps(data, instr) == Heaps(metadata=data, data=data, instr=instr)


def test_the_width_of_pointers_reaches_the_heaps() -> None:
    """The first chunk of 8 KiB starts at byte 56; its header has 4 bytes where pointers have 4, else 8."""
    assert heaps(Config(heap_size=8 * KIB), bits=32).data.alloc(1, 1) == START + 56 + 4
    assert heaps(Config(heap_size=8 * KIB), bits=64).data.alloc(1, 1) == START + 56 + 8


# ---- regions


@pytest.mark.parametrize(
    ("protection", "granularity", "region", "expected"),
    [
        ("none", 4096, (5, 1), (5, 1)),
        ("none", 4096, (5, 0), (5, 0)),
        ("page", 4096, (1, 1), (4096, 4096)),
        ("page", 4096, (4096, 4), (4096, 4096)),
        ("page", 4096, (4097, 8192), (8192, 8192)),
        ("mpu-pow2", 4096, (1, 1), (32, 32)),
        ("mpu-pow2", 4096, (32, 4), (32, 32)),
        ("mpu-pow2", 4096, (33, 4), (64, 64)),
        ("mpu-pow2", 4096, (100, 1024), (1024, 1024)),
        ("mpu-pow2", 4096, (4097, 0), (8192, 8192)),
        ("mpu-32", 4096, (1, 1), (32, 32)),
        ("mpu-32", 4096, (65, 64), (96, 64)),
        ("pmp", 4, (5, 1), (8, 4)),
        ("pmp", 4, (8, 16), (8, 16)),
        ("pmp", 4096, (5, 4), (4096, 4096)),
    ],
)
def test_rounding(protection: Protection, granularity: int, region: tuple[int, int], expected: tuple[int, int]) -> None:
    assert rounded(Config(protection=protection, granularity=granularity), *region) == expected


def test_a_region_takes_whole_blocks_of_a_heap_of_blocks() -> None:
    config = Config(heap="memblk", memblk_block_size=256)
    assert [in_blocks(config, size) for size in (1, 256, 257)] == [256, 256, 512]
    assert in_blocks(Config(), 257) == 257


@pytest.mark.parametrize(
    ("regions", "entries"),
    [
        ([], 0),
        ([(0x1000, 0)], 0),
        ([(0x1000, 0x1000)], 1),  # a power of two, aligned to itself
        ([(0x1004, 4)], 1),
        ([(0x1000, 0x1800)], 2),  # bottom and top
        ([(0x1800, 0x1000)], 2),  # a power of two, but not aligned
        ([(0x1000, 0x1800), (0x2800, 0x304)], 3),  # the second starts at the top of the first
        ([(0x1000, 0x1800), (0x2800, 0x800), (0x3000, 0xC)], 4),
        ([(0x1000, 0x1000), (0x2000, 0x1800)], 3),  # the first has no top
        ([(0x2800, 0x304), (0x1000, 0x1800)], 4),  # in the other order they do not meet
        ([(0x1000, 0x1800), (0x1000, 0), (0x2800, 0x304)], 3),
    ],
)
def test_entries_of_a_pmp(regions: list[tuple[int, int]], entries: int) -> None:
    assert mpu_regions(Config(protection="pmp"), regions) == entries


@pytest.mark.parametrize(("protection", "each"), [("none", 0), ("page", 0), ("mpu-pow2", 1), ("mpu-32", 1)])
def test_regions_of_an_mpu(protection: Protection, each: int) -> None:
    regions = [(START, 0x1800), (START + 0x1800, 0x320), (0, 0), (START + 0x2000, 0x20)]
    assert mpu_regions(Config(protection=protection), regions) == 3 * each


@given(sizes=st.lists(st.tuples(st.sampled_from([1, 4, 8, 32]), st.integers(1, 300)), max_size=40))
def test_a_counted_heap_has_the_room_of_a_k_heap_and_the_addresses_of_a_plain_one(sizes: list[tuple[int, int]]) -> None:
    counted, k_heap, plain = (kind(0x2000_0000, 2048) for kind in (CountedHeap, SysHeap, PlainHeap))
    for align, size in sizes:
        room, address = k_heap.alloc(align, size), counted.alloc(align, size)
        assert (address is None) == (room is None)
        if address is not None:
            assert address == plain.alloc(align, size)
        assert (counted.used, counted.free_bytes, counted.largest) == (k_heap.used, k_heap.free_bytes, k_heap.largest)


# ---- the lowest and the highest address


@pytest.mark.parametrize("seed", range(40))
def test_extremes_are_what_a_heap_gives_at_most(seed: int) -> None:
    """Oracle: the heap itself, with all kinds of other allocations in it, and filled up from one end to the other."""
    r = random.Random(seed)
    size, start = r.choice([200, 1000, 4096, 8192]), 0x2000_0000 + r.choice([0, 4, 8, 100])
    bits = r.choice([32, 64])

    def made() -> Heap:
        if kind == "memblk":
            return MemBlocks(start & -64, size & -64, 64, bits)
        return SysHeap(start, size, bits) if kind == "k_heap" else PlainHeap(start, size, bits)

    kind = r.choice(["k_heap", "plain", "memblk"])
    align, wanted = 1 << r.randrange(7), r.randrange(1, size)
    ends = made().extremes(align, wanted)
    seen: list[int] = []
    for _ in range(30):
        heap = made()
        taken = [at for _ in range(r.randrange(20)) if (at := heap.alloc(1 << r.randrange(4), r.randrange(1, 60)))]
        for at in r.sample(taken, r.randrange(len(taken) + 1)):
            heap.free(at)
        at = heap.alloc(align, wanted)
        seen += [at] if at is not None else []
    assert (ends is None) is (made().alloc(align, wanted) is None)
    if ends is None:
        assert not seen
        return
    assert ends[0] <= min(seen, default=ends[0])
    assert max(seen, default=ends[1]) <= ends[1]
    assert made().alloc(align, wanted) == ends[0]
    assert highest(made, align, wanted) == ends[1]


def highest(made: Callable[[], Heap], align: int, wanted: int) -> int:
    """The highest address to be had: all in front of it is taken, as much as leaves room for it."""
    found = 0
    for first in range(1, made().size):
        heap = made()
        if heap.alloc(1, first) is None:
            break
        at = heap.alloc(align, wanted)
        found = max(found, at or 0)
    return found or (made().alloc(align, wanted) or 0)

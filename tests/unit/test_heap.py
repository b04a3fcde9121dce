"""The heap of the built-in host. Oracle: a dictionary of blocks; what each mistake is, the test says."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from llext_tools.host.heap import Heap, HeapError

START, SIZE = 0x1000, 1 << 14


class Bytes:
    def __init__(self) -> None:
        self.data = bytearray(START + SIZE)

    def peek(self, address: int, size: int) -> bytes:
        return bytes(self.data[address : address + size])

    def poke(self, address: int, data: bytes) -> None:
        self.data[address : address + len(data)] = data


def test_random_use_keeps_every_block() -> None:
    pick, memory = random.Random(3), Bytes()
    heap = Heap(memory, START, SIZE)
    blocks: dict[int, bytes] = {}
    for step in range(3000):
        if blocks and (pick.random() < 0.5 or len(blocks) > 40):
            address = pick.choice(list(blocks))
            assert memory.peek(address, len(blocks[address])) == blocks.pop(address)
            heap.release(address)
        else:
            data = pick.randbytes(pick.choice([0, 1, 7, 16, 100, 600]))
            address = heap.allocate(len(data))
            if address:
                assert address % 16 == 0
                assert START < address <= address + len(data) < START + SIZE
                memory.poke(address, data)
                blocks[address] = data
        if step % 100 == 0:
            heap.check()
        assert heap.used == sum(map(len, blocks.values()))
    for address in blocks:
        heap.release(address)
    heap.check()
    assert heap.allocate(SIZE - 32), "all of it is one block again"
    assert heap.allocate(1) == 0


@pytest.mark.parametrize(
    ("at", "message"),
    [(16, "memory directly behind"), (20, "memory 4 bytes behind"), (-1, "in front of"), (-16, "in front of")],
)
def test_writing_beside_a_block(at: int, message: str) -> None:
    memory = Bytes()
    heap = Heap(memory, START, SIZE)
    address = heap.allocate(16, "`f`")
    memory.poke(address + at, b"\0")
    looks: list[Callable[[], None]] = [heap.check, lambda: heap.release(address)]
    for look in looks:
        with pytest.raises(HeapError, match=message) as caught:
            look()
        assert "allocated by `f`" in caught.value.notes[0]


def test_freeing_what_is_not_a_block() -> None:
    heap = Heap(Bytes(), START, SIZE)
    address = heap.allocate(16)
    with pytest.raises(HeapError, match="not the start of a block"):
        heap.release(address + 4)
    with pytest.raises(HeapError, match="did not come from the heap"):
        heap.release(0x10)
    heap.release(address, "`g`")
    with pytest.raises(HeapError, match="a second time") as caught:
        heap.release(address)
    assert caught.value.notes == ("it was freed before by `g`",)


def test_writing_to_freed_memory_is_found_when_it_is_used_again() -> None:
    memory = Bytes()
    heap = Heap(memory, START, SIZE)
    address = heap.allocate(16)
    heap.release(address, "`g`")
    memory.poke(address + 5, b"!")
    with pytest.raises(HeapError, match="freed memory was written"):
        heap.check()
    with pytest.raises(HeapError, match="freed memory was written"):
        heap.allocate(16)

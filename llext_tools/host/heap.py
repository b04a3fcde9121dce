"""malloc and its like for the emulated extension, with the checks of a debugging heap.

Each block stands between guard bytes; new memory and freed memory have patterns that stand out. The bookkeeping is
outside of the target's memory, so that nothing an extension does confuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Protocol

from llext_tools.diag import number

GUARD = b"\xfd" * 16
FRESH = b"\xcd"
FREED = b"\xdd"
ALIGN = 16


class Raw(Protocol):
    """Memory access whatever the permissions are."""

    def peek(self, address: int, size: int) -> bytes: ...

    def poke(self, address: int, data: bytes) -> None: ...


class HeapError(Exception):
    """A mistake in the use of the heap: what happened, with ``{who}`` for who did it, and further facts."""

    def __init__(self, what: str, *notes: str) -> None:
        super().__init__(what)
        self.what, self.notes = what, notes


class Block(NamedTuple):
    """What is allocated. Who asked for it and who has freed it are whatever ``str()`` makes a phrase of."""

    size: int
    by: object
    freed_by: object = ""


class Heap:
    """First fit over one range of memory."""

    def __init__(self, memory: Raw, start: int, size: int) -> None:
        self._memory = memory
        self._free = [(start, size)]  # sorted by address, none touches the next
        self._blocks: dict[int, Block] = {}
        self._gone: dict[int, Block] = {}  # freed and not handed out again
        self.used = 0  # bytes, without the guards
        self.peak = 0

    @property
    def blocks(self) -> dict[int, Block]:
        """Address -> what is allocated there, in the order of allocation."""
        return dict(self._blocks)

    def state(self) -> object:
        """Its bookkeeping, without the contents of memory."""
        return list(self._free), dict(self._blocks), dict(self._gone), self.used, self.peak

    def put_back(self, state: Any) -> None:
        """Go back to a ``state()``."""
        free, blocks, gone, self.used, self.peak = state
        self._free, self._blocks, self._gone = list(free), dict(blocks), dict(gone)

    def allocate(self, size: int, by: object = "") -> int:
        """The address of ``size`` fresh bytes, aligned to 16; 0 if there is no room."""
        whole = _whole(size)
        i = next((i for i, (_, room) in enumerate(self._free) if room >= whole), None)
        if i is None:
            return 0
        start, room = self._free[i]
        self._free[i : i + 1] = [(start + whole, room - whole)] if room > whole else []
        for address in [a for a in self._gone if start <= a < start + whole]:
            self._check_freed(address, self._gone.pop(address), "found when it was to be used again here")
        address = start + len(GUARD)
        fill = FRESH * size + GUARD[:1] * (whole - size - len(GUARD))
        self._memory.poke(start, GUARD + fill)
        self._blocks[address] = Block(size, by)
        self.used += size
        self.peak = max(self.peak, self.used)
        return address

    def release(self, address: int, by: object = "") -> None:
        """Raises:
        HeapError: the address is not that of a block, or memory behind or before the block was written."""
        block = self._blocks.get(address)
        if block is None:
            self._explain(address)
        self._check_guards(address, block, "found when it was freed here")
        del self._blocks[address]
        self.used -= block.size
        self._gone[address] = block._replace(freed_by=by)
        self._memory.poke(address, FREED * block.size)
        self._give_back(address - len(GUARD), _whole(block.size))

    def size_of(self, address: int) -> int:
        """Raises:
        HeapError: the address is not that of a block."""
        block = self._blocks.get(address)
        if block is None:
            self._explain(address)
        return block.size

    def check(self, tick: Callable[[], None] = lambda: None) -> None:
        """Look at all guards, and whether freed memory was written; ``tick`` is called for each block.

        Raises:
            HeapError: the first mistake found.
        """
        for address, block in self._blocks.items():
            tick()
            self._check_guards(address, block)
        for address, block in self._gone.items():
            tick()
            self._check_freed(address, block)

    def _explain(self, address: int) -> NoReturn:
        gone = self._gone.get(address)
        if gone is not None:
            raise HeapError(f"{{who}} frees {address:#010x} a second time", f"it was freed before by {gone.freed_by}")
        for start, block in self._blocks.items():
            if start < address < start + block.size:
                inside = f"it is {address - start:,} bytes inside a block of {block.size:,} bytes"
                raise HeapError(f"{{who}} frees {address:#010x}, which is not the start of a block", inside)
        raise HeapError(f"{{who}} frees {address:#010x}, which did not come from the heap")

    def _check_guards(self, address: int, block: Block, *notes: str) -> None:
        end = address + block.size
        behind = self._memory.peek(end, _whole(block.size) - len(GUARD) - block.size)
        made = f"the block of {block.size:,} bytes at {address:#010x} was allocated by {block.by}"
        for i, byte in enumerate(behind):
            if byte != GUARD[0]:
                where = f"{number(i, 'byte')} behind" if i else "directly behind"
                raise HeapError(f"memory {where} a block of the heap was written", made, *notes)
        if self._memory.peek(address - len(GUARD), len(GUARD)) != GUARD:
            raise HeapError("memory in front of a block of the heap was written", made, *notes)

    def _check_freed(self, address: int, block: Block, *notes: str) -> None:
        data = self._memory.peek(address, block.size)
        changed = len(data) - len(data.lstrip(FREED))
        if changed < len(data):
            raise HeapError(
                f"freed memory was written at {address + changed:#010x}",
                f"the block of {block.size:,} bytes at {address:#010x} was freed by {block.freed_by}",
                *notes,
            )

    def _give_back(self, start: int, size: int) -> None:
        merged: list[tuple[int, int]] = []
        for at, room in sorted([*self._free, (start, size)]):
            if merged and sum(merged[-1]) == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((at, room))
        self._free = merged


def _whole(size: int) -> int:
    """Bytes that a block takes: guards, and the rest up to the alignment, which guards too."""
    return -(-(size + 2 * len(GUARD)) // ALIGN) * ALIGN

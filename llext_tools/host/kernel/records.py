"""Kernel objects in the memory of the target, where C code can see them: their members by name.

An extension and its image agree on where each member is. The image's debug information says so, or that of an
extension that was built in a Zephyr tree; else it is as in <llext/kernel.h>, which has the members in the order of
Zephyr's default configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from llext_tools.abi.types import Layout
from llext_tools.host.guest import Guest

RECORDS: Mapping[str, str] = {
    "k_sem": "head:p tail:p count:u4 limit:u4",
    "k_mutex": "head:p tail:p owner:p lock_count:u4 owner_orig_prio:i4",
    "k_msgq": "head:p tail:p msg_size:p max_msgs:u4 buffer_start:p buffer_end:p read_ptr:p write_ptr:p used_msgs:u4"
    " flags:u1",
    "k_timer": "next:p previous:p function:p ticks:i8 head:p tail:p expiry_fn:p stop_fn:p period:i8 status:u4"
    " user_data:p",
    "k_queue": "first:p last:p head:p tail:p",
    "k_event": "head:p tail:p events:u4",
    "k_condvar": "head:p tail:p",
    "k_work": "next:p handler:p queue:p flags:u4",
    "k_work_delayable": "next:p handler:p work_queue:p flags:u4 after:p before:p function:p ticks:i8 queue:p",
    "k_work_q": " ".join(f"private{i}:p" for i in range(32)),
    "k_work_queue_config": "name:p no_yield:u1 essential:u1",
    "k_thread": " ".join(f"private{i}:p" for i in range(24)),
    "k_msgq_attrs": "msg_size:p max_msgs:u4 used_msgs:u4",
}
"""The structures of <llext/kernel.h>: member and type; p is as wide as a pointer."""

WAIT_QUEUE, ITEMS = "wait_q", "data_q"


class Place(NamedTuple):
    """A member: bytes from the start, bytes, whether it has a sign."""

    offset: int
    size: int
    signed: bool = False


class Record(NamedTuple):
    """A structure: bytes, and its members by name. ``head`` and ``tail`` are those of its list of waiting threads,
    ``first`` and ``last`` those of its list of items.
    """

    size: int
    members: Mapping[str, Place]


@cache
def declared(name: str, word: int) -> Record:
    """A structure as <llext/kernel.h> has it."""
    at, widest, members = 0, 1, {}
    for member, kind in (text.split(":") for text in RECORDS[name].split()):
        size = word if kind == "p" else int(kind[1])
        at = -(-at // size) * size
        members[member] = Place(at, size, kind[0] == "i")
        at, widest = at + size, max(widest, size)
    return Record(-(-at // widest) * widest, members)


def described(layout: Layout, word: int, types: Mapping[str, Layout]) -> Record:
    """A structure as debug information has it."""
    members = {}
    for member in layout.members:
        size = size_of(member.type, word, types)
        if size:
            members[member.name] = Place(member.offset, size, member.type.startswith("i"))
        if member.name == ITEMS and size == 2 * word:
            members["first"], members["last"] = Place(member.offset, word), Place(member.offset + word, word)
        if member.name == WAIT_QUEUE and size == 2 * word:
            members["head"], members["tail"] = Place(member.offset, word), Place(member.offset + word, word)
    return Record(layout.size, members)


def size_of(notation: str, word: int, types: Mapping[str, Layout]) -> int:
    """The bytes of a type in the notation of ``abi.types``; 0 if that cannot be told."""
    if notation.startswith(("*", "fn(")):
        return word
    if notation in types:
        return types[notation].size
    return int(notation[1:]) // 8 if notation[1:].isdecimal() else 0


class Records:
    """Reads and writes members of objects.

    Args:
        layouts: gives structures that differ from <llext/kernel.h>, by their tags; asked once, when it is needed.
    """

    def __init__(self, guest: Guest, layouts: Callable[[], Mapping[str, Record]] = dict) -> None:
        self._guest, self._layouts = guest, layouts
        self._known: dict[str, Record] = {}

    def of(self, name: str) -> Record:
        if not self._known:
            word = self._guest.model.word
            self._known = {each: declared(each, word) for each in RECORDS} | dict(self._layouts())
        return self._known[name]

    def get(self, name: str, address: int, *members: str) -> list[int]:
        """Raises:
        AccessError: the extension cannot read them."""
        record = self.of(name)
        data = self._guest.memory.read(address, record.size)
        found = []
        for member in members:
            offset, size, signed = record.members[member]
            found.append(int.from_bytes(data[offset : offset + size], "little", signed=signed))
        return found

    def put(self, name: str, address: int, **values: int) -> None:
        """Raises:
        AccessError: the extension cannot write them."""
        record = self.of(name)
        for member, value in values.items():
            offset, size, _ = record.members[member]
            data = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            self._guest.memory.write(address + offset, data)

    def fresh(self, name: str, address: int, **values: int) -> None:
        """Set up an object: nobody waits for it, and the rest of it is zero."""
        record = self.of(name)
        self._guest.memory.write(address, bytes(record.size))
        head = record.members.get("head")
        if head is not None:
            self.put(name, address, head=address + head.offset, tail=address + head.offset)
        self.put(name, address, **values)

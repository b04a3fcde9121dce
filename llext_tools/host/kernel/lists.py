"""Queues of items that link to each other, FIFO and LIFO: the list is in the target's memory, who waits is here.

The first word of an item is the kernel's. An item goes straight to the thread that waits for one.
Source: Zephyr 4.2, "FIFOs", "LIFOs", and ``kernel.h`` for the queues behind both.
"""

from __future__ import annotations

from collections.abc import Iterator

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import Kernel, kernel_of
from llext_tools.host.kernel.table import SYSCALL, Row


class Items:
    """The items of one queue."""

    def __init__(self, kernel: Kernel, queue: int) -> None:
        self._kernel, self._memory, self.address = kernel, kernel.guest.memory, queue
        self._word = kernel.guest.model.word
        self.first, self.last = kernel.records.get("k_queue", queue, "first", "last")

    def next(self, item: int) -> int:
        return int.from_bytes(self._memory.read(item, self._word), "little") & ~3  # two bits are flags

    def link(self, item: int, following: int) -> None:
        self._memory.write(item, following.to_bytes(self._word, "little"))

    def __iter__(self) -> Iterator[int]:
        item = self.first
        while item:
            self._kernel.guest.tick()
            yield item
            item = self.next(item)

    def insert(self, before: int, item: int) -> None:
        """Behind the item ``before``; 0: as the first one."""
        following = self.next(before) if before else self.first
        self.link(item, following)
        if before:
            self.link(before, item)
        self._keep(self.first if before else item, self.last if following else item)

    def take(self, item: int) -> bool:
        """Take an item out; whether it was in."""
        before = 0
        for each in self:
            if each == item:
                following = self.next(item)
                if before:
                    self.link(before, following)
                self._keep(self.first if before else following, self.last if following else before)
                return True
            before = each
        return False

    def _keep(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._kernel.records.put("k_queue", self.address, first=first, last=last)


def k_queue_init(guest: Guest, queue: int) -> None:
    kernel_of(guest).records.fresh("k_queue", queue)


def hand_over(kernel: Kernel, queue: int, item: int) -> bool:
    """Give an item to the first thread that waits; whether there is one."""
    receiver = kernel.wake_first(queue)
    if receiver is None:
        return False
    receiver.message = item
    kernel.reschedule()
    return True


def k_queue_append(guest: Guest, queue: int, item: int) -> None:
    kernel = kernel_of(guest)
    items = Items(kernel, queue)
    if not hand_over(kernel, queue, item):
        items.insert(items.last, item)


def k_queue_prepend(guest: Guest, queue: int, item: int) -> None:
    k_queue_insert(guest, queue, 0, item)


def k_queue_insert(guest: Guest, queue: int, before: int, item: int) -> None:
    kernel = kernel_of(guest)
    items = Items(kernel, queue)
    if not hand_over(kernel, queue, item):
        items.insert(before, item)


def k_queue_get(guest: Guest, queue: int, ticks: int) -> int:
    kernel = kernel_of(guest)
    items = Items(kernel, queue)
    if ticks:
        kernel.no_interrupt("k_queue_get")
    if items.first:
        item = items.first
        items.take(item)
        return item
    if not ticks:
        kernel.look()
        return 0
    thread = kernel.current
    thread.message = 0
    return 0 if kernel.wait("k_queue_get", "queue", queue, ticks) else thread.message


def k_queue_cancel_wait(guest: Guest, queue: int) -> None:
    """The first thread that waits gets no item."""
    kernel = kernel_of(guest)
    receiver = kernel.wake_first(queue)
    if receiver is not None:
        receiver.message = 0
        kernel.reschedule()


def k_queue_remove(guest: Guest, queue: int, item: int) -> int:
    return Items(kernel_of(guest), queue).take(item)


def k_queue_unique_append(guest: Guest, queue: int, item: int) -> int:
    if item in Items(kernel_of(guest), queue):
        return 0
    k_queue_append(guest, queue, item)
    return 1


def k_queue_is_empty(guest: Guest, queue: int) -> int:
    return not k_queue_peek_head(guest, queue)


def k_queue_peek_head(guest: Guest, queue: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    return Items(kernel, queue).first


def k_queue_peek_tail(guest: Guest, queue: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    return Items(kernel, queue).last


ROWS: tuple[Row, ...] = (
    Row("void k_queue_init(struct k_queue *queue)", k_queue_init, SYSCALL),
    Row("void k_queue_append(struct k_queue *queue, void *data)", k_queue_append),
    Row("void k_queue_prepend(struct k_queue *queue, void *data)", k_queue_prepend),
    Row("void k_queue_insert(struct k_queue *queue, void *before, void *data)", k_queue_insert),
    Row("void *k_queue_get(struct k_queue *queue, k_timeout_t timeout)", k_queue_get, SYSCALL),
    Row("void k_queue_cancel_wait(struct k_queue *queue)", k_queue_cancel_wait, SYSCALL),
    Row("bool k_queue_remove(struct k_queue *queue, void *data)", k_queue_remove),
    Row("bool k_queue_unique_append(struct k_queue *queue, void *data)", k_queue_unique_append),
    Row("int k_queue_is_empty(struct k_queue *queue)", k_queue_is_empty, SYSCALL),
    Row("void *k_queue_peek_head(struct k_queue *queue)", k_queue_peek_head, SYSCALL),
    Row("void *k_queue_peek_tail(struct k_queue *queue)", k_queue_peek_tail, SYSCALL),
)

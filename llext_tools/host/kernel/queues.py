"""Message queues: the ring of messages is in the target's memory, who waits for one is here.

A message goes straight to the thread that waits for one, and from the thread that waits for room.
Source: Zephyr 4.2, "Message Queues".
"""

from __future__ import annotations

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import Kernel, kernel_of
from llext_tools.host.kernel.table import SYSCALL, Row

ENOMEM, EBUSY, EINVAL, ENOMSG = 12, 16, 22, 35
ALLOCATED = 1


def k_msgq_init(guest: Guest, msgq: int, buffer: int, size: int, most: int) -> None:
    set_up(kernel_of(guest), msgq, buffer, size, most)


def set_up(kernel: Kernel, msgq: int, buffer: int, size: int, most: int, flags: int = 0) -> None:
    kernel.records.fresh(
        "k_msgq",
        msgq,
        msg_size=size,
        max_msgs=most,
        buffer_start=buffer,
        buffer_end=buffer + size * most,
        read_ptr=buffer,
        write_ptr=buffer,
        flags=flags,
    )


def k_msgq_alloc_init(guest: Guest, msgq: int, size: int, most: int) -> int:
    if size * most >= 1 << guest.target.bits:
        return -EINVAL
    buffer = guest.heap.allocate(size * most, guest.site())
    if not buffer:
        return -ENOMEM
    set_up(kernel_of(guest), msgq, buffer, size, most, ALLOCATED)
    return 0


def k_msgq_cleanup(guest: Guest, msgq: int) -> int:
    kernel = kernel_of(guest)
    flags, buffer = kernel.records.get("k_msgq", msgq, "flags", "buffer_start")
    if kernel.sched.waiters(msgq):
        return -EBUSY
    if flags & ALLOCATED:
        guest.heap.release(buffer, guest.site())
        kernel.records.put("k_msgq", msgq, flags=flags & ~ALLOCATED)
    return 0


class Ring:
    """The messages of one queue, as its structure has them."""

    def __init__(self, kernel: Kernel, msgq: int) -> None:
        self._kernel, self.address = kernel, msgq
        names = ("msg_size", "max_msgs", "used_msgs", "buffer_start", "buffer_end", "read_ptr", "write_ptr")
        self.size, self.most, self.used, self.start, self.end, self.first, self.free = kernel.records.get(
            "k_msgq", msgq, *names
        )

    def at(self, index: int) -> int:
        """Where the message is that is the ``index``-th one, 0 the oldest."""
        place = self.first + index * self.size
        return place if place < self.end else place - (self.end - self.start)

    def add(self, source: int) -> None:
        memory = self._kernel.guest.memory
        memory.write(self.free, memory.read(source, self.size))
        self.free = self.start if self.free + self.size == self.end else self.free + self.size
        self.used += 1
        self._kernel.records.put("k_msgq", self.address, write_ptr=self.free, used_msgs=self.used)

    def add_front(self, source: int) -> None:
        memory = self._kernel.guest.memory
        self.first = (self.end if self.first == self.start else self.first) - self.size
        memory.write(self.first, memory.read(source, self.size))
        self.used += 1
        self._kernel.records.put("k_msgq", self.address, read_ptr=self.first, used_msgs=self.used)

    def take(self, to: int) -> None:
        memory = self._kernel.guest.memory
        memory.write(to, memory.read(self.first, self.size))
        self.first = self.start if self.first + self.size == self.end else self.first + self.size
        self.used -= 1
        self._kernel.records.put("k_msgq", self.address, read_ptr=self.first, used_msgs=self.used)


def put(guest: Guest, call: str, msgq: int, data: int, ticks: int, *, front: bool = False) -> int:
    kernel = kernel_of(guest)
    ring = Ring(kernel, msgq)
    if ticks:
        kernel.no_interrupt(call)
    if ring.used < ring.most:
        message = guest.memory.read(data, ring.size)
        receiver = kernel.wake_first(msgq)
        if receiver is not None:
            guest.memory.write(receiver.message, message)
            kernel.reschedule()
        elif front:
            ring.add_front(data)
        else:
            ring.add(data)
        return 0
    if not ticks:
        kernel.look()
        return -ENOMSG
    kernel.current.message = data
    return kernel.wait(call, "message queue", msgq, ticks)


def k_msgq_put(guest: Guest, msgq: int, data: int, ticks: int) -> int:
    return put(guest, "k_msgq_put", msgq, data, ticks)


def k_msgq_put_front(guest: Guest, msgq: int, data: int) -> int:
    return put(guest, "k_msgq_put_front", msgq, data, 0, front=True)


def k_msgq_get(guest: Guest, msgq: int, data: int, ticks: int) -> int:
    kernel = kernel_of(guest)
    ring = Ring(kernel, msgq)
    if ticks:
        kernel.no_interrupt("k_msgq_get")
    if ring.used:
        ring.take(data)
        sender = kernel.wake_first(msgq)
        if sender is not None:
            ring.add(sender.message)
            kernel.reschedule()
        return 0
    if not ticks:
        kernel.look()
        return -ENOMSG
    guest.memory.check_write(data, ring.size)
    kernel.current.message = data
    return kernel.wait("k_msgq_get", "message queue", msgq, ticks)


def k_msgq_peek(guest: Guest, msgq: int, data: int) -> int:
    return k_msgq_peek_at(guest, msgq, data, 0)


def k_msgq_peek_at(guest: Guest, msgq: int, data: int, index: int) -> int:
    kernel = kernel_of(guest)
    ring = Ring(kernel, msgq)
    if index >= ring.used:
        kernel.look()
        return -ENOMSG
    guest.memory.write(data, guest.memory.read(ring.at(index), ring.size))
    return 0


def k_msgq_purge(guest: Guest, msgq: int) -> None:
    kernel = kernel_of(guest)
    (free,) = kernel.records.get("k_msgq", msgq, "write_ptr")
    while kernel.wake_first(msgq, -ENOMSG):
        pass
    kernel.records.put("k_msgq", msgq, used_msgs=0, read_ptr=free)
    kernel.reschedule()


def k_msgq_num_used_get(guest: Guest, msgq: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    return Ring(kernel, msgq).used


def k_msgq_num_free_get(guest: Guest, msgq: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    ring = Ring(kernel, msgq)
    return ring.most - ring.used


def k_msgq_get_attrs(guest: Guest, msgq: int, attributes: int) -> None:
    kernel = kernel_of(guest)
    ring = Ring(kernel, msgq)
    kernel.records.put("k_msgq_attrs", attributes, msg_size=ring.size, max_msgs=ring.most, used_msgs=ring.used)


ROWS: tuple[Row, ...] = (
    Row("void k_msgq_init(struct k_msgq *msgq, char *buffer, size_t msg_size, uint32_t max_msgs)", k_msgq_init),
    Row(
        "int k_msgq_alloc_init(struct k_msgq *msgq, size_t msg_size, uint32_t max_msgs)",
        k_msgq_alloc_init,
        SYSCALL,
    ),
    Row("int k_msgq_cleanup(struct k_msgq *msgq)", k_msgq_cleanup),
    Row("int k_msgq_put(struct k_msgq *msgq, const void *data, k_timeout_t timeout)", k_msgq_put, SYSCALL),
    Row("int k_msgq_put_front(struct k_msgq *msgq, const void *data)", k_msgq_put_front, SYSCALL),
    Row("int k_msgq_get(struct k_msgq *msgq, void *data, k_timeout_t timeout)", k_msgq_get, SYSCALL),
    Row("int k_msgq_peek(struct k_msgq *msgq, void *data)", k_msgq_peek, SYSCALL),
    Row("int k_msgq_peek_at(struct k_msgq *msgq, void *data, uint32_t index)", k_msgq_peek_at, SYSCALL),
    Row("void k_msgq_purge(struct k_msgq *msgq)", k_msgq_purge, SYSCALL),
    Row("uint32_t k_msgq_num_used_get(struct k_msgq *msgq)", k_msgq_num_used_get, SYSCALL),
    Row("uint32_t k_msgq_num_free_get(struct k_msgq *msgq)", k_msgq_num_free_get, SYSCALL),
    Row("void k_msgq_get_attrs(struct k_msgq *msgq, struct k_msgq_attrs *attributes)", k_msgq_get_attrs, SYSCALL),
)

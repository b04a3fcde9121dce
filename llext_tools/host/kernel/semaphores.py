"""Semaphores: their count is in the target's memory, who waits for one is here.

Source: Zephyr 4.2, "Semaphores": the thread of the highest priority that waits is woken, of several the first one.
"""

from __future__ import annotations

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import kernel_of
from llext_tools.host.kernel.sched import EAGAIN
from llext_tools.host.kernel.table import SYSCALL, Row

EBUSY, EINVAL = 16, 22


def k_sem_init(guest: Guest, sem: int, initial: int, limit: int) -> int:
    if limit == 0 or initial > limit:
        return -EINVAL
    kernel_of(guest).records.fresh("k_sem", sem, count=initial, limit=limit)
    return 0


def k_sem_take(guest: Guest, sem: int, ticks: int) -> int:
    kernel = kernel_of(guest)
    (count,) = kernel.records.get("k_sem", sem, "count")
    if ticks:
        kernel.no_interrupt("k_sem_take")
    if count:
        kernel.records.put("k_sem", sem, count=count - 1)
        return 0
    if not ticks:
        kernel.look()
        return -EBUSY
    return kernel.wait("k_sem_take", "semaphore", sem, ticks)


def k_sem_give(guest: Guest, sem: int) -> None:
    kernel = kernel_of(guest)
    count, limit = kernel.records.get("k_sem", sem, "count", "limit")
    if not kernel.wake_first(sem):
        kernel.records.put("k_sem", sem, count=min(count + 1, limit))
    kernel.reschedule()


def k_sem_reset(guest: Guest, sem: int) -> None:
    kernel = kernel_of(guest)
    kernel.records.put("k_sem", sem, count=0)
    while kernel.wake_first(sem, -EAGAIN):
        pass
    kernel.reschedule()


def k_sem_count_get(guest: Guest, sem: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    return kernel.records.get("k_sem", sem, "count")[0]


ROWS: tuple[Row, ...] = (
    Row("int k_sem_init(struct k_sem *sem, unsigned int initial_count, unsigned int limit)", k_sem_init, SYSCALL),
    Row("int k_sem_take(struct k_sem *sem, k_timeout_t timeout)", k_sem_take, SYSCALL),
    Row("void k_sem_give(struct k_sem *sem)", k_sem_give, SYSCALL),
    Row("void k_sem_reset(struct k_sem *sem)", k_sem_reset, SYSCALL),
    Row("unsigned int k_sem_count_get(struct k_sem *sem)", k_sem_count_get, SYSCALL),
)

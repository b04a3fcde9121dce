"""Mutexes: owner and count are in the target's memory, who waits for one is here.

The owner may lock again. While somebody of a higher priority waits, the owner has that priority.
Source: Zephyr 4.2, "Mutexes".
"""

from __future__ import annotations

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.contexts import Context
from llext_tools.host.kernel.kernel import Kernel, kernel_of
from llext_tools.host.kernel.table import SYSCALL, Row

EPERM, EBUSY, EINVAL = 1, 16, 22


def k_mutex_init(guest: Guest, mutex: int) -> int:
    kernel_of(guest).records.fresh("k_mutex", mutex)
    return 0


def k_mutex_lock(guest: Guest, mutex: int, ticks: int) -> int:
    kernel = kernel_of(guest)
    kernel.no_interrupt("k_mutex_lock")
    records, me = kernel.records, kernel.current_address
    owner, count = records.get("k_mutex", mutex, "owner", "lock_count")
    if not count:
        records.put("k_mutex", mutex, owner=me, lock_count=1, owner_orig_prio=kernel.current.priority)
        return 0
    if owner == me:
        records.put("k_mutex", mutex, lock_count=count + 1)
        return 0
    if not ticks:
        kernel.look()
        return -EBUSY
    holder = kernel.thread_at(owner)
    if holder is not None and kernel.current.priority < holder.priority:
        kernel.sched.prioritise(holder, kernel.current.priority)
    result = kernel.wait("k_mutex_lock", "mutex", mutex, ticks)
    if result:  # the time is over: the owner need not hurry for this thread any more
        holder = kernel.thread_at(records.get("k_mutex", mutex, "owner")[0])
        (before,) = records.get("k_mutex", mutex, "owner_orig_prio")
        if holder is not None and settle(kernel, mutex, holder, before):
            kernel.reschedule()
    return result


def settle(kernel: Kernel, mutex: int, holder: Context, own: int) -> bool:
    """Give an owner its own priority, or that of the first thread that waits; whether it changed."""
    priority = min([own, *(thread.priority for thread in kernel.sched.waiters(mutex))])
    if priority == holder.priority:
        return False
    kernel.sched.prioritise(holder, priority)
    return True


def k_mutex_unlock(guest: Guest, mutex: int) -> int:
    kernel = kernel_of(guest)
    kernel.no_interrupt("k_mutex_unlock")
    records, thread = kernel.records, kernel.current
    owner, count, before = records.get("k_mutex", mutex, "owner", "lock_count", "owner_orig_prio")
    if not owner or not count:
        return -EINVAL
    if owner != kernel.current_address:
        return -EPERM
    if count > 1:
        records.put("k_mutex", mutex, lock_count=count - 1)
        return 0
    if thread.priority != before:
        kernel.sched.prioritise(thread, before)
    following = kernel.wake_first(mutex)
    if following is None:
        records.put("k_mutex", mutex, owner=0, lock_count=0)
    else:
        records.put("k_mutex", mutex, owner=following.address, owner_orig_prio=following.priority)
    kernel.reschedule()
    return 0


ROWS: tuple[Row, ...] = (
    Row("int k_mutex_init(struct k_mutex *mutex)", k_mutex_init, SYSCALL),
    Row("int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout)", k_mutex_lock, SYSCALL),
    Row("int k_mutex_unlock(struct k_mutex *mutex)", k_mutex_unlock, SYSCALL),
)

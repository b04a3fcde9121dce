"""Events and condition variables.

Source: Zephyr 4.2, "Events": all threads are woken whose condition is met; "Condition Variables".
"""

from __future__ import annotations

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import FOREVER, Kernel, kernel_of
from llext_tools.host.kernel.mutexes import k_mutex_lock, k_mutex_unlock
from llext_tools.host.kernel.table import SYSCALL, Row

ALL = 1 << 32
"""In a thread's ``message``, beside the bits that it waits for: it waits for all of them."""


def k_event_init(guest: Guest, event: int) -> None:
    kernel_of(guest).records.fresh("k_event", event)


def change(guest: Guest, event: int, bits: int, mask: int) -> int:
    """Give the bits of a mask their values, and wake who has waited for them; what they were before."""
    kernel = kernel_of(guest)
    (before,) = kernel.records.get("k_event", event, "events")
    now = (before & ~mask) | (bits & mask)
    kernel.records.put("k_event", event, events=now)
    for thread in kernel.sched.waiters(event):
        found = met(now, thread.message)
        if found:
            thread.message = found
            kernel.wake(thread)
    kernel.reschedule()
    return before & mask


def met(events: int, wanted: int) -> int:
    """The bits that are there, if that is enough."""
    bits = wanted & ~ALL
    found = events & bits
    return found if found and (found == bits or not wanted & ALL) else 0


def k_event_post(guest: Guest, event: int, bits: int) -> int:
    return change(guest, event, bits, bits)


def k_event_set(guest: Guest, event: int, bits: int) -> int:
    return change(guest, event, bits, ALL - 1)


def k_event_set_masked(guest: Guest, event: int, bits: int, mask: int) -> int:
    return change(guest, event, bits, mask)


def k_event_clear(guest: Guest, event: int, bits: int) -> int:
    return change(guest, event, 0, bits)


def wait(kernel: Kernel, call: str, event: int, wanted: int, reset: int, ticks: int) -> int:
    """The bits for which the wait was worth it, 0 if the time is over."""
    if ticks:
        kernel.no_interrupt(call)
    if reset:
        kernel.records.put("k_event", event, events=0)
    found = met(kernel.records.get("k_event", event, "events")[0], wanted)
    if found:
        return found
    if not ticks:
        kernel.look()
        return 0
    thread = kernel.current
    thread.message = wanted
    return 0 if kernel.wait(call, "event", event, ticks) else thread.message


def k_event_wait(guest: Guest, event: int, bits: int, reset: int, ticks: int) -> int:
    return wait(kernel_of(guest), "k_event_wait", event, bits, reset, ticks)


def k_event_wait_all(guest: Guest, event: int, bits: int, reset: int, ticks: int) -> int:
    return wait(kernel_of(guest), "k_event_wait_all", event, bits | ALL, reset, ticks)


def k_event_test(guest: Guest, event: int, mask: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    return kernel.records.get("k_event", event, "events")[0] & mask


# ---- condition variables


def k_condvar_init(guest: Guest, condvar: int) -> int:
    kernel_of(guest).records.fresh("k_condvar", condvar)
    return 0


def k_condvar_signal(guest: Guest, condvar: int) -> int:
    kernel = kernel_of(guest)
    kernel.wake_first(condvar)
    kernel.reschedule()
    return 0


def k_condvar_broadcast(guest: Guest, condvar: int) -> int:
    """How many threads it has woken."""
    kernel = kernel_of(guest)
    count = 0
    while kernel.wake_first(condvar):
        count += 1
    kernel.reschedule()
    return count


def k_condvar_wait(guest: Guest, condvar: int, mutex: int, ticks: int) -> int:
    """Nobody comes in between giving the mutex back and waiting."""
    kernel = kernel_of(guest)
    kernel.no_interrupt("k_condvar_wait")
    kernel.current.locks += 1
    k_mutex_unlock(guest, mutex)
    kernel.current.locks -= 1
    result = kernel.wait("k_condvar_wait", "condition variable", condvar, ticks)
    k_mutex_lock(guest, mutex, FOREVER)
    return result


ROWS: tuple[Row, ...] = (
    Row("void k_event_init(struct k_event *event)", k_event_init, SYSCALL),
    Row("uint32_t k_event_post(struct k_event *event, uint32_t events)", k_event_post, SYSCALL),
    Row("uint32_t k_event_set(struct k_event *event, uint32_t events)", k_event_set, SYSCALL),
    Row(
        "uint32_t k_event_set_masked(struct k_event *event, uint32_t events, uint32_t mask)",
        k_event_set_masked,
        SYSCALL,
    ),
    Row("uint32_t k_event_clear(struct k_event *event, uint32_t events)", k_event_clear, SYSCALL),
    Row(
        "uint32_t k_event_wait(struct k_event *event, uint32_t events, bool reset, k_timeout_t timeout)",
        k_event_wait,
        SYSCALL,
    ),
    Row(
        "uint32_t k_event_wait_all(struct k_event *event, uint32_t events, bool reset, k_timeout_t timeout)",
        k_event_wait_all,
        SYSCALL,
    ),
    Row("uint32_t k_event_test(struct k_event *event, uint32_t mask)", k_event_test),
    Row("int k_condvar_init(struct k_condvar *condvar)", k_condvar_init, SYSCALL),
    Row("int k_condvar_signal(struct k_condvar *condvar)", k_condvar_signal, SYSCALL),
    Row("int k_condvar_broadcast(struct k_condvar *condvar)", k_condvar_broadcast, SYSCALL),
    Row(
        "int k_condvar_wait(struct k_condvar *condvar, struct k_mutex *mutex, k_timeout_t timeout)",
        k_condvar_wait,
        SYSCALL,
    ),
)

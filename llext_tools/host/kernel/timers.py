"""Timers: their functions run in the interrupt of the clock; status and user data are in the target's memory.

Source: Zephyr 4.2, "Timers".
"""

from __future__ import annotations

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import FOREVER, kernel_of
from llext_tools.host.kernel.table import SYSCALL, Row


def k_timer_init(guest: Guest, timer: int, expiry: int, stop: int) -> None:
    kernel_of(guest).records.fresh("k_timer", timer, expiry_fn=expiry, stop_fn=stop)


def k_timer_start(guest: Guest, timer: int, duration: int, period: int) -> None:
    kernel = kernel_of(guest)
    if duration == FOREVER:
        return
    kernel.records.put("k_timer", timer, period=period, status=0)
    kernel.timers.start(timer, max(duration, 0), period)


def k_timer_stop(guest: Guest, timer: int) -> None:
    kernel = kernel_of(guest)
    (function,) = kernel.records.get("k_timer", timer, "stop_fn")
    if not kernel.timers.stop(timer):
        return
    if function:
        guest.call_plain(function, timer)
    kernel.wake_first(timer)
    kernel.reschedule()


def k_timer_status_get(guest: Guest, timer: int) -> int:
    kernel = kernel_of(guest)
    kernel.look()
    (status,) = kernel.records.get("k_timer", timer, "status")
    kernel.records.put("k_timer", timer, status=0)
    return status


def k_timer_status_sync(guest: Guest, timer: int) -> int:
    kernel = kernel_of(guest)
    kernel.no_interrupt("k_timer_status_sync")
    (status,) = kernel.records.get("k_timer", timer, "status")
    if not status and kernel.timers.expires(timer) is not None:
        kernel.wait("k_timer_status_sync", "timer", timer, FOREVER)
        (status,) = kernel.records.get("k_timer", timer, "status")
    kernel.records.put("k_timer", timer, status=0)
    return status


def remaining(guest: Guest, timer: int) -> int:
    """Microseconds until a timer expires, 0 if it does not run."""
    kernel = kernel_of(guest)
    kernel.look()
    at = kernel.timers.expires(timer)
    return max(at - kernel.now, 0) if at is not None else 0


def k_timer_remaining_get(guest: Guest, timer: int) -> int:
    return remaining(guest, timer) // 1000


def k_timer_remaining_ticks(guest: Guest, timer: int) -> int:
    return kernel_of(guest).ticks(remaining(guest, timer))


def k_timer_expires_ticks(guest: Guest, timer: int) -> int:
    left = remaining(guest, timer)
    kernel = kernel_of(guest)
    return kernel.ticks(kernel.now + left)


def k_timer_user_data_set(guest: Guest, timer: int, data: int) -> None:
    kernel_of(guest).records.put("k_timer", timer, user_data=data)


def k_timer_user_data_get(guest: Guest, timer: int) -> int:
    return kernel_of(guest).records.get("k_timer", timer, "user_data")[0]


ROWS: tuple[Row, ...] = (
    Row("void k_timer_init(struct k_timer *timer, void *expiry_fn, void *stop_fn)", k_timer_init),
    Row("void k_timer_start(struct k_timer *timer, k_timeout_t duration, k_timeout_t period)", k_timer_start, SYSCALL),
    Row("void k_timer_stop(struct k_timer *timer)", k_timer_stop, SYSCALL),
    Row("uint32_t k_timer_status_get(struct k_timer *timer)", k_timer_status_get, SYSCALL),
    Row("uint32_t k_timer_status_sync(struct k_timer *timer)", k_timer_status_sync, SYSCALL),
    Row("uint32_t k_timer_remaining_get(struct k_timer *timer)", k_timer_remaining_get),
    Row("k_ticks_t k_timer_remaining_ticks(const struct k_timer *timer)", k_timer_remaining_ticks, SYSCALL),
    Row("k_ticks_t z_timeout_remaining(const void *timer)", k_timer_remaining_ticks),  # of the timer's first member
    Row("k_ticks_t k_timer_expires_ticks(const struct k_timer *timer)", k_timer_expires_ticks, SYSCALL),
    Row("void k_timer_user_data_set(struct k_timer *timer, void *user_data)", k_timer_user_data_set, SYSCALL),
    Row("void *k_timer_user_data_get(const struct k_timer *timer)", k_timer_user_data_get, SYSCALL),
)

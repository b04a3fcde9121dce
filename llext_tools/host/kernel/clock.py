"""Time: the clock, sleeping, busy waiting.

Source: Zephyr 4.2, ``kernel.h`` and "Kernel Timing".
"""

from __future__ import annotations

from llext_tools.host.guest import Guest
from llext_tools.host.kernel.kernel import FOREVER, Kernel, kernel_of
from llext_tools.host.kernel.table import SYSCALL, Row


def k_uptime_get(guest: Guest) -> int:
    return kernel_of(guest).look() // 1000


def k_uptime_ticks(guest: Guest) -> int:
    kernel = kernel_of(guest)
    return kernel.ticks(kernel.look())


def cycles(guest: Guest) -> int:
    """The counter that the clock runs by."""
    kernel = kernel_of(guest)
    return kernel.look() * kernel.cycles_per_second // 1_000_000


def sleep(kernel: Kernel, call: str, microseconds: int) -> int:
    """Let the running thread sleep; returns the microseconds that are left if it is woken."""
    if microseconds <= 0:  # K_NO_WAIT is k_yield()
        kernel.no_interrupt(call)
        kernel.give_way()
        return 0
    return kernel.sleep(call, kernel.now + microseconds)


def k_sleep(guest: Guest, ticks: int) -> int:
    kernel = kernel_of(guest)
    if ticks == FOREVER:
        kernel.sleep("k_sleep", None)
        return FOREVER
    return sleep(kernel, "k_sleep", kernel.microseconds(max(ticks, 0))) // 1000


def k_msleep(guest: Guest, milliseconds: int) -> int:
    return sleep(kernel_of(guest), "k_msleep", milliseconds * 1000) // 1000


def k_usleep(guest: Guest, microseconds: int) -> int:
    return sleep(kernel_of(guest), "k_usleep", microseconds)


def k_busy_wait(guest: Guest, microseconds: int) -> None:
    kernel_of(guest).pass_time(microseconds)


ROWS: tuple[Row, ...] = (
    Row("int64_t k_uptime_get(void)", k_uptime_get),
    Row("uint32_t k_uptime_get_32(void)", k_uptime_get),
    Row("int64_t k_uptime_ticks(void)", k_uptime_ticks, SYSCALL),
    Row("int64_t sys_clock_tick_get(void)", k_uptime_ticks),
    Row("uint32_t sys_clock_tick_get_32(void)", k_uptime_ticks),
    Row("uint32_t k_cycle_get_32(void)", cycles),
    Row("uint64_t k_cycle_get_64(void)", cycles),
    Row("uint32_t sys_clock_cycle_get_32(void)", cycles),
    Row("uint64_t sys_clock_cycle_get_64(void)", cycles),
    Row("int32_t k_sleep(k_timeout_t timeout)", k_sleep, SYSCALL),
    Row("int32_t k_msleep(int32_t milliseconds)", k_msleep),
    Row("int32_t k_usleep(int32_t microseconds)", k_usleep, SYSCALL),
    Row("void k_busy_wait(uint32_t microseconds)", k_busy_wait, SYSCALL),
)

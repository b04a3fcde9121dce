"""Threads in the emulator: who runs when.

Oracle: Zephyr's documentation, "Scheduling" and "Threads" (4.2); each test says what follows from it.
"""

from __future__ import annotations

import pytest

from emulator.conftest import Build
from llext_tools import arch
from llext_tools.run import Limits, RunResult, Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

START = r"""
#define THREADS 5
K_THREAD_STACK_ARRAY_DEFINE(stacks, THREADS, 512);
static struct k_thread threads[THREADS];
static k_tid_t spawn(int i, int priority, void (*entry)(void *, void *, void *), void *first)
{
    return k_thread_create(&threads[i], stacks[i], sizeof(stacks[i]), entry, first, NULL, NULL, priority, 0, K_NO_WAIT);
}
"""
EVERYWHERE = ("cortex-m0plus", "cortex-m33", "rv32imac", "rv64gc")


def go(build: Build, source: str, *calls: str, target: str = "cortex-m4", limits: Limits | None = None) -> RunResult:
    cpu = arch.target(target)
    images = load([build(START + source, target, "gcc", "-Wno-unused")], cpu)
    return run(images, calls or ("test()",), Setup(cpu, limits=limits or Limits()))


def lines(result: RunResult) -> list[str]:
    assert result.fault is None, result.fault
    return result.output.split()


QUEUE = r"""
K_MSGQ_DEFINE(queue, sizeof(int), 3, 4);
K_SEM_DEFINE(done, 0, 1);
static void produce(void *count, void *b, void *c)
{
    for (int i = 0; i < (int)(intptr_t)count; i++) {
        printk("put%d ", i);
        k_msgq_put(&queue, &i, K_FOREVER);
    }
}
static void consume(void *a, void *b, void *c)
{
    int got;
    while (k_msgq_get(&queue, &got, K_MSEC(100)) == 0) {
        printk("got%d ", got);
    }
    k_sem_give(&done);
}
static void tick(struct k_timer *timer) { printk("tick%d ", k_is_in_isr()); }
K_TIMER_DEFINE(timer, tick, NULL);
int test(void)
{
    k_timer_start(&timer, K_MSEC(30), K_MSEC(30));
    spawn(0, 5, produce, (void *)6);
    spawn(1, 6, consume, NULL);
    int result = k_sem_take(&done, K_FOREVER);
    printk("joined%d%d ", k_thread_join(&threads[0], K_FOREVER), k_thread_join(&threads[1], K_FOREVER));
    k_timer_stop(&timer);
    return result;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_producer_and_consumer(target: str, build: Build) -> None:
    """The producer has the higher priority: it fills the queue, and goes on whenever there is room.

    The main thread has priority 0, so both begin when it waits. The consumer waits for 100 ms after the last message:
    a timer of 30 ms expires three times meanwhile.
    """
    result = go(build, QUEUE, target=target)
    order = "put0 put1 put2 put3 put4 got0 put5 got1 got2 got3 got4 got5 tick1 tick1 tick1 joined00"
    assert lines(result) == order.split()
    assert result.value == 0
    assert result.clock_us == 100_000

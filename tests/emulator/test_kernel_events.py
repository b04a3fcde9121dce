"""Queues of items, events and condition variables in the emulator.

Oracle: Zephyr's documentation (4.2), "FIFOs", "LIFOs", "Events", "Condition Variables", and ``kernel.h``.
"""

from __future__ import annotations

import pytest

from emulator.conftest import Build
from emulator.kernel_runs import EVERYWHERE, go, words

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

ITEMS = r"""
struct item { void *reserved; int value; };
static struct item items[6] = {{NULL, 0}, {NULL, 1}, {NULL, 2}, {NULL, 3}, {NULL, 4}, {NULL, 5}};
K_FIFO_DEFINE(fifo);
K_LIFO_DEFINE(lifo);
static struct k_queue queue;
static int value(void *item) { return item != NULL ? ((struct item *)item)->value : -1; }
static void getter(void *name, void *b, void *c)
{
    int got = value(k_fifo_get(&fifo, K_MSEC(10)));
    printk("%c%d ", (int)(intptr_t)name, got);
}
int test(void)
{
    printk("%d %d ", value(k_fifo_get(&fifo, K_NO_WAIT)), value(k_fifo_get(&fifo, K_MSEC(1))));
    for (int i = 0; i < 3; i++) { k_fifo_put(&fifo, &items[i]); k_lifo_put(&lifo, &items[i + 3]); }
    printk("%d%d ", value(k_fifo_peek_head(&fifo)), value(k_fifo_peek_tail(&fifo)));
    while (!k_fifo_is_empty(&fifo)) { printk("%d", value(k_fifo_get(&fifo, K_FOREVER))); }
    for (int i = 0; i < 3; i++) { printk("%d", value(k_lifo_get(&lifo, K_NO_WAIT))); }
    printk(" | ");

    spawn(0, 5, getter, 'a'); spawn(1, 4, getter, 'b'); spawn(2, 4, getter, 'c'); spawn(3, 6, getter, 'd');
    k_msleep(1);
    k_fifo_put(&fifo, &items[1]); k_fifo_put(&fifo, &items[2]); k_fifo_cancel_wait(&fifo);
    printk("empty%d ", k_fifo_is_empty(&fifo)); k_msleep(1); printk("later "); k_msleep(20);

    k_queue_init(&queue);
    k_queue_append(&queue, &items[1]); k_queue_append(&queue, &items[3]); k_queue_prepend(&queue, &items[0]);
    k_queue_insert(&queue, &items[1], &items[2]); k_queue_insert(&queue, &items[3], &items[4]);
    printk("| %d %d ", k_queue_unique_append(&queue, &items[2]), k_queue_unique_append(&queue, &items[5]));
    printk("%d %d ", k_queue_remove(&queue, &items[3]), k_queue_remove(&queue, &items[3]));
    printk("%d %d ", k_queue_remove(&queue, &items[5]), k_queue_remove(&queue, &items[0]));
    printk("%d%d ", value(k_queue_peek_head(&queue)), value(k_queue_peek_tail(&queue)));
    while (!k_queue_is_empty(&queue)) { printk("%d", value(k_queue_get(&queue, K_NO_WAIT))); }
    return 0;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_queues_of_items(target: str, build: Build) -> None:
    """`b` and `c` have the higher priority; the cancelled wait is that of `a`; `d` waits in vain."""
    result = go(build, ITEMS, target=target)
    assert result.fault is None, result.fault
    simple, waiting, inserted = (part.split() for part in result.output.split("|"))
    assert simple == ["-1", "-1", "02", "012543"]
    assert waiting == ["empty1", "b1", "c2", "a-1", "later", "d-1"]
    assert inserted == ["0", "1", "1", "0", "1", "1", "14", "124"]


EVENTS = r"""
K_EVENT_DEFINE(event);
static void any(void *bits, void *b, void *c)
{
    printk("any%x ", k_event_wait(&event, (int)(intptr_t)bits, false, K_MSEC(10)));
}
static void all(void *bits, void *b, void *c)
{
    printk("all%x ", k_event_wait_all(&event, (int)(intptr_t)bits, false, K_MSEC(10)));
}
int test(void)
{
    spawn(0, 4, any, 0x6); spawn(1, 5, all, 0x6); spawn(2, 6, all, 0x9); k_msleep(1);
    printk("%x ", k_event_post(&event, 0x2)); k_msleep(1);
    printk("%x ", k_event_post(&event, 0x6)); k_msleep(1);
    printk("now%x:%x ", event.events, k_event_test(&event, 0x2)); k_msleep(20);
    printk("%x ", k_event_set_masked(&event, 0x10, 0x12)); printk("%x ", event.events);
    printk("%x ", k_event_clear(&event, 0x4)); printk("%x ", k_event_set(&event, 0x3)); printk("%x ", event.events);
    printk("%x %x ", k_event_wait(&event, 0x9, false, K_NO_WAIT), k_event_wait_all(&event, 0x9, false, K_NO_WAIT));
    printk("reset%x ", k_event_wait(&event, 0x1, true, K_MSEC(1)));
    return event.events;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_events(target: str, build: Build) -> None:
    """All that are satisfied are woken, each with the bits that it has waited for; what comes back was there before."""
    expected = "0 any2 2 all6 now6:2 all0 2 14 4 10 3 1 0 reset0"
    assert words(build, EVENTS, target) == expected.split()


CONDITIONS = r"""
K_MUTEX_DEFINE(mutex);
K_CONDVAR_DEFINE(changed);
static int turn;
static void waiter(void *mine, void *b, void *c)
{
    k_mutex_lock(&mutex, K_FOREVER);
    while (turn != (int)(intptr_t)mine) { k_condvar_wait(&changed, &mutex, K_FOREVER); }
    printk("%d:%d ", turn, mutex.owner == k_current_get());
    turn++;
    printk("woke%d ", k_condvar_broadcast(&changed));
    k_mutex_unlock(&mutex);
}
int test(void)
{
    for (int i = 0; i < 3; i++) { spawn(i, 5, waiter, 3 - i); }
    k_msleep(1);
    k_mutex_lock(&mutex, K_FOREVER);
    printk("timeout%d ", k_condvar_wait(&changed, &mutex, K_MSEC(1))); printk("%u ", mutex.lock_count);
    turn = 1;
    k_condvar_signal(&changed); k_condvar_signal(&changed); printk("%d ", k_condvar_broadcast(&changed));
    k_mutex_unlock(&mutex);
    for (int i = 0; i < 3; i++) { k_thread_join(&threads[i], K_FOREVER); }
    return turn;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_condition_variables(target: str, build: Build) -> None:
    """Whoever is woken has the mutex again. The first signal goes to the thread that has waited longest."""
    result = go(build, CONDITIONS, target=target)
    assert result.fault is None, result.fault
    assert result.value == 4
    printed = result.output.split()
    assert printed[:3] == ["timeout-11", "1", "1"]
    assert [word for word in printed[3:] if ":" in word] == ["1:1", "2:1", "3:1"]

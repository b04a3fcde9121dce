"""Work queues in the emulator. Oracle: Zephyr's documentation (4.2), "Workqueue Threads", and ``kernel.h``."""

from __future__ import annotations

import pytest

from emulator.conftest import Build
from emulator.kernel_runs import EVERYWHERE, START, fault, go, words
from llext_tools import arch
from llext_tools.run import Session, Setup, load

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

WORK = r"""
static struct k_work again;
static int runs;
static void say(struct k_work *work);
K_WORK_DEFINE(first, say); K_WORK_DEFINE(second, say);
static struct k_work_delayable late;
static void say(struct k_work *work)
{
    const char *name = work == &first ? "first" : work == &second ? "second" : work == &late.work ? "late" : "again";
    printk("%s@%d ", name, (int)k_uptime_get());
    if (work == &second) { k_msleep(5); printk("end "); }
    if (work == &again && ++runs < 3) { printk("%d ", k_work_submit(work)); }
}
int test(void)
{
    struct k_work_sync sync;
    printk("%d ", k_work_submit(&first)); printk("main ");
    k_sched_lock(); k_work_submit(&second);
    printk("%d %d ", k_work_submit(&first), k_work_submit(&first)); printk("queued%d ", k_work_busy_get(&first));
    k_sched_unlock(); printk("running%d ", k_work_busy_get(&second));
    printk("flush%d ", k_work_flush(&second, &sync)); printk("done%d ", k_work_is_pending(&second)); k_msleep(1);

    k_work_init(&again, say); k_work_submit(&again); printk("| ");

    k_work_init_delayable(&late, say);
    printk("%d ", k_work_schedule(&late, K_MSEC(10))); printk("%d ", k_work_schedule(&late, K_MSEC(1)));
    printk("delayed%d ", k_work_delayable_busy_get(&late));
    k_msleep(4); printk("%d ", k_work_reschedule(&late, K_MSEC(20)));
    k_msleep(30);
    k_work_schedule(&late, K_MSEC(10)); printk("cancel%d ", k_work_cancel_delayable(&late)); k_msleep(20);
    k_work_schedule(&late, K_MSEC(500)); printk("flush%d ", k_work_flush_delayable(&late, &sync));
    k_work_schedule(&late, K_MSEC(500)); printk("sync%d ", k_work_cancel_delayable_sync(&late, &sync));
    printk("sync%d ", k_work_cancel_sync(&first, &sync));
    return k_work_delayable_is_pending(&late) + (k_work_delayable_from_work(&late.work) != &late);
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_work_runs_in_the_systems_thread(target: str, build: Build) -> None:
    """It is cooperative: it goes before the main thread at once, and keeps the order of submissions.

    1: queued; 0: it is already; 2: queued again while it runs. `second` sleeps, and `first` has to wait for that.
    """
    result = go(build, WORK, target=target)
    assert result.fault is None, result.fault
    now, later = (part.split() for part in result.output.split("|"))
    expected = "first@0 1 main 1 0 queued4 second@0 running1 end first@5 flush1 done0 again@6 2 again@6 2 again@6"
    assert " ".join(now) == expected
    assert later == ["1", "0", "delayed8", "1", "late@30", "cancel0", "late@60", "flush1", "sync1", "sync0"]
    assert result.diagnostics == (), "an idle queue of the kernel is not left over"


def test_a_queue_of_its_own(build: Build) -> None:
    """It has a priority of its own: here a lower one than the main thread's. Before it is started there is none."""
    source = r"""
    static struct k_work_q queue; static struct k_work work;
    static const struct k_work_queue_config config = {"mine", false, false};
    static void say(struct k_work *w)
    {
        printk("work%d %s ", k_thread_priority_get(k_current_get()), k_is_preempt_thread() ? "pre" : "coop");
    }
    int test(void)
    {
        k_work_init(&work, say); k_work_queue_init(&queue);
        printk("%d ", k_work_submit_to_queue(&queue, &work) < 0);
        k_work_queue_start(&queue, stacks[0], sizeof(stacks[0]), 7, &config);
        printk("%d ", k_work_submit_to_queue(&queue, &work)); printk("main "); k_msleep(1);
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["1", "1", "main", "work7", "pre"]


def test_an_interrupt_hands_its_work_to_a_thread(build: Build) -> None:
    source = r"""
    K_SEM_DEFINE(done, 0, 1);
    static void handle(struct k_work *w) { printk("work%d ", k_is_in_isr()); k_msleep(3); k_sem_give(&done); }
    K_WORK_DEFINE(work, handle);
    static void tick(struct k_timer *t) { printk("tick%d ", k_is_in_isr()); k_work_submit(&work); printk("end "); }
    K_TIMER_DEFINE(timer, tick, NULL);
    int test(void)
    {
        k_timer_start(&timer, K_MSEC(2), K_NO_WAIT);
        k_sem_take(&done, K_FOREVER); printk("%d ", (int)k_uptime_get());
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["tick1", "end", "work0", "5"]


def test_what_work_does_wrong_names_its_thread(build: Build) -> None:
    source = r"""
    static void bad(struct k_work *w) { *(volatile int *)8 = 1; }
    K_WORK_DEFINE(work, bad);
    int test(void) { return k_work_submit(&work); } EXPORT_SYMBOL(test);
    """
    found = fault(build, source)
    assert found.notes[0] == "in the thread `sysworkq`"
    source = r"""
    K_SEM_DEFINE(never, 0, 1);
    static void waits(struct k_work *w) { k_sem_take(&never, K_FOREVER); }
    K_WORK_DEFINE(work, waits);
    int test(void) { struct k_work_sync sync; k_work_submit(&work); return k_work_flush(&work, &sync); }
    EXPORT_SYMBOL(test);
    """
    found = fault(build, source)
    assert found.code == "run-deadlock"
    assert [line for line in found.detail if not line.startswith(" ")] == [
        "the main thread waits in `k_work_flush` for the work item `work`, forever",
        "the thread `sysworkq` waits in `k_sem_take` for the semaphore `never`, forever",
    ]


def test_work_that_is_due_later_is_left_over(build: Build) -> None:
    source = r"""
    static void say(struct k_work *w) {}
    K_WORK_DELAYABLE_DEFINE(late, say);
    int test(void) { return k_work_schedule(&late, K_SECONDS(1)); } EXPORT_SYMBOL(test);
    """
    (found,) = go(build, source).diagnostics
    assert found.code == "run-threads-left"
    assert found.message == "1 work item is left when the extension is torn down"
    assert found.detail == ("the work item `late` calls `say`",)


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_a_snapshot_keeps_queues(target: str, build: Build) -> None:
    """An idle one begins anew, and what is due later is due again."""
    source = START + r"""
    static int count;
    static void say(struct k_work *w) { count++; }
    K_WORK_DEFINE(work, say); K_WORK_DELAYABLE_DEFINE(late, say);
    int submit(void) { k_work_submit(&work); return count; } EXPORT_SYMBOL(submit);
    int later(void) { return k_work_schedule(&late, K_MSEC(10)); } EXPORT_SYMBOL(later);
    """.replace("later", "postpone")  # fmt: skip
    cpu = arch.target(target)
    images = load([build(source, target, "gcc", "-Wno-unused")], cpu)
    with Session(images, Setup(cpu)) as session:

        def call(text: str) -> object:
            return session.call(text).value

        assert (call("submit()"), call("postpone()")) == (1, 1)
        state = session.snapshot()
        for _ in range(3):
            session.advance(20_000)
            assert call("submit()") == 3
            session.rollback(state)
            assert session.guest.clock_us == 0
        assert call("submit()") == 2

"""Threads between the calls of a session: letting them run, letting time pass, going back to a snapshot.

Oracle: what the source says, with Zephyr's rules for who runs when.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emulator.conftest import Build
from emulator.kernel_runs import START
from llext_tools import arch
from llext_tools.errors import FaultError, UsageError
from llext_tools.run import Session, Setup, load

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SOURCE = (
    START
    + r"""
static int beats, seen;
K_SEM_DEFINE(go_on, 0, 10);
static void beat(void *period, void *b, void *c)
{
    for (;;) { beats++; k_msleep((int)(intptr_t)period); }
}
static void answer(void *a, void *b, void *c) { while (k_sem_take(&go_on, K_FOREVER) == 0) { seen++; } }
static void crash(void *a, void *b, void *c) { __builtin_trap(); }
static void tick(struct k_timer *timer) { k_sem_give(&go_on); }
K_TIMER_DEFINE(timer, tick, NULL);
int start(int period) { spawn(0, 5, beat, period); spawn(1, -5, answer, 0); return beats; } EXPORT_SYMBOL(start);
int periodic(void) { k_timer_start(&timer, K_MSEC(100), K_MSEC(100)); return 0; } EXPORT_SYMBOL(periodic);
int give(void) { k_sem_give(&go_on); return seen; } EXPORT_SYMBOL(give);
int counts(void) { return beats * 100 + seen; } EXPORT_SYMBOL(counts);
int later_crash(void) { later(2, 5, crash, 0, K_MSEC(10)); return 0; } EXPORT_SYMBOL(later_crash);
int all_abort(void) { for (int i = 0; i < 3; i++) { k_thread_abort(&threads[i]); } k_timer_stop(&timer); return 0; }
EXPORT_SYMBOL(all_abort);
"""
)


@contextmanager
def session(build: Build, target: str) -> Iterator[Session]:
    cpu = arch.target(target)
    with Session(load([build(SOURCE, target, "gcc", "-Wno-unused")], cpu), Setup(cpu)) as made:
        made.bringup()
        yield made


def call(made: Session, text: str) -> int:
    value = made.call(text).value
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_time_passes_as_asked_for(target: str, build: Build) -> None:
    with session(build, target) as made:
        assert call(made, "start(30)") == 0, "the main thread has the higher priority"
        assert call(made, "counts()") == 0
        made.settle()
        assert (call(made, "counts()"), made.guest.clock_us) == (100, 0)
        made.advance(89_999)
        assert (call(made, "counts()"), made.guest.clock_us) == (300, 89_999)
        made.advance(1)
        assert call(made, "counts()") == 400
        assert call(made, "give()") == 1, "the thread that takes it is cooperative: it runs at once"
        call(made, "periodic()")
        made.advance(1_000_000)
        assert call(made, "counts()") == (1 + 1_090_000 // 30_000) * 100 + 11
        assert [d.code for d in made.left()] == ["run-threads-left"]
        assert made.left()[0].message == "2 threads and 1 timer are left when the extension is torn down"
        call(made, "all_abort()")
        assert made.left() == []


def test_what_a_thread_does_wrong_is_told_to_who_lets_it_run(build: Build) -> None:
    with session(build, "cortex-m4") as made:
        call(made, "later_crash()")
        made.settle()
        made.advance(9_999)
        with pytest.raises(FaultError, match="`crash` executes an undefined instruction"):
            made.advance(1)


@pytest.mark.parametrize("target", ["cortex-m4", "rv64gc"])
def test_a_snapshot_knows_of_no_later_threads(target: str, build: Build) -> None:
    """Each time from the same state: threads, timers and the clock of the last time are gone."""
    with session(build, target) as made:
        fresh = made.snapshot()
        for _ in range(3):
            assert call(made, "start(10)") == 0
            call(made, "periodic()")
            made.advance(250_000)
            assert call(made, "counts()") == 2600 + 2
            made.rollback(fresh)
            assert (call(made, "counts()"), made.guest.clock_us, made.left()) == (0, 0, [])


WAITING = (
    START
    + r"""
K_SEM_DEFINE(sem, 0, 5); K_MUTEX_DEFINE(mutex); K_MSGQ_DEFINE(queue, 4, 1, 4); K_EVENT_DEFINE(event);
K_CONDVAR_DEFINE(condvar); K_FIFO_DEFINE(fifo);
static void taker(void *a, void *b, void *c) { printk("sem%d ", k_sem_take(&sem, K_MSEC(90))); }
static void locker(void *a, void *b, void *c) { printk("lock%d ", k_mutex_lock(&mutex, K_FOREVER)); }
static void sleeper(void *a, void *b, void *c)
{
    printk("left%d ", (int)k_msleep(80));
    printk("%d ", (int)k_msleep(7));
}
static void sender(void *a, void *b, void *c) { int x = 42; printk("put%d ", k_msgq_put(&queue, &x, K_FOREVER)); }
static void waiter(void *a, void *b, void *c) { printk("event%x ", k_event_wait_all(&event, 5, false, K_FOREVER)); }
static void (*const bodies[THREADS])(void *, void *, void *) = {taker, locker, sleeper, sender, waiter};
int start(void)
{
    int x = 41;
    k_mutex_lock(&mutex, K_FOREVER); k_msgq_put(&queue, &x, K_NO_WAIT);
    for (int i = 0; i < THREADS; i++) { spawn(i, 3 + i, bodies[i], 0); }
    return 0;
}
EXPORT_SYMBOL(start);
int go(int wake)
{
    int x = 0, y = 0;
    if (wake) { k_sem_give(&sem); k_wakeup(&threads[2]); k_event_post(&event, 7); }
    k_mutex_unlock(&mutex); k_msgq_get(&queue, &x, K_NO_WAIT); k_msgq_get(&queue, &y, K_NO_WAIT);
    k_sem_give(&sem);
    return x * 100 + y;
}
EXPORT_SYMBOL(go);
int held(void) { return k_sem_count_get(&sem) * 10 + mutex.lock_count; } EXPORT_SYMBOL(held);
"""
)


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus", "rv32imac", "rv64gc"])
def test_a_snapshot_brings_threads_back_to_where_they_waited(target: str, build: Build) -> None:
    """However far they have gone since: each makes its call again, without waiting anew, and gets what is due.

    At 0 ms all begin to wait; the snapshot is taken at 30 ms. Woken at 40 ms, `sleeper` has 40 ms left.
    """
    cpu = arch.target(target)
    images = load([build(WAITING, target, "gcc", "-Wno-unused")], cpu)
    with Session(images, Setup(cpu)) as made:
        call(made, "start()")
        made.settle()
        made.advance(30_000)
        state = made.snapshot()
        for i in range(4):
            made.advance(10_000)
            wake = i % 2
            assert call(made, f"go({wake})") == 4142
            made.advance(200_000)
            texts = ["left0", "0"] if not wake else ["left40", "0"]
            events = [] if not wake else ["event5"]
            assert sorted(made.output.text.split()) == sorted(["sem0", "lock0", *texts, "put0", *events])
            assert call(made, "held()") == (1 if not wake else 11), "who waits for the semaphore takes one, and no more"
            made.rollback(state)
            assert (made.guest.clock_us, len(made.left()), made.output.text) == (30_000, 1, "")
        made.advance(59_999)
        assert made.output.text == "left0 0 "
        made.advance(1)
        assert made.output.text == "left0 0 sem-11 "


def test_a_thread_in_the_middle_of_something_is_not_brought_back(build: Build) -> None:
    """The main thread has interrupted it while it was busy: what it had done by then cannot be done again."""
    source = START + r"""
    static void busy(void *a, void *b, void *c) { k_busy_wait(2000); printk("done "); }
    int start(void) { spawn(0, 3, busy, 0); k_msleep(1); return 0; } EXPORT_SYMBOL(start);
    """  # fmt: skip
    cpu = arch.target("cortex-m4")
    with Session(load([build(source, "cortex-m4", "gcc", "-Wno-unused")], cpu), Setup(cpu)) as made:
        call(made, "start()")
        state = made.snapshot()
        made.rollback(state)
        made.settle()
        assert (made.output.text, made.guest.clock_us) == ("done ", 2000)
        with pytest.raises(UsageError, match="the thread `busy`, which was in the middle of something"):
            made.rollback(state)

"""Threads in the emulator: who runs when.

Oracle: Zephyr's documentation (4.2), "Scheduling", "Threads" and the functions of ``kernel.h``; each test says what
follows from it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.conftest import Build
from emulator.kernel_runs import EVERYWHERE, fault, go, words
from llext_tools.host.kernel import FUNCTIONS
from llext_tools.paths import include_dir
from llext_tools.run import Limits

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "threads.md"

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
    spawn(0, 5, produce, 6);
    spawn(1, 6, consume, 0);
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
    assert (result.fault, result.output.split()) == (None, order.split())
    assert result.value == 0
    assert result.clock_us == 100_000


SAY = 'static void say(void *name, void *b, void *c) { printk("%c ", (int)(intptr_t)name); }\n'


def test_a_higher_priority_goes_first_and_among_equals_the_older_one(build: Build) -> None:
    source = """
    int test(void)
    {
        spawn(0, 7, say, 'a'); spawn(1, 3, say, 'b'); spawn(2, 7, say, 'c'); spawn(3, 3, say, 'd');
        printk("main ");
        k_msleep(1);
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["main", "b", "d", "a", "c"]


def test_a_thread_of_a_higher_priority_than_its_maker_begins_at_once(build: Build) -> None:
    """The main thread has priority 0 and can be preempted; a thread of its own priority has to wait."""
    source = """
    int test(void)
    {
        spawn(0, -1, say, 'a'); printk("main "); spawn(1, 0, say, 'b'); printk("main "); k_yield(); printk("end ");
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["a", "main", "main", "b", "end"]


def test_a_cooperative_thread_runs_until_it_waits(build: Build) -> None:
    """It makes a thread of an even higher priority ready, which runs only when this one sleeps."""
    source = """
    static void first(void *a, void *b, void *c)
    {
        spawn(1, K_PRIO_COOP(1), say, 'x'); printk("on "); k_msleep(1); printk("after ");
    }
    int test(void) { spawn(0, K_PRIO_COOP(5), first, 0); printk("main "); k_msleep(5); return 0; }
    EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["on", "x", "main", "after"]


def test_yield_gives_way_to_equals_only(build: Build) -> None:
    source = """
    static void twice(void *name, void *b, void *c)
    {
        for (int i = 0; i < 2; i++) { printk("%c%d ", (int)(intptr_t)name, i); k_yield(); }
    }
    int test(void)
    {
        spawn(0, 4, twice, 'a'); spawn(1, 4, twice, 'b'); spawn(2, 5, twice, 'c');
        k_msleep(1);
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["a0", "b0", "a1", "b1", "c0", "c1"]


def test_a_thread_that_is_preempted_comes_before_its_equals(build: Build) -> None:
    """`a` wakes `high`, which goes first; then `a` goes on, although `b` has been ready for long, too."""
    source = """
    K_SEM_DEFINE(sem, 0, 1);
    static void high(void *a, void *b, void *c) { k_sem_take(&sem, K_FOREVER); printk("high "); }
    static void low(void *a, void *b, void *c) { printk("a1 "); k_sem_give(&sem); printk("a2 "); }
    int test(void)
    {
        spawn(0, 3, high, 0); spawn(1, 4, low, 0); spawn(2, 4, say, 'b');
        k_msleep(1);
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["a1", "high", "a2", "b"]


def test_a_locked_scheduler_keeps_others_out_until_the_thread_waits(build: Build) -> None:
    source = """
    int test(void)
    {
        k_sched_lock(); k_sched_lock();
        spawn(0, -1, say, 'a'); printk("locked "); k_sched_unlock(); printk("once ");
        k_sched_unlock(); printk("open ");
        k_sched_lock(); spawn(1, -1, say, 'b'); printk("locked "); k_msleep(1); k_sched_unlock();
        return k_is_preempt_thread();
    } EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["locked", "once", "a", "open", "locked", "b"]


def test_suspend_and_resume(build: Build) -> None:
    """A suspended thread does not run, however ready it is; its sleep may end meanwhile."""
    source = """
    static void beat(void *a, void *b, void *c) { for (int i = 0; i < 4; i++) { printk("%d ", i); k_msleep(10); } }
    int test(void)
    {
        k_tid_t id = spawn(0, 2, beat, 0);
        k_msleep(15);
        k_thread_suspend(id); printk("suspended "); k_msleep(50); printk("resume ");
        k_thread_resume(id); k_msleep(1);
        printk("%d ", k_thread_join(id, K_FOREVER));
        printk("%d ", (int)k_uptime_get());
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["0", "1", "suspended", "resume", "2", "3", "0", "85"]


def test_priorities_can_change(build: Build) -> None:
    source = """
    int test(void)
    {
        k_tid_t a = spawn(0, 6, say, 'a'), b = spawn(1, 5, say, 'b');
        k_thread_priority_set(a, 4);
        printk("%d%d ", k_thread_priority_get(a), k_thread_priority_get(k_current_get()));
        k_thread_priority_set(k_current_get(), 7); printk("main ");
        k_thread_priority_set(k_current_get(), 0);
        k_thread_priority_set(spawn(2, 8, say, 'c'), -3); printk("end ");
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["40", "a", "b", "main", "c", "end"]


def test_delayed_threads_and_those_that_are_started_by_hand(build: Build) -> None:
    source = """
    int test(void)
    {
        later(0, 3, say, 'a', K_MSEC(20)); later(1, 3, say, 'b', K_MSEC(10)); later(2, 3, say, 'c', K_FOREVER);
        k_msleep(15); printk("15 "); k_msleep(15); printk("30 ");
        k_thread_start(&threads[2]); k_msleep(1);
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, SAY + source) == ["b", "15", "a", "30", "c"]


def test_join_and_what_it_returns(build: Build) -> None:
    """0, also of a thread that is over; -EBUSY, -EAGAIN, and -EDEADLK for oneself and for who waits for oneself."""
    source = """
    static struct k_thread *main_thread;
    static void work(void *a, void *b, void *c) { k_msleep(10); printk("%d ", k_thread_join(main_thread, K_FOREVER)); }
    int test(void)
    {
        main_thread = k_current_get();
        k_tid_t id = spawn(0, 3, work, 0);
        printk("%d %d %d ", k_thread_join(id, K_NO_WAIT) == -EBUSY, k_thread_join(id, K_MSEC(2)) == -EAGAIN,
               k_thread_join(k_current_get(), K_FOREVER) == -EDEADLK);
        printk("%d %d ", k_thread_join(id, K_FOREVER), k_thread_join(id, K_NO_WAIT));
        return -EDEADLK;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["1", "1", "1", "-45", "0", "0"]


def test_a_sleeper_can_be_woken_and_knows_what_is_left(build: Build) -> None:
    """k_sleep() and k_msleep() return milliseconds, k_usleep() microseconds; who waits for an object goes on."""
    source = """
    K_SEM_DEFINE(sem, 0, 1);
    static void nap(void *a, void *b, void *c)
    {
        printk("%d ", (int)k_sleep(K_MSEC(100))); printk("%d ", (int)k_msleep(100)); printk("%d ", (int)k_usleep(900));
        printk("%d ", (int)k_sleep(K_FOREVER)); printk("take%d ", k_sem_take(&sem, K_MSEC(10)));
    }
    int test(void)
    {
        k_tid_t id = spawn(0, 3, nap, 0);
        k_msleep(30); k_wakeup(id); k_msleep(60); k_wakeup(id); k_usleep(300); k_wakeup(id);
        k_msleep(1); k_wakeup(id); k_msleep(1); k_wakeup(id);
        return k_thread_join(id, K_FOREVER);
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["70", "40", "600", "-1", "take-11"]


def test_abort_ends_a_thread_where_it_is(build: Build) -> None:
    """One that waits, one that was never started, and one by itself; joiners go on."""
    source = """
    K_SEM_DEFINE(sem, 0, 1);
    static void waits(void *a, void *b, void *c) { k_sem_take(&sem, K_FOREVER); printk("never "); }
    static void ends(void *a, void *b, void *c) { printk("ends "); k_thread_abort(k_current_get()); printk("never "); }
    static void joins(void *a, void *b, void *c) { printk("joined%d ", k_thread_join(&threads[0], K_FOREVER)); }
    int test(void)
    {
        spawn(0, 3, waits, 0); later(1, 3, ends, 0, K_FOREVER); spawn(2, 3, ends, 0); spawn(3, 3, joins, 0);
        k_msleep(1);
        k_thread_abort(&threads[0]); k_thread_abort(&threads[1]); k_thread_abort(&threads[1]);
        k_sem_give(&sem);
        printk("%u ", k_sem_count_get(&sem));
        k_msleep(1);
        spawn(0, 3, ends, 0);
        return k_thread_join(&threads[0], K_FOREVER) + k_thread_join(&threads[2], K_FOREVER);
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["ends", "1", "joined0", "ends"]


def test_names_stacks_and_data_of_a_thread(build: Build) -> None:
    source = """
    static void deep(void *a, void *b, void *c)
    {
        volatile char block[200];
        for (int i = 0; i < 200; i++) { block[i] = i; }
        k_thread_custom_data_set((void *)7);
        printk("%s %d ", k_thread_name_get(k_current_get()), (int)(intptr_t)k_thread_custom_data_get());
    }
    int test(void)
    {
        size_t before, after; char copy[8];
        k_tid_t id = later(0, 3, deep, 0, K_FOREVER);
        k_thread_name_set(id, "worker");
        int codes = k_thread_stack_space_get(id, &before);
        k_thread_start(id); k_msleep(1);
        id = later(1, 3, deep, 0, K_FOREVER);
        printk("%d %d ", (int)before, k_thread_name_copy(id, copy, sizeof(copy)));
        k_thread_name_set(id, "second"); codes |= k_thread_name_copy(id, copy, sizeof(copy));
        printk("%s %d ", copy, k_thread_custom_data_get() == NULL);
        k_thread_abort(id);
        return codes;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["worker", "7", "512", "0", "second", "1"]


def test_the_stack_that_a_thread_has_used_is_known(build: Build) -> None:
    source = """
    K_SEM_DEFINE(sem, 0, 1);
    static void deep(void *a, void *b, void *c)
    {
        volatile char block[200];
        for (int i = 0; i < 200; i++) { block[i] = i; }
        k_sem_take(&sem, K_FOREVER);
        printk("%d ", block[1]);
    }
    int test(void)
    {
        size_t space;
        k_tid_t id = spawn(0, 3, deep, 0);
        k_msleep(1); k_thread_stack_space_get(id, &space); k_sem_give(&sem); k_thread_join(id, K_FOREVER);
        return (int)space;
    } EXPORT_SYMBOL(test);
    """
    result = go(build, source)
    assert isinstance(result.value, int)
    assert 512 - 200 - 100 < result.value < 512 - 200


def test_locked_interrupts_come_later(build: Build) -> None:
    source = """
    static void tick(struct k_timer *timer) { printk("tick "); }
    K_TIMER_DEFINE(timer, tick, NULL);
    int test(void)
    {
        k_timer_start(&timer, K_MSEC(1), K_NO_WAIT);
        unsigned int key = irq_lock(), inner = irq_lock();
        k_busy_wait(5000); irq_unlock(inner); k_busy_wait(5000); printk("unlock "); irq_unlock(key); printk("end ");
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["unlock", "tick", "end"]


def test_busy_waiting_is_interrupted_by_who_is_more_urgent(build: Build) -> None:
    """Time passes for both: the sleeper wakes after 3 ms, at the same time as without the busy thread."""
    source = """
    static void beat(void *a, void *b, void *c)
    {
        k_msleep(3); printk("%d ", (int)(k_uptime_ticks() / 10)); k_msleep(3); printk("%d ", (int)k_uptime_get());
    }
    int test(void)
    {
        spawn(0, -1, beat, 0); k_busy_wait(10000); printk("main%d ", (int)k_uptime_get());
        return k_cycle_get_32() >= 10000 && k_cycle_get_64() >= 10000 && k_uptime_get_32() == 10;
    } EXPORT_SYMBOL(test);
    """
    result = go(build, source)
    assert (result.output.split(), result.value) == (["3", "6", "main10"], 1)


def test_threads_run_after_the_call_that_made_them(build: Build) -> None:
    """They keep their state: what waits for the next call goes on then."""
    source = SAY + """
    K_SEM_DEFINE(sem, 0, 9);
    static void serve(void *a, void *b, void *c) { while (k_sem_take(&sem, K_FOREVER) == 0) printk("served "); }
    int test(void) { spawn(0, 5, serve, 0); spawn(1, 6, say, 'x'); printk("main "); return 0; } EXPORT_SYMBOL(test);
    int more(void) { k_sem_give(&sem); k_sem_give(&sem); printk("more "); return 0; } EXPORT_SYMBOL(more);
    int end(void) { k_thread_abort(&threads[0]); return 0; } EXPORT_SYMBOL(end);
    """  # fmt: skip
    result = go(build, source, "test()", "more()", "end()")
    assert (result.fault, result.output.split()) == (None, ["main", "x", "more", "served", "served"])
    assert result.diagnostics == ()
    left = go(build, source, "test()").diagnostics
    assert [d.code for d in left] == ["run-threads-left"]
    assert left[0].detail[0] == "the thread `serve` waits in `k_sem_take` for the semaphore `sem`, forever"


# ---- what goes wrong


def test_a_deadlock_names_all_threads(build: Build) -> None:
    """Two mutexes in two orders: the classical one."""
    source = """
    static K_MUTEX_DEFINE(first); static K_MUTEX_DEFINE(second);
    static void other(void *a, void *b, void *c)
    {
        k_mutex_lock(&second, K_FOREVER); k_msleep(1); k_mutex_lock(&first, K_FOREVER);
        printk("never");
    }
    int test(void)
    {
        k_thread_name_set(spawn(0, 3, other, 0), "worker");
        k_mutex_lock(&first, K_FOREVER); k_msleep(1); k_mutex_lock(&second, K_FOREVER);
        return k_thread_join(&threads[0], K_FOREVER);
    } EXPORT_SYMBOL(test);
    """
    found = fault(build, source)
    assert found.code == "run-deadlock"
    threads = [line for line in found.detail if not line.startswith(" ")]
    assert threads == [
        "the main thread waits in `k_mutex_lock` for the mutex `second`, forever",
        "the thread `worker` waits in `k_mutex_lock` for the mutex `first`, forever",
    ]
    frames = [line.split()[1].split("+")[0] for line in found.detail if line.startswith(" ")]
    assert frames == ["k_mutex_lock", "test", "k_mutex_lock", "other"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("K_SEM_DEFINE(s, 0, 1); int test(void) { return k_sem_take(&s, K_FOREVER) + 1; }",
         "`test` waits for the semaphore `s` forever, and there is no other thread"),
        ("int test(void) { return k_sleep(K_FOREVER) + 1; }",
         "`test` waits forever, and there is no other thread"),
    ],
    ids=["semaphore", "sleep"],
)  # fmt: skip
def test_one_thread_alone_can_wait_forever(body: str, message: str, build: Build) -> None:
    found = fault(build, body + " EXPORT_SYMBOL(test);")
    assert (found.code, found.message) == ("run-deadlock", message)


def test_a_timer_that_wakes_nobody_is_no_way_out(build: Build) -> None:
    """One with a function is: it could wake somebody. Then the limit of time ends the run."""
    source = """
    static void tick(struct k_timer *timer) {}
    K_TIMER_DEFINE(silent, NULL, NULL); K_TIMER_DEFINE(busy, tick, NULL); K_SEM_DEFINE(sem, 0, 1);
    int test(void)
    {
        k_timer_start(&FIRST, K_MSEC(1), K_MSEC(1));
        return k_sem_take(&sem, K_FOREVER);
    } EXPORT_SYMBOL(test);
    """
    assert fault(build, source.replace("FIRST", "silent")).code == "run-deadlock"
    found = fault(build, source.replace("FIRST", "busy"), Limits(seconds=0.05))
    assert found.code == "run-timeout"


def test_a_silent_timer_takes_no_time(build: Build) -> None:
    """It expires 36 million times while the main thread sleeps for an hour, and is asked afterwards."""
    source = """
    K_TIMER_DEFINE(silent, NULL, NULL);
    int test(void)
    {
        k_timer_start(&silent, K_TICKS(1), K_TICKS(1)); k_sleep(K_HOURS(1));
        unsigned int count = k_timer_status_get(&silent);
        k_timer_stop(&silent);
        return (int)count;
    } EXPORT_SYMBOL(test);
    """
    assert go(build, source).value == 36_000_000


def test_a_fault_in_a_thread_names_it(build: Build) -> None:
    source = """
    static void bad(void *a, void *b, void *c) { *(volatile int *)a = 1; }
    int test(void) { k_thread_name_set(later(0, 3, bad, 4, K_MSEC(1)), "culprit"); k_msleep(5); return 0; }
    EXPORT_SYMBOL(test);
    """
    found = fault(build, source)
    assert found.message == "`bad` writes 4 bytes at 0x00000004, where there is no memory"
    assert found.notes[0] == "in the thread `culprit`"


def test_a_stack_that_overflows_is_noticed(build: Build) -> None:
    source = """
    static int dive(int n) { volatile char hole[64]; hole[0] = n; return n ? dive(n - 1) + hole[0] : 0; }
    static void deep(void *a, void *b, void *c) { printk("%d", dive(9)); k_yield(); printk("never"); }
    int test(void) { spawn(1, 3, deep, 0); k_msleep(5); return 0; } EXPORT_SYMBOL(test);
    """
    found = fault(build, source)
    assert (found.code, found.message) == ("run-stack", "the thread `deep` overflows its stack of 512 bytes")


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        ("later(0, 15, say, 0, K_NO_WAIT)", "run-fault", "creates a thread with the priority 15"),
        ("later(0, -17, say, 0, K_NO_WAIT)", "run-fault", "creates a thread with the priority -17"),
        ("later(0, 1, say, 0, K_FOREVER); later(0, 1, say, 0, K_FOREVER)", "run-fault",
         "creates a thread in a struct k_thread whose thread is not over"),
        ("k_thread_create(&threads[0], stacks[0], 32, say, 0, 0, 0, 1, 0, K_FOREVER)", "run-fault",
         "creates a thread with a stack of 32 bytes"),
        ("k_thread_create(&threads[0], (k_thread_stack_t *)say, 512, say, 0, 0, 0, 1, 0, K_FOREVER)", "run-fault",
         "`k_thread_create` writes 512 bytes at"),
        ("k_thread_abort(k_current_get())", "run-abort", "aborts the thread in which the extension was called"),
        ("k_thread_priority_set(k_current_get(), 20)", "run-fault", "gives a thread the priority 20"),
        ("later(0, 1, say, 0, K_NO_WAIT); later(1, 1, say, 0, K_NO_WAIT); later(2, 1, say, 0, K_NO_WAIT)",
         "run-threads", "creates more than 2 threads"),
    ],
)  # fmt: skip
def test_what_a_kernel_asserts(call: str, code: str, message: str, build: Build) -> None:
    source = f"{SAY} __attribute__((noinline)) int test(void) {{ {call}; return 0; }} EXPORT_SYMBOL(test);"
    found = fault(build, source, Limits(threads=2))
    assert found.code == code
    assert message in found.message


def test_the_page_lists_what_there_is() -> None:
    """The functions that C code calls by their own names."""
    inner = {"sys_clock_tick_get", "sys_clock_tick_get_32", "sys_clock_cycle_get_32", "sys_clock_cycle_get_64",
             "z_timeout_remaining", "k_sched_current_thread_query", "z_current_get"}  # fmt: skip
    names = {function.name for function in FUNCTIONS if not function.name.startswith("z_impl_")} - inner
    rows = re.findall(r"^\| [\w, ]+ \| (`k_.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(names)
    header = (Path(include_dir()) / "llext" / "kernel.h").read_text(encoding="utf-8")
    assert all(f"{name}(" in header for name in names)

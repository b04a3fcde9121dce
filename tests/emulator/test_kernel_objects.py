"""Semaphores, mutexes, message queues and timers in the emulator: what they return and whom they wake.

Oracle: Zephyr's documentation (4.2), "Semaphores", "Mutexes", "Message Queues", "Timers", and the return values that
``kernel.h`` gives for each function.
"""

from __future__ import annotations

import pytest

from emulator.conftest import Build
from emulator.kernel_runs import EVERYWHERE, fault, go, words
from llext_tools import arch
from llext_tools.host.kernel.records import RECORDS, declared

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

SEMAPHORES = r"""
K_SEM_DEFINE(defined, 2, 3);
static struct k_sem sem;
static void taker(void *name, void *b, void *c)
{
    printk("%c%d ", (int)(intptr_t)name, k_sem_take(&sem, K_MSEC(50)));
}
int test(void)
{
    printk("%d %d ", k_sem_init(&sem, 0, 0) == -EINVAL, k_sem_init(&sem, 3, 2) == -EINVAL);
    printk("%d ", k_sem_take(&defined, K_NO_WAIT) + k_sem_take(&defined, K_FOREVER));
    printk("%d %d ", k_sem_take(&defined, K_NO_WAIT) == -EBUSY, k_sem_take(&defined, K_MSEC(1)) == -EAGAIN);
    for (int i = 0; i < 5; i++) { k_sem_give(&defined); }
    printk("%u %u ", k_sem_count_get(&defined), defined.count);

    printk("%d | ", k_sem_init(&sem, 0, 9));
    spawn(0, 5, taker, 'a'); spawn(1, 4, taker, 'b'); spawn(2, 4, taker, 'c'); spawn(3, 6, taker, 'd');
    k_msleep(1);
    k_sem_give(&sem); k_sem_give(&sem); k_sem_give(&sem);
    printk("given%u ", k_sem_count_get(&sem));
    k_msleep(100);
    spawn(0, 5, taker, 'e'); spawn(1, 4, taker, 'f');
    k_msleep(1);
    k_sem_reset(&sem);
    k_msleep(1);
    k_sem_give(&sem); k_sem_give(&sem); k_sem_reset(&sem);
    return k_sem_count_get(&sem);
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_semaphores(target: str, build: Build) -> None:
    """Who waits with the highest priority is woken, the one that has waited longest among equals; a reset is -EAGAIN.

    What is given to a waiting thread is not counted. The main thread has a higher priority than the woken ones.
    """
    expected = "1 1 0 1 1 3 3 0 | given0 b0 c0 a0 d-11 f-11 e-11"
    assert words(build, SEMAPHORES, target) == expected.split()


MUTEXES = r"""
K_MUTEX_DEFINE(mutex);
static struct k_thread *low;
static void holder(void *a, void *b, void *c)
{
    k_mutex_lock(&mutex, K_FOREVER); k_mutex_lock(&mutex, K_NO_WAIT);
    printk("count%u ", mutex.lock_count);
    k_msleep(10);
    printk("holder%d ", k_thread_priority_get(k_current_get()));
    k_mutex_unlock(&mutex);
    printk("still%d ", k_thread_priority_get(k_current_get()));
    k_mutex_unlock(&mutex);
    printk("own%d ", k_thread_priority_get(k_current_get()));
}
static void middle(void *a, void *b, void *c) { k_msleep(5); k_busy_wait(20000); printk("middle "); }
static void high(void *a, void *b, void *c)
{
    k_msleep(2);
    printk("lock%d ", k_mutex_lock(&mutex, K_FOREVER));
    printk("mine%d ", mutex.owner == k_current_get());
    printk("unlock%d ", k_mutex_unlock(&mutex));
}
static void impatient(void *a, void *b, void *c)
{
    printk("busy%d ", k_mutex_lock(&mutex, K_NO_WAIT) == -EBUSY);
    printk("again%d ", k_mutex_lock(&mutex, K_MSEC(3)) == -EAGAIN);
}
int test(void)
{
    printk("%d %d ", k_mutex_unlock(&mutex) == -EINVAL, mutex.owner == NULL);
    spawn(0, 9, holder, 0); spawn(1, 5, middle, 0); spawn(2, 2, high, 0);
    k_msleep(1);
    printk("perm%d ", k_mutex_unlock(&mutex) == -EPERM);
    k_msleep(100);
    printk("free%d | ", mutex.lock_count == 0);

    k_mutex_init(&mutex);
    spawn(0, 9, holder, 0); k_msleep(1);
    spawn(1, 3, impatient, 0); k_msleep(1);
    printk("lent%d ", k_thread_priority_get(&threads[0])); k_msleep(5);
    printk("back%d ", k_thread_priority_get(&threads[0])); k_msleep(20);
    return 0;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_mutexes(target: str, build: Build) -> None:
    """Priority inheritance: while `high` (2) waits for it, `holder` (9) goes before `middle` (5).

    The first unlock of two gives nothing away. The mutex goes to `high`, which goes on at once. When a thread has
    waited in vain, the owner has its own priority again.
    """
    expected = (
        "1 1 count2 perm1 holder2 still2 lock0 mine1 unlock0 middle own9 free1 |"
        " count2 busy1 lent3 again1 back9 holder9 still9 own9"
    )
    assert words(build, MUTEXES, target) == expected.split()


QUEUES = r"""
struct message { uint8_t kind; uint32_t value; };
K_MSGQ_DEFINE(queue, sizeof(struct message), 2, 4);
static struct k_msgq other;
static char buffer[12];
static void sender(void *value, void *b, void *c)
{
    struct message m = {1, (uint32_t)(uintptr_t)value};
    int result = k_msgq_put(&queue, &m, K_MSEC(10));
    printk("put%d:%d ", (int)(uintptr_t)value, result);
}
static void receiver(void *name, void *b, void *c)
{
    struct message m = {0, 0};
    int result = k_msgq_get(&queue, &m, K_MSEC(10));
    printk("%c:%d:%u ", (int)(intptr_t)name, result, m.value);
}
static int get(void) { struct message m = {0, 0}; return k_msgq_get(&queue, &m, K_NO_WAIT) ? -1 : (int)m.value; }
int test(void)
{
    struct message m = {7, 100};
    struct k_msgq_attrs attrs;
    printk("%d %d %d ", k_msgq_get(&queue, &m, K_NO_WAIT) == -ENOMSG, k_msgq_get(&queue, &m, K_MSEC(1)) == -EAGAIN,
           k_msgq_peek(&queue, &m) == -ENOMSG);
    printk("%d ", k_msgq_put(&queue, &m, K_NO_WAIT)); m.value = 101; printk("%d ", k_msgq_put(&queue, &m, K_FOREVER));
    printk("%d %d ", k_msgq_put(&queue, &m, K_NO_WAIT) == -ENOMSG, k_msgq_put(&queue, &m, K_MSEC(1)) == -EAGAIN);
    m.value = 0; printk("%d %u ", k_msgq_peek(&queue, &m), m.value);
    printk("%d %u ", k_msgq_peek_at(&queue, &m, 1), m.value); printk("%d ", k_msgq_peek_at(&queue, &m, 2) == -ENOMSG);
    k_msgq_get_attrs(&queue, &attrs);
    printk("%u:%u:%u:%u:%u | ", (unsigned)attrs.msg_size, attrs.max_msgs, attrs.used_msgs, queue.used_msgs,
           k_msgq_num_free_get(&queue));

    spawn(0, 5, sender, 102); spawn(1, 4, sender, 103); spawn(2, 6, sender, 104);
    k_msleep(1);
    printk("%d %d ", get(), get()); k_msleep(1); printk("%d %d ", get(), get());
    k_msleep(1);
    printk("%d %d | ", get(), get());

    spawn(0, 5, receiver, 'a'); spawn(1, 4, receiver, 'b');
    k_msleep(1);
    m.value = 200; k_msgq_put(&queue, &m, K_NO_WAIT); printk("used%u ", k_msgq_num_used_get(&queue));
    k_msleep(20);

    m.value = 1; k_msgq_put(&queue, &m, K_NO_WAIT); k_msgq_put(&queue, &m, K_NO_WAIT);
    spawn(0, 5, sender, 300); k_msleep(1);
    k_msgq_purge(&queue); printk("purged%u ", k_msgq_num_used_get(&queue)); k_msleep(1);

    k_msgq_init(&other, buffer, 4, 3);
    for (uint32_t i = 0; i < 3; i++) { k_msgq_put(&other, &i, K_NO_WAIT); }
    uint32_t out = 9; k_msgq_get(&other, &out, K_NO_WAIT); k_msgq_put(&other, &out, K_NO_WAIT);
    printk("%d ", buffer[0] == 0 && buffer[4] == 1 && buffer[8] == 2 && other.write_ptr == buffer + 4);
    printk("%d ", k_msgq_cleanup(&other));
    printk("%d ", k_msgq_alloc_init(&other, 8, 16)); printk("%d ", other.buffer_end - other.buffer_start == 128);
    printk("%d %d ", k_msgq_cleanup(&other), k_msgq_alloc_init(&other, 1 << 30, 16) < 0);
    return 0;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_message_queues(target: str, build: Build) -> None:
    """First in, first out; senders that wait hand over in the order of their priorities.

    The C code gets two messages and so lets 103 and 102 in; while it sleeps they return. 104 is in then, too.
    """
    result = go(build, QUEUES, target=target)
    parts = [part.split() for part in result.output.split("|")]
    assert result.fault is None, result.fault
    assert parts[0] == ["1", "1", "1", "0", "0", "1", "1", "0", "100", "0", "101", "1", "8:2:2:2:0"]
    assert parts[1] == ["100", "101", "put103:0", "put102:0", "103", "102", "put104:0", "104", "-1"]
    assert parts[2] == ["used0", "b:0:200", "a:-11:0", "purged0", "put300:-35", "1", "0", "0", "1", "0", "1"]
    assert result.heap_used == 0


TIMERS = r"""
static int seen;
static void tick(struct k_timer *timer)
{
    printk("%s%d@%d ", (const char *)k_timer_user_data_get(timer), ++seen, (int)k_uptime_get());
    if (seen == 3) { k_timer_stop(timer); }
}
static void stopped(struct k_timer *timer) { printk("stop%d ", k_is_in_isr()); }
K_TIMER_DEFINE(timer, tick, stopped);
K_TIMER_DEFINE(silent, NULL, NULL);
static struct k_timer once;
static void sync(void *a, void *b, void *c)
{
    printk("sync%u@%d ", k_timer_status_sync(&silent), (int)k_uptime_get());
    printk("none%u ", k_timer_status_sync(&silent));
}
int test(void)
{
    k_timer_user_data_set(&timer, (void *)"t");
    k_timer_start(&timer, K_MSEC(10), K_MSEC(20));
    k_msleep(5);
    printk("left%u:%d ", k_timer_remaining_get(&timer), (int)k_timer_remaining_ticks(&timer));
    printk("expires%d ", (int)k_timer_expires_ticks(&timer));
    k_msleep(40); printk("status%u ", k_timer_status_get(&timer)); printk("status%u ", k_timer_status_get(&timer));
    k_msleep(100); printk("left%u | ", k_timer_remaining_get(&timer));

    k_timer_start(&silent, K_MSEC(10), K_NO_WAIT); spawn(0, -2, sync, 0); k_msleep(20);
    k_timer_start(&silent, K_MSEC(10), K_MSEC(10)); k_msleep(35); printk("many%u ", k_timer_status_sync(&silent));
    k_timer_start(&silent, K_MSEC(10), K_MSEC(10)); printk("fresh%u ", k_timer_status_get(&silent));
    k_timer_stop(&silent); k_msleep(20); printk("off%u | ", k_timer_status_get(&silent));

    k_timer_init(&once, NULL, stopped);
    k_timer_start(&once, K_FOREVER, K_NO_WAIT); k_timer_stop(&once);
    k_timer_start(&once, K_MSEC(1), K_FOREVER); k_msleep(5);
    k_timer_stop(&once); printk("after%u ", k_timer_status_get(&once));
    k_timer_start(&once, K_MSEC(9), K_NO_WAIT); k_timer_stop(&once); k_timer_stop(&once);
    return 0;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize("target", EVERYWHERE)
def test_timers(target: str, build: Build) -> None:
    """A periodic timer keeps its steps; a timer that stops wakes who waits; the stop function runs if it did run.

    In the expiry function the third time, stopping calls it in the interrupt.
    """
    result = go(build, TIMERS, target=target)
    parts = [part.split() for part in result.output.split("|")]
    assert result.fault is None, result.fault
    assert parts[0] == ["left4:49", "expires100", "t1@10", "t2@30", "status2", "status0", "t3@50", "stop1", "left0"]
    assert parts[1] == ["sync1@155", "none0", "many3", "fresh0", "off0"]
    assert parts[2] == ["after1", "stop0"]


def test_work_of_an_interrupt_wakes_a_thread_at_once(build: Build) -> None:
    """The thread of the higher priority goes on when the interrupt ends, and not the one that was interrupted."""
    source = r"""
    K_SEM_DEFINE(sem, 0, 1);
    static void tick(struct k_timer *timer)
    {
        printk("isr%d ", k_sem_take(&sem, K_NO_WAIT) == -EBUSY); k_sem_give(&sem); printk("end ");
    }
    K_TIMER_DEFINE(timer, tick, NULL);
    static void worker(void *a, void *b, void *c)
    {
        k_sem_take(&sem, K_FOREVER); printk("worker@%d ", (int)k_uptime_get());
    }
    int test(void)
    {
        spawn(0, -3, worker, 0); k_timer_start(&timer, K_MSEC(2), K_NO_WAIT);
        k_busy_wait(5000); printk("main@%d ", (int)k_uptime_get());
        return 0;
    } EXPORT_SYMBOL(test);
    """  # fmt: skip
    assert words(build, source) == ["isr1", "end", "worker@2", "main@5"]


@pytest.mark.parametrize(
    "call",
    ["k_sem_take(&sem, K_MSEC(1))", "k_mutex_lock(&mutex, K_NO_WAIT)", "k_mutex_unlock(&mutex)", "k_msleep(1)",
     "k_yield()", "k_msgq_get(&queue, &word, K_FOREVER)", "k_msgq_put(&queue, &word, K_FOREVER)",
     "k_timer_status_sync(timer)", "k_thread_join(&threads[0], K_FOREVER)"],
)  # fmt: skip
def test_nothing_waits_in_an_interrupt(call: str, build: Build) -> None:
    """Zephyr's functions assert that, whether or not they would have to wait."""
    source = f"""
    K_SEM_DEFINE(sem, 1, 1); K_MUTEX_DEFINE(mutex); K_MSGQ_DEFINE(queue, 4, 1, 4); static int word;
    static void tick(struct k_timer *timer) {{ {call}; word++; }}
    K_TIMER_DEFINE(timer, tick, NULL);
    int test(void) {{ k_timer_start(&timer, K_MSEC(2), K_NO_WAIT); k_msleep(5); return 0; }} EXPORT_SYMBOL(test);
    """
    found = fault(build, source)
    assert found.code == "run-interrupt-waits"
    assert found.message == f"`tick` calls `{call.partition('(')[0]}`, which may wait, in an interrupt"
    assert found.notes[0] == "in the interrupt of the clock: `tick` is the function of a timer"


LOG = r"""
LOG_MODULE_REGISTER(sample, LEVEL);
int test(void)
{
    LOG_ERR("failed with %d", -5); LOG_WRN("low"); LOG_INF("%s %s", "two", "words"); LOG_DBG("detail");
    return 0;
}
EXPORT_SYMBOL(test);
"""


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("LOG_LEVEL_DBG", "E: failed with -5\nW: low\nI: two words\nD: detail\n"),
        ("LOG_LEVEL_WRN", "E: failed with -5\nW: low\n"),
    ],
)
def test_logging(level: str, expected: str, build: Build) -> None:
    """As Zephyr prints it with CONFIG_LOG_MODE_MINIMAL."""
    assert go(build, LOG.replace("LEVEL)", f"{level})")).output == expected


def test_timeouts_are_rounded_up(build: Build) -> None:
    """10,000 ticks to the second: 250 us are three of them; a negative time is none."""
    source = """
    int test(void)
    {
        printk("%d %d %d ", (int)K_USEC(250).ticks, (int)K_MSEC(-3).ticks, (int)K_SECONDS(2).ticks);
        printk("%d %d ", K_TIMEOUT_EQ(K_MSEC(0), K_NO_WAIT), K_TIMEOUT_EQ(K_MINUTES(1), K_SECONDS(60)));
        int64_t start = k_uptime_ticks(), reference = k_uptime_get();
        k_sleep(K_USEC(250));
        printk("%d ", (int)(k_uptime_ticks() - start)); k_sleep(K_HOURS(1));
        printk("%d ", (int)k_uptime_delta(&reference));
        return 0;
    } EXPORT_SYMBOL(test);
    """
    assert words(build, source) == ["3", "0", "20000", "1", "1", "3", "3600000"]


INSIDE = {
    **{(name, end): f"wait_q.{end}" for name in RECORDS for end in ("head", "tail")},
    **{("k_timer", member): f"timeout.{member}" for member in ("next", "previous", "function", "ticks")},
    ("k_queue", "first"): "data_q.head",
    ("k_queue", "last"): "data_q.tail",
    ("k_work", "next"): "node",
    ("k_work_delayable", "next"): "work.node",
    ("k_work_delayable", "handler"): "work.handler",
    ("k_work_delayable", "work_queue"): "work.queue",
    ("k_work_delayable", "flags"): "work.flags",
    ("k_work_delayable", "after"): "timeout.next",
    ("k_work_delayable", "before"): "timeout.previous",
    ("k_work_delayable", "function"): "timeout.function",
    ("k_work_delayable", "ticks"): "timeout.ticks",
}


@pytest.mark.parametrize("target", EVERYWHERE)
def test_members_are_where_the_compiler_puts_them(target: str, build: Build) -> None:
    """Those of <llext/kernel.h>. Oracle: offsetof and sizeof of the compiler."""
    word = arch.target(target).bits // 8
    places, expected = [], []
    for name in RECORDS:
        record = declared(name, word)
        places.append(f"(int)sizeof(struct {name})")
        expected.append(record.size)
        for member, place in record.members.items():
            inside = INSIDE.get((name, member), member)
            if not member.startswith("private"):
                places += [f"(int)offsetof(struct {name}, {inside})", f"(int)sizeof(((struct {name} *)0)->{inside})"]
                expected += [place.offset, place.size]
    prints = " ".join(f'printk("%d ", {place});' for place in places)
    source = f"int test(void) {{ {prints} return 0; }} EXPORT_SYMBOL(test);"
    assert words(build, source, target) == [str(number) for number in expected]

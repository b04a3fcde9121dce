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
from llext_tools.diag import Reporter
from llext_tools.errors import FaultError, UsageError
from llext_tools.run import Session, Setup, load
from llext_tools.run.plan import plan

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
    (step,) = plan(made.images, [text], [], made.setup.target, Reporter())
    value = made.perform(step).value
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


def test_a_snapshot_keeps_threads_that_wait(build: Build) -> None:
    """They can be brought back only as long as they have not run: what they are in the middle of is not memory."""
    with session(build, "cortex-m4") as made:
        call(made, "start(10)")
        made.settle()
        state = made.snapshot()
        call(made, "later_crash()")
        made.rollback(state)
        made.advance(10_000)
        assert call(made, "counts()") == 200
        with pytest.raises(UsageError, match="the thread `beat`, which has run since"):
            made.rollback(state)

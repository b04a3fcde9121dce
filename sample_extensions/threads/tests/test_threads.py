"""threads: time is virtual, so that each run with threads and timers is the same; it passes when all threads wait."""

import pytest


@pytest.fixture
def threads(llext_extension):
    return llext_extension("threads.llext")


def test_measures(threads):
    assert threads.measure(5, 0) == 200 + 207 + 214 + 221 + 228
    assert threads.lost == 0
    assert threads.host.clock == pytest.approx(100, abs=1)  # 5 readings, 10 ms each, and 50 ms without a sixth


def test_loses_what_is_too_much(threads):
    assert threads.measure(9, 37) == sum(200 + 7 * i for i in (0, 1, 2, 3, 4, 5, 8))
    assert threads.lost == 2
    assert "reading 6 is lost" in threads.host.output


@pytest.mark.parametrize("count", [1, 4])
def test_each_reading_goes_through_the_queue(threads, count):
    threads.measure(count, 0)
    assert len(threads.host.calls("k_msgq_put")) == count
    assert len(threads.host.calls("k_msgq_get")) == count + 1


def test_the_timer_gives_the_semaphore_when_time_passes(threads):
    """Without the threads: the timer's function, called by the test in place of the clock."""
    threads.tick(None)
    assert threads.host.calls.names == ["k_sem_give"]


def test_a_queue_that_is_always_full(threads):
    threads.host.override("k_msgq_put", -35)
    assert threads.measure(3, 0) == 0
    assert threads.lost == 3

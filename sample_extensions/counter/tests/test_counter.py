"""counter: look at variables and set them, static ones too; each test finds them as they are in the file."""

import pytest


@pytest.fixture
def counter(llext_extension):
    return llext_extension("counter.llext")


def test_counts(counter):
    assert [counter.counter_tick() for _ in range(3)] == [5, 15, 30]
    assert counter.total == 15
    assert counter.history == [5, 10, 15, 0]


def test_starts_anew_in_each_test(counter):
    assert counter.total == 0
    assert counter.counter_tick() == 5


def test_forgets_what_is_older_than_its_history(counter):
    counter.history = [100, 200, 300, 400]
    assert counter.counter_tick() == 5 + 200 + 300 + 400


def test_counts_by_the_exported_step(counter):
    counter.counter_step = 7  # `step` in the source: both names are the same variable
    assert counter.step == 7
    counter.counter_run(3)
    assert counter.total == 21


def test_the_oldest_entry_is_overwritten_wherever_the_counter_stands(counter):
    counter.ticks = 0xFFFF_FFFF  # it is unsigned: one more, and it is zero
    counter.counter_tick()
    assert counter.history[3] == 5
    assert counter.ticks == 0


def test_a_value_that_does_not_fit_is_refused(counter):
    with pytest.raises(OverflowError, match="does not fit into `int`"):
        counter.counter_step = 1 << 31

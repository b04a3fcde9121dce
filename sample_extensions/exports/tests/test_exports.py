"""exports: two extensions, one of which uses the other; both can be reached from the test."""

import pytest


@pytest.fixture
def sensor(llext_extension):
    return llext_extension("sensor.llext", extensions=["logbook.llext"])


def test_writes_two_entries(sensor):
    assert sensor.sensor_sample(2048) == 2
    assert sensor.host.output == "[1] raw = 2048\n[2] millivolts = 1650\n"


def test_both_share_the_variable(sensor):
    sensor.logbook_entries = 40
    assert sensor.sensor_sample(0) == 42


@pytest.mark.parametrize(("raw", "millivolts"), [(0, 0), (1, 0), (4095, 3299), (4096, 3300)])
def test_converts(sensor, raw, millivolts):
    entries = []

    @sensor.host.override("logbook_add")
    def add(entry, value):
        entries.append((entry.text, value))

    sensor.sensor_sample(raw)
    assert entries == [("raw", raw), ("millivolts", millivolts)]


def test_the_logbook_alone(llext_extension):
    logbook = llext_extension("logbook.llext")
    logbook.logbook_add("door", 1)
    assert logbook.host.output == "[1] door = 1\n"
    assert logbook.logbook_entries == 1

"""firmware: an extension on the code of the real base image. Python takes the place of its sensor and its console."""

import zlib

import pytest


@pytest.fixture
def printed():
    return []


@pytest.fixture
def thermometer(llext_extension, printed):
    extension = llext_extension("thermometer.llext", firmware="firmware.elf")
    # A function of the image that it does not export: there is no UART here, and nobody to look at it.
    extension.host.override("console_putc", lambda character: printed.append(chr(character)))
    return extension


def test_counts_readings_above_the_limit(thermometer):
    thermometer.host.override("sensor_read", [21000, 22001, 22000, 30000])
    assert thermometer.thermometer_watch(4) == 2
    assert thermometer.host.calls("sensor_read") == [(0,)] * 4


def test_the_image_formats_what_is_printed(thermometer, printed):
    thermometer.host.override("sensor_read", -4250)
    thermometer.thermometer_watch(1)
    assert "".join(printed).splitlines() == ["sample board: -4250 millidegrees"]


def test_the_image_calls_the_extension(thermometer):
    assert thermometer.thermometer_limit(25000) == 22000
    assert thermometer.limit == 25000


def test_a_handler_that_nobody_has_registered(llext_extension):
    """Without its constructor the extension is loaded, but the image does not know it."""
    thermometer = llext_extension("thermometer.llext", firmware="firmware.elf", bringup=False)
    assert thermometer.thermometer_limit(25000) == -1


@pytest.mark.parametrize("text", ["", "123456789", "The quick brown fox"])
def test_the_crc_of_the_image_is_that_of_zip(thermometer, text):
    assert thermometer.thermometer_crc(text) == zlib.crc32(text.encode())


def test_functions_and_variables_of_the_image(thermometer):
    image = thermometer.host.firmware
    assert image["crc32"](0, b"abc", 3) == zlib.crc32(b"abc")
    assert image["board_name"].text == "sample board"
    assert image["handlers"][0].name == "limit"  # static in services.c; the constructor has registered it
    assert image["handlers"][0].handler == thermometer.symbols["set_limit"].address


def test_what_the_extension_asks_the_image_for(thermometer):
    thermometer.thermometer_crc("abc")
    (call,) = thermometer.host.calls("crc32")
    assert (call.crc, call.size, call.result) == (0, 3, zlib.crc32(b"abc"))

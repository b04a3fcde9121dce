"""object: follow pointers through tables of structures, call functions by the addresses in them."""

import pytest


@pytest.fixture
def shell(llext_extension):
    return llext_extension("object.llext")


@pytest.mark.parametrize(
    ("words", "argument", "result"),
    [
        (("led", "on"), 7, 107),
        (("led", "off"), 7, 207),
        (("led", "clear"), 7, 207),
        (("version", ""), 0, 3),
        (("led", "blink"), 7, -1),
        (("fan", "on"), 7, -1),
    ],
)
def test_executes(shell, words, argument, result):
    assert shell.execute(*words, argument) == result


def test_the_table(shell):
    version, led = shell.commands[0], shell.commands[1]
    assert (version.name.text, led.name.text) == ("version", "led")
    assert not version.sub
    assert [led.sub[i].name.text for i in range(2)] == ["on", "off"]
    assert [alias.text for alias in led.sub[1].aliases[0:3]] == ["off", "clear", "0"]


def test_the_table_holds_the_addresses_of_functions(shell):
    assert shell.commands[0].handler == shell.symbols["version"].address
    assert shell.commands[1].sub[0].handler == shell.symbols["led_on"].address


def test_a_handler_in_the_place_of_another_one(shell):
    seen = []
    shell.host.override("led_on", lambda argument: seen.append(argument) or -5)
    assert shell.execute("led", "on", 3) == -5
    assert seen == [3]


def test_unknown_commands_are_printed(shell):
    shell.execute("fan", "on", 0)
    assert shell.host.output == "unknown command: fan on\n"

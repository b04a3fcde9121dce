"""hello: call exported functions, look at what they print and at what they call."""

import pytest


@pytest.fixture
def hello(llext_extension):
    return llext_extension("hello.llext")


def test_returns_a_number_and_prints(hello):
    assert hello.hello() == 42
    assert hello.host.output == "Hello from an extension\n"


@pytest.mark.parametrize("name", ["you", "", "Zoë"])
def test_greets(hello, name):
    hello.greet(name)
    assert hello.host.output == f"Hello, {name} ({len(name.encode())} letters)\n"


def test_asks_the_host_for_the_length(hello):
    hello.host.override("strlen", 1000)
    hello.greet("you")
    assert hello.host.output == "Hello, you (1000 letters)\n"
    assert [call.text for call in hello.host.calls("strlen")] == ["you"]


def test_output_in_parts(hello):
    hello.greet("one")
    hello.host.read_output()
    hello.greet("two")
    assert hello.host.read_output() == "Hello, two (3 letters)\n"


def test_a_name_that_is_not_there(hello):
    with pytest.raises(AttributeError, match="did you mean `hello`"):
        hello.helo()

"""far_call: the same extension near its host and far away from it."""

import pytest

FAR = 0x3000_0000


@pytest.mark.parametrize("at", [None, FAR], ids=["near", "far"])
def test_calls_the_host(llext_extension, at):
    extension = llext_extension("far_call.llext", at=at)
    assert extension.far_call(21) == 42
    assert extension.host.output == "the host heard about 42\n"
    assert at is None or extension.symbols["far_call"].address >= FAR


def test_the_function_in_between(llext_extension):
    """A static function, if the compiler has kept it: the host's Python takes its place."""
    extension = llext_extension("far_call.llext")
    extension.host.override("twice", 7)
    assert extension.far_call(21) == 7

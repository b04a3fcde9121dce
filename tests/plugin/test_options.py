"""Options of ``Extension.load()`` that cannot be: what Python's programmers are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llext_tools import Extension
from llext_tools.testing.options import options


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"stack": 100}, ValueError, "`stack=100` cannot be: give 256 to 16,777,216"),
        ({"seconds": 0}, ValueError, "`seconds=0` cannot be"),
        ({"threads": "4"}, TypeError, "`threads` is a number, not '4'"),
        ({"heap": True}, TypeError, "`heap` is a number, not True"),
        ({"target": 5}, TypeError, "`target` is a text, not 5"),
        ({"profile": Path("zephyr")}, TypeError, "`profile` is a text, not .*Path"),
        ({"at": "5"}, TypeError, "`at` is an address, not '5'"),
        ({"exports": 5}, TypeError, "`exports` is one text or path, or several, not 5"),
        ({"init": [None]}, TypeError, r"`init` is one text or path, or several, not \[None\]"),
        ({"timeout": 3}, TypeError, "there is no option `timeout`: the options are .*seconds.*depth"),
    ],
)
def test_options_that_cannot_be(given: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        options("blink.llext", **given)
    with pytest.raises(error, match=said):
        Extension.load("blink.llext", **given)


def test_one_or_several() -> None:
    assert options("e", exports="a.json").exports == options("e", exports=iter([Path("a.json")])).exports == ("a.json",)
    assert options("e", target=None, exports=[]) == options("e")


def test_a_file_is_not_what_an_extension_is_made_of() -> None:
    made: Any = Extension
    with pytest.raises(TypeError, match=r"is loaded by `Extension\.load\('blink\.llext'\)`"):
        made("blink.llext")

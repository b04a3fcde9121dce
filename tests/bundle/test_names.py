"""Names of files in a bundle, which is unpacked anywhere. Oracle: what Python knows of devices on Windows."""

from __future__ import annotations

from pathlib import PureWindowsPath

import pytest

from llext_tools.bundle.index import folded, is_safe

DEVICES = ("con", "NUL.json", "Com1.debug.elf", "lpt9.llext", "prn", "aux.a.b")
FILES = ("console.llext", "a.nul", "com.json", "lpt10", "null", "cortex-m4-gcc")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [*DEVICES, *FILES])
def test_no_file_is_a_device_on_windows(name: str) -> None:
    assert is_safe(name) == (not PureWindowsPath(name).is_reserved()) == (name in FILES)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a:b", "a.", "a ", "a\nb", 'a"b', 1])
def test_what_no_file_can_be_called_everywhere(name: object) -> None:
    assert not is_safe(name)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Blink.llext", "blink.LLEXT", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("CAF\u00c9", "cafe\u0301", True),
        ("\u03a3", "\u03c2", True),
        ("blink", "blin\u212a", True),
        ("cafe", "caf\u00e9", False),
        ("blink", "blink1", False),
        ("\uff42link", "blink", False),
    ],
    ids=["case", "accent", "both", "final sigma", "kelvin sign", "no accent", "longer", "full width"],
)
def test_names_that_a_file_system_takes_for_one(one: str, other: str, same: bool) -> None:
    """As Unicode has it: canonical equivalence and CaseFolding.txt, which file systems of macOS and Windows go by."""
    assert (folded(one) == folded(other)) == same
    assert folded(folded(one)) == folded(one)

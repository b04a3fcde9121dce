"""Files without an end, such as devices. Expected: a diagnostic instead of all the memory there is."""

from __future__ import annotations

import os

import pytest

from llext_tools import files
from llext_tools.errors import FormatError

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no /dev/zero")


def test_a_device_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST", 1 << 20)
    with pytest.raises(FormatError, match="does not end after 1,048,576 bytes") as raised:
        files.read_bytes("/dev/zero")
    assert raised.value.diagnostics[0].code == "file-unreadable"
    assert files.read_bytes("/dev/null") == b""

"""Extensions as Python objects: their functions can be called, their variables read and written, their host changed.

    with Extension.load("blink.llext", target="cortex-m4") as blink:
        blink.host.override("k_msleep", 0)
        assert blink.blink(3) == 3

The pytest plugin gives the same as the fixture ``llext_extension``, with a fresh state for each test.
"""

from __future__ import annotations

from llext_tools.testing.calls import Call
from llext_tools.testing.extension import Extension
from llext_tools.testing.fault import ExtensionError
from llext_tools.testing.host import Host

__all__ = ["Call", "Extension", "ExtensionError", "Host"]

"""Tools that a test cannot do without: it is skipped by their name, and fails instead under LLEXT_REQUIRE_TOOLS=1."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = os.environ.get("LLEXT_REQUIRE_TOOLS", "") not in ("", "0")
"""Whether a missing tool is a failure (continuous integration) and not a reason to skip."""


def need(*tools: str) -> str:
    """The full path of the first of these programs that is installed; skips the test if none is."""
    for tool in tools:
        if path := shutil.which(tool):
            return path
    pytest.skip(f"needs {' or '.join(tools)}")


def have(*tools: str) -> bool:
    """Whether all of these programs are installed."""
    return all(shutil.which(tool) for tool in tools)

"""Calls that are to fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llext_tools.errors import LlextError


def failure(call: Callable[..., object], *arguments: object) -> LlextError:
    with pytest.raises(LlextError) as caught:
        call(*arguments)
    return caught.value


def code(call: Callable[..., object], *arguments: object) -> tuple[str, str]:
    """The diagnostic's code and the errno with which a call fails."""
    error = failure(call, *arguments)
    return error.diagnostics[0].code, error.errno

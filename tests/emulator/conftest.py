"""Extensions that several tests run: each is compiled once for a target and toolchain."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.elf.model import ElfObject

Build = Callable[..., ElfObject]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """``build(source, target, chain, *options)``."""

    @cache
    def compiled(source: str, target: str, chain: str = "gcc", *options: str) -> ElfObject:
        return compile_c(source, arch.target(target), chain, tmp_path_factory.mktemp(target), *options)

    return compiled

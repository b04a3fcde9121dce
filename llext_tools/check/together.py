"""Rules about extensions that one firmware loads together: names, order and dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from llext_tools.check.subject import Subject
from llext_tools.diag import Diagnostic

SetRule: TypeAlias = Callable[[Sequence[Subject]], Iterable[Diagnostic]]
"""A rule about several extensions, in the order of loading."""

RULES: tuple[SetRule, ...] = ()


def check_together(subjects: Sequence[Subject]) -> Iterable[Diagnostic]:
    """What is wrong between extensions, each of which is fine by itself."""
    for rule in RULES:
        yield from rule(subjects)

"""Rules that need to know where an extension will be loaded: reach, room, alignment, protection."""

from __future__ import annotations

from llext_tools.check.subject import Rule

RULES: tuple[Rule, ...] = ()

"""Rules about the interface between extension and firmware: how functions are called and how data is laid out.

Nothing on the board compares these. Where they differ, arguments arrive as garbage and members are read at wrong
offsets.
"""

from __future__ import annotations

from llext_tools.check.subject import Rule

RULES: tuple[Rule, ...] = ()

"""The procedure call standard of Arm.  Source: aapcs32 (2024Q3), "Parameter passing"."""

from __future__ import annotations

from llext_tools.arch.base import CallConv

CALLCONV = CallConv(
    ints=("r0", "r1", "r2", "r3"),
    floats=tuple(f"s{i}" for i in range(16)),
    sp="sp",
    pc="pc",
    ra="lr",
    stack_align=8,
)

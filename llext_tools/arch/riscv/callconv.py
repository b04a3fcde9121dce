"""The procedure call standard of RISC-V.  Source: RISC-V psABI 1.0, "Procedure Calling Convention"."""

from __future__ import annotations

from llext_tools.arch.base import CallConv

CALLCONV = CallConv(
    ints=tuple(f"a{i}" for i in range(8)),
    floats=tuple(f"fa{i}" for i in range(8)),
    sp="sp",
    pc="pc",
    ra="ra",
    stack_align=16,
)

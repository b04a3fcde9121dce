"""A Cortex-M as GDB sees it.  Source: the GDB manual, "ARM Features"."""

from __future__ import annotations

from llext_tools.arch.base import Gdb, GdbFeature, GdbRegister
from llext_tools.arch.model import Target

CORE = GdbFeature(
    "org.gnu.gdb.arm.m-profile",
    (
        *(GdbRegister(f"r{i}", 32) for i in range(13)),
        GdbRegister("sp", 32, "data_ptr"),
        GdbRegister("lr", 32),
        GdbRegister("pc", 32, "code_ptr"),
        GdbRegister("xpsr", 32),
    ),
)
VFP = GdbFeature(
    "org.gnu.gdb.arm.vfp",
    (*(GdbRegister(f"d{i}", 64, "ieee_double") for i in range(16)), GdbRegister("fpscr", 32)),
)


def features(target: Target) -> tuple[GdbFeature, ...]:
    return (CORE,) if target.float_abi == "soft" else (CORE, VFP)


GDB = Gdb(architecture=lambda _: "arm", features=features)

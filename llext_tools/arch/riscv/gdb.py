"""A RISC-V core as GDB sees it.  Source: the GDB manual, "RISC-V Features"."""

from __future__ import annotations

from llext_tools.arch.base import Gdb, GdbFeature, GdbRegister
from llext_tools.arch.model import Target

NAMES = (
    *("ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1"),
    *(f"a{i}" for i in range(8)),
    *(f"s{i}" for i in range(2, 12)),
    *(f"t{i}" for i in range(3, 7)),
)
"""x1 to x31."""
POINTERS = {"ra": "code_ptr", "sp": "data_ptr", "gp": "data_ptr", "tp": "data_ptr", "fp": "data_ptr"}
FLEN = {"single": 32, "double": 64}
FLOATS = (
    *(f"ft{i}" for i in range(8)),
    *("fs0", "fs1"),
    *(f"fa{i}" for i in range(8)),
    *(f"fs{i}" for i in range(2, 12)),
    *(f"ft{i}" for i in range(8, 12)),
)
"""f0 to f31."""
STATE = tuple(GdbRegister(name, 32) for name in ("fflags", "frm", "fcsr"))


def features(target: Target) -> tuple[GdbFeature, ...]:
    core = GdbFeature(
        "org.gnu.gdb.riscv.cpu",
        (
            GdbRegister("zero", target.bits, constant=True),
            *(GdbRegister(name, target.bits, POINTERS.get(name, "int")) for name in NAMES),
            GdbRegister("pc", target.bits, "code_ptr"),
        ),
    )
    if target.float_abi == "soft":
        return (core,)
    bits = FLEN[target.float_abi]
    floats = (GdbRegister(name, bits, f"ieee_{target.float_abi}") for name in FLOATS)
    return core, GdbFeature("org.gnu.gdb.riscv.fpu", (*floats, *STATE))


GDB = Gdb(architecture=lambda target: f"riscv:rv{target.bits}", features=features)

"""The architecture as a whole; see the other files of this folder."""

from __future__ import annotations

from llext_tools.arch.base import Arch
from llext_tools.arch.riscv import loader
from llext_tools.arch.riscv.callconv import CALLCONV
from llext_tools.arch.riscv.fit import FPU, INCLUDES, cpu, fpu_instructions, unfit
from llext_tools.arch.riscv.flow import decode
from llext_tools.arch.riscv.gdb import GDB
from llext_tools.arch.riscv.relocs import NO_HELP, REFUSED_HELP, RELOCS, modulo_2_32
from llext_tools.arch.riscv.targets import TARGETS

ARCH = Arch(
    name="riscv",
    machine=243,  # EM_RISCV
    classes=(32, 64),
    rela=True,
    relocs={
        32: {row.code: modulo_2_32(row) for row in RELOCS},
        64: {row.code: row for row in RELOCS},
    },
    loader_relocs={bits: {row.code: row for row in rows} for bits, rows in loader.RELOCS.items()},
    loader_deviations=loader.DEVIATIONS,
    thumb=False,
    tls_bias=0,
    callconv=CALLCONV,
    targets=TARGETS,
    gdb=GDB,
    cpu=cpu,
    unfit=unfit,
    decode=decode,
    loader_writes_first=True,
    relative=3,
    reach_help="compile the extension with `-mcmodel=medany`, and write `call` for far functions, not `jal`",
    refused_help=REFUSED_HELP,
    no_help=NO_HELP,
    includes=INCLUDES,
    fpu=FPU,
    fpu_instructions=fpu_instructions,
)

"""The architecture as a whole; see the other files of this folder."""

from __future__ import annotations

from llext_tools.arch.arm import loader
from llext_tools.arch.arm.callconv import CALLCONV
from llext_tools.arch.arm.fit import FPU, INCLUDES, cpu, fpu_instructions, unfit
from llext_tools.arch.arm.flow import decode
from llext_tools.arch.arm.gdb import GDB
from llext_tools.arch.arm.literals import LITERALS, users_of
from llext_tools.arch.arm.relocs import A32_BRANCHES, BRANCHES, NO_HELP, POINTERS, REFUSED_HELP, RELOCS, TCB
from llext_tools.arch.arm.targets import TARGETS
from llext_tools.arch.base import Arch

ARCH = Arch(
    name="arm",
    machine=40,  # EM_ARM
    classes=(32,),
    rela=False,
    relocs={32: {row.code: row for row in RELOCS}},
    loader_relocs={32: {row.code: row for row in loader.RELOCS}},
    loader_deviations=loader.DEVIATIONS,
    thumb=True,
    tls_bias=-TCB,
    callconv=CALLCONV,
    targets=TARGETS,
    gdb=GDB,
    cpu=cpu,
    unfit=unfit,
    decode=decode,
    relative=23,
    reach_help="compile the extension with `-mlong-calls`, or enable CONFIG_LLEXT_VENEERS",
    branches=BRANCHES,
    foreign_branches=A32_BRANCHES,
    pointers=POINTERS,
    literals=LITERALS,
    users_of=users_of,
    refused_help=REFUSED_HELP,
    no_help=NO_HELP,
    includes=INCLUDES,
    fpu=FPU,
    fpu_instructions=fpu_instructions,
    peripherals=((0x4000_0000, 0x6000_0000), (0xE000_0000, 0x1_0000_0000)),  # "The system address map" of Armv6-M on
)

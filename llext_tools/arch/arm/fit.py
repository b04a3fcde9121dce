"""Whether code that an object says it has can run on one of our targets.

Source: "Addenda to, and Errata in, the ABI for the Arm Architecture" 2024Q3, section 3.3.
"""

from __future__ import annotations

from llext_tools.arch.base import Target
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import ElfObject

CPU_ARCH, CPU_PROFILE, FP_ARCH, FP_NUMBER_MODEL, HARD_FP_USE, VFP_ARGS = 6, 7, 10, 23, 27, 28

V6M, V7M, V7EM, V8M_BASE, V8M_MAIN = {11, 12}, {10}, {13}, {16}, {17}  # values of Tag_CPU_arch
RUNS: dict[str, set[int]] = {
    "cortex-m0plus": V6M,
    "cortex-m3": V6M | V7M,
    "cortex-m4": V6M | V7M | V7EM,
    "cortex-m4f": V6M | V7M | V7EM,
    "cortex-m7": V6M | V7M | V7EM,
    "cortex-m33": V6M | V7M | V7EM | V8M_BASE | V8M_MAIN,
}
FPUS: dict[str, set[int]] = {"cortex-m4f": {6}, "cortex-m7": {6, 8}}
"""Values of Tag_FP_arch: VFPv4-D16 and FPv5 (Armv8) with 16 registers; the other targets have, or use, no FPU."""

ARCH_NAMES = {2: "v4T", 4: "v5TE", 6: "v6", 10: "v7", 11: "v6-M", 12: "v6S-M", 13: "v7E-M", 14: "v8-A", 15: "v8-R",
              16: "v8-M.base", 17: "v8-M.main", 21: "v8.1-M.main"}  # fmt: skip


def misfit(obj: ElfObject, target: Target) -> str:
    """Why the object cannot run on the target, in words that follow "the object is"; ``""`` if it can."""
    said = read_attributes(obj)
    cpu, profile = said.get(CPU_ARCH, 0), said.get(CPU_PROFILE, 0)
    if cpu and (cpu not in RUNS.get(target.name, {cpu}) or profile in (ord("A"), ord("R"))):
        letter = f"-{chr(int(profile))}" if cpu == 10 and profile else ""
        return f"for Armv{ARCH_NAMES.get(int(cpu), str(cpu)).lstrip('v')}{letter}"
    hard = said.get(VFP_ARGS, 0) == 1
    if said.get(FP_NUMBER_MODEL, 0) and hard != (target.float_abi != "soft"):
        return f"compiled with `-mfloat-abi={'hard' if hard else 'soft'}`"
    fpu, single = said.get(FP_ARCH, 0), said.get(HARD_FP_USE, 0) == 1
    if fpu and fpu not in FPUS.get(target.name, set()):
        return "compiled for another FPU" if target.name in FPUS else "compiled for an FPU"
    if fpu and not single and target.float_abi == "single":
        return "compiled for an FPU of double precision"
    return ""

"""Whether code that an object says it has can run on one of our targets.

Source: "Addenda to, and Errata in, the ABI for the Arm Architecture" 2024Q3, section 3.3.
"""

from __future__ import annotations

from llext_tools.arch.base import Target
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import ElfObject

CPU_NAME, CPU_ARCH, CPU_PROFILE, FP_NUMBER_MODEL, VFP_ARGS = 5, 6, 7, 23, 28

V6M, V7M, V7EM, V8M_BASE, V8M_MAIN = {11, 12}, {10}, {13}, {16}, {17}  # values of Tag_CPU_arch
RUNS: dict[str, set[int]] = {
    "cortex-m0plus": V6M,
    "cortex-m3": V6M | V7M,
    "cortex-m4": V6M | V7M | V7EM,
    "cortex-m4f": V6M | V7M | V7EM,
    "cortex-m7": V6M | V7M | V7EM,
    "cortex-m33": V6M | V7M | V7EM | V8M_BASE | V8M_MAIN,
}
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
    return ""

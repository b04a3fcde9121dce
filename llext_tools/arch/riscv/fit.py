"""Whether code that an object says it has can run on one of our targets.

Source: RISC-V psABI 1.0, "File Header" (``e_flags``) and "Attributes" (``Tag_RISCV_arch``).
"""

from __future__ import annotations

from llext_tools.arch.base import Target
from llext_tools.elf.attributes import read_attributes
from llext_tools.elf.model import ElfObject

ARCH = 5
RVE, FLOAT_ABI = 8, 6  # bits of e_flags
ABIS = {"soft": 0, "single": 2, "double": 4}
IMPLIED = {"zicsr", "zifencei", "zmmul", "zaamo", "zalrsc", "zca", "zcf", "zcd"}
"""What tools write out although the single letters say it, or that each of our targets has."""


def misfit(obj: ElfObject, target: Target) -> str:
    """Why the object cannot run on the target, in words that follow "the object is"; ``""`` if it can."""
    if obj.flags & RVE:
        return "compiled for the E base, which has 16 registers"
    if obj.flags & FLOAT_ABI != ABIS[target.float_abi]:
        abi = next((name for name, bits in ABIS.items() if bits == obj.flags & FLOAT_ABI), "quad")
        return f"compiled for the {abi}-float ABI"
    extra = extensions(str(read_attributes(obj).get(ARCH, ""))) - extensions(target.name) - IMPLIED
    return f"compiled with the extension{'s' if len(extra) > 1 else ''} {', '.join(sorted(extra))}" if extra else ""


def extensions(isa: str) -> set[str]:
    """``rv32i2p1_m2p0_zba1p0`` and ``rv32im_zba`` alike as ``{"i", "m", "zba"}``."""
    first, *others = isa.lower().removeprefix("rv32").removeprefix("rv64").split("_")
    version_free = [other.rstrip("0123456789").removesuffix("p").rstrip("0123456789") for other in others]
    letters = {letter for i, letter in enumerate(first) if letter.isalpha() and not _is_version(first, i)}
    return ({*version_free, *letters} - {"g", ""}) | (set("imafd") if "g" in letters else set())


def _is_version(text: str, i: int) -> bool:
    """Whether the ``p`` at ``i`` stands between two numbers."""
    return text[i] == "p" and text[i - 1 : i].isdecimal() and text[i + 1 : i + 2].isdecimal()

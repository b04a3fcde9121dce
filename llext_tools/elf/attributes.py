"""Build attributes: what a compiler says about the code in an object, tag by tag.

They are the only place where an object says which CPU it is for and how it passes floating-point arguments. Reading
them never fails: what is malformed counts as not said. The loader ignores them.
Source: "Addenda to, and Errata in, the ABI for the Arm Architecture" 2024Q3, chapter 3; RISC-V psABI, "Attributes".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from llext_tools.elf.model import ElfObject

SHT_ATTRIBUTES = 0x7000_0003  # SHT_ARM_ATTRIBUTES and SHT_RISCV_ATTRIBUTES alike
TAG_FILE = 1
TAG_COMPATIBILITY = 32  # a number and a text

NAMES: Mapping[int, Mapping[int, str]] = {
    40: {
        4: "CPU_raw_name",
        5: "CPU_name",
        6: "CPU_arch",
        7: "CPU_arch_profile",
        8: "ARM_ISA_use",
        9: "THUMB_ISA_use",
        10: "FP_arch",
        12: "Advanced_SIMD_arch",
        13: "PCS_config",
        14: "ABI_PCS_R9_use",
        15: "ABI_PCS_RW_data",
        16: "ABI_PCS_RO_data",
        17: "ABI_PCS_GOT_use",
        18: "ABI_PCS_wchar_t",
        19: "ABI_FP_rounding",
        20: "ABI_FP_denormal",
        21: "ABI_FP_exceptions",
        22: "ABI_FP_user_exceptions",
        23: "ABI_FP_number_model",
        24: "ABI_align_needed",
        25: "ABI_align_preserved",
        26: "ABI_enum_size",
        27: "ABI_HardFP_use",
        28: "ABI_VFP_args",
        30: "ABI_optimization_goals",
        31: "ABI_FP_optimization_goals",
        34: "CPU_unaligned_access",
        36: "FP_HP_extension",
        38: "ABI_FP_16bit_format",
        42: "MPextension_use",
        44: "DIV_use",
        46: "DSP_extension",
        48: "MVE_arch",
        50: "PAC_extension",
        52: "BTI_extension",
        67: "conformance",
        68: "Virtualization_use",
    },
    243: {
        4: "stack_align",
        5: "arch",
        6: "unaligned_access",
        8: "priv_spec",
        10: "priv_spec_minor",
        12: "priv_spec_revision",
        14: "atomic_abi",
        16: "x3_reg_usage",
    },
}
"""e_machine -> tag -> its name, without ``Tag_`` and ``Tag_RISCV_``."""


def tag_name(machine: int, tag: int) -> str:
    """``Tag_CPU_arch``; ``Tag_77`` for one without a name."""
    prefix = "Tag_RISCV_" if machine == 243 and tag in NAMES[243] else "Tag_"
    return f"{prefix}{NAMES.get(machine, {}).get(tag, tag)}"


def read_attributes(obj: ElfObject) -> Mapping[int, int | str]:
    """Tag -> value of the attributes that hold for the whole file; empty if there are none."""
    sections = np.flatnonzero(obj.sections.type == SHT_ATTRIBUTES).tolist()
    return _attributes(tuple(obj.contents(section).tobytes() for section in sections))


@cache  # a compiler writes the same for each file
def _attributes(sections: tuple[bytes, ...]) -> Mapping[int, int | str]:
    found: dict[int, int | str] = {}
    for data in sections:
        try:
            _read(data, found)
        except (IndexError, ValueError):
            pass  # ends too early
    return MappingProxyType(found)


def _read(data: bytes, found: dict[int, int | str]) -> None:
    """Format version, then per vendor: length, name, sub-sections of tag, length and pairs."""
    if data[0] != ord("A"):
        return
    at = 1
    while at < len(data):
        end = at + int.from_bytes(data[at : at + 4], "little")
        name_end = data.index(0, at + 4)
        vendor, at = data[at + 4 : name_end], name_end + 1
        while at < end:
            tag, size = data[at], int.from_bytes(data[at + 1 : at + 5], "little")
            if tag == TAG_FILE and vendor in (b"aeabi", b"riscv"):
                _read_pairs(data[at + 5 : at + size], vendor == b"aeabi", found)
            at += max(size, 5)
        at = max(at, end)


def _read_pairs(data: bytes, arm: bool, found: dict[int, int | str]) -> None:
    at = 0
    while at < len(data):
        tag, at = _uleb128(data, at)
        text = (tag & 1 and (not arm or tag > TAG_COMPATIBILITY)) or (arm and tag in (4, 5))
        if not text:
            found[tag], at = _uleb128(data, at)
        if text or tag == TAG_COMPATIBILITY:
            end = data.index(0, at)
            if text:
                found[tag] = data[at:end].decode("utf-8", "backslashreplace")
            at = end + 1


def _uleb128(data: bytes, at: int) -> tuple[int, int]:
    """A number and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at

"""Where the loader leaves the ABI, it is said; where it does not, nothing is.

Oracle: GNU ld, which linked the loaded objects again at the loader's addresses: its bytes are the ABI's.
"""

from __future__ import annotations

from typing import Any

import pytest

from conformance.cases import cases
from conformance.replay import replay
from conformance.test_load import raw_cases

OTHER_CAUSES = {
    # bytes that differ from GNU ld's, but not by a formula of the loader
    "arm_veneer_v6m": "ld makes stubs of its own",
    "arm_sec_align_big_text": "the edited header's alignment contradicts its offset: ld moves the section",
    "arm_sec_align_overlap": "as above",
    "arm_sec_bss_offset": "as above",
    "align_rv_clang": "an offset of .bss that does not suit its alignment: the loader's .bss is where ld's cannot be",
    "app_Os_rv_clang": "as above",
    "arm_elf_rel_offset_last": "the edited relocation writes past the end of its section",
    "rv_rel_after_rela": "SHT_REL with the addend of the entry read before: ld takes none",
    "arm_own_vs_kernel": "a symbol that both define: ld was told the kernel's address",
    "rv_reloc_pcrel32": "this ld does not know R_RISCV_PLT32 and leaves 0x77 there",
}


def deviating(name: str) -> list[str]:
    """The relocations of a case that came with a warning."""
    found: list[str] = []

    def note(ext: Any) -> None:
        found.extend(d.message.split("`")[1] for d in ext.diagnostics if d.code == "reloc-deviates")

    replay(cases()[name], raw_cases()[name], place=True, seen=note)
    return found


@pytest.mark.parametrize("name", [name for name, case in cases().items() if case.gnu_ld == "same"])
def test_equal_bytes_bring_no_warning(name: str) -> None:
    assert deviating(name) == []


@pytest.mark.parametrize("name", [name for name, case in cases().items() if isinstance(case.gnu_ld, tuple)])
def test_other_bytes_bring_a_warning(name: str) -> None:
    assert bool(deviating(name)) != (name in OTHER_CAUSES)


@pytest.mark.parametrize(
    ("name", "relocation"),
    [
        ("arm_reloc_glob_dat", "R_ARM_GLOB_DAT"),
        ("arm_reloc_jump_slot", "R_ARM_JUMP_SLOT"),
        ("rv_jal_far", "R_RISCV_JAL"),
        ("rv_pcrel_othersec_match", "R_RISCV_PCREL_LO12_I"),
    ],
)
def test_what_ld_refuses_brings_a_warning(name: str, relocation: str) -> None:
    assert cases()[name].gnu_ld == "ld fails"
    assert relocation in deviating(name)

"""Objects that the loader loaded, linked by us at the loader's addresses.

Oracle: Zephyr's own loader code (README.md), where GNU ld agreed with it byte for byte.
"""

from __future__ import annotations

import hashlib

import pytest

from conformance.cases import Load, Region, loads
from llext_tools import profile as profiles
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from llext_tools.link import ExportTable, Image, link
from llext_tools.mem import PERM, Domain, Mem

NOT_LINKED = {
    "arm_reloc_glob_dat": "a dynamic relocation, which the ABI does not allow in an object",
    "arm_reloc_jump_slot": "a dynamic relocation, which the ABI does not allow in an object",
    "arm_reloc_relative_zero": "a dynamic relocation, which the ABI does not allow in an object",
    "arm_elf_rel_offset_last": "the relocated word ends behind its section: the loader writes into the next one",
    "arm_elf_sh_offset_past": "a section lies behind the end of the file: the loader leaves old heap memory in it",
    "arm_elf_shared": "ET_DYN is not supported",
    "arm_veneer_v6m": "no profile has CONFIG_LLEXT_VENEERS",
    "rv_jal_far": "JAL beyond 1 MiB: the loader cuts the offset off",
    "rv_reloc_jump_slot": "a dynamic relocation, which the ABI does not allow in an object",
    "rv_rel_after_rela": "SHT_REL after SHT_RELA: the loader takes the addend of the entry before",
    "arm_blx_arm": "BLX to an odd halfword: the loader writes an invalid instruction",
}
"""Loads that we refuse although the loader takes them, with the reason."""

LOADED = [load for load in loads() if load.rc == "0" and load.id not in NOT_LINKED]
SAME = [load for load in LOADED if load.case.gnu_ld == "same"]


def link_as_loaded(load: Load, profile: str = "zephyr-next") -> Image:
    """Link an object with each region at the address that the loader chose."""
    placed = {Mem[region.name]: region.base for region in on_target(load)}
    rules = profiles.load(profile)._replace(rodata_no_reloc=load.case.variant == "arm_noreloc")
    obj = read_object(load.object, load.file)
    return link(obj, exports=ExportTable.of(load.host), domain=Domain(fixed=placed), profile=rules)


def on_target(load: Load) -> list[Region]:
    """The regions that occupy target memory while the extension runs: not the loader's own tables."""
    return [region for region in load.regions if Mem[region.name] in PERM]


def assert_same_bytes(image: Image, load: Load, region: Region) -> None:
    ours = image.mem[Mem[region.name]].tobytes()
    in_file = len(load.object) - region.file_offset  # the loader's read stops at the file's end
    written = max(min(in_file, region.size), 0)
    if region.name == "BSS":
        assert not any(ours)
    elif region.contents is None:
        assert hashlib.sha256(ours).hexdigest() == region.sha256, region.name
    else:
        assert ours[:written].hex(" ", 4) == region.contents[:written].hex(" ", 4), region.name


@pytest.mark.parametrize("profile", ["zephyr-next", "abi"])
@pytest.mark.parametrize("load", SAME, ids=lambda load: load.id)
def test_link_gives_the_loaders_bytes(load: Load, profile: str) -> None:
    image = link_as_loaded(load, profile)
    assert sorted(image.mem) == sorted(Mem[region.name] for region in on_target(load))
    for region in on_target(load):
        mem = Mem[region.name]
        ours = image.regions.regions[mem]
        assert (ours.size, ours.align, ours.prepad, ours.file_offset) == (
            region.size,
            region.align,
            region.prepad,
            region.file_offset,
        ), region.name
        assert image.layout.base[mem] == region.base, region.name
        assert image.mem[mem].size == region.size, region.name
        assert_same_bytes(image, load, region)
    if load.case.variant != "arm_allglobals":  # there the table is that of all global symbols
        assert {(e.name, e.address) for e in image.exp_tab.symbols} == set(load.exports)


@pytest.mark.parametrize("load", LOADED, ids=lambda load: load.id)
def test_sections_get_the_loaders_regions_and_addresses(load: Load) -> None:
    image = link_as_loaded(load, "abi")
    for i, (region, offset, address) in load.sections.items():
        if Mem[region] in PERM:
            assert (Mem(int(image.regions.region[i])).name, int(image.regions.offset[i])) == (region, offset)
            assert int(image.layout.section_addr[i]) == address


@pytest.mark.parametrize("load", [load for load in loads() if load.id in NOT_LINKED], ids=lambda load: load.id)
def test_refused_although_the_loader_takes_it(load: Load) -> None:
    """Each entry of NOT_LINKED is still needed."""
    with pytest.raises(LlextError):
        link_as_loaded(load, "abi")


def test_set_is_complete() -> None:
    assert len(SAME) == 131
    assert {load.case.arch for load in SAME} == {"arm", "riscv"}

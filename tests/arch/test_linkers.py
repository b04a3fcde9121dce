"""Bytes of linked objects, for every row of every table, in each ELF class.

Oracle: GNU ld, or LLVM's lld where a case says so, links the same object at the same addresses.
"""

from __future__ import annotations

import pytest

from llext_tools.arch import discover
from llext_tools.arch.base import Arch
from llext_tools.link import Image, link
from oracle.gnu_ld import REGION_OF, Case, GnuLd, cases

pytestmark = pytest.mark.toolchain
CASES = [case for arch in discover() for case in cases(arch.name)]


def section_bytes(image: Image, name: str) -> bytes:
    index = image.obj.sections.index(name)
    assert index is not None
    region = REGION_OF[name]
    start = int(image.layout.section_addr[index]) - image.layout.base[region]
    return image.mem[region][start : start + int(image.obj.sections.size[index])].tobytes()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bytes_equal_the_linkers(case: Case, gnu_ld: GnuLd) -> None:
    theirs = gnu_ld.link(case)
    ours = link(theirs.obj, exports=case.exports, domain=case.domain, profile="abi")
    assert theirs.bytes or case.expect
    for name in REGION_OF.keys() & theirs.bytes:
        data = theirs.bytes[name]
        assert words(section_bytes(ours, name)) == words(data), name
    for name, offset, data in case.expect:
        assert words(section_bytes(ours, name)[offset : offset + len(data)]) == words(data), f"{name}+{offset:#x}"


def words(data: bytes) -> list[str]:
    """Lines that show in a diff which place differs."""
    return [f"+{i:#06x} {data[i : i + 4].hex(' ')}" for i in range(0, len(data), 4)]


@pytest.mark.parametrize(
    ("arch", "bits"),
    [(arch, bits) for arch in discover() for bits in arch.classes],
    ids=lambda x: str(getattr(x, "name", x)),
)
def test_every_row_has_a_case(arch: Arch, bits: int, gnu_ld: GnuLd) -> None:
    seen = set[str]()
    for case in cases(arch.name):
        obj = gnu_ld.assemble(case)
        if obj.bits == bits:
            seen |= link(obj, exports=case.exports, domain=case.domain, profile="abi").used_relocs
    assert {row.name for row in arch.relocs[bits].values()} - seen == set()

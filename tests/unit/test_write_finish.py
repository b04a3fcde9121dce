"""``llext finish``: what is shipped.

Oracles: GNU ld links it to the same bytes; readelf, pyelftools and LIEF read it.
"""

from __future__ import annotations

from pathlib import Path

import lief
import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given
from hypothesis import strategies as st

from built import DOMAIN, REGIONS, SOURCE, Combination, combination, contents  # noqa: F401
from conformance.cases import files, objects
from elfedit import Elf
from llext_tools.diag import Reporter
from llext_tools.elf.finish import finish
from llext_tools.elf.read import load_object, read_object
from llext_tools.elf.write import kept_strings
from llext_tools.errors import FormatError, LlextError, RefusedError
from llext_tools.link import ExportTable, link
from llext_tools.link.exports import Export
from llext_tools.link.regions import map_regions
from llext_tools.mem import PERM

UNWANTED = (".debug", ".rel.debug", ".rela.debug", ".comment", ".note", ".ARM.exidx", ".rel.ARM.exidx", ".group")


@pytest.fixture
def partial(combination: Combination, tmp_path: Path) -> Path:  # noqa: F811
    return combination.merge(tmp_path, combination.compile(tmp_path, SOURCE))


@pytest.fixture
def finished(partial: Path) -> Path:
    path = partial.with_name("hello.llext")
    path.write_bytes(finish(load_object(str(partial))))
    return path


@pytest.mark.toolchain
def test_gnu_ld_makes_the_same_of_it(combination: Combination, partial: Path, finished: Path, tmp_path: Path) -> None:  # noqa: F811
    """Oracle: GNU ld, before and after; so no relocation was lost or turned to another symbol."""
    before, after = (contents(combination.gnu_link(tmp_path, path)) for path in (partial, finished))
    assert before == after
    assert {".text", ".rodata", ".data", ".exported_sym", ".init_array"} <= after.keys()
    exports = ExportTable(source="test", symbols=(Export("printk", combination.printk, "func"),))
    ours = link(load_object(str(finished)), exports=exports, domain=DOMAIN)
    for name, data in after.items():
        assert ours.mem[REGIONS[name]].tobytes() == data, name


@pytest.mark.toolchain
def test_readelf_has_nothing_to_complain_about(combination: Combination, finished: Path) -> None:  # noqa: F811
    done = combination.binutils("readelf", "-aW", finished)
    assert done.stderr == ""
    assert "Warning" not in done.stdout


@pytest.mark.toolchain
def test_only_what_the_loader_needs_is_left(finished: Path) -> None:
    """Oracle: pyelftools."""
    with finished.open("rb") as file:
        elf = ELFFile(file)
        names = [section.name for section in elf.iter_sections()]
        assert not [name for name in names if name.startswith(UNWANTED)]
        assert any(name.endswith(".attributes") for name in names)
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        used = set[int]()
        for section in elf.iter_sections():
            if section["sh_type"] in ("SHT_REL", "SHT_RELA"):
                used |= {relocation["r_info_sym"] for relocation in section.iter_relocations()}
        symbols = list(table.iter_symbols())
        binds = [symbol["st_info"]["bind"] for symbol in symbols]
        assert binds == sorted(binds, key=lambda bind: bind != "STB_LOCAL")
        assert table["sh_info"] == binds.count("STB_LOCAL")
        for i, symbol in enumerate(symbols[1:], 1):
            assert i in used or symbol["st_info"]["bind"] != "STB_LOCAL", symbol.name
            assert i in used or symbol["st_shndx"] != "SHN_UNDEF", symbol.name
        public = {s.name for s in symbols if s["st_info"]["bind"] == "STB_GLOBAL"}
        assert public == {"add", "counter", "names", "hook", "printk"}, "a hidden symbol is not global any more"
        assert names.index(".symtab") < names.index(".strtab")


@pytest.mark.toolchain
def test_arrays_have_entries_of_a_pointer(finished: Path) -> None:
    """Oracle: pyelftools. Zephyr 4.2 compares sh_entsize with the size of a pointer; Clang and lld leave it 0."""
    with finished.open("rb") as file:
        elf = ELFFile(file)
        array = elf.get_section_by_name(".init_array")
        assert array["sh_size"] > 0
        assert array["sh_entsize"] == elf.elfclass // 8


@pytest.mark.toolchain
def test_lief_reads_the_same_relocations(partial: Path, finished: Path) -> None:
    """Oracle: LIEF; place, type and the symbol's name of each relocation that is loaded stay."""

    def relocations(path: Path) -> list[tuple[str | bytes, int, str, str | bytes]]:
        binary = lief.ELF.parse(str(path))
        assert binary is not None
        found = []
        for r in binary.relocations:
            if r.section is not None and r.section.has(lief.ELF.Section.FLAGS.ALLOC):
                symbol = r.symbol
                name = "" if symbol is None else symbol.name or f"section of {symbol.size}"
                found.append((r.section.name, r.address, r.type.name, name))
        return sorted(found, key=repr)

    assert relocations(finished) == relocations(partial)
    assert relocations(finished)


@pytest.mark.toolchain
def test_keep_symbols(partial: Path) -> None:
    obj = read_object(finish(load_object(str(partial)), keep_symbols=True), "kept")
    assert {"calls", "started", "start", "entry"} <= set(obj.symbols.names(range(len(obj.symbols))))
    assert not [name for name in obj.sections.name if name.startswith(UNWANTED)]


@pytest.mark.toolchain
def test_same_input_same_bytes(partial: Path, finished: Path) -> None:
    obj = load_object(str(partial))
    assert finish(obj) == finish(obj) == finished.read_bytes()
    assert finish(load_object(str(finished))) == finished.read_bytes(), "finishing twice changes nothing"


@pytest.mark.parametrize("name", sorted(objects()))
def test_what_the_loader_takes_stays_loadable(name: str) -> None:
    """Oracle: Zephyr's loader took the object; each of its sections is in the same region afterwards."""
    try:
        obj = read_object(objects()[name], name)
    except FormatError:
        return  # a section beyond the end of the file, which the loader takes
    if obj.type != 1:
        with pytest.raises(FormatError):
            finish(obj)
        return
    try:
        done = read_object(finish(obj), name)
    except LlextError as error:
        assert {d.code for d in error.diagnostics} <= {"region-alignment", "elf-relocations", "symbol-unmapped"}
        return
    reporter = Reporter()
    before, after = map_regions(obj, reporter), map_regions(done, reporter)
    reporter.checkpoint()
    for mem in PERM:
        kept = [obj.sections.name[i] for i in np.flatnonzero(before.region == mem)]
        assert [done.sections.name[i] for i in np.flatnonzero(after.region == mem)] == kept
        assert mem not in after.regions or after.regions[mem].prepad == 0


def test_nobits_is_aligned_in_the_file() -> None:
    """Oracle: the loader's record of an object of Clang's whose .bss comes to lie beside its alignment."""
    obj = read_object(files()["align_rv_clang/e.llext"], "x")
    assert any(region.prepad for region in map_regions(obj, Reporter()).regions.values())
    done = read_object(finish(obj), "x")
    assert not any(region.prepad for region in map_regions(done, Reporter()).regions.values())


def test_executables_are_refused() -> None:
    data = Elf(files()["ptrs_arm_gcc/e.llext"])
    data.put(data.ehdr("type"), 2)
    with pytest.raises(FormatError, match="ET_REL"):
        finish(read_object(bytes(data), "x"))


@pytest.mark.parametrize("alignment", [3, 1 << 21])
def test_alignments_that_no_file_should_have(alignment: int) -> None:
    data = Elf(files()["ptrs_arm_gcc/e.llext"])
    data.put(data.shdr(".text", "addralign"), alignment)
    with pytest.raises(RefusedError, match="alignment"):
        finish(read_object(bytes(data), "x"))


def test_a_relocation_section_needs_no_alignment_but_its_own() -> None:
    """Oracle: gABI, SHT_REL holds words; one that asks for a GiB must not make the file a GiB long."""
    data = Elf(files()["ptrs_arm_gcc/e.llext"])
    data.put(data.shdr(".rel.text", "addralign"), 1 << 30)
    assert len(finish(read_object(bytes(data), "e.llext"))) < len(bytes(data)) + 64


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\0", b"\1")), max_size=8), st.data())
def test_kept_strings(strings: list[bytes], data: st.DataObject) -> None:
    """Oracle: the strings themselves; the new table is never larger than the old one."""
    old = b"\0" + b"".join(s + b"\0" for s in strings)
    at = np.array(data.draw(st.lists(st.integers(0, len(old) - 1), max_size=12)), np.int64)
    new, new_at = kept_strings(old, at)
    for before, after in zip(at.tolist(), new_at.tolist(), strict=True):
        assert new[after : new.index(0, after)] == old[before : old.index(0, before)]
    assert len(new) <= len(old)
    assert new[:1] == b"\0" == new[-1:]

"""What ties an extension to its debug file. Oracles: readelf, objcopy, GDB, LIEF, pyelftools, hashlib and zlib."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import lief
import pytest
from elftools.elf.elffile import ELFFile

import built
from built import Combination
from needs import need
from transcript import llext

pytestmark = pytest.mark.toolchain
PRINTK_LINE = next(i for i, line in enumerate(built.SOURCE.splitlines(), 1) if line.startswith("    printk("))


class Built(NamedTuple):
    combination: Combination
    folder: Path
    object: bytes  # what the partial link gave

    @property
    def extension(self) -> Path:
        return self.folder / "hello.llext"

    @property
    def debug(self) -> Path:
        return self.folder / "hello.debug.elf"

    def readelf(self, option: str, path: Path) -> str:
        return self.combination.binutils("readelf", "-W", option, path).stdout


@pytest.fixture(scope="module", params=built.COMBINATIONS, ids="-".join)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    combination, folder = built.find(*request.param), tmp_path_factory.mktemp("build id")
    merged = combination.merge(folder, combination.compile(folder, built.SOURCE, "-g"))
    before = merged.read_bytes()
    finished = llext("finish", str(merged), "-o", str(folder / "hello.llext"), "--debug-file", str(merged))
    assert finished == (0, "")
    return Built(combination, folder, before)


def test_both_files_have_the_build_id(made: Built) -> None:
    expected = hashlib.sha1(made.object, usedforsecurity=False).hexdigest()
    for path in (made.debug, made.extension):
        assert f"Build ID: {expected}" in made.readelf("-n", path)
        with path.open("rb") as stream:
            (note,) = ELFFile(stream).get_section_by_name(".note.gnu.build-id").iter_notes()
        assert (note["n_name"], note["n_type"], note["n_desc"]) == ("GNU", "NT_GNU_BUILD_ID", expected)
        binary = lief.ELF.parse(str(path))
        assert binary is not None
        notes = [bytes(each.description).hex() for each in binary.notes if each.original_type == 3]
        assert notes == [expected]


def test_the_link_names_the_debug_file_and_its_checksum(made: Built) -> None:
    with made.extension.open("rb") as stream:
        link = ELFFile(stream).get_section_by_name(".gnu_debuglink").data()
    assert link[:16] == b"hello.debug.elf\0"
    assert link[16:] == zlib.crc32(made.debug.read_bytes()).to_bytes(4, "little")
    theirs = made.folder / "theirs.llext"
    made.combination.binutils(
        "objcopy", "--remove-section=.gnu_debuglink", f"--add-gnu-debuglink={made.debug}", made.extension, theirs
    )
    with theirs.open("rb") as stream:
        assert ELFFile(stream).get_section_by_name(".gnu_debuglink").data() == link


def test_the_rest_of_the_debug_file_is_as_it_was(made: Built) -> None:
    plain = made.folder / "plain.elf"
    plain.write_bytes(made.object)
    with plain.open("rb") as before, made.debug.open("rb") as after:
        old, new = ELFFile(before), ELFFile(after)
        assert new.num_sections() == old.num_sections() + 1
        for was, now in zip(old.iter_sections(), new.iter_sections(), strict=False):
            assert now.name == was.name
            if was.name != ".shstrtab":
                assert (dict(now.header), now.data()) == (dict(was.header), was.data())
    assert made.readelf("-s", made.debug) == made.readelf("-s", plain)


def test_gdb_finds_the_debug_file(made: Built, tmp_path: Path) -> None:
    for path in (made.extension, made.debug):
        shutil.copy(path, tmp_path)
    command = [need("gdb-multiarch"), "-nx", "-batch", "-ex", "info line add", "hello.llext"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.search(r'Line \d+ of ".*source\.c" starts at address 0x\w+ <add>', found.stdout), found.stderr
    with (tmp_path / "hello.debug.elf").open("ab") as other:
        other.write(b"\0")
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "CRC mismatch" in found.stderr
    assert "No line number information" in found.stdout


def linked(made: Built, extension: Path) -> dict[str, bytes]:
    """The memory that GNU ld makes of an extension, at addresses of ours."""
    with made.combination.gnu_link(extension.parent, extension).open("rb") as stream:
        return {each.name: each.data() for each in ELFFile(stream).iter_sections() if each["sh_flags"] & 2}


def answer(extension: Path, exports: Path) -> list[Any]:
    """The loader's answer: regions and their sizes, but for those of symbols and names."""
    code, printed = llext("load", str(extension), "--exports", str(exports), "--json")
    assert code == 0, printed
    (loaded,) = json.loads(printed)["steps"]
    return [(each["region"], each["size"]) for each in loaded["regions"] if "STR" not in each["region"] != "SYMTAB"]


def test_what_is_loaded_does_not_change(made: Built, tmp_path: Path) -> None:
    """Neither by the new sections, nor when objcopy strips the file once more."""
    exports = tmp_path / "table.toml"
    exports.write_text(f"[exports]\nprintk = {made.combination.printk:#x}\n")
    plain = tmp_path / "plain.llext"
    assert llext("finish", str(made.debug), "-o", str(plain), "--no-manifest")[0] == 0
    assert ".gnu_debuglink" not in made.readelf("-S", plain)
    memory, expected = linked(made, plain), answer(plain, exports)
    assert [*memory] == [*built.REGIONS]
    assert {name for name, _ in expected} == {mem.name for mem in built.REGIONS.values()}
    assert linked(made, made.extension) == memory
    assert answer(made.extension, exports) == expected
    for option in ("--strip-unneeded", "--strip-debug"):
        stripped = tmp_path / "stripped.llext"
        made.combination.binutils("objcopy", option, made.extension, stripped)
        assert linked(made, stripped) == memory
        assert answer(stripped, exports) == expected
        assert made.readelf("-n", stripped) == made.readelf("-n", made.extension)


def test_finishing_once_more_changes_nothing(made: Built, tmp_path: Path) -> None:
    again, debug = tmp_path / "hello.llext", tmp_path / "hello.debug.elf"
    assert llext("finish", str(made.debug), "-o", str(again), "--debug-file", str(debug))[0] == 0
    assert debug.read_bytes() == made.debug.read_bytes()
    assert again.read_bytes() == made.extension.read_bytes()
    names = [*json.loads((tmp_path / "hello.json").read_text())["files"]]
    assert names == ["hello.llext", "hello.debug.elf"]


def test_slids_leave_the_link_as_it_is(made: Built, tmp_path: Path) -> None:
    for path in (made.extension, made.debug, made.folder / "hello.json"):
        shutil.copy(path, tmp_path)
    extension = tmp_path / "hello.llext"
    assert llext("slid", str(extension))[0] == 0
    assert made.readelf("-n", extension) == made.readelf("-n", made.extension)
    code, printed = llext("manifest", str(tmp_path / "hello.json"))
    assert (code, list(json.loads(printed)["files"])) == (0, ["hello.llext", "hello.debug.elf"])
    (tmp_path / "other").mkdir()
    assert llext("slid", str(made.extension), "-o", str(tmp_path / "other/hello.llext"))[0] == 0
    code, printed = llext("manifest", str(tmp_path / "other/hello.json"))
    assert (code, list(json.loads(printed)["files"])) == (0, ["hello.llext"]), "the debug file is not there"


def test_the_debug_file_is_found_under_another_name(made: Built, tmp_path: Path) -> None:
    """By the link alone; and one of another build is not taken for it, though it has the same symbols."""
    shutil.copy(made.extension, tmp_path / "it.llext")
    shutil.copy(made.debug, tmp_path / "hello.debug.elf")
    table = tmp_path / "table.toml"
    table.write_text("[exports]\nother = 0x1000\n")
    at = f"source.c:{PRINTK_LINE}"
    assert at in llext("check", str(tmp_path / "it.llext"), "--exports", str(table))[1]
    combination = made.combination
    merged = combination.merge(tmp_path, combination.compile(tmp_path, built.SOURCE + "\n// more\n", "-g", "-DX"))
    assert llext("finish", str(merged), "-o", str(tmp_path / "x.llext"), "--debug-file", str(merged))[0] == 0
    assert merged.read_bytes() != made.debug.read_bytes()
    assert at not in llext("check", str(tmp_path / "it.llext"), "--exports", str(table))[1]

"""``llext link``: executables, binaries and maps.

Oracles: readelf, objcopy and GNU ld for the file, gdb for its debugging sections, LIEF and pyelftools as readers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import lief
import pytest

from built import ADD_LINE, ADDRESSES, REGIONS, SOURCE, Combination, combination, contents  # noqa: F401
from conformance.cases import files
from llext_tools.elf.read import read_object
from llext_tools.link import Image, link
from llext_tools.link.executable import executable, flat_binary
from llext_tools.mem import Domain, Mem
from needs import need
from transcript import llext

PLACES = ",".join(f"{REGIONS[name].name.lower()}={address:#x}" for name, address in ADDRESSES.items())
OBJECT = files()["app_ldr_arm_gcc/e.llext"]


@pytest.fixture
def partial(combination: Combination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    path = combination.merge(tmp_path, combination.compile(tmp_path, SOURCE))
    host = {"printk": {"address": combination.printk, "kind": "func"}}
    Path("host.json").write_text(json.dumps({"exports": host}))
    return path


@pytest.fixture
def linked(partial: Path) -> Path:
    outputs = ["-o", "out.elf", "--map", "out.map", "--bin", "out.bin"]
    code, printed = llext("link", partial.name, "--exports", "host.json", "--domain", PLACES, *outputs)
    assert code == 0
    assert re.fullmatch(r"linked \d regions at 0x[0-9a-f]{8}, [0-9,]+ bytes: out\.elf\n", printed), printed
    return partial.with_name("out.elf")


@pytest.mark.toolchain
def test_readelf_has_nothing_to_complain_about(combination: Combination, linked: Path) -> None:  # noqa: F811
    done = combination.binutils("readelf", "-aW", "--debug-dump=info,decodedline", linked)
    assert done.stderr == ""
    assert "arning" not in done.stdout


@pytest.mark.toolchain
def test_contents_are_gnu_lds(combination: Combination, partial: Path, linked: Path, tmp_path: Path) -> None:  # noqa: F811
    """Oracle: GNU ld. Debugging sections are compared as readelf shows them: ld merges strings, which moves them."""
    theirs = combination.gnu_link(tmp_path, partial)
    assert contents(linked) == contents(theirs)

    def shown(path: Path) -> list[str]:
        text = combination.binutils(
            "readelf", "-W", "--debug-dump=info,decodedline,aranges,frames,Ranges,loc", path
        ).stdout
        return re.sub(r"offset: 0x[0-9a-f]+", "offset", text).splitlines()

    assert shown(linked) == shown(theirs)
    assert any("DW_AT_low_pc" in line for line in shown(theirs))


@pytest.mark.toolchain
def test_symbols_are_gnu_lds(combination: Combination, partial: Path, linked: Path, tmp_path: Path) -> None:  # noqa: F811
    """Oracle: GNU nm on both files. ld leaves out temporary labels, and does not know that printk is a function."""

    def symbols(path: Path) -> set[tuple[int, str]]:
        rows = (line.split() for line in combination.binutils("nm", path).stdout.splitlines())
        found = {(int(row[0], 16), row[-1]) for row in rows if not row[-1].startswith(".L")}
        return {(address & ~1 if name == "printk" else address, name) for address, name in found}

    assert symbols(linked) == symbols(combination.gnu_link(tmp_path, partial))


@pytest.mark.toolchain
def test_lief_sees_a_segment_for_each_region(linked: Path) -> None:
    """Oracle: LIEF. Permissions are those of the loader's regions."""
    binary = lief.ELF.parse(str(linked))
    assert binary is not None
    flags = lief.ELF.Segment.FLAGS
    found = {s.virtual_address: s for s in binary.segments if s.type == lief.ELF.Segment.TYPE.LOAD}
    assert set(found) == set(ADDRESSES.values())
    for name, address in ADDRESSES.items():
        assert found[address].has(flags.X) == (name == ".text")
        assert found[address].has(flags.W) == (name in (".data", ".bss"))
        assert found[address].has(flags.R)
        assert (found[address].physical_size == 0) == (name == ".bss")
    assert binary.header.file_type == lief.ELF.Header.FILE_TYPE.EXEC
    assert binary.header.entrypoint == 0


@pytest.mark.toolchain
def test_gdb_shows_source_lines_and_variables(linked: Path) -> None:
    """Oracle: gdb."""
    commands = ["info line add", "print &counter", "print counter", "print names[1]", "print sizeof(calls)"]
    options = [word for command in commands for word in ("-ex", command)]
    done = subprocess.run(
        [need("gdb-multiarch"), "-nx", "-batch", *options, str(linked)], capture_output=True, text=True, check=True
    )
    assert "warning" not in done.stderr.lower()
    line, place, value, name, size = done.stdout.splitlines()
    assert re.match(rf'Line ({ADD_LINE}|{ADD_LINE + 1}|{ADD_LINE + 2}) of ".*source.c" starts at address 0x2001', line)
    assert re.match(rf"\$1 = \(int \*\) {ADDRESSES['.data'] >> 12:#x}... <counter>", place)
    assert (value, size) == ("$2 = 5", "$4 = 32")
    assert name.endswith('"odd"')


@pytest.mark.toolchain
def test_binary_is_objcopys(combination: Combination, linked: Path) -> None:  # noqa: F811
    """Oracle: objcopy makes a flat binary of the executable."""
    combination.binutils("objcopy", "-O", "binary", linked, "theirs.bin")
    assert Path("out.bin").read_bytes() == Path("theirs.bin").read_bytes()


@pytest.mark.toolchain
def test_map_says_where_symbols_are(combination: Combination, linked: Path) -> None:  # noqa: F811
    """Oracle: GNU nm."""
    text = Path("out.map").read_text()
    symbols = text.split("\nsymbols")[1].split("\n\n")[0]
    places = {name: int(address, 16) for address, name in re.findall(r"^  0x(\w+) .* (\w+)$", symbols, re.MULTILINE)}
    for line in combination.binutils("nm", linked).stdout.splitlines():
        address, kind, name = line.split()
        if kind in "TtDdBbRr" and not name.startswith(("$", ".")):
            assert places[name] == int(address, 16) & (~1 if kind in "Tt" else -1), name
    assert re.search(rf"0x0*{combination.printk:x} +printk +host.json", text)


@pytest.mark.toolchain
def test_the_finished_file_goes_to_the_same_addresses(partial: Path, linked: Path) -> None:
    assert llext("finish", partial.name) == (0, "")
    arguments = ["link", "hello.llext", "--exports", "host.json", "--domain", PLACES, "-o", "finished.elf"]
    assert llext(*arguments)[0] == 0
    assert contents(partial.with_name("finished.elf")) == contents(linked)


@pytest.mark.toolchain
def test_json(partial: Path) -> None:
    code, printed = llext("link", partial.name, "--exports", "host.json", "--at", "0x20010000", "-o", "x.elf", "--json")
    assert code == 0
    result = json.loads(printed)
    assert result["regions"][0] | {"size": 0, "align": 0} == {
        "name": "TEXT",
        "address": 0x2001_0000,
        "size": 0,
        "align": 0,
        "permissions": "r-x",
    }
    assert [e["name"] for e in result["exports"]] == ["add"]
    assert [i["name"] for i in result["imports"]] == ["printk"]
    code, printed = llext("link", partial.name, "-o", "y.elf", "--json")
    assert code == 5
    assert [d["code"] for d in json.loads(printed)["diagnostics"]] == ["undefined-symbol"]


def image(**places: int) -> Image:
    where = Domain(fixed={Mem[name.upper()]: address for name, address in places.items()}, start=0x2000_0000)
    return link(read_object(OBJECT, "x"), exports=None, domain=where, profile="abi")


def test_binary_ends_with_the_last_contents() -> None:
    """Zeros stand where nothing is, between regions; a .bss at the end is left out."""
    made = image(text=0x1000, data=0x1800, bss=0x1900, rodata=0x1A00, export=0x1C00)
    flat = flat_binary(made)
    assert flat.startswith(made.mem[Mem.TEXT].tobytes() + b"\0")
    last = max(mem for mem in made.mem if mem is not Mem.BSS)
    assert len(flat) == made.layout.base[last] + made.mem[last].size - 0x1000
    made = image(text=0x1000, data=0x1800, rodata=0x1A00, export=0x1C00, bss=0x9000)
    assert len(flat_binary(made)) < 0x1000


def test_same_image_same_bytes() -> None:
    assert executable(image()) == executable(image())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.llext").write_bytes(OBJECT)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "a", "--map", "a"], 2, "--output and --map would both write `a`"),
        (["-o", "a", "--at", "here"], 2, "`here` is not an address"),
        (["-o", "a", "--at", "0x10000000000000000"], 2, "is not an address"),
        (["-o", "a", "--at", "9" * 5000], 2, "is not an address"),
        (["-o", "a", "--domain", "text"], 2, "`text` is not REGION=ADDRESS"),
        (["-o", "a", "--domain", "symtab=0"], 2, "`symtab=0` is not REGION=ADDRESS"),
        (["-o", "a", "--domain", "text=0,text=4"], 2, "`text` has two addresses"),
        (["-o", "a", "--at", "0", "--domain", "text=0"], 2, "not allowed with"),
        (["-o", "a", "--at", "0x20000001", "--domain", ""], 2, "not allowed with"),
        (["-o", "a", "--domain", "text=0x20000001"], 6, "aligned"),
        (["-o", "a", "--at", "0xfffffffc"], 6, "does not fit"),
        (["-o", "a", "--exports", "missing.toml"], 3, "cannot read `missing.toml`"),
        (["-o", "a", "--profile", "none-such"], 2, "none-such"),
        (["-o", "missing/a"], 3, "cannot write `missing/a`"),
        (["-o", "a", "--map", "missing/b"], 3, "cannot write `missing/b`"),
        (["-o", "a", "--bin", "b", "--domain", "text=0x20000000,data=0xf0000000"], 6, "flat binary"),
        (["-o", "a", "--at", "0x20000001"], 6, "the next suitable address is 0x2000000"),
        ([], 2, "-o/--output"),
    ],
)
def test_nothing_is_written_when_anything_is_wrong(arguments: list[str], code: int, message: str, folder: Path) -> None:
    (folder / "host.json").write_text(json.dumps({"exports": dict.fromkeys(undefined(), 0x2010_0001)}))
    exports = [] if "--exports" in arguments else ["--exports", "host.json"]
    result, printed = llext("link", "e.llext", *exports, *arguments)
    assert (result, message in re.sub(r"\s+", " ", printed)) == (code, True), printed
    assert sorted(os.listdir(folder)) == ["e.llext", "host.json"]


def test_undefined_symbols_are_all_reported(folder: Path) -> None:
    code, printed = llext("link", "e.llext", "-o", "a")
    assert code == 5
    assert all(f"`{name}`" in printed for name in undefined())
    assert os.listdir(folder) == ["e.llext"]


def undefined() -> set[str]:
    y = read_object(OBJECT, "x").symbols
    return {y.name(i) for i in range(1, len(y)) if y.shndx[i] == 0}


def test_earlier_tables_win_and_the_map_names_them(folder: Path) -> None:
    names = sorted(undefined())
    for table, address in (("first.json", 0x2010_0001), ("second.json", 0x2020_0001)):
        chosen = names[:1] if table == "first.json" else names
        (folder / table).write_text(json.dumps({"exports": dict.fromkeys(chosen, address)}))
    arguments = ["--exports", "first.json", "--exports", "second.json", "--at", "0x20000000", "-o", "a", "--map", "m"]
    code, printed = llext("link", "e.llext", *arguments)
    assert code == 0
    assert re.fullmatch(r"linked \d regions at 0x20000000, [0-9,]+ bytes: a\n", printed), printed
    imports = Path("m").read_text().split("\nimports")[1]
    assert re.search(rf"0x20100001 +{names[0]} +first.json", imports)
    assert "0x20200001" in imports or len(names) == 1

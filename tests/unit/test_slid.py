"""SLIDs: computed, put into extensions and into firmwares, looked up.

Oracles: the values in Zephyr's own tests, hashlib, and for files readelf, pyelftools, LIEF and GNU ld.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import lief
import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from built import SOURCE, Combination, combination, contents  # noqa: F401
from elfedit import Elf, tiny
from llext_tools.diag import Reporter
from llext_tools.elf.finish import finish
from llext_tools.elf.read import load_object, read_object
from llext_tools.elf.slid import collisions, inject, prepare, slid, slid_from, slid_text, slids
from llext_tools.errors import ExportsError, FormatError, LlextError
from llext_tools.host.tables import FORMATS, read_exports, read_listing, write_exports
from llext_tools.link.exports import Export, ExportTable
from needs import need
from transcript import llext

KNOWN = {"printk": 0x87B3105268827052, "z_impl_ext_syscall_fail": 0xD58BC0E7C64CD965}
"""Zephyr, tests/subsys/llext/src/test_llext.c."""

PAIR = ("lora_channel_receive", "ethernet_address_wait_all")
OTHER_PAIR = ("dac_offset_set", "battery_limit_check_isr")
"""Names of one SLID of 32 bits, found among 400,000."""

COMPILERS = {
    "arm": ("arm-none-eabi-", "-mcpu=cortex-m4", "-mthumb"),
    "riscv32": ("riscv64-unknown-elf-", "-march=rv32imac", "-mabi=ilp32", "-msmall-data-limit=0"),
    "riscv64": ("riscv64-unknown-elf-", "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-msmall-data-limit=0"),
}
BITS = {"arm": 32, "riscv32": 32, "riscv64": 64}


def sha(name: str, bits: int) -> int:
    """The definition, without our code."""
    return int(hashlib.sha256(name.encode()).hexdigest()[: bits // 4], 16)


def gcc(arch: str, folder: Path, source: str, output: str, *flags: str) -> Path:
    prefix, *machine = COMPILERS[arch]
    (folder / "s.c").write_text(source)
    command = [need(f"{prefix}gcc"), *machine, "-ffreestanding", "-nostdlib", "-O1", *flags, "s.c", "-o", output]
    subprocess.run(command, cwd=folder, check=True)
    return folder / output


def binutils(arch: str, tool: str, *arguments: str | Path) -> str:
    program = need(COMPILERS[arch][0] + tool)
    return subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def undefined(path: Path, section: str = ".symtab") -> dict[str, int]:
    """st_value of the undefined symbols, read by pyelftools."""
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(section)
        return {s.name: s["st_value"] for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name}


def extension(folder: Path, *imports: str, arch: str = "arm", more: str = "", name: str = "e.llext") -> Path:
    """An extension that calls ``imports``."""
    calls = "".join(f"extern void {name}(void);\n" for name in imports)
    body = " ".join(f"{name}();" for name in imports)
    return gcc(arch, folder, f"{calls}{more}\nvoid entry(void) {{ {body} }}\n", name, "-c")


# ---- numbers


@pytest.mark.parametrize("name", KNOWN)
def test_values_of_zephyrs_own_tests(name: str) -> None:
    assert slid(name, 64) == KNOWN[name]
    assert slid(name, 32) == KNOWN[name] >> 32


@pytest.mark.parametrize("bits", [32, 64])
@given(names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\\"))))
def test_slids_are_the_first_bytes_of_the_hash(bits: int, names: list[str]) -> None:
    expected = [sha(name, bits) for name in names]
    assert slids(names, bits).tolist() == expected == [slid(name, bits) for name in names]
    assert all(slid_from(slid_text(value, bits)) == (value, bits) for value in expected)


def test_names_that_are_not_utf_8_keep_their_bytes() -> None:
    assert slid("f\\xff", 32) == int.from_bytes(hashlib.sha256(b"f\xff").digest()[:4], "big")


@pytest.mark.parametrize("text", ["printk", "0x1234567", "0x123456789", "87B31052", "0x87B3105G", "0x87B31052 "])
def test_other_text_is_no_slid(text: str) -> None:
    assert slid_from(text) is None


def test_all_collisions_are_found_at_once() -> None:
    for pair in (PAIR, OTHER_PAIR):
        assert len({sha(name, 32) for name in pair}) == 1
        assert len({sha(name, 64) for name in pair}) == 2
    names = ["a", PAIR[0], OTHER_PAIR[1], "b", PAIR[1], PAIR[0], OTHER_PAIR[0]]
    assert collisions(names, 32) == {sha(PAIR[0], 32): PAIR, sha(OTHER_PAIR[0], 32): OTHER_PAIR[::-1]}
    assert collisions(names, 64) == collisions([], 32) == {}


# ---- extensions


@pytest.fixture
def finished(combination: Combination, tmp_path: Path) -> Path:  # noqa: F811
    partial = combination.merge(tmp_path, combination.compile(tmp_path, SOURCE))
    path = tmp_path / "hello.llext"
    path.write_bytes(finish(load_object(str(partial))))
    return path


@pytest.mark.toolchain
def test_every_import_of_an_extension_gets_its_slid(combination: Combination, finished: Path) -> None:  # noqa: F811
    """Oracles: readelf, pyelftools and LIEF read the values; no other byte of the file has changed."""
    before, bits = finished.read_bytes(), combination.target.bits
    code, text = llext("slid", str(finished))
    assert (code, text) == (0, f"{finished}: 1 SLID of {bits} bits\n")
    assert undefined(finished) == {"printk": sha("printk", bits)}
    listing = combination.binutils("readelf", "-sW", finished).stdout
    assert listing.count(f"{sha('printk', bits):0{bits // 4}x} ") == 1
    assert not re.search("warning|error", combination.binutils("readelf", "-aW", finished).stdout, re.IGNORECASE)
    binary = lief.ELF.parse(str(finished))
    assert binary is not None
    assert [s.value for s in binary.symbols if s.name == "printk"] == [sha("printk", bits)]
    changed = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(finished.read_bytes(), np.uint8))
    assert changed.max() - changed.min() < bits // 8
    assert len(before) == len(finished.read_bytes())


@pytest.mark.toolchain
def test_gnu_ld_links_it_to_the_same_bytes(combination: Combination, finished: Path, tmp_path: Path) -> None:  # noqa: F811
    """SLIDs mean nothing to a linker: the file stays an ordinary object."""
    before = contents(combination.gnu_link(tmp_path, finished))
    assert llext("slid", str(finished))[0] == 0
    assert contents(combination.gnu_link(tmp_path, finished)) == before


@pytest.mark.toolchain
def test_shared_objects_have_them_in_dynsym(tmp_path: Path) -> None:
    source = "extern int printk(int); extern int data; int entry(void) { return printk(data); }"
    path = gcc("arm", tmp_path, source, "e.so", "-shared", "-fPIC")
    names = {"printk", "data"}
    assert undefined(path, ".dynsym").keys() >= names
    before = undefined(path)
    assert llext("slid", str(path))[0] == 0
    found = undefined(path, ".dynsym")
    assert {name: found[name] for name in names} == {name: sha(name, 32) for name in names}
    assert undefined(path) == before
    assert f"{sha('data', 32):08x}" in binutils("arm", "readelf", "--dyn-syms", "-W", path)


@pytest.mark.toolchain
def test_weak_and_typed_symbols_get_none_and_are_named(tmp_path: Path) -> None:
    """As in Zephyr's llext_inject_slids.py: only STT_NOTYPE, STB_GLOBAL, SHN_UNDEF."""
    (tmp_path / "e.s").write_text(
        ".syntax unified\n.thumb\n.global entry\n.type entry, %function\n.weak maybe\n.type typed, %function\n"
        ".type thing, %object\nentry: bl printk\nbl maybe\nbl typed\n.word thing, defined\n.global defined\ndefined:\n"
    )
    path = tmp_path / "e.llext"
    subprocess.run([need("arm-none-eabi-as"), "-mcpu=cortex-m4", "e.s", "-o", path], cwd=tmp_path, check=True)
    code, text = llext("slid", str(path), "--json")
    assert code == 0
    result = json.loads(text)
    assert result["files"][0]["without"] == ["maybe", "typed", "thing"]
    assert [d["code"] for d in result["diagnostics"]] == ["slid-missing"] * 3
    for name, why in (("maybe", "weak"), ("typed", "FUNC"), ("thing", "OBJECT")):
        assert [name in d["message"] and why in d["message"] for d in result["diagnostics"]].count(True) == 1
    assert undefined(path) == {"printk": sha("printk", 32), "maybe": 0, "typed": 0, "thing": 0}


@pytest.mark.toolchain
def test_a_second_run_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = extension(tmp_path, "printk", "k_msleep")
    assert llext("slid", str(path))[0] == 0
    after = path.read_bytes()
    code, text = llext("slid", str(path))
    assert code == FormatError.exit_code
    assert "error[slid-injected]: the extension has SLIDs already: `printk` and `k_msleep`" in text
    assert path.read_bytes() == after


@pytest.mark.toolchain
def test_a_value_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = extension(tmp_path, "printk", "k_msleep")
    elf = Elf(path.read_bytes())
    with path.open("rb") as file:
        (symbol,) = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("printk")
        assert symbol["st_value"] == 0
        number = [s.name for s in ELFFile(file).get_section_by_name(".symtab").iter_symbols()].index("printk")
    elf.put(elf.sym(number, "value"), 4)
    path.write_bytes(bytes(elf))
    code, text = llext("slid", str(path))
    assert code == FormatError.exit_code
    assert "a value already, and not their SLID: `printk`" in " ".join(text.split())
    assert path.read_bytes() == bytes(elf)


@pytest.mark.toolchain
def test_collisions_among_imports_are_all_reported(tmp_path: Path) -> None:
    path = extension(tmp_path, *PAIR, "printk", *OTHER_PAIR)
    before = path.read_bytes()
    code, text = llext("slid", str(path), "--json")
    assert code == ExportsError.exit_code
    found = json.loads(text)["diagnostics"]
    assert [d["code"] for d in found] == ["slid-collision", "slid-collision"]
    for pair in (PAIR, OTHER_PAIR):
        assert any(all(f"`{name}`" in d["message"] for name in pair) for d in found)
    assert path.read_bytes() == before
    wide = extension(tmp_path, *PAIR, arch="riscv64")
    assert llext("slid", str(wide))[0] == 0
    assert undefined(wide) == {name: sha(name, 64) for name in PAIR}


@pytest.mark.toolchain
def test_collisions_with_what_the_firmware_exports(tmp_path: Path) -> None:
    path = extension(tmp_path, PAIR[0], "printk")
    table = tmp_path / "t.toml"
    table.write_text(f"[exports]\n{PAIR[0]} = 16\nprintk = 32\n")
    output = tmp_path / "out.llext"
    assert llext("slid", str(path), "-o", str(output), "--exports", str(table))[0] == 0
    assert undefined(output) == {name: sha(name, 32) for name in (PAIR[0], "printk")}
    assert set(undefined(path).values()) == {0}, "with --output the file that was read stays"
    output.unlink()
    table.write_text(f"[exports]\n{PAIR[1]} = 16\nprintk = 32\n{OTHER_PAIR[0]} = 48\n{OTHER_PAIR[1]} = 64\n")
    code, text = llext("slid", str(path), "-o", str(output), "--exports", str(table))
    assert code == ExportsError.exit_code
    assert text.count("error[") == 1, "two names that the extension does not import are the firmware's business"
    assert f"the firmware exports `{PAIR[1]}`" in text
    assert not output.exists()


@pytest.mark.toolchain
def test_of_several_files_all_are_written_or_none(tmp_path: Path) -> None:
    good, bad = extension(tmp_path, "printk", name="a.llext"), extension(tmp_path, *PAIR, name="b.llext")
    before = good.read_bytes()
    assert llext("slid", str(good), str(bad))[0] == ExportsError.exit_code
    assert good.read_bytes() == before
    other = extension(tmp_path, "k_msleep", name="b.llext")
    assert llext("slid", str(good), str(other))[0] == 0
    assert (undefined(good), undefined(other)) == ({"printk": sha("printk", 32)}, {"k_msleep": sha("k_msleep", 32)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.llext", "b.llext", "s.c"]


@pytest.mark.toolchain
def test_an_extension_without_imports_stays_as_it_is(tmp_path: Path) -> None:
    path = extension(tmp_path)
    before = path.read_bytes()
    assert llext("slid", str(path)) == (0, f"{path}: 0 SLIDs of 32 bits\n")
    assert path.read_bytes() == before


def test_executables_and_objects_without_symbols_are_refused() -> None:
    for kind, code in ((2, "elf-type"), (1, "elf-symbols")):
        with pytest.raises(FormatError) as caught:
            inject(read_object(tiny(kind=kind), "e"), Reporter())
        assert [d.code for d in caught.value.diagnostics] == [code]


# ---- firmwares

EXPORTS = ("printk", "k_msleep", "counter", "absent", "k_yield", "memcpy", "strlen")
FIRMWARE = """
struct llext_const_symbol { const char *name; const void *address; };
#define EXPORT_SYMBOL(x) \\
    static const char x##_name[] __attribute__((used, section("llext_exports_strtab"))) = #x; \\
    static const struct llext_const_symbol x##_entry \\
        __attribute__((used, section("llext_const_symbol_area"))) = { x##_name, &x }
void printk(void) {}
void k_msleep(void) {}
void k_yield(void) {}
void memcpy(void) {}
void strlen(void) {}
int counter = 5;
extern void absent(void) __attribute__((weak));
void _start(void) {}
"""
SCRIPT = "SECTIONS { llext_exports_strtab 0 (COPY) : { KEEP(*(llext_exports_strtab)) } } INSERT AFTER .text;\n"


def firmware(folder: Path, arch: str = "arm", *more: str, name: str = "fw.elf") -> Path:
    """As Zephyr's macros and linker script make it with CONFIG_LLEXT_EXPORT_BUILTINS_BY_SLID."""
    (folder / "names.ld").write_text(SCRIPT)
    source = FIRMWARE + "".join(f"void {each}(void) {{}}\n" for each in more)
    source += "".join(f"EXPORT_SYMBOL({each});\n" for each in (*EXPORTS, *more))
    start = "0x80000000" if arch == "riscv64" else "0x08000000"
    return gcc(arch, folder, source, name, "-fno-builtin", f"-Wl,-Ttext={start}", "-Wl,-T,names.ld")


def pairs(path: Path, bits: int) -> list[tuple[int, int]]:
    """The entries of the table, read by pyelftools."""
    with path.open("rb") as file:
        data = ELFFile(file).get_section_by_name("llext_const_symbol_area").data()
    words = np.frombuffer(data, f"<u{bits // 8}").tolist()
    return list(zip(words[::2], words[1::2], strict=True))


def addresses(path: Path, arch: str) -> dict[str, int]:
    """What nm says; the pointer to a Thumb function has bit 0 set."""
    found = {}
    for line in binutils(arch, "nm", path).splitlines():
        value, kind, name = line.split()
        found[name] = int(value, 16) | (arch == "arm" and kind == "T")
    return found | {"absent": 0}


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", COMPILERS)
def test_a_prepared_table_is_sorted_by_slid(arch: str, tmp_path: Path) -> None:
    """Oracles: hashlib for the SLIDs, nm for the addresses, readelf for the section's flags."""
    source, output, bits = firmware(tmp_path, arch), tmp_path / "out.elf", BITS[arch]
    known = read_exports(source)
    code, text = llext("slid", "--prepare", str(source), "-o", str(output), "--listing", str(tmp_path / "listing"))
    assert (code, text) == (0, f"{output}: {len(EXPORTS)} symbols, sorted by SLIDs of {bits} bits\n")
    where = addresses(source, arch)
    expected = sorted((sha(name, bits), where[name]) for name in EXPORTS)
    assert pairs(output, bits) == expected
    (line,) = [n for n in binutils(arch, "readelf", "-SW", output).splitlines() if "llext_const_symbol_area" in n]
    assert re.search(r" [AW]*o ", line), "the flag of Zephyr's llext_elf_toolkit.py is one of an operating system"
    old, new = (np.frombuffer(path.read_bytes(), np.uint8) for path in (source, output))
    elf = Elf(source.read_bytes())
    start, size = (elf.get(elf.shdr("llext_const_symbol_area", field)) for field in ("offset", "size"))
    flags = elf.shdr("llext_const_symbol_area", "flags")
    assert Elf(output.read_bytes()).get(flags) == elf.get(flags) | 0x08000000
    changed = np.flatnonzero(old != new)
    assert old.size == new.size
    assert all(start <= at < start + size or flags[0] <= at < sum(flags) for at in changed.tolist())
    table = read_exports(output)
    assert table.slid_bits == known.slid_bits == bits
    assert {e.name: e.address for e in table.symbols} == {e.name: e.address for e in known.symbols}
    assert {e.name: e.address for e in table.symbols} == {name: where[name] for name in EXPORTS if where[name]}
    assert (tmp_path / "listing").read_text().splitlines() == [
        f"0x{sha(name, bits):0{bits // 4}X} -> {name}" for name in sorted(EXPORTS, key=lambda name: sha(name, bits))
    ]


@pytest.mark.toolchain
def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    path = firmware(tmp_path)
    assert llext("slid", "--prepare", str(path))[0] == 0
    after = path.read_bytes()
    code, text = llext("slid", "--prepare", str(path))
    assert code == 0
    assert "warning[slid-injected]" in text
    assert path.read_bytes() == after
    code, text = llext("slid", "--prepare", str(path), "-o", str(tmp_path / "copy.elf"), "--json")
    assert (code, json.loads(text)["prepared_before"]) == (0, True)
    assert (tmp_path / "copy.elf").read_bytes() == after


@pytest.mark.toolchain
def test_collisions_in_a_firmware_are_all_reported(tmp_path: Path) -> None:
    path = firmware(tmp_path, "arm", *PAIR, *OTHER_PAIR)
    before = path.read_bytes()
    code, text = llext("slid", "--prepare", str(path))
    assert code == ExportsError.exit_code
    assert text.count("error[slid-collision]") == 2
    assert all(name in text for name in (*PAIR, *OTHER_PAIR))
    assert path.read_bytes() == before
    assert llext("slid", "--prepare", str(firmware(tmp_path, "riscv64", *PAIR)))[0] == 0


@pytest.mark.toolchain
def test_a_name_exported_twice(tmp_path: Path) -> None:
    path = firmware(tmp_path)
    second = read_exports(path).symbols[1].name
    elf = Elf(path.read_bytes())
    at = elf.get(elf.shdr("llext_const_symbol_area", "offset"))
    elf.put((at, 4), elf.get((at + 8, 4)))
    path.write_bytes(bytes(elf))
    code, text = llext("slid", "--prepare", str(path))
    assert code == ExportsError.exit_code
    assert f"`{second}` is exported 2 times" in text


@pytest.mark.toolchain
def test_what_cannot_be_prepared(tmp_path: Path) -> None:
    good = firmware(tmp_path).read_bytes()

    def refused(data: bytes) -> tuple[str, str]:
        with pytest.raises(LlextError) as caught:
            prepare(read_object(data, "fw.elf"), Reporter())
        (found,) = caught.value.diagnostics
        return found.code, found.message

    elf = Elf(good)
    elf.put(elf.shdr("llext_const_symbol_area", "size"), 12)
    assert refused(bytes(elf)) == ("exports-syntax", "the export table has 12 bytes, no multiple of 8")
    for offset in (0xFFFF, 6):  # beyond the names, and at the end of the first one, where an empty one would be
        elf = Elf(good)
        elf.put((elf.get(elf.shdr("llext_const_symbol_area", "offset")), 4), offset)
        assert refused(bytes(elf))[0] == "exports-syntax"
    for section, part in (("llext_exports_strtab", "by name"), ("llext_const_symbol_area", "has no section")):
        (tmp_path / "in.elf").write_bytes(good)
        binutils("arm", "objcopy", "--rename-section", f"{section}=other", tmp_path / "in.elf")
        code, message = refused((tmp_path / "in.elf").read_bytes())
        assert code == "exports-missing"
        assert part in message


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", ["arm", "riscv64"])
def test_a_damaged_firmware_is_refused_with_diagnostics(arch: str, tmp_path: Path) -> None:
    """Whatever a field of the file holds, the result is a file of the same size or a diagnostic."""
    good = firmware(tmp_path, arch).read_bytes()
    done = prepare(read_object(good, "fw.elf"), Reporter())
    refusals = 0
    for data in (good, done.data):
        for _, place in Elf(data).fields():
            for value in (0, 1, 3, 1 << 8 * place[1] - 1, -1, -8, len(data) - 8):
                elf = Elf(data)
                elf.put(place, value)
                (tmp_path / "bad.elf").write_bytes(bytes(elf))
                try:
                    found = prepare(read_object(bytes(elf), "bad.elf"), Reporter())
                    assert len(found.data) == len(data)
                    read_exports(tmp_path / "bad.elf")
                except LlextError as error:
                    assert error.exit_code in (FormatError.exit_code, ExportsError.exit_code)
                    refusals += 1
    assert refusals > 100


# ---- tables without names


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """A firmware that was prepared, and whose names were then removed."""
    path = firmware(tmp_path)
    assert llext("slid", "--prepare", str(path), "--listing", str(tmp_path / "listing"))[0] == 0
    binutils("arm", "objcopy", "--remove-section", "llext_exports_strtab", "--strip-all", path, tmp_path / "bare.elf")
    return tmp_path / "bare.elf"


@pytest.mark.toolchain
def test_imports_are_found_by_slid(nameless: Path, tmp_path: Path) -> None:
    """Oracle: the same link against the firmware that still has its names."""
    bare, full = read_exports(nameless), read_exports(tmp_path / "fw.elf")
    assert [e.name for e in bare.symbols] == [f"0x{sha(e.name, 32):08X}" for e in full.symbols]
    assert bare.slid_bits == 32
    extension(tmp_path, "printk", "k_yield", more="extern int counter; int get(void) { return counter; }")
    path = str(tmp_path / "e.llext")
    results, output = [], str(tmp_path / "out.elf")
    for table in (nameless, tmp_path / "fw.elf"):
        code, text = llext("link", path, "--at", "0x08010000", "--exports", str(table), "-o", output, "--json")
        assert code == 0, text
        results.append({i["name"]: i["address"] for i in json.loads(text)["imports"]})
        assert all(i["source"] == str(table) for i in json.loads(text)["imports"])
    assert results[0] == results[1] == {n: addresses(tmp_path / "fw.elf", "arm")[n] for n in results[0]}
    assert results[0].keys() == {"printk", "k_yield", "counter"}
    extension(tmp_path, "printf")
    code, text = llext("check", path, "--exports", str(nameless))
    assert "error[undefined-symbol]: `printf`" in text
    assert code == 5


@pytest.mark.toolchain
def test_a_loader_looks_a_slid_up(nameless: Path, tmp_path: Path) -> None:
    where = addresses(tmp_path / "fw.elf", "arm")
    expected = {sha(name, 32): where[name] for name in EXPORTS if where[name]}
    assert read_exports(nameless).by_slid == read_exports(tmp_path / "fw.elf").by_slid == expected
    unknown = ExportTable.of({"printk": 16})
    assert unknown.by_slid == {sha("printk", 32): 16, sha("printk", 64): 16}


@pytest.mark.toolchain
def test_a_listing_gives_the_names_back(nameless: Path, tmp_path: Path) -> None:
    output = tmp_path / "exports.csv"
    code, _ = llext("exports", str(nameless), "--listing", str(tmp_path / "listing"), "-o", str(output))
    assert code == 0
    where = addresses(tmp_path / "fw.elf", "arm")
    expected = {name: where[name] for name in EXPORTS if where[name]}
    assert {e.name: e.address for e in read_exports(output).symbols} == expected
    partly = read_exports(nameless).named(["printk", "not_there"])
    assert {e.name for e in partly.symbols if not e.name.startswith("0x")} == {"printk"}
    assert partly.find("k_yield") == Export("k_yield", where["k_yield"])


@pytest.mark.toolchain
def test_without_its_mark_a_table_of_other_words_is_none(nameless: Path) -> None:
    elf = Elf(nameless.read_bytes())
    flags = elf.shdr("llext_const_symbol_area", "flags")
    elf.put(flags, elf.get(flags) & ~0x08000000)
    nameless.write_bytes(bytes(elf))
    with pytest.raises(ExportsError) as caught:
        read_exports(nameless)
    assert [d.code for d in caught.value.diagnostics] == ["exports-syntax"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_tables_without_names_can_be_written_as_text(suffix: str, tmp_path: Path) -> None:
    symbols = (Export(slid_text(sha("printk", 32), 32), 16, "func"), Export("counter", 32))
    path = tmp_path / f"t{suffix}"
    path.write_text(write_exports(ExportTable(source="t", symbols=symbols, slid_bits=32), suffix))
    table = read_exports(path)
    assert table.slid_bits == 32
    found = table.find("printk")
    assert found is not None
    assert found[:2] == ("printk", 16)
    assert table.find("counter") == symbols[1]._replace(kind=table.symbols[1].kind)
    assert table.find("printf") is None


@pytest.mark.parametrize("value", ["16", "32.0", "true", '"32"'])
def test_slid_bits_is_32_or_64(value: str, tmp_path: Path) -> None:
    for name, text in (
        ("t.toml", f"slid_bits = {value}\n[exports]\nf = 1\n"),
        ("t.json", f'{{"slid_bits": {value}, "exports": {{"f": 1}}}}'),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ExportsError) as caught:
            read_exports(tmp_path / name)
        (found,) = caught.value.diagnostics
        assert (found.code, found.location and found.location.line) == ("exports-syntax", 1)


def test_listings(tmp_path: Path) -> None:
    """The form of Zephyr's llext_prepare_exptab.py, names alone, and a SLID that is another one's."""
    path = tmp_path / "l.txt"
    path.write_text("/* made by a tool */\n//\n// names\n\n0x87B31052 -> printk\n0x87b3105268827052 printk\nk_yield\n")
    assert read_listing(path) == ("printk", "printk", "k_yield")
    path.write_text("0x87B31052 -> printk\n0x87B31052 -> printf\n")
    with pytest.raises(ExportsError) as caught:
        read_listing(path)
    (found,) = caught.value.diagnostics
    assert found.location is not None
    assert (found.code, found.location.line) == ("exports-syntax", 2)
    assert f"0x{sha('printf', 32):08X}" in found.message


# ---- the verdict of llext check


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    path = firmware(tmp_path)
    assert llext("slid", "--prepare", str(path))[0] == 0
    return path


def checked(path: Path, table: Path) -> dict[str, str]:
    """The codes of ``llext check`` that concern SLIDs, each with its severity."""
    _, text = llext("check", str(path), "--exports", str(table), "--json")
    found = json.loads(text)["files"][0]["diagnostics"]
    return {d["code"]: d["severity"] for d in found if d["code"].startswith("slid-")}


@pytest.mark.toolchain
def test_check_says_what_the_firmware_will_not_find(prepared: Path, tmp_path: Path) -> None:
    path = extension(tmp_path, "printk", "k_yield")
    assert checked(path, prepared) == {"slid-missing": "warning"}
    assert llext("slid", str(path))[0] == 0
    assert checked(path, prepared) == {}
    binutils("arm", "objcopy", "--redefine-sym", "printk=memcpy", path)
    assert checked(path, prepared) == {"slid-stale": "error"}
    code, text = llext("check", str(path), "--exports", str(prepared))
    assert code == 5
    assert "the loader takes `printk` for it" in text
    binutils("arm", "objcopy", "--redefine-sym", "memcpy=printk", path)
    assert checked(path, prepared) == {}, "objcopy leaves the value of an undefined symbol alone"


@pytest.mark.toolchain
def test_check_names_weak_imports(prepared: Path, tmp_path: Path) -> None:
    more = "extern void k_msleep(void) __attribute__((weak)); void more(void) { k_msleep(); }"
    path = extension(tmp_path, "printk", more=more)
    assert llext("slid", str(path))[0] == 0
    assert checked(path, prepared) == {"slid-missing": "error"}
    assert "weak symbols get none: `k_msleep`" in llext("check", str(path), "--exports", str(prepared))[1]


@pytest.mark.toolchain
def test_check_warns_of_slids_for_a_firmware_that_goes_by_name(tmp_path: Path) -> None:
    path = extension(tmp_path, "printk")
    assert llext("slid", str(path))[0] == 0
    table = tmp_path / "t.toml"
    table.write_text("machine = 40\n[exports]\nprintk = 0x08001235\n")
    assert checked(path, table) == {"slid-stale": "warning"}
    table.write_text("[exports]\nprintk = 0x08001235\n")
    assert checked(path, table) == {}, "a table by hand does not say how its firmware looks symbols up"


# ---- looking them up


def test_list_of_names() -> None:
    assert llext("slid", "--list", "printk", "z_impl_ext_syscall_fail") == (
        0,
        "0x87B31052  0x87B3105268827052  printk\n0xD58BC0E7  0xD58BC0E7C64CD965  z_impl_ext_syscall_fail\n",
    )
    code, text = llext("slid", "--list", "printk", "--json")
    entry = {"name": "printk", "slid": {"32": "0x87B31052", "64": "0x87B3105268827052"}}
    assert (code, json.loads(text)) == (0, {"symbols": [entry], "diagnostics": []})


def test_a_name_need_not_be_text() -> None:
    expected = hashlib.sha256(b"f\xff").hexdigest()[:8].upper()
    assert llext("slid", "--list", "f\udcff")[1].startswith(f"0x{expected}  ")


def test_list_reports_collisions_after_the_list() -> None:
    code, text = llext("slid", "--list", *PAIR, "printk", *OTHER_PAIR)
    assert code == ExportsError.exit_code
    assert text.count("error[slid-collision]") == 2
    assert [line.split()[-1] for line in text.splitlines()[:5]] == [*PAIR, "printk", *OTHER_PAIR]


@pytest.mark.toolchain
def test_list_of_a_firmware(nameless: Path, tmp_path: Path) -> None:
    names = sorted((name for name in EXPORTS if name != "absent"), key=lambda name: sha(name, 32))
    lines = [f"0x{sha(name, 32):08X}  {name}\n" for name in names]
    full = str(tmp_path / "fw.elf")
    assert llext("slid", "--list", "--exports", full) == (0, "".join(lines))
    assert llext("slid", "--list", "0x87B31052", "--exports", full) == (0, "0x87B31052  printk\n")
    bare = "".join(f"0x{sha(name, 32):08X}  ?\n" for name in names)
    assert llext("slid", "--list", "--exports", str(nameless)) == (0, bare)
    code, text = llext("slid", "--list", "0x12345678", "--exports", full)
    assert code == 2
    assert f"no name is known for the SLID `0x12345678` in {full}" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "missing argument"),
        (["--list"], "missing argument"),
        (["--list", "0x87B31052"], "--exports"),
        (["a", "b", "-o", "c"], "--output is for one"),
        (["--list", "a", "-o", "c"], "--output is for one"),
        (["a", "--listing", "c"], "--listing is for --prepare"),
        (["--prepare", "a", "b"], "one argument too many: `b`"),
        (["--list", "--prepare", "a"], "not allowed with"),
    ],
)
def test_mistakes_in_the_command_line(arguments: list[str], part: str) -> None:
    code, text = llext("slid", *arguments)
    assert code == 2
    assert part in text

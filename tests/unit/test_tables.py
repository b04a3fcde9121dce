"""Export tables in all formats. Oracle: what is written is what was read; GNU ld places the tables of the firmwares."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elfedit import Elf
from fw import SOURCE, build
from interfaces import LAYOUTS, SIGNATURES, WORDS
from llext_tools.abi.notation import prototype
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature
from llext_tools.diag import Diagnostic, Location
from llext_tools.errors import LlextError
from llext_tools.host.firmware import read_firmware
from llext_tools.host.tables import ERRORS_SHOWN, FORMATS, Table, read_exports, write_exports
from llext_tools.link.exports import Export, ExportTable
from needs import need
from transcript import llext

PRINTK = Export("printk", 0x0800_1235, "func", "int printk(const char *format, ...)")
COUNTER = Export("counter", 0x2000_0010, "object")
PLAIN = Export("plain", 0x0800_2001)


def read(folder: Path, name: str, text: str | bytes) -> ExportTable:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_exports(path)


def refused(folder: Path, name: str, text: str | bytes) -> list[Diagnostic]:
    with pytest.raises(LlextError) as caught:
        read(folder, name, text)
    return list(caught.value.diagnostics)


# ---- text

SAME = {
    "table.toml": """
        # what the board offers
        [exports]
        printk = { address = 0x08001235, kind = "func", prototype = "int printk(const char *format, ...)" }
        counter = { address = "0x20000010", kind = "object" }
        plain = 0x08002001
    """,
    "table.json": """{"exports": {
        "printk": {"address": 134222389, "kind": "func", "prototype": "int printk(const char *format, ...)"},
        "counter": {"address": "0x20000010", "kind": "object"},
        "plain": "0x08002001"}}
    """,
    "table.csv": """
        # what the board offers
        name, address, kind, prototype
        printk, 0x08001235, func, "int printk(const char *format, ...)"

        counter, 0x20000010, object
        plain, 0x08002001
    """,
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_table_in_each_format(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, name, SAME[name]).symbols == (PRINTK, COUNTER, PLAIN)


@pytest.mark.parametrize("name", SAME)
def test_format_is_found_without_the_ending(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, "exports.txt", SAME[name]).symbols == (PRINTK, COUNTER, PLAIN)


def test_linker_script(tmp_path: Path) -> None:
    text = """
        /* ROM functions; printk = 0x0;
           of the second kind */
        printk = 0x08001235;
        PROVIDE(counter = 0x20000010);  PROVIDE_HIDDEN ( "odd name" = 16 );
        PROVIDE ( sized = 64K );
        octal = 017;
    """
    with pytest.raises(LlextError):  # a name with a blank
        read(tmp_path, "rom.ld", text)
    table = read(tmp_path, "rom.ld", text.replace("odd name", "odd-name"))
    assert {e.name: e.address for e in table.symbols} == {
        "printk": 0x0800_1235,
        "counter": 0x2000_0010,
        "odd-name": 16,
        "sized": 64 << 10,
        "octal": 15,
    }


def test_linker_script_is_what_gnu_ld_takes(tmp_path: Path) -> None:
    """Oracle: GNU ld reads what we write, and gives the symbols the same values."""
    table = ExportTable(source="t", symbols=(PRINTK, COUNTER, PLAIN))
    (tmp_path / "e.ld").write_text(write_exports(table, ".ld"))
    (tmp_path / "e.s").write_text(".global _start\n_start: .word printk, counter, plain\n")
    subprocess.run([need("arm-none-eabi-as"), "e.s", "-o", "e.o"], cwd=tmp_path, check=True)
    subprocess.run([need("arm-none-eabi-ld"), "e.o", "e.ld", "-o", "e.elf"], cwd=tmp_path, check=True)
    listing = subprocess.run(
        [need("arm-none-eabi-nm"), "e.elf"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    values = {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines()}
    assert [values[e.name] for e in table.symbols] == [e.address for e in table.symbols]


def test_csv_columns_follow_the_header(tmp_path: Path) -> None:
    assert read(tmp_path, "t.csv", "\ufeffkind,Address,name\r\nfunc,16,f\r\n").symbols == (Export("f", 16, "func"),)


def test_machine_is_kept(tmp_path: Path) -> None:
    table = ExportTable(source="t", symbols=(PLAIN,), machine=243)
    for suffix in (".toml", ".json"):
        assert read(tmp_path, f"t{suffix}", write_exports(table, suffix)).machine == 243


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
PROTOTYPES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))
EXPORTS = st.builds(
    Export, NAMES, st.integers(1, 2**64 - 1), st.sampled_from(["func", "object", ""]), PROTOTYPES.map(str.strip)
)


@pytest.mark.parametrize("suffix", [".toml", ".json", ".csv"])
@given(symbols=st.lists(EXPORTS, min_size=1, unique_by=lambda e: e.name))
def test_what_is_written_is_read_again(
    suffix: str, symbols: list[Export], tmp_path_factory: pytest.TempPathFactory
) -> None:
    symbols = [s for s in symbols if not (suffix == ".csv" and s.name.startswith("#"))]  # a comment there
    if not symbols:
        return
    table = ExportTable(source="t", symbols=tuple(symbols))
    folder = tmp_path_factory.mktemp("table")
    assert read(folder, f"t{suffix}", write_exports(table, suffix)).symbols == table.symbols


SENSOR = Interface(
    {
        "printk": Signature("i32", "int", (Param("format", "*u8", "const char *"),), True),
        "counter": Signature("i32", "int", None),
    },
    {"struct sensor": Layout("struct", 4, (Member("id", 0, "i32", "int"),))},
)


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@given(
    symbols=st.dictionaries(NAMES, SIGNATURES, min_size=1, max_size=4),
    types=st.dictionaries(WORDS, LAYOUTS, max_size=4),
)
def test_interfaces_that_are_written_are_read_again(
    suffix: str, symbols: dict[str, Signature], types: dict[str, Layout], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layouts = {f"{layout.kind} {name}": layout for name, layout in types.items()}
    table = ExportTable(source="t", symbols=tuple(Export(name, 16 + i) for i, name in enumerate(symbols)))
    path = tmp_path_factory.mktemp("table") / f"t{suffix}"
    path.write_text(write_exports(table, suffix, Interface(symbols, layouts)), encoding="utf-8")
    (source,) = read_firmware([path]).sources
    assert isinstance(source, Table)
    assert source.whole == Interface(symbols, layouts)
    assert {e.name: e.prototype for e in source.exports.symbols} == {n: prototype(n, s) for n, s in symbols.items()}


TYPED = """\
machine = 40

[exports]
printk = { address = 0x08001235, kind = "func", prototype = "int printk(const char *format, ...)", \
type = "fn(*u8, ...) -> i32", hash = "260aa9af50932164" }
counter = { address = 0x20000010, kind = "object", prototype = "int counter", \
type = "i32", hash = "0fcdb7fe705c5914" }
plain = 0x08002001

[types."struct sensor"]
size = 4
members = [
    "0 id: int = i32",
]
"""


def test_a_table_with_types_is_fit_to_be_reviewed() -> None:
    table = ExportTable(source="t", symbols=(PRINTK._replace(prototype=""), COUNTER, PLAIN), machine=40)
    assert write_exports(table, ".toml", SENSOR) == TYPED
    document = json.loads(write_exports(table, ".json", SENSOR))
    assert document["types"] == {"struct sensor": {"size": 4, "members": ["0 id: int = i32"]}}
    assert document["exports"]["counter"]["hash"] == "0fcdb7fe705c5914"
    assert 'printk,0x08001235,func,"int printk(const char *format, ...)"' in write_exports(table, ".csv", SENSOR)


def test_hashes_alone_are_kept(tmp_path: Path) -> None:
    """A table without types: its hashes are all that is known."""
    text = TYPED[: TYPED.index("[types")].replace('type = "fn(*u8, ...) -> i32", ', "").replace('type = "i32", ', "")
    (tmp_path / "t.toml").write_text(text)
    firmware = read_firmware([tmp_path / "t.toml"])
    assert firmware.interface(["printk", "counter"]).symbols == {}
    assert {name: firmware.hash_of(name) for name in ("printk", "counter", "plain", "nowhere")} == {
        "printk": "260aa9af50932164",
        "counter": "0fcdb7fe705c5914",
        "plain": "",
        "nowhere": "",
    }
    (tmp_path / "u.json").write_text(llext("exports", str(tmp_path / "t.toml"), "--format", "json")[1])
    assert read_firmware([tmp_path / "u.json"]).hash_of("printk") == "260aa9af50932164"


def test_of_several_files_the_first_one_that_has_a_name_tells_its_type(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[exports]\ncounter = 16\n")
    (tmp_path / "b.toml").write_text(TYPED)
    firmware = read_firmware([tmp_path / "a.toml", tmp_path / "b.toml"])
    assert firmware.interface(["counter", "printk"]).symbols.keys() == {"printk"}
    assert firmware.hash_of("counter") == ""


@pytest.mark.toolchain
def test_of_an_elf_file_without_debug_information_a_table_tells_the_types(tmp_path: Path) -> None:
    """Oracle: the same file before it was stripped."""
    elf = build(tmp_path, SOURCE, "-g")
    code, table = llext("exports", str(elf), "--format", "toml")
    assert code == 0
    (tmp_path / "t.toml").write_text(table)
    whole = read_firmware([elf])
    names = ["printk", "counter"]
    wanted, marks = whole.interface(names), {name: whole.hash_of(name) for name in names}
    assert wanted.symbols.keys() == {"printk", "counter"}
    subprocess.run([need("arm-none-eabi-strip"), "-g", elf], check=True)
    both = read_firmware([elf, tmp_path / "t.toml"])
    assert both.interface(names) == wanted
    assert {name: both.hash_of(name) for name in marks} == marks
    assert read_firmware([elf]).interface(["printk"]).symbols == {}


WRONG_TYPES = [
    # what stands in TYPED, what stands there instead, line, a part of the message
    ('"fn(*u8, ...) -> i32"', "3", 4, "a type as text"),
    ('"fn(*u8, ...) -> i32"', '"fn(*char, ...) -> i32"', 4, "found `char`"),
    ('"fn(*u8, ...) -> i32"', '"fn(*u8, u8) -> i32"', 4, "1 parameters, and the type 2"),
    ('"260aa9af50932164"', '"17d86ef0"', 4, "16 hexadecimal digits"),
    ('"260aa9af50932164"', "17", 4, "16 hexadecimal digits"),
    ('hash = "0fcdb7fe705c5914"', "spelled = 3", 5, "spelled"),
    ('hash = "0fcdb7fe705c5914"', "hush = 3", 5, "did you mean `hash`"),
    ('"0 id: int = i32"', '"0 id: int = int"', 8, "expected a type, found `int`"),
    ('"0 id: int = i32"', '"id: int = i32"', 8, "such as `4 name: int = i32`"),
    ("size = 4", "size = -4", 8, "a size in bytes"),
    ("members", "member", 8, "`size` and `members`"),
    ("struct sensor", "class sensor", 8, "`struct`, `union` or `enum`"),
]


@pytest.mark.parametrize(("good", "bad", "line", "message"), WRONG_TYPES)
def test_wrong_types(good: str, bad: str, line: int | None, message: str, tmp_path: Path) -> None:
    text = TYPED.replace(good, bad)
    assert text != TYPED
    found = refused(tmp_path, "t.toml", text)
    assert [(d.code, d.location and d.location.line) for d in found][:1] == [("exports-syntax", line)]
    assert message in found[0].message + found[0].help


def test_settings_are_no_table(tmp_path: Path) -> None:
    (found,) = refused(tmp_path, "board.toml", 'exports = ["t.toml"]\nprofile = "zephyr-4.2"\n')
    assert (found.code, found.message) == ("exports-syntax", "expected a table `[exports]`")
    assert "a file of settings is for `--settings`" in found.help


WRONG = [
    # name, text, code, line, a part of the message
    ("t.toml", "types = 3\n[exports]\nf = 1\n", "exports-syntax", 1, "types by their tags"),
    ("t.toml", "[exports]\nf = 1\ng = \n", "exports-syntax", 3, "invalid value"),
    ("t.toml", "[exprots]\nf = 1\n", "exports-syntax", None, "[exports]"),
    ("t.toml", "exports = 3\n", "exports-syntax", None, "[exports]"),
    ("t.toml", "[exports]\nf = 1\nf = 2\n", "exports-duplicate", 3, "twice"),
    ("t.toml", "[exports]\nf = true\n", "exports-syntax", 2, "True"),
    ("t.toml", "[exports]\nf = 1.5\n", "exports-syntax", 2, "1.5"),
    ("t.toml", "[exports]\nf = -1\n", "exports-syntax", 2, "does not fit"),
    ("t.toml", "machine = 40\n[exports]\nf = 0x100000000\n", "exports-syntax", 3, "32 bits"),
    ("t.toml", "[exports]\nf = 0x10000000000000000\n", "exports-syntax", 2, "64 bits"),
    ("t.toml", "[exports]\nf = 0\n", "exports-syntax", 2, "not exported"),
    ("t.toml", '[exports]\nf = "08001235"\n', "exports-syntax", 2, "08001235"),
    ("t.toml", '[exports]\nf = { address = 1, kind = "function" }\n', "exports-syntax", 2, '"func" or "object"'),
    ("t.toml", "[exports]\nf = { address = 1, prototype = 3 }\n", "exports-syntax", 2, "prototype"),
    ("t.toml", '[exports]\n"a b" = 1\n', "exports-syntax", 2, "a b"),
    ("t.toml", '[exports]\nf = { kind = "func" }\n', "exports-syntax", 2, "no `address`"),
    ("t.toml", "[exports]\n", "exports-missing", None, "no symbol"),
    ("t.toml", "machine = 'arm'\n[exports]\nf = 1\n", "exports-syntax", 1, "such as 40"),
    ("t.toml", "base = 4\n[exports]\nf = 1\n", "exports-syntax", 1, "base"),
    ("t.toml", f"[exports]\nf = {'9' * 5000}\n", "exports-syntax", None, "too long"),
    ("t.toml", f"[exports]\nf = 0x{'f' * 5000}\n", "exports-syntax", 2, "0xfff"),
    ("t.toml", f"[exports]\nf = [0x{'f' * 5000}]\n", "exports-syntax", 2, "too long"),
    ("t.toml", f"machine = 0x{'f' * 5000}\n[exports]\nf = 1\n", "exports-syntax", 1, "such as 40"),
    ("t.toml", f"[exports]\nf = {{ address = 1, kind = 0x{'f' * 5000} }}\n", "exports-syntax", 2, '"func"'),
    ("t.json", '{"exports": {"f": 1,}}', "exports-syntax", 1, "not JSON"),
    ("t.json", '["f"]', "exports-syntax", None, "exports"),
    ("t.json", '{"exports": {\n"f": 1,\n"f": 2}}', "exports-duplicate", 2, "twice"),
    ("t.json", '{"exports": {"f": null}}', "exports-syntax", 1, "None"),
    ("t.json", "[" * 100_000, "exports-syntax", None, "deep"),
    ("t.csv", "f\n", "exports-syntax", 1, "found 1 column"),
    ("t.csv", "f,1,func,int f(int, int)\n", "exports-syntax", 1, "found 5 columns"),
    ("t.csv", "f,1\n\nf,2\n", "exports-duplicate", 3, "two addresses"),
    ("t.csv", 'f,"1\n', "exports-syntax", 1, "CSV"),
    ("t.ld", "f = 1;\ng = f + 4;\n", "exports-syntax", 2, "f + 4"),
    ("t.ld", "f = 1;\ng = 2", "exports-syntax", 2, "expected `;`"),
    ("t.ld", "f = 1;\n\n\nSECTIONS { }\n;", "exports-syntax", 4, "SECTIONS"),
    ("t.ld", "f = 08;", "exports-syntax", 1, "08"),
    ("t.ld", "f = ;", "exports-syntax", 1, "found ``"),
    ("t.ld", "/* f = 1; */\n", "exports-missing", None, "no symbol"),
    ("t.ld", "f = 1;\nf = 1;\nf = 2;", "exports-duplicate", 3, "two addresses"),
    ("t.txt", "hello\n", "exports-syntax", None, "format"),
    ("t.bin", b"\xff\xfe\x00", "exports-syntax", None, "neither"),
    ("t.toml", "", "exports-syntax", None, "[exports]"),
    ("t.csv", "", "exports-missing", None, "no symbol"),
]


@pytest.mark.parametrize(("name", "text", "code", "line", "part"), WRONG)
def test_mistakes_are_named_with_their_line(
    name: str, text: str | bytes, code: str, line: int | None, part: str, tmp_path: Path
) -> None:
    first = refused(tmp_path, name, text)[0]
    assert first.code == code
    assert first.location is not None
    assert first.location.file.endswith(name)
    assert first.location.line == line
    assert part in first.message


@pytest.mark.parametrize("suffix", FORMATS)
def test_long_tables_are_written(suffix: str) -> None:
    """In 0.2 s: with a look at all symbols for each of them it is half a minute."""
    table = ExportTable(source="t", symbols=tuple(Export(f"f{i}", i + 1) for i in range(20_000)))
    assert write_exports(table, suffix).count("f19999") == 1


def test_long_tables_are_refused(tmp_path: Path) -> None:
    """In less than a second each: with searches that begin anew at each name or character it is minutes."""
    members = ",".join(f'"f{i}": {i + 1}' for i in range(60_000))
    assert refused(tmp_path, "t.json", f'{{"exports": {{{members}, "f59999": 3}}}}')[0].code == "exports-duplicate"
    assert refused(tmp_path, "t.txt", "=" * 1_000_000)[0].code == "exports-syntax"
    text = f'[exports]\nf = {{ address = 1, prototype = "{"x" * 200_000}" }}\ng = 0\n'
    assert refused(tmp_path, "t.toml", text)[0].location == Location(str(tmp_path / "t.toml"), line=3)


def test_all_mistakes_are_reported_up_to_a_limit(tmp_path: Path) -> None:
    assert len(refused(tmp_path, "t.csv", "f,x\ng,1\nh,y\n")) == 2
    assert len(refused(tmp_path, "t.csv", "f,x\n" * 1000)) <= ERRORS_SHOWN
    assert len(refused(tmp_path, "t.ld", "".join(f"f{i} = x;\n" for i in range(1000)))) == ERRORS_SHOWN


@pytest.mark.parametrize("suffix", FORMATS)
@given(data=st.binary(max_size=200))
def test_any_bytes_end_in_a_table_or_in_diagnostics(
    suffix: str, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / f"t{suffix}"
    path.write_bytes(data)
    with suppress(LlextError):
        assert read_exports(path).symbols


# ---- firmware

FIRMWARE = """
struct entry { const char *name; const void *address; };
#define EXPORT(what) \\
    const struct entry entry_##what __attribute__((used, section("llext_const_symbol_area"))) = {#what, &what}
int printk(const char *format, ...) { return format != 0; }
int counter = 5;
static int hidden(int x) { return x + 1; }
extern void missing(void) __attribute__((weak));
EXPORT(printk); EXPORT(counter); EXPORT(hidden); EXPORT(missing);
void _start(void) {}
"""
GCC = {
    "arm": ("arm-none-eabi-gcc", "arm-none-eabi-nm", "-mcpu=cortex-m4", "-mthumb", "-Wl,-Ttext=0x08000000"),
    "riscv32": ("riscv64-unknown-elf-gcc", "riscv64-unknown-elf-nm", "-march=rv32imac", "-mabi=ilp32"),
    "riscv64": ("riscv64-unknown-elf-gcc", "riscv64-unknown-elf-nm", "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany",
                "-Wl,-Ttext=0x80000000"),
}  # fmt: skip


def firmware(folder: Path, arch: str, *more: str) -> Path:
    compiler, _, *flags = GCC[arch]
    (folder / "fw.c").write_text(FIRMWARE)
    command = [need(compiler), *flags, "-nostdlib", "-ffreestanding", "-O1", *more, "fw.c", "-o", "fw.elf"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "fw.elf"


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", GCC)
def test_firmware(arch: str, tmp_path: Path) -> None:
    """Oracle: nm's addresses; a Thumb function's pointer has bit 0 set, which nm does not show."""
    table = read_exports(firmware(tmp_path, arch))
    listing = subprocess.run(
        [need(GCC[arch][1]), "fw.elf"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    values = {line.split()[-1]: int(line.split()[0], 16) for line in listing.splitlines() if len(line.split()) == 3}
    thumb = int(arch == "arm")
    assert {e.name: (e.address, e.kind) for e in table.symbols} == {
        "printk": (values["printk"] | thumb, "func"),
        "hidden": (values["hidden"] | thumb, "func"),
        "counter": (values["counter"], "object"),
    }, "`missing` has a null address: to Zephyr it is not exported"
    assert table.machine == {"arm": 40}.get(arch, 243)


@pytest.mark.toolchain
def test_stripped_firmware_has_names_without_kinds(tmp_path: Path) -> None:
    table = read_exports(firmware(tmp_path, "arm", "-s"))
    assert sorted((e.name, e.kind) for e in table.symbols) == [("counter", ""), ("hidden", ""), ("printk", "")]


@pytest.mark.toolchain
def test_firmware_by_slid(tmp_path: Path) -> None:
    """Names replaced by the first bytes of their SHA-256, as Zephyr's build leaves them; the names stand beside."""
    path = firmware(tmp_path, "arm")
    elf = Elf(path.read_bytes())
    names = [e.name for e in read_exports(path).symbols]
    area = elf.get(elf.shdr("llext_const_symbol_area", "offset"))
    size = elf.get(elf.shdr("llext_const_symbol_area", "size"))
    used = 0
    for i in range(size // 8):
        if elf.get((area + 8 * i + 4, 4)):
            elf.put((area + 8 * i, 4), int.from_bytes(hashlib.sha256(names[used].encode()).digest()[:4], "big"))
            used += 1
        else:
            elf.put((area + 8 * i, 4), int.from_bytes(hashlib.sha256(names[0].encode()).digest()[:4], "big"))
    path.write_bytes(bytes(elf))
    (tmp_path / "names").write_bytes(b"\0".join(name.encode() for name in names) + b"\0")
    objcopy = need("arm-none-eabi-objcopy")
    subprocess.run(
        [objcopy, "--add-section", "llext_exports_strtab=names", "fw.elf", "slid.elf"], cwd=tmp_path, check=True
    )
    assert [e.name for e in read_exports(tmp_path / "slid.elf").symbols] == names


@pytest.mark.toolchain
def test_table_between_the_linkers_symbols(tmp_path: Path) -> None:
    """A firmware whose linker script merges the table into another section, but marks its ends."""
    marks = [f"-Wl,--defsym=_llext_const_symbol_list_{end}={value}" for end, value in
             (("start", "entry_printk"), ("end", "entry_printk+8"))]  # fmt: skip
    path = firmware(tmp_path, "riscv32", *marks)
    renamed = [need("riscv64-unknown-elf-objcopy"), "--rename-section", "llext_const_symbol_area=.rodata.z", "fw.elf"]
    subprocess.run(renamed, cwd=tmp_path, check=True)
    assert [e.name for e in read_exports(path).symbols] == ["printk"]


@pytest.mark.toolchain
def test_damaged_firmware(tmp_path: Path) -> None:
    path = firmware(tmp_path, "arm")
    good = path.read_bytes()
    elf = Elf(good)
    at = elf.get(elf.shdr("llext_const_symbol_area", "offset"))
    for pointer in (0, 1, 0xFFFF_FFFF, 0x2000_0000):
        found = refused(tmp_path, "bad.elf", good[:at] + struct.pack("<I", pointer) + good[at + 4 :])
        assert [d.code for d in found] == ["exports-syntax"]
        assert f"{pointer:#010x}" in found[0].message
    elf.put(elf.shdr("llext_const_symbol_area", "size"), 12)
    assert "no multiple of 8" in refused(tmp_path, "bad.elf", bytes(elf))[0].message


@pytest.mark.toolchain
def test_extension_in_place_of_a_firmware(tmp_path: Path) -> None:
    firmware(tmp_path, "arm", "-c")
    (found,) = refused(tmp_path, "e.llext", (tmp_path / "fw.elf").read_bytes())
    assert found.code == "exports-missing"
    assert "--extension" in found.help

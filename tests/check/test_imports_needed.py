"""What a firmware lacks for a set of extensions. Oracle: the sources, and the compiler, which takes what is printed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from llext_tools.host.tables import read_exports
from llext_tools.paths import include_dir
from needs import need
from transcript import llext

INPUTS = Path(__file__).parents[1] / "golden" / "inputs" / "zephyr"
CC = ("arm-none-eabi-gcc", "-Os", "-ffreestanding", "-fno-builtin", "-mcpu=cortex-m4", "-mthumb", f"-I{include_dir()}")
EXTENSIONS = {
    "meter": """\
#include <llext/symbol.h>
extern int adc_read(int), scale(int), printk(const char *, ...), lent(int), nowhere(int), z_impl_adc_start(int);
extern int z_impl_led_on(int);
int meter(int a)
{
    return adc_read(a) + scale(a) + printk("") + lent(a) + nowhere(a) + z_impl_adc_start(a) + z_impl_led_on(a);
}
LL_EXTENSION_SYMBOL(meter);
""",
    "lender": """\
#include <llext/symbol.h>
extern int adc_gain, adc_read(int), strange_dollar(int) __asm__("strange$dollar");
int lent(int a) { return adc_read(a) + adc_gain + strange_dollar(a); }
LL_EXTENSION_SYMBOL(lent);
""",
    "heavy": """\
extern int adc_read(int), meter(int);
extern char *strcpy(char *, const char *);
extern const int __device_dts_ord_42;
long long heavy(long long a, long long b, char *p) { strcpy(p, p + 1); return a / b + adc_read(1) + meter(2); }
int device(void) { return __device_dts_ord_42; }
""",
}
STUB = """\
#include <llext/symbol.h>
#ifndef EXPORT_SYSCALL
#define EXPORT_SYSCALL(name) EXPORT_SYMBOL(z_impl_##name)
#endif
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("needed")
    for name, text in EXTENSIONS.items():
        (folder / f"{name}.c").write_text(text)
        command = [
            need(CC[0]),
            *CC[1:],
            "-DLL_EXTENSION_BUILD",
            "-mlong-calls",
            "-c",
            f"{name}.c",
            "-o",
            f"{name}.llext",
        ]
        subprocess.run(command, cwd=folder, check=True)
    build(folder, (INPUTS / "firmware.c").read_text(), "fw")
    return folder


def build(folder: Path, source: str, name: str) -> None:
    (folder / f"{name}.c").write_text(source)
    script = str(INPUTS / "firmware.ld")
    command = [need(CC[0]), *CC[1:], "-I.", "-g", "-nostdlib", "-T", script, f"{name}.c", "-o", f"{name}.elf"]
    subprocess.run(command, cwd=folder, check=True)


def statements(text: str) -> list[str]:
    return re.findall(r"^(EXPORT_\w+\([^)]*\);)", text, re.MULTILINE)


FILES = ("meter.llext", "lender.llext", "heavy.llext")


@pytest.mark.toolchain
def test_what_is_printed_compiles_and_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pasted behind the firmware's source, it exports all that is defined there; then there is nothing more to say."""
    monkeypatch.chdir(folder)
    code, text = llext("exports", "fw.elf", "--needed-by", *FILES)
    assert code == 0
    assert statements(text) == [
        "EXPORT_SYMBOL(adc_read);",
        "EXPORT_SYMBOL(scale);",
        "EXPORT_SYMBOL(adc_gain);",
        "EXPORT_SYSCALL(adc_start);",
    ]
    (folder / "zephyr" / "llext").mkdir(parents=True)
    (folder / "zephyr" / "llext" / "symbol.h").write_text(STUB)
    source = (INPUTS / "firmware.c").read_text()
    build(folder, f"#define EXPORT_SYMBOL_GIVEN\n{source}\n#undef EXPORT\n{text}", "more")
    before, after = (read_exports(str(folder / name)).by_name for name in ("fw.elf", "more.elf"))
    assert after.keys() - before.keys() == {"adc_read", "scale", "adc_gain", "z_impl_adc_start"}
    code, again = llext("exports", "more.elf", "--needed-by", *FILES)
    assert statements(again) == []


@pytest.mark.toolchain
def test_comments_say_where_and_for_whom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    _, text = llext("exports", "fw.elf", "--needed-by", *FILES)
    source = (INPUTS / "firmware.c").read_text().splitlines()
    line = next(n for n, each in enumerate(source, 1) if each.startswith("int adc_read("))
    assert f"/* line {line}; for meter.llext, lender.llext, heavy.llext */" in text
    assert "static; for meter.llext" in text
    rest = text.partition("No line of this kind")[2]
    for name in ("nowhere", "__aeabi_ldivmod", "strcpy", "__device_dts_ord_42", "z_impl_led_on", "strange$dollar"):
        assert f" * {name}, for " in rest
    for name in ("printk", "lent", "meter"):
        assert not re.search(rf"\b{name}\b(?!\.llext)", text), "the firmware or another extension exports it"


@pytest.mark.toolchain
@pytest.mark.parametrize("name", ["x\nint y;", "\x1b[31mred12", "*/int b;", "\u00e9\x85 \u2028"], ids=ascii)
def test_no_name_leaves_its_comment(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in a file may hold anything. Oracle: C, as far as comments and lines go."""
    monkeypatch.chdir(folder)
    data, bad = Path("meter.llext").read_bytes(), name.encode()
    assert data.count(b"\0nowhere\0") == 1
    Path("odd.llext").write_bytes(data.replace(b"\0nowhere\0", b"\0" + bad[:7].ljust(7, b"_") + b"\0"))
    Path("odd.llext").rename("odd\udcff.llext")
    code, text = llext("exports", "fw.elf", "--needed-by", "odd\udcff.llext", "-o", "needed.h")
    assert code == 0, text
    text = Path("needed.h").read_text()
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count("/*") == text.count("*/")


@pytest.mark.toolchain
def test_one_extension_lacks_what_another_one_would_lend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    _, text = llext("exports", "fw.elf", "--needed-by", "heavy.llext")
    assert " * meter, for heavy.llext" in text
    _, text = llext("exports", "fw.elf", "--needed-by", "heavy.llext", "meter.llext")
    assert " * meter, for" not in text


@pytest.mark.toolchain
def test_json_and_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    code, text = llext("exports", "fw.elf", "--needed-by", *FILES, "--json")
    assert code == 0
    found = {row["name"]: row for row in json.loads(text)["needed"]}
    assert found["adc_read"]["statement"] == "EXPORT_SYMBOL(adc_read);"
    assert found["adc_read"]["by"] == list(FILES)
    assert (found["adc_read"]["file"], found["scale"]["static"]) == ("fw.c", True)
    assert found["__aeabi_ldivmod"]["code"] == "runtime-missing"
    assert "statement" not in found["strcpy"]
    assert "LIBC=y" in found["strcpy"]["help"]
    code, said = llext("exports", "fw.elf", "--needed-by", *FILES, "-o", str(tmp_path / "needed.h"))
    assert (code, "4 of 10 missing symbols" in said) == (0, True)
    assert len(statements((tmp_path / "needed.h").read_text())) == 4


@pytest.mark.toolchain
def test_firmware_that_lacks_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "small.c").write_text('extern int printk(const char *, ...); int small(void) { return printk(""); }\n')
    subprocess.run([need(CC[0]), *CC[1:], "-c", "small.c", "-o", "small.llext"], cwd=folder, check=True)
    code, text = llext("exports", "fw.elf", "--needed-by", "small.llext")
    assert (code, text) == (0, "/* fw.elf exports all that one extension needs of it. */\n")
    code, text = llext("exports", "fw.elf", "--needed-by", "small.llext", "--json")
    assert json.loads(text)["needed"] == []


@pytest.mark.toolchain
def test_table_does_not_tell_what_is_defined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the lines are those of all that is no matter of the compiler, without places."""
    monkeypatch.chdir(folder)
    (folder / "table.toml").write_text("[exports]\nprintk = 0x08000001\n")
    _, text = llext("exports", "table.toml", "--needed-by", "heavy.llext")
    assert set(statements(text)) == {"EXPORT_SYMBOL(adc_read);", "EXPORT_SYMBOL(meter);", "EXPORT_SYMBOL(strcpy);"}
    assert not re.search(r"line \d", text)


def test_wrong_options(tmp_path: Path) -> None:
    table = tmp_path / "t.toml"
    table.write_text("[exports]\nprintk = 0x08000001\n")
    for options in (("--format", "toml", "--needed-by", "x"), ("--json",)):
        assert llext("exports", str(table), *options)[0] == 2
    assert llext("exports", "--builtin", "--needed-by", "x")[0] == 2
    assert llext("exports", str(table), "--needed-by", str(tmp_path / "none.llext"))[0] == 3


@pytest.mark.parametrize("name", ["exports.toml", "exports.csv", "exports.LD", "exports.json"])
def test_no_lines_of_c_in_a_table(name: str, tmp_path: Path) -> None:
    table = tmp_path / name
    table.write_text("[exports]\nprintk = 0x08000001\n")
    code, text = llext("exports", str(table), "--needed-by", "x.llext", "-o", str(table))
    assert (code, "--needed-by writes lines of C" in text) == (2, True)
    assert table.read_text() == "[exports]\nprintk = 0x08000001\n"


LIBRARY = """
#line 7 "/build/gcc/libgcc/fp-bit.c"
float __aeabi_i2f(int a) { return *(float *)&a; }
#line 9 "/build/newlib/libc/stdlib/rand.c"
int rand(void) { return 4; }
"""


@pytest.mark.toolchain
def test_what_a_library_defines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No header declares a helper of the compiler; a function of C has its line where its header is included."""
    monkeypatch.chdir(folder)
    build(folder, (INPUTS / "firmware.c").read_text() + LIBRARY, "lib")
    source = "int rand(void); float draw(void) { return rand(); }\n"
    (folder / "draw.c").write_text(source)
    subprocess.run([need(CC[0]), *CC[1:], "-g", "-c", "draw.c", "-o", "draw.llext"], cwd=folder, check=True)
    _, text = llext("exports", "lib.elf", "--needed-by", "draw.llext")
    assert statements(text) == ["EXPORT_SYMBOL(rand);"]
    assert "/* /build/newlib/libc/stdlib/rand.c, of a library: in a file that includes the declaration */" in text
    assert " * __aeabi_i2f, for draw.llext: link in the compiler's own" in text
    _, text = llext("check", "draw.llext", "--exports", "lib.elf")
    said = " ".join(text.split())
    assert "add `EXPORT_SYMBOL(rand);` to a file of the firmware that includes its declaration" in said
    assert "EXPORT_SYMBOL(__aeabi_i2f)" not in said


@pytest.mark.toolchain
def test_weak_imports_as_check_has_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    source = "extern int nowhere(int) __attribute__((weak)); int start(int a) { return nowhere ? nowhere(a) : 0; }\n"
    (folder / "weak.c").write_text(source)
    subprocess.run([need(CC[0]), *CC[1:], "-c", "weak.c", "-o", "weak.llext"], cwd=folder, check=True)
    (found,) = json.loads(llext("check", "weak.llext", "--exports", "fw.elf", "--json", "--ignore=no-exports")[1])[
        "files"
    ][0]["diagnostics"]
    (needed,) = json.loads(llext("exports", "fw.elf", "--needed-by", "weak.llext", "--json")[1])["needed"]
    assert (needed["code"], needed["help"]) == (found["code"], found["help"])
    assert needed["code"] == "weak-undefined"

"""Why imports are missing, with what a firmware's files tell. Each kind has a harmless twin: the cure, carried out.

Oracle: the sources. The firmware and the extensions are compiled anew for each firmware that differs.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from llext_tools.check import check
from llext_tools.diag import Diagnostic
from llext_tools.elf.read import load_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import read_firmware
from llext_tools.link.exports import ExportTable
from llext_tools.link.missing import Reasons
from needs import need
from transcript import llext

INPUTS = Path(__file__).parents[1] / "golden" / "inputs" / "zephyr"
FIRMWARE = (INPUTS / "firmware.c").read_text()
SCRIPT = (INPUTS / "firmware.ld").read_text()
NODES = (INPUTS / "include" / "generated" / "zephyr" / "devicetree_generated.h").read_text()
FLAGS = ("-Os", "-ffreestanding", "-fno-builtin", "-mcpu=cortex-m4", "-mthumb")


@dataclass
class Board:
    """A folder with a firmware, and what is said of extensions that are compiled there."""

    folder: Path
    elf: Path
    n: int = 0

    def found(self, source: str, *flags: str, language: str = "c", profile: str = "zephyr-next") -> list[Diagnostic]:
        """Errors of an extension of this source."""
        self.n += 1
        stem = self.folder / f"e{self.n}"
        stem.with_suffix(f".{language}").write_text(source + "\n")
        compiler = need("arm-none-eabi-gcc" if language == "c" else "arm-none-eabi-g++")
        plus = ("-fno-exceptions", "-fno-rtti") if language == "cpp" else ()
        command = [compiler, *FLAGS, "-g", *plus, *flags, "-c", f"{stem.name}.{language}", "-o", f"{stem.name}.llext"]
        subprocess.run(command, cwd=self.folder, check=True)
        try:
            check(load_object(f"{stem}.llext"), firmware=read_firmware([self.elf]), profile=profile)
        except LlextError as error:
            return [d for d in error.diagnostics if d.severity == "error"]
        return []


def board(folder: Path, *flags: str, source: str = FIRMWARE) -> Board:
    (folder / "fw.c").write_text(source)
    (folder / "fw.ld").write_text(SCRIPT)
    command = [need("arm-none-eabi-gcc"), *FLAGS, "-g", "-nostdlib", "-T", "fw.ld", *flags, "fw.c", "-o", "zephyr.elf"]
    subprocess.run(command, cwd=folder, check=True)
    return Board(folder, folder / "zephyr.elf")


@pytest.fixture(scope="module")
def zephyr(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return board(tmp_path_factory.mktemp("zephyr"))


def line_of(text: str, source: str = FIRMWARE) -> int:
    return next(n for n, line in enumerate(source.splitlines(), 1) if text in line)


USES = "extern int {0}(int); int start(int a) {{ return {0}(a); }}"
EXPORTED = FIRMWARE.replace("void _start", "EXPORT(adc_read); EXPORT(scale); EXPORT(z_impl_adc_start);\nvoid _start")


def test_defined_and_not_exported(zephyr: Board, tmp_path: Path) -> None:
    (found,) = zephyr.found(USES.format("adc_read"))
    assert (found.code, found.errno) == ("symbol-unexported", "ENODATA")
    assert "not exported" in found.message
    assert f"`EXPORT_SYMBOL(adc_read);` behind its definition, fw.c:{line_of('int adc_read(')}" in found.help
    (found,) = zephyr.found(USES.format("scale"))
    assert found.code == "symbol-unexported"
    assert "static there" in found.message
    assert f"`EXPORT_SYMBOL(scale);` behind its definition, fw.c:{line_of('int scale(')}" in found.help
    (found,) = zephyr.found("extern int adc_gain; int start(void) { return adc_gain; }")
    assert f"`EXPORT_SYMBOL(adc_gain);` behind its definition, fw.c:{line_of('int adc_gain')}" in found.help
    (found,) = zephyr.found(USES.format("z_impl_adc_start"))
    assert found.code == "symbol-unexported"
    assert f"`EXPORT_SYSCALL(adc_start);` behind its definition, fw.c:{line_of('int z_impl_adc_start')}" in found.help
    cured = board(tmp_path, source=EXPORTED)
    for name in ("adc_read", "scale", "z_impl_adc_start"):
        assert cured.found(USES.format(name)) == []


def test_place_of_a_definition_without_debug_information(tmp_path: Path) -> None:
    """Then it is an address: oracle nm. Without symbols nobody knows that there is a definition."""
    bare = board(tmp_path, "-g0")
    (found,) = bare.found(USES.format("adc_read"))
    done = subprocess.run([need("arm-none-eabi-nm"), bare.elf], capture_output=True, text=True, check=True)
    address = next(line.split()[0] for line in done.stdout.splitlines() if line.endswith(" adc_read"))
    assert f"at {int(address, 16) | 1:#010x}" in found.help
    subprocess.run([need("arm-none-eabi-strip"), "-s", bare.elf], check=True)
    (found,) = bare.found(USES.format("adc_read"))
    assert found.code == "undefined-symbol"
    assert found.help.startswith(
        "if the firmware defines it, add `EXPORT_SYMBOL(adc_read);` there; if another extension"
    )


def test_neither_exported_nor_defined(zephyr: Board) -> None:
    (found,) = zephyr.found(USES.format("nowhere_to_be_found"))
    assert found.code == "undefined-symbol"
    assert "is defined neither in the extension nor in" in found.message
    assert found.location is not None
    assert (found.location.source, found.location.line, found.location.function) == ("e1.c", 1, "start") or zephyr.n > 1


def test_slip_of_what_is_not_exported(zephyr: Board) -> None:
    (found,) = zephyr.found(USES.format("adc_raed"))
    assert (found.code, found.help) == ("undefined-symbol", "did you mean `adc_read`?")
    assert "but not exported: `adc_read`" in found.notes[0]
    (found,) = zephyr.found(USES.format("scael"))
    assert "did you mean" not in found.help, "static functions have too many names"


def test_helper_of_a_group_that_is_on() -> None:
    """Some versions of Zephyr export the functions of C in it, but not those of the Arm ABI."""
    reasons = Reasons(ExportTable.of({"memcpy": 1, "memset": 3}))
    assert reasons.missing("__aeabi_memcpy").help.startswith("add `EXPORT_SYMBOL(__aeabi_memcpy);` to the firmware")
    assert "LIBC=y" in Reasons(ExportTable.of({"printk": 1})).missing("__aeabi_memcpy").help


def test_all_commands_say_the_same(zephyr: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    zephyr.found(USES.format("adc_read"))
    monkeypatch.chdir(zephyr.folder)
    name = f"e{zephyr.n}.llext"
    said = set()
    for command in ("check", "link", "run", "load"):
        more = ("-o", "out.elf") if command == "link" else ()
        code, text = llext(command, name, "--exports", "zephyr.elf", *more)
        assert code == 5, text
        said.add(re.search(r"error\[symbol-unexported\](.|\n )*", text)[0])  # type: ignore[index]
    assert len(said) == 1
    assert f"e{zephyr.n}.c:1, in `start`" in said.pop()


def test_run_asks_for_the_firmware_where_none_is_given(zephyr: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in host lacks what a real firmware may have."""
    zephyr.found(USES.format("adc_read"))
    monkeypatch.chdir(zephyr.folder)
    code, text = llext("run", f"e{zephyr.n}.llext")
    assert (code, "give the firmware that has it: `--firmware zephyr.elf`" in " ".join(text.split())) == (5, True)
    code, text = llext("run", f"e{zephyr.n}.llext", "--exports", "zephyr.elf")
    assert (code, "--exports" in text) == (5, False)


def test_group_that_is_switched_off(zephyr: Board, tmp_path: Path) -> None:
    """The firmware's own list says so, or its options do; a group that is on has nothing to do with it."""
    (found,) = zephyr.found("char *strcpy(char *, const char *); char *start(char *a) { return strcpy(a, a + 1); }")
    assert found.code == "symbol-unexported"
    assert "its group LIBC is switched off" in found.message
    assert "`CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_LIBC=y`" in found.help
    uses = "int strncmp(const char *, const char *, unsigned); int start(char *a) { return strncmp(a, a + 1, 2); }"
    other = board(tmp_path)
    option = "CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_LIBC"
    (tmp_path / ".config").write_text(f"CONFIG_LLEXT=y\n# {option} is not set\n")
    (found,) = other.found(uses)
    assert (found.code, found.help) == ("symbol-unexported", f"build the firmware with `{option}=y`")
    (tmp_path / ".config").write_text(f"{option}=y\n")
    (found,) = other.found(uses)
    assert found.code == "undefined-symbol"


def test_address_0(zephyr: Board, tmp_path: Path) -> None:
    (found,) = zephyr.found(USES.format("z_impl_led_on"))
    assert found.code == "symbol-unexported"
    assert "with the address 0" in found.message
    cured = board(tmp_path, source=FIRMWARE + "int z_impl_led_on(int led) { return led; }\n")
    assert cured.found(USES.format("z_impl_led_on")) == []


def test_options_of_another_folder(zephyr: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--config``, beside the ELF file or beside a table, which tells of nothing but exports."""
    option = "CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_LIBC"
    (tmp_path / "build.config").write_text(f"# {option} is not set\n")
    (tmp_path / "table.toml").write_text("[exports]\nprintk = 0x101\n")
    zephyr.found("int strncmp(const char *, const char *, unsigned); int start(char *a) { return strncmp(a, a, 2); }")
    monkeypatch.chdir(tmp_path)
    extension = str(zephyr.folder / f"e{zephyr.n}.llext")
    for exports in (str(zephyr.elf), "table.toml"):
        code, text = llext("check", extension, "--exports", exports)
        assert (code, option in text) == (5, False)
        code, text = llext("check", extension, "--exports", exports, "--config", "build.config")
        assert code == 5
        assert f"help: build the firmware with `{option}=y`" in text


@pytest.mark.parametrize(
    ("config", "nodes", "name", "parts"),
    [
        ("", False, "__device_dts_ord_42", ("is a device of the devicetree", "CONFIG_LLEXT_EXPORT_DEVICES=y")),
        ("", True, "__device_dts_ord_42", ("node `/soc/adc@40012000`", "CONFIG_LLEXT_EXPORT_DEVICES=y")),
        ("", True, "__device_dts_ord_4", ("has no such device", "enable the driver and the node")),
        (
            "# CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_DEVICE is not set",
            True,
            "__device_dts_ord_42",
            ("node", "CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_DEVICE=y"),
        ),
        (
            "CONFIG_LLEXT_EXPORT_DEV_IDS_BY_HASH=y",
            False,
            "__device_dts_ord_42",
            ("by a hash", "headers and options of this firmware"),
        ),
    ],
)
def test_device(config: str, nodes: bool, name: str, parts: tuple[str, str], tmp_path: Path) -> None:
    boards = board(tmp_path)
    (tmp_path / ".config").write_text(config + "\n")
    if nodes:
        folder = tmp_path / "include" / "generated" / "zephyr"
        folder.mkdir(parents=True)
        (folder / "devicetree_generated.h").write_text(NODES)
    (found,) = boards.found(f"extern const int {name}; int start(void) {{ return {name}; }}")
    assert found.code == "symbol-unexported"
    assert parts[0] in " ".join(found.notes)
    assert parts[1] in found.help


def test_device_beside_others(tmp_path: Path) -> None:
    source = FIRMWARE.replace("int __device_dts_ord_42;", "int __device_dts_ord_42; EXPORT(__device_dts_ord_42);")
    boards = board(tmp_path, "-s", source=source)
    uses = "extern const int __device_dts_ord_{0}; int start(void) {{ return __device_dts_ord_{0}; }}"
    (found,) = boards.found(uses.format(43))
    assert "the table has 1 other device" in " ".join(found.notes)
    assert boards.found(uses.format(42)) == []


RUNTIME = {
    "int64": (
        "long long start(long long a, long long b) { return a / b; }",
        {"__aeabi_ldivmod": ("divides signed 64-bit integers", "COMPILER_RUNTIME")},
        "long long start(long long a, long long b) { return a + b; }",
    ),
    "double": (
        "double start(double a, float b) { return a * b + 1; }",
        {
            "__aeabi_f2d": ("converts float to double", "COMPILER_RUNTIME"),
            "__aeabi_dmul": ("multiplies doubles", "`1.0f` is not"),
            "__aeabi_dadd": ("adds doubles", "`1.0f` is not"),
        },
        "int start(int a, int b) { return a * b + 1; }",
    ),
    "copy": (
        "struct s { int a[40]; } x; void start(struct s *p) { x = *p; }",
        {"memcpy": ("with `-ffreestanding` too", "CONFIG_LLEXT_EXPORT_SYMBOL_GROUP_LIBC=y")},
        "struct s { int a[1]; } x; void start(struct s *p) { x = *p; }",
    ),
}


@pytest.mark.parametrize("case", RUNTIME)
def test_what_compilers_call(case: str, zephyr: Board) -> None:
    """Oracle: the names that the compiler makes of the source."""
    source, expected, twin = RUNTIME[case]
    found = zephyr.found(source)
    assert {d.message.split("`")[1] for d in found} == set(expected)
    for each in found:
        what, cure = expected[each.message.split("`")[1]]
        assert each.code == "runtime-missing"
        assert what in " ".join(each.notes)
        assert cure in each.help
        assert each.location is not None
        assert (each.location.line, each.location.function) == (1, "start")
    assert zephyr.found(twin) == []


def test_helper_that_the_firmware_defines(tmp_path: Path) -> None:
    source = FIRMWARE + "long long __aeabi_ldivmod(long long a, long long b) { return a ^ b; }\n"
    (found,) = board(tmp_path, source=source).found(RUNTIME["int64"][0])
    assert found.code == "runtime-missing"
    assert f"defined in fw.c:{line_of('__aeabi_ldivmod', source)}, but not exported" in found.notes
    assert "COMPILER_RUNTIME" in found.help
    assert "EXPORT_SYMBOL" not in found.help, "no header declares it: that would not compile"


CPP_TWIN = 'extern "C" int start(int a) { return a; }'


@pytest.mark.parametrize(
    ("source", "flags", "expected"),
    [
        ("struct a { virtual ~a() {} virtual int f(); }; int a::f() { return 1; }", (), {"_ZdlPvj": "allocator"}),
        ("int *start(int n) { return new int[n]; }", (), {"_Znaj": "allocator"}),
        (
            "struct a { int x; ~a() { x = 0; } }; a one;",
            (),
            {"__aeabi_atexit": "-fno-use-cxa-atexit", "__dso_handle": "-fno-use-cxa-atexit"},
        ),
        ("struct a { int x; ~a() { x = 0; } }; a one;", ("-fno-use-cxa-atexit",), {}),
        (
            "int f(int) noexcept(false); struct a { a(); int x; }; int start() { static a one; return one.x; }",
            ("-fno-use-cxa-atexit",),
            {"__cxa_guard_acquire": "-fno-threadsafe-statics", "__cxa_guard_release": "-fno-threadsafe-statics",
             "_ZN1aC1Ev": ""},
        ),
        ("struct a { virtual int f() = 0; int x; }; struct b : a { int f(); }; int b::f() { return x; }", (), {}),
        (
            "struct a { virtual int f() = 0; virtual int g(); }; int a::g() { return 1; }",
            (),
            {"__cxa_pure_virtual": "define it in the extension"},
        ),
        ("struct a { virtual int f(); }; a one;", (), {"_ZTV1a": "first virtual"}),
    ],
)  # fmt: skip
def test_what_cpp_needs(source: str, flags: tuple[str, ...], expected: dict[str, str], zephyr: Board) -> None:
    """Oracle: the names that the compiler makes of the source."""
    zephyr.n += 1
    path = zephyr.folder / f"c{zephyr.n}"
    path.with_suffix(".cpp").write_text(source + "\n")
    command = [need("arm-none-eabi-g++"), *FLAGS, "-fno-exceptions", "-fno-rtti", *flags, "-c", f"{path}.cpp"]
    subprocess.run([*command, "-o", f"{path}.o"], check=True)
    done = subprocess.run([need("arm-none-eabi-nm"), "-u", f"{path}.o"], capture_output=True, text=True, check=True)
    names = {line.split()[1] for line in done.stdout.splitlines()}
    assert names >= {name for name in expected if name != "_ZN1aC1Ev"}
    reasons = Reasons(read_firmware([zephyr.elf]).exports)
    for name in names & expected.keys():
        assert expected[name] in reasons.missing(name).help
        runtime = not name.startswith(("_ZN1a", "_ZTV1a"))
        assert reasons.missing(name).code == ("runtime-missing" if runtime else "undefined-symbol")
    assert names <= set(expected)


def test_signatures_and_languages(tmp_path: Path) -> None:
    boards = board(tmp_path)
    klass = "struct sensor {{ int read({0}); }}; int start(sensor &s) {{ return s.read({1}); }}"
    (found,) = boards.found(klass.format("long", "1"), language="cpp")
    assert found.code == "undefined-symbol"
    assert found.message.startswith("`sensor::read(long)` is")
    assert "exported with another signature: `sensor::read(int)`" in found.notes
    assert "its name in the symbol table is `_ZN6sensor4readEl`" in found.notes
    assert boards.found(klass.format("int", "1"), language="cpp") == []
    (found,) = boards.found('int printk(const char *, ...); int start() { return printk(""); }', language="cpp")
    assert "`printk` is exported, a function of C" in found.notes
    assert 'extern "C"' in found.help
    twin = 'extern "C" int printk(const char *, ...); int start() { return printk(""); }'
    assert boards.found(twin, language="cpp") == []
    (found,) = boards.found(
        "struct sensor { int raed(int); }; int start(sensor &s) { return s.raed(1); }", language="cpp"
    )
    assert found.help == "did you mean `sensor::read(int)`?"
    exports = ExportTable.of({"_Z4readi": 1, "_ZN1aD0Ev": 3})
    assert "`read(int)`, a function of C++" in Reasons(exports).missing("read").notes[0]
    assert "another variant of it is exported" in Reasons(exports).missing("_ZN1aD2Ev").notes[1]


def test_weak(zephyr: Board) -> None:
    source = "extern int {0}(int) __attribute__((weak)); int start(int a) {{ return {0} ? {0}(a) : 0; }}"
    (found,) = zephyr.found(source.format("tracing"))
    assert (found.code, found.errno) == ("weak-undefined", "ENODATA")
    assert found.help == "define it in the extension, if only as a weak function that does nothing"
    (found,) = zephyr.found(source.format("adc_read"))
    assert found.code == "weak-undefined"
    assert "EXPORT_SYMBOL(adc_read);" in found.help
    (found,) = zephyr.found(source.format("gpio_pin_sett"))
    assert found.help == "did you mean `gpio_pin_set`?"
    twin = "extern int gpio_pin_set(int, int) __attribute__((weak)); int start(int a) { return gpio_pin_set(a, 1); }"
    assert zephyr.found(twin) == []
    assert zephyr.found(source.format("tracing"), profile="abi") == []
    assert (
        zephyr.found("__attribute__((weak)) int tracing(int a) { return a; } int start(int a) { return tracing(a); }")
        == []
    )


def test_order_and_places(zephyr: Board) -> None:
    """In the order of first use; three more places, then a count; a line counts once. Oracle: the source."""
    source = """\
extern int second(int), first(int);
int start(int a)
{
    a = first(a);
    a = second(a) + second(a);
    a = second(a);
    a = second(a);
    a = second(a);
    a = second(a);
    return second(a);
}
int other(int a) { return first(a); }
"""
    one, two = zephyr.found(source)
    assert [one.message.split("`")[1], two.message.split("`")[1]] == ["first", "second"]
    file = f"e{zephyr.n}.c"
    assert one.location is not None
    assert two.location is not None
    assert (one.location.source, one.location.line, two.location.line) == (file, 4, 5)
    assert [note for note in one.notes if "also" in note] == [f"also at {file}:12, in `other`"]
    also = [f"also at {file}:{n}, in `start`" for n in (6, 7, 8)]
    assert two.notes[:4] == (*also, "and from 2 more places")


def test_shared_object(zephyr: Board) -> None:
    """All that is missing at once, although the loader stops at the first."""
    names = "adc_read, gpio_pin_sett, printk"
    source = f"typedef int f(int); extern f {names}; f *table[] = {{{names}}};"
    shared = ("-shared", "-fPIC", "-nostdlib")
    zephyr.n += 1
    path = zephyr.folder / f"s{zephyr.n}.so"
    (zephyr.folder / "s.c").write_text(source + "\nint start(void) { return table[0](1); }\n")
    command = [need("arm-none-eabi-gcc"), *FLAGS, "-g", *shared, "s.c", "-o", str(path)]
    subprocess.run(command, cwd=zephyr.folder, check=True)
    with pytest.raises(LlextError) as caught:
        check(load_object(str(path)), firmware=read_firmware([zephyr.elf]))
    found = [(d.code, d.message.split("`")[1]) for d in caught.value.diagnostics if d.severity == "error"]
    assert found == [("symbol-unexported", "adc_read"), ("undefined-symbol", "gpio_pin_sett")]
    at = caught.value.diagnostics[0].location
    assert at is not None
    assert (at.source, at.line, at.variable) == ("s.c", 1, "table")

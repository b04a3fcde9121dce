"""Functions of the host replaced from the command line, those without code, and images that stand for a Zephyr.

Oracle: C's rules for the sources, and what the functions in Python were written to do.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from emulator.compiled import compile_c
from llext_tools import arch
from llext_tools.cli import main
from llext_tools.host.firmware import read_firmware
from llext_tools.run import Setup, load, run
from samples import Builder

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

HEADER = """
struct pair { int32_t left; double right; };
int plain(int);
const char *label(const char *);
double mean(float, double);
struct pair swapped(struct pair);
uint8_t small(void);
void nothing(int);
int inner(int);
int is_ready(void);
int from_ram(int);
int unheard_of(const char *, int);
"""
IMAGE = f"""
#include <stdint.h>
#include <llext/symbol.h>
{HEADER}
void *memcpy(void *to, const void *from, __SIZE_TYPE__ size)
{{
    for (volatile char *t = to; size-- > 0; ) *t++ = *(const char *)from++;
    return to;
}}
static int ready;
static int start_value = 1000;
unsigned char kheap_llext_heap[64 << 10] __attribute__((aligned(4096), section(".noinit")));
typedef int level_t;
__attribute__((noinline)) level_t inner(level_t x) {{ return x + start_value++; }}
int plain(int x) {{ return inner(x) * 2; }}
const char *label(const char *text) {{ return text; }}
double mean(float x, double y) {{ return (x + y) / 2; }}
struct pair swapped(struct pair p) {{ return p; }}
uint8_t small(void) {{ return 9; }}
void nothing(int x) {{ ready = x; }}
int is_ready(void) {{ return ready; }}
void board_init(void) {{ ready = 7; }}
__attribute__((section(".data.code"), noinline)) static int in_ram(int x) {{ return 3 * x; }}
int from_ram(int x) {{ return in_ram(x); }}
EXPORT_SYMBOL(plain); EXPORT_SYMBOL(label); EXPORT_SYMBOL(mean); EXPORT_SYMBOL(swapped); EXPORT_SYMBOL(small);
EXPORT_SYMBOL(nothing); EXPORT_SYMBOL(is_ready); EXPORT_SYMBOL(from_ram);
"""
ZEPHYR = """
struct { int cpus; } _kernel = {1};
#define KERNEL __attribute__((noipa))
static void hang(void) { for (;;) { } }
KERNEL void printk(const char *format, ...) { (void)format; hang(); }
KERNEL void *k_malloc(unsigned int size) { (void)size; hang(); return 0; }
KERNEL int32_t z_impl_k_sleep(int64_t ticks) { (void)ticks; hang(); return 1; }
KERNEL int64_t z_impl_k_uptime_ticks(void) { hang(); return 1; }
int wait_inside(void) { printk("inside"); return z_impl_k_sleep(50000) + 4; }
EXPORT_SYMBOL(printk); EXPORT_SYMBOL(k_malloc); EXPORT_SYMBOL(z_impl_k_sleep); EXPORT_SYMBOL(z_impl_k_uptime_ticks);
EXPORT_SYMBOL(wait_inside);
"""
EXTENSION = f"""
{HEADER}
__attribute__((noipa)) int call_plain(int x) {{ return plain(x); }} EXPORT_SYMBOL(call_plain);
int call_twice(int x) {{ return 2 * call_plain(x); }} EXPORT_SYMBOL(call_twice);
const char *call_label(const char *text) {{ return label(text); }} EXPORT_SYMBOL(call_label);
double call_mean(float x, double y) {{ return mean(x, y); }} EXPORT_SYMBOL(call_mean);
double call_swapped(int x, double y)
{{
    struct pair p = swapped((struct pair){{x, y}});
    return p.left * 1000 + p.right;
}}
EXPORT_SYMBOL(call_swapped);
int call_small(void) {{ return small(); }} EXPORT_SYMBOL(call_small);
int call_nothing(int x) {{ nothing(x); return is_ready(); }} EXPORT_SYMBOL(call_nothing);
int call_ram(int x) {{ return from_ram(x); }} EXPORT_SYMBOL(call_ram);
"""
BOARD = """
def plain(x):
    return x + 1


def label(guest, text):
    return guest.place_text(guest.memory.text(text).upper())


def mean(x, y):
    return x - y


def swapped(pair):
    return {"left": int(pair.right), "right": pair.left}


def nothing(x):
    return None


def wrong(x):
    return "text"


def large(x):
    return 1 << 32


def broken(x):
    return 1 // (x - x)


answer = 42
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A firmware, an extension for it and Python, in a folder: for Arm with soft floats."""
    folder = tmp_path_factory.mktemp("overrides")
    compile_c(EXTENSION, arch.target("cortex-m3"), "gcc", folder)
    Builder("cortex-m3", "gcc", folder).image(IMAGE)
    (folder / "board.py").write_text(BOARD, encoding="utf-8")
    return SimpleNamespace(folder=folder)


def llext(files: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.chdir(files.folder)
    return main(["run", "ext.debug.elf", "--firmware", "image.elf", "--target", "cortex-m3", *options])


@pytest.mark.parametrize(
    ("call", "options", "value"),
    [
        ("call_plain(5)", [], "2010"),
        ("call_plain(5)", ["--override", "plain=-3"], "-3"),
        ("call_plain(5)", ["--override", "plain=board.py:plain"], "6"),
        ("call_plain(5)", ["--override", "inner=0x10"], "32"),  # not exported: the image calls it
        ("call_plain(5)", ["--override", "inner=3", "--prototype", "level_t inner(level_t)"], "6"),  # of the image
        ("call_label(\"abc\")", ["--override", "label=board.py:label"], '"ABC"'),
        ("call_mean(3, 5.5)", [], "4.25"),
        ("call_mean(3, 5.5)", ["--override", "mean=board.py:mean"], "-2.5"),
        ("call_mean(3, 5.5)", ["--override", "mean=1.25"], "1.25"),
        ("call_swapped(3, 4)", [], "3004.0"),
        ("call_swapped(3, 4)", ["--override", "swapped=board.py:swapped"], "4003.0"),
        (
            "call_swapped(3, 4)",
            ["--prototype", "struct pair swapped(struct pair)", "--override", "swapped=board.py:swapped"],
            "4003.0",
        ),
        ("call_small()", ["--override", "small=200"], "200"),
        ("call_small()", ["--override", "small=255"], "255"),
        ("call_small()", ["--override", "small=-1"], "255"),  # the same byte
        ("call_plain(5)", ["--override", "plain=0xffffffff"], "-1"),
        ("call_nothing(3)", [], "3"),
        ("call_nothing(3)", ["--override", "nothing=board.py:nothing"], "0"),
        ("call_nothing(3)", ["--override", "nothing=1", "--init", "board_init"], "7"),
        ("call_ram(14)", [], "42"),
        ("call_plain(5)", ["--override", "call_plain=8"], "8"),  # of the extension
        ("call_twice(5)", ["--override", "call_plain=board.py:plain"], "12"),
    ],
)  # fmt: skip
def test_what_is_called(
    call: str,
    options: list[str],
    value: str,
    files: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert llext(files, monkeypatch, "--call", call, *options) == 0
    assert capsys.readouterr().out == f"{call} = {value}\n"


@pytest.mark.parametrize(
    ("option", "code", "words"),
    [
        (
            "--override=plian=1",
            2,
            "neither the firmware nor the extension has a function `plian` to be replaced: did you mean `plain`?",
        ),
        ("--override=qqq=1", 2, "a function `qqq` to be replaced = help: the extension calls `"),
        ("--override=plain", 2, "`--override plain` is not of the form NAME=VALUE or NAME=FILE:FUNCTION"),
        ("--override=plain=", 2, "is not of the form"),
        ("--override=plain=none.py:f", 3, "there is no file `none.py` in `/"),
        ("--override=plain=board.py:plian", 2, "board.py defines no `plian`"),
        ("--override=plain=board.py:answer", 2, "`answer` of board.py is no function"),
        ("--override=plain=some", 2, "`some` is neither a number nor FILE:FUNCTION"),
        ("--override=plain=1.5", 2, "1.5 is no value of type `int` = help: its prototype is `int plain(int)`"),
        ("--override=plain=4294967296", 2, "`--override plain=4294967296`: `4294967296` does not fit into `int`"),
        ("--override=plain=-2147483649", 2, "`-2147483649` does not fit into `int`"),
        ("--override=plain=board.py:large", 8, "the result of `board.py:large`: `4294967296` does not fit into `int`"),
        ("--override=plain=board.py:wrong", 8, "the result of `board.py:wrong`: 'text' is no value of type `int`"),
        ("--override=plain=board.py:broken", 8, "`board.py:broken` raises ZeroDivisionError: "),
        ("--init=board_ini", 2, "the firmware has no function `board_ini` to begin with: did you mean `board_init`"),
    ],
)
def test_what_is_refused(
    option: str,
    code: int,
    words: str,
    files: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert llext(files, monkeypatch, "--call", "call_plain(5)", option) == code
    printed = " ".join(capsys.readouterr().err.split())
    assert words in printed
    if "broken" in option:
        line = BOARD.splitlines().index("    return 1 // (x - x)") + 1
        assert f"board.py:{line}: return 1 // (x - x)" in printed
        assert "`call_plain`" in printed


def test_what_has_no_code_is_named_with_its_arguments_or_stubbed(
    files: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The types are those that the extension was compiled with: the table has none."""
    monkeypatch.chdir(files.folder)
    source = f"""
    {HEADER}
    int run(int x) {{ return unheard_of("now", x) + unheard_of("then", -x) + (int)mean(1, 2) + plain(1) + x; }}
    EXPORT_SYMBOL(run);
    """
    compile_c(source, arch.target("cortex-m3"), "gcc", files.folder, name="absent")
    addresses = {"unheard_of": 0x0800_0101, "mean": 0x0800_0201, "plain": 0x0800_0301}
    table = "\n".join(f"{name} = {address:#x}" for name, address in addresses.items())
    (files.folder / "t.toml").write_text(f"[exports]\n{table}\n", encoding="utf-8")
    run = ["run", "absent.debug.elf", "--exports", "t.toml", "--call", "run(5)"]
    assert main(run) == 8
    assert 'unheard_of("now", 5) at 0x08000101' in capsys.readouterr().err
    assert main([*run, "--stub-missing", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["calls"][0]["value"] == 5
    assert [call["name"] for call in result["host_calls"]] == ["unheard_of", "unheard_of", "mean", "plain"]
    (warning,) = result["diagnostics"]
    assert warning["code"] == "run-stubbed"
    assert warning["message"] == "`unheard_of`, `mean` and `plain` have no code here and returned 0, 4 times"
    assert main([*run, "--stub-missing", "--override", "unheard_of=10"]) == 0
    assert "run(5) = 25" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m7", "rv32imac", "rv64gc"])
def test_a_zephyr_that_nobody_has_booted(target: str, tmp_path: Path) -> None:
    """What would hang without a kernel is the host's, called by the extension or by the image; the rest is its own."""
    host = read_firmware([Builder(target, "gcc", tmp_path).image(IMAGE + ZEPHYR)])
    source = f"""
    {HEADER}
    int32_t z_impl_k_sleep(int64_t); int64_t z_impl_k_uptime_ticks(void); int wait_inside(void);
    int all(void)
    {{
        int64_t start = z_impl_k_uptime_ticks();
        printk("%d ", plain(5));
        z_impl_k_sleep(10000);
        char *block = k_malloc(10);
        return wait_inside() + 10 * (int)((z_impl_k_uptime_ticks() - start) / 10000) + 1000 * (block != NULL);
    }}
    EXPORT_SYMBOL(all);
    """
    cpu = arch.target(target)
    firmware = tuple(found.obj for found in host.images)
    images = load([compile_c(source, cpu, "gcc", tmp_path)], cpu, exports=host.exports, firmware=firmware)
    result = run(images, "all()", Setup(cpu, host.exports, firmware))
    assert result.fault is None, result.fault
    assert result.output == "2010 inside"
    assert result.value == 1064
    assert result.heap_peak == 10


@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac"])
def test_what_the_built_in_host_lacks_can_be_given(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = """
    int gpio_set(int pin, int value); long long ticks(void); int later(void) __attribute__((weak));
    int blink(int n) { return gpio_set(n, 1) + (int)(ticks() >> 32) + (later ? later() : 1000); } EXPORT_SYMBOL(blink);
    """
    compile_c(source, arch.target(target), "gcc", tmp_path)
    (tmp_path / "board.py").write_text("def gpio_set(pin, value):\n    return 10 * pin + value\n", encoding="utf-8")
    run = ["run", "ext.debug.elf", "--target", target, "--call", "blink(2)"]
    both = ["--override", "gpio_set=board.py:gpio_set", "--override", "ticks=0x300000000"]
    assert main([*run, *both, "--override", "later=4", "--placements", "3"]) == 0
    assert main([*run, "--override", "gpio_set=5", "--override", "later=4", "--stub-missing"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["blink(2) = 28", "blink(2) = 9"]
    assert "`ticks` has no code here and returned 0, 1 time" in " ".join(printed.err.split())
    assert main([*run, "--override", "gpio_set=5", "--override", "later=4"]) == 5
    words = " ".join(capsys.readouterr().err.split())
    assert "error[undefined-symbol]: `ticks` is neither defined" in words
    assert "or say what it returns: `--override NAME=VALUE`, or `--stub-missing` for 0" in words
    assert "error[undefined-symbol]: `gpio_set`" not in words


def test_a_table_has_no_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help says what has; nothing but the first byte of the text was wanted, as far as one knows."""
    monkeypatch.chdir(tmp_path)
    source = """
    extern const char board_name[13];
    void show(void) { printk("%s", board_name); } EXPORT_SYMBOL(show);
    int look(void) { return board_name[2]; } EXPORT_SYMBOL(look);
    """
    compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path)
    table = '[exports]\nprintk = 0x08000101\nboard_name = { address = 0x08000cf0, kind = "object" }\n'
    (tmp_path / "board.toml").write_text(table, encoding="utf-8")
    run = ["run", "ext.debug.elf", "--exports", "board.toml"]
    cure = "give the firmware's image by `--firmware zephyr.elf`: a table has addresses, and no contents"
    for call, words in (
        ("show()", "`printk` reads 1 byte at 0x08000cf0, which is the host's and has no contents here"),
        ("look()", "`look` reads 1 byte at 0x08000cf2, which is the host's and has no contents here"),
    ):
        assert main([*run, "--call", call]) == 8
        printed = " ".join(capsys.readouterr().err.split())
        assert words in printed
        assert cure in printed
        assert "for `board_name`" in printed
        assert "for `printk`" not in printed  # it is near, but not what was read

"""Bringup, teardown, several extensions, the built-in host, firmware: from C sources to what they print.

Oracle: C's own rules for order and values; libc on this machine for the functions of the built-in host.
"""

from __future__ import annotations

import ctypes
import json
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from emulator.compiled import CHAINS, TARGETS, compile_c
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.abi.c import Known
from llext_tools.c.call import check_arguments, parse_call
from llext_tools.c.types import DataModel
from llext_tools.cli import main
from llext_tools.elf.lines import find_line
from llext_tools.elf.read import read_object
from llext_tools.errors import UsageError
from llext_tools.link.exports import Export, ExportTable
from llext_tools.run import Setup, guess_target, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]

ORDER = r"""
static int steps;
__attribute__((constructor(101))) static void first(void) { steps++; printk("first %d\n", steps); }
__attribute__((constructor(102))) static void second(void) { steps++; printk("second %d\n", steps); }
__attribute__((destructor)) static void last(void) { printk("end %d\n", steps); }
int call(void) { printk("call %d\n", ++steps); return steps; }
EXPORT_SYMBOL(call);
"""


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_constructors_call_destructors(target: str, chain: str, build: Build) -> None:
    cpu = arch.target(target)
    images = load([build(ORDER, target, chain)], cpu)
    result = run(images, ["call()", "call()"], Setup(cpu))
    assert result.fault is None
    assert [r.value for r in result.returned] == [3, 4]
    assert result.output == "first 1\nsecond 2\ncall 3\ncall 4\nend 4\n"
    assert run(images, (), Setup(cpu)).output == "first 1\nsecond 2\nend 2\n"


def test_a_constructor_outside_of_the_code_is_refused(build: Build) -> None:
    source = """
    int variable;
    __attribute__((section(".init_array"), used)) static void *entry = &variable;
    void f(void) {} EXPORT_SYMBOL(f);
    """
    cpu = arch.target("cortex-m4")
    fault = run(load([build(source, "cortex-m4")], cpu), (), Setup(cpu)).fault
    assert fault is not None
    assert fault.code == "run-bringup"
    assert fault.errno == "EFAULT"
    assert fault.message.startswith("entry 0 of INIT points to 0x")


def test_a_later_extension_uses_an_earlier_one(build: Build) -> None:
    cpu = arch.target("rv32imac")
    offering = """
    int base_value = 20; EXPORT_SYMBOL(base_value);
    int base_add(int x) { return base_value += x; } EXPORT_SYMBOL(base_add);
    """
    using = """
    extern int base_value;
    int base_add(int);
    int use(int x) { return base_add(x) * 1000 + base_value; } EXPORT_SYMBOL(use);
    """
    base, user = build(offering, "rv32imac"), build(using, "rv32imac")
    result = run(load([base, user], cpu), ["use(2)", "base_add(1)", "use(0)"], Setup(cpu))
    assert [r.value for r in result.returned] == [22022, 23, 23023]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_is_guessed_so_that_the_code_runs(target: str, build: Build) -> None:
    obj = build(ORDER, target)
    guess = guess_target(obj)
    cpu = arch.target(target)
    assert (guess.arch, guess.bits, guess.float_abi) == (cpu.arch, cpu.bits, cpu.float_abi)
    assert run(load([obj], guess), "call()", Setup(guess)).value == 3


def test_a_table_without_code(build: Build) -> None:
    """`puts` has an address and is built in; `led_set` has only an address."""
    source = """
    int led_set(int led, const char *state);
    int on(int led) { puts("switching"); return led_set(led, "on") + 1; } EXPORT_SYMBOL(on);
    """
    cpu = arch.target("cortex-m3")
    exports = ExportTable(
        source="table",
        symbols=(
            Export("puts", 0x0800_1235, "func"),
            Export("led_set", 0x0800_4321, "func", "int led_set(int led, const char *state)"),
        ),
    )
    images = load([build(source, "cortex-m3")], cpu, exports=exports)
    result = run(images, "on(3)", Setup(cpu, exports))
    assert result.output == "switching\n"
    assert result.fault is not None
    assert result.fault.code == "run-missing-code"
    assert result.fault.message == "`on` calls `led_set`, which has an address but no code here"
    assert result.fault.detail[-1] == 'led_set(3, "on") at 0x08004321'


def test_an_even_address_in_a_table_is_the_tables_fault(build: Build) -> None:
    cpu = arch.target("cortex-m3")
    exports = ExportTable(source="table", symbols=(Export("puts", 0x0800_1234),))
    obj = build('void on(void) { puts("on"); } EXPORT_SYMBOL(on);', "cortex-m3", "gcc", "-mlong-calls")
    fault = run(load([obj], cpu, exports=exports), "on()", Setup(cpu, exports)).fault
    assert fault is not None
    assert fault.message.endswith("calls `puts` at 0x08001234 without the Thumb bit")
    assert "gives 0x08001234" in fault.help
    assert fault.help.endswith("0x08001235")


STRINGS = r"""
const char *s[] = {"", "a", "abc", "abcabc", "  -42x", "0x1F", "077", "99999999999999999999", "+5 6", "zebra", "-0x",
                   "b\xff"};
#define N (sizeof(s) / sizeof(s[0]))
size_t strnlen(const char *, size_t);
char *strrchr(const char *, int), *strncat(char *, const char *, size_t);
void *memchr(const void *, int, size_t);
long strtol(const char *, char **, int);
unsigned long strtoul(const char *, char **, int);
long long strtoll(const char *, char **, int);
int atoi(const char *), abs(int);
static int sign(int x) { return (x > 0) - (x < 0); }
static int at(const char *p, const char *base) { return p ? (int)(p - base) : -1; }
void all(void)
{
    char b[64], *e;
    for (unsigned i = 0; i < N; i++) {
        printf("%d %d %d %d %d %d\n", (int)strlen(s[i]), (int)strnlen(s[i], 2), at(strchr(s[i], 'b'), s[i]),
               at(strrchr(s[i], 'b'), s[i]), at(strchr(s[i], 0), s[i]), at(memchr(s[i], 'c', strlen(s[i])), s[i]));
        for (int base = 0; base <= 36; base += 2) {
            long long v = strtoll(s[i], &e, base);
            printf("%lld %d ", v, (int)(e - s[i]));
        }
        printf("%d\n", (int)atoi(i == 7 ? "12" : s[i]));
        for (unsigned j = 0; j < N; j++) {
            printf("%d%d%d%d ", sign(strcmp(s[i], s[j])), sign(strncmp(s[i], s[j], 2)), sign(memcmp(s[i], s[j], 1)),
                   at(strstr(s[i], s[j]), s[i]));
        }
        memset(b, 'x', sizeof(b));
        strncpy(b, s[i], 5);
        printf("%d ", b[4]);
        strcpy(b, s[i]);
        strcat(b, "+");
        strncat(b, "tail", 2);
        memmove(b + 1, b, strlen(b) + 1);
        puts(b);
    }
    printf("%d %d\n", abs(-3), abs(4));
}
EXPORT_SYMBOL(all);
"""


def test_spoilt_debug_information_is_none(build: Build) -> None:
    """Whatever it says, there is a prototype that can be used, or none. Expected: no exception."""
    good = build(LONG_NUMBER, "cortex-m4")
    places = [
        (int(good.sections.offset[i]), int(good.sections.size[i]))
        for i, name in enumerate(good.sections.name)
        if name.startswith(".debug") and good.sections.size[i]
    ]
    random = Random(1)
    model = DataModel(32, 8)
    for _ in range(400):
        spoilt = bytearray(good.image.tobytes())
        for _ in range(random.choice((1, 2, 4, 16))):
            start, size = random.choice(places)
            spoilt[start + random.randrange(size)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        obj = read_object(bytes(spoilt), "spoilt.o")
        find_line(obj, obj.sections.name.index(".text"), 4)
        if (prototype := Known(obj, model).prototype("longest")) is not None:
            with suppress(UsageError):
                check_arguments(parse_call("longest(1, 10)"), prototype, model)


LONG_NUMBER = r"""
long long strtoll(const char *, char **, int);
static char text[5001];
long long longest(int digit, int base) { memset(text, digit, 5000); return strtoll(text, 0, base); }
EXPORT_SYMBOL(longest);
"""


def test_a_number_of_any_length_is_read(build: Build) -> None:
    """Expected: C17 7.22.1.4, a value out of range gives the limit of the type."""
    cpu = arch.target("cortex-m4")
    image = load([build(LONG_NUMBER, "cortex-m4")], cpu)
    for call, value in {"longest('1', 10)": 2**63 - 1, "longest('0', 10)": 0, "longest('1', 2)": 2**63 - 1}.items():
        assert run(image, call, Setup(cpu)).value == value


@pytest.mark.parametrize("target", ["cortex-m0plus", "rv64gc"])
def test_string_functions_are_those_of_libc(target: str, build: Build, tmp_path: Path) -> None:
    """Oracle: the same C code, compiled for this machine and run with its libc."""
    import subprocess

    from needs import need

    cpu = arch.target(target)
    result = run(load([build(STRINGS, target)], cpu), "all()", Setup(cpu))
    assert result.fault is None, result.fault
    native = tmp_path / "native.c"
    headers = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#define EXPORT_SYMBOL(x)\n"
    native.write_text(f"{headers}{STRINGS}\nint main(void) {{ all(); }}\n")
    subprocess.run(
        [need("gcc", "cc"), "-w", "-funsigned-char", str(native), "-o", str(tmp_path / "native")], check=True
    )
    theirs = subprocess.run([tmp_path / "native"], capture_output=True, check=True).stdout
    assert result.output == theirs.decode("utf-8", "backslashreplace")


CALLBACKS = r"""
static int numbers[100];
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int sorted(int seed)
{
    unsigned int x = seed;
    for (int i = 0; i < 100; i++) { x = x * 1103515245 + 12345; numbers[i] = x >> 16 & 0x7fff; }
    qsort(numbers, 100, sizeof(int), compare);
    for (int i = 1; i < 100; i++) { if (numbers[i - 1] > numbers[i]) return -i; }
    int *found = bsearch(&numbers[37], numbers, 100, sizeof(int), compare);
    int missing = -5;
    return found && *found == numbers[37] && !bsearch(&missing, numbers, 100, sizeof(int), compare);
}
EXPORT_SYMBOL(sorted);
int64_t sleeps(void) { int64_t start = k_uptime_get(); k_msleep(1500); return k_uptime_get() - start; }
EXPORT_SYMBOL(sleeps);
int polls(void) { int64_t end = k_uptime_get() + 20; int n = 0; while (k_uptime_get() < end) n++; return n; }
EXPORT_SYMBOL(polls);
int heap(void)
{
    char *p = calloc(4, 25), *q;
    for (int i = 0; i < 100; i++) { if (p[i]) return 1; p[i] = i; }
    q = realloc(p, 1000);
    for (int i = 0; i < 100; i++) { if (q[i] != i) return 2; }
    char *r = k_malloc(1);
    if (((uintptr_t)q | (uintptr_t)r) & 7) return 3;
    free(q); k_free(r); free(NULL);
    return malloc(50) ? 0 : 4;
}
EXPORT_SYMBOL(heap);
"""


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_callbacks_clock_and_heap(target: str, chain: str, build: Build) -> None:
    cpu = arch.target(target)
    result = run(
        load([build(CALLBACKS, target, chain)], cpu), ["sorted(1)", "sleeps()", "polls()", "heap()"], Setup(cpu)
    )
    assert result.fault is None, result.fault
    assert [r.value for r in result.returned[:2]] == [1, 1500]
    assert int(result.returned[2].value or 0) > 100
    assert result.returned[3].value == 0
    assert (result.heap_used, result.heap_peak) == (50, 1100)
    assert result.clock_us >= 1_520_000


def test_calls_that_cannot_be_made(build: Build) -> None:
    cpu = arch.target("cortex-m3")
    images = load(
        [build("int add(int a, int b) { return a + b; } EXPORT_SYMBOL(add); int table[2];", "cortex-m3")], cpu
    )
    for call, code, words in (
        ("ad(1, 2)", "call-unknown", "did you mean `add`?"),
        ("zzz()", "call-unknown", "it exports `add`"),
        ("add(1)", "call-syntax", "its prototype is `int add(int, int)`"),
        ("add(&nothing, 1)", "call-syntax", ""),
        ("add(1, 4294967296)", "call-syntax", ""),
        ('add(1, "x")', "call-syntax", ""),
    ):
        with pytest.raises(UsageError) as caught:
            run(images, call, Setup(cpu))
        assert caught.value.diagnostics[0].code == code, call
        assert words in caught.value.diagnostics[0].help


def test_a_global_function_that_is_not_exported_is_called_with_a_warning(build: Build) -> None:
    cpu = arch.target("cortex-m3")
    result = run(load([build("int hidden(void) { return 7; }", "cortex-m3")], cpu), "hidden()", Setup(cpu))
    assert result.value == 7
    assert [d.code for d in result.diagnostics] == ["call-not-exported"]


def test_symbols_strings_and_buffers_as_arguments(build: Build) -> None:
    source = """
    char buffer[20];
    static int hidden[2] = {5, 6};
    int sum(const int *p) { return p[0] + p[1]; } EXPORT_SYMBOL(sum);
    const char *copy(char *to, const char *from) { return strcpy(to, from); } EXPORT_SYMBOL(copy);
    int *keep(void) { return hidden; } EXPORT_SYMBOL(keep);
    """
    cpu = arch.target("rv32imac")
    result = run(load([build(source, "rv32imac")], cpu), ["sum(&hidden)", r'copy(&buffer, "t\x41b\n")'], Setup(cpu))
    assert result.fault is None, result.fault
    assert [r.text for r in result.returned] == ["11", r'"tAb\n"']


# ---- the command line


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> str:
    source = r"""
    int add(int a, int b) { return a + b; } EXPORT_SYMBOL(add);
    double half(double x) { return x / 2; } EXPORT_SYMBOL(half);
    void greet(const char *name) { printk("Hello, %s\nbye", name); } EXPORT_SYMBOL(greet);
    void crash(void) { *(volatile int *)8 = 1; } EXPORT_SYMBOL(crash);
    void loop(void) { for (;;); } EXPORT_SYMBOL(loop);
    """
    return compile_c(source, arch.target("cortex-m4"), "gcc", tmp_path_factory.mktemp("cli")).path


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--call", "add(2, 3)"], 0),
        (["--call", "add(2, 3)", "--expect-return", "5"], 0),
        (["--call", "add(-2, -3)", "--expect-return", "0xfffffffb"], 0),
        (["--call", "add(2, 3)", "--expect-return", "6"], 10),
        (["--call", "half(5)", "--expect-return", "2.5"], 0),
        (["--call", "half(5)", "--expect-return", "2"], 10),
        (["--call", 'greet("you")', "--expect-output", "^Hello, you$"], 0),
        (["--call", 'greet("you")', "--expect-output", "^Hello$"], 10),
        (["--call", "crash()", "--expect-output", "("], 2),  # before the call is made
        (["--call", "crash()", "--expect-return", "abc"], 2),
        (["--call", "crash()", "--expect-return", "&add"], 2),
        (["--at", "0x20010004"], 6),
        (["--call", "crash()"], 8),
        (["--call", "loop()", "--timeout", "0.1"], 9),
        (["--call", "loop()", "--timeout", "soon"], 2),
        (["--call", "add(2"], 2),
        (["--call", "none()"], 2),
        (["--at", "0x20000000"], 6),  # where the built-in host is
        (["--at", "somewhere"], 2),
        (["--at", "0x1_0000"], 2),
        (["--at", "9" * 5000], 2),
        (["--expect-return", "1"], 10),
        (["--call", "add(1, 2)", "--at", "0x60000000"], 0),
        (["--call", "add(1, 2)", "--at", "01610612736"], 0),  # decimal, as with llext link
        (["--call", "add(1, 2)", "--target", "cortex-m33"], 0),
        (["--call", "add(1, 2)", "--target", "cortex-m7"], 3),  # passes floats in other registers
        (["--call", "add(1, 2)", "--target", "rv32imac"], 3),
    ],
)
def test_exit_codes(options: list[str], code: int, extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", extension, *options]) == code, capsys.readouterr().err


def test_what_is_printed(extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", extension, "--call", 'greet("you")', "--call", "half(5.0)"]) == 0
    assert capsys.readouterr().out == 'Hello, you\nbye\ngreet("you") returned\nhalf(5.0) = 2.5\n'


def test_without_calls_one_line_tells_the_end(extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", extension]) == 0
    assert capsys.readouterr().out == f"{extension}: brought up and torn down\n"


def test_guessed_types_are_admitted(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["finish", extension, "-o", "alone.llext", "--no-manifest"]) == 0
    assert main(["run", "alone.llext", "--call", "half(5.0)", "--call", "half(1.0)"]) == 0
    printed = capsys.readouterr().err
    assert printed.count("warning[call-guessed]") == 1
    assert "`int half(double)`" in printed
    assert main(["run", "alone.llext", "--call", "half(5.0)", "--prototype", "double half(double)"]) == 0
    assert capsys.readouterr() == ("half(5.0) = 2.5\n", "")


def test_json(extension: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    assert main(["run", extension, "--call", "add(2, 3)", "--call", "crash()", "--json", str(path)]) == 8
    found = json.loads(path.read_text())
    assert found["calls"] == [{"call": "add(2, 3)", "type": "int", "value": 5, "text": "5"}]
    assert found["diagnostics"][0]["code"] == "run-fault"
    assert found["diagnostics"][0]["location"]["function"] == "crash"
    assert found["registers"]["pc"] >> 16 == 0x2001
    capsys.readouterr()
    assert main(["run", extension, "--call", "add(2)", "--json", "-"]) == 2
    assert json.loads(capsys.readouterr().out)["diagnostics"][0]["code"] == "call-syntax"


def test_ctypes_sees_the_same_float(extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", extension, "--call", "half(0.1)"]) == 0
    assert capsys.readouterr().out == f"half(0.1) = {ctypes.c_double(0.1 / 2).value!r}\n"

"""Arguments and results of all types on all targets, in both directions.

Oracle: the compilers. A function compares its parameters with constants that were compiled into it, or returns one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from emulator.compiled import CHAINS, TARGETS
from emulator.conftest import Build
from llext_tools import arch
from llext_tools.c.types import DataModel
from llext_tools.host.builtin import BY_NAME
from llext_tools.host.function import HostFunction
from llext_tools.host.guest import Guest
from llext_tools.link.exports import ExportTable
from llext_tools.run import Setup, load, run

pytestmark = [pytest.mark.emulator, pytest.mark.toolchain]


class Kind(NamedTuple):
    """A C type with values that have a sign bit, all bits, or none."""

    c: str
    values: tuple[str, ...]


KINDS = (
    Kind("bool", ("true", "false")),
    Kind("char", ("'a'", "'\\xff'")),
    Kind("signed char", ("-128", "127")),
    Kind("unsigned char", ("255", "1")),
    Kind("short", ("-32768", "-1")),
    Kind("unsigned short", ("65535", "2")),
    Kind("int", ("-2147483647", "3")),
    Kind("unsigned int", ("4294967295u", "4u", "2147483648u")),
    Kind("long", ("-5", "2147483647")),
    Kind("unsigned long", ("4294967295u", "6u")),
    Kind("int64_t", ("-9223372036854775807", "81985529216486895")),
    Kind("uint64_t", ("18446744073709551615u", "1311768467463790320u")),
    Kind("float", ("-1.5f", "3.25f", "1e30f")),
    Kind("double", ("-2.75", "1e300", "0.1")),
    Kind("void *", ("0x12345678", "0xfffffffc")),
)


def c_literal(kind: Kind, value: str) -> str:
    if kind.c == "void *":
        return f"(void *)(uintptr_t){value}u"
    suffix = "ll" if kind.c == "int64_t" else "ull" if kind.c == "uint64_t" else ""
    return f"({kind.c}){value.rstrip('u') if suffix else value}{suffix}"


def signatures(count: int) -> list[list[tuple[Kind, str]]]:
    """Parameter lists with their values: each kind alone, in front and behind, then random ones."""
    pick = random.Random(2)
    found = [[(kind, value)] for kind in KINDS for value in kind.values]
    for _ in range(count):
        kinds = pick.choices(KINDS, k=pick.randint(2, 14))
        found.append([(kind, pick.choice(kind.values)) for kind in kinds])
    floats = [k for k in KINDS if k.c in ("float", "double")]
    for _ in range(count // 2):  # more than there are registers, singles between doubles
        found.append([(k, pick.choice(k.values)) for k in pick.choices([*floats, *floats, KINDS[6]], k=24)])
    return found


SIGNATURES = signatures(40)


def checking(i: int, signature: list[tuple[Kind, str]]) -> str:
    """A function that returns the number of its first wrong parameter, from 1 on, or 0."""
    params = ", ".join(f"{kind.c} p{n}" for n, (kind, _) in enumerate(signature))
    tests = "".join(
        f"if (p{n} != {c_literal(kind, value)}) return {n + 1};" for n, (kind, value) in enumerate(signature)
    )
    return f"int take{i}({params}) {{ {tests} return 0; }} EXPORT_SYMBOL(take{i});"


RESULTS = [(kind, value) for kind in KINDS for value in kind.values]

INTO = "\n".join(
    [
        *(checking(i, signature) for i, signature in enumerate(SIGNATURES)),
        *(
            f"{kind.c} give{i}(void) {{ return {c_literal(kind, value)}; }} EXPORT_SYMBOL(give{i});"
            for i, (kind, value) in enumerate(RESULTS)
        ),
    ]
)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_arguments_arrive_and_results_come_back(target: str, chain: str, build: Build) -> None:
    """Types come from debug information."""
    cpu = arch.target(target)
    calls = [f"take{i}({', '.join(value for _, value in signature)})" for i, signature in enumerate(SIGNATURES)]
    calls += [f"give{i}()" for i in range(len(RESULTS))]
    result = run(load([build(INTO, target, chain)], cpu), calls, Setup(cpu))
    assert result.fault is None
    wrong = [f"{r.call}: {r.value}" for r in result.returned[: len(SIGNATURES)] if r.value]
    assert not wrong, "the first parameter that arrived with another value"
    for returned, (kind, value) in zip(result.returned[len(SIGNATURES) :], RESULTS, strict=True):
        text = value.rstrip("uf") if kind.c not in ("bool", "char") else value
        expected: int | float | None = {"true": 1, "false": 0, "'a'": 97, "'\\xff'": 255}.get(text)
        if expected is None:
            expected = float(text) if kind.c in ("float", "double") else int(text, 0)
        if kind.c == "float":
            assert returned.value == pytest.approx(expected, rel=1e-7), (kind, value)
        else:
            assert returned.value == expected, (kind, value)


OUT_OF = "\n".join(
    [
        *(
            f"void host{i}({', '.join(kind.c for kind, _ in signature)});"
            f"void send{i}(void) {{ host{i}({', '.join(c_literal(kind, value) for kind, value in signature)}); }}"
            f"EXPORT_SYMBOL(send{i});"
            for i, signature in enumerate(SIGNATURES)
        ),
        *(
            f"{kind.c} ask{i}(void); int asked{i}(void) {{ return ask{i}() == {c_literal(kind, value)}; }}"
            f"EXPORT_SYMBOL(asked{i});"
            for i, (kind, value) in enumerate(RESULTS)
        ),
    ]
)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_host_gets_arguments_and_gives_results(target: str, chain: str, build: Build) -> None:
    cpu = arch.target(target)
    architecture = arch.load(cpu.arch)
    model = DataModel(cpu.bits, architecture.callconv.long_double)
    functions = {}
    for i, signature in enumerate(SIGNATURES):
        prototype = f"void host{i}({', '.join(kind.c for kind, _ in signature)})"
        functions[f"host{i}"] = HostFunction(f"host{i}", prototype, lambda _guest, *_values: None)
    for i, (kind, value) in enumerate(RESULTS):
        functions[f"ask{i}"] = HostFunction(f"ask{i}", f"{kind.c} ask{i}(void)", give(number(kind, value)))
    exports = ExportTable.of({name: 0x0800_0100 + 8 * i + architecture.thumb for i, name in enumerate(functions)})
    calls = [f"send{i}()" for i in range(len(SIGNATURES))] + [f"asked{i}()" for i in range(len(RESULTS))]
    images = load([build(OUT_OF, target, chain)], cpu, exports=exports)
    result = run(images, calls, Setup(cpu, exports, overrides=functions))
    assert result.fault is None
    for call, signature in zip(result.calls, SIGNATURES, strict=False):
        for got, (kind, value) in zip(call.arguments, signature, strict=True):
            mask = (1 << 8 * model.types[kind.c].size) - 1 if kind.c in model.types else (1 << cpu.bits) - 1
            expected = number(kind, value)
            if kind.c == "float":
                assert got == pytest.approx(expected, rel=1e-7)
            elif isinstance(expected, int):
                assert int(got or 0) & mask == expected & mask, (call, kind, value)
            else:
                assert got == expected
    wrong = [RESULTS[i] for i, r in enumerate(result.returned[len(SIGNATURES) :]) if r.value != 1]
    assert not wrong, "the extension got another value"


def give(value: float) -> Callable[..., float]:
    def body(_guest: Guest) -> float:
        return value

    return body


def number(kind: Kind, value: str) -> float:
    text = {"true": "1", "false": "0", "'a'": "97", "'\\xff'": "255"}.get(value, value)
    return float(text.rstrip("f")) if kind.c in ("float", "double") else int(text.rstrip("u"), 0)


VARIADIC = r"""
static char text[400];
int format(void)
{
    return snprintf(text, sizeof(text), "%d|%lld|%c|%.2f|%u|%s|%ld|%g|%hhx|%llu|%5.1f|%zu|%x", -1, -2LL, 'c', 2.5, 3u,
                    "four", -5L, 1e10, 0x1ff, 18446744073709551615ULL, 6.25, sizeof(int), 7);
}
const char *formatted(void) { format(); return text; }
EXPORT_SYMBOL(formatted);
int vprintf(const char *format, va_list args);
int vsnprintf(char *buffer, size_t size, const char *format, va_list args);
static int passed_on(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return n;
}
const char *by_list(void)
{
    passed_on("%d|%lld|%c|%.2f|%u|%s|%ld|%g|%hhx|%llu|%5.1f|%zu|%x", -1, -2LL, 'c', 2.5, 3u, "four", -5L, 1e10, 0x1ff,
              18446744073709551615ULL, 6.25, sizeof(int), 7);
    return text;
}
EXPORT_SYMBOL(by_list);
const char *mixed(int a, ...)
{
    va_list args;
    va_start(args, a);
    int b = va_arg(args, int);
    long long c = va_arg(args, long long);
    double d = va_arg(args, double);
    const char *e = va_arg(args, const char *);
    va_end(args);
    snprintf(text, sizeof(text), "%d %d %lld %.3f %s", a, b, c, d, e);
    return text;
}
EXPORT_SYMBOL(mixed);
const char *wide(void)
{
    volatile long double x = 0.1L, y = -1e300L;
    snprintf(text, sizeof(text), "%.3Lf %d %Lg %La", x, 5, y, (long double)1.5);
    return text;
}
EXPORT_SYMBOL(wide);
"""


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("target", TARGETS)
def test_variadic_functions(target: str, chain: str, build: Build) -> None:
    """Expected: what C says of each conversion."""
    cpu = arch.target(target)
    images = load([build(VARIADIC, target, chain)], cpu)
    calls = ["formatted()", "by_list()", 'mixed(1, -2, 3000000000000, 4.5f, "five")', "wide()"]
    result = run(images, calls, Setup(cpu))
    assert result.fault is None, result.fault
    formatted = b"-1|-2|c|2.50|3|four|-5|1e+10|ff|18446744073709551615|  6.2|4|7"
    assert [r.string for r in result.returned] == [
        formatted,
        formatted,
        b"1 -2 3000000000000 4.500 five",
        b"0.100 5 -1e+300 0x1.8p+0",
    ]


def test_types_from_a_prototype_win_over_debug_information(build: Build) -> None:
    cpu = arch.target("cortex-m3")
    images = load([build("unsigned int f(int x) { return (unsigned int)x; } EXPORT_SYMBOL(f);", "cortex-m3")], cpu)
    assert run(images, "f(-1)", Setup(cpu)).value == 0xFFFF_FFFF
    assert run(images, "f(-1)", Setup(cpu), prototypes=["int f(int x)"]).value == -1
    assert run(images, "f(-1)", Setup(cpu), prototypes=["short f(int x);"]).value == -1


def test_literals_give_the_types_without_a_prototype(build: Build) -> None:
    """A stripped extension: int for 1, double for 2.5, float for 2.5f, a 64-bit pair for what needs it."""
    cpu = arch.target("cortex-m4")
    source = """
    int same(int a, double b, float c, long long d, const char *e)
    {
        return a == 1 && b == 2.5 && c == 2.5f && d == 5000000000 && e[0] == 'x';
    }
    EXPORT_SYMBOL(same);
    """
    images = load([build(source, "cortex-m4", "gcc", "-g0")], cpu)
    assert run(images, 'same(1, 2.5, 2.5f, 5000000000, "x")', Setup(cpu)).value == 1


def test_every_host_function_has_a_prototype_that_can_be_read() -> None:
    from llext_tools.c.prototype import parse_prototype

    for name, function in BY_NAME.items():
        for model in (DataModel(32, 8), DataModel(64, 16)):
            assert parse_prototype(str(function.prototype), model).name == name

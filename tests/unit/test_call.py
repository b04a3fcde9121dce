"""Call expressions and prototypes. Expected: C's own rules for literals (C17 6.4.4) and declarations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llext_tools.c.call import (
    check_arguments,
    escape,
    literal_type,
    parse_call,
    parse_value,
    show_value,
    symbols_in,
    unescape,
    value_of,
)
from llext_tools.c.prototype import parse_prototype
from llext_tools.c.types import CType, DataModel, Enum, Field, Prototype, Record
from llext_tools.c.values import pack
from llext_tools.errors import UsageError

ARM, RV64 = DataModel(32, 8), DataModel(64, 16)


def test_each_kind_of_argument() -> None:
    call = parse_call(
        """ send ( &queue, 0x10, -2, 2.5f, "a,\\n\\"b\\"", 'c', 1e3, .5, NULL, true, 010, 0b11, '\\0' ) """
    )
    assert call.function == "send"
    assert [a.value for a in call.arguments] == [
        "queue", 16, -2, 2.5, b'a,\n"b"', 99, 1000.0, 0.5, 0, 1, 8, 3, 0,
    ]  # fmt: skip
    assert parse_call("start").arguments == ()
    assert parse_call("start()").arguments == ()


def test_initialisers() -> None:
    """C17 6.7.9; a comma may stand in front of the closing brace."""
    found = parse_call('f({1, -2.5}, {.name = "a", .at = {{0}, {1,},}, .to = &x}, {})').arguments
    values = [value_of(each, {"x": 7}.__getitem__) for each in found]
    assert values == [[1, -2.5], {"name": b"a", "at": [[0], [1]], "to": 7}, []]
    assert list(symbols_in(found)) == ["x"]
    assert [each.text for each in found][2] == "{}"
    assert value_of(parse_value("{1}"), lambda _name: 0) == [1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("f({1", "expected `,` or `}`"),
        ("f({1,", "expected an argument"),
        ("f({", "expected an argument"),
        ("f({1))", "expected `,` or `}`"),
        ("f({.x})", "expected `=`"),
        ("f({.x = })", "expected an argument"),
        ("f({.x = 1, 2})", "either all values have names, or none has"),
        ("f({1, .x = 2})", "either all values have names, or none has"),
        ("f(" + "{" * 21 + "}" * 21 + ")", "the braces are nested too deeply"),
        ("f(})", "expected an argument"),
    ],
)
def test_wrong_initialisers_are_one_diagnostic(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_call(text)
    assert [d.message for d in caught.value.diagnostics] == [f"the call expression cannot be used: {why}"]


def test_constants_have_the_type_of_an_enumeration() -> None:
    mode = ARM.types["int"]._replace(name="enum mode", made_of=Enum((("OFF", 0), ("ON", 3))))
    prototype = Prototype("f", mode, (mode, ARM.types["int"]))
    call = parse_call("f(ON, 1)")
    assert check_arguments(call, prototype, ARM) == prototype.params
    assert pack(mode, value_of(call.arguments[0], lambda _name: 0)) == b"\3\0\0\0"
    for text, why in {"f(OFN, 1)": "`enum mode` has no `OFN`", "f(ON, OFF)": "`OFF` is not a literal"}.items():
        with pytest.raises(UsageError, match=why):
            check_arguments(parse_call(text), prototype, ARM)
    assert show_value(mode, 3) == "3 (ON)"
    assert show_value(mode, 4) == "4"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("f({1, 2, 3}, 0)", "`struct pair` takes 2 values, not 3"),
        ("f({.c = 1}, 0)", "`struct pair` has no member `c`: there are `a`, `b`"),
        ("f({256}, 0)", "member `a` of `struct pair`: 256 does not fit into `uint8_t`, which has 0 to 255"),
        ("f(1, 0)", "`1` is not a value of type `struct pair`, which has braces around it"),
        ("f({1, 2}, {1})", "`{1}` is not a value of type `int`"),
    ],
)
def test_structures_are_checked_against_the_prototype(text: str, why: str) -> None:
    fields = Field("a", 0, ARM.types["uint8_t"]), Field("b", 4, ARM.types["int"])
    pair = CType("record", 8, "struct pair", made_of=Record("struct", "pair", 8, lambda: fields))
    prototype = Prototype("f", ARM.types["int"], (pair, ARM.types["int"]))
    with pytest.raises(UsageError) as caught:
        check_arguments(parse_call(text), prototype, ARM)
    assert [d.message for d in caught.value.diagnostics] == [f"the call expression cannot be used: {why}"]
    with pytest.raises(UsageError, match="nobody knows the type of this value"):
        check_arguments(parse_call("f({1})"), None, ARM)


@pytest.mark.parametrize(
    ("literal", "arm", "rv64"),
    [
        ("1", "int", "int"),
        ("2147483648", "long long", "long"),
        ("0x80000000", "unsigned int", "unsigned int"),
        ("4294967295u", "unsigned int", "unsigned int"),
        ("4294967296u", "unsigned long long", "unsigned long"),
        ("1l", "long", "long"),
        ("1ull", "unsigned long long", "unsigned long long"),
        ("0xffffffffffffffff", "unsigned long long", "unsigned long"),
        ("2.5", "double", "double"),
        ("2.5f", "float", "float"),
        ("2.5L", "long double", "long double"),
        ("'c'", "int", "int"),
        ('"text"', "const char *", "const char *"),
        ("&symbol", "void *", "void *"),
    ],
)
def test_types_of_literals(literal: str, arm: str, rv64: str) -> None:
    argument = parse_value(literal)
    assert (literal_type(argument, ARM).name, literal_type(argument, RV64).name) == (arm, rv64)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 0),
        ("1(2)", 0),
        ("f(1", 3),
        ("f(1,", 4),
        ("f(1 2)", 4),
        ("f(1) + 2", 5),
        ("f(x)", 2),
        ('f("open)', 2),
        ("f('')", 2),
        ("f('ab')", 2),
        ("f(12abc)", 2),
        ("f(0x)", 2),
        ("f(09)", 2),
        ("f(1;2)", 3),
        ("f(18446744073709551616)", 2),
        ("f(1, -9223372036854775809)", 5),
        ("f(" + "9" * 5000 + ")", 2),
        ("f(0x" + "f" * 5000 + ")", 2),
        ("f(0x.p1)", 2),
    ],
)
def test_mistakes_are_marked(text: str, column: int) -> None:
    with pytest.raises(UsageError) as caught:
        check_arguments(parse_call(text), None, ARM)
    (found,) = caught.value.diagnostics
    assert found.code == "call-syntax"
    assert found.detail == (text, " " * column + "^")


def test_numbers_beyond_the_largest_double_are_infinite() -> None:
    """C17 6.4.4.2 leaves them open; compilers make them infinities, and warn."""
    assert [a.value for a in parse_call("f(1e999, -1e999, 0x1p9999, -0x1p9999)").arguments] == [
        float("inf"),
        float("-inf"),
        float("inf"),
        float("-inf"),
    ]


@given(st.text(max_size=40))
def test_any_text_is_a_call_or_one_diagnostic(text: str) -> None:
    try:
        parse_call(text)
    except UsageError as error:
        assert len(error.diagnostics) == 1


@given(st.binary(max_size=30))
def test_escape_is_undone_by_unescape(data: bytes) -> None:
    assert unescape(escape(data)) == data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int add(int a, int b)", "int add(int, int)"),
        ("double half(double);", "double half(double)"),
        ("void f(void)", "void f(void)"),
        ("void f()", "void f(void)"),
        ("uint64_t f(const char *s, size_t n, ...)", "uint64_t f(const char *, size_t, ...)"),
        ("long unsigned f(long long int x, unsigned)", "unsigned long f(long long, unsigned int)"),
        ("char *f(char a[], enum color c, bool b)", "char *f(char *, enum color, bool)"),
        ("void *f(struct point *p, int (*g)(int))", "void *f(struct point *, int (*)(int))"),
    ],
)
def test_prototypes(text: str, expected: str) -> None:
    assert str(parse_prototype(text, ARM)) == expected


def test_types_that_somebody_knows() -> None:
    """By typedef or tag. A parameter may have the name of a type."""
    point = CType("record", 8, "struct point")
    known = {"point_t": point, "point": point, "struct point": point, "enum mode": ARM.types["uint8_t"]}
    cases = {
        "point_t f(const point_t point, struct point *to, enum mode point_t)": "record record pointer uint",
        "struct point f(point_t *, point_t[], point_t (*g)(point_t))": "record pointer pointer pointer",
        "point f(const point)": "record record",
    }
    for text, kinds in cases.items():
        found = parse_prototype(text, ARM, known.get)
        assert " ".join(each.kind for each in (found.result, *found.params)) == kinds
        assert found.result.size == 8
    inner = parse_prototype("void f(point_t (*g)(point_t x))", ARM, known.get).params[0]
    assert inner.name == "point_t (*)(point_t)"
    assert inner.function
    assert inner.function.params[0].size == 8
    assert parse_prototype("int f(int a, char *b, ...)", ARM).names == ("a", "b")
    with pytest.raises(UsageError, match="`other_t` is not a known type"):
        parse_prototype("other_t f(point_t)", ARM, known.get)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "int",
        "int x",
        "int f(",
        "foo_t f(int)",
        "f(x)",
        "int f(void, int)",
        "int f(int) {}",
        "#include <x>",
        "(" * 3000,
        f"int f(int {'*' * 3000})",
    ],
)
def test_wrong_prototypes_are_one_diagnostic(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_prototype(text, ARM)
    assert [d.code for d in caught.value.diagnostics] == ["prototype-syntax"]


@given(st.text(max_size=40))
def test_any_text_is_a_prototype_or_one_diagnostic(text: str) -> None:
    try:
        parse_prototype(text, ARM)
    except UsageError as error:
        assert len(error.diagnostics) == 1


def test_arguments_are_checked_against_the_prototype() -> None:
    prototype = parse_prototype("int f(uint8_t a, float b, const char *c)", ARM)
    assert [t.name for t in check_arguments(parse_call('f(255, 1, "x")'), prototype, ARM)] == [
        "uint8_t",
        "float",
        "const char *",
    ]
    assert check_arguments(parse_call("f(-1, 2.5, 0)"), prototype, ARM)
    for wrong in ('f(256, 1, "x")', 'f(1, "x", "x")', "f(1, 2)", "f(1, 2, 3, 4)", 'f(1.5, 2, "x")'):
        with pytest.raises(UsageError):
            check_arguments(parse_call(wrong), prototype, ARM)


def test_what_has_no_value_cannot_be_passed() -> None:
    for opaque in (ARM.types["void"], CType("record", 8, "struct pair")):
        with pytest.raises(UsageError):
            check_arguments(parse_call("f(1)"), Prototype("f", ARM.types["int"], (opaque,)), ARM)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("int", -5, "-5"),
        ("bool", 1, "true"),
        ("double", 0.1, "0.1"),
        ("float", 0.10000000149011612, "0.1"),
        ("float", 2.0, "2.0"),
        ("float", float("inf"), "inf"),
        ("void", None, ""),
    ],
)
def test_values_as_c_writes_them(name: str, value: float | None, expected: str) -> None:
    assert show_value(ARM.types[name], value) == expected

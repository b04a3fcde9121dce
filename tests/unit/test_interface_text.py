"""Interfaces as text. Oracle: GCC takes our prototypes; what is written is what was read; hand-written hashes."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import interfaces
from llext_tools.abi import text
from llext_tools.abi.notation import checked, prototype, text_of
from llext_tools.abi.notation import tags as find_tags
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature
from needs import need

SENSOR = Layout(
    "struct",
    12,
    (
        Member("id", 0, "i32", "int"),
        Member("mode", 32, "u32", "unsigned int", 3),
        Member("next", 8, "*struct sensor", "struct sensor *"),
    ),
)
MODE = Layout("enum", 1, (Member("MODE_OFF", 0, "", ""), Member("MODE_LOW", -1, "", "")))
READ = Signature("i32", "int", (Param("s", "*struct sensor", "const struct sensor *"), Param("n", "u32", "uint32_t")))
TABLE = Interface(
    {"sensor_read": READ, "mode": Signature("enum mode", "enum mode", None)},
    {"struct sensor": SENSOR, "enum mode": MODE},
)


# ---- the notation


@pytest.mark.parametrize(
    ("notation", "tags"),
    [
        ("i32", ()),
        ("*[4]*void", ()),
        ("[]struct a", ("struct a",)),
        ("fn() -> void", ()),
        ("fn(...) -> struct a", ("struct a",)),
        ("fn(struct a, *union b.c, ...) -> *enum d", ("struct a", "union b.c", "enum d")),
        ("fn(*fn(struct a) -> struct b, [2]u8) -> void", ("struct a", "struct b")),
        ("*fn(u8) -> fn(u8) -> void", ()),
        ("fn(struct std::pair<int, (E)1>, u8) -> void", ("struct std::pair<int, (E)1>",)),
        ("struct (anonymous namespace)::a", ("struct (anonymous namespace)::a",)),
        ("fn(struct a<(b->c), d>, i8) -> void", ("struct a<(b->c), d>",)),
    ],
)
def test_tags_of_a_notation(notation: str, tags: tuple[str, ...]) -> None:
    assert find_tags(notation) == tags
    assert text_of(checked(notation)) == notation


@pytest.mark.parametrize(
    "notation",
    ["", "*", "int", "[4", "[x]i32", "i32 ", "fn(", "fn()", "fn() -> ", "fn(u8 u8) -> void", "fn(u8,u8) -> void",
     "fn(..., u8) -> void", "fn(,) -> void", "struct ", "struct a)", "i32, i32", "const i32", "*" * 9 + "fn(" * 9_000],
)  # fmt: skip
def test_what_is_not_in_the_notation(notation: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked(notation)


# ---- the hash


def test_hash_is_of_a_text_that_anybody_can_write_down() -> None:
    """Oracle: the text by hand. This is what the hashes in users' tables are made of: it must not change."""
    whole = "\n".join(
        [
            "llext interface 1",
            "fn(*struct sensor, u32) -> i32",
            "struct struct sensor 12",
            "0 0 i32 id",
            "32 3 u32 mode",
            "8 0 *struct sensor next",
        ]
    )
    assert text.type_hash("sensor_read", TABLE) == hashlib.sha256(whole.encode()).hexdigest()[:16]
    assert text.type_hash("unknown", TABLE) == ""


def changed(**fields: Any) -> str:
    return text.type_hash("sensor_read", Interface({"sensor_read": READ._replace(**fields)}, TABLE.types))


def with_sensor(layout: Layout) -> str:
    return text.type_hash("sensor_read", Interface(TABLE.symbols, {**TABLE.types, "struct sensor": layout}))


def test_what_the_hash_tells_apart() -> None:
    same = text.type_hash("sensor_read", TABLE)
    assert READ.params is not None
    assert changed(spelling="int32_t", params=tuple(p._replace(name="", spelling="x") for p in READ.params)) == same
    assert with_sensor(SENSOR._replace(members=tuple(m._replace(spelling="x") for m in SENSOR.members))) == same
    others = [
        changed(result="u32"),
        changed(variadic=True),
        changed(params=()),
        changed(params=None),
        changed(params=READ.params[::-1]),
        with_sensor(SENSOR._replace(size=16)),
        with_sensor(SENSOR._replace(members=SENSOR.members[:2])),
        *(
            with_sensor(SENSOR._replace(members=(SENSOR.members[0], change, SENSOR.members[2])))
            for change in (
                SENSOR.members[1]._replace(name="kind"),
                SENSOR.members[1]._replace(offset=35),
                SENSOR.members[1]._replace(bits=4),
                SENSOR.members[1]._replace(type="u8"),
            )
        ),
        text.type_hash("sensor_read", Interface(TABLE.symbols, {})),
    ]
    assert len({same, *others}) == len(others) + 1


def test_hash_depends_on_what_is_reached_only() -> None:
    """The other symbols and types of a table, and their order, do not matter."""
    more = Interface({"other": READ, **TABLE.symbols}, {"struct a": SENSOR, **dict(reversed([*TABLE.types.items()]))})
    assert text.type_hash("sensor_read", more) == text.type_hash("sensor_read", TABLE)
    assert text.closure(more, ["sensor_read"]).types == {"struct sensor": SENSOR}
    assert text.incomplete("sensor_read", Interface(TABLE.symbols, {})) == ["struct sensor"]


# ---- C

PROTOTYPES = [
    "int f(void)",
    "void f(int a, ...)",
    "const char *f(const char *s, char *const *argv)",
    "int (*f)(int, char)",
    "int (*f(int a))(float)",
    "void f(void (*done)(void *, int), void *data)",
    "int f(int (*(*table)[4])(int))",
    "int f(int (*const done)(void))",
    "unsigned long f(unsigned int, unsigned long long n)",
    "struct sensor f(struct sensor, union u *u, enum e)",
    "int f[4]",
    "const struct sensor *f[2][3]",
    "char (*f)[8]",
    "uint32_t f(uint8_t, const uint8_t, uint8_t (*p)[4])",
]


def entry_of(declaration: str) -> tuple[list[tuple[str, str]], bool]:
    function = "(*f)" not in declaration and "f[" not in declaration
    return text._names_of("f", declaration, function), function


@pytest.mark.parametrize("declaration", PROTOTYPES)
def test_prototypes_are_taken_apart_and_put_together(declaration: str) -> None:
    names, function = entry_of(declaration)
    params = tuple(Param(name, "u8", spelling) for name, spelling in names[1:]) if function else None
    assert prototype("f", Signature("u8", names[0][1], params, "..." in declaration)) == declaration


@pytest.mark.toolchain
def test_spellings_are_types_to_a_compiler(tmp_path: Path) -> None:
    """Oracle: GCC takes each spelling for a type: between parentheses, where a name would be an error."""
    spellings = [s for declaration in PROTOTYPES for _, s in entry_of(declaration)[0] if s not in ("void", "enum e")]
    head = "typedef unsigned char uint8_t; typedef unsigned uint32_t; struct sensor { int i; }; union u { int i; };\n"
    (tmp_path / "t.c").write_text(head + "".join(f"extern char s{i}[sizeof({s})];\n" for i, s in enumerate(spellings)))
    subprocess.run([need("arm-none-eabi-gcc"), "-fsyntax-only", "-Werror", "t.c"], cwd=tmp_path, check=True)
    assert len(spellings) > len(PROTOTYPES)


# ---- entries


def test_entries_are_what_a_reviewer_wants_to_read() -> None:
    assert text.signature_entry("sensor_read", READ) == {
        "prototype": "int sensor_read(const struct sensor *s, uint32_t n)",
        "type": "fn(*struct sensor, u32) -> i32",
    }
    assert text.types_entry(TABLE.types) == {
        "struct sensor": {
            "size": 12,
            "members": [
                "0 id: int = i32",
                "4.0:3 mode: unsigned int = u32",
                "8 next: struct sensor * = *struct sensor",
            ],
        },
        "enum mode": {"size": 1, "members": ["MODE_OFF = 0", "MODE_LOW = -1"]},
    }


@given(name=interfaces.WORDS | interfaces.ANYTHING, signature=interfaces.SIGNATURES)
def test_signatures_are_read_as_they_were_written(name: str, signature: Signature) -> None:
    entry = json.loads(json.dumps(text.signature_entry(name, signature)))
    assert text.read_signature(name, entry) == signature


@given(tag=interfaces.WORDS, layout=interfaces.LAYOUTS)
def test_layouts_are_read_as_they_were_written(tag: str, layout: Layout) -> None:
    types = {f"{layout.kind} {tag}": layout}
    entries = json.loads(json.dumps(text.types_entry(types)))
    assert {tag: text.read_layout(tag, entry) for tag, entry in entries.items()} == types


def test_what_is_not_in_the_notation_is_left_out() -> None:
    strange = Signature("?", "a", ())
    assert text.signature_entry("f", strange) == {"prototype": "a f(void)"}
    assert text.types_entry({"struct a": SENSOR._replace(members=(Member("m", 0, "?", "?"),))}) == {}
    assert text.type_hash("f", Interface({"f": strange}, {})) != ""


WRONG_SIGNATURES = [
    ({"type": 3}, "expected a type as text"),
    ({"type": "int"}, "expected a type, found `int`"),
    ({"type": "fn(u8) -> void", "prototype": "void f(void)"}, "0 parameters, and the type 1"),
    ({"type": "fn(u8) -> void", "prototype": "void g(char c)"}, "declares no `f`"),
    ({"type": "fn(u8) -> void", "prototype": "int f"}, "not the prototype"),
    ({"type": "fn(u8) -> void", "prototype": "int f("}, "not the prototype"),
    ({"type": "u8", "prototype": 3}, "a prototype as text"),
    ({"type": "u8", "spelled": []}, "spelled"),
    ({"type": "u8", "spelled": [["", 3]]}, "spelled"),
]


@pytest.mark.parametrize(("entry", "message"), WRONG_SIGNATURES)
def test_wrong_signatures(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text.read_signature("f", entry)


WRONG_LAYOUTS: list[tuple[str, object, str]] = [
    ("class a", {"size": 1}, "expected `struct`"),
    ("struct ", {"size": 1}, "without a tag"),
    ("struct a", 3, "`size` and `members`"),
    ("struct a", {"size": 1, "member": []}, "`size` and `members`"),
    ("struct a", {"size": True}, "a size in bytes"),
    ("struct a", {"size": -1}, "a size in bytes"),
    ("struct a", {"size": 1, "members": "0 a: u8 = u8"}, "a list of members"),
    ("struct a", {"size": 1, "members": ["a: u8 = u8"]}, "such as `4 name: int = i32`"),
    ("struct a", {"size": 1, "members": ["0 a: u8 = char"]}, "expected a type, found `char`"),
    ("struct a", {"size": 1, "members": ["0.1:0 a: int = i32"]}, "no bits"),
    ("struct a", {"size": 1, "members": [["a", 0, "i32", "int", True]]}, "such as"),
    ("struct a", {"size": 1, "members": ["9" * 5_000 + " a: int = i32"]}, "5,000 digits"),
    ("enum a", {"size": 1, "members": ["A"]}, "such as `NAME = 1`"),
]


@pytest.mark.parametrize(("tag", "entry", "message"), WRONG_LAYOUTS)
def test_wrong_layouts(tag: str, entry: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text.read_layout(tag, entry)

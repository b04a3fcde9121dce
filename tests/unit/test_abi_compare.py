"""Interfaces compared as values: what agrees, and that every comparison ends. Oracle: the rules of ``abi.compare``."""

from __future__ import annotations

import pytest

from llext_tools.abi.compare import compare
from llext_tools.abi.notation import Array, Function, Pointer, parse, plain, renamed, tags
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature


def interface(*params: str, types: dict[str, Layout] | None = None, result: str = "void") -> Interface:
    signature = Signature(result, result, tuple(Param("", text, text) for text in params))
    return Interface({"f": signature}, types or {})


def record(size: int, *members: tuple[str, int, str]) -> Layout:
    return Layout("struct", size, tuple(Member(name, offset, text, text) for name, offset, text in members))


AGREE = [
    ("*void", "*i32"),
    ("*void", "**struct s"),
    ("*struct a", "*struct b"),
    ("[]u8", "[4]u8"),
    ("*fn(...) -> void", "*fn(i32, i32) -> void"),
    ("enum e", "u16"),
    ("struct vec<int, fn(a)>", "struct vec<int, fn(a)>"),
    ("fn(u8", "i32"),  # not in the notation
]
DIFFER = [
    ("i32", "u32"),
    ("i32", "i64"),
    ("*i32", "i32"),
    ("**i32", "*i32"),
    ("[3]u8", "[4]u8"),
    ("*fn(i32) -> void", "*fn(i32, i32) -> void"),
    ("*fn(i32) -> void", "*fn(i32, ...) -> void"),
    ("struct s", "u32"),
    ("void", "u8"),
]


@pytest.mark.parametrize(("ours", "theirs"), AGREE)
def test_types_that_agree(ours: str, theirs: str) -> None:
    assert compare("f", interface(ours), interface(theirs)) == ()
    assert compare("f", interface(theirs), interface(ours)) == ()


@pytest.mark.parametrize(("ours", "theirs"), DIFFER)
def test_types_that_differ(ours: str, theirs: str) -> None:
    for a, b in ((ours, theirs), (theirs, ours)):
        (found,) = compare("f", interface("i32", a), interface("i32", b))
        assert (found.what, found.number, found.extension.type, found.firmware.type) == ("parameter", 2, a, b)
        (found,) = compare("f", interface(result=a), interface(result=b))
        assert found.what == "result"


def test_unknown_names_are_not_compared() -> None:
    nothing = Interface({}, {})
    assert compare("f", interface("i32"), nothing) == compare("f", nothing, interface("i32")) == ()


def test_types_that_refer_to_each_other_end() -> None:
    def ring(*, last: str) -> dict[str, Layout]:
        chain = {
            f"struct n{i}": record(8, ("next", 0, f"*struct n{(i + 1) % 500}"), ("x", 4, "i32")) for i in range(500)
        }
        return chain | {"struct n499": record(8, ("next", 0, "*struct n0"), ("x", 4, last))}

    ours, theirs = (interface("*struct n0", types=ring(last=last)) for last in ("i32", "u32"))
    assert compare("f", ours, ours) == ()
    (found,) = compare("f", ours, theirs)
    assert (found.tag, found.member, found.by_value) == ("struct n499", "x", False)


def test_renamed_types_that_refer_to_each_other_end() -> None:
    """Types under other tags are compared where they are met, one inside the other."""
    ours = {f"struct a{i}": record(4, ("next", 0, f"*struct a{i + 1}")) for i in range(3000)}
    theirs = {f"struct b{i}": record(4, ("next", 0, f"*struct b{i + 1}")) for i in range(3000)}
    assert compare("f", interface("*struct a0", types=ours), interface("*struct b0", types=theirs)) == ()


def test_a_structure_in_itself_ends() -> None:
    types = {"struct s": record(4, ("", 0, "struct s"), ("s", 0, "[2]struct s"))}
    assert compare("f", interface("struct s", types=types), interface("struct s", types=types)) == ()


def test_notation() -> None:
    assert parse("*[3]fn(*u8, ...) -> struct s") == Pointer(Array(Function("struct s", (Pointer("u8"),), True), 3))
    assert list(tags("fn(struct a<b, c>, *enum e) -> *union u")) == ["struct a<b, c>", "enum e", "union u"]
    assert renamed("fn(struct a, struct ab, *struct a) -> struct a.b", {"struct a": "struct a#2"}) == (
        "fn(struct a#2, struct ab, *struct a#2) -> struct a.b"
    )
    assert plain("struct a#12") == "struct a"
    for wrong in ("", "*", "fn(", "fn(u8", "fn(u8)", "fn(u8) ->", "[x]u8", "u8)", "*" * 100 + "u8"):
        with pytest.raises(ValueError):
            parse(wrong)

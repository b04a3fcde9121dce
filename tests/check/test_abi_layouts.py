"""Layouts that are read from debug information. Oracle: the compiler's own sizeof and offsetof, as constants of the
object; for bit-fields the bits that are set in a constant whose field is all ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import built
from llext_tools.abi.dwarf import read_types
from llext_tools.elf.read import load_object

pytestmark = pytest.mark.toolchain

TYPES = """\
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
struct opaque;
enum mode { OFF, SLOW = 5, BACK = -3 };
enum wide { WIDE = 0x12345678 };
struct plain { char a; int b; short c; double d; bool e; long f; long double g; };
struct __attribute__((packed)) tight { char a; long long b; short c; };
struct __attribute__((aligned(16))) roomy { char a; int b; };
struct outer { char a; struct plain in; struct { int u; char v; } unnamed; struct tight packed_one; void *p; };
struct lists { char a; short b[3]; int c[2][3]; struct tight d[2]; void (*e[4])(void); char rest[]; };
struct modes { char a; enum mode b; char c; enum wide d; int (*e)(struct modes *, enum mode); struct opaque *f; };
struct views { char a; union { int b; struct { short c; char d; }; }; union { double e; char f[3]; } g; };
union either { char a; double b; struct plain c; int d[7]; };
struct bits { char a; unsigned b : 3; unsigned c : 5; int d : 9; uint8_t e : 2; long long f : 33; bool g : 1; };
struct __attribute__((packed)) tight_bits { char a; unsigned b : 3; unsigned long long c : 61; unsigned d : 7; };
"""
MEMBERS = {
    "struct plain": "abcdefg",
    "struct tight": "abc",
    "struct roomy": "ab",
    "struct outer": ("a", "in", "unnamed", "packed_one", "p"),
    "struct lists": ("a", "b", "c", "d", "e", "rest"),
    "struct modes": "abcdef",
    "struct views": "ag",
    "union either": "abcd",
    "enum mode": "",
    "enum wide": "",
}
FIELDS = {"struct bits": "bcdefg", "struct tight_bits": "bcd"}

FACTS = [f"sizeof({tag})" for tag in (*MEMBERS, *FIELDS)]
FACTS += [f"offsetof({tag}, {name})" for tag, names in MEMBERS.items() for name in names]
ONES = [(tag, name) for tag, names in FIELDS.items() for name in names]
SOURCE = TYPES + "\n".join(
    [
        f'const uint32_t facts[] __attribute__((used, section(".facts"))) = {{ {", ".join(FACTS)} }};',
        *(
            f'const {tag} one{i} __attribute__((used, section(".one{i}"))) = {{ .{name} = -1 }};'
            for i, (tag, name) in enumerate(ONES)
        ),
        *(f"{tag} *keep{i};" for i, tag in enumerate((*MEMBERS, *FIELDS))),
    ]
)
COMBINATIONS = [
    *(("cortex-m4", "gcc"), ("cortex-m33", "zig"), ("rv32imac", "gcc")),
    *(("rv32imac", "zig"), ("rv64gc", "gcc"), ("rv64gc", "zig")),
]


@pytest.mark.parametrize("flags", [("-gdwarf-5", "-Os"), ("-gdwarf-4", "-O0"), ("-gdwarf-2", "-gstrict-dwarf", "-O1")])
@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_layouts(combination: tuple[str, str], flags: tuple[str, ...], tmp_path: Path) -> None:
    path = built.find(*combination).compile(tmp_path, SOURCE, *flags)
    types = read_types(load_object(str(path)), [*MEMBERS, *FIELDS])
    contents = built.contents(path)
    facts = dict(zip(FACTS, struct.unpack(f"<{len(FACTS)}I", contents[".facts"]), strict=True))
    assert {f"sizeof({tag})": types[tag].size for tag in (*MEMBERS, *FIELDS)} == {
        fact: value for fact, value in facts.items() if fact.startswith("sizeof")
    }
    assert {
        f"offsetof({tag}, {m.name})": m.offset
        for tag in MEMBERS
        for m in types[tag].members
        if m.name and not tag.startswith("enum")
    } == {fact: value for fact, value in facts.items() if fact.startswith("offsetof")}
    for i, (tag, name) in enumerate(ONES):
        member = next(m for m in types[tag].members if m.name == name)
        assert ((1 << member.bits) - 1) << member.offset == int.from_bytes(contents[f".one{i}"], "little"), (tag, name)


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_types_of_members(combination: tuple[str, str], tmp_path: Path) -> None:
    """Oracle: the ABIs of Arm (long double is double, small enums) and RISC-V (long is as wide as a register)."""
    path = built.find(*combination).compile(tmp_path, SOURCE)
    types = read_types(load_object(str(path)), [*MEMBERS, *FIELDS])
    arm, long = combination[0].startswith("cortex"), "i64" if combination[0].startswith("rv64") else "i32"

    def types_of(tag: str) -> list[str]:
        return [m.type for m in types[tag].members]

    assert types_of("struct plain") == ["u8", "i32", "i16", "f64", "b8", long, "f64" if arm else "f128"]
    assert types_of("struct lists") == [
        *("u8", "[3]i16", "[2][3]i32", "[2]struct tight", "[4]*fn() -> void"),
        "[]u8",
    ]
    pointer = "*fn(*struct modes, enum mode) -> i32"
    assert types_of("struct modes") == ["u8", "enum mode", "u8", "enum wide", pointer, "*struct opaque"]
    assert types_of("struct outer")[1:] == ["struct plain", "struct outer.unnamed", "struct tight", "*void"]
    assert types_of("struct bits")[1:] == ["u32", "u32", "i32", "u8", "i64", "b8"]
    assert types["enum mode"].size == (1 if arm else 4)
    assert {m.name: m.offset for m in types["enum mode"].members} == {"OFF": 0, "SLOW": 5, "BACK": -3}
    assert types["enum wide"].members[0].offset == 0x12345678
    assert "struct opaque" not in types

"""Where arguments go. Expected values: worked out from the rules of the ABIs, each case names its rule.

The emulator tests ask the compilers, for all types on all targets; these say what went wrong when they fail.
"""

from __future__ import annotations

import pytest

from llext_tools import arch
from llext_tools.arch.model import FloatAbi
from llext_tools.c.types import DataModel, encode, widen


def places(name: str, word: int, float_abi: FloatAbi, params: str, variadic: str = "") -> str:
    """``r0 r2+r3 [0]``: registers and stack offsets of parameters, then of variadic arguments."""
    conv = arch.load(name).callconv
    types = DataModel(32 if word == 4 else 64, conv.long_double).types
    placer = conv.placer(word, float_abi, bool(variadic))
    found = []
    for named, names in ((True, params), (False, variadic)):
        for ctype in (types[n.strip()] for n in names.split(",") if n):
            pieces = placer.place(ctype, named=named)
            found.append("+".join(p.register or f"[{p.offset}]" for p in pieces))
    return " ".join(found)


@pytest.mark.parametrize(
    ("float_abi", "params", "variadic", "expected"),
    [
        ("soft", "int,int,int,int,int,char", "", "r0 r1 r2 r3 [0] [4]"),
        ("soft", "int,long long", "", "r0 r2+r3"),  # C.3: an even register
        ("soft", "int,int,int,long long,int", "", "r0 r1 r2 [0] [8]"),  # C.6: r3 stays free
        ("soft", "int,int,int,int,int,double", "", "r0 r1 r2 r3 [0] [8]"),  # C.7: aligned to 8
        ("soft", "float,double", "", "r0 r2+r3"),
        ("double", "float,double,float", "", "s0 d1 s1"),  # the second float goes back between
        ("double", "int,double,int", "", "r0 d0 r1"),
        ("double", "int", "double", "r0 r2+r3"),  # a variadic function uses the base standard
        ("double", "double," * 7 + "float,double,float", "", "d0 d1 d2 d3 d4 d5 d6 s14 [0] [8]"),  # C.2: VFP is closed
    ],
)
def test_arm(float_abi: FloatAbi, params: str, variadic: str, expected: str) -> None:
    """aapcs32, "Parameter passing"."""
    assert places("arm", 4, float_abi, params, variadic) == expected


@pytest.mark.parametrize(
    ("word", "float_abi", "params", "variadic", "expected"),
    [
        (4, "soft", "int,long long", "", "a0 a1+a2"),  # a named pair needs no even register
        (4, "soft", "int", "long long", "a0 a2+a3"),  # a variadic one does
        (4, "soft", "int," * 7 + "long long", "", "a0 a1 a2 a3 a4 a5 a6 a7+[0]"),  # split
        (4, "soft", "int," * 7, "double,int", "a0 a1 a2 a3 a4 a5 a6 [0] [8]"),
        (4, "soft", "int," * 9 + "double", "", "a0 a1 a2 a3 a4 a5 a6 a7 [0] [8]"),
        (4, "single", "float,double,float", "", "fa0 a0+a1 fa1"),
        (4, "single", "float," * 9, "", "fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 a0"),
        (4, "soft", "long double,int", "", "a0 a1"),  # by reference
        (8, "double", "float,double,int", "double", "fa0 fa1 a0 a1"),
        (8, "double", "long double,int", "", "a0+a1 a2"),
        (8, "double", "int", "long double", "a0 a2+a3"),
        (8, "double", "double," * 10, "", "fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 a0 a1"),
    ],
)
def test_riscv(word: int, float_abi: FloatAbi, params: str, variadic: str, expected: str) -> None:
    """RISC-V psABI, "Procedure Calling Convention"."""
    assert places("riscv", word, float_abi, params, variadic) == expected


def test_integers_are_widened_by_their_sign_to_32_bits_and_then_as_signed() -> None:
    """RISC-V psABI, "Integer Calling Convention": an unsigned int, too, is sign-extended on RV64."""
    types = DataModel(64, 16).types
    cases = {
        ("unsigned int", 0xFFFF_FFFF): -1,
        ("unsigned short", 0xFFFF): 0xFFFF,
        ("signed char", -1): -1,
        ("char", 255): 255,
        ("int", -5): -5,
        ("long", -5): -5,
    }
    for (name, value), expected in cases.items():
        data = widen(types[name], encode(types[name], value), 8)
        assert int.from_bytes(data, "little", signed=True) == expected, name


@pytest.mark.parametrize(("name", "code", "size"), [
    ("arm", "fff7feff", 4), ("arm", "00bf9847", 2), ("arm", "00f09847", 2),
    ("riscv", "e7800000", 4), ("riscv", "ef008000", 4), ("riscv", "01008295", 2),
])  # fmt: skip
def test_size_of_the_call_in_front_of_a_return_address(name: str, code: str, size: int) -> None:
    """Encodings from the architecture manuals: BL, BLX r3, JALR ra, JAL ra, C.JALR."""
    assert arch.load(name).callconv.call_size(bytes.fromhex(code)) == size

"""Every row of ``Arch.loader_relocs``, without an object.

Oracles: the figures of Zephyr's ``arch/arm/core/elf.c`` and ``arch/riscv/core/elf.c`` for the ends of the ranges and
for what the loader does unlike the ABI, worked out by hand; else the ABI's own rows, which ``test_encodings.py`` and
``test_linkers.py`` compare with GNU's tools. What the loader made of whole objects is in ``test_loader_bytes.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from arch.one_by_one import carry_out
from arch.test_loader_bytes import RELOCATED, Elf
from llext_tools import profile as profiles
from llext_tools.arch import discover
from llext_tools.bits import sext
from llext_tools.reloc import I64, Batch, Bytes, Reloc, apply, store

ARCHS = {arch.name: arch for arch in discover()}
TABLES: list[tuple[str, int]] = [(arch.name, bits) for arch in ARCHS.values() for bits in arch.classes]
ROWS = [(arch, bits, row) for arch, bits in TABLES for row in ARCHS[arch].loader_relocs[bits].values()]
BY_NAME = {(arch, bits, row.name): row for arch, bits, row in ROWS}
INT32 = (-0x8000_0000, 0x7FFF_FFFF)

PC = 0x2000_0000
"""Where the places are: distances backwards from 0x1000 go around the end of a 32-bit address space."""


def params(rows: list[tuple[str, int, Reloc]]) -> list[Any]:
    return [pytest.param(arch, bits, row, id=f"{row.name}-{bits}") for arch, bits, row in rows]


def address(x: int, bits: int) -> int:
    return x & 0xFFFF_FFFF if bits == 32 else x


# ---- the ends of the ranges

ENDS = {
    ("arm", 32): {
        "R_ARM_THM_CALL R_ARM_THM_JUMP24": (-0xFF_FFFF, 0xFF_FFFF),
        "R_ARM_PC24 R_ARM_CALL R_ARM_JUMP24": (-0x1FF_FFFF, 0x1FF_FFFF),
        "R_ARM_PREL31": (-0x4000_0000, 0x3FFF_FFFF),
    },
    ("riscv", 32): {
        "R_RISCV_BRANCH": (-0x1000, 0xFFF),
        "R_RISCV_RVC_BRANCH": (-0x100, 0xFF),
        "R_RISCV_RVC_JUMP": (-0x800, 0x7FF),
    },
    ("riscv", 64): {
        "R_RISCV_BRANCH": (-0x1000, 0xFFF),
        "R_RISCV_RVC_BRANCH": (-0x100, 0xFF),
        "R_RISCV_RVC_JUMP": (-0x800, 0x7FF),
        "R_RISCV_JAL R_RISCV_CALL R_RISCV_CALL_PLT R_RISCV_PCREL_HI20": INT32,
        "R_RISCV_32 R_RISCV_HI20 R_RISCV_LO12_I R_RISCV_32_PCREL R_RISCV_PLT32": INT32,
    },
}
"""The smallest and the largest value that the loader takes; all rows that are not here take everything."""


@pytest.mark.parametrize(("arch", "bits", "row"), params(ROWS))
@pytest.mark.parametrize("P", [0x1000, PC], ids=hex)
def test_ends_of_the_range(arch: str, bits: int, row: Reloc, P: int) -> None:
    if row.field is None:
        assert (row.formula, row.check) == ("", None)
        return
    ends = next((ends for names, ends in ENDS[arch, bits].items() if row.name in names.split()), None)
    low, high = ends or INT32
    values = [low - 1, low, high, high + 1]
    S = np.array([address(x + (P if "P" in row.formula else 0), bits) for x in values])
    image, at = np.zeros(8 * S.size, np.uint8), np.arange(S.size) * 8
    store(image, row.field, at, row.field.encode(np.zeros_like(at)))  # an addend of 0
    bad = carry_out(image, row, at, rela=ARCHS[arch].rela, S=S, P=np.full_like(S, P))
    assert bad.tolist() == [ends is not None, False, False, ends is not None]


# ---- what the loader does as the ABI says


class Sample(NamedTuple):
    """n relocations of one row. S is without the Thumb bit, x the value that the ABI's formula has for an address."""

    S: I64
    A: I64
    P: I64
    T: I64
    bits: int

    @property
    def address(self) -> I64:
        return sext(self.S + self.A | self.T, 32) if self.bits == 32 else self.S + self.A

    @property
    def distance(self) -> I64:
        return sext((self.S + self.A | self.T) - self.P, 32) if self.bits == 32 else self.S + self.A - self.P


Where = Callable[[Sample], NDArray[np.bool_]]


def odd_thumb(x: Sample) -> NDArray[np.bool_]:
    return np.asarray(x.T & x.A & 1, np.bool_)


def a32_branch(x: Sample) -> NDArray[np.bool_]:
    bad: NDArray[np.bool_] = (x.distance == -1 << 25) | (x.distance & 3 != 0)
    return bad


def high_part(value: I64) -> NDArray[np.bool_]:
    wraps = (value >= 0x7FFF_F800) & (value < 0x8000_0000)
    falls_short = (value < -0x8000_0000) & (value >= -0x8000_0800)
    return wraps | falls_short


def odd(x: Sample) -> NDArray[np.bool_]:
    return np.asarray(x.distance & 1, np.bool_)


def everywhere(x: Sample) -> NDArray[np.bool_]:
    return np.ones(x.S.shape, bool)


ONLY: dict[str, Where] = {
    "R_ARM_PC24 R_ARM_CALL R_ARM_JUMP24": lambda x: a32_branch(x) | odd_thumb(x),
    "R_ARM_THM_CALL R_ARM_THM_JUMP24": lambda x: (x.distance == -1 << 24) | odd_thumb(x),
    "R_ARM_ABS32 R_ARM_TARGET1 R_ARM_REL32 R_ARM_PREL31": odd_thumb,
    "R_ARM_MOVW_ABS_NC R_ARM_MOVT_ABS R_ARM_MOVW_PREL_NC R_ARM_MOVT_PREL": odd_thumb,
    "R_ARM_THM_MOVW_ABS_NC R_ARM_THM_MOVT_ABS R_ARM_THM_MOVW_PREL_NC R_ARM_THM_MOVT_PREL": odd_thumb,
    "R_ARM_V4BX R_ARM_TLS_LE32": everywhere,
    "R_RISCV_SET6 R_RISCV_SUB6": everywhere,
    "R_RISCV_BRANCH R_RISCV_RVC_BRANCH R_RISCV_RVC_JUMP": odd,
    "R_RISCV_JAL": lambda x: odd(x) | (x.distance < -1 << 20) | (x.distance >= 1 << 20),
    "R_RISCV_32": lambda x: (x.bits == 64) & (x.address >= 1 << 31),
    "R_RISCV_CALL R_RISCV_CALL_PLT R_RISCV_PCREL_HI20": lambda x: (x.bits == 64) & high_part(x.distance),
    "R_RISCV_HI20": lambda x: (x.bits == 64) & high_part(x.address),
    "R_RISCV_LO12_I": lambda x: (x.bits == 64) & (x.address != sext(x.address, 32)),
    "R_RISCV_64 R_RISCV_ADD64 R_RISCV_SUB64": lambda x: (x.bits == 32) & (x.address != x.S + x.A),
}
"""Where a row may differ from the ABI's; those that are not here never do."""

IN_THE_PAIRING = {"R_RISCV_PCREL_LO12_I", "R_RISCV_PCREL_LO12_S"}
"""Their deviation is in which HI20 the loader finds, not in what it makes of it."""

SHARED = [(arch, bits, row) for arch, bits, row in ROWS if row.field and row.code in ARCHS[arch].relocs[bits]]
WORDS = [bytes(8), bytes.fromhex("ffffefffffffefff"), bytes.fromhex("fff7eeff01f0fef7")]
"""What the places hold. Bit 20 is clear: the loader clears it in MOVW and MOVT."""


def sample(arch: str, bits: int, row: Reloc, word: bytes) -> Sample:
    """Values at and around every power of two, with small addends."""
    near = [-0x800, -2, -1, 0, 1, 2, 4, 0x7FF]
    x = np.unique([sign * (1 << n) + d for n in range(36) for sign in (1, -1) for d in near])
    S, A, P, T = (g.ravel() for g in np.meshgrid(x, [0, 1, -8], [0x1000, PC, 0x9000_0000], [0, 1]))
    S = S + P if "P" in ARCHS[arch].relocs[bits][row.code].formula else S
    S = S & 0xFFFF_FFFF if bits == 32 else S
    if arch == "arm":
        assert row.field
        held = np.frombuffer(word, "<u2" if row.field.unit == "<u2" else "<u4").astype(np.int64)
        A = np.full_like(A, row.field.decode(held[:1] << 16 | held[1:2] if row.field.units == 2 else held[:1])[0])
        return Sample(S & ~1, A, P, T, bits)
    return Sample(S, A, P, T * 0, bits)


def as_the_abi(arch: str, bits: int, row: Reloc, x: Sample, image: Bytes, at: I64) -> NDArray[np.bool_]:
    """The same relocations by the ABI's row; True for those that do not fit, which are left as they are."""
    theirs, rela = ARCHS[arch].relocs[bits][row.code], ARCHS[arch].rela
    zero = np.zeros_like(at)
    batch = Batch(offset=at, S=x.S, A=x.A, P=x.P, T=x.T, B=zero, V=zero, TP=ARCHS[arch].tls_bias)
    bad = np.zeros(at.shape, bool)
    bad[apply(image.copy(), theirs, batch, in_place=not rela)[0]] = True
    fits = {letter: part[~bad] for letter, part in batch._asdict().items() if letter != "TP"}
    apply(image, theirs, batch._replace(**fits), in_place=not rela)
    return bad


@pytest.mark.parametrize(("arch", "bits", "row"), params(SHARED))
@pytest.mark.parametrize("word", WORDS, ids=["zeros", "ones", "pattern"])
def test_rows_differ_from_the_abis_only_where_said(arch: str, bits: int, row: Reloc, word: bytes) -> None:
    x = sample(arch, bits, row, word)
    at = np.arange(x.S.size) * 8
    ours, theirs = (np.tile(np.frombuffer(word, np.uint8), x.S.size) for _ in range(2))
    S = x.S + x.A - x.P if row.name in IN_THE_PAIRING else x.S | x.T
    refused = carry_out(ours, row, at, rela=ARCHS[arch].rela, S=S, A=x.A, P=x.P)
    misfits = as_the_abi(arch, bits, row, x, theirs, at)
    differ = (refused != misfits) | (ours != theirs).reshape(-1, 8).any(1)
    allowed = next((where(x) for names, where in ONLY.items() if row.name in names.split()), ~everywhere(x))
    surprising = np.flatnonzero(differ & ~allowed)
    assert [[hex(int(part[i])) for part in x[:-1]] for i in surprising[:5]] == []


# ---- what the loader does unlike the ABI


class Example(NamedTuple):
    """``before`` and ``after`` are bytes as they lie in memory; ``after`` is None where the loader refuses."""

    arch: str
    bits: int
    name: str
    before: str
    letters: dict[str, int]
    after: str | None
    also: str = ""  # the names of other rows that do the same


F = 0x2000_0101  # a Thumb function, 0x100 bytes ahead
G, H = 0x2000_FFFF, 0x2001_FFFF  # Thumb functions 2 bytes below a multiple of 64 KiB

EXAMPLES = [
    # the Thumb bit is added to an addend of 1
    Example("arm", 32, "R_ARM_ABS32", "01000000", {"S": F}, "02010020", also="R_ARM_TARGET1"),
    Example("arm", 32, "R_ARM_REL32", "01000000", {"S": F}, "02010000"),
    Example("arm", 32, "R_ARM_PREL31", "01000080", {"S": F}, "02010080"),
    Example("arm", 32, "R_ARM_MOVW_ABS_NC", "010000e3", {"S": F}, "020100e3", also="R_ARM_MOVW_PREL_NC"),
    Example("arm", 32, "R_ARM_MOVT_ABS", "010040e3", {"S": G}, "010042e3"),
    Example("arm", 32, "R_ARM_MOVT_PREL", "010040e3", {"S": H}, "020040e3"),
    Example("arm", 32, "R_ARM_THM_MOVW_ABS_NC", "40f20100", {"S": F}, "40f20210", also="R_ARM_THM_MOVW_PREL_NC"),
    Example("arm", 32, "R_ARM_THM_MOVT_ABS", "c0f20100", {"S": G}, "c2f20100"),
    Example("arm", 32, "R_ARM_THM_MOVT_PREL", "c0f20100", {"S": H}, "c0f20200"),
    # branches: the last distance backwards, and from A32 to Thumb code
    Example("arm", 32, "R_ARM_THM_CALL", "00f000f8", {"S": PC - (1 << 24)}, None),
    Example("arm", 32, "R_ARM_THM_JUMP24", "00f000b8", {"S": PC - (1 << 24)}, None),
    Example("arm", 32, "R_ARM_CALL", "000000eb", {"S": PC - (1 << 25)}, None, also="R_ARM_PC24 R_ARM_JUMP24"),
    Example("arm", 32, "R_ARM_CALL", "000000eb", {"S": F + 2}, "400000eb", also="R_ARM_PC24 R_ARM_JUMP24"),
    # bx lr, bxeq r1
    Example("arm", 32, "R_ARM_V4BX", "1eff2fe1", {"S": 0}, "0ef0a0e1"),
    Example("arm", 32, "R_ARM_V4BX", "11ff2f01", {"S": 0}, "01f0a001"),
    # 4 bytes into a variable that is 16 bytes into the block
    Example("arm", 32, "R_ARM_TLS_LE32", "04000000", {"S": 0x10}, "14000000"),
    # dynamic ones
    Example("arm", 32, "R_ARM_GLOB_DAT", "05000000", {"S": F}, "01010020", also="R_ARM_JUMP_SLOT R_ARM_RELATIVE"),
    Example("riscv", 32, "R_RISCV_RELATIVE", "ffffffff", {"S": 0, "A": 0x14, "B": PC}, "14000020"),
    Example("riscv", 64, "R_RISCV_RELATIVE", "ff" * 8, {"S": 0, "A": 0x14, "B": PC}, "1400002000000000"),
    Example("riscv", 32, "R_RISCV_JUMP_SLOT", "ffffffff", {"S": F, "A": 4}, "01010020"),
    Example("riscv", 64, "R_RISCV_JUMP_SLOT", "ff" * 8, {"S": 0x1_2000_0101, "A": 4}, "0101002001000000"),
    # sign-extended addresses
    Example("riscv", 32, "R_RISCV_64", "ff" * 8, {"S": 0x8000_0010}, "10000080ffffffff"),
    Example("riscv", 32, "R_RISCV_ADD64", "00" * 8, {"S": 0x8000_0010}, "10000080ffffffff"),
    Example("riscv", 32, "R_RISCV_SUB64", "00" * 8, {"S": 0x8000_0010}, "f0ffff7f00000000"),
    # beq, c.beqz and c.j over an odd distance
    *(Example("riscv", bits, "R_RISCV_BRANCH", "63000000", {"S": PC + 0xFFF}, "e30f007e") for bits in (32, 64)),
    *(Example("riscv", bits, "R_RISCV_RVC_BRANCH", "01c0", {"S": PC + 0xFF}, "7dcc") for bits in (32, 64)),
    *(Example("riscv", bits, "R_RISCV_RVC_JUMP", "01a0", {"S": PC + 0x7FF}, "fdaf") for bits in (32, 64)),
    # jal 1 MiB ahead goes 1 MiB back
    *(Example("riscv", bits, "R_RISCV_JAL", "6f000000", {"S": PC + (1 << 20)}, "6f000080") for bits in (32, 64)),
    # the ends of 32 bits
    Example("riscv", 64, "R_RISCV_32", "00000000", {"S": 0x8000_0000}, None),
    Example("riscv", 64, "R_RISCV_LO12_I", "13050500", {"S": 0x8000_0004}, None),
    Example("riscv", 64, "R_RISCV_HI20", "37050000", {"S": 0x7FFF_F800}, "37050080"),
    Example("riscv", 64, "R_RISCV_HI20", "37050000", {"S": -0x8000_0001}, None),
    Example("riscv", 64, "R_RISCV_PCREL_HI20", "97000000", {"S": PC + 0x7FFF_F800}, "97000080"),
    Example("riscv", 64, "R_RISCV_PCREL_HI20", "97000000", {"S": PC - 0x8000_0001}, None),
    Example(
        "riscv", 64, "R_RISCV_CALL", "97000000e7800000", {"S": PC + 0x7FFF_F800}, "97000080e7800080",
        also="R_RISCV_CALL_PLT",
    ),
    Example("riscv", 64, "R_RISCV_CALL", "97000000e7800000", {"S": PC - 0x8000_0001}, None, also="R_RISCV_CALL_PLT"),
    # 0xc5 with 0x4a, and less 3
    *(Example("riscv", bits, "R_RISCV_SET6", "c5", {"S": 0x4A}, "4f") for bits in (32, 64)),
    *(Example("riscv", bits, "R_RISCV_SUB6", "c5", {"S": 3}, "07") for bits in (32, 64)),
]  # fmt: skip
SHOWN = [example._replace(name=name) for example in EXAMPLES for name in (example.name, *example.also.split())]


@pytest.mark.parametrize("example", SHOWN, ids=lambda x: f"{x.name}-{x.bits}-{x.after}")
def test_deviations(example: Example) -> None:
    """The loader's result, which is not the ABI's."""
    arch, row = ARCHS[example.arch], BY_NAME[example.arch, example.bits, example.name]
    at = np.zeros(1, np.int64)
    given = {"P": PC, **({"A": 0} if arch.rela else {}), **example.letters}
    letters = {letter: np.array([x]) for letter, x in given.items()}
    image = np.frombuffer(bytes.fromhex(example.before), np.uint8).copy()
    bad = carry_out(image, row, at, rela=arch.rela, **letters)
    after = None if bad[0] else image.tobytes().hex()
    assert after == example.after
    assert row.code in arch.loader_deviations
    if row.code in arch.relocs[example.bits]:
        S = letters["S"]
        T = S & 1 if arch.thumb and row.name != "R_ARM_TLS_LE32" else at
        x = Sample(S - T, letters.get("A", at), letters["P"], T, example.bits)
        theirs = np.frombuffer(bytes.fromhex(example.before), np.uint8).copy()
        misfit = as_the_abi(example.arch, example.bits, row, x, theirs, at)
        assert (None if misfit[0] else theirs.tobytes().hex()) != example.after


def test_movt_of_a32_clears_bit_20() -> None:
    """Of `teq` with an immediate, which is what the bit makes of MOVT."""
    image = np.frombuffer(bytes.fromhex("000050e3"), np.uint8).copy()
    row = BY_NAME["arm", 32, "R_ARM_MOVT_ABS"]
    carry_out(image, row, np.zeros(1, np.int64), rela=False, S=np.array([F]), P=np.array([PC]))
    assert image.tobytes().hex() == "000042e3"


@pytest.mark.parametrize("arch", ARCHS)
def test_every_deviation_is_named_and_shown(arch: str) -> None:
    names = {row.code: row.name for of, _, row in ROWS if of == arch}
    deviating = {names[code] for code in ARCHS[arch].loader_deviations} - IN_THE_PAIRING
    assert deviating == {example.name for example in SHOWN if example.arch == arch}
    static = deviating & {row.name for _, _, row in SHARED}
    assert static == {name for key in ONLY for name in key.split()} & set(names.values())


@pytest.mark.parametrize("arch", ARCHS)
def test_deviations_read_like_diagnostics(arch: str) -> None:
    for text in ARCHS[arch].loader_deviations.values():
        assert re.fullmatch(r"(on RV\d\d )?the loader .*[^.]", text), text


# ---- the tables


@pytest.mark.parametrize("arch", ARCHS)
def test_rows_are_what_the_profile_accepts(arch: str) -> None:
    """Oracle: the list of the cases in the loader's own switch, ``profile/zephyr-next.toml``."""
    accepted = profiles.load("zephyr-next").relocs[arch]
    assert accepted
    for table in ARCHS[arch].loader_relocs.values():
        assert set(table) == accepted
        assert all(code == row.code for code, row in table.items())


@pytest.mark.parametrize("arch", ARCHS)
def test_names_are_the_abis(arch: str) -> None:
    for bits, table in ARCHS[arch].loader_relocs.items():
        static = {code: row.name for code, row in ARCHS[arch].relocs[bits].items()}
        dynamic = {code: name for code, (name, _) in ARCHS[arch].no_help.items()}
        assert {code: row.name for code, row in table.items()} == {code: {**dynamic, **static}[code] for code in table}


@pytest.mark.parametrize("arch", ARCHS)
def test_every_row_that_writes_is_used(arch: str) -> None:
    """By an object that the loader loaded, by an example here, or in the comparison with the ABI."""
    loaded = {
        (32, entry.code)
        for load in RELOCATED
        if load.case.arch == arch
        for _, table in Elf(load.object).relocations()
        for entry in table
    }
    shown = {(x.bits, BY_NAME[x.arch, x.bits, x.name].code) for x in SHOWN if x.arch == arch}
    same = {(bits, row.code) for of, bits, row in SHARED if of == arch}
    rows = {(bits, row.code) for of, bits, row in ROWS if of == arch and row.field}
    assert rows - loaded - shown - same == set()
    assert len({code for _, code in loaded}) == {"arm": 14, "riscv": 25}[arch]


@pytest.mark.parametrize(("arch", "bits", "row"), params([x for x in ROWS if x[2].formula]))
def test_the_formula_is_what_the_value_computes(arch: str, bits: int, row: Reloc) -> None:
    """Modulo what the place holds: a 64-bit place of RV32 is in the examples."""
    random = np.random.default_rng(1)
    letters: dict[str, Any] = {letter: random.integers(0, 1 << 31, 1000) for letter in "SAPBV"}
    assert set(re.findall(r"[A-Z]", row.formula)) <= set(letters)
    assert row.field
    width = 8 if row.field.size == 1 else 32
    zero = np.zeros(1000, np.int64)
    got = row.value(Batch(zero, zero, zero, zero, zero, zero, zero)._replace(**letters))
    expected = eval(row.formula, {}, letters)
    np.testing.assert_array_equal(sext(got, width), sext(expected, width))

"""Every row of every table: its formula, its field and its range, without any tool.

Oracle: the formula is the ABI's text, and Python evaluates it. What a field keeps of a value is stated here, by name.
The bits themselves are compared with gas in ``tests/arch/test_encodings.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from llext_tools.arch import discover
from llext_tools.arch.base import Arch
from llext_tools.bits import sext
from llext_tools.reloc import I64, Batch, Range, Reloc, apply, load, store


def rows(*, places: bool = False) -> list[Any]:
    """Each row of each table; with ``places`` only those that write one of fixed length."""
    return [
        pytest.param(arch, row, id=f"{row.name}-{bits}")
        for arch in discover()
        for bits in arch.classes
        for row in arch.relocs[bits].values()
        if not places or (row.field is not None and row.field.unit != "uleb128")
    ]


def addresses(count: int) -> Iterator[I64]:
    """Addresses, small addends and bits, always the same."""
    random = np.random.default_rng(1)
    while True:
        yield random.integers(0, 1 << 32, count)


# ---- formulas


@pytest.mark.parametrize(("arch", "row"), rows())
def test_the_formula_is_what_the_value_computes(arch: Arch, row: Reloc) -> None:
    if not row.formula:
        assert (row.field, row.check) == (None, None), "without a formula a row does nothing"
        return
    number = addresses(1000)
    b = Batch(
        offset=next(number),
        S=next(number) & ~1,
        A=next(number) % 4096 - 2048 if row.field else next(number) % 64,
        P=next(number),
        T=next(number) & 1,
        B=next(number),
        V=next(number),
        TP=0x1234,
    )
    words = {
        **{letter: getattr(b, letter) for letter in ("S", "A", "P", "T", "V", "TP")},
        "Pa": b.P & 0xFFFF_FFFC,
        "B": lambda symbol: b.B,  # noqa: ARG005
        "tp": b.TP,
        "TLS": b.TP - arch.tls_bias,
        "N": np.array([1 << int(a).bit_length() for a in b.A]),
    }
    np.testing.assert_array_equal(row.value(b), eval(row.formula, {}, words))


def test_every_letter_of_a_formula_is_the_abis() -> None:
    known = {"S", "A", "P", "T", "V", "B(S)", "Pa", "tp", "TP", "TLS", "N"}
    for arch in discover():
        for table in arch.relocs.values():
            for row in table.values():
                assert set(re.findall(r"B\(S\)|[A-Za-z]\w*", row.formula)) <= known, row.name


def test_names_and_codes_are_unique() -> None:
    for arch in discover():
        for bits, table in arch.relocs.items():
            assert bits in arch.classes
            assert all(code == row.code for code, row in table.items())
            assert len({row.name for row in table.values()}) == len(table)
            assert not table.keys() & arch.no_help.keys(), "a row that is said to be absent"
            assert all(set(row.pairs_with) <= table.keys() for row in table.values())


# ---- fields

KEEPS: tuple[tuple[str, Callable[[I64], I64]], ...] = (
    (r"ARM_(THM_)?MOVW", lambda x: sext(x, 16)),
    (r"ARM_(THM_)?MOVT", lambda x: sext(x >> 16, 16)),
    (r"ARM_THM_ALU_ABS_G0", lambda x: x & 0xFF),
    (r"ARM_THM_ALU_ABS_G1", lambda x: x >> 8 & 0xFF),
    (r"ARM_THM_ALU_ABS_G2", lambda x: x >> 16 & 0xFF),
    (r"ARM_THM_ALU_ABS_G3", lambda x: x >> 24 & 0xFF),
    (r"ARM_THM_JUMP6", lambda x: (x + 4 & 0x7E) - 4),  # aaelf32: the top stands for -4 and -2
    (r"ARM_THM_PC8", lambda x: (x + 4 & 0x3FC) - 4),  # aaelf32: the top stands for -4
    (r"ARM_(PC24|PLT32|CALL|JUMP24)", lambda x: x & ~3),
    (r"ARM_THM_(CALL|JUMP|BF)", lambda x: x & ~1),
    (r"ARM_ABS16", lambda x: sext(x, 16)),
    (r"ARM_ABS8", lambda x: sext(x, 8)),
    (r"(ARM_.*32(_NOI)?|ARM_TARGET.)$", lambda x: sext(x, 32)),
    (r"RISCV_(TPREL_|PCREL_)?HI20", lambda x: sext(x + 0x800 & ~0xFFF, 32)),
    (r"RISCV_(TPREL_|PCREL_)?LO12", lambda x: sext(x, 12)),
    (r"RISCV_RVC_LUI", lambda x: sext(x + 0x800 & ~0xFFF, 18)),
    (r"RISCV_(RVC_BRANCH|RVC_JUMP|BRANCH|JAL)", lambda x: x & ~1),
    (r"RISCV_(SET|ADD|SUB)6$", lambda x: x & 0x3F),
    (r"RISCV_(SET|ADD|SUB)8", lambda x: x & 0xFF),
    (r"RISCV_(SET|ADD|SUB)16", lambda x: x & 0xFFFF),
    (r"RISCV_((SET|ADD|SUB)?32|32_PCREL|PLT32)$", lambda x: x & 0xFFFF_FFFF),
)
"""What decoding gives back of an encoded value, the first that matches. A group's parts are in test_encodings.py."""


def kept(row: Reloc, x: I64) -> I64:
    return next((part(x) for name, part in KEEPS if re.match("R_" + name, row.name)), x)


def samples(row: Reloc) -> I64:
    """0, both ends, their neighbours, and some between: all that fits."""
    low, high, align = (row.check.low, row.check.high, row.check.align) if row.check else (-(1 << 31), 1 << 31, 1)
    between = next(addresses(50)) % (high - low) + low
    near = [x + d for x in (low, 0, high) for d in (-2 * align, -align, -1, 0, 1, align, 2 * align)]
    x = np.append(between, np.array(near, np.int64)) & -align
    x = x[(x >= low) & (x < high)]
    return x if row.check is None else x[~row.check.misfits(x)]


def is_group(row: Reloc) -> bool:
    return re.search(r"_G[0-2]", row.name) is not None and "THM" not in row.name and not row.name.endswith("_G0")


@pytest.mark.parametrize(("arch", "row"), [p for p in rows(places=True) if not is_group(p.values[1])])
def test_decoding_an_encoded_value_gives_it_back(arch: Arch, row: Reloc) -> None:
    assert row.field
    x = samples(row)
    assert x.size > 2
    word = row.field.encode(x) & row.field.mask
    np.testing.assert_array_equal(row.field.decode(word), kept(row, x))


@pytest.mark.parametrize(("arch", "row"), rows(places=True))
def test_one_step_past_each_end_is_reported(arch: Arch, row: Reloc) -> None:
    check = row.check
    if check is None or type(check) is not Range:
        return
    past = np.array([check.low - check.align, check.high])
    reaches_all = check.bits == 32 and check.high - check.low >= 1 << 32
    assert check.misfits(past).tolist() == [not reaches_all] * 2


@pytest.mark.parametrize(("arch", "row"), rows(places=True))
def test_one_step_past_each_end_does_not_come_back(arch: Arch, row: Reloc) -> None:
    """The ends are the place's own: nothing is reported that it could hold."""
    check, field = row.check, row.field
    assert field
    datum = field.mask + 1 == 1 << 8 * field.size  # what comes back may be signed or unsigned
    if check is None or type(check) is not Range or datum or "BREL" in row.name:
        return
    if check.bits == 32 and check.high - check.low >= 1 << 32:
        return
    if row.name in ("R_ARM_THM_JUMP6", "R_ARM_THM_PC8"):  # as an addend, the top of a forward offset is negative
        return
    past = np.array([check.low - check.align, check.high])
    assert (field.decode(field.encode(past) & field.mask) != past).all()


@pytest.mark.parametrize(("arch", "row"), rows(places=True))
def test_bits_outside_the_mask_stay(arch: Arch, row: Reloc) -> None:
    field = row.field
    assert field
    x = samples(row)
    offset, zero = np.arange(x.size) * field.size, np.zeros_like(x)
    batch = Batch(offset=offset, S=x, A=zero, P=zero, T=zero, B=zero, V=zero)
    for before in ("00" * 8, "ff" * 8, "13859fe5f7ff12b7"):  # zeros, ones, words of which no two bytes are equal
        image = np.tile(np.frombuffer(bytes.fromhex(before), np.uint8)[: field.size], x.size)
        was = load(image, field, offset)
        bad, _ = apply(image, row._replace(value=lambda b: b.V + b.S if row.order == "add" else b.S), batch)
        assert not bad.size
        now = load(image, field, offset)
        np.testing.assert_array_equal(now & ~field.mask, was & ~field.mask)
        base = field.decode(was) if row.order == "add" else 0
        np.testing.assert_array_equal(now & field.mask, field.encode(base + x) & field.mask)


@pytest.mark.parametrize(("arch", "row"), rows(places=True))
def test_a_mask_has_only_bits_of_the_word(arch: Arch, row: Reloc) -> None:
    assert row.field
    ones = np.full(8, 0xFF, np.uint8)
    everything = load(ones, row.field, np.zeros(1, np.int64))
    assert row.field.mask & int(everything[0]) == row.field.mask
    store(ones, row.field, np.zeros(1, np.int64), everything & ~row.field.mask)
    assert load(ones, row.field, np.zeros(1, np.int64)) == everything & ~row.field.mask


# ---- numbers of any length


@pytest.mark.parametrize("length", range(1, 11))
def test_a_uleb128_keeps_its_length(length: int) -> None:
    """Oracle: DWARF 5, section 7.6, as Python writes it."""
    table = next(arch for arch in discover() if arch.name == "riscv").relocs[64]
    setter, subtractor = (next(r for r in table.values() if r.name == f"R_RISCV_{n}_ULEB128") for n in ("SET", "SUB"))
    distance = min((1 << 7 * length) - 1, (1 << 62) - 5)
    image = np.array([0xEE, *[0x80] * (length - 1), 0, 0xEE], np.uint8)
    at, zero = np.ones(1, np.int64), np.zeros(1, np.int64)
    start = 0x8000_1234
    for row, address in ((setter, start + distance), (subtractor, start)):
        bad, _ = apply(image, row, Batch(offset=at, S=zero + address, A=zero, P=zero, T=zero, B=zero, V=zero))
        assert not bad.size
    groups = [distance >> 7 * i & 0x7F for i in range(length)]
    assert image.tolist() == [0xEE, *[g | 0x80 for g in groups[:-1]], groups[-1], 0xEE]

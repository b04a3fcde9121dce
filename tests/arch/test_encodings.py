"""The bits of every field at and beyond the limits of its values.

Oracle: gas assembles the same instruction with the value as a constant; ``<arch>/encodings.py`` has the ABI's limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest

from llext_tools.arch import discover
from llext_tools.arch.base import Arch
from llext_tools.reloc import Batch, Field, Range, Reloc, apply, load
from oracle.gnu_ld import run, tool

FLAGS = {("arm", 32): [], ("riscv", 32): ["-march=rv32imac"], ("riscv", 64): ["-march=rv64imac", "-mabi=lp64"]}


class Encoding(NamedTuple):
    """One entry of ``encodings.py``."""

    row: Reloc
    preamble: str
    lines: tuple[tuple[int, str], ...]  # a value, and the instruction that holds it
    misfits: tuple[int, ...]
    addend: dict[str, Any]  # how the place reads as an addend, if not as its value


def encodings() -> Iterator[Any]:
    for arch in discover():
        for bits in arch.classes:
            for row in arch.relocs[bits].values():
                if row.field is not None and row.order == "plain" and row.field.unit != "uleb128":
                    yield pytest.param(arch, bits, row, id=f"{row.name}-{bits}")


def encoding(arch: Arch, bits: int, row: Reloc) -> Encoding:
    table = import_module(f"arch.{arch.name}.encodings")
    entry = table.ROWS[row.name]
    entry = table.ROWS[entry["like"]] if "like" in entry else entry
    preamble = next(text for prefix, text in table.PREAMBLE.items() if row.name.startswith(prefix))
    step = entry.get("step", 1)
    values, misfits = [0, *entry.get("values", [])], list(entry.get("misfits", []))
    if "low" in entry:
        low, high = entry["low"], entry["high"]
        values += [x for x in (low, low + step, -step, step, high - step, high) if low <= x <= high]
        if not (entry.get("wraps") and bits == 32):
            misfits += [low - step, high + step]
            misfits += [high - 1, 1] if row.check and row.check.align > 1 else []
    lines = entry.get("cases") or [(x, entry["asm"].format(x=x)) for x in values]
    return Encoding(row, preamble, tuple(map(tuple, lines)), tuple(misfits), entry)


@cache
def assembled(arch: str, bits: int, preamble: str, lines: tuple[str, ...]) -> Any:
    """The bytes of each line, uint8[lines, size]."""
    with TemporaryDirectory() as folder:
        source, path, flat = (str(Path(folder, name)) for name in ("x.s", "x.o", "x.bin"))
        Path(source).write_text("\n".join([preamble, ".text", *lines, ""]), "utf-8")
        run(tool(arch, "as"), *FLAGS[arch, bits], source, "-o", path)
        run(tool(arch, "objcopy"), "-O", "binary", "-j", ".text", path, flat)
        return np.frombuffer(Path(flat).read_bytes(), np.uint8).reshape(len(lines), -1)


def batch(values: list[int], size: int) -> Batch:
    """Relocations side by side, whose values are ``values`` when a row's value is S."""
    S = np.array(values, np.int64)
    zero = np.zeros_like(S)
    return Batch(offset=np.arange(S.size) * size, S=S, A=zero, P=zero, T=zero, B=zero, V=zero)


def valued_as_S(row: Reloc) -> Reloc:
    return row._replace(value=lambda b: b.S)


@pytest.mark.toolchain
@pytest.mark.parametrize(("arch", "bits", "row"), [*encodings()])
def test_places_are_those_that_gas_writes(arch: Arch, bits: int, row: Reloc) -> None:
    entry = encoding(arch, bits, row)
    expected = assembled(arch.name, bits, entry.preamble, tuple(text for _, text in entry.lines))
    values = [x for x, _ in entry.lines]
    size = expected.shape[1]
    assert size == size_of(row.field)
    for start in expected:  # whatever value the instruction had before
        image = np.tile(start, len(values))
        bad, _ = apply(image, valued_as_S(row), batch(values, size))
        assert [values[i] for i in bad] == []
        got = image.reshape(-1, size)
        assert [f"{x:#x}: {g.tobytes().hex(' ')}" for x, g in zip(values, got, strict=True)] == [
            f"{x:#x}: {e.tobytes().hex(' ')}" for x, e in zip(values, expected, strict=True)
        ]


@pytest.mark.toolchain
@pytest.mark.parametrize(("arch", "bits", "row"), [p for p in encodings() if not p.values[0].rela])
def test_addends_are_what_gas_wrote(arch: Arch, bits: int, row: Reloc) -> None:
    """Where a place holds less than the value, the ABI says what it reads as: see the addend's keys in the table."""
    entry = encoding(arch, bits, row)
    image = assembled(arch.name, bits, entry.preamble, tuple(text for _, text in entry.lines)).reshape(-1)
    values = [x for x, _ in entry.lines]
    assert row.field
    found = row.field.decode(load(image, row.field, np.arange(len(values)) * row.field.size))
    assert found.tolist() == [reads_as(x, text, entry.addend) for x, text in entry.lines]


def reads_as(x: int, text: str, entry: dict[str, Any]) -> int:
    """The addend of a place that the assembler filled with ``text``."""
    if "cases" in entry:  # the constant in the instruction
        constant = int(text[text.index("#") + 1 :].rstrip("]"), 0)
        return -constant if text.startswith("sub") else constant
    part: list[int] = entry.get("part", [0, entry.get("signed", entry.get("unsigned", 64))])
    low, width = part
    x = x >> low & (1 << width) - 1
    if "forward" in entry:  # aaelf32, "Addends and PC-bias compensation": the top 4 bytes stand for -4 to -1
        return (x + 4 & (1 << int(entry["forward"])) - 1) - 4
    return x if "unsigned" in entry or (width == 8 and "part" in entry) else x - ((x >> width - 1) << width)


@pytest.mark.parametrize(("arch", "bits", "row"), [*encodings()])
def test_what_does_not_fit_is_reported_and_not_written(arch: Arch, bits: int, row: Reloc) -> None:
    misfits = encoding(arch, bits, row).misfits
    check = row.check
    everything = check is None or (type(check) is Range and check.bits == 32 and check.high - check.low >= 1 << 32)
    assert bool(misfits) != everything
    size = size_of(row.field)
    for x in misfits:
        image = np.full(2 * size, 0xA5, np.uint8)
        bad, values = apply(image, valued_as_S(row), batch([0x1000 if "RVC_LUI" in row.name else 0, x], size))
        assert (bad.tolist(), values.tolist()) == ([1], [x])
        assert (image == 0xA5).all()


def size_of(field: Field | None) -> int:
    assert field is not None
    return field.size

"""What a relocation is, as data, and how all relocations of one type are applied at once.

An architecture (``llext_tools.arch``) is a table of ``Reloc`` rows. A row has the ABI's code, name and formula, a
function for the formula's value, a ``Field`` that says where the value's bits go, and the ``Range`` that it must be in.

The letters are the ABIs': S the symbol's address (Arm: without the Thumb bit), A the addend, P the place, T the
Thumb bit, V the value that the place holds, B the base of the region that holds S, TP the thread pointer.
All arithmetic is in int64 and is masked only when it is stored.
Source: gABI, "Relocation"; aaelf32 2024Q3, "Relocation operations"; RISC-V psABI 1.0, "Relocations".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llext_tools.bits import sext

I64: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]

NONE: I64 = np.zeros(0, np.int64)
ULEB128_LONGEST = 10  # bytes that hold 64 bits at 7 a byte


class Field(NamedTuple):
    """The bits of a place that a relocation reads and writes.

    ``unit`` is ``"<u1"``, ``"<u2"``, ``"<u4"``, ``"<u8"``, or ``"uleb128"`` for a number of as many bytes as it has.
    ``units`` of them follow one another and form one word, the first unit being the most significant (a Thumb
    instruction is two halfwords). A ULEB128 keeps its length: it holds a value modulo 2**(7 * length). Only the bits
    in ``mask`` change. ``encode`` turns a value into the word's bits, ``decode`` gets a REL addend back from a word;
    each takes and returns int64[n].
    """

    unit: str
    mask: int
    encode: Callable[[I64], I64]
    decode: Callable[[I64], I64]
    units: int = 1

    @property
    def size(self) -> int:
        """Bytes that are certainly written: of a ULEB128 the first one."""
        return 1 if self.unit == "uleb128" else int(self.unit[2:]) * self.units


@dataclass(frozen=True, slots=True)
class Range:
    """Values that fit: ``low <= x < high`` and ``x % align == 0``, where x counts modulo ``2**bits``."""

    low: int
    high: int
    align: int = 1
    bits: int = 64

    def misfits(self, x: I64) -> NDArray[np.bool_]:
        if self.bits == 64:
            bad = (x < self.low) | (x >= self.high)
        else:
            bad = (x - self.low & (1 << self.bits) - 1) >= self.high - self.low
        return bad | (x & (self.align - 1) != 0) if self.align > 1 else bad


class Batch(NamedTuple):
    """``n`` relocations of one type. ``offset`` (bytes into the image) is where to write, P the place's address."""

    offset: I64
    S: I64
    A: I64
    P: I64
    T: I64
    B: I64
    V: I64
    TP: int = 0


class Reloc(NamedTuple):
    """One row of an architecture's table.

    ``formula`` is the ABI's own text; ``value`` computes it. ``field`` is None for a row that writes nothing.
    ``order`` says what happens where several relocations share a place: ``plain`` rows are applied first, each
    writing its place; ``add`` rows then accumulate, so that their formula starts with V.
    ``pairs_with``: codes of the relocation whose S, A and P this row uses, found at the address that its own
    symbol names (RISC-V, PCREL_LO12).
    """

    code: int
    name: str
    formula: str
    value: Callable[[Batch], I64]
    field: Field | None
    check: Range | None
    order: Literal["plain", "add"] = "plain"
    pairs_with: tuple[int, ...] = ()


def load(image: Bytes, field: Field, offset: I64) -> I64:
    """The words at n offsets, as int64[n]; of a ULEB128 the number itself.

    Raises:
        IndexError: an offset lies outside the image (reading the object has excluded this).
    """
    if field.unit == "uleb128":
        return _load_uleb128(image, offset)[0]
    size = int(field.unit[2:])
    word = _read(image, offset, size)
    for unit in range(1, field.units):
        word = word << 8 * size | _read(image, offset + unit * size, size)
    return word


def store(image: Bytes, field: Field, offset: I64, word: I64) -> None:
    """Write n words as ``load()`` reads them. No two places may overlap."""
    if field.unit == "uleb128":
        _store_uleb128(image, offset, word)
        return
    size = int(field.unit[2:])
    for unit in reversed(range(field.units)):
        _write(image, offset + unit * size, size, word)
        word = word >> 8 * size


def apply(image: Bytes, reloc: Reloc, batch: Batch, *, in_place: bool = False) -> tuple[I64, I64]:
    """Write all ``n`` relocations of one type into ``image``, or none of them.

    Args:
        image: uint8[size], changed in place.
        batch: int64[n] each, see ``Batch``; V is read from the image here.
        in_place: the relocations come from a REL section: A is what each place holds, and ``batch.A`` is ignored.
    Returns:
        Indices (int64[k]) of the entries that do not fit, and their values (int64[k]). If k > 0, ``image`` is
        untouched.
    Raises:
        IndexError: an offset lies outside the image (reading the object has excluded this).
    Source: gABI, "Relocation".
    """
    field = reloc.field
    if field is None:
        return _misfits(reloc, reloc.value(batch)) if reloc.check else (NONE, NONE)
    offset = batch.offset
    if reloc.order == "add":
        delta = reloc.value(batch._replace(V=np.zeros_like(batch.S)))
        offset, share = np.unique(batch.offset, return_inverse=True)
        word = load(image, field, offset)
        x = field.decode(word.copy())  # the decoder of a plain number returns what it gets
        np.add.at(x, share, delta)  # several may add to one place
    else:
        word = load(image, field, offset)
        x = reloc.value(batch._replace(A=field.decode(word)) if in_place else batch)
    bad, values = _misfits(reloc, x)
    if not bad.size:
        store(image, field, offset, word & ~field.mask | field.encode(x) & field.mask)
    return bad, values


def _misfits(reloc: Reloc, x: I64) -> tuple[I64, I64]:
    """Indices and values of what does not fit, values that count modulo 2**32 as signed numbers."""
    bad = np.flatnonzero(reloc.check.misfits(x)) if reloc.check else np.zeros(0, np.int64)
    values = x[bad]
    return bad, sext(values, reloc.check.bits) if reloc.check and reloc.check.bits < 64 else values


def _read(image: Bytes, at: I64, size: int) -> I64:
    """Little-endian numbers of ``size`` bytes at n places of any alignment."""
    if size == 1:
        return image[at].astype(np.int64)
    if not (at & (size - 1)).any():
        whole = image[: image.size // size * size].view(f"<u{size}")
        return whole.take(at >> size.bit_length() - 1).astype(np.int64)
    half = size // 2
    return _read(image, at, half) | _read(image, at + half, half) << 8 * half


def _write(image: Bytes, at: I64, size: int, x: I64) -> None:
    if size == 1:
        image[at] = x.astype(np.uint8)
    elif not (at & (size - 1)).any():
        image[: image.size // size * size].view(f"<u{size}")[at >> size.bit_length() - 1] = x.astype(f"<u{size}")
    else:
        half = size // 2
        _write(image, at, half, x)
        _write(image, at + half, half, x >> 8 * half)


def _load_uleb128(image: Bytes, at: I64) -> tuple[I64, I64]:
    """Values and lengths in bytes, int64[n] each. A number that runs out of the image ends there."""
    value, length = np.zeros_like(at), np.zeros_like(at)
    going = np.ones(at.shape, bool)
    for i in range(ULEB128_LONGEST):
        going &= at + i < image.size
        byte = image[np.where(going, at + i, 0)].astype(np.int64)
        value |= np.where(going, (byte & 0x7F) << min(7 * i, 63), 0)
        length += going
        going &= byte >= 0x80
    return value, length


def _store_uleb128(image: Bytes, at: I64, value: I64) -> None:
    length = _load_uleb128(image, at)[1]
    for i in range(int(length.max(initial=0))):
        here = i < length
        more = np.where(i < length - 1, 0x80, 0)
        image[at[here] + i] = (value >> min(7 * i, 63) & 0x7F | more)[here].astype(np.uint8)

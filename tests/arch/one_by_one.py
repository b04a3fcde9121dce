"""Relocations by a row of the loader, each on its own, as plainly as it can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llext_tools.reloc import I64, Batch, Bytes, Reloc, load, store


def carry_out(image: Bytes, row: Reloc, at: I64, *, rela: bool, **letters: Any) -> NDArray[np.bool_]:
    """Relocate n places that do not overlap; ``letters`` are those of ``Batch``, int64[n] each.

    True for those that are refused: they are left as they are.
    """
    if row.field is None:
        return np.zeros(at.shape, bool)
    word = load(image, row.field, at)
    zero, V = np.zeros_like(at), row.field.decode(word.copy())
    batch = Batch(offset=at, S=zero, A=zero if rela else V, P=zero, T=zero, B=zero, V=V)
    x = row.value(batch._replace(**letters))
    bad = row.check.misfits(x) if row.check else np.zeros(at.shape, bool)
    new = word & ~row.field.mask | row.field.encode(x) & row.field.mask
    store(image, row.field, at[~bad], new[~bad])
    return bad

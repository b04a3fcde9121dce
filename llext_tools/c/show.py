"""Values as ``c.view.plain()`` gives them, compared with what a person writes, and shown as C would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llext_tools.c.call import escape, show_float
from llext_tools.c.types import CType
from llext_tools.c.values import Enumerator, Located, pack, scalar

SHOWN = 16  # elements of an array


def same(ctype: CType, mine: Any, other: Any) -> bool:
    """Whether ``other`` is what ``plain()`` gave as ``mine``: a dict or sequence for a structure, a text for chars."""
    if isinstance(other, Located):
        return bool(other == mine)
    if isinstance(mine, dict):
        record = ctype.record
        assert record is not None
        if isinstance(other, Mapping):
            return mine.keys() == other.keys() and all(
                same(record.by_name[name].type, each, other[name]) for name, each in mine.items()
            )
        if isinstance(other, str | bytes) or not isinstance(other, Sequence) or len(other) != len(mine):
            return False
        values = zip(mine.items(), other, strict=True)
        return all(same(record.by_name[name].type, each, theirs) for (name, each), theirs in values)
    if isinstance(mine, list):
        of = ctype.to
        assert of is not None
        if isinstance(other, str) or not isinstance(other, Sequence) or len(other) != len(mine):
            return False
        return all(same(of, each, theirs) for each, theirs in zip(mine, other, strict=True))
    if isinstance(mine, bytes) and isinstance(other, str | bytes | bytearray):
        text = other.encode() if isinstance(other, str) else bytes(other)
        return mine == (text.rstrip(b"\0") if ctype.kind == "array" else text)
    if isinstance(mine, Enumerator) and isinstance(other, str):
        return mine.name == other
    if ctype.kind == "float" and isinstance(other, int | float) and mine != other:
        try:
            return bool(mine == scalar(ctype, pack(ctype, other)))
        except OverflowError:
            return False
    return bool(mine == other)


def show(ctype: CType, value: Any) -> str:
    """A value as C would write it: ``{x: 1, y: 2}``."""
    if isinstance(value, dict):
        types = ctype.record.by_name if ctype.record else {}
        return "{" + ", ".join(f"{name}: {show(types[name].type, each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        of = ctype.to or ctype
        more = f", ... {len(value)} in all" if len(value) > SHOWN else ""
        return "[" + ", ".join(show(of, each) for each in value[:SHOWN]) + more + "]"
    if isinstance(value, bytes):
        return '"' + escape(value) + '"' if ctype.kind == "array" else f"{len(value)} bytes {value.hex(' ')}"
    if isinstance(value, float):
        return show_float(value, ctype.size)
    if isinstance(value, bool):
        return str(value).lower()
    if ctype.kind == "pointer":
        return f"{int(value):#x}" if value else "NULL"
    if isinstance(value, Enumerator):
        return value.name or str(int(value))
    return str(value)

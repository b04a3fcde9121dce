"""Interfaces as text: prototypes as C spells them, entries for tables, and the hash of what a symbol means.

An entry is what TOML and JSON can hold, here of a function and of the types that it reaches:

    sensor_read = { prototype = "int sensor_read(const struct sensor *s, uint32_t n)",
                    type = "fn(*struct sensor, u32) -> i32" }
    "struct sensor" = { size = 12, members = ["0 id: int = i32",
                                              "4.0:3 mode: unsigned int = u32",
                                              "8 next: struct sensor * = *struct sensor"] }
    "enum mode" = { size = 4, members = ["MODE_OFF = 0", "MODE_ON = 1"] }

A member is its offset in bytes, name, spelling and type; of a bit-field the bit in that byte and the width follow the
offset. What these forms cannot tell stands in lists: ``spelled`` has name and spelling of the result and of each
parameter, and a member has the fields of ``Member``.

``type_hash()`` is the beginning of the SHA-256 of a symbol's type and of the layouts that it reaches, in the order in
which they are reached: sizes, offsets and names of members and enumerators count; names of parameters and spellings do
not. A type that is incomplete counts by its tag alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from llext_tools.abi.notation import (
    CLOSING,
    Function,
    checked,
    complete,
    name_place,
    notation,
    plain,
    prototype,
    reached,
    shown,
    text_of,
)
from llext_tools.abi.types import Interface, Layout, Member, Param, Signature

HASHED = "llext interface 1"
"""Begins what is hashed: another one once notation or members are hashed in another way."""

KINDS: tuple[Literal["struct", "union", "enum"], ...] = ("struct", "union", "enum")
MOST_BYTES = {"struct": (1 << 63) - 1, "union": (1 << 63) - 1, "enum": 16}

Entry = dict[str, Any]
T = TypeVar("T")


# ---- what a symbol reaches


def closure(interface: Interface, names: Iterable[str]) -> Interface:
    """Those of ``names`` that are known, and the types that they reach."""
    symbols = {name: interface.symbols[name] for name in names if name in interface.symbols}
    return Interface(symbols, complete(symbols.values(), interface.types))


def type_hash(name: str, interface: Interface) -> str:
    """16 hexadecimal digits: equal where ``name`` means the same binary interface. ``""`` if nothing is known of it."""
    signature = interface.symbols.get(name)
    if signature is None:
        return ""
    text = notation(signature)
    lines = [HASHED, text]
    for tag in reached(text, interface.types):
        if layout := interface.types.get(tag):
            lines.append(f"{layout.kind} {tag} {layout.size}")
            lines += (f"{m.offset} {m.bits} {m.type} {m.name}" for m in layout.members)
    # which of two types of one tag is `#2` depends on what else was asked for
    return hashlib.sha256(plain("\n".join(lines)).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def incomplete(name: str, interface: Interface) -> list[str]:
    """The types that ``name`` reaches and whose layout is not known."""
    signature = interface.symbols.get(name)
    text = notation(signature) if signature else ""
    return [tag for tag in reached(text, interface.types) if tag not in interface.types]


# ---- C


_LAST = re.compile(r"(.*[\s*&])([A-Za-z_$][\w$]*)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_$][\w$:]*")
_QUALIFIERS = frozenset(("const", "volatile", "restrict", "_Atomic", "struct", "union", "enum", "class"))
_SPECIFIERS = frozenset(
    ("void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "_Bool", "bool", "_Complex")
)


def undeclared(text: str) -> tuple[str, str]:
    """Name and spelling of what ``declared()`` has put together, as far as that can be told."""
    at = name_place(text)
    if at < len(text) and text[at - 1 : at + 1] != " [" and (word := _WORD.match(text, at)):  # int (*f)(void)
        return word[0], text[:at].rstrip(" ") + text[word.end() :]
    head, array = text[:at], text[at:]
    last = _LAST.fullmatch(head)
    if last is None or last[2] in _QUALIFIERS | _SPECIFIERS or not set(_WORD.findall(last[1])) - _QUALIFIERS:
        return "", text
    return last[2], _joined(last[1], array)


def _joined(before: str, after: str) -> str:
    """A spelling without the name that stood between."""
    return before.rstrip(" ") + (f" {after}" if after.startswith("[") else after)


def _split(text: str) -> tuple[list[str], int]:
    """The parameters in the pair of parentheses that ``text`` begins with, and where that ends."""
    parts: list[str] = []
    inside: list[str] = []
    start = 1
    for i, c in enumerate(text):
        if c in CLOSING:
            inside.append(CLOSING[c])
        elif inside and c == inside[-1]:
            inside.pop()
            if not inside:
                return [*parts, text[start:i].strip()], i
        elif c == "," and len(inside) == 1:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts, len(text)


# ---- entries of documents


def signature_entry(name: str, signature: Signature) -> Entry:
    """The keys ``prototype`` and ``type`` of a symbol, and ``spelled`` if it takes that to get ``signature`` back.

    Without ``type`` if that is not in the notation.
    """
    declaration, text = prototype(name, signature), notation(signature)
    params = [[param.name, param.spelling] for param in signature.params or ()]
    spelled = [["", signature.spelling], *params]
    short = {"prototype": declaration, "type": text}
    for entry in (short, {**short, "spelled": spelled}):
        if _reads(read_signature, name, entry) == signature:
            return entry
    return {"prototype": declaration}


def _reads(read: Callable[[str, Any], T], name: str, entry: object) -> T | None:
    try:
        return read(name, entry)
    except ValueError:
        return None


def read_signature(name: str, entry: Mapping[str, Any]) -> Signature:
    """Of an entry with a ``type``: what ``signature_entry()`` has written.

    Raises:
        ValueError: it is malformed.
    """
    text = entry.get("type")
    if not isinstance(text, str):
        raise ValueError(f"expected a type as text, found `{shown(str(text))}`")
    meant = checked(text)
    is_function, spelled = isinstance(meant, Function), entry.get("spelled")
    names = _names(spelled) if spelled is not None else _names_of(name, entry.get("prototype") or "", is_function)
    if not isinstance(meant, Function):
        return Signature(text, names[0][1] if names else "", None)
    if names and len(names) != len(meant.params) + 1:
        raise ValueError(f"the prototype has {len(names) - 1} parameters, and the type {len(meant.params)}")
    spelling, *rest = names or [("", "")] * (len(meant.params) + 1)
    params = (Param(n, text_of(t), s) for (n, s), t in zip(rest, meant.params, strict=True))
    return Signature(text_of(meant.result), spelling[1], tuple(params), meant.variadic)


def _names(spelled: object) -> list[tuple[str, str]]:
    if not isinstance(spelled, list) or not spelled:
        raise ValueError("`spelled` is no list of a name and a spelling each")
    for pair in spelled:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ValueError("`spelled` is no list of a name and a spelling each")
    return [(name, spelling) for name, spelling in spelled]


def _names_of(name: str, text: str, is_function: bool) -> list[tuple[str, str]]:
    """Name and spelling of the result of a prototype and of each parameter; none without a prototype."""
    if not isinstance(text, str):
        raise ValueError(f"expected a prototype as text, found `{shown(str(text))}`")
    if not text:
        return []
    at = _find_word(text, name)
    if at < 0:
        raise ValueError(f"the prototype `{shown(text)}` declares no `{shown(name)}`")
    before, after = text[:at], text[at + len(name) :]
    if not is_function:
        return [("", _joined(before, after))]
    parts, end = _split(after) if after.startswith("(") else ([], len(after))
    if not after.startswith(")", end):
        raise ValueError(f"the type is a function's, but not the prototype `{shown(text)}`")
    params = [undeclared(param) for param in parts if param not in ("void", "...", "")]
    return [("", _joined(before, after[end + 1 :])), *params]


def _find_word(text: str, word: str) -> int:
    """Where ``word`` stands in ``text`` and is not part of a longer one; -1 if nowhere."""
    at = text.find(word)
    while at >= 0 and (_in_word(text[at - 1 : at]) or _in_word(text[at + len(word) : at + len(word) + 1])):
        at = text.find(word, at + 1)
    return at


def _in_word(c: str) -> bool:
    return c.isalnum() or c in ("_", "$", ".")


_MEMBER = re.compile(r"(\d+)(?:\.([0-7]):(\d+))? (.*?): (.*) = (.*)", re.DOTALL)
_ENUMERATOR = re.compile(r"(.*) = (-?\d+)", re.DOTALL)
MOST_DIGITS = 40  # of a number in a member: Python refuses some thousands, and no machine has any


def types_entry(types: Mapping[str, Layout]) -> dict[str, Entry]:
    """An entry for each type; those that are not in the notation are left out."""
    entries = {tag: layout_entry(layout) for tag, layout in types.items()}
    return {tag: entry for tag, entry in entries.items() if _reads(read_layout, tag, entry) == types[tag]}


def layout_entry(layout: Layout) -> Entry:
    """The keys ``size`` and ``members``."""
    return {"size": layout.size, "members": [_member_text(layout, member) for member in layout.members]}


def _member_text(layout: Layout, member: Member) -> str | list[str | int]:
    if layout.kind == "enum":
        text = f"{member.name} = {member.offset}"
    else:
        at = f"{member.offset // 8}.{member.offset % 8}:{member.bits}" if member.bits else str(member.offset)
        text = f"{at} {member.name}: {member.spelling} = {member.type}"
    return text if _reads(_read_member, layout.kind, text) == member else [*member]


def read_layout(tag: str, entry: object) -> Layout:
    """The layout of ``struct tag``: what ``layout_entry()`` has written.

    Raises:
        ValueError: it is malformed.
    """
    kind = next((kind for kind in KINDS if tag.startswith(f"{kind} ")), None)
    if kind is None or checked(tag) != tag:
        raise ValueError("expected `struct`, `union` or `enum` and a tag")
    if not isinstance(entry, dict) or entry.keys() - {"size", "members"}:
        raise ValueError("expected `size` and `members`")
    size, members = entry.get("size"), entry.get("members", [])
    if type(size) is not int or not 0 <= size <= MOST_BYTES[kind]:
        raise ValueError(f"expected a size in bytes, found `{shown(str(size))}`")
    if not isinstance(members, list):
        raise ValueError("expected a list of members")
    return Layout(kind, size, tuple(_read_member(kind, member) for member in members))


def _read_member(kind: str, member: object) -> Member:
    if isinstance(member, list) and [type(field) for field in member] == [str, int, str, str, int]:
        found = Member(*member)
    elif isinstance(member, str) and kind == "enum" and (line := _ENUMERATOR.fullmatch(member)):
        found = Member(line[1], _number(line[2]), "", "")
    elif isinstance(member, str) and kind != "enum" and (line := _MEMBER.fullmatch(member)):
        at, bits = _number(line[1]), _number(line[3] or "0")
        if line[3] and not bits:
            raise ValueError("a bit-field of no bits")
        found = Member(line[4], at * 8 + int(line[2]) if bits else at, line[6], line[5], bits)
    else:
        form = "NAME = 1" if kind == "enum" else "4 name: int = i32"
        raise ValueError(f"expected a member such as `{form}`, found `{shown(str(member))}`")
    if found.type or kind != "enum":
        checked(found.type)
    return found


def _number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)

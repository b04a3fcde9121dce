"""The notation of ``abi.types`` taken apart: what a type consists of, which tags it names, how C spells it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from llext_tools.abi.types import Member, Signature

DEEPEST = 50
"""No type of a program has more pointers, arrays and functions around each other."""

TAGGED = ("struct ", "union ", "enum ")


class Pointer(NamedTuple):
    to: Type


class Array(NamedTuple):
    of: Type
    length: int | None  # None if nobody knows


class Function(NamedTuple):
    """``params`` empty and ``variadic``: a function without a prototype, which agrees with any other."""

    result: Type
    params: tuple[Type, ...]
    variadic: bool


Type: TypeAlias = "Pointer | Array | Function | str"
"""A text is a scalar such as ``u32``, or a tag such as ``struct sensor``."""


@lru_cache(maxsize=8192)
def parse(text: str) -> Type:
    """A type in the notation.

    Raises:
        ValueError: the text is not in the notation.
    """
    found, end = _parse(text, 0, 0)
    if end != len(text):
        raise ValueError(f"unexpected text in a type: {text[end:]!r}")
    return found


def tags(text: str) -> Iterator[str]:
    """The tags in a type, from left to right: ``struct sensor``."""
    waiting = [parse(text)]
    while waiting:
        match waiting.pop():
            case Pointer(inner) | Array(inner, _):
                waiting.append(inner)
            case Function(result, params, _):
                waiting += [result, *reversed(params)]
            case str() as leaf if is_tag(leaf):
                yield leaf


def is_tag(leaf: str) -> bool:
    return leaf.startswith(TAGGED)


def plain(tag: str) -> str:
    """A tag without the mark that tells types of one tag apart: ``struct sensor#2`` is a ``struct sensor``."""
    return re.sub(r"#\d+", "", tag)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A type with other tags in it."""
    if not names:
        return text
    either = "|".join(re.escape(tag) for tag in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w.])(?:{either})(?=$|, |\))", lambda found: names[found[0]], text)


def declared(spelling: str, name: str) -> str:
    """A declaration in C: ``int (*cb)(void *)`` from the type ``int (*)(void *)``."""
    if not name:
        return spelling
    at = name_place(spelling)
    before, after = spelling[:at].rstrip(" "), spelling[at:].lstrip(" ")
    return before + ("" if before.endswith(("*", "&", "(")) else " ") + name + after


_INNER = re.compile(r"\((?:[\w:]+::)?[*&](?:[*&\s]|\b(?:const|volatile|restrict|_Atomic)\b)*")
_ARRAY = re.compile(r"\s*\[")


def name_place(spelling: str) -> int:
    """Where C puts the name that a type declares: in the innermost pair of parentheses, else before ``[``."""
    found = _INNER.search(spelling)
    if found and not _within_template(spelling, found.start()):
        while inner := _INNER.match(spelling, found.end()):
            found = inner
        return found.end()
    array = _ARRAY.search(spelling)
    return array.start() if array and not _within_template(spelling, array.start()) else len(spelling)


def _within_template(text: str, at: int) -> bool:
    return text.count("<", 0, at) > text.count(">", 0, at)


def prototype(name: str, signature: Signature) -> str:
    """A symbol's declaration as C has it."""
    if signature.params is None:
        return declared(signature.spelling, name)
    params = [declared(param.spelling, param.name) for param in signature.params]
    if signature.variadic and params:
        params.append("...")
    listed = ", ".join(params) or ("" if signature.variadic else "void")
    return declared(signature.spelling, f"{name}({listed})")


def member_text(member: Member) -> str:
    """A member's declaration as C has it: ``unsigned mode : 3``."""
    return declared(member.spelling, member.name) + (f" : {member.bits}" if member.bits else "")


def _parse(text: str, at: int, depth: int) -> tuple[Type, int]:
    if depth > DEEPEST:
        raise ValueError("a type is nested too deep")
    if text.startswith("*", at):
        inner, at = _parse(text, at + 1, depth + 1)
        return Pointer(inner), at
    if text.startswith("[", at):
        close = text.index("]", at)
        count = int(text[at + 1 : close]) if close > at + 1 else None
        inner, at = _parse(text, close + 1, depth + 1)
        return Array(inner, count), at
    if text.startswith("fn(", at):
        return _function(text, at + 3, depth)
    end = _end(text, at)
    if end == at:
        raise ValueError(f"a type is missing in {text!r}")
    return text[at:end], end


def _function(text: str, at: int, depth: int) -> tuple[Function, int]:
    params: list[Type] = []
    variadic = False
    while not text.startswith(")", at):
        if text.startswith("...", at):
            variadic, at = True, at + 3
        else:
            param, at = _parse(text, at, depth + 1)
            params.append(param)
        at += 2 * text.startswith(", ", at)
        if at >= len(text):
            raise ValueError(f"a function is not closed in {text!r}")
    if not text.startswith(") -> ", at):
        raise ValueError(f"a function has no result in {text!r}")
    result, at = _parse(text, at + 5, depth + 1)
    return Function(result, tuple(params), variadic), at


def _end(text: str, at: int) -> int:
    """Where a scalar or a tag ends: templates have commas and parentheses of their own."""
    depth = 0
    for i in range(at, len(text)):
        c = text[i]
        if c in "<([{":
            depth += 1
        elif c in ">)]}":
            if not depth:
                return i
            depth -= 1
        elif c == "," and not depth:
            return i
    return len(text)

"""The notation of ``abi.types`` taken apart: what a type consists of, which tags it names, how C spells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from llext_tools.abi.types import Layout, Member, Signature

SHOWN = 40  # characters of what is wrong
LONGEST = 20  # digits of a length: no array has more elements
DEEPEST = 50
"""No type of a program has more pointers, arrays and functions around each other."""

TAGGED = ("struct ", "union ", "enum ")
SCALAR = re.compile(r"void|[a-z]+\d+")
CLOSING = {"(": ")", "[": "]", "<": ">", "{": "}"}


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
        raise ValueError(f"unexpected `{shown(text[end:])}` behind a type")
    return found


def checked(text: str) -> Type:
    """A type that somebody may have written by hand, with nothing in it but tags and scalars.

    Raises:
        ValueError: as ``parse()``; or a word is neither of the two.
    """
    found = parse(text)
    for leaf in _leaves(found):
        if leaf in TAGGED:
            raise ValueError(f"`{leaf.rstrip()}` without a tag")
        if not is_tag(leaf) and not SCALAR.fullmatch(leaf):
            raise ValueError(f"expected a type, found `{shown(leaf)}`")
    return found


def shown(text: str) -> str:
    """The beginning of a long text, for a message."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def text_of(value: Type) -> str:
    """The notation of a type that ``parse()`` took apart."""
    match value:
        case Pointer(to):
            return f"*{text_of(to)}"
        case Array(of, length):
            return f"[{'' if length is None else length}]{text_of(of)}"
        case Function(result, params, variadic):
            return f"fn({', '.join([*map(text_of, params), *(['...'] if variadic else [])])}) -> {text_of(result)}"
    return value


def notation(signature: Signature) -> str:
    """``fn(*u8, u32, ...) -> i32``, or a variable's type."""
    if signature.params is None:
        return signature.result
    params = [param.type for param in signature.params] + ["..."] * signature.variadic
    return f"fn({', '.join(params)}) -> {signature.result}"


def function(signature: Signature) -> Function | None:
    """The function of a signature; None of a variable."""
    if signature.params is None:
        return None
    params = tuple(parse(param.type) for param in signature.params)
    return Function(parse(signature.result), params, signature.variadic)


def callback(value: Type) -> Function | None:
    """The function that a pointer, or a pointer to pointers, leads to; None if it leads elsewhere."""
    while isinstance(value, Pointer | Array):
        value = value.to if isinstance(value, Pointer) else value.of
    return value if isinstance(value, Function) else None


def tags(text: str) -> tuple[str, ...]:
    """The tags in a type, from left to right: ``struct sensor``. None if the text is not in the notation."""
    try:
        return tuple(filter(is_tag, _leaves(parse(text)))) if " " in text else ()
    except ValueError:
        return ()


def reached(text: str, types: Mapping[str, Layout]) -> Iterator[str]:
    """The tags that a type reaches, also through pointers, each once: what is nearer comes first."""
    queue = [*dict.fromkeys(tags(text))]
    seen = set(queue)
    for tag in queue:  # grows as it is read
        yield tag
        for member in types[tag].members if tag in types else ():
            for inner in tags(member.type):
                if inner not in seen:
                    seen.add(inner)
                    queue.append(inner)


def complete(signatures: Iterable[Signature], types: Mapping[str, Layout]) -> dict[str, Layout]:
    """Those of ``types`` that several signatures reach."""
    return complete_tags((tag for signature in signatures for tag in tags(notation(signature))), types)


def complete_tags(roots: Iterable[str], types: Mapping[str, Layout]) -> dict[str, Layout]:
    """Those of ``types`` that ``roots`` name, and all that they reach."""
    found: dict[str, Layout] = {}
    queue = [*roots]
    for tag in queue:  # grows as it is read
        if tag in types and tag not in found:
            found[tag] = types[tag]
            queue += [inner for member in found[tag].members for inner in tags(member.type)]
    return found


def _leaves(value: Type) -> Iterator[str]:
    """The scalars and tags in a type, from left to right."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case Pointer(inner) | Array(inner, _):
                waiting.append(inner)
            case Function(result, params, _):
                waiting += [result, *reversed(params)]
            case str() as leaf:
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
        raise ValueError("a type that is nested too deeply")
    if text.startswith("*", at):
        inner, at = _parse(text, at + 1, depth + 1)
        return Pointer(inner), at
    if text.startswith("[", at):
        length, close, _ = text[at + 1 :].partition("]")
        if not close or len(length) > LONGEST or not (length or "0").isdecimal():
            raise ValueError(f"expected a length and `]`, found `{shown(text[at + 1 :])}`")
        inner, at = _parse(text, at + len(length) + 2, depth + 1)
        return Array(inner, int(length) if length else None), at
    if text.startswith("fn(", at):
        return _function(text, at + 3, depth)
    end = _end(text, at)
    if end == at:
        raise ValueError(f"expected a type, found `{shown(text[at:])}`")
    return text[at:end], end


def _function(text: str, at: int, depth: int) -> tuple[Function, int]:
    params: list[Type] = []
    variadic = False
    while not text.startswith(")", at):
        if text.startswith("...", at):
            variadic, at = True, at + 3
            break
        param, at = _parse(text, at, depth + 1)
        params.append(param)
        at += 2 * text.startswith(", ", at)
        if at >= len(text):
            raise ValueError(f"a function is not closed: `{shown(text)}`")
    if not text.startswith(") -> ", at):
        raise ValueError(f"a function without `-> ` and its result: `{shown(text)}`")
    result, at = _parse(text, at + 5, depth + 1)
    return Function(result, tuple(params), variadic), at


def _end(text: str, at: int) -> int:
    """Where a scalar or a tag ends: templates have commas and parentheses of their own."""
    inside: list[str] = []
    for i in range(at, len(text)):
        c = text[i]
        if c in CLOSING:
            inside.append(CLOSING[c])
        elif inside and c == inside[-1]:
            inside.pop()
        elif not inside and c in ",)":
            return i
    return len(text)

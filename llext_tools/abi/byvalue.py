"""What a value consists of when it is passed by value: the scalars in it, whatever structures are around them.

Procedure call standards decide by these whether a value travels in FPU registers.
"""

from __future__ import annotations

from collections.abc import Mapping

from llext_tools.abi.types import Layout, Param, Signature

MOST = 8  # scalars that are told apart: no standard passes more than four in registers
UNKNOWN = "?"  # a type that is incomplete
UNION = "union"  # in front of what a union holds


def scalars(text: str, types: Mapping[str, Layout], depth: int = 0) -> tuple[str, ...]:
    """The first scalars of a type in the notation of ``abi.types``, in the order of memory.

    A union gives ``UNION`` and then the most that one of its members has, if they all are of one kind.
    """
    count, text = array(text)
    if count != 1:
        return (scalars(text, types, depth) * min(count, MOST))[: MOST + 1]
    kind, _, _ = text.partition(" ")
    if kind not in ("struct", "union", "enum"):
        return () if text == "void" else (text,)
    if kind == "enum":
        return ("i32",)
    layout = types.get(text)
    if layout is None or depth > MOST:
        return (UNKNOWN,)
    found = [scalars(member.type, types, depth + 1) for member in layout.members]
    if layout.kind == "union":
        alike = len({scalar for each in found for scalar in each}) == 1
        return (UNION, *(max(found, key=len) if alike else (UNKNOWN,)))
    return tuple(scalar for each in found for scalar in each)[: MOST + 1]


def array(text: str) -> tuple[int, str]:
    """How many elements, of which type; 1 and the type itself if it is no array, 0 elements if that is not known."""
    count = 1
    while text.startswith("["):
        number, _, text = text[1:].partition("]")
        count *= int(number or 0)
    return count, text


def pointee(text: str) -> str:
    """What is left of a type without pointers and arrays around it."""
    while text.startswith(("*", "[")):
        text = text[1:] if text.startswith("*") else array(text)[1]
    return text


def function(text: str) -> Signature | None:
    """The function that a pointer, or a pointer to pointers, leads to; None if it leads elsewhere."""
    text = pointee(text)
    if not text.startswith("fn("):
        return None
    parts, result = _split(text.removeprefix("fn("))
    params = tuple(Param("", part, "") for part in parts if part != "...")
    return Signature(result, "", params, "..." in parts)


def _split(text: str) -> tuple[list[str], str]:
    """``i32, *fn(f32) -> void) -> f64``: what stands between commas up to the parenthesis, and what follows it."""
    depth, start, parts = 0, 0, []
    for i, character in enumerate(text):
        if character in "(<":
            depth += 1
        elif character in ")>" and depth and text[i - 1] != "-":
            depth -= 1
        elif character in ",)" and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
            if character == ")":
                break
    return [part for part in parts if part], text[start:].strip().removeprefix("->").strip() or "void"

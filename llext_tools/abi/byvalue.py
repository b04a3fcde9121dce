"""What a value consists of when it is passed by value: the scalars in it, whatever structures are around them.

Procedure call standards decide by these whether a value travels in FPU registers.
"""

from __future__ import annotations

from collections.abc import Mapping

from llext_tools.abi.notation import Array, Function, Pointer, Type, is_tag, parse
from llext_tools.abi.types import Layout, Signature

MOST = 8  # scalars that are told apart: no standard passes more than four in registers
DEEPEST = 20  # structures in each other
POINTER = "*"
UNKNOWN = "?"  # a type that is incomplete
UNION = "union"  # in front of what a union holds


def scalars(value: Type, types: Mapping[str, Layout], depth: int = 0) -> tuple[str, ...]:
    """The first scalars of a type, in the order of memory.

    A union gives ``UNION`` and then the most that one of its members has, if they all are of one kind.
    """
    match value:
        case Pointer():
            return (POINTER,)
        case Array(of, length):
            return (scalars(of, types, depth) * min(length or 0, MOST))[: MOST + 1]
        case Function():
            return (UNKNOWN,)
    if not is_tag(value):
        return () if value == "void" else (value,)
    if value.startswith("enum "):
        return ("i32",)
    layout = types.get(value)
    if layout is None or depth > DEEPEST:
        return (UNKNOWN,)
    found = [scalars(parse(member.type), types, depth + 1) for member in layout.members]
    if layout.kind == "union":
        alike = len({scalar for each in found for scalar in each}) == 1
        return (UNION, *(max(found, key=len) if alike else (UNKNOWN,)))
    return tuple(scalar for each in found for scalar in each)[: MOST + 1]


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

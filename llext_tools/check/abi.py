"""Rules about the interface between extension and firmware: how functions are called and how data is laid out.

Nothing on the board compares these. Where they differ, arguments arrive as garbage and members are read at wrong
offsets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from llext_tools.abi.compare import Comparison, Difference, Side
from llext_tools.abi.extension import extension_interfaces, extension_types
from llext_tools.abi.notation import complete, plain, prototype
from llext_tools.abi.text import incomplete
from llext_tools.abi.types import Interface, Signature
from llext_tools.check.cpu import enums_differ, machine
from llext_tools.check.subject import Rule, Sides, Subject
from llext_tools.diag import Diagnostic, number

SHOWN = 3  # imports that reach a type, and members that one side lacks
UNCHECKED = "nothing on the board checks this"
HELP = "build the extension against the headers of this firmware"


def read_sides(subject: Subject) -> Sides:
    """What both sides say of the imports, read once for all rules; of the extension nothing if the firmware is silent.

    A hash tells nothing about a type that the extension knows by its tag alone.
    """
    if subject.firmware is None or not subject.imports or any(machine(subject)):
        return Sides()
    firmware, stated = subject.firmware.interface(subject.imports), subject.firmware.hashes(subject.imports)
    if not firmware.symbols and not stated:
        return Sides()
    extension = tuple(extension_interfaces(subject.obj, [*firmware.symbols, *stated]))
    described = {name for side in extension for name in side.symbols if name in firmware.symbols}
    described |= {name for name in extension[0].symbols if name in stated and not incomplete(name, extension[0])}
    return Sides(firmware, extension, stated, tuple(name for name in subject.imports if name in described))


def interfaces(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-prototype`` and ``abi-layout``: an import is not what the extension takes it for.

    One diagnostic for each cause: a type that five imports reach is named once, with them.
    """
    firmware = subject.sides.firmware
    if not firmware.symbols:
        return
    causes: dict[tuple[object, ...], tuple[Interface, dict[str, Difference]]] = {}
    known = enums_differ(subject)  # then the compiler's flag is the cause, and ``abi-enum-size`` says so
    for extension in _extension(subject, firmware):
        comparison = Comparison(extension, firmware)
        for name in subject.imports:
            for difference in comparison.differences(name):
                if known and difference.what == "size" and difference.tag.startswith("enum "):
                    continue
                causes.setdefault(difference.cause, (extension, {}))[1].setdefault(name, difference)
    for extension, by_import in causes.values():
        first, *_ = found = list(by_import.values())
        if first.tag or first.what == "variable":
            yield _layout(subject, found)
        else:
            yield _prototype(subject, first, extension.symbols[first.name], firmware.symbols[first.name])


def _extension(subject: Subject, firmware: Interface) -> list[Interface]:
    """What the extension knows of its imports; several values if its source files do not agree.

    Some compilers describe no function that they only call. Such an import counts as what the firmware has, with the
    types that the extension knows under the same tags.
    """
    known, *further = subject.sides.extension
    lacking = {name: signature for name, signature in firmware.symbols.items() if name not in known.symbols}
    if lacking:
        tags = {plain(tag) for tag in complete(lacking.values(), firmware.types)}
        types = extension_types(subject.obj, tags)
        known = Interface({**known.symbols, **lacking}, {**types, **known.types})
    return [known, *further]


def _prototype(subject: Subject, d: Difference, extension: Signature, firmware: Signature) -> Diagnostic:
    theirs = _name_of_firmware(subject)
    a, b = _spelled(d.extension, d.firmware)
    match d.what:
        case "kind":
            kind = "a function", "a variable"
            swap = firmware.params is not None
            text = f"`{d.name}` is {kind[swap]} in the extension, {kind[not swap]} in {theirs}"
        case "count":
            n, m = d.extension.offset, d.firmware.offset
            text = f"`{d.name}` has {number(n or 0, 'parameter')} in the extension, {m} in {theirs}"
        case "variadic":
            a, b = ("any number", "a fixed number")[:: 1 if extension.variadic else -1]
            text = f"`{d.name}` takes {a} of arguments in the extension, {b} in {theirs}"
        case "result":
            text = f"`{d.name}` returns {a} in the extension, {b} in {theirs}"
        case _:
            name = f" `{d.member}`" if d.member else ""
            text = f"parameter {d.number}{name} of `{d.name}` is {a} in the extension, {b} in {theirs}"
    width = max(len("extension"), len(theirs)) + 1
    detail = (
        f"{'extension:':{width}} {prototype(d.name, extension)}",
        f"{theirs + ':':{width}} {prototype(d.name, firmware)}",
    )
    return Diagnostic(
        "abi-prototype", text, location=subject.use_of(d.name), detail=detail, notes=(UNCHECKED,), help=HELP
    )


def _layout(subject: Subject, found: Sequence[Difference]) -> Diagnostic:
    d, theirs = found[0], _name_of_firmware(subject)
    a, b = _spelled(d.extension, d.firmware)
    n, m = d.extension, d.firmware
    unit = "bit" if d.what == "offset" and " : " in n.spelling else "offset"
    match d.what:
        case "variable":
            text = f"`{d.name}` is {a} in the extension, {b} in {theirs}"
        case "offset":
            text = f"`{d.tag}` has `{d.member}` at {unit} {n.offset} in the extension, at {unit} {m.offset} in {theirs}"
        case "type" | "bits":
            text = f"`{d.tag}` has {a} in the extension, {b} in {theirs}"
        case "missing":
            text = f"`{d.tag}` has `{d.member}` at offset {n.offset} in the extension, not at all in {theirs}"
        case "added":
            text = f"`{d.tag}` has `{d.member}` at offset {m.offset} in {theirs}, not at all in the extension"
        case "value":
            text = f"`{d.tag}` has `{d.member}` as {n.offset} in the extension, as {m.offset} in {theirs}"
        case "sort":
            text = f"`{d.tag}` is a {n.spelling} in the extension, a {m.spelling} in {theirs}"
        case _:
            here, there = number(n.size or 0, "byte"), number(m.size or 0, "byte")
            text = f"`{d.tag}` has {here} in the extension, {there} in {theirs}"
    notes = (*_reached_by(found), UNCHECKED)
    return Diagnostic(
        "abi-layout", text, location=subject.use_of(d.name), detail=_figures(d, theirs), notes=notes, help=HELP
    )


def _figures(d: Difference, theirs: str) -> tuple[str, ...]:
    """What else tells the two sides apart: sizes, members that only one has, how many members differ."""
    lines = []
    if d.what not in ("size", "variable") and None not in (d.extension.size, d.firmware.size):
        sizes = d.extension.size, d.firmware.size
        lines.append(
            f"{number(sizes[0] or 0, 'byte')} in both"
            if sizes[0] == sizes[1]
            else f"{number(sizes[0] or 0, 'byte')} in the extension, {number(sizes[1] or 0, 'byte')} in {theirs}"
        )
    for side, where in ((d.extension, "the extension"), (d.firmware, theirs)):
        if side.only:
            more = f" and {len(side.only) - SHOWN} more" if len(side.only) > SHOWN else ""
            lines.append(f"only in {where}: {', '.join(side.only[:SHOWN])}{more}")
    if d.more:
        what = "enumerator" if d.what == "value" else "member"
        lines.append(f"{d.more} more {what} differs" if d.more == 1 else f"{d.more:,} more {what}s differ")
    return tuple(lines)


def _reached_by(found: Sequence[Difference]) -> Iterator[str]:
    """By which imports the extension comes to a type: three, then how many more."""
    if not found[0].tag:
        return
    ways = []
    for d in found[:SHOWN]:
        way = ": ".join(part for part in (d.root, f"`{d.path}`" if d.path not in ("", d.name) else "") if part)
        ways.append(f"`{d.name}`" + (f" ({way})" if way else ""))
    if len(found) > SHOWN:
        ways.append(number(len(found) - SHOWN, "more import"))
    how = "reached by" if any(d.by_value for d in found) else "reached through pointers only, by"
    yield f"{how} {', '.join(ways[:-1])} and {ways[-1]}" if len(ways) > 1 else f"{how} {ways[0]}"


def _spelled(ours: Side, theirs: Side) -> tuple[str, str]:
    """Both types as C has them, with what they mean where C has the same words for both."""
    if ours.spelling != theirs.spelling:
        return f"`{ours.spelling}`", f"`{theirs.spelling}`"
    return f"`{ours.spelling}` ({ours.type})", f"`{theirs.spelling}` ({theirs.type})"


def _name_of_firmware(subject: Subject) -> str:
    assert subject.firmware is not None
    source = subject.firmware.exports.source
    return "the firmware" if ", " in source else os.path.basename(source)


RULES: tuple[Rule, ...] = (interfaces,)

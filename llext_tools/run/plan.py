"""What to call: expressions and prototypes to functions with addresses, and the types of their arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from llext_tools.abi.extension import disregarded
from llext_tools.arch.base import Arch
from llext_tools.c.call import Call, check_arguments, parse_call, symbols_in
from llext_tools.c.types import CType, Prototype
from llext_tools.diag import Diagnostic, Location, Reporter, fail
from llext_tools.elf import structs as elf
from llext_tools.elf.debug import statics
from llext_tools.link.image import Image
from llext_tools.run.described import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A call that can be made: the function's address with the Thumb bit, and the types of all arguments."""

    call: Call
    address: int
    prototype: Prototype
    types: tuple[CType, ...]
    symbols: Mapping[str, int]


def plan(
    images: Sequence[Image],
    calls: Iterable[str],
    prototypes: Iterable[str],
    described: Described,
    reporter: Reporter,
) -> tuple[Step, ...]:
    """Calls with addresses and types.

    Raises:
        UsageError: ``call-syntax``, ``call-unknown`` or ``prototype-syntax``.
    """
    arch, model = described.arch, described.model
    parsed = [parse_call(text) for text in calls]
    given = {p.name: p for p in map(described.given, prototypes)}
    found = {name: find_function(images, name, reporter) for name in dict.fromkeys(call.function for call in parsed)}
    places = {name: place for name, place in found.items() if name not in given}
    known = _from_debug_info(places, described) | given
    steps = []
    for call in parsed:
        prototype = known.get(call.function)
        types = check_arguments(call, prototype, model)
        if prototype is None:
            prototype = Prototype(call.function, model.types["int"], types)
            text = f"the prototype of `{call.function}` is not known: called as `{prototype}`, by the literals"
            advice = "give `--prototype`, or keep the extension's `.json` or `.debug.elf` beside it"
            image = found[call.function][0]
            notes = tuple(filter(None, [disregarded(image.obj)]))
            at = Location(image.path)
            reporter.add([Diagnostic("call-guessed", text, "warning", at, notes=notes, help=advice)])
        symbols = {name: find_symbol(images, name, call.text, arch) for name in symbols_in(call.arguments)}
        address = found[call.function][1]
        steps.append(Step(call=call, address=address, prototype=prototype, types=types, symbols=symbols))
    return tuple(steps)


def _from_debug_info(places: Mapping[str, tuple[Image, int]], described: Described) -> dict[str, Prototype]:
    """Prototypes under the exported names: those of the functions at the addresses, whatever their own names are.

    A manifest has them by the exported names.
    """
    found = {}
    for name, (image, address) in places.items():
        known = described.of(image)
        for alias in (*_functions_at(image, address), name):
            if (prototype := known.prototype(alias)) is not None:
                found[name] = prototype._replace(name=name)
                break
    return found


def _functions_at(image: Image, address: int) -> list[str]:
    y = image.obj.symbols
    here = np.flatnonzero((y.type == elf.STT_FUNC) & (y.shndx != 0) & np.equal(image.sym_tab.S, address & ~1))
    return y.names(here.tolist())


def find_function(images: Sequence[Image], name: str, reporter: Reporter) -> tuple[Image, int]:
    """The extension that has a function, and its address: exported ones first, as llext_call_fn() finds them.

    Raises:
        UsageError: ``call-unknown``.
    """
    for image in reversed(images):
        export = image.exp_tab.by_name.get(name)
        if export is not None and export.kind != "object":
            return image, export.address
    found = next(((i, image) for image in reversed(images) for i in _global_functions(image, name)), None)
    if found is None:
        offered = [e.name for image in reversed(images) for e in image.exp_tab.symbols if e.kind != "object"]
        at = Location(images[-1].path) if images else None
        fail("call-unknown", f"the extension has no function `{name}`", at=at, help=_near(name, offered))
    i, image = found
    advice = f"`LL_EXTENSION_SYMBOL({name});` in the source exports it, for llext_call_fn() to find it"
    text = f"`{name}` is a global function, but not exported"
    reporter.warning("call-not-exported", text, at=Location(image.path), help=advice)
    return image, int(image.sym_tab.S[i]) | int(image.sym_tab.T[i])


def _global_functions(image: Image, name: str) -> list[int]:
    y = image.obj.symbols
    here = np.flatnonzero((y.type == elf.STT_FUNC) & (y.bind != elf.STB_LOCAL) & (y.shndx != 0))
    return [i for i in here.tolist() if y.name(i) == name]


def _near(name: str, offered: Sequence[str]) -> str:
    """What to call instead."""
    if near := get_close_matches(name, offered, 3):
        return "did you mean " + " or ".join(f"`{n}`" for n in near) + "?"
    if offered:
        more = f" and {len(offered) - 8} more" if len(offered) > 8 else ""
        return "it exports " + ", ".join(f"`{n}`" for n in offered[:8]) + more
    return "it exports no function: `LL_EXTENSION_SYMBOL(name);` in its source does"


def find_symbol(images: Sequence[Image], name: str, text: str, arch: Arch) -> int:
    """The address of a symbol of the extensions, local ones included.

    Raises:
        UsageError: ``call-unknown``.
    """
    found = next((address for image in reversed(images) for address in _addresses(image, name, arch)), None)
    if found is None:
        fail("call-unknown", f"the extension has no symbol `{name}`", at=Location(images[-1].path), detail=(text,))
    return found


def _addresses(image: Image, name: str, arch: Arch) -> Iterator[int]:
    export = image.exp_tab.by_name.get(name)
    if export is not None:
        yield export.address
    y, tab = image.obj.symbols, image.sym_tab
    kinds = (elf.STT_FUNC, elf.STT_OBJECT, elf.STT_NOTYPE)
    for i in np.flatnonzero(np.isin(y.type, kinds) & (y.shndx != 0) & tab.resolved).tolist():
        if y.name(i) == name:
            yield int(tab.S[i]) | (int(tab.T[i]) if arch.thumb else 0)
    for static in statics(image.obj):
        if static.name == name:
            yield int(image.layout.section_addr[static.section]) + static.offset | static.thumb

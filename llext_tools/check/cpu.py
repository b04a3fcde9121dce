"""Rules about the CPU and the binary interface that both sides are compiled for, by what their files say of it.

Only the newest loader compares anything of this, and only ELF's machine and class: on the board the rest shows as a
fault, or as wrong numbers. What a file does not say fits everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from llext_tools.abi.c import CTypes
from llext_tools.abi.notation import callback, complete_tags, function, tags
from llext_tools.abi.types import Layout, Signature
from llext_tools.arch import by_machine, machine_name
from llext_tools.arch.base import Cpu
from llext_tools.c.byvalue import scalars
from llext_tools.c.types import DataModel
from llext_tools.check.prototypes import imported
from llext_tools.check.subject import Rule, Subject
from llext_tools.check.target import as_variables, suited_targets, target_misfit
from llext_tools.diag import Diagnostic, Location, listed
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.link.exports import ExportTable


def target(subject: Subject) -> Iterator[Diagnostic]:
    """``elf-target``: code that cannot run on the CPU that was asked for."""
    if subject.board.target:
        yield from target_misfit(subject.obj, subject.board.target, subject.firmware.cpu if subject.firmware else None)


def machine(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-machine``: another architecture, or another width of registers."""
    if subject.firmware is None or _sides(subject):
        return
    compared = subject.profile.checks_ident and subject.profile.loader_rows
    returned = "" if compared else "0"
    yield from same_machine(subject.obj, subject.firmware.exports, subject.at(), returned)


def same_machine(obj: ElfObject, exports: ExportTable, at: Location, returned: str = "0") -> Iterator[Diagnostic]:
    """``abi-machine``; ``returned``: as of a Diagnostic, "0" where no loader is known that compares."""
    bits = exports.cpu.bits if exports.cpu else 0
    if exports.machine in (0, obj.machine) and bits in (0, obj.bits):
        return
    ours, theirs = machine_name(obj.machine), machine_name(exports.machine)
    if bits:
        ours, theirs = f"{obj.bits}-bit {ours}", f"{bits}-bit {theirs}"
    yield Diagnostic(
        "abi-machine",
        f"the extension is for {ours}, the firmware for {theirs}",
        location=at,
        help=f"{_for_firmware(exports)}give a firmware for {ours}",
        returned=returned,
    )


def _for_firmware(exports: ExportTable) -> str:
    """How to compile the extension for the firmware, where there is a way."""
    suited = suited_targets(exports.cpu)
    if suited:
        return f"compile the extension with {as_variables(suited)}, or "
    arch = by_machine(exports.machine)
    return f"compile the extension for {arch.name}, or " if arch else "no extension can be compiled for that here: "


def isa(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-isa``: instructions that the firmware's CPU does not have, as far as it says what it has."""
    sides = _sides(subject)
    if sides is None:
        return
    ours, theirs = sides
    lacking = subject.arch.lacking(ours, theirs.isa)
    others = [word for word in lacking if word not in subject.arch.fpu]
    if others:
        yield Diagnostic(
            "abi-isa",
            f"the extension is compiled for {ours.name}, the firmware for {theirs.name}",
            location=subject.at(),
            notes=(f"{theirs.name} is without the instructions of {listed(others)}",),
            help=f"compile the extension for the firmware's CPU: {_flags(f'-march={theirs.name.lower()}', theirs)}",
        )
    elif lacking and (found := _fpu_instruction(subject)):
        yield Diagnostic(
            "abi-isa",
            f"the extension has FPU instructions ({listed(lacking)}), for which the firmware is not compiled",
            location=found,
            help=f"compile the extension with {_flags(theirs.abi, theirs)}" if theirs.abi else "",
        )


def _flags(flag: str, theirs: Cpu) -> str:
    """A flag of the compiler, and the targets that have it."""
    suited = suited_targets(theirs)
    return f"`{flag}`" + (f", as {as_variables(suited)} has it" if suited else "")


def _fpu_instruction(subject: Subject) -> Location | None:
    """The first instruction in the extension that needs an FPU: compilers may use one and seldom do."""
    obj, s = subject.obj, subject.obj.sections
    code = (s.flags & elf.SHF_EXECINSTR != 0) & (s.flags & elf.SHF_ALLOC != 0)
    for section in np.flatnonzero(code).tolist():
        found = subject.arch.fpu_instructions(obj.contents(section), obj.bits)
        if found.size:
            offset = int(found[0])
            return subject.at(section)._replace(offset=offset, function=obj.function_at(section, offset))
    return None


class Convention(NamedTuple):
    """Something that both sides of a call have to do alike, as a field of ``Cpu`` says it.

    ``concerns`` tells whether it matters for an import. Where it does the disagreement is an error, else a warning:
    the extension's own functions and the data that both sides know may be concerned.
    """

    code: str
    field: str
    fact: Callable[[Cpu, Cpu], str]
    concerns: Callable[[Signature, Mapping[str, Layout], Subject, Cpu, Cpu], bool]
    how: str  # stands in front of the names of such imports
    help: Callable[[Cpu], str]  # of the firmware


def _check(subject: Subject, convention: Convention) -> Iterator[Diagnostic]:
    sides = _sides(subject)
    if sides is None:
        return
    ours, theirs = sides
    here, there = getattr(ours, convention.field), getattr(theirs, convention.field)
    if not here or not there or here == there:
        return
    known, types, unknown = imported(subject)
    hit = [name for name, each in known.items() if convention.concerns(each, types, subject, ours, theirs)]
    notes = [f"{convention.how} {listed(hit)}"] if hit else []
    if unknown and not hit:
        notes.append(f"no prototype tells whether that concerns {listed(unknown)}")
    yield Diagnostic(
        convention.code,
        convention.fact(ours, theirs),
        severity="error" if hit else "warning",
        location=subject.use_of(hit[0]) if hit else subject.at(),
        notes=tuple(notes) or ("by their prototypes none of the imports is concerned",),
        help=convention.help(theirs),
    )


def floats(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-float``: floating-point arguments that one side puts into FPU registers, and the other does not."""
    found = _check(subject, FLOATS)
    return (each for each in found if each.severity == "error" or not any(isa(subject)))


def enums(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-enum-size``: enumerations that have as few bytes as they need on one side, and four on the other."""
    return _check(subject, ENUMS)


def enums_differ(subject: Subject) -> bool:
    """Whether extension and firmware have enumerations of different sizes, so that each of them may differ."""
    sides = _sides(subject)
    return sides is not None and 0 != sides[0].enum != sides[1].enum != 0


def wchars(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-wchar``: a ``wchar_t`` of 2 bytes on one side, and of 4 on the other."""
    return _check(subject, WCHARS)


def _passes_otherwise(
    signature: Signature, types: Mapping[str, Layout], subject: Subject, ours: Cpu, theirs: Cpu
) -> bool:
    """Whether a parameter or result travels in an FPU register for one side only; those of callbacks too."""
    conv, bits, waiting = subject.arch.callconv, subject.obj.bits, [function(signature)]
    made = CTypes(types, DataModel(64 if bits == 64 else 32, conv.long_double))
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        for value in (each.result, *each.params):
            parts = scalars(made.ctype(value))
            sides = [conv.in_fpu(parts, bits, side.floats, each.variadic) for side in (ours, theirs) if side.floats]
            if len(set(sides)) > 1:
                return True
            waiting.append(callback(value))
    return False


def _has_small_enum(signature: Signature, types: Mapping[str, Layout], *_: object) -> bool:
    """Whether an enumeration that needs less than 4 bytes is in memory that both sides use; in a register it has 4."""
    layouts = [types[name] for name in _in_memory(signature, types)]
    values = [[member.offset for member in each.members] for each in layouts if each.kind == "enum"]
    return any(each and min(each) >= -1 << 15 and max(each) < 1 << 16 for each in values)


def _has_wchar(signature: Signature, types: Mapping[str, Layout], *_: object) -> bool:
    spelled = [signature.spelling, *(param.spelling for param in signature.params or ())]
    spelled += [member.spelling for name in _in_memory(signature, types) for member in types[name].members]
    return any("wchar_t" in spelling for spelling in spelled)


def _in_memory(signature: Signature, types: Mapping[str, Layout]) -> set[str]:
    """The types that a signature reaches through pointers, arrays and structures; that of a variable as well."""
    tops = [signature.result, *(param.type for param in signature.params or ())]
    in_memory = [text for text in tops if signature.params is None or not text.startswith("enum ")]
    return set(complete_tags((tag for text in in_memory for tag in tags(text)), types))


FLOATS = Convention(
    code="abi-float",
    field="floats",
    fact=lambda ours, theirs: (
        f"the extension passes floating point as with `{ours.abi}`, the firmware as with `{theirs.abi}`"
    ),
    concerns=_passes_otherwise,
    how="floating point goes by value to or from",
    help=lambda theirs: f"compile the extension with the firmware's flags: {_flags(theirs.abi, theirs)}",
)
SIZES = {1: "as few bytes as its values need (`-fshort-enums`)", 4: "4 bytes (`-fno-short-enums`)"}
ENUMS = Convention(
    code="abi-enum-size",
    field="enum",
    fact=lambda ours, theirs: (
        f"an enumeration has {SIZES[ours.enum]} in the extension, {SIZES[theirs.enum]} in the firmware"
    ),
    concerns=_has_small_enum,
    how="data that has one goes to or from",
    help=lambda theirs: f"compile the extension with `-f{'no-' if theirs.enum == 4 else ''}short-enums`",
)
WCHARS = Convention(
    code="abi-wchar",
    field="wchar",
    fact=lambda ours, theirs: f"`wchar_t` has {ours.wchar} bytes in the extension, {theirs.wchar} in the firmware",
    concerns=_has_wchar,
    how="wide characters go to or from",
    help=lambda theirs: f"compile the extension with{'out' if theirs.wchar == 4 else ''} `-fshort-wchar`",
)


def _sides(subject: Subject) -> tuple[Cpu, Cpu] | None:
    """Extension and firmware, if both are of one architecture and width."""
    theirs = subject.firmware.cpu if subject.firmware else None
    if theirs is None or (theirs.arch, theirs.bits) != (subject.arch.name, subject.obj.bits):
        return None
    return subject.arch.cpu(subject.obj), theirs


RULES: tuple[Rule, ...] = (target, machine, isa, floats, enums, wchars)

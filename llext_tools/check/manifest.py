"""Rules about what is left of types without debug information: the manifest of an extension, hashes of a table."""

from __future__ import annotations

from collections.abc import Iterator

from llext_tools.abi.extension import disregarded
from llext_tools.abi.notation import prototype
from llext_tools.abi.text import incomplete, type_hash
from llext_tools.check.subject import Rule, Subject
from llext_tools.diag import Diagnostic
from llext_tools.elf.debug import debug_file


def manifest_stale(subject: Subject) -> Iterator[Diagnostic]:
    """``manifest-stale``: types are not compared, for the manifest is about another file and there is nothing else."""
    if subject.firmware is None or not subject.imports:
        return
    fault = disregarded(subject.obj)
    if not fault or debug_file(subject.obj) is not None:
        return
    yield Diagnostic(
        "manifest-stale",
        f"{fault}: types are not compared with the firmware's",
        severity="warning",
        location=subject.at(),
        help="ship the manifest that `llext finish` wrote together with the extension",
    )


def hashes(subject: Subject) -> Iterator[Diagnostic]:
    """``abi-hash``: all that is known of an export is a hash, and the extension takes it for something else.

    A type that the extension knows by its tag alone may be complete in the firmware, so that hash tells nothing.
    """
    stated = subject.sides.stated
    if not stated:
        return
    assert subject.firmware is not None
    table = subject.firmware.exports.source
    known = subject.sides.extension[0]
    for name, signature in known.symbols.items():
        if name not in stated:
            continue
        ours = type_hash(name, known)
        if ours == stated[name] or incomplete(name, known):
            continue
        yield Diagnostic(
            "abi-hash",
            f"`{name}` has another type than in the firmware, or reaches a type that is laid out in another way",
            location=subject.at(),
            detail=(f"extension: {prototype(name, signature)} ({ours})", f"firmware:  {stated[name]}"),
            notes=("nothing on the board checks this",),
            help=f"in place of `{table}` give a table with types, as `llext exports` writes it",
        )


RULES: tuple[Rule, ...] = (manifest_stale, hashes)

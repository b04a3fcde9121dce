"""What a firmware would have to export for a set of extensions, as lines of C.

An import counts as missing if neither the firmware exports it nor another extension of the set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from llext_tools.check.exported import names, offered
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject
from llext_tools.elf.names import demangle
from llext_tools.link.exports import IMPLEMENTATION, Definition, ExportTable
from llext_tools.link.missing import DEVICE, Missing, Reasons, is_foreign, relocations

NAMED = 3
"""Extensions in one comment."""


class Need(NamedTuple):
    """A name that extensions need and nobody exports.

    ``statement`` is the line that exports it, ``""`` where no line would: ``why`` then says what would.
    """

    name: str
    statement: str
    by: tuple[str, ...]
    why: Missing
    definition: Definition | None


def needed_by(extensions: Sequence[ElfObject], exports: ExportTable) -> tuple[Need, ...]:
    """What ``extensions`` lack of a firmware, in the order of its files and lines, then by name."""
    lent = {name for obj in extensions for name in names(offered(obj))}
    users: dict[str, dict[str, bool]] = {}  # by path, whether it is weak there
    for obj in extensions:
        for name, weak in _imported(obj):
            if name not in lent and exports.find(name) is None:
                users.setdefault(name, {})[obj.path] = weak
    why = Reasons(exports)
    found = [_need(name, tuple(by), why, weak=all(by.values())) for name, by in users.items()]
    return tuple(sorted(found, key=_order))


def _imported(obj: ElfObject) -> Iterator[tuple[str, bool]]:
    """The undefined symbols that relocations need, and whether they are weak."""
    y = obj.symbols
    used = np.unique(relocations(obj).symbol)
    found = [i for i in used.tolist() if i and y.shndx[i] == elf.SHN_UNDEF and y.name_at[i]]
    yield from zip(y.names(found), (y.bind[found] == elf.STB_WEAK).tolist(), strict=True)


def _need(name: str, by: tuple[str, ...], why: Reasons, *, weak: bool) -> Need:
    reason, compilers = why.missing(name, weak=weak), why.missing(name).code == "runtime-missing"
    build = why.build
    known = build.definition(name) if build else None
    unknown = build is None or not build.has_symbols  # whether it is defined: nobody can tell
    no_line = DEVICE.fullmatch(name) or (build and (build.group(name) or build.unimplemented(name)))
    statement = ""
    if not no_line and name.isidentifier() and not compilers and (known or unknown):
        syscall = name.removeprefix(IMPLEMENTATION)
        statement = f"EXPORT_SYSCALL({syscall});" if syscall != name else f"EXPORT_SYMBOL({name});"
    return Need(name, statement, by, reason, known)


def _order(need: Need) -> tuple[bool, str, int, str]:
    known = need.definition
    return not (known and known.line), known.file if known else "", known.line if known else 0, need.name


def as_c(needs: Sequence[Need], source: str, extensions: int) -> str:
    """C that can be pasted: the statements by the files that define what they name, the rest as comments."""
    who = "one extension" if extensions == 1 else f"{extensions} extensions"
    if not needs:
        return f"/* {_safe(source)} exports all that {who} need{'s' if extensions == 1 else ''} of it. */\n"
    lines = [f"/* What {who} need{'s' if extensions == 1 else ''} and {_safe(source)} does not export.", " *"]
    lines += [" * Each line belongs behind the definition of what it exports. */", "#include <zephyr/llext/symbol.h>"]
    file = None
    width = max((len(need.statement) for need in needs), default=0)
    for need in needs:
        if not need.statement:
            continue
        known = need.definition
        if file != (file := known.file if known and known.line else ""):
            where = (
                f"{file}, of a library: in a file that includes the declaration"
                if known and is_foreign(known)
                else file
            )
            lines += ["", f"/* {_safe(where or 'of unknown files')} */"]
        facts = [f"line {known.line}"] if known and known.line else []
        facts += ["static"] if known and known.static else []
        facts += [demangle(need.name)] if demangle(need.name) else []
        lines.append(f"{need.statement:{width}} /* {_safe('; '.join([*facts, _users(need)]))} */")
    rest = [need for need in needs if not need.statement]
    if rest:
        lines += ["", "/* No line of this kind helps with these:", " *"]
        for need in rest:
            lines.append(f" * {_safe(demangle(need.name) or need.name)}, {_safe(_users(need))}: {_safe(need.why.help)}")
        lines.append(" */")
    return "\n".join(lines) + "\n"


def _users(need: Need) -> str:
    more = len(need.by) - NAMED
    return "for " + ", ".join(need.by[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _safe(text: str) -> str:
    """Text that does not end a comment or its line, and that any file can hold."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return plain.replace("*/", "* /").replace("/*", "/ *")


def as_json(needs: Sequence[Need], source: str) -> dict[str, Any]:
    """The same for programs."""
    return {"firmware": source, "needed": [_row(need) for need in needs]}


def _row(need: Need) -> dict[str, Any]:
    row: dict[str, Any] = {"name": need.name, "by": list(need.by)}
    row |= {"demangled": demangle(need.name)} if demangle(need.name) else {}
    row |= {"statement": need.statement} if need.statement else {}
    known = need.definition
    row |= {"file": known.file, "line": known.line} if known and known.line else {}
    row |= {"static": True} if known and known.static else {}
    return row | {"code": need.why.code, "help": need.why.help}

"""``llext explain``: the page of a diagnostic, the row of a relocation, or what an exit code or errno stands for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from llext_tools import errors, explain
from llext_tools.cli.render import BOLD, CYAN, DIM, Paint, columns, wrap
from llext_tools.diag import CODES, fail

if TYPE_CHECKING:
    from llext_tools.arch.base import Arch
    from llext_tools.reloc import Reloc

DESCRIPTION = "Explain a diagnostic, a relocation, an exit code of llext or an error of llext_load()."
EXAMPLE = """
llext explain undefined-symbol    # a code from error[...]
llext explain R_ARM_THM_CALL      # formula, range and which loader applies it
llext explain 5                   # an exit code, or a relocation's number
llext explain -61                 # what llext_load() returned on the board
"""

ERRNO = {"ENOENT": 2, "ENOEXEC": 8, "ENOMEM": 12, "EFAULT": 14, "EINVAL": 22, "ENODATA": 61, "ENOTSUP": 134}
"""The errors that the loader returns, with their numbers in Zephyr's C libraries (those of newlib)."""

LETTERS = {
    "S": "address of the symbol",
    "A": "addend",
    "P": "address of the place",
    "T": "1 if the symbol is a Thumb function, else 0",
    "V": "value that the place holds",
    "B(S)": "base of the region that holds the symbol",
    "TP": "thread pointer",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        nargs="?",
        help="a code such as elf-magic, a relocation's name or number, an exit code, an errno; all codes without it",
    )


def run(args: argparse.Namespace) -> int:
    paint, width = Paint(sys.stdout), columns()
    if args.what is None:
        print("\n".join(_index(paint, width)))
        return 0
    found = _find(args.what, paint, width)
    if not found:
        _unknown(args.what)
    print("\n\n".join("\n".join(lines) for lines in found))
    return 0


def _find(what: str, paint: Paint, width: int) -> list[list[str]]:
    """All that ``what`` may stand for."""
    code = what.lower().replace("_", "-")
    for prefix in ("error[", "warning["):
        code = code.removeprefix(prefix).removesuffix("]")
    if code in explain.codes():
        return [_page(code, paint, width)]
    found: list[list[str]] = []
    name = what.upper().lstrip("-")
    for errno, number in ERRNO.items():
        if name == errno or what == f"-{number}":
            found.append(_errno(errno, paint))
    if found:
        return found
    if what.isdecimal():
        found += [_exit_code(kind, paint, width) for kind in _failures() if kind.exit_code == int(what)]
        if other := errors.OTHER_EXIT_CODES.get(int(what)):
            found.append([paint(f"exit code {int(what)}", BOLD) + f": {other[:1].lower()}{other[1:-1]}"])
    return found + _relocations(what, paint) + _unsupported(what, paint)


def _index(paint: Paint, width: int) -> list[str]:
    """The codes by class of failure, with the exit code of each class."""
    lines = []
    for kind in _failures():
        lines += _exit_code(kind, paint, width)
    return lines


def _page(code: str, paint: Paint, width: int) -> list[str]:
    row = CODES[code]
    mild = {"": "", "sometimes": ", 0 as a warning", "always": " with --werror, else a warning"}[row.warning]
    facts = f"exit code {row.error.exit_code}{mild}" + (f", on the board -{row.errno}" if row.errno else "")
    lines = [paint(code, BOLD) + f": {facts}"]
    blocks = explain.blocks(explain.page(code))
    widest = max((len(line) for kind, content in blocks if kind[0] == "`" for line in content), default=0)
    margin = " " * max(0, min(4, width - widest))  # what the page shows of a terminal is wrapped for 80 columns
    for kind, content in blocks:
        if kind == "#":
            continue
        if kind == "##":
            lines += ["", paint(content[0], BOLD)]
        elif kind == "text":
            indent = "  " if content[0].startswith("* ") else ""
            lines += [
                *([] if indent else [""]),
                *(_ticks(line, paint) for line in wrap(" ".join(content), width, indent)),
            ]
        else:
            lines += ["", *(margin + _console(line, paint) if line else "" for line in content)]
    return lines


def _ticks(line: str, paint: Paint) -> str:
    """Colour what is in backticks."""
    parts = line.split("`")
    return "".join(paint(f"`{part}`", CYAN) if i % 2 else part for i, part in enumerate(parts)) if paint.on else line


def _console(line: str, paint: Paint) -> str:
    return paint(line, BOLD) if line.startswith("$ ") else paint(line, DIM)


def _failures() -> list[type[errors.LlextError]]:
    return sorted(errors.LlextError.__subclasses__(), key=lambda kind: kind.exit_code)


def _sentence(kind: type[errors.LlextError]) -> str:
    text = " ".join((kind.__doc__ or "").split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _exit_code(kind: type[errors.LlextError], paint: Paint, width: int) -> list[str]:
    own = [code for code, row in CODES.items() if row.error is kind]
    heading = f"exit code {kind.exit_code}"
    first, *rest = wrap(f"{heading}: {_sentence(kind)}", width, "  ")
    return [paint(heading, BOLD) + first[len(heading) :], *rest, *(f"  {code}" for code in own)]


def _errno(errno: str, paint: Paint) -> list[str]:
    heading = paint(f"-{errno}", BOLD) + f" ({-ERRNO[errno]})"
    own = [f"  {code}" for code, row in CODES.items() if row.errno == errno]
    return (
        [f"{heading}: what a board returns for", *own]
        if own
        else [f"{heading}: what a board returns for a null pointer"]
    )


def _all_rows() -> Iterator[tuple[Arch, int, Reloc]]:
    """Architecture, 32 or 64 bits, row."""
    from llext_tools.arch import discover

    for arch in discover():
        for bits, rows in arch.relocs.items():
            yield from ((arch, bits, row) for row in rows.values())


def _relocations(what: str, paint: Paint) -> list[list[str]]:
    """The relocations of that name, with or without its prefix, or number; once where 32 and 64 bits are alike."""
    wanted = what.upper()
    texts: dict[tuple[str, ...], str] = {}  # name and body -> heading
    for arch, bits, row in _all_rows():
        if wanted in (row.name, _short(row.name), str(row.code)):
            body = (row.name, *_relocation(arch, bits, row))
            several = len(arch.classes) > 1
            heading = f"{paint(row.name, BOLD)}: {arch.name} relocation {row.code}"
            texts[body] = heading if body in texts or not several else f"{heading}, {bits}-bit"
    return [[heading, *body[1:]] for body, heading in texts.items()]


def _short(name: str) -> str:
    """``THM_CALL`` for ``R_ARM_THM_CALL``."""
    return name.split("_", 2)[-1]


def _relocation(arch: Arch, bits: int, row: Reloc) -> list[str]:
    from llext_tools import profile

    facts = [("value", row.formula)] if row.formula else []
    if row.check is not None:
        multiple = f", a multiple of {row.check.align}" if row.check.align > 1 else ""
        facts.append(("range", f"{row.check.low:,} <= value < {row.check.high:,}{multiple}"))
    elif row.field is not None:
        facts.append(("range", "not checked: bits that do not fit are dropped"))
    facts.append(("place", _place(row)))
    if row.order == "add":
        facts.append(("order", "added to what other relocations of the same place leave"))
    for code in row.pairs_with:
        facts.append(("pairs", f"S, A and P are those of the `{arch.relocs[bits][code].name}` at the symbol's address"))
    for name in sorted(profile.names(), key=lambda name: name != profile.DEFAULT):
        known = profile.load(name)
        accepted = known.relocs.get(arch.name)
        verdict = "applied" if accepted is None or row.code in accepted else "refused"
        deviates = ", otherwise than the ABI has it" if row.code in known.deviations.get(arch.name, ()) else ""
        facts.append(("loader", f"{verdict} under the profile {name}{deviates}"))
    facts += [(letter, meaning) for letter, meaning in LETTERS.items() if _mentions(row.formula, letter)]
    if row.code in arch.loader_deviations:
        facts.append(("but", arch.loader_deviations[row.code]))
    width = max(len(label) for label, _ in facts)
    lines: list[str] = []
    for label, text in facts:
        first, *rest = wrap(text, columns() - width - 4, "")
        lines += [f"  {label:{width}}  {first}", *(" " * (width + 4) + line for line in rest)]
    return lines


def _mentions(formula: str, letter: str) -> bool:
    import re

    return re.search(rf"(?<!\w){re.escape(letter)}(?!\w)", formula) is not None


def _place(row: Reloc) -> str:
    if row.field is None:
        return "nothing is written"
    if row.field.unit == "uleb128":
        return "a ULEB128 number, as long as it is"
    size = int(row.field.unit[2:])
    many = (
        f"{row.field.units} units of {size} bytes" if row.field.units > 1 else f"{size} byte{'s' if size > 1 else ''}"
    )
    mask = row.field.mask & (1 << 8 * row.field.size) - 1
    return f"{many}, bits {mask:#0{2 * row.field.size + 2}x}"


def _unsupported(what: str, paint: Paint) -> list[list[str]]:
    """Relocations that no extension can have, with the advice that ``check`` gives."""
    from llext_tools.arch import discover

    found = []
    for arch in discover():
        for code, (name, cure) in arch.no_help.items():
            if what.upper() in (name, _short(name), str(code)):
                found.append([paint(name, BOLD) + f": {arch.name} relocation {code}, not for extensions", f"  {cure}"])
    return found


def _unknown(what: str) -> NoReturn:
    from difflib import get_close_matches

    names = [row.name for _, _, row in _all_rows()]
    known = {name.lower(): name for name in [*explain.codes(), *names, *map(_short, names), *ERRNO]}
    near = [known[name] for name in get_close_matches(what.lower(), known, 3, 0.7)]
    fail(
        "usage",
        f"llext explain: nothing is known about `{what}`",
        help=f"did you mean {' or '.join(f'`{name}`' for name in near)}?"
        if near
        else "`llext explain` lists all codes",
    )

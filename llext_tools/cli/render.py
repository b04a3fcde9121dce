"""Diagnostics as text for people and as JSON for programs.

    error[code]: message
      --> file: .section+0x1c, in `function`
       | figures
       = note: more facts
       = note: on the board, llext_load() fails here with -ENOEXEC
       = help: what to do

Colour only where a terminal reads; ``NO_COLOR`` and ``FORCE_COLOR`` decide before that. Lines are wrapped at the
terminal's width, at 80 columns elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from llext_tools.diag import CODES, Diagnostic, Location, number
from llext_tools.errors import LlextError
from llext_tools.files import reason

BOLD, RED, YELLOW, BLUE, CYAN, GREEN, DIM = "1", "1;31", "1;33", "1;34", "1;36", "32", "2"


def report(diagnostics: Sequence[Diagnostic], stream: TextIO | None = None, *, last: str = "") -> None:
    """Print diagnostics in the order found, then the line ``last``: by default how many there were, if several."""
    stream = sys.stderr if stream is None else stream
    paint = Paint(stream)
    width = columns(stream)
    blocks = [render(diagnostic, paint, width) for diagnostic in diagnostics]
    if last or len(diagnostics) > 1:
        blocks.append(last or count(diagnostics))
    print("\n\n".join(blocks), file=stream)


class Paint:
    """Colours a piece of text, or leaves it alone if the stream is not for colour, or is none."""

    def __init__(self, stream: TextIO | None) -> None:
        self.on = stream is not None and _wants_colour(stream)

    def __call__(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.on and text else text


def render(diagnostic: Diagnostic, paint: Paint, width: int = 80) -> str:
    """One diagnostic, without a newline at its end."""
    severity = diagnostic.severity
    head = f"{severity}[{diagnostic.code}]"
    first, *rest = wrap(f"{head}: {printable(diagnostic.message)}", width, "    ")
    lines = [paint(head, RED if severity == "error" else YELLOW) + paint(first[len(head) :], BOLD)]
    lines += [paint(line, BOLD) for line in rest]
    if diagnostic.location is not None:
        first, *rest = place(diagnostic.location, width - 6)
        lines += [f"  {paint('-->', BLUE)} {first}", *(f"      {line}" for line in rest)]
    for text in diagnostic.detail:
        lines += _item(paint("|", BLUE), "", text, width)
    for text in diagnostic.notes:
        lines += _item(paint("=", BLUE), "note", text, width, paint)
    if fact := on_the_board(diagnostic):
        lines += _item(paint("=", BLUE), "note", fact, width, paint)
    if diagnostic.help:
        lines += _item(paint("=", BLUE), "help", diagnostic.help, width, paint)
    return "\n".join(lines)


def place(location: Location, width: int) -> list[str]:
    """Lines of a place. Where one does not do, that in the object file has its own."""
    text = printable(str(nearby(location)))
    source, behind, obj = text.partition(" (")
    parts = [source, f"({obj}"] if len(text) > width and location.source and behind else [text]
    return [line for part in parts for line in wrap(part, width, "")]


def nearby(location: Location) -> Location:
    """The same place with paths from the current folder on, of files below it."""
    return location._replace(file=from_here(location.file), source=from_here(location.source))


def from_here(path: str) -> str:
    """The path from the current folder on, of a file below it; any other as it is."""
    try:
        here = os.path.join(os.getcwd(), "")
    except OSError:  # it is gone
        return path
    return path[len(here) :] if path.startswith(here) and len(path) > len(here) else path


def on_the_board(diagnostic: Diagnostic) -> str:
    """What the board does where this is an error that it can tell."""
    if not diagnostic.errno or diagnostic.severity != "error":
        return ""
    function = {"run": "llext_bringup", "call": "llext_call_fn"}.get(diagnostic.code.partition("-")[0], "llext_load")
    return f"on the board, {function}() fails here with -{diagnostic.errno}"


def message_lines(d: Diagnostic, more: Iterable[str] = ()) -> list[str]:
    """A diagnostic for a service that shows its place and code itself; ``more``: notes behind those that it has."""
    notes = [*d.notes, *more]
    if (fact := on_the_board(d)) and fact not in d.notes:  # one that was read back from a log has it
        notes.append(fact)
    return [d.message, *d.detail, *(f"note: {text}" for text in notes), *([f"help: {d.help}"] if d.help else [])]


def printable(text: str, keep: str = "") -> str:
    """Text in which whatever a terminal would obey is spelt out: names in a file may hold anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def _item(mark: str, kind: str, text: str, width: int, paint: Paint | None = None) -> list[str]:
    label = f"{kind}: " if kind else ""
    lines: list[str] = []
    text = printable(text.replace("\r\n", "\n").rstrip("\n"), keep="\n\t").expandtabs()
    for part in text.split("\n"):
        indent = " " * (len(label) + len(part) - len(part.lstrip()))  # detail may be the output of another command
        first, *rest = wrap(label + part if not lines else " " * len(label) + part, width - 5, indent)
        if not lines and kind and paint is not None:
            first = paint(f"{kind}:", BOLD if kind == "note" else CYAN) + first[len(kind) + 1 :]
        start = "    " if lines else f"   {mark}"
        lines += [f"{start} {first}" if first else start.rstrip(), *(f"     {line}" for line in rest)]
    return lines


def wrap(text: str, width: int, indent: str) -> list[str]:
    """Lines of at most ``width`` columns, broken at blanks outside backticks; what is longer stays whole."""
    words: list[str] = []
    for word in text.split(" "):
        if words and words[-1].count("`") % 2:
            words[-1] += f" {word}"
        else:
            words.append(word)
    lines = words[:1]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > width and lines[-1].strip():
            lines.append(indent + word)
        else:
            lines[-1] += f" {word}"
    return lines


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """That of the first error; 0 without any."""
    return next((CODES[d.code].error.exit_code for d in diagnostics if d.severity == "error"), 0)


def count(diagnostics: Sequence[Diagnostic]) -> str:
    """``3 errors, 1 warning``."""
    counts = ((sum(d.severity == severity for d in diagnostics), severity) for severity in ("error", "warning"))
    return ", ".join(number(n, severity) for n, severity in counts if n)


def diagnostics_to_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """One plain dict for each diagnostic; keys without a value are left out, ``exit_code`` is of its class."""
    return [_to_json(diagnostic) for diagnostic in diagnostics]


def _to_json(d: Diagnostic) -> dict[str, Any]:
    found: dict[str, Any] = {"code": d.code, "severity": d.severity, "message": d.message}
    if d.location is not None:
        found["location"] = {name: value for name, value in d.location._asdict().items() if value not in ("", None)}
    found |= {"detail": list(d.detail)} if d.detail else {}
    found |= {"notes": list(d.notes)} if d.notes else {}
    found |= {"help": d.help} if d.help else {}
    found |= {"errno": d.errno} if d.errno else {}
    found["exit_code"] = CODES[d.code].error.exit_code if d.severity == "error" else 0
    return found


def columns(stream: TextIO | None = None) -> int:
    """The width to write to: that of the terminal, 80 where there is none; ``COLUMNS`` decides before that."""
    chosen = os.environ.get("COLUMNS", "")
    if chosen.isdecimal() and int(chosen) > 0:
        return max(int(chosen), 40)
    try:
        return max(os.get_terminal_size((stream or sys.stdout).fileno()).columns, 40)
    except (OSError, ValueError):
        return 80


def _wants_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def report_exception(error: Exception) -> int:
    """Print what an exception means on stderr and return the exit code for it."""
    sys.stdout.flush()
    if isinstance(error, LlextError):
        report(error.diagnostics)
        return error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        what = f"cannot use `{error.filename}`: {reason(error)}"
        report([Diagnostic(code="file-unreadable", message=what)])
        return CODES["file-unreadable"].error.exit_code
    if os.environ.get("LLEXT_DEBUG"):
        import traceback

        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    internal = Diagnostic(
        code="internal",
        message=f"llext made a mistake: {what}",
        help="please report it with the command and the output of the same command with `LLEXT_DEBUG=1`",
    )
    report([internal])
    return LlextError.exit_code

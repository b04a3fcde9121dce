"""What a check of several files has found, in the form that is wanted: text, JSON, SARIF, commands of GitHub Actions.

Each form is a function from a ``Report`` to text. The JSON document:

    files        for each file in the order given: "file", "ok", "diagnostics"; where it loads "regions", "imports",
                 "exports" and "compared", the imports whose types were compared; and if the heap is known, "memory":
                 bytes of each heap of which "kept" until it is unloaded
    diagnostics  what is wrong between files, or with what they are checked against
    summary      "files", "files_with_findings", "errors", "warnings", "exit_code"

A diagnostic has "code", "severity", "message", "exit_code", and those of "location", "detail", "notes", "help" and
"errno" that it needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from llext_tools.check.subject import Footprint
from llext_tools.cli.board import heap_text, memory_facts
from llext_tools.cli.github import annotation
from llext_tools.cli.render import BOLD, GREEN, Paint, count, diagnostics_to_json, exit_code, printable, render
from llext_tools.diag import Diagnostic, number


class Facts(NamedTuple):
    """What the ok line and the JSON document say about an extension: bytes by region, names, a number.

    ``compared`` are the imports whose types were compared with the firmware's, ``untyped`` counts those that the
    firmware exports and that could not be.
    """

    regions: Mapping[str, int]
    imports: Sequence[str]
    exports: int
    compared: Sequence[str] = ()
    untyped: int = 0
    footprint: Footprint | None = None


class Checked(NamedTuple):
    """What was found out about one file. ``facts`` is None if it is not an extension, or does not load."""

    path: str
    facts: Facts | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return all(d.severity != "error" for d in self.diagnostics)


class Report(NamedTuple):
    """Everything that one call has found.

    Args:
        others: findings about several files, or about none.
        against: whether the imports were looked up in a firmware.
    """

    files: tuple[Checked, ...] = ()
    others: tuple[Diagnostic, ...] = ()
    against: bool = False

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """All findings: those of the files in their order, then the others."""
        return [*(d for file in self.files for d in file.diagnostics), *self.others]

    @property
    def exit_code(self) -> int:
        """That of the first error's class."""
        return exit_code(self.diagnostics)

    @property
    def summary(self) -> str:
        """``3 errors, 1 warning in 2 of 5 files``, and where to read on; "" if nothing was found."""
        found = self.diagnostics
        if not found:
            return ""
        codes = {d.code for d in found}
        what = codes.pop() if len(codes) == 1 else "CODE"
        concerned, some = sum(bool(file.diagnostics) for file in self.files), ""
        if len(self.files) > 1 and concerned:
            some = f" in {concerned:,} of {len(self.files):,} files"
        return f"{count(found)}{some}; `llext explain {what}` says more"


def ok_lines(report: Report, paint: Paint) -> list[str]:
    """A line for each file that loads: what it takes and gives."""
    return [_ok_line(file, file.facts, report.against, paint) for file in report.files if file.facts and file.ok]


def _ok_line(file: Checked, facts: Facts, against: bool, paint: Paint) -> str:
    findings, sizes = count(file.diagnostics), facts.regions
    memory = " + ".join(f"{name} {size:,}" for name, size in sizes.items())
    imports = f"{number(len(facts.imports), 'import')}{_unchecked(facts, against)}"
    line = f"{printable(file.path)}: {memory} = {sum(sizes.values()):,} bytes, {imports}, {facts.exports} exported"
    line += f", {heap_text(facts.footprint)}" if facts.footprint else ""
    return f"{paint('ok', GREEN)} {line}" + (f", {paint(findings, BOLD)}" if findings else "")


def _unchecked(facts: Facts, against: bool) -> str:
    """What of the imports has not been compared with the firmware."""
    if not against:
        return " (not checked)" if facts.imports else ""
    if not facts.untyped:
        return ""
    return f" ({facts.untyped:,} without types)" if facts.compared else " (types not compared)"


def to_text(report: Report, *, quiet: bool = False) -> str:
    """As on a terminal of 80 columns without colours, in a file."""
    plain = Paint(None)
    blocks = ["\n".join(ok_lines(report, plain))] if not quiet else []
    blocks += [render(d, plain) for d in report.diagnostics]
    return "".join(f"{block}\n" for block in "\n\n".join([*filter(None, blocks), report.summary]).split("\n"))


def to_json(report: Report, *, quiet: bool = False) -> str:
    """The document that the head of this module describes."""
    del quiet  # each file is in it: a program looks for those that are fine, too
    found = report.diagnostics
    document = {
        "files": [_file_to_json(file) for file in report.files],
        "diagnostics": diagnostics_to_json(report.others),
        "summary": {
            "files": len(report.files),
            "files_with_findings": sum(bool(file.diagnostics) for file in report.files),
            "errors": sum(d.severity == "error" for d in found),
            "warnings": sum(d.severity == "warning" for d in found),
            "exit_code": report.exit_code,
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _file_to_json(file: Checked) -> dict[str, Any]:
    facts = file.facts._asdict() if file.facts and file.ok else {}
    facts.pop("untyped", None)
    if footprint := facts.pop("footprint", None):
        facts["memory"] = memory_facts(footprint)
    return {"file": file.path, "ok": file.ok, **facts, "diagnostics": diagnostics_to_json(file.diagnostics)}


def to_sarif(report: Report, *, quiet: bool = False) -> str:
    """The document that code scanning takes: SARIF 2.1.0."""
    del quiet
    from llext_tools.cli.sarif import document

    return json.dumps(document(report), indent=2) + "\n"


def to_github(report: Report, *, quiet: bool = False) -> str:
    """A workflow command for each finding, by which GitHub shows it beside the source, then the summary."""
    del quiet
    lines = [annotation(d) for d in report.diagnostics]
    return "".join(f"{line}\n" for line in [*lines, report.summary] if line)


FORMS: dict[str, Callable[..., str]] = {"text": to_text, "json": to_json, "sarif": to_sarif, "github": to_github}
"""The forms by the names that ``--format`` has for them."""

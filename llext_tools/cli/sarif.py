"""Findings as a SARIF log, which code scanning services and editors read.

One run with one tool; a rule for each code that was found, made of its page in ``llext_tools/explain``. A result is
where the source line is, if debug information tells, else at the extension; section and function are logical
locations. Paths start at the current folder, ``%SRCROOT%``.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01", sections 3.11
(message), 3.14 (run), 3.27 (result), 3.28 (location), 3.49 (reportingDescriptor).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeAlias
from urllib.parse import quote

from llext_tools import __version__, explain
from llext_tools.cli.findings import Report
from llext_tools.cli.policy import UNSEEN
from llext_tools.cli.render import message_lines, printable
from llext_tools.diag import CODES, Diagnostic, Location

Json: TypeAlias = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
FINGERPRINT = "llext/v1"
FIGURES = re.compile(r"(`[^`]*`)|(?:0x)?[0-9a-fA-F,]*\d[0-9a-fA-F,]*")
"""Names, which stay as they are, and numbers."""


def document(report: Report) -> Json:
    """The whole log."""
    found = report.diagnostics
    codes = list(dict.fromkeys(d.code for d in found))
    marks = fingerprints(found)
    unique = list({os.path.abspath(file.path): file for file in report.files}.values())
    run = {
        "tool": {
            "driver": {
                "name": "llext-tools",
                "version": __version__,
                "semanticVersion": semantic(__version__),
                "rules": [rule(code, found) for code in codes],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not any(d.code in UNSEEN for d in found),
                "exitCode": report.exit_code,
                "workingDirectory": {"uri": f"file://{uri(here())}"},
            }
        ],
        "originalUriBaseIds": {ROOT: {"uri": f"file://{uri(here())}"}},
        "artifacts": [{"location": artifact(file.path), "roles": ["analysisTarget"]} for file in unique],
        "results": [result(d, codes.index(d.code), mark) for d, mark in zip(found, marks, strict=True)],
        "columnKind": "unicodeCodePoints",
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def rule(code: str, found: Sequence[Diagnostic]) -> Json:
    """What a code stands for: its page, and how the board and the command line fail."""
    page = explain.page(code).removeprefix(f"# {code}\n").strip()
    paragraph = " ".join(page.split("\n\n")[0].split())
    errors = any(d.code == code and d.severity == "error" for d in found)
    facts: Json = {"exit_code": CODES[code].error.exit_code}
    facts |= {"errno": CODES[code].errno} if CODES[code].errno else {}
    return {
        "id": code,
        "shortDescription": {"text": escaped(f"{paragraph.split('. ')[0].removesuffix('.')}.")},
        "fullDescription": {"text": escaped(paragraph.replace("`", ""))},
        "help": {"text": escaped(page), "markdown": page},
        "defaultConfiguration": {"level": "error" if errors else "warning"},
        "properties": facts,
    }


def result(d: Diagnostic, index: int, mark: str) -> Json:
    found: Json = {
        "ruleId": d.code,
        "ruleIndex": index,
        "level": d.severity,
        "message": {"text": "\n".join(map(escaped, message_lines(d)))},
        "partialFingerprints": {FINGERPRINT: mark},
    }
    if d.location:
        found["locations"] = [location(d.location)]
        found |= {"analysisTarget": artifact(d.location.file)} if d.location.source else {}
    return found


def location(at: Location) -> Json:
    """Where it is: a line of the source, or a byte of a binary file; then the section, the function or variable."""
    physical: Json = {"artifactLocation": artifact(at.source or at.file)}
    if at.line:
        physical["region"] = {"startLine": at.line}
    elif at.offset is not None and not at.section:
        physical["region"] = {"byteOffset": at.offset}
    logical: list[Json] = []
    if at.section:
        place = at.section if at.offset is None else f"{at.section}+{at.offset:#x}"
        logical.append({"name": printable(at.section), "fullyQualifiedName": printable(place), "kind": "section"})
    if at.function:
        logical.append({"name": printable(at.function), "kind": "function"})
    elif at.variable:
        name = printable(at.variable)
        logical.append({"name": name.partition("+")[0], "fullyQualifiedName": name, "kind": "variable"})
    return {"physicalLocation": physical} | ({"logicalLocations": logical} if logical else {})


def artifact(path: str) -> Json:
    """A file, from the current folder if it is below that."""
    full, base = os.path.abspath(path), here()
    if full.startswith(base):
        return {"uri": uri(full[len(base) :]), "uriBaseId": ROOT}
    return {"uri": f"file://{uri(full)}"}


def here() -> str:
    """The current folder, with a slash at its end."""
    return os.path.join(os.getcwd(), "")


def uri(path: str) -> str:
    """A path as part of an URI; on Windows ``C:/x`` becomes ``/C:/x``."""
    text = quote(os.fsencode(path.replace(os.sep, "/")))
    return f"/{text}" if os.path.splitdrive(path)[0] else text


def fingerprints(found: Sequence[Diagnostic]) -> list[str]:
    """For each finding a number that stays the same while other code changes: figures do not count.

    Equal ones are told apart by the order in which they come.
    """
    seen: Counter[str] = Counter()
    marks = []
    for d in found:
        at = d.location or Location(file="")
        message = FIGURES.sub(lambda found: found[1] or "#", d.message)
        path = artifact(at.file)["uri"] if at.file else ""
        parts = (d.code, path, at.source, at.section, at.function or at.variable, message)
        mark = sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        marks.append(f"{mark}:{seen[mark]}")
        seen[mark] += 1
    return marks


def semantic(version: str) -> str:
    """``1.2`` -> ``1.2.0``, ``1.2.0.dev1`` -> ``1.2.0-dev1``."""
    numbers, rest = re.fullmatch(r"([\d.]*\d)\.?(.*)", version, re.DOTALL).groups()  # type: ignore[union-attr]
    core = ".".join([*numbers.split("."), "0", "0"][:3])
    return f"{core}-{rest}" if rest else core


def escaped(text: str) -> str:
    """Text in which braces are no placeholders, and what looks like a link is none."""
    text = printable(text, keep="\n").replace("{", "{{").replace("}", "}}")
    return re.sub(r"\[(?=[^\]]*\]\()", r"\\[", text)

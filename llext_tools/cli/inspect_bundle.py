"""``llext inspect BUNDLE``: who has signed a bundle, and what its manifests say of the artifacts in it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from llext_tools.artifact import parse
from llext_tools.artifact.facts import firmware_of, profile_of, target_of, toolchain_of
from llext_tools.bundle.index import Entry
from llext_tools.bundle.keys import SHOWN
from llext_tools.bundle.verify import Bundle
from llext_tools.cli.render import BOLD, DIM, Paint, columns, wrap
from llext_tools.cli.signing import signed_bundle
from llext_tools.diag import Location, Reporter, fail, number, printable

ROLES = ("extension", "debug", "manifest")


def run(args: argparse.Namespace, data: bytes) -> int:
    reporter = Reporter()
    bundle, key = signed_bundle(args.file, data, reporter, None)
    reporter.checkpoint()
    assert bundle
    facts = overview(bundle, key.id if key else "")
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(_text(facts, Paint(sys.stdout), columns())))
    return 0


def overview(bundle: Bundle, key: str) -> dict[str, Any]:
    """Everything that is shown, as the JSON document has it.

    Raises:
        FormatError: ``manifest-syntax``.
    """
    index = bundle.contents
    return {
        "file": bundle.path,
        "size": sum(map(len, bundle.members.values())),
        "name": index.name,
        "version": index.version,
        "time": index.time,
        "signed_by": key or None,
        "artifacts": [_artifact(bundle, entry) for entry in index.artifacts],
    }


def _artifact(bundle: Bundle, entry: Entry) -> dict[str, Any]:
    try:
        document = parse(bundle.members[entry.manifest])
    except ValueError as error:
        at = Location(file=bundle.path)
        fail("manifest-syntax", f"`{entry.manifest}` is no manifest: {error}", at=at, help="pack the artifacts again")
    toolchain, version = toolchain_of(document)
    return {
        "job": entry.job,
        "name": entry.name,
        "target": target_of(document),
        "toolchain": toolchain,
        "toolchain_version": version,
        "profile": profile_of(document),
        "firmware": [each._asdict() for each in firmware_of(document)],
        "imports": _count(document.get("imports")),
        "exports": _count(document.get("exports")),
        "runs": _count(document.get("runs")),
        "files": {
            role: {"name": name, **bundle.contents.files[name]._asdict()}
            for role in ROLES
            if (name := getattr(entry, role))
        },
    }


def _count(value: Any) -> int:
    return len(value) if isinstance(value, (dict, list)) else 0


def _text(facts: dict[str, Any], paint: Paint, width: int) -> list[str]:
    name = " ".join(word for word in (facts["name"], facts["version"]) if word)
    signed = f"signed with key {facts['signed_by'][:SHOWN]}" if facts["signed_by"] else "not signed"
    lines = [f"{paint(facts['file'], BOLD)}: {name}, {number(len(facts['artifacts']), 'artifact')}, {signed}"]
    if facts["signed_by"]:
        lines += wrap("  whose key that is says `llext verify`", width, "  ")
    for each in facts["artifacts"]:
        lines += ["", paint(f"{each['job']}/{each['name']}", BOLD)]
        made = " ".join(word for word in (each["toolchain"], each["toolchain_version"]) if word)
        words = [f"for {each['target']}" if each["target"] else "", f"by {made}" if made else ""]
        words += [number(each["imports"], "import"), number(each["exports"], "export")]
        words += [f"{number(each['runs'], 'run')} passed"] if each["runs"] else []
        lines += wrap(printable("  " + ", ".join(word for word in words if word)), width, "  ")
        if each["profile"]:
            against = [f"{entry['file']} ({entry['sha256'][:SHOWN]})" for entry in each["firmware"]]
            text = f"  checked for {each['profile']}" + (f", with {', '.join(against)}" if against else "")
            lines += wrap(printable(text), width, "  ")
        for role, file in each["files"].items():
            lines.append(f"  {role:9}  {file['size']:>9,} bytes  {paint('sha256 ' + file['sha256'][:SHOWN], DIM)}")
    return lines

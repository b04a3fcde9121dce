"""``llext profiles``: the loaders that ``--profile`` and CMake's ``PROFILE`` name, and what each does."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from llext_tools import profile as profiles
from llext_tools.cli.render import BOLD, Paint, columns, wrap
from llext_tools.profile import RULES, Profile

DESCRIPTION = "List the loader profiles, each a generation of Zephyr's loader, or what one of them does."
EXAMPLE = """
llext profiles
llext profiles zephyr-4.2    # its rules, and where it leaves the ABI
llext profiles --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", nargs="?", metavar="NAME", help="show the rules of this one")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    chosen = [profiles.load(name) for name in ([args.profile] if args.profile else profiles.names())]
    if args.json:
        print(json.dumps([_to_json(profile) for profile in chosen], indent=2))
    elif args.profile:
        _print_rules(chosen[0])
    else:
        width = max(len(profile.name) for profile in chosen)
        for profile in chosen:
            row = f"{profile.name:{width}}  {profile.summary}{' (default)' * (profile.name == profiles.DEFAULT)}"
            print("\n".join(wrap(row, columns(), " " * (width + 2))))
    return 0


def _print_rules(profile: Profile) -> None:
    paint, width = Paint(sys.stdout), columns()
    print(f"{profile.name}: {profile.summary}\n\n{paint('the loader', BOLD)}")
    for rule, text in RULES.items():
        value = getattr(profile, rule)
        word = {True: "yes", False: "no"}.get(value, value)
        print("\n".join(wrap(f"  {word:5}  {text}", width, " " * 9)))
    for arch, names in _applied(profile).items():
        print(f"\n{paint(f'relocations of {arch} that it applies', BOLD)}")
        print("\n".join(wrap(f"  {' '.join(names)}", width, "  ")))
    for arch, texts in _deviations(profile).items():
        print(f"\n{paint(f'where it leaves the ABI of {arch}', BOLD)}")
        for text in dict.fromkeys(texts.values()):
            names = [name for name in texts if texts[name] == text]
            print("\n".join([*wrap(f"  {' '.join(names)}", width, "  "), *wrap(f"      {text}", width, "      ")]))


def _applied(profile: Profile) -> dict[str, list[str]]:
    """Architecture -> the names of the relocations; none if it is all of the ABI's."""
    return {arch: [_names(arch)[code] for code in sorted(codes or ())] for arch, codes in profile.relocs.items()}


def _deviations(profile: Profile) -> dict[str, dict[str, str]]:
    """Architecture -> name of the relocation -> what the loader does."""
    from llext_tools import arch as archs

    return {
        arch: {_names(arch)[code]: archs.load(arch).loader_deviations[code] for code in sorted(codes)}
        for arch, codes in profile.deviations.items()
    }


def _names(arch: str) -> dict[int, str]:
    from llext_tools import arch as archs

    return {code: row.name for rows in archs.load(arch).loader_relocs.values() for code, row in rows.items()}


def _to_json(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "summary": profile.summary,
        "default": profile.name == profiles.DEFAULT,
        "rules": {rule: getattr(profile, rule) for rule in RULES},
        "relocations": _applied(profile),
        "deviations": _deviations(profile),
    }

"""``llext targets``: the CPUs that extensions can be built for. Test matrices read ``--json``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from llext_tools import arch, toolchains
from llext_tools.arch.model import Flag, Target
from llext_tools.cli.render import columns, wrap

DESCRIPTION = "List the targets, each a CPU with its floating-point ABI, or the compiler flags of one of them."
EXAMPLE = """
llext targets
llext targets cortex-m4f    # its flags, each with the reason
llext targets --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", metavar="TARGET", help="show the flags of this one")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    chosen = [arch.target(args.target)] if args.target else list(arch.targets().values())
    if args.json:
        print(json.dumps([_to_json(target) for target in chosen], indent=2))
    elif args.target:
        _print_flags(chosen[0])
    else:
        width = max(len(target.name) for target in chosen)
        for target in chosen:
            print(f"{target.name:{width}}  {target.summary}")
    return 0


def _print_flags(target: Target) -> None:
    print(f"{target.name}: {target.summary}\n\n  {' '.join(target.cpu_flags)}\n")
    for flag in _all_flags(target):
        only = [word for word in (flag.only, {"CXX": "C++"}.get(flag.language, flag.language)) if word]
        print(f"  {flag.flag}" + (f"  ({', '.join(only)} only)" if only else ""))
        print("\n".join(wrap(f"      {flag.why}", columns(), " " * 6)))


def _all_flags(target: Target) -> tuple[Flag, ...]:
    return (*toolchains.FLAGS, *target.flags)


def _to_json(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "arch": target.arch,
        "bits": target.bits,
        "summary": target.summary,
        "float_abi": target.float_abi,
        "cpu_flags": list(target.cpu_flags),
        "flags": [
            {"flag": flag.flag, "why": flag.why, "only": flag.only, "language": flag.language}
            for flag in _all_flags(target)
        ],
        "gcc_prefixes": list(target.gcc_prefixes),
        "clang_target": target.clang_target,
        "debian": target.debian,
        "emulator": {"arch": target.emulator.arch, "mode": list(target.emulator.mode), "cpu": target.emulator.cpu},
    }

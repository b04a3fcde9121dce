"""``llext inspect``: an overview of one extension: machine, regions, imports, exports, relocations."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from llext_tools import profile as profiles
from llext_tools.arch.base import Arch
from llext_tools.bundle import looks_like_bundle
from llext_tools.check import ANYWHERE
from llext_tools.check.target import fitting_targets
from llext_tools.cli.board import add_options
from llext_tools.cli.render import BOLD, DIM, Paint, columns, wrap
from llext_tools.diag import Reporter, fail, number
from llext_tools.elf import structs as elf
from llext_tools.elf.model import ElfObject, Relocs
from llext_tools.elf.read import read_object, read_relocs
from llext_tools.errors import LlextError
from llext_tools.files import read_bytes
from llext_tools.link import link
from llext_tools.link.regions import map_regions
from llext_tools.link.validate import find_arch
from llext_tools.mem import PERM

DESCRIPTION = """Show what is in an extension: for which machine it is, the memory that its regions take,
what it imports and exports, and its relocations. Nothing is judged; `llext check` does that.

With `--memory` it is loaded as a board does it, to say what it takes of the heap."""
EXAMPLE = """
llext inspect hello.llext
llext inspect hello.llext --memory --heap 8K --protection mpu-pow2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a `.llext` or `.debug.elf` file; or a bundle")
    parser.add_argument("--memory", action="store_true", help="what loading it takes of the firmware's heap")
    options = parser.add_argument_group()
    add_options(options, "--heap", help="with --memory: such as 8K, or 0x20010000+8K")
    add_options(options, "--heap-kind", "--protection", "--storage", "--no-peek", "--buffer", "--config")
    options.add_argument("--profile", metavar="NAME", help=f"generation of the loader (default {profiles.DEFAULT})")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    if args.memory:
        from llext_tools.cli import memory

        return memory.run(args)
    data = read_bytes(args.file)  # once: a pipe gives it no second time
    if looks_like_bundle(args.file, data):
        from llext_tools.cli import inspect_bundle

        return inspect_bundle.run(args, data)
    given = (args.heap, args.heap_kind, args.protection, args.storage, args.buffer, args.profile)
    if given != (None,) * len(given) or args.config or args.no_peek:
        fail("usage", "llext inspect: the options of a firmware are for `--memory`", help="add `--memory`")
    facts = overview(read_object(data, args.file))
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(_text(facts, Paint(sys.stdout), columns())))
    return 0


def overview(obj: ElfObject) -> dict[str, Any]:
    """Everything that is shown, as the JSON document has it. Sizes and counts are numbers.

    Raises:
        FormatError: the file is no extension, or its tables cannot be read.
    """
    reporter, refused = Reporter(), Reporter()
    arch = find_arch(obj, reporter)
    regions = map_regions(obj, refused)
    relocs = read_relocs(obj, np.isin(regions.region, list(PERM)), reporter)
    reporter.checkpoint()
    return {
        "file": obj.path,
        "size": obj.image.size,
        "machine": obj.machine,
        "arch": arch.name,
        "bits": obj.bits,
        "flags": obj.flags,
        "targets": fitting_targets(obj),
        "regions": [
            {
                "region": mem.name,
                "size": region.size,
                "align": region.align,
                "gap": region.gap + region.prepad,
                "sections": [obj.sections.name[i] for i in region.sections],
            }
            for mem, region in regions.regions.items()
            if mem in PERM
        ],
        "imports": _imports(obj, relocs),
        "exports": _exports(obj),
        "relocations": _relocations(obj, arch, relocs),
        "refused": refused.failed,
    }


def _imports(obj: ElfObject, relocs: Relocs) -> list[dict[str, Any]]:
    y = obj.symbols
    uses = np.bincount(relocs.symbol, minlength=len(y)) if len(y) else np.zeros(0, np.int64)
    found = [
        {"name": y.name(i), "uses": int(uses[i]), "weak": bool(y.bind[i] == elf.STB_WEAK)} for i in y.undefined.tolist()
    ]
    return sorted(found, key=lambda entry: str(entry["name"]))


def _exports(obj: ElfObject) -> list[dict[str, str]] | None:
    """Name and kind of each entry of .exported_sym, None if the entries cannot be followed."""
    if obj.sections.index(".exported_sym") is None:
        return []
    try:
        table = link(obj, exports=None, domain=ANYWHERE, profile="abi").exp_tab
    except LlextError:
        return None
    return [{"name": export.name, "kind": export.kind} for export in table.symbols]


def _relocations(obj: ElfObject, arch: Arch, relocs: Relocs) -> list[dict[str, Any]]:
    rows = arch.relocs[obj.bits]
    codes, counts = np.unique(relocs.type, return_counts=True)
    found = []
    for code, n in zip(codes.tolist(), counts.tolist(), strict=True):
        name = rows[code].name if code in rows else arch.no_help.get(code, (f"type {code}", ""))[0]
        found.append({"name": name, "code": code, "count": n})
    return sorted(found, key=lambda entry: (-int(entry["count"]), str(entry["name"])))


def _text(facts: dict[str, Any], paint: Paint, width: int) -> list[str]:
    lines = [f"{paint(facts['file'], BOLD)}: {facts['arch']}, {facts['bits']} bits, {facts['size']:,} bytes of file"]
    if facts["targets"]:
        lines += wrap(f"fits {', '.join(facts['targets'])}", width, "     ")
    total = sum(region["size"] for region in facts["regions"])
    lines += ["", paint(f"regions: {total:,} bytes of memory", BOLD)]
    for region in facts["regions"]:
        gap = f", {region['gap']:,} bytes of padding" if region["gap"] else ""
        names = ", ".join(region["sections"][:4]) + (" ..." if len(region["sections"]) > 4 else "")
        lines.append(f"  {region['region']:<8} {region['size']:>9,}  aligned to {region['align']:>4,}  {names}{gap}")
    lines += ["", paint(f"imports: {len(facts['imports'])}", BOLD)]
    column = max((len(entry["name"]) for entry in facts["imports"]), default=0)
    for entry in facts["imports"]:
        uses = number(entry["uses"], "use") + (", weak" if entry["weak"] else "")
        lines.append(f"  {entry['name']:{column}}  {paint(uses, DIM)}")
    exports = facts["exports"]
    lines += ["", paint(f"exports: {'unknown, see `llext check`' if exports is None else len(exports)}", BOLD)]
    column = max((len(entry["name"]) for entry in exports or []), default=0)
    lines += [f"  {entry['name']:{column}}  {paint(entry['kind'], DIM)}" for entry in exports or []]
    total = sum(entry["count"] for entry in facts["relocations"])
    lines += ["", paint(f"relocations: {total:,}", BOLD)]
    lines += [f"  {entry['count']:>7,}  {entry['name']}" for entry in facts["relocations"]]
    if facts["refused"]:
        lines += ["", f"the loader refuses this file: see `llext check {facts['file']}`"]
    return lines

"""The generated pages on architectures: relocations, loaders, targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llext_tools import arch as archs
from llext_tools import profile, toolchains
from llext_tools.arch.base import Arch
from llext_tools.arch.model import Target
from llext_tools.cli import EVERY
from llext_tools.cli.parser import parser_for
from llext_tools.reloc import Range, Reloc
from pages_markdown import cell, page, table

PROFILES_IN = "../../llext_tools/profile"


def relocations() -> str:
    """Per architecture: each supported relocation with formula and range, then what is known but cannot be applied."""
    parts = []
    for arch in archs.discover():
        rows = [
            (str(r.code), f"`{r.name}`", r.formula and f"`{r.formula}`", bits_of(r), reach(r.check), profiles(arch, r))
            for r in sorted(arch.relocs[max(arch.classes)].values(), key=lambda r: r.code)
        ]
        parts.append(f"## {arch.name} (e_machine {arch.machine}, {'SHT_RELA' if arch.rela else 'SHT_REL'})")
        parts.append(table(("code", "name", "value", "written to", "allowed values", "applied by the loader"), rows))
        if arch.no_help:
            unknown = [(str(code), f"`{name}`", cure) for code, (name, cure) in sorted(arch.no_help.items())]
            parts.append("Known, but not for a loadable extension:")
            parts.append(table(("code", "name", "what to do"), unknown))
    return page(
        "Relocations",
        "S is the symbol's address (Arm: without the Thumb bit), A the addend, P the place, T the Thumb bit, V the "
        "value at the place, B the base of the region that holds S, TP the thread pointer. What is not in these "
        "tables is refused as `reloc-unknown`. Where addresses have 32 bits, values count modulo 2^32. The last column "
        "says which loader profiles apply it on the board; "
        "the profile `abi` takes them all.",
        *parts,
    )


def bits_of(row: Reloc) -> str:
    if row.field is None:
        return "nothing"
    if row.field.unit == "uleb128":
        return "ULEB128"
    mask = f"{row.field.mask:0{row.field.size * 2}x}"
    unit = "instruction halfwords" if row.field.units > 1 else "bytes"
    count = row.field.units if row.field.units > 1 else row.field.size
    return f"{count} {unit if count > 1 else 'byte'}, mask `{mask}`"


def reach(check: Range | None) -> str:
    if check is None:
        return "any"
    text = f"{check.low:,} to {check.high - 1:,}"
    return text + (f", multiples of {check.align}" if check.align > 1 else "")


def profiles(arch: Arch, row: Reloc) -> str:
    names = [name for name in profile.names() if name != "abi"]
    accepted = [n for n in names if (codes := profile.load(n).relocs.get(arch.name)) is None or row.code in codes]
    return " ".join(f"`{name}`" for name in accepted) or "no"


def loader_profiles() -> str:
    """What each loader does, and where it leaves the ABI: a column for each, the differences in its cells."""
    loaders = [profile.load(name) for name in profile.names()]
    head = [f"`{loader.name}`" for loader in loaders]
    commands = [f"`{name}`" for name in EVERY if "--profile" in parser_for(name).format_help()]
    parts = []
    for arch in archs.discover():
        names = {code: row.name for rows in arch.loader_relocs.values() for code, row in rows.items()}
        taken = [loader.relocs.get(arch.name) for loader in loaders]
        by_text: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for code, text in arch.loader_deviations.items():
            who = tuple(f"`{x.name}`" for x in loaders if code in x.deviations.get(arch.name, ()))
            by_text.setdefault((text, who), []).append(f"`{names[code]}`")
        parts += [
            f"## Relocations of {arch.name}",
            table(
                ("", *head),
                [
                    ("applied", *("all of the ABI's" if codes is None else str(len(codes)) for codes in taken)),
                    *(
                        (f"`{names[code]}`", *(cell(codes is None or code in codes) for codes in taken))
                        for code in sorted(names)
                        if len({code in codes for codes in taken if codes is not None}) > 1
                    ),
                ],
            ),
            "Where they leave the ABI:",
            table(
                ("relocations", "what the loader does", "which"),
                [(" ".join(some), text, " ".join(who)) for (text, who), some in by_text.items()],
            ),
        ]
    return page(
        "Loader profiles",
        "Which generation of Zephyr's loader an extension is for: `llext_add_extension(... PROFILE <profile>)` and "
        f"`LLEXT_PROFILE` of the [CMake package](cmake.md), and the option `--profile` of {', '.join(commands)}. "
        "`llext profiles` lists them. `abi` is no loader of Zephyr's but what one could take at most.",
        table(
            ("profile", "what it is", "where each rule comes from"),
            [
                (
                    f"`{loader.name}`",
                    loader.summary + (", the default" if loader.name == profile.DEFAULT else ""),
                    f"[{loader.name}.toml]({PROFILES_IN}/{loader.name}.toml)",
                )
                for loader in loaders
            ],
        ),
        "## Rules",
        table(
            ("the loader", *head),
            [(text, *(cell(getattr(loader, rule)) for loader in loaders)) for rule, text in profile.RULES.items()],
        ),
        *parts,
        "[Relocations](relocations.md) has the formulas and ranges, and which loader applies each.",
    )


def targets() -> str:
    """All targets with their default flags, each with its reason."""
    known = archs.targets().values()
    overview = [
        (f"`{t.name}`", t.summary, {"soft": "software", "single": "float", "double": "float, double"}[t.float_abi],
         f"`{' '.join(t.cpu_flags)}`", ", ".join(f"`{prefix}gcc`" for prefix in t.gcc_prefixes), f"`{t.debian}`")
        for t in known
    ]  # fmt: skip
    flags: dict[tuple[str, str, str, str], list[str]] = {}
    for target in known:
        for flag in (*toolchains.FLAGS, *target.flags):
            flags.setdefault((flag.flag, flag.why, flag.only, flag.language), []).append(target.name)
    rows = [
        (f"`{flag}`", ", ".join(filter(None, (only, language))) or "all", where(names, known), why)
        for (flag, why, only, language), names in flags.items()
    ]
    return page(
        "Targets",
        "Targets are named by CPU: `-DLLEXT_TARGET=cortex-m4` or `llext build --target cortex-m4`. [Choose target and "
        "toolchain](../how-to/use-from-cmake.md#choose-target-and-toolchain) says where compilers are looked for.",
        table(
            (
                "target",
                "what it is",
                "in FPU registers",
                "flags of gcc for the CPU",
                "compilers of gcc, in this order",
                "Debian package",
            ),
            overview,
        ),
        "## Default flags, and why",
        "Set by the toolchain file for every extension. To change one, append yours with "
        "`target_compile_options(<extension> PRIVATE ...)`: the last one on the command line counts.",
        table(("flag", "toolchain, language", "targets", "reason"), rows),
    )


def where(names: Sequence[str], known: Iterable[Target]) -> str:
    everything = [target.name for target in known]
    if len(names) == len(everything):
        return "all"
    for arch in archs.discover():
        if sorted(names) == sorted(target.name for target in arch.targets):
            return f"all of {arch.name}"
    return " ".join(f"`{name}`" for name in names)

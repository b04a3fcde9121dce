"""Loader profiles: what each generation of Zephyr's loader accepts, as data files beside this module.

``zephyr-next`` is the newest loader text, ``abi`` accepts all that the processor's ABI defines.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from os import listdir
from os.path import dirname, join
from typing import Literal, NamedTuple

from llext_tools.diag import fail

DEFAULT = "zephyr-next"


class Profile(NamedTuple):
    """One loader. ``relocs``: per architecture the relocation codes that it applies, None for all of the ABI's."""

    name: str
    summary: str
    relocs: Mapping[str, frozenset[int] | None]
    weak_undefined: Literal["error", "null"]  # what an undefined weak symbol without an export becomes
    needs_globals: bool  # refuses an object without a global function or object
    accepts_reserved: bool  # takes a global function or object of a reserved section index (SHN_ABS)
    rodata_no_reloc: bool  # CONFIG_LLEXT_RODATA_NO_RELOC: keeps .llext.rodata.noreloc apart, without relocations
    deviations: Mapping[str, frozenset[int]]  # per architecture the codes with which the loader leaves the ABI
    loader_rows: bool  # relocates by Zephyr's formulas, with their deviations, not by the ABI's
    checks_ident: bool  # compares byte order, class and machine with its own
    strtab_after_symtab: bool  # finds the string table only behind the symbol table
    skips_by_name: bool  # leaves .relro_padding, .heap and .stack out
    skips_tls: bool  # leaves thread-local sections out, and takes their symbols' values as offsets
    array_entsize_exact: bool  # sh_entsize of an array must be that of a pointer, not 0
    aligns_regions: bool  # keeps the alignment of sections: prepad
    collects_errors: bool  # attempts all relocations and returns the first error
    skips_unallocated: bool  # leaves relocations of sections alone that are not loaded (debug information)
    checks_symbol_sections: bool  # refuses a relocation against a symbol in a section that is in no region
    dyn_image: bool  # loads a shared object as one image
    bounds_checks: bool  # checks offsets, names and indices of the file before it uses them
    sorts_tables: bool  # sorts sym_tab and exp_tab by name
    strings_may_overlap: bool  # lets the two string tables share bytes of the file
    rounds_to_powers: bool  # takes every MPU for one of power-of-two regions, and does not round for a PMP
    checks_fn_table_first: bool  # checks all pointers of an array before it calls the first


RULES = Profile._fields[Profile._fields.index("loader_rows") :]
"""The rules that differ from one generation to the next, each a yes or no in the table ``[rules]``."""


def names() -> list[str]:
    """The profiles that there are."""
    return sorted(name.removesuffix(".toml") for name in listdir(dirname(__file__)) if name.endswith(".toml"))


@cache
def load(name: str = DEFAULT) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: ``usage``, with the nearest name.
    """
    if name not in names():
        from difflib import get_close_matches

        near = get_close_matches(name, names(), 1)
        hint = f"did you mean `{near[0]}`?" if near else "the profiles are " + ", ".join(names())
        fail("usage", f"there is no loader profile `{name}`", help=hint)
    with open(join(dirname(__file__), f"{name}.toml"), "rb") as file:
        data = tomllib.load(file)
    return Profile(
        name=name,
        summary=data["summary"],
        relocs={arch: frozenset(codes) for arch, codes in data.get("relocs", {}).items()},
        weak_undefined=data["weak_undefined"],
        needs_globals=data["needs_globals"],
        accepts_reserved=data["accepts_reserved"],
        rodata_no_reloc=data["rodata_no_reloc"],
        deviations={arch: frozenset(codes) for arch, codes in data.get("deviations", {}).items()},
        **{rule: bool(data["rules"][rule]) for rule in RULES},
    )

"""Loader profiles: what each generation of Zephyr's loader accepts, as data files beside this module.

``zephyr-next`` is the newest loader text, ``abi`` accepts all that the processor's ABI defines.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from os import listdir
from os.path import dirname, join
from typing import Annotated, Literal, NamedTuple, get_origin, get_type_hints

from llext_tools.diag import fail, nearest

DEFAULT = "zephyr-next"


class Profile(NamedTuple):
    """One loader. ``relocs``: per architecture the relocation codes that it applies, None for all of the ABI's.

    The text of a rule goes on after "the loader".
    """

    name: str
    summary: str
    relocs: Mapping[str, frozenset[int] | None]
    deviations: Mapping[str, frozenset[int]]  # per architecture the codes with which the loader leaves the ABI
    weak_undefined: Annotated[
        Literal["error", "null"],
        "makes this of an undefined weak symbol that nobody exports (`null` is the address 0)",
    ]
    needs_globals: Annotated[bool, "refuses an object without a global function or object"]
    accepts_reserved: Annotated[bool, "takes a global function or object of a reserved section index (`SHN_ABS`)"]
    rodata_no_reloc: Annotated[
        bool, "keeps `.llext.rodata.noreloc` apart, without relocations (`CONFIG_LLEXT_RODATA_NO_RELOC`)"
    ]
    loader_rows: Annotated[bool, "relocates by Zephyr's formulas, with their deviations, not by the ABI's"]
    checks_ident: Annotated[bool, "compares byte order, class and machine with its own"]
    strtab_after_symtab: Annotated[bool, "finds the string table only behind the symbol table"]
    skips_by_name: Annotated[bool, "leaves `.relro_padding`, `.heap` and `.stack` out"]
    skips_tls: Annotated[bool, "leaves thread-local sections out, and takes their symbols' values as offsets"]
    array_entsize_exact: Annotated[bool, "wants `sh_entsize` of an array to be that of a pointer, and not 0"]
    aligns_regions: Annotated[bool, "puts padding in front of a region, so that its sections keep their alignment"]
    collects_errors: Annotated[bool, "attempts all relocations and returns the first error"]
    writes_before_check: Annotated[bool, "on RISC-V writes a value before it checks whether it fits"]
    skips_unallocated: Annotated[bool, "passes over relocations of sections that are not loaded (debug information)"]
    checks_symbol_sections: Annotated[bool, "refuses a relocation against a symbol in a section that is in no region"]
    dyn_image: Annotated[bool, "loads a shared object as one image"]
    bounds_checks: Annotated[bool, "checks offsets, names and indices of the file before it uses them"]
    sorts_tables: Annotated[bool, "sorts `sym_tab` and `exp_tab` by name"]
    strings_may_overlap: Annotated[bool, "lets the two string tables share bytes of the file"]
    rounds_to_powers: Annotated[bool, "takes every MPU for one of power-of-two regions, and does not round for a PMP"]
    checks_fn_table_first: Annotated[bool, "checks all pointers of an array before it calls the first"]


RULES: dict[str, str] = {
    field: hint.__metadata__[0]
    for field, hint in get_type_hints(Profile, include_extras=True).items()
    if get_origin(hint) is Annotated
}
"""What may differ from one loader to the next, field -> text: a yes or no unless the text says otherwise."""


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
        near = nearest(name, names())
        hint = f"did you mean `{near}`?" if near else "the profiles are " + ", ".join(names())
        fail("usage", f"there is no loader profile `{name}`", help=hint)
    with open(join(dirname(__file__), f"{name}.toml"), "rb") as file:
        data = tomllib.load(file)
    return Profile(
        name=name,
        summary=data["summary"],
        relocs={arch: frozenset(codes) for arch, codes in data.get("relocs", {}).items()},
        deviations={arch: frozenset(codes) for arch, codes in data.get("deviations", {}).items()},
        **{rule: (data | data["rules"])[rule] for rule in RULES},
    )

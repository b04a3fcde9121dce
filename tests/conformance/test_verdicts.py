"""Does our link accept what the loader accepts, and refuse the rest with the loader's errno?

A link has no heap, no storage and no board, and refuses what would run wrong; the loader on the host (test_load.py) has
them, and agrees everywhere. Oracle: Zephyr's own loader code (README.md). ``DIFFERS`` is the complete list of loads for
which a link answers otherwise: whoever makes one of them agree deletes its line.
"""

from __future__ import annotations

from collections import Counter

import pytest

from conformance.cases import Load, loads
from llext_tools import profile as profiles
from llext_tools.check import check
from llext_tools.elf.read import read_object
from llext_tools.errors import LlextError
from llext_tools.host.firmware import Firmware
from llext_tools.link import ExportTable, link
from llext_tools.mem import PERM, Domain, Mem

DYNAMIC = "we refuse dynamic relocations in an object"
ORDER = "the loader names its last error, we the errors of the first pass that fails"
PLACED = "depends on addresses that a failed load does not tell"
BOARD = "depends on the board: its machine, heap, storage or loader options are not part of a link"
STRICTER = "we refuse what the loader takes and spoils"
ERRNO = "refused, with another errno"

DIFFERS: dict[str, tuple[str, str]] = {
    # load: our answer, and why it is not the loader's
    "tlsext_arm_gcc": ("-ENOEXEC", ORDER),
    "tlsext_arm_clang": ("-ENOEXEC", ORDER),
    "tlsext_rv_gcc": ("-ENOEXEC", ORDER),
    "tlsext_rv_clang": ("-ENOEXEC", ORDER),
    "pic_arm_gcc": ("-ENOEXEC", ORDER),
    "arm_twoerrors": ("-ENOEXEC", ORDER),
    "rv_twoerrors": ("-ENODATA", ORDER),
    "arm_thmjump24_over": ("0", PLACED),
    "arm_armcall_over": ("0", PLACED),
    "arm_armjump24_over": ("0", PLACED),
    "rv_rvcbranch_over": ("0", PLACED),
    "arm_reloc_glob_dat": ("-ENOEXEC", DYNAMIC),
    "arm_reloc_jump_slot": ("-ENOEXEC", DYNAMIC),
    "arm_reloc_relative_zero": ("-ENOEXEC", DYNAMIC),
    "rv_reloc_jump_slot": ("-ENOEXEC", DYNAMIC),
    "arm_null_export": ("0", "an export at address 0 is none for the loader"),
    "arm_undef_func": ("0", "the loader sorts names that are not there, and crashes"),
    "arm_elf_rel_sym_oob": ("-ENOEXEC", "the loader reads beyond the symbol table, and crashes"),
    "arm_elf_rel_offset_last": ("no errno", STRICTER),
    "arm_elf_sh_offset_past": ("-ENOEXEC", STRICTER),
    "rv_jal_far": ("no errno", STRICTER),
    "rv_rel_after_rela": ("-ENOEXEC", STRICTER),
    "arm_blx_arm": ("no errno", STRICTER),
    "arm_elf_sh_size_wrap": ("-ENOEXEC", ERRNO),
    "arm_elf_shared": ("-ENOEXEC", "ET_DYN is not supported"),
    "arm_elf_shared_undef": ("-ENOEXEC", "ET_DYN is not supported"),
    "rv_pcrel_othersec": ("0", "a PCREL_LO12 whose HI20 is in another section: the ABI allows it"),
    "arm_elf_machine_is_riscv": ("0", BOARD),
    "rv_elf_machine_is_arm": ("0", BOARD),
    "rv_elf_rv64": ("0", BOARD),
    "arm_heap_64": ("0", BOARD),
    "arm_heap_400": ("0", BOARD),
    "rv_heap_64": ("0", BOARD),
    "arm_sec_global_in_nonalloc_nopeek": ("0", BOARD),
    "arm_sec_empty_text_nopeek": ("0", BOARD),
    "arm_detached_nopeek": ("0", BOARD),
    "arm_prelocated_writable": ("0", BOARD),
    "arm_veneer_v6m": ("-ENOEXEC", BOARD),
}
LOADS = [load for load in loads() if load.rc.startswith(("0", "-", "crash"))]  # 1, 2: already loaded, a use count


def answer(load: Load) -> tuple[str, LlextError | None]:
    """``"0"`` or the errno of the first error, as ``llext_load()`` would return it."""
    placed = {Mem[region.name]: region.base for region in load.regions if Mem[region.name] in PERM}
    rules = profiles.load()._replace(rodata_no_reloc=load.case.variant == "arm_noreloc")
    try:
        obj = read_object(load.object, load.file)
        link(obj, exports=ExportTable.of(load.host), domain=Domain(start=0x2000_0200, fixed=placed), profile=rules)
    except LlextError as error:
        first = next(d for d in error.diagnostics if d.severity == "error")
        return f"-{first.errno}" if first.errno else "no errno", error
    return "0", None


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.id)
def test_answer_is_the_loaders(load: Load) -> None:
    ours, error = answer(load)
    if load.id in DIFFERS:
        assert ours != load.rc, f"{load.id} now agrees with the loader: delete its line in DIFFERS"
        assert ours == DIFFERS[load.id][0]
    else:
        assert ours == load.rc, error


CHECKED_OTHERWISE = (PLACED, BOARD, STRICTER, DYNAMIC)
"""Why ``check`` may say something else: it knows neither addresses nor board, and refuses what would run wrong."""


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.id)
def test_check_accepts_what_the_loader_accepts(load: Load) -> None:
    """What the loader refuses, or what ends it by a signal, check refuses."""
    rules = profiles.load()._replace(rodata_no_reloc=load.case.variant == "arm_noreloc")
    try:
        check(read_object(load.object, load.file), firmware=Firmware(exports=ExportTable.of(load.host)), profile=rules)
        accepted = True
    except LlextError:
        accepted = False
    why = DIFFERS.get(load.id, ("", ""))[1]
    far = any("out of range" in line or "is not possible" in line for line in load.log)
    if why not in CHECKED_OTHERWISE and not far:
        assert accepted == (load.rc == "0")


def test_most_answers_agree() -> None:
    """The tally, for the record: ``pytest -rP -k most_answers``."""
    tally = Counter(load.case.arch for load in LOADS if load.id not in DIFFERS)
    print(f"{sum(tally.values())} of {len(LOADS)} answers agree:", dict(tally))
    assert sum(tally.values()) >= 241
    assert DIFFERS.keys() <= {load.id for load in LOADS}

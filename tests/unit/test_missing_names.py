"""What is said of a missing symbol. The names are those that users met, and that compilers make."""

from __future__ import annotations

import re

import pytest

import built
from llext_tools import toolchains
from llext_tools.link.exports import ExportTable
from llext_tools.link.families import operation
from llext_tools.link.hints import MATHS
from llext_tools.link.missing import Reasons

EXPORTS = ExportTable.of({"printk": 1, "gpio_pin_set": 2, "k_msleep": 3, "__aeabi_uldivmod": 5})


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("pirntk", "did you mean `printk`?"),
        ("Printk", "did you mean `printk`?"),
        ("_printk", "did you mean `printk`?"),
        ("gpio_pin_sett", "did you mean `gpio_pin_set`?"),
        ("memset", "EXPORT_SYMBOL_GROUP_LIBC=y"),
        ("memset_checked", "EXPORT_SYMBOL(memset_checked);"),
        ("__aeabi_memcpy4", "EXPORT_SYMBOL_GROUP_LIBC=y"),
        ("__aeabi_ldivmod", "COMPILER_RUNTIME"),
        ("__aeabi_dmul", "COMPILER_RUNTIME"),
        ("__gnu_thumb1_case_uqi", "COMPILER_RUNTIME"),
        ("__udivdi3", "COMPILER_RUNTIME"),
        ("__adddf3", "COMPILER_RUNTIME"),
        ("__mulodi4", "COMPILER_RUNTIME"),
        ("__aeabi_atexit", "-fno-use-cxa-atexit"),
        ("__dso_handle", "-fno-use-cxa-atexit"),
        ("_ZdlPvj", "the firmware's allocator"),
        ("_Znwj", "the firmware's allocator"),
        ("__gxx_personality_v0", "-fno-exceptions"),
        ("__aeabi_unwind_cpp_pr0", "-fno-exceptions"),
        ("__cxa_guard_acquire", "-fno-threadsafe-statics"),
        ("_ZNSt8ios_base4InitC1Ev", "<iostream>"),
        ("__aeabi_read_tp", "ordinary variables"),
        ("__stack_chk_fail", "-fno-stack-protector"),
        ("__atomic_fetch_add_4", "interrupts locked"),
        ("sbrk", "C library"),
        ("sbrk_of_mine", "EXPORT_SYMBOL(sbrk_of_mine);"),
        ("atan2", "libm.a"),
        ("sinf", "libm.a"),
        ("shelf", "EXPORT_SYMBOL(shelf);"),
        ("__device_dts_ord_42", "CONFIG_LLEXT_EXPORT_DEVICES=y"),
        ("_GLOBAL_OFFSET_TABLE_", "-fno-pic"),
        ("__ASSERT", "include <llext/host.h>"),
        ("assert", "<assert.h>"),
        ("assert_print", "CONFIG_ASSERT=y"),
        ("__assert_func", "-DNDEBUG"),
        ("BUILD_ASSERT", "if `BUILD_ASSERT` is a macro, include the header that defines it"),
        ("__GET_THE_FLAG2", "is a macro"),
        ("PRINTK", "did you mean `printk`?"),
        ("sensor_read", "EXPORT_SYMBOL(sensor_read);"),
    ],
)
def test_advice(name: str, part: str) -> None:
    assert part in Reasons(EXPORTS).missing(name).help


def test_maths_has_no_names_that_end_alike() -> None:
    """``erf`` is erf, not er for float: the names with a suffix are never taken for others."""
    assert not {name for name in MATHS if name[-1] in "fl" and name[:-1] in MATHS}


@pytest.mark.toolchain
@pytest.mark.parametrize("target", ["cortex-m4", "rv32imac"])
def test_all_that_clangs_library_multiplies_is_known(target: str) -> None:
    """Oracle: nm lists the functions of the library."""
    zig = built.find(target, "zig")
    library = toolchains.compiler_runtime(zig.target, zig.toolchain)
    names = set(re.findall(r"\b__mulo?[sdt]i[34]$", zig.binutils("nm", library).stdout, re.MULTILINE))
    assert {"__multi3", "__mulosi4", "__mulodi4", "__muloti4"} <= names
    for name in names:
        assert re.fullmatch(r"multiplies (32|64|128)-bit integers", operation(name)), name

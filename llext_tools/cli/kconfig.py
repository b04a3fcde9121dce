"""Kconfig options of a firmware that change its loader: ``--config`` of the commands that load.

``--config CONFIG_LLEXT_HEAP_SIZE=16`` gives one of them, with or without ``CONFIG_``; ``--config build/zephyr/.config``
takes all that a build has. In such a file whatever does not concern the loader is passed over; on the command line it
is an error.
Source: Zephyr, ``subsys/llext/Kconfig``, whose sizes are in KiB; ``arch/Kconfig``, ``arch/arm/core/mpu/Kconfig``,
``arch/riscv/Kconfig``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llext_tools.diag import Location, fail, nearest
from llext_tools.files import read_bytes
from llext_tools.llext.config import KIB, Config, HeapKind, Protection

GIVEN = re.compile(r"(?:CONFIG_)?([A-Z0-9_]+)=(.*)", re.DOTALL)
LINE = re.compile(r"CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set")
YES_NO = {"y": True, "n": False}

FIELDS: dict[str, tuple[str, int]] = {
    "LLEXT_RODATA_NO_RELOC": ("rodata_no_reloc", 0),
    "LLEXT_IMPORT_ALL_GLOBALS": ("import_all_globals", 0),
    "LLEXT_EXPORT_DEVICES": ("export_devices", 0),
    "LLEXT_EXPORT_BUILTINS_BY_SLID": ("export_builtins_by_slid", 0),
    "LLEXT_LOG_LEVEL_DBG": ("log_level_dbg", 0),
    "HARVARD": ("harvard", 0),
    "LLEXT_HEAP_SIZE": ("heap_size", KIB),
    "LLEXT_EXT_HEAP_SIZE": ("heap_size", KIB),  # in place of the former with blocks
    "LLEXT_DATA_HEAP_SIZE": ("heap_size", KIB),  # and on a Harvard machine
    "LLEXT_INSTR_HEAP_SIZE": ("instr_heap_size", KIB),
    "LLEXT_METADATA_HEAP_SIZE": ("metadata_heap_size", KIB),
    "LLEXT_HEAP_MEMBLK_BLOCK_SIZE": ("memblk_block_size", 1),
    "MMU_PAGE_SIZE": ("granularity", 1),
    "PMP_GRANULARITY": ("granularity", 1),
    "PMP_SLOTS": ("mpu_regions", 1),
    "MAX_DOMAIN_PARTITIONS": ("max_domain_partitions", 1),
}
"""Options that are a field of ``Config`` each: its name, and the bytes that a number counts, 0 for yes or no."""

HEAPS: dict[str, HeapKind] = {
    "LLEXT_HEAP_K_HEAP": "k_heap",
    "LLEXT_HEAP_MEMBLK": "memblk",
    "LLEXT_HEAP_DYNAMIC": "dynamic",
}
ARCHS = {"ARM": "arm", "RISCV": "riscv"}
SWITCHES = (
    "LLEXT_VENEERS", "ARMV6_M_ARMV8_M_BASELINE",
    "USERSPACE", "MMU", "MPU_REQUIRES_POWER_OF_TWO_ALIGNMENT", "ARM_MPU", "RISCV_PMP",
    "64BIT", *HEAPS, *ARCHS,
)  # fmt: skip
"""Yes or no, of which several together make a field."""
LEAST_GRAIN = 4
"""Bytes: the least granularity of a PMP."""
SIZES = {"": 1, "K": KIB, "M": KIB * KIB}


class Kconfig(NamedTuple):
    """What the options say. ``heap`` is None if they do not say which one; ``arch`` is ``""``, ``bits`` 0 likewise."""

    fields: Mapping[str, Any]  # of Config
    heap: HeapKind | None
    arch: str
    bits: int
    open: bool = False  # there is a user mode, and nobody says what protects memory from it

    def config(self, heap: HeapKind, protection: Protection | None = None) -> Config:
        """The firmware's options, with this heap if they do not name one, and this protection if it is not None."""
        config = Config(**self.fields, heap=self.heap or heap)
        return config._replace(protection=protection or config.protection)


def read_kconfig(given: Iterable[str]) -> Kconfig:
    """All that ``--config`` says, a later one before an earlier one.

    Raises:
        UsageError: ``usage``: an option is unknown, or cannot have this value.
        FormatError: ``file-unreadable``.
    """
    values: dict[str, str] = {}
    where: dict[str, Location] = {}
    for text in given:
        found = GIVEN.fullmatch(text)
        if found is None:
            for number, name, value in _lines(text):
                values[name], where[name] = value, Location(file=text, line=number)
            continue
        name, value = found.groups()
        if name not in FIELDS and name not in SWITCHES:
            near = nearest(name, (*FIELDS, *SWITCHES), 0.8)
            cure = f"did you mean `CONFIG_{near}`?" if near else "known are " + ", ".join((*FIELDS, *SWITCHES))
            fail("usage", f"--config: `CONFIG_{name}` does not change what the loader does", help=cure)
        values[name] = value
        where.pop(name, None)
    return _meaning({name: _value(name, text, where.get(name)) for name, text in values.items()})


def by_hand(given: Iterable[str]) -> list[str]:
    """Those that are given one by one."""
    return [text for text in given if GIVEN.fullmatch(text)]


def config_file(given: Iterable[str]) -> str:
    """The last ``.config`` that ``--config`` names, ``""`` if it names none."""
    return next((text for text in reversed([*given]) if not GIVEN.fullmatch(text)), "")


def options_of(path: str) -> dict[str, str]:
    """Every option of a ``.config``, without ``CONFIG_``: ``y``, ``n``, a number, or text without its quotes.

    Raises:
        FormatError: ``file-unreadable``.
    """
    lines = read_bytes(path).decode("utf-8", "backslashreplace").splitlines()
    found = filter(None, (LINE.fullmatch(line.strip()) for line in lines))
    return {each[1] or each[3]: "n" if each[1] is None else each[2].strip('"') for each in found}


def parse_size(text: str, option: str) -> int:
    """Bytes: a number, decimal or hexadecimal, or one with ``K`` or ``M`` behind it.

    Raises:
        UsageError: ``usage``.
    """
    found = re.fullmatch(r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,16})([KkMm]?)", text)
    if found is None:
        fail("usage", f"{option}: `{text}` is not a size", help=_size_help(text))
    return int(found[1], 16 if found[1][:2].lower() == "0x" else 10) * SIZES[found[2].upper()]


def _size_help(text: str) -> str:
    start, minus, size = text.partition("-")
    if minus and start[:1].isdigit() and size[:1].isdigit():
        return f"start and size of a heap are `{start}+{size}`"
    return "write it as 8K, 1M or 0x4000"


def _lines(path: str) -> Iterable[tuple[int, str, str]]:
    """The options that matter in a ``.config``: line, name, value."""
    text = read_bytes(path).decode("utf-8", "backslashreplace")
    options = 0
    for number, line in enumerate(text.splitlines(), 1):
        found = LINE.fullmatch(line.strip())
        if found is None:
            continue
        options += 1
        name = found[1] or found[3]
        if name in FIELDS or name in SWITCHES:
            yield number, name, "n" if found[1] is None else found[2]
    if not options:
        cure = "give one option as `CONFIG_LLEXT_HEAP_SIZE=16`, or the `.config` of a build"
        fail("usage", f"--config: there is no option in `{path}`", help=cure)


def _value(name: str, text: str, at: Location | None) -> int:
    unit = FIELDS.get(name, ("", 0))[1]
    if not unit:
        if text not in YES_NO:
            fail("usage", f"--config: `CONFIG_{name}` is `y` or `n`, not `{text}`", at=at)
        return YES_NO[text]
    number = re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9}", text)
    if number is None:
        small, kib = re.fullmatch(r"([0-9]+)[Kk](?:i?[Bb])?", text), unit == KIB
        cure = f"it counts KiB: `CONFIG_{name}={small[1] if small else 16}`" if kib else "it counts bytes" * bool(small)
        fail("usage", f"--config: `CONFIG_{name}` is a number, not `{text}`", at=at, help=cure)
    value = int(text, 16 if text[:2].lower() == "0x" else 10) * unit
    if FIELDS[name][1] == KIB and not value:
        text = f"--config: `CONFIG_{name}=0` is a heap that no extension fits into"
        fail("usage", text, at=at, help=f"it counts KiB: `CONFIG_{name}=16`")
    if FIELDS[name][0] == "granularity" and (value < LEAST_GRAIN or value & (value - 1)):
        fail("usage", f"--config: `CONFIG_{name}` is a power of two from {LEAST_GRAIN} on, not `{text}`", at=at)
    return value


def _meaning(options: Mapping[str, int]) -> Kconfig:
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name in FIELDS:
            fields[FIELDS[name][0]] = value
    on = {name for name, value in options.items() if value}
    if "LLEXT_VENEERS" in on:
        fields["veneers"] = "v6m" if "ARMV6_M_ARMV8_M_BASELINE" in on else "v7m"
    if protection := _protection(on):
        fields["protection"] = protection
    heap = next((kind for name, kind in HEAPS.items() if name in on), None)
    if heap is None and any("HEAP" in name for name in options):
        heap = "k_heap"
    bits = 0 if "64BIT" not in options else 64 if "64BIT" in on else 32
    arch = next((arch for name, arch in ARCHS.items() if name in on), "")
    return Kconfig(fields, heap, arch, bits, "USERSPACE" in on and not protection)


def _protection(on: set[str]) -> Protection | None:
    """How memory is protected: by pages with an MMU, else only where there is a user mode to protect it from."""
    if "MMU" in on:
        return "page"
    if "USERSPACE" not in on:
        return None
    kinds: dict[str, Protection] = {
        "MPU_REQUIRES_POWER_OF_TWO_ALIGNMENT": "mpu-pow2",
        "ARM_MPU": "mpu-32",
        "RISCV_PMP": "pmp",
    }
    return next((kind for name, kind in kinds.items() if name in on), None)

"""The options that say where extensions will be loaded: the firmware's heap, its configuration, the file's memory.

``llext load``, ``llext inspect --memory`` and ``llext check`` have the same ones. What they leave open differs: the
first wants a heap that fits whatever comes, the others Zephyr's own defaults.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, get_args

from llext_tools import arch as archs
from llext_tools.check.subject import Board, Footprint
from llext_tools.cli.kconfig import Kconfig, by_hand, config_file, parse_size, read_kconfig
from llext_tools.cli.parser import address
from llext_tools.diag import fail
from llext_tools.files import read_bytes
from llext_tools.host.firmware import Firmware
from llext_tools.link.exports import HEAPS
from llext_tools.llext.config import KIB, Config, HeapKind, Protection
from llext_tools.llext.heap import heaps
from llext_tools.llext.loaders import Storage
from llext_tools.llext.space import LARGEST

STORAGES = tuple(storage.value for storage in Storage)
HEAP_KINDS = ("k_heap", "memblk", "dynamic")
"""The kinds of heap that Zephyr has."""
HEAP_SIZE = {"memblk": 16 * KIB, "k_heap": 8 * KIB, "dynamic": 8 * KIB}
"""Zephyr's default for the heap of regions; Harvard machines have 8 KiB for data."""

OPTIONS: dict[str, dict[str, Any]] = {
    "--config": {
        "metavar": "OPTION=VALUE",
        "action": "append",
        "default": [],
        "help": "of Kconfig; or a build's `.config`",
    },
    "--heap": {"metavar": "[ADDR+]SIZE", "help": "such as 8K, or 0x20010000+8K"},
    "--heap-kind": {"metavar": "KIND", "choices": HEAP_KINDS, "help": ", ".join(HEAP_KINDS)},
    "--protection": {"metavar": "KIND", "choices": get_args(Protection), "help": ", ".join(get_args(Protection))},
    "--storage": {"metavar": "KIND", "choices": STORAGES, "help": ", ".join(STORAGES)},
    "--buffer": {"metavar": "ADDR", "help": "where the file is in memory"},
    "--no-peek": {"action": "store_true", "help": "the loader reads files and cannot point into them"},
}


def add_options(parser: argparse._ActionsContainer, *names: str, **others: Any) -> None:
    """Add options of these names; ``others`` is what a command has differently."""
    for name in names:
        parser.add_argument(name, **OPTIONS[name] | others)


def parse_heap(operand: str) -> tuple[int | None, int]:
    """Start and size of ``[ADDR+]SIZE``; the start is None if it is not said.

    Raises:
        UsageError: ``usage``.
    """
    start, plus, size = operand.rpartition("+")
    return address(start, "--heap") if plus else None, parse_size(size, "--heap")


def with_heap(config: Config, start: int | None, size: int) -> Config:
    """The same firmware, with a heap of this size, there if ``start`` says where."""
    return config._replace(heap_size=size, heap_start=config.heap_start if start is None else start)


def check_sizes(config: Config, most: int) -> None:
    """Whether heaps are so small that they can be simulated.

    Raises:
        UsageError: ``usage``.
    """
    for each in (config.heap_size, config.instr_heap_size, config.metadata_heap_size):
        if each > most:
            fail("usage", f"a heap of {each:,} bytes is larger than the {most:,} that are simulated")


def check_end(config: Config, firmware: Firmware | None, target: str) -> None:
    """Whether the heap ends inside the address space, whose width firmware or target tell.

    Raises:
        UsageError: ``usage``.
    """
    cpu = firmware.cpu if firmware else None
    bits = cpu.bits if cpu else archs.target(target).bits if target else 64
    if config.heap_start + config.heap_size > 1 << bits:
        first, size = f"{config.heap_start:#010x}", f"{config.heap_size:,}"
        fail("usage", f"--heap: {size} bytes from {first} on do not fit into an address space of {bits} bits")


def check_protection(args: argparse.Namespace, kconfig: Kconfig) -> None:
    """Whether a user mode that is asked for by hand has something that protects memory from it.

    Raises:
        UsageError: ``usage``.
    """
    if read_kconfig(by_hand(args.config)).open and kconfig.open and not args.protection:
        fail(
            "usage",
            "--config: `CONFIG_USERSPACE=y` alone does not tell how memory is protected",
            help="add `CONFIG_ARM_MPU=y` or `CONFIG_RISCV_PMP=y`, or give --protection",
        )


def zephyrs(args: argparse.Namespace, kconfig: Kconfig) -> Config:
    """The firmware that the options describe, but for ``--heap``; what they leave open is Zephyr's default."""
    check_protection(args, kconfig)
    heap: HeapKind = args.heap_kind or kconfig.heap or "k_heap"
    size = 8 * KIB if kconfig.fields.get("harvard") else HEAP_SIZE[heap]
    fields = {"heap_size": size, "log_level_dbg": False, **kconfig.fields, "export_builtins_by_slid": False}
    return kconfig._replace(fields=fields, heap=heap).config(heap, args.protection)


def told(firmware: Firmware | None) -> dict[str, Any]:
    """What a firmware's ELF file, or a table made of it, says of its heaps, as fields of ``Config``."""
    found = firmware.heap() if firmware else None
    if found is None:
        return {}
    what = HEAPS[found.symbol]
    fields = {"heap": what.kind, f"{what.field}_start": found.address, f"{what.field}_size": found.size}
    if what.data:
        fields |= {"harvard": True} | ({} if found.data is None else {"heap_start": found.data})
    return fields


def configuration_beside(firmware: Firmware | None) -> list[str]:
    """The `.config` in the folder of a firmware's ELF file, where Zephyr's build leaves both."""
    for image in firmware.images if firmware else ():
        path = os.path.join(os.path.dirname(image.path), ".config")
        if os.path.isfile(path) and b"CONFIG_LLEXT=y\n" in read_bytes(path):
            return [path]
    return []


def sizes(given: Sequence[str]) -> dict[str, int]:
    """The sizes of heaps that ``--config`` gives one by one, as fields of ``Config``."""
    return {name: size for name, size in read_kconfig(by_hand(given)).fields.items() if name.endswith("heap_size")}


def agree(heap: str | None, given: Sequence[str]) -> None:
    """Whether ``--heap`` and the options of ``--config`` that are given beside it say the same.

    Raises:
        UsageError: ``usage``.
    """
    size = sizes(given).get("heap_size") if heap is not None else None
    if heap is not None and size is not None and parse_heap(heap)[1] != size:
        text = f"--heap gives the heap {parse_heap(heap)[1]:,} bytes, and --config {size:,}"
        fail("usage", text, help="give the size once")


def board_of(args: argparse.Namespace, firmware: Firmware | None, target: str) -> Board:
    """Where ``llext check`` takes extensions to be loaded: what the options say, else what the firmware's ELF file has.

    Raises:
        UsageError: ``usage``.
        FormatError: ``file-unreadable``.
    """
    made = Board(
        storage=Storage(args.storage or Storage.TEMPORARY.value),
        buffer=None if args.buffer is None else address(args.buffer, "--buffer"),
        target=target,
    )
    beside = [] if config_file(args.config) else configuration_beside(firmware)
    kconfig = read_kconfig([*beside, *args.config])
    fields: dict[str, Any]
    if args.heap is not None:
        start, size = parse_heap(args.heap)
        fields = {"heap_size": size} | ({} if start is None else {"heap_start": start})
    else:
        fields = told(firmware)
        fields |= {name: size for name, size in sizes(args.config).items() if name in fields}
    if not (fields or kconfig.fields or kconfig.heap or args.protection or args.heap_kind):
        return made
    config = zephyrs(args, kconfig)._replace(**fields)
    if args.heap_kind:
        config = config._replace(heap=args.heap_kind)
    check_sizes(config, LARGEST)
    known = {**kconfig.fields, **fields}
    needed = ["heap_size", *(["instr_heap_size"] if config.harvard else [])]
    if fields.get("heap") == "memblk":
        needed.append("metadata_heap_size")  # which the ELF file does not tell
    sized = all(name in known for name in needed) and (config.heap != "dynamic" or args.heap is not None)
    located = all(f"{name.removesuffix('_size')}_start" in fields for name in needed[: 1 + config.harvard])
    if args.heap is not None and "heap_start" in fields:
        check_end(config, firmware, target)
    if sized and config.heap != "dynamic":
        heaps(config)  # whether there can be such heaps
    if located and made.buffer is not None and 0 <= made.buffer - config.heap_start < config.heap_size:
        fail("usage", f"--buffer: {made.buffer:#010x} is in the heap", help="the file cannot be there")
    return made._replace(config=config, sized=sized, located=located)


def heap_text(footprint: Footprint) -> str:
    """What the ok line says of memory."""
    uses = " + ".join(f"{heap.kept:,} of {heap.size:,}" for heap in footprint.heaps)
    return f"{uses} bytes of heap"


def memory_facts(footprint: Footprint) -> dict[str, Any]:
    """The same for programs, in bytes; ``peak`` is what loading takes."""
    facts: dict[str, Any] = {
        "heaps": [heap._asdict() for heap in footprint.heaps],
        "rounding": footprint.rounding,
        "partitions": footprint.partitions,
        "mpu_regions": footprint.mpu_regions,
    }
    return facts | ({"veneers": footprint.veneers._asdict()} if footprint.veneers else {})
